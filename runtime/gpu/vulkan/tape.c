// Turning a checked tape into a command buffer that is recorded once and submitted any number of times, also while an
// earlier submit of it still runs.
#include "gpu/vulkan/vk.h"

#include <stdlib.h>
#include <string.h>

typedef struct vk_tape {
    VkDescriptorPool pool; // VK_NULL_HANDLE without dispatches
    VkDescriptorSet *sets; // one a dispatch
    vk_buffer parameters;  // one 256-byte slot a dispatch
    VkCommandBuffer commands;
} vk_tape;

static void close_tape(vk_device *device, vk_tape *native)
{
    if (native->pool) device->vkDestroyDescriptorPool(device->handle, native->pool, NULL);
    if (native->commands) device->vkFreeCommandBuffers(device->handle, device->pool, 1, &native->commands);
    vk_buffer_close(device, &native->parameters);
    free(native->sets);
    free(native);
}

static VkResult allocate_sets(vk_device *device, const sx_gpu_tape *tape, vk_tape *native, uint32_t dispatch_count)
{
    VkDescriptorPoolSize sizes[2] = {{VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC, dispatch_count},
                                     {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, tape->binding_count}};
    const VkDescriptorPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = dispatch_count,
                                             .poolSizeCount = tape->binding_count ? 2 : 1,
                                             .pPoolSizes = sizes};
    VkDescriptorSetLayout *layouts = malloc(dispatch_count * sizeof *layouts);
    native->sets = calloc(dispatch_count, sizeof *native->sets);
    VkResult result = layouts && native->sets ? VK_SUCCESS : VK_ERROR_OUT_OF_HOST_MEMORY;
    if (result == VK_SUCCESS) result = device->vkCreateDescriptorPool(device->handle, &pool, NULL, &native->pool);
    if (result == VK_SUCCESS) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < tape->command_count; i++) {
            if (tape->commands[i].kind == GPU_COPY) continue;
            layouts[count++] = device->set_layouts[gpu_kernel_table[tape->commands[i].kernel].binding_count];
        }
        const VkDescriptorSetAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                                  .descriptorPool = native->pool,
                                                  .descriptorSetCount = dispatch_count,
                                                  .pSetLayouts = layouts};
        result = device->vkAllocateDescriptorSets(device->handle, &info, native->sets);
    }
    free(layouts);
    return result;
}

static void write_set(vk_device *device, const vk_tape *native, VkDescriptorSet set, const sx_gpu_binding *bindings,
                      uint32_t binding_count)
{
    VkDescriptorBufferInfo buffers[SX_GPU_MAX_BINDINGS + 1];
    VkWriteDescriptorSet writes[SX_GPU_MAX_BINDINGS + 1];
    buffers[0] = (VkDescriptorBufferInfo){native->parameters.handle, 0, SX_GPU_MAX_PARAMETERS};
    for (uint32_t i = 0; i < binding_count; i++) {
        const vk_buffer *buffer = bindings[i].buffer->native;
        buffers[i + 1] = (VkDescriptorBufferInfo){buffer->handle, bindings[i].offset, bindings[i].size};
    }
    for (uint32_t i = 0; i <= binding_count; i++) {
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = i == 0 ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC
                                                                    : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &buffers[i]};
    }
    device->vkUpdateDescriptorSets(device->handle, binding_count + 1, writes, 0, NULL);
}

// One barrier for whatever the tape consists of; narrower stages where it has neither copies nor indirect dispatches.
static void record_barrier(vk_device *device, const sx_gpu_tape *tape, VkCommandBuffer commands)
{
    VkPipelineStageFlags stages = VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT;
    VkAccessFlags written = VK_ACCESS_SHADER_WRITE_BIT, wanted = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT;
    if (tape->stats.copies) {
        stages |= VK_PIPELINE_STAGE_TRANSFER_BIT;
        written |= VK_ACCESS_TRANSFER_WRITE_BIT;
        wanted |= VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
    }
    if (tape->stats.indirect_dispatches) {
        stages |= VK_PIPELINE_STAGE_DRAW_INDIRECT_BIT;
        wanted |= VK_ACCESS_INDIRECT_COMMAND_READ_BIT;
    }
    const VkMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER, .srcAccessMask = written, .dstAccessMask = wanted};
    device->vkCmdPipelineBarrier(commands, stages, stages, 0, 1, &barrier, 0, NULL, 0, NULL);
}

static void record_copy(vk_device *device, VkCommandBuffer commands, const gpu_command *command)
{
    const vk_buffer *source = command->source->native, *destination = command->destination->native;
    const VkBufferCopy copy = {command->source_offset, command->destination_offset, command->size};
    device->vkCmdCopyBuffer(commands, source->handle, destination->handle, 1, &copy);
}

static VkResult record(vk_device *device, const sx_gpu_tape *tape, const vk_tape *native)
{
    const VkCommandBuffer commands = native->commands;
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                            .flags = VK_COMMAND_BUFFER_USAGE_SIMULTANEOUS_USE_BIT};
    const VkResult result = device->vkBeginCommandBuffer(commands, &begin);
    if (result != VK_SUCCESS) return result;
    VkPipeline bound = VK_NULL_HANDLE;
    uint32_t dispatch = 0;
    for (uint32_t i = 0; i < tape->command_count; i++) {
        const gpu_command *command = &tape->commands[i];
        if (command->barrier) record_barrier(device, tape, commands);
        if (command->kind == GPU_COPY) {
            record_copy(device, commands, command);
            continue;
        }
        const VkPipeline pipeline = device->pipelines[command->kernel];
        if (pipeline != bound) device->vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
        bound = pipeline;
        device->vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE,
                                        device->pipeline_layouts[gpu_kernel_table[command->kernel].binding_count], 0, 1,
                                        &native->sets[dispatch++], 1, &command->parameter_offset);
        if (command->kind == GPU_DISPATCH) {
            device->vkCmdDispatch(commands, command->x, command->y, command->z);
        } else {
            const vk_buffer *arguments = command->source->native;
            device->vkCmdDispatchIndirect(commands, arguments->handle, command->source_offset);
        }
    }
    return device->vkEndCommandBuffer(commands);
}

static sx_status finish(vk_device *device, const sx_gpu_tape *tape, vk_tape *native, sx_error *error)
{
    const uint32_t dispatch_count = tape->stats.dispatches + tape->stats.indirect_dispatches;
    for (uint32_t i = 0; i < tape->command_count; i++) {
        VkPipeline pipeline;
        if (tape->commands[i].kind == GPU_COPY) continue;
        const sx_status status = vk_pipeline_get(device, tape->commands[i].kernel, &pipeline, error);
        if (status != SX_OK) return status;
    }
    VkResult result = VK_SUCCESS;
    if (dispatch_count) {
        sx_status status = vk_buffer_open(device, VK_MEMORY_DEVICE, tape->parameter_size,
                                          VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_DST_BIT,
                                          "parameters", &native->parameters, error);
        if (status == SX_OK && native->parameters.mapped) {
            memcpy(native->parameters.mapped, tape->parameters, tape->parameter_size);
        } else if (status == SX_OK) {
            status = vk_transfer_write(device, &native->parameters, 0, tape->parameters, tape->parameter_size, error);
        }
        if (status != SX_OK) return status;
        result = allocate_sets(device, tape, native, dispatch_count);
        if (result != VK_SUCCESS) return vk_fail(device, result, "binding a tape's buffers", error);
        uint32_t dispatch = 0;
        for (uint32_t i = 0; i < tape->command_count; i++) {
            const gpu_command *command = &tape->commands[i];
            if (command->kind == GPU_COPY) continue;
            write_set(device, native, native->sets[dispatch++], tape->bindings + command->first_binding,
                      gpu_kernel_table[command->kernel].binding_count);
        }
    }
    const VkCommandBufferAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = device->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    result = device->vkAllocateCommandBuffers(device->handle, &info, &native->commands);
    if (result == VK_SUCCESS) result = record(device, tape, native);
    return result == VK_SUCCESS ? SX_OK : vk_fail(device, result, "recording a tape", error);
}

sx_status vulkan_tape_finish(void *context, sx_gpu_tape *tape, sx_error *error)
{
    vk_device *device = context;
    vk_tape *native = calloc(1, sizeof *native);
    if (!native) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory finishing tape \"%s\"", tape->label);
    const sx_status status = finish(device, tape, native, error);
    if (status != SX_OK) {
        close_tape(device, native);
        return status;
    }
    tape->native = native;
    return SX_OK;
}

void vulkan_tape_destroy(void *context, sx_gpu_tape *tape)
{
    vk_device *device = context;
    vk_tape *native = tape->native;
    // Never submitted, its parameters may still wait in the staged writes. After a loss no more is submitted.
    if (tape->gpu->lost) {
        device->vkDeviceWaitIdle(device->handle);
    } else if (native->parameters.write_sequence > device->finished_sequence) {
        if (vk_flush(device, NULL) == SX_OK) {
            (void)vk_frame_wait(device, native->parameters.write_sequence, UINT64_MAX, NULL);
        }
    }
    close_tape(device, native);
}

VkCommandBuffer vk_tape_commands(const sx_gpu_tape *tape)
{
    return ((const vk_tape *)tape->native)->commands;
}
