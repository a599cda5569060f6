// A growing arena: many small allocations with one lifetime, freed together. Not thread safe.
#ifndef SX_BASE_ARENA_H
#define SX_BASE_ARENA_H

#include <stddef.h>

typedef struct sx_arena {
    struct sx_arena_block *blocks; // newest first; zero-initialise the struct to start
    size_t total;                  // bytes handed out
} sx_arena;

// Zeroed memory aligned to 16 bytes, or NULL when host memory is exhausted.
void *sx_arena_alloc(sx_arena *arena, size_t size);
// A terminated copy of `length` bytes, or NULL.
char *sx_arena_string(sx_arena *arena, const char *text, size_t length);
void sx_arena_free(sx_arena *arena);

#endif
