#include "engine/fit_gpu.h"

#include "engine/internal.h"

#include <stdlib.h>
#include <string.h>

_Static_assert((int)SX_FIT_COLUMNS == (int)FIT_COLUMNS && (int)SX_FIT_SYSTEMS == (int)FIT_SYSTEMS,
               "kernels and fit agree");

// States of one block, and what is done with them.
typedef struct slot {
    sx_gpu_buffer *x;
    sx_gpu_tape *project, *accumulate;
    bool filled;
} slot;

struct sx_fit_gpu {
    sx_gpu *gpu;
    sx_ops ops;
    uint32_t width, padded;
    sx_gpu_buffer *v, *z, *a, *g;
    slot *slots; // the last of them is used again and again
    uint32_t slot_count, slot_limit;
    uint32_t block; // number of the block in this pass
    float *staging; // [padded, FIT_COLUMNS] or [FIT_BLOCK_ROWS, FIT_COLUMNS]
    double seconds;
};

static sx_status wait_for(sx_fit_gpu *fit, sx_gpu_ticket ticket, void *destination, uint64_t size, sx_error *error)
{
    sx_status status;
    do {
        sx_gpu_wait(fit->gpu, ticket, 1000, NULL);
        status = sx_gpu_poll(fit->gpu, ticket, destination, size, error);
    } while (status == SX_PENDING);
    return status;
}

static sx_status make_slot(sx_fit_gpu *fit, slot *out, sx_error *error)
{
    sx_gpu *gpu = fit->gpu;
    const uint64_t bytes = 2ull * FIT_BLOCK_ROWS * fit->width;
    sx_status status = sx_gpu_buffer_create(gpu, bytes, SX_GPU_STORAGE, "states", &out->x, error);
    if (status == SX_OK) status = sx_gpu_tape_create(gpu, "fit: project", &out->project, error);
    if (status == SX_OK) status = sx_gpu_tape_create(gpu, "fit: accumulate", &out->accumulate, error);
    if (status != SX_OK) return status;
    const sx_gpu_binding x = {.buffer = out->x}, v = {.buffer = fit->v}, z = {.buffer = fit->z};
    const sx_gpu_binding a = {.buffer = fit->a}, g = {.buffer = fit->g};
    sx_op_fit_project(&fit->ops, out->project, fit->width, FIT_BLOCK_ROWS, x, v, z);
    sx_op_fit_accumulate(&fit->ops, out->accumulate, fit->width, FIT_BLOCK_ROWS, x, a, g);
    status = sx_gpu_tape_finish(out->project, error);
    return status == SX_OK ? sx_gpu_tape_finish(out->accumulate, error) : status;
}

static sx_status begin(void *user, const float *v, sx_error *error)
{
    sx_fit_gpu *fit = user;
    const double start = sx_clock_seconds();
    fit->block = 0;
    memset(fit->staging, 0, (size_t)fit->padded * FIT_COLUMNS * sizeof *fit->staging);
    memcpy(fit->staging, v, (size_t)fit->width * FIT_COLUMNS * sizeof *v);
    sx_status status =
        sx_gpu_write(fit->gpu, fit->v, 0, fit->staging, (uint64_t)fit->padded * FIT_COLUMNS * sizeof *v, error);
    memset(fit->staging, 0, (size_t)fit->padded * FIT_COLUMNS * sizeof *fit->staging);
    if (status == SX_OK)
        status = sx_gpu_write(fit->gpu, fit->g, 0, fit->staging, (uint64_t)fit->width * FIT_SYSTEMS * sizeof *v, error);
    fit->seconds += sx_clock_seconds() - start;
    return status;
}

// The slot of the block at hand, with its states in it.
static sx_status fill_slot(sx_fit_gpu *fit, const fit_block *block, slot **out, sx_error *error)
{
    const uint32_t index = fit->block < fit->slot_limit ? fit->block : fit->slot_limit - 1;
    sx_status status = SX_OK;
    if (index >= fit->slot_count) {
        status = make_slot(fit, &fit->slots[index], error);
        if (status != SX_OK) return status;
        fit->slot_count = index + 1;
    }
    slot *s = *out = &fit->slots[index];
    const bool streaming = index + 1 == fit->slot_limit;
    if (s->filled && !streaming) return SX_OK;
    status = sx_gpu_write(fit->gpu, s->x, 0, block->x, 2ull * block->rows * fit->width, error);
    s->filled = status == SX_OK;
    return status;
}

static sx_status project(void *user, const fit_block *block, float *z, sx_error *error)
{
    sx_fit_gpu *fit = user;
    const double start = sx_clock_seconds();
    const sx_gpu_readback readback = {.buffer = fit->z, .size = (uint64_t)FIT_BLOCK_ROWS * FIT_COLUMNS * sizeof(float)};
    slot *s;
    sx_gpu_ticket ticket;
    sx_status status = fill_slot(fit, block, &s, error);
    if (status == SX_OK) status = sx_gpu_submit(fit->gpu, s->project, &readback, &ticket, error);
    if (status == SX_OK) status = wait_for(fit, ticket, z, readback.size, error);
    fit->block++;
    fit->seconds += sx_clock_seconds() - start;
    return status;
}

static sx_status accumulate(void *user, const fit_block *block, const float *a, sx_error *error)
{
    sx_fit_gpu *fit = user;
    const double start = sx_clock_seconds();
    const uint64_t bytes = (uint64_t)FIT_BLOCK_ROWS * FIT_SYSTEMS * sizeof *a;
    const uint32_t index = fit->block - 1 < fit->slot_limit ? fit->block - 1 : fit->slot_limit - 1;
    sx_gpu_ticket ticket;
    memset(fit->staging, 0, (size_t)bytes); // rows behind the block's weigh nothing
    memcpy(fit->staging, a, (size_t)block->rows * FIT_SYSTEMS * sizeof *a);
    sx_status status = sx_gpu_write(fit->gpu, fit->a, 0, fit->staging, bytes, error);
    if (status == SX_OK) status = sx_gpu_submit(fit->gpu, fit->slots[index].accumulate, NULL, &ticket, error);
    if (status == SX_OK) status = wait_for(fit, ticket, NULL, 0, error);
    fit->seconds += sx_clock_seconds() - start;
    return status;
}

static sx_status sum(void *user, float *g, sx_error *error)
{
    sx_fit_gpu *fit = user;
    return sx_gpu_read(fit->gpu, fit->g, 0, g, (uint64_t)fit->width * FIT_SYSTEMS * sizeof *g, error);
}

static sx_status create_buffers(sx_fit_gpu *fit, sx_error *error)
{
    const struct {
        sx_gpu_buffer **buffer;
        uint64_t floats;
        const char *label;
    } list[] = {{&fit->v, (uint64_t)fit->padded * FIT_COLUMNS, "fit: vectors"},
                {&fit->z, (uint64_t)FIT_BLOCK_ROWS * FIT_COLUMNS, "fit: projections"},
                {&fit->a, (uint64_t)FIT_BLOCK_ROWS * FIT_SYSTEMS, "fit: residuals"},
                {&fit->g, (uint64_t)fit->width * FIT_SYSTEMS, "fit: sums"}};
    sx_status status = SX_OK;
    for (size_t i = 0; i < sizeof list / sizeof *list && status == SX_OK; i++)
        status = sx_gpu_buffer_create(fit->gpu, list[i].floats * sizeof(float), SX_GPU_STORAGE, list[i].label,
                                      list[i].buffer, error);
    return status;
}

sx_status sx_fit_gpu_open(const sx_gpu_desc *desc, uint32_t width, uint64_t resident, sx_fit_gpu **made,
                          fit_device *out, sx_error *error)
{
    *made = NULL;
    sx_fit_gpu *fit = calloc(1, sizeof *fit);
    if (!fit) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for a fit");
    fit->width = width;
    fit->padded = (width + 31) / 32 * 32;
    sx_status status = sx_gpu_open(desc, &fit->gpu, error);
    if (status == SX_OK) status = sx_ops_create(fit->gpu, &fit->ops, error);
    if (status == SX_OK) {
        if (!resident) resident = sx_gpu_memory_budget(fit->gpu) / 4;
        const uint64_t blocks = resident / (2ull * FIT_BLOCK_ROWS * width);
        fit->slot_limit = 1 + (uint32_t)(blocks < 65535 ? blocks : 65535);
        const size_t rows = fit->padded > FIT_BLOCK_ROWS ? fit->padded : FIT_BLOCK_ROWS;
        fit->slots = calloc(fit->slot_limit, sizeof *fit->slots);
        fit->staging = malloc(rows * FIT_COLUMNS * sizeof *fit->staging);
        if (!fit->slots || !fit->staging) status = sx_fail(error, SX_ERROR_MEMORY, "out of memory for a fit");
    }
    if (status == SX_OK) status = create_buffers(fit, error);
    if (status != SX_OK) {
        sx_fit_gpu_close(fit);
        return status;
    }
    *made = fit;
    *out = (fit_device){fit, begin, project, accumulate, sum};
    return SX_OK;
}

void sx_fit_gpu_close(sx_fit_gpu *fit)
{
    if (!fit) return;
    if (fit->gpu) {
        // The slot behind the last may be half made.
        for (uint32_t i = 0; fit->slots && i < fit->slot_limit && i <= fit->slot_count; i++) {
            sx_gpu_tape_destroy(fit->gpu, fit->slots[i].project);
            sx_gpu_tape_destroy(fit->gpu, fit->slots[i].accumulate);
            sx_gpu_buffer_destroy(fit->gpu, fit->slots[i].x);
        }
        sx_gpu_buffer_destroy(fit->gpu, fit->v);
        sx_gpu_buffer_destroy(fit->gpu, fit->z);
        sx_gpu_buffer_destroy(fit->gpu, fit->a);
        sx_gpu_buffer_destroy(fit->gpu, fit->g);
        sx_ops_destroy(&fit->ops);
        sx_gpu_save_cache(fit->gpu);
        sx_gpu_close(fit->gpu);
    }
    free(fit->slots);
    free(fit->staging);
    free(fit);
}

bool sx_fit_gpu_is_cpu(const sx_fit_gpu *fit)
{
    return sx_gpu_get_info(fit->gpu)->kind == SX_GPU_CPU;
}

const char *sx_fit_gpu_name(const sx_fit_gpu *fit)
{
    return sx_gpu_get_info(fit->gpu)->name;
}

double sx_fit_gpu_seconds(const sx_fit_gpu *fit)
{
    return fit->seconds;
}
