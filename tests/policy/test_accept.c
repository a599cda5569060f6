// One cycle of acceptance at a time: the walk, forced tokens, ends, snapshots; and that a text does not depend on what
// was drafted: any trees give the same tokens, exits and smoothed signals as decoding one row at a time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/policy.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { OPEN = 40, CLOSE = 41, END = 42, SPLIT = 43, VOCABULARY = 48, SLOTS = 1024 };

typedef struct reply {
    SxSettings settings;
    uint32_t flags[VOCABULARY / 4];
    SxState state;
    SxBatch batch;
    SxSample samples[SX_MAX_ROWS];
    float signals[SX_MAX_ROWS * 4];
    uint32_t history[SLOTS], counts[VOCABULARY];
} reply;

static void start(reply *r)
{
    memset(r, 0, sizeof(*r));
    SxSettings *settings = &r->settings;
    settings->vocabulary = VOCABULARY;
    settings->end_position = SLOTS;
    settings->open_count = settings->close_count = 1;
    settings->open[0] = OPEN;
    settings->close[0] = CLOSE;
    settings->exit_count = 3;
    memcpy(settings->exit_tokens, (uint32_t[]){30, 31, CLOSE}, 12);
    settings->split_mask = SX_TOKEN_SPLIT;
    settings->suppress_close_position = SX_NONE;
    settings->alpha = 0.25f;
    ((uint8_t *)r->flags)[END] = SX_TOKEN_END;
    ((uint8_t *)r->flags)[SPLIT] = SX_TOKEN_SPLIT;
    r->state.root_is_prompt = 1;
    r->state.now.thinking = SX_THINKING_INSIDE;
    r->state.now.length = 4;
    r->state.now.thinking_start = 5;
    r->state.now.root = 1;
}

static uint32_t add_row(reply *r, uint32_t parent, uint32_t token)
{
    SxBatch *batch = &r->batch;
    uint32_t row = batch->count++;
    batch->token[row] = token;
    batch->parent[row] = parent;
    return row;
}

static void root_row(reply *r)
{
    memset(&r->batch, 0, sizeof(r->batch));
    add_row(r, SX_NONE, r->state.now.root);
}

static void cycle(reply *r)
{
    sx_policy_accept(&r->batch, SX_MAX_ROWS, r->samples, r->signals, &r->settings, r->flags, &r->state, r->history,
                     r->counts);
}

static void walks_the_path(void **unused)
{
    (void)unused;
    reply r;
    start(&r);
    root_row(&r);
    add_row(&r, 0, 9);
    uint32_t a = add_row(&r, 0, 2);
    add_row(&r, 0, 2); // the same child twice: the lower row counts
    uint32_t b = add_row(&r, a, 3);
    add_row(&r, 1, 4);
    r.samples[0].token = 2;
    r.samples[a].token = 3;
    r.samples[b].token = 4;
    r.samples[0].logprob = -0.5f;
    cycle(&r);
    const SxResult *result = &r.state.result;
    assert_int_equal(result->path_count, 3);
    assert_int_equal(result->drafted, 5);
    assert_int_equal(result->root, 4);
    assert_int_equal(result->length, 7);
    assert_int_equal(result->root_is_prompt, 1);
    assert_int_equal(result->thinking_tokens, 2);
    assert_true(result->logprob[0] == -0.5f);
    assert_int_equal(r.state.path_row[1], a);
    assert_int_equal(r.state.path_row[2], b);
    assert_int_equal(r.state.path_base, 4);
    assert_int_equal(r.state.generated, 3);
    assert_int_equal(r.state.root_is_prompt, 0);
    assert_memory_equal(&r.history[4], ((uint32_t[]){1, 2, 3}), 12);
    assert_int_equal(r.counts[1], 0); // the prompt's last token is not generated
    assert_int_equal(r.counts[2], 1);
    assert_int_equal(r.counts[4], 0); // the root is committed a cycle later
}

static void exits_and_forces(void **unused)
{
    (void)unused;
    reply r;
    start(&r);
    r.settings.policy = SX_POLICY_KIND_MARGIN;
    r.settings.margin_threshold = -1.0f;
    r.state.root_is_prompt = 0;
    root_row(&r);
    uint32_t a = add_row(&r, 0, SPLIT), b = add_row(&r, a, 5);
    r.samples[0] = (SxSample){.token = SPLIT, .margin = -9.0f};
    r.samples[a] = (SxSample){.token = 5, .margin = -0.5f};
    r.samples[b] = (SxSample){.token = 6, .margin = -0.5f};
    cycle(&r);
    const SxResult *result = &r.state.result;
    assert_int_equal(result->exit_reason, SX_EXIT_MARGIN);
    assert_int_equal(result->exit_index, 1);
    assert_int_equal(result->wanted, 5);
    assert_int_equal(result->root, 30);
    assert_int_equal(result->forced, 3);
    assert_int_equal(result->path_count, 2);
    assert_int_equal(r.state.exit.length, 6);
    assert_int_equal(r.state.exit.root, 5);
    assert_int_equal(r.state.exit.thinking, SX_THINKING_INSIDE);
    assert_int_equal(r.state.exit.thinking_tokens, 2);
    // The forced tokens as a chain: the close marker's row is the last, and the target speaks again behind it.
    root_row(&r);
    a = add_row(&r, 0, 31);
    b = add_row(&r, a, CLOSE);
    for (uint32_t row = 0; row < 3; row++) {
        r.samples[row] = (SxSample){.token = END};
    }
    r.samples[b].token = 7;
    cycle(&r);
    assert_int_equal(result->path_count, 3);
    assert_int_equal(result->root, 7);
    assert_int_equal(result->forced, 0);
    assert_int_equal(result->exit_reason, SX_EXIT_NONE);
    assert_int_equal(result->thinking, SX_THINKING_AFTER);
    assert_int_equal(r.state.now.thinking_tokens, 2);
    assert_int_equal(r.state.exit_reason, SX_EXIT_MARGIN);
    assert_int_equal(r.state.exit.length, 6);
}

static void closes_by_itself(void **unused)
{
    (void)unused;
    for (uint32_t drafted = 0; drafted < 2; drafted++) {
        reply r;
        start(&r);
        r.state.root_is_prompt = 0;
        r.settings.close_count = 2;
        r.settings.close[0] = 20;
        r.settings.close[1] = CLOSE;
        const uint32_t tokens[] = {1, 20, 20, CLOSE, 3};
        uint32_t reported = 0;
        for (uint32_t i = 0; i < 4; i += r.state.result.path_count) {
            root_row(&r);
            for (uint32_t j = 0; j < 4 - i; j++) {
                if (j && drafted) add_row(&r, j - 1, tokens[i + j]);
                r.samples[j].token = tokens[i + j + 1];
            }
            cycle(&r);
            if (r.state.result.exit_reason == SX_EXIT_NATURAL) reported++;
        }
        assert_int_equal(reported, 1);
        assert_int_equal(r.state.exit_reason, SX_EXIT_NATURAL);
        assert_int_equal(r.state.exit.length, 4 + 2); // 1, 20 | 20 CLOSE
        assert_int_equal(r.state.exit.root, 20);
        assert_int_equal(r.state.exit.thinking, SX_THINKING_INSIDE);
        assert_int_equal(r.state.now.thinking, SX_THINKING_AFTER);
        assert_int_equal(r.state.now.thinking_tokens, 2);
    }
}

// A model that knows no marker ends its turn instead: what an exit forces stands in the end token's place, once.
static void end_closes(void **unused)
{
    (void)unused;
    for (uint32_t thinking = SX_THINKING_BEFORE; thinking <= SX_THINKING_AFTER; thinking++) {
        reply r;
        start(&r);
        r.settings.end_closes = 1;
        r.state.now.thinking = thinking;
        root_row(&r);
        add_row(&r, 0, END);
        r.samples[0].token = END;
        r.samples[1].token = 3;
        cycle(&r);
        const SxResult *result = &r.state.result;
        assert_int_equal(result->path_count, 1);
        if (thinking != SX_THINKING_INSIDE) {
            assert_int_equal(result->done, SX_DONE_END);
            continue;
        }
        assert_int_equal(result->done, SX_DONE_NO);
        assert_int_equal(result->exit_reason, SX_EXIT_NATURAL);
        assert_int_equal(result->root, 30);
        assert_int_equal(r.state.exit.root, END);
        assert_int_equal(r.state.exit.length, 5);
        for (uint32_t i = 0; i < 3; i++) { // wanted again before and behind the marker: forced ones stand, then it ends
            root_row(&r);
            cycle(&r);
        }
        assert_int_equal(result->thinking, SX_THINKING_AFTER);
        assert_int_equal(result->done, SX_DONE_END);
        assert_int_equal(r.state.generated, 4);
    }
}

// It may write the marker and then end its turn: the answer is begun in the end token's place, there and nowhere else.
static void begins_the_answer(void **unused)
{
    (void)unused;
    for (uint32_t where = 0; where < 3; where++) { // right behind the marker, a token later, inside
        reply r;
        start(&r);
        memcpy(r.settings.exit_tokens, (uint32_t[]){CLOSE, 30, 31}, 12);
        r.settings.answer_count = 2;
        r.state.root_is_prompt = 0;
        r.state.now.thinking_start = 4;
        const uint32_t tokens[] = {where == 2 ? 1 : CLOSE, where == 0 ? END : 9, END};
        r.state.now.root = tokens[0];
        for (uint32_t i = 1; i < 3 && r.state.done == SX_DONE_NO && !r.state.forced_count; i++) {
            root_row(&r);
            r.samples[0].token = tokens[i];
            cycle(&r);
        }
        const SxResult *result = &r.state.result;
        if (where != 0) {
            assert_int_equal(result->done, SX_DONE_END);
            continue;
        }
        assert_int_equal(result->root, 30);
        assert_int_equal(result->forced, 2);
        assert_int_equal(result->exit_reason, SX_EXIT_NONE); // the natural one was told when the marker was chosen
        for (uint32_t i = 0; i < 2; i++) {                   // END is wanted still
            assert_int_equal(result->root, 30 + i);
            root_row(&r);
            cycle(&r);
        }
        assert_int_equal(result->done, SX_DONE_END);
        assert_int_equal(result->thinking, SX_THINKING_AFTER);
    }
}

static void ends(void **unused)
{
    (void)unused;
    reply r;
    start(&r);
    root_row(&r);
    add_row(&r, 0, END);
    r.samples[0].token = END;
    r.samples[1].token = 3;
    cycle(&r);
    assert_int_equal(r.state.result.done, SX_DONE_END);
    assert_int_equal(r.state.result.root, END);
    assert_int_equal(r.state.result.path_count, 1);
    // Nothing moves any more.
    const SxState state = r.state;
    cycle(&r);
    assert_int_equal(r.state.result.path_count, 0);
    assert_int_equal(r.state.result.done, SX_DONE_END);
    assert_int_equal(r.state.result.root, END);
    assert_int_equal(r.state.result.cycle, 2);
    assert_memory_equal(&r.state.now, &state.now, sizeof(state.now));
    // Length: positions below end_position only.
    start(&r);
    r.settings.end_position = 6;
    root_row(&r);
    add_row(&r, 0, 2);
    r.samples[0].token = 2;
    r.samples[1].token = 3;
    cycle(&r);
    assert_int_equal(r.state.result.done, SX_DONE_LENGTH);
    assert_int_equal(r.state.result.root, SX_NONE);
    assert_int_equal(r.state.result.path_count, 2);
    assert_int_equal(r.state.generated, 1);
    // A loop in the answer ends it; one in the thinking leaves it, where something can be forced.
    for (uint32_t exit_count = 0; exit_count < 2; exit_count++) {
        for (uint32_t thinking = SX_THINKING_INSIDE; thinking <= SX_THINKING_AFTER; thinking++) {
            start(&r);
            r.settings.loop_repeats = 2;
            r.settings.exit_count = exit_count;
            r.settings.exit_tokens[0] = CLOSE;
            r.state.now.thinking = thinking;
            for (uint32_t i = 0; i < 3; i++) {
                root_row(&r);
                r.samples[0].token = 1;
                cycle(&r);
            }
            bool leaves = thinking == SX_THINKING_INSIDE && exit_count;
            assert_int_equal(r.state.done, leaves ? SX_DONE_NO : SX_DONE_LOOP);
            assert_int_equal(r.state.now.root, leaves ? CLOSE : SX_NONE);
            if (leaves) assert_int_equal(r.state.exit.run[0], 0);
        }
    }
}

static void entropy_uses_the_trial(void **unused)
{
    (void)unused;
    reply r;
    start(&r);
    r.settings.policy = SX_POLICY_KIND_ENTROPY;
    r.settings.entropy_threshold = 0.5f;
    r.settings.exit_count = 1;
    r.settings.exit_tokens[0] = CLOSE;
    r.state.root_is_prompt = 0;
    root_row(&r);
    uint32_t a = add_row(&r, 0, SPLIT);
    add_row(&r, a, 8);
    r.samples[0].token = SPLIT;
    r.samples[a].token = 8;
    cycle(&r);
    assert_int_equal(r.state.result.path_count, 1); // stops before the boundary
    assert_int_equal(r.state.now.root, SPLIT);
    root_row(&r);
    uint32_t trial = add_row(&r, 0, CLOSE), wanted = add_row(&r, 0, 8);
    r.samples[0].token = 8;
    r.samples[trial] = (SxSample){.token = 10, .entropy = 0.6f};
    r.samples[wanted].token = SPLIT;
    reply other = r;
    cycle(&r);
    assert_int_equal(r.state.result.exit_reason, SX_EXIT_NONE);
    assert_int_equal(r.state.result.path_count, 2);
    other.samples[trial].entropy = 0.4f;
    cycle(&other);
    assert_int_equal(other.state.result.exit_reason, SX_EXIT_ENTROPY);
    assert_int_equal(other.state.result.path_count, 2); // the trial row is the forced token already
    assert_int_equal(other.state.now.thinking, SX_THINKING_AFTER);
    assert_int_equal(other.state.now.root, 10);
}

// ---- The same text whatever is drafted -----------------------------------------------------------------------------

static uint32_t mix(uint32_t a)
{
    a ^= a >> 16;
    a *= 0x7FEB352Du;
    a ^= a >> 15;
    a *= 0x846CA68Bu;
    return a ^ a >> 16;
}

// The "target": what it says of a row is a function of the tokens up to it (here the last two, and the position).
static void judge(const reply *r, uint32_t seed, uint32_t position, uint32_t before, uint32_t token, SxSample *sample,
                  float *signals)
{
    (void)r;
    uint32_t h = mix(seed ^ mix(position * 31 + mix(token * 977 + mix(before))));
    uint32_t pick = h % 100;
    sample->token = pick < 12 ? SPLIT : pick < 14 ? CLOSE : pick < 15 ? END : pick < 55 ? token % 3 : h / 100 % 40;
    sample->margin = -(float)(mix(h) % 1000) / 200.0f;
    sample->entropy = (float)(mix(h + 1) % 1000) / 500.0f;
    for (uint32_t s = 0; s < 3; s++) {
        signals[s] = (float)(mix(h + 2 + s) % 1000) / 1000.0f;
    }
    signals[2] *= 300.0f;
}

static void judge_batch(reply *r, uint32_t seed)
{
    uint32_t position[SX_MAX_ROWS];
    for (uint32_t row = 0; row < r->batch.count; row++) {
        uint32_t parent = r->batch.parent[row];
        position[row] = row ? position[parent] + 1 : r->state.now.length;
        uint32_t before = row ? r->batch.token[parent] : r->history[r->state.now.length - 1];
        judge(r, seed, position[row], before, r->batch.token[row], &r->samples[row], &r->signals[row * 4]);
    }
}

// Drafts a random tree of at most `rows` rows; most children are what the target will say.
static void draft(reply *r, uint32_t seed, uint32_t rows, uint32_t *random)
{
    root_row(r);
    const SxState *state = &r->state;
    if (state->forced_count > 1) {
        for (uint32_t i = 1; i < state->forced_count && r->batch.count < rows; i++) {
            add_row(r, i - 1, r->settings.exit_tokens[r->settings.exit_count - state->forced_count + i]);
        }
        return;
    }
    uint32_t root_flags = ((uint8_t *)r->flags)[state->now.root];
    if (sx_policy_wants_trial(&state->now, &r->settings, state->forced_count, root_flags)) add_row(r, 0, CLOSE);
    while (r->batch.count < rows) {
        judge_batch(r, seed);
        *random = mix(*random + 1);
        uint32_t parent = *random % 4 ? r->batch.count - 1 : *random / 4 % r->batch.count;
        uint32_t depth = 1;
        for (uint32_t row = parent; row; row = r->batch.parent[row]) {
            depth++;
        }
        if (depth >= SX_MAX_PATH) continue;
        add_row(r, parent, *random / 64 % 4 ? r->samples[parent].token : *random / 256 % VOCABULARY);
    }
}

typedef struct outcome {
    uint32_t exit_reason, exit_length, done, count, thinking_tokens;
    uint32_t text[SLOTS];
    float smoothed[SLOTS];
} outcome;

static void decode(reply *r, uint32_t seed, uint32_t rows, uint32_t *random, outcome *out)
{
    memset(out, 0, sizeof(*out));
    while (r->state.done == SX_DONE_NO) {
        draft(r, seed, rows, random);
        judge_batch(r, seed);
        uint32_t base = r->state.now.length;
        cycle(r);
        const SxResult *result = &r->state.result;
        for (uint32_t i = 0; i < result->path_count; i++) {
            out->smoothed[base + i] = result->smoothed[i * SX_SIGNALS];
        }
        if (result->exit_reason && !out->exit_reason) {
            out->exit_reason = result->exit_reason;
            out->exit_length = base + result->exit_index + 1;
            assert_int_equal(r->state.exit.length, out->exit_length);
        }
    }
    out->done = r->state.done;
    out->count = r->state.now.length;
    out->thinking_tokens = r->state.now.thinking_tokens;
    memcpy(out->text, r->history, sizeof(out->text));
}

static void trees_change_nothing(void **unused)
{
    (void)unused;
    uint32_t exits = 0, lengths = 0;
    for (uint32_t seed = 1; seed <= 300; seed++) {
        reply r;
        start(&r);
        r.settings.policy = seed % 4;
        r.settings.signal_mask = 1 + mix(seed) % 7;
        r.settings.smoothing = mix(seed + 1) % 5;
        r.settings.confidence_threshold = 0.6f;
        r.settings.progress_threshold = 0.5f;
        r.settings.remain_threshold = 140.0f;
        r.settings.margin_threshold = -1.0f;
        r.settings.entropy_threshold = 0.4f;
        r.settings.minimum_thinking = mix(seed + 2) % 10;
        r.settings.soft_budget = mix(seed + 3) % 2 * 40;
        r.settings.hard_budget = mix(seed + 4) % 3 ? 0 : 60;
        r.settings.loop_repeats = mix(seed + 5) % 2 * 3;
        r.settings.loop_tokens = 6;
        r.settings.end_position = 200 + seed % 7;
        r.settings.end_closes = mix(seed + 6) % 2;
        r.settings.answer_count = mix(seed + 7) % 3;
        const reply fresh = r;
        bool trials = r.settings.policy == SX_POLICY_KIND_ENTROPY;
        uint32_t random = seed;
        outcome plain, other;
        decode(&r, seed, trials ? 2 : 1, &random, &plain);
        exits += plain.exit_reason != SX_EXIT_NONE;
        lengths += plain.done == SX_DONE_LENGTH;
        for (uint32_t rows = 2; rows <= SX_MAX_ROWS; rows *= 2) {
            r = fresh;
            decode(&r, seed, rows, &random, &other);
            if (memcmp(&plain, &other, sizeof(plain)) != 0) print_error("seed %u rows %u\n", seed, rows);
            assert_memory_equal(&plain, &other, sizeof(plain));
        }
    }
    assert_in_range(exits, 100, 299);
    assert_in_range(lengths, 10, 299);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(walks_the_path),
        cmocka_unit_test(exits_and_forces),
        cmocka_unit_test(closes_by_itself),
        cmocka_unit_test(ends),
        cmocka_unit_test(end_closes),
        cmocka_unit_test(begins_the_answer),
        cmocka_unit_test(entropy_uses_the_trial),
        cmocka_unit_test(trees_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
