// Profiles: rules of exit as files, written and read.
#include "base/file.h"
#include "base/hash.h"
#include "model/json.h"
#include "specexit_signals.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROFILE_LIMIT = 1 << 20, SIGNALS = 3 };

static const char *const signal_names[SIGNALS] = {"confidence", "progress", "remain"};
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

// ---- Writing -------------------------------------------------------------------------------------------------------

typedef struct writing {
    char *text;
    size_t length, capacity;
    bool failed;
} writing;

static void put(writing *w, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const size_t room = w->capacity - w->length;
    const int needed = vsnprintf(w->text ? w->text + w->length : NULL, w->text ? room : 0, format, arguments);
    va_end(arguments);
    if (w->failed || needed < 0) return;
    if (w->text && (size_t)needed < room) {
        w->length += (size_t)needed;
        return;
    }
    const size_t capacity = 2 * w->capacity + (size_t)needed + 1024;
    char *grown = realloc(w->text, capacity);
    w->failed = !grown;
    if (!grown) return;
    w->text = grown;
    w->capacity = capacity;
    va_start(arguments, format);
    w->length += (size_t)vsnprintf(w->text + w->length, w->capacity - w->length, format, arguments);
    va_end(arguments);
}

// A name without what JSON would have to escape.
static void put_name(writing *w, const char *name)
{
    put(w, "\"");
    for (; *name; name++)
        put(w, "%c", (unsigned char)*name < ' ' || *name == '"' || *name == '\\' ? ' ' : *name);
    put(w, "\"");
}

static void put_rule(writing *w, const sx_exit_rule *rule)
{
    const float values[SIGNALS] = {rule->confidence, rule->progress, rule->remain};
    const char *separator = "";
    put(w, "{\"signals\": [");
    for (int k = 0; k < SIGNALS; k++) {
        if (!(rule->signals >> k & 1)) continue;
        put(w, "%s\"%s\"", separator, signal_names[k]);
        separator = ", ";
    }
    put(w, "]");
    for (int k = 0; k < SIGNALS; k++)
        if (rule->signals >> k & 1) put(w, ", \"%s\": %.9g", signal_names[k], (double)values[k]);
    put(w, ", \"smoothing\": \"%s\"", sx_smoothing_name(rule->smoothing));
    if (rule->smoothing == SX_SMOOTH_EWMA) put(w, ", \"alpha\": %.9g", (double)rule->alpha);
    put(w, ", \"accuracy\": %.9g, \"thinking_tokens\": %.9g}", rule->accuracy, rule->tokens);
}

static void put_rules(writing *w, const char *key, const sx_exit_rule *rules, uint32_t count)
{
    put(w, ",\n \"%s\": [", key);
    for (uint32_t i = 0; i < count; i++) {
        put(w, i ? ",\n  " : "\n  ");
        put_rule(w, &rules[i]);
    }
    put(w, "]");
}

static void put_range(writing *w, const sx_signal_range *range)
{
    if (!range->steps) return;
    put(w, ",\n \"range\": {\"signals\": %u, \"limit\": %.9g, \"share\": %.9g, \"steps\": [", range->signals,
        range->limit, range->share);
    for (uint32_t step = 0; step < range->steps; step++) {
        put(w, "%s\n  {\"mean\": [", step ? "," : "");
        for (int i = 0; i < SX_RANGE_VALUES; i++)
            put(w, "%s%.9g", i ? ", " : "", range->mean[step][i]);
        put(w, "], \"scale\": [");
        for (int i = 0; i < SX_RANGE_VALUES; i++)
            for (int j = 0; j <= i; j++)
                put(w, "%s%.9g", i ? ", " : "", range->scale[step][i][j]);
        put(w, "]}");
    }
    put(w, "]}");
}

char *sx_profile_text(const sx_calibration *c)
{
    writing w = {0};
    put(&w, "{\"model\": ");
    put_name(&w, c->model_name);
    put(&w, ", \"model_fingerprint\": \"%016llx\", \"model_family\": \"%016llx\",\n",
        (unsigned long long)c->model.exact, (unsigned long long)c->model.family);
    put(&w, " \"prompts\": %u, \"full_accuracy\": %.9g, \"full_thinking_tokens\": %.9g", c->prompts, c->full_accuracy,
        c->full_tokens);
    if (c->has_choice) {
        put(&w, ",\n \"chosen\": ");
        put_rule(&w, &c->choice);
    }
    if (c->has_certified) {
        put(&w, ",\n \"certified\": ");
        put_rule(&w, &c->certified);
        put(&w, ",\n \"certified_risk\": %.9g, \"certified_prompts\": %u", c->risk, c->risk_prompts);
    }
    put_rules(&w, "levels", c->levels, c->level_count);
    put_range(&w, &c->range);
    put_rules(&w, "frontier", c->frontier, c->frontier_count);
    put(&w, "}\n");
    if (!w.failed) return w.text;
    free(w.text);
    return NULL;
}

// ---- Reading -------------------------------------------------------------------------------------------------------

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
    *rule = (sx_exit_rule){.accuracy = number_of(object, "accuracy"), .tokens = number_of(object, "thinking_tokens")};
    float *const thresholds[] = {&rule->confidence, &rule->progress, &rule->remain};
    const sx_json *list = sx_json_find(object, "signals");
    for (const sx_json *name = list && list->type == SX_JSON_ARRAY ? list->first : NULL; name; name = name->next)
        for (uint32_t k = 0; k < SIGNALS; k++) {
            if (name->type != SX_JSON_STRING || strcmp(name->string, signal_names[k]) != 0) continue;
            rule->signals |= 1u << k; // SX_SIGNAL_HAS_*
            *thresholds[k] = (float)number_of(object, signal_names[k]);
            if (!(*thresholds[k] > 0)) return false;
        }
    for (uint32_t i = 1; i < SMOOTHINGS; i++)
        if (strcmp(string_of(object, "smoothing"), smoothing_names[i]) == 0) rule->smoothing = (sx_smoothing)i;
    const double alpha = number_of(object, "alpha");
    rule->alpha = (float)alpha;
    return rule->signals && alpha >= 0 && alpha <= 1;
}

// Exactly `count` finite numbers.
static bool read_list(const sx_json *object, const char *key, double *out, uint32_t count)
{
    const sx_json *list = sx_json_find(object, key);
    if (!list || list->type != SX_JSON_ARRAY || list->count != count) return false;
    for (const sx_json *item = list->first; item; item = item->next) {
        if (item->type != SX_JSON_NUMBER || !(fabs(item->number) < 1e12)) return false;
        *out++ = item->number;
    }
    return true;
}

static bool read_range(const sx_json *object, sx_signal_range *range)
{
    enum { TRIANGLE = SX_RANGE_VALUES * (SX_RANGE_VALUES + 1) / 2 };
    const sx_json *steps = sx_json_find(object, "steps");
    const double signals = number_of(object, "signals");
    double scale[TRIANGLE];
    *range = (sx_signal_range){.limit = number_of(object, "limit"), .share = number_of(object, "share")};
    if (!(signals >= 1 && signals <= 7 && range->limit > 0) || !steps || steps->count > SX_RANGE_STEPS) return false;
    range->signals = (uint32_t)signals;
    for (const sx_json *step = steps->first; step; step = step->next) {
        const uint32_t at = range->steps++;
        if (!read_list(step, "mean", range->mean[at], SX_RANGE_VALUES) || !read_list(step, "scale", scale, TRIANGLE))
            return false;
        const double *next = scale;
        for (int i = 0; i < SX_RANGE_VALUES; i++)
            for (int j = 0; j <= i; j++)
                range->scale[at][i][j] = *next++;
    }
    return true;
}

// 16 hexadecimal digits, or nothing.
static bool read_hash(const sx_json *root, const char *key, uint64_t *out)
{
    return sx_json_find(root, key) ? sx_hash_read(string_of(root, key), out) : true;
}

static bool read_rules(const sx_json *root, sx_profile *out)
{
    const sx_json *chosen = sx_json_find(root, "chosen"), *levels = sx_json_find(root, "levels");
    const sx_json *range = sx_json_find(root, "range");
    snprintf(out->model_name, sizeof out->model_name, "%s", string_of(root, "model"));
    out->full_accuracy = number_of(root, "full_accuracy");
    out->full_tokens = number_of(root, "full_thinking_tokens");
    out->has_chosen = chosen != NULL;
    if (chosen && !read_rule(chosen, &out->chosen)) return false;
    const sx_json *level = levels && levels->type == SX_JSON_ARRAY ? levels->first : NULL;
    for (; level && out->level_count < SX_PROFILE_LEVELS; level = level->next)
        if (!read_rule(level, &out->levels[out->level_count++])) return false;
    if (range && !read_range(range, &out->range)) return false;
    if (!read_hash(root, "model_fingerprint", &out->model_exact) ||
        !read_hash(root, "model_family", &out->model_family))
        return false;
    return out->has_chosen || out->level_count;
}

sx_status sx_profile_parse(const char *text, size_t length, const char *name, sx_profile *out, sx_error *error)
{
    sx_arena arena = {0};
    const sx_json *root = NULL;
    *out = (sx_profile){0};
    sx_status status = sx_json_parse(text, length, name, &arena, &root, error);
    if (status == SX_OK && !read_rules(root, out)) {
        *out = (sx_profile){0};
        status = sx_fail(error, SX_ERROR_FORMAT,
                         "%s: holds no rule that can be used; make it with `specexit calibrate -o`", name);
    }
    sx_arena_free(&arena);
    return status;
}

sx_status sx_profile_read(const char *path, sx_profile *out, sx_error *error)
{
    *out = (sx_profile){0};
    sx_file *file;
    sx_status status = sx_file_open(path, &file, error);
    if (status != SX_OK) return status;
    const sx_source *source = sx_file_source(file);
    char *text = source->size <= PROFILE_LIMIT ? malloc((size_t)source->size + 1) : NULL;
    if (source->size > PROFILE_LIMIT)
        status = sx_fail(error, SX_ERROR_FORMAT, "%s: too large for a profile", path);
    else if (!text)
        status = sx_fail(error, SX_ERROR_MEMORY, "out of memory for %s", path);
    if (status == SX_OK) status = sx_source_read(source, 0, text, (size_t)source->size, error);
    if (status == SX_OK) status = sx_profile_parse(text, (size_t)source->size, path, out, error);
    free(text);
    sx_file_close(file);
    return status;
}

sx_status sx_profile_check(const sx_profile *profile, const char *name, const sx_engine_info *info, bool *other_format,
                           sx_error *error)
{
    if (other_format) *other_format = profile->model_exact && profile->model_exact != info->model_exact;
    if (!profile->model_family || profile->model_family == info->model_family) return SX_OK;
    return sx_fail(error, SX_ERROR_MISMATCH,
                   "%s: was calibrated on another model (%.120s); calibrate this one: `specexit trace`, then `specexit "
                   "calibrate`",
                   name, profile->model_name);
}
