// out[r, b] = block b of x[r, first .. first + 32 * blocks) as packed.glsl lays it out: scale = max |x| / 127 and bytes
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

#include "pack.glsl"

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
