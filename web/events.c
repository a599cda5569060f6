#include "events.h"

static const char *stage_name(sx_load_stage stage)
{
    static const char *const names[] = {"opening", "uploading", "compiling", "testing", "ready"};
    return (unsigned)stage < sizeof names / sizeof *names ? names[stage] : "opening";
}

void web_write_progress(web_json *json, const sx_load_progress *progress)
{
    json_raw(json, "{");
    json_text(json, "stage", stage_name(progress->stage));
    json_number(json, "fraction", progress->fraction);
    json_integer(json, "bytesLoaded", progress->bytes_loaded);
    json_integer(json, "bytesTotal", progress->bytes_total);
    json_raw(json, "}");
}

static void write_signal_names(web_json *json, uint32_t signals)
{
    static const char *const names[] = {"confidence", "progress", "remain"};
    json_key(json, "signals");
    json_raw(json, "[");
    for (unsigned i = 0; i < 3; ++i)
        if (signals & 1u << i) {
            json_element(json);
            json_raw(json, "\"");
            json_raw(json, names[i]);
            json_raw(json, "\"");
        }
    json_raw(json, "]");
}

static void write_thresholds(web_json *json, const sx_exit_thresholds *thresholds)
{
    json_key(json, "thresholds");
    json_raw(json, "{");
    json_number(json, "confidence", (double)thresholds->confidence);
    json_number(json, "progress", (double)thresholds->progress);
    json_number(json, "remain", (double)thresholds->remain);
    json_number(json, "margin", (double)thresholds->margin);
    json_number(json, "entropy", (double)thresholds->entropy);
    json_raw(json, "}");
}

void web_write_info(web_json *json, const sx_engine_info *info)
{
    json_raw(json, "{");
    json_text(json, "modelName", info->model_name);
    json_text(json, "architecture", info->architecture);
    json_text(json, "format", info->format);
    json_text(json, "templateName", info->template_name);
    json_text(json, "draftName", info->draft_name);
    json_text(json, "device", info->device);
    json_integer(json, "layers", info->layers);
    json_integer(json, "hidden", info->hidden);
    json_integer(json, "vocabulary", info->vocabulary);
    json_integer(json, "context", info->context);
    json_integer(json, "parameters", info->parameters);
    json_integer(json, "weightBytes", info->weight_bytes);
    json_integer(json, "kvBytes", info->kv_bytes);
    json_integer(json, "scratchBytes", info->scratch_bytes);
    write_signal_names(json, info->signals);
    write_thresholds(json, &info->thresholds);
    json_boolean(json, "thinks", info->thinks);
    json_boolean(json, "bitwiseLossless", info->bitwise_lossless);
    json_boolean(json, "bundled", info->bundled);
    json_number(json, "draftAcceptance", info->draft_acceptance);
    json_number(json, "loadSeconds", info->load_seconds);
    json_raw(json, "}");
}

// The rule as options of a reply: policy, thresholds of its signals, smoothing.
static void write_rule(web_json *json, const char *key, const sx_exit_rule *rule)
{
    if (key)
        json_key(json, key);
    else
        json_element(json);
    json_raw(json, "{");
    json_key(json, "options");
    json_raw(json, "{");
    json_text(json, "policy", "signals");
    json_integer(json, "signals", rule->signals);
    if (rule->signals & SX_SIGNAL_HAS_CONFIDENCE) json_number(json, "confidence", (double)rule->confidence);
    if (rule->signals & SX_SIGNAL_HAS_PROGRESS) json_number(json, "progress", (double)rule->progress);
    if (rule->signals & SX_SIGNAL_HAS_REMAIN) json_number(json, "remain", (double)rule->remain);
    json_text(json, "smoothing", sx_smoothing_name(rule->smoothing));
    if (rule->alpha > 0) json_number(json, "alpha", (double)rule->alpha);
    json_raw(json, "}");
    json_number(json, "accuracy", rule->accuracy);
    json_number(json, "tokens", rule->tokens);
    json_raw(json, "}");
}

void web_write_profile(web_json *json, const sx_profile *profile, bool other_format)
{
    json_raw(json, "{");
    json_text(json, "modelName", profile->model_name);
    json_boolean(json, "otherFormat", other_format);
    json_number(json, "fullAccuracy", profile->full_accuracy);
    json_number(json, "fullTokens", profile->full_tokens);
    if (profile->has_chosen) write_rule(json, "chosen", &profile->chosen);
    json_key(json, "levels");
    json_raw(json, "[");
    for (uint32_t i = 0; i < profile->level_count; ++i)
        write_rule(json, NULL, &profile->levels[i]);
    json_raw(json, "]}");
}

static void write_stats(web_json *json, const sx_stats *stats)
{
    json_key(json, "stats");
    json_raw(json, "{");
    json_integer(json, "promptTokens", stats->prompt_tokens);
    json_integer(json, "reusedTokens", stats->reused_tokens);
    json_integer(json, "tokens", stats->tokens);
    json_integer(json, "thinkingTokens", stats->thinking_tokens);
    json_integer(json, "answerTokens", stats->answer_tokens);
    json_integer(json, "forcedTokens", stats->forced_tokens);
    json_integer(json, "cycles", stats->cycles);
    json_integer(json, "drafted", stats->drafted);
    json_integer(json, "accepted", stats->accepted);
    json_number(json, "acceptanceLength", stats->acceptance_length);
    json_integer(json, "submits", stats->submits);
    json_integer(json, "readbacks", stats->readbacks);
    json_integer(json, "readbackBytes", stats->readback_bytes);
    json_number(json, "prefillSeconds", stats->prefill_seconds);
    json_number(json, "decodeSeconds", stats->decode_seconds);
    json_number(json, "firstTokenSeconds", stats->first_token_seconds);
    json_raw(json, "}");
}

static void write_triple(web_json *json, const char *key, const sx_signals *signals)
{
    json_key(json, key);
    json_raw(json, "{");
    json_number(json, "confidence", signals->confidence);
    json_number(json, "progress", signals->progress);
    json_number(json, "remain", signals->remain);
    json_raw(json, "}");
}

static void write_signals(web_json *json, const sx_event *event)
{
    json_integer(json, "tokenIndex", event->token_index);
    json_boolean(json, "boundary", event->boundary);
    if (event->has_signals) {
        write_triple(json, "raw", &event->raw);
        write_triple(json, "smoothed", &event->smoothed);
    }
    json_number(json, "margin", (double)event->margin);
    json_number(json, "entropy", (double)event->entropy);
}

static void write_text(web_json *json, const sx_event *event)
{
    json_text(json, "kind", "text");
    json_text(json, "channel", event->channel == SX_CHANNEL_THINKING ? "thinking" : "answer");
    json_key(json, "text");
    json_string(json, event->text ? event->text : "", event->length);
    json_integer(json, "firstToken", event->first_token);
    json_integers(json, "tokens", event->tokens, event->token_count);
}

static void write_exit(web_json *json, const sx_event *event)
{
    char sentence[256];
    sx_exit_sentence(event, sentence, sizeof sentence);
    json_text(json, "kind", "exit");
    json_text(json, "reason", sx_exit_reason_name(event->exit_reason));
    json_text(json, "sentence", sentence);
    write_signals(json, event);
}

void web_write_event(web_json *json, const sx_event *event)
{
    json_raw(json, "{");
    switch (event->kind) {
    case SX_EVENT_PREFILL:
        json_text(json, "kind", "prefill");
        json_integer(json, "done", event->prefill_done);
        json_integer(json, "total", event->prefill_total);
        break;
    case SX_EVENT_TEXT:
        write_text(json, event);
        break;
    case SX_EVENT_SIGNALS:
        json_text(json, "kind", "signals");
        write_signals(json, event);
        break;
    case SX_EVENT_EXIT:
        write_exit(json, event);
        break;
    case SX_EVENT_DONE:
        json_text(json, "kind", "done");
        json_text(json, "reason", sx_done_reason_name(event->done_reason));
        break;
    }
    // Per-token events come many to a cycle; the statistics ride on the others.
    if (event->kind != SX_EVENT_SIGNALS) write_stats(json, &event->stats);
    json_raw(json, "}");
}
