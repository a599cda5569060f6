#include "model/quant.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static void store16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)value;
    bytes[1] = (uint8_t)(value >> 8);
}

static void encode_q8_0(const float *source, uint8_t *block)
{
    float largest = 0;
    for (int i = 0; i < 32; i++)
        largest = fmaxf(largest, fabsf(source[i]));
    const float d = largest / 127, inverse = d != 0 ? 1 / d : 0;
    store16(block, sx_float_to_half(d));
    for (int i = 0; i < 32; i++)
        block[2 + i] = (uint8_t)(int8_t)roundf(source[i] * inverse);
}

// Scale and minimum (both >= 0; weight = scale * q - minimum) for 32 weights at q in 0..15 by least squares: a few
// candidate ranges are rounded, and for each the best scale and minimum for those roundings is solved exactly.
static void fit_sub_block(const float *source, float *scale, float *minimum)
{
    float low = 0, high = source[0]; // a minimum above zero cannot be stored
    for (int i = 0; i < 32; i++) {
        low = fminf(low, source[i]);
        high = fmaxf(high, source[i]);
    }
    *scale = *minimum = 0;
    if (high <= low) {
        if (low < 0) *minimum = -low; // all weights equal and negative
        return;
    }
    double best = INFINITY;
    for (int candidate = -10; candidate <= 20; candidate++) {
        const float inverse = (15.0f + 0.1f * (float)candidate) / (high - low);
        double q_sum = 0, qq_sum = 0, x_sum = 0, qx_sum = 0, xx_sum = 0;
        for (int i = 0; i < 32; i++) {
            const double q = fminf(15, fmaxf(0, rintf(inverse * (source[i] - low)))), x = source[i];
            q_sum += q, qq_sum += q * q, x_sum += x, qx_sum += q * x, xx_sum += x * x;
        }
        const double determinant = 32 * qq_sum - q_sum * q_sum;
        if (determinant <= 0) continue;
        double s = (32 * qx_sum - q_sum * x_sum) / determinant, m = (q_sum * qx_sum - qq_sum * x_sum) / determinant;
        if (m < 0) m = 0, s = qx_sum / qq_sum;
        if (!(s > 0)) continue;
        const double error = xx_sum + s * s * qq_sum + 32 * m * m - 2 * s * qx_sum + 2 * m * x_sum - 2 * s * m * q_sum;
        if (error < best) {
            best = error;
            *scale = (float)s;
            *minimum = (float)m;
        }
    }
}

// The 6-bit scales and minimums as the 12 bytes both Q4_K and Q5_K use.
static void store_scales(const uint8_t *scales, const uint8_t *minimums, uint8_t *bytes)
{
    for (int j = 0; j < 4; j++) {
        bytes[j] = (uint8_t)(scales[j] | scales[j + 4] >> 4 << 6);
        bytes[j + 4] = (uint8_t)(minimums[j] | minimums[j + 4] >> 4 << 6);
        bytes[j + 8] = (uint8_t)((scales[j + 4] & 15) | (minimums[j + 4] & 15) << 4);
    }
}

static uint8_t round_to_63(float value, float unit)
{
    return unit > 0 ? (uint8_t)fminf(63, rintf(value / unit)) : 0;
}

static void encode_q4_k(const float *source, uint8_t *block)
{
    float scales[8], minimums[8], largest_scale = 0, largest_minimum = 0;
    for (int j = 0; j < 8; j++) {
        fit_sub_block(source + 32 * j, &scales[j], &minimums[j]);
        largest_scale = fmaxf(largest_scale, scales[j]);
        largest_minimum = fmaxf(largest_minimum, minimums[j]);
    }
    store16(block, sx_float_to_half(largest_scale / 63));
    store16(block + 2, sx_float_to_half(largest_minimum / 63));
    const float d = sx_half_to_float((uint16_t)(block[0] | block[1] << 8));
    const float d_minimum = sx_half_to_float((uint16_t)(block[2] | block[3] << 8));
    uint8_t scale_bits[8], minimum_bits[8], quants[256];
    for (int j = 0; j < 8; j++) {
        scale_bits[j] = round_to_63(scales[j], d);
        minimum_bits[j] = round_to_63(minimums[j], d_minimum);
        const float scale = d * (float)scale_bits[j], minimum = d_minimum * (float)minimum_bits[j];
        for (int i = 0; i < 32; i++) {
            const float q = scale > 0 ? rintf((source[32 * j + i] + minimum) / scale) : 0;
            quants[32 * j + i] = (uint8_t)fminf(15, fmaxf(0, q));
        }
    }
    store_scales(scale_bits, minimum_bits, block + 4);
    for (int i = 0; i < 128; i++)
        block[16 + i] = (uint8_t)(quants[i / 32 * 64 + i % 32] | quants[i / 32 * 64 + 32 + i % 32] << 4);
}

bool sx_can_quantize(sx_format format)
{
    return format == SX_FORMAT_F32 || format == SX_FORMAT_F16 || format == SX_FORMAT_BF16 || format == SX_FORMAT_Q8_0 ||
           format == SX_FORMAT_Q4_K;
}

void sx_quantize_row(sx_format format, const float *source, void *destination, uint64_t count)
{
    assert(sx_can_quantize(format));
    uint8_t *bytes = destination;
    const sx_format_info *info = sx_format_get(format);
    assert(count % info->block == 0);
    if (format == SX_FORMAT_F32) {
        memcpy(destination, source, count * sizeof(float));
        return;
    }
    for (uint64_t i = 0; i < count / info->block; i++, source += info->block, bytes += info->block_bytes) {
        switch (format) {
        case SX_FORMAT_F16:
            store16(bytes, sx_float_to_half(*source));
            break;
        case SX_FORMAT_BF16:
            store16(bytes, sx_float_to_bf16(*source));
            break;
        case SX_FORMAT_Q8_0:
            encode_q8_0(source, bytes);
            break;
        default:
            encode_q4_k(source, bytes);
            break;
        }
    }
}
