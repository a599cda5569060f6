// Submits, tickets and readbacks: what may be outstanding, and what a poll may ask.
#include "gpu/backend.h"

#include <assert.h>
#include <string.h>

static sx_status check_readback(const sx_gpu *gpu, const sx_gpu_readback *readback, uint32_t *slot, sx_error *error)
{
    assert(readback->buffer && readback->buffer->gpu == gpu);
    if (readback->size == 0) {
        return sx_fail(error, SX_ERROR_ARGUMENT, "readback of buffer \"%s\": no bytes asked for (range)",
                       readback->buffer->label);
    }
    const sx_status status = gpu_check_range(readback->buffer, readback->offset, readback->size, "readback", error);
    if (status != SX_OK) return status;
    for (*slot = 0; *slot < SX_GPU_TICKETS_IN_FLIGHT; (*slot)++) {
        if (gpu->slots[*slot].ticket == 0) return SX_OK;
    }
    return sx_fail(error, SX_ERROR_BUSY,
                   "%d submits with a readback are outstanding; poll one first (tickets in flight)",
                   SX_GPU_TICKETS_IN_FLIGHT);
}

sx_status sx_gpu_submit(sx_gpu *gpu, sx_gpu_tape *tape, const sx_gpu_readback *readback, sx_gpu_ticket *ticket,
                        sx_error *error)
{
    assert(gpu && tape && tape->gpu == gpu && ticket);
    *ticket = 0;
    sx_status status = gpu_check_alive(gpu, error);
    if (status != SX_OK) return status;
    if (!tape->finished) {
        return sx_fail(error, SX_ERROR_ARGUMENT, "tape \"%s\" is not finished (tape state)", tape->label);
    }
    uint32_t slot = SX_GPU_TICKETS_IN_FLIGHT;
    if (readback) {
        status = check_readback(gpu, readback, &slot, error);
        if (status != SX_OK) return status;
    }
    const uint64_t serial = gpu->last_serial + 1;
    status = gpu_note(gpu, gpu->backend->submit(gpu->device, tape, readback, slot, serial, error));
    if (status != SX_OK) return status;

    gpu->last_serial = serial;
    tape->last_use = serial;
    for (uint32_t i = 0; i < tape->buffer_count; i++) {
        tape->buffers[i]->last_use = serial;
    }
    gpu->spent[serial % GPU_SPENT_TICKETS] = 0;
    gpu->has_readback[serial % GPU_SPENT_TICKETS] = readback != NULL;
    gpu->counters.submits++;
    if (readback) {
        readback->buffer->last_use = serial;
        gpu->slots[slot].ticket = serial;
        gpu->slots[slot].size = readback->size;
        gpu->counters.readbacks++;
        gpu->counters.readback_bytes += readback->size;
    }
    *ticket = serial;
    return SX_OK;
}

// Finds the ticket's slot (SX_GPU_TICKETS_IN_FLIGHT when it has no readback), or says why it cannot be polled.
static sx_status find_ticket(const sx_gpu *gpu, sx_gpu_ticket ticket, uint32_t *slot, sx_error *error)
{
    if (ticket == 0 || ticket > gpu->last_serial) {
        return sx_fail(error, SX_ERROR_ARGUMENT, "ticket %llu was never given out (unknown ticket)",
                       (unsigned long long)ticket);
    }
    for (*slot = 0; *slot < SX_GPU_TICKETS_IN_FLIGHT; (*slot)++) {
        if (gpu->slots[*slot].ticket == ticket) return SX_OK;
    }
    const size_t index = ticket % GPU_SPENT_TICKETS;
    if (gpu->last_serial - ticket >= GPU_SPENT_TICKETS || gpu->spent[index] || gpu->has_readback[index]) {
        return sx_fail(error, SX_ERROR_ARGUMENT, "ticket %llu was polled to its end already (spent ticket)",
                       (unsigned long long)ticket);
    }
    return SX_OK;
}

sx_status sx_gpu_poll(sx_gpu *gpu, sx_gpu_ticket ticket, void *destination, uint64_t size, sx_error *error)
{
    assert(gpu && (destination || size == 0));
    sx_status status = gpu_check_alive(gpu, error);
    if (status != SX_OK) return status;
    uint32_t slot;
    status = find_ticket(gpu, ticket, &slot, error);
    if (status != SX_OK) return status;
    const uint64_t expected = slot < SX_GPU_TICKETS_IN_FLIGHT ? gpu->slots[slot].size : 0;
    if (size != expected) {
        return sx_fail(error, SX_ERROR_ARGUMENT, "ticket %llu reads back %llu bytes, %llu asked for (readback size)",
                       (unsigned long long)ticket, (unsigned long long)expected, (unsigned long long)size);
    }
    if (ticket > gpu->finished_serial) {
        status = gpu_note(gpu, gpu->backend->finished(gpu->device, &gpu->finished_serial, error));
        if (status != SX_OK) return status;
        if (ticket > gpu->finished_serial) return SX_PENDING;
    }
    if (slot < SX_GPU_TICKETS_IN_FLIGHT) {
        status = gpu_note(gpu, gpu->backend->take_readback(gpu->device, slot, destination, size, error));
        if (status != SX_OK) return status;
        gpu->slots[slot].ticket = 0;
    }
    gpu->spent[ticket % GPU_SPENT_TICKETS] = 1;
    gpu->last_seconds = gpu->backend->seconds(gpu->device, ticket);
    return SX_OK;
}

sx_status sx_gpu_wait(sx_gpu *gpu, sx_gpu_ticket ticket, uint32_t milliseconds, sx_error *error)
{
    assert(gpu);
    sx_status status = gpu_check_alive(gpu, error);
    if (status != SX_OK) return status;
    uint32_t slot;
    status = find_ticket(gpu, ticket, &slot, error);
    if (status != SX_OK || ticket <= gpu->finished_serial) return status;
    status = gpu_note(gpu, gpu->backend->wait(gpu->device, ticket, milliseconds, error));
    if (status == SX_OK && gpu->finished_serial < ticket) gpu->finished_serial = ticket;
    return status;
}

double sx_gpu_last_seconds(const sx_gpu *gpu)
{
    return gpu->last_seconds;
}
