// The op of linear.comp for drivers that run on a CPU: there a load costs as much as a dozen of operations, more so where
// all lanes load the same value. So a workgroup is one subgroup of SHUFFLE lanes (4 or 8), which load different
// activations and hand them round (shuffle.glsl), and makes 32 outputs (one tile) for ROWS activation rows. A lane owns
// 4 neighbouring weight rows, of two blocks where there are 4 lanes, and sums an output alone, in the order of the
// columns: equal activations give equal bits whatever ROWS is. Dispatched by sx_op_linear and sx_op_expert_linear.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#define LANE_ROWS 4
#include "common.glsl"
#include "shared.h"
#include "format_types.glsl"

layout(local_size_x = SHUFFLE) in;
#include "linear.glsl"
#include "rows.glsl"
#include "shuffle.glsl"

#define BLOCKS (8 / SHUFFLE) // of 4 rows a lane

// Where the rows begin that are this lane's in a block, of which the first is row `i` of the matrix.
uint own_row(uint first, uint tile, uint block, uint i)
{
#if EXPERTS
    return stack_row_begin(first, i);
#else
    return row_begin(tile, block * SHUFFLE + gl_LocalInvocationID.x, p.words_per_row);
#endif
}

void main()
{
    const uint first = (group_index() % p.row_blocks) * ROWS;
    const uint last_tile = (p.matrix_rows + TILE_ROWS - 1u) / TILE_ROWS - 1u, tile = group_index() / p.row_blocks;
    const uint units = (p.columns + UNIT - 1u) / UNIT;
    const uint i = min(tile, last_tile) * TILE_ROWS + LANE_ROWS * gl_LocalInvocationID.x;
    const uint row = own_row(first, min(tile, last_tile), 0u, i);
#if BLOCKS == 2
    const uint next_row = own_row(first, min(tile, last_tile), 1u, i + SHUFFLE * LANE_ROWS);
#endif

#define DECLARE(m) \
    FLOATS sum##m = FLOATS(0.0), next_sum##m = FLOATS(0.0); \
    const uint x##m = activation_row(first, m);
    EACH_ROW(DECLARE)

    for (uint index = 0u; index < units; ++index) {
        const Unit unit = unit_begin(row, index, p.words_per_row);
#if BLOCKS == 2
        const Unit next_unit = unit_begin(next_row, index, p.words_per_row);
#endif
#if FORMAT <= FORMAT_BF16
        const uint quads = min((p.columns - index * UNIT + 3u) / 4u, UNIT / 4u);
#else
        const uint quads = UNIT / 4u;
#endif
        for (uint q = 0; q < quads; q += SHUFFLE / 4u) {
            const uint column = min(index * UNIT + 4u * q + own_value(), ((p.columns + 3u) & ~3u) - 1u);
#define LOAD(m) \
    const float own##m = x.data[x##m + column]; \
    const vec4 v##m = vec4(VALUE(own##m, 0u), VALUE(own##m, 1u), VALUE(own##m, 2u), VALUE(own##m, 3u));
            EACH_ROW(LOAD)
            const Quad w = quad_weights(unit, index, q);
#define MULTIPLY(m) sum##m = add_products(sum##m, w, v##m);
            EACH_ROW(MULTIPLY)
#if BLOCKS == 2
            const Quad next_w = quad_weights(next_unit, index, q);
#define MULTIPLY_NEXT(m) next_sum##m = add_products(next_sum##m, next_w, v##m);
            EACH_ROW(MULTIPLY_NEXT)
#else
            const Quad high_w = quad_weights(unit, index, q + 1u);
#define MULTIPLY_HIGH(m) \
    { \
        const vec4 v = vec4(VALUE(own##m, 4u), VALUE(own##m, 5u), VALUE(own##m, 6u), VALUE(own##m, 7u)); \
        sum##m = add_products(sum##m, high_w, v); \
    }
            EACH_ROW(MULTIPLY_HIGH)
#endif
        }
    }

    // A loop, so that the code of a store, which takes such drivers long to compile, is there once.
    FLOATS sums[BLOCKS * ROWS];
#define KEEP(m) sums[m] = sum##m;
    EACH_ROW(KEEP)
#if BLOCKS == 2
#define KEEP_NEXT(m) sums[ROWS + m] = next_sum##m;
    EACH_ROW(KEEP_NEXT)
#endif
    for (uint at = 0u; at < BLOCKS * ROWS && tile <= last_tile; ++at) {
        store(first + at % ROWS, i + at / ROWS * SHUFFLE * LANE_ROWS, sums[at]);
    }
}
