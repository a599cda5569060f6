// The exit rule token by token: smoothings, signals, markers, budgets, loop guard, by hand-worked cases.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/policy.h"

#include <math.h>
#include <string.h>

enum { OPEN = 90, CLOSE = 91, WORD = 7 };

static SxSettings plain_settings(void)
{
    SxSettings settings = {0};
    settings.vocabulary = 100;
    settings.end_position = 1000;
    settings.open_count = 1;
    settings.open[0] = OPEN;
    settings.close_count = 1;
    settings.close[0] = CLOSE;
    settings.exit_count = 1;
    settings.exit_tokens[0] = CLOSE;
    settings.split_mask = SX_TOKEN_SPLIT;
    settings.signal_mask = 7;
    settings.alpha = 0.5f;
    settings.confidence_threshold = 0.8f;
    settings.progress_threshold = 0.3f;
    settings.remain_threshold = 200.0f;
    settings.suppress_close_position = SX_NONE;
    return settings;
}

typedef struct text {
    SxThought thought;
    SxSettings settings;
    uint32_t history[2048];
} text;

static text inside(SxSettings settings)
{
    text t = {.settings = settings};
    t.thought.thinking = SX_THINKING_INSIDE;
    return t;
}

static uint32_t feed(text *t, uint32_t token, uint32_t flags, const float *raw, float margin, float entropy)
{
    const sx_policy_token known = {.token = token,
                                   .flags = flags,
                                   .generated = true,
                                   .history = t->history,
                                   .position = t->thought.length,
                                   .raw = raw,
                                   .margin = margin,
                                   .entropy = entropy};
    uint32_t reason = sx_policy_step(&t->thought, &t->settings, &known);
    t->history[known.position] = token;
    return reason;
}

static uint32_t word(text *t, uint32_t flags)
{
    return feed(t, WORD + t->thought.length % 50, flags, NULL, -5.0f, NAN);
}

static void smoothing_ewma(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    SxThought thought = {0};
    sx_policy_smooth(&thought, &settings, (float[]){1.0f, 0.5f, 100.0f});
    assert_true(thought.smoothed[0] == 1.0f && thought.smoothed[1] == 0.5f && thought.smoothed[2] == 100.0f);
    sx_policy_smooth(&thought, &settings, (float[]){0.0f, 1.0f, 50.0f});
    assert_true(thought.smoothed[0] == 0.5f && thought.smoothed[1] == 0.75f && thought.smoothed[2] == 75.0f);
    assert_int_equal(thought.scores, 2);
}

static void smoothing_momentum(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    settings.smoothing = SX_SMOOTHING_MOMENTUM;
    SxThought thought = {0};
    for (int i = 0; i < 9; i++) {
        sx_policy_smooth(&thought, &settings, (float[]){(float)i, 1.0f, 1.0f});
        assert_true(thought.smoothed[0] == 0.0f && thought.smoothed[1] == 0.0f);
    }
    for (int i = 9; i < 25; i++) {
        sx_policy_smooth(&thought, &settings, (float[]){(float)i, 1.0f, i == 24 ? 10.0f : 1.0f});
        assert_float_equal(thought.smoothed[0], i + 1.0, 1e-5); // last + mean of nine differences of 1
        assert_float_equal(thought.smoothed[2], i == 24 ? 11.0 : 1.0, 1e-5);
    }
}

static void smoothing_means(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    for (int paragraph = 0; paragraph < 2; paragraph++) {
        settings.smoothing = paragraph ? SX_SMOOTHING_PARAGRAPH_MEAN : SX_SMOOTHING_MEAN;
        SxThought thought = {0};
        for (int i = 1; i <= 13; i++) {
            sx_policy_smooth(&thought, &settings, (float[]){(float)i, 1.0f, 1.0f});
            float mean = i <= 10 ? (i + 1) / 2.0f : i - 4.5f;
            assert_float_equal(thought.smoothed[0], mean, 1e-5);
        }
        sx_policy_after_boundary(&thought, &settings);
        assert_float_equal(thought.smoothed[0], 8.5f, 1e-5);
        sx_policy_smooth(&thought, &settings, (float[]){15.0f, 1.0f, 1.0f});
        assert_float_equal(thought.smoothed[0], paragraph ? 14.0 : (5 + 6 + 7 + 8 + 9 + 10 + 11 + 12 + 13 + 15) / 10.0,
                           1e-5);
    }
    settings.smoothing = SX_SMOOTHING_RAW;
    SxThought thought = {0};
    sx_policy_smooth(&thought, &settings, (float[]){0.25f, 1.0f, 1.0f});
    sx_policy_smooth(&thought, &settings, (float[]){0.75f, 1.0f, 1.0f});
    assert_true(thought.smoothed[0] == 0.75f);
}

static void signals_are_strict(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    SxThought thought = {.smoothed = {0.81f, 0.31f, 199.0f}};
    assert_true(sx_policy_signals_pass(&thought, &settings));
    const float blocked[][3] = {{0.8f, 0.31f, 199.0f},   {0.81f, 0.3f, 199.0f},    {0.81f, 0.31f, 200.0f},
                                {0.81f, 0.31f, 0.0f},    {NAN, 0.31f, 199.0f},     {0.81f, 0.31f, NAN},
                                {INFINITY, 0.31f, 1.0f}, {0.81f, 0.31f, -INFINITY}};
    for (size_t i = 0; i < sizeof(blocked) / sizeof(*blocked); i++) {
        memcpy(thought.smoothed, blocked[i], sizeof(blocked[i]));
        assert_false(sx_policy_signals_pass(&thought, &settings));
    }
    // Each signal alone ignores the others; no signal at all never exits.
    memcpy(thought.smoothed, (float[]){0.9f, 0.0f, NAN}, sizeof(thought.smoothed));
    settings.signal_mask = SX_SIGNAL_CONFIDENCE;
    assert_true(sx_policy_signals_pass(&thought, &settings));
    settings.signal_mask = SX_SIGNAL_CONFIDENCE | SX_SIGNAL_PROGRESS;
    assert_false(sx_policy_signals_pass(&thought, &settings));
    settings.signal_mask = 0;
    assert_false(sx_policy_signals_pass(&thought, &settings));
    // A negative threshold does not let a zero, a missing score, through.
    settings.signal_mask = SX_SIGNAL_PROGRESS;
    settings.progress_threshold = -1.0f;
    assert_false(sx_policy_signals_pass(&thought, &settings));
}

static void exits_at_boundaries_only(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    settings.policy = SX_POLICY_KIND_SIGNALS;
    settings.smoothing = SX_SMOOTHING_RAW;
    text t = inside(settings);
    const float good[3] = {0.9f, 0.9f, 10.0f}, bad[3] = {0.1f, 0.9f, 10.0f};
    assert_int_equal(feed(&t, WORD, 0, good, -5, NAN), SX_EXIT_NONE);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, bad, -5, NAN), SX_EXIT_NONE);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT_REFERENCE, good, -5, NAN), SX_EXIT_NONE);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, NULL, -5, NAN), SX_EXIT_SIGNALS); // the last score stands
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, good, -5, NAN), SX_EXIT_SIGNALS);
    t.settings.policy_off = 1;
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, good, -5, NAN), SX_EXIT_NONE);
    t.settings.policy_off = 0;
    t.settings.minimum_thinking = 8;
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, good, -5, NAN), SX_EXIT_NONE);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, good, -5, NAN), SX_EXIT_SIGNALS);
    assert_int_equal(t.thought.thinking_tokens, 8);
    // Without any score there is no exit.
    text mute = inside(settings);
    assert_int_equal(feed(&mute, WORD, SX_TOKEN_SPLIT, NULL, -5, NAN), SX_EXIT_NONE);
}

static void margin_and_entropy(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    settings.policy = SX_POLICY_KIND_MARGIN;
    settings.margin_threshold = -2.0f;
    text t = inside(settings);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, NULL, -2.1f, NAN), SX_EXIT_NONE);
    assert_int_equal(feed(&t, WORD, 0, NULL, -1.0f, NAN), SX_EXIT_NONE);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, NULL, NAN, NAN), SX_EXIT_NONE);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, NULL, -2.0f, NAN), SX_EXIT_MARGIN);
    t.settings.policy = SX_POLICY_KIND_ENTROPY;
    t.settings.entropy_threshold = 0.5f;
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, NULL, 0, NAN), SX_EXIT_NONE);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, NULL, 0, 0.6f), SX_EXIT_NONE);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, NULL, 0, 0.5f), SX_EXIT_ENTROPY);
    t.settings.policy = SX_POLICY_KIND_NONE;
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, NULL, 0, 0.0f), SX_EXIT_NONE);
}

static void budgets_and_answer_now(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    settings.hard_budget = 5;
    text t = inside(settings);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(word(&t, SX_TOKEN_SPLIT), SX_EXIT_NONE);
    }
    assert_int_equal(word(&t, 0), SX_EXIT_HARD_BUDGET);
    settings.hard_budget = 0;
    settings.soft_budget = 3;
    settings.minimum_thinking = 5;
    t = inside(settings);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(word(&t, SX_TOKEN_SPLIT), SX_EXIT_NONE);
    }
    assert_int_equal(word(&t, 0), SX_EXIT_NONE);
    assert_int_equal(word(&t, SX_TOKEN_SPLIT), SX_EXIT_SOFT_BUDGET);
    t.settings.policy_off = 1;
    assert_int_equal(word(&t, SX_TOKEN_SPLIT), SX_EXIT_NONE);
    t.settings.answer_now = 1;
    assert_int_equal(word(&t, 0), SX_EXIT_ANSWER_NOW);
    // The policy's own reason comes before the soft budget's.
    settings.minimum_thinking = 0;
    settings.soft_budget = 1;
    settings.policy = SX_POLICY_KIND_MARGIN;
    settings.margin_threshold = -10.0f;
    t = inside(settings);
    assert_int_equal(word(&t, SX_TOKEN_SPLIT), SX_EXIT_MARGIN);
    // Nothing is left outside thinking.
    t = inside(settings);
    t.thought.thinking = SX_THINKING_AFTER;
    t.settings.answer_now = 1;
    assert_int_equal(word(&t, SX_TOKEN_SPLIT), SX_EXIT_NONE);
}

static void markers(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    settings.open_count = 2;
    settings.open[0] = 50;
    settings.open[1] = 51;
    settings.close_count = 3;
    settings.close[0] = 60;
    settings.close[1] = 61;
    settings.close[2] = 62;
    text t = {.settings = settings};
    const uint32_t tokens[] = {51, 50, 50, 51, 1, 60, 61, 60, 61, 62, 50, 51};
    const uint32_t thinking[] = {0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 2, 2};
    const uint32_t counted[] = {0, 0, 0, 0, 1, 2, 3, 4, 5, 3, 3, 3};
    for (size_t i = 0; i < sizeof(tokens) / sizeof(*tokens); i++) {
        feed(&t, tokens[i], 0, (float[]){0.5f, 0.5f, 0.5f}, 0, NAN);
        assert_int_equal(t.thought.thinking, thinking[i]);
        assert_int_equal(t.thought.thinking_tokens, counted[i]);
        assert_int_equal(t.thought.length, i + 1);
    }
    assert_int_equal(t.thought.thinking_start, 4);
    // A close marker that begins before the thinking does not end it.
    t = inside(settings);
    t.thought.thinking_start = 1;
    feed(&t, 60, 0, NULL, 0, NAN);
    feed(&t, 61, 0, NULL, 0, NAN);
    feed(&t, 62, 0, NULL, 0, NAN);
    assert_int_equal(t.thought.thinking, SX_THINKING_INSIDE);
    // A forced marker closes and is not counted.
    t = inside(settings);
    word(&t, 0);
    for (uint32_t i = 0; i < 3; i++) {
        const sx_policy_token forced = {
            .token = 60 + i, .generated = true, .forced = true, .history = t.history, .position = t.thought.length};
        assert_int_equal(sx_policy_step(&t.thought, &t.settings, &forced), SX_EXIT_NONE);
        t.history[forced.position] = forced.token;
    }
    assert_int_equal(t.thought.thinking, SX_THINKING_AFTER);
    assert_int_equal(t.thought.thinking_tokens, 1);
}

static void loop_guard(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    settings.loop_repeats = 3;
    settings.loop_tokens = 20;
    settings.policy_off = 1; // does not stop the guard
    for (uint32_t period = 1; period <= SX_MAX_PERIOD + 1; period += period < 9 ? 1 : 31) {
        text t = inside(settings);
        uint32_t need = period + (period * 3 > 20 ? period * 3 : 20);
        uint32_t at = 0;
        for (uint32_t i = 1; i <= 1100 && at == 0; i++) {
            if (feed(&t, 200 + (i - 1) % period, 0, NULL, 0, NAN) == SX_EXIT_LOOP) at = i;
        }
        assert_int_equal(at, period <= SX_MAX_PERIOD ? need : 0);
        if (at == 0) continue;
        // A different token breaks the run; the boundary clears it.
        assert_int_equal(feed(&t, 99, 0, NULL, 0, NAN), SX_EXIT_NONE);
        feed(&t, 5, 0, NULL, 0, NAN);
        feed(&t, CLOSE, 0, NULL, 0, NAN);
        for (uint32_t p = 0; p < SX_MAX_PERIOD; p++) {
            assert_int_equal(t.thought.run[p], 0);
        }
        for (uint32_t i = 0; i < need; i++) {
            assert_false(sx_policy_answer_loops(&t.thought, &t.settings));
            assert_int_equal(feed(&t, 200 + i % period, 0, NULL, 0, NAN), SX_EXIT_NONE);
        }
        assert_true(sx_policy_answer_loops(&t.thought, &t.settings));
        t.settings.loop_repeats = 0;
        assert_false(sx_policy_answer_loops(&t.thought, &t.settings));
    }
}

static void reference_mode_decides_on_the_past(void **unused)
{
    (void)unused;
    SxSettings settings = plain_settings();
    settings.policy = SX_POLICY_KIND_SIGNALS;
    settings.reference_mode = 1;
    settings.smoothing = SX_SMOOTHING_RAW;
    text t = inside(settings);
    const float good[3] = {0.9f, 0.9f, 10.0f};
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, good, 0, NAN), SX_EXIT_NONE);
    assert_int_equal(t.thought.scores, 0);
    sx_policy_smooth(&t.thought, &t.settings, good);
    assert_int_equal(feed(&t, WORD, SX_TOKEN_SPLIT, (float[]){0, 0, 0}, 0, NAN), SX_EXIT_SIGNALS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(smoothing_ewma),
        cmocka_unit_test(smoothing_momentum),
        cmocka_unit_test(smoothing_means),
        cmocka_unit_test(signals_are_strict),
        cmocka_unit_test(exits_at_boundaries_only),
        cmocka_unit_test(margin_and_entropy),
        cmocka_unit_test(budgets_and_answer_now),
        cmocka_unit_test(markers),
        cmocka_unit_test(loop_guard),
        cmocka_unit_test(reference_mode_decides_on_the_past),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
