// Writes JSON into one growing buffer that is reused from call to call, so that a cycle's events cost no allocation.
#ifndef WEB_JSON_WRITER_H
#define WEB_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct web_json {
    char *data; // terminated once json_end has been called; NULL before the first write
    size_t length, capacity;
    bool failed; // out of memory: what is written from then on is dropped
} web_json;

void json_clear(web_json *json); // keeps the memory
void json_free(web_json *json);
// Terminates the text and returns it; an error object when memory ran out. Valid until the next call for `json`.
const char *json_end(web_json *json);

void json_raw(web_json *json, const char *text);
// A quoted, escaped string; NULL is written as null. Bytes that are not UTF-8 become U+FFFD.
void json_string(web_json *json, const char *text, size_t length);
// `{"a":1,"b":2` grows by comma, key and value: a comma is put unless the text ends with an opening bracket.
void json_key(web_json *json, const char *key);
void json_number(web_json *json, const char *key, double value); // NaN and infinities become null
void json_integer(web_json *json, const char *key, uint64_t value);
void json_boolean(web_json *json, const char *key, bool value);
void json_text(web_json *json, const char *key, const char *value); // terminated, or NULL
void json_integers(web_json *json, const char *key, const uint32_t *values, uint32_t count);
// Separates elements of an array.
void json_element(web_json *json);

#endif
