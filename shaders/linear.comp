// out[r, out_offset + i] = sum_k weight[i, k] * x[r, k] + bias[i] + residual[r, i]
//
// weight [matrix_rows, columns] in word-interleaved tiles of FORMAT; x [rows, x_stride], out [rows, out_stride]. A
// workgroup makes 32 outputs (one tile) for ROWS activation rows: an invocation owns LANE_ROWS neighbouring weight rows,
// so that one activation serves as many products, and every K_SPLIT-th unit of 32 columns; the parts are added in order
// through shared memory. So an output is summed in an order that depends on nothing but the columns, and equal
// activations give equal bits whatever ROWS is.
//
// SHUFFLE is 0, or the subgroup size (4 or 8) for drivers that run on a CPU: they load a value that is the same for all
// lanes once for each lane, so the lanes load different activations and hand them round. Dispatched by sx_op_linear.
#version 450
#extension GL_GOOGLE_include_directive : require
#if SHUFFLE
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "common.glsl"
#include "shared.h"
#include "format_types.glsl"

#define LANES (32 / LANE_ROWS)
layout(local_size_x = LANES, local_size_y = K_SPLIT) in;
#include "linear.glsl"
#include "rows.glsl"
#include "shuffle.glsl"

void accumulate(inout FLOATS sum, Quad w, float v0, float v1, float v2, float v3)
{
    sum = add_product(sum, w.k0, v0);
    sum = add_product(sum, w.k1, v1);
    sum = add_product(sum, w.k2, v2);
    sum = add_product(sum, w.k3, v3);
}

#if K_SPLIT > 1
// Rows whose parts are added at once: as many as 16 KiB of shared memory hold.
#if K_SPLIT * ROWS > 128
#define PART_ROWS (128 / K_SPLIT)
#else
#define PART_ROWS ROWS
#endif
shared FLOATS parts[K_SPLIT * PART_ROWS * LANES];
#endif

void main()
{
    const uint lane = gl_LocalInvocationID.x, part = gl_LocalInvocationID.y;
    const uint tile = group_index() / p.row_blocks;
    const uint first = (group_index() % p.row_blocks) * ROWS;
    const uint tiles = (p.matrix_rows + TILE_ROWS - 1u) / TILE_ROWS;
    const uint i = tile < tiles ? tile * TILE_ROWS + lane * LANE_ROWS : p.matrix_rows; // the latter stores nothing
#if EXPERTS
    const uint wanted = stack_row(first, min(i, p.matrix_rows - LANE_ROWS));
    const uint held = in_piece(wanted) ? wanted - p.first_row : 0u;
    const uint row = row_begin(held / TILE_ROWS, held % TILE_ROWS / LANE_ROWS, p.words_per_row);
#else
    const uint row = row_begin(min(tile, tiles - 1u), lane, p.words_per_row);
#endif
    const uint units = (p.columns + UNIT - 1u) / UNIT;

#define DECLARE(m) \
    FLOATS sum##m = FLOATS(0.0); \
    const uint x##m = activation_row(first, m);
    EACH_ROW(DECLARE)

    for (uint index = part; index < units; index += K_SPLIT) {
        const Unit unit = unit_begin(row, index, p.words_per_row);
#if FORMAT <= FORMAT_BF16
        const uint quads = min((p.columns - index * UNIT + 3u) / 4u, UNIT / 4u);
#else
        const uint quads = UNIT / 4u;
#endif
#if SHUFFLE
        for (uint q = 0; q < quads; q += SHUFFLE / 4u) {
            const uint column = min(index * UNIT + 4u * q + own_value(), ((p.columns + 3u) & ~3u) - 1u);
#define LOAD(m) const float v##m = x.data[x##m + column];
            EACH_ROW(LOAD)
            const Quad w = quad_weights(unit, index, q);
#define MULTIPLY(m) accumulate(sum##m, w, VALUE(v##m, 0u), VALUE(v##m, 1u), VALUE(v##m, 2u), VALUE(v##m, 3u));
            EACH_ROW(MULTIPLY)
#if SHUFFLE == 8
            const Quad w2 = quad_weights(unit, index, q + 1u);
#define MULTIPLY2(m) accumulate(sum##m, w2, VALUE(v##m, 4u), VALUE(v##m, 5u), VALUE(v##m, 6u), VALUE(v##m, 7u));
            EACH_ROW(MULTIPLY2)
#endif
        }
#else
        for (uint q = 0; q < quads; ++q) {
            const Quad w = quad_weights(unit, index, q);
            const uint column = index * (UNIT / 4u) + q;
#define MULTIPLY(m) \
    { \
        const vec4 v = x.data[x##m / 4u + column]; \
        accumulate(sum##m, w, v.x, v.y, v.z, v.w); \
    }
            EACH_ROW(MULTIPLY)
        }
#endif
    }

#if K_SPLIT > 1
    for (uint from = 0; from < ROWS; from += PART_ROWS) {
#define SHARE(m) \
    if (m >= from && m < from + PART_ROWS) parts[(part * PART_ROWS + (m - from)) * LANES + lane] = sum##m;
        EACH_ROW(SHARE)
        barrier();
        for (uint m = part; m < PART_ROWS; m += K_SPLIT) {
            FLOATS sum = parts[m * LANES + lane];
            for (uint k = 1; k < K_SPLIT; ++k) {
                sum += parts[(k * PART_ROWS + m) * LANES + lane];
            }
            store(first + from + m, i, sum);
        }
        barrier();
    }
#else
#define STORE(m) store(first + m, i, sum##m);
    EACH_ROW(STORE)
#endif
}
