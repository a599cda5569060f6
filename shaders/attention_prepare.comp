// Makes queries, keys and values ready for attention: for each row and head of qkv
//   q, k with qk_norm: h / sqrt(mean(h^2) + eps) * norm weight, before the rotation or (norm_after_rope) behind it
//   q, k: pairs (a, b) of the first rope_dims components turn by the angle position * inv_freq[pair]:
//         (a cos - b sin, a sin + b cos) * rope_factor; pairs are (i, i + rope_dims / 2) or (2 i, 2 i + 1)
//   q -> q [rows, heads * head_dim]; k, v -> kv [2][slots][kv_heads] heads as in kv.glsl, at the row's slot
//
// qkv [rows, (heads + 2 kv_heads) * head_dim]. A workgroup of LANES invocations makes a head of a row, an invocation
// pairs of neighbouring components (one word of kv); groups are (head, row). Dispatched by sx_op_attention_prepare.
#version 450
#extension GL_GOOGLE_include_directive : require
#if SHUFFLE
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "shared.h"
#include "reduce.glsl"
#include "kv.glsl"

layout(local_size_x = LANES) in;
layout(binding = 0, std140) uniform Parameters {
    uint heads;
    uint kv_heads;
    uint head_dim;
    uint rope_dims;
    uint rope_pairs; // sx_rope_layout
    uint slots;
    uint has_norm;
    uint norm_after_rope;
    float eps;
    float rope_factor;
} p;
layout(binding = 1, std430) readonly buffer Qkv { float data[]; } qkv;
layout(binding = 2, std430) readonly buffer Norm { float data[]; } norm; // [2][head_dim]
layout(binding = 3, std430) readonly buffer InvFreq { float data[]; } inv_freq;
layout(binding = 4, std430) readonly buffer Batch { SxBatch batch; };
layout(binding = 5, std430) writeonly buffer Q { float data[]; } q;
layout(binding = 6, std430) writeonly buffer Kv { uint data[]; } kv;

#if KV_Q8
shared float finished[256]; // of a key or value, to be quantised

// A block of 32 components to bytes and a scale, the largest component to 127.
void store_block(uint head_word, uint block)
{
    const uint begin = 32u * block, end = min(begin + 32u, p.head_dim);
    float largest = 0.0;
    for (uint i = begin; i < end; ++i) {
        largest = max(largest, abs(finished[i]));
    }
    const float inverse = largest > 0.0 ? 127.0 / largest : 0.0;
    for (uint i = begin; i < end; i += 4u) {
        uint word = 0u;
        for (uint k = 0u; k < 4u; ++k) {
            const float scaled = clamp(floor(finished[i + k] * inverse + 0.5), -127.0, 127.0);
            word |= (uint(int(scaled)) & 255u) << (8u * k);
        }
        kv.data[head_word + i / 4u] = word;
    }
    kv.data[head_word + p.head_dim / 4u + block] = floatBitsToUint(largest / 127.0);
}
#endif

// (cos, sin) of angles up to 8e5. The drivers' own need be good only near 0, and only to 2^-11. The first two products
// are exact in float32 also where fma() rounds twice: 25/16 and 17/2048 have 5 bits, the quadrant's number at most 19.
vec2 cos_sin(float angle)
{
    const float quadrant = floor(angle * 0.63661977236 + 0.5);
    precise float x = angle - quadrant * 1.5625;
    x = x - quadrant * 0.00830078125;
    x = fma(quadrant, 4.45446205103381e-6, x);
    precise float z = x * x;
    precise float s = fma(fma(fma(-1.9515295891e-4, z, 8.3321608736e-3), z, -1.6666654611e-1), z * x, x);
    precise float c = fma(fma(fma(2.443315711809948e-5, z, -1.388731625493765e-3), z, 4.166664568298827e-2), z * z,
                          fma(-0.5, z, 1.0));
    const uint n = uint(int(quadrant)) & 3u;
    const vec2 turned = (n & 1u) == 0u ? vec2(c, s) : vec2(s, c);
    return vec2((n == 1u || n == 2u) ? -turned.x : turned.x, n >= 2u ? -turned.y : turned.y);
}

// A head before the rotation. Its components are made where they are needed: to keep them in shared memory, which WebGPU
// zeroes in every workgroup, takes a CPU longer.
struct Unrotated {
    uint begin;      // index of its first component
    uint norm_begin; // of its norm weight
    bool norm;
    float factor; // of the norm
};

float component_of(Unrotated head, uint i)
{
    precise float value = qkv.data[head.begin + i];
    if (head.norm) value = value * head.factor * norm.data[head.norm_begin + i];
    return value;
}

float rotated(Unrotated head, uint component, float position)
{
    const uint half_dims = p.rope_dims / 2u;
    if (component >= p.rope_dims) return component_of(head, component);
    uint pair, other;
    bool first;
    if (p.rope_pairs != 0u) {
        pair = component / 2u;
        first = (component & 1u) == 0u;
        other = component ^ 1u;
    } else {
        first = component < half_dims;
        pair = first ? component : component - half_dims;
        other = first ? component + half_dims : pair;
    }
    const vec2 turn = cos_sin(position * inv_freq.data[pair]) * p.rope_factor;
    const float a = component_of(head, component), b = component_of(head, other);
    return fma(a, turn.x, first ? -b * turn.y : b * turn.y);
}

void main()
{
    const uint head = gl_WorkGroupID.x, r = gl_WorkGroupID.y, lane = gl_LocalInvocationID.x;
    const uint kind = head < p.heads ? 0u : head < p.heads + p.kv_heads ? 1u : 2u; // q, k, v
    const uint from = (r * (p.heads + 2u * p.kv_heads) + head) * p.head_dim;
    const bool norm_before = p.has_norm != 0u && kind != 2u && p.norm_after_rope == 0u;
    const bool norm_behind = p.has_norm != 0u && kind != 2u && p.norm_after_rope != 0u;
    precise float sum = 0.0;
    for (uint i = lane; i < p.head_dim; i += LANES) {
        float value = qkv.data[from + i];
        // The rotation keeps the sum of the squares but for its factor.
        if (norm_behind && i < p.rope_dims) value *= p.rope_factor;
        sum = fma(value, value, sum);
    }
    const float factor = 1.0 / sqrt(reduce_sum(lane, sum) / float(p.head_dim) + p.eps);
    const Unrotated unrotated = Unrotated(from, kind * p.head_dim, norm_before, factor);
    const float position = float(batch.position[r]);
    const uint slot = min(batch.slot[r], p.slots - 1u);
    const uint head_words = kv_head_words(p.head_dim);
    const uint kv_head = kind == 0u ? 0u : head - p.heads - (kind - 1u) * p.kv_heads;
    const uint head_word = (max(kind, 1u) - 1u) * p.slots * p.kv_heads * head_words +
                           (slot * p.kv_heads + kv_head) * head_words; // where the key or value begins
    for (uint word = lane; word < p.head_dim / 2u; word += LANES) {
        vec2 pair;
        if (kind == 2u) {
            pair = vec2(component_of(unrotated, 2u * word), component_of(unrotated, 2u * word + 1u));
        } else {
            pair = vec2(rotated(unrotated, 2u * word, position), rotated(unrotated, 2u * word + 1u, position));
        }
        if (norm_behind) {
            const uint at = unrotated.norm_begin + 2u * word;
            pair *= factor * vec2(norm.data[at], norm.data[at + 1u]);
        }
        if (kind == 0u) {
            const uint to = (r * p.heads + head) * p.head_dim + 2u * word;
            q.data[to] = pair.x;
            q.data[to + 1u] = pair.y;
        } else {
            const vec2 bounded = clamp(pair, vec2(-65504.0), vec2(65504.0));
#if KV_Q8
            finished[2u * word] = bounded.x;
            finished[2u * word + 1u] = bounded.y;
#else
            kv.data[head_word + word] = packHalf2x16(bounded);
#endif
        }
    }
#if KV_Q8
    barrier();
    for (uint block = lane; block < (p.head_dim + 31u) / 32u && kind != 0u; block += LANES) {
        store_block(head_word, block);
    }
#endif
}
