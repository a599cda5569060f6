// out[first + i] = value + i * step for i < count. One invocation an element. Conformance suite only.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters {
    uint count;
    uint value;
    uint step;
    uint first;
} p;
layout(binding = 1, std430) writeonly buffer Out { uint data[]; } result;

void main()
{
    const uint i = invocation_index();
    if (i < p.count) result.data[p.first + i] = p.value + i * p.step;
}
