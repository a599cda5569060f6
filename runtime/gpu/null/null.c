// The null backend: the front's checks and bookkeeping without a device. Submits finish at once, readbacks give zeros.
#include "gpu/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct null_device {
    uint64_t serial;     // of the last submit
    uint32_t warm_count; // kernels asked for last
} null_device;

static void fill_info(sx_gpu_info *info)
{
    memset(info, 0, sizeof *info);
    snprintf(info->name, sizeof info->name, "null");
    snprintf(info->driver, sizeof info->driver, "records and checks, runs nothing");
    info->kind = SX_GPU_OTHER;
    info->backend = SX_GPU_BACKEND_NULL;
    info->features = SX_GPU_FEATURE_SUBGROUP_SHUFFLE | SX_GPU_FEATURE_SUBGROUP_ARITHMETIC | SX_GPU_FEATURE_FP16 |
                     SX_GPU_FEATURE_INT_DOT | SX_GPU_FEATURE_COOPERATIVE_MATRIX;
    info->subgroup_size = 1;
    info->max_binding_size = 128u << 20; // the smallest that real devices have, so that this finds what they refuse
    info->max_buffer_size = 1u << 30;
    info->spirv_version = UINT32_MAX;
    info->identity = 1;
}

static sx_status null_list(sx_gpu_info *infos, uint32_t capacity, uint32_t *count, sx_error *error)
{
    (void)error;
    *count = 1;
    if (capacity > 0) fill_info(&infos[0]);
    return SX_OK;
}

static sx_status null_open(const sx_gpu_desc *desc, sx_gpu_info *info, void **device, sx_error *error)
{
    (void)desc;
    *device = calloc(1, sizeof(null_device));
    if (!*device) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory opening the null device");
    fill_info(info);
    return SX_OK;
}

static void null_close(void *device)
{
    free(device);
}

static uint64_t null_memory_budget(void *device)
{
    (void)device;
    return 0;
}

static uint32_t null_validation_messages(void *device)
{
    (void)device;
    return 0;
}

static sx_status null_buffer_create(void *device, sx_gpu_buffer *buffer, sx_error *error)
{
    (void)device, (void)buffer, (void)error;
    return SX_OK;
}

static void null_buffer_destroy(void *device, sx_gpu_buffer *buffer)
{
    (void)device, (void)buffer;
}

static sx_status null_write(void *device, sx_gpu_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                            sx_error *error)
{
    (void)device, (void)buffer, (void)offset, (void)data, (void)size, (void)error;
    return SX_OK;
}

static sx_status null_warm(void *device, const sx_kernel *kernels, uint32_t count, sx_error *error)
{
    (void)kernels, (void)error;
    ((null_device *)device)->warm_count = count;
    return SX_OK;
}

static sx_status null_warm_poll(void *device, uint32_t *done, sx_error *error)
{
    (void)error;
    *done = ((null_device *)device)->warm_count;
    return SX_OK;
}

static void null_save_cache(void *device)
{
    (void)device;
}

static sx_status null_tape_finish(void *device, sx_gpu_tape *tape, sx_error *error)
{
    (void)device, (void)tape, (void)error;
    return SX_OK;
}

static void null_tape_destroy(void *device, sx_gpu_tape *tape)
{
    (void)device, (void)tape;
}

static sx_status null_submit(void *device, sx_gpu_tape *tape, const sx_gpu_readback *readback, uint32_t slot,
                             uint64_t serial, sx_error *error)
{
    (void)tape, (void)readback, (void)slot, (void)error;
    ((null_device *)device)->serial = serial;
    return SX_OK;
}

static sx_status null_finished(void *device, uint64_t *serial, sx_error *error)
{
    (void)error;
    *serial = ((null_device *)device)->serial;
    return SX_OK;
}

static sx_status null_take_readback(void *device, uint32_t slot, void *destination, uint64_t size, sx_error *error)
{
    (void)device, (void)slot, (void)error;
    memset(destination, 0, (size_t)size);
    return SX_OK;
}

static sx_status null_wait(void *device, uint64_t serial, uint32_t milliseconds, sx_error *error)
{
    (void)device, (void)serial, (void)milliseconds, (void)error;
    return SX_OK;
}

static sx_status null_read(void *device, sx_gpu_buffer *buffer, uint64_t offset, void *destination, uint64_t size,
                           sx_error *error)
{
    (void)device, (void)buffer, (void)offset, (void)error;
    memset(destination, 0, (size_t)size);
    return SX_OK;
}

static double null_seconds(void *device, uint64_t serial)
{
    (void)device, (void)serial;
    return -1;
}

const gpu_backend gpu_backend_null = GPU_BACKEND(SX_GPU_BACKEND_NULL, null);
