#include "graph/kv.h"

#include <string.h>

static uint64_t layer_bytes(uint32_t slots, uint32_t row_bytes)
{
    const uint64_t bytes = 2ull * slots * row_bytes; // keys and values
    return (bytes + SX_GPU_OFFSET_ALIGNMENT - 1) / SX_GPU_OFFSET_ALIGNMENT * SX_GPU_OFFSET_ALIGNMENT;
}

uint64_t sx_kv_bytes(uint32_t layers, uint32_t slots, uint32_t row_bytes)
{
    return layers * layer_bytes(slots, row_bytes);
}

sx_status sx_kv_create(sx_gpu *gpu, uint32_t layers, uint32_t slots, uint32_t row_bytes, const char *label, sx_kv *out,
                       sx_error *error)
{
    const sx_gpu_info *info = sx_gpu_get_info(gpu);
    sx_kv kv = {.layers = layers, .slots = slots, .row_bytes = row_bytes, .layer_bytes = layer_bytes(slots, row_bytes)};
    // kv_move binds a whole bank, so a bank is no larger than one binding.
    uint64_t limit = info->max_binding_size < info->max_buffer_size ? info->max_binding_size : info->max_buffer_size;
    if (limit > 1ull << 30) limit = 1ull << 30;
    const uint64_t fitting = limit / kv.layer_bytes;
    if (!fitting)
        return sx_fail(
            error, SX_ERROR_GPU_MEMORY,
            "context: one layer's keys and values for %u tokens take %llu MiB, more than the device binds at "
            "once (%llu MiB); use a smaller context",
            slots, (unsigned long long)(kv.layer_bytes >> 20), (unsigned long long)(limit >> 20));
    kv.bank_layers = fitting < layers ? (uint32_t)fitting : layers;
    const uint32_t banks = (layers + kv.bank_layers - 1) / kv.bank_layers;
    if (banks > SX_KV_MAX_BANKS)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "context: %u tokens need more than %d buffers for keys and values; "
                       "use a smaller context",
                       slots, SX_KV_MAX_BANKS);
    for (; kv.bank_count < banks; kv.bank_count++) {
        const uint32_t first = kv.bank_count * kv.bank_layers;
        const uint32_t count = layers - first < kv.bank_layers ? layers - first : kv.bank_layers;
        const sx_status status =
            sx_gpu_buffer_create(gpu, count * kv.layer_bytes, SX_GPU_STORAGE, label, &kv.bank[kv.bank_count], error);
        if (status != SX_OK) {
            sx_kv_destroy(gpu, &kv);
            return status;
        }
    }
    *out = kv;
    return SX_OK;
}

void sx_kv_destroy(sx_gpu *gpu, sx_kv *kv)
{
    for (uint32_t i = 0; i < kv->bank_count; i++)
        sx_gpu_buffer_destroy(gpu, kv->bank[i]);
    memset(kv, 0, sizeof *kv);
}

sx_gpu_binding sx_kv_layer(const sx_kv *kv, uint32_t layer)
{
    return (sx_gpu_binding){.buffer = kv->bank[layer / kv->bank_layers],
                            .offset = layer % kv->bank_layers * kv->layer_bytes,
                            .size = kv->layer_bytes};
}

sx_gpu_binding sx_kv_rows(const sx_kv *kv, uint32_t layer, uint32_t half, uint32_t first, uint32_t count)
{
    sx_gpu_binding rows = sx_kv_layer(kv, layer);
    rows.offset += ((uint64_t)half * kv->slots + first) * kv->row_bytes;
    rows.size = (uint64_t)count * kv->row_bytes;
    return rows;
}

void sx_kv_move(const sx_ops *ops, sx_gpu_tape *tape, const sx_kv *kv, const sx_attention_shape *shape,
                sx_gpu_binding state)
{
    sx_attention_shape own = *shape;
    own.slots = kv->slots;
    for (uint32_t i = 0; i < kv->bank_count; i++) {
        const uint32_t first = i * kv->bank_layers;
        const uint32_t count = kv->layers - first < kv->bank_layers ? kv->layers - first : kv->bank_layers;
        const sx_gpu_binding bank = {.buffer = kv->bank[i], .size = count * kv->layer_bytes};
        sx_op_kv_move(ops, tape, &own, count, kv->layer_bytes, state, bank);
    }
}
