// g[j, c] += sum_r x[r, j] * a[r, c]: what rows of states weigh in the gradients of FIT_SYSTEMS fits.
//
// x [rows, width] halves, two in a word (width even); a [rows, SYSTEMS]; g [width, SYSTEMS], in and out. A workgroup of
// SYSTEMS x 16 invocations makes 64 columns of the states, an invocation 4 of them for one fit; states go through shared
// memory, 16 rows at a time. Dispatched by sx_op_fit_accumulate.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

#define SYSTEMS 16
#define TILE_ROWS 16
#define TILE_COLUMNS 64

layout(local_size_x = 256) in;
layout(binding = 0, std140) uniform Parameters {
    uint width;
    uint rows;
} p;
layout(binding = 1, std430) readonly buffer X { uint words[]; } x;
layout(binding = 2, std430) readonly buffer A { float data[]; } a;
layout(binding = 3, std430) buffer G { float data[]; } g;

shared float tile[TILE_ROWS * TILE_COLUMNS];

void main()
{
    const uint lane = gl_LocalInvocationID.x, c = lane % SYSTEMS, own = lane / SYSTEMS;
    const uint first = group_index() * TILE_COLUMNS, words = p.width / 2u;
    float sum[4];
    for (uint i = 0u; i < 4u; i++) {
        sum[i] = 0.0;
    }
    for (uint base = 0u; base < p.rows; base += TILE_ROWS) {
        for (uint i = lane; i < TILE_ROWS * TILE_COLUMNS / 2u; i += 256u) {
            const uint r = i / (TILE_COLUMNS / 2u), w = i % (TILE_COLUMNS / 2u), word = first / 2u + w;
            vec2 pair = vec2(0.0);
            if (base + r < p.rows && word < words) {
                pair = unpackHalf2x16(x.words[(base + r) * words + word]);
            }
            tile[r * TILE_COLUMNS + 2u * w] = pair.x;
            tile[r * TILE_COLUMNS + 2u * w + 1u] = pair.y;
        }
        barrier();
        for (uint r = 0u; r < TILE_ROWS; r++) {
            const uint row = min(base + r, p.rows - 1u);
            const float value = base + r < p.rows ? a.data[row * SYSTEMS + c] : 0.0;
            for (uint i = 0u; i < 4u; i++) {
                sum[i] = fma(tile[r * TILE_COLUMNS + own + 16u * i], value, sum[i]);
            }
        }
        barrier();
    }
    for (uint i = 0u; i < 4u; i++) {
        const uint j = first + own + 16u * i;
        if (j < p.width) {
            g.data[j * SYSTEMS + c] += sum[i];
        }
    }
}
