// How fast the ops of the forward pass run here: ops_bench [device] [hidden [ffn]]. For each weight format a linear op
// of [ffn, hidden] at each row count, by the kernels of decoding and by the tiled ones of prompts, and on packed
// activations where the device multiplies them: milliseconds, GB/s
// of weights (to be held against gpu_bench's copy bandwidth), G multiply-adds/s, and a hash of the result, which must
// be the same at every row count and by both, since row 0 is always the same. Then the other ops at the shapes of a
// layer, and the decisions over a vocabulary of 151,936 tokens, the draft's 32,000.
#include "graph/ops.h"
#include "model/quant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct bench {
    sx_gpu *gpu;
    sx_ops ops;
    sx_gpu_tape *tape;
    sx_error error;
} bench;

enum { REPEATS = 8 };
static const uint32_t row_counts[] = {1, 4, 8, 16, 32, 64, 256};
enum { ROW_COUNTS = sizeof row_counts / sizeof row_counts[0], MOST_ROWS = 256 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void require(bench *b, sx_status status)
{
    if (status == SX_OK || status == SX_PENDING) return;
    fprintf(stderr, "ops_bench: %s\n", b->error.message);
    exit(1);
}

// A buffer of `words` words, filled with small floats when `fill` is 0, else with `fill`.
static sx_gpu_binding make(bench *b, uint64_t words, uint32_t fill)
{
    sx_gpu_binding binding = {.size = 4 * words};
    require(b, sx_gpu_buffer_create(b->gpu, binding.size, SX_GPU_STORAGE, "bench", &binding.buffer, &b->error));
    enum { CHUNK = 1 << 16 };
    static uint32_t values[CHUNK];
    for (uint32_t i = 0; i < CHUNK; i++) {
        const float value = (float)((i * 2654435761u) >> 20) / 4096.0f - 0.5f;
        memcpy(&values[i], &value, 4);
        if (fill) values[i] = fill ^ ((i * 2654435761u) >> 31);
    }
    for (uint64_t at = 0; at < words; at += CHUNK) {
        const uint64_t count = words - at < CHUNK ? words - at : CHUNK;
        require(b, sx_gpu_write(b->gpu, binding.buffer, 4 * at, values, 4 * count, &b->error));
    }
    return binding;
}

static sx_gpu_binding make_from(bench *b, const void *data, uint64_t size)
{
    const sx_gpu_binding binding = make(b, size / 4, 0);
    require(b, sx_gpu_write(b->gpu, binding.buffer, 0, data, size, &b->error));
    return binding;
}

static void drop(bench *b, sx_gpu_binding binding)
{
    sx_gpu_buffer_destroy(b->gpu, binding.buffer);
}

static void begin(bench *b)
{
    require(b, sx_gpu_tape_create(b->gpu, "bench", &b->tape, &b->error));
}

// Seconds of one of the tape's REPEATS ops, by the device's clock where it has one. Ends the tape.
static double finish(bench *b)
{
    double best = 1e9;
    require(b, sx_gpu_tape_finish(b->tape, &b->error));
    const double start = now();
    for (uint32_t round = 0; round < 100 && (round < 3 || now() - start < 0.2); round++) {
        sx_gpu_ticket ticket;
        const double before = now();
        require(b, sx_gpu_submit(b->gpu, b->tape, NULL, &ticket, &b->error));
        require(b, sx_gpu_wait(b->gpu, ticket, 60000, &b->error));
        const double host = now() - before;
        require(b, sx_gpu_poll(b->gpu, ticket, NULL, 0, &b->error));
        const double device = sx_gpu_last_seconds(b->gpu), seconds = device > 0 ? device : host;
        if (seconds < best) best = seconds;
    }
    sx_gpu_tape_destroy(b->gpu, b->tape);
    return best / REPEATS;
}

static uint32_t hash_of(bench *b, sx_gpu_binding binding, uint64_t words)
{
    uint32_t *values = malloc(4 * words), hash = 2166136261u;
    require(b, sx_gpu_read(b->gpu, binding.buffer, 0, values, 4 * words, &b->error));
    for (uint64_t i = 0; i < words; i++)
        hash = (hash ^ values[i]) * 16777619u;
    free(values);
    return hash;
}

static void print_linear(bench *b, const char *name, const sx_matrix *matrix, uint32_t rows, bool tiled, double seconds,
                         sx_gpu_binding y)
{
    const uint32_t out = matrix->rows, in = matrix->columns;
    const uint64_t words = sx_tile_words((sx_format)matrix->format, out, in);
    printf("%s %-6s %u x %u  rows %3u %-5s  %8.3f ms  %7.2f GB/s  %8.2f Gmac/s  hash %08x\n", name,
           sx_format_get((sx_format)matrix->format)->name, out, in, rows, tiled ? "tiled" : "", 1e3 * seconds,
           4e-9 * (double)words / seconds, 1e-9 * rows * out * (double)in / seconds, (unsigned)hash_of(b, y, out));
}

static void bench_linear_rows(bench *b, const sx_matrix *matrix, uint32_t rows, bool tiled, sx_gpu_binding x,
                              sx_gpu_binding y)
{
    const uint32_t out = matrix->rows, in = matrix->columns;
    sx_ops ops = b->ops;
    ops.tiled_from = tiled;
    // The tiled kernels' sums are those of the kernels that do not shuffle.
    if (tiled) ops.shuffle = false;
    begin(b);
    for (int k = 0; k < REPEATS; k++)
        sx_op_linear(&ops, b->tape, rows,
                     &(sx_linear_args){.weight = matrix, .x = x, .x_stride = in, .out = y, .out_stride = out});
    print_linear(b, "linear", matrix, rows, tiled, finish(b), y);
}

// The same on packed activations, their packing included.
static void bench_packed_rows(bench *b, const sx_matrix *matrix, uint32_t rows, bool tiled, sx_gpu_binding x,
                              sx_gpu_binding y)
{
    const uint32_t out = matrix->rows, in = matrix->columns;
    sx_ops ops = b->ops;
    ops.tiled_from = tiled;
    const sx_gpu_binding packed = make(b, (uint64_t)rows * sx_packed_words(in), 0);
    begin(b);
    for (int k = 0; k < REPEATS; k++) {
        sx_op_pack_rows(&ops, b->tape, rows, x, in, in, packed);
        sx_op_linear(
            &ops, b->tape, rows,
            &(sx_linear_args){.weight = matrix, .x = x, .x_stride = in, .packed = packed, .out = y, .out_stride = out});
    }
    print_linear(b, "packed", matrix, rows, tiled, finish(b), y);
    drop(b, packed);
}

static void bench_linear(bench *b, sx_format format, uint32_t out, uint32_t in)
{
    const uint64_t words = sx_tile_words(format, out, in);
    // Any bits are weights; these are finite ones in every format.
    sx_matrix matrix = {
        .format = format, .rows = out, .columns = in, .piece_count = 1, .piece_rows = (out + 31) / 32 * 32};
    matrix.piece[0] = make(b, words, 0x1C2D1C2C);
    // Not on drivers for CPUs, where they would take minutes.
    const bool packs =
        sx_ops_can_pack(&b->ops) && sx_format_packs(format) && sx_gpu_get_info(b->gpu)->kind != SX_GPU_CPU;
    const sx_gpu_binding x = make(b, MOST_ROWS * (uint64_t)in, 0), y = make(b, MOST_ROWS * (uint64_t)out, 0);
    for (int i = 0; i < ROW_COUNTS; i++) {
        bench_linear_rows(b, &matrix, row_counts[i], false, x, y);
        if (row_counts[i] >= 32) bench_linear_rows(b, &matrix, row_counts[i], true, x, y);
    }
    for (int i = 0; packs && i < ROW_COUNTS; i++) {
        bench_packed_rows(b, &matrix, row_counts[i], false, x, y);
        if (row_counts[i] >= 32) bench_packed_rows(b, &matrix, row_counts[i], true, x, y);
    }
    drop(b, matrix.piece[0]);
    drop(b, x);
    drop(b, y);
}

static void report(bench *b, const char *name, uint32_t rows)
{
    printf("%-26s rows %2u  %8.3f ms\n", name, rows, 1e3 * finish(b));
}

static void bench_attention(bench *b, uint32_t rows, uint32_t position, sx_gpu_binding batch)
{
    const sx_attention_shape shape = {.heads = 32,
                                      .kv_heads = 8,
                                      .head_dim = 128,
                                      .rope_dims = 128,
                                      .rope_factor = 1,
                                      .eps = 1e-6f,
                                      .scale = 0.088f,
                                      .slots = position + 64};
    const uint32_t splits = (position + rows) / SX_ATTENTION_SPLIT + 1;
    const uint64_t head_words = 128 * SX_MAX_ROWS;
    const sx_gpu_binding kv = make(b, (uint64_t)shape.slots * shape.kv_heads * 128, 0x2C2D2C2C);
    const sx_gpu_binding qkv = make(b, 48 * head_words, 0), q = make(b, 32 * head_words, 0), inv_freq = make(b, 64, 0);
    const sx_gpu_binding out = make(b, 32 * head_words, 0), norm = make(b, 256, 0);
    const sx_gpu_binding scratch = make(b, sx_attention_scratch_size(&shape, rows, splits) / 4, 0);
    begin(b);
    for (int k = 0; k < REPEATS; k++)
        sx_op_attention_prepare(
            &b->ops, b->tape, rows,
            &(sx_attention_prepare_args){
                .shape = &shape, .qkv = qkv, .qk_norm = norm, .inv_freq = inv_freq, .batch = batch, .q = q, .kv = kv});
    report(b, "attention_prepare 32/8x128", rows);
    begin(b);
    for (int k = 0; k < REPEATS; k++)
        sx_op_attention(
            &b->ops, b->tape, rows,
            &(sx_attention_args){
                .shape = &shape, .q = q, .kv = kv, .batch = batch, .splits = splits, .scratch = scratch, .out = out});
    char name[64];
    snprintf(name, sizeof name, "attention at %u", position);
    report(b, name, rows);
    const sx_gpu_binding all[] = {kv, qkv, q, inv_freq, out, norm, scratch};
    for (int i = 0; i < 7; i++)
        drop(b, all[i]);
}

static void bench_rows(bench *b, uint32_t rows, uint32_t hidden, uint32_t ffn)
{
    const sx_gpu_binding x = make(b, 64 * (uint64_t)(ffn > hidden ? ffn : hidden), 0), w = make(b, hidden, 0);
    const sx_gpu_binding y = make(b, 32 * (uint64_t)(ffn > hidden ? ffn : hidden), 0);
    begin(b);
    for (int k = 0; k < REPEATS; k++)
        sx_op_rms_norm(
            &b->ops, b->tape, rows,
            &(sx_norm_args){
                .x = x, .x_stride = hidden, .weight = w, .n = hidden, .eps = 1e-6f, .out = y, .out_stride = hidden});
    report(b, "rms_norm", rows);
    begin(b);
    for (int k = 0; k < REPEATS; k++)
        sx_op_gated_unit(&b->ops, b->tape, rows, SX_ACTIVATION_SILU, x, ffn, y);
    report(b, "gated_unit", rows);
    const uint32_t positions[] = {200, 4000};
    const int count = sx_gpu_get_info(b->gpu)->kind == SX_GPU_CPU ? 1 : 2; // the second would take minutes there
    for (int i = 0; i < count; i++) {
        SxBatch batch = {.count = rows, .base = SX_DIRECT};
        for (uint32_t r = 0; r < SX_MAX_ROWS; r++)
            batch.position[r] = batch.slot[r] = positions[i] + r;
        const sx_gpu_binding rows_of = make_from(b, &batch, sizeof batch);
        bench_attention(b, rows, positions[i], rows_of);
        drop(b, rows_of);
    }
    drop(b, x);
    drop(b, w);
    drop(b, y);
}

static void bench_sample(bench *b, const char *name, uint32_t rows, float temperature, sx_gpu_binding logits)
{
    enum { VOCABULARY = 151936 };
    const SxSettings settings = {
        .vocabulary = VOCABULARY, .temperature = temperature, .top_p = 0.95f, .top_k = 20, .repetition_penalty = 1};
    const SxBatch batch = {.count = rows, .base = SX_DIRECT};
    static char with_flags[sizeof settings + VOCABULARY]; // of the tokens, behind the settings: none
    memcpy(with_flags, &settings, sizeof settings);
    const sx_gpu_binding set = make_from(b, with_flags, sizeof with_flags);
    const sx_gpu_binding rows_of = make_from(b, &batch, sizeof batch);
    const sx_gpu_binding samples = make(b, SX_MAX_ROWS * sizeof(SxSample) / 4, 0);
    begin(b);
    for (int k = 0; k < REPEATS; k++)
        sx_op_sample(&b->ops, b->tape, rows,
                     &(sx_sample_args){.logits = logits,
                                       .vocabulary = VOCABULARY,
                                       .batch = rows_of,
                                       .settings = set,
                                       .counts = logits, // without penalties not read
                                       .samples = samples,
                                       .greedy = temperature == 0});
    report(b, name, rows);
    drop(b, set);
    drop(b, rows_of);
    drop(b, samples);
}

static void bench_top_k(bench *b, uint32_t rows, uint32_t branch, sx_gpu_binding logits)
{
    const SxSettings settings = {.vocabulary = 32000};
    const SxState state = {0};
    const sx_gpu_binding set = make_from(b, &settings, sizeof settings), now_of = make_from(b, &state, sizeof state);
    const sx_gpu_binding children = make(b, SX_MAX_ROWS * sizeof(SxChildren) / 4, 0);
    begin(b);
    for (int k = 0; k < REPEATS; k++)
        sx_op_top_k(&b->ops, b->tape, rows,
                    &(sx_top_k_args){.logits = logits,
                                     .draft_vocabulary = 32000,
                                     .settings = set,
                                     .state = now_of,
                                     .level = 1,
                                     .branch = branch,
                                     .children = children});
    char name[64];
    snprintf(name, sizeof name, "top_k, %u of 32000", branch);
    report(b, name, rows);
    drop(b, set);
    drop(b, now_of);
    drop(b, children);
}

static void bench_decisions(bench *b)
{
    const sx_gpu_binding logits = make(b, 16 * 151936, 0);
    for (uint32_t rows = 1; rows <= 16; rows *= 4) {
        bench_sample(b, "sample, greedy", rows, 0, logits);
        bench_sample(b, "sample, drawn", rows, 0.6f, logits);
    }
    bench_top_k(b, 1, 1, logits);
    bench_top_k(b, 4, 4, logits);
    drop(b, logits);
}

int main(int argc, char **argv)
{
    bench b = {0};
    const uint32_t hidden = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) / 256 * 256 : 2560;
    const uint32_t ffn = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) / 256 * 256 : 9728;
    if (hidden == 0 || ffn == 0 || hidden > 65536 || ffn > 65536) {
        fprintf(stderr, "ops_bench [device] [hidden [ffn]]: sizes are multiples of 256, at most 65536\n");
        return 2;
    }
    require(&b, sx_gpu_open(&(sx_gpu_desc){.device = argc > 1 && argv[1][0] ? argv[1] : NULL}, &b.gpu, &b.error));
    require(&b, sx_ops_create(b.gpu, &b.ops, &b.error));
    printf("%s, %s\n", sx_gpu_get_info(b.gpu)->name, sx_gpu_get_info(b.gpu)->driver);
    for (sx_format format = 0; format < SX_FORMAT_COUNT; format++)
        bench_linear(&b, format, ffn, hidden);
    for (int i = 0; i < ROW_COUNTS && row_counts[i] <= SX_MAX_ROWS; i++)
        bench_rows(&b, row_counts[i], hidden, ffn);
    bench_decisions(&b);
    sx_ops_destroy(&b.ops);
    sx_gpu_close(b.gpu);
    return 0;
}
