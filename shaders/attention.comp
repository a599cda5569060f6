// Attention of one query over one split of 64 positions:
//   s[p] = scale * q[r, h] . k[p] (softcapped), m = max s, w[p] = exp(s[p] - m), scratch = (sum w[p] v[p], m, sum w[p])
//
// Splits lie at absolute positions and a split is summed in order of its positions, wherever their slots are, so that
// a row of a tree gets the bits that decoding one by one would give. q [rows, heads * head_dim], kv [2][slots][kv_heads *
// head_dim] f16. A workgroup of 64 invocations makes a split of a head of a row: first an invocation a position, then an
// invocation a pair of components. Splits the row does not have do nothing. Groups are (split, head, row).
// SHUFFLE: see linear.comp. Dispatched by sx_op_attention.
#version 450
#extension GL_GOOGLE_include_directive : require
#if SHUFFLE
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "shared.h"
#include "attention.glsl"

layout(local_size_x = 64) in;
layout(binding = 1, std430) readonly buffer Q { float data[]; } q;
layout(binding = 2, std430) readonly buffer Kv { uint data[]; } kv;
layout(binding = 3, std430) readonly buffer Batch { SxBatch batch; };
layout(binding = 4, std430) writeonly buffer Scratch { float data[]; } scratch;

shared float scores[SPLIT];
shared float weights[SPLIT];

const float NEVER = -3.0e38; // the score of a position the row does not see

uint slot_of(uint row, uint position)
{
    uint slot = position;
    if (batch.base != SX_DIRECT && position >= batch.base) {
        slot = batch.ancestor[row * SX_MAX_PATH + min(position - batch.base, SX_MAX_PATH - 1u)];
    }
    return min(slot, p.slots - 1u);
}

float capped(float score)
{
    if (p.softcap == 0.0) return score;
    const float e = exp(2.0 * clamp(score / p.softcap, -15.0, 15.0));
    return p.softcap * (e - 1.0) / (e + 1.0);
}

// q . k over `words` pairs, in order.
float dot_with_key(uint query, uint key, uint words)
{
    precise float sum = 0.0;
#if SHUFFLE
    // A pair of words at a time: 4 components. head_dim may be 2 more than a multiple of 4.
    for (uint word = 0; word < words; word += 2u) {
        const float mine = q.data[query + min(2u * word + (gl_SubgroupInvocationID & 3u), 2u * words - 1u)];
        const vec2 a = unpackHalf2x16(kv.data[key + word]);
        sum = fma(subgroupShuffle(mine, 0u), a.x, sum);
        sum = fma(subgroupShuffle(mine, 1u), a.y, sum);
        const float third = subgroupShuffle(mine, 2u), fourth = subgroupShuffle(mine, 3u);
        if (word + 1u < words) {
            const vec2 b = unpackHalf2x16(kv.data[key + word + 1u]);
            sum = fma(third, b.x, sum);
            sum = fma(fourth, b.y, sum);
        }
    }
#else
    for (uint word = 0; word < words; ++word) {
        const vec2 k = unpackHalf2x16(kv.data[key + word]);
        sum = fma(q.data[query + 2u * word], k.x, sum);
        sum = fma(q.data[query + 2u * word + 1u], k.y, sum);
    }
#endif
    return sum;
}

void main()
{
    const uint split = gl_WorkGroupID.x, head = gl_WorkGroupID.y, r = p.first_row + gl_WorkGroupID.z;
    const uint lane = gl_LocalInvocationID.x;
    const uint position = batch.position[r], begin = split * SPLIT;
    const uint words = p.head_dim / 2u, row_words = p.kv_heads * words;
    const uint head_word = head / (p.heads / p.kv_heads) * words;
    // Positions of this split that the row has; 0 where it has none, and then the loops below do nothing.
    uint count = position >= begin ? min(position - begin + 1u, SPLIT) : 0u;
    if (first_visible(position) >= begin + SPLIT) count = 0u;

#if SHUFFLE
    const uint first_lane = lane - gl_SubgroupInvocationID; // a subgroup stays whole: its lanes need each other
#else
    const uint first_lane = lane;
#endif
    if (first_lane < count) {
        const uint at = begin + min(lane, count - 1u);
        const float score = capped(p.scale * dot_with_key((r * p.heads + head) * p.head_dim,
                                                          slot_of(r, at) * row_words + head_word, words));
        scores[lane] = at >= first_visible(position) ? score : NEVER;
    }
    barrier();
    float maximum = NEVER;
    for (uint i = 0; i < count; ++i) {
        maximum = max(maximum, scores[i]);
    }
    if (lane < count) weights[lane] = exp(scores[lane] - maximum);
    barrier();
    const uint to = partial_begin(gl_WorkGroupID.z, head, split);
    precise float total = 0.0;
    for (uint i = 0; i < count; ++i) {
        total += weights[i];
    }
    if (lane == 0u && count != 0u) {
        scratch.data[to + p.head_dim] = maximum;
        scratch.data[to + p.head_dim + 1u] = total;
    }
    for (uint word = lane; word < words && count != 0u; word += 64u) {
        precise vec2 sum = vec2(0.0);
        for (uint i = 0; i < count; ++i) {
            const uint value = (p.slots + slot_of(r, begin + i)) * row_words + head_word + word;
            sum = fma(vec2(weights[i]), unpackHalf2x16(kv.data[value]), sum);
        }
        scratch.data[to + 2u * word] = sum.x;
        scratch.data[to + 2u * word + 1u] = sum.y;
    }
}
