#include "common/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *fe_allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) fe_out_of_memory();
    return memory;
}

void *fe_reallocate(void *memory, size_t count, size_t size)
{
    if (size && count > SIZE_MAX / size) fe_out_of_memory();
    void *grown = realloc(memory, count && size ? count * size : 1);
    if (!grown) fe_out_of_memory();
    return grown;
}

char *fe_copy_string(const char *string)
{
    size_t size = strlen(string) + 1;
    return memcpy(fe_allocate(size, 1), string, size);
}

static void reserve(fe_text *text, size_t more)
{
    if (more > SIZE_MAX / 4 - text->length) fe_out_of_memory();
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity) return;
    text->capacity = needed * 2;
    text->data = fe_reallocate(text->data, text->capacity, 1);
}

void fe_text_append(fe_text *text, const char *bytes, size_t length)
{
    reserve(text, length);
    if (length) memcpy(text->data + text->length, bytes, length);
    text->length += length;
    text->data[text->length] = 0;
}

void fe_text_add(fe_text *text, const char *string)
{
    fe_text_append(text, string, strlen(string));
}

void fe_text_printf(fe_text *text, const char *format, ...)
{
    va_list arguments, again;
    va_start(arguments, format);
    va_copy(again, arguments);
    int length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length > 0) {
        reserve(text, (size_t)length);
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

const char *fe_text_string(const fe_text *text)
{
    return text->data ? text->data : "";
}

void fe_text_clear(fe_text *text)
{
    text->length = 0;
    if (text->data) text->data[0] = 0;
}

void fe_text_free(fe_text *text)
{
    free(text->data);
    *text = (fe_text){0};
}

size_t fe_utf8_sequence(const char *bytes, size_t left)
{
    const unsigned char *text = (const unsigned char *)bytes;
    unsigned char lead = text[0];
    if (lead < 0x80) return 1;
    size_t count = lead >= 0xc2 && lead < 0xe0 ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
    if (count == 0 || count > left) return 0;
    for (size_t i = 1; i < count; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if ((lead == 0xe0 && text[1] < 0xa0) || (lead == 0xed && text[1] > 0x9f)) return 0;
    if ((lead == 0xf0 && text[1] < 0x90) || (lead == 0xf4 && text[1] > 0x8f)) return 0;
    return count;
}
