// Writing drafts and signal heads of any layout as our own GGUF, quantised where wanted.
#ifndef SX_MODEL_CONVERT_H
#define SX_MODEL_CONVERT_H

#include "model/draft.h"

typedef struct sx_convert_options {
    // The format of matrices when `requantize`: one sx_quantize_row writes. Where a row is no multiple of its block,
    // Q8_0 is taken instead, or F16. Norms, biases and signal rows stay in full precision.
    bool requantize;
    sx_format format;
    // Called now and then with bytes done and bytes in all; may be NULL. Returning false stops with SX_ERROR_CANCELLED.
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} sx_convert_options;

// Writes `draft` to `path` (whole or not at all), with its card. `options` may be NULL: the formats of the file.
sx_status sx_draft_write(const sx_draft *draft, const char *path, const sx_convert_options *options, sx_error *error);
// Writes the draft's signal rows and card as a stand-alone head. Fails with SX_ERROR_ARGUMENT when it has none.
sx_status sx_signal_head_write(const sx_draft *draft, const char *path, sx_error *error);

#endif
