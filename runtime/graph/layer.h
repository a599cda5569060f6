// One decoder layer: attention and feed-forward, as every dense target and every EAGLE-3 draft has it.
#ifndef SX_GRAPH_LAYER_H
#define SX_GRAPH_LAYER_H

#include "graph/kv.h"
#include "graph/ops.h"

// A layer's weights on the device. H hidden, I feed-forward; In = H, in a draft's first layer 2H. Absent bindings have
// size 0.
typedef struct sx_layer {
    sx_gpu_binding attention_norm; // [H]
    sx_gpu_binding hidden_norm;    // [H], a draft's first layer only
    uint32_t qkv_count;            // 1: fused [(heads + 2 kv_heads) * head_dim, In]; 3: q, k, v of different formats
    sx_matrix qkv[3];
    sx_gpu_binding qkv_bias[3]; // as qkv
    sx_gpu_binding qk_norm;     // [2][head_dim]
    sx_matrix o;                // [H, heads * head_dim]
    sx_gpu_binding o_bias;
    sx_gpu_binding post_attention_norm; // [H]
    sx_gpu_binding ffn_norm;            // [H]
    uint32_t gate_up_count;             // 1: fused [2I, H]; 2: gate, up
    sx_matrix gate_up[2];
    sx_matrix down; // [H, I]
    // A layer of experts has these instead of gate_up and down; `ffn` is then experts_used * the size of one.
    uint32_t experts, experts_used;           // 0: a dense layer
    bool expert_weights_normed;               // the chosen experts' shares are divided by their sum
    sx_matrix router;                         // [experts, H]
    sx_expert_stack gate_experts, up_experts; // each [ffn / experts_used, H]
    sx_expert_stack down_experts;             // each [H, ffn / experts_used]
    sx_gpu_binding post_ffn_norm;             // [H]
    sx_attention_shape shape;
    sx_activation activation;
    float eps;
    uint32_t hidden, ffn;
} sx_layer;

// Activations between ops, shared by all layers of a session's target and draft.
typedef struct sx_scratch {
    sx_gpu_buffer *hidden;    // [rows, H]: the residual stream between layers
    sx_gpu_buffer *middle;    // [rows, H]: between attention and feed-forward
    sx_gpu_buffer *normed;    // [rows, 2H]
    sx_gpu_buffer *projected; // [rows, H]: an output before its norm (post norms only)
    sx_gpu_buffer *qkv;       // [rows, (heads + 2 kv_heads) * head_dim]
    sx_gpu_buffer *q;         // [rows, heads * head_dim]
    sx_gpu_buffer *attended;  // [rows, heads * head_dim]
    sx_gpu_buffer *partial;   // attention's partial sums
    sx_gpu_buffer *gate_up;   // [rows, 2I]
    sx_gpu_buffer *unit;      // [rows, I]
    sx_gpu_buffer *packed;    // the input of a linear op, packed; NULL where ops do not pack
    // Only where there are layers of experts, else NULL.
    sx_gpu_buffer *router;     // [rows, experts]
    sx_gpu_buffer *routes;     // SxRoute [rows, experts_used]
    sx_gpu_buffer *expert_out; // [rows, experts_used, H]
    uint64_t bytes;            // of all
} sx_scratch;

// The largest sizes among the models that share the scratch.
typedef struct sx_scratch_size {
    uint32_t rows;                // of a pass, at most
    uint32_t hidden, ffn, qkv, q; // elements of a row
    uint32_t experts, routes;     // elements of a row, 0 for dense models
    uint32_t packed;              // most columns of a linear op that packs; 0: none does
    uint64_t partial;             // bytes
} sx_scratch_size;
void sx_scratch_size_add(sx_scratch_size *size, const sx_layer *layer, uint32_t splits, bool packs);
uint64_t sx_scratch_bytes(const sx_scratch_size *size);
sx_status sx_scratch_create(sx_gpu *gpu, const sx_scratch_size *size, sx_scratch *out, sx_error *error);
void sx_scratch_destroy(sx_gpu *gpu, sx_scratch *scratch);

// Where a forward pass runs: the same for all of its layers.
typedef struct sx_pass {
    const sx_ops *ops;
    sx_gpu_tape *tape;
    const sx_scratch *scratch;
    uint32_t rows;   // fixed rows of the tape
    uint32_t splits; // positions below splits * SX_ATTENTION_SPLIT are served
    sx_gpu_binding batch;
} sx_pass;

// Packs x [rows, x_stride] for linear ops on the `count` matrices, which all have as many columns: what their `packed`
// is. Absent where ops do not pack, or the matrices of none. Holds until the next call.
sx_gpu_binding sx_pack_input(const sx_pass *pass, uint32_t rows, sx_gpu_binding x, uint32_t x_stride,
                             const sx_matrix *matrices, uint32_t count);

// hidden = hidden + attention(rms(hidden)); hidden = hidden + ffn(rms(hidden)), in place in scratch->hidden.
// `attention_input`: when present, [rows, input_stride] already normed input of the projections (a draft's first
// layer), and `residual` [rows, H] takes hidden's place. Keys and values are those of the kv's layer `kv_layer`, which
// says how many slots there are.
void sx_layer_forward(const sx_pass *pass, const sx_layer *layer, sx_gpu_binding inv_freq, const sx_kv *kv,
                      uint32_t kv_layer, sx_gpu_binding attention_input, uint32_t input_stride,
                      sx_gpu_binding residual);

static inline sx_gpu_binding sx_whole(sx_gpu_buffer *buffer)
{
    return (sx_gpu_binding){.buffer = buffer, .size = sx_gpu_buffer_size(buffer)};
}

#endif
