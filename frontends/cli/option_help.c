#include "option_table.h"

#include <stdlib.h>
#include <string.h>

enum { HELP_COLUMN = 28, HELP_WIDTH = 100 };

static const struct {
    unsigned groups;
    const char *headline;
} headlines[] = {
    {CLI_GROUP_PROMPT | CLI_GROUP_MESSAGES | CLI_GROUP_TOKENS | CLI_GROUP_SPECIAL | CLI_GROUP_CHAT, "Prompt"},
    {CLI_GROUP_COMPARE | CLI_GROUP_TRACE | CLI_GROUP_EVAL | CLI_GROUP_TRAIN | CLI_GROUP_CALIBRATE, "Problems"},
    {CLI_GROUP_MODEL, "Model"},
    {CLI_GROUP_ENGINE, "Device and memory"},
    {CLI_GROUP_POLICY, "When to stop thinking"},
    {CLI_GROUP_SAMPLING, "Sampling"},
    {CLI_GROUP_DRAFTING, "Speculation"},
    {CLI_GROUP_DISPLAY | CLI_GROUP_JSON | CLI_GROUP_OUTPUT | CLI_GROUP_CONVERT, "Output"},
    {CLI_GROUP_GENERAL, "General"},
};

static void append_wrapped(fe_text *out, const char *help, size_t column)
{
    while (*help) {
        size_t word = strcspn(help, " ");
        if (column + 1 + word > HELP_WIDTH) {
            fe_text_printf(out, "\n%*s", HELP_COLUMN - 1, "");
            column = HELP_COLUMN - 1;
        }
        fe_text_printf(out, " %.*s", (int)word, help);
        column += word + 1;
        help += word + strspn(help + word, " ");
    }
    fe_text_add(out, "\n");
}

static void append_option(fe_text *out, const cli_option *option)
{
    size_t start = out->length;
    if (option->letter) {
        fe_text_printf(out, "  -%c, --%s", option->letter, option->name);
    } else {
        fe_text_printf(out, "      --%s", option->name);
    }
    if (option->argument) fe_text_printf(out, " %s", option->argument);
    size_t width = out->length - start;
    if (width < HELP_COLUMN - 1) {
        fe_text_printf(out, "%*s", (int)(HELP_COLUMN - 1 - width), "");
        width = HELP_COLUMN - 1;
    }
    append_wrapped(out, option->help, width);
}

void cli_options_help(fe_text *out, unsigned groups)
{
    groups |= CLI_GROUP_GENERAL;
    for (size_t h = 0; h < sizeof headlines / sizeof *headlines; h++) {
        bool headed = false;
        for (unsigned i = 0; i < cli_option_count; i++) {
            if (!(cli_option_table[i].group & groups & headlines[h].groups)) continue;
            if (!headed) fe_text_printf(out, "\n%s:\n", headlines[h].headline);
            headed = true;
            append_option(out, &cli_option_table[i]);
        }
    }
}

// Edits that turn one name into the other: insert, delete, replace, or swap neighbours, each counting 1.
static unsigned distance(const char *a, const char *b)
{
    size_t rows = strlen(a) + 1, columns = strlen(b) + 1;
    unsigned *table = fe_allocate(rows * columns, sizeof *table);
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            unsigned *cell = &table[i * columns + j];
            if (i == 0 || j == 0) {
                *cell = (unsigned)(i + j);
                continue;
            }
            unsigned replace = cell[-(ptrdiff_t)columns - 1] + (a[i - 1] != b[j - 1]);
            unsigned insert = cell[-1] + 1, delete = cell[-(ptrdiff_t)columns] + 1;
            *cell = replace < insert ? replace : insert;
            if (delete < *cell) *cell = delete;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                unsigned swap = cell[-2 * (ptrdiff_t)columns - 2] + 1;
                if (swap < *cell) *cell = swap;
            }
        }
    }
    unsigned result = table[rows * columns - 1];
    free(table);
    return result;
}

static void consider(const char *name, const char *candidate, const char **best, unsigned *best_edits)
{
    size_t length = strlen(name);
    if (length > 40) return;
    unsigned edits = distance(name, candidate), allowed = length < 4 ? 1 : (unsigned)length / 3;
    if (length >= 3 && strstr(candidate, name)) edits = 1;
    if (edits <= allowed && (!*best || edits < *best_edits)) {
        *best = candidate;
        *best_edits = edits;
    }
}

const char *cli_options_suggest(const char *name, unsigned groups)
{
    const char *best = NULL;
    unsigned edits = 0;
    for (unsigned i = 0; i < cli_option_count; i++)
        if (cli_option_table[i].group & groups) consider(name, cli_option_table[i].name, &best, &edits);
    return best;
}

const char *cli_suggest(const char *name, const char *const *names)
{
    const char *best = NULL;
    unsigned edits = 0;
    for (; *names; names++)
        consider(name, *names, &best, &edits);
    return best;
}
