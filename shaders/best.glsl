// The best (key, index) pair of a workgroup and, beside it, the largest of a second key, in two steps as reduce.glsl,
// which must be included before.
#ifndef SX_BEST_GLSL
#define SX_BEST_GLSL

shared uint best_keys[LANES], best_indices[LANES], best_seconds[LANES];
shared uvec3 best_parts[LANES_ROOT];

uvec3 better_of(uvec3 a, uvec3 b)
{
    const bool second = better(b.x, b.y, a.x, a.y);
    return uvec3(second ? b.xy : a.xy, max(a.z, b.z));
}

// Called by every invocation in uniform control flow: (key, index, second key), all of them for the whole workgroup.
uvec3 reduce_best(uint lane, uvec3 value)
{
    best_keys[lane] = value.x;
    best_indices[lane] = value.y;
    best_seconds[lane] = value.z;
    barrier();
    if (lane < LANES_ROOT) {
        uvec3 part = value;
        for (uint k = 0u; k < LANES_ROOT; ++k) {
            const uint other = lane * LANES_ROOT + k;
            const uvec3 candidate = uvec3(best_keys[other], best_indices[other], best_seconds[other]);
            part = k == 0u ? candidate : better_of(part, candidate);
        }
        best_parts[lane] = part;
    }
    barrier();
    uvec3 result = best_parts[0];
    for (uint k = 1u; k < LANES_ROOT; ++k) {
        result = better_of(result, best_parts[k]);
    }
    return result;
}

#endif
