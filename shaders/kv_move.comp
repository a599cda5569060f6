// kv[layer][half][path_base + i, :] = kv[layer][half][path_base + path_row[i], :] for the accepted rows i, in order.
//
// kv: `layers` parts `layer_stride` words apart, each [2 (k, v)][slots][words] of packed f16 pairs. An invocation moves
// one word of all rows, first to last: path_row[i] >= i, so that a slot is read before it is overwritten. For a chain
// everything is in place already. Groups are (words, half, layer). Dispatched by sx_op_kv_move.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters {
    uint words;
    uint slots;
    uint layer_stride;
} p;
layout(binding = 1, std430) readonly buffer State { SxState state; };
layout(binding = 2, std430) buffer Kv { uint kv[]; };

void main()
{
    const uint word = gl_GlobalInvocationID.x;
    const uint part = gl_WorkGroupID.z * p.layer_stride + gl_WorkGroupID.y * p.slots * p.words;
    if (word < p.words) {
        for (uint i = 0u; i < state.path_count; ++i) {
            const uint row = state.path_row[i];
            if (row != i) {
                kv[part + (state.path_base + i) * p.words + word] = kv[part + (state.path_base + row) * p.words + word];
            }
        }
    }
}
