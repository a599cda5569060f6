// Unicode for the tokenizer: UTF-8, general categories, NFC. One pinned version (16.0.0), compiled in as tables made by
// tools/unicode_tables.py, so that the same text gives the same tokens natively and in a browser, whatever the C
// library knows. Pure functions, thread safe.
#ifndef SX_TEXT_UNICODE_H
#define SX_TEXT_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_REPLACEMENT 0xFFFDu
#define TEXT_HANGUL_FIRST 0xAC00u
#define TEXT_HANGUL_COUNT 11172u
// A byte that is part of no well-formed character stands for itself, above all code points: category Cn, class 0.
#define TEXT_BROKEN_BYTE 0x110000u

typedef enum text_category {
    TEXT_CN,
    TEXT_CC,
    TEXT_CF,
    TEXT_CO,
    TEXT_CS,
    TEXT_LU,
    TEXT_LL,
    TEXT_LT,
    TEXT_LM,
    TEXT_LO,
    TEXT_MN,
    TEXT_MC,
    TEXT_ME,
    TEXT_ND,
    TEXT_NL,
    TEXT_NO,
    TEXT_PC,
    TEXT_PD,
    TEXT_PS,
    TEXT_PE,
    TEXT_PI,
    TEXT_PF,
    TEXT_PO,
    TEXT_SM,
    TEXT_SC,
    TEXT_SK,
    TEXT_SO,
    TEXT_ZS,
    TEXT_ZL,
    TEXT_ZP
} text_category;

// ---- UTF-8 ----------------------------------------------------------------------------------------------------------

// Reads one character of `size` >= 1 bytes and returns how many it took, 1..4. No overlong forms, no surrogates,
// nothing above U+10FFFF: the first byte of anything ill-formed is returned as TEXT_BROKEN_BYTE + byte, taking 1.
size_t text_utf8_read(const uint8_t *bytes, size_t size, uint32_t *code_point);
// Writes a code point (or a TEXT_BROKEN_BYTE as its byte) to `bytes` (room for 4) and returns how many it wrote, 1..4.
size_t text_utf8_write(uint32_t code_point, uint8_t *bytes);
// How many of the first bytes form the longest prefix of some well-formed character ("maximal subpart" of the Unicode
// standard, chapter 3.9): 0 for a byte that can begin none. *complete tells whether that character is whole.
size_t text_utf8_prefix(const uint8_t *bytes, size_t size, bool *complete);

// ---- properties -----------------------------------------------------------------------------------------------------

text_category text_category_of(uint32_t code_point);
uint8_t text_combining_class(uint32_t code_point);
bool text_is_letter(uint32_t code_point);  // \p{L}
bool text_is_mark(uint32_t code_point);    // \p{M}
bool text_is_number(uint32_t code_point);  // \p{N}
bool text_is_symbol(uint32_t code_point);  // [\p{P}\p{S}]
bool text_is_space(uint32_t code_point);   // \s, the property White_Space (U+0085 in, U+001C..1F out)
bool text_is_newline(uint32_t code_point); // [\r\n]

// ---- normalisation --------------------------------------------------------------------------------------------------

// Whether NFC certainly leaves the bytes alone (there is no character from U+0300 on): a fast test, not a complete one.
bool text_is_trivially_nfc(const uint8_t *bytes, size_t size);
// Normalization Form C of UAX #15. Ill-formed bytes pass through and keep apart what stands around them. *out is
// malloc'ed, terminated, owned by the caller, at most 3 times as long; false when memory is exhausted.
bool text_nfc(const uint8_t *bytes, size_t size, uint8_t **out, size_t *out_size);

#endif
