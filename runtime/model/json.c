#include "model/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 32
#define MAX_VALUES (1u << 20)
#define MAX_NUMBER 64 // characters

typedef struct parser {
    const char *at, *end, *begin;
    const char *where;
    sx_arena *arena;
    sx_error *error;
    uint32_t values;
} parser;

static sx_status fail(parser *in, const char *what)
{
    return sx_fail(in->error, SX_ERROR_FORMAT, "%s: JSON at byte %zu: %s", in->where, (size_t)(in->at - in->begin),
                   what);
}

static sx_status out_of_memory(parser *in)
{
    return sx_fail(in->error, SX_ERROR_MEMORY, "%s: out of memory", in->where);
}

static void skip_space(parser *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

static bool take(parser *in, char c)
{
    if (in->at >= in->end || *in->at != c) return false;
    in->at++;
    return true;
}

static bool take_word(parser *in, const char *word)
{
    const size_t length = strlen(word);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0) return false;
    in->at += length;
    return true;
}

// Length of the UTF-8 character at `text`, 0 when it is malformed, overlong, a surrogate or beyond U+10FFFF.
static size_t character_length(const unsigned char *text, size_t left)
{
    const unsigned char c = text[0];
    if (c < 0x80) return 1;
    const size_t length = c >= 0xc2 && c <= 0xdf ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : 0;
    if (length == 0 || left < length) return 0;
    for (size_t i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f)) return 0;
    if ((c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] > 0x8f)) return 0;
    return length;
}

static bool take_hex4(parser *in, uint32_t *out)
{
    if (in->end - in->at < 4) return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        const char c = *in->at++;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return false;
        *out = *out << 4 | (uint32_t)digit;
    }
    return true;
}

static char *put_utf8(char *out, uint32_t code)
{
    if (code < 0x80) {
        *out++ = (char)code;
    } else if (code < 0x800) {
        *out++ = (char)(0xc0 | code >> 6);
        *out++ = (char)(0x80 | (code & 63));
    } else if (code < 0x10000) {
        *out++ = (char)(0xe0 | code >> 12);
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    } else {
        *out++ = (char)(0xf0 | code >> 18);
        *out++ = (char)(0x80 | (code >> 12 & 63));
        *out++ = (char)(0x80 | (code >> 6 & 63));
        *out++ = (char)(0x80 | (code & 63));
    }
    return out;
}

// Behind "\u". NULL when malformed.
static char *take_unicode_escape(parser *in, char *out)
{
    uint32_t code, low;
    if (!take_hex4(in, &code) || code == 0 || (code >= 0xdc00 && code <= 0xdfff)) return NULL;
    if (code >= 0xd800 && code <= 0xdbff) {
        if (!take(in, '\\') || !take(in, 'u') || !take_hex4(in, &low) || low < 0xdc00 || low > 0xdfff) return NULL;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    return put_utf8(out, code);
}

static char *take_escape(parser *in, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (in->at >= in->end) return NULL;
    const char c = *in->at++;
    if (c == 'u') return take_unicode_escape(in, out);
    const char *found = c ? strchr(from, c) : NULL;
    if (!found) return NULL;
    *out++ = to[found - from];
    return out;
}

// Behind the opening quote.
static sx_status parse_string(parser *in, const char **out)
{
    const char *quote = in->at;
    while (quote < in->end && *quote != '"')
        quote += *quote == '\\' && quote + 1 < in->end ? 2 : 1;
    if (quote >= in->end) return fail(in, "a string without end");
    // An escape never becomes longer than it is written.
    char *text = sx_arena_alloc(in->arena, (size_t)(quote - in->at) + 1), *end = text;
    if (!text) return out_of_memory(in);
    while (in->at < quote) {
        const unsigned char c = (unsigned char)*in->at;
        if (c < 32) return fail(in, "a control character in a string");
        if (c == '\\') {
            in->at++;
            end = take_escape(in, end);
            if (!end) return fail(in, "a bad escape");
            continue;
        }
        const size_t length = character_length((const unsigned char *)in->at, (size_t)(quote - in->at));
        if (length == 0) return fail(in, "invalid UTF-8");
        memcpy(end, in->at, length);
        end += length;
        in->at += length;
    }
    in->at = quote + 1;
    *end = 0;
    *out = text;
    return SX_OK;
}

static const char *skip_digits(const char *at, const char *end)
{
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

static sx_status parse_number(parser *in, sx_json *value)
{
    const char *at = in->at;
    bool whole = true;
    if (at < in->end && *at == '-') at++;
    const char *digits = at;
    at = skip_digits(at, in->end);
    if (at == digits || (*digits == '0' && at - digits > 1)) return fail(in, "not a JSON value");
    if (at < in->end && *at == '.') {
        digits = ++at;
        at = skip_digits(at, in->end);
        whole = false;
        if (at == digits) return fail(in, "a bad number");
    }
    if (at < in->end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < in->end && (*at == '+' || *at == '-')) at++;
        digits = at;
        at = skip_digits(at, in->end);
        whole = false;
        if (at == digits) return fail(in, "a bad number");
    }
    char text[MAX_NUMBER + 1];
    const size_t length = (size_t)(at - in->at);
    if (length > MAX_NUMBER) return fail(in, "a number of too many digits");
    memcpy(text, in->at, length);
    text[length] = 0;
    value->type = SX_JSON_NUMBER;
    value->number = strtod(text, NULL);
    if (!isfinite(value->number)) return fail(in, "a number out of range");
    value->is_integer = whole && length <= 18;
    if (value->is_integer) value->integer = strtoll(text, NULL, 10);
    in->at = at;
    return SX_OK;
}

static int compare_members(const void *a, const void *b)
{
    return strcmp((*(const sx_json *const *)a)->key, (*(const sx_json *const *)b)->key);
}

static sx_status check_keys(parser *in, const sx_json *object)
{
    if (object->count < 2) return SX_OK;
    const sx_json **members = malloc(object->count * sizeof *members);
    if (!members) return out_of_memory(in);
    uint32_t count = 0;
    for (const sx_json *m = object->first; m; m = m->next)
        members[count++] = m;
    qsort(members, count, sizeof *members, compare_members);
    sx_status status = SX_OK;
    for (uint32_t i = 1; i < count && status == SX_OK; i++)
        if (strcmp(members[i - 1]->key, members[i]->key) == 0)
            status = sx_fail(in->error, SX_ERROR_FORMAT, "%s: the JSON key \"%.100s\" appears twice", in->where,
                             members[i]->key);
    free(members);
    return status;
}

static sx_status parse_value(parser *in, unsigned depth, sx_json *value);

// The elements of an array or the members of an object, behind the opening bracket.
static sx_status parse_children(parser *in, unsigned depth, sx_json *parent)
{
    const bool object = parent->type == SX_JSON_OBJECT;
    const char close = object ? '}' : ']';
    const sx_json **link = &parent->first;
    skip_space(in);
    if (take(in, close)) return SX_OK;
    if (depth >= MAX_DEPTH) return fail(in, "nested too deeply");
    for (;;) {
        if (++in->values > MAX_VALUES) return fail(in, "too many values");
        sx_json *child = sx_arena_alloc(in->arena, sizeof *child);
        if (!child) return out_of_memory(in);
        skip_space(in);
        if (object) {
            if (!take(in, '"')) return fail(in, "a key is wanted");
            const sx_status status = parse_string(in, &child->key);
            if (status != SX_OK) return status;
            skip_space(in);
            if (!take(in, ':')) return fail(in, "a colon is wanted");
        }
        const sx_status status = parse_value(in, depth + 1, child);
        if (status != SX_OK) return status;
        *link = child;
        link = &child->next;
        parent->count++;
        skip_space(in);
        if (take(in, close)) return object ? check_keys(in, parent) : SX_OK;
        if (!take(in, ',')) return fail(in, "a comma or a closing bracket is wanted");
    }
}

static sx_status parse_value(parser *in, unsigned depth, sx_json *value)
{
    skip_space(in);
    if (in->at >= in->end) return fail(in, "ends too early");
    if (take(in, '{') || take(in, '[')) {
        value->type = in->at[-1] == '{' ? SX_JSON_OBJECT : SX_JSON_ARRAY;
        return parse_children(in, depth, value);
    }
    if (take(in, '"')) {
        value->type = SX_JSON_STRING;
        return parse_string(in, &value->string);
    }
    if (take_word(in, "null")) {
        value->type = SX_JSON_NULL;
        return SX_OK;
    }
    if (take_word(in, "true") || take_word(in, "false")) {
        value->type = SX_JSON_BOOL;
        value->boolean = in->at[-2] == 'u';
        return SX_OK;
    }
    return parse_number(in, value);
}

sx_status sx_json_parse(const char *text, size_t size, const char *where, sx_arena *arena, const sx_json **out,
                        sx_error *error)
{
    parser in = {text, text + size, text, where, arena, error, 0};
    sx_json *value = sx_arena_alloc(arena, sizeof *value);
    if (!value) return out_of_memory(&in);
    const sx_status status = parse_value(&in, 0, value);
    if (status != SX_OK) return status;
    skip_space(&in);
    if (in.at != in.end) return fail(&in, "something follows the value");
    *out = value;
    return SX_OK;
}

const sx_json *sx_json_find(const sx_json *object, const char *key)
{
    if (!object || object->type != SX_JSON_OBJECT) return NULL;
    for (const sx_json *m = object->first; m; m = m->next)
        if (strcmp(m->key, key) == 0) return m;
    return NULL;
}
