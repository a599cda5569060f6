// What Unicode asks of text that is set: where lines may break (UAX 14, by libunibreak) and in which direction pieces
// of a line run (UAX 9, by FriBidi). Without these libraries: breaks at spaces and between CJK characters, and
// everything from left to right.
#ifndef CHAT_UNICODE_H
#define CHAT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// breaks[i]: the line may break behind byte i. `breaks` [length] is written whole.
void unicode_breaks(const char *text, size_t length, bool *breaks);

bool unicode_has_rtl(const char *text, size_t length); // characters that run from right to left
// The embedding level of each byte; odd ones run from right to left. `rtl` is the paragraph's direction: given where
// `*known`, else found from the text and made known. False, all levels 0, without FriBidi.
bool unicode_levels(const char *text, size_t length, bool *known, bool *rtl, uint8_t *levels);

// The tag of the script HarfBuzz is to shape a character in, "" where it needs none.
const char *unicode_script(uint32_t point);
bool unicode_is_emoji(uint32_t point); // shown in colour
bool unicode_joins(uint32_t point);    // belongs to the character before: marks, joiners, variation selectors

#endif
