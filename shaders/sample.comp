// samples[r]: the target's own choice after row r, with log-probability, margin and entropy of softmax(logits[r]).
//
// v[t] = logit, by repetition (over 1: divided where positive, else multiplied), presence and frequency penalties over
// counts[t] and the row's ancestors, plus bias. Greedy: arg max v. Else arg max of v / T + noise(t, position) among the
// tokens with a v not below the top_k-th largest, not below the smallest of the fewest tokens that hold top_p of what is
// left, and a probability of min_p times the largest or more; equal values stand and fall together.
//
// logits [rows, vocabulary]. A workgroup of LANES invocations makes a row; an invocation looks at every LANES-th token.
// Thresholds are found digit by digit in histograms of integers, so that no order of additions matters.
// Dispatched by sx_op_sample.
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
layout(binding = 4, std430) readonly buffer Counts { uint counts[]; };
layout(binding = 5, std430) writeonly buffer Samples { SxSample samples[]; };

#include "flags.glsl"
#include "noise.glsl"

// The row's ancestors and the biased tokens, looked up where a token's bit is set in a filter of 2,048 bits.
#define FILTER_WORDS 64
#define MAX_SPECIAL (SX_MAX_PATH + SX_MAX_BIAS)
shared uint filter_bits[FILTER_WORDS];
shared uint special_token[MAX_SPECIAL], ancestor_count;

uint from, limit, position;
bool adjusting, counting;
float inverse_temperature, highest;

void add_special(uint place, uint token)
{
    special_token[place] = token;
    atomicOr(filter_bits[(token / 32u) % FILTER_WORDS], 1u << (token % 32u));
}

// Ancestors are listed first, each once for each time it stands there.
void list_special(uint lane, uint row)
{
    for (uint word = lane; word < FILTER_WORDS; word += LANES) {
        filter_bits[word] = 0u;
    }
    barrier();
    if (lane == 0u) {
        uint count = 0u;
        uint node = row;
        for (uint depth = 0u; depth < SX_MAX_PATH && node < SX_MAX_ROWS; ++depth) {
            if (counting && (node != 0u || batch.root_is_prompt == 0u)) {
                add_special(count, batch.token[node]);
                count += 1u;
            }
            node = batch.parent[node];
        }
        ancestor_count = count;
    }
    barrier();
    for (uint i = lane; i < min(settings.bias_count, uint(SX_MAX_BIAS)); i += LANES) {
        add_special(ancestor_count + i, settings.bias_token[i]);
    }
    barrier();
}

bool allowed(uint token)
{
    bool yes = token < settings.vocabulary && (flags_of(token) & SX_TOKEN_BANNED) == 0u;
    if (position == settings.suppress_close_position && settings.close_count != 0u) {
        yes = yes && token != settings.close[0];
    }
    return yes;
}

float adjusted(uint token, float x)
{
    float value = x;
    if (adjusting) {
        uint count = counting ? counts[token] : 0u;
        float bias = 0.0;
        if ((filter_bits[(token / 32u) % FILTER_WORDS] & (1u << (token % 32u))) != 0u) {
            for (uint i = 0u; i < ancestor_count; ++i) {
                if (special_token[i] == token) count += 1u;
            }
            for (uint i = 0u; i < min(settings.bias_count, uint(SX_MAX_BIAS)); ++i) {
                if (special_token[ancestor_count + i] == token) bias += settings.bias_value[i];
            }
        }
        if (count != 0u) {
            value = value > 0.0 ? value / settings.repetition_penalty : value * settings.repetition_penalty;
            value -= settings.presence_penalty + settings.frequency_penalty * float(count);
        }
        value = sane(value + bias);
    }
    return value;
}

float logit(uint token)
{
    return sane(logits[from + token]);
}

// ---- Thresholds ----------------------------------------------------------------------------------------------------

// Weights are sums high * 4096 + low; a weight of one token is at most 2^22, of 2^18 tokens at most 2^40.
#define DIGITS 256
#define DIGIT_GROUPS 16
shared uint digit_high[DIGITS], digit_low[DIGITS];
shared float group_weight[DIGIT_GROUPS];
shared uint group_high[DIGIT_GROUPS], group_low[DIGIT_GROUPS];

// Exact and monotonic up to the rounding of the highest 24 bits.
float weight_of(uint high, uint low)
{
    return float(high + (low >> 12u)) * 4096.0 + float(low & 4095u);
}

// The largest key such that the allowed tokens with that key or a larger one weigh at least `target` (or, by mass,
// `target` of the whole); tokens below `least` do not count. A token weighs 1, or its probability by mass.
uint threshold(uint lane, uint least, bool by_mass, float share)
{
    uint prefix = 0u, above_high = 0u, above_low = 0u;
    float target = share;
    for (uint level = 0u; level < 4u; ++level) {
        const uint shift = 24u - 8u * level;
        for (uint digit = lane; digit < DIGITS; digit += LANES) {
            digit_high[digit] = 0u;
            digit_low[digit] = 0u;
        }
        barrier();
        for (uint token = lane; token < limit; token += LANES) {
            if (allowed(token)) {
                const float value = adjusted(token, logit(token));
                const uint key = ordered(value);
                const uint lead = level == 0u ? 0u : key >> (32u - 8u * level);
                if (key >= least && lead == prefix) {
                    const uint digit = (key >> shift) & 255u;
                    uint weight = 1u;
                    if (by_mass) weight = uint(exp(max((value - highest) * inverse_temperature, -100.0)) * 4194304.0);
                    if ((weight & 4095u) != 0u) atomicAdd(digit_low[digit], weight & 4095u);
                    if (weight > 4095u) atomicAdd(digit_high[digit], weight >> 12u);
                }
            }
        }
        barrier();
        if (lane < DIGIT_GROUPS) {
            uint high = 0u, low = 0u;
            for (uint k = 0u; k < DIGITS / DIGIT_GROUPS; ++k) {
                high += digit_high[lane * (DIGITS / DIGIT_GROUPS) + k];
                low += digit_low[lane * (DIGITS / DIGIT_GROUPS) + k];
            }
            group_high[lane] = high + (low >> 12u);
            group_low[lane] = low & 4095u;
        }
        barrier();
        if (by_mass && level == 0u) {
            uint high = 0u, low = 0u;
            for (uint k = 0u; k < DIGIT_GROUPS; ++k) {
                high += group_high[k];
                low += group_low[k];
            }
            target = share * weight_of(high, low);
        }
        // From the largest digit down: whole groups first, then the digits of the group that reaches the target.
        uint group = DIGIT_GROUPS - 1u;
        for (; group > 0u; --group) {
            const uint high = above_high + group_high[group], low = above_low + group_low[group];
            const bool filled = (group_high[group] | group_low[group]) != 0u;
            if (filled && weight_of(high, low) >= target) break;
            above_high = high + (low >> 12u);
            above_low = low & 4095u;
        }
        const uint begin = group * (DIGITS / DIGIT_GROUPS);
        uint digit = begin + DIGITS / DIGIT_GROUPS - 1u;
        for (; digit > begin; --digit) {
            const uint high = above_high + digit_high[digit], low = above_low + digit_low[digit];
            const bool filled = (digit_high[digit] | digit_low[digit]) != 0u;
            if (filled && weight_of(high, low) >= target) break;
            above_high = high + (low >> 12u);
            above_low = low & 4095u;
        }
        prefix = (prefix << 8u) | digit;
        barrier();
    }
    return prefix;
}

// Smallest key the filters leave.
uint filter_threshold(uint lane)
{
    uint least = 0u;
    if (settings.top_k != 0u && settings.top_k < p.vocabulary) {
        least = threshold(lane, 0u, false, float(settings.top_k));
    }
    if (settings.top_p < 1.0) least = max(least, threshold(lane, least, true, max(settings.top_p, 0.0)));
    return least;
}

void main()
{
    const uint row = gl_WorkGroupID.x, lane = gl_LocalInvocationIndex;
    from = row * p.vocabulary;
    limit = row < batch.count ? p.vocabulary : 0u;
    position = batch.position[row] + 1u;
    // Locals, not the globals, decide around a barrier: WGSL takes private variables for non-uniform.
    const bool counts_matter = settings.repetition_penalty != 1.0 || settings.presence_penalty != 0.0 ||
                               settings.frequency_penalty != 0.0;
    const bool adjusts = counts_matter || settings.bias_count != 0u;
    counting = counts_matter;
    adjusting = adjusts;
    if (adjusts) list_special(lane, row);

    uvec3 top = uvec3(0u, SX_NONE, 0u);
    for (uint token = lane; token < limit; token += LANES) {
        const float x = logit(token);
        top.z = max(top.z, ordered(x));
        if (allowed(token)) {
            const uint key = ordered(adjusted(token, x));
            if (key > top.x) top.xy = uvec2(key, token);
        }
    }
    top = reduce_best(lane, top);
    const float highest_logit = from_ordered(top.z);
    highest = from_ordered(top.x);

    const bool drawing = settings.temperature > 0.0;
    inverse_temperature = 1.0 / max(settings.temperature, 1e-4);
    uint least = 0u;
    float lowest_difference = NOISE_LOWEST - NOISE_HIGHEST; // below it no noise helps
    if (drawing) {
        least = filter_threshold(lane);
        if (settings.min_p > 0.0) lowest_difference = max(lowest_difference, min(log(settings.min_p), 0.0));
    }

    precise float sum = 0.0, moment = 0.0;
    uvec3 drawn = uvec3(0u, SX_NONE, 0u);
    for (uint token = lane; token < limit; token += LANES) {
        const float x = logit(token);
        const float difference = max(x - highest_logit, -100.0);
        const float weight = exp(difference);
        sum += weight;
        moment = fma(weight, difference, moment);
        if (drawing && allowed(token)) {
            const float value = adjusted(token, x);
            const float scaled = (value - highest) * inverse_temperature;
            if (ordered(value) >= least && scaled >= lowest_difference) {
                const uint key = ordered(scaled + gumbel(token, position));
                if (key > drawn.x) drawn.xy = uvec2(key, token);
            }
        }
    }
    if (drawing) drawn = reduce_best(lane, drawn);
    sum = reduce_sum(lane, sum);
    moment = reduce_sum(lane, moment);

    if (lane == 0u) {
        uint token = drawn.y == SX_NONE ? top.y : drawn.y;
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
