// The EAGLE-3 draft as tapes: fuse the target's auxiliary states, one decoder layer per drafted level, the draft head.
// Source: EAGLE-3 (arXiv 2503.01840) and the layouts listed in model/draft.h, whose formula this follows.
#ifndef SX_GRAPH_EAGLE_H
#define SX_GRAPH_EAGLE_H

#include "graph/target.h"

typedef struct sx_eagle {
    uint32_t hidden, target_hidden, layer_count, aux_count;
    uint32_t vocabulary; // D: rows of the head
    float eps;
    bool norm_before_residual, norm_output, feed_back_normed;
    sx_matrix fc;                       // [H, A*Ht]
    sx_gpu_binding fc_bias;             // optional [H]
    sx_gpu_binding input_norm;          // optional [A*Ht]
    sx_gpu_binding fc_norm[SX_MAX_AUX]; // optional [Ht]
    sx_matrix embedding;                // [V, H]: own, or the target's
    sx_matrix head;                     // [D, H]: own, or the target's
    sx_gpu_binding output_norm;         // [H]
    sx_gpu_binding token_map;           // optional uint32 [D]: the target's id of each draft id
    sx_layer *layers;                   // [layer_count]
    sx_gpu_binding inv_freq;
} sx_eagle;

// A session's buffers for drafting, for passes of `rows` rows at most.
typedef struct sx_eagle_buffers {
    sx_kv kv;
    sx_gpu_buffer *gathered; // [rows, A*Ht] auxiliary states of the accepted rows
    sx_gpu_buffer *gathered_normed;
    sx_gpu_buffer *embedded;     // [rows, H]
    sx_gpu_buffer *feature_in;   // [rows, H]
    sx_gpu_buffer *residual;     // [rows, H], norm_before_residual only
    sx_gpu_buffer *feature;      // [rows, H] a step's normed states, where those are fed back
    sx_gpu_buffer *last_feature; // [1, H] of the last extended row: the root's continuation
    sx_gpu_buffer *last_logits;  // [1, D]
    sx_gpu_buffer *logits;       // [SX_MAX_BRANCH rounded up, D]
    sx_gpu_buffer *children;     // SxChildren[SX_MAX_BRANCH rounded up]
    sx_gpu_buffer *tree;         // SxTree
    sx_gpu_buffer *beam[2];      // SxBatch of even and odd levels
    sx_gpu_buffer *extend;       // SxBatch over the tokens accepted last
    sx_gpu_buffer *last;         // SxBatch of one row, whose source is the last of them
} sx_eagle_buffers;

uint64_t sx_eagle_kv_bytes(const sx_eagle *eagle, uint32_t slots);
uint64_t sx_eagle_buffers_bytes(const sx_eagle *eagle, uint32_t rows); // keys and values excluded
sx_status sx_eagle_buffers_create(sx_gpu *gpu, const sx_eagle *eagle, uint32_t rows, uint32_t slots,
                                  sx_eagle_buffers *out, sx_error *error);
void sx_eagle_buffers_destroy(sx_gpu *gpu, sx_eagle_buffers *buffers); // a zeroed struct is allowed

// Runs the draft over the rows of pass->batch (buffers->extend, or a prefill's), whose features come from row
// batch.source of `aux`; leaves feature and logits of the row named by buffers->last in last_feature and last_logits.
void sx_eagle_extend(const sx_pass *pass, const sx_eagle *eagle, const sx_eagle_buffers *buffers, sx_gpu_buffer *aux);

// Grows the tree from last_logits and last_feature: `depth` levels of `branch` children. pass->batch is ignored.
void sx_eagle_expand(const sx_pass *pass, const sx_eagle *eagle, const sx_eagle_buffers *buffers, uint32_t depth,
                     uint32_t branch, sx_gpu_binding settings, sx_gpu_binding state);

#endif
