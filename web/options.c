#include "options.h"
#include "common/choices.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum field_type { FIELD_FLOAT, FIELD_UINT, FIELD_UINT64, FIELD_BOOL, FIELD_CHOICE, FIELD_STRING } field_type;

typedef struct field {
    const char *key;
    field_type type;
    size_t offset;
    const char *const *choices; // of FIELD_CHOICE, NULL-terminated
} field;

#define ENGINE(member) offsetof(sx_engine_desc, member)
static const field engine_fields[] = {
    {"context", FIELD_UINT, ENGINE(context), 0},
    {"kv_type", FIELD_CHOICE, ENGINE(kv_type), fe_kv_names},
    {"precision", FIELD_CHOICE, ENGINE(precision), fe_precision_names},
    {"quantize_draft", FIELD_BOOL, ENGINE(quantize_draft), 0},
    {"no_draft", FIELD_BOOL, ENGINE(no_draft), 0},
    {"template", FIELD_STRING, ENGINE(template_name), 0},
    {"selftest_known", FIELD_BOOL, ENGINE(selftest.known), 0},
    {"selftest_lossless", FIELD_BOOL, ENGINE(selftest.bitwise_lossless), 0},
    {"selftest_acceptance", FIELD_FLOAT, ENGINE(selftest.draft_acceptance), 0},
};

#define GENERATE(member) offsetof(sx_generate_desc, member)
static const field generate_fields[] = {
    {"prompt", FIELD_STRING, GENERATE(prompt), 0},
    {"no_thinking", FIELD_BOOL, GENERATE(no_thinking), 0},
    {"prefill_thinking", FIELD_BOOL, GENERATE(prefill_thinking), 0},
    {"maximum_tokens", FIELD_UINT, GENERATE(maximum_tokens), 0},
    {"temperature", FIELD_FLOAT, GENERATE(sampling.temperature), 0},
    {"top_k", FIELD_UINT, GENERATE(sampling.top_k), 0},
    {"top_p", FIELD_FLOAT, GENERATE(sampling.top_p), 0},
    {"min_p", FIELD_FLOAT, GENERATE(sampling.min_p), 0},
    {"presence_penalty", FIELD_FLOAT, GENERATE(sampling.presence_penalty), 0},
    {"frequency_penalty", FIELD_FLOAT, GENERATE(sampling.frequency_penalty), 0},
    {"repetition_penalty", FIELD_FLOAT, GENERATE(sampling.repetition_penalty), 0},
    {"seed", FIELD_UINT64, GENERATE(sampling.seed), 0},
    {"policy", FIELD_CHOICE, GENERATE(policy.kind), fe_policy_names},
    {"signals", FIELD_UINT, GENERATE(policy.signals), 0},
    {"confidence", FIELD_FLOAT, GENERATE(policy.confidence), 0},
    {"progress", FIELD_FLOAT, GENERATE(policy.progress), 0},
    {"remain", FIELD_FLOAT, GENERATE(policy.remain), 0},
    {"smoothing", FIELD_CHOICE, GENERATE(policy.smoothing), fe_smoothing_names},
    {"alpha", FIELD_FLOAT, GENERATE(policy.alpha), 0},
    {"margin", FIELD_FLOAT, GENERATE(policy.margin), 0},
    {"entropy", FIELD_FLOAT, GENERATE(policy.entropy), 0},
    {"reference_mode", FIELD_BOOL, GENERATE(policy.reference_mode), 0},
    {"reference_splits", FIELD_BOOL, GENERATE(policy.reference_splits), 0},
    {"no_loop_guard", FIELD_BOOL, GENERATE(policy.no_loop_guard), 0},
    {"minimum_thinking", FIELD_UINT, GENERATE(policy.minimum_thinking), 0},
    {"soft_budget", FIELD_UINT, GENERATE(policy.soft_budget), 0},
    {"hard_budget", FIELD_UINT, GENERATE(policy.hard_budget), 0},
    {"exit_message", FIELD_STRING, GENERATE(policy.exit_message), 0},
    {"draft", FIELD_CHOICE, GENERATE(drafting.kind), fe_draft_names},
    {"depth", FIELD_UINT, GENERATE(drafting.depth), 0},
    {"branch", FIELD_UINT, GENERATE(drafting.branch), 0},
    {"nodes", FIELD_UINT, GENERATE(drafting.nodes), 0},
};

static sx_status fail_value(sx_error *error, const char *key, const char *value, const char *expected)
{
    return sx_fail(error, SX_ERROR_ARGUMENT, "option \"%s\": \"%.80s\" is not %s", key, value, expected);
}

static bool parse_unsigned(const char *text, uint64_t maximum, uint64_t *value)
{
    if (*text < '0' || *text > '9') return false; // strtoull takes signs and spaces
    char *end;
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 10);
    if (*end || errno || parsed > maximum) return false;
    *value = parsed;
    return true;
}

static bool parse_float(const char *text, float *value)
{
    char *end;
    double parsed = strtod(text, &end);
    if (end == text || *end || !isfinite(parsed) || fabs(parsed) > 1e30) return false;
    *value = (float)parsed;
    return true;
}

static sx_status set_choice(const field *f, const char *value, void *target, sx_error *error)
{
    uint32_t index;
    if (fe_choice_find(f->choices, value, strlen(value), &index)) {
        memcpy(target, &index, sizeof index); // the enumerations are ints in size
        return SX_OK;
    }
    fe_text choices = {0};
    fe_choice_list(&choices, f->choices, "or");
    sx_status status = fail_value(error, f->key, value, choices.data);
    fe_text_free(&choices);
    return status;
}

static sx_status set_field(const field *f, const char *value, void *desc, sx_error *error)
{
    void *target = (char *)desc + f->offset;
    uint64_t number;
    switch (f->type) {
    case FIELD_FLOAT:
        return parse_float(value, target) ? SX_OK : fail_value(error, f->key, value, "a number");
    case FIELD_UINT:
        if (!parse_unsigned(value, UINT32_MAX, &number)) return fail_value(error, f->key, value, "a whole number");
        *(uint32_t *)target = (uint32_t)number;
        return SX_OK;
    case FIELD_UINT64:
        if (!parse_unsigned(value, UINT64_MAX, &number)) return fail_value(error, f->key, value, "a whole number");
        *(uint64_t *)target = number;
        return SX_OK;
    case FIELD_BOOL:
        if (strcmp(value, "true") && strcmp(value, "false")) return fail_value(error, f->key, value, "true or false");
        *(bool *)target = !strcmp(value, "true");
        return SX_OK;
    case FIELD_CHOICE:
        return set_choice(f, value, target, error);
    case FIELD_STRING:
        *(const char **)target = value;
        return SX_OK;
    }
    return SX_ERROR_ARGUMENT;
}

// The next pair of the block; false at its end or when it is cut short, which `*damaged` tells apart.
static bool next_pair(const char **at, const char *end, const char **key, const char **value, bool *damaged)
{
    *damaged = false;
    if (*at == end) return false;
    const char *parts[2];
    for (int i = 0; i < 2; ++i) {
        const char *stop = memchr(*at, 0, (size_t)(end - *at));
        if (!stop) {
            *damaged = true;
            return false;
        }
        parts[i] = *at;
        *at = stop + 1;
    }
    *key = parts[0];
    *value = parts[1];
    return true;
}

static const field *find_field(const field *fields, size_t count, const char *key)
{
    for (size_t i = 0; i < count; ++i)
        if (!strcmp(fields[i].key, key)) return &fields[i];
    return NULL;
}

sx_status web_engine_options(const char *block, size_t size, sx_engine_desc *desc, sx_error *error)
{
    const char *at = block, *key, *value;
    bool damaged;
    while (next_pair(&at, block + size, &key, &value, &damaged)) {
        const field *f = find_field(engine_fields, sizeof engine_fields / sizeof *engine_fields, key);
        if (!f) return sx_fail(error, SX_ERROR_ARGUMENT, "option \"%.80s\" is not known", key);
        sx_status status = set_field(f, value, desc, error);
        if (status != SX_OK) return status;
    }
    return damaged ? sx_fail(error, SX_ERROR_ARGUMENT, "the option block is cut short") : SX_OK;
}

static sx_status add_message(web_generate *generate, sx_role role, const char *content)
{
    generate->messages[generate->desc.message_count++] = (sx_message){.role = role, .content = content};
    return SX_OK;
}

static sx_status add_tokens(web_generate *generate, const char *value, sx_error *error)
{
    size_t count = 1;
    for (const char *c = value; *c; ++c)
        count += *c == ',';
    free(generate->tokens);
    generate->tokens = malloc(count * sizeof *generate->tokens);
    if (!generate->tokens) return sx_fail(error, SX_ERROR_MEMORY, "out of memory");
    generate->desc.tokens = generate->tokens;
    generate->desc.token_count = 0;
    for (const char *c = value;; ++c) {
        char *end;
        errno = 0;
        unsigned long token = *c >= '0' && *c <= '9' ? strtoul(c, &end, 10) : 0;
        if (*c < '0' || *c > '9' || errno || token > UINT32_MAX || (*end && *end != ','))
            return fail_value(error, "tokens", value, "a list of token numbers");
        generate->tokens[generate->desc.token_count++] = (uint32_t)token;
        c = end;
        if (!*c) return SX_OK;
    }
}

static sx_status add_bias(web_generate *generate, const char *value, sx_error *error)
{
    sx_sampling *sampling = &generate->desc.sampling;
    if (sampling->bias_count == WEB_MAX_BIAS)
        return sx_fail(error, SX_ERROR_ARGUMENT, "option \"bias\": at most %d tokens", WEB_MAX_BIAS);
    const char *colon = strchr(value, ':');
    char number[16] = "";
    uint64_t token = 0;
    if (colon && (size_t)(colon - value) < sizeof number) memcpy(number, value, (size_t)(colon - value));
    if (!parse_unsigned(number, UINT32_MAX, &token) ||
        !parse_float(colon + 1, &generate->bias_values[sampling->bias_count]))
        return fail_value(error, "bias", value, "of the form token:value");
    generate->bias_tokens[sampling->bias_count++] = (uint32_t)token;
    sampling->bias_tokens = generate->bias_tokens;
    sampling->bias_values = generate->bias_values;
    return SX_OK;
}

static sx_status set_generate(web_generate *generate, const char *key, const char *value, sx_error *error)
{
    sx_generate_desc *desc = &generate->desc;
    if (!strcmp(key, "system")) return add_message(generate, SX_ROLE_SYSTEM, value);
    if (!strcmp(key, "user")) return add_message(generate, SX_ROLE_USER, value);
    if (!strcmp(key, "assistant")) return add_message(generate, SX_ROLE_ASSISTANT, value);
    if (!strcmp(key, "tool")) return add_message(generate, SX_ROLE_TOOL, value);
    if (!strcmp(key, "tokens")) return add_tokens(generate, value, error);
    if (!strcmp(key, "bias")) return add_bias(generate, value, error);
    if (!strcmp(key, "reasoning")) {
        if (!desc->message_count || generate->messages[desc->message_count - 1].role != SX_ROLE_ASSISTANT)
            return sx_fail(error, SX_ERROR_ARGUMENT, "option \"reasoning\" must follow an assistant's message");
        generate->messages[desc->message_count - 1].reasoning = value;
        return SX_OK;
    }
    if (!strcmp(key, "stop")) {
        if (desc->stop_count == WEB_MAX_STOPS)
            return sx_fail(error, SX_ERROR_ARGUMENT, "option \"stop\": at most %d strings", WEB_MAX_STOPS);
        generate->stops[desc->stop_count++] = value;
        desc->stop = generate->stops;
        return SX_OK;
    }
    const field *f = find_field(generate_fields, sizeof generate_fields / sizeof *generate_fields, key);
    if (!f) return sx_fail(error, SX_ERROR_ARGUMENT, "option \"%.80s\" is not known", key);
    return set_field(f, value, desc, error);
}

sx_status web_generate_options(const char *block, size_t size, web_generate *generate, sx_error *error)
{
    *generate = (web_generate){0};
    const char *at = block, *key, *value;
    bool damaged;
    size_t pairs = 1;
    while (next_pair(&at, block + size, &key, &value, &damaged))
        ++pairs;
    if (damaged) return sx_fail(error, SX_ERROR_ARGUMENT, "the option block is cut short");
    generate->messages = calloc(pairs, sizeof *generate->messages);
    if (!generate->messages) return sx_fail(error, SX_ERROR_MEMORY, "out of memory");
    at = block;
    while (next_pair(&at, block + size, &key, &value, &damaged)) {
        sx_status status = set_generate(generate, key, value, error);
        if (status != SX_OK) return status;
    }
    if (generate->desc.message_count) generate->desc.messages = generate->messages;
    return SX_OK;
}

void web_generate_free(web_generate *generate)
{
    free(generate->messages);
    free(generate->tokens);
    *generate = (web_generate){0};
}
