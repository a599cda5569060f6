// Activations rounded to signed bytes, and sums of their products with weights that are bytes (PACKED kernels).
//
// A row is blocks of 32 neighbours, each SX_PACKED_WORDS words: 8 quads of four bytes, lowest first; the scale (float32);
// the sums of the bytes of the block's first and second half; a word that is not used. An activation is scale * byte.
// shaders/pack_rows.comp makes them. Sums of products of bytes are exact, so nothing hangs on their order.
#ifndef SX_PACKED_GLSL
#define SX_PACKED_GLSL

#if WGSL
// Becomes WGSL's function of this name (tools/wgsl.mjs), since naga does not know SPIR-V's instruction.
int dot4I8Packed(uint a, uint b)
{
    return int(a * b);
}
#define DOT(a, b) dot4I8Packed(a, b)
#else
// OpSDot of SPV_KHR_integer_dot_product; `packing` 0 is four signed bytes.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6018, 6019], id = 4450)
int dot_of_bytes(uint a, uint b, spirv_literal int packing);
#define DOT(a, b) dot_of_bytes(a, b, 0)
#endif

// Adds the products of a quad of each weight row with one of activations.
INTS add_dot(INTS sum, WORDS weights, uint values)
{
#if LANE_ROWS == 4
    return sum + INTS(DOT(weights.x, values), DOT(weights.y, values), DOT(weights.z, values), DOT(weights.w, values));
#else
    return sum + DOT(weights, values);
#endif
}

// The quads of a unit's weights.
struct UnitBytes {
    WORDS q0, q1, q2, q3, q4, q5, q6, q7;
};

UnitBytes bytes_of_unit(Unit unit)
{
    return UnitBytes(unit_bytes(unit, 0u), unit_bytes(unit, 1u), unit_bytes(unit, 2u), unit_bytes(unit, 3u),
                     unit_bytes(unit, 4u), unit_bytes(unit, 5u), unit_bytes(unit, 6u), unit_bytes(unit, 7u));
}

// Adds the products of a unit's weights with a block of activations: its quads 0..3, 4..7, and what stands behind them.
// The one place where sums of bytes become numbers, in every kernel.
FLOATS add_unit(FLOATS sum, FLOATS scale[2], FLOATS minimum[2], UnitBytes w, uvec4 a, uvec4 b, uvec4 tail)
{
    const int low_values = int(tail.y), high_values = int(tail.z);
    INTS low = INTS(-BYTE_OFFSET * low_values), high = INTS(-BYTE_OFFSET * high_values);
    low = add_dot(add_dot(add_dot(add_dot(low, w.q0, a.x), w.q1, a.y), w.q2, a.z), w.q3, a.w);
    high = add_dot(add_dot(add_dot(add_dot(high, w.q4, b.x), w.q5, b.y), w.q6, b.z), w.q7, b.w);
#if HAS_HALVES
    precise FLOATS products = scale[0] * FLOATS(low);
    products = fma(scale[1], FLOATS(high), products);
#if HAS_MINIMUM
    products = fma(minimum[0], FLOATS(float(low_values)), products);
    products = fma(minimum[1], FLOATS(float(high_values)), products);
#endif
#else
    precise FLOATS products = scale[0] * FLOATS(low + high);
#if HAS_MINIMUM
    products = fma(minimum[0], FLOATS(float(low_values + high_values)), products);
#endif
#endif
    precise FLOATS s = fma(FLOATS(uintBitsToFloat(tail.x)), products, sum);
    return s;
}

#endif
