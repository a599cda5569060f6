// Growable strings and UTF-8 steps. Memory exhaustion ends the program with a message: nothing here can fail.
#ifndef CHAT_TEXT_H
#define CHAT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct chat_text {
    char *data; // NULL when nothing was ever written, else terminated
    size_t length, capacity;
} chat_text;

#define CHAT_REPLACEMENT "\xEF\xBF\xBD" // U+FFFD: in place of what is no text

void *chat_reallocate(void *memory, size_t count, size_t size); // free with free
char *chat_copy(const char *text);                              // free with free

void chat_text_append(chat_text *text, const char *bytes, size_t length);
void chat_text_add(chat_text *text, const char *string);
void chat_text_printf(chat_text *text, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
// The same for bytes from outside: each that is not part of UTF-8, and each NUL, becomes U+FFFD. Returns how many did.
size_t chat_text_append_utf8(chat_text *text, const char *bytes, size_t length);
void chat_text_set(chat_text *text, const char *bytes, size_t length);
void chat_text_insert(chat_text *text, size_t at, const char *bytes, size_t length);
void chat_text_remove(chat_text *text, size_t at, size_t length);
void chat_text_clear(chat_text *text);
void chat_text_free(chat_text *text);
const char *chat_text_string(const chat_text *text); // never NULL

// The code point at `*at`, which moves behind it; U+FFFD and one byte for what is broken. `*at < length`.
uint32_t chat_utf8_decode(const char *text, size_t length, size_t *at);
size_t chat_utf8_next(const char *text, size_t length, size_t at); // `length` at the end
size_t chat_utf8_previous(const char *text, size_t at);            // 0 at the start
size_t chat_utf8_cut(const char *text, size_t length,
                     size_t limit); // most bytes up to `limit` that are whole characters

// Whether `text` holds `needle`, ASCII letters compared without case.
bool chat_contains(const char *text, const char *needle);

#endif
