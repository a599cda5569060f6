// out[r, h, i] = sum over splits e^(m - M) * sums[i] / sum over splits e^(m - M) * total, M = max m, in order of the
// splits the row has (see attention.comp). An invocation makes an element. Dispatched by sx_op_attention.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"
#include "common.glsl"
#include "attention.glsl"

layout(local_size_x = 64) in;
layout(binding = 1, std430) readonly buffer Scratch { float data[]; } scratch;
layout(binding = 2, std430) readonly buffer Batch { SxBatch batch; };
layout(binding = 3, std430) writeonly buffer Out { float data[]; } result; // [rows, heads * head_dim]

void main()
{
    const uint index = invocation_index();
    const uint row_size = p.heads * p.head_dim;
    if (index < p.rows * row_size) {
        const uint row = index / row_size, element = index % row_size;
        const uint head = element / p.head_dim, component = element % p.head_dim;
        const uint position = batch.position[p.first_row + row];
        const uint first = min(first_visible(position) / SPLIT, p.splits - 1u);
        const uint last = min(position / SPLIT, p.splits - 1u);
        const uint stride = p.head_dim + 2u;
        const uint begin = partial_begin(row, head, first), end = partial_begin(row, head, last);
        float maximum = scratch.data[begin + p.head_dim];
        for (uint at = begin + stride; at <= end; at += stride) {
            maximum = max(maximum, scratch.data[at + p.head_dim]);
        }
        precise float sum = 0.0, total = 0.0;
        for (uint at = begin; at <= end; at += stride) {
            const float factor = exp(scratch.data[at + p.head_dim] - maximum);
            sum = fma(factor, scratch.data[at + component], sum);
            total = fma(factor, scratch.data[at + p.head_dim + 1u], total);
        }
        result.data[(p.first_row + row) * row_size + element] = sum / total;
    }
}
