#include "graph/parts.h"

uint64_t sx_parts_bytes(const sx_buffer_part *parts, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count; i++)
        bytes += parts[i].bytes;
    return bytes;
}

sx_status sx_parts_create(sx_gpu *gpu, const sx_buffer_part *parts, uint32_t count, sx_error *error)
{
    for (uint32_t i = 0; i < count; i++)
        *parts[i].buffer = NULL;
    for (uint32_t i = 0; i < count; i++) {
        if (!parts[i].bytes) continue;
        const sx_status status =
            sx_gpu_buffer_create(gpu, parts[i].bytes, SX_GPU_STORAGE, parts[i].label, parts[i].buffer, error);
        if (status != SX_OK) {
            sx_parts_destroy(gpu, parts, count);
            return status;
        }
    }
    return SX_OK;
}

void sx_parts_destroy(sx_gpu *gpu, const sx_buffer_part *parts, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        sx_gpu_buffer_destroy(gpu, *parts[i].buffer);
        *parts[i].buffer = NULL;
    }
}
