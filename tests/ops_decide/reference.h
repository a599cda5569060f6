// The deciding ops in plain C, written from the formulas of graph/ops.h and the shaders' heads, not from their code:
// sorting where they count ranks, doubles where they use floats.
//
// A choice may hang on the last bits of a float: then the references say that the case is doubtful and the caller
// leaves it out (and checks that this is rare).
#ifndef TESTS_OPS_DECIDE_REFERENCE_H
#define TESTS_OPS_DECIDE_REFERENCE_H

#include "shared.h"

#include <stdbool.h>

// Threefry-2x32, 20 rounds: both words of the result.
void reference_threefry(const uint32_t key[2], const uint32_t counter[2], uint32_t out[2]);
double reference_gumbel(uint32_t token, uint32_t position, uint32_t seed_low, uint32_t seed_high);

typedef struct reference_choice {
    uint32_t token;
    double logprob, margin, entropy; // of `token`
    bool doubtful;                   // another token may be as good
} reference_choice;
// One row; `flags` packed as behind SxSettings, `logits` and `counts` [vocabulary].
reference_choice reference_sample(const float *logits, uint32_t vocabulary, const SxBatch *batch, uint32_t row,
                                  const SxSettings *settings, const uint32_t *flags, const uint32_t *counts);
double reference_logprob(const float *logits, uint32_t vocabulary, uint32_t token);

// Children of one row; the result says whether the order is beyond doubt. `map` may be NULL.
bool reference_top_k(const float *logits, uint32_t vocabulary, const uint32_t *map, const SxSettings *settings,
                     uint32_t position, uint32_t branch, SxChildren *children);

// beam_in is NULL at level 1.
void reference_expand(const SxChildren *children, const SxState *state, const SxBatch *beam_in, uint32_t level,
                      uint32_t branch, SxTree *tree, SxBatch *beam_out);
// tree is NULL for n-grams.
void reference_select(const SxTree *tree, uint32_t ngram, const SxState *state, const SxSettings *settings,
                      const uint32_t *flags, const uint32_t *history, uint32_t rows, SxBatch *batch);
void reference_extend_batch(const SxState *state, SxBatch *batch, SxBatch *last);

#endif
