#include "common/json_writer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void value(json_writer *json)
{
    if (json->comma) fe_text_add(json->out, ",");
    json->comma = true;
}

void json_open(json_writer *json, char bracket)
{
    value(json);
    fe_text_append(json->out, &bracket, 1);
    json->comma = false;
}

void json_close(json_writer *json, char bracket)
{
    fe_text_append(json->out, &bracket, 1);
    json->comma = true;
}

void json_key(json_writer *json, const char *key)
{
    json_string(json, key);
    fe_text_add(json->out, ":");
    json->comma = false;
}

void json_bytes(json_writer *json, const char *bytes, size_t length)
{
    static const char escapes[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const unsigned char *text = (const unsigned char *)bytes;
    value(json);
    fe_text_add(json->out, "\"");
    for (size_t i = 0; i < length;) {
        size_t size = fe_utf8_sequence(bytes + i, length - i);
        const char *found = text[i] ? strchr(escapes, text[i]) : NULL;
        if (found) {
            fe_text_printf(json->out, "\\%c", letters[found - escapes]);
        } else if (text[i] < 0x20 || text[i] == 0x7f) {
            fe_text_printf(json->out, "\\u%04x", text[i]);
        } else if (size == 0) {
            fe_text_add(json->out, FE_REPLACEMENT);
        } else {
            fe_text_append(json->out, bytes + i, size);
        }
        i += size ? size : 1;
    }
    fe_text_add(json->out, "\"");
}

void json_string(json_writer *json, const char *string)
{
    if (string) {
        json_bytes(json, string, strlen(string));
    } else {
        json_null(json);
    }
}

void json_number(json_writer *json, double number)
{
    if (!isfinite(number)) {
        json_null(json);
        return;
    }
    value(json);
    fe_text_printf(json->out, "%.9g", number);
}

void json_integer(json_writer *json, uint64_t integer)
{
    value(json);
    fe_text_printf(json->out, "%llu", (unsigned long long)integer);
}

void json_boolean(json_writer *json, bool boolean)
{
    value(json);
    fe_text_add(json->out, boolean ? "true" : "false");
}

void json_null(json_writer *json)
{
    value(json);
    fe_text_add(json->out, "null");
}

void json_put_open(json_writer *json, const char *key, char bracket)
{
    json_key(json, key);
    json_open(json, bracket);
}

void json_put_bytes(json_writer *json, const char *key, const char *bytes, size_t length)
{
    json_key(json, key);
    json_bytes(json, bytes, length);
}

void json_put_string(json_writer *json, const char *key, const char *string)
{
    json_key(json, key);
    json_string(json, string);
}

void json_put_number(json_writer *json, const char *key, double number)
{
    json_key(json, key);
    json_number(json, number);
}

void json_put_integer(json_writer *json, const char *key, uint64_t integer)
{
    json_key(json, key);
    json_integer(json, integer);
}

void json_put_integers(json_writer *json, const char *key, const uint32_t *values, uint32_t count)
{
    json_put_open(json, key, '[');
    for (uint32_t i = 0; i < count; i++)
        json_integer(json, values[i]);
    json_close(json, ']');
}

void json_put_boolean(json_writer *json, const char *key, bool boolean)
{
    json_key(json, key);
    json_boolean(json, boolean);
}
