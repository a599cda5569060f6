#include "json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void value(cli_json *json)
{
    if (json->comma) cli_text_add(json->out, ",");
    json->comma = true;
}

void cli_json_open(cli_json *json, char bracket)
{
    value(json);
    cli_text_append(json->out, &bracket, 1);
    json->comma = false;
}

void cli_json_close(cli_json *json, char bracket)
{
    cli_text_append(json->out, &bracket, 1);
    json->comma = true;
}

void cli_json_key(cli_json *json, const char *key)
{
    cli_json_string(json, key);
    cli_text_add(json->out, ":");
    json->comma = false;
}

void cli_json_bytes(cli_json *json, const char *bytes, size_t length)
{
    static const char escapes[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const unsigned char *text = (const unsigned char *)bytes;
    value(json);
    cli_text_add(json->out, "\"");
    for (size_t i = 0; i < length;) {
        size_t size = cli_utf8_sequence(bytes + i, length - i);
        const char *found = text[i] ? strchr(escapes, text[i]) : NULL;
        if (found) {
            cli_text_printf(json->out, "\\%c", letters[found - escapes]);
        } else if (text[i] < 0x20 || text[i] == 0x7f) {
            cli_text_printf(json->out, "\\u%04x", text[i]);
        } else if (size == 0) {
            cli_text_add(json->out, "\xef\xbf\xbd");
        } else {
            cli_text_append(json->out, bytes + i, size);
        }
        i += size ? size : 1;
    }
    cli_text_add(json->out, "\"");
}

void cli_json_string(cli_json *json, const char *string)
{
    if (string) {
        cli_json_bytes(json, string, strlen(string));
    } else {
        cli_json_null(json);
    }
}

void cli_json_number(cli_json *json, double number)
{
    if (!isfinite(number)) {
        cli_json_null(json);
        return;
    }
    value(json);
    cli_text_printf(json->out, "%.9g", number);
}

void cli_json_integer(cli_json *json, uint64_t integer)
{
    value(json);
    cli_text_printf(json->out, "%llu", (unsigned long long)integer);
}

void cli_json_boolean(cli_json *json, bool boolean)
{
    value(json);
    cli_text_add(json->out, boolean ? "true" : "false");
}

void cli_json_null(cli_json *json)
{
    value(json);
    cli_text_add(json->out, "null");
}

void cli_json_put_string(cli_json *json, const char *key, const char *string)
{
    cli_json_key(json, key);
    cli_json_string(json, string);
}

void cli_json_put_number(cli_json *json, const char *key, double number)
{
    cli_json_key(json, key);
    cli_json_number(json, number);
}

void cli_json_put_integer(cli_json *json, const char *key, uint64_t integer)
{
    cli_json_key(json, key);
    cli_json_integer(json, integer);
}

void cli_json_put_boolean(cli_json *json, const char *key, bool boolean)
{
    cli_json_key(json, key);
    cli_json_boolean(json, boolean);
}
