#include "reference.h"

#include <math.h>
#include <stdlib.h>

void reference_linear(const float *weight, uint32_t rows, uint32_t columns, const float *x, const float *bias,
                      const float *residual, double *result, double *bound)
{
    for (uint32_t i = 0; i < rows; i++) {
        double sum = 0, magnitude = 0;
        for (uint32_t k = 0; k < columns; k++) {
            const double product = (double)weight[(size_t)i * columns + k] * x[k];
            sum += product;
            magnitude += fabs(product);
        }
        if (bias) sum += bias[i], magnitude += fabs(bias[i]);
        if (residual) sum += residual[i], magnitude += fabs(residual[i]);
        result[i] = sum;
        bound[i] = magnitude;
    }
}

void reference_rms_norm(const float *x, const float *weight, const float *residual, uint32_t n, double eps,
                        double *result)
{
    double squares = 0;
    for (uint32_t i = 0; i < n; i++)
        squares += (double)x[i] * x[i];
    for (uint32_t i = 0; i < n; i++)
        result[i] = x[i] / sqrt(squares / n + eps) * weight[i] + (residual ? residual[i] : 0.0);
}

double reference_activation(sx_activation activation, double x)
{
    if (activation == SX_ACTIVATION_SILU) return x / (1.0 + exp(-x));
    return 0.5 * x * (1.0 + tanh(sqrt(2.0 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

static void norm_head(const sx_attention_shape *shape, double *head, const float *norm)
{
    double squares = 0;
    for (uint32_t i = 0; i < shape->head_dim; i++)
        squares += head[i] * head[i];
    for (uint32_t i = 0; i < shape->head_dim; i++)
        head[i] *= norm[i] / sqrt(squares / shape->head_dim + shape->eps);
}

void reference_prepare_head(const sx_attention_shape *shape, double *head, const float *norm, const float *inv_freq,
                            uint32_t position)
{
    if (norm && !shape->norm_after_rope) norm_head(shape, head, norm);
    for (uint32_t pair = 0; pair < shape->rope_dims / 2; pair++) {
        const uint32_t a = shape->rope_layout == SX_ROPE_PAIRS ? 2 * pair : pair;
        const uint32_t b = shape->rope_layout == SX_ROPE_PAIRS ? 2 * pair + 1 : pair + shape->rope_dims / 2;
        const float angle = (float)position * inv_freq[pair]; // rounded to float32, as the published models' code does
        const double c = cos(angle) * shape->rope_factor, s = sin(angle) * shape->rope_factor;
        const double x = head[a], y = head[b];
        head[a] = x * c - y * s;
        head[b] = x * s + y * c;
    }
    if (norm && shape->norm_after_rope) norm_head(shape, head, norm);
}

void reference_attention(const sx_attention_shape *shape, const float *query, const float *const *keys,
                         const float *const *values, uint32_t count, double *result)
{
    const uint32_t first = shape->window && count > shape->window ? count - shape->window : 0;
    double *scores = malloc(count * sizeof *scores);
    double maximum = -INFINITY, total = 0;
    for (uint32_t p = first; p < count; p++) {
        double dot = 0;
        for (uint32_t i = 0; i < shape->head_dim; i++)
            dot += (double)query[i] * keys[p][i];
        scores[p] = shape->scale * dot;
        if (shape->softcap != 0) scores[p] = shape->softcap * tanh(scores[p] / shape->softcap);
        if (scores[p] > maximum) maximum = scores[p];
    }
    for (uint32_t i = 0; i < shape->head_dim; i++)
        result[i] = 0;
    for (uint32_t p = first; p < count; p++) {
        const double weight = exp(scores[p] - maximum);
        total += weight;
        for (uint32_t i = 0; i < shape->head_dim; i++)
            result[i] += weight * values[p][i];
    }
    for (uint32_t i = 0; i < shape->head_dim; i++)
        result[i] /= total;
    free(scores);
}
