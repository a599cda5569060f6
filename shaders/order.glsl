// Floats as unsigned integers of the same order, and pairs (key, index) of which the better one has the larger key,
// then the lower index: every choice among equal values is then the same on every device.
#ifndef SX_ORDER_GLSL
#define SX_ORDER_GLSL

// -0 and +0 are equal. Not for NaN: pass values through sane() first. Never 0 for a sane value.
uint ordered(float value)
{
    uint bits = floatBitsToUint(value);
    if (bits == 0x80000000u) bits = 0u;
    return (bits & 0x80000000u) != 0u ? ~bits : bits | 0x80000000u;
}

float from_ordered(uint key)
{
    return uintBitsToFloat((key & 0x80000000u) != 0u ? key & 0x7FFFFFFFu : ~key);
}

// NaN counts as the lowest value; infinities become large numbers, so that differences stay numbers.
float sane(float value)
{
    const bool nan = (floatBitsToUint(value) & 0x7FFFFFFFu) > 0x7F800000u;
    return nan ? -1e30 : clamp(value, -1e30, 1e30);
}

bool better(uint key, uint index, uint other_key, uint other_index)
{
    return key > other_key || (key == other_key && index < other_index);
}

#endif
