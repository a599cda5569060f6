// attention_prepare, attention and attention_merge: against plain C, and a row of a tree against the same row alone.
#include "harness.h"
#include "reference.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static sx_attention_shape make_shape(uint32_t heads, uint32_t kv_heads, uint32_t head_dim, uint32_t slots)
{
    return (sx_attention_shape){.heads = heads,
                                .kv_heads = kv_heads,
                                .head_dim = head_dim,
                                .rope_dims = head_dim,
                                .rope_layout = SX_ROPE_HALVES,
                                .rope_factor = 1,
                                .eps = 1e-6f,
                                .scale = 1 / sqrtf((float)head_dim),
                                .slots = slots};
}

// ---- attention_prepare ----------------------------------------------------------------------------------------------

static float *inverse_frequencies(uint32_t rope_dims)
{
    float *inv_freq = malloc((rope_dims / 2 + 1) * sizeof *inv_freq);
    for (uint32_t i = 0; i < rope_dims / 2; i++)
        inv_freq[i] = (float)pow(10000, -2.0 * i / rope_dims);
    return inv_freq;
}

static void check_q(const double *want, const float *got, uint32_t head_dim, const char *what)
{
    double tolerance[256];
    double largest = 0;
    for (uint32_t i = 0; i < head_dim; i++)
        largest = fmax(largest, fabs(want[i]));
    // The norm's root and quotient, and 2e-7 of cosine and sine, of the pair's larger component.
    for (uint32_t i = 0; i < head_dim; i++)
        tolerance[i] = 4e-6 * largest;
    harness_compare(got, want, tolerance, head_dim, what);
}

static void check_halves(const double *want, const uint32_t *got, uint32_t head_dim, const char *what)
{
    double tolerance[256];
    float values[256];
    for (uint32_t i = 0; i < head_dim; i++) {
        values[i] = sx_half_to_float((uint16_t)(got[i / 2] >> (16 * (i & 1))));
        // One unit of a half, since Vulkan leaves the rounding of packHalf2x16 open; subnormal halves may be flushed.
        tolerance[i] = 0x1p-10 * fabs(want[i]) + 6.2e-5;
    }
    harness_compare(values, want, tolerance, head_dim, what);
}

static uint32_t kv_head_words(const sx_attention_shape *shape)
{
    return sx_kv_row_bytes(shape) / shape->kv_heads / 4;
}

// Component i of a key or value in q8_0.
static float q8_component(const uint32_t *head, uint32_t head_dim, uint32_t i)
{
    float scale;
    memcpy(&scale, head + head_dim / 4 + i / 32, sizeof scale);
    return scale * (float)(int8_t)(head[i / 4] >> (8 * (i % 4)));
}

// Every component is the nearest of 255 steps of its block.
static void check_q8(const double *want, const uint32_t *got, uint32_t head_dim, const char *what)
{
    double tolerance[256];
    float values[256];
    for (uint32_t i = 0; i < head_dim; i++) {
        double largest = 0;
        for (uint32_t k = i / 32 * 32; k < head_dim && k < i / 32 * 32 + 32; k++)
            largest = fmax(largest, fabs(want[k]));
        values[i] = q8_component(got, head_dim, i);
        tolerance[i] = largest / 127 * 0.5 + 1e-5 * largest;
        // The largest component gets the last step, so that none is wasted.
        if (fabs(want[i]) == largest) tolerance[i] = 1e-5 * largest;
    }
    harness_compare(values, want, tolerance, head_dim, what);
}

typedef struct prepare_data {
    const sx_attention_shape *shape;
    uint32_t rows, width;
    float *qkv, *norm, *inv_freq;
    SxBatch batch;
} prepare_data;

static void check_prepared(const prepare_data *d, const uint32_t *q, const uint32_t *kv)
{
    const sx_attention_shape *shape = d->shape;
    const uint32_t head_words = kv_head_words(shape), row_words = shape->kv_heads * head_words;
    for (uint32_t r = 0; r < d->rows; r++) {
        for (uint32_t head = 0; head < shape->heads + 2 * shape->kv_heads; head++) {
            double want[256];
            const uint32_t kind = head < shape->heads ? 0 : head < shape->heads + shape->kv_heads ? 1 : 2;
            char what[96];
            snprintf(what, sizeof what, "attention_prepare: row %u at %u, head %u", r, d->batch.position[r], head);
            for (uint32_t i = 0; i < shape->head_dim; i++)
                want[i] = d->qkv[r * d->width + head * shape->head_dim + i];
            if (kind < 2)
                reference_prepare_head(shape, want, d->norm ? d->norm + kind * shape->head_dim : NULL, d->inv_freq,
                                       d->batch.position[r]);
            const uint32_t kv_head = head - shape->heads - (kind == 2 ? shape->kv_heads : 0);
            if (kind == 0)
                check_q(want, (const float *)q + (r * shape->heads + head) * shape->head_dim, shape->head_dim, what);
            else
                (shape->kv_q8 ? check_q8 : check_halves)(
                    want, kv + ((kind - 1) * shape->slots + d->batch.slot[r]) * row_words + kv_head * head_words,
                    shape->head_dim, what);
        }
    }
}

static void check_untouched(const prepare_data *d, const uint32_t *kv)
{
    const uint32_t row_words = sx_kv_row_bytes(d->shape) / 4;
    for (uint32_t slot = 0; slot < 2 * d->shape->slots; slot++) {
        bool written = false;
        for (uint32_t r = 0; r < d->rows; r++)
            written |= d->batch.slot[r] == slot % d->shape->slots;
        for (uint32_t i = 0; i < row_words && !written; i++) {
            if (kv[slot * row_words + i] != HARNESS_POISON) fail_msg("slot %u was overwritten", slot);
        }
    }
}

static void check_prepare(const sx_attention_shape *shape, uint32_t rows, bool with_norm, uint32_t position)
{
    prepare_data d = {.shape = shape, .rows = rows, .width = (shape->heads + 2 * shape->kv_heads) * shape->head_dim};
    d.qkv = harness_floats(&H, rows * d.width, -4, 4);
    d.norm = with_norm ? harness_floats(&H, 2 * shape->head_dim, 0.5f, 2) : NULL;
    d.inv_freq = inverse_frequencies(shape->rope_dims);
    for (uint32_t r = 0; r < rows; r++) {
        d.batch.position[r] = position + 3 * r;
        d.batch.slot[r] = (7 * r + 1) % shape->slots;
    }
    const uint32_t q_words = rows * shape->heads * shape->head_dim;
    const uint32_t kv_words = 2 * shape->slots * sx_kv_row_bytes(shape) / 4;
    sx_gpu_buffer *qkv = harness_input(&H, d.qkv, rows * d.width);
    sx_gpu_buffer *norm = d.norm ? harness_input(&H, d.norm, 2 * shape->head_dim) : NULL;
    sx_gpu_buffer *inv_freq = harness_input(&H, d.inv_freq, shape->rope_dims / 2);
    sx_gpu_buffer *batch = harness_input(&H, &d.batch, sizeof d.batch / 4);
    sx_gpu_buffer *q = harness_output(&H, q_words), *kv = harness_output(&H, kv_words);
    sx_attention_prepare_args args = {.shape = shape,
                                      .qkv = harness_whole(qkv),
                                      .inv_freq = harness_whole(inv_freq),
                                      .batch = harness_whole(batch),
                                      .q = harness_whole(q),
                                      .kv = harness_whole(kv)};
    if (norm) args.qk_norm = harness_whole(norm);
    harness_begin(&H);
    sx_op_attention_prepare(&H.ops, H.tape, rows, &args);
    harness_run(&H);
    uint32_t *q_got = harness_read(&H, q, q_words), *kv_got = harness_read(&H, kv, kv_words);
    check_prepared(&d, q_got, kv_got);
    check_untouched(&d, kv_got);
    sx_gpu_buffer *const all[] = {qkv, norm, inv_freq, batch, q, kv};
    for (int i = 0; i < 6; i++)
        harness_free(&H, all[i]);
    free(d.qkv);
    free(d.norm);
    free(d.inv_freq);
    free(q_got);
    free(kv_got);
}

static void test_prepare(void **state)
{
    (void)state;
    harness_seed(&H, 1);
    sx_attention_shape shape = make_shape(6, 3, 32, 40);
    check_prepare(&shape, 1, true, 0);
    check_prepare(&shape, 3, true, 5);
    check_prepare(&shape, 32, false, 100);
    shape.rope_layout = SX_ROPE_PAIRS;
    check_prepare(&shape, 4, false, 17);
    shape.norm_after_rope = true;
    shape.rope_factor = 1.3f;
    check_prepare(&shape, 4, true, 17);
    shape = make_shape(4, 1, 256, 9);
    check_prepare(&shape, 1, true, 31);
    shape = make_shape(2, 2, 6, 9); // smallest awkward head
    check_prepare(&shape, 2, true, 3);
    shape = make_shape(5, 5, 80, 9);
    shape.rope_dims = 20; // partial rotation
    check_prepare(&shape, 1, true, 1000);
    shape.rope_layout = SX_ROPE_PAIRS;
    check_prepare(&shape, 1, true, 1000);
}

static void test_prepare_q8(void **state)
{
    (void)state;
    harness_seed(&H, 7);
    static const uint32_t head_dims[] = {4, 20, 32, 36, 64, 80, 128, 256}; // last blocks of 4, 20 and 16 components
    for (int i = 0; i < 8; i++) {
        sx_attention_shape shape = make_shape(4, 2, head_dims[i], 40);
        shape.kv_q8 = true;
        check_prepare(&shape, 1 + (uint32_t)i % 3, i % 2, 11 * (uint32_t)i);
    }
}

// The drivers' own cosine and sine are not good enough here.
static void test_far_positions(void **state)
{
    (void)state;
    harness_seed(&H, 2);
    const sx_attention_shape shape = make_shape(2, 1, 64, 40);
    static const uint32_t positions[] = {4095, 32768, 131071, 262000, 500000};
    for (int i = 0; i < 5; i++)
        check_prepare(&shape, 4, false, positions[i]);
}

// ---- attention ------------------------------------------------------------------------------------------------------

// Keys and values in slots, as the kernels left them, and dense copies.
typedef struct cache {
    const sx_attention_shape *shape;
    uint32_t *words; // [2][slots][kv_heads] heads, shaders/kv.glsl
    float *values;   // [2][slots][kv_heads * head_dim], the same as floats
    sx_gpu_buffer *buffer;
} cache;

static uint32_t cache_row(const sx_attention_shape *shape)
{
    return shape->kv_heads * shape->head_dim;
}

static size_t cache_words(const sx_attention_shape *shape)
{
    return 2 * (size_t)shape->slots * sx_kv_row_bytes(shape) / 4;
}

static cache empty_cache(const sx_attention_shape *shape)
{
    cache c = {.shape = shape};
    c.words = calloc(cache_words(shape), sizeof *c.words);
    c.values = calloc(2 * (size_t)shape->slots * cache_row(shape), sizeof *c.values);
    return c;
}

static void fill_head(const sx_attention_shape *shape, uint32_t *words, float *values)
{
    const uint32_t n = shape->head_dim;
    for (uint32_t block = 0; shape->kv_q8 && block < (n + 31) / 32; block++) {
        const float scale = harness_uniform(&H, 0.002f, 0.023f);
        memcpy(words + n / 4 + block, &scale, sizeof scale);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (shape->kv_q8) {
            words[i / 4] |= harness_random(&H) % 255 * 0x01010101u & 255u << (8 * (i % 4));
            if ((words[i / 4] >> (8 * (i % 4)) & 255) == 128) words[i / 4] ^= 1u << (8 * (i % 4));
            values[i] = q8_component(words, n, i);
        } else {
            const uint16_t half = sx_float_to_half(harness_uniform(&H, -3, 3));
            words[i / 2] |= (uint32_t)half << (16 * (i % 2));
            values[i] = sx_half_to_float(half);
        }
    }
}

static cache make_cache(const sx_attention_shape *shape)
{
    cache c = empty_cache(shape);
    for (size_t head = 0; head < 2 * (size_t)shape->slots * shape->kv_heads; head++)
        fill_head(shape, c.words + head * kv_head_words(shape), c.values + head * shape->head_dim);
    c.buffer = harness_input(&H, c.words, cache_words(shape));
    return c;
}

static void free_cache(cache *c)
{
    free(c->words);
    free(c->values);
    harness_free(&H, c->buffer);
}

static uint32_t slot_of(const SxBatch *batch, uint32_t row, uint32_t position)
{
    if (batch->base == SX_DIRECT || position < batch->base) return batch->first_slot[row] + position;
    return batch->ancestor[row * SX_MAX_PATH + position - batch->base];
}

static uint32_t *run_attention(const cache *c, const SxBatch *batch, const float *q, uint32_t rows, uint32_t splits)
{
    const sx_attention_shape *shape = c->shape;
    const uint32_t words = rows * shape->heads * shape->head_dim;
    const uint64_t scratch_words = sx_attention_scratch_size(shape, rows, splits) / 4;
    sx_gpu_buffer *q_buffer = harness_input(&H, q, words), *out = harness_output(&H, words);
    sx_gpu_buffer *batch_buffer = harness_input(&H, batch, sizeof *batch / 4);
    sx_gpu_buffer *scratch = harness_output(&H, scratch_words);
    harness_begin(&H);
    sx_op_attention(&H.ops, H.tape, rows,
                    &(sx_attention_args){.shape = shape,
                                         .q = harness_whole(q_buffer),
                                         .kv = harness_whole(c->buffer),
                                         .batch = harness_whole(batch_buffer),
                                         .splits = splits,
                                         .scratch = harness_whole(scratch),
                                         .out = harness_whole(out)});
    harness_run(&H);
    free(harness_read(&H, scratch, scratch_words)); // for its guard
    uint32_t *got = harness_read(&H, out, words);
    harness_free(&H, q_buffer);
    harness_free(&H, out);
    harness_free(&H, batch_buffer);
    harness_free(&H, scratch);
    return got;
}

static void check_attended(const cache *c, const SxBatch *batch, const float *q, uint32_t rows, const uint32_t *got,
                           const char *what)
{
    const sx_attention_shape *shape = c->shape;
    const uint32_t row = cache_row(shape);
    for (uint32_t r = 0; r < rows; r++) {
        const uint32_t count = batch->position[r] + 1;
        const float **keys = malloc(count * sizeof *keys), **values = malloc(count * sizeof *values);
        for (uint32_t head = 0; head < shape->heads; head++) {
            const uint32_t offset = head / (shape->heads / shape->kv_heads) * shape->head_dim;
            double want[256], tolerance[256];
            for (uint32_t p = 0; p < count; p++) {
                keys[p] = c->values + (size_t)slot_of(batch, r, p) * row + offset;
                values[p] = keys[p] + (size_t)shape->slots * row;
            }
            const uint32_t at = (r * shape->heads + head) * shape->head_dim;
            reference_attention(shape, q + at, keys, values, count, want);
            // Scores reach 30; exp's error (3 + 2 |x| units) and the scores' own are relative ones of weights whose
            // values are at most 3.
            for (uint32_t i = 0; i < shape->head_dim; i++)
                tolerance[i] = 3e-5;
            harness_compare((const float *)got + at, want, tolerance, shape->head_dim, what);
        }
        free(keys);
        free(values);
    }
}

static void check_attention(const sx_attention_shape *shape, uint32_t rows, uint32_t first_position, uint32_t splits)
{
    char what[96];
    snprintf(what, sizeof what, "attention %u/%u heads of %u, %u rows from %u", shape->heads, shape->kv_heads,
             shape->head_dim, rows, first_position);
    cache c = make_cache(shape);
    float *q = harness_floats(&H, rows * shape->heads * shape->head_dim, -2, 2);
    const SxBatch batch = harness_direct_batch(rows, first_position);
    uint32_t *got = run_attention(&c, &batch, q, rows, splits);
    check_attended(&c, &batch, q, rows, got, what);
    free(got);
    free(q);
    free_cache(&c);
}

static void test_attention(void **state)
{
    (void)state;
    harness_seed(&H, 3);
    sx_attention_shape shape = make_shape(6, 3, 32, 300);
    static const uint32_t first[] = {0, 1, 22, 62, 63, 64, 127, 200};
    static const uint32_t rows[] = {1, 2, 4, 8, 16, 32, 3, 1};
    for (int i = 0; i < 8; i++)
        check_attention(&shape, rows[i], first[i], 5);
    check_attention(&shape, 4, 100, 20); // splits nobody reaches
    shape = make_shape(4, 1, 256, 140);
    check_attention(&shape, 2, 128, 3);
    static const uint32_t head_dims[] = {6, 24, 40, 72, 80, 96}; // multiples of 16 have kernels of their own
    for (uint32_t i = 0; i < 6; i++) {
        shape = make_shape(4, 2, head_dims[i], 300);
        check_attention(&shape, 1 + 5 * i, 64 + 17 * i, 4);
    }
    shape = make_shape(5, 1, 64, 70);
    shape.softcap = 5;
    check_attention(&shape, 1, 66, 2);
    shape = make_shape(14, 2, 128, 300);
    static const uint32_t windows[] = {1, 5, 64, 65, 128, 1000};
    for (int i = 0; i < 6; i++) {
        shape.window = windows[i];
        check_attention(&shape, 1 + 3 * (uint32_t)i, 190 + (uint32_t)i, 4);
    }
}

static void test_attention_q8(void **state)
{
    (void)state;
    harness_seed(&H, 8);
    static const uint32_t head_dims[] = {4, 20, 32, 36, 64, 80, 128, 256};
    static const uint32_t rows[] = {1, 2, 4, 8, 16, 32, 3, 1};
    for (int i = 0; i < 8; i++) {
        sx_attention_shape shape = make_shape(6, i % 2 ? 3 : 2, head_dims[i], 300);
        shape.kv_q8 = true;
        if (i == 6) shape.window = 65;
        check_attention(&shape, rows[i], 30 * (uint32_t)i, 5);
    }
}

// Long contexts are served in several passes over the rows, which share the scratch.
static void test_passes(void **state)
{
    (void)state;
    harness_seed(&H, 4);
    sx_attention_shape shape = make_shape(1, 1, 256, 128);
    const uint32_t splits = 8192;
    assert_true(sx_attention_scratch_size(&shape, 32, splits) < 32 * sx_attention_scratch_size(&shape, 1, splits));
    check_attention(&shape, 4, 90, splits);
}

// A random tree behind a committed prefix: rows' keys stand in slots of their own, far from their positions.
static SxBatch make_tree(uint32_t rows, uint32_t length, uint32_t slots)
{
    SxBatch batch = {.count = rows, .base = length};
    for (uint32_t r = 0; r < SX_MAX_ROWS; r++) {
        const uint32_t parent = r == 0 ? SX_NONE : harness_random(&H) % r;
        const uint32_t depth = r == 0 ? 0 : batch.position[parent] - length + 1;
        const bool root = r == 0 || depth >= SX_MAX_PATH || r >= rows;
        batch.parent[r] = root ? SX_NONE : parent;
        batch.position[r] = root ? length : length + depth;
        batch.slot[r] = slots - 1 - r;
        for (uint32_t k = 0; !root && k < depth; k++)
            batch.ancestor[r * SX_MAX_PATH + k] = batch.ancestor[parent * SX_MAX_PATH + k];
        batch.ancestor[r * SX_MAX_PATH + batch.position[r] - length] = batch.slot[r];
    }
    return batch;
}

static void copy_slot(const cache *from, uint32_t from_slot, const cache *to, uint32_t to_slot)
{
    const size_t row = sx_kv_row_bytes(from->shape) / 4;
    for (uint32_t half = 0; half < 2; half++)
        memcpy(to->words + (half * to->shape->slots + to_slot) * row,
               from->words + (half * from->shape->slots + from_slot) * row, row * sizeof *to->words);
}

// What the row sees laid out where sequential decoding would have put it, and attended to by the row alone.
static uint32_t *run_alone(const cache *c, const SxBatch *together, const float *q, uint32_t r)
{
    const sx_attention_shape *shape = c->shape;
    cache straight = empty_cache(shape);
    memcpy(straight.words, c->words, cache_words(shape) * sizeof *straight.words);
    for (uint32_t p = 0; p <= together->position[r]; p++)
        copy_slot(c, slot_of(together, r, p), &straight, p);
    straight.buffer = harness_input(&H, straight.words, cache_words(shape));
    const SxBatch batch = harness_direct_batch(1, together->position[r]);
    uint32_t *got = run_attention(&straight, &batch, q + (size_t)r * shape->heads * shape->head_dim, 1, 9);
    free_cache(&straight);
    return got;
}

// The rows' results are right, and every third's has the bits of the row alone.
static void check_together(const sx_attention_shape *shape, const SxBatch *batch, const char *what)
{
    const uint32_t rows = batch->count, row_size = shape->heads * shape->head_dim;
    cache c = make_cache(shape);
    float *q = harness_floats(&H, rows * row_size, -2, 2);
    uint32_t *got = run_attention(&c, batch, q, rows, 4);
    check_attended(&c, batch, q, rows, got, what);
    for (uint32_t r = 0; r < rows; r += 3) {
        uint32_t *alone = run_alone(&c, batch, q, r);
        if (memcmp(alone, got + r * row_size, 4 * row_size)) fail_msg("%s: row %u differs from it alone", what, r);
        free(alone);
    }
    free(got);
    free(q);
    free_cache(&c);
}

static void test_tree_rows_equal_rows_alone(void **state)
{
    (void)state;
    harness_seed(&H, 5);
    static const uint32_t lengths[] = {1, 20, 60, 63, 64, 150, 61, 150};
    for (int i = 0; i < 8; i++) {
        sx_attention_shape shape = make_shape(6, 3, i % 2 ? 32 : 64, 260);
        if (i == 5) shape.window = 70;
        shape.kv_q8 = i >= 6;
        SxBatch tree = make_tree(i < 3 ? 16 : 32, lengths[i], shape.slots);
        for (uint32_t r = 0; r < SX_MAX_ROWS && i % 3 == 2; r++)
            tree.first_slot[r] = 37;
        check_together(&shape, &tree, "attention over a tree");
    }
}

// Each row goes on a sequence of its own, whose slots begin anywhere; some sequences have several rows.
static SxBatch make_sequences(uint32_t rows, uint32_t slots)
{
    SxBatch batch = harness_direct_batch(rows, 0);
    for (uint32_t r = 0; r < rows; r++) {
        static const uint32_t longest[] = {0, 1, 3, 62, 63, 64, 127, 200};
        const bool next = r % 5 == 4; // the next token of the row before
        batch.position[r] = next ? batch.position[r - 1] + 1 : longest[harness_random(&H) % 8];
        batch.first_slot[r] = next ? batch.first_slot[r - 1] : harness_random(&H) % (slots - 1 - batch.position[r]);
        batch.slot[r] = batch.first_slot[r] + batch.position[r];
    }
    return batch;
}

static void test_rows_of_sequences_of_their_own(void **state)
{
    (void)state;
    harness_seed(&H, 6);
    static const uint32_t heads[] = {6, 4, 9, 8, 4, 9};
    for (int i = 0; i < 6; i++) {
        sx_attention_shape shape = make_shape(heads[i], heads[i] == 9 ? 3 : 2, i % 2 ? 32 : 64, 260);
        if (i == 3) shape.window = 70;
        shape.kv_q8 = i >= 4;
        const SxBatch batch = make_sequences(i < 2 ? 5 : i < 4 ? 32 : 8, shape.slots);
        check_together(&shape, &batch, "attention over several sequences");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prepare),
        cmocka_unit_test(test_prepare_q8),
        cmocka_unit_test(test_far_positions),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_attention_q8),
        cmocka_unit_test(test_passes),
        cmocka_unit_test(test_tree_rows_equal_rows_alone),
        cmocka_unit_test(test_rows_of_sequences_of_their_own),
    };
    return cmocka_run_group_tests_name("attention", tests, harness_set_up, harness_tear_down) +
           cmocka_run_group_tests_name("attention, plain kernels", tests, harness_set_up_plain, harness_tear_down);
}
