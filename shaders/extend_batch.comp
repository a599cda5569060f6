// The draft's rows over the tokens accepted last: row i pairs the features of path[i] with the token behind it.
//
// batch: row i < path_count: token = path[i + 1], or the new root behind the last; position = slot = path_base + i;
// source = the verify row of path[i]. last: one row, whose source is the last of these. One workgroup, an invocation a
// row. Dispatched by sx_op_extend_batch.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"

layout(local_size_x = SX_MAX_ROWS) in;
layout(binding = 1, std430) readonly buffer State { SxState state; };
layout(binding = 2, std430) writeonly buffer OutBatch { SxBatch batch; };
layout(binding = 3, std430) writeonly buffer OutLast { SxBatch last; };

void main()
{
    const uint row = gl_LocalInvocationIndex;
    const uint count = min(state.path_count, uint(SX_MAX_PATH));
    const uint root = state.now.root == SX_NONE ? 0u : state.now.root;
    const uint slot = state.path_base + row, end = count == 0u ? 0u : count - 1u;
    uint token = 0u, source = 0u;
    if (row < count) {
        token = root;
        if (row < end) token = state.path_token[row + 1u];
        source = state.path_row[row];
    }
    batch.token[row] = token;
    batch.position[row] = row < count ? slot : 0u;
    batch.slot[row] = slot;
    batch.parent[row] = SX_NONE;
    batch.source[row] = source;
    batch.first_slot[row] = 0u;
    last.token[row] = row == 0u ? root : 0u;
    last.position[row] = row == 0u ? state.path_base + end : 0u;
    last.slot[row] = state.path_base + end + row;
    last.parent[row] = SX_NONE;
    last.source[row] = row == 0u ? end : 0u;
    last.first_slot[row] = 0u;
    for (uint i = 0u; i < SX_MAX_PATH; ++i) {
        batch.ancestor[row * SX_MAX_PATH + i] = slot;
        last.ancestor[row * SX_MAX_PATH + i] = state.path_base + end + row;
    }
    if (row == 0u) {
        batch.count = count;
        batch.base = SX_DIRECT;
        batch.root_is_prompt = 0u;
        batch.reserved1 = 0u;
        last.count = count == 0u ? 0u : 1u;
        last.base = SX_DIRECT;
        last.root_is_prompt = 0u;
        last.reserved1 = 0u;
    }
}
