// The front of the GPU layer: devices, buffers, warming. Checks the contract once, for every backend.
#include "gpu/gpu.h"

#include "gpu/backend.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const gpu_backend *find_backend(sx_gpu_backend id)
{
    static const gpu_backend *const backends[] = {
#ifdef SX_GPU_HAVE_VULKAN
        &gpu_backend_vulkan,
#endif
#ifdef SX_GPU_HAVE_WEBGPU
        &gpu_backend_webgpu,
#endif
        &gpu_backend_null,
    };
    if (id == SX_GPU_BACKEND_DEFAULT) return backends[0];
    for (size_t i = 0; i < sizeof backends / sizeof backends[0]; i++) {
        if (backends[i]->id == id) return backends[i];
    }
    return NULL;
}

static sx_status fail_backend(sx_error *error)
{
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "this build has no such GPU backend; use the default one");
}

sx_status gpu_note(sx_gpu *gpu, sx_status status)
{
    if (status == SX_ERROR_DEVICE_LOST) gpu->lost = true;
    return status;
}

sx_status gpu_check_alive(const sx_gpu *gpu, sx_error *error)
{
    if (!gpu->lost) return SX_OK;
    return sx_fail(error, SX_ERROR_DEVICE_LOST,
                   "the GPU \"%s\" was lost (reset, driver crash or unplugged); reopen the device to go on",
                   gpu->info.name);
}

sx_status gpu_check_range(const sx_gpu_buffer *buffer, uint64_t offset, uint64_t size, const char *what,
                          sx_error *error)
{
    if (offset % 4 || size % 4) {
        return sx_fail(error, SX_ERROR_ARGUMENT,
                       "%s of buffer \"%s\": offset %llu and size %llu must be multiples of 4 (word alignment)", what,
                       buffer->label, (unsigned long long)offset, (unsigned long long)size);
    }
    if (offset > buffer->size || size > buffer->size - offset) {
        return sx_fail(error, SX_ERROR_ARGUMENT,
                       "%s of buffer \"%s\": %llu bytes at %llu lie outside its %llu bytes (range)", what,
                       buffer->label, (unsigned long long)size, (unsigned long long)offset,
                       (unsigned long long)buffer->size);
    }
    return SX_OK;
}

sx_status sx_gpu_list(sx_gpu_backend backend, sx_gpu_info *infos, uint32_t capacity, uint32_t *count, sx_error *error)
{
    assert(count && (infos || capacity == 0));
    *count = 0;
    const gpu_backend *found = find_backend(backend);
    return found ? found->list(infos, capacity, count, error) : fail_backend(error);
}

sx_status sx_gpu_open(const sx_gpu_desc *desc, sx_gpu **out, sx_error *error)
{
    assert(desc && out);
    *out = NULL;
    const gpu_backend *backend = find_backend(desc->backend);
    if (!backend) return fail_backend(error);
    sx_gpu *gpu = calloc(1, sizeof *gpu);
    if (!gpu) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory opening the GPU");
    gpu->backend = backend;
    gpu->log = desc->log;
    gpu->log_user = desc->log_user;
    gpu->last_seconds = -1;
    const sx_status status = backend->open(desc, &gpu->info, &gpu->device, error);
    if (status != SX_OK) {
        free(gpu);
        return status;
    }
    gpu->info.backend = backend->id;
    *out = gpu;
    return SX_OK;
}

void sx_gpu_close(sx_gpu *gpu)
{
    if (!gpu) return;
    assert(gpu->buffer_count == 0 && gpu->tape_count == 0);
    gpu->backend->close(gpu->device);
    free(gpu);
}

const sx_gpu_info *sx_gpu_get_info(const sx_gpu *gpu)
{
    return &gpu->info;
}

uint64_t sx_gpu_memory_budget(sx_gpu *gpu)
{
    return gpu->lost ? 0 : gpu->backend->memory_budget(gpu->device);
}

uint32_t sx_gpu_validation_messages(const sx_gpu *gpu)
{
    return gpu->backend->validation_messages(gpu->device);
}

void sx_gpu_simulate_loss(sx_gpu *gpu)
{
    gpu->lost = true;
}

void sx_gpu_get_counters(const sx_gpu *gpu, sx_gpu_counters *counters)
{
    *counters = gpu->counters;
}

// ---- Buffers -------------------------------------------------------------------------------------------------------

sx_status sx_gpu_buffer_create(sx_gpu *gpu, uint64_t size, uint32_t usage, const char *label, sx_gpu_buffer **out,
                               sx_error *error)
{
    assert(gpu && out);
    *out = NULL;
    const sx_status alive = gpu_check_alive(gpu, error);
    if (alive != SX_OK) return alive;
    label = label ? label : "unnamed";
    if (size == 0 || (usage & (SX_GPU_STORAGE | SX_GPU_INDIRECT)) == 0) {
        return sx_fail(error, SX_ERROR_ARGUMENT, "buffer \"%s\": size and usage must not be zero (empty buffer)",
                       label);
    }
    if (size > gpu->info.max_buffer_size || size > UINT64_MAX - 3) {
        return sx_fail(
            error, SX_ERROR_GPU_MEMORY,
            "buffer \"%s\" of %.1f MiB exceeds the %.1f MiB this device allows for one buffer; use a smaller "
            "model or context, or another device",
            label, (double)size / 1048576, (double)gpu->info.max_buffer_size / 1048576);
    }
    sx_gpu_buffer *buffer = calloc(1, sizeof *buffer);
    if (!buffer) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory creating buffer \"%s\"", label);
    buffer->gpu = gpu;
    buffer->size = (size + 3) & ~(uint64_t)3;
    buffer->usage = usage;
    snprintf(buffer->label, sizeof buffer->label, "%s", label);
    const sx_status status = gpu_note(gpu, gpu->backend->buffer_create(gpu->device, buffer, error));
    if (status != SX_OK) {
        free(buffer);
        return status;
    }
    gpu->counters.memory_used += buffer->size;
    gpu->buffer_count++;
    *out = buffer;
    return SX_OK;
}

void sx_gpu_buffer_destroy(sx_gpu *gpu, sx_gpu_buffer *buffer)
{
    if (!buffer) return;
    assert(buffer->gpu == gpu);
    gpu->backend->buffer_destroy(gpu->device, buffer);
    gpu->counters.memory_used -= buffer->size;
    gpu->buffer_count--;
    free(buffer);
}

uint64_t sx_gpu_buffer_size(const sx_gpu_buffer *buffer)
{
    return buffer->size;
}

sx_status sx_gpu_write(sx_gpu *gpu, sx_gpu_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                       sx_error *error)
{
    assert(gpu && buffer && buffer->gpu == gpu && (data || size == 0));
    sx_status status = gpu_check_alive(gpu, error);
    if (status == SX_OK) status = gpu_check_range(buffer, offset, size, "write", error);
    if (status != SX_OK || size == 0) return status;
    status = gpu_note(gpu, gpu->backend->write(gpu->device, buffer, offset, data, size, error));
    if (status == SX_OK) {
        gpu->counters.writes++;
        gpu->counters.write_bytes += size;
    }
    return status;
}

sx_status sx_gpu_read(sx_gpu *gpu, sx_gpu_buffer *buffer, uint64_t offset, void *destination, uint64_t size,
                      sx_error *error)
{
    assert(gpu && buffer && buffer->gpu == gpu && (destination || size == 0));
    sx_status status = gpu_check_alive(gpu, error);
    if (status == SX_OK) status = gpu_check_range(buffer, offset, size, "read", error);
    if (status != SX_OK || size == 0) return status;
    return gpu_note(gpu, gpu->backend->read(gpu->device, buffer, offset, destination, size, error));
}

// ---- Kernels -------------------------------------------------------------------------------------------------------

sx_status sx_gpu_warm(sx_gpu *gpu, const sx_kernel *kernels, uint32_t count, sx_error *error)
{
    assert(gpu && (kernels || count == 0));
    const sx_status alive = gpu_check_alive(gpu, error);
    if (alive != SX_OK) return alive;
    for (uint32_t i = 0; i < count; i++) {
        if (!sx_gpu_kernel_usable(gpu, kernels[i])) {
            return sx_fail(error, SX_ERROR_ARGUMENT, "kernel %s is not usable on this device (usable kernel)",
                           sx_kernel_name(kernels[i]));
        }
    }
    return gpu_note(gpu, gpu->backend->warm(gpu->device, kernels, count, error));
}

sx_status sx_gpu_warm_poll(sx_gpu *gpu, uint32_t *done, sx_error *error)
{
    uint32_t ignored;
    const sx_status alive = gpu_check_alive(gpu, error);
    if (alive != SX_OK) return alive;
    return gpu_note(gpu, gpu->backend->warm_poll(gpu->device, done ? done : &ignored, error));
}

void sx_gpu_save_cache(sx_gpu *gpu)
{
    if (!gpu->lost) gpu->backend->save_cache(gpu->device);
}
