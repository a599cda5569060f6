#include "signals/replay.h"

#include "engine/policy.h"
#include "model/quant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const replay_smoothing all_smoothings[REPLAY_SMOOTHINGS] = {
    {SX_SMOOTH_RAW, 0},      {SX_SMOOTH_EWMA, 0.0345f},    {SX_SMOOTH_EWMA, 0.1f}, {SX_SMOOTH_EWMA, 0.2f},
    {SX_SMOOTH_EWMA, 0.3f},  {SX_SMOOTH_EWMA, 0.5f},       {SX_SMOOTH_EWMA, 0.7f}, {SX_SMOOTH_MEAN, 0},
    {SX_SMOOTH_MOMENTUM, 0}, {SX_SMOOTH_PARAGRAPH_MEAN, 0}};

void replay_choose(replay *r, sx_smoothing kind, float alpha)
{
    r->smoothing_count = 0;
    if (kind == SX_SMOOTH_EWMA && alpha > 0) {
        r->smoothings[r->smoothing_count++] = (replay_smoothing){kind, alpha};
        return;
    }
    for (uint32_t i = 0; i < REPLAY_SMOOTHINGS; i++)
        if (kind == SX_SMOOTH_AUTO || all_smoothings[i].kind == kind)
            r->smoothings[r->smoothing_count++] = all_smoothings[i];
}

// As shaders/signals.comp makes them.
static void raw_signals(const uint16_t *x, const float *rows, uint32_t width, uint32_t mask, float out[3])
{
    double sum[3] = {0};
    for (uint32_t j = 0; j < width; j++) {
        const double value = (double)sx_half_to_float(x[j]);
        for (int k = 0; k < 3; k++)
            sum[k] += value * (double)rows[(size_t)k * width + j];
    }
    for (int k = 0; k < 3; k++) {
        const double clamped = sum[k] > 80 ? 80 : sum[k] < -80 ? -80 : sum[k];
        out[k] = (float)(k == 2 ? exp(clamped) : 1 / (1 + exp(-sum[k])));
        if (!(mask >> k & 1)) out[k] = 0;
    }
}

// Runs the policy's own step over all tokens with one smoothing; it never leaves.
static void smooth(const sx_trace_record *r, const float *raw, const replay *all, uint32_t smoothing,
                   replay_boundary *boundaries)
{
    const replay_smoothing *how = &all->smoothings[smoothing];
    const SxSettings settings = {.policy = SX_POLICY_KIND_NONE,
                                 .smoothing = (uint32_t)how->kind - SX_SMOOTH_EWMA,
                                 .alpha = how->alpha,
                                 .split_mask = SX_TOKEN_SPLIT};
    SxThought thought = {.thinking = SX_THINKING_INSIDE};
    uint32_t next = 0;
    for (uint32_t i = 0; i < r->state_count; i++) {
        while (next < r->boundary_count && r->boundaries[next].index < r->state_index[i])
            next++;
        const bool here = next < r->boundary_count && r->boundaries[next].index == r->state_index[i];
        const sx_policy_token token = {.token = r->tokens[r->state_index[i]],
                                       .flags = here ? SX_TOKEN_SPLIT : 0,
                                       .generated = true,
                                       .history = r->tokens,
                                       .position = r->state_index[i],
                                       .raw = raw + 3 * (size_t)i,
                                       .entropy = NAN};
        sx_policy_step(&thought, &settings, &token);
        if (!here) continue;
        memcpy(boundaries[next].smoothed[smoothing], thought.smoothed, sizeof thought.smoothed);
        memcpy(boundaries[next].raw, raw + 3 * (size_t)i, sizeof boundaries[next].raw);
    }
}

static void set_outcomes(const sx_trace_record *r, replay_prompt *out)
{
    const uint32_t flag = out->known ? SX_TRACE_RIGHT : SX_TRACE_SAME_AS_FINAL;
    bool right = false; // before the first forced answer
    for (uint32_t i = 0; i < r->boundary_count; i++) {
        if (r->boundaries[i].flags & SX_TRACE_PROBED) right = (r->boundaries[i].flags & flag) != 0;
        out->boundaries[i].tokens = r->boundaries[i].index + 1;
        out->boundaries[i].right = right;
    }
}

static sx_status add_record(replay *r, const sx_trace_record *record, const float *rows, uint32_t width, uint32_t mask,
                            sx_error *error)
{
    if (r->count == r->capacity) {
        const uint32_t capacity = r->capacity ? 2 * r->capacity : 64;
        replay_prompt *grown = realloc(r->prompts, capacity * sizeof *grown);
        if (!grown) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the replay");
        r->prompts = grown;
        r->capacity = capacity;
    }
    replay_prompt *out = &r->prompts[r->count];
    float *raw = malloc((size_t)(record->state_count + 1) * 3 * sizeof *raw);
    *out = (replay_prompt){.boundaries = calloc(record->boundary_count + 1, sizeof *out->boundaries),
                           .boundary_count = record->boundary_count,
                           .tokens = record->thinking_count,
                           .hash = record->prompt_hash,
                           .known = (record->flags & SX_TRACE_KNOWN) != 0};
    if (!raw || !out->boundaries) {
        free(raw);
        free(out->boundaries);
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the replay");
    }
    r->count++;
    out->right = !out->known || (record->flags & SX_TRACE_RIGHT);
    for (uint32_t i = 0; i < record->state_count; i++)
        raw_signals(record->states + (size_t)i * width, rows, width, mask, raw + 3 * (size_t)i);
    for (uint32_t s = 0; s < r->smoothing_count; s++)
        smooth(record, raw, r, s, out->boundaries);
    set_outcomes(record, out);
    free(raw);
    return SX_OK;
}

sx_status replay_add(replay *r, const char *path, const float *rows, uint32_t width, uint32_t mask,
                     const sx_model_identity *model, sx_error *error)
{
    sx_trace_reader *reader;
    sx_trace_record record;
    sx_status status = sx_trace_reader_open(path, &reader, error);
    if (status != SX_OK) return status;
    const sx_trace_info *info = sx_trace_reader_info(reader);
    bool same = info->model.state_width == width && info->model.state_count == model->state_count;
    for (uint32_t i = 0; i < model->state_count && same; i++)
        same = info->model.state_layers[i] == model->state_layers[i];
    if (!same)
        status = sx_fail(error, SX_ERROR_MISMATCH,
                         "%s: holds other states (width %u) than the signal head reads (width %u); give the head that "
                         "was trained on it",
                         path, info->model.state_width, width);
    if (status == SX_OK && !info->every_token) {
        if (r->smoothings[0].kind != SX_SMOOTH_RAW)
            status =
                sx_fail(error, SX_ERROR_ARGUMENT,
                        "%s: holds states of step boundaries alone, on which nothing can be smoothed; trace without "
                        "--steps-only",
                        path);
        r->smoothing_count = 1;
        r->steps_only = true;
    }
    bool other_format = false;
    if (!r->trace_count++) r->info = *info;
    if (status == SX_OK) status = sx_trace_check_model(info, path, &r->info.model, &other_format, error);
    r->other_format = r->other_format || other_format;
    while (status == SX_OK && (status = sx_trace_reader_next(reader, &record, error)) == SX_OK)
        if (!(record.flags & SX_TRACE_UNFINISHED)) status = add_record(r, &record, rows, width, mask, error);
    sx_trace_reader_close(reader);
    return status == SX_PENDING ? SX_OK : status;
}

bool replay_in_half(const replay_prompt *prompt, int half)
{
    return half == REPLAY_ALL || (int)(prompt->hash >> 7 & 1) + 1 == half;
}

void replay_free(replay *r)
{
    for (uint32_t i = 0; i < r->count; i++)
        free(r->prompts[i].boundaries);
    free(r->prompts);
    memset(r, 0, sizeof *r);
}

uint32_t replay_exit(const replay_prompt *prompt, const sx_exit_rule *rule, uint32_t smoothing)
{
    const SxSettings settings = {.signal_mask = rule->signals,
                                 .confidence_threshold = rule->confidence,
                                 .progress_threshold = rule->progress,
                                 .remain_threshold = rule->remain};
    SxThought thought = {0};
    for (uint32_t i = 0; i < prompt->boundary_count; i++) {
        memcpy(thought.smoothed, prompt->boundaries[i].smoothed[smoothing], sizeof thought.smoothed);
        if (sx_policy_signals_pass(&thought, &settings)) return i;
    }
    return prompt->boundary_count;
}
