// out[i] = in[count - 1 - i] * factor + addend for i < count: a chain of these shows every missing barrier, since
// each element comes from the far end of the array. Conformance suite only.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters {
    uint count;
    uint factor;
    uint addend;
} p;
layout(binding = 1, std430) readonly buffer In { uint data[]; } source;
layout(binding = 2, std430) writeonly buffer Out { uint data[]; } result;

void main()
{
    const uint i = invocation_index();
    if (i < p.count) result.data[i] = source.data[p.count - 1u - i] * p.factor + p.addend;
}
