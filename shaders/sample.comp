// samples[r]: the target's own choice after row r, with log-probability, margin and entropy of softmax(logits[r]).
//
// v[t] = logit, by repetition (over 1: divided where positive, else multiplied), presence and frequency penalties over
// counts[t] and the row's ancestors, plus bias. Greedy: arg max v. Else arg max of v / T + noise(t, position) among the
// tokens with a v not below the top_k-th largest, not below the smallest of the fewest tokens that hold top_p of what is
// left, and a probability of min_p times the largest or more. Drawing sees the distance (max v - v) / T in steps of
// 2^-19: what is equal then stands and falls together; and only up to 19.5, since no noise lifts a token from below.
//
// logits [rows, vocabulary]. A workgroup of LANES invocations makes a row; an invocation looks at every LANES-th group
// of four tokens (a word of flags). One pass takes the largest values and the sums; when drawing, a second lists the
// tokens that can be drawn, and filters and draw go over the list (over the vocabulary where it is too short). Thresholds
// are found digit by digit in histograms of integers, so that no order of additions matters. Settings are read once, into
// variables: loads in the loops are what takes the time on CPUs.
//
// GREEDY: only what settings without drawing, penalties and biases need, the same bits as from the whole; it takes
// drivers on CPUs a fraction of the time to compile, and is what most replies run. Dispatched by sx_op_sample.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"
#include "order.glsl"
#include "reduce.glsl"
#include "best.glsl"

layout(local_size_x = LANES) in;
layout(binding = 0, std140) uniform Parameters {
    uint vocabulary;
} p;
layout(binding = 1, std430) readonly buffer Logits { float logits[]; };
layout(binding = 2, std430) readonly buffer Batch { SxBatch batch; };
layout(binding = 3, std430) readonly buffer Settings { SxSettings settings; uint token_flags[]; };
#if GREEDY
layout(binding = 4, std430) writeonly buffer Samples { SxSample samples[]; };
#else
layout(binding = 4, std430) readonly buffer Counts { uint counts[]; };
layout(binding = 5, std430) writeonly buffer Samples { SxSample samples[]; };
#endif

#include "logits.glsl"

uint from, limit, known_tokens, suppressed, banned;
float highest; // of the adjusted values

void read_settings(uint row)
{
    limit = row < batch.count ? p.vocabulary : 0u;
    from = row * p.vocabulary;
    known_tokens = min(settings.vocabulary, p.vocabulary);
    suppressed = SX_NONE;
    banned = SX_TOKEN_BANNED;
    if (batch.position[row] + 1u == settings.suppress_close_position && settings.close_count != 0u) {
        suppressed = settings.close[0];
        banned |= SX_TOKEN_END;
    }
}

// Flags of four tokens from `first` on; tokens the model does not know are as banned.
uint four_flags(uint first)
{
    uint flags = 0xFFFFFFFFu;
    if (first < known_tokens) flags = token_flags[first / 4u];
    return flags;
}

bool allowed(uint token, uint flags)
{
    const uint own = flags >> (token % 4u * 8u);
    return token < known_tokens && token != suppressed && (own & banned) == 0u;
}

float logit(uint token)
{
    return sane(logits[from + token]);
}

#if GREEDY
float adjusted(uint token, float x)
{
    return x;
}
#else
#include "adjust.glsl"
#include "draw.glsl"
#endif

// ---- Passes over the vocabulary ------------------------------------------------------------------------------------

// Over the tokens seen so far: (key, token) of the largest adjusted value; the largest logit, the sum of exp(x - it) and
// the sum of the same times (x - it).
uvec2 top;
float highest_logit, sum, moment;

void add_logits(vec4 x)
{
    const float before = highest_logit;
    highest_logit = max(largest_of(x), before);
    const float shift = before - highest_logit;
    const vec4 difference = x - highest_logit;
    const vec4 weight = exp(difference);
    precise float scaled = exp(shift) * (moment + sum * shift);
    precise float shifted = exp(shift) * sum;
    moment = scaled + dot(weight, difference);
    sum = shifted + (weight.x + weight.y) + (weight.z + weight.w);
}

void add_value(uint token, uint flags, float x)
{
    if (allowed(token, flags)) {
        const uint key = ordered(adjusted(token, x));
        if (key > top.x) top = uvec2(key, token);
    }
}

void read_logits(uint lane)
{
    top = uvec2(0u, SX_NONE);
    highest_logit = -1e30;
    sum = 0.0;
    moment = 0.0;
    for (uint first = lane * 4u; first < limit; first += LANES * 4u) {
        const uint flags = four_flags(first);
        const vec4 x = four_logits(from, first, limit);
        add_logits(x);
        add_value(first, flags, x.x);
        add_value(first + 1u, flags, x.y);
        add_value(first + 2u, flags, x.z);
        add_value(first + 3u, flags, x.w);
    }
    const uvec3 best = reduce_best(lane, uvec3(top, ordered(highest_logit)));
    const float shift = highest_logit - from_ordered(best.z);
    moment = reduce_sum(lane, exp(shift) * (moment + sum * shift));
    sum = reduce_sum(lane, exp(shift) * sum);
    highest_logit = from_ordered(best.z);
    highest = from_ordered(best.x);
    top = best.xy;
}

void main()
{
    const uint row = gl_WorkGroupID.x, lane = gl_LocalInvocationIndex;
    read_settings(row);
#if !GREEDY
    read_adjustments();
    read_drawing(row);
    if (lane == 0u) list_count = 0u;
    // Not by `adjusting`: what a private variable says does not count as uniform in WGSL.
    if (settings.repetition_penalty != 1.0 || settings.presence_penalty != 0.0 || settings.frequency_penalty != 0.0 ||
        settings.bias_count != 0u) {
        list_special(lane, row);
    }
#endif
    read_logits(lane);
    uint token = top.y;
#if !GREEDY
    if (settings.temperature > 0.0) {
        list_candidates(lane);
        const uint drawn = draw(lane);
        if (drawn != SX_NONE) token = drawn;
    }
#endif
    if (lane == 0u) {
        if (token == SX_NONE) token = 0u; // everything is banned, or the row is not of the batch
        float logprob = 0.0, margin = -1e30, entropy = 0.0;
        if (limit != 0u) {
            const float log_sum = log(sum);
            logprob = min(logit(token) - highest_logit - log_sum, 0.0);
            entropy = max(log_sum - moment / sum, 0.0);
            if (settings.close_count != 0u) margin = logit(settings.close[0]) - highest_logit;
        }
        samples[row].token = token;
        samples[row].logprob = logprob;
        samples[row].margin = margin;
        samples[row].entropy = entropy;
    }
}
