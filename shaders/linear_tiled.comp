// The op of linear.comp for the many rows of a prompt: a workgroup makes 64 outputs for 64 activation rows.
//
// It goes through the columns in units of 32: its 128 invocations decode the unit's weights once, into shared memory,
// and put the activations beside them, both turned so that four neighbours lie together; then an invocation adds the
// products of 4 weight rows with 8 activation rows, in an order (tiled.glsl) that makes the sums those of linear.comp to
// the bit: a prompt's keys and values are the same whichever kernel read it. Dispatched by sx_op_linear.
#version 450
#extension GL_GOOGLE_include_directive : require
#define LANE_ROWS 4
#define SHUFFLE 0
#include "common.glsl"
#include "shared.h"
#include "format_types.glsl"

layout(local_size_x = 128) in;
#include "linear.glsl"
#include "tiled.glsl"

shared vec4 weights[UNIT * FOURS]; // [column][four weight rows]
shared vec4 values[UNIT * FOURS];  // [column][four activation rows]

void load_weights(uint block, uint lane, uint index)
{
    const uint four = lane % FOURS, q = lane / FOURS;
    const Quad w = quad_weights(unit_begin(row_of_four(block, four), index, p.words_per_row), index, q);
    const uint at = 4u * q * FOURS + four;
    weights[at] = w.k0;
    weights[at + FOURS] = w.k1;
    weights[at + 2u * FOURS] = w.k2;
    weights[at + 3u * FOURS] = w.k3;
}

// Two neighbouring lanes read neighbouring quads of a row: a whole sector of a cache line.
void load_values(uint first, uint lane, uint index)
{
    const uint q = (lane & 1u) | (lane / (2u * FOURS) * 2u), four = lane / 2u % FOURS;
    const uint column = min(index * QUADS + q, (p.columns + 3u) / 4u - 1u);
    const vec4 a = x.data[activation_row(first, 4u * four) / 4u + column];
    const vec4 b = x.data[activation_row(first, 4u * four + 1u) / 4u + column];
    const vec4 c = x.data[activation_row(first, 4u * four + 2u) / 4u + column];
    const vec4 d = x.data[activation_row(first, 4u * four + 3u) / 4u + column];
    const uint at = 4u * q * FOURS + four;
    values[at] = vec4(a.x, b.x, c.x, d.x);
    values[at + FOURS] = vec4(a.y, b.y, c.y, d.y);
    values[at + 2u * FOURS] = vec4(a.z, b.z, c.z, d.z);
    values[at + 3u * FOURS] = vec4(a.w, b.w, c.w, d.w);
}

void main()
{
    const uint lane = gl_LocalInvocationIndex, weight_four = lane % FOURS, value_eight = lane / FOURS;
    const uint block = group_index() / p.row_blocks, first = group_index() % p.row_blocks * BLOCK_ROWS;
    const uint units = (p.columns + UNIT - 1u) / UNIT;

    EACH_ROW(DECLARE_SUM)

    for (uint part = 0; part < K_SPLIT; ++part) {
        for (uint index = part; index < units; index += K_SPLIT) {
            barrier();
            load_weights(block, lane, index);
            load_values(first, lane, index);
            barrier();
#if FORMAT <= FORMAT_BF16
            const uint columns = min((p.columns - index * UNIT + 3u) & ~3u, UNIT);
#else
            const uint columns = UNIT;
#endif
            for (uint k = 0; k < columns; ++k) {
                const vec4 w = weights[k * FOURS + weight_four];
                const vec4 low = values[k * FOURS + 2u * value_eight], high = values[k * FOURS + 2u * value_eight + 1u];
                sum0 = add_product(sum0, w, low.x);
                sum1 = add_product(sum1, w, low.y);
                sum2 = add_product(sum2, w, low.z);
                sum3 = add_product(sum3, w, low.w);
                sum4 = add_product(sum4, w, high.x);
                sum5 = add_product(sum5, w, high.y);
                sum6 = add_product(sum6, w, high.z);
                sum7 = add_product(sum7, w, high.w);
            }
        }
        EACH_ROW(ADD_PART)
    }

    // Through shared memory, so that the code of a store is there twice instead of eight times.
    barrier();
#define SHARE(m) \
    if (m < 4) weights[(4u * value_eight + m) * FOURS + weight_four] = total##m; \
    else values[(4u * value_eight + m - 4u) * FOURS + weight_four] = total##m;
    EACH_ROW(SHARE)
    barrier();
    const uint i = block * BLOCK_ROWS + 4u * weight_four;
    for (uint r = value_eight; r < BLOCK_ROWS / 2u; r += ROWS) {
        const uint row = first + r / 4u * ROWS + r % 4u;
        store(row, i, weights[r * FOURS + weight_four]);
        store(row + 4u, i, values[r * FOURS + weight_four]);
    }
}
