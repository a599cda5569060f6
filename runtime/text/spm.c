#include "text/tokenizer_internal.h"
#include "text/unicode.h"

// Scores order merges: the highest first. Their bits as an integer that grows when the score falls.
static uint32_t falling(float score)
{
    const float positive_zero = score + 0.0f; // -0 and 0 are one score
    uint32_t bits;
    memcpy(&bits, &positive_zero, sizeof bits);
    return bits & 0x80000000u ? bits : ~bits & 0x7FFFFFFFu;
}

static bool merge_rule(const sx_tokenizer *tokenizer, const uint8_t *text, const text_symbol *left,
                       const text_symbol *right, text_merge *merge)
{
    (void)right;
    merge->result = text_find(tokenizer, text + left->offset, merge->size);
    if (merge->result >= 0) merge->priority = falling(tokenizer->scores[merge->result]);
    return merge->result >= 0;
}

bool text_spm_fragment(const sx_tokenizer *tokenizer, text_scratch *scratch, const uint8_t *bytes, size_t size,
                       bool space_prefix, text_sink *sink)
{
    // U+2581 and a space are the same to SentencePiece; here both are a space, in the tokens as well.
    if (!text_reserve(&scratch->bytes, &scratch->byte_capacity, size + 1, 1)) return false;
    uint8_t *text = scratch->bytes;
    size_t length = 0;
    if (space_prefix) text[length++] = ' ';
    for (size_t i = 0; i < size; i++) {
        const bool mark = size - i >= 3 && memcmp(bytes + i, "\xE2\x96\x81", 3) == 0;
        text[length++] = mark ? ' ' : bytes[i];
        i += mark ? 2 : 0;
    }
    scratch->symbol_count = 0;
    for (size_t offset = 0, step; offset < length; offset += step) {
        uint32_t code_point;
        step = text_utf8_read(text + offset, length - offset, &code_point);
        if (!text_add_symbol(scratch, (uint32_t)offset, (uint32_t)step, text_find(tokenizer, text + offset, step)))
            return false;
    }
    if (!text_merge_all(tokenizer, scratch, text, merge_rule)) return false;
    for (uint32_t i = 0; i != TEXT_NO_SLOT && i < scratch->symbol_count; i = scratch->symbols[i].next) {
        const text_symbol *symbol = &scratch->symbols[i];
        if (symbol->id >= 0) {
            text_emit(sink, symbol->id);
            continue;
        }
        // Byte fallback; without the byte tokens one unknown token stands for the character.
        bool all = true;
        for (uint32_t b = 0; b < symbol->length; b++)
            all = all && tokenizer->byte_tokens[text[symbol->offset + b]] >= 0;
        for (uint32_t b = 0; all && b < symbol->length; b++)
            text_emit(sink, tokenizer->byte_tokens[text[symbol->offset + b]]);
        if (!all && tokenizer->unk >= 0) text_emit(sink, tokenizer->unk);
    }
    return true;
}
