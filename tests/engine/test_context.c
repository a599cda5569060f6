// The context: what happens when a conversation outgrows it, and the memory it takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/internal.h"
#include "harness.h"

#include <string.h>

static sx_engine *engine;

static sx_session *session_of(uint32_t context)
{
    sx_session *session = NULL;
    assert_int_equal(sx_session_create(engine, &(sx_session_desc){.context = context}, &session, NULL), SX_OK);
    return session;
}

// A system message, `pairs` turns with their answers, and a question. Returns how many messages that is.
static uint32_t make_turns(sx_message *turns, uint32_t pairs)
{
    static const char *const questions[] = {"Start with 5, add 3, then multiply by 2, then subtract 4.",
                                            "Start with 9, add 4, then multiply by 3, then subtract 1."};
    uint32_t count = 0;
    turns[count++] = (sx_message){.role = SX_ROLE_SYSTEM, .content = "Be brief."};
    for (uint32_t i = 0; i < pairs; i++) {
        turns[count++] = (sx_message){.role = SX_ROLE_USER, .content = questions[i % 2]};
        turns[count++] = (sx_message){.role = SX_ROLE_ASSISTANT, .content = "The answer is 12."};
    }
    turns[count++] = (sx_message){.role = SX_ROLE_USER, .content = "Start with 2, add 7."};
    return count;
}

static sx_generate_desc ask(const sx_message *messages, uint32_t count)
{
    return (sx_generate_desc){.messages = messages,
                              .message_count = count,
                              .maximum_tokens = 12,
                              .policy = {.kind = SX_POLICY_NONE},
                              .when_full = SX_FULL_SHIFT};
}

static void assert_same(const test_reply *a, const test_reply *b)
{
    assert_int_equal(a->stats.prompt_tokens, b->stats.prompt_tokens);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->tokens, b->tokens, a->count * sizeof *a->tokens);
}

// The oldest turns go, the system message stays, and the reply is that to the messages that are left.
static void test_shifted(void **state)
{
    (void)state;
    static test_reply shifted, alone, next;
    enum { CONTEXT = 160 };
    sx_session *session = session_of(CONTEXT), *other = session_of(CONTEXT);
    sx_message turns[20], kept[20];
    uint32_t count = make_turns(turns, 6);
    sx_generate_desc desc = ask(turns, count);
    desc.when_full = SX_FULL_REFUSE;
    assert_int_equal(sx_session_begin(session, &desc, NULL), SX_ERROR_CONTEXT);
    desc = ask(turns, count);
    test_run(session, &desc, &shifted, NULL, NULL);
    const uint32_t dropped = shifted.stats.dropped_messages;
    assert_true(dropped >= 2 && dropped % 2 == 0 && dropped <= count - 2);
    // A quarter of the context is free once more, so that the next turn need not shift again.
    assert_in_range(shifted.stats.prompt_tokens, 20, CONTEXT - 12 - CONTEXT / 4);
    kept[0] = turns[0];
    memcpy(kept + 1, turns + 1 + dropped, (count - 1 - dropped) * sizeof *kept);
    desc = ask(kept, count - dropped);
    test_run(other, &desc, &alone, NULL, NULL);
    assert_int_equal(alone.stats.dropped_messages, 0);
    assert_same(&alone, &shifted);
    // The next turn leaves out the same messages, so that the prompt read before is found again.
    turns[count++] = (sx_message){.role = SX_ROLE_ASSISTANT, .content = "8"};
    turns[count++] = (sx_message){.role = SX_ROLE_USER, .content = "Start with 1."};
    desc = ask(turns, count);
    test_run(session, &desc, &next, NULL, NULL);
    assert_int_equal(next.stats.dropped_messages, dropped);
    assert_true(next.stats.reused_tokens + 8 > shifted.stats.prompt_tokens);
    // Another conversation is not the one that was cut.
    desc = ask(kept, 4);
    test_run(session, &desc, &next, NULL, NULL);
    assert_int_equal(next.stats.dropped_messages, 0);
    sx_session_destroy(session);
    sx_session_destroy(other);
}

static void test_last_turn_stays(void **state)
{
    (void)state;
    static char text[4000];
    memset(text, 'x', sizeof text - 1);
    sx_session *session = session_of(160);
    sx_message turns[4];
    const uint32_t count = make_turns(turns, 1);
    turns[count - 1].content = text;
    const sx_generate_desc desc = ask(turns, count);
    sx_error error = {0};
    assert_int_equal(sx_session_begin(session, &desc, &error), SX_ERROR_CONTEXT);
    assert_non_null(strstr(error.message, "context"));
    sx_session_destroy(session);
}

int main(void)
{
    engine = test_open_bundled(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shifted),
        cmocka_unit_test(test_last_turn_stays),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_engine_destroy(engine);
    return failed;
}
