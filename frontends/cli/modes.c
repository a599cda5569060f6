#include "modes.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum value_use { NO_VALUE, WANTS_VALUE, MAY_HAVE_VALUE } value_use;

typedef struct mode_kind {
    const char *name;
    value_use value;
    void (*apply)(cli_mode *mode, const cli_options *options, double value);
    double least, most; // of the value
} mode_kind;

static void natural_with(cli_mode *mode, sx_draft_kind kind)
{
    mode->natural = true;
    mode->drafting.kind = kind;
    if (kind == SX_DRAFT_NONE) mode->drafting = (sx_drafting){.kind = kind};
}

static void plain(cli_mode *mode, const cli_options *options, double value)
{
    (void)options, (void)value;
    natural_with(mode, SX_DRAFT_NONE);
}

static void speculative(cli_mode *mode, const cli_options *options, double value)
{
    (void)value;
    natural_with(mode, (sx_draft_kind)options->draft_kind);
}

static void ngram(cli_mode *mode, const cli_options *options, double value)
{
    (void)options, (void)value;
    natural_with(mode, SX_DRAFT_NGRAM);
}

static void chain(cli_mode *mode, const cli_options *options, double value)
{
    (void)options, (void)value;
    natural_with(mode, SX_DRAFT_CHAIN);
}

static void tree(cli_mode *mode, const cli_options *options, double value)
{
    (void)options, (void)value;
    natural_with(mode, SX_DRAFT_TREE);
}

static void specexit(cli_mode *mode, const cli_options *options, double value)
{
    (void)value;
    mode->policy = cli_options_describe(options).policy;
}

static void signals(cli_mode *mode, const cli_options *options, double value)
{
    specexit(mode, options, value);
    mode->policy.kind = SX_POLICY_SIGNALS;
}

static void one_signal(cli_mode *mode, const cli_options *options, uint32_t signal)
{
    signals(mode, options, 0);
    mode->policy.signals = signal;
}

static void confidence(cli_mode *mode, const cli_options *options, double value)
{
    one_signal(mode, options, SX_SIGNAL_HAS_CONFIDENCE);
    if (value > 0) mode->policy.confidence = (float)value;
}

static void progress(cli_mode *mode, const cli_options *options, double value)
{
    one_signal(mode, options, SX_SIGNAL_HAS_PROGRESS);
    if (value > 0) mode->policy.progress = (float)value;
}

static void remaining(cli_mode *mode, const cli_options *options, double value)
{
    one_signal(mode, options, SX_SIGNAL_HAS_REMAIN);
    if (value > 0) mode->policy.remain = (float)value;
}

static void margin(cli_mode *mode, const cli_options *options, double value)
{
    specexit(mode, options, value);
    mode->policy.kind = SX_POLICY_MARGIN;
    if (value < 0) mode->policy.margin = (float)value;
}

static void entropy(cli_mode *mode, const cli_options *options, double value)
{
    specexit(mode, options, value);
    mode->policy.kind = SX_POLICY_ENTROPY;
    if (value > 0) mode->policy.entropy = (float)value;
}

static void budget(cli_mode *mode, const cli_options *options, double value)
{
    (void)options;
    mode->policy.soft_budget = (uint32_t)value;
}

static void silent_budget(cli_mode *mode, const cli_options *options, double value)
{
    budget(mode, options, value);
    mode->policy.exit_message = "";
}

static void no_think(cli_mode *mode, const cli_options *options, double value)
{
    (void)options, (void)value;
    mode->no_thinking = true;
}

static void steps(cli_mode *mode, const cli_options *options, double value)
{
    (void)options;
    mode->steps = (uint32_t)value;
}

static void hard_budget(cli_mode *mode, const cli_options *options, double value)
{
    (void)options;
    mode->policy.hard_budget = (uint32_t)value;
}

static const mode_kind kinds[] = {
    {"plain", NO_VALUE, plain, 0, 0},
    {"speculative", NO_VALUE, speculative, 0, 0},
    {"specexit", NO_VALUE, specexit, 0, 0},
    {"ngram", NO_VALUE, ngram, 0, 0},
    {"chain", NO_VALUE, chain, 0, 0},
    {"tree", NO_VALUE, tree, 0, 0},
    {"signals", NO_VALUE, signals, 0, 0},
    {"confidence", MAY_HAVE_VALUE, confidence, 1e-6, 1},
    {"progress", MAY_HAVE_VALUE, progress, 1e-6, 1},
    {"remain", MAY_HAVE_VALUE, remaining, 1e-6, 1e9},
    {"margin", MAY_HAVE_VALUE, margin, -1000, -1e-6},
    {"entropy", MAY_HAVE_VALUE, entropy, 1e-6, 1000},
    {"budget", WANTS_VALUE, budget, 1, 4e9},
    {"silent-budget", WANTS_VALUE, silent_budget, 1, 4e9},
    {"steps", WANTS_VALUE, steps, 1, 4e9},
    {"no-think", NO_VALUE, no_think, 0, 0},
    {"hard-budget", WANTS_VALUE, hard_budget, 1, 4e9},
};

enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

static void unknown_mode(const char *name, fe_text *message)
{
    const char *names[KIND_COUNT + 3] = {"first", "profile"};
    for (int i = 0; i < KIND_COUNT; i++)
        names[i + 2] = kinds[i].name;
    const char *meant = cli_suggest(name, names);
    fe_text_printf(message, "--modes knows no \"%s\"", name);
    if (meant) {
        fe_text_printf(message, "; did you mean \"%s\"?", meant);
    } else {
        fe_text_add(message, "; the --help lists the modes");
    }
}

static bool read_value(const mode_kind *kind, const char *text, double *value, fe_text *message)
{
    *value = 0;
    if (!text && kind->value != WANTS_VALUE) return true;
    char *end = NULL;
    if (text) *value = strtod(text, &end);
    bool good =
        text && kind->value != NO_VALUE && end != text && *end == 0 && *value >= kind->least && *value <= kind->most;
    if (good) return true;
    if (kind->value == NO_VALUE) {
        fe_text_printf(message, "--modes: %s takes no value", kind->name);
    } else {
        fe_text_printf(message, "--modes: %s needs a number between %g and %g, such as %s=%s", kind->name, kind->least,
                       kind->most, kind->name,
                       kind->most < 0       ? "-3"
                       : kind->most <= 1000 ? "0.5"
                                            : "100");
    }
    return false;
}

static bool profile(cli_mode *mode, const cli_options *options, const char *path, fe_text *message)
{
    cli_options with = *options;
    with.profile = path;
    if (!*path) fe_text_add(message, "--modes: profile needs a file that `specexit calibrate -o` wrote: profile=FILE");
    if (!*path || !cli_profile_apply(&with, message)) return false;
    specexit(mode, &with, 0);
    mode->profiled = true;
    mode->calibrated = with.calibrated;
    return true;
}

static bool parse_mode(const char *text, const cli_options *options, cli_mode *mode, fe_text *message)
{
    *mode = (cli_mode){.policy = {.kind = SX_POLICY_NONE,
                                  .no_loop_guard = options->policy.no_loop_guard,
                                  .exit_message = options->policy.exit_message}};
    mode->drafting = cli_options_describe(options).drafting;
    mode->calibrated = options->calibrated;
    snprintf(mode->name, sizeof mode->name, "%s", text);
    char name[CLI_MODE_NAME];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
    const char *equals = strchr(text, '=');
    if (strcmp(name, "first") == 0) {
        mode->first = true;
        snprintf(mode->mark, sizeof mode->mark, "%s", equals ? equals + 1 : "So ");
        return true;
    }
    if (strcmp(name, "profile") == 0) return profile(mode, options, equals ? equals + 1 : "", message);
    for (int i = 0; i < KIND_COUNT; i++) {
        if (strcmp(kinds[i].name, name) != 0) continue;
        double value;
        if (!read_value(&kinds[i], equals ? equals + 1 : NULL, &value, message)) return false;
        kinds[i].apply(mode, options, value);
        return true;
    }
    unknown_mode(name, message);
    return false;
}

uint32_t cli_modes_parse(const char *list, const cli_options *options, cli_mode modes[CLI_MAXIMUM_MODES],
                         fe_text *message)
{
    uint32_t count = 0;
    bool natural = false;
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, ",");
        char text[CLI_MODE_NAME];
        if (length == 0 || length >= sizeof text || count == CLI_MAXIMUM_MODES) {
            fe_text_printf(message, "--modes needs up to %d names with commas between them", CLI_MAXIMUM_MODES);
            return 0;
        }
        snprintf(text, sizeof text, "%.*s", (int)length, at);
        if (!parse_mode(text, options, &modes[count], message)) return 0;
        if ((modes[count].first || modes[count].steps) && !natural) {
            fe_text_printf(message,
                           "--modes: %s is measured on a mode without exit; put plain or speculative before it", text);
            return 0;
        }
        natural = natural || modes[count].natural;
        count++;
        at += length + (at[length] == ',');
    }
    if (count == 0) fe_text_add(message, "--modes is empty; it takes a list such as plain,specexit");
    return count;
}

// The number of the first paragraph that begins with `mark`, counted by the blank lines before it; -1: none. `*end` is
// the byte behind it.
static long find_paragraph(const char *text, const char *mark, size_t *end)
{
    const char *at = text + strspn(text, "\n");
    for (long paragraph = 0; *at; paragraph++) {
        const char *blank = strstr(at, "\n\n"), *next = blank ? blank + 2 : at + strlen(at);
        *end = (size_t)(next - text);
        if (strncmp(at, mark, strlen(mark)) == 0) return paragraph;
        at = next + strspn(next, "\n");
    }
    return -1;
}

// The boundary behind `steps` others; 0: there is none.
static uint32_t budget_at(const cli_reply *natural, uint64_t steps)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < natural->point_count; i++) {
        if (!natural->points[i].boundary || seen++ < steps) continue;
        uint32_t index = natural->points[i].token_index, start = natural->thinking_start;
        return index > start ? index - start : 1;
    }
    return 0;
}

uint32_t cli_steps_budget(const cli_reply *natural, uint32_t steps)
{
    return budget_at(natural, steps - 1);
}

uint32_t cli_first_budget(const cli_reply *natural, const char *mark)
{
    size_t end;
    const char *text = fe_text_string(&natural->thinking);
    long paragraph = find_paragraph(text, mark, &end);
    if (paragraph < 0) return 0;
    uint32_t budget = budget_at(natural, (uint64_t)paragraph);
    if (budget) return budget;
    // No step boundaries were reported: by the share of the text, half a step early.
    double share = natural->thinking.length ? (double)end / (double)natural->thinking.length : 0;
    double tokens = share * natural->stats.thinking_tokens - 3;
    return tokens > 1 ? (uint32_t)tokens : 1;
}
