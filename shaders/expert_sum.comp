// out[r, i] = residual[r, i] + sum_k routes[r, k].weight * x[r * used + k, i], k in order
//
// x [rows * used, n], residual and out [rows, n]. An invocation makes an element. Dispatched by sx_op_expert_sum.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"
#include "shared.h"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters {
    uint n;
    uint count; // rows * n
    uint used;
} p;
layout(binding = 1, std430) readonly buffer X { float data[]; } x;
layout(binding = 2, std430) readonly buffer Routes { SxRoute routes[]; };
layout(binding = 3, std430) readonly buffer Residual { float data[]; } residual;
layout(binding = 4, std430) writeonly buffer Out { float data[]; } result;

void main()
{
    const uint index = invocation_index();
    if (index < p.count) {
        const uint r = index / p.n, i = index % p.n;
        precise float sum = 0.0;
        for (uint k = 0u; k < p.used; ++k) {
            const uint route = r * p.used + k;
            sum = fma(routes[route].weight, x.data[route * p.n + i], sum);
        }
        result.data[index] = residual.data[index] + sum;
    }
}
