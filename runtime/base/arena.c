#include "base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE ((size_t)64 * 1024)

struct sx_arena_block {
    struct sx_arena_block *next;
    size_t used, size; // bytes of the payload behind this header
};

void *sx_arena_alloc(sx_arena *arena, size_t size)
{
    if (size > SIZE_MAX - BLOCK_SIZE) return NULL;
    size = (size + 15) & ~(size_t)15;
    struct sx_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < size) {
        const size_t header = (sizeof *block + 15) & ~(size_t)15;
        const size_t payload = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        block = calloc(1, header + payload);
        if (!block) return NULL;
        block->used = header;
        block->size = header + payload;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *memory = (char *)block + block->used;
    block->used += size;
    arena->total += size;
    return memory;
}

char *sx_arena_string(sx_arena *arena, const char *text, size_t length)
{
    char *copy = sx_arena_alloc(arena, length + 1);
    if (copy) memcpy(copy, text, length);
    return copy;
}

void sx_arena_free(sx_arena *arena)
{
    while (arena->blocks) {
        struct sx_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
    arena->total = 0;
}
