// Drawing from the tokens that the filters leave: the second half of sample.comp, which includes this behind the
// functions it calls.
#ifndef SX_DRAW_GLSL
#define SX_DRAW_GLSL

#include "noise.glsl"

uint position, seed_low, seed_high;
float inverse_temperature;

void read_drawing(uint row)
{
    position = batch.position[row] + 1u;
    inverse_temperature = 1.0 / max(settings.temperature, 1e-4);
    seed_low = settings.seed_low;
    seed_high = settings.seed_high;
}

// ---- The tokens that can be drawn ----------------------------------------------------------------------------------

#define STEPS 524288.0 // of a distance of 1: distances have 24 bits
#define FARTHEST (NOISE_HIGHEST - NOISE_LOWEST)
#if LANES == 16
#define LIST 256 // SwiftShader's compiler zeroes every word of shared memory by an instruction of its own
#else
#define LIST 1024
#endif
shared uint list_token[LIST], list_distance[LIST], list_count, bound_key;

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

// ---- Drawing -------------------------------------------------------------------------------------------------------

// The largest distance that a filter may leave, as far as the largest values of the invocations tell: as many tokens as
// there are better ones among them come before. So that the list rarely is too short.
uint listed_distance(uint lane)
{
    uint farthest = uint(FARTHEST * STEPS);
    if (settings.top_k != 0u && settings.top_k <= LANES) {
        uint rank = 0u;
        for (uint other = 0u; other < LANES; ++other) {
            if (better(best_keys[other], other, best_keys[lane], lane)) rank += 1u;
        }
        if (rank == settings.top_k - 1u) bound_key = best_keys[lane];
        barrier();
        if (bound_key != 0u) farthest = min(farthest, distance_of(from_ordered(bound_key))); // else there are fewer
    }
    return farthest;
}

void list_candidate(uint token, uint flags, float x, uint farthest)
{
    if (allowed(token, flags)) {
        const uint distance = distance_of(adjusted(token, x));
        if (distance <= farthest) {
            const uint place = atomicAdd(list_count, 1u);
            if (place < LIST) {
                list_token[place] = token;
                list_distance[place] = distance;
            }
        }
    }
}

// Behind read_logits(), whose best_keys it reads.
void list_candidates(uint lane)
{
    const uint farthest = listed_distance(lane);
    for (uint first = lane * 4u; first < limit; first += LANES * 4u) {
        const uint flags = four_flags(first);
        const vec4 x = four_logits(from, first, limit);
        for (uint i = 0u; i < 4u; ++i) {
            list_candidate(first + i, flags, x[i], farthest);
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

#endif
