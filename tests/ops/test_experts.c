// Layers of experts: route, expert_linear in every format, expert_sum, against double precision and, bit by bit,
// against themselves at other row counts.
#include "harness.h"
#include "reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// ---- route ----------------------------------------------------------------------------------------------------------

// Whether expert a comes before expert b: larger logits first, NaN last, then lower numbers.
static bool comes_before(const float *logits, uint32_t a, uint32_t b)
{
    const float x = isnan(logits[a]) ? -INFINITY : logits[a], y = isnan(logits[b]) ? -INFINITY : logits[b];
    return x > y || (!(x < y) && a < b);
}

static void check_routes(const float *logits, const SxRoute *got, uint32_t experts, uint32_t used, bool normed)
{
    double sum = 0, highest = -1e300;
    for (uint32_t e = 0; e < experts; e++)
        if (!isnan(logits[e])) highest = fmax(highest, (double)logits[e]);
    for (uint32_t k = 0; k < used; k++) {
        assert_true(got[k].expert < experts);
        uint32_t before = 0;
        for (uint32_t e = 0; e < experts; e++)
            before += comes_before(logits, e, got[k].expert);
        if (before != k) fail_msg("choice %u of %u is expert %u, which has rank %u", k, experts, got[k].expert, before);
    }
    for (uint32_t i = 0; i < (normed ? used : experts); i++)
        sum += exp((double)logits[normed ? got[i].expert : i] - highest);
    for (uint32_t k = 0; k < used && !isnan(sum); k++) {
        const double difference = (double)logits[got[k].expert] - highest, want = exp(difference) / sum;
        // exp is off by 3 + 2 |x| units on Vulkan, in the sum as well.
        const double tolerance = (16 + 4 * fmin(fabs(difference), 100) + experts) * 0x1p-23 * want + 1e-37;
        if (!(fabs((double)got[k].weight - want) <= tolerance))
            fail_msg("choice %u of %u has weight %.9g, not %.9g", k, experts, (double)got[k].weight, want);
    }
}

static SxRoute *run_route(const float *logits, uint32_t rows, uint32_t experts, uint32_t used, bool normed)
{
    sx_gpu_buffer *input = harness_input(&H, logits, (size_t)rows * experts);
    sx_gpu_buffer *out = harness_output(&H, 2 * (size_t)rows * used);
    harness_begin(&H);
    sx_op_route(&H.ops, H.tape, rows, harness_whole(input), experts, used, normed, harness_whole(out));
    harness_run(&H);
    SxRoute *got = (SxRoute *)(void *)harness_read(&H, out, 2 * (size_t)rows * used);
    harness_free(&H, input);
    harness_free(&H, out);
    return got;
}

static void check_route(uint32_t rows, uint32_t experts, uint32_t used, bool normed, bool special)
{
    float *logits = harness_floats(&H, (size_t)rows * experts, -8, 8);
    for (uint32_t i = 0; special && i < rows * experts; i++) {
        if (i % 3 == 0) logits[i] = floorf(logits[i] / 4); // many are equal
        if (i % 7 == 0) logits[i] = -0.0f;
        if (i % 31 == 5) logits[i] = NAN;
    }
    SxRoute *got = run_route(logits, rows, experts, used, normed);
    for (uint32_t r = 0; r < rows; r++)
        check_routes(logits + (size_t)r * experts, got + (size_t)r * used, experts, used, normed);
    // A row alone gives the same bits.
    const uint32_t row = harness_random(&H) % rows;
    SxRoute *alone = run_route(logits + (size_t)row * experts, 1, experts, used, normed);
    assert_memory_equal(alone, got + (size_t)row * used, used * sizeof *alone);
    free(alone);
    free(got);
    free(logits);
}

static void test_route(void **state)
{
    (void)state;
    harness_seed(&H, 1);
    static const uint32_t sizes[][3] = {{1, 1, 1},   {1, 4, 2},    {3, 23, 5},    {32, 31, 31},
                                        {5, 33, 32}, {32, 128, 8}, {17, 257, 10}, {2, 512, 32}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        for (int variant = 0; variant < 4; variant++)
            check_route(sizes[i][0], sizes[i][1], sizes[i][2], variant & 1, variant & 2);
    }
}

// ---- expert_linear --------------------------------------------------------------------------------------------------

typedef struct expert_case {
    uint32_t experts, rows_each, columns, rows, used, piece_rows;
    bool x_of_route;
} expert_case;

typedef struct expert_data {
    expert_case c;
    float *dense, *x;
    float *rounded; // what x is when it is packed; else NULL
    SxRoute *routes;
    sx_expert_stack stack;
    uint32_t out_stride, out_offset;
} expert_data;

static expert_data make_data(sx_format format, const expert_case *c)
{
    const uint32_t rows = c->experts * c->rows_each, route_count = c->rows * c->used;
    expert_data d = {.c = *c, .out_stride = 2 * c->rows_each + 3, .out_offset = c->rows_each + 1};
    void *weights = harness_weights(&H, format, rows, c->columns, 0.1f);
    const uint64_t row_bytes = sx_format_row_bytes(format, c->columns);
    d.dense = malloc((size_t)rows * c->columns * sizeof *d.dense);
    for (uint32_t i = 0; i < rows; i++)
        sx_dequantize_row(format, (const uint8_t *)weights + i * row_bytes, d.dense + (size_t)i * c->columns,
                          c->columns);
    d.stack = (sx_expert_stack){harness_matrix(&H, format, weights, rows, c->columns, c->piece_rows), c->rows_each};
    free(weights);
    d.x = harness_floats(&H, (size_t)route_count * c->columns, -1, 1);
    d.routes = calloc(route_count, sizeof *d.routes);
    for (uint32_t i = 0; i < route_count; i++)
        d.routes[i] = (SxRoute){harness_random(&H) % c->experts, 0.5f};
    d.routes[0].expert = c->experts - 1;
    return d;
}

static void free_data(expert_data *d)
{
    free(d->dense);
    free(d->x);
    free(d->rounded);
    free(d->routes);
    harness_free_matrix(&H, &d->stack.matrix);
}

// Rows [first, first + rows) of the case.
static uint32_t *run_experts(expert_data *d, uint32_t first, uint32_t rows)
{
    const expert_case *c = &d->c;
    const uint32_t x_rows = c->x_of_route ? c->used : 1;
    const size_t out_words = (size_t)rows * c->used * d->out_stride;
    sx_gpu_buffer *x =
        harness_input(&H, d->x + (size_t)first * x_rows * c->columns, (size_t)rows * x_rows * c->columns);
    sx_gpu_buffer *routes = harness_input(&H, d->routes + (size_t)first * c->used, 2 * (size_t)rows * c->used);
    sx_gpu_buffer *out = harness_output(&H, out_words);
    sx_expert_linear_args args = {.weight = &d->stack,
                                  .routes = harness_whole(routes),
                                  .used = c->used,
                                  .x = harness_whole(x),
                                  .x_stride = c->columns,
                                  .x_of_route = c->x_of_route,
                                  .out = harness_whole(out),
                                  .out_stride = d->out_stride,
                                  .out_offset = d->out_offset};
    harness_begin(&H);
    sx_gpu_buffer *packed = harness_pack(&H, d->stack.matrix.format, x, rows * x_rows, c->columns, c->columns);
    if (packed) args.packed = harness_whole(packed);
    sx_op_expert_linear(&H.ops, H.tape, rows, &args);
    harness_run(&H);
    if (packed) {
        if (!d->rounded) d->rounded = harness_unpack(&H, packed, rows * x_rows, c->columns);
        harness_free(&H, packed);
    }
    uint32_t *got = harness_read(&H, out, out_words);
    harness_free(&H, x);
    harness_free(&H, routes);
    harness_free(&H, out);
    return got;
}

static void check_route_output(const expert_data *d, uint32_t route, const uint32_t *row, const char *what)
{
    const expert_case *c = &d->c;
    const float *dense = d->dense + (size_t)d->routes[route].expert * c->rows_each * c->columns;
    const float *x = (d->rounded ? d->rounded : d->x) + (size_t)(c->x_of_route ? route : route / c->used) * c->columns;
    double *want = malloc(c->rows_each * sizeof *want), *tolerance = malloc(c->rows_each * sizeof *tolerance);
    reference_linear(dense, c->rows_each, c->columns, x, NULL, NULL, want, tolerance);
    for (uint32_t i = 0; i < c->rows_each; i++) // as test_linear.c explains
        tolerance[i] = (8 * sqrt(c->columns) + 8) * 0x1p-24 * tolerance[i] + c->columns * 0x1p-126;
    harness_compare((const float *)row + d->out_offset, want, tolerance, c->rows_each, what);
    for (uint32_t i = 0; i < d->out_stride; i++) {
        const bool ours = i >= d->out_offset && i < d->out_offset + c->rows_each;
        if (!ours && row[i] != HARNESS_POISON) fail_msg("%s: element %u of route %u was overwritten", what, i, route);
    }
    free(want);
    free(tolerance);
}

static void check_experts(sx_format format, const expert_case *c)
{
    char what[128];
    snprintf(what, sizeof what, "expert %s %ux%ux%u, %u rows of %u, pieces of %u", sx_format_get(format)->name,
             c->experts, c->rows_each, c->columns, c->rows, c->used, c->piece_rows);
    expert_data d = make_data(format, c);
    uint32_t *got = run_experts(&d, 0, c->rows);
    for (uint32_t route = 0; route < c->rows * c->used; route++)
        check_route_output(&d, route, got + (size_t)route * d.out_stride, what);
    const uint32_t row = harness_random(&H) % c->rows;
    uint32_t *alone = run_experts(&d, row, 1);
    if (memcmp(alone, got + (size_t)row * c->used * d.out_stride, (size_t)c->used * d.out_stride * sizeof *alone))
        fail_msg("%s: row %u alone differs from the same in company", what, row);
    free(alone);
    free(got);
    free_data(&d);
}

static void test_every_format(void **state)
{
    (void)state;
    harness_seed(&H, 2);
    for (sx_format format = 0; format < SX_FORMAT_COUNT; format++) {
        const expert_case c = {.experts = 5,
                               .rows_each = 36, // an expert's rows begin in the middle of a tile
                               .columns = sx_format_get(format)->block == 256 ? 512 : 96,
                               .rows = 3,
                               .used = 2,
                               .x_of_route = format % 2};
        check_experts(format, &c);
    }
}

static void test_awkward_sizes(void **state)
{
    (void)state;
    harness_seed(&H, 3);
    static const expert_case cases[] = {{1, 4, 32, 1, 1, 0, false},      {3, 32, 64, 32, 2, 0, true},
                                        {7, 28, 96, 5, 7, 64, false},    {9, 100, 192, 2, 3, 64, true},
                                        {128, 12, 32, 4, 8, 512, false}, {4, 260, 576, 1, 4, 96, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_experts(SX_FORMAT_Q8_0, &cases[i]);
        check_experts(SX_FORMAT_F32, &cases[i]);
    }
}

// ---- expert_sum -----------------------------------------------------------------------------------------------------

static void check_sum(uint32_t rows, uint32_t used, uint32_t n)
{
    const size_t routes_count = (size_t)rows * used;
    float *x = harness_floats(&H, routes_count * n, -2, 2), *residual = harness_floats(&H, (size_t)rows * n, -2, 2);
    SxRoute *routes = calloc(routes_count, sizeof *routes);
    for (size_t i = 0; i < routes_count; i++)
        routes[i].weight = harness_uniform(&H, 0, 1);
    sx_gpu_buffer *x_buffer = harness_input(&H, x, routes_count * n);
    sx_gpu_buffer *routes_buffer = harness_input(&H, routes, 2 * routes_count);
    sx_gpu_buffer *residual_buffer = harness_input(&H, residual, (size_t)rows * n);
    sx_gpu_buffer *out = harness_output(&H, (size_t)rows * n);
    harness_begin(&H);
    sx_op_expert_sum(&H.ops, H.tape, rows, harness_whole(x_buffer), harness_whole(routes_buffer), used, n,
                     harness_whole(residual_buffer), harness_whole(out));
    harness_run(&H);
    uint32_t *got = harness_read(&H, out, (size_t)rows * n);
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < n; i++) {
            double want = residual[r * n + i], bound = fabs(want);
            for (uint32_t k = 0; k < used; k++) {
                const double part = (double)routes[r * used + k].weight * x[(size_t)(r * used + k) * n + i];
                want += part;
                bound += fabs(part);
            }
            const double value = ((float *)got)[r * n + i];
            if (!(fabs(value - want) <= (used + 2) * 0x1p-23 * bound))
                fail_msg("expert_sum of %u, %u rows: element %u of row %u is %.9g, not %.9g", used, rows, i, r, value,
                         want);
        }
    }
    free(got);
    free(x);
    free(residual);
    free(routes);
    harness_free(&H, x_buffer);
    harness_free(&H, routes_buffer);
    harness_free(&H, residual_buffer);
    harness_free(&H, out);
}

static void test_sum(void **state)
{
    (void)state;
    harness_seed(&H, 4);
    static const uint32_t sizes[][3] = {{1, 1, 1}, {1, 8, 257}, {3, 2, 31}, {32, 8, 33}, {5, 32, 64}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        check_sum(sizes[i][0], sizes[i][1], sizes[i][2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_route),
        cmocka_unit_test(test_every_format),
        cmocka_unit_test(test_awkward_sizes),
        cmocka_unit_test(test_sum),
    };
    const struct CMUnitTest packed[] = {
        cmocka_unit_test(test_every_format),
        cmocka_unit_test(test_awkward_sizes),
    };
    return cmocka_run_group_tests_name("experts", tests, harness_set_up, harness_tear_down) +
           cmocka_run_group_tests_name("experts, plain kernels", tests, harness_set_up_plain, harness_tear_down) +
           cmocka_run_group_tests_name("experts, packed", packed, harness_set_up_packed, harness_tear_down);
}
