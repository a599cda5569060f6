// out[r, out_offset + i] = x[r, i] / sqrt(mean(x[r, :n]^2) + eps) * weight[i] + residual[r, i]
//
// x [rows, x_stride], out and residual [rows, out_stride]. A workgroup of LANES invocations makes a row; an invocation
// every LANES-th element, four of them at a time, whose loads are under way together. Dispatched by sx_op_rms_norm.
#version 450
#extension GL_GOOGLE_include_directive : require
#if SHUFFLE
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_ballot : require
#extension GL_KHR_shader_subgroup_shuffle : require
#endif
#include "reduce.glsl"

layout(local_size_x = LANES) in;
layout(binding = 0, std140) uniform Parameters {
    uint n;
    uint x_stride;
    uint out_stride;
    uint out_offset;
    float eps;
    uint has_residual;
} p;
layout(binding = 1, std430) readonly buffer X { float data[]; } x;
layout(binding = 2, std430) readonly buffer Weight { float data[]; } weight;
layout(binding = 3, std430) readonly buffer Residual { float data[]; } residual;
layout(binding = 4, std430) writeonly buffer Out { float data[]; } result;

#define FOUR(data, at) vec4(data[at], data[(at) + LANES], data[(at) + 2u * LANES], data[(at) + 3u * LANES])

float add_squares(uint lane, uint from)
{
    precise float sum = 0.0;
    uint i = lane;
    for (; i + 3u * LANES < p.n; i += 4u * LANES) {
        const vec4 value = FOUR(x.data, from + i);
        sum = fma(value.x, value.x, sum);
        sum = fma(value.y, value.y, sum);
        sum = fma(value.z, value.z, sum);
        sum = fma(value.w, value.w, sum);
    }
    for (; i < p.n; i += LANES) {
        const float value = x.data[from + i];
        sum = fma(value, value, sum);
    }
    return sum;
}

void main()
{
    const uint r = gl_WorkGroupID.x, lane = gl_LocalInvocationID.x;
    const uint from = r * p.x_stride, to = r * p.out_stride, out_to = to + p.out_offset;
    const float factor = 1.0 / sqrt(reduce_sum(lane, add_squares(lane, from)) / float(p.n) + p.eps);
    uint i = lane;
    for (; i + 3u * LANES < p.n; i += 4u * LANES) {
        precise vec4 value = FOUR(x.data, from + i) * factor * FOUR(weight.data, i);
        if (p.has_residual != 0u) value += FOUR(residual.data, to + i);
        result.data[out_to + i] = value.x;
        result.data[out_to + i + LANES] = value.y;
        result.data[out_to + i + 2u * LANES] = value.z;
        result.data[out_to + i + 3u * LANES] = value.w;
    }
    for (; i < p.n; i += LANES) {
        precise float value = x.data[from + i] * factor * weight.data[i];
        if (p.has_residual != 0u) value += residual.data[to + i];
        result.data[out_to + i] = value;
    }
}
