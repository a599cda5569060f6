#include "model/rope.h"

#include <assert.h>
#include <math.h>

#define PI 3.14159265358979323846

static bool is_positive(float value)
{
    return isfinite(value) && value > 0;
}

static sx_status check(const sx_rope_desc *desc, const char *where, sx_error *error)
{
    if (desc->head_dim < 2 || desc->head_dim % 2 || desc->head_dim > SX_MAX_HEAD_DIM)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "%s: rotary embedding over %u components; even numbers up to %d are supported", where,
                       desc->head_dim, SX_MAX_HEAD_DIM);
    if (!is_positive(desc->base) || desc->base <= 1)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: the rotary base (%g) must be above 1", where, (double)desc->base);
    if (desc->scaling != SX_ROPE_PLAIN && !is_positive(desc->factor))
        return sx_fail(error, SX_ERROR_FORMAT, "%s: the rotary scaling factor (%g) must be positive", where,
                       (double)desc->factor);
    if ((desc->scaling == SX_ROPE_LLAMA3 || desc->scaling == SX_ROPE_YARN) && desc->original_context == 0)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: rotary scaling needs the original context length", where);
    if (desc->scaling == SX_ROPE_NTK && desc->head_dim == 2)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: NTK scaling needs more than 2 components", where);
    return SX_OK;
}

// The component pair that turns `rotations` times within the original context.
static double yarn_dimension(const sx_rope_desc *desc, double rotations)
{
    return desc->head_dim * log(desc->original_context / (rotations * 2 * PI)) / (2 * log((double)desc->base));
}

// Pairs that turn often keep their frequency, slow ones are divided by the factor, those between are blended.
static void scale_yarn(const sx_rope_desc *desc, double *frequencies)
{
    const double fast = desc->beta_fast > 0 ? desc->beta_fast : 32, slow = desc->beta_slow > 0 ? desc->beta_slow : 1;
    const double low = fmax(0, floor(yarn_dimension(desc, fast)));
    const double high = fmin(desc->head_dim - 1, ceil(yarn_dimension(desc, slow)));
    const double span = high > low ? high - low : 0.001;
    for (uint32_t i = 0; i < desc->head_dim / 2; i++) {
        const double ramp = fmin(1, fmax(0, (i - low) / span));
        frequencies[i] = frequencies[i] * (1 - ramp) + frequencies[i] / (double)desc->factor * ramp;
    }
}

static void scale_llama3(const sx_rope_desc *desc, double *frequencies)
{
    const double low = desc->low_freq_factor > 0 ? desc->low_freq_factor : 1;
    const double high = desc->high_freq_factor > 0 ? desc->high_freq_factor : 4;
    const double context = desc->original_context, factor = desc->factor;
    for (uint32_t i = 0; i < desc->head_dim / 2; i++) {
        const double wavelength = 2 * PI / frequencies[i];
        if (wavelength < context / high) continue;
        if (wavelength > context / low || high <= low) {
            frequencies[i] /= factor;
        } else {
            const double smooth = (context / wavelength - low) / (high - low);
            frequencies[i] = (1 - smooth) * frequencies[i] / factor + smooth * frequencies[i];
        }
    }
}

sx_status sx_rope_make(const sx_rope_desc *desc, const char *where, sx_rope *out, sx_error *error)
{
    const sx_status status = check(desc, where, error);
    if (status != SX_OK) return status;
    double frequencies[SX_MAX_HEAD_DIM / 2];
    const double dim = desc->head_dim;
    const double base =
        desc->scaling == SX_ROPE_NTK ? desc->base * pow((double)desc->factor, dim / (dim - 2)) : (double)desc->base;
    for (uint32_t i = 0; i < desc->head_dim / 2; i++)
        frequencies[i] = pow(base, -2.0 * i / dim);
    sx_rope rope = {desc->layout, desc->head_dim, 1.0f, {0}};
    switch (desc->scaling) {
    case SX_ROPE_PLAIN:
    case SX_ROPE_NTK:
        break;
    case SX_ROPE_LINEAR:
        for (uint32_t i = 0; i < desc->head_dim / 2; i++)
            frequencies[i] /= (double)desc->factor;
        break;
    case SX_ROPE_LLAMA3:
        scale_llama3(desc, frequencies);
        break;
    case SX_ROPE_YARN:
        scale_yarn(desc, frequencies);
        rope.factor = desc->attention_factor > 0 ? desc->attention_factor
                      : desc->factor > 1         ? 1 + 0.1f * logf(desc->factor)
                                                 : 1;
        break;
    }
    for (uint32_t i = 0; i < desc->head_dim / 2; i++) {
        const float divisor = desc->divisors ? desc->divisors[i] : 1;
        if (!is_positive(divisor))
            return sx_fail(error, SX_ERROR_FORMAT, "%s: frequency divisor %u (%g) must be positive", where, i,
                           (double)divisor);
        rope.inv_freq[i] = (float)(frequencies[i] / (double)divisor);
    }
    *out = rope;
    return SX_OK;
}
