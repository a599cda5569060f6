// The WebGPU backend: hands tapes, writes and submits to the JS library beside it (library_specexit_gpu.js), one call
// each. Nothing waits: finishing is seen by polling.
#include "gpu/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WRITE_CHUNK = 16 << 20 }; // bytes: what one writeBuffer copies at once

// Results of the library's calls.
enum { JS_OK, JS_PENDING, JS_LOST, JS_MEMORY, JS_FAILED };

// Numbers that may pass 2^32 travel as doubles, which hold them exactly up to 2^53.
extern int sxgpu_open(const uint32_t *shapes, uint32_t kernel_count, double *numbers, char *name, char *driver,
                      uint32_t capacity);
extern void sxgpu_close(void);
extern void sxgpu_message(char *message, uint32_t capacity);
extern int sxgpu_errors(void);
extern int sxgpu_state(void);
extern int sxgpu_buffer_create(double size, int indirect, const char *label, uint32_t label_length);
extern void sxgpu_buffer_destroy(int handle);
extern int sxgpu_write(int handle, double offset, const void *data, uint32_t size);
extern int sxgpu_warm(const sx_kernel *kernels, uint32_t count);
extern int sxgpu_warm_poll(uint32_t *done);
extern int sxgpu_tape_finish(const double *values, uint32_t count, const uint8_t *parameters, uint32_t parameter_size);
extern void sxgpu_tape_destroy(int handle);
extern int sxgpu_submit(int tape, int slot, int buffer, double offset, double size, double serial);
extern double sxgpu_finished(void);
extern int sxgpu_take_readback(uint32_t slot, void *destination, uint32_t size);
extern int sxgpu_read(int handle, double offset, void *destination, uint32_t size);
extern double sxgpu_seconds(double serial);

static sx_status result(int code, const char *what, sx_error *error)
{
    if (code == JS_OK) return SX_OK;
    if (code == JS_PENDING) return SX_PENDING;
    char message[300];
    sxgpu_message(message, sizeof message);
    if (code == JS_LOST) {
        return sx_fail(error, SX_ERROR_DEVICE_LOST,
                       "the browser lost the GPU while %s (%s); reopen the device to go on", what, message);
    }
    if (code == JS_MEMORY) {
        return sx_fail(error, SX_ERROR_GPU_MEMORY,
                       "the GPU ran out of memory while %s (%s); close other pages, or use a smaller context or model",
                       what, message);
    }
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "WebGPU failed while %s: %s", what, message);
}

static int handle_of(const sx_gpu_buffer *buffer)
{
    return (int)(intptr_t)buffer->native;
}

// ---- Devices -------------------------------------------------------------------------------------------------------

static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++) {
        hash = (hash ^ (uint8_t)*text) * 0x100000001b3u;
    }
    return hash;
}

static sx_status web_open(const sx_gpu_desc *desc, sx_gpu_info *info, void **out, sx_error *error)
{
    (void)desc;
    *out = NULL; // the state lives in the library
    uint32_t *shapes = calloc(gpu_kernel_count ? gpu_kernel_count : 1, 2 * sizeof *shapes);
    if (!shapes) return sx_fail(error, SX_ERROR_MEMORY, "out of memory opening the GPU");
    for (uint32_t i = 0; i < gpu_kernel_count; i++) {
        shapes[2 * i] = gpu_kernel_table[i].binding_count;
        shapes[2 * i + 1] = gpu_kernel_table[i].written;
    }
    double numbers[5];
    memset(info, 0, sizeof *info);
    const int code = sxgpu_open(shapes, gpu_kernel_count, numbers, info->name, info->driver, sizeof info->name);
    free(shapes);
    if (code != JS_OK) {
        char message[300];
        sxgpu_message(message, sizeof message);
        return sx_fail(error, SX_ERROR_NO_DEVICE,
                       "no WebGPU device (%s); use a browser with WebGPU and hardware acceleration switched on",
                       message);
    }
    info->kind = numbers[4] != 0 ? SX_GPU_CPU : SX_GPU_OTHER; // browsers do not tell which kind a GPU is
    info->backend = SX_GPU_BACKEND_WEBGPU;
    info->features = (uint32_t)numbers[0];
    info->subgroup_size = (uint32_t)numbers[1];
    info->max_binding_size = (uint64_t)numbers[2] & ~(uint64_t)3;
    info->max_buffer_size = (uint64_t)numbers[3];
    info->identity = hash_text(hash_text(0xcbf29ce484222325u, info->name), info->driver);
    return SX_OK;
}

static sx_status web_list(sx_gpu_info *infos, uint32_t capacity, uint32_t *count, sx_error *error)
{
    // There is the device that the page handed in; its description is known once it is open.
    (void)error;
    *count = 1;
    if (capacity > 0) {
        memset(&infos[0], 0, sizeof infos[0]);
        snprintf(infos[0].name, sizeof infos[0].name, "WebGPU device");
        infos[0].kind = SX_GPU_OTHER;
        infos[0].backend = SX_GPU_BACKEND_WEBGPU;
    }
    return SX_OK;
}

static void web_close(void *device)
{
    (void)device;
    sxgpu_close();
}

static uint64_t web_memory_budget(void *device)
{
    (void)device;
    return 0; // browsers do not say
}

static uint32_t web_validation_messages(void *device)
{
    (void)device;
    return (uint32_t)sxgpu_errors();
}

// ---- Buffers -------------------------------------------------------------------------------------------------------

static sx_status web_buffer_create(void *device, sx_gpu_buffer *buffer, sx_error *error)
{
    (void)device;
    const sx_status status = result(sxgpu_state(), "creating a buffer", error);
    if (status != SX_OK) return status;
    const int handle = sxgpu_buffer_create((double)buffer->size, (buffer->usage & SX_GPU_INDIRECT) != 0, buffer->label,
                                           (uint32_t)strlen(buffer->label));
    if (handle == 0) return result(JS_MEMORY, "creating a buffer", error);
    buffer->native = (void *)(intptr_t)handle;
    return SX_OK;
}

static void web_buffer_destroy(void *device, sx_gpu_buffer *buffer)
{
    (void)device;
    sxgpu_buffer_destroy(handle_of(buffer));
}

static sx_status web_write(void *device, sx_gpu_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                           sx_error *error)
{
    (void)device;
    const uint8_t *bytes = data;
    while (size > 0) {
        const uint32_t chunk = size < WRITE_CHUNK ? (uint32_t)size : WRITE_CHUNK;
        const sx_status status =
            result(sxgpu_write(handle_of(buffer), (double)offset, bytes, chunk), "writing a buffer", error);
        if (status != SX_OK) return status;
        bytes += chunk;
        offset += chunk;
        size -= chunk;
    }
    return SX_OK;
}

static sx_status web_read(void *device, sx_gpu_buffer *buffer, uint64_t offset, void *destination, uint64_t size,
                          sx_error *error)
{
    (void)device;
    return result(sxgpu_read(handle_of(buffer), (double)offset, destination, (uint32_t)size), "reading a buffer",
                  error);
}

// ---- Kernels -------------------------------------------------------------------------------------------------------

static sx_status web_warm(void *device, const sx_kernel *kernels, uint32_t count, sx_error *error)
{
    (void)device;
    return result(sxgpu_warm(kernels, count), "building kernels", error);
}

static sx_status web_warm_poll(void *device, uint32_t *done, sx_error *error)
{
    (void)device;
    return result(sxgpu_warm_poll(done), "building kernels", error);
}

static void web_save_cache(void *device)
{
    (void)device; // the browser keeps compiled shaders itself
}

// ---- Tapes ---------------------------------------------------------------------------------------------------------

// Twelve numbers a command, then three for each binding; buildTape() in the library reads them.
static uint32_t encode(const sx_gpu_tape *tape, double *values)
{
    double *out = values;
    for (uint32_t i = 0; i < tape->command_count; i++) {
        const gpu_command *command = &tape->commands[i];
        const uint32_t count = command->kind == GPU_COPY ? 0 : gpu_kernel_table[command->kernel].binding_count;
        *out++ = command->kind;
        *out++ = command->kernel;
        *out++ = command->parameter_offset;
        *out++ = command->x;
        *out++ = command->y;
        *out++ = command->z;
        *out++ = command->source ? handle_of(command->source) : 0;
        *out++ = (double)command->source_offset;
        *out++ = command->destination ? handle_of(command->destination) : 0;
        *out++ = (double)command->destination_offset;
        *out++ = (double)command->size;
        *out++ = count;
        for (uint32_t b = 0; b < count; b++) {
            const sx_gpu_binding *binding = &tape->bindings[command->first_binding + b];
            *out++ = handle_of(binding->buffer);
            *out++ = (double)binding->offset;
            *out++ = (double)binding->size;
        }
    }
    return (uint32_t)(out - values);
}

static sx_status web_tape_finish(void *device, sx_gpu_tape *tape, sx_error *error)
{
    (void)device;
    const size_t most = (size_t)tape->command_count * 12 + (size_t)tape->binding_count * 3;
    double *values = malloc((most ? most : 1) * sizeof *values);
    if (!values) return sx_fail(error, SX_ERROR_MEMORY, "out of memory finishing tape \"%s\"", tape->label);
    const uint32_t count = encode(tape, values);
    const int handle = sxgpu_tape_finish(values, count, tape->parameters, tape->parameter_size);
    free(values);
    if (handle == 0) return result(JS_FAILED, "building a tape", error);
    tape->native = (void *)(intptr_t)handle;
    return SX_OK;
}

static void web_tape_destroy(void *device, sx_gpu_tape *tape)
{
    (void)device;
    sxgpu_tape_destroy((int)(intptr_t)tape->native);
}

// ---- Submits -------------------------------------------------------------------------------------------------------

static sx_status web_submit(void *device, sx_gpu_tape *tape, const sx_gpu_readback *readback, uint32_t slot,
                            uint64_t serial, sx_error *error)
{
    (void)device;
    const int code = readback ? sxgpu_submit((int)(intptr_t)tape->native, (int)slot, handle_of(readback->buffer),
                                             (double)readback->offset, (double)readback->size, (double)serial)
                              : sxgpu_submit((int)(intptr_t)tape->native, -1, 0, 0, 0, (double)serial);
    return result(code, "submitting", error);
}

static sx_status web_finished(void *device, uint64_t *serial, sx_error *error)
{
    (void)device;
    *serial = (uint64_t)sxgpu_finished();
    return result(sxgpu_state(), "waiting for a submit", error);
}

static sx_status web_take_readback(void *device, uint32_t slot, void *destination, uint64_t size, sx_error *error)
{
    (void)device;
    return result(sxgpu_take_readback(slot, destination, (uint32_t)size), "reading back", error);
}

static sx_status web_wait(void *device, uint64_t serial, uint32_t milliseconds, sx_error *error)
{
    (void)device, (void)milliseconds, (void)error;
    return serial <= (uint64_t)sxgpu_finished() ? SX_OK : SX_PENDING;
}

static double web_seconds(void *device, uint64_t serial)
{
    (void)device;
    return sxgpu_seconds((double)serial);
}

const gpu_backend gpu_backend_webgpu = GPU_BACKEND(SX_GPU_BACKEND_WEBGPU, web);
