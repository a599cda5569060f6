// out[r, out_offset + i] = sum_k weight[i, k] * x[r, k] + bias[i] + residual[r, i]
//
// weight [matrix_rows, columns] in word-interleaved tiles of FORMAT; x [rows, x_stride], out [rows, out_stride]. A
// workgroup makes 32 outputs (one tile) for ROWS activation rows: an invocation owns LANE_ROWS neighbouring weight rows,
// so that one activation serves as many products, and every K_SPLIT-th unit of 32 columns; the parts are added in order
// through shared memory. So an output is summed in an order that depends on nothing but the columns, and equal
// activations give equal bits whatever ROWS is. With PACKED x is in bytes (packed.glsl) and a unit's products are added
// as integers. Dispatched by sx_op_linear and sx_op_expert_linear.
#version 450
#extension GL_GOOGLE_include_directive : require
#if PACKED && !WGSL
#extension GL_EXT_spirv_intrinsics : require
#endif
#include "common.glsl"
#include "shared.h"
#include "format_types.glsl"

#define LANES (32 / LANE_ROWS)
layout(local_size_x = LANES, local_size_y = K_SPLIT) in;
#include "linear.glsl"
#include "rows.glsl"

// Rows whose parts are added at once: as many as 16 KiB of shared memory hold.
#if K_SPLIT * ROWS > 128
#define PART_ROWS (128 / K_SPLIT)
#else
#define PART_ROWS ROWS
#endif
shared FLOATS parts[K_SPLIT * PART_ROWS * LANES];

void main()
{
    const uint lane = gl_LocalInvocationID.x, part = gl_LocalInvocationID.y;
    const uint tile = group_index() / p.row_blocks;
    const uint first = (group_index() % p.row_blocks) * ROWS;
    const uint tiles = (p.matrix_rows + TILE_ROWS - 1u) / TILE_ROWS;
    const uint i = tile < tiles ? tile * TILE_ROWS + lane * LANE_ROWS : p.matrix_rows; // the latter stores nothing
#if EXPERTS
    const uint row = stack_row_begin(first, i);
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
#if PACKED
        const UnitBytes w = bytes_of_unit(unit);
#define ADD_UNIT(m) \
    { \
        const uint at = (x##m + SX_PACKED_WORDS * index) / 4u; \
        sum##m = add_unit(sum##m, unit.scale, unit.minimum, w, x.data[at], x.data[at + 1u], x.data[at + 2u]); \
    }
        EACH_ROW(ADD_UNIT)
#else
#if FORMAT <= FORMAT_BF16
        const uint quads = min((p.columns - index * UNIT + 3u) / 4u, UNIT / 4u);
#else
        const uint quads = UNIT / 4u;
#endif
        for (uint q = 0; q < quads; ++q) {
            const Quad w = quad_weights(unit, index, q);
            const uint column = index * (UNIT / 4u) + q;
#define MULTIPLY(m) sum##m = add_products(sum##m, w, x.data[x##m / 4u + column]);
            EACH_ROW(MULTIPLY)
        }
#endif
    }

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
}
