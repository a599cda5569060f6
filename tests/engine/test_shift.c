// A reply that fills the context and goes on without its beginning.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/session.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONTEXT = 120 };

static sx_engine *engine;
static const sx_message long_problem = {.role = SX_ROLE_USER,
                                        .content = "Start with 7, add 5, then multiply by 2, then subtract 4."};

static sx_session *open_session(void)
{
    sx_session *session = NULL;
    assert_int_equal(sx_session_create(engine, &(sx_session_desc){.context = CONTEXT}, &session, NULL), SX_OK);
    return session;
}

// Thinks without an end of its own kind: no policy, no loop guard, and `tokens` of them.
static sx_generate_desc think(uint32_t tokens)
{
    return (sx_generate_desc){.messages = &long_problem,
                              .message_count = 1,
                              .maximum_tokens = tokens,
                              .policy = {.kind = SX_POLICY_NONE, .no_loop_guard = true},
                              .when_full = SX_FULL_SHIFT};
}

// Keeps a reply from ending by itself.
static void never_end(sx_generate_desc *desc)
{
    static uint32_t ends[64];
    static float never[64];
    uint32_t count = 0;
    for (uint32_t i = 0; i < engine->hparams.vocabulary && count < 64; i++) {
        if (!(engine->token_flags[i] & SX_TOKEN_END)) continue;
        ends[count] = i;
        never[count++] = -1000;
    }
    desc->sampling.bias_tokens = ends;
    desc->sampling.bias_values = never;
    desc->sampling.bias_count = count;
}

// The last tokens that the session holds are what the model says after those before them, read as a prompt.
static void check_end(sx_session *session, uint32_t last)
{
    static uint32_t held[CONTEXT + 1];
    static test_reply again;
    uint32_t count;
    const uint32_t *tokens = sx_session_tokens(session, &count);
    assert_in_range(count, last + 8, CONTEXT);
    memcpy(held, tokens, count * sizeof *held);
    sx_generate_desc desc = think(last);
    never_end(&desc);
    desc.messages = NULL;
    desc.message_count = 0;
    desc.tokens = held;
    desc.token_count = count - last;
    sx_session *other = open_session();
    test_run(other, &desc, &again, NULL, NULL);
    assert_int_equal(again.count, last);
    assert_memory_equal(again.tokens, held + count - last, last * sizeof *held);
    sx_session_destroy(other);
}

static void assert_same(const test_reply *a, const test_reply *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->tokens, b->tokens, a->count * sizeof *a->tokens);
    assert_string_equal(a->thinking, b->thinking);
    assert_string_equal(a->answer, b->answer);
    assert_int_equal(a->stats.dropped_tokens, b->stats.dropped_tokens);
    assert_int_equal(a->stats.thinking_tokens, b->stats.thinking_tokens);
}

static void test_goes_on(void **state)
{
    (void)state;
    static test_reply refused, plain, drafted;
    sx_session *session = open_session();
    sx_generate_desc desc = think(150);
    desc.when_full = SX_FULL_REFUSE;
    test_run(session, &desc, &refused, NULL, NULL);
    assert_int_equal(refused.done_reason, SX_DONE_MAXIMUM);
    assert_int_equal(refused.stats.prompt_tokens + refused.count, CONTEXT);
    desc.when_full = SX_FULL_SHIFT;
    static const sx_draft_kind kinds[] = {SX_DRAFT_NONE, SX_DRAFT_CHAIN, SX_DRAFT_TREE};
    for (int i = 0; i < 3; i++) {
        desc.drafting.kind = kinds[i];
        test_run(session, &desc, i ? &drafted : &plain, NULL, NULL);
        if (i) assert_same(&plain, &drafted);
    }
    assert_int_equal(plain.count, 150);
    assert_int_equal(plain.done_reason, SX_DONE_MAXIMUM);
    assert_memory_equal(plain.tokens, refused.tokens, refused.count * sizeof *plain.tokens);
    assert_in_range(plain.stats.dropped_tokens, 150 - CONTEXT, 140);
    check_end(session, 10);
    sx_session_destroy(session);
}

// Sampled, with penalties that count the whole reply, whichever of its tokens are still held.
static void test_penalties(void **state)
{
    (void)state;
    static test_reply plain, drafted;
    sx_generate_desc desc = think(130);
    desc.sampling = (sx_sampling){.temperature = 0.8f, .seed = 5, .repetition_penalty = 1.1f, .presence_penalty = 0.2f};
    desc.drafting.kind = SX_DRAFT_NONE;
    sx_session *session = open_session();
    test_run(session, &desc, &plain, NULL, NULL);
    desc.drafting.kind = SX_DRAFT_CHAIN;
    test_run(session, &desc, &drafted, NULL, NULL);
    assert_true(plain.stats.dropped_tokens > 0);
    assert_same(&plain, &drafted);
    const uint32_t vocabulary = engine->hparams.vocabulary;
    uint32_t *said = calloc(2 * vocabulary, sizeof *said), *counts = said + vocabulary;
    for (uint32_t i = 0; i < drafted.count; i++)
        said[drafted.tokens[i]]++;
    assert_int_equal(sx_gpu_read(engine->gpu, session->buffers.counts, 0, counts, vocabulary * sizeof *counts, NULL),
                     SX_OK);
    assert_memory_equal(counts, said, vocabulary * sizeof *counts);
    free(said);
    sx_session_destroy(session);
}

// The turns before the last go first.
static void test_turns_first(void **state)
{
    (void)state;
    static test_reply reply;
    const sx_message turns[] = {{.role = SX_ROLE_SYSTEM, .content = "Be brief."},
                                {.role = SX_ROLE_USER, .content = "Start with 9, add 4."},
                                {.role = SX_ROLE_ASSISTANT, .content = "9 plus 4 is 13. The answer is 13."},
                                long_problem};
    sx_generate_desc desc = think(60);
    desc.messages = turns;
    desc.message_count = 4;
    never_end(&desc);
    sx_session *session = open_session();
    test_run(session, &desc, &reply, NULL, NULL);
    assert_int_equal(reply.count, 60);
    assert_int_equal(reply.stats.dropped_messages, 2);
    assert_int_equal(reply.stats.dropped_tokens, 0);
    check_end(session, 5);
    sx_session_destroy(session);
}

// An answer without an end: the markers stay, and what comes is still the answer.
static void test_answer(void **state)
{
    (void)state;
    static test_reply reply;
    sx_generate_desc desc = think(140);
    desc.policy.hard_budget = 20;
    never_end(&desc);
    sx_session *session = open_session();
    test_run(session, &desc, &reply, NULL, NULL);
    assert_int_equal(reply.count, 140);
    assert_int_equal(reply.exit_reason, SX_REASON_HARD_BUDGET);
    assert_true(reply.stats.dropped_tokens > 30);
    assert_int_equal(reply.stats.thinking_tokens, 20);
    uint32_t held, closed = 0;
    const uint32_t *tokens = sx_session_tokens(session, &held);
    for (uint32_t i = 0; i < held; i++)
        closed += tokens[i] == engine->close.tokens[engine->close.count - 1];
    assert_int_equal(closed, 1);
    check_end(session, 10);
    sx_error error = {0};
    assert_int_equal(sx_session_keep_thinking(session, &error), SX_ERROR_ARGUMENT); // that thought is gone
    sx_session_destroy(session);
}

static void save_late(sx_session *session, const sx_event *event, void *user)
{
    bool *saved = user;
    if (*saved || event->kind != SX_EVENT_TEXT || event->first_token < 100) return;
    assert_int_equal(sx_session_save(session, "shifted.session", NULL), SX_OK);
    *saved = true;
}

// Saved behind the shift, taken up again: the same end.
static void test_saved(void **state)
{
    (void)state;
    static test_reply whole, loaded;
    bool saved = false;
    sx_generate_desc desc = think(200);
    sx_session *session = open_session(), *other = open_session();
    test_run(session, &desc, &whole, save_late, &saved);
    assert_true(saved && whole.count == 200);
    memset(&loaded, 0, sizeof loaded);
    assert_int_equal(sx_session_load(other, "shifted.session", NULL), SX_OK);
    test_continue(other, &loaded, NULL, NULL);
    assert_in_range(loaded.count, 110, 199);
    assert_memory_equal(loaded.tokens + loaded.count - 100, whole.tokens + 100, 100 * sizeof *loaded.tokens);
    remove("shifted.session");
    sx_session_destroy(session);
    sx_session_destroy(other);
}

int main(void)
{
    engine = test_open_bundled(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_goes_on), cmocka_unit_test(test_penalties), cmocka_unit_test(test_turns_first),
        cmocka_unit_test(test_answer),  cmocka_unit_test(test_saved),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_engine_destroy(engine);
    return failed;
}
