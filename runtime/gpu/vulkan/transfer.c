// Host writes. Where the device's memory is mapped and the buffer is idle they go straight in; else through a ring of
// staging memory and the `writes` command buffer of the next submit, which keeps them in order with the submits.
#include "gpu/vulkan/vk.h"

#include <stdlib.h>
#include <string.h>

sx_status vk_transfer_open(vk_device *device, sx_error *error)
{
    return vk_buffer_open(device, VK_MEMORY_UPLOAD, VK_STAGING_SIZE, VK_BUFFER_USAGE_TRANSFER_SRC_BIT, "staging",
                          &device->staging, error);
}

static void record_barrier(vk_device *device, VkCommandBuffer commands)
{
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT | VK_ACCESS_TRANSFER_READ_BIT};
    device->vkCmdPipelineBarrier(commands,
                                 VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT |
                                     VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT,
                                 VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
}

// Opens `writes` of the next frame if it is not, and orders the range after earlier writes of it.
static sx_status begin_write(vk_device *device, vk_buffer *buffer, uint64_t begin, uint64_t end, vk_frame **out,
                             sx_error *error)
{
    vk_frame *frame;
    const sx_status status = vk_frame_next(device, &frame, error);
    if (status != SX_OK) return status;
    if (!frame->recording) {
        const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                               .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
        const VkResult result = device->vkBeginCommandBuffer(frame->writes, &info);
        if (result != VK_SUCCESS) return vk_fail(device, result, "recording a write", error);
        frame->recording = true;
        device->pending_count = 0;
        record_barrier(device, frame->writes);
    }
    bool overlaps = device->pending_count == VK_MAX_PENDING_RANGES;
    for (uint32_t i = 0; i < device->pending_count && !overlaps; i++) {
        const vk_pending_range *range = &device->pending[i];
        overlaps = range->buffer == buffer->handle && range->begin < end && begin < range->end;
    }
    if (overlaps) {
        record_barrier(device, frame->writes);
        device->pending_count = 0;
    }
    device->pending[device->pending_count++] = (vk_pending_range){buffer->handle, begin, end};
    buffer->write_sequence = device->next_sequence;
    *out = frame;
    return SX_OK;
}

// Takes `size` contiguous bytes (at most a chunk) of the ring, waiting for earlier writes when it is full.
static sx_status take_staging(vk_device *device, uint64_t size, uint64_t *offset, sx_error *error)
{
    for (;;) {
        uint64_t head = (device->ring_head + 15) & ~(uint64_t)15;
        const uint64_t place = head % VK_STAGING_SIZE;
        if (place + size > VK_STAGING_SIZE) head += VK_STAGING_SIZE - place;
        if (head + size - device->ring_tail <= VK_STAGING_SIZE) {
            *offset = head % VK_STAGING_SIZE;
            device->ring_head = head + size;
            return SX_OK;
        }
        sx_status status = vk_flush(device, error);
        if (status == SX_OK) status = vk_frame_wait(device, device->finished_sequence + 1, UINT64_MAX, error);
        if (status != SX_OK) return status;
    }
}

sx_status vk_transfer_write(vk_device *device, vk_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                            sx_error *error)
{
    const uint8_t *bytes = data;
    while (size > 0) {
        const uint64_t chunk = size < VK_STAGING_CHUNK ? size : VK_STAGING_CHUNK;
        uint64_t place;
        sx_status status = take_staging(device, chunk, &place, error);
        vk_frame *frame;
        if (status == SX_OK) status = begin_write(device, buffer, offset, offset + chunk, &frame, error);
        if (status != SX_OK) return status;
        memcpy(device->staging.mapped + place, bytes, (size_t)chunk);
        const VkBufferCopy copy = {.srcOffset = place, .dstOffset = offset, .size = chunk};
        device->vkCmdCopyBuffer(frame->writes, device->staging.handle, buffer->handle, 1, &copy);
        bytes += chunk;
        offset += chunk;
        size -= chunk;
    }
    return SX_OK;
}

sx_status vk_transfer_zero(vk_device *device, vk_buffer *buffer, sx_error *error)
{
    if (buffer->mapped) {
        memset(buffer->mapped, 0, (size_t)buffer->size);
        return SX_OK;
    }
    vk_frame *frame;
    const sx_status status = begin_write(device, buffer, 0, buffer->size, &frame, error);
    if (status == SX_OK) device->vkCmdFillBuffer(frame->writes, buffer->handle, 0, buffer->size, 0);
    return status;
}

// Nothing submitted or staged touches the buffer any more.
static bool is_idle(vk_device *device, const sx_gpu_buffer *buffer)
{
    const vk_buffer *native = buffer->native;
    return buffer->last_use <= device->finished_serial && native->write_sequence <= device->finished_sequence;
}

sx_status vulkan_write(void *context, sx_gpu_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                       sx_error *error)
{
    vk_device *device = context;
    vk_buffer *native = buffer->native;
    if (native->mapped) {
        const sx_status status = vk_frames_update(device, error);
        if (status != SX_OK) return status;
        if (is_idle(device, buffer)) {
            memcpy(native->mapped + offset, data, (size_t)size);
            return SX_OK;
        }
    }
    return vk_transfer_write(device, native, offset, data, size, error);
}

// Finishes all that is submitted or staged.
static sx_status finish_all(vk_device *device, sx_error *error)
{
    sx_status status = vk_flush(device, error);
    if (status == SX_OK && device->next_sequence > 1) {
        status = vk_frame_wait(device, device->next_sequence - 1, UINT64_MAX, error);
    }
    return status;
}

// Copies one chunk into the read staging buffer and waits for it.
static sx_status read_chunk(vk_device *device, vk_buffer *source, uint64_t offset, uint64_t size, sx_error *error)
{
    vk_frame *frame;
    // As a write to the staging buffer it takes its place behind everything submitted.
    sx_status status = begin_write(device, &device->read_staging, 0, size, &frame, error);
    if (status != SX_OK) return status;
    const VkBufferCopy copy = {.srcOffset = offset, .dstOffset = 0, .size = size};
    device->vkCmdCopyBuffer(frame->writes, source->handle, device->read_staging.handle, 1, &copy);
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    device->vkCmdPipelineBarrier(frame->writes, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                                 &barrier, 0, NULL, 0, NULL);
    return finish_all(device, error);
}

sx_status vulkan_read(void *context, sx_gpu_buffer *buffer, uint64_t offset, void *destination, uint64_t size,
                      sx_error *error)
{
    vk_device *device = context;
    vk_buffer *native = buffer->native;
    uint8_t *bytes = destination;
    sx_status status = finish_all(device, error);
    if (status == SX_OK && !device->read_staging.handle) {
        status = vk_buffer_open(device, VK_MEMORY_READBACK, VK_STAGING_CHUNK, VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                "read staging", &device->read_staging, error);
    }
    while (status == SX_OK && size > 0) {
        const uint64_t chunk = size < VK_STAGING_CHUNK ? size : VK_STAGING_CHUNK;
        status = read_chunk(device, native, offset, chunk, error);
        if (status != SX_OK) break;
        memcpy(bytes, device->read_staging.mapped, (size_t)chunk);
        bytes += chunk;
        offset += chunk;
        size -= chunk;
    }
    return status;
}

// ---- Buffers of the front ------------------------------------------------------------------------------------------

sx_status vulkan_buffer_create(void *context, sx_gpu_buffer *buffer, sx_error *error)
{
    vk_device *device = context;
    VkBufferUsageFlags usage =
        VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT;
    if (buffer->usage & SX_GPU_INDIRECT) usage |= VK_BUFFER_USAGE_INDIRECT_BUFFER_BIT;
    vk_buffer *native = calloc(1, sizeof *native);
    if (!native) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory creating buffer \"%s\"", buffer->label);
    sx_status status = vk_buffer_open(device, VK_MEMORY_DEVICE, buffer->size, usage, buffer->label, native, error);
    if (status == SX_OK) {
        status = vk_transfer_zero(device, native, error);
        if (status != SX_OK) vk_buffer_close(device, native);
    }
    if (status != SX_OK) {
        free(native);
        return status;
    }
    buffer->native = native;
    return SX_OK;
}

void vulkan_buffer_destroy(void *context, sx_gpu_buffer *buffer)
{
    vk_device *device = context;
    vk_buffer *native = buffer->native;
    // A staged write or an unfinished submit still names the buffer. After a loss no more is submitted.
    if (!is_idle(device, buffer)) {
        if (buffer->gpu->lost) {
            device->vkDeviceWaitIdle(device->handle);
        } else {
            (void)finish_all(device, NULL);
        }
    }
    vk_buffer_close(device, native);
    free(native);
}
