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
// Whether the character at `at` is a picture in colours, an emoji: by its nature, or because a variation selector
// behind it says so (U+FE0F; U+FE0E: it is not).
bool unicode_is_picture(const char *text, size_t length, size_t at);

// What readers take for one character: a letter with its marks, an emoji with its skin and what it is joined to, a
// flag. Its end, for the one that begins at `at` < `length`; and the last place up to `at` where one begins.
size_t unicode_cluster(const char *text, size_t length, size_t at);
size_t unicode_cluster_start(const char *text, size_t length, size_t at);

#endif
