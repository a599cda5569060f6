// out[r, b] = block b of x[r, :32 * blocks] as packed.glsl lays it out: scale = max |x| / 127 and bytes
// round(x / scale). A block with an infinity or a NaN has the scale NaN.
//
// x [rows, x_stride], out [rows, out_stride]. An invocation makes a block. Dispatched by sx_op_pack_rows.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters {
    uint blocks; // of a row
    uint count;  // rows * blocks
    uint x_stride;
    uint out_stride;
} p;
layout(binding = 1, std430) readonly buffer X { vec4 data[]; } x;
layout(binding = 2, std430) writeonly buffer Out { uvec4 data[]; } result;

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

void main()
{
    const uint index = invocation_index();
    if (index < p.count) {
        const uint r = index / p.blocks, b = index % p.blocks;
        const uint from = (r * p.x_stride + 32u * b) / 4u;
        vec4 values[8];
        for (uint q = 0u; q < 8u; ++q) values[q] = x.data[from + q];
        const PackedBlock block = pack_block(values);
        const uint to = r * p.out_stride / 4u + 3u * b;
        result.data[to] = block.low;
        result.data[to + 1u] = block.high;
        result.data[to + 2u] = block.tail;
    }
}
