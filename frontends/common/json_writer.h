// JSON (RFC 8259) written into a text; commas are put where they belong.
#ifndef FE_JSON_WRITER_H
#define FE_JSON_WRITER_H

#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct json_writer {
    fe_text *out; // borrowed
    bool comma;   // the next value in this object or array needs one
} json_writer;

void json_open(json_writer *json, char bracket);  // '{' or '['
void json_close(json_writer *json, char bracket); // '}' or ']'
void json_key(json_writer *json, const char *key);
// Bytes that are not UTF-8 become U+FFFD.
void json_bytes(json_writer *json, const char *bytes, size_t length);
void json_string(json_writer *json, const char *string); // NULL writes null
void json_number(json_writer *json, double value);       // not finite writes null
void json_integer(json_writer *json, uint64_t value);
void json_boolean(json_writer *json, bool value);
void json_null(json_writer *json);

// Key and value in one; of an object or array, key and bracket.
void json_put_open(json_writer *json, const char *key, char bracket);
void json_put_bytes(json_writer *json, const char *key, const char *bytes, size_t length);
void json_put_string(json_writer *json, const char *key, const char *string);
void json_put_number(json_writer *json, const char *key, double value);
void json_put_integer(json_writer *json, const char *key, uint64_t value);
void json_put_integers(json_writer *json, const char *key, const uint32_t *values, uint32_t count);
void json_put_boolean(json_writer *json, const char *key, bool value);

#endif
