// Forced answers and states: the natural answer behind the last step, nothing lost before a boundary, guesses that
// change nothing, the same states from a target alone.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness.h"
#include "specexit_signals.h"

#include <stdlib.h>
#include <string.h>

enum { ANSWER = 32, STATES = 512 };

static sx_engine *engine;
static test_problem problem;
static sx_message message = {.role = SX_ROLE_USER};
static test_reply reply;
static sx_thinking_span span;
static uint32_t tokens[2048], token_count;

static sx_generate_desc ask(void)
{
    return (sx_generate_desc){
        .messages = &message, .message_count = 1, .maximum_tokens = 700, .policy = {.kind = SX_POLICY_NONE}};
}

static int setup(void **state)
{
    assert_true(test_problem_read("heldout.jsonl", 3, &problem));
    message.content = problem.prompt;
    *state = test_open_session(engine);
    const sx_generate_desc desc = ask();
    test_run(*state, &desc, &reply, NULL, NULL);
    assert_true(sx_session_thinking(*state, &span));
    const uint32_t *all = sx_session_tokens(*state, &token_count);
    memcpy(tokens, all, token_count * sizeof *tokens);
    return 0;
}

static int teardown(void **state)
{
    sx_session_destroy(*state);
    return 0;
}

static uint32_t last_boundary(uint32_t before)
{
    while (before-- > 0)
        if (sx_engine_ends_step(engine, tokens[span.first + before])) return before;
    fail_msg("no boundary");
    return 0;
}

static sx_forced_answer force(sx_session *session, uint32_t index, const uint32_t *guess, uint32_t guess_count,
                              uint32_t *said, float *logprobs)
{
    sx_error error = {0};
    sx_forced_answer answer = {
        .guess = guess, .guess_count = guess_count, .capacity = ANSWER, .tokens = said, .logprobs = logprobs};
    if (sx_session_force_answer(session, span.first + index, &answer, &error) != SX_OK) fail_msg("%s", error.message);
    return answer;
}

static void test_span(void **state)
{
    (void)state;
    assert_int_equal(span.count, reply.stats.thinking_tokens);
    assert_true(span.answer < token_count);
    char *text;
    size_t length;
    assert_int_equal(sx_engine_detokenize(engine, tokens + span.first, span.count, &text, &length, NULL), SX_OK);
    assert_null(strstr(text, "think>"));
    sx_free(text);
}

// From the last boundary to the first: with the right guess, a wrong one and none, the same answer.
static void test_branches(void **state)
{
    uint32_t said[3][ANSWER], wrong[] = {5, 6, 7, 8};
    float logprobs[3][ANSWER];
    const uint32_t natural = token_count - span.answer, last = last_boundary(span.count);
    sx_forced_answer answer = force(*state, last, tokens + span.answer, natural, said[0], logprobs[0]);
    assert_true(answer.ended);
    assert_int_equal(answer.count, natural);
    assert_memory_equal(said[0], tokens + span.answer, natural * sizeof(uint32_t));
    for (uint32_t index = last, round = 0; round < 4; round++) {
        index = last_boundary(index);
        const sx_forced_answer guessed = force(*state, index, tokens + span.answer, natural, said[0], logprobs[0]);
        const sx_forced_answer misled = force(*state, index, wrong, 4, said[1], logprobs[1]);
        const sx_forced_answer plain = force(*state, index, NULL, 0, said[2], logprobs[2]);
        assert_int_equal(guessed.count, plain.count);
        assert_int_equal(misled.count, plain.count);
        assert_true(plain.ended && plain.count > 2);
        for (int i = 0; i < 2; i++) {
            assert_memory_equal(said[i], said[2], plain.count * sizeof(uint32_t));
            assert_memory_equal(logprobs[i], logprobs[2], plain.count * sizeof(float));
        }
        for (uint32_t i = 0; i < plain.count; i++)
            assert_true(logprobs[2][i] <= 1e-5f && logprobs[2][i] > -50);
    }
}

// The same as stopping there by a budget, which goes the usual way.
static void test_equals_an_exit(void **state)
{
    static test_reply early;
    uint32_t said[ANSWER];
    float logprobs[ANSWER];
    const uint32_t index = last_boundary(span.count / 2);
    const sx_forced_answer answer = force(*state, index, NULL, 0, said, logprobs);
    sx_generate_desc desc = ask();
    desc.policy.soft_budget = index + 1;
    test_run(*state, &desc, &early, NULL, NULL);
    assert_true(early.stats.reused_tokens > 0);
    assert_int_equal(early.exit_reason, SX_REASON_SOFT_BUDGET);
    sx_thinking_span left;
    assert_true(sx_session_thinking(*state, &left));
    assert_int_equal(left.count, index + 1);
    const uint32_t *all = sx_session_tokens(*state, &token_count);
    assert_int_equal(answer.count, token_count - left.answer);
    assert_memory_equal(said, all + left.answer, answer.count * sizeof(uint32_t));
}

static void test_states(void **state)
{
    sx_model_identity identity, alone;
    sx_engine_get_identity(engine, &identity);
    assert_int_equal(identity.state_count, 3);
    const size_t width = identity.state_width, count = span.count;
    uint16_t *first = malloc(count * width * 2), *second = malloc(count * width * 2);
    assert_int_equal(sx_session_states(*state, span.first, span.count, first, NULL), SX_OK);
    // In pieces that fall elsewhere: a row's bits do not depend on its neighbours.
    for (uint32_t at = 0; at < span.count; at += 7) {
        const uint32_t some = span.count - at < 7 ? span.count - at : 7;
        assert_int_equal(sx_session_states(*state, span.first + at, some, second + at * width, NULL), SX_OK);
    }
    assert_memory_equal(first, second, count * width * 2);
    sx_error error = {0};
    assert_int_equal(sx_session_states(*state, token_count + 1, 1, first, &error), SX_ERROR_ARGUMENT);

    // A target alone keeps states when it is asked to.
    sx_engine *target = test_open_bundled(&(sx_engine_desc){.no_draft = true, .keep_states = true});
    sx_session *session = test_open_session(target);
    sx_engine_get_identity(target, &alone);
    assert_int_equal(alone.exact, identity.exact);
    assert_int_equal(alone.family, identity.family);
    assert_int_equal(alone.state_width, identity.state_width);
    const sx_generate_desc desc = ask();
    test_run(session, &desc, &reply, NULL, NULL);
    assert_int_equal(sx_session_states(session, span.first, span.count, second, &error), SX_OK);
    sx_session_destroy(session);
    sx_engine_destroy(target);
    free(first);
    free(second);
}

static void test_refusals(void **state)
{
    uint32_t said[ANSWER];
    float logprobs[ANSWER];
    sx_error error = {0};
    sx_forced_answer answer = {.capacity = ANSWER, .tokens = said, .logprobs = logprobs};
    assert_int_equal(sx_session_force_answer(*state, 5000, &answer, &error), SX_ERROR_ARGUMENT);
    sx_session *fresh = test_open_session(engine);
    assert_int_equal(sx_session_force_answer(fresh, 0, &answer, &error), SX_ERROR_ARGUMENT);
    assert_false(sx_session_thinking(fresh, &span));
    sx_session_destroy(fresh);
}

int main(void)
{
    engine = test_open_bundled(NULL);
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(test_span), TEST(test_branches), TEST(test_equals_an_exit),
                                       TEST(test_states), TEST(test_refusals)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_engine_destroy(engine);
    return failed;
}
