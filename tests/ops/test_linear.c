// embed and linear in every format, against double precision and, bit by bit, against themselves at other row counts
// and by other kernels.
#include "harness.h"
#include "reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct linear_case {
    uint32_t matrix_rows, columns, rows;
    uint32_t x_stride, out_stride, out_offset, piece_rows;
    bool bias, residual;
    float scale; // of the weights
} linear_case;

// Random data of one case, on the host and on the device.
typedef struct linear_data {
    linear_case c;
    float *dense, *x, *bias, *residual;
    float *rounded; // what x is when it is packed, [rows, columns]; else NULL
    sx_matrix matrix;
    sx_gpu_buffer *x_buffer, *bias_buffer, *residual_buffer, *out;
    size_t out_words;
} linear_data;

static float *dense_weights(sx_format format, const void *weights, uint32_t rows, uint32_t columns)
{
    float *dense = malloc((size_t)rows * columns * sizeof *dense);
    const uint64_t row_bytes = sx_format_row_bytes(format, columns);
    for (uint32_t i = 0; i < rows; i++)
        sx_dequantize_row(format, (const uint8_t *)weights + i * row_bytes, dense + (size_t)i * columns, columns);
    return dense;
}

static linear_data make_data(sx_format format, const linear_case *c)
{
    linear_data d = {.c = *c, .out_words = (size_t)c->rows * c->out_stride};
    void *weights = harness_weights(&H, format, c->matrix_rows, c->columns, c->scale);
    d.dense = dense_weights(format, weights, c->matrix_rows, c->columns);
    d.matrix = harness_matrix(&H, format, weights, c->matrix_rows, c->columns, c->piece_rows);
    free(weights);
    d.x = harness_floats(&H, (size_t)c->rows * c->x_stride, -1, 1);
    d.bias = harness_floats(&H, c->matrix_rows, -1, 1);
    d.residual = harness_floats(&H, (size_t)c->rows * c->out_stride, -1, 1);
    d.x_buffer = harness_input(&H, d.x, (size_t)c->rows * c->x_stride);
    d.bias_buffer = harness_input(&H, d.bias, c->matrix_rows);
    d.residual_buffer = harness_input(&H, d.residual, (size_t)c->rows * c->out_stride);
    d.out = harness_output(&H, d.out_words);
    return d;
}

static void free_data(linear_data *d)
{
    free(d->dense);
    free(d->x);
    free(d->rounded);
    free(d->bias);
    free(d->residual);
    harness_free_matrix(&H, &d->matrix);
    harness_free(&H, d->x_buffer);
    harness_free(&H, d->bias_buffer);
    harness_free(&H, d->residual_buffer);
    harness_free(&H, d->out);
}

static uint32_t *run_linear(linear_data *d)
{
    const linear_case *c = &d->c;
    sx_linear_args args = {.weight = &d->matrix,
                           .x = harness_whole(d->x_buffer),
                           .x_stride = c->x_stride,
                           .out = harness_whole(d->out),
                           .out_stride = c->out_stride,
                           .out_offset = c->out_offset};
    if (c->bias) args.bias = harness_whole(d->bias_buffer);
    if (c->residual) args.residual = harness_whole(d->residual_buffer), args.residual_stride = c->out_stride;
    harness_begin(&H);
    sx_gpu_buffer *packed = harness_pack(&H, d->matrix.format, d->x_buffer, c->rows, c->x_stride, c->columns);
    if (packed) args.packed = harness_whole(packed);
    sx_op_linear(&H.ops, H.tape, c->rows, &args);
    harness_run(&H);
    if (packed) {
        free(d->rounded);
        d->rounded = harness_unpack(&H, packed, c->rows, c->columns);
        harness_free(&H, packed);
    }
    return harness_read(&H, d->out, d->out_words);
}

// A float32 sum of n products in any fixed order has an error of at most 2 n u times the sum of magnitudes, u = 2^-24
// (twice, as fma may round twice), in practice near sqrt(n) u. 8 sqrt(n) u catches one wrong weight of thousands.
// Weights with a minimum are rounded when decoded: 2 u more. Products below 2^-126 may be flushed.
static double linear_tolerance(uint32_t columns, double bound)
{
    return (8 * sqrt(columns) + 8) * 0x1p-24 * bound + columns * 0x1p-126;
}

static void check_rows(const linear_data *d, const uint32_t *got, const char *what)
{
    const linear_case *c = &d->c;
    double *want = malloc(c->matrix_rows * sizeof *want), *tolerance = malloc(c->matrix_rows * sizeof *tolerance);
    for (uint32_t r = 0; r < c->rows; r++) {
        const float *x = d->rounded ? d->rounded + (size_t)r * c->columns : d->x + (size_t)r * c->x_stride;
        reference_linear(d->dense, c->matrix_rows, c->columns, x, c->bias ? d->bias : NULL,
                         c->residual ? d->residual + (size_t)r * c->out_stride : NULL, want, tolerance);
        for (uint32_t i = 0; i < c->matrix_rows; i++)
            tolerance[i] = linear_tolerance(c->columns, tolerance[i]);
        const uint32_t *row = got + (size_t)r * c->out_stride;
        harness_compare((const float *)row + c->out_offset, want, tolerance, c->matrix_rows, what);
        for (uint32_t i = 0; i < c->out_stride; i++) {
            const bool ours = i >= c->out_offset && i < c->out_offset + c->matrix_rows;
            if (!ours && row[i] != HARNESS_POISON) fail_msg("%s: element %u of row %u was overwritten", what, i, r);
        }
    }
    free(want);
    free(tolerance);
}

static void check_case(sx_format format, const linear_case *c)
{
    char what[128];
    snprintf(what, sizeof what, "linear %s %ux%u, %u rows, scale %g", sx_format_get(format)->name, c->matrix_rows,
             c->columns, c->rows, (double)c->scale);
    linear_data d = make_data(format, c);
    uint32_t *got = run_linear(&d);
    check_rows(&d, got, what);
    free(got);
    free_data(&d);
}

static linear_case plain_case(uint32_t matrix_rows, uint32_t columns, uint32_t rows)
{
    return (linear_case){.matrix_rows = matrix_rows,
                         .columns = columns,
                         .rows = rows,
                         .x_stride = (columns + 3) / 4 * 4,
                         .out_stride = matrix_rows,
                         .scale = 0.1f};
}

static void test_every_format(void **state)
{
    (void)state;
    harness_seed(&H, 1);
    for (sx_format format = 0; format < SX_FORMAT_COUNT; format++) {
        const uint32_t block = sx_format_get(format)->block;
        static const uint32_t rows[] = {1, 4, 8, 16};
        for (int i = 0; i < 4; i++) {
            const linear_case c = plain_case(33, block == 256 ? 512 : 192, rows[i]);
            check_case(format, &c);
        }
    }
}

static void test_awkward_sizes(void **state)
{
    (void)state;
    harness_seed(&H, 2);
    static const uint32_t matrix_rows[] = {1, 23, 31, 33, 257};
    static const uint32_t columns[] = {32, 64, 96, 192, 576};
    static const uint32_t rows[] = {1, 2, 3, 5, 17, 32};
    for (int i = 0; i < 5; i++) {
        for (int j = 0; j < 5; j++) {
            const linear_case c = plain_case(matrix_rows[i], columns[j], rows[(i + j) % 6]);
            check_case(SX_FORMAT_Q8_0, &c); // 32 and 96: half a group at the end
            check_case(SX_FORMAT_Q4_0, &c);
        }
    }
    static const uint32_t odd[] = {1, 3, 31, 33, 257, 510};
    for (int i = 0; i < 6; i++) {
        const linear_case c = plain_case(33, odd[i], rows[i]);
        check_case(SX_FORMAT_F32, &c);
        check_case(SX_FORMAT_F16, &c);
        check_case(SX_FORMAT_BF16, &c);
    }
}

static void test_strides_bias_residual_pieces(void **state)
{
    (void)state;
    harness_seed(&H, 3);
    for (int variant = 0; variant < 8; variant++) {
        const linear_case c = {.matrix_rows = 150,
                               .columns = 192,
                               .rows = variant < 4 ? 5 : 32,
                               .x_stride = 200,
                               .out_stride = 170,
                               .out_offset = 13,
                               .piece_rows = variant & 4 ? 64 : 0,
                               .bias = variant & 1,
                               .residual = variant & 2,
                               .scale = 0.1f};
        check_case(SX_FORMAT_Q8_0, &c);
        check_case(SX_FORMAT_Q5_1, &c);
    }
}

// Block scales are subnormal halves in real files; unpackHalf2x16 flushes them on some devices.
static void test_subnormal_scales(void **state)
{
    (void)state;
    harness_seed(&H, 4);
    for (sx_format format = SX_FORMAT_F16; format < SX_FORMAT_COUNT; format++) {
        linear_case c = plain_case(33, 256, 4);
        c.scale = 2e-6f; // halves below 6.1e-5 are subnormal
        check_case(format, &c);
    }
}

// A row's outputs are the same bits whatever rows stand beside it.
static void test_batch_invariance(void **state)
{
    (void)state;
    harness_seed(&H, 5);
    for (sx_format format = 0; format < SX_FORMAT_COUNT; format++) {
        linear_case c = plain_case(65, sx_format_get(format)->block == 256 ? 768 : 320, 32);
        linear_data d = make_data(format, &c);
        uint32_t *all = run_linear(&d);
        static const uint32_t others[] = {1, 2, 4, 8, 16};
        for (int i = 0; i < 5; i++) {
            const uint32_t rows = others[i], first = harness_random(&H) % (33 - rows);
            linear_data part = d;
            part.rounded = NULL;
            part.c.rows = rows;
            part.out_words = (size_t)rows * c.out_stride;
            part.x_buffer = harness_input(&H, d.x + (size_t)first * c.x_stride, (size_t)rows * c.x_stride);
            part.out = harness_output(&H, part.out_words);
            uint32_t *got = run_linear(&part);
            if (memcmp(got, all + (size_t)first * c.out_stride, 4 * part.out_words))
                fail_msg("%s: %u rows from row %u differ from the same among 32", sx_format_get(format)->name, rows,
                         first);
            free(got);
            free(part.rounded);
            harness_free(&H, part.x_buffer);
            harness_free(&H, part.out);
        }
        free(all);
        free_data(&d);
    }
}

// The kernels for the many rows of a prompt: right, and the bits of those that decode.
static void check_tiled(sx_format format, const linear_case *c)
{
    char what[128];
    snprintf(what, sizeof what, "tiled linear %s %ux%u, %u rows", sx_format_get(format)->name, c->matrix_rows,
             c->columns, c->rows);
    linear_data d = make_data(format, c);
    H.ops.tiled_from = 0;
    uint32_t *want = run_linear(&d);
    H.ops.tiled_from = 33;
    harness_poison(&H, d.out, d.out_words);
    uint32_t *got = run_linear(&d);
    check_rows(&d, got, what);
    if (memcmp(got, want, 4 * d.out_words)) fail_msg("%s: the sums are not those of the decoding kernels", what);
    free(want);
    free(got);
    free_data(&d);
}

static void test_tiled(void **state)
{
    (void)state;
    if (H.ops.shuffle) return; // whose sums are others; tested with the plain kernels
    harness_seed(&H, 8);
#ifdef __EMSCRIPTEN__
    // Pipelines take minutes there, and the decoding of each format is tested by the other kernels: one of each kind.
    enum { STEP = 7 };
#else
    enum { STEP = 1 };
#endif
    for (sx_format format = 0; format < SX_FORMAT_COUNT; format += STEP) {
        const uint32_t block = sx_format_get(format)->block;
        const linear_case c = plain_case(65, block == 256 ? 768 : 608, 70);
        check_tiled(format, &c);
        if (block == 1) {
            const linear_case odd = plain_case(33, 257, 33);
            check_tiled(format, &odd);
        }
    }
    for (int variant = 0; variant < 4; variant++) {
        const linear_case c = {.matrix_rows = 150,
                               .columns = 256,
                               .rows = variant < 2 ? 64 : 131,
                               .x_stride = 260,
                               .out_stride = 170,
                               .out_offset = 13,
                               .piece_rows = variant & 2 ? 96 : 0,
                               .bias = variant & 1,
                               .residual = variant & 2,
                               .scale = 0.1f};
        check_tiled(variant & 1 ? SX_FORMAT_Q4_K : SX_FORMAT_Q8_0, &c);
    }
}

// A NaN or an infinity in a row stays in that row, and is not swallowed.
static void test_not_finite(void **state)
{
    (void)state;
    harness_seed(&H, 6);
    const linear_case c = plain_case(33, 192, 4);
    linear_data d = make_data(SX_FORMAT_Q8_0, &c);
    d.x[1 * c.x_stride + 77] = NAN;
    d.x[2 * c.x_stride + 5] = INFINITY;
    harness_free(&H, d.x_buffer);
    d.x_buffer = harness_input(&H, d.x, (size_t)c.rows * c.x_stride);
    uint32_t *got = run_linear(&d);
    const float *values = (const float *)got;
    for (uint32_t i = 0; i < c.matrix_rows; i++) {
        assert_true(isfinite(values[i]));
        assert_true(isnan(values[c.out_stride + i]));
        assert_false(isfinite(values[2 * c.out_stride + i]));
        assert_true(isfinite(values[3 * c.out_stride + i]));
    }
    free(got);
    free_data(&d);
}

// Bytes are the nearest to x / scale, and the largest of a block is 127 or -127, whatever its size.
static void test_pack_rows(void **state)
{
    (void)state;
    if (!H.ops.packs) return;
    harness_seed(&H, 9);
    static const uint32_t shapes[][3] = {{1, 32, 32}, {3, 96, 100}, {32, 576, 576}, {200, 64, 64}};
    for (int shape = 0; shape < 4; shape++) {
        const uint32_t rows = shapes[shape][0], columns = shapes[shape][1], stride = shapes[shape][2];
        float *x = harness_floats(&H, (size_t)rows * stride, -1, 1);
        for (uint32_t b = 0; b < rows * (columns / 32); b++) {
            const float size = b % 3 == 0 ? 1 : ldexpf(1, (int)(harness_random(&H) % 140) - 100);
            for (uint32_t i = 0; i < 32; i++)
                x[b / (columns / 32) * stride + b % (columns / 32) * 32 + i] *= b % 7 == 6 ? 0 : size;
        }
        sx_gpu_buffer *x_buffer = harness_input(&H, x, (size_t)rows * stride);
        harness_begin(&H);
        sx_gpu_buffer *packed = harness_pack(&H, SX_FORMAT_Q8_0, x_buffer, rows, stride, columns);
        harness_run(&H);
        float *values = harness_unpack(&H, packed, rows, columns);
        for (uint32_t b = 0; b < rows * (columns / 32); b++) {
            const float *want = x + b / (columns / 32) * stride + b % (columns / 32) * 32, *got = values + b * 32;
            float largest = 0, found = 0;
            for (int i = 0; i < 32; i++)
                largest = fmaxf(largest, fabsf(want[i])), found = fmaxf(found, fabsf(got[i]));
            if (fabsf(found - largest) > 1e-6f * largest)
                fail_msg("block %u: the largest is %g, not %g", b, (double)found, (double)largest);
            for (int i = 0; i < 32; i++)
                if (fabsf(got[i] - want[i]) > largest / 127 * 0.50001f)
                    fail_msg("block %u: %g became %g, the largest is %g", b, (double)want[i], (double)got[i],
                             (double)largest);
        }
        free(values);
        free(x);
        harness_free(&H, packed);
        harness_free(&H, x_buffer);
    }
}

static void check_embed(sx_format format, uint32_t table_rows, uint32_t columns, uint32_t piece_rows, uint32_t rows)
{
    void *weights = harness_weights(&H, format, table_rows, columns, 0.1f);
    float *dense = dense_weights(format, weights, table_rows, columns);
    sx_matrix table = harness_matrix(&H, format, weights, table_rows, columns, piece_rows);
    SxBatch batch = {.count = rows};
    for (uint32_t r = 0; r < rows; r++)
        batch.token[r] = harness_random(&H) % table_rows;
    batch.token[rows - 1] = table_rows - 1;
    sx_gpu_buffer *batch_buffer = harness_input(&H, &batch, sizeof batch / 4);
    sx_gpu_buffer *out = harness_output(&H, (size_t)rows * columns);
    harness_begin(&H);
    sx_op_embed(&H.ops, H.tape, &table, harness_whole(batch_buffer), rows, 3.0f, harness_whole(out));
    harness_run(&H);
    uint32_t *got = harness_read(&H, out, (size_t)rows * columns);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < columns; i++) {
            const double want = 3.0 * dense[(size_t)batch.token[r] * columns + i];
            // One rounding of a weight with a minimum, whose parts may be larger than it, and one of the product.
            const double tolerance = 0x1p-22 * (fabs(want) + 3.0 * 0.1 * 64), value = ((float *)got)[r * columns + i];
            if (fabs(value - want) > tolerance)
                fail_msg("embed %s: row %u, column %u is %g, not %g", sx_format_get(format)->name, r, i, value, want);
        }
    }
    free(got);
    free(dense);
    free(weights);
    harness_free_matrix(&H, &table);
    harness_free(&H, batch_buffer);
    harness_free(&H, out);
}

static void test_embed(void **state)
{
    (void)state;
    harness_seed(&H, 7);
    for (sx_format format = 0; format < SX_FORMAT_COUNT; format++) {
        const uint32_t block = sx_format_get(format)->block;
        check_embed(format, 70, block == 256 ? 512 : 192, 0, 3);
        if (block == 1) check_embed(format, 33, 257, 0, 2);
        if (block == 32) check_embed(format, 33, 96, 0, 2);
    }
    check_embed(SX_FORMAT_Q8_0, 300, 192, 64, 32);
    check_embed(SX_FORMAT_Q6_K, 1, 256, 0, 1);
}

int main(void)
{
#define LINEAR_TESTS                                                                                                   \
    cmocka_unit_test(test_every_format), cmocka_unit_test(test_awkward_sizes),                                         \
        cmocka_unit_test(test_strides_bias_residual_pieces), cmocka_unit_test(test_subnormal_scales),                  \
        cmocka_unit_test(test_batch_invariance), cmocka_unit_test(test_tiled), cmocka_unit_test(test_not_finite)
    const struct CMUnitTest tests[] = {LINEAR_TESTS, cmocka_unit_test(test_embed)};
    const struct CMUnitTest packed[] = {cmocka_unit_test(test_pack_rows), LINEAR_TESTS};
    return cmocka_run_group_tests_name("linear", tests, harness_set_up, harness_tear_down) +
           cmocka_run_group_tests_name("linear, plain kernels", tests, harness_set_up_plain, harness_tear_down) +
           cmocka_run_group_tests_name("linear, packed", packed, harness_set_up_packed, harness_tear_down);
}
