// b[i] = b[i] * factor + a[i] for i < count (modulo 2^32): order of dispatches shows. Conformance suite only.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters {
    uint count;
    uint factor;
} p;
layout(binding = 1, std430) readonly buffer A { uint data[]; } a;
layout(binding = 2, std430) buffer B { uint data[]; } b;

void main()
{
    const uint i = invocation_index();
    if (i < p.count) b.data[i] = b.data[i] * p.factor + a.data[i];
}
