// Attention of ROWS queries over one split of 64 positions:
//   s[p] = scale * q[r, h] . k[p] (softcapped), m = max s, w[p] = exp(s[p] - m), scratch = (sum w[p] v[p], m, sum w[p])
//
// Splits lie at absolute positions and a split is summed in order of its positions, wherever their slots are, so that
// a row of a tree gets the bits that decoding one by one would give. q [rows, heads * head_dim], kv [2][slots][kv_heads *
// head_dim] f16. A workgroup of LANES invocations makes a split for ROWS queries of one key and value head: of its
// heads / kv_heads query heads in one or more rows. An invocation first makes the scores of every LANES-th position,
// then the sums of every LANES-th pair of components. Below the batch's base all rows have the same slots, and the
// queries share what is loaded. Splits that no row has do nothing. Groups are (split, kv head, block of queries).
// Dispatched by sx_op_attention.
//
// SHUFFLE: see linear.comp; a lane loads every SHUFFLE-th of the values that all lanes need, and they hand them round.
// Such drivers want few LANES: what all lanes do the same is done once for each subgroup.
#version 450
#extension GL_GOOGLE_include_directive : require
#if SHUFFLE
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "shared.h"
#include "attention.glsl"
#include "rows.glsl"
#include "shuffle.glsl"

layout(local_size_x = LANES) in;
layout(binding = 1, std430) readonly buffer Q { float data[]; } q;
layout(binding = 2, std430) readonly buffer Kv { uint data[]; } kv;
layout(binding = 3, std430) readonly buffer Batch { SxBatch batch; };
layout(binding = 4, std430) writeonly buffer Scratch { float data[]; } scratch;

shared float weights[ROWS * SPLIT]; // the scores first

const float NEVER = -3.0e38; // the score of a position the row does not see

// What is loaded at once: STEP values, EACH_VALUE(F): F(k) for each, EACH_PAIR(F): F(k) for each two.
#if SHUFFLE == 8
#define STEP 8u
#define EACH_PAIR(F) F(0u) F(1u) F(2u) F(3u)
#define EACH_VALUE(F) F(0u) F(1u) F(2u) F(3u) F(4u) F(5u) F(6u) F(7u)
#elif SHUFFLE == 4
#define STEP 4u
#define EACH_PAIR(F) F(0u) F(1u)
#define EACH_VALUE(F) F(0u) F(1u) F(2u) F(3u)
#else
#define STEP 2u
#define EACH_PAIR(F) F(0u)
#define EACH_VALUE(F) F(0u) F(1u)
#endif

uint slot_of(uint row, uint position, uint base)
{
    uint slot = position;
    if (position >= base) slot = batch.ancestor[row * SX_MAX_PATH + min(position - base, SX_MAX_PATH - 1u)];
    return min(slot, p.slots - 1u);
}

float capped(float score)
{
    if (p.softcap == 0.0) return score;
    const float e = exp(2.0 * clamp(score / p.softcap, -15.0, 15.0));
    return p.softcap * (e - 1.0) / (e + 1.0);
}

float add_products(float sum, float a, float b, vec2 key)
{
    precise float s = fma(a, key.x, sum);
    s = fma(b, key.y, s);
    return s;
}

vec2 add_value(vec2 sum, float weight, vec2 value)
{
    precise vec2 s = fma(vec2(weight), value, sum);
    return s;
}

#if SHUFFLE
// The values of a query that a step is about to use; those behind its end count as 0.
float own_component(uint query, uint component)
{
    const float value = q.data[query + min(component + own_value(), p.head_dim - 1u)];
    return component + own_value() < p.head_dim ? value : 0.0;
}
#endif

vec2 key_pair(uint key, uint word)
{
    return unpackHalf2x16(kv.data[key + min(word, p.head_dim / 2u - 1u)]);
}

// One query with a key of its own, in the order of main()'s loop.
float dot_with_key(uint query, uint key)
{
    float sum = 0.0;
    for (uint word = 0; word < p.head_dim / 2u; word += STEP / 2u) {
#if SHUFFLE
        const float mine = own_component(query, 2u * word);
#define OWN_PAIR(k) sum = add_products(sum, VALUE(mine, 2u * k), VALUE(mine, 2u * k + 1u), key_pair(key, word + k));
        EACH_PAIR(OWN_PAIR)
#else
        sum = add_products(sum, q.data[query + 2u * word], q.data[query + 2u * word + 1u], key_pair(key, word));
#endif
    }
    return sum;
}

// Scores of a row: visible ones as they are, others NEVER.
void keep_score(uint m, uint i, uint at, uint position, float sum)
{
    const bool visible = at <= position && at >= first_visible(position);
    weights[m * SPLIT + i] = visible ? capped(p.scale * sum) : NEVER;
}

float largest_score(uint m, uint count)
{
    float maximum = NEVER;
    for (uint i = 0; i < count; i += STEP) {
#if SHUFFLE
        const float mine = weights[m * SPLIT + i + own_value()];
#define LARGER(k) maximum = max(maximum, VALUE(mine, k));
        EACH_VALUE(LARGER)
#else
        maximum = max(maximum, max(weights[m * SPLIT + i], weights[m * SPLIT + i + 1u]));
#endif
    }
    return maximum;
}

float sum_of_weights(uint m, uint count)
{
    precise float total = 0.0;
    for (uint i = 0; i < count; i += STEP) {
#if SHUFFLE
        const float mine = weights[m * SPLIT + i + own_value()];
#define ADD_WEIGHT(k) total += VALUE(mine, k);
        EACH_VALUE(ADD_WEIGHT)
#else
        total += weights[m * SPLIT + i];
        total += weights[m * SPLIT + i + 1u];
#endif
    }
    return total;
}

void main()
{
    const uint split = gl_WorkGroupID.x, kv_head = gl_WorkGroupID.y, first = gl_WorkGroupID.z * ROWS;
    const uint lane = gl_LocalInvocationID.x, begin = split * SPLIT;
    const uint words = p.head_dim / 2u, row_words = p.kv_heads * words;
    const uint head_word = kv_head * words;
    const uint values = p.slots * row_words + head_word; // word of slot 0's value
    const uint base = batch.base; // below it the rows share their slots; SX_DIRECT is the greatest number

    const uint group = p.heads / p.kv_heads, queries = p.rows * group;

    // Positions of this split that a row has. A split that no row has gives count 0, and the loops do nothing.
    uint count = 0u;
#define DECLARE(m) \
    const uint row##m = min(first + m, queries - 1u) / group; \
    const uint head##m = kv_head * group + (first + m) % group; \
    const uint r##m = p.first_row + row##m; \
    const uint position##m = batch.position[r##m]; \
    const uint query##m = (r##m * p.heads + head##m) * p.head_dim; \
    if (position##m >= begin && first_visible(position##m) < begin + SPLIT) \
        count = max(count, min(position##m - begin + 1u, SPLIT));
    EACH_ROW(DECLARE)

    for (uint from = 0; from < count; from += LANES) {
        const uint i = from + lane;
        const uint at = begin + min(i, count - 1u);
#define SUM(m) float sum##m = 0.0;
        EACH_ROW(SUM)
        if (begin + from + LANES <= base) {
            const uint key = min(at, p.slots - 1u) * row_words + head_word;
            for (uint word = 0; word < words; word += STEP / 2u) {
#if SHUFFLE
#define LOAD(m) const float mine##m = own_component(query##m, 2u * word);
                EACH_ROW(LOAD)
#define PRODUCTS(m) sum##m = add_products(sum##m, VALUE(mine##m, 2u * K), VALUE(mine##m, 2u * K + 1u), pair);
#define PAIR(k) \
    { \
        const vec2 pair = key_pair(key, word + k); \
        const uint K = k; \
        EACH_ROW(PRODUCTS) \
    }
                EACH_PAIR(PAIR)
#else
                const vec2 pair = key_pair(key, word);
#define PRODUCTS(m) \
    sum##m = add_products(sum##m, q.data[query##m + 2u * word], q.data[query##m + 2u * word + 1u], pair);
                EACH_ROW(PRODUCTS)
#endif
            }
        } else {
#define OWN_KEY(m) \
    sum##m = dot_with_key(query##m, slot_of(r##m, min(at, position##m), base) * row_words + head_word);
            EACH_ROW(OWN_KEY)
        }
#define KEEP(m) keep_score(m, i, begin + i, position##m, sum##m);
        EACH_ROW(KEEP)
    }
    barrier();
#define MAXIMUM(m) const float maximum##m = largest_score(m, count);
    EACH_ROW(MAXIMUM)
    barrier();
    for (uint from = 0; from < count; from += LANES) {
#define WEIGHT(m) \
    { \
        const float score = weights[m * SPLIT + from + lane]; \
        weights[m * SPLIT + from + lane] = score > NEVER ? exp(score - maximum##m) : 0.0; \
    }
        EACH_ROW(WEIGHT)
    }
    barrier();
#define TO(m) const uint to##m = partial_begin(row##m, head##m, split);
    EACH_ROW(TO)
#define TOTAL(m) \
    if (first + m < queries) { \
        const float total = sum_of_weights(m, count); \
        if (lane == 0u && count != 0u) { \
            scratch.data[to##m + p.head_dim] = maximum##m; \
            scratch.data[to##m + p.head_dim + 1u] = total; \
        } \
    }
    EACH_ROW(TOTAL)
    for (uint from = 0; from < words && count != 0u; from += LANES) {
        const uint word = min(from + lane, words - 1u);
#define VALUES(m) vec2 values##m = vec2(0.0);
        EACH_ROW(VALUES)
        for (uint i = 0; i < count; i += STEP) {
#if SHUFFLE
#define LOAD_WEIGHT(m) const float weight##m = weights[m * SPLIT + i + own_value()];
            EACH_ROW(LOAD_WEIGHT)
#define WEIGHT_OF(m, k) VALUE(weight##m, k)
#else
#define WEIGHT_OF(m, k) weights[m * SPLIT + i + k]
#endif
            // What is rounded up to a whole step has the weight 0 and the last position's slot.
            if (begin + i + STEP <= base) {
#define ADD(m) values##m = add_value(values##m, WEIGHT_OF(m, K), value);
#define SHARED_VALUE(k) \
    { \
        const uint slot = min(begin + min(i + k, count - 1u), p.slots - 1u); \
        const vec2 value = unpackHalf2x16(kv.data[values + slot * row_words + word]); \
        const uint K = k; \
        EACH_ROW(ADD) \
    }
                EACH_VALUE(SHARED_VALUE)
            } else {
#define OWN_VALUE(m) \
    { \
        const uint slot = slot_of(r##m, min(at, position##m), base); \
        values##m = add_value(values##m, weights[m * SPLIT + i + k], \
                              unpackHalf2x16(kv.data[values + slot * row_words + word])); \
    }
                for (uint k = 0; k < STEP; ++k) {
                    const uint at = begin + min(i + k, count - 1u);
                    EACH_ROW(OWN_VALUE)
                }
            }
        }
#define STORE(m) \
    if (first + m < queries && from + lane < words) { \
        scratch.data[to##m + 2u * word] = values##m.x + 0.0; \
        scratch.data[to##m + 2u * word + 1u] = values##m.y + 0.0; \
    }
        EACH_ROW(STORE)
    }
}
