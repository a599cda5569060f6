// Choosing, opening and closing a device.
#include "gpu/vulkan/vk.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

sx_status vk_fail(const vk_device *device, VkResult result, const char *what, sx_error *error)
{
    const char *name = device->physical.info.name;
    switch (result) {
    case VK_ERROR_DEVICE_LOST:
        return sx_fail(
            error, SX_ERROR_DEVICE_LOST,
            "the GPU \"%s\" was lost while %s (reset, driver crash or unplugged); reopen the device to go on", name,
            what);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return sx_fail(error, SX_ERROR_GPU_MEMORY,
                       "the GPU \"%s\" ran out of memory while %s; close other programs, or use a smaller context or "
                       "model",
                       name, what);
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return sx_fail(error, SX_ERROR_MEMORY, "the driver of \"%s\" ran out of host memory while %s", name, what);
    default:
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "the driver of \"%s\" failed with error %d while %s; update it",
                       name, result, what);
    }
}

sx_status vulkan_list(sx_gpu_info *infos, uint32_t capacity, uint32_t *count, sx_error *error)
{
    const sx_gpu_desc desc = {0};
    vk_instance instance;
    vk_physical *devices = calloc(VK_MAX_DEVICES, sizeof *devices);
    if (!devices) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory listing devices");
    sx_status status = vk_instance_open(&instance, &desc, error);
    if (status == SX_OK) status = vk_physical_list(&instance, devices, count, error);
    for (uint32_t i = 0; status == SX_OK && i < *count && i < capacity; i++) {
        infos[i] = devices[i].info;
    }
    vk_instance_close(&instance);
    free(devices);
    return status;
}

// ---- Choosing ------------------------------------------------------------------------------------------------------

static bool contains_ignoring_case(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i])) {
            i++;
        }
        if (!part[i]) return true;
    }
    return false;
}

static sx_status choose(const vk_physical *devices, uint32_t count, const char *wanted, uint32_t *chosen,
                        sx_error *error)
{
    *chosen = 0;
    if (!wanted || !wanted[0]) return SX_OK;
    const bool is_number = strspn(wanted, "0123456789") == strlen(wanted);
    const unsigned long number = is_number ? strtoul(wanted, NULL, 10) : 0;
    for (uint32_t i = 0; i < count; i++) {
        if (is_number ? number == i : contains_ignoring_case(devices[i].info.name, wanted)) {
            *chosen = i;
            return SX_OK;
        }
    }
    char known[360] = "";
    for (uint32_t i = 0; i < count; i++) {
        const size_t length = strlen(known);
        snprintf(known + length, sizeof known - length, "%s%u: %s", i ? ", " : "", i, devices[i].info.name);
    }
    return sx_fail(error, SX_ERROR_NO_DEVICE, "no device \"%.60s\"; there are %s", wanted, known);
}

// ---- Opening -------------------------------------------------------------------------------------------------------

static sx_status create_device(vk_device *device, sx_error *error)
{
    const vk_physical *physical = &device->physical;
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = physical->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const char *extensions[8];
    uint32_t count = 0;
    const bool vulkan12 = physical->api_version >= VK_API_VERSION_1_2;
    const bool vulkan13 = physical->api_version >= VK_API_VERSION_1_3;
    if (physical->has_memory_budget) extensions[count++] = "VK_EXT_memory_budget";
    if (physical->has_portability_subset) extensions[count++] = "VK_KHR_portability_subset";
    if (physical->has_float16 && !vulkan12) extensions[count++] = "VK_KHR_shader_float16_int8";
    if (physical->has_int_dot && !vulkan13) extensions[count++] = "VK_KHR_shader_integer_dot_product";
    if (physical->has_maintenance4 && !vulkan13) extensions[count++] = "VK_KHR_maintenance4";
    if (physical->has_cooperative_matrix) extensions[count++] = "VK_KHR_cooperative_matrix";
    vk_feature_chain chain;
    vk_feature_chain_query(&device->instance, physical, &chain);
    const VkDeviceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                     .pNext = &chain.features,
                                     .queueCreateInfoCount = 1,
                                     .pQueueCreateInfos = &queue,
                                     .enabledExtensionCount = count,
                                     .ppEnabledExtensionNames = extensions};
    const VkResult result = device->instance.vkCreateDevice(physical->handle, &info, NULL, &device->handle);
    if (result != VK_SUCCESS) {
        device->handle = VK_NULL_HANDLE;
        return vk_fail(device, result, "opening it", error);
    }
#define LOAD(name) device->name = (PFN_##name)device->instance.vkGetDeviceProcAddr(device->handle, #name);
    VK_DEVICE_FUNCTIONS(LOAD)
#undef LOAD
    device->vkGetDeviceQueue(device->handle, physical->queue_family, 0, &device->queue);
    return SX_OK;
}

static sx_status open_device(vk_device *device, const sx_gpu_desc *desc, sx_error *error)
{
    sx_status status = vk_instance_open(&device->instance, desc, error);
    if (status != SX_OK) return status;
    vk_physical *devices = calloc(VK_MAX_DEVICES, sizeof *devices);
    if (!devices) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory opening the GPU");
    uint32_t count, chosen;
    status = vk_physical_list(&device->instance, devices, &count, error);
    if (status == SX_OK) status = choose(devices, count, desc->device, &chosen, error);
    if (status == SX_OK) device->physical = devices[chosen];
    free(devices);
    if (status != SX_OK) return status;
    device->physical.info.validation = device->instance.validation;
    status = create_device(device, error);
    if (status == SX_OK) status = vk_frames_open(device, error);
    if (status == SX_OK) status = vk_transfer_open(device, error);
    if (status == SX_OK) status = vk_pipelines_open(device, error);
    if (status == SX_OK) status = vk_cache_open(device, desc->cache_dir, error);
    return status;
}

sx_status vulkan_open(const sx_gpu_desc *desc, sx_gpu_info *info, void **out, sx_error *error)
{
    vk_device *device = calloc(1, sizeof *device);
    if (!device) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory opening the GPU");
    const sx_status status = open_device(device, desc, error);
    if (status != SX_OK) {
        vulkan_close(device);
        return status;
    }
    *info = device->physical.info;
    *out = device;
    return SX_OK;
}

void vulkan_close(void *context)
{
    vk_device *device = context;
    if (device->handle) {
        device->vkDeviceWaitIdle(device->handle);
        if (device->cache) vk_cache_save(device);
        vk_pipelines_close(device);
        for (uint32_t i = 0; i < SX_GPU_TICKETS_IN_FLIGHT; i++) {
            vk_buffer_close(device, &device->readbacks[i]);
        }
        vk_buffer_close(device, &device->read_staging);
        vk_buffer_close(device, &device->staging);
        vk_frames_close(device);
        vk_memory_close(device);
        device->vkDestroyDevice(device->handle, NULL);
    }
    vk_instance_close(&device->instance);
    free(device);
}

uint64_t vulkan_memory_budget(void *context)
{
    vk_device *device = context;
    vk_physical_read_memory(&device->instance, &device->physical);
    return device->physical.info.memory_budget;
}

uint32_t vulkan_validation_messages(void *context)
{
    return ((const vk_device *)context)->instance.messages;
}

const gpu_backend gpu_backend_vulkan = GPU_BACKEND(SX_GPU_BACKEND_VULKAN, vulkan);
