// A row of logits, four neighbouring tokens at a time, whose loads are under way together. The includer has a buffer of
// `float logits[]` and has included order.glsl.
#ifndef SX_LOGITS_GLSL
#define SX_LOGITS_GLSL

// Those of tokens first .. first + 3 of the row that begins at `from` and has `count`; behind its end, less than any.
vec4 four_logits(uint from, uint first, uint count)
{
    const uvec4 token = first + uvec4(0u, 1u, 2u, 3u), at = from + min(token, uvec4(count - 1u));
    const vec4 x = vec4(sane(logits[at.x]), sane(logits[at.y]), sane(logits[at.z]), sane(logits[at.w]));
    return mix(x, vec4(-2e30), greaterThanEqual(token, uvec4(count)));
}

float largest_of(vec4 x)
{
    return max(max(x.x, x.y), max(x.z, x.w));
}

#endif
