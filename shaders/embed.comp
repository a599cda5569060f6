// out[r, :] = scale * table[token[r], :]
//
// table [matrix_rows, columns] in word-interleaved tiles of FORMAT, of which rows first_row .. first_row + piece_rows - 1
// are bound: rows whose token is in another piece are left alone. An invocation makes 4 columns of a row; groups are
// (columns, row). A token beyond the table counts as its last. Dispatched by sx_op_embed, once a piece.
#version 450
#extension GL_GOOGLE_include_directive : require
#define LANE_ROWS 1
#include "shared.h"
#include "format_types.glsl"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters {
    uint words_per_row;
    uint columns;
    uint matrix_rows;
    uint first_row;
    uint piece_rows;
    float scale;
} p;
layout(binding = 1, std430) readonly buffer Weight { WORDS data[]; } weight;
layout(binding = 2, std430) readonly buffer Batch { SxBatch batch; };
layout(binding = 3, std430) writeonly buffer Out { float data[]; } result; // [rows, columns]

#include "formats.glsl"

void main()
{
    const uint quad = gl_GlobalInvocationID.x, r = gl_WorkGroupID.y;
    const uint column = 4u * quad;
    const uint token = min(batch.token[r], p.matrix_rows - 1u);
    if (column < p.columns && token >= p.first_row && token < p.first_row + p.piece_rows) {
        const uint table_row = token - p.first_row;
        const uint row = row_begin(table_row / TILE_ROWS, table_row % TILE_ROWS, p.words_per_row);
        const Quad w = unit_quad(unit_begin(row, column / UNIT, p.words_per_row), quad % (UNIT / 4u));
        const uint at = r * p.columns + column;
        result.data[at] = p.scale * w.k0;
        if (column + 1u < p.columns) result.data[at + 1u] = p.scale * w.k1;
        if (column + 2u < p.columns) result.data[at + 2u] = p.scale * w.k2;
        if (column + 3u < p.columns) result.data[at + 3u] = p.scale * w.k3;
    }
}
