// Telling models apart: a number of everything that decides what a token's keys and values are.
#ifndef SX_MODEL_FINGERPRINT_H
#define SX_MODEL_FINGERPRINT_H

#include "model/draft.h"

// Exact: of shapes, formats, rotation and a sample of every tensor's bytes; the whole of a large file is not read. Two
// quantisations of a model differ, names of files and tensors do not count. Family: of what no quantisation touches:
// shapes, rotation, and every value of the vectors (norms, biases) in float32. Neither is ever 0.
sx_status sx_target_fingerprint(const sx_hparams *hparams, const sx_target_weights *weights, uint64_t *exact,
                                uint64_t *family, sx_error *error);
// The exact one of a draft.
sx_status sx_draft_fingerprint(const sx_draft *draft, uint64_t *out, sx_error *error);

#endif
