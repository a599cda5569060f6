// specexit devices, models, info: what there is.
#include "commands.h"
#include "common/choices.h"
#include "common/json_writer.h"
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print(cli_context *context, const fe_text *text)
{
    cli_terminal_write(&context->terminal, fe_text_string(text), text->length, CLI_PLAIN);
}

static void print_line(void *user, const char *line)
{
    cli_context *context = user;
    cli_terminal_write(&context->terminal, line, strlen(line), CLI_PLAIN);
    cli_terminal_write(&context->terminal, "\n", 1, CLI_PLAIN);
}

static void device_json(fe_text *out, uint32_t index, const sx_device_info *device)
{
    json_writer json = {.out = out};
    json_open(&json, '{');
    json_put_integer(&json, "index", index);
    json_put_string(&json, "name", device->name);
    json_put_string(&json, "driver", device->driver);
    json_put_string(&json, "kind", device->kind);
    json_put_string(&json, "backend", device->backend);
    json_put_integer(&json, "memory_total", device->memory_total);
    json_put_integer(&json, "memory_budget", device->memory_budget);
    json_put_integer(&json, "subgroup_size", device->subgroup_size);
    json_put_boolean(&json, "fp16", device->fp16);
    json_put_boolean(&json, "integer_dot", device->integer_dot);
    json_put_boolean(&json, "cooperative_matrix", device->cooperative_matrix);
    json_put_boolean(&json, "unified_memory", device->unified_memory);
    json_close(&json, '}');
    fe_text_add(out, "\n");
}

static void device_text(fe_text *out, uint32_t index, const sx_device_info *device)
{
    fe_text_printf(out, "%u  %s\n   %s, %s, %s\n   memory: ", index, device->name, device->kind, device->backend,
                   device->driver);
    if (device->memory_total) {
        cli_format_bytes(out, device->memory_total);
    } else {
        fe_text_add(out, "unknown");
    }
    if (device->memory_budget) {
        fe_text_add(out, ", ");
        cli_format_bytes(out, device->memory_budget);
        fe_text_add(out, " to be had now");
    }
    fe_text_printf(out, "%s\n   features: subgroups of %u%s%s%s\n",
                   device->unified_memory ? ", shared with the CPU" : "", device->subgroup_size,
                   device->fp16 ? ", fp16" : "", device->integer_dot ? ", integer dot" : "",
                   device->cooperative_matrix ? ", cooperative matrix" : "");
}

int cli_devices(cli_context *context)
{
    sx_error error = {0};
    uint32_t count = 0;
    if (sx_list_devices(NULL, 0, &count, &error) != SX_OK) return cli_fail(context, "%s", error.message);
    sx_device_info *devices = fe_allocate(count, sizeof *devices);
    uint32_t capacity = count;
    sx_status status = sx_list_devices(devices, capacity, &count, &error);
    int code = CLI_EXIT_OK;
    if (status != SX_OK) {
        code = cli_fail(context, "%s", error.message);
    } else if (count == 0) {
        code = cli_fail(context, "no device with Vulkan was found; install a driver for the GPU, or "
                                 "mesa-vulkan-drivers, which also runs on the CPU");
    }
    fe_text out = {0};
    for (uint32_t i = 0; code == CLI_EXIT_OK && i < count && i < capacity; i++)
        (context->options.json ? device_json : device_text)(&out, i, &devices[i]);
    print(context, &out);
    fe_text_free(&out);
    free(devices);
    return code ? code : cli_finish_output(context);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

typedef struct model_names {
    char **names;
    size_t count;
} model_names;

static void add_model(void *user, const char *name)
{
    model_names *list = user;
    size_t length = strlen(name);
    if (length <= 5 || strcmp(name + length - 5, ".gguf") != 0) return;
    list->names = fe_reallocate(list->names, list->count + 1, sizeof *list->names);
    list->names[list->count++] = fe_copy_string(name);
}

// Names of the GGUF files in `folder`, sorted; `*count` 0 when there is no such folder.
static char **list_models(const char *folder, size_t *count)
{
    model_names list = {0};
    cli_platform_list(folder, add_model, &list);
    if (list.count) qsort(list.names, list.count, sizeof *list.names, by_name);
    *count = list.count;
    return list.names;
}

static void model_line(fe_text *out, const char *folder, char *name, bool as_json)
{
    uint64_t bytes = 0;
    fe_text path = {0};
    fe_text_printf(&path, "%s/%s", folder, name);
    cli_platform_exists(path.data, &bytes);
    name[strlen(name) - 5] = 0;
    if (as_json) {
        json_writer json = {.out = out};
        json_open(&json, '{');
        json_put_string(&json, "id", name);
        json_put_string(&json, "path", path.data);
        json_put_integer(&json, "bytes", bytes);
        json_close(&json, '}');
    } else {
        fe_text_printf(out, "%-28s ", name);
        cli_format_bytes(out, bytes);
    }
    fe_text_add(out, "\n");
    fe_text_free(&path);
}

int cli_models(cli_context *context)
{
    char *cache = cli_platform_cache_folder();
    if (!cache) return cli_fail(context, "neither HOME nor XDG_CACHE_HOME is set, so there is no cache to look into");
    fe_text folder = {0}, out = {0};
    fe_text_printf(&folder, "%s/models", cache);
    size_t count;
    char **names = list_models(folder.data, &count);
    for (size_t i = 0; i < count; i++) {
        model_line(&out, folder.data, names[i], context->options.json);
        free(names[i]);
    }
    if (count == 0 && !context->options.json)
        fprintf(stderr, "specexit: no models in %s; `sh tools/models.sh list` shows what can be fetched\n",
                folder.data);
    print(context, &out);
    free(names);
    free(cache);
    fe_text_free(&folder);
    fe_text_free(&out);
    return cli_finish_output(context);
}

static void engine_signals(fe_text *out, uint32_t signals)
{
    bool any = false;
    for (unsigned i = 0; i < 3; i++) {
        if (!(signals >> i & 1)) continue;
        fe_text_printf(out, "%s%s", any ? ", " : "", fe_signal_names[i]);
        any = true;
    }
    if (!any) fe_text_add(out, "none (thinking is left by margin)");
}

static void engine_thresholds(fe_text *out, const sx_engine_info *info)
{
    const sx_exit_thresholds *thresholds = &info->thresholds;
    if (!info->thinks) return;
    fe_text_add(out, "\nleft when      ");
    const char *separator = "";
    if (info->signals & SX_SIGNAL_HAS_CONFIDENCE) {
        fe_text_printf(out, "confidence > %.3g", (double)thresholds->confidence);
        separator = ", ";
    }
    if (info->signals & SX_SIGNAL_HAS_PROGRESS) {
        fe_text_printf(out, "%sprogress > %.3g", separator, (double)thresholds->progress);
        separator = ", ";
    }
    if (info->signals & SX_SIGNAL_HAS_REMAIN)
        fe_text_printf(out, "%sremain < %.4g tokens", separator, (double)thresholds->remain);
    if (!info->signals) fe_text_printf(out, "margin >= %.3g nats", (double)thresholds->margin);
}

static void engine_text(fe_text *out, const sx_engine_info *info)
{
    fe_text_printf(out, "model          %s%s\n", info->model_name, info->bundled ? " (bundled)" : "");
    fe_text_printf(out, "architecture   %s, %u layers, hidden %u, vocabulary %u, %.1f M parameters\n",
                   info->architecture, info->layers, info->hidden, info->vocabulary, (double)info->parameters * 1e-6);
    fe_text_printf(out, "format         %s\n", info->format);
    fe_text_printf(out, "chat template  %s, %s\n", info->template_name[0] ? info->template_name : "not recognised",
                   info->thinks ? "thinks" : "does not think by itself");
    fe_text_printf(out, "draft          %s", info->draft_name[0] ? info->draft_name : "none (n-gram lookup serves)");
    if (info->draft_acceptance > 0) fe_text_printf(out, ", %.2f tokens per cycle in its test", info->draft_acceptance);
    fe_text_add(out, "\nsignals        ");
    engine_signals(out, info->signals);
    engine_thresholds(out, info);
    fe_text_printf(out, "\ndevice         %s\n", info->device);
    fe_text_printf(out, "speculation    %s\n",
                   info->bitwise_lossless ? "lossless to the bit on this device"
                                          : "close, not lossless to the bit, on this device");
    if (info->precision == SX_PRECISION_FAST)
        fe_text_add(out, "precision      fast: activations in 8 bits against quantised weights\n");
    fe_text_printf(out, "context        %u tokens\nmemory         ", info->context);
    cli_format_bytes(out, info->weight_bytes);
    fe_text_add(out, " weights, ");
    cli_format_bytes(out, info->kv_bytes);
    fe_text_add(out, " keys and values, ");
    cli_format_bytes(out, info->scratch_bytes);
    fe_text_printf(out, " scratch\nloaded in      %.2f s\n", info->load_seconds);
}

static void engine_json(fe_text *out, const sx_engine_info *info)
{
    json_writer json = {.out = out};
    json_open(&json, '{');
    json_put_string(&json, "model", info->model_name);
    json_put_string(&json, "architecture", info->architecture);
    json_put_string(&json, "format", info->format);
    json_put_string(&json, "template", info->template_name);
    json_put_string(&json, "draft", info->draft_name);
    json_put_string(&json, "device", info->device);
    json_put_integer(&json, "layers", info->layers);
    json_put_integer(&json, "hidden", info->hidden);
    json_put_integer(&json, "vocabulary", info->vocabulary);
    json_put_integer(&json, "context", info->context);
    json_put_integer(&json, "parameters", info->parameters);
    json_put_integer(&json, "weight_bytes", info->weight_bytes);
    json_put_integer(&json, "kv_bytes", info->kv_bytes);
    json_put_integer(&json, "scratch_bytes", info->scratch_bytes);
    json_put_boolean(&json, "has_confidence", info->signals & SX_SIGNAL_HAS_CONFIDENCE);
    json_put_boolean(&json, "has_progress", info->signals & SX_SIGNAL_HAS_PROGRESS);
    json_put_boolean(&json, "has_remain", info->signals & SX_SIGNAL_HAS_REMAIN);
    json_put_number(&json, "confidence_threshold", (double)info->thresholds.confidence);
    json_put_number(&json, "progress_threshold", (double)info->thresholds.progress);
    json_put_number(&json, "remain_threshold", (double)info->thresholds.remain);
    json_put_boolean(&json, "thinks", info->thinks);
    json_put_boolean(&json, "bitwise_lossless", info->bitwise_lossless);
    json_put_boolean(&json, "bundled", info->bundled);
    json_put_string(&json, "precision", fe_precision_names[info->precision]);
    json_put_number(&json, "draft_acceptance", info->draft_acceptance);
    json_put_number(&json, "load_seconds", info->load_seconds);
    json_close(&json, '}');
    fe_text_add(out, "\n");
}

static void estimate_text(fe_text *out, const sx_memory_estimate *estimate)
{
    cli_format_bytes(out, estimate->weight_bytes);
    fe_text_add(out, " weights, ");
    cli_format_bytes(out, estimate->session_bytes);
    fe_text_printf(out, " for a conversation of %u tokens", estimate->context);
    if (estimate->budget) {
        fe_text_add(out, "; the device has ");
        cli_format_bytes(out, estimate->budget);
        if (estimate->fitting_context) {
            fe_text_printf(out, ", enough for %u tokens", estimate->fitting_context);
        } else {
            fe_text_add(out, ", too little");
        }
    }
    fe_text_add(out, "\n");
}

static void estimate_json(fe_text *out, const sx_memory_estimate *estimate)
{
    json_writer json = {.out = out};
    json_open(&json, '{');
    json_put_integer(&json, "weight_bytes", estimate->weight_bytes);
    json_put_integer(&json, "session_bytes", estimate->session_bytes);
    json_put_integer(&json, "budget", estimate->budget);
    json_put_integer(&json, "context", estimate->context);
    json_put_integer(&json, "fitting_context", estimate->fitting_context);
    json_close(&json, '}');
    fe_text_add(out, "\n");
}

static int info_estimate(cli_context *context)
{
    sx_memory_estimate estimate;
    const int code = cli_load_estimate(context, &estimate);
    if (code != CLI_EXIT_OK) return code;
    fe_text out = {0};
    (context->options.json ? estimate_json : estimate_text)(&out, &estimate);
    print(context, &out);
    fe_text_free(&out);
    return cli_finish_output(context);
}

int cli_info(cli_context *context)
{
    if (context->operand_count) {
        if (context->options.estimate) return cli_usage_error(context, "--estimate is of -m, not of FILE");
        if (context->options.model || context->options.draft)
            return cli_usage_error(context, "give FILE to list a file, or -m and -d to load a model, not both");
        if (context->options.json)
            return cli_usage_error(context, "--json is for the loaded model; leave FILE out and use -m");
        sx_error error = {0};
        if (sx_describe_file(context->operands[0], print_line, context, &error) != SX_OK)
            return cli_fail(context, "%s", error.message);
        return cli_finish_output(context);
    }
    if (context->options.estimate) return info_estimate(context);
    sx_engine *engine;
    int code = cli_load_engine(context, &engine);
    if (code != CLI_EXIT_OK) return code;
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    fe_text out = {0};
    (context->options.json ? engine_json : engine_text)(&out, &info);
    print(context, &out);
    fe_text_free(&out);
    sx_engine_destroy(engine);
    return cli_finish_output(context);
}
