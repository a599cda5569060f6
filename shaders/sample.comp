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
// variables: loads in the loops are what takes the time on CPUs. Dispatched by sx_op_sample.
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

#include "noise.glsl"

// The row's ancestors and the biased tokens, looked up where a token's bit is set in a filter of 2,048 bits.
#define FILTER_WORDS 64
#define MAX_SPECIAL (SX_MAX_PATH + SX_MAX_BIAS)
shared uint filter_bits[FILTER_WORDS];
shared uint special_token[MAX_SPECIAL], special_count[MAX_SPECIAL], ancestor_count;
shared float special_bias[MAX_SPECIAL];

uint from, limit, position;
uint known_tokens, suppressed, banned, bias_count, seed_low, seed_high;
bool adjusting, counting;
float repetition, presence, frequency;
float inverse_temperature, highest;

void read_settings(uint row)
{
    limit = row < batch.count ? p.vocabulary : 0u;
    from = row * p.vocabulary;
    position = batch.position[row] + 1u;
    known_tokens = min(settings.vocabulary, p.vocabulary);
    suppressed = SX_NONE;
    banned = SX_TOKEN_BANNED;
    if (position == settings.suppress_close_position && settings.close_count != 0u) {
        suppressed = settings.close[0];
        banned |= SX_TOKEN_END;
    }
    repetition = settings.repetition_penalty;
    presence = settings.presence_penalty;
    frequency = settings.frequency_penalty;
    bias_count = min(settings.bias_count, uint(SX_MAX_BIAS));
    counting = repetition != 1.0 || presence != 0.0 || frequency != 0.0;
    adjusting = counting || bias_count != 0u;
    inverse_temperature = 1.0 / max(settings.temperature, 1e-4);
    seed_low = settings.seed_low;
    seed_high = settings.seed_high;
}

void add_special(uint place, uint token, uint count, float bias)
{
    special_token[place] = token;
    special_count[place] = count;
    special_bias[place] = bias;
    atomicOr(filter_bits[(token / 32u) % FILTER_WORDS], 1u << (token % 32u));
}

// Ancestors, each once for each time it stands there, then the biases.
void list_special(uint lane, uint row)
{
    for (uint word = lane; word < FILTER_WORDS; word += LANES) {
        filter_bits[word] = 0u;
    }
    barrier();
    if (lane == 0u) {
        uint count = 0u;
        uint node = counting ? row : SX_NONE;
        for (uint depth = 0u; depth < SX_MAX_PATH && node < SX_MAX_ROWS; ++depth) {
            if (node != 0u || batch.root_is_prompt == 0u) {
                add_special(count, batch.token[node], 1u, 0.0);
                count += 1u;
            }
            node = batch.parent[node];
        }
        ancestor_count = count;
    }
    barrier();
    for (uint i = lane; i < bias_count; i += LANES) {
        add_special(ancestor_count + i, settings.bias_token[i], 0u, settings.bias_value[i]);
    }
    barrier();
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

float adjusted(uint token, float x)
{
    float value = x;
    if (adjusting) {
        uint count = 0u;
        if (counting) count = counts[token];
        float bias = 0.0;
        if ((filter_bits[(token / 32u) % FILTER_WORDS] & (1u << (token % 32u))) != 0u) {
            for (uint i = 0u; i < ancestor_count + bias_count; ++i) {
                if (special_token[i] == token) {
                    count += special_count[i];
                    bias += special_bias[i];
                }
            }
        }
        if (count != 0u) {
            value = value > 0.0 ? value / repetition : value * repetition;
            value -= presence + frequency * float(count);
        }
        value = sane(value + bias);
    }
    return value;
}

float logit(uint token)
{
    return sane(logits[from + token]);
}

// ---- The tokens that can be drawn ----------------------------------------------------------------------------------

#define STEPS 524288.0 // of a distance of 1: distances have 24 bits
#define FARTHEST (NOISE_HIGHEST - NOISE_LOWEST)
#define LIST 1024
shared uint list_token[LIST], list_distance[LIST], list_count;

uint distance_of(float value)
{
    return uint(min((highest - value) * inverse_temperature, FARTHEST + 1.0) * STEPS);
}

// Where the list holds them, candidates are taken from it, else from the vocabulary: two loops, one of which is empty.
uint listed_count()
{
    return list_count <= LIST ? list_count : 0u;
}

uint unlisted_count()
{
    return list_count <= LIST ? 0u : limit;
}

// Distance of any token; beyond what can be drawn where it is not allowed.
uint distance_at(uint token)
{
    uint distance = 0xFFFFFFFFu;
    if (allowed(token, four_flags(token & ~3u))) distance = distance_of(adjusted(token, logit(token)));
    return distance;
}

// ---- Thresholds ----------------------------------------------------------------------------------------------------

// Weights are sums high * 4096 + low; a weight of one token is at most 2^22, of 2^18 tokens at most 2^40.
#define DIGITS 64
#define DIGIT_GROUPS 8
shared uint digit_high[DIGITS], digit_low[DIGITS];
shared uint group_high[DIGIT_GROUPS], group_low[DIGIT_GROUPS];

// Exact and monotonic up to the rounding of the highest 24 bits.
float weight_of(uint high, uint low)
{
    return float(high + (low >> 12u)) * 4096.0 + float(low & 4095u);
}

void count_digit(uint distance, uint shift, uint prefix, uint farthest, bool by_mass)
{
    if (distance <= farthest && (distance >> shift) / DIGITS == prefix) {
        const uint digit = (distance >> shift) % DIGITS;
        uint weight = 1u;
        if (by_mass) weight = uint(exp(float(distance) * (-1.0 / STEPS)) * 4194304.0);
        atomicAdd(digit_low[digit], weight & 4095u);
        if (by_mass) atomicAdd(digit_high[digit], weight >> 12u);
    }
}

void count_digits(uint lane, uint shift, uint prefix, uint farthest, bool by_mass)
{
    for (uint digit = lane; digit < DIGITS; digit += LANES) {
        digit_high[digit] = 0u;
        digit_low[digit] = 0u;
    }
    barrier();
    for (uint i = lane; i < listed_count(); i += LANES) {
        count_digit(list_distance[i], shift, prefix, farthest, by_mass);
    }
    for (uint token = lane; token < unlisted_count(); token += LANES) {
        count_digit(distance_at(token), shift, prefix, farthest, by_mass);
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
}

// The smallest distance such that the candidates up to it weigh at least `share` (by mass: that share of the whole);
// those beyond `farthest` do not count. A token weighs 1, or its probability by mass.
uint threshold(uint lane, uint farthest, bool by_mass, float share)
{
    uint prefix = 0u, before_high = 0u, before_low = 0u;
    float target = share;
    for (uint level = 0u; level < 4u; ++level) {
        count_digits(lane, 18u - 6u * level, prefix, farthest, by_mass);
        if (by_mass && level == 0u) {
            uint high = 0u, low = 0u;
            for (uint k = 0u; k < DIGIT_GROUPS; ++k) {
                high += group_high[k];
                low += group_low[k];
            }
            target = share * weight_of(high, low);
        }
        // Whole groups first, then the digits of the group that reaches the target. An empty one never does.
        uint group = 0u;
        for (; group < DIGIT_GROUPS - 1u; ++group) {
            const uint high = before_high + group_high[group], low = before_low + group_low[group];
            if ((group_high[group] | group_low[group]) != 0u && weight_of(high, low) >= target) break;
            before_high = high + (low >> 12u);
            before_low = low & 4095u;
        }
        uint digit = group * (DIGITS / DIGIT_GROUPS);
        const uint last = digit + DIGITS / DIGIT_GROUPS - 1u;
        for (; digit < last; ++digit) {
            const uint high = before_high + digit_high[digit], low = before_low + digit_low[digit];
            if ((digit_high[digit] | digit_low[digit]) != 0u && weight_of(high, low) >= target) break;
            before_high = high + (low >> 12u);
            before_low = low & 4095u;
        }
        prefix = prefix * DIGITS + digit;
        barrier();
    }
    return prefix;
}

// The largest distance that the filters leave.
uint filter_threshold(uint lane)
{
    uint farthest = uint(FARTHEST * STEPS);
    if (settings.top_k != 0u && settings.top_k < p.vocabulary) {
        farthest = min(farthest, threshold(lane, farthest, false, float(settings.top_k)));
    }
    if (settings.top_p < 1.0) farthest = min(farthest, threshold(lane, farthest, true, max(settings.top_p, 0.0)));
    if (settings.min_p > 0.0) farthest = min(farthest, uint(clamp(-log(settings.min_p), 0.0, FARTHEST) * STEPS));
    return farthest;
}

// ---- Passes over the vocabulary ------------------------------------------------------------------------------------

// Over the tokens seen so far: (key, token) of the largest adjusted value; the largest logit, the sum of exp(x - it) and
// the sum of the same times (x - it).
uvec2 top;
float highest_logit, sum, moment;

void add_logits(vec4 x)
{
    const float before = highest_logit;
    highest_logit = max(max(max(x.x, x.y), max(x.z, x.w)), before);
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

float logit_or_none(uint token)
{
    float x = -2e30; // weighs nothing beside any logit
    if (token < limit) x = logit(token);
    return x;
}

void read_logits(uint lane)
{
    top = uvec2(0u, SX_NONE);
    highest_logit = -1e30;
    sum = 0.0;
    moment = 0.0;
    for (uint first = lane * 4u; first < limit; first += LANES * 4u) {
        const uint flags = four_flags(first);
        const vec4 x = vec4(logit(first), logit_or_none(first + 1u), logit_or_none(first + 2u),
                            logit_or_none(first + 3u));
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

void list_candidate(uint token, uint flags)
{
    if (allowed(token, flags)) {
        const uint distance = distance_of(adjusted(token, logit(token)));
        if (distance <= uint(FARTHEST * STEPS)) {
            const uint place = atomicAdd(list_count, 1u);
            if (place < LIST) {
                list_token[place] = token;
                list_distance[place] = distance;
            }
        }
    }
}

void list_candidates(uint lane)
{
    for (uint first = lane * 4u; first < limit; first += LANES * 4u) {
        const uint flags = four_flags(first);
        for (uint i = 0u; i < 4u; ++i) {
            list_candidate(first + i, flags);
        }
    }
    barrier();
}

uvec2 better_draw(uvec2 drawn, uint token, uint distance, uint farthest)
{
    uvec2 best = drawn;
    if (distance <= farthest) {
        const uint key = ordered(gumbel(token, position, seed_low, seed_high) - float(distance) * (1.0 / STEPS));
        if (better(key, token, drawn.x, drawn.y)) best = uvec2(key, token);
    }
    return best;
}

uint draw(uint lane)
{
    const uint farthest = filter_threshold(lane);
    uvec2 drawn = uvec2(0u, SX_NONE);
    for (uint i = lane; i < listed_count(); i += LANES) {
        drawn = better_draw(drawn, list_token[i], list_distance[i], farthest);
    }
    for (uint token = lane; token < unlisted_count(); token += LANES) {
        drawn = better_draw(drawn, token, distance_at(token), farthest);
    }
    return reduce_best(lane, uvec3(drawn, 0u)).y;
}

void main()
{
    const uint row = gl_WorkGroupID.x, lane = gl_LocalInvocationIndex;
    read_settings(row);
    if (lane == 0u) list_count = 0u;
    // Not by `adjusting`: what a private variable says does not count as uniform in WGSL.
    if (settings.repetition_penalty != 1.0 || settings.presence_penalty != 0.0 || settings.frequency_penalty != 0.0 ||
        settings.bias_count != 0u) {
        list_special(lane, row);
    }
    read_logits(lane);
    uint token = top.y;
    if (settings.temperature > 0.0) {
        list_candidates(lane);
        const uint drawn = draw(lane);
        if (drawn != SX_NONE) token = drawn;
    }
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
