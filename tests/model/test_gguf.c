// The GGUF parser: what it reads, and that no damage gets past it.
#include "support.h"

#include "model/target_weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Everything a loader does with a file; the result is whatever it is, but nothing may crash.
static sx_status load(const uint8_t *bytes, size_t size, sx_error *error)
{
    const sx_source source = sx_source_memory("test.gguf", bytes, size);
    const sx_source *sources[] = {&source};
    sx_model_files *files;
    sx_hparams hparams;
    sx_target_weights weights = {0};
    sx_status status = sx_model_files_from_sources(sources, 1, &files, error);
    if (status != SX_OK) return status;
    status = sx_hparams_read(files, &hparams, error);
    if (status == SX_OK) status = sx_target_weights_find(files, &hparams, &weights, error);
    if (status == SX_OK) {
        float row[64];
        const sx_tensor_ref first = sx_tensor_rows(&weights.token_embedding, 0, 1);
        assert_int_equal(sx_tensor_read_floats(&first, 0, 1, row, error), SX_OK);
    }
    sx_target_weights_free(&weights);
    sx_model_files_close(files);
    return status;
}

static void expect_failure(const uint8_t *bytes, size_t size, sx_status wanted, const char *part)
{
    sx_error error = {SX_OK, ""};
    const sx_status status = load(bytes, size, &error);
    if (status != wanted || !strstr(error.message, part) || !strstr(error.message, "test.gguf"))
        fail_msg("status %s, message \"%s\" where \"%s\" is wanted", sx_status_name(status), error.message, part);
}

static void test_values(void **state)
{
    (void)state;
    test_gguf file;
    size_t size;
    const uint32_t numbers[] = {5, 6, 4000000000u};
    test_gguf_begin(&file, 1);
    sx_gguf_writer_u32(file.writer, "a.u32", 7);
    sx_gguf_writer_f32(file.writer, "a.f32", 0.5f);
    sx_gguf_writer_bool(file.writer, "a.bool", true);
    sx_gguf_writer_string(file.writer, "a.string", "text");
    sx_gguf_writer_u32_array(file.writer, "a.array", numbers, 3);
    test_gguf_tensor(&file, "t", SX_FORMAT_Q4_0, 3, 64);
    test_gguf_tensor(&file, "u", SX_FORMAT_F32, 0, 5);
    uint8_t *bytes = test_gguf_finish(&file, &size);
    const sx_source source = sx_source_memory("values.gguf", bytes, size);
    sx_gguf *gguf;
    sx_error error;
    assert_int_equal(sx_gguf_open(&source, &gguf, &error), SX_OK);
    uint32_t u = 0;
    float f = 0;
    bool b = false;
    sx_gguf_string s = {NULL, 0};
    assert_int_equal(sx_gguf_get_u32(gguf, "a.u32", true, &u, &error), SX_OK);
    assert_int_equal(sx_gguf_get_f32(gguf, "a.f32", true, &f, &error), SX_OK);
    assert_int_equal(sx_gguf_get_bool(gguf, "a.bool", true, &b, &error), SX_OK);
    assert_int_equal(sx_gguf_get_string(gguf, "a.string", true, &s, &error), SX_OK);
    assert_true(u == 7 && f == 0.5f && b && s.length == 4 && strcmp(s.data, "text") == 0);
    const sx_gguf_value *array;
    assert_int_equal(sx_gguf_get_integers(gguf, "a.array", true, &array, &error), SX_OK);
    assert_int_equal(array->count, 3);
    assert_int_equal(sx_gguf_integer_at(array, 2), 4000000000u);
    // absent, optional: untouched; absent, required: named; another type: named
    u = 9;
    assert_int_equal(sx_gguf_get_u32(gguf, "a.none", false, &u, &error), SX_OK);
    assert_int_equal(u, 9);
    assert_int_equal(sx_gguf_get_u32(gguf, "a.none", true, &u, &error), SX_ERROR_FORMAT);
    assert_string_equal(error.message, "values.gguf: key a.none is missing");
    assert_int_equal(sx_gguf_get_u32(gguf, "a.string", true, &u, &error), SX_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "key a.string: is string where an integer is wanted"));
    const sx_gguf_tensor *tensor = sx_gguf_find_tensor(gguf, "t");
    assert_non_null(tensor);
    assert_int_equal(tensor->size, 3 * 36);
    assert_int_equal(tensor->offset % 32, 0);
    assert_int_equal(tensor->dimensions[0], 64);
    assert_int_equal(tensor->dimensions[1], 3);
    assert_null(sx_gguf_find_tensor(gguf, "v"));
    sx_gguf_close(gguf);
    free(bytes);
}

static bool read_slowly(void *user, uint64_t offset, void *destination, size_t size)
{
    memcpy(destination, (const uint8_t *)user + offset, size);
    return true;
}

// A source without mapping gives the same file.
static void test_unmapped(void **state)
{
    (void)state;
    size_t size;
    const tiny_options options = {0};
    uint8_t *bytes = tiny_target(&options, &size);
    const sx_source source = {"slow.gguf", size, read_slowly, bytes, NULL};
    const sx_source *sources[] = {&source};
    sx_model_files *files;
    sx_hparams hparams;
    sx_target_weights weights;
    sx_tensor_scratch scratch = {0};
    assert_int_equal(sx_model_files_from_sources(sources, 1, &files, NULL), SX_OK);
    assert_int_equal(sx_hparams_read(files, &hparams, NULL), SX_OK);
    assert_int_equal(sx_target_weights_find(files, &hparams, &weights, NULL), SX_OK);
    const sx_tensor_ref *down = &weights.layers[3].down;
    float row[96];
    uint32_t *tiles = malloc((size_t)sx_tensor_tile_bytes(down, SX_FORMAT_Q8_0));
    assert_int_equal(sx_tensor_read_floats(down, 33, 1, row, NULL), SX_OK);
    assert_int_equal(sx_tensor_pack(down, 0, 32, 32, SX_FORMAT_BF16, &scratch, tiles, NULL), SX_OK);
    for (uint32_t c = 0; c < 96; c++)
        assert_true(sx_tile_value(SX_FORMAT_BF16, tiles, 96, 1, c) == row[c]);
    assert_int_equal(sx_tensor_pack(down, 0, 32, 32, SX_FORMAT_Q8_0, &scratch, tiles, NULL), SX_OK);
    for (uint32_t c = 0; c < 96; c++)
        assert_true(fabsf(sx_tile_value(SX_FORMAT_Q8_0, tiles, 96, 1, c) - row[c]) < 0.01f);
    sx_error error;
    assert_int_equal(sx_tensor_pack(down, 0, 32, 32, SX_FORMAT_Q4_K, &scratch, tiles, &error), SX_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "blk.3.ffn_down.weight"));
    sx_tensor_scratch_free(&scratch);
    free(tiles);
    sx_target_weights_free(&weights);
    sx_model_files_close(files);
    free(bytes);
}

// Cut anywhere, the file is refused with a message.
static void test_truncation(void **state)
{
    (void)state;
    size_t size;
    const tiny_options options = {0};
    uint8_t *bytes = tiny_target(&options, &size);
    sx_error error;
    assert_int_equal(load(bytes, size, &error), SX_OK);
    // In the header at every byte, in the data at a few.
    const size_t header = size - 1 < 9000 ? size - 1 : 9000;
    for (size_t cut = 0; cut < size - 32; cut += cut < header ? 1 : 997) {
        uint8_t *copy = malloc(cut + 1); // an exact allocation, so that the sanitizer sees a read too far
        memcpy(copy, bytes, cut);
        error.message[0] = 0;
        if (load(copy, cut, &error) == SX_OK) fail_msg("cut at %zu of %zu passes", cut, size);
        assert_non_null(strstr(error.message, "test.gguf"));
        free(copy);
    }
    free(bytes);
}

// Every byte of the header changed in several ways: refused or read, never a crash.
static void test_damage(void **state)
{
    (void)state;
    size_t size;
    const tiny_options options = {0};
    uint8_t *bytes = tiny_target(&options, &size);
    static const uint8_t masks[] = {0x01, 0x80, 0xff};
    size_t refused = 0, tried = 0;
    sx_error error;
    for (size_t i = 0; i < 6000 && i < size; i++)
        for (int m = 0; m < 3; m++) {
            bytes[i] ^= masks[m];
            refused += load(bytes, size, &error) != SX_OK;
            tried++;
            bytes[i] ^= masks[m];
        }
    print_message("%zu of %zu damaged headers were refused\n", refused, tried);
    assert_true(refused > tried / 2);
    assert_int_equal(load(bytes, size, &error), SX_OK);
    free(bytes);
}

// A header in plain bytes: magic, version, tensor count, key count, then `rest`.
static void check_raw(uint32_t version, uint64_t tensors, uint64_t keys, const void *rest, size_t rest_size,
                      sx_status wanted, const char *part)
{
    uint8_t bytes[512] = "GGUF";
    memcpy(bytes + 4, &version, 4);
    memcpy(bytes + 8, &tensors, 8);
    memcpy(bytes + 16, &keys, 8);
    memcpy(bytes + 24, rest, rest_size);
    expect_failure(bytes, 24 + rest_size, wanted, part);
}

static void test_hostile_headers(void **state)
{
    (void)state;
    uint8_t zeros[256] = {0};
    expect_failure((const uint8_t *)"", 0, SX_ERROR_FORMAT, "too short");
    expect_failure((const uint8_t *)"PK\3\4aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 30, SX_ERROR_FORMAT, "not a GGUF file");
    check_raw(1, 0, 0, zeros, 64, SX_ERROR_UNSUPPORTED, "version 1");
    check_raw(0x03000000, 0, 0, zeros, 64, SX_ERROR_UNSUPPORTED, "big-endian");
    check_raw(3, UINT64_MAX, 0, zeros, 64, SX_ERROR_FORMAT, "do not fit");
    check_raw(3, 0, UINT64_MAX / 13, zeros, 64, SX_ERROR_FORMAT, "do not fit");
    uint8_t key[64] = {255, 255, 255, 255, 255, 255, 255, 127};
    check_raw(3, 0, 1, key, 64, SX_ERROR_FORMAT, "impossible length");
    check_raw(3, 0, 1, zeros, 64, SX_ERROR_FORMAT, "empty name");
    const uint8_t nested[] = {1, 0, 0, 0, 0, 0, 0, 0, 'k', 9, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    check_raw(3, 0, 1, nested, sizeof nested, SX_ERROR_UNSUPPORTED, "arrays of arrays");
    const uint8_t unknown[] = {1, 0, 0, 0, 0, 0, 0, 0, 'k', 77, 0, 0, 0, 0, 0, 0, 0, 0};
    check_raw(3, 0, 1, unknown, sizeof unknown, SX_ERROR_FORMAT, "key k: unknown value type 77");
    const uint8_t huge[] = {1, 0, 0, 0, 0,   0,   0,   0,   'k', 9,   0,   0,  0,
                            8, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255};
    check_raw(3, 0, 1, huge, sizeof huge, SX_ERROR_FORMAT, "key k: 18446744073709551615 strings");
    const uint8_t numbers[] = {1, 0, 0, 0, 0, 0, 0, 0, 'k', 9, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32};
    check_raw(3, 0, 1, numbers, sizeof numbers, SX_ERROR_FORMAT, "elements do not fit");
    const uint8_t boolean[] = {1, 0, 0, 0, 0, 0, 0, 0, 'k', 7, 0, 0, 0, 2};
    check_raw(3, 0, 1, boolean, sizeof boolean, SX_ERROR_FORMAT, "neither 0 nor 1");
}

static void test_repeats(void **state)
{
    (void)state;
    test_gguf file;
    size_t size;
    test_gguf_begin(&file, 1);
    sx_gguf_writer_u32(file.writer, "twice", 1);
    sx_gguf_writer_u32(file.writer, "other", 1);
    sx_gguf_writer_u32(file.writer, "twice", 1);
    uint8_t *bytes = test_gguf_finish(&file, &size);
    expect_failure(bytes, size, SX_ERROR_FORMAT, "key twice: appears twice");
    free(bytes);
    test_gguf_begin(&file, 1);
    test_gguf_tensor(&file, "same", SX_FORMAT_F32, 0, 4);
    test_gguf_tensor(&file, "same", SX_FORMAT_F32, 0, 4);
    bytes = test_gguf_finish(&file, &size);
    expect_failure(bytes, size, SX_ERROR_FORMAT, "tensor same: appears twice");
    free(bytes);
}

static void check_alignment(uint32_t alignment, const char *part)
{
    test_gguf file;
    size_t size;
    test_gguf_begin(&file, 1);
    sx_gguf_writer_u32(file.writer, "general.alignment", alignment);
    test_gguf_tensor(&file, "a", SX_FORMAT_F32, 0, 3);
    test_gguf_tensor(&file, "b", SX_FORMAT_F32, 0, 3);
    uint8_t *bytes = test_gguf_finish(&file, &size);
    expect_failure(bytes, size, SX_ERROR_FORMAT, part);
    free(bytes);
}

static void test_alignment(void **state)
{
    (void)state;
    check_alignment(0, "no power of two");
    check_alignment(48, "no power of two");
    check_alignment(64, "not aligned to 64");
    check_alignment(32, "general.architecture is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),    cmocka_unit_test(test_unmapped),        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_damage),    cmocka_unit_test(test_hostile_headers), cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_alignment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
