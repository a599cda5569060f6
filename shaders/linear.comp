// out[r, out_offset + i] = sum_k weight[i, k] * x[r, k] + bias[i] + residual[r, i]
//
// weight [matrix_rows, columns] in word-interleaved tiles of FORMAT; x [rows, x_stride], out [rows, out_stride]. A
// workgroup makes 32 outputs (one tile) for ROWS activation rows: an invocation owns one weight row and every
// K_SPLIT-th unit of 32 columns; the parts are added in order through shared memory. So an output is summed in an order
// that depends on nothing but the columns, and equal activations give equal bits whatever ROWS is.
//
// SHUFFLE is 0, or the subgroup size (4 or 8) for drivers that run on a CPU: they load a value that is the same for all
// lanes once for each lane, so the lanes load different activations and hand them round. Dispatched by sx_op_linear.
#version 450
#extension GL_GOOGLE_include_directive : require
#if SHUFFLE
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "common.glsl"

layout(local_size_x = 32, local_size_y = K_SPLIT) in;
layout(binding = 0, std140) uniform Parameters {
    uint words_per_row;
    uint columns;
    uint matrix_rows;
    uint first_row; // of the whole matrix, where this is a piece of it: index into bias, residual and out
    uint rows;      // activation rows
    uint row_blocks; // ceil(rows / ROWS)
    uint x_stride;  // a multiple of 4; the up to 3 values behind `columns` are finite
    uint out_stride;
    uint out_offset;
    uint residual_stride;
    uint has_bias;
    uint has_residual;
} p;
layout(binding = 1, std430) readonly buffer Weight { uint data[]; } weight;
#if SHUFFLE
layout(binding = 2, std430) readonly buffer X { float data[]; } x;
#else
layout(binding = 2, std430) readonly buffer X { vec4 data[]; } x;
#endif
layout(binding = 3, std430) readonly buffer Bias { float data[]; } bias;
layout(binding = 4, std430) readonly buffer Residual { float data[]; } residual;
layout(binding = 5, std430) writeonly buffer Out { float data[]; } result;

#include "formats.glsl"
#include "rows.glsl"

#if K_SPLIT > 1
shared float parts[K_SPLIT * ROWS * 32];
#endif

// The one place where products are added, for every ROWS.
void accumulate(inout float sum, vec4 w, vec4 v)
{
    precise float s = sum;
    s = fma(w.x, v.x, s);
    s = fma(w.y, v.y, s);
    s = fma(w.z, v.z, s);
    s = fma(w.w, v.w, s);
    sum = s;
}

vec4 quad_weights(Unit unit, uint index, uint q)
{
    vec4 w = unit_quad(unit, q);
#if FORMAT <= FORMAT_BF16
    const uint column = index * UNIT + 4u * q;
    w = vec4(column < p.columns ? w.x : 0.0, column + 1u < p.columns ? w.y : 0.0, column + 2u < p.columns ? w.z : 0.0,
             column + 3u < p.columns ? w.w : 0.0);
#endif
    return w;
}

uint activation_row(uint first, uint m)
{
    return min(first + m, p.rows - 1u) * p.x_stride;
}

void store(uint row, uint i, float sum)
{
    if (row < p.rows && i < p.matrix_rows) {
        const uint feature = p.first_row + i;
        if (p.has_bias != 0u) sum += bias.data[feature];
        if (p.has_residual != 0u) sum += residual.data[row * p.residual_stride + feature];
        result.data[row * p.out_stride + p.out_offset + feature] = sum;
    }
}

void main()
{
    const uint lane = gl_LocalInvocationID.x, part = gl_LocalInvocationID.y;
    const uint tile = group_index() / p.row_blocks;
    const uint first = (group_index() % p.row_blocks) * ROWS;
    const uint tiles = (p.matrix_rows + TILE_ROWS - 1u) / TILE_ROWS;
    const uint i = tile * TILE_ROWS + lane;
    const uint row = row_begin(min(tile, tiles - 1u) * TILE_ROWS + lane, p.words_per_row);
    const uint units = (p.columns + UNIT - 1u) / UNIT;
    const uint last_column = ((p.columns + 3u) & ~3u) - 1u;

#define DECLARE(m) \
    float sum##m = 0.0; \
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
            const uint column = min(index * UNIT + 4u * q + (gl_SubgroupInvocationID & (SHUFFLE - 1u)), last_column);
#define LOAD(m) const float v##m = x.data[x##m + column];
            EACH_ROW(LOAD)
            const vec4 w = quad_weights(unit, index, q);
#define MULTIPLY(m) \
    accumulate(sum##m, w, vec4(subgroupShuffle(v##m, 0u), subgroupShuffle(v##m, 1u), subgroupShuffle(v##m, 2u), \
                               subgroupShuffle(v##m, 3u)));
            EACH_ROW(MULTIPLY)
#if SHUFFLE == 8
            const vec4 w2 = quad_weights(unit, index, q + 1u);
#define MULTIPLY2(m) \
    accumulate(sum##m, w2, vec4(subgroupShuffle(v##m, 4u), subgroupShuffle(v##m, 5u), subgroupShuffle(v##m, 6u), \
                                subgroupShuffle(v##m, 7u)));
            EACH_ROW(MULTIPLY2)
#endif
        }
#else
        for (uint q = 0; q < quads; ++q) {
            const vec4 w = quad_weights(unit, index, q);
            const uint column = index * (UNIT / 4u) + q;
#define MULTIPLY(m) accumulate(sum##m, w, x.data[x##m / 4u + column]);
            EACH_ROW(MULTIPLY)
        }
#endif
    }

#if K_SPLIT > 1
#define SHARE(m) parts[(part * ROWS + m) * 32 + lane] = sum##m;
    EACH_ROW(SHARE)
    barrier();
    for (uint m = part; m < ROWS; m += K_SPLIT) {
        float sum = parts[m * 32u + lane];
        for (uint k = 1; k < K_SPLIT; ++k) {
            sum += parts[(k * ROWS + m) * 32u + lane];
        }
        if (tile < tiles) store(first + m, i, sum);
    }
#else
#define STORE(m) \
    if (tile < tiles) store(first + m, i, sum##m);
    EACH_ROW(STORE)
#endif
}
