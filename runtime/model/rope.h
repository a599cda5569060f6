// Rotary position embedding: every scaling rule reduced to a table of inverse frequencies and one factor.
#ifndef SX_MODEL_ROPE_H
#define SX_MODEL_ROPE_H

#include "base/status.h"

#include <stdbool.h>
#include <stdint.h>

#define SX_MAX_HEAD_DIM 256

typedef enum sx_rope_layout {
    SX_ROPE_HALVES, // "NeoX": component i turns with i + head_dim/2
    SX_ROPE_PAIRS   // "norm": component 2i turns with 2i + 1
} sx_rope_layout;

// Component pair i of a head at position p turns by the angle p * inv_freq[i]; its cosine and sine are both multiplied
// by `factor` (1 but for YaRN).
typedef struct sx_rope {
    sx_rope_layout layout;
    uint32_t head_dim; // even, 2..SX_MAX_HEAD_DIM; entries 0..head_dim/2-1 of the table are set
    float factor;
    float inv_freq[SX_MAX_HEAD_DIM / 2];
} sx_rope;

typedef enum sx_rope_scaling {
    SX_ROPE_PLAIN,
    SX_ROPE_LINEAR, // all frequencies divided by factor
    SX_ROPE_LLAMA3, // low_freq_factor, high_freq_factor, original_context
    SX_ROPE_YARN,   // beta_fast, beta_slow, original_context, attention_factor
    SX_ROPE_NTK     // base * factor^(d / (d - 2)): Hunyuan's "alpha"
} sx_rope_scaling;

typedef struct sx_rope_desc {
    sx_rope_layout layout;
    uint32_t head_dim;
    float base; // > 0
    sx_rope_scaling scaling;
    float factor;                            // > 0; unused for SX_ROPE_PLAIN
    float low_freq_factor, high_freq_factor; // llama3; 0 means 1 and 4
    float beta_fast, beta_slow;              // yarn; 0 means 32 and 1
    float attention_factor;                  // yarn; 0 means 1 + 0.1 ln(factor)
    uint32_t original_context;               // llama3 and yarn: > 0
    const float *divisors;                   // [head_dim/2] or NULL: further divides each frequency (rope_freqs)
} sx_rope_desc;

// `where` names the file for messages. Fails with SX_ERROR_FORMAT on values out of range.
sx_status sx_rope_make(const sx_rope_desc *desc, const char *where, sx_rope *out, sx_error *error);

#endif
