#include "prompts.h"

#include <ctype.h>
#include <math.h>
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
static bool last_number(const char *text, size_t length, double *out)
{
    bool found = false;
    for (const char *at = text; at < text + length;) {
        bool signed_here = (*at == '-' || *at == '+') && at > text && (isalnum((unsigned char)at[-1]) || at[-1] == ')');
        const char *end = signed_here ? NULL : read_number(at, out);
        if (end) {
            found = true;
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

static bool boxed_number(const char *text, double *out)
{
    const char *box = NULL;
    for (const char *at = strstr(text, "\\boxed{"); at; at = strstr(at + 1, "\\boxed{"))
        box = at + strlen("\\boxed{");
    return box && last_number(box, strcspn(box, "}"), out);
}

// Lower case, runs of white space as one blank, none at the ends.
static char *plain_words(const char *text)
{
    cli_text out = {0};
    cli_text_append(&out, "", 0);
    for (; *text; text++) {
        char byte = isspace((unsigned char)*text) ? ' ' : (char)tolower((unsigned char)*text);
        if (byte != ' ' || (out.length && out.data[out.length - 1] != ' ')) cli_text_append(&out, &byte, 1);
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
        return (boxed_number(text, &given) || last_number(text, strlen(text), &given)) && equal_numbers(wanted, given);
    char *words = plain_words(text), *phrase = plain_words(expected);
    bool found = has_phrase(words, phrase);
    free(words);
    free(phrase);
    return found;
}
