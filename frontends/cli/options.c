#include "common/choices.h"
#include "option_table.h"
#include "specexit_signals.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONG_OPTION = 256 }; // getopt's value of the first option; letters lie below

static bool parse_float(const cli_option *option, const char *text, float *out, fe_text *message)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end || errno || !isfinite(value) || value < option->minimum || value > option->maximum) {
        fe_text_printf(message, "--%s needs a number between %g and %g, not \"%s\"", option->name,
                       option->minimum == 1e-6 ? 0 : option->minimum, option->maximum == -1e-6 ? 0 : option->maximum,
                       text);
        return false;
    }
    *out = (float)value;
    return true;
}

static bool parse_unsigned(const char *text, uint64_t maximum, uint64_t *out)
{
    char *end;
    if (!isdigit((unsigned char)text[0])) return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end || errno || value > maximum) return false;
    *out = value;
    return true;
}

static bool parse_count(const cli_option *option, const char *text, uint32_t *out, fe_text *message)
{
    uint64_t value;
    if (!parse_unsigned(text, (uint64_t)option->maximum, &value) || value < (uint64_t)option->minimum) {
        fe_text_printf(message, "--%s needs a whole number between %.0f and %.0f, not \"%s\"", option->name,
                       option->minimum, option->maximum, text);
        return false;
    }
    *out = (uint32_t)value;
    return true;
}

static bool parse_choice(const cli_option *option, const char *text, uint32_t *out, fe_text *message)
{
    if (fe_choice_find(option->names, text, strlen(text), out)) return true;
    fe_text_printf(message, "--%s knows no \"%s\"; it takes ", option->name, text);
    fe_choice_list(message, option->names, "or");
    return false;
}

static bool parse_signals(const char *text, uint32_t *out, fe_text *message)
{
    *out = 0;
    while (*text) {
        size_t length = strcspn(text, ",");
        uint32_t bit;
        if (!fe_choice_find(fe_signal_names, text, length, &bit)) {
            fe_text_printf(message, "--signals knows no \"%.*s\"; it takes a list of ", (int)length, text);
            fe_choice_list(message, fe_signal_names, "and");
            return false;
        }
        *out |= 1u << bit;
        text += length + (text[length] == ',');
    }
    return true;
}

static bool parse_bias(cli_options *options, const char *text, fe_text *message)
{
    const char *equals = strchr(text, '=');
    char *end = NULL;
    uint64_t token = 0;
    fe_text id = {0};
    fe_text_append(&id, text, equals ? (size_t)(equals - text) : 0);
    bool good = equals && parse_unsigned(id.data, UINT32_MAX, &token);
    fe_text_free(&id);
    double value = good ? strtod(equals + 1, &end) : 0;
    if (!good || end == equals + 1 || *end || !isfinite(value)) {
        fe_text_printf(message, "--logit-bias needs a token id and a number, such as 42=-5, not \"%s\"", text);
        return false;
    }
    if (options->sampling.bias_count == CLI_MAXIMUM_BIASES) {
        fe_text_printf(message, "--logit-bias can be given %d times at most", CLI_MAXIMUM_BIASES);
        return false;
    }
    options->bias_tokens[options->sampling.bias_count] = (uint32_t)token;
    options->bias_values[options->sampling.bias_count++] = (float)value;
    return true;
}

uint32_t *cli_parse_tokens(const char *text, uint32_t *count, fe_text *message)
{
    static const char separators[] = ", \t\r\n[]";
    uint32_t *tokens = NULL, capacity = 0;
    *count = 0;
    for (const char *at = text + strspn(text, separators); *at; at += strspn(at, separators)) {
        size_t length = strcspn(at, separators);
        char digits[16] = {0};
        uint64_t token;
        if (length >= sizeof digits || !parse_unsigned(memcpy(digits, at, length), UINT32_MAX, &token)) {
            fe_text_printf(message, "\"%.*s\" is no token id; ids are whole numbers separated by commas or spaces",
                           (int)(length < 40 ? length : 40), at);
            free(tokens);
            return NULL;
        }
        if (*count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            tokens = fe_reallocate(tokens, capacity, sizeof *tokens);
        }
        tokens[(*count)++] = (uint32_t)token;
        at += length;
    }
    return tokens ? tokens : fe_allocate(1, sizeof *tokens);
}

static bool parse_seed(const char *text, uint64_t *out, fe_text *message)
{
    if (parse_unsigned(text, UINT64_MAX, out)) return true;
    fe_text_printf(message, "--seed needs a whole number, not \"%s\"", text);
    return false;
}

static bool add_stop(cli_options *options, const char *text, fe_text *message)
{
    if (!*text || options->stop_count == CLI_MAXIMUM_STOPS) {
        fe_text_printf(message, "--stop needs some text, %d times at most", CLI_MAXIMUM_STOPS);
        return false;
    }
    options->stops[options->stop_count++] = text;
    return true;
}

static bool set_value(cli_options *options, const cli_option *option, const char *value, fe_text *message)
{
    void *target = (char *)options + option->offset;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)target = true;
        return true;
    case CLI_STRING:
        *(const char **)target = value;
        return true;
    case CLI_COUNT:
        return parse_count(option, value, target, message);
    case CLI_FLOAT:
        return parse_float(option, value, target, message);
    case CLI_CHOICE:
        return parse_choice(option, value, target, message);
    case CLI_SIGNALS:
        return parse_signals(value, target, message);
    case CLI_SEED:
        return parse_seed(value, target, message);
    case CLI_STOP:
        return add_stop(options, value, message);
    case CLI_BIAS:
        return parse_bias(options, value, message);
    case CLI_TOKENS:
        free(options->tokens);
        options->has_tokens = true;
        options->tokens = cli_parse_tokens(value, &options->token_count, message);
        return options->tokens != NULL;
    }
    return false;
}

// getopt's arrays for the options of `groups`; the letters begin with ':' so that a missing argument is told apart.
static void fill_getopt(unsigned groups, struct option *longs, char *letters)
{
    size_t count = 0, at = 0;
    letters[at++] = ':';
    for (unsigned i = 0; i < cli_option_count; i++) {
        const cli_option *option = &cli_option_table[i];
        if (!(option->group & groups)) continue;
        longs[count++] = (struct option){.name = option->name,
                                         .has_arg = option->kind == CLI_FLAG ? no_argument : required_argument,
                                         .val = LONG_OPTION + (int)i};
        if (option->letter) {
            letters[at++] = option->letter;
            if (option->kind != CLI_FLAG) letters[at++] = ':';
        }
    }
    longs[count] = (struct option){0};
    letters[at] = 0;
}

static const cli_option *find_option(int value)
{
    if (value >= LONG_OPTION) return &cli_option_table[value - LONG_OPTION];
    for (unsigned i = 0; i < cli_option_count; i++)
        if (cli_option_table[i].letter == value) return &cli_option_table[i];
    return NULL;
}

static void explain_unknown(const char *argument, int letter, unsigned groups, fe_text *message)
{
    if (letter >= LONG_OPTION) {
        fe_text_printf(message, "--%s takes no value", find_option(letter)->name);
    } else if (letter) {
        fe_text_printf(message, "unknown option -%c", letter);
    } else {
        fe_text name = {0};
        fe_text_append(&name, argument + 2, strcspn(argument + 2, "="));
        const char *meant = cli_options_suggest(name.data, groups);
        fe_text_printf(message, "unknown or ambiguous option --%s", name.data);
        if (meant) fe_text_printf(message, "; did you mean --%s?", meant);
        fe_text_free(&name);
    }
}

bool cli_options_parse(cli_options *options, unsigned groups, int count, char **arguments, int *rest, fe_text *message)
{
    struct option *longs = fe_allocate(cli_option_count + 1, sizeof *longs);
    char *letters = fe_allocate(cli_option_count + 1, 2);
    fill_getopt(groups | CLI_GROUP_GENERAL, longs, letters);
    bool good = true;
    int value;
    opterr = 0;
    optind = 0; // GNU and musl: start afresh
    while (good && (value = getopt_long(count, arguments, letters, longs, NULL)) != -1) {
        if (value == '?') {
            explain_unknown(arguments[optind - 1], optopt, groups | CLI_GROUP_GENERAL, message);
            good = false;
        } else if (value == ':') {
            fe_text_printf(message, "--%s needs a value (%s)", find_option(optopt)->name,
                           find_option(optopt)->argument);
            good = false;
        } else {
            good = set_value(options, find_option(value), optarg, message);
        }
    }
    *rest = optind;
    free(longs);
    free(letters);
    return good;
}

bool cli_options_set(cli_options *options, unsigned groups, const char *name, const char *value, fe_text *message)
{
    for (unsigned i = 0; i < cli_option_count; i++) {
        const cli_option *option = &cli_option_table[i];
        if (!(option->group & groups) || strcmp(option->name, name) != 0) continue;
        if (option->kind == CLI_FLAG) {
            bool off = value && strcmp(value, "off") == 0;
            *(bool *)((char *)options + option->offset) = !off;
            return true;
        }
        if (value && *value) return set_value(options, option, value, message);
        fe_text_printf(message, "--%s needs a value (%s)", option->name, option->argument);
        return false;
    }
    const char *meant = cli_options_suggest(name, groups);
    fe_text_printf(message, "there is no \"%s\"", name);
    if (meant) fe_text_printf(message, "; did you mean \"%s\"?", meant);
    return false;
}

void cli_options_free(cli_options *options)
{
    free(options->tokens);
    options->tokens = NULL;
}

sx_generate_desc cli_options_describe(const cli_options *options)
{
    sx_generate_desc desc = {.no_thinking = options->think == CLI_THINK_OFF,
                             .when_full = (sx_when_full)options->when_full,
                             .prefill_thinking = options->think == CLI_THINK_PREFILL,
                             .maximum_tokens = options->maximum_tokens,
                             .stop = options->stop_count ? options->stops : NULL,
                             .stop_count = options->stop_count,
                             .sampling = options->sampling,
                             .policy = options->policy,
                             .drafting = options->drafting};
    if (options->sampling.bias_count) {
        desc.sampling.bias_tokens = options->bias_tokens;
        desc.sampling.bias_values = options->bias_values;
    }
    desc.policy.kind = (sx_policy_kind)options->policy_kind;
    desc.policy.smoothing = (sx_smoothing)options->smoothing;
    desc.drafting.kind = (sx_draft_kind)options->draft_kind;
    return desc;
}

void cli_options_prompt(const cli_options *options, const char *prompt, sx_message messages[2], sx_generate_desc *desc)
{
    messages[0] = (sx_message){.role = SX_ROLE_SYSTEM, .content = options->system};
    messages[1] = (sx_message){.role = SX_ROLE_USER, .content = prompt};
    if (options->raw) {
        desc->prompt = prompt;
    } else {
        desc->messages = options->system ? messages : messages + 1;
        desc->message_count = options->system ? 2 : 1;
    }
}

cli_checker cli_options_checker(const cli_options *options)
{
    return (cli_checker){.kind = (cli_check_kind)options->check, .command = options->check_command};
}

void cli_options_setting(const cli_options *options, fe_text *out)
{
    const sx_sampling *s = &options->sampling;
    fe_text rest = {0};
    fe_text_printf(out,
                   "temperature %g, top-k %u, top-p %g, min-p %g, penalties %g %g %g, seed %llu, think %u, check %u",
                   (double)s->temperature, s->top_k, (double)s->top_p, (double)s->min_p, (double)s->presence_penalty,
                   (double)s->frequency_penalty, (double)s->repetition_penalty, (unsigned long long)s->seed,
                   options->think, options->check);
    fe_text_printf(&rest, "%s%s%s%s", options->system ? options->system : "", options->raw ? "raw" : "",
                   options->policy.exit_message ? options->policy.exit_message : "default",
                   options->check_command ? options->check_command : "");
    fe_text_printf(out, ", texts %016llx", (unsigned long long)sx_trace_hash(rest.data));
    fe_text_free(&rest);
}
