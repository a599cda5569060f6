// Frames: the submits in flight, what is recorded around a tape, and when they are finished.
#include "gpu/vulkan/vk.h"

#include <assert.h>

// What a later command of any kind may depend on, and be.
static const VkPipelineStageFlags all_stages =
    VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT | VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT;

static void record_barrier(vk_device *device, VkCommandBuffer commands)
{
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                                                      VK_ACCESS_UNIFORM_READ_BIT | VK_ACCESS_TRANSFER_READ_BIT |
                                                      VK_ACCESS_TRANSFER_WRITE_BIT |
                                                      VK_ACCESS_INDIRECT_COMMAND_READ_BIT};
    device->vkCmdPipelineBarrier(commands, all_stages, all_stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

// The prologue is the same for every submit of its frame: what came before is visible, and the clock starts.
static VkResult record_prologue(vk_device *device, uint32_t index)
{
    const VkCommandBuffer commands = device->frames[index].prologue;
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    const VkResult result = device->vkBeginCommandBuffer(commands, &begin);
    if (result != VK_SUCCESS) return result;
    record_barrier(device, commands);
    if (device->queries) {
        device->vkCmdResetQueryPool(commands, device->queries, 2 * index, 2);
        device->vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, device->queries, 2 * index);
    }
    return device->vkEndCommandBuffer(commands);
}

static sx_status open_frame(vk_device *device, uint32_t index, sx_error *error)
{
    vk_frame *frame = &device->frames[index];
    frame->seconds = -1;
    VkCommandBuffer commands[3];
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = device->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 3};
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    VkResult result = device->vkAllocateCommandBuffers(device->handle, &info, commands);
    if (result == VK_SUCCESS) {
        frame->writes = commands[0];
        frame->prologue = commands[1];
        frame->epilogue = commands[2];
        result = device->vkCreateFence(device->handle, &fence, NULL, &frame->fence);
    }
    if (result == VK_SUCCESS) result = record_prologue(device, index);
    return result == VK_SUCCESS ? SX_OK : vk_fail(device, result, "preparing submits", error);
}

sx_status vk_frames_open(vk_device *device, sx_error *error)
{
    device->next_sequence = 1;
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT,
                                          .queueFamilyIndex = device->physical.queue_family};
    const VkQueryPoolCreateInfo queries = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                           .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                           .queryCount = 2 * VK_FRAMES};
    VkResult result = device->vkCreateCommandPool(device->handle, &pool, NULL, &device->pool);
    if (result == VK_SUCCESS && device->physical.timestamp_bits) {
        result = device->vkCreateQueryPool(device->handle, &queries, NULL, &device->queries);
    }
    if (result != VK_SUCCESS) return vk_fail(device, result, "preparing submits", error);
    for (uint32_t i = 0; i < VK_FRAMES; i++) {
        const sx_status status = open_frame(device, i, error);
        if (status != SX_OK) return status;
    }
    return SX_OK;
}

void vk_frames_close(vk_device *device)
{
    for (uint32_t i = 0; i < VK_FRAMES; i++) {
        if (device->frames[i].fence) device->vkDestroyFence(device->handle, device->frames[i].fence, NULL);
    }
    if (device->queries) device->vkDestroyQueryPool(device->handle, device->queries, NULL);
    if (device->pool) device->vkDestroyCommandPool(device->handle, device->pool, NULL);
}

// ---- Finishing -----------------------------------------------------------------------------------------------------

static vk_frame *frame_of(vk_device *device, uint64_t sequence)
{
    return &device->frames[sequence % VK_FRAMES];
}

static double read_clock(vk_device *device, const vk_frame *frame)
{
    if (!device->queries || frame->serial == 0) return -1;
    uint64_t ticks[2];
    const uint32_t first = 2 * (uint32_t)(frame->sequence % VK_FRAMES);
    const VkResult result = device->vkGetQueryPoolResults(device->handle, device->queries, first, 2, sizeof ticks,
                                                          ticks, sizeof ticks[0], VK_QUERY_RESULT_64_BIT);
    if (result != VK_SUCCESS) return -1;
    const uint64_t mask =
        device->physical.timestamp_bits >= 64 ? UINT64_MAX : (UINT64_C(1) << device->physical.timestamp_bits) - 1;
    return (double)((ticks[1] - ticks[0]) & mask) * (double)device->physical.timestamp_period * 1e-9;
}

static void retire(vk_device *device, vk_frame *frame)
{
    frame->busy = false;
    frame->seconds = read_clock(device, frame);
    device->finished_sequence = frame->sequence;
    if (frame->serial) device->finished_serial = frame->serial;
    device->ring_tail = frame->ring_end;
}

sx_status vk_frames_update(vk_device *device, sx_error *error)
{
    while (device->finished_sequence + 1 < device->next_sequence) {
        vk_frame *frame = frame_of(device, device->finished_sequence + 1);
        const VkResult result = device->vkGetFenceStatus(device->handle, frame->fence);
        if (result == VK_NOT_READY) return SX_OK;
        if (result != VK_SUCCESS) return vk_fail(device, result, "asking for a submit", error);
        retire(device, frame);
    }
    return SX_OK;
}

sx_status vk_frame_wait(vk_device *device, uint64_t sequence, uint64_t nanoseconds, sx_error *error)
{
    if (sequence > device->finished_sequence) {
        vk_frame *frame = frame_of(device, sequence);
        assert(frame->busy && frame->sequence == sequence);
        const VkResult result = device->vkWaitForFences(device->handle, 1, &frame->fence, VK_TRUE, nanoseconds);
        if (result == VK_TIMEOUT) return SX_PENDING;
        if (result != VK_SUCCESS) return vk_fail(device, result, "waiting for a submit", error);
    }
    return vk_frames_update(device, error);
}

sx_status vk_frame_next(vk_device *device, vk_frame **out, sx_error *error)
{
    vk_frame *frame = frame_of(device, device->next_sequence);
    if (frame->busy) {
        const sx_status status = vk_frame_wait(device, frame->sequence, UINT64_MAX, error);
        if (status != SX_OK) return status;
    }
    *out = frame;
    return SX_OK;
}

// ---- Submitting ----------------------------------------------------------------------------------------------------

sx_status vk_frame_submit(vk_device *device, VkCommandBuffer tape, uint64_t serial, bool epilogue, sx_error *error)
{
    vk_frame *frame;
    const sx_status status = vk_frame_next(device, &frame, error);
    if (status != SX_OK) return status;
    VkCommandBuffer commands[4];
    uint32_t count = 0;
    VkResult result = VK_SUCCESS;
    if (frame->recording) {
        result = device->vkEndCommandBuffer(frame->writes);
        frame->recording = false;
        device->pending_count = 0;
        commands[count++] = frame->writes;
    }
    if (tape) {
        commands[count++] = frame->prologue;
        commands[count++] = tape;
    }
    if (epilogue) commands[count++] = frame->epilogue;
    const VkSubmitInfo submit = {
        .sType = VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = count, .pCommandBuffers = commands};
    if (result == VK_SUCCESS) result = device->vkResetFences(device->handle, 1, &frame->fence);
    if (result == VK_SUCCESS) result = device->vkQueueSubmit(device->queue, 1, &submit, frame->fence);
    if (result != VK_SUCCESS) return vk_fail(device, result, "submitting", error);
    frame->busy = true;
    frame->sequence = device->next_sequence++;
    frame->serial = serial;
    frame->ring_end = device->ring_head;
    return SX_OK;
}

sx_status vk_flush(vk_device *device, sx_error *error)
{
    if (!frame_of(device, device->next_sequence)->recording) return SX_OK;
    return vk_frame_submit(device, VK_NULL_HANDLE, 0, false, error);
}
