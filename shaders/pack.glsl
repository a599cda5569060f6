// Rounds a block of 32 activations to bytes, as packed.glsl lays them out.
#ifndef SX_PACK_GLSL
#define SX_PACK_GLSL

struct PackedBlock {
    uvec4 low, high, tail;
};

uint largest_magnitude(vec4 v)
{
    // As integers, where a NaN is larger than all numbers.
    const uvec4 bits = floatBitsToUint(v) & 0x7FFFFFFFu;
    return max(max(bits.x, bits.y), max(bits.z, bits.w));
}

uint bytes_of_quad(vec4 v, float inverse, inout int sum)
{
    const ivec4 bytes = ivec4(floor(v * inverse + 0.5));
    sum += bytes.x + bytes.y + bytes.z + bytes.w;
    const uvec4 b = uvec4(bytes) & 255u;
    return b.x | (b.y << 8) | (b.z << 16) | (b.w << 24);
}

PackedBlock pack_block(vec4 values[8])
{
    uint bits = 0u;
    for (uint q = 0u; q < 8u; ++q) bits = max(bits, largest_magnitude(values[q]));
    const float largest = uintBitsToFloat(bits);
    const bool finite = bits < 0x7F800000u;
    // 127 / largest, which devices round differently, and once more with what it is wrong by.
    precise float inverse = 127.0 / largest;
    precise float remainder = fma(-largest, inverse, 127.0);
    inverse = fma(remainder / 127.0, inverse, inverse);
    // So small a block is 0: its inverse is no number.
    const bool usable = finite && bits > 0x02000000u;
    if (!usable) inverse = 0.0;
    uint quads[8];
    int sums[2] = int[2](0, 0);
    for (uint q = 0u; q < 8u; ++q) quads[q] = usable ? bytes_of_quad(values[q], inverse, sums[q / 4u]) : 0u;
    const float scale = usable ? largest * (1.0 / 127.0) : 0.0;
    PackedBlock block;
    block.low = uvec4(quads[0], quads[1], quads[2], quads[3]);
    block.high = uvec4(quads[4], quads[5], quads[6], quads[7]);
    block.tail = uvec4(finite ? floatBitsToUint(scale) : 0x7FC00000u, uint(sums[0]), uint(sums[1]), 0u);
    return block;
}

#endif
