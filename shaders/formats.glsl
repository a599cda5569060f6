// Decoding of weights in word-interleaved tiles (runtime/model/quant.h holds the layout and the formulas).
//
// The includer defines FORMAT (an sx_format number) and, before the include, a buffer `weight` of `uint data[]`. A *unit*
// is 32 neighbouring weights of a row, a *quad* 4 of them. unit_begin() reads what the unit's quads share (its scales),
// unit_quad() gives weights 4 q .. 4 q + 3 as they are in the model: exactly for every format but those with a minimum
// (Q4_1, Q5_1, Q2_K, Q4_K, Q5_K), where a product and a sum are each rounded once.
#ifndef SX_FORMATS_GLSL
#define SX_FORMATS_GLSL

#define FORMAT_F32 0
#define FORMAT_F16 1
#define FORMAT_BF16 2
#define FORMAT_Q4_0 3
#define FORMAT_Q4_1 4
#define FORMAT_Q5_0 5
#define FORMAT_Q5_1 6
#define FORMAT_Q8_0 7
#define FORMAT_Q2_K 8
#define FORMAT_Q3_K 9
#define FORMAT_Q4_K 10
#define FORMAT_Q5_K 11
#define FORMAT_Q6_K 12
#define FORMAT_IQ4_NL 13
#define FORMAT_MXFP4 14

const uint TILE_ROWS = 32;
const uint UNIT = 32;

struct Unit {
    uint row;     // word index of the row's word 0
    uint quants;  // word of the row where the unit's quants begin
    uint shift;   // of the unit's quants in each byte
    uint high;    // high bits: themselves (Q5_0, Q5_1) or the word where they begin; floats: the row's last word
    uint high_shift;
    vec2 scale;   // of the unit's two halves
    vec2 minimum; // added to them
};

// Word index of word 0 of a matrix row.
uint row_begin(uint matrix_row, uint words_per_row)
{
    return (matrix_row / TILE_ROWS) * words_per_row * TILE_ROWS + matrix_row % TILE_ROWS;
}

uint row_word(uint row, uint word)
{
    return weight.data[row + word * TILE_ROWS];
}

// IEEE half to float by integer arithmetic: unpackHalf2x16 may flush subnormals, and block scales are subnormal in real
// files. The float of a subnormal half is normal, so that nothing here can be flushed.
float half_to_float(uint bits)
{
    const uint magnitude = bits & 0x7FFFu;
    uint result = (magnitude << 13) + 0x38000000u;
    if (magnitude < 0x0400u) result = floatBitsToUint(float(magnitude) * 5.9604644775390625e-8); // 2^-24
    if (magnitude >= 0x7C00u) result += 0x38000000u;
    return uintBitsToFloat(result | ((bits & 0x8000u) << 16));
}

vec4 unsigned_bytes(uint word)
{
    return vec4(float(word & 255u), float((word >> 8) & 255u), float((word >> 16) & 255u), float(word >> 24));
}

float signed_byte(uint word, uint byte)
{
    return float(int(word << (24u - 8u * byte)) >> 24);
}

vec4 signed_bytes(uint word)
{
    return vec4(float(int(word << 24) >> 24), float(int(word << 16) >> 24), float(int(word << 8) >> 24),
                float(int(word) >> 24));
}

// Bits 4 q .. 4 q + 3 of a word, each as the lowest bit of a byte.
uint bits_to_bytes(uint bits, uint q)
{
    const uint four = (bits >> (4u * q)) & 15u;
    return (four | (four << 7) | (four << 14) | (four << 21)) & 0x01010101u;
}

// The low or the high nibbles of a block of 32: the quads 0..3 are low, 4..7 high.
uint block_nibbles(Unit unit, uint q)
{
    return (row_word(unit.row, unit.quants + (q & 3u)) >> (q & 4u)) & 0x0F0F0F0Fu;
}

float half_scale(uint word, uint half_index)
{
    return half_to_float((word >> (16u * half_index)) & 0xFFFFu);
}

// ---- Formats without blocks -----------------------------------------------------------------------------------------

// A row may end anywhere in its last unit; what a quad holds beyond the end is the last word again.
uint float_word(Unit unit, uint word)
{
    return row_word(unit.row, min(word, unit.high));
}

#if FORMAT == FORMAT_F32
#define UNIT_WORDS 32
vec4 unit_quad(Unit unit, uint q)
{
    const uint word = unit.quants + 4u * q;
    return vec4(uintBitsToFloat(float_word(unit, word)), uintBitsToFloat(float_word(unit, word + 1u)),
                uintBitsToFloat(float_word(unit, word + 2u)), uintBitsToFloat(float_word(unit, word + 3u)));
}
#endif

#if FORMAT == FORMAT_F16
#define UNIT_WORDS 16
vec4 unit_quad(Unit unit, uint q)
{
    const uint a = float_word(unit, unit.quants + 2u * q);
    const uint b = float_word(unit, unit.quants + 2u * q + 1u);
    return vec4(half_scale(a, 0u), half_scale(a, 1u), half_scale(b, 0u), half_scale(b, 1u));
}
#endif

#if FORMAT == FORMAT_BF16
#define UNIT_WORDS 16
vec4 unit_quad(Unit unit, uint q)
{
    const uint a = float_word(unit, unit.quants + 2u * q);
    const uint b = float_word(unit, unit.quants + 2u * q + 1u);
    return vec4(uintBitsToFloat(a << 16), uintBitsToFloat(a & 0xFFFF0000u), uintBitsToFloat(b << 16),
                uintBitsToFloat(b & 0xFFFF0000u));
}
#endif

#ifdef UNIT_WORDS
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    return Unit(row, index * UNIT_WORDS, 0u, words_per_row - 1u, 0u, vec2(1.0), vec2(0.0));
}
#endif

// ---- Blocks of 32, two in a group, scales in its last word ----------------------------------------------------------

#if FORMAT == FORMAT_Q8_0
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 1) * 17u, block = index & 1u;
    const float scale = half_scale(row_word(row, group + 16u), block);
    return Unit(row, group + 8u * block, 0u, 0u, 0u, vec2(scale), vec2(0.0));
}
vec4 unit_quad(Unit unit, uint q)
{
    return unit.scale.x * signed_bytes(row_word(unit.row, unit.quants + q));
}
#endif

#if FORMAT == FORMAT_Q4_0 || FORMAT == FORMAT_IQ4_NL
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 1) * 9u, block = index & 1u;
    const float scale = half_scale(row_word(row, group + 8u), block);
    return Unit(row, group + 4u * block, 0u, 0u, 0u, vec2(scale), vec2(0.0));
}
#endif

#if FORMAT == FORMAT_MXFP4
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 1) * 9u, block = index & 1u;
    const uint exponent = (row_word(row, group + 8u) >> (8u * block)) & 255u;
    // 2^(e - 128); where that is subnormal, drivers may flush it.
    const float scale = uintBitsToFloat(exponent < 2u ? 0x00200000u << exponent : (exponent - 1u) << 23);
    return Unit(row, group + 4u * block, 0u, 0u, 0u, vec2(scale), vec2(0.0));
}
#endif

#if FORMAT == FORMAT_Q4_0
vec4 unit_quad(Unit unit, uint q)
{
    return unit.scale.x * (unsigned_bytes(block_nibbles(unit, q)) - 8.0);
}
#endif

#if FORMAT == FORMAT_IQ4_NL || FORMAT == FORMAT_MXFP4
// The value of a nibble from a table of 16 signed bytes in 4 words.
float nibble_value(uint nibble)
{
#if FORMAT == FORMAT_IQ4_NL
    const uvec4 table = uvec4(0xBFAD9881u, 0xF6EADDCFu, 0x26190D01u, 0x71594535u);
#else
    const uvec4 table = uvec4(0x03020100u, 0x0C080604u, 0xFDFEFF00u, 0xF4F8FAFCu);
#endif
    const uint low = (nibble & 4u) == 0u ? table.x : table.y;
    const uint high = (nibble & 4u) == 0u ? table.z : table.w;
    return signed_byte((nibble & 8u) == 0u ? low : high, nibble & 3u);
}
vec4 unit_quad(Unit unit, uint q)
{
    const uint n = block_nibbles(unit, q);
    return unit.scale.x * vec4(nibble_value(n & 15u), nibble_value((n >> 8) & 15u), nibble_value((n >> 16) & 15u),
                               nibble_value(n >> 24));
}
#endif

#if FORMAT == FORMAT_Q5_0
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 1) * 11u, block = index & 1u;
    const float scale = half_scale(row_word(row, group + 10u), block);
    return Unit(row, group + 4u * block, 0u, row_word(row, group + 8u + block), 0u, vec2(scale), vec2(0.0));
}
vec4 unit_quad(Unit unit, uint q)
{
    const uint n = block_nibbles(unit, q) | (bits_to_bytes(unit.high, q) << 4);
    return unit.scale.x * (unsigned_bytes(n) - 16.0);
}
#endif

// ---- Blocks of 32 with a minimum, one in a group, scale and minimum in its first word -------------------------------

#if FORMAT == FORMAT_Q4_1
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = index * 5u, scales = row_word(row, group);
    return Unit(row, group + 1u, 0u, 0u, 0u, vec2(half_scale(scales, 0u)), vec2(half_scale(scales, 1u)));
}
vec4 unit_quad(Unit unit, uint q)
{
    return fma(unit.scale.xxxx, unsigned_bytes(block_nibbles(unit, q)), unit.minimum.xxxx);
}
#endif

#if FORMAT == FORMAT_Q5_1
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = index * 6u, scales = row_word(row, group);
    return Unit(row, group + 2u, 0u, row_word(row, group + 1u), 0u, vec2(half_scale(scales, 0u)),
                vec2(half_scale(scales, 1u)));
}
vec4 unit_quad(Unit unit, uint q)
{
    const uint n = block_nibbles(unit, q) | (bits_to_bytes(unit.high, q) << 4);
    return fma(unit.scale.xxxx, unsigned_bytes(n), unit.minimum.xxxx);
}
#endif

// ---- K formats: 256 weights in a group, 8 units ---------------------------------------------------------------------

// The quants of a unit: 8 words, one for a quad, in bits `shift` and up of each byte.
uint k_quants(Unit unit, uint q, uint mask)
{
    return (row_word(unit.row, unit.quants + q) >> unit.shift) & mask;
}
uint k_high(Unit unit, uint q, uint mask)
{
    return (row_word(unit.row, unit.high + q) >> unit.high_shift) & mask;
}
float unit_half(vec2 of_halves, uint q)
{
    return q < 4u ? of_halves.x : of_halves.y;
}

#if FORMAT == FORMAT_Q2_K
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 3) * 21u, j = index & 7u;
    const uint scales = row_word(row, group + (j >> 1)) >> (16u * (j & 1u));
    const uint factors = row_word(row, group + 20u);
    const vec2 scale = half_scale(factors, 0u) * vec2(float(scales & 15u), float((scales >> 8) & 15u));
    const vec2 minimum = -half_scale(factors, 1u) * vec2(float((scales >> 4) & 15u), float((scales >> 12) & 15u));
    return Unit(row, group + 4u + 8u * (j >> 2), 2u * (j & 3u), 0u, 0u, scale, minimum);
}
vec4 unit_quad(Unit unit, uint q)
{
    return fma(vec4(unit_half(unit.scale, q)), unsigned_bytes(k_quants(unit, q, 0x03030303u)),
               vec4(unit_half(unit.minimum, q)));
}
#endif

#if FORMAT == FORMAT_Q3_K
float q3_scale(uint row, uint scales, uint j)
{
    const uint low = row_word(row, scales + ((j & 7u) >> 2)) >> (8u * (j & 3u) + (j < 8u ? 0u : 4u));
    const uint high = row_word(row, scales + 2u) >> (8u * (j & 3u) + 2u * (j >> 2));
    return float(int((low & 15u) | ((high & 3u) << 4)) - 32);
}
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 3) * 28u, j = index & 7u;
    const vec2 scales = vec2(q3_scale(row, group + 24u, 2u * j), q3_scale(row, group + 24u, 2u * j + 1u));
    const float factor = half_scale(row_word(row, group + 27u), 0u);
    return Unit(row, group + 8u + 8u * (j >> 2), 2u * (j & 3u), group, j, factor * scales, vec2(0.0));
}
vec4 unit_quad(Unit unit, uint q)
{
    const uint n = k_quants(unit, q, 0x03030303u) | (k_high(unit, q, 0x01010101u) << 2);
    return unit_half(unit.scale, q) * (unsigned_bytes(n) - 4.0);
}
#endif

#if FORMAT == FORMAT_Q4_K || FORMAT == FORMAT_Q5_K
uint scale_byte(uint row, uint scales, uint index)
{
    return (row_word(row, scales + (index >> 2)) >> (8u * (index & 3u))) & 255u;
}
// (scale, negative minimum) of unit j of a group: 6 bits each, packed in 12 bytes.
vec2 k_scales(uint row, uint group, uint j)
{
    const uint first = scale_byte(row, group + 1u, j);
    const uint second = scale_byte(row, group + 1u, j + 4u);
    const uint upper = scale_byte(row, group + 1u, j & 3u); // j - 4 where j >= 4
    const uvec2 values = j < 4u ? uvec2(first & 63u, second & 63u)
                                : uvec2((second & 15u) | ((upper >> 6) << 4), (second >> 4) | ((first >> 6) << 4));
    const uint factors = row_word(row, group);
    return vec2(half_scale(factors, 0u), -half_scale(factors, 1u)) * vec2(values);
}
#endif

#if FORMAT == FORMAT_Q4_K
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 3) * 36u, j = index & 7u;
    const vec2 scales = k_scales(row, group, j);
    return Unit(row, group + 4u + 8u * (j >> 1), 4u * (j & 1u), 0u, 0u, scales.xx, scales.yy);
}
vec4 unit_quad(Unit unit, uint q)
{
    return fma(unit.scale.xxxx, unsigned_bytes(k_quants(unit, q, 0x0F0F0F0Fu)), unit.minimum.xxxx);
}
#endif

#if FORMAT == FORMAT_Q5_K
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 3) * 44u, j = index & 7u;
    const vec2 scales = k_scales(row, group, j);
    return Unit(row, group + 12u + 8u * (j >> 1), 4u * (j & 1u), group + 4u, j, scales.xx, scales.yy);
}
vec4 unit_quad(Unit unit, uint q)
{
    const uint n = k_quants(unit, q, 0x0F0F0F0Fu) | (k_high(unit, q, 0x01010101u) << 4);
    return fma(unit.scale.xxxx, unsigned_bytes(n), unit.minimum.xxxx);
}
#endif

#if FORMAT == FORMAT_Q6_K
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 3) * 53u, j = index & 7u, quarter = j & 3u;
    const uint scales = row_word(row, group + 48u + (j >> 1)) >> (16u * (j & 1u));
    const float factor = half_scale(row_word(row, group + 52u), 0u);
    return Unit(row, group + 16u * (j >> 2) + 8u * (quarter & 1u), 2u * (quarter & 2u), group + 32u + 8u * (j >> 2),
                2u * quarter, factor * vec2(signed_byte(scales, 0u), signed_byte(scales, 1u)), vec2(0.0));
}
vec4 unit_quad(Unit unit, uint q)
{
    const uint n = k_quants(unit, q, 0x0F0F0F0Fu) | (k_high(unit, q, 0x03030303u) << 4);
    return unit_half(unit.scale, q) * (unsigned_bytes(n) - 32.0);
}
#endif

#endif
