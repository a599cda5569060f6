// Formats: decoding against the golden file, half precision against arithmetic, tiles against decoded rows.
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *golden_folder;

static uint64_t fnv(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        value = (value ^ bytes[i]) * 0x100000001b3u;
    return value;
}

static size_t from_hex(const char *text, uint8_t *out)
{
    size_t count = 0;
    for (unsigned byte; sscanf(text, "%2x", &byte) == 1; text += 2)
        out[count++] = (uint8_t)byte;
    return count;
}

static void check_decode_line(const char *name, const char *hex, const char *hash)
{
    sx_format format;
    uint8_t bytes[1024];
    float values[1024];
    assert_true(sx_format_from_name(name, &format));
    const sx_format_info *info = sx_format_get(format);
    const size_t count = from_hex(hex, bytes) / info->block_bytes * info->block;
    sx_dequantize_row(format, bytes, values, count);
    if (fnv(values, count * sizeof(float)) != strtoull(hash, NULL, 16))
        fail_msg("%s block %s decodes wrongly", name, hex);
}

static void check_encode_line(const char *hex, const char *name, const char *expected)
{
    float values[32];
    uint8_t encoded[64], wanted[64];
    sx_format format;
    assert_true(sx_format_from_name(name, &format));
    from_hex(hex, (uint8_t *)values);
    const size_t size = from_hex(expected, wanted);
    sx_quantize_row(format, values, encoded, 32);
    assert_memory_equal(encoded, wanted, size);
}

static void test_golden(void **state)
{
    (void)state;
    char path[512], a[16], *b = malloc(4096), *c = malloc(4096), d[256], *line = malloc(8192);
    snprintf(path, sizeof path, "%s/quant.txt", golden_folder);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int decoded = 0, encoded = 0;
    while (fgets(line, 8192, file)) {
        if (sscanf(line, "encode %4095s %4095s %255s", b, c, d) == 3)
            check_encode_line(b, c, d), encoded++;
        else if (sscanf(line, "%15s %4095s %4095s", a, b, c) == 3)
            check_decode_line(a, b, c), decoded++;
    }
    fclose(file);
    free(b), free(c), free(line);
    assert_int_equal(decoded, 140);
    assert_int_equal(encoded, 6);
}

static void test_half(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const uint32_t exponent = bits >> 10 & 31, mantissa = bits & 1023;
        const float value = sx_half_to_float((uint16_t)bits);
        if (exponent == 31 && mantissa) {
            assert_true(isnan(value));
            assert_true(isnan(sx_half_to_float(sx_float_to_half(value))));
            continue;
        }
        const double magnitude = exponent == 31 ? INFINITY
                                 : exponent     ? ldexp(1024 + mantissa, (int)exponent - 25)
                                                : ldexp(mantissa, -24);
        assert_true((double)value == (bits & 0x8000 ? -magnitude : magnitude));
        assert_int_equal(signbit(value) != 0, bits >> 15);
        assert_int_equal(sx_float_to_half(value), bits);
        // Between this half and the next: the nearer one, at the middle the even one.
        if (bits >= 0x7bff) continue;
        const float next = sx_half_to_float((uint16_t)(bits + 1)), middle = (value + next) / 2;
        assert_int_equal(sx_float_to_half(middle), bits & 1 ? bits + 1 : bits);
        assert_int_equal(sx_float_to_half(nextafterf(middle, 0)), bits);
        assert_int_equal(sx_float_to_half(nextafterf(middle, INFINITY)), bits + 1);
    }
    assert_int_equal(sx_float_to_half(65519.0f), 0x7bff);
    assert_int_equal(sx_float_to_half(65520.0f), 0x7c00);
    assert_int_equal(sx_float_to_half(-1e30f), 0xfc00);
    assert_int_equal(sx_float_to_half(0x1p-25f), 0);
    assert_int_equal(sx_float_to_half(nextafterf(0x1p-25f, 1)), 1);
}

static void test_bf16(void **state)
{
    (void)state;
    assert_int_equal(sx_float_to_bf16(1.0f), 0x3f80);
    assert_int_equal(sx_float_to_bf16(1.00390625f), 0x3f80); // a tie goes to the even one
    assert_int_equal(sx_float_to_bf16(1.01171875f), 0x3f82);
    assert_true(isnan(sx_bf16_to_float(sx_float_to_bf16(NAN))));
    assert_true(isinf(sx_bf16_to_float(sx_float_to_bf16(INFINITY))));
    assert_true(sx_bf16_to_float(0x0001) == 0x1p-133f);
}

// What pack makes of a matrix must read back as the decoded rows, whatever the shape; padding must be zero.
static void check_tiles(sx_format format, uint64_t rows, uint64_t columns, uint64_t seed)
{
    const uint64_t row_bytes = sx_format_row_bytes(format, columns), words = sx_tile_words(format, rows, columns);
    uint8_t *source = malloc(rows * row_bytes + 1);
    uint32_t *tiles = malloc((words + 2) * sizeof *tiles), *banded = malloc(words * sizeof *tiles);
    float *row = malloc(columns * sizeof *row);
    source[0] = 0;
    random_blocks(&seed, format, rows * columns, source + 1); // at an odd address
    memset(tiles, 0xa5, (words + 2) * sizeof *tiles);
    sx_tile_pack(format, source + 1, rows, columns, tiles);
    assert_int_equal(tiles[words], 0xa5a5a5a5u);
    for (uint64_t r = 0; r < rows; r++) {
        sx_dequantize_row(format, source + 1 + r * row_bytes, row, columns);
        for (uint64_t c = 0; c < columns; c++) {
            const float value = sx_tile_value(format, tiles, columns, r, c);
            if (memcmp(&value, &row[c], sizeof value))
                fail_msg("%s [%u, %u]: weight %u,%u is %g, not %g", sx_format_get(format)->name, (unsigned)rows,
                         (unsigned)columns, (unsigned)r, (unsigned)c, (double)value, (double)row[c]);
        }
    }
    const uint64_t row_words = sx_tile_row_words(format, columns);
    for (uint64_t r = rows; r < (rows + 31) / 32 * 32; r++)
        for (uint64_t w = 0; w < row_words; w++)
            assert_int_equal(tiles[(r / 32 * row_words + w) * 32 + r % 32], 0);
    const uint64_t padded = (columns + sx_format_get(format)->group - 1) / sx_format_get(format)->group;
    for (uint64_t c = columns; c < padded * sx_format_get(format)->group; c++)
        assert_true(sx_tile_value(format, tiles, columns, 0, c) == 0);
    for (uint64_t first = 0; first < rows; first += 32)
        sx_tile_pack(format, source + 1 + first * row_bytes, rows - first < 32 ? rows - first : 32, columns,
                     banded + first * row_words);
    assert_memory_equal(banded, tiles, words * sizeof *tiles);
    free(source), free(tiles), free(banded), free(row);
}

static void test_tiles(void **state)
{
    (void)state;
    static const uint64_t row_counts[] = {1, 33, 23, 70};
    for (int format = 0; format < SX_FORMAT_COUNT; format++) {
        const uint64_t block = sx_format_get((sx_format)format)->block;
        for (uint64_t r = 0; r < (block == 256 ? 2 : 4); r++)
            for (uint64_t count = 1; count <= (block == 256 ? 2 : 5); count++)
                check_tiles((sx_format)format, row_counts[r], count * block, (uint64_t)format * 100 + r * 10 + count);
    }
    static const uint64_t odd_columns[] = {1, 23, 31, 33, 257};
    for (int c = 0; c < 5; c++) {
        check_tiles(SX_FORMAT_F32, 33, odd_columns[c], 1);
        check_tiles(SX_FORMAT_F16, 33, odd_columns[c], 2);
        check_tiles(SX_FORMAT_BF16, 33, odd_columns[c], 3);
    }
}

// The documented words themselves, so that the layout cannot drift from the header's table unseen.
static void test_tile_words(void **state)
{
    (void)state;
    uint8_t q8[68], q5[44];
    uint32_t words[17 * 32];
    for (int i = 0; i < 68; i++)
        q8[i] = (uint8_t)i;
    sx_tile_pack(SX_FORMAT_Q8_0, q8, 1, 64, words);
    assert_int_equal(words[0], 0x05040302);
    assert_int_equal(words[7 * 32], 0x21201f1e);
    assert_int_equal(words[8 * 32], 0x27262524);
    assert_int_equal(words[16 * 32], 0x23220100);
    for (int i = 0; i < 44; i++)
        q5[i] = (uint8_t)i;
    sx_tile_pack(SX_FORMAT_Q5_0, q5, 1, 64, words);
    assert_int_equal(words[0], 0x09080706);
    assert_int_equal(words[4 * 32], 0x1f1e1d1c);
    assert_int_equal(words[8 * 32], 0x05040302);
    assert_int_equal(words[9 * 32], 0x1b1a1918);
    assert_int_equal(words[10 * 32], 0x17160100);
    sx_tile_pack(SX_FORMAT_MXFP4, q8, 1, 64, words);
    assert_int_equal(words[0], 0x04030201);
    assert_int_equal(words[4 * 32], 0x15141312);
    assert_int_equal(words[8 * 32], 0x1100);
}

static double q4_k_error(float (*weight)(uint64_t *, int), uint64_t seed)
{
    float values[256], decoded[256];
    uint8_t block[144];
    double error = 0, energy = 0;
    for (int n = 0; n < 40; n++) {
        for (int i = 0; i < 256; i++)
            values[i] = weight(&seed, i);
        sx_quantize_row(SX_FORMAT_Q4_K, values, block, 256);
        sx_dequantize_row(SX_FORMAT_Q4_K, block, decoded, 256);
        for (int i = 0; i < 256; i++) {
            error += ((double)values[i] - (double)decoded[i]) * ((double)values[i] - (double)decoded[i]);
            energy += (double)values[i] * (double)values[i];
        }
    }
    return sqrt(error / (energy + 1e-30));
}

static float gaussian(uint64_t *seed, int i)
{
    return (void)i, random_normal(seed) * 0.02f;
}
static float constant(uint64_t *seed, int i)
{
    return (void)seed, (void)i, -0.25f;
}
static float zero(uint64_t *seed, int i)
{
    return (void)seed, (void)i, 0.0f;
}
static float positive(uint64_t *seed, int i)
{
    return (void)i, fabsf(random_normal(seed)) + 1;
}

static void test_q4_k_encoder(void **state)
{
    (void)state;
    // Least squares over 16 levels leaves about 7 % of a Gaussian; ggml's own quantiser is near there, too.
    assert_true(q4_k_error(gaussian, 1) < 0.075);
    assert_true(q4_k_error(constant, 1) < 0.01);
    assert_true(q4_k_error(zero, 1) == 0);
    assert_true(q4_k_error(positive, 1) < 0.075);
}

static void test_names(void **state)
{
    (void)state;
    sx_format format;
    const char *name;
    for (int i = 0; i < SX_FORMAT_COUNT; i++) {
        const sx_format_info *info = sx_format_get((sx_format)i);
        assert_true(sx_format_from_ggml(info->ggml_type, &format, &name));
        assert_int_equal(format, i);
        assert_true(sx_format_from_name(info->name, &format));
        assert_int_equal(format, i);
    }
    assert_true(sx_format_from_name("q4_k", &format));
    assert_int_equal(format, SX_FORMAT_Q4_K);
    assert_false(sx_format_from_name("q4_", &format));
    assert_false(sx_format_from_name("", &format));
    assert_false(sx_format_from_ggml(17, &format, &name));
    assert_string_equal(name, "IQ2_XS");
    assert_false(sx_format_from_ggml(4000000000u, &format, &name));
    assert_null(name);
}

int main(int argc, char **argv)
{
    golden_folder = argc > 1 ? argv[1] : "tests/golden";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_half),       cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_tiles),  cmocka_unit_test(test_tile_words), cmocka_unit_test(test_q4_k_encoder),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
