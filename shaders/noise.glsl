// Counter-based noise: Threefry-2x32 with 20 rounds (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
// SC 2011), counter (token, position), key (seed). Target and draft add the same noise to the same token at the same
// position, which is what makes sampled drafts agree. tests/ops_decide has the same in C with the published vectors.
#ifndef SX_NOISE_GLSL
#define SX_NOISE_GLSL

// Whatever the noise, it lies in [NOISE_LOWEST, NOISE_HIGHEST]: -log(-log(u)) at u = 2^-24 and 1 - 2^-24, with slack.
#define NOISE_LOWEST (-2.85)
#define NOISE_HIGHEST 16.65

uint rotate_left(uint value, uint bits)
{
    return (value << bits) | (value >> (32u - bits));
}

void threefry_rounds(inout uint a, inout uint b, uvec4 bits)
{
    a += b;
    b = rotate_left(b, bits.x) ^ a;
    a += b;
    b = rotate_left(b, bits.y) ^ a;
    a += b;
    b = rotate_left(b, bits.z) ^ a;
    a += b;
    b = rotate_left(b, bits.w) ^ a;
}

uint noise_bits(uint token, uint position, uint seed_low, uint seed_high)
{
    const uint parity = 0x1BD11BDAu ^ seed_low ^ seed_high;
    const uvec4 even = uvec4(13u, 15u, 26u, 6u), odd = uvec4(17u, 29u, 16u, 24u);
    uint a = token + seed_low, b = position + seed_high;
    threefry_rounds(a, b, even);
    a += seed_high;
    b += parity + 1u;
    threefry_rounds(a, b, odd);
    a += parity;
    b += seed_low + 2u;
    threefry_rounds(a, b, even);
    a += seed_low;
    b += seed_high + 3u;
    threefry_rounds(a, b, odd);
    a += seed_high;
    b += parity + 4u;
    threefry_rounds(a, b, even);
    a += parity;
    return a;
}

// A Gumbel variate, -log(-log(u)), with 1 - u = x = (k + 1/2) / 2^23. Devices compute log near 1 with an absolute error
// only, which would spoil the largest variates: there -log(1 - x) is its series.
float gumbel(uint token, uint position, uint seed_low, uint seed_high)
{
    const uint bits = noise_bits(token, position, seed_low, seed_high);
    const float x = (float(bits >> 9u) + 0.5) * (1.0 / 8388608.0);
    float exponential;
    if (x < 0.015625) {
        exponential = x * (1.0 + x * (0.5 + x * (1.0 / 3.0 + x * 0.25)));
    } else {
        exponential = -log(1.0 - x);
    }
    return clamp(-log(exponential), NOISE_LOWEST, NOISE_HIGHEST);
}

#endif
