// A struct's device buffers as a list: one place for counting, creating and destroying them.
#ifndef SX_GRAPH_PARTS_H
#define SX_GRAPH_PARTS_H

#include "gpu/gpu.h"

typedef struct sx_buffer_part {
    sx_gpu_buffer **buffer;
    uint64_t bytes; // 0: not needed
    const char *label;
} sx_buffer_part;

uint64_t sx_parts_bytes(const sx_buffer_part *parts, uint32_t count);
// Buffers that are not needed become NULL. On failure none is left.
sx_status sx_parts_create(sx_gpu *gpu, const sx_buffer_part *parts, uint32_t count, sx_error *error);
void sx_parts_destroy(sx_gpu *gpu, const sx_buffer_part *parts, uint32_t count); // NULL buffers are allowed

#endif
