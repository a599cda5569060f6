// Decoding of weights in word-interleaved tiles (runtime/model/quant.h holds the layout and the formulas).
//
// The includer defines FORMAT (an sx_format number), LANE_ROWS (1 or 4: matrix rows that an invocation decodes at once)
// and, before the include, a buffer `weight` of `WORDS data[]`. WORDS, INTS and FLOATS hold one component a row; rows are
// neighbours, so that their words come in one load. A *unit* is 32 neighbouring weights of a row, a *quad* 4 of them.
// unit_begin() reads what the unit's quads share (its scales), unit_quad() gives weights 4 q .. 4 q + 3 as they are in
// the model: exactly for every format but Q6_K (one rounding) and those with a minimum (Q4_1, Q5_1, Q2_K, Q4_K, Q5_K:
// a product and a sum are rounded once each). Where weights are integers with scales, unit_bytes() gives the integers of
// a quad: a weight is scale * (byte - BYTE_OFFSET) + minimum.
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

// Bytes are signed ones, or so small that it makes no difference.
#define SIGNED_BYTES (FORMAT == FORMAT_Q8_0 || FORMAT == FORMAT_IQ4_NL || FORMAT == FORMAT_MXFP4)
// There is a minimum (which is negative for K formats); else it is 0.
#define HAS_MINIMUM \
    (FORMAT == FORMAT_Q4_1 || FORMAT == FORMAT_Q5_1 || FORMAT == FORMAT_Q2_K || FORMAT == FORMAT_Q4_K || \
     FORMAT == FORMAT_Q5_K)
// A unit's halves have scales (and minimums) of their own.
#define HAS_HALVES (FORMAT == FORMAT_Q2_K || FORMAT == FORMAT_Q3_K || FORMAT == FORMAT_Q6_K)
#if FORMAT == FORMAT_Q4_0
#define BYTE_OFFSET 8
#elif FORMAT == FORMAT_Q5_0
#define BYTE_OFFSET 16
#elif FORMAT == FORMAT_Q3_K
#define BYTE_OFFSET 4
#elif FORMAT == FORMAT_Q6_K
#define BYTE_OFFSET 32
#else
#define BYTE_OFFSET 0
#endif

// SwiftShader (SHUFFLE 4) shifts the lanes of a vector one by one, which costs more than all else that a weight takes. So
// its kernels convert a byte where it stands in its word and scale it down, both exactly. Not with MXFP4, whose scales
// may be so small that they would vanish.
#define WITHOUT_SHIFTS (SHUFFLE == 4 && FORMAT != FORMAT_MXFP4)

const uint TILE_ROWS = 32;
const uint UNIT = 32;
const uint TILE_LANES = TILE_ROWS / LANE_ROWS; // neighbouring elements of `weight` that hold one word of the tile's rows

#if LANE_ROWS == 4
#define EACH_COMPONENT(FUNCTION, words) vec4(FUNCTION(words.x), FUNCTION(words.y), FUNCTION(words.z), FUNCTION(words.w))
#define EACH_WORD(FUNCTION, words) uvec4(FUNCTION(words.x), FUNCTION(words.y), FUNCTION(words.z), FUNCTION(words.w))
#else
#define EACH_COMPONENT(FUNCTION, words) FUNCTION(words)
#define EACH_WORD(FUNCTION, words) FUNCTION(words)
#endif

struct Unit {
    uint row;        // index of the row's word 0
    uint quants;     // word of the row where the unit's quants begin
    uint shift;      // of the unit's quants in each byte
    uint high;       // word where the quants' high bits begin (K formats); the row's last word (F32, F16, BF16)
    uint high_shift; // of the high bits in each byte
    WORDS high_bits; // Q5_0, Q5_1
    FLOATS scale[2]; // of the unit's two halves
    FLOATS minimum[2]; // added to them
};

// Four neighbouring weights of each row.
struct Quad {
    FLOATS k0, k1, k2, k3;
};

// Index of word 0 of a tile's rows, for the invocation that has the `lane`-th of its TILE_LANES elements.
uint row_begin(uint tile, uint lane, uint words_per_row)
{
    return tile * words_per_row * TILE_LANES + lane;
}

WORDS row_word(uint row, uint word)
{
    return weight.data[row + word * TILE_LANES];
}

// IEEE half to float by integer arithmetic: unpackHalf2x16 may flush subnormals, and block scales are subnormal in real
// files. The float of a subnormal half is normal, so that nothing here can be flushed.
float half_to_float(uint bits)
{
    const uint magnitude = bits & 0x7FFFu;
    uint result = magnitude * 0x2000u + 0x38000000u; // products, not shifts: see WITHOUT_SHIFTS
    if (magnitude < 0x0400u) result = floatBitsToUint(float(magnitude) * 5.9604644775390625e-8); // 2^-24
    if (magnitude >= 0x7C00u) result += 0x38000000u;
    return uintBitsToFloat(result | (bits & 0x8000u) * 0x10000u);
}

FLOATS half_scale(WORDS word, uint half_index)
{
    const WORDS bits = (word >> (16u * half_index)) & 0xFFFFu;
    return EACH_COMPONENT(half_to_float, bits);
}

Quad unsigned_bytes(WORDS word)
{
#if WITHOUT_SHIFTS
    // Nowhere is the highest bit set.
    return Quad(FLOATS(INTS(word & 0xFFu)), 0.00390625 * FLOATS(INTS(word & 0xFF00u)),
                0.0000152587890625 * FLOATS(INTS(word & 0xFF0000u)),
                5.9604644775390625e-8 * FLOATS(INTS(word & 0xFF000000u)));
#else
    return Quad(FLOATS(word & 255u), FLOATS((word >> 8) & 255u), FLOATS((word >> 16) & 255u), FLOATS(word >> 24));
#endif
}

INTS signed_byte(WORDS word, uint byte)
{
    return INTS(word << (24u - 8u * byte)) >> 24;
}

// The bytes, divided by SIGNED_UNIT.
Quad signed_bytes(WORDS word)
{
#if WITHOUT_SHIFTS
#define SIGNED_UNIT 5.9604644775390625e-8 // 2^-24
    return Quad(FLOATS(INTS(word * 0x1000000u)), FLOATS(INTS((word * 0x10000u) & 0xFF000000u)),
                FLOATS(INTS((word * 0x100u) & 0xFF000000u)), FLOATS(INTS(word & 0xFF000000u)));
#else
#define SIGNED_UNIT 1.0
    return Quad(FLOATS(signed_byte(word, 0u)), FLOATS(signed_byte(word, 1u)), FLOATS(signed_byte(word, 2u)),
                FLOATS(signed_byte(word, 3u)));
#endif
}

Quad scaled(FLOATS scale, Quad quad)
{
    return Quad(scale * quad.k0, scale * quad.k1, scale * quad.k2, scale * quad.k3);
}

// scale * (quad - offset)
Quad scaled_with_offset(FLOATS scale, Quad quad, float offset)
{
    return Quad(scale * (quad.k0 - offset), scale * (quad.k1 - offset), scale * (quad.k2 - offset),
                scale * (quad.k3 - offset));
}

// scale * quad + minimum, rounded the same way in every kernel.
Quad scaled_from(FLOATS scale, Quad quad, FLOATS minimum)
{
    return Quad(fma(scale, quad.k0, minimum), fma(scale, quad.k1, minimum), fma(scale, quad.k2, minimum),
                fma(scale, quad.k3, minimum));
}

// Bits 4 q .. 4 q + 3 of a word, each as the lowest bit of a byte.
WORDS bits_to_bytes(WORDS bits, uint q)
{
    const WORDS four = (bits >> (4u * q)) & 15u;
    return (four | (four << 7) | (four << 14) | (four << 21)) & 0x01010101u;
}

// The nibbles of a block of 32: the quads 0..3 are low ones, 4..7 high ones.
WORDS block_nibbles(Unit unit, uint q)
{
    return (row_word(unit.row, unit.quants + (q & 3u)) >> (q & 4u)) & 0x0F0F0F0Fu;
}

Unit make_unit(uint row, uint quants, FLOATS scale)
{
    return Unit(row, quants, 0u, 0u, 0u, WORDS(0u), FLOATS[2](scale, scale), FLOATS[2](FLOATS(0.0), FLOATS(0.0)));
}

// ---- Formats without blocks -----------------------------------------------------------------------------------------

#if FORMAT == FORMAT_F32
#define UNIT_WORDS 32
#elif FORMAT == FORMAT_F16 || FORMAT == FORMAT_BF16
#define UNIT_WORDS 16
#endif

#ifdef UNIT_WORDS
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    Unit unit = make_unit(row, index * UNIT_WORDS, FLOATS(1.0));
    unit.high = words_per_row - 1u;
    return unit;
}

// A row may end anywhere in its last unit; what a quad holds beyond the end is the last word again.
WORDS float_word(Unit unit, uint word)
{
    return row_word(unit.row, min(unit.quants + word, unit.high));
}
#endif

#if FORMAT == FORMAT_F32
Quad unit_quad(Unit unit, uint q)
{
    return Quad(uintBitsToFloat(float_word(unit, 4u * q)), uintBitsToFloat(float_word(unit, 4u * q + 1u)),
                uintBitsToFloat(float_word(unit, 4u * q + 2u)), uintBitsToFloat(float_word(unit, 4u * q + 3u)));
}
#endif

#if FORMAT == FORMAT_F16
Quad unit_quad(Unit unit, uint q)
{
    const WORDS a = float_word(unit, 2u * q), b = float_word(unit, 2u * q + 1u);
    return Quad(half_scale(a, 0u), half_scale(a, 1u), half_scale(b, 0u), half_scale(b, 1u));
}
#endif

#if FORMAT == FORMAT_BF16
Quad unit_quad(Unit unit, uint q)
{
    const WORDS a = float_word(unit, 2u * q), b = float_word(unit, 2u * q + 1u);
    return Quad(uintBitsToFloat(a << 16), uintBitsToFloat(a & 0xFFFF0000u), uintBitsToFloat(b << 16),
                uintBitsToFloat(b & 0xFFFF0000u));
}
#endif

// ---- Blocks of 32, two in a group, scales in its last word ----------------------------------------------------------

#if FORMAT == FORMAT_Q8_0
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 1) * 17u, block = index & 1u;
    return make_unit(row, group + 8u * block, half_scale(row_word(row, group + 16u), block));
}
WORDS unit_bytes(Unit unit, uint q)
{
    return row_word(unit.row, unit.quants + q);
}
#endif

#if FORMAT == FORMAT_Q4_0 || FORMAT == FORMAT_IQ4_NL
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 1) * 9u, block = index & 1u;
    return make_unit(row, group + 4u * block, half_scale(row_word(row, group + 8u), block));
}
#endif

#if FORMAT == FORMAT_MXFP4
// 2^(e - 128); where that is subnormal, drivers may flush it.
float exponent_scale(uint exponent)
{
    return uintBitsToFloat(exponent < 2u ? 0x00200000u << exponent : (exponent - 1u) << 23);
}
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 1) * 9u, block = index & 1u;
    const WORDS exponent = (row_word(row, group + 8u) >> (8u * block)) & 255u;
    return make_unit(row, group + 4u * block, EACH_COMPONENT(exponent_scale, exponent));
}
#endif

#if FORMAT == FORMAT_Q4_0
WORDS unit_bytes(Unit unit, uint q)
{
    return block_nibbles(unit, q);
}
#endif

#if FORMAT == FORMAT_IQ4_NL || FORMAT == FORMAT_MXFP4
// The value of a nibble from a table of 16 signed bytes in 4 words, in the lowest byte.
uint nibble_byte(uint nibble)
{
#if FORMAT == FORMAT_IQ4_NL
    const uvec4 table = uvec4(0xBFAD9881u, 0xF6EADDCFu, 0x26190D01u, 0x71594535u);
#else
    const uvec4 table = uvec4(0x03020100u, 0x0C080604u, 0xFDFEFF00u, 0xF4F8FAFCu);
#endif
    const uint low = (nibble & 4u) == 0u ? table.x : table.y;
    const uint high = (nibble & 4u) == 0u ? table.z : table.w;
    const uint word = (nibble & 8u) == 0u ? low : high;
    return (word >> (8u * (nibble & 3u))) & 255u;
}
uint nibble_bytes(uint nibbles)
{
    return nibble_byte(nibbles & 15u) | (nibble_byte((nibbles >> 8) & 15u) << 8) |
           (nibble_byte((nibbles >> 16) & 15u) << 16) | (nibble_byte(nibbles >> 24) << 24);
}
WORDS unit_bytes(Unit unit, uint q)
{
    const WORDS nibbles = block_nibbles(unit, q);
    return EACH_WORD(nibble_bytes, nibbles);
}
#endif

#if FORMAT == FORMAT_Q5_0
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 1) * 11u, block = index & 1u;
    Unit unit = make_unit(row, group + 4u * block, half_scale(row_word(row, group + 10u), block));
    unit.high_bits = row_word(row, group + 8u + block);
    return unit;
}
WORDS unit_bytes(Unit unit, uint q)
{
    return block_nibbles(unit, q) | (bits_to_bytes(unit.high_bits, q) << 4);
}
#endif

// ---- Blocks of 32 with a minimum, one in a group, scale and minimum in its first word -------------------------------

#if FORMAT == FORMAT_Q4_1
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const WORDS scales = row_word(row, index * 5u);
    Unit unit = make_unit(row, index * 5u + 1u, half_scale(scales, 0u));
    unit.minimum[0] = half_scale(scales, 1u);
    return unit;
}
WORDS unit_bytes(Unit unit, uint q)
{
    return block_nibbles(unit, q);
}
#endif

#if FORMAT == FORMAT_Q5_1
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const WORDS scales = row_word(row, index * 6u);
    Unit unit = make_unit(row, index * 6u + 2u, half_scale(scales, 0u));
    unit.minimum[0] = half_scale(scales, 1u);
    unit.high_bits = row_word(row, index * 6u + 1u);
    return unit;
}
WORDS unit_bytes(Unit unit, uint q)
{
    return block_nibbles(unit, q) | (bits_to_bytes(unit.high_bits, q) << 4);
}
#endif

// ---- K formats: 256 weights in a group, 8 units ---------------------------------------------------------------------

// The quants of a unit: 8 words, one for a quad, in bits `shift` and up of each byte.
WORDS k_quants(Unit unit, uint q, uint mask)
{
    return (row_word(unit.row, unit.quants + q) >> unit.shift) & mask;
}

WORDS k_high(Unit unit, uint q, uint mask)
{
    return (row_word(unit.row, unit.high + q) >> unit.high_shift) & mask;
}

#if FORMAT == FORMAT_Q2_K
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 3) * 21u, j = index & 7u;
    const WORDS scales = row_word(row, group + (j >> 1)) >> (16u * (j & 1u)), factors = row_word(row, group + 20u);
    const FLOATS scale = half_scale(factors, 0u), minimum = -half_scale(factors, 1u);
    return Unit(row, group + 4u + 8u * (j >> 2), 2u * (j & 3u), 0u, 0u, WORDS(0u),
                FLOATS[2](scale * FLOATS(scales & 15u), scale * FLOATS((scales >> 8) & 15u)),
                FLOATS[2](minimum * FLOATS((scales >> 4) & 15u), minimum * FLOATS((scales >> 12) & 15u)));
}
WORDS unit_bytes(Unit unit, uint q)
{
    return k_quants(unit, q, 0x03030303u);
}
#endif

#if FORMAT == FORMAT_Q3_K
FLOATS q3_scale(uint row, uint scales, uint j)
{
    const WORDS low = row_word(row, scales + ((j & 7u) >> 2)) >> (8u * (j & 3u) + (j < 8u ? 0u : 4u));
    const WORDS high = row_word(row, scales + 2u) >> (8u * (j & 3u) + 2u * (j >> 2));
    return FLOATS((low & 15u) | ((high & 3u) << 4)) - 32.0;
}
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 3) * 28u, j = index & 7u;
    const FLOATS factor = half_scale(row_word(row, group + 27u), 0u);
    return Unit(row, group + 8u + 8u * (j >> 2), 2u * (j & 3u), group, j, WORDS(0u),
                FLOATS[2](factor * q3_scale(row, group + 24u, 2u * j), factor * q3_scale(row, group + 24u, 2u * j + 1u)),
                FLOATS[2](FLOATS(0.0), FLOATS(0.0)));
}
WORDS unit_bytes(Unit unit, uint q)
{
    return k_quants(unit, q, 0x03030303u) | (k_high(unit, q, 0x01010101u) << 2);
}
#endif

#if FORMAT == FORMAT_Q4_K || FORMAT == FORMAT_Q5_K
WORDS scale_byte(uint row, uint scales, uint index)
{
    return (row_word(row, scales + (index >> 2)) >> (8u * (index & 3u))) & 255u;
}
// Unit j of the group at word `group`: scale and minimum have 6 bits each, packed in 12 bytes.
Unit k_unit(uint row, uint group, uint j)
{
    WORDS scale = scale_byte(row, group + 1u, j), minimum = scale_byte(row, group + 1u, j + 4u);
    if (j < 4u) {
        scale = scale & 63u;
        minimum = minimum & 63u;
    } else {
        const WORDS both = minimum, upper = scale >> 6;
        scale = (both & 15u) | ((scale_byte(row, group + 1u, j - 4u) >> 6) << 4);
        minimum = (both >> 4) | (upper << 4);
    }
    const WORDS factors = row_word(row, group);
    Unit unit = make_unit(row, group + 8u * (j >> 1), half_scale(factors, 0u) * FLOATS(scale));
    unit.minimum[0] = -half_scale(factors, 1u) * FLOATS(minimum);
    unit.shift = 4u * (j & 1u);
    return unit;
}
#endif

#if FORMAT == FORMAT_Q4_K
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    Unit unit = k_unit(row, (index >> 3) * 36u, index & 7u);
    unit.quants += 4u;
    return unit;
}
WORDS unit_bytes(Unit unit, uint q)
{
    return k_quants(unit, q, 0x0F0F0F0Fu);
}
#endif

#if FORMAT == FORMAT_Q5_K
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 3) * 44u;
    Unit unit = k_unit(row, group, index & 7u);
    unit.quants += 12u;
    unit.high = group + 4u;
    unit.high_shift = index & 7u;
    return unit;
}
WORDS unit_bytes(Unit unit, uint q)
{
    return k_quants(unit, q, 0x0F0F0F0Fu) | (k_high(unit, q, 0x01010101u) << 4);
}
#endif

#if FORMAT == FORMAT_Q6_K
Unit unit_begin(uint row, uint index, uint words_per_row)
{
    const uint group = (index >> 3) * 53u, j = index & 7u, quarter = j & 3u;
    const WORDS scales = row_word(row, group + 48u + (j >> 1)) >> (16u * (j & 1u));
    const FLOATS factor = half_scale(row_word(row, group + 52u), 0u);
    return Unit(row, group + 16u * (j >> 2) + 8u * (quarter & 1u), 2u * (quarter & 2u), group + 32u + 8u * (j >> 2),
                2u * quarter, WORDS(0u),
                FLOATS[2](factor * FLOATS(signed_byte(scales, 0u)), factor * FLOATS(signed_byte(scales, 1u))),
                FLOATS[2](FLOATS(0.0), FLOATS(0.0)));
}
WORDS unit_bytes(Unit unit, uint q)
{
    return k_quants(unit, q, 0x0F0F0F0Fu) | (k_high(unit, q, 0x03030303u) << 4);
}
#endif

// ---- The weights of formats whose quads are bytes -------------------------------------------------------------------

#if FORMAT > FORMAT_BF16
FLOATS half_of(FLOATS halves[2], uint q)
{
#if HAS_HALVES
    return q < 4u ? halves[0] : halves[1];
#else
    return halves[0];
#endif
}

Quad unit_quad(Unit unit, uint q)
{
    const WORDS bytes = unit_bytes(unit, q);
#if SIGNED_BYTES
    return scaled(SIGNED_UNIT * half_of(unit.scale, q), signed_bytes(bytes));
#elif HAS_MINIMUM
    return scaled_from(half_of(unit.scale, q), unsigned_bytes(bytes), half_of(unit.minimum, q));
#else
    return scaled_with_offset(half_of(unit.scale, q), unsigned_bytes(bytes), float(BYTE_OFFSET));
#endif
}
#endif

#endif
