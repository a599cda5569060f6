// Writing drafts and signal heads of any layout as our own GGUF, quantised where wanted.
#ifndef SX_MODEL_CONVERT_H
#define SX_MODEL_CONVERT_H

#include "model/draft.h"

// A key and its text, of what a file says about its making.
typedef struct sx_card_entry {
    const char *key, *text;
} sx_card_entry;

typedef struct sx_convert_options {
    // The format of matrices when `requantize`: one sx_quantize_row writes. Where a row is no multiple of its block,
    // Q8_0 is taken instead, or F16. Norms, biases and signal rows stay in full precision.
    bool requantize;
    sx_format format;
    // Called now and then with bytes done and bytes in all; may be NULL. Returning false stops with SX_ERROR_CANCELLED.
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
    const sx_card_entry *card; // [card_count] added to the metadata
    uint32_t card_count;
} sx_convert_options;

// Writes `draft` to `path` (whole or not at all). `options` may be NULL: the formats of the file.
sx_status sx_draft_write(const sx_draft *draft, const char *path, const sx_convert_options *options, sx_error *error);
// Writes the draft's signal rows as a stand-alone head; of the options only the card counts. Fails with
// SX_ERROR_ARGUMENT when it has none.
sx_status sx_signal_head_write(const sx_draft *draft, const char *path, const sx_convert_options *options,
                               sx_error *error);

#endif
