// What both kernels of attention's first step share: their buffers, and what a workgroup's queries are. The includer
// defines ROWS and KV_Q8, may define WIDE (queries come by four components, keys by eight), and has included shared.h,
// attention.glsl and rows.glsl.
#ifndef SX_ATTENTION_ROWS_GLSL
#define SX_ATTENTION_ROWS_GLSL

#include "kv.glsl"

#if WIDE
layout(binding = 1, std430) readonly buffer Q { vec4 data[]; } q;
layout(binding = 5, std430) readonly buffer Keys { uvec4 data[]; } keys; // the same as kv
#else
layout(binding = 1, std430) readonly buffer Q { float data[]; } q;
#endif
layout(binding = 2, std430) readonly buffer Kv { uint data[]; } kv;
layout(binding = 3, std430) readonly buffer Batch { SxBatch batch; };
layout(binding = 4, std430) writeonly buffer Scratch { float data[]; } scratch;

const float NEVER = -3.0e38; // the score of a position the row does not see

uint slot_of(uint row, uint position, uint base)
{
    uint slot = batch.first_slot[row] + position;
    if (position >= base) slot = batch.ancestor[row * SX_MAX_PATH + min(position - base, SX_MAX_PATH - 1u)];
    return min(slot, p.slots - 1u);
}

float capped(float score)
{
    if (p.softcap == 0.0) return score;
    const float e = exp(2.0 * clamp(score / p.softcap, -15.0, 15.0));
    return p.softcap * (e - 1.0) / (e + 1.0);
}

// A score as it counts for a row at `position`.
float score_of(uint at, uint position, float sum)
{
    const bool visible = at <= position && at >= first_visible(position);
    return visible ? capped(p.scale * sum) : NEVER;
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

// Components 2 * pair and 2 * pair + 1 of the key or value that begins at word `head`.
vec2 kv_pair(uint head, uint pair)
{
#if KV_Q8
    const uint bytes = kv.data[head + pair / 2u] << (16u * (1u - (pair & 1u)));
    const float scale = uintBitsToFloat(kv.data[head + p.head_dim / 4u + pair / 16u]);
    return scale * vec2(int(bytes << 8u) >> 24, int(bytes) >> 24);
#else
    return unpackHalf2x16(kv.data[head + pair]);
#endif
}

// For each query m of the workgroup, of `first` + m of the `queries` of this dispatch: its row in the dispatch and in the
// batch, its head, its position, and where its components begin. `count` becomes the number of positions of the split
// that any of them has: where none has one it is 0 and all loops do nothing. Queries beyond the last repeat it. Below
// position `together`, position p of all of them stands in slot start + p.
#define DECLARE_QUERY(m) \
    const uint row##m = min(first + m, queries - 1u) / group; \
    const uint head##m = kv_head * group + min(first + m, queries - 1u) % group; \
    const uint r##m = p.first_row + row##m; \
    const uint position##m = batch.position[r##m]; \
    const uint query##m = (r##m * p.heads + head##m) * p.head_dim; \
    if (position##m >= begin && first_visible(position##m) < begin + SPLIT) \
        count = max(count, min(position##m - begin + 1u, SPLIT));
#define DECLARE_QUERIES \
    const uint group = p.heads / p.kv_heads, queries = p.rows * group; \
    uint count = 0u; \
    EACH_ROW(DECLARE_QUERY) \
    const uint start = batch.first_slot[r0], last_row = p.first_row + min(first + ROWS - 1u, queries - 1u) / group; \
    uint together = base; \
    for (uint row = r0 + 1u; row <= last_row; ++row) { \
        if (batch.first_slot[row] != start) together = 0u; \
    }

#endif
