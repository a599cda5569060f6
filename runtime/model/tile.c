#include "model/quant.h"

#include <assert.h>
#include <string.h>

uint64_t sx_tile_row_words(sx_format format, uint64_t columns)
{
    assert(format < SX_FORMAT_COUNT);
    const sx_format_info *info = sx_format_get(format);
    return (columns + info->group - 1) / info->group * info->group_words;
}

uint64_t sx_tile_words(sx_format format, uint64_t rows, uint64_t columns)
{
    return (rows + 31) / 32 * 32 * sx_tile_row_words(format, columns);
}

// Bytes ahead of the quants of a block that is packed in pairs.
static uint32_t pair_head(sx_format format)
{
    switch (format) {
    case SX_FORMAT_Q4_0:
    case SX_FORMAT_IQ4_NL:
    case SX_FORMAT_Q8_0:
        return 2;
    case SX_FORMAT_Q5_0:
        return 6;
    case SX_FORMAT_MXFP4:
        return 1;
    default:
        return 0;
    }
}

// One pair of blocks (the second may be missing) as the words of a group, each 32 words behind the last. Inlined with
// constant sizes below, because upload time is this loop.
static inline void pack_pair(const uint8_t *source, uint32_t block_bytes, uint32_t head, bool second,
                             uint32_t *destination)
{
    const uint32_t quant_words = (block_bytes - head) / 4;
    uint32_t tail[3] = {0, 0, 0};
    for (uint32_t b = 0; b < 2; b++) {
        const uint8_t *block = source + b * block_bytes;
        const bool present = b == 0 || second;
        for (uint32_t w = 0; w < quant_words; w++) {
            uint32_t word = 0;
            if (present) memcpy(&word, block + head + 4 * w, 4);
            destination[(size_t)(b * quant_words + w) * 32] = word;
        }
        if (!present) break;
        if (head == 1) {
            tail[0] |= (uint32_t)block[0] << 8 * b;
        } else {
            const uint32_t scale = (uint32_t)block[0] | (uint32_t)block[1] << 8;
            tail[head == 6 ? 2 : 0] |= scale << 16 * b;
            if (head == 6) memcpy(&tail[b], block + 2, 4);
        }
    }
    for (uint32_t w = 0; w < (head == 6 ? 3u : 1u); w++)
        destination[(size_t)(2 * quant_words + w) * 32] = tail[w];
}

static void pack_group(sx_format format, const uint8_t *source, bool second, uint32_t *destination)
{
    switch (format) {
    case SX_FORMAT_Q8_0:
        pack_pair(source, 34, 2, second, destination);
        break;
    case SX_FORMAT_Q5_0:
        pack_pair(source, 22, 6, second, destination);
        break;
    case SX_FORMAT_MXFP4:
        pack_pair(source, 17, 1, second, destination);
        break;
    default:
        pack_pair(source, 18, 2, second, destination);
        break; // Q4_0, IQ4_NL
    }
}

// `bytes` bytes as consecutive words, the last one zero padded, each 32 words behind the last.
static void pack_words(const uint8_t *source, uint64_t bytes, uint32_t *destination)
{
    uint64_t w = 0;
    for (; w < bytes / 4; w++)
        memcpy(&destination[w * 32], source + 4 * w, 4);
    if (bytes % 4) {
        uint32_t word = 0;
        memcpy(&word, source + 4 * w, bytes % 4);
        destination[w * 32] = word;
    }
}

#define MAX_CHUNK_WORDS 56 // Q6_K has 53

// One tile of `rows` rows (1..32). Each group is put together in a small buffer and copied out in order, since
// `destination` may be write-combined device memory, where scattered words are slow.
static void pack_tile(sx_format format, const uint8_t *source, uint64_t row_bytes, uint32_t rows, uint64_t columns,
                      uint32_t *destination)
{
    const sx_format_info *info = sx_format_get(format);
    const bool pairs = pair_head(format) > 0;
    const uint64_t groups = info->group < 32 ? 32 / info->group : 1; // a chunk is at least 32 weights
    const uint64_t chunk = info->group * groups;
    uint32_t words[MAX_CHUNK_WORDS * 32] = {0}; // the rows behind `rows` stay zero
    assert(info->group_words * groups <= MAX_CHUNK_WORDS);
    for (uint64_t column = 0; column < columns; column += chunk) {
        const uint64_t left = columns - column < chunk ? columns - column : chunk;
        const uint64_t offset = column / info->block * info->block_bytes;
        for (uint32_t r = 0; r < rows; r++) {
            const uint8_t *from = source + r * row_bytes + offset;
            if (pairs)
                pack_group(format, from, left > info->block, words + r);
            else
                pack_words(from, left / info->block * info->block_bytes, words + r);
        }
        const uint64_t count = (left + info->group - 1) / info->group * info->group_words * 32;
        memcpy(destination, words, count * sizeof *words);
        destination += count;
    }
}

void sx_tile_pack(sx_format format, const void *source, uint64_t rows, uint64_t columns, uint32_t *destination)
{
    const uint64_t row_bytes = sx_format_row_bytes(format, columns), row_words = sx_tile_row_words(format, columns);
    const uint8_t *bytes = source;
    for (uint64_t first = 0; first < rows; first += 32) {
        const uint32_t count = rows - first < 32 ? (uint32_t)(rows - first) : 32;
        pack_tile(format, bytes + first * row_bytes, row_bytes, count, columns, destination + first * row_words);
    }
}

// The words of one group back in file order: the inverse of pack_pair and pack_words.
static void unpack_group(sx_format format, const uint32_t *words, uint8_t *blocks)
{
    const sx_format_info *info = sx_format_get(format);
    const uint32_t head = pair_head(format);
    if (!head) {
        for (uint32_t i = 0; i < info->group_blocks * info->block_bytes; i++)
            blocks[i] = (uint8_t)(words[(size_t)(i / 4) * 32] >> i % 4 * 8);
        return;
    }
    const uint32_t quant_words = (info->block_bytes - head) / 4;
    for (uint32_t b = 0; b < 2; b++) {
        uint8_t *block = blocks + b * info->block_bytes;
        for (uint32_t i = 0; i < 4 * quant_words; i++)
            block[head + i] = (uint8_t)(words[(size_t)(b * quant_words + i / 4) * 32] >> i % 4 * 8);
        const uint32_t last = words[(size_t)(info->group_words - 1) * 32];
        if (format == SX_FORMAT_MXFP4) {
            block[0] = (uint8_t)(last >> 8 * b);
        } else {
            block[0] = (uint8_t)(last >> 16 * b);
            block[1] = (uint8_t)(last >> (16 * b + 8));
        }
        for (uint32_t i = 0; head == 6 && i < 4; i++)
            block[2 + i] = (uint8_t)(words[(size_t)(2 * quant_words + b) * 32] >> 8 * i);
    }
}

float sx_tile_value(sx_format format, const uint32_t *words, uint64_t columns, uint64_t row, uint64_t column)
{
    const sx_format_info *info = sx_format_get(format);
    const uint64_t row_words = sx_tile_row_words(format, columns);
    const uint64_t first = column / info->group * info->group_words;
    uint8_t blocks[256];
    float values[256];
    assert(info->group <= 256 && (uint64_t)info->group_blocks * info->block_bytes <= sizeof blocks);
    unpack_group(format, words + (row / 32 * row_words + first) * 32 + row % 32, blocks);
    sx_dequantize_row(format, blocks, values, info->group);
    return values[column % info->group];
}
