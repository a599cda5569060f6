// References to tensors inside model files. A reference owns nothing: it is valid while the files it points into are.
#ifndef SX_MODEL_TENSOR_H
#define SX_MODEL_TENSOR_H

#include "base/file.h"
#include "model/quant.h"

// A matrix [rows, columns] (or `slices` of them, one behind another: the experts of a layer), row after row in
// `format`. A vector has rows = 1 and its length as columns. An absent optional tensor is all zero: test with
// sx_tensor_exists.
typedef struct sx_tensor_ref {
    const char *name; // as in the file; NULL when absent
    sx_format format;
    uint32_t slices;  // 1 unless it is a stack of expert matrices
    uint32_t rows;    // per slice
    uint32_t columns; // a multiple of the format's block
    const sx_source *source;
    uint64_t offset; // of the first byte in the source; any alignment
    uint64_t size;   // bytes, all slices
} sx_tensor_ref;

static inline bool sx_tensor_exists(const sx_tensor_ref *tensor)
{
    return tensor->name != NULL;
}

// The rows [first, first + count) as a reference of their own (slices must be 1).
sx_tensor_ref sx_tensor_rows(const sx_tensor_ref *tensor, uint32_t first, uint32_t count);
// One slice of a stack.
sx_tensor_ref sx_tensor_slice(const sx_tensor_ref *tensor, uint32_t slice);

// Reads rows [first, first + count) of the stack seen as slices * rows rows, as raw bytes
// (count * sx_format_row_bytes). Fails with the tensor's and the file's name.
sx_status sx_tensor_read(const sx_tensor_ref *tensor, uint64_t first, uint64_t count, void *destination,
                         sx_error *error);
// Reads rows as floats [count, columns]. Weight formats only.
sx_status sx_tensor_read_floats(const sx_tensor_ref *tensor, uint64_t first, uint64_t count, float *destination,
                                sx_error *error);

// The bytes of the matrix as tiles in `format` (each slice's rows padded to 32 by itself).
uint64_t sx_tensor_tile_bytes(const sx_tensor_ref *tensor, sx_format format);
// Reads rows [first, first + count) of one slice and packs them as tiles, requantising when `format` is not the
// tensor's own (sx_can_quantize(format)). `first` is a multiple of 32. `scratch` grows as needed and is reused between
// calls: zero-initialise it, free it with sx_tensor_scratch_free.
typedef struct sx_tensor_scratch {
    void *bytes;
    size_t size;
    float *floats;
    size_t float_count;
} sx_tensor_scratch;
sx_status sx_tensor_pack(const sx_tensor_ref *tensor, uint32_t slice, uint32_t first, uint32_t count, sx_format format,
                         sx_tensor_scratch *scratch, uint32_t *destination, sx_error *error);
void sx_tensor_scratch_free(sx_tensor_scratch *scratch);

// The weights of one decoder layer, of a target or of a draft. Optional ones may be absent.
// H hidden, I feed-forward, hd head_dim, nh heads, nkv KV heads, E experts, Ie feed-forward size of an expert.
typedef struct sx_layer_weights {
    sx_tensor_ref attention_norm;      // [H]; in a draft's first layer the norm of the embedding half (input_layernorm)
    sx_tensor_ref hidden_norm;         // [H] only in a draft's first layer: the norm of the feature half
    sx_tensor_ref q;                   // [nh*hd, H]; [nh*hd, 2H] in a draft's first layer
    sx_tensor_ref k, v;                // [nkv*hd, H]; [nkv*hd, 2H]
    sx_tensor_ref q_bias;              // [nh*hd] optional
    sx_tensor_ref k_bias, v_bias;      // [nkv*hd] optional
    sx_tensor_ref q_norm, k_norm;      // [hd] optional
    sx_tensor_ref o;                   // [H, nh*hd]
    sx_tensor_ref o_bias;              // [H] optional
    sx_tensor_ref post_attention_norm; // [H] optional (gemma3): on the attention's output, before the residual
    sx_tensor_ref ffn_norm;            // [H]
    sx_tensor_ref gate, up;            // [I, H]; absent in a layer of experts
    sx_tensor_ref down;                // [H, I]
    sx_tensor_ref post_ffn_norm;       // [H] optional (gemma3)
    sx_tensor_ref router;              // [E, H] only in a layer of experts
    sx_tensor_ref gate_experts, up_experts; // E slices of [Ie, H]
    sx_tensor_ref down_experts;             // E slices of [H, Ie]
} sx_layer_weights;

#endif
