// The rows of the verify pass: row 0 the root; under it the forced tokens still to come as a chain, or the best
// candidates of the draft's tree (TREE), or the continuation of an earlier occurrence of the last tokens (n-gram).
//
// One workgroup of LANES invocations. Tree: candidates by cumulative log-probability, then lower index. The invocations
// whose best candidate is among the best `wanted` hold all of the best between them; what reaches the worst of those is
// marked by a bit and ranked among the marked ones. (A list of them would be quicker, but WebGPU zeroes shared memory,
// which SwiftShader's compiler does with instructions for every word: little of it compiles fast.) N-gram: the longest suffix of at most p.ngram tokens (at least min(p.ngram, 2)) that occurred
// before, at its latest occurrence. Where the entropy policy wants a trial, row 1 is the close marker's first token.
// Dispatched by sx_op_select.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"
#include "order.glsl"

#define LANES 64
layout(local_size_x = LANES) in;
layout(binding = 0, std140) uniform Parameters {
    uint rows;
    uint ngram; // 0: off
} p;
#if TREE
layout(binding = 1, std430) readonly buffer Tree { SxTree tree; };
#else
layout(binding = 1, std430) readonly buffer History { uint history[]; };
#endif
layout(binding = 2, std430) readonly buffer State { SxState state; };
layout(binding = 3, std430) readonly buffer Settings { SxSettings settings; uint token_flags[]; };
layout(binding = 4, std430) writeonly buffer OutBatch { SxBatch batch; };

#include "flags.glsl"
#include "trial.glsl"

shared uint row_token[SX_MAX_ROWS], row_parent[SX_MAX_ROWS];

// Rows already fixed before the draft's are chosen, the same for all invocations.
uint base, room; // committed tokens; positions the batch may use, the root's included
uint close_token;
bool idle, forcing, trial;

#if TREE
shared uint lane_key[LANES], lane_index[LANES];
shared uint worst_key, worst_index, trial_candidate;
shared uint marked[(SX_MAX_CANDIDATES + 31) / 32];
shared uint chosen[SX_MAX_ROWS];

// Ordered score of a candidate that can be a row; 0 of one that cannot. The trial's token is a row already.
uint candidate_key(uint candidate, uint deepest)
{
    const uint token = tree.token[candidate];
    uint key = 0u;
    if (token != SX_NONE && tree.depth[candidate] <= deepest) key = ordered(sane(tree.score[candidate]));
    if (trial && key != 0u && token == close_token && tree.parent[candidate] == SX_NONE) {
        atomicMin(trial_candidate, candidate);
        key = 0u;
    }
    return key;
}

// How many of the marked candidates are better.
uint marked_rank(uint key, uint candidate, uint count)
{
    uint rank = 0u;
    for (uint word = 0u; word * 32u < count; ++word) {
        for (uint bits = marked[word]; bits != 0u; bits &= bits - 1u) {
            const uint other = word * 32u + uint(findLSB(bits));
            if (better(ordered(sane(tree.score[other])), other, key, candidate)) rank += 1u;
        }
    }
    return rank;
}

void choose_candidates(uint lane, uint wanted)
{
    const uint count = min(tree.count, uint(SX_MAX_CANDIDATES));
    const uint deepest = min(room, uint(SX_MAX_PATH)) - 1u;
    uint best_key = 0u, best_index = SX_NONE;
    if (lane == 0u) {
        worst_key = 0u;
        worst_index = SX_NONE;
        trial_candidate = SX_NONE;
    }
    if (lane < SX_MAX_ROWS) chosen[lane] = SX_NONE;
    for (uint word = lane; word < (SX_MAX_CANDIDATES + 31) / 32; word += LANES) {
        marked[word] = 0u;
    }
    barrier();
    for (uint candidate = lane; candidate < count; candidate += LANES) {
        const uint key = candidate_key(candidate, deepest);
        if (key > best_key) {
            best_key = key;
            best_index = candidate;
        }
    }
    lane_key[lane] = best_key;
    lane_index[lane] = best_index;
    barrier();
    if (best_index != SX_NONE) {
        uint rank = 0u;
        for (uint other = 0u; other < LANES; ++other) {
            if (better(lane_key[other], lane_index[other], best_key, best_index)) rank += 1u;
        }
        if (rank + 1u == wanted) {
            worst_key = best_key;
            worst_index = best_index;
        }
    }
    barrier();
    for (uint candidate = lane; wanted != 0u && candidate < count; candidate += LANES) {
        const uint key = candidate_key(candidate, deepest);
        if (key != 0u && !better(worst_key, worst_index, key, candidate)) {
            atomicOr(marked[candidate / 32u], 1u << (candidate % 32u));
        }
    }
    barrier();
    for (uint candidate = lane; candidate < count; candidate += LANES) {
        if ((marked[candidate / 32u] >> (candidate % 32u) & 1u) != 0u) {
            const uint rank = marked_rank(ordered(sane(tree.score[candidate])), candidate, count);
            if (rank < wanted) chosen[rank] = candidate;
        }
    }
    barrier();
}

// Row `row` >= `begin` of the batch; false behind the last.
bool drafted_row(uint row, uint begin, out uint token, out uint parent)
{
    const uint candidate = chosen[row - begin];
    token = 0u;
    parent = 0u;
    if (candidate != SX_NONE) {
        token = tree.token[candidate];
        const uint above = tree.parent[candidate];
        if (above != SX_NONE) {
            if (above == trial_candidate) parent = 1u;
            for (uint other = begin; other < row; ++other) {
                if (chosen[other - begin] == above) parent = other;
            }
        }
    }
    return candidate != SX_NONE;
}
#else
shared uint match; // length of the matched suffix << 26 | position of its last token

uint text(uint position)
{
    uint token = state.now.root;
    if (position < base) token = history[position];
    return token;
}

void find_match(uint lane)
{
    if (lane == 0u) match = 0u;
    barrier();
    const uint longest = min(p.ngram, min(base, 63u)), shortest = min(p.ngram, 2u);
    const uint root = state.now.root;
    uint best = 0u;
    for (uint last = lane; longest != 0u && last < base; last += LANES) {
        uint same = history[last] == root ? 1u : 0u;
        while (same != 0u && same < longest && same <= last && history[last - same] == history[base - same]) {
            same += 1u;
        }
        if (same >= shortest) best = max(best, (same << 26u) | last);
    }
    if (best != 0u) atomicMax(match, best);
    barrier();
}

bool drafted_row(uint row, uint begin, out uint token, out uint parent)
{
    const uint next = (match & 0x3FFFFFFu) + 1u;
    uint place = row - begin;
    bool valid = match != 0u;
    token = 0u;
    parent = 0u;
    if (valid) {
        // A first token that the trial row holds already is not drafted twice.
        const bool shared_first = trial && text(next) == close_token;
        if (shared_first) place += 1u;
        const uint depth = place + 1u;
        valid = next + place <= base && depth < min(room, uint(SX_MAX_PATH));
        if (valid) token = text(next + place);
        if (place != 0u) parent = row - 1u;
    }
    return valid;
}
#endif

bool make_row(uint row, out uint token, out uint parent)
{
    const uint begin = trial ? 2u : 1u;
    bool valid = false;
    token = 0u;
    parent = SX_NONE;
    if (!idle && row < p.rows) {
        if (row == 0u) {
            token = state.now.root;
            valid = true;
        } else if (forcing) {
            valid = row < min(min(state.forced_count, room), uint(SX_MAX_PATH));
            token = settings.exit_tokens[(settings.exit_count - state.forced_count + row) % SX_MAX_FORCED];
            parent = row - 1u;
        } else if (row < begin) {
            token = close_token;
            parent = 0u;
            valid = true;
        } else {
            valid = drafted_row(row, begin, token, parent);
        }
    }
    row_token[row] = token;
    row_parent[row] = valid ? parent : SX_NONE;
    return valid;
}

void store_row(uint row, bool valid)
{
    const uint slot = base + row;
    uint depth = 0u;
    for (uint above = row_parent[row]; above != SX_NONE && depth < SX_MAX_PATH - 1u; above = row_parent[above]) {
        depth += 1u;
    }
    batch.token[row] = valid ? row_token[row] : 0u;
    batch.position[row] = valid ? base + depth : 0u;
    batch.slot[row] = slot;
    batch.parent[row] = row_parent[row];
    batch.source[row] = 0u;
    batch.first_slot[row] = 0u;
    uint above = row;
    for (uint i = SX_MAX_PATH; i > 0u; --i) {
        uint ancestor = slot;
        if (i - 1u <= depth) {
            ancestor = base + above;
            if (i > 1u) above = row_parent[above];
        }
        batch.ancestor[row * SX_MAX_PATH + i - 1u] = ancestor;
    }
}

shared uint valid_count;

void main()
{
    const uint lane = gl_LocalInvocationIndex;
    base = state.now.token_count;
    room = settings.end_position - min(base, settings.end_position);
    idle = state.done != SX_DONE_NO || state.now.root == SX_NONE;
    forcing = state.forced_count > 1u;
    trial = p.rows > 1u && room > 1u && !idle &&
            wants_trial(state.now.thinking, state.now.thinking_tokens, state.forced_count, flags_of(state.now.root));
    close_token = settings.close[0];
    if (lane == 0u) valid_count = 0u;
#if TREE
    choose_candidates(lane, p.rows - 1u - (trial ? 1u : 0u));
#else
    find_match(lane);
#endif
    bool valid = false;
    if (lane < SX_MAX_ROWS) {
        uint token, parent;
        valid = make_row(lane, token, parent);
        if (valid) atomicAdd(valid_count, 1u);
    }
    barrier();
    if (lane < SX_MAX_ROWS) store_row(lane, valid);
    if (lane == 0u) {
        batch.count = valid_count;
        batch.base = base;
        batch.root_is_prompt = state.root_is_prompt;
        batch.reserved1 = 0u;
    }
}
