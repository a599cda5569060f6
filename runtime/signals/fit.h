// Ridge regression of the three signal rows over a trace that is read again in every pass.
//
// A row w gives z = w . x for the fused state x. Confidence and progress: logistic, minimising the cross-entropy of
// sigmoid(z) with labels in 0..1; remain: the square error of z against the logarithm. Plus penalty / 2 * |w|^2, where
// every column of x was brought to a mean square of one. By Newton's method; its linear systems are solved by conjugate
// gradients, for which a pass over the data gives the product with the matrix: nothing of the size width^2 is made.
// All fits (three signals times the penalties) go through the data together.
#ifndef SX_SIGNALS_FIT_H
#define SX_SIGNALS_FIT_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FIT_SIGNALS = 3, FIT_PENALTIES = 5, FIT_SYSTEMS = 16, FIT_COLUMNS = 32, FIT_BLOCK_ROWS = 1024 };

typedef struct fit_label {
    float y[FIT_SIGNALS];      // confidence and progress in 0..1, logarithm of the remaining tokens
    float weight[FIT_SIGNALS]; // 0: not learnt from
    bool held;                 // of a held-out prompt
    bool boundary, right;      // probed, and whether the forced answer was right
    uint32_t prompt;           // number of the prompt
} fit_label;

typedef struct fit_block {
    uint32_t rows;
    uint16_t *x;      // [FIT_BLOCK_ROWS, width] halves
    fit_label *label; // [FIT_BLOCK_ROWS]
} fit_block;

// Where blocks come from: `next` fills the block, rows 0 at the end.
typedef struct fit_source {
    void *user;
    uint32_t width;
    void (*rewind)(void *user);
    sx_status (*next)(void *user, fit_block *block, sx_error *error);
} fit_source;

// Who multiplies. A pass: begin with the vectors, then project and accumulate for every block in turn (accumulate may
// be left out), then sum. All float32; `v` [width, FIT_COLUMNS], `z` [rows, FIT_COLUMNS], `a` [rows, FIT_SYSTEMS], `g`
// [width, FIT_SYSTEMS] = sum over the accumulated blocks of x^T a.
typedef struct fit_device {
    void *user;
    sx_status (*begin)(void *user, const float *v, sx_error *error);
    sx_status (*project)(void *user, const fit_block *block, float *z, sx_error *error);
    sx_status (*accumulate)(void *user, const fit_block *block, const float *a, sx_error *error);
    sx_status (*sum)(void *user, float *g, sx_error *error);
} fit_device;

// The reference: plain loops. Freed with fit_host_free.
sx_status fit_host_make(uint32_t width, fit_device *out, sx_error *error);
void fit_host_free(fit_device *device);

typedef struct fit_result {
    float *rows;                // [FIT_SIGNALS, width], owned
    float penalty[FIT_SIGNALS]; // that was chosen
    double held_loss[FIT_SIGNALS], baseline[FIT_SIGNALS];
    double correlation[FIT_SIGNALS];
    double auc_within, auc_across;
    uint32_t passes;
    uint64_t rows_read; // over all passes
    double seconds;     // in the device's hands; 0 where nobody measured
} fit_result;

typedef struct fit_options {
    bool skip_confidence; // no labels that can be told apart
    bool (*on_progress)(void *user, double fraction);
    void *user;
} fit_options;

sx_status fit_rows(const fit_source *source, const fit_device *device, const fit_options *options, fit_result *out,
                   sx_error *error);

#endif
