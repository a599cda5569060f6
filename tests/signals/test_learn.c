// Fitting and replaying on made-up traces whose truth is known.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/convert.h"
#include "model/quant.h"
#include "signals/range.h"
#include "signals/replay.h"
#include "signals/rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WIDTH = 6, TOKENS = 40, STEP = 4, PROMPTS = 60 };

static char path[64], head_path[64];

static float uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(*state >> 40) / (float)(1 << 23) - 1;
}

// Column 0 is what the confidence hangs on, column 1 grows with the progress, column 2 is constant; the rest is noise.
// From a place on, different for each prompt, a forced answer is right.
static void write_trace(int same)
{
    uint64_t random = 7;
    sx_trace_info info = {.model = {.exact = 1, .family = 2, .state_count = 3, .state_layers = {1, 2, 3}},
                          .model_name = "made up",
                          .every_token = true};
    info.model.state_width = WIDTH;
    sx_trace_writer *writer;
    unlink(path);
    assert_int_equal(sx_trace_writer_open(path, &info, &writer, NULL, NULL), SX_OK);
    for (uint32_t p = 0; p < PROMPTS; p++) {
        static uint32_t tokens[TOKENS], index[TOKENS];
        static uint16_t states[TOKENS * WIDTH];
        static sx_trace_boundary boundaries[TOKENS / STEP];
        const uint32_t known_at = 8 + p * 7 % 24;
        for (uint32_t i = 0; i < TOKENS; i++) {
            const float row[WIDTH] = {
                i >= known_at ? 1.0f : -1.0f, (float)i / TOKENS, 1, uniform(&random), uniform(&random), 0};
            tokens[i] = i % 5;
            index[i] = i;
            for (uint32_t j = 0; j < WIDTH; j++)
                states[i * WIDTH + j] = sx_float_to_half(row[j]);
        }
        for (uint32_t b = 0; b < TOKENS / STEP; b++) {
            const uint32_t at = STEP * b + STEP - 1;
            const bool good = same < 0 ? at >= known_at : same > 0;
            boundaries[b] = (sx_trace_boundary){at, same < 0 ? 0.95f : 0.5f, 1, SX_TRACE_PROBED, 0};
            if (good) boundaries[b].flags |= SX_TRACE_SAME_AS_FINAL | SX_TRACE_RIGHT;
        }
        const sx_trace_record record = {.prompt_hash = (uint64_t)p * 0x9e3779b97f4a7c15u,
                                        .flags = SX_TRACE_KNOWN | SX_TRACE_RIGHT,
                                        .answer_count = 3,
                                        .thinking_count = TOKENS,
                                        .boundary_count = TOKENS / STEP,
                                        .state_count = TOKENS,
                                        .tokens = tokens,
                                        .boundaries = boundaries,
                                        .state_index = index,
                                        .states = states};
        assert_int_equal(sx_trace_writer_append(writer, &record, NULL), SX_OK);
    }
    sx_trace_writer_close(writer);
}

static fit_result train(void)
{
    const char *paths[] = {path};
    const fit_options options = {0};
    trace_rows *rows;
    fit_device device;
    fit_result result;
    sx_error error = {0};
    if (trace_rows_open(paths, 1, 0, &rows, &error) != SX_OK) fail_msg("%s", error.message);
    const fit_source source = trace_rows_source(rows);
    assert_int_equal(fit_host_make(WIDTH, &device, &error), SX_OK);
    if (fit_rows(&source, &device, &options, &result, &error) != SX_OK) fail_msg("%s", error.message);
    fit_host_free(&device);
    trace_rows_close(rows);
    return result;
}

static void write_head(const float *rows)
{
    const sx_source memory = sx_source_memory("rows", rows, 3 * WIDTH * sizeof *rows);
    const sx_draft draft = {.name = "made up",
                            .aux_count = 3,
                            .aux_layers = {1, 2, 3},
                            .signal_mask = 7,
                            .exit = {NAN, NAN, NAN, NAN, NULL},
                            .card = {.entry = {{"specexit.card.data", "made up"}}, .count = 1},
                            .signals = {"signals.weight", SX_FORMAT_F32, 1, 3, WIDTH, &memory, 0, 3 * WIDTH * 4}};
    sx_error error = {0};
    if (sx_signal_head_write(&draft, head_path, &error) != SX_OK) fail_msg("%s", error.message);
}

static void test_learns_what_is_there(void **state)
{
    (void)state;
    write_trace(-1);
    fit_result result = train();
    assert_true(result.auc_within > 0.999 && result.auc_across > 0.999);
    assert_true(result.correlation[0] > 0.95 && result.correlation[1] > 0.95 && result.correlation[2] > 0.8);
    for (int k = 0; k < 3; k++)
        assert_true(result.held_loss[k] < 0.9 * result.baseline[k]);
    // What the confidence hangs on weighs more than noise and what is always zero weighs nothing.
    assert_true(result.rows[0] > 4 * fabsf(result.rows[3]) && result.rows[0] > 4 * fabsf(result.rows[4]));
    assert_true(result.rows[5] == 0);
    free(result.rows);
}

static void test_degenerate_labels(void **state)
{
    (void)state;
    for (int same = 0; same < 2; same++) {
        const char *paths[] = {path};
        trace_rows *rows;
        sx_error error = {0};
        write_trace(same);
        assert_int_equal(trace_rows_open(paths, 1, 0, &rows, &error), SX_ERROR_ARGUMENT);
        assert_non_null(strstr(error.message, "nothing tells a good exit from a bad one"));
    }
}

// A reply with these signals at its steps, every step `more` tokens longer.
static bool leaves(const sx_signal_range *range, float raw[TOKENS / STEP][3], uint32_t more)
{
    sx_watch watch;
    sx_watch_begin(&watch, range);
    for (uint32_t b = 0; b < TOKENS / STEP; b++)
        for (uint32_t t = 1; t <= STEP + more; t++) {
            const sx_event event = {.kind = SX_EVENT_SIGNALS,
                                    .boundary = t == STEP + more,
                                    .has_signals = true,
                                    .raw = {raw[b][0], raw[b][1], raw[b][2]}};
            sx_watch_event(&watch, &event);
        }
    return sx_watch_unlike(&watch);
}

// Replies like those calibrated on pass, but for the share that was promised; others do not.
static void test_range(void **state)
{
    (void)state;
    static float raw[PROMPTS][TOKENS / STEP][3];
    static replay_prompt prompts[2 * PROMPTS];
    static replay_boundary boundaries[2 * PROMPTS][TOKENS / STEP];
    uint64_t random = 11;
    sx_signal_range range;
    for (uint32_t p = 0; p < 2 * PROMPTS; p++) {
        for (uint32_t b = 0; b < TOKENS / STEP; b++) {
            const float done = (float)(b + 1) / (TOKENS / STEP + 1);
            float *to = p < PROMPTS ? raw[p][b] : boundaries[p][b].raw;
            to[0] = 0.5f + 0.2f * uniform(&random);
            to[1] = done + 0.05f * uniform(&random);
            to[2] = 40 * (1 - done) * (1 + 0.2f * uniform(&random));
            boundaries[p][b].tokens = (b + 1) * STEP;
        }
        prompts[p] = (replay_prompt){
            .boundaries = boundaries[p], .boundary_count = TOKENS / STEP, .hash = (uint64_t)(p % 2) << 7};
    }
    // Calibrated on the second PROMPTS; the first are new.
    const replay r = {.prompts = prompts + PROMPTS, .count = PROMPTS};
    range_fit(&r, 7, &range);
    assert_int_equal(range.steps, SX_RANGE_STEPS);
    assert_true(range.share == 1.0 / (PROMPTS / 2 + 1)); // too few for one in a hundred
    uint32_t unlike = 0;
    for (uint32_t p = 0; p < PROMPTS; p++)
        unlike += leaves(&range, raw[p], 0);
    assert_true(unlike <= PROMPTS / 10);
    // Steps that are too long, and progress that does not fit the tokens left, each of which is usual by itself.
    for (uint32_t p = 0; p < PROMPTS; p++) {
        assert_true(leaves(&range, raw[p], 12));
        for (uint32_t b = 0; b < TOKENS / STEP; b++)
            raw[p][b][2] = 41 - raw[p][b][2];
        assert_true(leaves(&range, raw[p], 0));
    }
    // With too few prompts nothing is known, and nothing is said.
    const replay few = {.prompts = prompts + PROMPTS, .count = 30};
    range_fit(&few, 7, &range);
    assert_int_equal(range.steps, 0);
    assert_false(leaves(&range, raw[0], 0));
}

// What is written is what is read.
static void check_profile(const sx_calibration *c)
{
    sx_profile profile;
    sx_error error = {0};
    char *text = sx_profile_text(c);
    assert_non_null(text);
    if (sx_profile_parse(text, strlen(text), "text", &profile, &error) != SX_OK) fail_msg("%s", error.message);
    free(text);
    assert_string_equal(profile.model_name, "made up");
    assert_true(profile.model_exact == 1 && profile.model_family == 2);
    assert_true(profile.has_chosen && profile.chosen.confidence == c->choice.confidence &&
                profile.chosen.smoothing == c->choice.smoothing && profile.chosen.signals == c->choice.signals);
    assert_true(profile.level_count == c->level_count && c->level_count == SX_PROFILE_LEVELS);
    for (uint32_t i = 0; i < SX_PROFILE_LEVELS; i++) {
        assert_true(profile.levels[i].accuracy >= c->full_accuracy - 0.1);
        if (i) assert_true(profile.levels[i].tokens >= profile.levels[i - 1].tokens);
    }
    const sx_signal_range *range = &profile.range;
    assert_true(range->steps == SX_RANGE_STEPS && range->signals == 7 && range->limit > 0 && range->share > 0);
    for (uint32_t step = 0; step < range->steps; step++)
        for (int i = 0; i < SX_RANGE_VALUES; i++)
            for (int j = 0; j < SX_RANGE_VALUES; j++)
                assert_true(fabs(range->scale[step][i][j] - c->range.scale[step][i][j]) <=
                            1e-7 * fabs(c->range.scale[step][i][j]));
}

static void test_calibrate(void **state)
{
    (void)state;
    write_trace(-1);
    fit_result result = train();
    write_head(result.rows);
    free(result.rows);
    const char *paths[] = {path};
    static sx_calibration c;
    sx_error error = {0};
    sx_calibrate_desc desc = {.traces = paths, .trace_count = 1, .head_path = head_path, .lose = 0.005, .risk = 0.1};
    if (sx_calibrate(&desc, &c, &error) != SX_OK) fail_msg("%s", error.message);
    assert_int_equal(c.prompts, PROMPTS);
    assert_int_equal(c.known, PROMPTS);
    assert_true(c.full_accuracy == 1 && c.full_tokens == TOKENS);
    assert_true(c.has_choice && c.choice.accuracy >= 0.995 && c.choice.tokens < 0.75 * TOKENS);
    assert_true(c.choice.signals & SX_SIGNAL_HAS_CONFIDENCE);
    assert_true(c.frontier_count > 0);
    for (uint32_t i = 1; i < c.frontier_count; i++)
        assert_true(c.frontier[i].tokens >= c.frontier[i - 1].tokens &&
                    c.frontier[i].accuracy > c.frontier[i - 1].accuracy);
    assert_true(c.has_certified && c.certified.accuracy >= 0.9);
    desc.risk = 0.001; // more prompts are needed than there are
    assert_int_equal(sx_calibrate(&desc, &c, &error), SX_OK);
    assert_false(c.has_certified);
    check_profile(&c);
    // One signal and one smoothing alone.
    desc.signals = SX_SIGNAL_HAS_PROGRESS;
    desc.smoothing = SX_SMOOTH_EWMA;
    desc.alpha = 0.25f;
    assert_int_equal(sx_calibrate(&desc, &c, &error), SX_OK);
    assert_true(c.frontier_count > 0);
    for (uint32_t i = 0; i < c.frontier_count; i++)
        assert_true(c.frontier[i].signals == SX_SIGNAL_HAS_PROGRESS && c.frontier[i].smoothing == SX_SMOOTH_EWMA &&
                    c.frontier[i].alpha == 0.25f);
    desc.head_path = path;
    assert_int_not_equal(sx_calibrate(&desc, &c, &error), SX_OK);
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/test_learn.%ld.trace", (long)getpid());
    snprintf(head_path, sizeof head_path, "/tmp/test_learn.%ld.gguf", (long)getpid());
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_learns_what_is_there),
                                       cmocka_unit_test(test_degenerate_labels), cmocka_unit_test(test_calibrate),
                                       cmocka_unit_test(test_range)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    unlink(head_path);
    return failed;
}
