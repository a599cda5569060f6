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
layout(binding = 0, std140) uniform Parameters {
    uint words_per_row;
    uint columns;
    uint matrix_rows;
    uint first_row;  // of the whole matrix, where this is a piece of it: index into bias, residual and out
    uint rows;       // activation rows
    uint row_blocks; // ceil(rows / ROWS)
    uint x_stride;   // a multiple of 4; the up to 3 values behind `columns` are finite
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
#if SHUFFLE
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
#include "rows.glsl"
#include "shuffle.glsl"

// The one place where products are added, for every ROWS.
void accumulate(inout FLOATS sum, Quad w, float v0, float v1, float v2, float v3)
{
    precise FLOATS s = sum;
    s = fma(w.k0, FLOATS(v0), s);
    s = fma(w.k1, FLOATS(v1), s);
    s = fma(w.k2, FLOATS(v2), s);
    s = fma(w.k3, FLOATS(v3), s);
    sum = s;
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
