// From a caller's generate_desc to the settings block the kernels read.
#include "engine/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Where the file was not calibrated: the reference's thresholds; its smoothing factor of 0.1 per cycle of about three
// tokens, expressed per token: 1 - (1 - 0.1)^(1/3).
static const float default_confidence = 0.8f, default_progress = 0.3f, default_remain = 200.0f;
static const float default_alpha = 0.0345f;
static const float default_margin = -3.0f, default_entropy = 0.5f;
// A text counts as a loop when a stretch repeats this often and this many tokens say nothing new.
enum { LOOP_REPEATS = 4, LOOP_TOKENS = 64 };

sx_status sx_engine_token_list(const sx_engine *engine, const char *text, sx_token_list *out, sx_error *error)
{
    size_t count = 0;
    int32_t tokens[SX_MAX_FORCED];
    sx_status status =
        sx_tokenize(engine->tokenizer, text, strlen(text), SX_TOKENIZE_PARSE_SPECIAL, tokens, SX_MAX_FORCED, &count);
    if (status != SX_OK) return sx_fail(error, status, "out of memory while reading \"%.40s\"", text);
    if (count > SX_MAX_FORCED)
        return sx_fail(error, SX_ERROR_ARGUMENT, "exit message: it has %zu tokens, at most %d fit; shorten it", count,
                       SX_MAX_FORCED);
    out->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++)
        out->tokens[i] = (uint32_t)tokens[i];
    return SX_OK;
}

static sx_status check_range(float value, float low, float high, const char *name, sx_error *error)
{
    if (value >= low && value <= high) return SX_OK; // false for NaN
    return sx_fail(error, SX_ERROR_ARGUMENT, "%s: %g is outside of %g..%g", name, (double)value, (double)low,
                   (double)high);
}

static sx_status fill_sampling(const sx_sampling *sampling, uint32_t vocabulary, SxSettings *out, sx_error *error)
{
    struct {
        float value, low, high;
        const char *name;
    } checks[] = {
        {sampling->temperature, 0, 100, "temperature"},
        {sampling->top_p, 0, 1, "top-p"},
        {sampling->min_p, 0, 1, "min-p"},
        {sampling->presence_penalty, -100, 100, "presence penalty"},
        {sampling->frequency_penalty, -100, 100, "frequency penalty"},
        {sampling->repetition_penalty, 0, 100, "repetition penalty"},
    };
    for (size_t i = 0; i < sizeof checks / sizeof *checks; i++) {
        const sx_status status = check_range(checks[i].value, checks[i].low, checks[i].high, checks[i].name, error);
        if (status != SX_OK) return status;
    }
    if (sampling->bias_count > SX_MAX_BIAS)
        return sx_fail(error, SX_ERROR_ARGUMENT, "logit bias: %u entries, at most %d are possible",
                       sampling->bias_count, SX_MAX_BIAS);
    out->temperature = sampling->temperature;
    out->top_k = sampling->top_k;
    out->top_p = sampling->top_p > 0 ? sampling->top_p : 1;
    out->min_p = sampling->min_p;
    out->presence_penalty = sampling->presence_penalty;
    out->frequency_penalty = sampling->frequency_penalty;
    out->repetition_penalty = sampling->repetition_penalty > 0 ? sampling->repetition_penalty : 1;
    out->seed_low = (uint32_t)sampling->seed;
    out->seed_high = (uint32_t)(sampling->seed >> 32);
    out->bias_count = sampling->bias_count;
    for (uint32_t i = 0; i < sampling->bias_count; i++) {
        if (sampling->bias_tokens[i] >= vocabulary)
            return sx_fail(error, SX_ERROR_ARGUMENT, "logit bias: token %u does not exist, the vocabulary has %u",
                           sampling->bias_tokens[i], vocabulary);
        const sx_status status = check_range(sampling->bias_values[i], -1e4f, 1e4f, "logit bias", error);
        if (status != SX_OK) return status;
        out->bias_token[i] = sampling->bias_tokens[i];
        out->bias_value[i] = sampling->bias_values[i];
    }
    return SX_OK;
}

bool sx_settings_penalised(const SxSettings *settings)
{
    return settings->presence_penalty != 0 || settings->frequency_penalty != 0 || settings->repetition_penalty != 1;
}

bool sx_settings_greedy(const SxSettings *settings)
{
    return settings->temperature <= 0 && !sx_settings_penalised(settings) && !settings->bias_count;
}

static uint32_t smoothing_by_name(const char *name)
{
    static const char *const names[] = {"ewma", "momentum", "mean", "paragraph_mean", "raw"};
    for (uint32_t i = 0; name && i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i])) return i;
    return SX_SMOOTHING_EWMA;
}

static float choose(float value, float fallback)
{
    return isnan(value) ? fallback : value;
}

sx_exit_thresholds sx_settings_thresholds(const sx_engine *engine)
{
    const sx_exit_defaults *exit = &engine->exit;
    return (sx_exit_thresholds){.confidence = choose(exit->confidence, default_confidence),
                                .progress = choose(exit->progress, default_progress),
                                .remain = choose(exit->remain, default_remain),
                                .margin = default_margin,
                                .entropy = default_entropy};
}

static float asked_or(float asked, float usual)
{
    return asked != 0 ? asked : usual;
}

static sx_status fill_policy(const sx_engine *engine, const sx_policy *policy, SxSettings *out, sx_error *error)
{
    sx_policy_kind kind = policy->kind;
    if (kind == SX_POLICY_AUTO)
        kind = !engine->close.count ? SX_POLICY_NONE : engine->signal_mask ? SX_POLICY_SIGNALS : SX_POLICY_MARGIN;
    const uint32_t mask = policy->signals ? policy->signals : engine->signal_mask;
    if (kind == SX_POLICY_SIGNALS && (!engine->signal_mask || (mask & ~engine->signal_mask)))
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "policy: the model has no %s signal; give a draft or signal head that has it, or choose another "
                       "policy",
                       !engine->signal_mask                             ? "exit"
                       : mask & ~engine->signal_mask & SX_SIGNAL_REMAIN ? "remain"
                                                                        : "such");
    out->policy = kind == SX_POLICY_NONE      ? SX_POLICY_KIND_NONE
                  : kind == SX_POLICY_SIGNALS ? SX_POLICY_KIND_SIGNALS
                  : kind == SX_POLICY_MARGIN  ? SX_POLICY_KIND_MARGIN
                                              : SX_POLICY_KIND_ENTROPY;
    out->signal_mask = mask;
    const sx_exit_defaults *exit = &engine->exit;
    out->smoothing = policy->smoothing == SX_SMOOTH_AUTO ? smoothing_by_name(exit->smoothing)
                                                         : (uint32_t)policy->smoothing - SX_SMOOTH_EWMA;
    out->reference_mode = policy->reference_mode;
    out->alpha = asked_or(policy->alpha, policy->reference_mode ? 0.1f : choose(exit->alpha, default_alpha));
    const sx_exit_thresholds usual = sx_settings_thresholds(engine);
    out->confidence_threshold = asked_or(policy->confidence, usual.confidence);
    out->progress_threshold = asked_or(policy->progress, usual.progress);
    out->remain_threshold = asked_or(policy->remain, usual.remain);
    out->margin_threshold = asked_or(policy->margin, usual.margin);
    out->entropy_threshold = asked_or(policy->entropy, usual.entropy);
    out->minimum_thinking = policy->minimum_thinking;
    out->soft_budget = policy->soft_budget;
    out->hard_budget = policy->hard_budget;
    out->loop_repeats = policy->no_loop_guard ? 0 : LOOP_REPEATS;
    out->loop_tokens = LOOP_TOKENS;
    out->split_mask = policy->reference_splits ? SX_TOKEN_SPLIT_REFERENCE : SX_TOKEN_SPLIT;
    return check_range(out->alpha, 0, 1, "smoothing factor", error);
}

// Appends what an exit forces.
static sx_status force(const sx_token_list *list, SxSettings *out, sx_error *error)
{
    if (out->exit_count + list->count > SX_MAX_FORCED)
        return sx_fail(error, SX_ERROR_ARGUMENT,
                       "exit message: with the close marker it has %u tokens, at most %d fit; "
                       "shorten it",
                       out->exit_count + list->count, SX_MAX_FORCED);
    memcpy(out->exit_tokens + out->exit_count, list->tokens, list->count * sizeof(uint32_t));
    out->exit_count += list->count;
    return SX_OK;
}

static sx_status fill_markers(const sx_engine *engine, const sx_generate_desc *desc, SxSettings *out, sx_error *error)
{
    // A model that was not trained to think ends its turn when it has thought, and would end it again behind a marker
    // that says nothing to it: the end of the turn closes its thinking, and the answer is begun for it, also where it
    // has written the marker itself and says no more.
    const bool untrained = desc->prefill_thinking && !engine->info.thinks;
    out->open_count = engine->open.count;
    out->close_count = engine->close.count;
    memcpy(out->open, engine->open.tokens, engine->open.count * sizeof(uint32_t));
    memcpy(out->close, engine->close.tokens, engine->close.count * sizeof(uint32_t));
    if (!engine->close.count) return SX_OK;
    const sx_template_info *facts = sx_template_facts(engine->template_id);
    const char *message = desc->policy.exit_message ? desc->policy.exit_message
                          : engine->says_at_exit    ? engine->exit_message
                          : untrained               ? "\n"
                          : facts                   ? facts->exit_message
                                                    : "";
    sx_token_list before = {0}, behind = {0};
    sx_status status = sx_engine_token_list(engine, message, &before, error);
    if (status == SX_OK && untrained) status = sx_engine_token_list(engine, "\n\nThe answer is", &behind, error);
    if (status == SX_OK) status = force(&before, out, error);
    if (status == SX_OK) status = force(&engine->close, out, error);
    if (status == SX_OK) status = force(&behind, out, error);
    out->end_closes = untrained;
    out->answer_count = behind.count;
    return status;
}

sx_status sx_settings_fill(const sx_engine *engine, const sx_generate_desc *desc, uint32_t prompt_count,
                           uint32_t context, SxSettings *out, sx_error *error)
{
    memset(out, 0, sizeof *out);
    out->vocabulary = engine->hparams.vocabulary;
    out->suppress_close_position = SX_NONE;
    out->end_position = context;
    if (desc->maximum_tokens && desc->maximum_tokens < context - prompt_count)
        out->end_position = prompt_count + desc->maximum_tokens;
    sx_status status = fill_sampling(&desc->sampling, out->vocabulary, out, error);
    if (status == SX_OK) status = fill_policy(engine, &desc->policy, out, error);
    if (status == SX_OK) status = fill_markers(engine, desc, out, error);
    return status;
}
