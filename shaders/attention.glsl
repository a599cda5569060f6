// What attention.comp and attention_merge.comp share: the parameters, where a row's partial results lie, and which
// splits of the sequence it has.
#ifndef SX_ATTENTION_GLSL
#define SX_ATTENTION_GLSL

const uint SPLIT = 64; // SX_ATTENTION_SPLIT

layout(binding = 0, std140) uniform Parameters {
    uint heads;
    uint kv_heads;
    uint head_dim;
    uint slots;
    uint window; // 0: full attention
    uint splits; // of the scratch and the grid
    uint first_row; // the dispatch serves rows first_row .. first_row + rows - 1, whose scratch begins at 0
    uint rows;
    float scale;
    float softcap; // 0: none
} p;

// First position a row at `position` sees.
uint first_visible(uint position)
{
    return p.window != 0u && position + 1u > p.window ? position + 1u - p.window : 0u;
}

// Where the partial result of a split lies in the scratch: head_dim sums, the maximum, the sum of the weights.
uint partial_begin(uint row, uint head, uint split)
{
    return ((row * p.heads + head) * p.splits + split) * (p.head_dim + 2u);
}

#endif
