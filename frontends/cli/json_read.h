// Reads JSON (RFC 8259): prompts, conversations, records.
#ifndef CLI_JSON_READ_H
#define CLI_JSON_READ_H

#include <stddef.h>

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
