// The tensors a target is made of, found by name and checked against its hyper-parameters.
#ifndef SX_MODEL_TARGET_WEIGHTS_H
#define SX_MODEL_TARGET_WEIGHTS_H

#include "model/hparams.h"
#include "model/model_files.h"

typedef struct sx_target_weights {
    sx_tensor_ref token_embedding; // [vocabulary, hidden]
    sx_tensor_ref output_norm;     // [hidden]
    sx_tensor_ref output;          // [vocabulary, hidden]; a copy of token_embedding when tied
    bool tied;
    uint32_t layer_count;
    sx_layer_weights *layers; // [layer_count], owned
    uint64_t bytes;           // of all tensors in their file formats, a tied head counted once
} sx_target_weights;

// Every tensor is checked for presence, shape and format; missing ones, misshapen ones and ones this program would
// ignore (which would make the output wrong) are named, as many as fit the message. `files` must outlive the result.
sx_status sx_target_weights_find(const sx_model_files *files, const sx_hparams *hparams, sx_target_weights *out,
                                 sx_error *error);
void sx_target_weights_free(sx_target_weights *weights); // a zeroed struct is allowed

#endif
