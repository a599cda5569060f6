// The target's forward pass as a tape: reads like the paper, one line per op, in order.
#ifndef SX_GRAPH_TARGET_H
#define SX_GRAPH_TARGET_H

#include "graph/layer.h"
#include "model/draft.h"
#include "model/hparams.h"

typedef struct sx_target {
    sx_hparams hparams;
    sx_matrix embedding;        // [vocabulary, H]
    sx_matrix head;             // [vocabulary, H]; the embedding itself when tied
    sx_gpu_binding output_norm; // [H]
    sx_layer *layers;           // [hparams.layers]
    sx_gpu_binding inv_freq[2]; // of full and of windowed layers, float32 [head_dim / 2]
} sx_target;

// Auxiliary states kept for a draft or signal rows: the INPUT of layer layers[i] goes to columns [i*H, (i+1)*H) of
// `out`; an id equal to the layer count is the last layer's output.
typedef struct sx_aux {
    uint32_t count; // 0: none kept
    uint32_t layers[SX_MAX_AUX];
    sx_gpu_buffer *out; // [rows, count * H]
} sx_aux;

// Tokens of pass->batch through all layers; leaves the last hidden states [rows, H] in pass->scratch->hidden.
void sx_target_forward(const sx_pass *pass, const sx_target *target, const sx_kv *kv, const sx_aux *aux);
// logits[rows, vocabulary] = head rms(hidden); `hidden` is [rows, H].
void sx_target_logits(const sx_pass *pass, const sx_target *target, sx_gpu_binding hidden, sx_gpu_binding logits);

#endif
