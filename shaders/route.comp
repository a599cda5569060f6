// routes[r, 0..used): the experts with the largest router logits of row r, best first (ties: lower number), with their
// weights softmax(logits[r])[expert], divided by the sum of the chosen ones where `normed`.
//
// logits [rows, experts], routes [rows, used], used <= SX_MAX_EXPERTS_USED. A workgroup makes a row: an invocation ranks
// every LANES-th expert by counting those before it, which needs no barrier; with the numbers of experts there are (128)
// that is little beside one expert's matrix. Every number it writes is below `experts`, NaN counts as the lowest logit.
// Dispatched by sx_op_route.
#version 450
#extension GL_GOOGLE_include_directive : require
#include "shared.h"
#include "order.glsl"

layout(local_size_x = LANES) in;
layout(binding = 0, std140) uniform Parameters {
    uint experts;
    uint used;
    uint normed;
} p;
layout(binding = 1, std430) readonly buffer Logits { float logits[]; };
layout(binding = 2, std430) writeonly buffer Routes { SxRoute routes[]; };

shared uint chosen[SX_MAX_EXPERTS_USED];
shared float chosen_logit[SX_MAX_EXPERTS_USED];

void main()
{
    const uint row = gl_WorkGroupID.x, lane = gl_LocalInvocationIndex;
    const uint from = row * p.experts;
    for (uint expert = lane; expert < p.experts; expert += LANES) {
        const float x = sane(logits[from + expert]);
        const uint key = ordered(x);
        uint rank = 0u;
        for (uint other = 0u; other < p.experts; ++other) {
            if (better(ordered(sane(logits[from + other])), other, key, expert)) rank += 1u;
        }
        if (rank < p.used) {
            chosen[rank] = expert;
            chosen_logit[rank] = x;
        }
    }
    barrier();
    const float highest = chosen_logit[0];
    precise float sum = 0.0;
    if (p.normed != 0u) {
        for (uint k = 0u; k < p.used; ++k) sum += exp(max(chosen_logit[k] - highest, -100.0));
    } else {
        for (uint other = 0u; other < p.experts; ++other) {
            sum += exp(max(sane(logits[from + other]) - highest, -100.0));
        }
    }
    for (uint k = lane; k < p.used; k += LANES) {
        routes[row * p.used + k] = SxRoute(chosen[k], exp(max(chosen_logit[k] - highest, -100.0)) / sum);
    }
}
