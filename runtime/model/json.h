// A strict JSON reader (RFC 8259) for checkpoints' metadata. Bounded: depth 32, 2^20 values; duplicate keys, invalid
// UTF-8, zero characters and anything behind the value are refused.
#ifndef SX_MODEL_JSON_H
#define SX_MODEL_JSON_H

#include "base/arena.h"
#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sx_json_type {
    SX_JSON_NULL,
    SX_JSON_BOOL,
    SX_JSON_NUMBER,
    SX_JSON_STRING,
    SX_JSON_ARRAY,
    SX_JSON_OBJECT
} sx_json_type;

typedef struct sx_json {
    sx_json_type type;
    bool is_integer; // a number without point and exponent that fits int64
    bool boolean;
    const char *key;    // of a member of an object, else NULL
    const char *string; // terminated UTF-8
    double number;
    int64_t integer;             // when is_integer
    uint32_t count;              // elements or members
    const struct sx_json *first; // child
    const struct sx_json *next;  // sibling
} sx_json;

// Everything lives in the arena. `where` names the file for messages.
sx_status sx_json_parse(const char *text, size_t size, const char *where, sx_arena *arena, const sx_json **out,
                        sx_error *error);
// The member of that name, or NULL (also when `object` is NULL or no object).
const sx_json *sx_json_find(const sx_json *object, const char *key);

#endif
