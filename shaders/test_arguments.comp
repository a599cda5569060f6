// Writes the arguments of an indirect dispatch: arguments[first..first+2] = (in[0], y, z). Conformance suite only.
#version 450
layout(local_size_x = 1) in;
layout(binding = 0, std140) uniform Parameters {
    uint first;
    uint y;
    uint z;
} p;
layout(binding = 1, std430) readonly buffer In { uint data[]; } source;
layout(binding = 2, std430) buffer Arguments { uint data[]; } arguments;

void main()
{
    arguments.data[p.first + 0u] = source.data[0];
    arguments.data[p.first + 1u] = p.y;
    arguments.data[p.first + 2u] = p.z;
}
