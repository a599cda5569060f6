// Profiles: rules of exit as files. calibrate.c of the command line writes them.
#include "base/file.h"
#include "model/json.h"
#include "specexit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROFILE_LIMIT = 1 << 20 };

static const char *const smoothing_names[] = {"auto", "ewma", "momentum", "mean", "paragraph-mean", "raw"};
enum { SMOOTHINGS = sizeof smoothing_names / sizeof *smoothing_names };

const char *sx_smoothing_name(sx_smoothing smoothing)
{
    return (unsigned)smoothing < SMOOTHINGS ? smoothing_names[smoothing] : "unknown";
}

void sx_exit_rule_apply(const sx_exit_rule *rule, sx_policy *policy)
{
    policy->kind = SX_POLICY_SIGNALS;
    policy->signals = rule->signals;
    if (rule->signals & SX_SIGNAL_HAS_CONFIDENCE) policy->confidence = rule->confidence;
    if (rule->signals & SX_SIGNAL_HAS_PROGRESS) policy->progress = rule->progress;
    if (rule->signals & SX_SIGNAL_HAS_REMAIN) policy->remain = rule->remain;
    if (rule->smoothing != SX_SMOOTH_AUTO) policy->smoothing = rule->smoothing;
    if (rule->alpha > 0) policy->alpha = rule->alpha;
}

static double number_of(const sx_json *object, const char *key)
{
    const sx_json *value = sx_json_find(object, key);
    return value && value->type == SX_JSON_NUMBER ? value->number : 0;
}

static const char *string_of(const sx_json *object, const char *key)
{
    const sx_json *value = sx_json_find(object, key);
    return value && value->type == SX_JSON_STRING ? value->string : "";
}

// False when it names a signal without its threshold, or none.
static bool read_rule(const sx_json *object, sx_exit_rule *rule)
{
    static const char *const names[] = {"confidence", "progress", "remain"};
    *rule = (sx_exit_rule){.accuracy = number_of(object, "accuracy"), .tokens = number_of(object, "thinking_tokens")};
    float *const thresholds[] = {&rule->confidence, &rule->progress, &rule->remain};
    const sx_json *list = sx_json_find(object, "signals");
    for (const sx_json *name = list && list->type == SX_JSON_ARRAY ? list->first : NULL; name; name = name->next)
        for (uint32_t k = 0; k < 3; k++) {
            if (name->type != SX_JSON_STRING || strcmp(name->string, names[k]) != 0) continue;
            rule->signals |= 1u << k; // SX_SIGNAL_HAS_*
            *thresholds[k] = (float)number_of(object, names[k]);
            if (!(*thresholds[k] > 0)) return false;
        }
    for (uint32_t i = 1; i < SMOOTHINGS; i++)
        if (strcmp(string_of(object, "smoothing"), smoothing_names[i]) == 0) rule->smoothing = (sx_smoothing)i;
    const double alpha = number_of(object, "alpha");
    rule->alpha = (float)alpha;
    return rule->signals && alpha >= 0 && alpha <= 1;
}

static bool read_rules(const sx_json *root, sx_profile *out)
{
    const sx_json *chosen = sx_json_find(root, "chosen"), *levels = sx_json_find(root, "levels");
    snprintf(out->model_name, sizeof out->model_name, "%s", string_of(root, "model"));
    out->full_accuracy = number_of(root, "full_accuracy");
    out->full_tokens = number_of(root, "full_thinking_tokens");
    out->has_chosen = chosen != NULL;
    if (chosen && !read_rule(chosen, &out->chosen)) return false;
    const sx_json *level = levels && levels->type == SX_JSON_ARRAY ? levels->first : NULL;
    for (; level && out->level_count < SX_PROFILE_LEVELS; level = level->next)
        if (!read_rule(level, &out->levels[out->level_count++])) return false;
    return out->has_chosen || out->level_count;
}

sx_status sx_profile_read(const char *path, sx_profile *out, sx_error *error)
{
    *out = (sx_profile){0};
    sx_file *file;
    sx_status status = sx_file_open(path, &file, error);
    if (status != SX_OK) return status;
    const sx_source *source = sx_file_source(file);
    sx_arena arena = {0};
    const sx_json *root = NULL;
    char *text = source->size <= PROFILE_LIMIT ? malloc((size_t)source->size + 1) : NULL;
    if (source->size > PROFILE_LIMIT)
        status = sx_fail(error, SX_ERROR_FORMAT, "%s: too large for a profile", path);
    else if (!text)
        status = sx_fail(error, SX_ERROR_MEMORY, "out of memory for %s", path);
    if (status == SX_OK) status = sx_source_read(source, 0, text, (size_t)source->size, error);
    if (status == SX_OK) status = sx_json_parse(text, (size_t)source->size, path, &arena, &root, error);
    if (status == SX_OK && !read_rules(root, out)) {
        *out = (sx_profile){0};
        status = sx_fail(error, SX_ERROR_FORMAT,
                         "%s: holds no rule that can be used; make it with `specexit calibrate -o`", path);
    }
    sx_arena_free(&arena);
    free(text);
    sx_file_close(file);
    return status;
}
