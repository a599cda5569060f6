// signals[r] = (sigmoid(w0 . x), sigmoid(w1 . x), exp(w2 . x), 0), rows of weight absent in `mask` give 0.
//
// weight [3, n], x [rows, n], out [rows, 4]. exp is clamped to finite values. A workgroup of LANES invocations makes a
// row. Dispatched by sx_op_signals.
#version 450
#extension GL_GOOGLE_include_directive : require
#if SHUFFLE
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "shared.h"
#include "reduce.glsl"

layout(local_size_x = LANES) in;
layout(binding = 0, std140) uniform Parameters {
    uint n;
    uint mask; // SX_SIGNAL_*
} p;
layout(binding = 1, std430) readonly buffer Weight { float data[]; } weight;
layout(binding = 2, std430) readonly buffer X { float data[]; } x;
layout(binding = 3, std430) writeonly buffer Out { float data[]; } result;

// What this invocation adds to the products with the three rows.
vec3 add_products(uint lane, uint from)
{
    precise vec3 sum = vec3(0.0);
    for (uint i = lane; i < p.n; i += LANES) {
        const vec3 rows = vec3(weight.data[i], weight.data[p.n + i], weight.data[2u * p.n + i]);
        sum = fma(rows, vec3(x.data[from + i]), sum);
    }
    return sum;
}

float sigmoid(float value)
{
    return 1.0 / (1.0 + exp(-value));
}

void main()
{
    const uint r = gl_WorkGroupID.x, lane = gl_LocalInvocationID.x, from = r * p.n;
    const vec3 sum = add_products(lane, from);
    const float confidence = reduce_sum(lane, sum.x);
    const float progress = reduce_sum(lane, sum.y);
    const float remain = reduce_sum(lane, sum.z);
    if (lane == 0u) {
        result.data[4u * r] = (p.mask & SX_SIGNAL_CONFIDENCE) != 0u ? sigmoid(confidence) : 0.0;
        result.data[4u * r + 1u] = (p.mask & SX_SIGNAL_PROGRESS) != 0u ? sigmoid(progress) : 0.0;
        result.data[4u * r + 2u] = (p.mask & SX_SIGNAL_REMAIN) != 0u ? exp(clamp(remain, -80.0, 80.0)) : 0.0;
        result.data[4u * r + 3u] = 0.0;
    }
}
