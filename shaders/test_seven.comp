// out[i] = sum over k of (k + 1) * in_k[i], with all seven storage buffers of the contract. Conformance suite only.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters { uint count; } p;
layout(binding = 1, std430) readonly buffer In0 { uint data[]; } in0;
layout(binding = 2, std430) readonly buffer In1 { uint data[]; } in1;
layout(binding = 3, std430) readonly buffer In2 { uint data[]; } in2;
layout(binding = 4, std430) writeonly buffer Out { uint data[]; } result;
layout(binding = 5, std430) readonly buffer In3 { uint data[]; } in3;
layout(binding = 6, std430) readonly buffer In4 { uint data[]; } in4;
layout(binding = 7, std430) readonly buffer In5 { uint data[]; } in5;

void main()
{
    const uint i = invocation_index();
    if (i < p.count) {
        result.data[i] = in0.data[i] + 2u * in1.data[i] + 3u * in2.data[i] + 4u * in3.data[i] + 5u * in4.data[i] +
                         6u * in5.data[i];
    }
}
