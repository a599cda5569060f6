// Weights on the device hold what the files hold, however they are fused, cut into pieces and uploaded in parts.
#include "graph/weights.h"
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_TENSORS = 3, COLUMNS = 96 };

typedef struct file {
    uint8_t *bytes;
    sx_source source;
    sx_tensor_ref tensors[MAX_TENSORS];
    const sx_tensor_ref *refs[MAX_TENSORS];
    uint32_t count, rows;
} file;

// A file in memory with `count` tensors of the rows, one behind another at an odd offset.
static void make_file(file *f, sx_format format, uint32_t count, const uint32_t *rows, uint32_t columns)
{
    memset(f, 0, sizeof *f);
    for (uint32_t i = 0; i < count; i++)
        f->rows += rows[i];
    const uint64_t row_bytes = sx_format_row_bytes(format, columns), size = 3 + f->rows * row_bytes;
    void *weights = harness_weights(&H, format, f->rows, columns, 0.1f);
    f->bytes = calloc(1, size);
    memcpy(f->bytes + 3, weights, f->rows * row_bytes);
    free(weights);
    f->source = sx_source_memory("file", f->bytes, size);
    uint64_t offset = 3;
    for (uint32_t i = 0; i < count; i++) {
        f->tensors[i] = (sx_tensor_ref){.name = "tensor",
                                        .format = format,
                                        .slices = 1,
                                        .rows = rows[i],
                                        .columns = columns,
                                        .source = &f->source,
                                        .offset = offset,
                                        .size = rows[i] * row_bytes};
        f->refs[i] = &f->tensors[i];
        offset += f->tensors[i].size;
    }
    f->count = count;
}

static void upload(sx_weights *weights, uint64_t budget)
{
    sx_error error = {0};
    sx_status status;
    uint32_t polls = 0;
    uint64_t done = 0;
    do {
        status = sx_weights_upload(weights, budget, &error);
        assert_true(weights->bytes_done >= done && weights->bytes_done <= weights->bytes);
        done = weights->bytes_done;
        polls++;
    } while (status == SX_PENDING);
    if (status != SX_OK) fail_msg("%s", error.message);
    assert_int_equal(weights->bytes_done, weights->bytes);
    if (budget == 1) assert_true(polls >= 2); // every step is a poll of its own
}

static void check_words(sx_gpu_binding binding, const void *want, uint64_t bytes)
{
    sx_error error = {0};
    void *got = malloc(bytes);
    assert_int_equal(binding.offset % SX_GPU_OFFSET_ALIGNMENT, 0);
    assert_int_equal(binding.size, bytes);
    assert_int_equal(sx_gpu_read(H.gpu, binding.buffer, binding.offset, got, bytes, &error), SX_OK);
    assert_memory_equal(got, want, bytes);
    free(got);
}

static void check_matrix(const sx_matrix *matrix, const void *rows)
{
    const sx_format format = (sx_format)matrix->format;
    const uint64_t row_bytes = sx_format_row_bytes(format, matrix->columns);
    uint32_t done = 0;
    for (uint32_t piece = 0; piece < matrix->piece_count; piece++) {
        const uint32_t left = matrix->rows - done, count = left < matrix->piece_rows ? left : matrix->piece_rows;
        const uint64_t words = sx_tile_words(format, count, matrix->columns);
        uint32_t *want = malloc(4 * words);
        sx_tile_pack(format, (const uint8_t *)rows + done * row_bytes, count, matrix->columns, want);
        check_words(matrix->piece[piece], want, 4 * words);
        free(want);
        done += count;
    }
    assert_int_equal(done, matrix->rows);
}

static const uint32_t row_sets[][MAX_TENSORS] = {{64, 32, 32}, {33, 1, 70}, {5, 6, 7}, {96, 33, 64}, {1, 64, 64}};

static void run_matrices(bool in_pieces, uint64_t budget)
{
    sx_error error = {0};
    enum { SETS = sizeof row_sets / sizeof row_sets[0], FORMATS = 3 };
    static const sx_format formats[FORMATS] = {SX_FORMAT_Q8_0, SX_FORMAT_F16, SX_FORMAT_Q4_1};
    file files[SETS * FORMATS];
    sx_matrix matrices[SETS * FORMATS];
    sx_weights weights;
    sx_gpu_info *info = (sx_gpu_info *)sx_gpu_get_info(H.gpu);
    const sx_gpu_info before = *info;
    if (in_pieces) info->max_binding_size = 32 * 4 * COLUMNS / 2 + 256; // one tile of F16, two of Q8_0
    sx_weights_init(&weights, H.gpu);
    for (int i = 0; i < SETS * FORMATS; i++) {
        make_file(&files[i], formats[i % FORMATS], MAX_TENSORS, row_sets[i / FORMATS], COLUMNS);
        assert_int_equal(
            sx_weights_add_matrix(&weights, files[i].refs, MAX_TENSORS, formats[i % FORMATS], &matrices[i], &error),
            SX_OK);
    }
    assert_int_equal(sx_weights_bytes(&weights), weights.bytes);
    assert_int_equal(sx_weights_allocate(&weights, &error), SX_OK);
    upload(&weights, budget);
    for (int i = 0; i < SETS * FORMATS; i++) {
        if (in_pieces && files[i].rows > 64) assert_true(matrices[i].piece_count > 1);
        check_matrix(&matrices[i], files[i].bytes + 3);
        free(files[i].bytes);
    }
    sx_weights_destroy(&weights);
    *info = before;
}

static void test_fused_matrices(void **state)
{
    (void)state;
    harness_seed(&H, 1);
    run_matrices(false, 1);
    run_matrices(false, UINT64_MAX);
}

static void test_pieces(void **state)
{
    (void)state;
    harness_seed(&H, 2);
    run_matrices(true, 1);
}

static void test_requantising(void **state)
{
    (void)state;
    harness_seed(&H, 3);
    sx_error error = {0};
    file f;
    make_file(&f, SX_FORMAT_BF16, 3, (const uint32_t[]){33, 64, 2}, COLUMNS);
    sx_matrix matrix;
    sx_weights weights;
    sx_weights_init(&weights, H.gpu);
    assert_int_equal(sx_weights_add_matrix(&weights, f.refs, 3, SX_FORMAT_Q8_0, &matrix, &error), SX_OK);
    // Neither can be written as asked: MXFP4 has no quantiser, 96 columns no whole block of Q4_K.
    assert_int_equal(sx_weights_add_matrix(&weights, f.refs, 3, SX_FORMAT_MXFP4, &matrix, &error),
                     SX_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "tensor"));
    assert_int_equal(sx_weights_add_matrix(&weights, f.refs, 3, SX_FORMAT_Q4_K, &matrix, &error), SX_ERROR_UNSUPPORTED);
    sx_weights_destroy(&weights);

    sx_weights_init(&weights, H.gpu);
    assert_int_equal(sx_weights_add_matrix(&weights, f.refs, 3, SX_FORMAT_Q8_0, &matrix, &error), SX_OK);
    assert_int_equal(sx_weights_allocate(&weights, &error), SX_OK);
    upload(&weights, 1);
    const uint64_t row_bytes = sx_format_row_bytes(SX_FORMAT_Q8_0, COLUMNS);
    uint8_t *rows = malloc(f.rows * row_bytes);
    float *floats = malloc(COLUMNS * sizeof *floats);
    for (uint32_t i = 0; i < f.rows; i++) {
        sx_dequantize_row(SX_FORMAT_BF16, f.bytes + 3 + i * 2 * COLUMNS, floats, COLUMNS);
        sx_quantize_row(SX_FORMAT_Q8_0, floats, rows + i * row_bytes, COLUMNS);
    }
    check_matrix(&matrix, rows);
    free(rows);
    free(floats);
    free(f.bytes);
    sx_weights_destroy(&weights);
}

static void test_vectors_and_data(void **state)
{
    (void)state;
    harness_seed(&H, 4);
    sx_error error = {0};
    file f;
    make_file(&f, SX_FORMAT_F16, 2, (const uint32_t[]){1, 3}, 37);
    const sx_tensor_ref absent = {0};
    const sx_tensor_ref *some[] = {&f.tensors[0], &absent, &f.tensors[1]}, *none[] = {&absent};
    const uint32_t data[] = {1, 2, 3};
    sx_gpu_binding vector, nothing = {.size = 1}, table;
    sx_weights weights;
    sx_weights_init(&weights, H.gpu);
    assert_int_equal(sx_weights_add_vector(&weights, some, 3, 1.0f, &vector, &error), SX_OK);
    assert_int_equal(sx_weights_add_vector(&weights, none, 1, 0, &nothing, &error), SX_OK);
    assert_int_equal(sx_weights_add_data(&weights, data, sizeof data, &table, &error), SX_OK);
    assert_int_equal(sx_weights_allocate(&weights, &error), SX_OK);
    upload(&weights, 1);
    float want[4 * 37];
    sx_dequantize_row(SX_FORMAT_F16, f.bytes + 3, want, 4 * 37);
    for (int i = 0; i < 4 * 37; i++)
        want[i] += 1.0f;
    check_words(vector, want, sizeof want);
    assert_int_equal(nothing.size, 0);
    check_words(table, data, sizeof data);
    free(f.bytes);
    sx_weights_destroy(&weights);
}

// Every failure leaves something that can be destroyed, and says what and where.
static void test_failures(void **state)
{
    (void)state;
    harness_seed(&H, 5);
    sx_error error = {0};
    file f;
    make_file(&f, SX_FORMAT_F32, 2, (const uint32_t[]){64, 64}, COLUMNS);
    sx_matrix matrix;
    sx_weights weights;
    sx_weights_init(&weights, H.gpu);
    sx_gpu_info *info = (sx_gpu_info *)sx_gpu_get_info(H.gpu);
    const sx_gpu_info before = *info;
    info->max_binding_size = 1024; // not even a tile
    assert_int_equal(sx_weights_add_matrix(&weights, f.refs, 2, SX_FORMAT_F32, &matrix, &error), SX_ERROR_UNSUPPORTED);
    *info = before;
    sx_weights_destroy(&weights);
    sx_weights_init(&weights, H.gpu);
    f.tensors[1].columns = 64;
    assert_int_equal(sx_weights_add_matrix(&weights, f.refs, 2, SX_FORMAT_F32, &matrix, &error), SX_ERROR_FORMAT);
    sx_weights_destroy(&weights);

    sx_weights_init(&weights, H.gpu);
    f.tensors[0].columns = f.tensors[1].columns = 94;
    assert_int_equal(sx_weights_add_matrix(&weights, f.refs, 2, SX_FORMAT_F32, &matrix, &error), SX_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "94"));
    sx_weights_destroy(&weights);

    // A file that became shorter: the upload fails, naming tensor and file, and may be given up half way.
    sx_weights_init(&weights, H.gpu);
    f.tensors[0].columns = f.tensors[1].columns = COLUMNS;
    assert_int_equal(sx_weights_add_matrix(&weights, f.refs, 2, SX_FORMAT_Q8_0, &matrix, &error), SX_OK);
    assert_int_equal(sx_weights_allocate(&weights, &error), SX_OK);
    f.source.mapping = NULL;
    f.source.size /= 2;
    sx_status status = SX_PENDING;
    while (status == SX_PENDING)
        status = sx_weights_upload(&weights, 1, &error);
    assert_int_equal(status, SX_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "tensor"));
    assert_non_null(strstr(error.message, "file"));
    sx_weights_destroy(&weights);
    free(f.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fused_matrices),   cmocka_unit_test(test_pieces),   cmocka_unit_test(test_requantising),
        cmocka_unit_test(test_vectors_and_data), cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, harness_set_up, harness_tear_down);
}
