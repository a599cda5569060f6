// A plain forward pass of targets and drafts in double precision, straight from the loaded structures: slow, short, and
// what the golden vectors are checked with before any GPU is involved.
#ifndef TESTS_MODEL_REFERENCE_H
#define TESTS_MODEL_REFERENCE_H

#include "model/draft.h"

// Inputs of all layers and the last one's output [layers + 1, count, hidden], and logits [count, vocabulary]; either
// may be NULL. `cache` (or NULL) has keys and values in f16 [layers][2][count][kv_heads * head_dim] that were computed
// elsewhere: they are checked to be these but for their rounding, and go on in their place. Fails the running test on
// read errors.
void reference_target(const sx_hparams *hparams, const sx_target_weights *weights, const uint32_t *tokens,
                      uint32_t count, const uint16_t *cache, double *states, double *logits);

// The extend pass: pair t is (states of the target at t, tokens[t + 1]) at position t, for t < count - 1. `states` as
// above. features [count - 1, H]; signals [count - 1, rows] before their activation; fed_back [count - 1, H]; logits
// [count - 1, D]. Any of them may be NULL. The draft must be bound.
void reference_draft(const sx_draft *draft, const sx_hparams *hparams, const sx_target_weights *target,
                     const uint32_t *tokens, uint32_t count, const double *states, double *features, double *signals,
                     double *fed_back, double *logits);

#endif
