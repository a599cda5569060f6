// The device's part of a fit against plain C: several blocks, a short last one, resident and streamed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/fit_gpu.h"
#include "model/quant.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCKS = 3, LAST_ROWS = 37 };

static float uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(*state >> 40) / (float)(1 << 23) - 1;
}

static void check(uint32_t width, uint64_t resident)
{
    fit_device host, device;
    sx_fit_gpu *made;
    sx_error error = {0};
    if (sx_fit_gpu_open(&(sx_gpu_desc){0}, width, resident, &made, &device, &error) != SX_OK)
        fail_msg("%s", error.message);
    assert_int_equal(fit_host_make(width, &host, &error), SX_OK);
    uint64_t random = 5 + width;
    const size_t rows = FIT_BLOCK_ROWS;
    float *v = malloc(width * FIT_COLUMNS * sizeof *v), *a = malloc(rows * FIT_SYSTEMS * sizeof *a);
    float *z[2] = {malloc(rows * FIT_COLUMNS * 4), malloc(rows * FIT_COLUMNS * 4)};
    float *g[2] = {malloc(width * FIT_SYSTEMS * 4), malloc(width * FIT_SYSTEMS * 4)};
    fit_block block[BLOCKS];
    for (int b = 0; b < BLOCKS; b++) {
        block[b] = (fit_block){.rows = b + 1 < BLOCKS ? FIT_BLOCK_ROWS : LAST_ROWS, .x = malloc(rows * width * 2)};
        for (size_t i = 0; i < rows * width; i++)
            block[b].x[i] = sx_float_to_half(4 * uniform(&random));
    }
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < width * FIT_COLUMNS; i++)
            v[i] = uniform(&random);
        assert_int_equal(host.begin(host.user, v, &error), SX_OK);
        assert_int_equal(device.begin(device.user, v, &error), SX_OK);
        for (int b = 0; b < BLOCKS; b++) {
            assert_int_equal(host.project(host.user, &block[b], z[0], &error), SX_OK);
            assert_int_equal(device.project(device.user, &block[b], z[1], &error), SX_OK);
            // Both sum width products of at most 4 in float32, in other orders.
            for (size_t i = 0; i < block[b].rows * (size_t)FIT_COLUMNS; i++)
                if (!(fabsf(z[0][i] - z[1][i]) <= 4e-7f * 4 * (float)width))
                    fail_msg("z[%zu] %g and %g", i, (double)z[0][i], (double)z[1][i]);
            for (size_t i = 0; i < block[b].rows * (size_t)FIT_SYSTEMS; i++)
                a[i] = uniform(&random);
            assert_int_equal(host.accumulate(host.user, &block[b], a, &error), SX_OK);
            assert_int_equal(device.accumulate(device.user, &block[b], a, &error), SX_OK);
        }
        assert_int_equal(host.sum(host.user, g[0], &error), SX_OK);
        assert_int_equal(device.sum(device.user, g[1], &error), SX_OK);
        for (size_t i = 0; i < width * (size_t)FIT_SYSTEMS; i++)
            if (!(fabsf(g[0][i] - g[1][i]) <= 4e-7f * 4 * BLOCKS * FIT_BLOCK_ROWS / 8))
                fail_msg("g[%zu] %g and %g", i, (double)g[0][i], (double)g[1][i]);
    }
    for (int b = 0; b < BLOCKS; b++)
        free(block[b].x);
    for (int i = 0; i < 2; i++) {
        free(z[i]);
        free(g[i]);
    }
    free(v);
    free(a);
    fit_host_free(&host);
    sx_fit_gpu_close(made);
}

static void test_resident(void **state)
{
    (void)state;
    check(66, 1 << 26);
}

static void test_streamed(void **state)
{
    (void)state;
    check(96, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_resident), cmocka_unit_test(test_streamed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
