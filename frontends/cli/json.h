// JSON as the command line needs it (RFC 8259): a writer for output lines, and a reader for prompts and conversations.
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// ---- Writing: commas are put where they belong. --------------------------------------------------------------------

typedef struct cli_json {
    cli_text *out; // borrowed
    bool comma;    // the next value in this object or array needs one
} cli_json;

void cli_json_open(cli_json *json, char bracket);  // '{' or '['
void cli_json_close(cli_json *json, char bracket); // '}' or ']'
void cli_json_key(cli_json *json, const char *key);
// Bytes that are not UTF-8 become U+FFFD.
void cli_json_bytes(cli_json *json, const char *bytes, size_t length);
void cli_json_string(cli_json *json, const char *string); // NULL writes null
void cli_json_number(cli_json *json, double value);       // not finite writes null
void cli_json_integer(cli_json *json, uint64_t value);
void cli_json_boolean(cli_json *json, bool value);
void cli_json_null(cli_json *json);

// Key and value in one.
void cli_json_put_string(cli_json *json, const char *key, const char *string);
void cli_json_put_number(cli_json *json, const char *key, double value);
void cli_json_put_integer(cli_json *json, const char *key, uint64_t value);
void cli_json_put_boolean(cli_json *json, const char *key, bool value);

// ---- Reading -------------------------------------------------------------------------------------------------------

typedef enum cli_json_type {
    CLI_JSON_NULL = 0,
    CLI_JSON_FALSE,
    CLI_JSON_TRUE,
    CLI_JSON_NUMBER,
    CLI_JSON_STRING,
    CLI_JSON_ARRAY,
    CLI_JSON_OBJECT
} cli_json_type;

typedef struct cli_json_value {
    cli_json_type type;
    double number;
    char *string;                 // of a string; also the digits of a number as written
    char *key;                    // of an object's member, else NULL
    struct cli_json_value *first; // of an array or object
    struct cli_json_value *next;  // in the array or object it is in
} cli_json_value;

// Parses one value and nothing behind it but white space; at most 64 levels deep, keys at most once in an object,
// no NUL character in strings. NULL with a reason and its byte offset in `message`. Freed with cli_json_free.
cli_json_value *cli_json_parse(const char *text, size_t length, char *message, size_t message_size);
void cli_json_free(cli_json_value *value); // NULL is allowed
// NULL when `value` is no object or has no such key.
const cli_json_value *cli_json_member(const cli_json_value *value, const char *key);
// The member's text when it is a string, else NULL.
const char *cli_json_member_string(const cli_json_value *value, const char *key);

#endif
