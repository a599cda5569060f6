// Plain-C references of the ops of the forward pass, written from the formulas in graph/ops.h: double precision, one
// row at a time, no tricks. `bound` outputs give what a tolerance is a multiple of: the sum of the magnitudes that were
// added.
#ifndef TESTS_OPS_REFERENCE_H
#define TESTS_OPS_REFERENCE_H

#include "graph/ops.h"

// result[i] = sum_k weight[i, k] * x[k] + bias[i] + residual[i]; bias and residual may be NULL. weight [rows, columns].
void reference_linear(const float *weight, uint32_t rows, uint32_t columns, const float *x, const float *bias,
                      const float *residual, double *result, double *bound);

// result[i] = x[i] / sqrt(mean(x^2) + eps) * weight[i] + residual[i]; residual may be NULL.
void reference_rms_norm(const float *x, const float *weight, const float *residual, uint32_t n, double eps,
                        double *result);

double reference_activation(sx_activation activation, double x);

// One head turned to `position`, in place; norm (may be NULL) [head_dim].
void reference_prepare_head(const sx_attention_shape *shape, double *head, const float *norm, const float *inv_freq,
                            uint32_t position);

// Attention of one query head over `count` keys and values that the row sees, in order of their positions, the last of
// which is the row's own: keys[i], values[i] are [head_dim]. Window and softcap as the shape says.
void reference_attention(const sx_attention_shape *shape, const float *query, const float *const *keys,
                         const float *const *values, uint32_t count, double *result);

#endif
