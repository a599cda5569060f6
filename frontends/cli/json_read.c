#include "json_read.h"
#include "common/text.h"

#include <ctype.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAXIMUM_DEPTH = 64, MAXIMUM_KEYS = 1000 }; // keys: the search for doubles is quadratic

typedef struct reader {
    const char *text;
    size_t at, length;
    const char *problem; // the first one found
} reader;

static bool parse_value(reader *in, cli_json_value *out, unsigned depth);

static bool fail(reader *in, const char *problem)
{
    if (!in->problem) in->problem = problem;
    return false;
}

static void skip_space(reader *in)
{
    while (in->at < in->length && memchr(" \t\r\n", in->text[in->at], 4))
        in->at++;
}

static char peek(const reader *in)
{
    return in->at < in->length ? in->text[in->at] : 0;
}

static bool take(reader *in, char wanted)
{
    skip_space(in);
    if (peek(in) != wanted) return false;
    in->at++;
    return true;
}

static bool parse_hex(reader *in, uint32_t *code)
{
    *code = 0;
    for (int i = 0; i < 4; i++) {
        char digit = peek(in);
        if (!isxdigit((unsigned char)digit)) return fail(in, "\\u needs four hexadecimal digits");
        *code = *code << 4 | (uint32_t)(digit <= '9' ? digit - '0' : (digit | 0x20) - 'a' + 10);
        in->at++;
    }
    return true;
}

static void append_utf8(fe_text *text, uint32_t code)
{
    char bytes[4];
    size_t count = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = count; i-- > 1; code >>= 6)
        bytes[i] = (char)(0x80 | (code & 0x3f));
    bytes[0] = (char)(count == 1 ? code : (0xf00u >> count & 0xf0) | code);
    fe_text_append(text, bytes, count);
}

static bool parse_unicode_escape(reader *in, fe_text *text)
{
    uint32_t code, low;
    if (!parse_hex(in, &code)) return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (in->length - in->at < 2 || memcmp(in->text + in->at, "\\u", 2) != 0)
            return fail(in, "half of a surrogate pair");
        in->at += 2;
        if (!parse_hex(in, &low)) return false;
        if (low < 0xdc00 || low > 0xdfff) return fail(in, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code < 0xe000) {
        return fail(in, "half of a surrogate pair");
    }
    if (code == 0) return fail(in, "a NUL character in a string");
    append_utf8(text, code);
    return true;
}

static bool parse_string(reader *in, char **out)
{
    fe_text text = {0};
    if (!take(in, '"')) return fail(in, "a string is expected");
    while (in->at < in->length && in->text[in->at] != '"') {
        char byte = in->text[in->at++];
        if ((unsigned char)byte < 0x20) {
            fail(in, "a control character in a string (a missing quote?)");
        } else if (byte != '\\') {
            fe_text_append(&text, &byte, 1);
        } else {
            static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
            char letter = peek(in);
            const char *found = letter ? strchr(letters, letter) : NULL;
            in->at += in->at < in->length;
            if (found) {
                fe_text_append(&text, &bytes[found - letters], 1);
            } else if (letter != 'u') {
                fail(in, "an unknown escape in a string");
            } else {
                parse_unicode_escape(in, &text);
            }
        }
        if (in->problem) break;
    }
    if (!in->problem && !take(in, '"')) fail(in, "a string does not end");
    if (in->problem) {
        fe_text_free(&text);
        return false;
    }
    fe_text_append(&text, "", 0);
    *out = text.data;
    return true;
}

static bool digits(reader *in)
{
    size_t start = in->at;
    while (isdigit((unsigned char)peek(in)))
        in->at++;
    return in->at > start;
}

static bool parse_number(reader *in, cli_json_value *out)
{
    size_t start = in->at;
    if (peek(in) == '-') in->at++;
    bool zero = peek(in) == '0', good = digits(in) && !(zero && isdigit((unsigned char)in->text[in->at - 1]) &&
                                                        in->at - start > 1u + (in->text[start] == '-'));
    if (good && peek(in) == '.') {
        in->at++;
        good = digits(in);
    }
    if (good && (peek(in) | 0x20) == 'e') {
        in->at++;
        if (peek(in) == '+' || peek(in) == '-') in->at++;
        good = digits(in);
    }
    if (!good) return fail(in, "a value is expected");
    fe_text digits_text = {0};
    fe_text_append(&digits_text, in->text + start, in->at - start);
    out->type = CLI_JSON_NUMBER;
    out->string = digits_text.data;
    out->number = strtod(out->string, NULL);
    return true;
}

static bool parse_word(reader *in, cli_json_value *out)
{
    static const struct {
        const char *word;
        cli_json_type type;
    } words[] = {{"true", CLI_JSON_TRUE}, {"false", CLI_JSON_FALSE}, {"null", CLI_JSON_NULL}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].word);
        if (in->length - in->at >= length && memcmp(in->text + in->at, words[i].word, length) == 0) {
            in->at += length;
            out->type = words[i].type;
            return true;
        }
    }
    return parse_number(in, out);
}

static bool parse_members(reader *in, cli_json_value *out, unsigned depth)
{
    bool object = in->text[in->at++] == '{';
    char end = object ? '}' : ']';
    out->type = object ? CLI_JSON_OBJECT : CLI_JSON_ARRAY;
    if (depth >= MAXIMUM_DEPTH) return fail(in, "more than 64 levels deep");
    if (take(in, end)) return true;
    cli_json_value **last = &out->first;
    unsigned keys = 0;
    do {
        cli_json_value *member = fe_allocate(1, sizeof *member);
        *last = member;
        last = &member->next;
        if (object) {
            char *key = NULL;
            if (!parse_string(in, &key)) return false;
            bool twice = cli_json_member(out, key) != NULL;
            member->key = key;
            if (++keys > MAXIMUM_KEYS) return fail(in, "more than 1,000 keys in an object");
            if (twice) return fail(in, "a key appears twice in one object");
            if (!take(in, ':')) return fail(in, "a colon is expected after a key");
        }
        if (!parse_value(in, member, depth + 1)) return false;
    } while (take(in, ','));
    return take(in, end) || fail(in, object ? "a comma or } is expected" : "a comma or ] is expected");
}

static bool parse_value(reader *in, cli_json_value *out, unsigned depth)
{
    skip_space(in);
    char next = peek(in);
    if (next == '{' || next == '[') return parse_members(in, out, depth);
    if (next == '"') {
        out->type = CLI_JSON_STRING;
        return parse_string(in, &out->string);
    }
    return parse_word(in, out);
}

cli_json_value *cli_json_parse(const char *text, size_t length, char *message, size_t message_size)
{
    reader in = {.text = text, .length = length};
    cli_json_value *value = fe_allocate(1, sizeof *value);
    bool good = parse_value(&in, value, 0);
    skip_space(&in);
    if (good && in.at < length) good = fail(&in, "something follows the value");
    if (good) return value;
    snprintf(message, message_size, "%s at byte %zu", in.problem, in.at);
    cli_json_free(value);
    return NULL;
}

void cli_json_free(cli_json_value *value)
{
    while (value) {
        cli_json_value *next = value->next;
        cli_json_free(value->first); // at most MAXIMUM_DEPTH calls deep
        free(value->string);
        free(value->key);
        free(value);
        value = next;
    }
}

const cli_json_value *cli_json_member(const cli_json_value *value, const char *key)
{
    if (!value || value->type != CLI_JSON_OBJECT) return NULL;
    for (const cli_json_value *member = value->first; member; member = member->next)
        if (member->key && strcmp(member->key, key) == 0) return member;
    return NULL;
}

const char *cli_json_member_string(const cli_json_value *value, const char *key)
{
    const cli_json_value *member = cli_json_member(value, key);
    return member && member->type == CLI_JSON_STRING ? member->string : NULL;
}
