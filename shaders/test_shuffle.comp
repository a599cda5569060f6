// out[i] = the index of the first invocation of i's subgroup, found by a shuffle. Conformance suite only.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_basic : require
#extension GL_KHR_shader_subgroup_shuffle : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters { uint count; } p;
layout(binding = 1, std430) writeonly buffer Out { uint data[]; } result;

void main()
{
    const uint i = invocation_index();
    const uint first = subgroupShuffle(i, 0u);
    if (i < p.count) result.data[i] = first;
}
