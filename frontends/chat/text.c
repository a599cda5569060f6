#include "text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fe_out_of_memory(void)
{
    fputs("specexit-chat: memory is exhausted\n", stderr);
    abort(); // what was written until now is in the store
}

void chat_text_set(fe_text *text, const char *bytes, size_t length)
{
    text->length = 0;
    fe_text_append(text, bytes, length);
}

void chat_text_insert(fe_text *text, size_t at, const char *bytes, size_t length)
{
    const size_t behind = text->length - at;
    fe_text_append(text, bytes, length); // makes room
    memmove(text->data + at + length, text->data + at, behind);
    if (length) memcpy(text->data + at, bytes, length);
}

void chat_text_remove(fe_text *text, size_t at, size_t length)
{
    if (at >= text->length) return;
    if (length > text->length - at) length = text->length - at;
    memmove(text->data + at, text->data + at + length, text->length - at - length);
    text->length -= length;
    text->data[text->length] = 0;
}

uint32_t chat_utf8_decode(const char *text, size_t length, size_t *at)
{
    const unsigned char *bytes = (const unsigned char *)text + *at;
    const size_t count = fe_utf8_sequence(text + *at, length - *at);
    *at += count ? count : 1;
    if (!count) return 0xFFFD;
    uint32_t point = count == 1 ? bytes[0] : bytes[0] & (0xFFu >> (count + 1));
    for (size_t i = 1; i < count; i++)
        point = point << 6 | (bytes[i] & 0x3F);
    return point;
}

size_t chat_text_append_utf8(fe_text *text, const char *bytes, size_t length)
{
    size_t replaced = 0, kept = 0; // bytes before `kept` are written
    for (size_t at = 0; at < length;) {
        const size_t count = fe_utf8_sequence(bytes + at, length - at), next = at + (count ? count : 1);
        if (!count || bytes[at] == 0) {
            fe_text_append(text, bytes + kept, at - kept);
            fe_text_add(text, FE_REPLACEMENT);
            kept = next;
            replaced++;
        }
        at = next;
    }
    fe_text_append(text, bytes + kept, length - kept);
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
