// out[r, i] = act(gate_up[r, i]) * gate_up[r, n + i], act = SiLU or the tanh form of GELU.
//
// gate_up [rows, 2 n], out [rows, n]. An invocation makes an element. Dispatched by sx_op_gated_unit.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "common.glsl"

layout(local_size_x = 64) in;
layout(binding = 0, std140) uniform Parameters {
    uint n;
    uint count; // rows * n
    uint activation; // sx_activation
} p;
layout(binding = 1, std430) readonly buffer GateUp { float data[]; } gate_up;
layout(binding = 2, std430) writeonly buffer Out { float data[]; } result;

float silu(float g)
{
    return g / (1.0 + exp(-g)); // exp may become infinite, which gives -0
}

float gelu_tanh(float g)
{
    // tanh by way of exp of a clamped argument: implementations of tanh overflow to NaN for large ones.
    const float t = clamp(0.7978845608 * (g + 0.044715 * g * g * g), -15.0, 15.0);
    const float e = exp(2.0 * t);
    return 0.5 * g * (1.0 + (e - 1.0) / (e + 1.0));
}

void main()
{
    const uint index = invocation_index();
    if (index < p.count) {
        const uint r = index / p.n, i = index % p.n;
        const uint at = r * 2u * p.n + i;
        const float gate = gate_up.data[at], up = gate_up.data[at + p.n];
        result.data[index] = (p.activation == 0u ? silu(gate) : gelu_tanh(gate)) * up;
    }
}
