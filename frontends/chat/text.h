// Editing of text, and steps through UTF-8.
#ifndef CHAT_TEXT_H
#define CHAT_TEXT_H

#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Appends bytes from outside: each that is not part of UTF-8, and each NUL, becomes U+FFFD. Returns how many did.
size_t chat_text_append_utf8(fe_text *text, const char *bytes, size_t length);
void chat_text_set(fe_text *text, const char *bytes, size_t length);
void chat_text_insert(fe_text *text, size_t at, const char *bytes, size_t length);
void chat_text_remove(fe_text *text, size_t at, size_t length);

// The code point at `*at`, which moves behind it; U+FFFD and one byte for what is broken. `*at < length`.
uint32_t chat_utf8_decode(const char *text, size_t length, size_t *at);
size_t chat_utf8_next(const char *text, size_t length, size_t at); // `length` at the end
size_t chat_utf8_previous(const char *text, size_t at);            // 0 at the start
size_t chat_utf8_cut(const char *text, size_t length,
                     size_t limit); // most bytes up to `limit` that are whole characters

// Whether `text` holds `needle`, ASCII letters compared without case.
bool chat_contains(const char *text, const char *needle);

#endif
