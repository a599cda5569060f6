// Adds the candidates of a level to the draft's tree and makes its `branch` best the batch of the next draft pass.
//
// children [branch or 1]; candidates of level 1: 0 .. K - 1; of level l: K + (l - 2) K K + beam row * K + child. A
// candidate's score is its parent's plus the child's log-probability. One workgroup; an invocation makes a candidate,
// then ranks it among the level's. beam_in is read by words, since level 1 has none. Dispatched by sx_op_expand.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"
#include "order.glsl"

layout(local_size_x = 128) in;
layout(binding = 0, std140) uniform Parameters {
    uint level;
    uint branch;
} p;
layout(binding = 1, std430) readonly buffer Children { SxChildren children[]; };
layout(binding = 2, std430) readonly buffer State { SxState state; };
layout(binding = 3, std430) readonly buffer BeamIn { uint beam_in[]; };
layout(binding = 4, std430) buffer Tree { SxTree tree; };
layout(binding = 5, std430) writeonly buffer BeamOut { SxBatch beam_out; };

#define ANCESTOR_WORD (4 + 6 * SX_MAX_ROWS) // of SxBatch

shared uint beam[SX_MAX_BRANCH];
shared float beam_score[SX_MAX_BRANCH];
shared uint level_key[128];
shared uint out_token[SX_MAX_BRANCH], out_source[SX_MAX_BRANCH], out_count;

void store_row(uint row, uint base)
{
    const uint slot = base + (p.level - 1u) * p.branch + row;
    const bool valid = row < out_count;
    const uint own = valid ? p.level - 1u : 0u; // index of its own slot among the ancestors
    uint token = 0u, source = 0u;
    if (valid) {
        token = out_token[row];
        source = out_source[row];
    }
    beam_out.token[row] = token;
    beam_out.position[row] = valid ? base + p.level - 1u : 0u;
    beam_out.slot[row] = slot;
    beam_out.parent[row] = valid && p.level > 1u ? source : SX_NONE;
    beam_out.source[row] = source;
    beam_out.first_slot[row] = 0u;
    for (uint i = 0u; i < SX_MAX_PATH; ++i) {
        uint ancestor = slot;
        if (i < own) ancestor = beam_in[ANCESTOR_WORD + source * SX_MAX_PATH + i];
        beam_out.ancestor[row * SX_MAX_PATH + i] = ancestor;
    }
}

void main()
{
    const uint lane = gl_LocalInvocationIndex;
    const uint base = state.now.token_count;
    const bool first = p.level == 1u;
    const uint count = first ? p.branch : p.branch * p.branch;
    const uint begin = first ? 0u : p.branch + (p.level - 2u) * p.branch * p.branch;
    if (lane < p.branch) {
        const uint candidate = first ? SX_NONE : tree.beam[lane];
        beam[lane] = candidate;
        float score = 0.0;
        if (candidate != SX_NONE) score = tree.score[candidate];
        beam_score[lane] = score;
    }
    if (lane == 0u) out_count = 0u;
    barrier();

    const uint row = lane / p.branch, child = lane % p.branch, candidate = begin + lane;
    uint token = SX_NONE;
    float score = -1e30;
    if (lane < count) {
        if (first || beam[row] != SX_NONE) token = children[row].token[child];
        if (token != SX_NONE) score = sane(beam_score[row] + children[row].logprob[child]);
        tree.token[candidate] = token;
        tree.parent[candidate] = beam[row];
        tree.score[candidate] = score;
        tree.depth[candidate] = p.level;
    }
    level_key[lane] = token == SX_NONE ? 0u : ordered(score);
    barrier();

    if (lane < count) {
        const uint key = level_key[lane];
        uint rank = 0u;
        for (uint other = 0u; other < count; ++other) {
            if (better(level_key[other], other, key, lane)) rank += 1u;
        }
        if (rank < p.branch) {
            tree.beam[rank] = key != 0u ? candidate : SX_NONE;
            out_token[rank] = token;
            out_source[rank] = row;
            if (key != 0u) atomicAdd(out_count, 1u);
        }
    }
    if (lane == 0u) {
        tree.count = begin + count;
        tree.level = p.level;
    }
    barrier();
    if (lane == 0u) {
        beam_out.count = out_count;
        beam_out.base = base;
        beam_out.root_is_prompt = 0u;
        beam_out.reserved1 = 0u;
    }
    if (lane < SX_MAX_ROWS) store_row(lane, base);
}
