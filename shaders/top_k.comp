// children[r]: the `branch` best draft tokens after row r. Score: x when greedy, else x / T + noise(target id, position)
// (up to a constant of the row); logprob: log softmax(x / T), T = 1 when greedy.
//
// logits [rows, vocabulary], children [rows]. A workgroup of LANES >= SX_MAX_BRANCH invocations makes a row; an
// invocation looks at every LANES-th group of four tokens, whose loads are under way together. The `branch` invocations
// whose best tokens are the best ones hold all of the `branch` best between them: each lists its own in order, and the
// lists are merged. A single child is the best of all, and takes neither. Dispatched by sx_op_top_k.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"
#include "order.glsl"
#include "reduce.glsl"

layout(local_size_x = LANES) in;
layout(binding = 0, std140) uniform Parameters {
    uint vocabulary;
    uint level;
    uint branch;
    uint has_map;
} p;
layout(binding = 1, std430) readonly buffer Logits { float logits[]; };
layout(binding = 2, std430) readonly buffer TokenMap { uint token_map[]; };
layout(binding = 3, std430) readonly buffer Settings { SxSettings settings; };
layout(binding = 4, std430) readonly buffer State { SxState state; };
layout(binding = 5, std430) writeonly buffer Children { SxChildren children[]; };

#include "logits.glsl"
#include "noise.glsl"

#define GROUPS 16 // the bound on what noise can lift needs as many distinct tokens as there can be children
#define GROUP_LANES (LANES / GROUPS)
shared float lane_max[LANES], group_max[GROUPS];
shared uint lane_key[LANES], lane_id[LANES];
shared uint worst_key, worst_id;
shared uint list_key[SX_MAX_BRANCH * SX_MAX_BRANCH], list_id[SX_MAX_BRANCH * SX_MAX_BRANCH];
shared uint list_head[SX_MAX_BRANCH];
shared uint child_id[SX_MAX_BRANCH];

// Read once: loads in loops are what takes the time on CPUs.
float inverse_temperature, highest, skip_below;
uint seed_low, seed_high;
bool greedy;

uint target_id(uint token)
{
    uint id = token;
    if (p.has_map != 0u) id = token_map[token];
    return id;
}

// Ordered score of a draft token, 0 where there is none or no noise could bring it among the children.
uint score_key(uint token, float x, uint position)
{
    uint key = 0u;
    if (token >= p.vocabulary) return key;
    if (greedy) {
        key = ordered(x);
    } else if (x >= skip_below) {
        key = ordered((x - highest) * inverse_temperature + gumbel(target_id(token), position, seed_low, seed_high));
    }
    return key;
}

// Whether the score of a token could be `key` or better; `x` is its logit, or the largest of several.
bool could_reach(float x, uint key)
{
    return greedy ? ordered(x) >= key : x >= skip_below;
}

void find_highest(uint lane, uint from)
{
    float top = -1e30;
    for (uint first = lane * 4u; first < p.vocabulary; first += LANES * 4u) {
        top = max(largest_of(four_logits(from, first, p.vocabulary)), top);
    }
    lane_max[lane] = lane * 4u < p.vocabulary ? top : -2e30;
    barrier();
    if (lane < GROUPS) {
        float group = lane_max[lane * GROUP_LANES];
        for (uint k = 1u; k < GROUP_LANES; ++k) {
            group = max(group, lane_max[lane * GROUP_LANES + k]);
        }
        group_max[lane] = group;
    }
    barrier();
    float lowest = group_max[0];
    highest = lowest;
    for (uint k = 1u; k < GROUPS; ++k) {
        highest = max(highest, group_max[k]);
        lowest = min(lowest, group_max[k]);
    }
    skip_below = lowest - (NOISE_HIGHEST - NOISE_LOWEST) * settings.temperature * 1.001;
}

// Puts a token where it belongs in the list of `count` that begins at `begin`; gives the new count.
uint list_token(uint begin, uint count, uint token, uint key)
{
    uint slot = begin + count;
    if (count == p.branch) {
        slot -= 1u;
        if (!better(key, token, list_key[slot], list_id[slot])) return count;
    }
    const uint grown = slot - begin + 1u;
    for (; slot > begin && better(key, token, list_key[slot - 1u], list_id[slot - 1u]); --slot) {
        list_key[slot] = list_key[slot - 1u];
        list_id[slot] = list_id[slot - 1u];
    }
    list_key[slot] = key;
    list_id[slot] = token;
    return grown;
}

// The best of this invocation's tokens that reach the worst contributor's best, in order.
void list_own(uint lane, uint rank, uint from, uint position)
{
    const uint begin = rank * p.branch;
    uint count = 0u;
    for (uint first = lane * 4u; first < p.vocabulary; first += LANES * 4u) {
        const vec4 x = four_logits(from, first, p.vocabulary);
        if (could_reach(largest_of(x), worst_key)) {
            for (uint i = 0u; i < 4u; ++i) {
                const uint token = first + i, key = score_key(token, x[i], position);
                if (key != 0u && !better(worst_key, worst_id, key, token)) count = list_token(begin, count, token, key);
            }
        }
    }
    for (; count < p.branch; ++count) {
        list_key[begin + count] = 0u;
        list_id[begin + count] = SX_NONE;
    }
}

// Takes the best of the lists' heads, as often as there are children.
void merge_lists()
{
    for (uint list = 0u; list < p.branch; ++list) {
        list_head[list] = list * p.branch;
    }
    for (uint k = 0u; k < p.branch; ++k) {
        uint best_list = 0u, best_key = 0u, best_id = SX_NONE;
        for (uint list = 0u; list < p.branch; ++list) {
            const uint head = list_head[list];
            if (head < (list + 1u) * p.branch && better(list_key[head], list_id[head], best_key, best_id)) {
                best_list = list;
                best_key = list_key[head];
                best_id = list_id[head];
            }
        }
        child_id[k] = best_id;
        list_head[best_list] += 1u;
    }
}

void main()
{
    const uint row = gl_WorkGroupID.x, lane = gl_LocalInvocationIndex;
    const uint from = row * p.vocabulary;
    const uint position = state.now.token_count + p.level;
    seed_low = settings.seed_low;
    seed_high = settings.seed_high;
    greedy = !(settings.temperature > 0.0);
    inverse_temperature = greedy ? 1.0 : 1.0 / max(settings.temperature, 1e-4);
    find_highest(lane, from);

    precise float sum = 0.0;
    uint best_key = 0u, best_id = SX_NONE;
    for (uint first = lane * 4u; first < p.vocabulary; first += LANES * 4u) {
        const vec4 x = four_logits(from, first, p.vocabulary);
        const vec4 weight = exp(max((x - highest) * inverse_temperature, vec4(-100.0)));
        sum += (weight.x + weight.y) + (weight.z + weight.w);
        if (could_reach(largest_of(x), best_key)) {
            for (uint i = 0u; i < 4u; ++i) {
                const uint key = score_key(first + i, x[i], position);
                if (key > best_key) {
                    best_key = key;
                    best_id = first + i;
                }
            }
        }
    }
    lane_key[lane] = best_key;
    lane_id[lane] = best_id;
    if (lane == 0u) {
        worst_key = 0u;
        worst_id = SX_NONE;
    }
    const float log_sum = log(reduce_sum(lane, sum));

    uint rank = 0u;
    for (uint other = 0u; other < LANES; ++other) {
        if (better(lane_key[other], lane_id[other], best_key, best_id)) rank += 1u;
    }
    if (best_id == SX_NONE) rank = LANES;
    if (rank == p.branch - 1u) {
        worst_key = best_key;
        worst_id = best_id;
    }
    for (uint slot = lane; slot < p.branch * p.branch; slot += LANES) {
        list_key[slot] = 0u;
        list_id[slot] = SX_NONE;
    }
    barrier();
    if (rank < p.branch && p.branch > 1u) list_own(lane, rank, from, position);
    barrier();
    if (lane == 0u && p.branch > 1u) merge_lists();
    if (lane == 0u && p.branch == 1u) child_id[0] = worst_id;
    barrier();
    if (lane < p.branch) {
        const uint id = child_id[lane];
        uint token = SX_NONE;
        float logprob = -1e30; // fewer tokens than children
        if (id != SX_NONE) {
            token = target_id(id);
            logprob = min((sane(logits[from + id]) - highest) * inverse_temperature - log_sum, 0.0);
        }
        children[row].token[lane] = token;
        children[row].logprob[lane] = logprob;
    }
}
