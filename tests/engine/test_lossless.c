// Speculation changes nothing: the same tokens and the same exit for plain, chain, tree and n-gram decoding, greedy and
// sampled with a seed, with the exit policy at work.
//
// SX_PROBLEMS: how many problems; every other one greedy. SX_BOTH=1: each greedy and sampled, which takes twice as
// long.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static sx_engine *engine;
static uint32_t replies, early_exits; // under the signals policy: prompts compared, and those whose thinking was left

static const struct {
    const char *name;
    sx_drafting drafting;
} modes[] = {
    {"chain", {.kind = SX_DRAFT_CHAIN, .depth = 3}},
    {"tree", {.kind = SX_DRAFT_TREE, .depth = 4, .branch = 3, .nodes = 7}},
    {"n-gram", {.kind = SX_DRAFT_NGRAM, .nodes = 7}},
};

enum { MODES = sizeof modes / sizeof *modes };

static void compare(const test_reply *plain, const test_reply *other, const char *mode, uint32_t problem, float t)
{
    if (plain->count == other->count && !memcmp(plain->tokens, other->tokens, plain->count * sizeof(uint32_t)) &&
        plain->exit_reason == other->exit_reason && plain->exit_token == other->exit_token &&
        plain->done_reason == other->done_reason)
        return;
    uint32_t same = 0;
    while (same < plain->count && same < other->count && plain->tokens[same] == other->tokens[same])
        same++;
    fail_msg("%s, problem %u, temperature %g: %u and %u tokens, equal up to %u; exits %d at %u and %d at %u; ends %d "
             "and %d",
             mode, problem, (double)t, plain->count, other->count, same, (int)plain->exit_reason, plain->exit_token,
             (int)other->exit_reason, other->exit_token, (int)plain->done_reason, (int)other->done_reason);
}

// Replies are cut here: long enough for every exit of most problems, short enough for a software driver.
enum { MOST_TOKENS = 96 };

static void check_problem(sx_session *session, uint32_t index, float temperature, sx_policy_kind policy,
                          size_t mode_count)
{
    static test_reply plain, other;
    test_problem problem;
    assert_true(test_problem_read("heldout.jsonl", index, &problem));
    const sx_message message = {.role = SX_ROLE_USER, .content = problem.prompt};
    sx_generate_desc desc = {.messages = &message,
                             .message_count = 1,
                             .maximum_tokens = MOST_TOKENS,
                             .sampling = {.temperature = temperature, .top_p = 0.95f, .seed = 1234 + index},
                             .policy = {.kind = policy},
                             .drafting = {.kind = SX_DRAFT_NONE}};
    test_run(session, &desc, &plain, NULL, NULL);
    replies += policy == SX_POLICY_SIGNALS;
    early_exits += policy == SX_POLICY_SIGNALS && plain.exit_reason == SX_REASON_SIGNALS;
    for (size_t m = 0; m < mode_count; m++) {
        desc.drafting = modes[m].drafting;
        test_run(session, &desc, &other, NULL, NULL);
        compare(&plain, &other, modes[m].name, index, temperature);
    }
}

static void test_equal_tokens(void **state)
{
    (void)state;
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    assert_true(info.bitwise_lossless);
    const uint32_t problems = test_number("SX_PROBLEMS", 5);
    sx_session *session = test_open_session(engine);
    const bool both = test_number("SX_BOTH", 0);
    for (uint32_t i = 0; i < problems; i++) {
        const sx_policy_kind policy = i % 8 < 6 ? SX_POLICY_SIGNALS : SX_POLICY_NONE;
        const size_t mode_count = i % 8 == 3 ? MODES : MODES - 1;
        if (both || i % 2 == 0) check_problem(session, i, 0, policy, mode_count);
        if (both || i % 2 == 1) check_problem(session, i, 0.8f, policy, mode_count);
    }
    for (uint32_t i = 0; i < problems / 50 + 1; i++) {
        check_problem(session, i, 0, SX_POLICY_MARGIN, MODES);
        check_problem(session, i, 0.8f, SX_POLICY_ENTROPY, MODES);
    }
    sx_session_destroy(session);
    print_message("%u replies under the signals policy, %u left early, at the same token in every mode\n", replies,
                  early_exits);
    if (replies >= 20) assert_true(early_exits > replies / 2);
}

enum { TOKENS = 8 };

static float *logits_of(sx_engine *of)
{
    static const uint32_t tokens[TOKENS] = {5, 17, 33, 64, 120, 7, 250, 300};
    float *logits;
    sx_error error = {0};
    sx_session *session = test_open_session(of);
    if (sx_session_logits(session, tokens, TOKENS, &logits, &error) != SX_OK) fail_msg("%s", error.message);
    sx_session_destroy(session);
    return logits;
}

static void check_near(const float *full, const float *fast, uint32_t count)
{
    float largest = 0, difference = 0;
    for (uint32_t i = 0; i < count; i++) {
        largest = fmaxf(largest, fabsf(full[i]));
        difference = fmaxf(difference, fabsf(full[i] - fast[i]));
    }
    print_message("logits up to %.3f, rounded activations move them by up to %.4f\n", (double)largest,
                  (double)difference);
    assert_true(difference > 1e-5f * largest && difference < 0.05f * largest);
}

// With rounded activations, too, and those are rounded: logits are near, and not the same.
static void test_equal_tokens_fast(void **state)
{
    (void)state;
    sx_engine *full = engine;
    engine = test_open_bundled(&(sx_engine_desc){.precision = SX_PRECISION_FAST});
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    if (info.precision == SX_PRECISION_FAST) {
        assert_true(info.bitwise_lossless);
        sx_session *session = test_open_session(engine);
        check_problem(session, 1, 0, SX_POLICY_SIGNALS, MODES);
        check_problem(session, 2, 0.8f, SX_POLICY_SIGNALS, 1);
        sx_session_destroy(session);
        float *exact = logits_of(full), *rounded = logits_of(engine);
        check_near(exact, rounded, TOKENS * info.vocabulary);
        sx_free(exact);
        sx_free(rounded);
    }
    sx_engine_destroy(engine);
    engine = full;
}

// With the kernels of GPUs, too: the same tokens for all modes of drafting, which need not be those of other kernels.
static void test_equal_tokens_as_gpu(void **state)
{
    (void)state;
    sx_engine *full = engine;
    engine = test_open_as_gpu();
    sx_session *session = test_open_session(engine);
    const uint32_t problems = test_number("SX_PROBLEMS", 5) / 50 + 1;
    for (uint32_t i = 0; i < problems; i++) {
        check_problem(session, i, 0, SX_POLICY_SIGNALS, MODES);
        check_problem(session, i, 0.8f, SX_POLICY_SIGNALS, MODES - 1);
    }
    sx_session_destroy(session);
    sx_engine_destroy(engine);
    engine = full;
}

int main(void)
{
    engine = test_open_bundled(NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_equal_tokens), cmocka_unit_test(test_equal_tokens_fast),
                                       cmocka_unit_test(test_equal_tokens_as_gpu)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_engine_destroy(engine);
    return failed;
}
