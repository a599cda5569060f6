// Pipelines: one layout for each number of storage buffers, one pipeline a kernel, made when first wanted.
#include "gpu/vulkan/vk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static sx_status open_layout(vk_device *device, uint32_t storage_count, sx_error *error)
{
    VkDescriptorSetLayoutBinding bindings[SX_GPU_MAX_BINDINGS + 1];
    for (uint32_t i = 0; i <= storage_count; i++) {
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = i == 0 ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    }
    const VkDescriptorSetLayoutCreateInfo set = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                                 .bindingCount = storage_count + 1,
                                                 .pBindings = bindings};
    VkResult result =
        device->vkCreateDescriptorSetLayout(device->handle, &set, NULL, &device->set_layouts[storage_count]);
    if (result == VK_SUCCESS) {
        const VkPipelineLayoutCreateInfo layout = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                                   .setLayoutCount = 1,
                                                   .pSetLayouts = &device->set_layouts[storage_count]};
        result =
            device->vkCreatePipelineLayout(device->handle, &layout, NULL, &device->pipeline_layouts[storage_count]);
    }
    return result == VK_SUCCESS ? SX_OK : vk_fail(device, result, "creating pipeline layouts", error);
}

sx_status vk_pipelines_open(vk_device *device, sx_error *error)
{
    device->pipelines = calloc(gpu_kernel_count ? gpu_kernel_count : 1, sizeof *device->pipelines);
    if (!device->pipelines) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory opening the GPU");
    for (uint32_t i = 0; i <= SX_GPU_MAX_BINDINGS; i++) {
        const sx_status status = open_layout(device, i, error);
        if (status != SX_OK) return status;
    }
    return SX_OK;
}

void vk_pipelines_close(vk_device *device)
{
    for (uint32_t i = 0; device->pipelines && i < gpu_kernel_count; i++) {
        if (device->pipelines[i]) device->vkDestroyPipeline(device->handle, device->pipelines[i], NULL);
    }
    for (uint32_t i = 0; i <= SX_GPU_MAX_BINDINGS; i++) {
        if (device->pipeline_layouts[i]) {
            device->vkDestroyPipelineLayout(device->handle, device->pipeline_layouts[i], NULL);
        }
        if (device->set_layouts[i]) device->vkDestroyDescriptorSetLayout(device->handle, device->set_layouts[i], NULL);
    }
    if (device->cache) device->vkDestroyPipelineCache(device->handle, device->cache, NULL);
    free(device->pipelines);
    free(device->warm_kernels);
    free(device->cache_path);
}

sx_status vk_pipeline_get(vk_device *device, sx_kernel kernel, VkPipeline *pipeline, sx_error *error)
{
    if (!device->pipelines[kernel]) {
        const gpu_kernel_entry *entry = &gpu_kernel_table[kernel];
        const VkShaderModuleCreateInfo code = {
            .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = entry->words_size, .pCode = entry->words};
        char what[128];
        snprintf(what, sizeof what, "building kernel %s", entry->name);
        VkShaderModule module;
        VkResult result = device->vkCreateShaderModule(device->handle, &code, NULL, &module);
        if (result != VK_SUCCESS) return vk_fail(device, result, what, error);
        const VkComputePipelineCreateInfo info = {
            .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
            .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                      .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                      .module = module,
                      .pName = "main"},
            .layout = device->pipeline_layouts[entry->binding_count]};
        result =
            device->vkCreateComputePipelines(device->handle, device->cache, 1, &info, NULL, &device->pipelines[kernel]);
        device->vkDestroyShaderModule(device->handle, module, NULL);
        if (result != VK_SUCCESS) {
            device->pipelines[kernel] = VK_NULL_HANDLE;
            return vk_fail(device, result, what, error);
        }
        device->cache_grown = true;
    }
    *pipeline = device->pipelines[kernel];
    return SX_OK;
}

// ---- Warming -------------------------------------------------------------------------------------------------------

sx_status vulkan_warm(void *context, const sx_kernel *kernels, uint32_t count, sx_error *error)
{
    vk_device *device = context;
    free(device->warm_kernels);
    device->warm_count = device->warm_done = 0;
    device->warm_kernels = calloc(count ? count : 1, sizeof *kernels);
    if (!device->warm_kernels) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory warming kernels");
    if (count) memcpy(device->warm_kernels, kernels, count * sizeof *kernels);
    device->warm_count = count;
    return SX_OK;
}

sx_status vulkan_warm_poll(void *context, uint32_t *done, sx_error *error)
{
    enum { POLL_NANOSECONDS = 30 * 1000 * 1000 }; // long enough to get on, short enough for a progress bar
    vk_device *device = context;
    struct timespec start, now;
    clock_gettime(CLOCK_MONOTONIC, &start);
    while (device->warm_done < device->warm_count) {
        VkPipeline pipeline;
        const sx_status status = vk_pipeline_get(device, device->warm_kernels[device->warm_done], &pipeline, error);
        if (status != SX_OK) return status;
        *done = ++device->warm_done;
        clock_gettime(CLOCK_MONOTONIC, &now);
        if ((now.tv_sec - start.tv_sec) * 1000000000 + (now.tv_nsec - start.tv_nsec) > POLL_NANOSECONDS) break;
    }
    *done = device->warm_done;
    return device->warm_done == device->warm_count ? SX_OK : SX_PENDING;
}
