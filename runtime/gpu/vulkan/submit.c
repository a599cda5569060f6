// Submitting tapes and bringing their readbacks home.
#include "gpu/vulkan/vk.h"

#include <string.h>

enum { SMALLEST_READBACK = 4096 }; // bytes of a readback's staging buffer

// The clock stops, then the readback's bytes go to the slot's host memory.
static VkResult record_epilogue(vk_device *device, VkCommandBuffer commands, uint32_t frame_index,
                                const sx_gpu_readback *readback, uint32_t slot)
{
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                            .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    const VkResult result = device->vkBeginCommandBuffer(commands, &begin);
    if (result != VK_SUCCESS) return result;
    if (device->queries) {
        device->vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, device->queries,
                                    2 * frame_index + 1);
    }
    if (readback) {
        const vk_buffer *source = readback->buffer->native;
        const VkBufferCopy copy = {readback->offset, 0, readback->size};
        const VkMemoryBarrier before = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                        .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                        .dstAccessMask = VK_ACCESS_TRANSFER_READ_BIT};
        const VkMemoryBarrier after = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                       .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                       .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
        device->vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
                                     VK_PIPELINE_STAGE_TRANSFER_BIT, 0, 1, &before, 0, NULL, 0, NULL);
        device->vkCmdCopyBuffer(commands, source->handle, device->readbacks[slot].handle, 1, &copy);
        device->vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &after,
                                     0, NULL, 0, NULL);
    }
    return device->vkEndCommandBuffer(commands);
}

// Makes the slot's host memory at least `size` bytes. The slot is free, so nothing uses the old one.
static sx_status grow_readback(vk_device *device, uint32_t slot, uint64_t size, sx_error *error)
{
    vk_buffer *buffer = &device->readbacks[slot];
    if (buffer->size >= size) return SX_OK;
    vk_buffer_close(device, buffer);
    uint64_t grown = SMALLEST_READBACK;
    while (grown < size) {
        grown *= 2;
    }
    return vk_buffer_open(device, VK_MEMORY_READBACK, grown, VK_BUFFER_USAGE_TRANSFER_DST_BIT, "readback", buffer,
                          error);
}

sx_status vulkan_submit(void *context, sx_gpu_tape *tape, const sx_gpu_readback *readback, uint32_t slot,
                        uint64_t serial, sx_error *error)
{
    vk_device *device = context;
    vk_frame *frame;
    sx_status status = vk_frame_next(device, &frame, error);
    if (status == SX_OK && readback) status = grow_readback(device, slot, readback->size, error);
    if (status != SX_OK) return status;
    const bool epilogue = readback || device->queries;
    if (epilogue) {
        const VkResult result =
            record_epilogue(device, frame->epilogue, (uint32_t)(frame - device->frames), readback, slot);
        if (result != VK_SUCCESS) return vk_fail(device, result, "recording a readback", error);
    }
    return vk_frame_submit(device, vk_tape_commands(tape), serial, epilogue, error);
}

sx_status vulkan_finished(void *context, uint64_t *serial, sx_error *error)
{
    vk_device *device = context;
    const sx_status status = vk_frames_update(device, error);
    *serial = device->finished_serial;
    return status;
}

sx_status vulkan_take_readback(void *context, uint32_t slot, void *destination, uint64_t size, sx_error *error)
{
    (void)error;
    vk_device *device = context;
    memcpy(destination, device->readbacks[slot].mapped, (size_t)size);
    return SX_OK;
}

sx_status vulkan_wait(void *context, uint64_t serial, uint32_t milliseconds, sx_error *error)
{
    vk_device *device = context;
    const uint64_t nanoseconds = milliseconds == UINT32_MAX ? UINT64_MAX : (uint64_t)milliseconds * 1000000;
    for (uint32_t i = 0; i < VK_FRAMES; i++) {
        const vk_frame *frame = &device->frames[i];
        if (frame->busy && frame->serial == serial) return vk_frame_wait(device, frame->sequence, nanoseconds, error);
    }
    return SX_OK; // finished long ago
}

double vulkan_seconds(void *context, uint64_t serial)
{
    const vk_device *device = context;
    for (uint32_t i = 0; i < VK_FRAMES; i++) {
        if (device->frames[i].serial == serial && !device->frames[i].busy) return device->frames[i].seconds;
    }
    return -1;
}
