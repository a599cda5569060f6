// What a target's metadata says about its shape, read by a table with one row per architecture (hparams.c).
#ifndef SX_MODEL_HPARAMS_H
#define SX_MODEL_HPARAMS_H

#include "model/gguf.h"
#include "model/rope.h"

typedef enum sx_architecture {
    SX_ARCH_QWEN3,
    SX_ARCH_QWEN2,
    SX_ARCH_LLAMA,
    SX_ARCH_GEMMA3,
    SX_ARCH_HUNYUAN_DENSE,
    SX_ARCH_QWEN3MOE,
    SX_ARCH_COUNT
} sx_architecture;

typedef enum sx_activation {
    SX_ACTIVATION_SILU, // x / (1 + exp(-x))
    SX_ACTIVATION_GELU  // the tanh approximation
} sx_activation;

typedef enum sx_qk_norm {
    SX_QK_NORM_NONE,
    SX_QK_NORM_BEFORE_ROPE, // RMSNorm over head_dim with weights q_norm, k_norm (qwen3, gemma3)
    SX_QK_NORM_AFTER_ROPE   // the same behind the rotation (hunyuan-dense)
} sx_qk_norm;

typedef struct sx_hparams {
    sx_architecture architecture;
    const char *architecture_name; // constant
    uint32_t layers;               // 1..1024
    uint32_t hidden;
    uint32_t ffn; // 0 for a pure mixture of experts
    uint32_t heads, kv_heads;
    uint32_t head_dim;   // of q, k and v alike
    uint32_t vocabulary; // rows of token_embd
    uint32_t context;    // trained context length in tokens
    float rms_eps;
    float attention_scale; // q.k is multiplied by it
    float embedding_scale; // embedding rows are multiplied by it: 1, or sqrt(hidden) for gemma3
    float logit_scale;     // logits are multiplied by it: 1
    float logit_softcap;   // logits become c * tanh(x / c); 0 = none
    float attention_softcap;
    sx_activation activation;
    sx_qk_norm qk_norm;
    bool post_norms; // norms behind attention and feed-forward (gemma3)
    // Layer i attends to the whole past when window == 0 or (i + 1) % window_pattern == 0, else to the last `window`
    // positions, itself included, and then rotates by rope_local (sx_layer_window, sx_layer_rope).
    uint32_t window;         // positions; 0 = none
    uint32_t window_pattern; // 0 = every layer is windowed
    sx_rope rope;
    sx_rope rope_local; // of windowed layers; equal to rope where the model has one base only
    uint32_t experts;   // 0 for dense models
    uint32_t experts_used;
    uint32_t expert_ffn;
    bool expert_weights_normed; // the chosen experts' softmax weights are divided by their sum
} sx_hparams;

// Reads and checks everything; *out is left alone on failure. An unknown architecture is refused with the list of those
// known. The rope_freqs tensor of llama files is read here (hence the files, not the metadata only).
typedef struct sx_model_files sx_model_files; // model_files.h
sx_status sx_hparams_read(const sx_model_files *files, sx_hparams *out, sx_error *error);

static inline uint32_t sx_layer_window(const sx_hparams *hparams, uint32_t layer)
{
    const bool full = !hparams->window || (hparams->window_pattern && (layer + 1) % hparams->window_pattern == 0);
    return full ? 0 : hparams->window;
}

static inline const sx_rope *sx_layer_rope(const sx_hparams *hparams, uint32_t layer)
{
    return sx_layer_window(hparams, layer) ? &hparams->rope_local : &hparams->rope;
}

// "qwen3, qwen2, ...": for messages and `info`.
const char *sx_architecture_list(void);

#endif
