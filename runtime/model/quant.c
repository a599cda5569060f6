#include "model/quant.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>

static const sx_format_info formats[SX_FORMAT_ALL] = {
    //                    name      ggml  block bytes group words blocks
    [SX_FORMAT_F32] = {"F32", 0, 1, 4, 1, 1, 1},           [SX_FORMAT_F16] = {"F16", 1, 1, 2, 2, 1, 2},
    [SX_FORMAT_BF16] = {"BF16", 30, 1, 2, 2, 1, 2},        [SX_FORMAT_Q4_0] = {"Q4_0", 2, 32, 18, 64, 9, 2},
    [SX_FORMAT_Q4_1] = {"Q4_1", 3, 32, 20, 32, 5, 1},      [SX_FORMAT_Q5_0] = {"Q5_0", 6, 32, 22, 64, 11, 2},
    [SX_FORMAT_Q5_1] = {"Q5_1", 7, 32, 24, 32, 6, 1},      [SX_FORMAT_Q8_0] = {"Q8_0", 8, 32, 34, 64, 17, 2},
    [SX_FORMAT_Q2_K] = {"Q2_K", 10, 256, 84, 256, 21, 1},  [SX_FORMAT_Q3_K] = {"Q3_K", 11, 256, 110, 256, 28, 1},
    [SX_FORMAT_Q4_K] = {"Q4_K", 12, 256, 144, 256, 36, 1}, [SX_FORMAT_Q5_K] = {"Q5_K", 13, 256, 176, 256, 44, 1},
    [SX_FORMAT_Q6_K] = {"Q6_K", 14, 256, 210, 256, 53, 1}, [SX_FORMAT_IQ4_NL] = {"IQ4_NL", 20, 32, 18, 64, 9, 2},
    [SX_FORMAT_MXFP4] = {"MXFP4", 39, 32, 17, 64, 9, 2},   [SX_FORMAT_I64] = {"I64", 27, 1, 8, 0, 0, 0},
    [SX_FORMAT_I32] = {"I32", 26, 1, 4, 0, 0, 0},          [SX_FORMAT_U8] = {"U8", UINT32_MAX, 1, 1, 0, 0, 0},
};

const sx_format_info *sx_format_get(sx_format format)
{
    assert(format < SX_FORMAT_ALL);
    return &formats[format];
}

// Formats this program does not read, so that a message can name them.
static const char *const foreign_names[] = {
    [9] = "Q8_1",   [15] = "Q8_K",  [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S",
    [21] = "IQ3_S", [22] = "IQ2_S", [23] = "IQ4_XS",  [24] = "I8",     [25] = "I16",     [28] = "F64",
    [29] = "IQ1_M", [34] = "TQ1_0", [35] = "TQ2_0",   [40] = "NVFP4",
};

bool sx_format_from_ggml(uint32_t ggml_type, sx_format *format, const char **name)
{
    for (int i = 0; i < SX_FORMAT_ALL; i++)
        if (formats[i].ggml_type == ggml_type && i != SX_FORMAT_U8) {
            *format = (sx_format)i;
            if (name) *name = formats[i].name;
            return true;
        }
    if (name) *name = ggml_type < sizeof foreign_names / sizeof *foreign_names ? foreign_names[ggml_type] : NULL;
    return false;
}

bool sx_format_from_name(const char *name, sx_format *format)
{
    for (int i = 0; i < SX_FORMAT_ALL; i++) {
        size_t k = 0;
        while (name[k] && toupper((unsigned char)name[k]) == formats[i].name[k])
            k++;
        if (!name[k] && !formats[i].name[k]) {
            *format = (sx_format)i;
            return true;
        }
    }
    return false;
}

uint64_t sx_format_row_bytes(sx_format format, uint64_t columns)
{
    const sx_format_info *info = sx_format_get(format);
    assert(columns % info->block == 0);
    return columns / info->block * info->block_bytes;
}

static uint16_t load16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t load32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static float half_at(const uint8_t *bytes)
{
    return sx_half_to_float(load16(bytes));
}

static const int8_t iq4_nl_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
static const int8_t mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static float e8m0_half(uint8_t exponent)
{
    const uint32_t bits = exponent < 2 ? 0x00200000u << exponent : (uint32_t)(exponent - 1) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// Blocks of 32.

static void decode_q4_0(const uint8_t *block, float *out)
{
    const float d = half_at(block);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((block[2 + i] & 15) - 8);
        out[i + 16] = d * (float)((block[2 + i] >> 4) - 8);
    }
}

static void decode_q4_1(const uint8_t *block, float *out)
{
    const float d = half_at(block), m = half_at(block + 2);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)(block[4 + i] & 15) + m;
        out[i + 16] = d * (float)(block[4 + i] >> 4) + m;
    }
}

static void decode_q5_0(const uint8_t *block, float *out)
{
    const float d = half_at(block);
    const uint32_t high = load32(block + 2);
    for (int i = 0; i < 16; i++) {
        const uint32_t a = (block[6 + i] & 15u) | (high >> i & 1u) << 4;
        const uint32_t b = (uint32_t)block[6 + i] >> 4 | (high >> (i + 16) & 1u) << 4;
        out[i] = d * (float)((int)a - 16);
        out[i + 16] = d * (float)((int)b - 16);
    }
}

static void decode_q5_1(const uint8_t *block, float *out)
{
    const float d = half_at(block), m = half_at(block + 2);
    const uint32_t high = load32(block + 4);
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)((block[8 + i] & 15u) | (high >> i & 1u) << 4) + m;
        out[i + 16] = d * (float)((uint32_t)block[8 + i] >> 4 | (high >> (i + 16) & 1u) << 4) + m;
    }
}

static void decode_q8_0(const uint8_t *block, float *out)
{
    const float d = half_at(block);
    for (int i = 0; i < 32; i++)
        out[i] = (float)(int8_t)block[2 + i] * d;
}

static void decode_table(const uint8_t *nibbles, float d, const int8_t *table, float *out)
{
    for (int i = 0; i < 16; i++) {
        out[i] = d * (float)table[nibbles[i] & 15];
        out[i + 16] = d * (float)table[nibbles[i] >> 4];
    }
}

static void decode_iq4_nl(const uint8_t *block, float *out)
{
    decode_table(block + 2, half_at(block), iq4_nl_values, out);
}

static void decode_mxfp4(const uint8_t *block, float *out)
{
    decode_table(block + 1, e8m0_half(block[0]), mxfp4_values, out);
}

// Blocks of 256.

// The two-bit quant of weight i (Q2_K, Q3_K).
static int two_bits(const uint8_t *quants, int i)
{
    return quants[i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
}

static void decode_q2_k(const uint8_t *block, float *out)
{
    const uint8_t *scales = block, *quants = block + 16;
    const float d = half_at(block + 80), minimum = half_at(block + 82);
    for (int i = 0; i < 256; i++) {
        const float scale = d * (float)(scales[i / 16] & 15), offset = minimum * (float)(scales[i / 16] >> 4);
        out[i] = scale * (float)two_bits(quants, i) - offset;
    }
}

static void decode_q3_k(const uint8_t *block, float *out)
{
    const uint8_t *high = block, *quants = block + 32, *scales = block + 96;
    const float d = half_at(block + 108);
    for (int i = 0; i < 256; i++) {
        const int j = i / 16;
        const int low = j < 8 ? scales[j] & 15 : scales[j - 8] >> 4;
        const int scale = (low | (scales[8 + j % 4] >> j / 4 * 2 & 3) << 4) - 32;
        const int quant = two_bits(quants, i) - (high[i % 32] >> i / 32 & 1 ? 0 : 4);
        out[i] = d * (float)scale * (float)quant;
    }
}

// Scale and minimum of sub-block j (Q4_K, Q5_K).
static void scale_and_minimum(const uint8_t *scales, int j, int *scale, int *minimum)
{
    if (j < 4) {
        *scale = scales[j] & 63;
        *minimum = scales[j + 4] & 63;
    } else {
        *scale = (scales[j + 4] & 15) | scales[j - 4] >> 6 << 4;
        *minimum = scales[j + 4] >> 4 | scales[j] >> 6 << 4;
    }
}

// Q4_K when `high` is NULL, else Q5_K.
static void decode_k_pairs(const uint8_t *block, const uint8_t *high, const uint8_t *quants, float *out)
{
    const float d = half_at(block), minimum = half_at(block + 2);
    for (int j = 0; j < 8; j++) {
        int scale, offset;
        scale_and_minimum(block + 4, j, &scale, &offset);
        const float d_sub = d * (float)scale, minimum_sub = minimum * (float)offset;
        for (int i = 0; i < 32; i++) {
            int quant = j & 1 ? quants[j / 2 * 32 + i] >> 4 : quants[j / 2 * 32 + i] & 15;
            if (high) quant |= (high[i] >> j & 1) << 4;
            out[j * 32 + i] = d_sub * (float)quant - minimum_sub;
        }
    }
}

static void decode_q4_k(const uint8_t *block, float *out)
{
    decode_k_pairs(block, NULL, block + 16, out);
}

static void decode_q5_k(const uint8_t *block, float *out)
{
    decode_k_pairs(block, block + 16, block + 48, out);
}

static void decode_q6_k(const uint8_t *block, float *out)
{
    const uint8_t *low = block, *high = block + 128, *scales = block + 192;
    const float d = half_at(block + 208);
    for (int i = 0; i < 256; i++) {
        const int half = i / 128, k = i % 128;
        const uint8_t byte = low[half * 64 + k % 64];
        const int quant = (k < 64 ? byte & 15 : byte >> 4) | (high[half * 32 + k % 32] >> k / 32 * 2 & 3) << 4;
        out[i] = d * (float)(int8_t)scales[i / 16] * (float)(quant - 32);
    }
}

typedef void decode_block(const uint8_t *block, float *out);

static decode_block *const decoders[SX_FORMAT_COUNT] = {
    [SX_FORMAT_Q4_0] = decode_q4_0, [SX_FORMAT_Q4_1] = decode_q4_1,     [SX_FORMAT_Q5_0] = decode_q5_0,
    [SX_FORMAT_Q5_1] = decode_q5_1, [SX_FORMAT_Q8_0] = decode_q8_0,     [SX_FORMAT_Q2_K] = decode_q2_k,
    [SX_FORMAT_Q3_K] = decode_q3_k, [SX_FORMAT_Q4_K] = decode_q4_k,     [SX_FORMAT_Q5_K] = decode_q5_k,
    [SX_FORMAT_Q6_K] = decode_q6_k, [SX_FORMAT_IQ4_NL] = decode_iq4_nl, [SX_FORMAT_MXFP4] = decode_mxfp4,
};

void sx_dequantize_row(sx_format format, const void *source, float *destination, uint64_t count)
{
    assert(format < SX_FORMAT_COUNT);
    const uint8_t *bytes = source;
    if (format == SX_FORMAT_F32) {
        memcpy(destination, source, count * sizeof(float));
    } else if (format == SX_FORMAT_F16) {
        for (uint64_t i = 0; i < count; i++)
            destination[i] = half_at(bytes + 2 * i);
    } else if (format == SX_FORMAT_BF16) {
        for (uint64_t i = 0; i < count; i++)
            destination[i] = sx_bf16_to_float(load16(bytes + 2 * i));
    } else {
        const sx_format_info *info = &formats[format];
        assert(count % info->block == 0);
        for (uint64_t i = 0; i < count / info->block; i++)
            decoders[format](bytes + i * info->block_bytes, destination + i * info->block);
    }
}
