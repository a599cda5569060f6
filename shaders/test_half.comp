// out[i] = half(in[i]) + half(in[i]) in fp16 arithmetic: 2048 + 1 loses its last bit there. Conformance suite only.
#version 450
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters { uint count; } p;
layout(binding = 1, std430) readonly buffer In { float data[]; } source;
layout(binding = 2, std430) writeonly buffer Out { float data[]; } result;

void main()
{
    const uint i = invocation_index();
    if (i < p.count) result.data[i] = float(float16_t(source.data[i]) + float16_t(source.data[i]) + float16_t(1.0));
}
