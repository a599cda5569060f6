// What every front end keeps text in: growable bytes, UTF-8, and memory that cannot fail.
#ifndef FE_TEXT_H
#define FE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

// Zero-initialised is empty. `data` is NULL until something was added, then always terminated; fe_text_string gives ""
// for the empty one. Freed with fe_text_free, after which it is empty again.
typedef struct fe_text {
    char *data;
    size_t length, capacity; // bytes, the terminator not counted in length
} fe_text;

#define FE_REPLACEMENT "\xEF\xBF\xBD" // U+FFFD: in place of what is no text

void fe_text_append(fe_text *text, const char *bytes, size_t length);
void fe_text_add(fe_text *text, const char *string);
void fe_text_printf(fe_text *text, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
const char *fe_text_string(const fe_text *text);
void fe_text_clear(fe_text *text); // keeps the memory
void fe_text_free(fe_text *text);

// Zeroed memory, realloc and strdup that never return NULL. Freed with free.
void *fe_allocate(size_t count, size_t size);
void *fe_reallocate(void *memory, size_t count, size_t size);
char *fe_copy_string(const char *string);
// Written by each front end, called when memory is exhausted: says so and ends the program. Must not return.
void fe_out_of_memory(void);

// Length of the valid UTF-8 sequence at the `left` bytes, 0 when there is none (Unicode 15, table 3-7).
size_t fe_utf8_sequence(const char *bytes, size_t left);

#endif
