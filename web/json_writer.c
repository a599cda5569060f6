#include "json_writer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool json_reserve(web_json *json, size_t more)
{
    if (json->failed) return false;
    if (more <= json->capacity - json->length && json->data) return true;
    size_t capacity = json->capacity ? json->capacity : 4096;
    while (capacity - json->length < more) {
        if (capacity > SIZE_MAX / 2) {
            json->failed = true;
            return false;
        }
        capacity *= 2;
    }
    char *data = realloc(json->data, capacity);
    if (!data) {
        json->failed = true;
        return false;
    }
    json->data = data;
    json->capacity = capacity;
    return true;
}

static void json_bytes(web_json *json, const char *bytes, size_t length)
{
    if (!json_reserve(json, length + 1)) return;
    memcpy(json->data + json->length, bytes, length);
    json->length += length;
}

void json_clear(web_json *json)
{
    json->length = 0;
    json->failed = false;
}

void json_free(web_json *json)
{
    free(json->data);
    *json = (web_json){0};
}

const char *json_end(web_json *json)
{
    if (!json_reserve(json, 1)) return "{\"error\":{\"status\":\"memory\",\"message\":\"out of memory\"}}";
    json->data[json->length] = 0;
    return json->data;
}

void json_raw(web_json *json, const char *text)
{
    json_bytes(json, text, strlen(text));
}

// Length of the UTF-8 sequence at `bytes`, 0 when it is not one.
static size_t utf8_length(const unsigned char *bytes, size_t left)
{
    unsigned char first = bytes[0];
    size_t length = first < 0x80 ? 1 : first >= 0xc2 && first < 0xe0 ? 2 : first >= 0xe0 && first < 0xf0 ? 3 : 4;
    if (length == 4 && (first < 0xf0 || first > 0xf4)) return 0;
    if (length > left) return 0;
    for (size_t i = 1; i < length; ++i)
        if ((bytes[i] & 0xc0) != 0x80) return 0;
    // Overlong forms, surrogates and what lies beyond U+10FFFF.
    if (first == 0xe0 && bytes[1] < 0xa0) return 0;
    if (first == 0xed && bytes[1] > 0x9f) return 0;
    if (first == 0xf0 && bytes[1] < 0x90) return 0;
    if (first == 0xf4 && bytes[1] > 0x8f) return 0;
    return length;
}

void json_string(web_json *json, const char *text, size_t length)
{
    if (!text) {
        json_raw(json, "null");
        return;
    }
    json_raw(json, "\"");
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < length;) {
        size_t size = utf8_length(bytes + i, length - i);
        char escaped[8];
        if (!size) {
            json_raw(json, "\xef\xbf\xbd");
            size = 1;
        } else if (bytes[i] == '"' || bytes[i] == '\\') {
            escaped[0] = '\\';
            escaped[1] = (char)bytes[i];
            json_bytes(json, escaped, 2);
        } else if (bytes[i] < 0x20) {
            json_bytes(json, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", bytes[i]));
        } else {
            json_bytes(json, text + i, size);
        }
        i += size;
    }
    json_raw(json, "\"");
}

void json_element(web_json *json)
{
    if (json->length && json->data[json->length - 1] != '{' && json->data[json->length - 1] != '[') json_raw(json, ",");
}

void json_key(web_json *json, const char *key)
{
    json_element(json);
    json_string(json, key, strlen(key));
    json_raw(json, ":");
}

void json_number(web_json *json, const char *key, double value)
{
    char text[32] = "null";
    if (isfinite(value)) snprintf(text, sizeof text, "%.9g", value);
    json_key(json, key);
    json_raw(json, text);
}

void json_integer(web_json *json, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    json_key(json, key);
    json_raw(json, text);
}

void json_boolean(web_json *json, const char *key, bool value)
{
    json_key(json, key);
    json_raw(json, value ? "true" : "false");
}

void json_text(web_json *json, const char *key, const char *value)
{
    json_key(json, key);
    json_string(json, value, value ? strlen(value) : 0);
}

void json_integers(web_json *json, const char *key, const uint32_t *values, uint32_t count)
{
    if (key) json_key(json, key);
    json_raw(json, "[");
    for (uint32_t i = 0; i < count; ++i) {
        char text[16];
        snprintf(text, sizeof text, i ? ",%u" : "%u", (unsigned)values[i]);
        json_raw(json, text);
    }
    json_raw(json, "]");
}
