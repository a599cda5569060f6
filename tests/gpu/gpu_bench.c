// What a device can do at best: copy bandwidth, the cost of an empty dispatch, of a barrier, and of a submit with its
// readback. gpu_bench [device] [MiB of the copy]. One "name value unit" a line, for scripts.
#include "gpu/gpu.h"
#include "kernels.gen.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void require(sx_status status, const sx_error *error)
{
    if (status == SX_OK || status == SX_PENDING) return;
    fprintf(stderr, "gpu_bench: %s\n", error->message);
    exit(1);
}

// Seconds of one submit, by the device's clock where it has one; the fastest of a few within a quarter of a second.
static double best_seconds(sx_gpu *gpu, sx_gpu_tape *tape)
{
    sx_error error = {SX_OK, ""};
    double best = 1e9;
    const double start = now();
    for (uint32_t round = 0; round < 200 && (round < 3 || now() - start < 0.25); round++) {
        sx_gpu_ticket ticket;
        const double before = now();
        require(sx_gpu_submit(gpu, tape, NULL, &ticket, &error), &error);
        require(sx_gpu_wait(gpu, ticket, 60000, &error), &error);
        const double host = now() - before;
        require(sx_gpu_poll(gpu, ticket, NULL, 0, &error), &error);
        const double device = sx_gpu_last_seconds(gpu);
        const double seconds = device > 0 ? device : host;
        if (seconds < best) best = seconds;
    }
    return best;
}

static sx_gpu_buffer *buffer(sx_gpu *gpu, uint64_t size)
{
    sx_error error = {SX_OK, ""};
    sx_gpu_buffer *out;
    require(sx_gpu_buffer_create(gpu, size, SX_GPU_STORAGE, "bench", &out, &error), &error);
    return out;
}

static void bench_copy(sx_gpu *gpu, uint64_t size)
{
    sx_error error = {SX_OK, ""};
    sx_gpu_buffer *a = buffer(gpu, size), *b = buffer(gpu, size);
    sx_gpu_tape *tape;
    require(sx_gpu_tape_create(gpu, "copy", &tape, &error), &error);
    enum { COPIES = 4 };
    for (uint32_t i = 0; i < COPIES; i++) {
        sx_gpu_tape_copy(tape, i % 2 ? b : a, 0, i % 2 ? a : b, 0, size);
    }
    require(sx_gpu_tape_finish(tape, &error), &error);
    // Bytes read plus bytes written, as vendors state their memory's bandwidth.
    printf("copy_bandwidth %.2f GB/s\n", 2e-9 * COPIES * (double)size / best_seconds(gpu, tape));
    sx_gpu_tape_destroy(gpu, tape);
    sx_gpu_buffer_destroy(gpu, a);
    sx_gpu_buffer_destroy(gpu, b);
}

// Dispatches of one workgroup that does nothing; `chained` ones write the same buffer, so a barrier stands between.
static void bench_dispatches(sx_gpu *gpu, bool chained)
{
    enum { DISPATCHES = 1000 };
    sx_error error = {SX_OK, ""};
    sx_gpu_buffer *out = buffer(gpu, DISPATCHES * 256);
    sx_gpu_tape *tape;
    require(sx_gpu_tape_create(gpu, "empty dispatches", &tape, &error), &error);
    const uint32_t parameters[4] = {0, 0, 0, 0};
    for (uint32_t i = 0; i < DISPATCHES; i++) {
        const sx_gpu_binding binding = {out, chained ? 0 : (uint64_t)i * 256, 256};
        sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_FILL, parameters, sizeof parameters, &binding, 1, 1, 1, 1);
    }
    require(sx_gpu_tape_finish(tape, &error), &error);
    printf("%s %.3f us\n", chained ? "dispatch_and_barrier" : "dispatch", 1e6 * best_seconds(gpu, tape) / DISPATCHES);
    sx_gpu_tape_destroy(gpu, tape);
    sx_gpu_buffer_destroy(gpu, out);
}

// From submit to the readback's bytes, by the host's clock.
static void bench_round_trip(sx_gpu *gpu)
{
    sx_error error = {SX_OK, ""};
    sx_gpu_buffer *out = buffer(gpu, 4096);
    sx_gpu_tape *tape;
    require(sx_gpu_tape_create(gpu, "round trip", &tape, &error), &error);
    const uint32_t parameters[4] = {64, 1, 0, 0};
    const sx_gpu_binding binding = {.buffer = out};
    sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_FILL, parameters, sizeof parameters, &binding, 1, 1, 1, 1);
    require(sx_gpu_tape_finish(tape, &error), &error);
    double best = 1e9;
    for (uint32_t round = 0; round < 100; round++) {
        uint32_t words[256];
        sx_gpu_ticket ticket;
        const double before = now();
        require(sx_gpu_submit(gpu, tape, &(sx_gpu_readback){out, 0, sizeof words}, &ticket, &error), &error);
        require(sx_gpu_wait(gpu, ticket, 60000, &error), &error);
        require(sx_gpu_poll(gpu, ticket, words, sizeof words, &error), &error);
        const double seconds = now() - before;
        if (seconds < best) best = seconds;
    }
    printf("submit_and_readback %.1f us\n", 1e6 * best);
    sx_gpu_tape_destroy(gpu, tape);
    sx_gpu_buffer_destroy(gpu, out);
}

int main(int argument_count, char **arguments)
{
    const sx_gpu_desc desc = {.device = argument_count > 1 ? arguments[1] : NULL};
    sx_error error = {SX_OK, ""};
    sx_gpu *gpu;
    require(sx_gpu_open(&desc, &gpu, &error), &error);
    const sx_gpu_info *info = sx_gpu_get_info(gpu);
    // Large enough to leave every cache of a GPU; a CPU driver needs no more than its own.
    uint64_t megabytes = info->kind == SX_GPU_CPU ? 64 : 512;
    if (argument_count > 2) megabytes = strtoull(arguments[2], NULL, 10);
    if (megabytes == 0 || megabytes << 20 > info->max_buffer_size) megabytes = 64;
    printf("device %s\ndriver %s\nfeatures 0x%x\nsubgroup_size %u\n", info->name, info->driver, info->features,
           info->subgroup_size);
    printf("memory_total %.0f MiB\nmemory_budget %.0f MiB\nmax_binding %.0f MiB\nmax_buffer %.0f MiB\n",
           (double)info->memory_total / 1048576, (double)info->memory_budget / 1048576,
           (double)info->max_binding_size / 1048576, (double)info->max_buffer_size / 1048576);
    bench_copy(gpu, megabytes << 20);
    bench_dispatches(gpu, false);
    bench_dispatches(gpu, true);
    bench_round_trip(gpu);
    sx_gpu_close(gpu);
    return 0;
}
