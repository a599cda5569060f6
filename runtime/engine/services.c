// The public functions around the engine: devices, text, names, descriptions of files.
#include "engine/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- Devices -------------------------------------------------------------------------------------------------------

static void fill_device(const sx_gpu_info *from, sx_device_info *to)
{
    static const char *const kinds[] = {"discrete", "integrated", "virtual", "cpu", "other"};
    static const char *const backends[] = {"", "vulkan", "webgpu", "null"};
    memset(to, 0, sizeof *to);
    _Static_assert(sizeof to->name == sizeof from->name && sizeof to->driver == sizeof from->driver, "whole names");
    memcpy(to->name, from->name, sizeof to->name);
    memcpy(to->driver, from->driver, sizeof to->driver);
    snprintf(to->kind, sizeof to->kind, "%s", kinds[from->kind]);
    snprintf(to->backend, sizeof to->backend, "%s", backends[from->backend]);
    to->memory_total = from->memory_total;
    to->memory_budget = from->memory_budget;
    to->subgroup_size = from->subgroup_size;
    to->fp16 = from->features & SX_GPU_FEATURE_FP16;
    to->integer_dot = from->features & SX_GPU_FEATURE_INT_DOT;
    to->cooperative_matrix = from->features & SX_GPU_FEATURE_COOPERATIVE_MATRIX;
    to->unified_memory = from->unified_memory;
}

sx_status sx_list_devices(sx_device_info *devices, uint32_t capacity, uint32_t *count, sx_error *error)
{
    sx_gpu_info infos[32];
    const sx_status status = sx_gpu_list(SX_GPU_BACKEND_DEFAULT, infos, 32, count, error);
    if (status != SX_OK) return status;
    for (uint32_t i = 0; i < *count && i < capacity && i < 32; i++)
        fill_device(&infos[i], &devices[i]);
    return SX_OK;
}

// ---- Text ----------------------------------------------------------------------------------------------------------

sx_status sx_engine_render(const sx_engine *engine, const sx_message *messages, uint32_t count, bool no_thinking,
                           char **out, sx_error *error)
{
    *out = NULL;
    if (engine->template_id == SX_TEMPLATE_NONE)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "template: %s carries no chat template this program knows; force one of: %s",
                       engine->info.model_name, sx_template_names());
    sx_prompt prompt = {0};
    const sx_template_options options = {.no_thinking = no_thinking};
    const sx_status status = sx_template_render(engine->template_id, messages, count, &options, &prompt, error);
    if (status == SX_OK) {
        *out = prompt.text;
        prompt.text = NULL;
    }
    sx_prompt_free(&prompt);
    return status;
}

sx_status sx_engine_tokenize(const sx_engine *engine, const char *text, size_t length, bool special, uint32_t **tokens,
                             uint32_t *count, sx_error *error)
{
    const size_t capacity = 3 * length + 8;
    size_t found = 0;
    *tokens = malloc(capacity * sizeof **tokens);
    const uint32_t flags = special ? SX_TOKENIZE_PARSE_SPECIAL : 0;
    if (!*tokens ||
        sx_tokenize(engine->tokenizer, text, length, flags, (int32_t *)*tokens, capacity, &found) != SX_OK) {
        free(*tokens);
        *tokens = NULL;
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory while tokenising");
    }
    *count = (uint32_t)found;
    return SX_OK;
}

sx_status sx_engine_detokenize(const sx_engine *engine, const uint32_t *tokens, uint32_t count, char **text,
                               size_t *length, sx_error *error)
{
    *text = NULL;
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i] >= engine->hparams.vocabulary)
            return sx_fail(error, SX_ERROR_ARGUMENT, "tokens: number %u is %u, the vocabulary has %u", i, tokens[i],
                           engine->hparams.vocabulary);
    const int32_t *ids = (const int32_t *)tokens;
    *length = sx_detokenize(engine->tokenizer, ids, count, SX_DETOKENIZE_SPECIAL, NULL, 0);
    *text = malloc(*length + 1);
    if (!*text) return sx_fail(error, SX_ERROR_MEMORY, "out of memory while detokenising");
    sx_detokenize(engine->tokenizer, ids, count, SX_DETOKENIZE_SPECIAL, *text, *length);
    (*text)[*length] = 0;
    return SX_OK;
}

// ---- Names ---------------------------------------------------------------------------------------------------------

const char *sx_exit_reason_name(sx_exit_reason reason)
{
    static const char *const names[] = {"none", "natural",     "signals",     "margin",    "entropy",
                                        "loop", "soft-budget", "hard-budget", "answer-now"};
    return (size_t)reason < sizeof names / sizeof *names ? names[reason] : "unknown";
}

const char *sx_done_reason_name(sx_done_reason reason)
{
    static const char *const names[] = {"none", "end-of-turn", "maximum", "stop-string", "looped", "stopped"};
    return (size_t)reason < sizeof names / sizeof *names ? names[reason] : "unknown";
}

void sx_exit_sentence(const sx_event *event, char *text, size_t size)
{
    const sx_signals *s = &event->smoothed;
    switch (event->exit_reason) {
    case SX_REASON_NATURAL:
        snprintf(text, size, "the model finished thinking by itself");
        return;
    case SX_REASON_SIGNALS:
        snprintf(text, size, "left early: %.0f %% confident, %.0f %% done, about %.0f tokens left",
                 100 * (double)s->confidence, 100 * (double)s->progress, (double)s->remain);
        return;
    case SX_REASON_MARGIN:
        snprintf(text, size, "left early: closing was within %.1f nats of going on", -(double)event->margin);
        return;
    case SX_REASON_ENTROPY:
        snprintf(text, size, "left early: only %.2f nats of doubt about the answer", (double)event->entropy);
        return;
    case SX_REASON_LOOP:
        snprintf(text, size, "stopped: the thinking went round in a loop");
        return;
    case SX_REASON_SOFT_BUDGET:
    case SX_REASON_HARD_BUDGET:
        snprintf(text, size, "stopped: the thinking budget was spent");
        return;
    case SX_REASON_ANSWER_NOW:
        snprintf(text, size, "stopped: you asked for the answer");
        return;
    case SX_REASON_NONE:
        break;
    }
    snprintf(text, size, "still thinking");
}

// ---- Files ---------------------------------------------------------------------------------------------------------

static void describe_value(const sx_gguf_value *value, char *text, size_t size)
{
    const sx_gguf_type type = value->type == SX_GGUF_ARRAY ? value->element_type : value->type;
    if (value->type == SX_GGUF_ARRAY)
        snprintf(text, size, "%.*s = array of %llu", (int)value->key.length, value->key.data,
                 (unsigned long long)value->count);
    else if (type == SX_GGUF_STRING) {
        const sx_gguf_string string = sx_gguf_string_at(value, 0);
        const int shown = string.length > 80 ? 80 : (int)string.length;
        snprintf(text, size, "%.*s = \"%.*s%s\"", (int)value->key.length, value->key.data, shown, string.data,
                 string.length > 80 ? "..." : "");
        for (char *c = text; *c; c++)
            if ((unsigned char)*c < 32) *c = ' ';
    } else
        snprintf(text, size, "%.*s = %.9g", (int)value->key.length, value->key.data, sx_gguf_number_at(value, 0));
}

sx_status sx_describe_file(const char *path, void (*line)(void *user, const char *text), void *user, sx_error *error)
{
    sx_model_files *files = NULL;
    const sx_status status = sx_model_files_open(path, &files, error);
    if (status != SX_OK) return status;
    char text[512];
    const sx_gguf *metadata = sx_model_files_metadata(files);
    snprintf(text, sizeof text, "GGUF version %u, %zu file(s), %.1f MiB, %llu keys, %llu tensors",
             sx_gguf_version(metadata), sx_model_files_count(files), (double)sx_model_files_bytes(files) / 1048576,
             (unsigned long long)sx_gguf_value_count(metadata), (unsigned long long)sx_model_files_tensor_count(files));
    line(user, text);
    for (uint64_t i = 0; i < sx_gguf_value_count(metadata); i++) {
        describe_value(sx_gguf_value_at(metadata, i), text, sizeof text);
        line(user, text);
    }
    for (uint64_t i = 0; i < sx_model_files_tensor_count(files); i++) {
        const sx_gguf_tensor *tensor = sx_model_files_tensor_at(files, i, NULL);
        const uint64_t *d = tensor->dimensions;
        snprintf(text, sizeof text, "%-40.*s %-8s [%llu, %llu, %llu, %llu] %llu bytes", (int)tensor->name.length,
                 tensor->name.data, tensor->supported ? sx_format_get(tensor->format)->name : "unsupported",
                 (unsigned long long)d[0], (unsigned long long)d[1], (unsigned long long)d[2], (unsigned long long)d[3],
                 (unsigned long long)tensor->size);
        line(user, text);
    }
    sx_model_files_close(files);
    return SX_OK;
}
