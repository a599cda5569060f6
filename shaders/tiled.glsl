// What both kernels of linear ops for the many rows of a prompt share: a workgroup makes BLOCK_ROWS outputs for as many
// activation rows. Units are visited in the order of linear.comp's K_SPLIT parts, each part is summed by itself, and the
// parts are added in order, so that its sums come out to the bit. The includer has included linear.glsl.
#ifndef SX_TILED_GLSL
#define SX_TILED_GLSL

#define ROWS 8 // activation rows of an invocation
#include "rows.glsl"

const uint BLOCK_ROWS = 64;         // weight rows of a workgroup, and activation rows
const uint FOURS = BLOCK_ROWS / 4u; // of either
const uint QUADS = UNIT / 4u;       // of a unit

// Where the weights of a block's `four`-th four rows begin.
uint row_of_four(uint block, uint four)
{
    const uint tiles = (p.matrix_rows + TILE_ROWS - 1u) / TILE_ROWS;
    const uint tile = min(block * (BLOCK_ROWS / TILE_ROWS) + four / TILE_LANES, tiles - 1u);
    return row_begin(tile, four % TILE_LANES, p.words_per_row);
}

#define DECLARE_SUM(m) FLOATS sum##m = FLOATS(0.0), total##m = FLOATS(0.0);
#define ADD_PART(m) \
    total##m = part == 0u ? sum##m : total##m + sum##m; \
    sum##m = FLOATS(0.0);

#endif
