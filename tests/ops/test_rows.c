// The ops that treat each row by itself: rms_norm, gated_unit, gather_rows, signals.
#include "harness.h"
#include "reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const uint32_t sizes[] = {1, 23, 31, 33, 192, 257, 1024, 1030, 2560};
enum { SIZES = sizeof sizes / sizeof sizes[0] };
static const uint32_t row_counts[] = {1, 2, 4, 8, 16, 32, 3, 1, 5};

typedef struct norm_case {
    uint32_t n, rows, x_stride, out_stride, out_offset;
    bool residual;
    float magnitude;
} norm_case;

static void check_norm(const norm_case *c)
{
    float *x = harness_floats(&H, (size_t)c->rows * c->x_stride, -c->magnitude, c->magnitude);
    float *weight = harness_floats(&H, c->n, 0.5f, 2), *residual = harness_floats(&H, c->rows * c->out_stride, -1, 1);
    sx_gpu_buffer *x_buffer = harness_input(&H, x, (size_t)c->rows * c->x_stride);
    sx_gpu_buffer *weight_buffer = harness_input(&H, weight, c->n);
    sx_gpu_buffer *residual_buffer = harness_input(&H, residual, (size_t)c->rows * c->out_stride);
    sx_gpu_buffer *out = harness_output(&H, (size_t)c->rows * c->out_stride);
    sx_norm_args args = {.x = harness_whole(x_buffer),
                         .x_stride = c->x_stride,
                         .weight = harness_whole(weight_buffer),
                         .n = c->n,
                         .eps = 1e-6f,
                         .out = harness_whole(out),
                         .out_stride = c->out_stride,
                         .out_offset = c->out_offset};
    if (c->residual) args.residual = harness_whole(residual_buffer);
    harness_begin(&H);
    sx_op_rms_norm(&H.ops, H.tape, c->rows, &args);
    harness_run(&H);
    uint32_t *got = harness_read(&H, out, (size_t)c->rows * c->out_stride);
    double *want = malloc(c->n * sizeof *want), *tolerance = malloc(c->n * sizeof *tolerance);
    char what[64];
    snprintf(what, sizeof what, "rms_norm of %u, %u rows", c->n, c->rows);
    for (uint32_t r = 0; r < c->rows; r++) {
        reference_rms_norm(x + (size_t)r * c->x_stride, weight, c->residual ? residual + r * c->out_stride : NULL, c->n,
                           1e-6f, want);
        // The root and the quotient may be off by 3 units each on Vulkan, the sum by less than sqrt(n) of half a unit.
        for (uint32_t i = 0; i < c->n; i++)
            tolerance[i] = (12 + sqrt(c->n)) * 0x1p-24 * (fabs(want[i]) + (c->residual ? 2 : 0));
        const uint32_t *row = got + r * c->out_stride;
        harness_compare((const float *)row + c->out_offset, want, tolerance, c->n, what);
        for (uint32_t i = 0; i < c->out_stride; i++) {
            const bool ours = i >= c->out_offset && i < c->out_offset + c->n;
            if (!ours && row[i] != HARNESS_POISON) fail_msg("%s: element %u was overwritten", what, i);
        }
    }
    free(got);
    free(want);
    free(tolerance);
    free(x);
    free(weight);
    free(residual);
    harness_free(&H, x_buffer);
    harness_free(&H, weight_buffer);
    harness_free(&H, residual_buffer);
    harness_free(&H, out);
}

static void test_rms_norm(void **state)
{
    (void)state;
    harness_seed(&H, 1);
    for (int i = 0; i < SIZES; i++) {
        norm_case c = {sizes[i], row_counts[i], sizes[i], sizes[i], 0, false, 1};
        check_norm(&c);
        c = (norm_case){sizes[i], row_counts[i], sizes[i] + 5, 2 * sizes[i] + 3, sizes[i] + 1, true, 1000};
        check_norm(&c);
        c.magnitude = 1e-4f; // eps decides
        check_norm(&c);
    }
}

static void check_gated(sx_activation activation, uint32_t n, uint32_t rows, float magnitude)
{
    float *x = harness_floats(&H, 2 * rows * n, -magnitude, magnitude);
    static const float special[] = {0, -0.0f, 30, -30, 100, -100, 1e30f, -1e30f};
    for (uint32_t i = 0; i < 8 && i < n; i++) { // where implementations of exp and tanh leave their range
        x[i] = special[i];
        x[n + i] = 1;
    }
    sx_gpu_buffer *x_buffer = harness_input(&H, x, 2 * rows * n), *out = harness_output(&H, rows * n);
    harness_begin(&H);
    sx_op_gated_unit(&H.ops, H.tape, rows, activation, harness_whole(x_buffer), n, harness_whole(out));
    harness_run(&H);
    uint32_t *got = harness_read(&H, out, rows * n);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < n; i++) {
            const double gate = x[2 * r * n + i], up = x[2 * r * n + n + i];
            const double want = reference_activation(activation, gate) * up;
            // exp is off by 3 + 2 |x| units (Vulkan's bound); the tanh form loses what 1 + tanh cancels.
            const double tolerance =
                0x1p-23 * (8 + 4 * fmin(fabs(gate), 100)) * fabs(want) +
                (activation == SX_ACTIVATION_GELU ? 0x1p-20 * fmin(fabs(gate), 10) * fabs(up) : 0) + 1e-37 * fabs(up);
            const double value = ((float *)got)[r * n + i];
            if (!(fabs(value - want) <= tolerance))
                fail_msg("gated_unit %d: gate %g, up %g gives %.9g, not %.9g", activation, gate, up, value, want);
        }
    }
    free(got);
    free(x);
    harness_free(&H, x_buffer);
    harness_free(&H, out);
}

static void test_gated_unit(void **state)
{
    (void)state;
    harness_seed(&H, 2);
    for (int i = 0; i < SIZES; i++) {
        check_gated(SX_ACTIVATION_SILU, sizes[i], row_counts[i], 8);
        check_gated(SX_ACTIVATION_GELU, sizes[i], row_counts[i], 8);
    }
}

static void check_gather(uint32_t n, uint32_t rows, bool with_batch)
{
    const uint32_t x_stride = n + 9, x_offset = 4, x_rows = 32, out_stride = 2 * n + 1, out_offset = n;
    uint32_t *x = malloc(4 * x_rows * x_stride);
    for (uint32_t i = 0; i < x_rows * x_stride; i++)
        x[i] = harness_random(&H); // any bits, NaN too
    SxBatch batch = {.count = rows};
    for (uint32_t r = 0; r < SX_MAX_ROWS; r++)
        batch.source[r] = harness_random(&H) % x_rows;
    sx_gpu_buffer *x_buffer = harness_input(&H, x, x_rows * x_stride), *out = harness_output(&H, rows * out_stride);
    sx_gpu_buffer *batch_buffer = harness_input(&H, &batch, sizeof batch / 4);
    sx_gather_args args = {.x = harness_whole(x_buffer),
                           .x_stride = x_stride,
                           .x_offset = x_offset,
                           .n = n,
                           .out = harness_whole(out),
                           .out_stride = out_stride,
                           .out_offset = out_offset};
    if (with_batch) args.batch = harness_whole(batch_buffer);
    harness_begin(&H);
    sx_op_gather_rows(&H.ops, H.tape, rows, &args);
    harness_run(&H);
    uint32_t *got = harness_read(&H, out, rows * out_stride);
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t source = with_batch ? batch.source[r] : r;
        for (uint32_t i = 0; i < out_stride; i++) {
            const bool ours = i >= out_offset && i < out_offset + n;
            const uint32_t want = ours ? x[source * x_stride + x_offset + i - out_offset] : HARNESS_POISON;
            if (got[r * out_stride + i] != want) fail_msg("gather_rows: row %u, element %u is wrong", r, i);
        }
    }
    free(got);
    free(x);
    harness_free(&H, x_buffer);
    harness_free(&H, batch_buffer);
    harness_free(&H, out);
}

static void test_gather_rows(void **state)
{
    (void)state;
    harness_seed(&H, 3);
    for (int i = 0; i < SIZES; i++) {
        check_gather(sizes[i], row_counts[i], false);
        check_gather(sizes[i], row_counts[i], true);
    }
}

static void check_signals(uint32_t n, uint32_t rows, uint32_t mask, float magnitude)
{
    float *weight = harness_floats(&H, 3 * n, -1, 1), *x = harness_floats(&H, rows * n, -magnitude, magnitude);
    sx_gpu_buffer *weight_buffer = harness_input(&H, weight, 3 * n), *x_buffer = harness_input(&H, x, rows * n);
    sx_gpu_buffer *out = harness_output(&H, 4 * rows);
    harness_begin(&H);
    sx_op_signals(&H.ops, H.tape, rows, harness_whole(weight_buffer), n, mask, harness_whole(x_buffer),
                  harness_whole(out));
    harness_run(&H);
    uint32_t *got = harness_read(&H, out, 4 * rows);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t k = 0; k < 4; k++) {
            double dot, bound, want = 0, tolerance = 0;
            const float value = ((float *)got)[4 * r + k];
            if (k < 3 && (mask >> k & 1)) {
                reference_linear(weight + k * n, 1, n, x + r * n, NULL, NULL, &dot, &bound);
                want = k < 2 ? 1 / (1 + exp(-dot)) : exp(fmin(fmax(dot, -80), 80));
                // The error of the sum is an absolute one of the exponent.
                tolerance = want * ((8 * sqrt(n) + 8) * 0x1p-24 * bound + (16 + 4 * fmin(fabs(dot), 100)) * 0x1p-23);
            }
            assert_true(isfinite(value));
            if (!(fabs(value - want) <= tolerance + 1e-37))
                fail_msg("signals of %u: row %u, signal %u is %.9g, not %.9g", n, r, k, (double)value, want);
        }
    }
    free(got);
    free(weight);
    free(x);
    harness_free(&H, weight_buffer);
    harness_free(&H, x_buffer);
    harness_free(&H, out);
}

static void test_signals(void **state)
{
    (void)state;
    harness_seed(&H, 4);
    for (int i = 0; i < SIZES; i++) {
        check_signals(sizes[i], row_counts[i], 7, 0.2f);
        check_signals(sizes[i], row_counts[i], 1u << (i % 3), 0.2f);
    }
    check_signals(192, 4, 7, 1000); // exp would overflow
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rms_norm), cmocka_unit_test(test_gated_unit),
                                       cmocka_unit_test(test_gather_rows), cmocka_unit_test(test_signals)};
    return cmocka_run_group_tests_name("rows", tests, harness_set_up, harness_tear_down) +
           cmocka_run_group_tests_name("rows, plain kernels", tests, harness_set_up_plain, harness_tear_down);
}
