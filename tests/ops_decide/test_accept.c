// accept.comp against sx_policy_accept: random replies, cycle by cycle, every word of state, history and counts equal.
// Floats are compared by their bits: both sides round every operation by itself.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/policy.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 45, SLOTS = 1400, OPEN = 30, CLOSE = 33, END = 36, SPLIT = 37, REPLIES = 300, CYCLES = 8 };

typedef struct reply {
    SxSettings settings;
    uint32_t flags[(VOCABULARY + 3) / 4];
    SxState state;
    SxBatch batch;
    SxSample samples[SX_MAX_ROWS];
    float signals[SX_MAX_ROWS * 4];
    uint32_t history[SLOTS], counts[VOCABULARY];
} reply;

static uint32_t below(harness *h, uint32_t limit)
{
    return harness_random(h) % limit;
}

static bool chance(harness *h, uint32_t percent)
{
    return below(h, 100) < percent;
}

static uint32_t random_token(harness *h)
{
    if (chance(h, 60)) return below(h, 4);
    if (chance(h, 60)) return SPLIT + below(h, 2);
    return below(h, VOCABULARY);
}

static void random_settings(harness *h, reply *r)
{
    SxSettings *s = &r->settings;
    *s = support_settings(VOCABULARY);
    memset(r->flags, 0, sizeof(r->flags));
    uint8_t *flags = (uint8_t *)r->flags;
    flags[END] = SX_TOKEN_END;
    flags[SPLIT] = SX_TOKEN_SPLIT;
    flags[SPLIT + 1] = SX_TOKEN_SPLIT | SX_TOKEN_SPLIT_REFERENCE;
    s->open_count = below(h, 4);
    s->close_count = chance(h, 90) ? 1 + below(h, 3) : 0;
    for (uint32_t i = 0; i < SX_MAX_MARKER; i++) {
        s->open[i] = OPEN + i % 3;
        s->close[i] = CLOSE + i % 3;
    }
    s->exit_count = chance(h, 90) ? 1 + below(h, 20) : 0;
    for (uint32_t i = 0; i < s->exit_count; i++) {
        uint32_t from_end = s->exit_count - 1 - i;
        s->exit_tokens[i] = from_end < s->close_count ? s->close[s->close_count - 1 - from_end] : below(h, 4);
    }
    s->split_mask = 1 + below(h, 2);
    s->policy = chance(h, 10) ? SX_POLICY_KIND_NONE : 1 + below(h, 3);
    s->signal_mask = below(h, 8);
    s->smoothing = below(h, 5);
    s->reference_mode = chance(h, 30);
    s->alpha = harness_uniform(h, 0.01f, 1.0f);
    s->confidence_threshold = harness_uniform(h, 0.1f, 0.9f);
    s->progress_threshold = harness_uniform(h, 0.1f, 0.9f);
    s->remain_threshold = harness_uniform(h, 1.0f, 300.0f);
    s->margin_threshold = harness_uniform(h, -5.0f, 0.0f);
    s->entropy_threshold = harness_uniform(h, 0.0f, 2.0f);
    s->minimum_thinking = chance(h, 50) ? below(h, 30) : 0;
    s->soft_budget = chance(h, 30) ? 1 + below(h, 60) : 0;
    s->hard_budget = chance(h, 20) ? 1 + below(h, 60) : 0;
    s->loop_repeats = chance(h, 60) ? 1 + below(h, 4) : 0;
    s->loop_tokens = chance(h, 50) ? below(h, 20) : below(h, 5);
    s->answer_now = chance(h, 5);
    s->policy_off = chance(h, 10);
    s->end_closes = chance(h, 30);
    s->answer_count = chance(h, 50) ? below(h, 4) : 0;
}

static void random_start(harness *h, reply *r)
{
    SxState *state = &r->state;
    memset(state, 0, sizeof(*state));
    for (uint32_t i = 0; i < SLOTS; i++) {
        r->history[i] = random_token(h);
    }
    for (uint32_t i = 0; i < VOCABULARY; i++) {
        r->counts[i] = below(h, 3);
    }
    state->now.length = chance(h, 30) ? below(h, 8) : below(h, SLOTS - CYCLES * SX_MAX_PATH);
    state->now.root = random_token(h);
    state->now.thinking = chance(h, 70) ? SX_THINKING_INSIDE : below(h, 3);
    state->now.thinking_start = below(h, state->now.length + 1);
    state->now.thinking_tokens = below(h, 50);
    state->root_is_prompt = chance(h, 30);
    state->cycle = below(h, 1000);
    r->settings.end_position = chance(h, 20) ? state->now.length + 1 + below(h, 40) : SLOTS;
}

static void random_signals(harness *h, reply *r)
{
    static const uint32_t odd[] = {0, 0x7F800000u, 0xFF800000u, 0x7FC00000u};
    for (uint32_t i = 0; i < SX_MAX_ROWS * 4; i++) {
        r->signals[i] = i % 4 == 2 ? harness_uniform(h, 0.0f, 400.0f) : harness_uniform(h, 0.0f, 1.0f);
    }
    if (chance(h, 5)) memcpy(&r->signals[below(h, SX_MAX_ROWS * 4)], &odd[below(h, 4)], 4);
}

// What follows `token` in one of the markers, now and then; else a random token.
static uint32_t token_after(harness *h, const SxSettings *s, uint32_t token)
{
    for (uint32_t i = 0; i + 1 < SX_MAX_MARKER && chance(h, 70); i++) {
        if (i + 1 < s->close_count && s->close[i] == token) return s->close[i + 1];
        if (i + 1 < s->open_count && s->open[i] == token) return s->open[i + 1];
    }
    if (s->close_count && token == s->close[s->close_count - 1] && chance(h, 50)) return END;
    if (chance(h, 5)) return s->close[0];
    return chance(h, 5) ? s->open[0] : random_token(h);
}

// A tree in which children often hold what is sampled; forced tokens are drafted as a chain, mostly.
static void random_batch(harness *h, reply *r, uint32_t rows)
{
    SxBatch *batch = &r->batch;
    const SxSettings *s = &r->settings;
    uint32_t forced = r->state.forced_count;
    memset(batch, 0, sizeof(*batch));
    batch->count = chance(h, 3) ? 0 : 1 + below(h, rows);
    batch->root_is_prompt = r->state.root_is_prompt;
    for (uint32_t row = 0; row < SX_MAX_ROWS; row++) {
        uint32_t parent = chance(h, 60) ? row - 1 : below(h, row + 1);
        if (parent >= row) parent = row - 1;
        batch->parent[row] = row && row < batch->count ? parent : SX_NONE;
        const uint32_t above = batch->parent[row];
        batch->token[row] = row == 0             ? r->state.now.root
                            : row < batch->count ? token_after(h, s, batch->token[above])
                                                 : random_token(h);
        if (row == 1 && s->close_count && chance(h, 60)) batch->token[row] = s->close[0];
        batch->position[row] = r->state.now.length;
        if (row && forced > row && chance(h, 90)) {
            batch->parent[row] = row - 1;
            batch->token[row] = s->exit_tokens[s->exit_count - forced + row];
        }
        r->samples[row] = (SxSample){.token = token_after(h, s, batch->token[row]),
                                     .logprob = harness_uniform(h, -5.0f, 0.0f),
                                     .margin = harness_uniform(h, -6.0f, 0.0f),
                                     .entropy = harness_uniform(h, 0.0f, 3.0f)};
    }
    for (uint32_t row = 1; row < batch->count; row++) {
        batch->position[row] = batch->position[batch->parent[row]] + 1;
        if (chance(h, 70)) r->samples[batch->parent[row]].token = batch->token[row];
    }
    random_signals(h, r);
}

typedef struct device {
    sx_gpu_buffer *batch, *samples, *signals, *settings, *state, *history, *counts;
    sx_gpu_tape *tape[2][2]; // [with signals][few rows]
} device;

static device make_device(harness *h)
{
    device d = {.batch = harness_output(h, BATCH_WORDS),
                .samples = harness_output(h, SX_MAX_ROWS * 4),
                .signals = harness_output(h, SX_MAX_ROWS * 4),
                .settings = harness_output(h, SETTINGS_WORDS + support_flag_words(VOCABULARY)),
                .state = harness_output(h, STATE_WORDS),
                .history = harness_output(h, SLOTS),
                .counts = harness_output(h, VOCABULARY)};
    for (uint32_t i = 0; i < 4; i++) {
        sx_accept_args args = {.batch = harness_whole(d.batch),
                               .samples = harness_whole(d.samples),
                               .settings = harness_whole(d.settings),
                               .state = harness_whole(d.state),
                               .history = harness_whole(d.history),
                               .counts = harness_whole(d.counts)};
        if (i / 2) args.signals = harness_whole(d.signals);
        harness_begin(h);
        sx_op_accept(&h->ops, h->tape, i % 2 ? 5 : SX_MAX_ROWS, &args);
        d.tape[i / 2][i % 2] = support_finish(h);
    }
    return d;
}

static void free_device(harness *h, device *d)
{
    for (uint32_t i = 0; i < 4; i++) {
        sx_gpu_tape_destroy(h->gpu, d->tape[i / 2][i % 2]);
    }
    sx_gpu_buffer *buffers[] = {d->batch, d->samples, d->signals, d->settings, d->state, d->history, d->counts};
    for (size_t i = 0; i < sizeof(buffers) / sizeof(*buffers); i++) {
        harness_free(h, buffers[i]);
    }
}

typedef struct tally {
    uint32_t cycles, exits[9], dones[4], forced, path[SX_MAX_PATH + 1];
    uint32_t begun; // answers, behind a marker that the model wrote
} tally;

static void one_cycle(harness *h, device *d, reply *r, bool with_signals, bool few, tally *seen)
{
    const uint32_t rows = few ? 5 : SX_MAX_ROWS, forced_before = r->state.forced_count;
    random_batch(h, r, SX_MAX_ROWS);
    if (chance(h, 5)) r->settings.policy_off ^= 1;
    support_write(h, d->settings, &r->settings, SETTINGS_WORDS);
    support_write(h, d->batch, &r->batch, BATCH_WORDS);
    support_write(h, d->samples, r->samples, SX_MAX_ROWS * 4);
    support_write(h, d->signals, r->signals, SX_MAX_ROWS * 4);
    harness_submit(h, d->tape[with_signals][few]);
    sx_policy_accept(&r->batch, rows, r->samples, with_signals ? r->signals : NULL, &r->settings, r->flags, &r->state,
                     r->history, r->counts);
    SxState state;
    uint32_t history[SLOTS], counts[VOCABULARY];
    support_read(h, d->state, &state, STATE_WORDS);
    support_read(h, d->history, history, SLOTS);
    support_read(h, d->counts, counts, VOCABULARY);
    support_same(&state.result, &r->state.result, sizeof(SxResult) / 4, "result");
    support_same(&state.now, &r->state.now, sizeof(SxThought) / 4, "now");
    support_same(&state.exit, &r->state.exit, sizeof(SxThought) / 4, "exit");
    support_same(&state, &r->state, STATE_WORDS, "state");
    support_same(history, r->history, SLOTS, "history");
    support_same(counts, r->counts, VOCABULARY, "counts");
    seen->cycles++;
    seen->exits[state.result.exit_reason]++;
    seen->dones[state.result.done]++;
    seen->path[state.result.path_count]++;
    seen->forced += state.result.forced != 0;
    seen->begun += !forced_before && state.result.forced && !r->settings.end_closes &&
                   (state.result.exit_reason == SX_EXIT_NONE || state.result.exit_reason == SX_EXIT_NATURAL);
}

static void accept_equals_policy(void **data)
{
    harness *h = *data;
    device d = make_device(h);
    tally seen = {0};
    harness_seed(h, 20);
    for (uint32_t i = 0; i < REPLIES; i++) {
        static reply r;
        random_settings(h, &r);
        random_start(h, &r);
        support_write(h, d.settings, &r.settings, SETTINGS_WORDS + support_flag_words(VOCABULARY));
        support_write(h, d.state, &r.state, STATE_WORDS);
        support_write(h, d.history, r.history, SLOTS);
        support_write(h, d.counts, r.counts, VOCABULARY);
        const bool with_signals = chance(h, 85), few = chance(h, 15);
        uint32_t done = 0;
        for (uint32_t c = 0; c < CYCLES && done < 2; c++) {
            one_cycle(h, &d, &r, with_signals, few, &seen);
            done += r.state.done != SX_DONE_NO;
        }
    }
    print_message("%u cycles; exits", seen.cycles);
    for (uint32_t i = 0; i < 9; i++) {
        print_message(" %u", seen.exits[i]);
        assert_true(seen.exits[i] > 0); // every reason was seen
    }
    print_message("; done");
    for (uint32_t i = 0; i < 4; i++) {
        print_message(" %u", seen.dones[i]);
        assert_true(seen.dones[i] > 0);
    }
    print_message("; paths");
    for (uint32_t i = 0; i <= SX_MAX_PATH; i++) {
        print_message(" %u", seen.path[i]);
        assert_true(seen.path[i] > 0 || i > 12);
    }
    print_message("; forcing %u, answers begun %u\n", seen.forced, seen.begun);
    assert_true(seen.begun > 0);
    free_device(h, &d);
}

int main(void)
{
    harness h;
    harness_open(&h);
    const struct CMUnitTest tests[] = {cmocka_unit_test_prestate(accept_equals_policy, &h)};
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    harness_close(&h);
    return failures;
}
