#include "text.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *chat_reallocate(void *memory, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) abort();
    void *grown = realloc(memory, count && size ? count * size : 1);
    if (!grown) {
        fputs("specexit-chat: memory is exhausted\n", stderr);
        abort();
    }
    return grown;
}

char *chat_copy(const char *text)
{
    size_t size = strlen(text) + 1;
    return memcpy(chat_reallocate(NULL, size, 1), text, size);
}

static void reserve(chat_text *text, size_t length)
{
    if (length + 1 <= text->capacity) return;
    size_t capacity = text->capacity ? text->capacity : 32;
    while (capacity < length + 1)
        capacity *= 2;
    text->data = chat_reallocate(text->data, capacity, 1);
    text->capacity = capacity;
}

void chat_text_append(chat_text *text, const char *bytes, size_t length)
{
    reserve(text, text->length + length);
    if (length) memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = 0;
}

void chat_text_add(chat_text *text, const char *string)
{
    chat_text_append(text, string, strlen(string));
}

void chat_text_printf(chat_text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0) return;
    reserve(text, text->length + (size_t)length);
    va_start(arguments, format);
    vsnprintf(text->data + text->length, (size_t)length + 1, format, arguments);
    va_end(arguments);
    text->length += (size_t)length;
}

void chat_text_set(chat_text *text, const char *bytes, size_t length)
{
    text->length = 0;
    chat_text_append(text, bytes, length);
}

void chat_text_insert(chat_text *text, size_t at, const char *bytes, size_t length)
{
    reserve(text, text->length + length);
    memmove(text->data + at + length, text->data + at, text->length - at);
    if (length) memcpy(text->data + at, bytes, length);
    text->length += length;
    text->data[text->length] = 0;
}

void chat_text_remove(chat_text *text, size_t at, size_t length)
{
    if (at >= text->length) return;
    if (length > text->length - at) length = text->length - at;
    memmove(text->data + at, text->data + at + length, text->length - at - length);
    text->length -= length;
    text->data[text->length] = 0;
}

void chat_text_clear(chat_text *text)
{
    text->length = 0;
    if (text->data) text->data[0] = 0;
}

void chat_text_free(chat_text *text)
{
    free(text->data);
    *text = (chat_text){0};
}

const char *chat_text_string(const chat_text *text)
{
    return text->data ? text->data : "";
}

uint32_t chat_utf8_decode(const char *text, size_t length, size_t *at)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; // by the count of bytes: shorter ones are to be used
    const unsigned char *bytes = (const unsigned char *)text + *at;
    size_t left = length - *at;
    unsigned count = bytes[0] < 0x80 ? 1 : (bytes[0] & 0xE0) == 0xC0 ? 2 : (bytes[0] & 0xF0) == 0xE0 ? 3 : 4;
    bool good = bytes[0] < 0xF8 && (bytes[0] & 0xC0) != 0x80 && count <= left;
    uint32_t point = count == 1 ? bytes[0] : bytes[0] & (0xFFu >> (count + 1));
    for (unsigned i = 1; good && i < count; i++) {
        good = (bytes[i] & 0xC0) == 0x80;
        point = point << 6 | (bytes[i] & 0x3F);
    }
    good = good && point >= least[count] && point <= 0x10FFFF && (point & ~0x7FFu) != 0xD800;
    *at += good ? count : 1;
    return good ? point : 0xFFFD;
}

size_t chat_text_append_utf8(chat_text *text, const char *bytes, size_t length)
{
    size_t replaced = 0, kept = 0; // bytes before `kept` are written
    for (size_t at = 0; at < length;) {
        size_t next = at;
        bool good = chat_utf8_decode(bytes, length, &next) != 0xFFFD || next == at + 3; // it may be written itself
        if (!good || bytes[at] == 0) {
            chat_text_append(text, bytes + kept, at - kept);
            chat_text_add(text, CHAT_REPLACEMENT);
            kept = next;
            replaced++;
        }
        at = next;
    }
    chat_text_append(text, bytes + kept, length - kept);
    return replaced;
}

size_t chat_utf8_next(const char *text, size_t length, size_t at)
{
    if (at >= length) return length;
    chat_utf8_decode(text, length, &at);
    return at;
}

size_t chat_utf8_previous(const char *text, size_t at)
{
    if (at == 0) return 0;
    at--;
    for (unsigned i = 0; i < 3 && at > 0 && ((unsigned char)text[at] & 0xC0) == 0x80; i++)
        at--;
    return at;
}

size_t chat_utf8_cut(const char *text, size_t length, size_t limit)
{
    if (length <= limit) return length;
    while (limit && ((unsigned char)text[limit] & 0xC0) == 0x80)
        limit--;
    return limit;
}

bool chat_contains(const char *text, const char *needle)
{
    size_t length = strlen(needle);
    if (length == 0) return true;
    for (; *text; text++) {
        size_t i = 0;
        while (i < length && text[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)needle[i]))
            i++;
        if (i == length) return true;
    }
    return false;
}
