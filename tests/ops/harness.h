// Running one op on the device the environment selects (VK_ICD_FILENAMES), with poisoned outputs and guarded buffers.
// Every failure here ends the test that runs (cmocka).
#ifndef TESTS_OPS_HARNESS_H
#define TESTS_OPS_HARNESS_H

#include "graph/ops.h"
#include "model/quant.h"

#include <stddef.h>

typedef struct harness {
    sx_gpu *gpu;
    sx_ops ops;
    sx_gpu_tape *tape; // of the op being tested; NULL between them
    uint64_t random;   // state of harness_random
} harness;

void harness_open(harness *h);
void harness_close(harness *h);

// The device of a test program, and the fixtures of its groups that open and close it.
extern harness H;
int harness_set_up(void **state);
int harness_set_up_plain(void **state);  // with the kernels every device can run, not those for CPU drivers
int harness_set_up_packed(void **state); // with packed activations, where the device has what they take
int harness_tear_down(void **state);

// Uniform bits and numbers from a fixed seed, set anew by harness_seed (which prints it when a test fails).
void harness_seed(harness *h, uint64_t seed);
uint32_t harness_random(harness *h);
float harness_uniform(harness *h, float low, float high);
float *harness_floats(harness *h, size_t count, float low, float high); // malloc'd

// A buffer of `words` words holding `data` and behind them guard words.
sx_gpu_buffer *harness_input(harness *h, const void *data, size_t words);
// A buffer of `words` words of poison (a NaN no computation makes), guarded as well.
sx_gpu_buffer *harness_output(harness *h, size_t words);
// Sets `words` words and the guard again.
void harness_poison(harness *h, sx_gpu_buffer *buffer, size_t words);
// The whole buffer, guards included, so that a write beyond the data is seen and not cut off by the driver.
sx_gpu_binding harness_whole(sx_gpu_buffer *buffer);
// The first `words` words, malloc'd; fails when a guard word changed.
uint32_t *harness_read(harness *h, sx_gpu_buffer *buffer, size_t words);
void harness_free(harness *h, sx_gpu_buffer *buffer);

enum { HARNESS_POISON = 0x7FC0DEAD };

// Begins a tape for ops to append to, in h->tape, and runs it to its end.
void harness_begin(harness *h);
void harness_run(harness *h);
// Runs a finished tape once, to its end.
void harness_submit(harness *h, sx_gpu_tape *tape);

// Appends the packing of x [rows, x_stride] to h->tape where the harness packs and weights of `format` do; else NULL.
sx_gpu_buffer *harness_pack(harness *h, sx_format format, sx_gpu_buffer *x, uint32_t rows, uint32_t x_stride,
                            uint32_t columns);
// What packed rows say, [rows, columns], malloc'd. Fails where the sums are not those of the bytes.
float *harness_unpack(harness *h, sx_gpu_buffer *packed, uint32_t rows, uint32_t columns);

// |got - want| <= tolerance for each of `count` values; a NaN on either side needs one on the other. `what` names the
// case.
void harness_compare(const float *got, const double *want, const double *tolerance, size_t count, const char *what);

// A batch of `rows` rows at positions first..., each in the slot of its position (SX_DIRECT).
SxBatch harness_direct_batch(uint32_t rows, uint32_t first_position);

// `rows` rows of random weights in file order, finite, with scales of about `scale`; malloc'd.
void *harness_weights(harness *h, sx_format format, uint32_t rows, uint32_t columns, float scale);
// The same on the device in pieces of `piece_rows` rows (a multiple of 32; 0: one piece).
sx_matrix harness_matrix(harness *h, sx_format format, const void *weights, uint32_t rows, uint32_t columns,
                         uint32_t piece_rows);
void harness_free_matrix(harness *h, sx_matrix *matrix);

#endif
