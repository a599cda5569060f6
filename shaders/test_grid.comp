// Counts visits: hits[group] += 1 once per workgroup, groups beyond `groups` ignored; other[0..2] = the grid's size as
// the kernel sees it. No parameter names the folding: group_index() must hide it. Conformance suite only.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 1) in;
layout(binding = 0, std140) uniform Parameters { uint groups; } p;
layout(binding = 1, std430) buffer Hits { uint data[]; } hits;
layout(binding = 2, std430) writeonly buffer Size { uint data[]; } size;

void main()
{
    const uint group = group_index();
    const uint total = gl_NumWorkGroups.x * gl_NumWorkGroups.y;
    const uint index = gl_WorkGroupID.z * total + group;
    if (index < p.groups) atomicAdd(hits.data[index], 1u);
    if (index == 0u) {
        size.data[0] = gl_NumWorkGroups.x;
        size.data[1] = gl_NumWorkGroups.y;
        size.data[2] = gl_NumWorkGroups.z;
    }
}
