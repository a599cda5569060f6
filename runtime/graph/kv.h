// The keys and values of one sequence: every layer's, in a few large buffers ("banks") of whole layers.
#ifndef SX_GRAPH_KV_H
#define SX_GRAPH_KV_H

#include "graph/ops.h"

enum { SX_KV_MAX_BANKS = 64 };

typedef struct sx_kv {
    uint32_t layers, slots;
    uint32_t row_bytes;   // of one position's keys, and of its values
    uint64_t layer_bytes; // stride of a layer within its bank, a multiple of 256
    uint32_t bank_layers; // layers in every bank but the last
    uint32_t bank_count;
    sx_gpu_buffer *bank[SX_KV_MAX_BANKS];
} sx_kv;

// `slots`: positions, plus the scratch slots of a tree. Layers share head shapes; `row_bytes` is sx_kv_row_bytes of
// them.
uint64_t sx_kv_bytes(uint32_t layers, uint32_t slots, uint32_t row_bytes);
sx_status sx_kv_create(sx_gpu *gpu, uint32_t layers, uint32_t slots, uint32_t row_bytes, const char *label, sx_kv *out,
                       sx_error *error);
void sx_kv_destroy(sx_gpu *gpu, sx_kv *kv); // a zeroed struct is allowed
sx_gpu_binding sx_kv_layer(const sx_kv *kv, uint32_t layer);
// Where the keys (half 0) or values (half 1) of slots [first, first + count) lie, for sx_gpu_read and sx_gpu_write.
sx_gpu_binding sx_kv_rows(const sx_kv *kv, uint32_t layer, uint32_t half, uint32_t first, uint32_t count);
// One kv_move per bank.
void sx_kv_move(const sx_ops *ops, sx_gpu_tape *tape, const sx_kv *kv, const sx_attention_shape *shape,
                sx_gpu_binding state);

#endif
