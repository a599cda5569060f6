// Attention of ROWS queries over one split of 64 positions:
//   s[p] = scale * q[r, h] . k[p] (softcapped), m = max s, w[p] = exp(s[p] - m), scratch = (sum w[p] v[p], m, sum w[p])
//
// Splits lie at absolute positions and a split is summed in order of its positions, wherever their slots are, so that
// a row of a tree gets the bits that decoding one by one would give. q [rows, heads * head_dim], kv [2][slots][kv_heads]
// heads as in kv.glsl. A workgroup of 64 invocations makes a split for ROWS queries of one key and value head: of its
// heads / kv_heads query heads in one or more rows. An invocation first makes the scores of a position, then the sums
// of every 64th pair of components. Below the batch's base rows of one sequence have the same slots, and where all of
// the workgroup's are, its queries share what is loaded. Splits that no row has do nothing. Groups are (split, kv head,
// block of queries). With WIDE, heads are multiples of 16 components of 16 bits. Dispatched by sx_op_attention.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"
#include "attention.glsl"
#include "rows.glsl"
#include "attention_rows.glsl"

#define LANES 64
layout(local_size_x = LANES) in;

#define PARTS 8 // squared: SPLIT
const uint PARTS_BEGIN = ROWS * SPLIT;
// The scores first; from PARTS_BEGIN on what each PARTS of them, or of the weights, come to.
shared float weights[ROWS * (SPLIT + PARTS)];

#if WIDE
// A load brings 8 components of a key, or 4 of a query.
float add_eight(float sum, uint query, uvec4 key)
{
    const vec4 low = q.data[query], high = q.data[query + 1u];
    sum = add_products(sum, low.x, low.y, unpackHalf2x16(key.x));
    sum = add_products(sum, low.z, low.w, unpackHalf2x16(key.y));
    sum = add_products(sum, high.x, high.y, unpackHalf2x16(key.z));
    return add_products(sum, high.z, high.w, unpackHalf2x16(key.w));
}

float add_sixteen(float sum, uint query, uint word, uvec4 k0, uvec4 k1)
{
    const uint at = query / 4u + word / 2u;
    return add_eight(add_eight(sum, at, k0), at + 2u, k1);
}

float dot_with_key(uint query, uint key)
{
    float sum = 0.0;
    for (uint word = 0; word < p.head_dim / 2u; word += 8u) {
        const uvec4 k0 = keys.data[(key + word) / 4u], k1 = keys.data[(key + word) / 4u + 1u];
        sum = add_sixteen(sum, query, word, k0, k1);
    }
    return sum;
}
#else
// Loads are made four at a time, to be under way together. What is behind the end of a query counts as 0.
vec2 key_pair(uint key, uint word)
{
    return kv_pair(key, min(word, p.head_dim / 2u - 1u));
}

float component(uint query, uint i)
{
    const float value = q.data[query + min(i, p.head_dim - 1u)];
    return i < p.head_dim ? value : 0.0;
}

float add_four(float sum, uint query, uint word, vec2 k0, vec2 k1, vec2 k2, vec2 k3)
{
    sum = add_products(sum, component(query, 2u * word), component(query, 2u * word + 1u), k0);
    sum = add_products(sum, component(query, 2u * word + 2u), component(query, 2u * word + 3u), k1);
    sum = add_products(sum, component(query, 2u * word + 4u), component(query, 2u * word + 5u), k2);
    return add_products(sum, component(query, 2u * word + 6u), component(query, 2u * word + 7u), k3);
}

float dot_with_key(uint query, uint key)
{
    float sum = 0.0;
    for (uint word = 0; word < p.head_dim / 2u; word += 4u) {
        const vec2 k0 = key_pair(key, word), k1 = key_pair(key, word + 1u);
        const vec2 k2 = key_pair(key, word + 2u), k3 = key_pair(key, word + 3u);
        sum = add_four(sum, query, word, k0, k1, k2, k3);
    }
    return sum;
}
#endif

// The largest of PARTS neighbours, and their sum: of a row's scores or weights in two steps, the first by PARTS invocations
// for each row, the second by every one. All positions of the split take part, also those that the row does not see.
float largest_of(uint from)
{
    float maximum = weights[from];
    for (uint k = 1u; k < PARTS; ++k) {
        maximum = max(maximum, weights[from + k]);
    }
    return maximum;
}

float sum_of(uint from)
{
    precise float total = weights[from];
    for (uint k = 1u; k < PARTS; ++k) {
        total += weights[from + k];
    }
    return total;
}

void main()
{
    const uint split = gl_WorkGroupID.x, kv_head = gl_WorkGroupID.y, first = gl_WorkGroupID.z * ROWS;
    const uint lane = gl_LocalInvocationID.x, begin = split * SPLIT;
    const uint words = p.head_dim / 2u, head_words = kv_head_words(p.head_dim); // pairs of components; words in kv
    const uint row_words = p.kv_heads * head_words, head_word = kv_head * head_words;
    const uint values = p.slots * row_words + head_word; // word of slot 0's value
    const uint base = batch.base; // SX_DIRECT is the greatest number
    DECLARE_QUERIES

    const uint at = begin + min(lane, max(count, 1u) - 1u);
#define SUM(m) float sum##m = 0.0;
    EACH_ROW(SUM)
    if (begin + SPLIT <= together) {
        const uint key = min(start + at, p.slots - 1u) * row_words + head_word;
#if WIDE
        for (uint word = 0; word < words && lane < count; word += 8u) {
            const uvec4 k0 = keys.data[(key + word) / 4u], k1 = keys.data[(key + word) / 4u + 1u];
#define PRODUCTS(m) sum##m = add_sixteen(sum##m, query##m, word, k0, k1);
#else
        for (uint word = 0; word < words && lane < count; word += 4u) {
            const vec2 k0 = key_pair(key, word), k1 = key_pair(key, word + 1u);
            const vec2 k2 = key_pair(key, word + 2u), k3 = key_pair(key, word + 3u);
#define PRODUCTS(m) sum##m = add_four(sum##m, query##m, word, k0, k1, k2, k3);
#endif
            EACH_ROW(PRODUCTS)
        }
    } else if (lane < count) {
#define OWN_KEY(m) \
    sum##m = dot_with_key(query##m, slot_of(r##m, min(at, position##m), base) * row_words + head_word);
        EACH_ROW(OWN_KEY)
    }
#define KEEP(m) \
    const float score##m = score_of(begin + lane, position##m, sum##m); \
    weights[m * SPLIT + lane] = score##m;
    EACH_ROW(KEEP)
    barrier();
    if (lane < ROWS * PARTS) weights[PARTS_BEGIN + lane] = largest_of(lane * PARTS);
    barrier();
#define WEIGHT(m) \
    const float maximum##m = largest_of(PARTS_BEGIN + m * PARTS); \
    weights[m * SPLIT + lane] = score##m > NEVER ? exp(score##m - maximum##m) : 0.0;
    EACH_ROW(WEIGHT)
    barrier();
    if (lane < ROWS * PARTS) weights[PARTS_BEGIN + lane] = sum_of(lane * PARTS);
    barrier();
#define TOTAL(m) \
    const uint to##m = partial_begin(row##m, head##m, split); \
    if (first + m < queries && lane == 0u && count != 0u) { \
        scratch.data[to##m + p.head_dim] = maximum##m; \
        scratch.data[to##m + p.head_dim + 1u] = sum_of(PARTS_BEGIN + m * PARTS); \
    }
    EACH_ROW(TOTAL)
    for (uint word = lane; word < words && count != 0u; word += LANES) {
#define VALUES(m) vec2 values##m = vec2(0.0);
        EACH_ROW(VALUES)
        uint i = 0;
        for (; i < count && begin + i + 4u <= together; i += 4u) {
            // What is rounded up has the weight 0 and the last position's slot.
#define VALUE_OF(k) \
    const vec2 value##k = \
        kv_pair(values + min(start + begin + min(i + k, count - 1u), p.slots - 1u) * row_words, word);
            VALUE_OF(0) VALUE_OF(1) VALUE_OF(2) VALUE_OF(3)
#define ADD(m) \
    values##m = add_value(values##m, weights[m * SPLIT + i], value0); \
    values##m = add_value(values##m, weights[m * SPLIT + i + 1u], value1); \
    values##m = add_value(values##m, weights[m * SPLIT + i + 2u], value2); \
    values##m = add_value(values##m, weights[m * SPLIT + i + 3u], value3);
            EACH_ROW(ADD)
        }
        for (; i < count; ++i) {
#define OWN_VALUE(m) \
    { \
        const uint slot = slot_of(r##m, min(begin + i, position##m), base); \
        values##m = add_value(values##m, weights[m * SPLIT + i], kv_pair(values + slot * row_words, word)); \
    }
            EACH_ROW(OWN_VALUE)
        }
#define STORE(m) \
    if (first + m < queries) { \
        scratch.data[to##m + 2u * word] = values##m.x + 0.0; \
        scratch.data[to##m + 2u * word + 1u] = values##m.y + 0.0; \
    }
        EACH_ROW(STORE)
    }
}
