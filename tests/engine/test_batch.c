// Many replies at a time: each is a session's, token for token, and a session that is told what the model said is as if
// it had written the reply itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness.h"
#include "specexit_signals.h"

#include <stdlib.h>
#include <string.h>

enum { PROBLEMS = 5, PLACES = 3, LONGEST = 64 };

static sx_engine *engine;
static test_problem problems[PROBLEMS];
static sx_message messages[PROBLEMS];
static sx_session *writer, *reader;

// Replies of different lengths; the sampled ones come to their end.
static sx_generate_desc ask(uint32_t index, bool sampled)
{
    sx_generate_desc desc = {.messages = &messages[index],
                             .message_count = 1,
                             .maximum_tokens = sampled ? LONGEST : 5 + 6 * index,
                             .policy = {.kind = SX_POLICY_NONE}};
    if (sampled) {
        desc.sampling = (sx_sampling){.temperature = 0.8f, .top_p = 0.95f, .seed = 77};
        desc.policy.hard_budget = 12; // so that tokens are forced that the model did not say
    }
    return desc;
}

typedef struct choices {
    uint32_t tokens[LONGEST + 1], count;
} choices;

static choices all[PROBLEMS]; // of the last test that wrote some

static void take_complete(sx_batch *batch, const uint32_t *index_of_place)
{
    uint32_t place, count;
    const uint32_t *said;
    while (sx_batch_take(batch, &place, &said, &count)) {
        choices *mine = &all[index_of_place[place]];
        assert_int_equal(mine->count, 0);
        assert_true(count <= LONGEST + 1);
        memcpy(mine->tokens, said, count * sizeof *said);
        mine->count = count;
    }
}

// All of them through fewer places; the next prompt goes where one has become free.
static void write_all(bool sampled)
{
    sx_batch *batch;
    sx_error error = {0};
    uint32_t index_of_place[PLACES], next = 0;
    memset(all, 0, sizeof all);
    if (sx_batch_create(engine, PLACES, &batch, &error) != SX_OK) fail_msg("%s", error.message);
    while (next < PROBLEMS || sx_batch_running(batch)) {
        while (next < PROBLEMS && sx_batch_running(batch) < PLACES) {
            const sx_generate_desc desc = ask(next, sampled);
            uint32_t place;
            if (sx_batch_add(batch, &desc, &place, &error) != SX_OK) fail_msg("%s", error.message);
            index_of_place[place] = next++;
        }
        if (sx_batch_step(batch, &error) != SX_OK) fail_msg("%s", error.message);
        take_complete(batch, index_of_place);
    }
    sx_batch_destroy(batch);
}

static void check_same(const test_reply *got, const test_reply *want, uint32_t index)
{
    if (got->count != want->count || memcmp(got->tokens, want->tokens, want->count * sizeof(uint32_t)))
        fail_msg("reply %u has other tokens", index);
    assert_string_equal(got->thinking, want->thinking);
    assert_string_equal(got->answer, want->answer);
    assert_int_equal(got->done_reason, want->done_reason);
    assert_int_equal(got->exit_reason, want->exit_reason);
    assert_int_equal(got->stats.tokens, want->stats.tokens);
    assert_int_equal(got->stats.thinking_tokens, want->stats.thinking_tokens);
    assert_int_equal(got->stats.answer_tokens, want->stats.answer_tokens);
    assert_int_equal(got->stats.forced_tokens, want->stats.forced_tokens);
}

static void check_replies(bool sampled)
{
    static test_reply want, got;
    uint32_t ended = 0, left = 0;
    write_all(sampled);
    for (uint32_t i = 0; i < PROBLEMS; i++) {
        sx_generate_desc desc = ask(i, sampled);
        test_run(writer, &desc, &want, NULL, NULL);
        desc.choices = all[i].tokens;
        desc.choice_count = all[i].count;
        test_run(reader, &desc, &got, NULL, NULL);
        check_same(&got, &want, i);
        assert_int_equal(got.stats.submits, 0); // all was known
        ended += got.done_reason == SX_DONE_END_OF_TURN;
        left += got.exit_reason == SX_REASON_HARD_BUDGET;
    }
    assert_true((ended > 0 && left > 0) || !sampled);
    // Half of it known: it goes on from there.
    sx_generate_desc desc = ask(PROBLEMS - 1, sampled);
    desc.choices = all[PROBLEMS - 1].tokens;
    desc.choice_count = all[PROBLEMS - 1].count / 2;
    test_run(reader, &desc, &got, NULL, NULL);
    check_same(&got, &want, PROBLEMS - 1);
    assert_true(got.stats.submits > 0);
}

static void test_greedy(void **state)
{
    (void)state;
    check_replies(false);
}

static void test_sampled(void **state)
{
    (void)state;
    check_replies(true);
}

static void force(sx_session *session, const sx_thinking_span *span, sx_forced_answer *answer)
{
    sx_error error = {0};
    if (sx_session_force_answer(session, span->first + span->count / 2, answer, &error) != SX_OK)
        fail_msg("%s", error.message);
}

// The sampled replies, which a budget ended: states, thinking on, forced answers.
static void test_probes(void **state)
{
    (void)state;
    static test_reply want, got;
    sx_generate_desc desc = ask(PROBLEMS - 1, true);
    test_run(writer, &desc, &want, NULL, NULL);
    desc.choices = all[PROBLEMS - 1].tokens;
    desc.choice_count = all[PROBLEMS - 1].count;
    test_run(reader, &desc, &got, NULL, NULL);
    sx_thinking_span span, same;
    assert_true(sx_session_thinking(writer, &span) && sx_session_thinking(reader, &same));
    assert_memory_equal(&span, &same, sizeof span);

    sx_model_identity identity;
    sx_engine_get_identity(engine, &identity);
    const size_t bytes = (size_t)span.count * identity.state_width * sizeof(uint16_t);
    uint16_t *states = malloc(bytes), *read = malloc(bytes);
    assert_int_equal(sx_session_states(writer, span.first, span.count, states, NULL), SX_OK);
    assert_int_equal(sx_session_states(reader, span.first, span.count, read, NULL), SX_OK);
    assert_memory_equal(states, read, bytes);
    free(states);
    free(read);

    assert_int_equal(sx_session_keep_thinking(writer, NULL), SX_OK);
    assert_int_equal(sx_session_keep_thinking(reader, NULL), SX_OK);
    test_continue(writer, &want, NULL, NULL);
    test_continue(reader, &got, NULL, NULL);
    assert_int_equal(got.count, want.count);
    assert_memory_equal(got.tokens, want.tokens, want.count * sizeof(uint32_t));

    uint32_t tokens[2][24];
    float logprobs[2][24];
    sx_forced_answer answer = {.capacity = 24, .tokens = tokens[0], .logprobs = logprobs[0]};
    force(writer, &span, &answer);
    const uint32_t count = answer.count;
    answer = (sx_forced_answer){.capacity = 24, .tokens = tokens[1], .logprobs = logprobs[1]};
    force(reader, &span, &answer);
    assert_int_equal(answer.count, count);
    assert_memory_equal(tokens[0], tokens[1], count * sizeof(uint32_t));
    assert_memory_equal(logprobs[0], logprobs[1], count * sizeof(float));
}

static void check_refused(sx_generate_desc desc, sx_status status, const char *says)
{
    sx_error error = {0};
    assert_int_equal(sx_batch_check(&desc, &error), status);
    assert_non_null(strstr(error.message, says));
}

static void test_refusals(void **state)
{
    (void)state;
    sx_batch *batch;
    sx_error error = {0};
    uint32_t place;
    assert_int_equal(sx_batch_create(engine, SX_BATCH_MOST + 1, &batch, &error), SX_ERROR_ARGUMENT);
    assert_int_equal(sx_batch_create(engine, 0, &batch, &error), SX_ERROR_ARGUMENT);
    assert_true(sx_batch_bytes(engine, 4, NULL) > sx_batch_bytes(engine, 2, NULL));
    sx_generate_desc desc = ask(0, false);
    desc.policy.kind = SX_POLICY_MARGIN;
    check_refused(desc, SX_ERROR_UNSUPPORTED, "policy none");
    desc = ask(0, false);
    desc.sampling.presence_penalty = 1;
    check_refused(desc, SX_ERROR_UNSUPPORTED, "penalties");
    desc = ask(0, false);
    desc.when_full = SX_FULL_SHIFT;
    check_refused(desc, SX_ERROR_UNSUPPORTED, "full context");

    assert_int_equal(sx_batch_create(engine, 2, &batch, &error), SX_OK);
    const uint32_t none = UINT32_MAX;
    desc = (sx_generate_desc){.tokens = &none, .token_count = 1, .policy = {.kind = SX_POLICY_NONE}};
    assert_int_equal(sx_batch_add(batch, &desc, &place, &error), SX_ERROR_ARGUMENT);
    uint32_t *long_prompt = calloc(1 << 16, sizeof *long_prompt);
    desc.tokens = long_prompt;
    desc.token_count = 1 << 16;
    assert_int_equal(sx_batch_add(batch, &desc, &place, &error), SX_ERROR_CONTEXT);
    free(long_prompt);
    desc = ask(0, false);
    assert_int_equal(sx_batch_add(batch, &desc, &place, &error), SX_OK);
    desc = ask(1, true);
    assert_int_equal(sx_batch_add(batch, &desc, &place, &error), SX_ERROR_ARGUMENT);
    desc = ask(1, false);
    assert_int_equal(sx_batch_add(batch, &desc, &place, &error), SX_OK);
    assert_int_equal(sx_batch_add(batch, &desc, &place, &error), SX_ERROR_BUSY);
    sx_batch_destroy(batch); // in the middle of its replies

    desc.choices = &none;
    desc.choice_count = 1;
    assert_int_equal(sx_session_begin(reader, &desc, &error), SX_ERROR_ARGUMENT);
    desc.policy.kind = SX_POLICY_SIGNALS;
    assert_int_equal(sx_session_begin(reader, &desc, &error), SX_ERROR_ARGUMENT);
}

int main(void)
{
    engine = test_open_bundled(NULL);
    writer = test_open_session(engine);
    reader = test_open_session(engine);
    for (uint32_t i = 0; i < PROBLEMS; i++) {
        if (!test_problem_read("heldout.jsonl", i, &problems[i])) return 1;
        messages[i] = (sx_message){.role = SX_ROLE_USER, .content = problems[i].prompt};
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_greedy), cmocka_unit_test(test_sampled),
                                       cmocka_unit_test(test_probes), cmocka_unit_test(test_refusals)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_session_destroy(writer);
    sx_session_destroy(reader);
    sx_engine_destroy(engine);
    return failed;
}
