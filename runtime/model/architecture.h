// The table of target architectures: a dense architecture is one row.
#ifndef SX_MODEL_ARCHITECTURE_H
#define SX_MODEL_ARCHITECTURE_H

#include "model/hparams.h"
#include "model/lookup.h"

typedef struct sx_architecture_row {
    const char *name; // general.architecture, and the prefix of the keys
    sx_rope_layout layout;
    sx_activation activation;
    sx_qk_norm qk_norm;
    sx_presence qkv_bias; // of attn_q, attn_k, attn_v
    sx_presence output_bias;
    sx_presence rope_freqs; // the tensor rope_freqs.weight
    bool post_norms;
    bool scaled_embedding;   // by sqrt(hidden)
    bool experts;            // every layer's feed-forward is a mixture
    uint32_t window_pattern; // of sliding windows; 0 = none
    float window_rope_base;  // of windowed layers
} sx_architecture_row;

const sx_architecture_row *sx_architecture_get(sx_architecture architecture);

#endif
