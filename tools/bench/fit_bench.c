// Fits signal rows to random data: rows of halves stream by in a pass after another, from a pool of blocks that does
// not grow with their number. Prints passes, bytes moved, seconds and GB/s beside the bandwidth of a plain copy on the
// host (that of a device: gpu_bench), the memory it took, and a hash of the rows, which says that two runs did the
// same. Usage: fit_bench [ROWS [WIDTH [DEVICE [RESIDENT_MB]]]]     (1000000 7680, the best device; "host": plain C)
#include "base/hash.h"
#include "engine/fit_gpu.h"
#include "engine/internal.h"
#include "model/quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { POOL = 4, PROMPT = 50, HELD_ONE_IN = 5 }; // blocks; rows of a prompt

typedef struct stream {
    uint32_t width;
    uint64_t rows, next;
    uint16_t *x; // [POOL, FIT_BLOCK_ROWS, width]
    fit_label *labels;
} stream;

static float uniform(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(*state >> 40) / (float)(1 << 23) - 1;
}

// Labels that the first three columns know, and a constant one.
static void fill(stream *s)
{
    uint64_t random = 3;
    for (uint32_t r = 0; r < POOL * FIT_BLOCK_ROWS; r++) {
        uint16_t *row = s->x + (size_t)r * s->width;
        for (uint32_t j = 0; j < s->width; j++)
            row[j] = sx_float_to_half(j == 3 ? 1 : uniform(&random));
        const float z[3] = {sx_half_to_float(row[0]), sx_half_to_float(row[1]), sx_half_to_float(row[2])};
        s->labels[r] = (fit_label){.y = {1 / (1 + expf(-4 * z[0])), 1 / (1 + expf(-2 * z[1])), 4 + z[2]},
                                   .weight = {1, 1, 1},
                                   .boundary = true,
                                   .right = z[0] > 0};
    }
}

static void rewind_stream(void *user)
{
    ((stream *)user)->next = 0;
}

static sx_status next_block(void *user, fit_block *block, sx_error *error)
{
    (void)error;
    stream *s = user;
    const uint64_t left = s->rows - s->next, at = s->next / FIT_BLOCK_ROWS % POOL * FIT_BLOCK_ROWS;
    block->rows = (uint32_t)(left < FIT_BLOCK_ROWS ? left : FIT_BLOCK_ROWS);
    memcpy(block->x, s->x + at * s->width, (size_t)block->rows * s->width * sizeof *s->x);
    memcpy(block->label, s->labels + at, block->rows * sizeof *block->label);
    for (uint32_t r = 0; r < block->rows; r++) {
        block->label[r].prompt = (uint32_t)((s->next + r) / PROMPT);
        block->label[r].held = block->label[r].prompt % HELD_ONE_IN == 0;
    }
    s->next += block->rows;
    return SX_OK;
}

// Bytes read and written a second.
static double copy_bandwidth(const stream *s)
{
    const size_t bytes = (size_t)FIT_BLOCK_ROWS * s->width * sizeof *s->x;
    uint16_t *to = malloc(bytes);
    double best = 0;
    volatile uint16_t kept; // so that the copy is not left out
    for (int i = 0; to && i < 8; i++) {
        const double start = sx_clock_seconds();
        memcpy(to, s->x + (size_t)(i % POOL) * FIT_BLOCK_ROWS * s->width, bytes);
        kept = to[i];
        const double seconds = sx_clock_seconds() - start;
        if (seconds > 0 && 2 * (double)bytes / seconds > best) best = 2 * (double)bytes / seconds;
    }
    (void)kept;
    free(to);
    return best;
}

static int fail(const sx_error *error)
{
    fprintf(stderr, "fit_bench: %s\n", error->message);
    return 1;
}

int main(int count, char **arguments)
{
    stream s = {.rows = count > 1 ? strtoull(arguments[1], NULL, 10) : 1000000,
                .width = count > 2 ? (uint32_t)strtoul(arguments[2], NULL, 10) : 7680};
    const bool host = count > 3 && strcmp(arguments[3], "host") == 0;
    const sx_gpu_desc desc = {.device = count > 3 ? arguments[3] : NULL};
    const uint64_t resident = count > 4 ? strtoull(arguments[4], NULL, 10) * 1000000 : 0;
    if (!s.rows || !s.width) return fail(&(sx_error){.message = "ROWS and WIDTH must be positive numbers"});
    s.x = malloc((size_t)POOL * FIT_BLOCK_ROWS * s.width * sizeof *s.x);
    s.labels = malloc(POOL * FIT_BLOCK_ROWS * sizeof *s.labels);
    if (!s.x || !s.labels) return fail(&(sx_error){.message = "out of memory"});
    fill(&s);
    const fit_source source = {&s, s.width, rewind_stream, next_block};
    const fit_options options = {0};
    fit_device device;
    sx_fit_gpu *made = NULL;
    fit_result result;
    sx_error error;
    sx_status status = host ? fit_host_make(s.width, &device, &error)
                            : sx_fit_gpu_open(&desc, s.width, resident, &made, &device, &error);
    if (status != SX_OK) return fail(&error);
    const double start = sx_clock_seconds();
    status = fit_rows(&source, &device, &options, &result, &error);
    const double seconds = sx_clock_seconds() - start, inside = made ? sx_fit_gpu_seconds(made) : seconds;
    if (status != SX_OK) return fail(&error);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const double bytes = 2.0 * (double)result.rows_read * s.width * sizeof *s.x; // both kernels read them
    printf(
        "%llu rows of %u on %s: %u passes, %.3f GB of states read in %.2f s (%.2f in the device's hands), %.2f GB/s; "
        "copy on the host %.2f GB/s; peak memory %.0f MB, of which the pool of rows %.0f\n",
        (unsigned long long)s.rows, s.width, made ? sx_fit_gpu_name(made) : "the host", result.passes, bytes * 1e-9,
        seconds, inside, bytes * 1e-9 / inside, copy_bandwidth(&s) * 1e-9, (double)usage.ru_maxrss / 1000,
        (double)POOL * FIT_BLOCK_ROWS * s.width * sizeof *s.x * 1e-6);
    printf("correlations %.4f %.4f %.4f, hash of the rows %016llx\n", result.correlation[0], result.correlation[1],
           result.correlation[2],
           (unsigned long long)sx_hash64(SX_HASH_START, result.rows, (size_t)FIT_SIGNALS * s.width * sizeof(float)));
    free(result.rows);
    if (made)
        sx_fit_gpu_close(made);
    else
        fit_host_free(&device);
    free(s.x);
    free(s.labels);
    return 0;
}
