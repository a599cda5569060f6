// Sum over a workgroup of LANES invocations in a fixed order. A workgroup that is one subgroup on a CPU (SHUFFLE = LANES, 4
// or 8) hands the values round. Others (16, 64 or 256) do it in two steps through shared memory: each of the first
// sqrt(LANES) invocations adds as many values, then every invocation adds their results.
#ifndef SX_REDUCE_GLSL
#define SX_REDUCE_GLSL

#if SHUFFLE
#include "shuffle.glsl"

float reduce_sum(uint lane, float value)
{
    return sum_of_values(value);
}

#else
#if LANES == 256
#define LANES_ROOT 16
#elif LANES == 64
#define LANES_ROOT 8
#elif LANES == 16
#define LANES_ROOT 4
#endif

shared float reduce_values[LANES];
shared float reduce_sums[LANES_ROOT];

// Called by every invocation of the workgroup, in uniform control flow; gives all of them the sum. Calls one behind
// another need no barrier between them.
float reduce_sum(uint lane, float value)
{
    reduce_values[lane] = value;
    barrier();
    if (lane < LANES_ROOT) {
        precise float sum = reduce_values[lane * LANES_ROOT];
        for (uint k = 1; k < LANES_ROOT; ++k) {
            sum += reduce_values[lane * LANES_ROOT + k];
        }
        reduce_sums[lane] = sum;
    }
    barrier();
    precise float total = reduce_sums[0];
    for (uint k = 1; k < LANES_ROOT; ++k) {
        total += reduce_sums[k];
    }
    return total;
}
#endif

#endif
