// out[r, out_offset + i] = x[source(r), x_offset + i], i < n; source(r) = batch.source[r], or r without a batch.
//
// x [x_rows, x_stride], out [rows, out_stride]. Bits are kept. An invocation moves an element; groups are (columns, row).
// Dispatched by sx_op_gather_rows.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters {
    uint n;
    uint x_stride;
    uint x_offset;
    uint out_stride;
    uint out_offset;
    uint has_batch;
    uint x_rows; // sources beyond count as the last row
} p;
layout(binding = 1, std430) readonly buffer X { uint data[]; } x;
layout(binding = 2, std430) readonly buffer Batch { SxBatch batch; };
layout(binding = 3, std430) writeonly buffer Out { uint data[]; } result;

void main()
{
    const uint i = gl_GlobalInvocationID.x, r = gl_WorkGroupID.y;
    if (i < p.n) {
        uint source = r;
        if (p.has_batch != 0u) source = min(batch.source[r], p.x_rows - 1u);
        result.data[r * p.out_stride + p.out_offset + i] = x.data[source * p.x_stride + p.x_offset + i];
    }
}
