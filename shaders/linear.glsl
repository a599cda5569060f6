// What the kernels of linear ops share: parameters, buffers, the weights of a quad, products and stores. The includer
// defines FORMAT, LANE_ROWS, SHUFFLE, EXPERTS for layers of experts and PACKED for packed activations, and has included
// shared.h and format_types.glsl.
#ifndef SX_LINEAR_GLSL
#define SX_LINEAR_GLSL

layout(binding = 0, std140) uniform Parameters {
    uint words_per_row;
    uint columns;
    uint matrix_rows;
    uint first_row;  // of the whole matrix, where this is a piece of it: index into bias, residual and out
    uint rows;       // activation rows
    uint row_blocks; // ceil(rows / ROWS)
    uint x_stride;   // words, a multiple of 4; the up to 3 floats behind `columns` are finite
    uint out_stride;
    uint out_offset;
    uint residual_stride;
    uint has_bias;
    uint has_residual;
#if EXPERTS
    uint experts;
    uint piece_rows;
    uint x_share;
#endif
} p;
layout(binding = 1, std430) readonly buffer Weight { WORDS data[]; } weight;
#if PACKED
layout(binding = 2, std430) readonly buffer X { uvec4 data[]; } x; // rows as packed.glsl lays them out
#elif SHUFFLE
layout(binding = 2, std430) readonly buffer X { float data[]; } x;
#else
layout(binding = 2, std430) readonly buffer X { vec4 data[]; } x;
#endif
#if EXPERTS
layout(binding = 3, std430) readonly buffer Routes { SxRoute routes[]; };
layout(binding = 4, std430) writeonly buffer Out { float data[]; } result;
#else
layout(binding = 3, std430) readonly buffer Bias { float data[]; } bias;
layout(binding = 4, std430) readonly buffer Residual { float data[]; } residual;
layout(binding = 5, std430) writeonly buffer Out { float data[]; } result;
#endif

#include "formats.glsl"
#if PACKED
#include "packed.glsl"
#endif

// The one place where products are added, in every kernel.
FLOATS add_product(FLOATS sum, FLOATS weights, float value)
{
    precise FLOATS s = fma(weights, FLOATS(value), sum);
    return s;
}

FLOATS add_products(FLOATS sum, Quad w, vec4 v)
{
    sum = add_product(sum, w.k0, v.x);
    sum = add_product(sum, w.k1, v.y);
    sum = add_product(sum, w.k2, v.z);
    return add_product(sum, w.k3, v.w);
}

Quad quad_weights(Unit unit, uint index, uint q)
{
    Quad w = unit_quad(unit, q);
#if FORMAT <= FORMAT_BF16
    const uint column = index * UNIT + 4u * q;
    if (column >= p.columns) w.k0 = FLOATS(0.0);
    if (column + 1u >= p.columns) w.k1 = FLOATS(0.0);
    if (column + 2u >= p.columns) w.k2 = FLOATS(0.0);
    if (column + 3u >= p.columns) w.k3 = FLOATS(0.0);
#endif
    return w;
}

uint activation_row(uint first, uint m)
{
    const uint row = min(first + m, p.rows - 1u);
#if EXPERTS
    return row / p.x_share * p.x_stride;
#else
    return row * p.x_stride;
#endif
}

#if EXPERTS
// Row of the stack that row `i` of the expert of activation row `r` is, and whether the piece has it. LANE_ROWS rows of
// a stack lie side by side in a tile, since matrix_rows is a multiple of LANE_ROWS.
uint stack_row(uint r, uint i)
{
    return min(routes[min(r, p.rows - 1u)].expert, p.experts - 1u) * p.matrix_rows + i;
}

bool in_piece(uint row)
{
    return row >= p.first_row && row < p.first_row + p.piece_rows;
}

// Where that row begins in the piece; anywhere where the piece has it not.
uint stack_row_begin(uint r, uint i)
{
    const uint wanted = stack_row(r, min(i, p.matrix_rows - LANE_ROWS));
    const uint held = in_piece(wanted) ? wanted - p.first_row : 0u;
    return row_begin(held / TILE_ROWS, held % TILE_ROWS / LANE_ROWS, p.words_per_row);
}
#endif

void store_one(uint row, uint i, float sum)
{
#if EXPERTS
    if (row < p.rows && i < p.matrix_rows && in_piece(stack_row(row, i))) {
        result.data[row * p.out_stride + p.out_offset + i] = sum;
    }
#else
    if (row < p.rows && i < p.matrix_rows) {
        const uint feature = p.first_row + i;
        if (p.has_bias != 0u) sum += bias.data[feature];
        if (p.has_residual != 0u) sum += residual.data[row * p.residual_stride + feature];
        result.data[row * p.out_stride + p.out_offset + feature] = sum;
    }
#endif
}

void store(uint row, uint i, FLOATS sum)
{
#if LANE_ROWS == 4
    store_one(row, i, sum.x);
    store_one(row, i + 1u, sum.y);
    store_one(row, i + 2u, sum.z);
    store_one(row, i + 3u, sum.w);
#else
    store_one(row, i, sum);
#endif
}

#endif
