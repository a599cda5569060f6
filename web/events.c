#include "events.h"
#include "common/choices.h"

static const char *stage_name(sx_load_stage stage)
{
    static const char *const names[] = {"opening", "uploading", "compiling", "testing", "ready"};
    return (unsigned)stage < sizeof names / sizeof *names ? names[stage] : "opening";
}

void web_write_progress(json_writer *json, const sx_load_progress *progress)
{
    json_open(json, '{');
    json_put_string(json, "stage", stage_name(progress->stage));
    json_put_number(json, "fraction", progress->fraction);
    json_put_integer(json, "bytesLoaded", progress->bytes_loaded);
    json_put_integer(json, "bytesTotal", progress->bytes_total);
    json_close(json, '}');
}

static void write_signal_names(json_writer *json, uint32_t signals)
{
    json_put_open(json, "signals", '[');
    for (unsigned i = 0; i < 3; ++i)
        if (signals & 1u << i) json_string(json, fe_signal_names[i]);
    json_close(json, ']');
}

static void write_thresholds(json_writer *json, const sx_exit_thresholds *thresholds)
{
    json_put_open(json, "thresholds", '{');
    json_put_number(json, "confidence", (double)thresholds->confidence);
    json_put_number(json, "progress", (double)thresholds->progress);
    json_put_number(json, "remain", (double)thresholds->remain);
    json_put_number(json, "margin", (double)thresholds->margin);
    json_put_number(json, "entropy", (double)thresholds->entropy);
    json_close(json, '}');
}

void web_write_info(json_writer *json, const sx_engine_info *info)
{
    json_open(json, '{');
    json_put_string(json, "modelName", info->model_name);
    json_put_string(json, "architecture", info->architecture);
    json_put_string(json, "format", info->format);
    json_put_string(json, "templateName", info->template_name);
    json_put_string(json, "draftName", info->draft_name);
    json_put_string(json, "device", info->device);
    json_put_integer(json, "layers", info->layers);
    json_put_integer(json, "hidden", info->hidden);
    json_put_integer(json, "vocabulary", info->vocabulary);
    json_put_integer(json, "context", info->context);
    json_put_integer(json, "parameters", info->parameters);
    json_put_integer(json, "weightBytes", info->weight_bytes);
    json_put_integer(json, "kvBytes", info->kv_bytes);
    json_put_integer(json, "scratchBytes", info->scratch_bytes);
    write_signal_names(json, info->signals);
    write_thresholds(json, &info->thresholds);
    json_put_boolean(json, "thinks", info->thinks);
    json_put_boolean(json, "bitwiseLossless", info->bitwise_lossless);
    json_put_boolean(json, "bundled", info->bundled);
    json_put_string(json, "precision", fe_precision_names[info->precision]);
    json_put_number(json, "draftAcceptance", info->draft_acceptance);
    json_put_number(json, "loadSeconds", info->load_seconds);
    json_close(json, '}');
}

// The rule as options of a reply: policy, thresholds of its signals, smoothing.
static void write_rule(json_writer *json, const char *key, const sx_exit_rule *rule)
{
    if (key) json_key(json, key);
    json_open(json, '{');
    json_put_open(json, "options", '{');
    json_put_string(json, "policy", "signals");
    json_put_integer(json, "signals", rule->signals);
    if (rule->signals & SX_SIGNAL_HAS_CONFIDENCE) json_put_number(json, "confidence", (double)rule->confidence);
    if (rule->signals & SX_SIGNAL_HAS_PROGRESS) json_put_number(json, "progress", (double)rule->progress);
    if (rule->signals & SX_SIGNAL_HAS_REMAIN) json_put_number(json, "remain", (double)rule->remain);
    json_put_string(json, "smoothing", sx_smoothing_name(rule->smoothing));
    if (rule->alpha > 0) json_put_number(json, "alpha", (double)rule->alpha);
    json_close(json, '}');
    json_put_number(json, "accuracy", rule->accuracy);
    json_put_number(json, "tokens", rule->tokens);
    json_close(json, '}');
}

void web_write_profile(json_writer *json, const sx_profile *profile, bool other_format)
{
    json_open(json, '{');
    json_put_string(json, "modelName", profile->model_name);
    json_put_boolean(json, "otherFormat", other_format);
    json_put_number(json, "fullAccuracy", profile->full_accuracy);
    json_put_number(json, "fullTokens", profile->full_tokens);
    if (profile->has_chosen) write_rule(json, "chosen", &profile->chosen);
    json_put_open(json, "levels", '[');
    for (uint32_t i = 0; i < profile->level_count; ++i)
        write_rule(json, NULL, &profile->levels[i]);
    json_close(json, ']');
    json_close(json, '}');
}

static void write_stats(json_writer *json, const sx_stats *stats)
{
    json_put_open(json, "stats", '{');
    json_put_integer(json, "promptTokens", stats->prompt_tokens);
    json_put_integer(json, "reusedTokens", stats->reused_tokens);
    json_put_integer(json, "tokens", stats->tokens);
    json_put_integer(json, "thinkingTokens", stats->thinking_tokens);
    json_put_integer(json, "answerTokens", stats->answer_tokens);
    json_put_integer(json, "forcedTokens", stats->forced_tokens);
    json_put_integer(json, "cycles", stats->cycles);
    json_put_integer(json, "drafted", stats->drafted);
    json_put_integer(json, "accepted", stats->accepted);
    json_put_number(json, "acceptanceLength", stats->acceptance_length);
    json_put_integer(json, "submits", stats->submits);
    json_put_integer(json, "readbacks", stats->readbacks);
    json_put_integer(json, "readbackBytes", stats->readback_bytes);
    json_put_number(json, "prefillSeconds", stats->prefill_seconds);
    json_put_number(json, "decodeSeconds", stats->decode_seconds);
    json_put_number(json, "firstTokenSeconds", stats->first_token_seconds);
    json_close(json, '}');
}

static void write_triple(json_writer *json, const char *key, const sx_signals *signals)
{
    json_put_open(json, key, '{');
    json_put_number(json, "confidence", signals->confidence);
    json_put_number(json, "progress", signals->progress);
    json_put_number(json, "remain", signals->remain);
    json_close(json, '}');
}

static void write_signals(json_writer *json, const sx_event *event)
{
    json_put_integer(json, "tokenIndex", event->token_index);
    json_put_boolean(json, "boundary", event->boundary);
    if (event->has_signals) {
        write_triple(json, "raw", &event->raw);
        write_triple(json, "smoothed", &event->smoothed);
    }
    json_put_number(json, "margin", (double)event->margin);
    json_put_number(json, "entropy", (double)event->entropy);
}

static void write_text(json_writer *json, const sx_event *event)
{
    json_put_string(json, "kind", "text");
    json_put_string(json, "channel", event->channel == SX_CHANNEL_THINKING ? "thinking" : "answer");
    json_put_bytes(json, "text", event->text ? event->text : "", event->length);
    json_put_integer(json, "firstToken", event->first_token);
    json_put_integers(json, "tokens", event->tokens, event->token_count);
}

static void write_exit(json_writer *json, const sx_event *event)
{
    char sentence[256];
    sx_exit_sentence(event, sentence, sizeof sentence);
    json_put_string(json, "kind", "exit");
    json_put_string(json, "reason", sx_exit_reason_name(event->exit_reason));
    json_put_string(json, "sentence", sentence);
    write_signals(json, event);
}

void web_write_event(json_writer *json, const sx_event *event)
{
    json_open(json, '{');
    switch (event->kind) {
    case SX_EVENT_PREFILL:
        json_put_string(json, "kind", "prefill");
        json_put_integer(json, "done", event->prefill_done);
        json_put_integer(json, "total", event->prefill_total);
        break;
    case SX_EVENT_TEXT:
        write_text(json, event);
        break;
    case SX_EVENT_SIGNALS:
        json_put_string(json, "kind", "signals");
        write_signals(json, event);
        break;
    case SX_EVENT_EXIT:
        write_exit(json, event);
        break;
    case SX_EVENT_DONE:
        json_put_string(json, "kind", "done");
        json_put_string(json, "reason", sx_done_reason_name(event->done_reason));
        break;
    }
    // Per-token events come many to a cycle; the statistics ride on the others.
    if (event->kind != SX_EVENT_SIGNALS) write_stats(json, &event->stats);
    json_close(json, '}');
}
