// The op of linear.comp for the many rows of a prompt, with packed activations (packed.glsl): a workgroup makes 64 outputs
// for 64 activation rows.
//
// It goes through the columns in units of 32: its 128 invocations put the unit's bytes of weights and of activations into
// shared memory, and each adds the products of 4 weight rows with 8 activation rows, as integers, in an order (tiled.glsl)
// that makes the sums those of linear.comp with PACKED to the bit. Dispatched by sx_op_linear.
#version 450
#extension GL_GOOGLE_include_directive : require
#if !WGSL
#extension GL_EXT_spirv_intrinsics : require
#endif
#define LANE_ROWS 4
#define SHUFFLE 0
#define PACKED 1
#include "common.glsl"
#include "shared.h"
#include "format_types.glsl"

layout(local_size_x = 128) in;
#include "linear.glsl"
#include "tiled.glsl"

shared uvec4 weights[QUADS * FOURS];  // [quad][four weight rows]
shared vec4 scales[4u * FOURS];       // [scale of each half, minimum of each half][four weight rows]
shared uvec4 values[3u * BLOCK_ROWS]; // [activation row][quads 0..3, quads 4..7, what stands behind them]

void load_weights(uint block, uint lane, uint index)
{
    const uint four = lane % FOURS, q = lane / FOURS;
    const Unit unit = unit_begin(row_of_four(block, four), index, p.words_per_row);
    weights[lane] = unit_bytes(unit, q);
    if (q == 0u) {
        scales[four] = unit.scale[0];
        scales[FOURS + four] = unit.scale[1];
        scales[2u * FOURS + four] = unit.minimum[0];
        scales[3u * FOURS + four] = unit.minimum[1];
    }
}

void load_values(uint first, uint lane, uint index)
{
    for (uint at = lane; at < 3u * BLOCK_ROWS; at += 128u) {
        values[at] = x.data[(activation_row(first, at / 3u) + SX_PACKED_WORDS * index) / 4u + at % 3u];
    }
}

UnitBytes bytes_of_four(uint four)
{
    return UnitBytes(weights[four], weights[FOURS + four], weights[2u * FOURS + four], weights[3u * FOURS + four],
                     weights[4u * FOURS + four], weights[5u * FOURS + four], weights[6u * FOURS + four],
                     weights[7u * FOURS + four]);
}

void main()
{
    const uint lane = gl_LocalInvocationIndex, four = lane % FOURS, value_row = lane / FOURS * ROWS;
    const uint block = group_index() / p.row_blocks, first = group_index() % p.row_blocks * BLOCK_ROWS;
    const uint units = p.columns / UNIT;

    EACH_ROW(DECLARE_SUM)

    for (uint part = 0; part < K_SPLIT; ++part) {
        for (uint index = part; index < units; index += K_SPLIT) {
            barrier();
            load_weights(block, lane, index);
            load_values(first, lane, index);
            barrier();
            const UnitBytes w = bytes_of_four(four);
            const FLOATS scale[2] = FLOATS[2](scales[four], scales[FOURS + four]);
            const FLOATS minimum[2] = FLOATS[2](scales[2u * FOURS + four], scales[3u * FOURS + four]);
#define ADD_UNIT(m) \
    { \
        const uint at = 3u * (value_row + m); \
        sum##m = add_unit(sum##m, scale, minimum, w, values[at], values[at + 1u], values[at + 2u]); \
    }
            EACH_ROW(ADD_UNIT)
        }
        EACH_ROW(ADD_PART)
    }

    const uint i = block * BLOCK_ROWS + 4u * four;
#define STORE(m) store(first + value_row + m, i, total##m);
    EACH_ROW(STORE)
}
