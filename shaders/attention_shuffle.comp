// The same as attention.comp, for drivers that run on a CPU: a load costs them as much as a dozen of operations, more so
// where all lanes load the same value (see shuffle.glsl).
//
// A workgroup is one subgroup of SHUFFLE invocations. Scores of 2 * SHUFFLE positions are made at a time, so that a
// component of a query is loaded once for two; each lane keeps its own, and they become weights where they are used;
// values are summed for 2 * SHUFFLE pairs of components at a time. Dispatched by sx_op_attention.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "shared.h"
#include "attention.glsl"
#include "rows.glsl"
#include "shuffle.glsl"
#include "attention_rows.glsl"

layout(local_size_x = SHUFFLE) in;

const uint STEP = SHUFFLE;

#if SHUFFLE == 8
#define EACH_PAIR(F) F(0u) F(1u) F(2u) F(3u)
#else
#define EACH_PAIR(F) F(0u) F(1u)
#endif

// Scores of the positions that are this lane's: of query m that of the n-th step at m * STEPS + n. Not in shared memory:
// WebGPU zeroes that in every workgroup, also in the many whose split no row has reached, a word at a time on a CPU.
const uint STEPS = SPLIT / STEP;
float scores[ROWS * STEPS];

// The components of a query that a step is about to use; those behind its end count as 0.
float own_component(uint query, uint component)
{
    const float value = q.data[query + min(component + own_value(), p.head_dim - 1u)];
    return component + own_value() < p.head_dim ? value : 0.0;
}

vec2 key_pair(uint key, uint word)
{
    return kv_pair(key, min(word, p.head_dim / 2u - 1u));
}

float largest_of(float mine)
{
    float maximum = NEVER;
#define LARGER(k) maximum = max(maximum, VALUE(mine, k));
    EACH_VALUE(LARGER)
    return maximum;
}

// One query with two keys of its own, in the order of main()'s loop.
vec2 dots_with_keys(uint query, uint key0, uint key1)
{
    vec2 sum = vec2(0.0);
    for (uint word = 0; word < p.head_dim / 2u; word += STEP / 2u) {
        const float mine = own_component(query, 2u * word);
#define OWN_PAIR(k) \
    sum.x = add_products(sum.x, VALUE(mine, 2u * k), VALUE(mine, 2u * k + 1u), key_pair(key0, word + k)); \
    sum.y = add_products(sum.y, VALUE(mine, 2u * k), VALUE(mine, 2u * k + 1u), key_pair(key1, word + k));
        EACH_PAIR(OWN_PAIR)
    }
    return sum;
}

float weight_of(float score, float maximum)
{
    return score > NEVER ? exp(score - maximum) : 0.0;
}

void main()
{
    const uint split = gl_WorkGroupID.x, kv_head = gl_WorkGroupID.y, first = gl_WorkGroupID.z * ROWS;
    const uint lane = own_value(), begin = split * SPLIT;
    const uint words = p.head_dim / 2u, head_words = kv_head_words(p.head_dim); // pairs of components; words in kv
    const uint row_words = p.kv_heads * head_words, head_word = kv_head * head_words;
    const uint values = p.slots * row_words + head_word; // word of slot 0's value
    const uint base = batch.base; // SX_DIRECT is the greatest number
    DECLARE_QUERIES

#define MAXIMUM(m) float largest##m = NEVER;
    EACH_ROW(MAXIMUM)
    for (uint from = 0; from < count; from += 2u * STEP) {
        const uint at0 = begin + min(from + lane, count - 1u), at1 = begin + min(from + STEP + lane, count - 1u);
#define SUM(m) vec2 sum##m = vec2(0.0);
        EACH_ROW(SUM)
        if (begin + from + 2u * STEP <= together) {
            const uint key0 = min(start + at0, p.slots - 1u) * row_words + head_word;
            const uint key1 = min(start + at1, p.slots - 1u) * row_words + head_word;
            for (uint word = 0; word < words; word += STEP / 2u) {
#define LOAD(m) const float mine##m = own_component(query##m, 2u * word);
                EACH_ROW(LOAD)
#define PRODUCTS(m) \
    { \
        const float a = VALUE(mine##m, 2u * K), b = VALUE(mine##m, 2u * K + 1u); \
        sum##m.x = add_products(sum##m.x, a, b, pair0); \
        sum##m.y = add_products(sum##m.y, a, b, pair1); \
    }
#define PAIR(k) \
    { \
        const uint K = k; \
        const vec2 pair0 = key_pair(key0, word + k), pair1 = key_pair(key1, word + k); \
        EACH_ROW(PRODUCTS) \
    }
                EACH_PAIR(PAIR)
            }
        } else {
            // A loop, so that the code is there once.
            for (uint m = 0; m < ROWS; ++m) {
                const uint query = min(first + m, queries - 1u), r = p.first_row + query / group;
                const uint last = batch.position[r];
                const vec2 sum = dots_with_keys((r * p.heads + kv_head * group + query % group) * p.head_dim,
                                                slot_of(r, min(at0, last), base) * row_words + head_word,
                                                slot_of(r, min(at1, last), base) * row_words + head_word);
                scores[m * STEPS + from / STEP] = sum.x;
                scores[m * STEPS + from / STEP + 1u] = sum.y;
            }
#define OWN_SUM(m) sum##m = vec2(scores[m * STEPS + from / STEP], scores[m * STEPS + from / STEP + 1u]);
            EACH_ROW(OWN_SUM)
        }
#define KEEP(m) \
    { \
        const float score0 = score_of(begin + from + lane, position##m, sum##m.x); \
        const float score1 = score_of(begin + from + STEP + lane, position##m, sum##m.y); \
        scores[m * STEPS + from / STEP] = score0; \
        scores[m * STEPS + from / STEP + 1u] = score1; \
        largest##m = max(largest##m, max(score0, score1)); \
    }
        EACH_ROW(KEEP)
    }
#define START(m) \
    const float maximum##m = largest_of(largest##m); \
    const uint to##m = partial_begin(row##m, head##m, split);
    EACH_ROW(START)
    for (uint from = 0; from < words && count != 0u; from += 2u * STEP) {
        const uint word0 = min(from + lane, words - 1u), word1 = min(from + STEP + lane, words - 1u);
#define VALUES(m) \
    vec2 low##m = vec2(0.0), high##m = vec2(0.0); \
    float total##m = 0.0;
        EACH_ROW(VALUES)
        for (uint i = 0; i < count; i += STEP) {
#define LOAD_WEIGHT(m) \
    const float weight##m = weight_of(scores[m * STEPS + i / STEP], maximum##m); \
    total##m += weight##m;
            EACH_ROW(LOAD_WEIGHT)
            // What is rounded up to a whole step has the weight 0 and the last position's slot.
            if (begin + i + STEP <= together) {
#define ADD(m) \
    { \
        const float weight = VALUE(weight##m, K); \
        low##m = add_value(low##m, weight, value0); \
        high##m = add_value(high##m, weight, value1); \
    }
#define SHARED_VALUE(k) \
    { \
        const uint K = k; \
        const uint value = values + min(start + begin + min(i + k, count - 1u), p.slots - 1u) * row_words; \
        const vec2 value0 = kv_pair(value, word0), value1 = kv_pair(value, word1); \
        EACH_ROW(ADD) \
    }
                EACH_VALUE(SHARED_VALUE)
            } else {
#define OWN_VALUE(m) \
    { \
        const uint value = values + slot_of(r##m, min(at, position##m), base) * row_words; \
        const float weight = subgroupShuffle(weight##m, k); \
        low##m = add_value(low##m, weight, kv_pair(value, word0)); \
        high##m = add_value(high##m, weight, kv_pair(value, word1)); \
    }
                for (uint k = 0; k < STEP; ++k) {
                    const uint at = begin + min(i + k, count - 1u);
                    EACH_ROW(OWN_VALUE)
                }
            }
        }
#define STORE(m) \
    if (first + m < queries) { \
        if (from + lane < words) { \
            scratch.data[to##m + 2u * word0] = low##m.x + 0.0; \
            scratch.data[to##m + 2u * word0 + 1u] = low##m.y + 0.0; \
        } \
        if (from + STEP + lane < words) { \
            scratch.data[to##m + 2u * word1] = high##m.x + 0.0; \
            scratch.data[to##m + 2u * word1 + 1u] = high##m.y + 0.0; \
        } \
    } \
    const float all##m = sum_of_values(total##m); \
    if (first + m < queries && lane == 0u && from == 0u) { \
        scratch.data[to##m + p.head_dim] = maximum##m; \
        scratch.data[to##m + p.head_dim + 1u] = all##m; \
    }
        EACH_ROW(STORE)
    }
}
