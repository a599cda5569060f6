// Recording tapes: the contract's rules for each command, and the hazards between them.
#include "gpu/backend.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAMETER_SLOT = 256 }; // bytes: the alignment that every API accepts for a dynamic offset

// Room for one more element of `size` bytes. The array is left as it is on failure.
static bool reserve(void **array, uint32_t *capacity, uint64_t needed, size_t size)
{
    if (needed <= *capacity) return true;
    uint64_t grown = *capacity ? *capacity : 16;
    while (grown < needed) {
        grown *= 2;
    }
    if (grown > UINT32_MAX / 2) return false;
    void *moved = realloc(*array, (size_t)grown * size);
    if (!moved) return false;
    *array = moved;
    *capacity = (uint32_t)grown;
    return true;
}

static sx_status fail_memory(sx_gpu_tape *tape)
{
    return sx_fail(&tape->error, SX_ERROR_MEMORY, "out of host memory recording tape \"%s\"", tape->label);
}

sx_status sx_gpu_tape_create(sx_gpu *gpu, const char *label, sx_gpu_tape **out, sx_error *error)
{
    assert(gpu && out);
    *out = NULL;
    const sx_status alive = gpu_check_alive(gpu, error);
    if (alive != SX_OK) return alive;
    sx_gpu_tape *tape = calloc(1, sizeof *tape);
    if (!tape) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory creating tape \"%s\"", label ? label : "");
    tape->gpu = gpu;
    snprintf(tape->label, sizeof tape->label, "%s", label ? label : "unnamed");
    gpu->tape_count++;
    *out = tape;
    return SX_OK;
}

// ---- Hazards -------------------------------------------------------------------------------------------------------

static bool conflicts(const sx_gpu_tape *tape, const gpu_access *access)
{
    for (uint32_t i = 0; i < tape->access_count; i++) {
        const gpu_access *earlier = &tape->accesses[i];
        if (earlier->buffer == access->buffer && (earlier->write || access->write) && earlier->begin < access->end &&
            access->begin < earlier->end) {
            return true;
        }
    }
    return false;
}

// Decides whether the command needs a barrier before it, and notes what it touches.
static bool note_accesses(sx_gpu_tape *tape, gpu_command *command, const gpu_access *accesses, uint32_t count)
{
    command->barrier = false;
    for (uint32_t i = 0; i < count && !command->barrier; i++) {
        command->barrier = conflicts(tape, &accesses[i]);
    }
    if (command->barrier) {
        tape->access_count = 0; // one barrier orders everything before it
        tape->stats.barriers++;
    }
    if (!reserve((void **)&tape->accesses, &tape->access_capacity, (uint64_t)tape->access_count + count,
                 sizeof *tape->accesses)) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        tape->accesses[tape->access_count++] = accesses[i];
    }
    return true;
}

static bool note_buffer(sx_gpu_tape *tape, sx_gpu_buffer *buffer)
{
    for (uint32_t i = 0; i < tape->buffer_count; i++) {
        if (tape->buffers[i] == buffer) return true;
    }
    if (!reserve((void **)&tape->buffers, &tape->buffer_capacity, (uint64_t)tape->buffer_count + 1,
                 sizeof *tape->buffers)) {
        return false;
    }
    tape->buffers[tape->buffer_count++] = buffer;
    return true;
}

static bool append(sx_gpu_tape *tape, const gpu_command *command)
{
    if (!reserve((void **)&tape->commands, &tape->command_capacity, (uint64_t)tape->command_count + 1,
                 sizeof *tape->commands)) {
        return false;
    }
    tape->commands[tape->command_count++] = *command;
    return true;
}

// ---- Dispatches ----------------------------------------------------------------------------------------------------

// The tape may go on recording: no error so far, not finished, device there.
static sx_status check_recording(sx_gpu_tape *tape)
{
    if (tape->error.status != SX_OK) return tape->error.status;
    if (tape->finished) {
        // Not sticky: the finished tape itself is sound.
        return SX_ERROR_ARGUMENT;
    }
    return gpu_check_alive(tape->gpu, &tape->error);
}

static sx_status check_kernel(sx_gpu_tape *tape, sx_kernel kernel, const void *parameters, size_t parameters_size,
                              uint32_t binding_count)
{
    if (!sx_gpu_kernel_usable(tape->gpu, kernel)) {
        return sx_fail(&tape->error, SX_ERROR_ARGUMENT,
                       "tape \"%s\": kernel %s is not usable on this device (usable kernel)", tape->label,
                       sx_kernel_name(kernel));
    }
    const gpu_kernel_entry *entry = &gpu_kernel_table[kernel];
    if (parameters_size != entry->parameter_size || (parameters_size && !parameters)) {
        return sx_fail(&tape->error, SX_ERROR_ARGUMENT,
                       "tape \"%s\", kernel %s: %zu bytes of parameters, its block has %u (parameter size)",
                       tape->label, entry->name, parameters_size, entry->parameter_size);
    }
    if (binding_count != entry->binding_count) {
        return sx_fail(&tape->error, SX_ERROR_ARGUMENT,
                       "tape \"%s\", kernel %s: %u buffers bound, it has %u (binding count)", tape->label, entry->name,
                       binding_count, entry->binding_count);
    }
    return SX_OK;
}

// Resolves a size of 0 and checks one binding.
static sx_status check_binding(sx_gpu_tape *tape, const gpu_kernel_entry *entry, uint32_t index,
                               sx_gpu_binding *binding)
{
    const char *rule = NULL;
    const sx_gpu_buffer *buffer = binding->buffer;
    const uint64_t limit = tape->gpu->info.max_binding_size;
    if (!buffer) {
        rule = "no buffer (missing buffer)";
    } else if (buffer->gpu != tape->gpu) {
        rule = "the buffer belongs to another device (foreign buffer)";
    } else if ((buffer->usage & SX_GPU_STORAGE) == 0) {
        rule = "the buffer was not created with SX_GPU_STORAGE (usage)";
    } else if (binding->offset % SX_GPU_OFFSET_ALIGNMENT) {
        rule = "the offset is no multiple of 256 (offset alignment)";
    } else if (binding->offset >= buffer->size) {
        rule = "the offset lies beyond the buffer (range)";
    } else {
        const uint64_t rest = buffer->size - binding->offset;
        if (binding->size == 0) binding->size = rest < limit ? rest : limit & ~(uint64_t)3;
        if (binding->size > rest) {
            rule = "the range ends beyond the buffer (range)";
        } else if (binding->size % 4) {
            rule = "the size is no multiple of 4 (word alignment)";
        } else if (binding->size > limit) {
            rule = "the range is larger than max_binding_size (binding size)";
        }
    }
    if (!rule) return SX_OK;
    return sx_fail(&tape->error, SX_ERROR_ARGUMENT, "tape \"%s\", kernel %s, binding %u%s%s%s: %s", tape->label,
                   entry->name, index + 1, buffer ? " \"" : "", buffer ? buffer->label : "", buffer ? "\"" : "", rule);
}

// The rule that WebGPU sets for all: a written buffer appears once.
static sx_status check_aliasing(sx_gpu_tape *tape, const gpu_kernel_entry *entry, const sx_gpu_binding *bindings,
                                const sx_gpu_buffer *arguments)
{
    for (uint32_t i = 0; i < entry->binding_count; i++) {
        if (((entry->written >> i) & 1) == 0) continue;
        if (bindings[i].buffer == arguments) {
            return sx_fail(&tape->error, SX_ERROR_ARGUMENT,
                           "tape \"%s\", kernel %s: buffer \"%s\" holds the indirect arguments and is written by the "
                           "same dispatch (write aliasing)",
                           tape->label, entry->name, arguments->label);
        }
        for (uint32_t j = 0; j < entry->binding_count; j++) {
            if (i == j || bindings[i].buffer != bindings[j].buffer) continue;
            return sx_fail(&tape->error, SX_ERROR_ARGUMENT,
                           "tape \"%s\", kernel %s: buffer \"%s\" is written as binding %u and appears as binding %u "
                           "too (write aliasing)",
                           tape->label, entry->name, bindings[i].buffer->label, i + 1, j + 1);
        }
    }
    return SX_OK;
}

// Splits x over x and y as evenly as it goes, so that few groups are surplus.
static sx_status fold_grid(sx_gpu_tape *tape, gpu_command *command, uint32_t x, uint32_t y, uint32_t z)
{
    const uint32_t limit = SX_GPU_MAX_GROUPS;
    const char *rule = NULL;
    if (y > limit || z > limit) {
        rule = "y and z are at most 65535 (grid size)";
    } else if (x > limit && y != 1) {
        rule = "an x above 65535 is folded into y, which must then be 1 (grid folding)";
    } else if (x > (uint64_t)limit * limit) {
        rule = "x is at most 65535 * 65535 (grid size)";
    }
    if (rule) {
        return sx_fail(&tape->error, SX_ERROR_ARGUMENT, "tape \"%s\", kernel %s, grid %u x %u x %u: %s", tape->label,
                       sx_kernel_name(command->kernel), x, y, z, rule);
    }
    if (x > limit) {
        y = (uint32_t)(((uint64_t)x + limit - 1) / limit);
        x = (uint32_t)(((uint64_t)x + y - 1) / y);
    }
    command->x = x;
    command->y = y;
    command->z = z;
    return SX_OK;
}

static bool append_parameters(sx_gpu_tape *tape, gpu_command *command, const void *parameters, size_t size)
{
    command->parameter_offset = tape->parameter_size;
    if (!reserve((void **)&tape->parameters, &tape->parameter_capacity, (uint64_t)tape->parameter_size + PARAMETER_SLOT,
                 1)) {
        return false;
    }
    uint8_t *slot = tape->parameters + tape->parameter_size;
    memset(slot, 0, PARAMETER_SLOT);
    if (size) memcpy(slot, parameters, size);
    tape->parameter_size += PARAMETER_SLOT;
    tape->stats.parameter_bytes += size;
    return true;
}

// What both kinds of dispatch share, once the grid or the arguments are in `command`.
static sx_status record_dispatch(sx_gpu_tape *tape, gpu_command *command, const void *parameters,
                                 size_t parameters_size, const sx_gpu_binding *bindings, uint32_t binding_count)
{
    sx_status status = check_kernel(tape, command->kernel, parameters, parameters_size, binding_count);
    if (status != SX_OK) return status;
    const gpu_kernel_entry *entry = &gpu_kernel_table[command->kernel];
    sx_gpu_binding resolved[SX_GPU_MAX_BINDINGS];
    gpu_access accesses[SX_GPU_MAX_BINDINGS + 1];
    uint32_t access_count = 0;
    for (uint32_t i = 0; i < binding_count; i++) {
        resolved[i] = bindings[i];
        status = check_binding(tape, entry, i, &resolved[i]);
        if (status != SX_OK) return status;
        accesses[access_count++] = (gpu_access){resolved[i].buffer, resolved[i].offset,
                                                resolved[i].offset + resolved[i].size, (entry->written >> i) & 1};
    }
    status = check_aliasing(tape, entry, resolved, command->source);
    if (status != SX_OK) return status;
    if (command->kind == GPU_DISPATCH_INDIRECT) {
        accesses[access_count++] =
            (gpu_access){command->source, command->source_offset, command->source_offset + 12, false};
    }

    if (!reserve((void **)&tape->bindings, &tape->binding_capacity, (uint64_t)tape->binding_count + binding_count,
                 sizeof *tape->bindings)) {
        return fail_memory(tape);
    }
    command->first_binding = tape->binding_count;
    for (uint32_t i = 0; i < binding_count; i++) {
        tape->bindings[tape->binding_count++] = resolved[i];
    }
    for (uint32_t i = 0; i < access_count; i++) {
        if (!note_buffer(tape, (sx_gpu_buffer *)accesses[i].buffer)) return fail_memory(tape);
    }
    if (!append_parameters(tape, command, parameters, parameters_size) ||
        !note_accesses(tape, command, accesses, access_count) || !append(tape, command)) {
        return fail_memory(tape);
    }
    return SX_OK;
}

sx_status sx_gpu_tape_dispatch(sx_gpu_tape *tape, sx_kernel kernel, const void *parameters, size_t parameters_size,
                               const sx_gpu_binding *bindings, uint32_t binding_count, uint32_t x, uint32_t y,
                               uint32_t z)
{
    sx_status status = check_recording(tape);
    if (status != SX_OK) return status;
    gpu_command command = {.kind = GPU_DISPATCH, .kernel = kernel};
    status = fold_grid(tape, &command, x, y, z);
    if (status != SX_OK) return status;
    status = record_dispatch(tape, &command, parameters, parameters_size, bindings, binding_count);
    if (status == SX_OK) tape->stats.dispatches++;
    return status;
}

sx_status sx_gpu_tape_dispatch_indirect(sx_gpu_tape *tape, sx_kernel kernel, const void *parameters,
                                        size_t parameters_size, const sx_gpu_binding *bindings, uint32_t binding_count,
                                        sx_gpu_buffer *arguments, uint64_t offset)
{
    sx_status status = check_recording(tape);
    if (status != SX_OK) return status;
    assert(arguments && arguments->gpu == tape->gpu);
    if ((arguments->usage & SX_GPU_INDIRECT) == 0) {
        return sx_fail(
            &tape->error, SX_ERROR_ARGUMENT,
            "tape \"%s\": the indirect arguments' buffer \"%s\" was not created with SX_GPU_INDIRECT (usage)",
            tape->label, arguments->label);
    }
    status = gpu_check_range(arguments, offset, 12, "indirect arguments", &tape->error);
    if (status != SX_OK) return status;
    gpu_command command = {
        .kind = GPU_DISPATCH_INDIRECT, .kernel = kernel, .source = arguments, .source_offset = offset};
    status = record_dispatch(tape, &command, parameters, parameters_size, bindings, binding_count);
    if (status == SX_OK) tape->stats.indirect_dispatches++;
    return status;
}

// ---- Copies, finishing ---------------------------------------------------------------------------------------------

sx_status sx_gpu_tape_copy(sx_gpu_tape *tape, sx_gpu_buffer *source, uint64_t source_offset, sx_gpu_buffer *destination,
                           uint64_t destination_offset, uint64_t size)
{
    sx_status status = check_recording(tape);
    if (status != SX_OK) return status;
    assert(source && destination && source->gpu == tape->gpu && destination->gpu == tape->gpu);
    if (source == destination) {
        return sx_fail(&tape->error, SX_ERROR_ARGUMENT,
                       "tape \"%s\": buffer \"%s\" is source and destination of one copy (copy aliasing)", tape->label,
                       source->label);
    }
    status = gpu_check_range(source, source_offset, size, "copy source", &tape->error);
    if (status == SX_OK)
        status = gpu_check_range(destination, destination_offset, size, "copy destination", &tape->error);
    if (status != SX_OK || size == 0) return status;
    const gpu_access accesses[] = {{source, source_offset, source_offset + size, false},
                                   {destination, destination_offset, destination_offset + size, true}};
    gpu_command command = {.kind = GPU_COPY,
                           .source = source,
                           .source_offset = source_offset,
                           .destination = destination,
                           .destination_offset = destination_offset,
                           .size = size};
    if (!note_buffer(tape, source) || !note_buffer(tape, destination) || !note_accesses(tape, &command, accesses, 2) ||
        !append(tape, &command)) {
        return fail_memory(tape);
    }
    tape->stats.copies++;
    return SX_OK;
}

sx_status sx_gpu_tape_finish(sx_gpu_tape *tape, sx_error *error)
{
    assert(tape);
    if (tape->error.status != SX_OK) {
        if (error) *error = tape->error;
        return tape->error.status;
    }
    if (tape->finished) {
        return sx_fail(error, SX_ERROR_ARGUMENT, "tape \"%s\" is finished already (tape state)", tape->label);
    }
    sx_status status = gpu_check_alive(tape->gpu, error);
    if (status != SX_OK) return status;
    status = gpu_note(tape->gpu, tape->gpu->backend->tape_finish(tape->gpu->device, tape, &tape->error));
    if (status != SX_OK) {
        if (error) *error = tape->error;
        return status;
    }
    tape->finished = true;
    free(tape->accesses);
    free(tape->parameters);
    tape->accesses = NULL;
    tape->parameters = NULL;
    return SX_OK;
}

void sx_gpu_tape_destroy(sx_gpu *gpu, sx_gpu_tape *tape)
{
    if (!tape) return;
    assert(tape->gpu == gpu);
    if (tape->native) {
        if (tape->last_use > gpu->finished_serial && !gpu->lost) {
            gpu->backend->wait(gpu->device, tape->last_use, UINT32_MAX, NULL);
        }
        gpu->backend->tape_destroy(gpu->device, tape);
    }
    gpu->tape_count--;
    free(tape->commands);
    free(tape->bindings);
    free(tape->parameters);
    free(tape->accesses);
    free(tape->buffers);
    free(tape);
}

void sx_gpu_tape_get_stats(const sx_gpu_tape *tape, sx_gpu_tape_stats *stats)
{
    *stats = tape->stats;
}

static bool kernel_seen(const sx_gpu_tape *tape, uint32_t before, sx_kernel kernel)
{
    for (uint32_t i = 0; i < before; i++)
        if (tape->commands[i].kind != GPU_COPY && tape->commands[i].kernel == kernel) return true;
    return false;
}

uint32_t sx_gpu_tape_kernels(const sx_gpu_tape *tape, sx_kernel *kernels, uint32_t capacity)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < tape->command_count; i++) {
        const gpu_command *command = &tape->commands[i];
        if (command->kind == GPU_COPY || kernel_seen(tape, i, command->kernel)) continue;
        if (count < capacity) kernels[count] = command->kernel;
        count++;
    }
    return count;
}
