#include "text/tokenizer_internal.h"
#include "text/unicode.h"

#include <stdlib.h>

static uint32_t hash_pair(uint32_t left, uint32_t right)
{
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(hash >> 32) ^ (uint32_t)(hash >> 13);
}

static text_pair_slot *find_pair(const sx_tokenizer *tokenizer, uint32_t left, uint32_t right)
{
    uint32_t index = hash_pair(left, right) & tokenizer->pair_mask;
    for (;; index = (index + 1) & tokenizer->pair_mask) {
        text_pair_slot *slot = &tokenizer->pairs[index];
        if (slot->left == TEXT_NO_SLOT || (slot->left == left && slot->right == right)) return slot;
    }
}

static bool merge_rule(const sx_tokenizer *tokenizer, const uint8_t *text, const text_symbol *left,
                       const text_symbol *right, text_merge *merge)
{
    (void)text;
    if (left->id < 0 || right->id < 0) return false;
    const text_pair_slot *slot = find_pair(tokenizer, (uint32_t)left->id, (uint32_t)right->id);
    merge->priority = slot->rank;
    merge->result = slot->result;
    return slot->left != TEXT_NO_SLOT;
}

// ---- reading the merges
// -----------------------------------------------------------------------------------------------

sx_status text_load_merges(sx_tokenizer *tokenizer, const sx_tokenizer_desc *desc, sx_error *error)
{
    uint32_t slots = 16;
    while (slots < 1u << 31 && slots / 3 * 2 < desc->merge_count)
        slots *= 2;
    if (slots / 3 * 2 < desc->merge_count)
        return sx_fail(error, SX_ERROR_FORMAT, "tokenizer.ggml.merges has %u entries, which is too many",
                       desc->merge_count);
    tokenizer->pairs = malloc(slots * sizeof *tokenizer->pairs);
    uint8_t *raw = NULL;
    size_t raw_capacity = 0;
    if (!tokenizer->pairs) goto out_of_memory;
    tokenizer->pair_mask = slots - 1;
    for (uint32_t i = 0; i < slots; i++)
        tokenizer->pairs[i].left = TEXT_NO_SLOT;

    for (uint32_t rank = 0; rank < desc->merge_count; rank++) {
        const char *text = desc->merges[rank];
        const size_t length = desc->merge_lengths ? desc->merge_lengths[rank] : strlen(text);
        const char *space = length > 1 ? memchr(text + 1, ' ', length - 1) : NULL;
        if (!space || space + 1 == text + length) {
            free(raw);
            return sx_fail(error, SX_ERROR_FORMAT,
                           "tokenizer.ggml.merges[%u] is not two parts with a space between them", rank);
        }
        if (!text_reserve(&raw, &raw_capacity, length, 1)) goto out_of_memory;
        const size_t left_size = text_decode_byte_level(text, (size_t)(space - text), raw);
        const size_t size =
            left_size + text_decode_byte_level(space + 1, (size_t)(text + length - space - 1), raw + left_size);
        const int32_t left = text_find(tokenizer, raw, left_size);
        const int32_t right = text_find(tokenizer, raw + left_size, size - left_size);
        const int32_t result = text_find(tokenizer, raw, size);
        if (left < 0 || right < 0 || result < 0) continue;
        text_pair_slot *slot = find_pair(tokenizer, (uint32_t)left, (uint32_t)right);
        if (slot->left == TEXT_NO_SLOT) *slot = (text_pair_slot){(uint32_t)left, (uint32_t)right, rank, result};
    }
    free(raw);
    return SX_OK;

out_of_memory:
    free(raw);
    return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the tokenizer's %u merges", desc->merge_count);
}

// ---- a fragment
// -------------------------------------------------------------------------------------------------------

typedef struct fragment {
    const sx_tokenizer *tokenizer;
    text_scratch *scratch;
    const uint8_t *bytes;
    text_sink *sink;
} fragment;

static bool tokenize_word(void *user, size_t begin, size_t end)
{
    const fragment *f = user;
    const sx_tokenizer *tokenizer = f->tokenizer;
    text_scratch *scratch = f->scratch;
    const uint32_t offset = scratch->offsets[begin], size = scratch->offsets[end] - offset;
    const uint8_t *word = f->bytes + offset;
    const int32_t whole = size == 1 ? tokenizer->byte_tokens[word[0]]
                                    : (tokenizer->pre->ignore_merges ? text_find(tokenizer, word, size) : -1);
    if (whole >= 0) {
        text_emit(f->sink, whole);
        return true;
    }
    scratch->symbol_count = 0;
    for (uint32_t i = 0; i < size; i++) {
        if (!text_add_symbol(scratch, offset + i, 1, tokenizer->byte_tokens[word[i]])) return false;
    }
    if (!text_merge_all(tokenizer, scratch, f->bytes, merge_rule)) return false;
    for (uint32_t i = 0; i != TEXT_NO_SLOT && i < scratch->symbol_count; i = scratch->symbols[i].next) {
        const int32_t id = scratch->symbols[i].id >= 0 ? scratch->symbols[i].id : tokenizer->unk;
        if (id >= 0) text_emit(f->sink, id);
    }
    return true;
}

bool text_bpe_fragment(const sx_tokenizer *tokenizer, text_scratch *scratch, const uint8_t *bytes, size_t size,
                       text_sink *sink)
{
    uint8_t *normalized = NULL;
    if (tokenizer->nfc && !text_is_trivially_nfc(bytes, size)) {
        if (!text_nfc(bytes, size, &normalized, &size) || size > UINT32_MAX) {
            free(normalized);
            return false;
        }
        bytes = normalized;
    }
    size_t offset_capacity = scratch->code_point_capacity;
    bool good = text_reserve(&scratch->code_points, &scratch->code_point_capacity, size + 1, sizeof(uint32_t)) &&
                text_reserve(&scratch->offsets, &offset_capacity, size + 1, sizeof(uint32_t));
    size_t count = 0;
    for (size_t offset = 0; good && offset < size; count++) {
        scratch->offsets[count] = (uint32_t)offset;
        offset += text_utf8_read(bytes + offset, size - offset, &scratch->code_points[count]);
    }
    if (good) {
        scratch->offsets[count] = (uint32_t)size;
        fragment f = {tokenizer, scratch, bytes, sink};
        good = text_pretokenize(tokenizer->pre, scratch->code_points, count, tokenize_word, &f);
    }
    free(normalized);
    return good;
}
