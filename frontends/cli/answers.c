#include "answers.h"
#include "common/text.h"
#include "platform.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Reads the number at `text`, thousands separators included; NULL when there is none, else where it ends.
static const char *read_number(const char *text, double *out)
{
    char digits[64];
    size_t count = 0;
    const char *at = text;
    if (*at == '-' || *at == '+') digits[count++] = *at++;
    while (*at == '$') // -$5
        at++;
    if (!isdigit((unsigned char)*at) && !(*at == '.' && isdigit((unsigned char)at[1]))) return NULL;
    bool point = false;
    for (; count < sizeof digits - 1; at++) {
        bool group = *at == ',' && !point && isdigit((unsigned char)at[1]) && isdigit((unsigned char)at[2]) &&
                     isdigit((unsigned char)at[3]) && !isdigit((unsigned char)at[4]);
        if (group) continue;
        if (*at == '.' && !point && isdigit((unsigned char)at[1])) {
            point = true;
        } else if (!isdigit((unsigned char)*at)) {
            break;
        }
        digits[count++] = *at;
    }
    digits[count] = 0;
    *out = strtod(digits, NULL);
    return at;
}

// A sign belongs to the number only where it cannot be an operator: "12-5" holds 12 and 5.
// The place of the last number in the text is put in `start` and `stop` (may be NULL).
static bool last_number(const char *text, size_t length, double *out, const char **start, const char **stop)
{
    bool found = false;
    for (const char *at = text; at < text + length;) {
        bool signed_here = (*at == '-' || *at == '+') && at > text && (isalnum((unsigned char)at[-1]) || at[-1] == ')');
        const char *end = signed_here ? NULL : read_number(at, out);
        if (end) {
            found = true;
            if (start) *start = at, *stop = end;
            at = end;
        } else {
            at++;
        }
    }
    return found;
}

static bool equal_numbers(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fmax(1, fmax(fabs(a), fabs(b)));
}

// What stands in the last \boxed{}, or NULL.
static const char *last_box(const char *text)
{
    const char *box = NULL;
    for (const char *at = strstr(text, "\\boxed{"); at; at = strstr(at + 1, "\\boxed{"))
        box = at + strlen("\\boxed{");
    return box;
}

static bool find_number(const char *text, double *out, const char **start, const char **stop)
{
    const char *box = last_box(text);
    return (box && last_number(box, strcspn(box, "}"), out, start, stop)) ||
           last_number(text, strlen(text), out, start, stop);
}

// Lower case, runs of white space as one blank, none at the ends.
static char *plain_words(const char *text)
{
    fe_text out = {0};
    fe_text_append(&out, "", 0);
    for (; *text; text++) {
        char byte = isspace((unsigned char)*text) ? ' ' : (char)tolower((unsigned char)*text);
        if (byte != ' ' || (out.length && out.data[out.length - 1] != ' ')) fe_text_append(&out, &byte, 1);
    }
    if (out.length && out.data[out.length - 1] == ' ') out.data[--out.length] = 0;
    return out.data;
}

static bool is_word(char byte)
{
    return isalnum((unsigned char)byte) || (unsigned char)byte >= 0x80;
}

static bool has_phrase(const char *text, const char *phrase)
{
    size_t length = strlen(phrase);
    for (const char *at = strstr(text, phrase); at && length; at = strstr(at + 1, phrase)) {
        bool starts = at == text || !is_word(at[-1]) || !is_word(phrase[0]);
        bool ends = !is_word(at[length]) || !is_word(phrase[length - 1]);
        if (starts && ends) return true;
    }
    return false;
}

bool cli_answer_matches(const char *text, const char *expected)
{
    double wanted, given;
    const char *number = expected + strspn(expected, " \t\n$");
    const char *end = read_number(number, &wanted);
    if (end && end[strspn(end, " \t\n.")] == 0)
        return find_number(text, &given, NULL, NULL) && equal_numbers(wanted, given);
    char *words = plain_words(text), *phrase = plain_words(expected);
    bool found = has_phrase(words, phrase);
    free(words);
    free(phrase);
    return found;
}

// ---- By the checker's rule -----------------------------------------------------------------------------------------

static bool is_number(const char *text, double *out)
{
    const char *end = read_number(text + strspn(text, " \t\n$"), out);
    return end && end[strspn(end, " \t\n.")] == 0;
}

// The last capital letter that stands alone.
static const char *find_letter(const char *text)
{
    const char *box = last_box(text), *found = NULL;
    const size_t length = box ? strcspn(box, "}") : strlen(text);
    const char *from = box ? box : text;
    for (const char *at = from; at < from + length; at++) {
        bool alone = (at == text || !is_word(at[-1])) && !is_word(at[1]) && at[1] != '\'';
        if (isupper((unsigned char)*at) && alone) found = at;
    }
    return found;
}

// The last line that is not empty, in plain words without a period at its end; freed with free.
static char *last_line(const char *text)
{
    char *line = fe_copy_string("");
    while (*text) {
        size_t length = strcspn(text, "\n");
        fe_text copy = {0};
        fe_text_append(&copy, text, length);
        char *words = plain_words(copy.data);
        fe_text_free(&copy);
        size_t end = words ? strlen(words) : 0;
        if (end && words[end - 1] == '.') words[end - 1] = 0;
        if (end) {
            free(line);
            line = words;
        } else {
            free(words);
        }
        text += length + (text[length] == '\n');
    }
    return line;
}

static bool same_lines(const char *a, const char *b)
{
    char *first = last_line(a), *second = last_line(b);
    bool same = strcmp(first, second) == 0;
    free(first);
    free(second);
    return same;
}

static bool same_letters(const char *a, const char *b)
{
    const char *first = find_letter(a), *second = find_letter(b);
    return first && second && *first == *second;
}

static bool ask_command(const char *command, const char *prompt, const char *text, const char *expected)
{
    const char *const variables[2][2] = {{"SPECEXIT_PROMPT", prompt}, {"SPECEXIT_EXPECTED", expected}};
    return cli_platform_ask(command, variables, text);
}

bool cli_check_answer(const cli_checker *checker, const char *prompt, const char *text, const char *expected)
{
    double number;
    if (checker->command) return ask_command(checker->command, prompt, text, expected);
    switch (checker->kind) {
    case CLI_CHECK_NUMBER:
        return is_number(expected, &number) && cli_answer_matches(text, expected);
    case CLI_CHECK_CHOICE:
        return same_letters(text, expected);
    case CLI_CHECK_EXACT:
        return same_lines(text, expected);
    default:
        return cli_answer_matches(text, expected);
    }
}

bool cli_check_same(const cli_checker *checker, const char *a, const char *b)
{
    double first, second;
    if (checker->kind == CLI_CHECK_CHOICE) return same_letters(a, b);
    bool numbers = checker->kind != CLI_CHECK_EXACT && find_number(a, &first, NULL, NULL);
    if (numbers && find_number(b, &second, NULL, NULL)) return equal_numbers(first, second);
    return !numbers && same_lines(a, b);
}

bool cli_answer_value(const cli_checker *checker, const char *text, size_t *start, size_t *end)
{
    double number;
    const char *from = NULL, *to = NULL;
    if (checker->kind == CLI_CHECK_EXACT) return false;
    if (checker->kind == CLI_CHECK_CHOICE) {
        from = find_letter(text);
        to = from ? from + 1 : NULL;
    } else if (!find_number(text, &number, &from, &to)) {
        from = NULL;
    }
    if (!from) return false;
    *start = (size_t)(from - text);
    *end = (size_t)(to - text);
    return true;
}
