#include "harness.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { GUARD_WORDS = 256, GUARD = 0x5AFE0000 };

static void check(sx_status status, const sx_error *error)
{
    if (status != SX_OK) fail_msg("%s: %s", sx_status_name(status), error->message);
}

static void log_line(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "gpu: %s\n", line);
}

void harness_open(harness *h)
{
    sx_error error = {0};
    memset(h, 0, sizeof *h);
    check(sx_gpu_open(&(sx_gpu_desc){.validation = true, .log = log_line}, &h->gpu, &error), &error);
    check(sx_ops_create(h->gpu, &h->ops, &error), &error);
}

void harness_close(harness *h)
{
    assert_int_equal(sx_gpu_validation_messages(h->gpu), 0);
    sx_ops_destroy(&h->ops);
    sx_gpu_counters counters;
    sx_gpu_get_counters(h->gpu, &counters);
    assert_int_equal(counters.memory_used, 0); // every buffer was given back
    sx_gpu_close(h->gpu);
}

harness H;

int harness_set_up(void **state)
{
    (void)state;
    harness_open(&H);
    return 0;
}

int harness_set_up_plain(void **state)
{
    (void)state;
    harness_open(&H);
    H.ops.shuffle = false;
    return 0;
}

int harness_set_up_packed(void **state)
{
    harness_set_up_plain(state);
    H.ops.packs = sx_ops_can_pack(&H.ops);
    const sx_gpu_info *info = sx_gpu_get_info(H.gpu);
    if (!H.ops.packs) fprintf(stderr, "%s has no packed integer dot products\n", info->name);
    return !H.ops.packs && info->kind == SX_GPU_CPU; // software drivers have them
}

int harness_tear_down(void **state)
{
    (void)state;
    harness_close(&H);
    return 0;
}

void harness_seed(harness *h, uint64_t seed)
{
    print_message("seed %llu\n", (unsigned long long)seed);
    h->random = seed * 0x9E3779B97F4A7C15u + 1;
}

uint32_t harness_random(harness *h)
{
    h->random = h->random * 6364136223846793005u + 1442695040888963407u;
    uint64_t x = h->random;
    x = (x ^ (x >> 33)) * 0xFF51AFD7ED558CCDu;
    return (uint32_t)(x >> 32);
}

float harness_uniform(harness *h, float low, float high)
{
    return low + (high - low) * ((float)(harness_random(h) >> 8) / 16777216.0f);
}

float *harness_floats(harness *h, size_t count, float low, float high)
{
    float *values = malloc((count ? count : 1) * sizeof *values);
    for (size_t i = 0; i < count; i++)
        values[i] = harness_uniform(h, low, high);
    return values;
}

static sx_gpu_buffer *guarded(harness *h, const uint32_t *data, size_t words)
{
    sx_error error = {0};
    sx_gpu_buffer *buffer = NULL;
    const uint64_t size = 4 * (words + GUARD_WORDS);
    check(sx_gpu_buffer_create(h->gpu, size, SX_GPU_STORAGE, "test", &buffer, &error), &error);
    uint32_t *all = malloc(size);
    for (size_t i = 0; i < words; i++)
        all[i] = data ? data[i] : HARNESS_POISON;
    for (size_t i = 0; i < GUARD_WORDS; i++)
        all[words + i] = GUARD + (uint32_t)i;
    check(sx_gpu_write(h->gpu, buffer, 0, all, size, &error), &error);
    free(all);
    return buffer;
}

sx_gpu_buffer *harness_input(harness *h, const void *data, size_t words)
{
    return guarded(h, data, words);
}

sx_gpu_buffer *harness_output(harness *h, size_t words)
{
    return guarded(h, NULL, words);
}

void harness_poison(harness *h, sx_gpu_buffer *buffer, size_t words)
{
    sx_error error = {0};
    uint32_t *poison = malloc(4 * words);
    for (size_t i = 0; i < words; i++)
        poison[i] = HARNESS_POISON;
    check(sx_gpu_write(h->gpu, buffer, 0, poison, 4 * words, &error), &error);
    free(poison);
}

sx_gpu_binding harness_whole(sx_gpu_buffer *buffer)
{
    return (sx_gpu_binding){.buffer = buffer, .size = sx_gpu_buffer_size(buffer)};
}

uint32_t *harness_read(harness *h, sx_gpu_buffer *buffer, size_t words)
{
    sx_error error = {0};
    uint32_t *all = malloc(4 * (words + GUARD_WORDS));
    check(sx_gpu_read(h->gpu, buffer, 0, all, 4 * (words + GUARD_WORDS), &error), &error);
    for (size_t i = 0; i < GUARD_WORDS; i++) {
        if (all[words + i] != GUARD + (uint32_t)i) fail_msg("guard word %zu was overwritten", i);
    }
    return all;
}

void harness_free(harness *h, sx_gpu_buffer *buffer)
{
    sx_gpu_buffer_destroy(h->gpu, buffer);
}

void harness_begin(harness *h)
{
    sx_error error = {0};
    check(sx_gpu_tape_create(h->gpu, "test", &h->tape, &error), &error);
}

void harness_submit(harness *h, sx_gpu_tape *tape)
{
    sx_error error = {0};
    sx_gpu_ticket ticket = 0;
    check(sx_gpu_submit(h->gpu, tape, NULL, &ticket, &error), &error);
    sx_status status;
    do {
        sx_gpu_wait(h->gpu, ticket, 1000, NULL);
        status = sx_gpu_poll(h->gpu, ticket, NULL, 0, &error);
    } while (status == SX_PENDING);
    check(status, &error);
}

void harness_run(harness *h)
{
    sx_error error = {0};
    check(sx_gpu_tape_finish(h->tape, &error), &error);
    harness_submit(h, h->tape);
    sx_gpu_tape_destroy(h->gpu, h->tape);
    h->tape = NULL;
}

sx_gpu_buffer *harness_pack(harness *h, sx_format format, sx_gpu_buffer *x, uint32_t rows, uint32_t x_stride,
                            uint32_t columns)
{
    if (!h->ops.packs || !sx_format_packs(format)) return NULL;
    sx_gpu_buffer *packed = harness_output(h, (size_t)rows * sx_packed_words(columns));
    sx_op_pack_rows(&h->ops, h->tape, rows, harness_whole(x), x_stride, columns, harness_whole(packed));
    return packed;
}

float *harness_unpack(harness *h, sx_gpu_buffer *packed, uint32_t rows, uint32_t columns)
{
    const size_t blocks = (size_t)rows * (columns / 32);
    uint32_t *words = harness_read(h, packed, blocks * SX_PACKED_WORDS);
    float *values = malloc(blocks * 32 * sizeof *values);
    for (size_t b = 0; b < blocks; b++) {
        const uint32_t *block = words + b * SX_PACKED_WORDS;
        float scale;
        memcpy(&scale, &block[8], sizeof scale);
        int sums[2] = {0, 0};
        for (int i = 0; i < 32; i++) {
            const int byte = (int8_t)(block[i / 4] >> 8 * (i % 4) & 255);
            sums[i / 16] += byte;
            values[b * 32 + (size_t)i] = scale * (float)byte;
        }
        if ((int)block[9] != sums[0] || (int)block[10] != sums[1])
            fail_msg("packed block %zu: sums %d and %d, not %d and %d", b, (int)block[9], (int)block[10], sums[0],
                     sums[1]);
    }
    free(words);
    return values;
}

void harness_compare(const float *got, const double *want, const double *tolerance, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++) {
        if (isnan(want[i]) ? isnan(got[i]) : fabs(got[i] - want[i]) <= tolerance[i]) continue;
        if (isinf(want[i]) && got[i] == want[i]) continue;
        fail_msg("%s: element %zu is %.9g, not %.9g (tolerance %.3g)", what, i, got[i], want[i], tolerance[i]);
    }
}

SxBatch harness_direct_batch(uint32_t rows, uint32_t first_position)
{
    SxBatch batch = {.count = rows, .base = SX_DIRECT};
    for (uint32_t r = 0; r < SX_MAX_ROWS; r++) {
        batch.position[r] = r < rows ? first_position + r : 0;
        batch.slot[r] = r < rows ? first_position + r : 0;
        batch.parent[r] = SX_NONE;
    }
    return batch;
}

// Offsets of the half-precision factors within a block; 0xFFFF: none.
typedef struct factor_places {
    uint16_t first, second;
} factor_places;

static factor_places places_of(sx_format format)
{
    switch (format) {
    case SX_FORMAT_Q4_1:
    case SX_FORMAT_Q5_1:
    case SX_FORMAT_Q4_K:
    case SX_FORMAT_Q5_K:
        return (factor_places){0, 2};
    case SX_FORMAT_Q2_K:
        return (factor_places){80, 82};
    case SX_FORMAT_Q3_K:
        return (factor_places){108, 0xFFFF};
    case SX_FORMAT_Q6_K:
        return (factor_places){208, 0xFFFF};
    default:
        return (factor_places){0, 0xFFFF};
    }
}

static void random_block(harness *h, sx_format format, uint8_t *block, uint32_t block_bytes, float scale)
{
    const float value = harness_uniform(h, 0.3f, 1.0f) * scale * (harness_random(h) & 1 ? 1 : -1);
    if (format == SX_FORMAT_F32) {
        memcpy(block, &value, 4);
        return;
    }
    if (format == SX_FORMAT_F16 || format == SX_FORMAT_BF16) {
        const uint16_t bits = format == SX_FORMAT_F16 ? sx_float_to_half(value) : sx_float_to_bf16(value);
        memcpy(block, &bits, 2);
        return;
    }
    for (uint32_t i = 0; i < block_bytes; i++)
        block[i] = (uint8_t)harness_random(h);
    if (format == SX_FORMAT_MXFP4) {
        block[0] = (uint8_t)(127 + ilogbf(scale) + (int)(harness_random(h) & 3));
        return;
    }
    const factor_places places = places_of(format);
    const uint16_t first = sx_float_to_half(value);
    const uint16_t second = sx_float_to_half(harness_uniform(h, -1.0f, 1.0f) * scale);
    memcpy(block + places.first, &first, 2);
    if (places.second != 0xFFFF) memcpy(block + places.second, &second, 2);
}

void *harness_weights(harness *h, sx_format format, uint32_t rows, uint32_t columns, float scale)
{
    const sx_format_info *info = sx_format_get(format);
    const size_t row_blocks = columns / info->block;
    assert_int_equal(columns % info->block, 0);
    uint8_t *weights = malloc(rows * row_blocks * info->block_bytes);
    for (size_t i = 0; i < rows * row_blocks; i++)
        random_block(h, format, weights + i * info->block_bytes, info->block_bytes, scale);
    return weights;
}

sx_matrix harness_matrix(harness *h, sx_format format, const void *weights, uint32_t rows, uint32_t columns,
                         uint32_t piece_rows)
{
    if (!piece_rows) piece_rows = (rows + 31) / 32 * 32;
    sx_matrix matrix = {.format = format, .rows = rows, .columns = columns, .piece_rows = piece_rows};
    const uint64_t row_bytes = sx_format_row_bytes(format, columns);
    for (uint32_t first = 0; first < rows; first += piece_rows) {
        const uint32_t count = rows - first < piece_rows ? rows - first : piece_rows;
        const size_t words = sx_tile_words(format, count, columns);
        uint32_t *tiles = malloc(4 * words);
        sx_tile_pack(format, (const uint8_t *)weights + first * row_bytes, count, columns, tiles);
        matrix.piece[matrix.piece_count++] = harness_whole(harness_input(h, tiles, words));
        free(tiles);
    }
    return matrix;
}

void harness_free_matrix(harness *h, sx_matrix *matrix)
{
    for (uint32_t i = 0; i < matrix->piece_count; i++)
        harness_free(h, matrix->piece[i].buffer);
    memset(matrix, 0, sizeof *matrix);
}
