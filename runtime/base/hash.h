// Hashes for telling things apart, against accident. Not for keeping anything safe from an attacker.
#ifndef SX_BASE_HASH_H
#define SX_BASE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SX_HASH_START 0xcbf29ce484222325u

// FNV-1a, 64 bits, a byte at a time: for little. Goes on from `hash`, at first SX_HASH_START.
static inline uint64_t sx_hash(uint64_t hash, const void *data, size_t size)
{
    const uint8_t *bytes = (const uint8_t *)data;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

// Eight bytes at a time: for gigabytes that are checked again and again. The same on every machine; hashing in pieces
// gives another value than hashing the whole.
uint64_t sx_hash64(uint64_t hash, const void *data, size_t size);

// As files write them, "%016llx": false unless the text is 16 hexadecimal digits and nothing else.
bool sx_hash_read(const char *text, uint64_t *out);

#endif
