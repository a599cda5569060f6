#include "engine/policy.h"

#include <math.h>
#include <string.h>

// Reciprocals instead of divisions: a division may be rounded differently on a device, a product may not.
static const float policy_reciprocal[SX_MAX_PATH + 1] = {
    0.0f,     1.0f,      1.0f / 2,  1.0f / 3,  1.0f / 4,  1.0f / 5,  1.0f / 6,  1.0f / 7, 1.0f / 8,
    1.0f / 9, 1.0f / 10, 1.0f / 11, 1.0f / 12, 1.0f / 13, 1.0f / 14, 1.0f / 15, 1.0f / 16};

static uint32_t minimum(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static uint32_t maximum(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

// By the bits, as the shader does it.
static bool finite_value(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return (bits & 0x7F800000u) != 0x7F800000u;
}

static bool usable_score(float score)
{
    return finite_value(score) && score != 0.0f;
}

// ---- Smoothing -----------------------------------------------------------------------------------------------------

static float window_mean(const SxThought *thought, const float *window)
{
    // From the oldest entry on, so that the sum does not depend on where the ring stands.
    uint32_t index = (thought->window_next + SX_SIGNAL_WINDOW - thought->window_count) % SX_SIGNAL_WINDOW;
    float sum = 0.0f;
    for (uint32_t i = 0; i < thought->window_count; i++) {
        sum += window[index];
        index = (index + 1) % SX_SIGNAL_WINDOW;
    }
    return sum * policy_reciprocal[thought->window_count];
}

void sx_policy_smooth(SxThought *thought, const SxSettings *settings, const float raw[SX_SIGNALS])
{
    uint32_t slot = thought->window_next % SX_SIGNAL_WINDOW;
    thought->window_next = (slot + 1) % SX_SIGNAL_WINDOW;
    thought->window_count = minimum(thought->window_count + 1, SX_SIGNAL_WINDOW);
    for (uint32_t s = 0; s < SX_SIGNALS; s++) {
        float *window = &thought->window[s * SX_SIGNAL_WINDOW];
        float *smoothed = &thought->smoothed[s];
        window[slot] = raw[s];
        switch (settings->smoothing) {
        case SX_SMOOTHING_EWMA:
            *smoothed = thought->scores == 0 ? raw[s] : *smoothed + settings->alpha * (raw[s] - *smoothed);
            break;
        case SX_SMOOTHING_MOMENTUM: // the differences telescope: last - first
            *smoothed = thought->window_count < SX_SIGNAL_WINDOW
                            ? 0.0f
                            : raw[s] + (raw[s] - window[thought->window_next]) * policy_reciprocal[9];
            break;
        case SX_SMOOTHING_MEAN:
        case SX_SMOOTHING_PARAGRAPH_MEAN:
            *smoothed = window_mean(thought, window);
            break;
        default:
            *smoothed = raw[s];
            break;
        }
    }
    thought->scores++;
}

void sx_policy_after_boundary(SxThought *thought, const SxSettings *settings)
{
    if (settings->smoothing != SX_SMOOTHING_PARAGRAPH_MEAN || thought->window_count == 0) return;
    uint32_t last = (thought->window_next + SX_SIGNAL_WINDOW - 1) % SX_SIGNAL_WINDOW;
    for (uint32_t s = 0; s < SX_SIGNALS; s++) {
        thought->window[s * SX_SIGNAL_WINDOW] = thought->window[s * SX_SIGNAL_WINDOW + last];
    }
    thought->window_count = 1;
    thought->window_next = 1;
}

bool sx_policy_signals_pass(const SxThought *thought, const SxSettings *settings)
{
    const float *smoothed = thought->smoothed;
    uint32_t mask = settings->signal_mask & (SX_SIGNAL_CONFIDENCE | SX_SIGNAL_PROGRESS | SX_SIGNAL_REMAIN);
    for (uint32_t s = 0; s < SX_SIGNALS; s++) {
        if ((mask >> s & 1) && !usable_score(smoothed[s])) return false;
    }
    if ((mask & SX_SIGNAL_CONFIDENCE) && !(smoothed[0] > settings->confidence_threshold)) return false;
    if ((mask & SX_SIGNAL_PROGRESS) && !(smoothed[1] > settings->progress_threshold)) return false;
    if ((mask & SX_SIGNAL_REMAIN) && !(smoothed[2] < settings->remain_threshold)) return false;
    return mask != 0;
}

// ---- Markers and loops ---------------------------------------------------------------------------------------------

// Whether `token` at `position` completes the marker, whose first token may not lie before `first`.
static bool completes(const uint32_t *marker, uint32_t count, const uint32_t *history, uint32_t position,
                      uint32_t token, uint32_t first)
{
    count = minimum(count, SX_MAX_MARKER);
    if (count == 0 || position + 1 < count || position + 1 - count < first) return false;
    if (marker[count - 1] != token) return false;
    for (uint32_t i = 1; i < count; i++) {
        if (marker[count - 1 - i] != history[position - i]) return false;
    }
    return true;
}

static bool opens(const SxThought *thought, const SxSettings *settings, const uint32_t *history, uint32_t position,
                  uint32_t token)
{
    return thought->thinking == SX_THINKING_BEFORE &&
           completes(settings->open, settings->open_count, history, position, token, 0);
}

static bool closes(const SxThought *thought, const SxSettings *settings, const uint32_t *history, uint32_t position,
                   uint32_t token)
{
    return thought->thinking == SX_THINKING_INSIDE &&
           completes(settings->close, settings->close_count, history, position, token, thought->thinking_start);
}

// Returns true when the token completed a marker.
static bool advance_markers(SxThought *thought, const SxSettings *settings, const sx_policy_token *token)
{
    if (opens(thought, settings, token->history, token->position, token->token)) {
        thought->thinking = SX_THINKING_INSIDE;
        thought->thinking_start = token->position + 1;
        thought->thinking_tokens = 0;
        thought->scores = 0;
        thought->window_count = 0;
        thought->window_next = 0;
        memset(thought->smoothed, 0, sizeof(thought->smoothed));
        memset(thought->window, 0, sizeof(thought->window));
    } else if (closes(thought, settings, token->history, token->position, token->token)) {
        thought->thinking = SX_THINKING_AFTER;
        if (!token->forced) {
            uint32_t counted = minimum(settings->close_count, SX_MAX_MARKER) - 1;
            thought->thinking_tokens -= minimum(counted, thought->thinking_tokens);
        }
    } else {
        return false;
    }
    memset(thought->run, 0, sizeof(thought->run));
    return true;
}

static void advance_runs(SxThought *thought, const sx_policy_token *token)
{
    for (uint32_t period = 1; period <= SX_MAX_PERIOD; period++) {
        bool same = token->position >= period && token->history[token->position - period] == token->token;
        thought->run[period - 1] = same ? thought->run[period - 1] + 1 : 0;
    }
}

static bool loops(const SxThought *thought, const SxSettings *settings)
{
    if (settings->loop_repeats == 0) return false;
    for (uint32_t period = 1; period <= SX_MAX_PERIOD; period++) {
        uint32_t run = thought->run[period - 1];
        if (run != 0 && run >= maximum(settings->loop_tokens, period * settings->loop_repeats)) return true;
    }
    return false;
}

bool sx_policy_answer_loops(const SxThought *thought, const SxSettings *settings)
{
    return thought->thinking != SX_THINKING_INSIDE && loops(thought, settings);
}

// ---- Decision ------------------------------------------------------------------------------------------------------

static uint32_t policy_reason(const SxThought *thought, const SxSettings *settings, const sx_policy_token *token)
{
    switch (settings->policy) {
    case SX_POLICY_KIND_SIGNALS:
        return sx_policy_signals_pass(thought, settings) ? SX_EXIT_SIGNALS : SX_EXIT_NONE;
    case SX_POLICY_KIND_MARGIN:
        return finite_value(token->margin) && token->margin >= settings->margin_threshold ? SX_EXIT_MARGIN
                                                                                          : SX_EXIT_NONE;
    case SX_POLICY_KIND_ENTROPY: // NaN: no trial
        return finite_value(token->entropy) && token->entropy <= settings->entropy_threshold ? SX_EXIT_ENTROPY
                                                                                             : SX_EXIT_NONE;
    default:
        return SX_EXIT_NONE;
    }
}

static uint32_t decide(const SxThought *thought, const SxSettings *settings, const sx_policy_token *token)
{
    if (settings->answer_now) return SX_EXIT_ANSWER_NOW;
    if (loops(thought, settings)) return SX_EXIT_LOOP;
    if (settings->policy_off) return SX_EXIT_NONE;
    uint32_t count = thought->thinking_tokens;
    if (settings->hard_budget && count >= settings->hard_budget) return SX_EXIT_HARD_BUDGET;
    if (count < settings->minimum_thinking || !(token->flags & settings->split_mask)) return SX_EXIT_NONE;
    uint32_t reason = policy_reason(thought, settings, token);
    if (reason == SX_EXIT_NONE && settings->soft_budget && count >= settings->soft_budget) {
        reason = SX_EXIT_SOFT_BUDGET;
    }
    return reason;
}

uint32_t sx_policy_step(SxThought *thought, const SxSettings *settings, const sx_policy_token *token)
{
    bool inside = thought->thinking == SX_THINKING_INSIDE;
    thought->length = token->position + 1;
    if (advance_markers(thought, settings, token) || !token->generated || token->forced) return SX_EXIT_NONE;
    advance_runs(thought, token);
    if (!inside) return SX_EXIT_NONE;
    thought->thinking_tokens++;
    if (token->raw && !settings->reference_mode) sx_policy_smooth(thought, settings, token->raw);
    uint32_t reason = decide(thought, settings, token);
    if ((token->flags & settings->split_mask) && !settings->reference_mode) {
        sx_policy_after_boundary(thought, settings);
    }
    return reason;
}

bool sx_policy_wants_trial(const SxThought *thought, const SxSettings *settings, uint32_t forced_count, uint32_t flags)
{
    return settings->policy == SX_POLICY_KIND_ENTROPY && !settings->policy_off && settings->close_count != 0 &&
           settings->exit_count != 0 && forced_count == 0 && thought->thinking == SX_THINKING_INSIDE &&
           (flags & settings->split_mask) && thought->thinking_tokens + 1 >= settings->minimum_thinking;
}

// ---- One cycle -----------------------------------------------------------------------------------------------------

// The arguments of sx_policy_accept and what the walk carries from token to token.
typedef struct walk {
    const SxBatch *batch;
    const SxSample *samples;
    const float *signals; // may be NULL
    const SxSettings *settings;
    const uint32_t *token_flags;
    SxState *state;
    uint32_t *history;
    uint32_t *counts;     // may be NULL
    uint32_t count;       // rows of the batch
    uint32_t exit_count;  // forced tokens of an exit
    bool closed;          // the token just committed completed the close marker
    uint32_t score_count; // rows of this cycle that a score of the reference mode is the mean of
    float score_sum[SX_SIGNALS];
    bool boundary; // one of them was a step boundary
} walk;

static uint32_t flags_of(const walk *w, uint32_t token)
{
    return token < w->settings->vocabulary ? w->token_flags[token / 4] >> (token % 4 * 8) & 0xFFu : 0;
}

static uint32_t child_of(const walk *w, uint32_t row, uint32_t token)
{
    for (uint32_t child = row + 1; child < w->count; child++) {
        if (w->batch->parent[child] == row && w->batch->token[child] == token) return child;
    }
    return SX_NONE;
}

static void take_snapshot(const walk *w, uint32_t wanted, uint32_t reason)
{
    SxThought *snapshot = &w->state->exit;
    *snapshot = w->state->now;
    snapshot->root = wanted;
    if (reason == SX_EXIT_LOOP) memset(snapshot->run, 0, sizeof(snapshot->run));
}

static void report_exit(const walk *w, uint32_t reason, uint32_t index, uint32_t wanted)
{
    w->state->exit_reason = reason;
    w->state->result.exit_reason = reason;
    w->state->result.exit_index = index;
    w->state->result.wanted = wanted;
}

// Commits path[index] = `row`: history, counts, the policy's step, its line of the result. Returns the step's verdict.
static uint32_t commit(walk *w, uint32_t index, uint32_t row)
{
    SxState *state = w->state;
    SxThought *now = &state->now;
    uint32_t token = w->batch->token[row];
    const SxSample *sample = &w->samples[row];
    const float *raw = w->signals ? &w->signals[row * 4] : NULL;
    uint32_t trial = index == 0 && w->settings->close_count ? child_of(w, row, w->settings->close[0]) : SX_NONE;
    const sx_policy_token known = {
        .token = token,
        .flags = flags_of(w, token),
        .generated = index != 0 || !state->root_is_prompt,
        .forced = state->forced_count != 0,
        .history = w->history,
        .position = now->length,
        .raw = raw,
        .margin = sample->margin,
        .entropy = trial == SX_NONE ? NAN : w->samples[trial].entropy,
    };
    bool inside = now->thinking == SX_THINKING_INSIDE;
    uint32_t reason = sx_policy_step(now, w->settings, &known);
    w->closed = inside && now->thinking == SX_THINKING_AFTER;
    w->history[known.position] = token;
    if (w->counts && known.generated && token < w->settings->vocabulary) w->counts[token]++;
    if (known.forced) state->forced_count--;

    inside = inside && now->thinking == SX_THINKING_INSIDE;
    if (inside && known.generated && !known.forced && raw) {
        for (uint32_t s = 0; s < SX_SIGNALS; s++) {
            w->score_sum[s] += raw[s];
        }
        w->score_count++;
        w->boundary = w->boundary || (known.flags & w->settings->split_mask) != 0;
    }

    SxResult *result = &state->result;
    state->path_row[index] = row;
    state->path_token[index] = token;
    result->path[index] = token;
    result->logprob[index] = sample->logprob;
    result->margin[index] = sample->margin;
    result->entropy[index] = sample->entropy;
    for (uint32_t s = 0; s < SX_SIGNALS; s++) {
        result->raw[index * SX_SIGNALS + s] = raw ? raw[s] : 0.0f;
        result->smoothed[index * SX_SIGNALS + s] = inside ? now->smoothed[s] : 0.0f;
    }
    return reason;
}

// Whether the target would end its turn in the middle of thinking, which leaves the thinking instead.
static bool end_closes(const walk *w, uint32_t wanted)
{
    return w->settings->end_closes && w->state->now.thinking == SX_THINKING_INSIDE && w->state->forced_count == 0 &&
           (flags_of(w, wanted) & SX_TOKEN_END);
}

// After `row` was committed as path[index] with the step's verdict `reason`: the token that follows, or SX_NONE where
// the reply is done.
static uint32_t choose_next(const walk *w, uint32_t index, uint32_t row, uint32_t reason)
{
    const SxSettings *settings = w->settings;
    SxState *state = w->state;
    SxThought *now = &state->now;
    uint32_t wanted = w->samples[row].token;
    if (now->length >= settings->end_position) {
        state->done = SX_DONE_LENGTH;
        return SX_NONE;
    }
    bool generated = index != 0 || !state->root_is_prompt;
    if (state->forced_count == 0 && generated &&
        (sx_policy_answer_loops(now, settings) || (reason == SX_EXIT_LOOP && w->exit_count == 0))) {
        state->done = SX_DONE_LOOP;
        return SX_NONE;
    }
    if (reason == SX_EXIT_NONE && end_closes(w, wanted)) reason = SX_EXIT_NATURAL;
    if (reason != SX_EXIT_NONE && w->exit_count != 0) {
        take_snapshot(w, wanted, reason);
        report_exit(w, reason, index, wanted);
        state->forced_count = w->exit_count;
    }
    const bool ends = flags_of(w, wanted) & SX_TOKEN_END;
    if (state->forced_count == 0 && w->closed && ends) {
        state->forced_count = minimum(settings->answer_count, w->exit_count);
    }
    state->generated++;
    if (state->forced_count != 0) {
        return settings->exit_tokens[(w->exit_count - state->forced_count) % SX_MAX_FORCED];
    }
    if (ends) {
        state->done = SX_DONE_END;
        return wanted;
    }
    bool closing = closes(now, settings, w->history, now->length, wanted);
    bool beginning = now->thinking == SX_THINKING_INSIDE && settings->close_count != 0 && wanted == settings->close[0];
    if (beginning && (!closing || settings->close_count == 1)) take_snapshot(w, wanted, SX_EXIT_NATURAL);
    if (closing) report_exit(w, SX_EXIT_NATURAL, index, wanted);
    return wanted;
}

static void smooth_cycle(walk *w)
{
    SxState *state = w->state;
    if (!w->settings->reference_mode || w->score_count == 0 || state->now.thinking != SX_THINKING_INSIDE ||
        state->forced_count != 0) {
        return;
    }
    float mean[SX_SIGNALS];
    for (uint32_t s = 0; s < SX_SIGNALS; s++) {
        mean[s] = w->score_sum[s] * policy_reciprocal[w->score_count];
    }
    sx_policy_smooth(&state->now, w->settings, mean);
    if (w->boundary) sx_policy_after_boundary(&state->now, w->settings);
}

static void finish_result(const walk *w, uint32_t path_count)
{
    SxState *state = w->state;
    const SxThought *now = &state->now;
    SxResult *result = &state->result;
    state->path_count = path_count;
    result->done = state->done;
    result->path_count = path_count;
    result->length = now->length;
    result->root = now->root;
    result->thinking = now->thinking;
    if (now->root != SX_NONE) {
        if (opens(now, w->settings, w->history, now->length, now->root)) result->thinking = SX_THINKING_INSIDE;
        if (closes(now, w->settings, w->history, now->length, now->root)) result->thinking = SX_THINKING_AFTER;
    }
    result->thinking_tokens = now->thinking_tokens;
    result->forced = state->forced_count;
}

void sx_policy_accept(const SxBatch *batch, uint32_t rows, const SxSample *samples, const float *signals,
                      const SxSettings *settings, const uint32_t *token_flags, SxState *state, uint32_t *history,
                      uint32_t *counts)
{
    walk w = {
        .batch = batch,
        .samples = samples,
        .signals = signals,
        .settings = settings,
        .token_flags = token_flags,
        .state = state,
        .history = history,
        .counts = counts,
        .count = minimum(batch->count, minimum(rows, SX_MAX_ROWS)),
        .exit_count = minimum(settings->exit_count, SX_MAX_FORCED),
    };
    state->cycle++;
    memset(&state->result, 0, sizeof(state->result));
    memset(state->path_row, 0, sizeof(state->path_row));
    memset(state->path_token, 0, sizeof(state->path_token));
    state->result.cycle = state->cycle;
    state->path_base = state->now.length;
    if (state->done != SX_DONE_NO || w.count == 0) {
        finish_result(&w, 0);
        return;
    }
    state->result.drafted = w.count - 1;
    state->result.root_is_prompt = state->root_is_prompt;

    uint32_t path_count = 0, row = 0, next = SX_NONE;
    while (row != SX_NONE) {
        uint32_t reason = commit(&w, path_count, row);
        next = choose_next(&w, path_count, row, reason);
        path_count++;
        if (state->done != SX_DONE_NO || path_count == SX_MAX_PATH) break;
        if (sx_policy_wants_trial(&state->now, settings, state->forced_count, flags_of(&w, next))) break;
        row = child_of(&w, row, next);
    }
    state->now.root = next;
    state->root_is_prompt = 0;
    smooth_cycle(&w);
    finish_result(&w, path_count);
}
