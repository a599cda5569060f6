#include "base/hash.h"

// One step of a multiply-and-fold hash: words go through a product whose halves are folded together by shifts.
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return hash ^ hash >> 29;
}

static uint64_t little_endian(const uint8_t *bytes, size_t count)
{
    uint64_t word = 0;
    for (size_t i = 0; i < count; i++)
        word |= (uint64_t)bytes[i] << 8 * i;
    return word;
}

uint64_t sx_hash64(uint64_t seed, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t hash = mix(seed, size);
    size_t at = 0;
    for (; size - at >= 8; at += 8)
        hash = mix(hash, little_endian(bytes + at, 8));
    if (at < size) hash = mix(hash, little_endian(bytes + at, size - at));
    return mix(hash, 0xa5);
}

bool sx_hash_read(const char *text, uint64_t *out)
{
    uint64_t hash = 0;
    for (int i = 0; i < 16; i++) {
        const char c = text[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return false;
        hash = hash << 4 | (uint64_t)digit;
    }
    *out = hash;
    return !text[16];
}
