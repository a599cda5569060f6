// Weight formats: their sizes, exact decoding, quantisers for `convert`, and the tile layout the GPU kernels read.
//
// The block formats are those of GGUF files (ggml); decoding is equal to the bit to the `gguf` Python package 0.19
// (tests/model/test_quant.c). Nothing here allocates, keeps state or fails on content: every bit pattern decodes.
#ifndef SX_MODEL_QUANT_H
#define SX_MODEL_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The numbers are our own (dense, for tables indexed by format); sx_format_from_ggml maps a file's type number.
typedef enum sx_format {
    SX_FORMAT_F32 = 0,
    SX_FORMAT_F16,
    SX_FORMAT_BF16,
    SX_FORMAT_Q4_0,
    SX_FORMAT_Q4_1,
    SX_FORMAT_Q5_0,
    SX_FORMAT_Q5_1,
    SX_FORMAT_Q8_0,
    SX_FORMAT_Q2_K,
    SX_FORMAT_Q3_K,
    SX_FORMAT_Q4_K,
    SX_FORMAT_Q5_K,
    SX_FORMAT_Q6_K,
    SX_FORMAT_IQ4_NL,
    SX_FORMAT_MXFP4,
    SX_FORMAT_COUNT, // formats above hold weights; those below are only indices and maps, never tiles
    SX_FORMAT_I64 = SX_FORMAT_COUNT,
    SX_FORMAT_I32,
    SX_FORMAT_U8, // also a checkpoint's bool
    SX_FORMAT_ALL
} sx_format;

typedef struct sx_format_info {
    const char *name;      // "Q4_K"
    uint32_t ggml_type;    // the number in GGUF files
    uint32_t block;        // weights in a block; a row is a multiple of it
    uint32_t block_bytes;  // bytes of a block in the file
    uint32_t group;        // weights in a tile group (0 for formats that are never tiled)
    uint32_t group_words;  // 32-bit words in a tile group
    uint32_t group_blocks; // file blocks in a tile group: 1 or 2
} sx_format_info;

// `format` below SX_FORMAT_ALL.
const sx_format_info *sx_format_get(sx_format format);
// False when the GGUF type number is none of ours; *name is then the format's name where it is a known one ("IQ2_XS"),
// else NULL. `name` may be NULL.
bool sx_format_from_ggml(uint32_t ggml_type, sx_format *format, const char **name);
// "q4_k", "Q4_K": case is ignored. False when unknown.
bool sx_format_from_name(const char *name, sx_format *format);
// Bytes of a row of `columns` weights, a multiple of the block.
uint64_t sx_format_row_bytes(sx_format format, uint64_t columns);

// ---- Half precision ----
// IEEE binary16, exact for subnormals, infinities and NaN; rounds to nearest even.
float sx_half_to_float(uint16_t half);
uint16_t sx_float_to_half(float value);
// bfloat16: rounds to nearest even, NaN stays NaN.
float sx_bf16_to_float(uint16_t bits);
uint16_t sx_float_to_bf16(float value);

// ---- Rows in file order ----
// Decodes `count` weights (a multiple of the block) from `source` (any alignment) to `destination`. Weight formats
// only.
void sx_dequantize_row(sx_format format, const void *source, float *destination, uint64_t count);
// True for F32, F16, BF16, Q8_0 and Q4_K, which sx_quantize_row can write.
bool sx_can_quantize(sx_format format);
// Encodes `count` finite weights (a multiple of the block). Q8_0 is equal to the bit to ggml's reference quantiser;
// Q4_K searches each block's scale and minimum for least squared error.
void sx_quantize_row(sx_format format, const float *source, void *destination, uint64_t count);

// ---- Tiles: how the kernels see a matrix ----
//
// A row is a sequence of *groups*, a group a fixed number of 32-bit little-endian words:
//
//   words_per_row = ceil(columns / group) * group_words
//
// 32 rows form a tile, and word w of row r (within its tile) of tile t lies at word index
//
//   (t * words_per_row + w) * 32 + r
//
// The row count is padded to a multiple of 32 with zero words. Where `columns` is no multiple of the group (a Q8_0 row
// of 32 * odd weights) the last group's missing block is zero words, which decode to 0: kernels must only make sure
// that the activations behind `columns` are finite (zero padded). Nothing is requantised; the words hold the file's own
// bits:
//
//   format  group words  words of a group (blocks A, B; `lo`/`hi` the 16-bit halves of a word; byte 0 is the lowest)
//   F32         1     1  0: the weight
//   F16         2     1  0: lo weight 0, hi weight 1
//   BF16        2     1  0: lo weight 0, hi weight 1 (a bfloat16 is a float's upper half)
//   Q8_0       64    17  0-7: A's int8 quants, weight 4w+b in byte b of word w;  8-15: B's;  16: lo dA, hi dB
//   Q4_0       64     9  0-3: A's nibbles;  4-7: B's;  8: lo dA, hi dB
//   IQ4_NL     64     9  as Q4_0
//   MXFP4      64     9  0-3: A's nibbles;  4-7: B's;  8: byte 0 eA, byte 1 eB, bytes 2 and 3 zero
//   Q5_0       64    11  0-3: A's nibbles;  4-7: B's;  8: A's high bits;  9: B's high bits;  10: lo dA, hi dB
//   Q4_1       32     5  0: lo d, hi m;  1-4: nibbles
//   Q5_1       32     6  0: lo d, hi m;  1: high bits;  2-5: nibbles
//   Q2_K      256    21  0-3: 16 scale bytes;  4-19: 64 quant bytes;  20: lo d, hi dmin
//   Q3_K      256    28  0-7: 32 high-bit bytes;  8-23: 64 quant bytes;  24-26: 12 scale bytes;  27: lo d, hi zero
//   Q4_K      256    36  0: lo d, hi dmin;  1-3: 12 scale bytes;  4-35: 128 nibble bytes
//   Q5_K      256    44  0: lo d, hi dmin;  1-3: 12 scale bytes;  4-11: 32 high-bit bytes;  12-43: 128 nibble bytes
//   Q6_K      256    53  0-31: 128 low nibble bytes;  32-47: 64 high-bit bytes;  48-51: 16 int8 scales;  52: lo d
//
// d, m and dmin are IEEE halves and may be subnormal (decode them by integer arithmetic); e is an E8M0 exponent.
// How the bytes become weights, i = 0.. within a block (or B's i - 32):
//   nibbles of a block of 32   weight i < 16: low nibble of byte i; weight i >= 16: high nibble of byte i - 16
//   Q4_0    d * (n - 8)                     Q4_1   d * n + m
//   Q5_0    d * ((n | h << 4) - 16)         Q5_1   d * (n | h << 4) + m        h = bit i of the high-bit word
//   Q8_0    d * q
//   IQ4_NL  d * table[n], table = -127 -104 -83 -65 -49 -35 -22 -10 1 13 25 38 53 69 89 113
//   MXFP4   scale(e) * table[n], table = 0 1 2 3 4 6 8 12 0 -1 -2 -3 -4 -6 -8 -12, scale(e) = 2^(e - 128), exact, so
//           subnormal for e < 2 (bits: e < 2 ? 0x00200000 << e : (e - 1) << 23)
//   Q2_K    d * (s & 15) * q - dmin * (s >> 4)     s = scale byte i / 16, q = 2 bits: within the half h = i / 128, byte
//           32 h + i % 32, shift 2 * ((i % 128) / 32)
//   Q3_K    d * (s - 32) * q     q as in Q2_K (2 bits) minus (high bit set ? 0 : 4); the high bit is bit i / 32 of
//           high-bit byte i % 32; s = 6-bit scale j = i / 16: low 4 bits = nibble (j < 8 ? low : high) of scale byte
//           j % 8, upper 2 bits = (scale byte 8 + j % 4) >> 2 * (j / 4) & 3
//   Q4_K    d * s * n - dmin * m     j = i / 32; n = nibble (j even: low, odd: high) of byte 32 * (i / 64) + i % 32;
//           scale bytes S[12]: j < 4: s = S[j] & 63, m = S[j + 4] & 63;
//           j >= 4: s = (S[j + 4] & 15) | (S[j - 4] >> 6) << 4, m = (S[j + 4] >> 4) | (S[j] >> 6) << 4
//   Q5_K    as Q4_K with n | h << 4, h = bit j of high-bit byte i % 32
//   Q6_K    d * s * (q - 32)     s = int8 scale i / 16; within the half H = i / 128, k = i % 128: low 4 bits = nibble
//           (k < 64 ? low : high) of low byte 64 H + k % 64, upper 2 bits = high-bit byte (32 H + k % 32)
//           shifted down by 2 * (k / 32)
//
// The order of the multiplications that is equal to the bit to the reference is written in quant.c; kernels may
// factor scales out of their sums.

// Words of one row: the formula above. Weight formats only.
uint64_t sx_tile_row_words(sx_format format, uint64_t columns);
// Words of a whole matrix, rows padded to 32.
uint64_t sx_tile_words(sx_format format, uint64_t rows, uint64_t columns);
// Packs `rows` rows that lie one behind another in file order at `source` (any alignment) as ceil(rows / 32) whole
// tiles at `destination` (sx_tile_words words, every one of them written). To stream a matrix, pack bands whose first
// row is a multiple of 32: band b's words follow those of band b - 1.
void sx_tile_pack(sx_format format, const void *source, uint64_t rows, uint64_t columns, uint32_t *destination);
// One weight of a packed matrix: the plain reference for tests.
float sx_tile_value(sx_format format, const uint32_t *words, uint64_t columns, uint64_t row, uint64_t column);

#endif
