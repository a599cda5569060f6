// z[r, c] = sum_j x[r, j] * v[j, c]: rows of states times FIT_COLUMNS vectors.
//
// x [rows, width] halves, two in a word (width even); v [width rounded up to 32, COLUMNS]; z [rows, COLUMNS]. A workgroup
// of COLUMNS x 8 invocations makes 32 rows, an invocation 4 of a column; states go through shared memory, 32 columns at
// a time. Dispatched by sx_op_fit_project.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

#define COLUMNS 32
#define TILE 32

layout(local_size_x = 256) in;
layout(binding = 0, std140) uniform Parameters {
    uint width;
    uint rows;
} p;
layout(binding = 1, std430) readonly buffer X { uint words[]; } x;
layout(binding = 2, std430) readonly buffer V { float data[]; } v;
layout(binding = 3, std430) writeonly buffer Z { float data[]; } z;

shared float tile[TILE * (TILE + 1)];

void main()
{
    const uint lane = gl_LocalInvocationID.x, c = lane % COLUMNS, first = group_index() * TILE;
    const uint own = lane / COLUMNS * 4u, words = p.width / 2u;
    float sum[4];
    for (uint i = 0u; i < 4u; i++) {
        sum[i] = 0.0;
    }
    for (uint base = 0u; base < p.width; base += TILE) {
        for (uint i = lane; i < TILE * TILE / 2u; i += 256u) {
            const uint r = i / (TILE / 2u), w = i % (TILE / 2u), word = base / 2u + w;
            vec2 pair = vec2(0.0);
            if (first + r < p.rows && word < words) {
                pair = unpackHalf2x16(x.words[(first + r) * words + word]);
            }
            tile[r * (TILE + 1u) + 2u * w] = pair.x;
            tile[r * (TILE + 1u) + 2u * w + 1u] = pair.y;
        }
        barrier();
        for (uint k = 0u; k < TILE; k++) {
            const float value = v.data[(base + k) * COLUMNS + c];
            for (uint i = 0u; i < 4u; i++) {
                sum[i] = fma(tile[(own + i) * (TILE + 1u) + k], value, sum[i]);
            }
        }
        barrier();
    }
    for (uint i = 0u; i < 4u; i++) {
        const uint r = first + own + i;
        if (r < p.rows) {
            z.data[r * COLUMNS + c] = sum[i];
        }
    }
}
