#include "base/hash.h"
#include "text/tokenizer_internal.h"
#include "text/unicode.h"

#include <math.h>
#include <stdlib.h>

// ---- raw bytes
// --------------------------------------------------------------------------------------------------------

// GPT-2's alphabet shows printable bytes of Latin-1 as themselves and the 68 others as U+0100, U+0101, ... in order.
// Returns the byte of a character, or -1.
static int byte_of(uint32_t code_point)
{
    if ((code_point > 0x20 && code_point < 0x7F) || (code_point > 0xA0 && code_point <= 0xFF && code_point != 0xAD))
        return (int)code_point;
    const uint32_t index = code_point - 0x100;
    if (index < 33) // 0x00..0x20
        return (int)index;
    if (index < 67) // 0x7F..0xA0
        return (int)(0x7F + index - 33);
    return index == 67 ? 0xAD : -1;
}

size_t text_decode_byte_level(const char *text, size_t length, uint8_t *raw)
{
    const uint8_t *bytes = (const uint8_t *)text;
    size_t written = 0;
    for (size_t offset = 0; offset < length;) {
        uint32_t code_point;
        offset += text_utf8_read(bytes + offset, length - offset, &code_point);
        const int byte = byte_of(code_point);
        if (byte >= 0)
            raw[written++] = (uint8_t)byte;
        else
            written += text_utf8_write(code_point, raw + written);
    }
    return written;
}

static size_t decode_spaces(const char *text, size_t length, uint8_t *raw)
{
    size_t written = 0;
    for (size_t i = 0; i < length; i++) {
        const bool mark = length - i >= 3 && memcmp(text + i, "\xE2\x96\x81", 3) == 0;
        raw[written++] = mark ? ' ' : (uint8_t)text[i];
        i += mark ? 2 : 0;
    }
    return written;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

// The byte of "<0xNN>", or -1.
static int byte_token(const char *text, size_t length)
{
    if (length != 6 || memcmp(text, "<0x", 3) != 0 || text[5] != '>') return -1;
    const int high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// ---- what the texts of tokens tell
// ------------------------------------------------------------------------------------

static bool is_one_of(const char *const *list, const char *text, size_t length)
{
    for (; *list; list++) {
        if (strlen(*list) == length && memcmp(*list, text, length) == 0) return true;
    }
    return false;
}

static bool is_end_marker(const char *text, size_t length)
{
    static const char *const ends[] = {"<|im_end|>",
                                       "<|endoftext|>",
                                       "<|end_of_text|>",
                                       "<|eot_id|>",
                                       "<|eom_id|>",
                                       "<|end|>",
                                       "<|return|>",
                                       "<|call|>",
                                       "<|endofturn|>",
                                       "<end_of_turn>",
                                       "<eos>",
                                       "</s>",
                                       "<EOT>",
                                       "<｜end▁of▁sentence｜>",
                                       "<｜hy_place▁holder▁no▁2｜>",
                                       "<｜hy_place▁holder▁no▁8｜>",
                                       NULL};
    return is_one_of(ends, text, length);
}

// Markers that some files list as normal or user-defined tokens although the model was trained to see them as control.
static bool is_surely_control(const char *text, size_t length)
{
    static const char *const controls[] = {"<|im_start|>",
                                           "<|im_end|>",
                                           "<|endoftext|>",
                                           "<|begin_of_text|>",
                                           "<|end_of_text|>",
                                           "<|eot_id|>",
                                           "<|eom_id|>",
                                           "<|start_header_id|>",
                                           "<|end_header_id|>",
                                           "<start_of_turn>",
                                           "<end_of_turn>",
                                           "<｜begin▁of▁sentence｜>",
                                           "<｜end▁of▁sentence｜>",
                                           NULL};
    return is_one_of(controls, text, length);
}

// <|...|> or with DeepSeek's full-width bars
static bool looks_like_marker(const char *text, size_t length)
{
    const bool begins = length > 4 && (memcmp(text, "<|", 2) == 0 || (length > 8 && memcmp(text, "<｜", 4) == 0));
    const bool ends = length > 4 && (memcmp(text + length - 2, "|>", 2) == 0 ||
                                     (length > 8 && memcmp(text + length - 4, "｜>", 4) == 0));
    return begins && ends;
}

// ---- loading
// ----------------------------------------------------------------------------------------------------------

static size_t text_length(const sx_tokenizer_desc *desc, uint32_t id)
{
    return desc->lengths ? desc->lengths[id] : strlen(desc->texts[id]);
}

static sx_status load_token(sx_tokenizer *tokenizer, const sx_tokenizer_desc *desc, uint32_t id, uint32_t *size,
                            sx_error *error)
{
    const char *text = desc->texts[id];
    const size_t length = text_length(desc, id);
    uint8_t *raw = tokenizer->pool + *size;
    int32_t type = desc->types ? desc->types[id] : SX_TOKEN_NORMAL;
    const bool spm = tokenizer->kind == SX_TOKENIZER_SPM;
    const int byte = spm ? byte_token(text, length) : -1;
    if (type < SX_TOKEN_NORMAL || type > SX_TOKEN_BYTE || (!spm && type == SX_TOKEN_BYTE)) type = SX_TOKEN_NORMAL;
    if (!desc->types && byte >= 0) type = SX_TOKEN_BYTE;
    if (type == SX_TOKEN_BYTE && byte < 0)
        return sx_fail(error, SX_ERROR_FORMAT, "tokenizer.ggml.tokens[%u] is a byte token but not written <0xNN>", id);
    const bool named = (int32_t)id == desc->bos || (int32_t)id == desc->eos || (int32_t)id == desc->eot;
    if ((type == SX_TOKEN_NORMAL || type == SX_TOKEN_USER_DEFINED) &&
        (is_surely_control(text, length) || (named && length > 2 && text[0] == '<' && text[length - 1] == '>')))
        type = SX_TOKEN_CONTROL;

    size_t raw_size = length;
    if (type == SX_TOKEN_BYTE) {
        raw[0] = (uint8_t)byte;
        raw_size = 1;
        if (tokenizer->byte_tokens[byte] < 0) tokenizer->byte_tokens[byte] = (int32_t)id;
    } else if (spm && (type == SX_TOKEN_NORMAL || type == SX_TOKEN_USER_DEFINED || type == SX_TOKEN_UNUSED)) {
        raw_size = decode_spaces(text, length, raw);
    } else if (!spm && (type == SX_TOKEN_NORMAL || type == SX_TOKEN_UNUSED)) {
        raw_size = text_decode_byte_level(text, length, raw);
    } else {
        memcpy(raw, text, length);
    }
    *size += (uint32_t)raw_size;
    tokenizer->types[id] = (uint8_t)type;
    const bool control = type == SX_TOKEN_CONTROL || type == SX_TOKEN_UNKNOWN;
    if (control || (type == SX_TOKEN_USER_DEFINED && looks_like_marker(text, length)))
        tokenizer->flags[id] |= TEXT_FLAG_MARKER;
    if ((int32_t)id == desc->eos || (int32_t)id == desc->eot || (control && is_end_marker(text, length)))
        tokenizer->flags[id] |= TEXT_FLAG_EOG;
    if (raw_size > tokenizer->max_bytes) tokenizer->max_bytes = (uint32_t)raw_size;
    return SX_OK;
}

sx_status text_load_tokens(sx_tokenizer *tokenizer, const sx_tokenizer_desc *desc, sx_error *error)
{
    const uint32_t count = tokenizer->count;
    size_t total = 0;
    for (uint32_t id = 0; id < count; id++) {
        const size_t length = text_length(desc, id);
        if (length >= UINT32_MAX - total)
            return sx_fail(error, SX_ERROR_FORMAT, "tokenizer.ggml.tokens is larger than 4 GiB at token %u", id);
        total += length;
    }
    tokenizer->pool = malloc(total + 1);
    tokenizer->offsets = malloc(((size_t)count + 1) * sizeof *tokenizer->offsets);
    tokenizer->types = malloc(count);
    tokenizer->flags = calloc(count, 1);
    if (tokenizer->kind == SX_TOKENIZER_SPM) tokenizer->scores = malloc(count * sizeof *tokenizer->scores);
    if (!tokenizer->pool || !tokenizer->offsets || !tokenizer->types || !tokenizer->flags ||
        (tokenizer->kind == SX_TOKENIZER_SPM && !tokenizer->scores))
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the tokenizer's %u tokens", count);
    for (int i = 0; i < 256; i++)
        tokenizer->byte_tokens[i] = -1;
    uint32_t size = 0;
    for (uint32_t id = 0; id < count; id++) {
        tokenizer->offsets[id] = size;
        const sx_status status = load_token(tokenizer, desc, id, &size, error);
        if (status) return status;
        if (tokenizer->scores) {
            tokenizer->scores[id] = desc->scores[id];
            if (isnan(desc->scores[id]))
                return sx_fail(error, SX_ERROR_FORMAT, "tokenizer.ggml.scores[%u] is not a number", id);
        }
    }
    tokenizer->offsets[count] = size;
    return SX_OK;
}

// ---- tables
// -----------------------------------------------------------------------------------------------------------

static uint32_t hash_bytes(const uint8_t *bytes, size_t length)
{
    const uint64_t hash = sx_hash(SX_HASH_START, bytes, length);
    return (uint32_t)(hash >> 32) ^ (uint32_t)hash;
}

static uint32_t *find_slot(const sx_tokenizer *tokenizer, const uint8_t *bytes, size_t length)
{
    uint32_t index = hash_bytes(bytes, length) & tokenizer->map_mask;
    for (;; index = (index + 1) & tokenizer->map_mask) {
        uint32_t *slot = &tokenizer->map[index];
        if (*slot == TEXT_NO_SLOT) return slot;
        uint32_t token_length;
        const uint8_t *token = text_token(tokenizer, (int32_t)*slot, &token_length);
        if (token_length == length && memcmp(token, bytes, length) == 0) return slot;
    }
}

int32_t text_find(const sx_tokenizer *tokenizer, const uint8_t *bytes, size_t length)
{
    if (length == 0 || length > tokenizer->max_length) return -1;
    const uint32_t slot = *find_slot(tokenizer, bytes, length);
    return slot == TEXT_NO_SLOT ? -1 : (int32_t)slot;
}

static bool insert_type(sx_tokenizer *tokenizer, int type)
{
    for (uint32_t id = 0; id < tokenizer->count; id++) {
        uint32_t length;
        const uint8_t *bytes = text_token(tokenizer, (int32_t)id, &length);
        if (tokenizer->types[id] != type || length == 0 || (tokenizer->flags[id] & TEXT_FLAG_MARKER)) continue;
        uint32_t *slot = find_slot(tokenizer, bytes, length);
        if (*slot == TEXT_NO_SLOT) *slot = id;
        if (length > tokenizer->max_length) tokenizer->max_length = length;
    }
    return true;
}

typedef struct special {
    const uint8_t *bytes;
    uint32_t length;
    int32_t id;
} special;

static int compare_specials(const void *left, const void *right)
{
    const special *a = left, *b = right;
    const int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
    if (order) return order;
    if (a->length != b->length) return a->length < b->length ? -1 : 1;
    return a->id < b->id ? -1 : 1;
}

static bool is_special(const sx_tokenizer *tokenizer, uint32_t id)
{
    const int type = tokenizer->types[id];
    return (type == SX_TOKEN_CONTROL || type == SX_TOKEN_UNKNOWN || type == SX_TOKEN_USER_DEFINED) &&
           tokenizer->offsets[id + 1] > tokenizer->offsets[id];
}

static bool index_specials(sx_tokenizer *tokenizer)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < tokenizer->count; id++)
        count += is_special(tokenizer, id);
    special *sorted = malloc(((size_t)count + 1) * sizeof *sorted);
    tokenizer->specials = malloc(((size_t)count + 1) * sizeof *tokenizer->specials);
    if (!sorted || !tokenizer->specials) {
        free(sorted);
        return false;
    }
    for (uint32_t id = 0; id < tokenizer->count; id++) {
        if (!is_special(tokenizer, id)) continue;
        special *entry = &sorted[tokenizer->special_count++];
        entry->id = (int32_t)id;
        entry->bytes = text_token(tokenizer, (int32_t)id, &entry->length);
        tokenizer->special_first[entry->bytes[0]] = true;
    }
    qsort(sorted, count, sizeof *sorted, compare_specials);
    for (uint32_t i = 0; i < count; i++)
        tokenizer->specials[i] = sorted[i].id;
    free(sorted);
    return true;
}

sx_status text_index_tokens(sx_tokenizer *tokenizer, sx_error *error)
{
    uint32_t slots = 16;
    while (slots / 3 * 2 < tokenizer->count)
        slots *= 2;
    tokenizer->map = malloc(slots * sizeof *tokenizer->map);
    if (tokenizer->map) {
        memset(tokenizer->map, 0xFF, slots * sizeof *tokenizer->map);
        tokenizer->map_mask = slots - 1;
        insert_type(tokenizer, SX_TOKEN_NORMAL);
        insert_type(tokenizer, SX_TOKEN_USER_DEFINED);
    }
    if (!tokenizer->map || !index_specials(tokenizer))
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the tokenizer's %u tokens", tokenizer->count);
    for (int i = 0; tokenizer->kind == SX_TOKENIZER_BPE && i < 256; i++)
        tokenizer->byte_tokens[i] = text_find(tokenizer, &(uint8_t){(uint8_t)i}, 1);
    return SX_OK;
}

// The first special in [low, high) whose byte at `depth` is at least `byte`; all of them have more than `depth` bytes
// and share those before.
static uint32_t lower_bound(const sx_tokenizer *tokenizer, uint32_t low, uint32_t high, size_t depth, unsigned byte)
{
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        uint32_t length;
        if (text_token(tokenizer, tokenizer->specials[middle], &length)[depth] < byte)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int32_t text_find_special(const sx_tokenizer *tokenizer, const uint8_t *bytes, size_t size,
                          bool (*allow)(void *user, int32_t id, size_t length), void *user)
{
    if (size == 0 || !tokenizer->special_first[bytes[0]]) return -1;
    int32_t best = -1;
    uint32_t low = 0, high = tokenizer->special_count; // those that share the first `depth` bytes
    for (size_t depth = 0; low < high; depth++) {
        // The ones that end here come first, in order of ids.
        for (uint32_t length; low < high; low++) {
            text_token(tokenizer, tokenizer->specials[low], &length);
            if (length != depth) break;
            const int32_t id = tokenizer->specials[low];
            uint32_t best_length = 0;
            if (best >= 0) text_token(tokenizer, best, &best_length);
            if (best_length < depth && allow(user, id, depth)) best = id;
        }
        if (depth == size) break;
        high = lower_bound(tokenizer, low, high, depth, bytes[depth] + 1u);
        low = lower_bound(tokenizer, low, high, depth, bytes[depth]);
    }
    return best;
}
