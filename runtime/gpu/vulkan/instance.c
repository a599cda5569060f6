// The Vulkan loader, the instance with its validation layer, and the physical devices, best first.
#include "base/hash.h"
#include "base/platform.h"
#include "gpu/vulkan/vk.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VALIDATION_LAYER "VK_LAYER_KHRONOS_validation"

void vk_log(const vk_instance *instance, const char *format, ...)
{
    if (!instance->log) return;
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    instance->log(instance->log_user, line);
}

// ---- Instance ------------------------------------------------------------------------------------------------------

static VKAPI_ATTR VkBool32 VKAPI_CALL count_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                    VkDebugUtilsMessageTypeFlagsEXT types,
                                                    const VkDebugUtilsMessengerCallbackDataEXT *data, void *user)
{
    vk_instance *instance = user;
    // General messages are the loader's and the drivers' own; they say nothing about how Vulkan is used here.
    if (types & VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT) {
        instance->messages++;
        vk_log(instance, "validation %s: %s",
               severity >= VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT ? "error" : "warning", data->pMessage);
    }
    return VK_FALSE;
}

static PFN_vkVoidFunction global_function(const vk_instance *instance, const char *name)
{
    return instance->vkGetInstanceProcAddr(VK_NULL_HANDLE, name);
}

#ifndef SX_GPU_KEEP_LIBRARIES
static bool has_validation_layer(const vk_instance *instance)
{
    PFN_vkEnumerateInstanceLayerProperties enumerate =
        (PFN_vkEnumerateInstanceLayerProperties)global_function(instance, "vkEnumerateInstanceLayerProperties");
    uint32_t count = 0;
    if (!enumerate || enumerate(&count, NULL) != VK_SUCCESS || count == 0) return false;
    VkLayerProperties *layers = calloc(count, sizeof *layers);
    bool found = false;
    if (layers && enumerate(&count, layers) >= VK_SUCCESS) {
        for (uint32_t i = 0; i < count; i++) {
            found = found || strcmp(layers[i].layerName, VALIDATION_LAYER) == 0;
        }
    }
    free(layers);
    return found;
}
#endif

static sx_status load_library(vk_instance *instance, sx_error *error)
{
    static const char *const names[] = {"libvulkan.so.1", "vulkan-1.dll", "libvulkan.1.dylib"}; // by system
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++) {
        library = sx_platform_library(names[i]);
    }
    if (library && sx_platform_function(library, "vkGetInstanceProcAddr", &instance->vkGetInstanceProcAddr)) {
        return SX_OK;
    }
    return sx_fail(
        error, SX_ERROR_NO_DEVICE,
        "no Vulkan loader (libvulkan.so.1, vulkan-1.dll) on this machine; install the package libvulkan1 and the "
        "driver of your GPU, or mesa-vulkan-drivers to run on the CPU");
}

static sx_status create_instance(vk_instance *instance, bool validation, VkResult *result)
{
    PFN_vkCreateInstance create = (PFN_vkCreateInstance)global_function(instance, "vkCreateInstance");
    PFN_vkEnumerateInstanceVersion enumerate_version =
        (PFN_vkEnumerateInstanceVersion)global_function(instance, "vkEnumerateInstanceVersion");
    uint32_t version = VK_API_VERSION_1_0;
    if (enumerate_version) enumerate_version(&version);
    if (!create || version < VK_API_VERSION_1_1) return SX_ERROR_NO_DEVICE;

    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "specexit",
                                           .pEngineName = "specexit",
                                           .apiVersion = VK_API_VERSION_1_3};
    const VkValidationFeatureEnableEXT enables[] = {VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT};
    const VkValidationFeaturesEXT features = {.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                              .enabledValidationFeatureCount = 1,
                                              .pEnabledValidationFeatures = enables};
    const char *const layers[] = {VALIDATION_LAYER};
    const char *const extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME};
    VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    if (validation) {
        info.pNext = &features;
        info.enabledLayerCount = 1;
        info.ppEnabledLayerNames = layers;
        info.enabledExtensionCount = 1;
        info.ppEnabledExtensionNames = extensions;
    }
    *result = create(&info, NULL, &instance->handle);
    instance->validation = validation && *result == VK_SUCCESS;
    return *result == VK_SUCCESS ? SX_OK : SX_ERROR_NO_DEVICE;
}

sx_status vk_instance_open(vk_instance *instance, const sx_gpu_desc *desc, sx_error *error)
{
    memset(instance, 0, sizeof *instance);
    instance->log = desc->log;
    instance->log_user = desc->log_user;
    const sx_status status = load_library(instance, error);
    if (status != SX_OK) return status;
#ifdef SX_GPU_KEEP_LIBRARIES
    // The layer allocates without frame pointers, so the sanitizers take its own leaks for ours: the plain build has
    // it.
    vk_keep_libraries();
    const bool validation = false;
#else
    const bool validation = desc->validation && has_validation_layer(instance);
    if (desc->validation && !validation) {
        vk_log(instance, "no Vulkan validation layer; install vulkan-validationlayers to have Vulkan's use checked");
    }
#endif
    VkResult result = VK_ERROR_INCOMPATIBLE_DRIVER;
    if (create_instance(instance, validation, &result) != SX_OK) {
        instance->handle = VK_NULL_HANDLE;
        return sx_fail(
            error, SX_ERROR_NO_DEVICE,
            "Vulkan 1.1 is not available (error %d); install the driver of your GPU, or mesa-vulkan-drivers to "
            "run on the CPU",
            result);
    }
#define LOAD(name) instance->name = (PFN_##name)instance->vkGetInstanceProcAddr(instance->handle, #name);
    VK_INSTANCE_FUNCTIONS(LOAD)
#undef LOAD
    PFN_vkCreateDebugUtilsMessengerEXT create_messenger =
        (PFN_vkCreateDebugUtilsMessengerEXT)instance->vkGetInstanceProcAddr(instance->handle,
                                                                            "vkCreateDebugUtilsMessengerEXT");
    if (validation && create_messenger) {
        const VkDebugUtilsMessengerCreateInfoEXT info = {
            .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
            .messageSeverity =
                VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
            .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT,
            .pfnUserCallback = count_message,
            .pUserData = instance};
        create_messenger(instance->handle, &info, NULL, &instance->messenger);
    }
    return SX_OK;
}

void vk_instance_close(vk_instance *instance)
{
    if (instance->messenger) {
        PFN_vkDestroyDebugUtilsMessengerEXT destroy_messenger =
            (PFN_vkDestroyDebugUtilsMessengerEXT)instance->vkGetInstanceProcAddr(instance->handle,
                                                                                 "vkDestroyDebugUtilsMessengerEXT");
        destroy_messenger(instance->handle, instance->messenger, NULL);
    }
    if (instance->handle) instance->vkDestroyInstance(instance->handle, NULL);
    memset(instance, 0, sizeof *instance);
}

// ---- Physical devices ----------------------------------------------------------------------------------------------

static void read_extensions(const vk_instance *instance, vk_physical *physical)
{
    uint32_t count = 0;
    instance->vkEnumerateDeviceExtensionProperties(physical->handle, NULL, &count, NULL);
    VkExtensionProperties *extensions = calloc(count ? count : 1, sizeof *extensions);
    if (!extensions) return;
    instance->vkEnumerateDeviceExtensionProperties(physical->handle, NULL, &count, extensions);
    const bool vulkan12 = physical->api_version >= VK_API_VERSION_1_2;
    const bool vulkan13 = physical->api_version >= VK_API_VERSION_1_3;
    physical->has_float16 = vulkan12;
    physical->has_int_dot = physical->has_maintenance4 = vulkan13;
    for (uint32_t i = 0; i < count; i++) {
        const char *name = extensions[i].extensionName;
        if (strcmp(name, "VK_EXT_memory_budget") == 0) physical->has_memory_budget = true;
        if (strcmp(name, "VK_KHR_portability_subset") == 0) physical->has_portability_subset = true;
        if (strcmp(name, "VK_KHR_shader_float16_int8") == 0) physical->has_float16 = true;
        if (strcmp(name, "VK_KHR_shader_integer_dot_product") == 0) physical->has_int_dot = true;
        if (strcmp(name, "VK_KHR_maintenance4") == 0) physical->has_maintenance4 = true;
        if (strcmp(name, "VK_KHR_cooperative_matrix") == 0) physical->has_cooperative_matrix = vulkan12;
    }
    free(extensions);
}

void vk_feature_chain_query(const vk_instance *instance, const vk_physical *physical, vk_feature_chain *chain)
{
    memset(chain, 0, sizeof *chain);
    chain->features.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2;
    void **tail = &chain->features.pNext;
#define LINK(member, type, condition)                                                                                  \
    chain->member.sType = type;                                                                                        \
    if (condition) {                                                                                                   \
        *tail = &chain->member;                                                                                        \
        tail = &chain->member.pNext;                                                                                   \
    }
    LINK(storage16, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES, true)
    LINK(float16, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES, physical->has_float16)
    LINK(int_dot, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES, physical->has_int_dot)
    LINK(memory_model, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
         physical->api_version >= VK_API_VERSION_1_2)
    LINK(maintenance4, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_FEATURES, physical->has_maintenance4)
#ifdef VK_KHR_cooperative_matrix
    LINK(cooperative_matrix, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
         physical->has_cooperative_matrix)
#endif
#undef LINK
    instance->vkGetPhysicalDeviceFeatures2(physical->handle, &chain->features);
    // Nothing of the classic features is used; robust buffer access above all would cost time in every load.
    memset(&chain->features.features, 0, sizeof chain->features.features);
}

static uint32_t usable_features(const vk_instance *instance, const vk_physical *physical,
                                const VkPhysicalDeviceSubgroupProperties *subgroup)
{
    vk_feature_chain chain;
    vk_feature_chain_query(instance, physical, &chain);
    uint32_t features = physical->timestamp_bits ? SX_GPU_FEATURE_TIMESTAMPS : 0;
    const VkSubgroupFeatureFlags operations =
        subgroup->supportedStages & VK_SHADER_STAGE_COMPUTE_BIT ? subgroup->supportedOperations : 0;
    if (operations & VK_SUBGROUP_FEATURE_SHUFFLE_BIT) features |= SX_GPU_FEATURE_SUBGROUP_SHUFFLE;
    if (operations & VK_SUBGROUP_FEATURE_ARITHMETIC_BIT) features |= SX_GPU_FEATURE_SUBGROUP_ARITHMETIC;
    if (chain.float16.shaderFloat16 && chain.storage16.storageBuffer16BitAccess) features |= SX_GPU_FEATURE_FP16;
    if (chain.int_dot.shaderIntegerDotProduct) features |= SX_GPU_FEATURE_INT_DOT;
#ifdef VK_KHR_cooperative_matrix
    if (chain.cooperative_matrix.cooperativeMatrix && chain.memory_model.vulkanMemoryModel) {
        features |= SX_GPU_FEATURE_COOPERATIVE_MATRIX;
    }
#endif
    return features;
}

static sx_gpu_kind kind_of(VkPhysicalDeviceType type)
{
    switch (type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return SX_GPU_DISCRETE;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return SX_GPU_INTEGRATED;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return SX_GPU_VIRTUAL;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return SX_GPU_CPU;
    default:
        return SX_GPU_OTHER;
    }
}

void vk_physical_read_memory(const vk_instance *instance, vk_physical *physical)
{
    physical->info.memory_total = physical->info.memory_budget = 0;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT budget = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
    VkPhysicalDeviceMemoryProperties2 memory = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2,
                                                .pNext = physical->has_memory_budget ? &budget : NULL};
    instance->vkGetPhysicalDeviceMemoryProperties2(physical->handle, &memory);
    physical->memory = memory.memoryProperties;
    // A discrete device has its largest local heap. Where the memory is shared, a small carve-out is one heap and the
    // rest another, and buffers go to both.
    for (uint32_t i = 0; i < physical->memory.memoryHeapCount; i++) {
        const VkMemoryHeap *heap = &physical->memory.memoryHeaps[i];
        const uint64_t left = physical->has_memory_budget && budget.heapBudget[i] > budget.heapUsage[i]
                                  ? budget.heapBudget[i] - budget.heapUsage[i]
                                  : 0;
        if (physical->info.unified_memory) {
            physical->info.memory_total += heap->size;
            physical->info.memory_budget += left;
        } else if ((heap->flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) && heap->size > physical->info.memory_total) {
            physical->info.memory_total = heap->size;
            physical->info.memory_budget = left;
        }
    }
}

// Fills `physical`; false when the device cannot run this program.
static bool read_device(const vk_instance *instance, VkPhysicalDevice handle, vk_physical *physical)
{
    memset(physical, 0, sizeof *physical);
    physical->handle = handle;
    VkPhysicalDeviceProperties2 properties = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    instance->vkGetPhysicalDeviceProperties2(handle, &properties);
    physical->api_version = properties.properties.apiVersion;
    if (physical->api_version < VK_API_VERSION_1_1) return false;
    read_extensions(instance, physical);

    VkPhysicalDeviceMaintenance4Properties maintenance4 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_4_PROPERTIES};
    VkPhysicalDeviceDriverProperties driver = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES,
                                               .pNext = physical->has_maintenance4 ? &maintenance4 : NULL};
    VkPhysicalDeviceMaintenance3Properties maintenance3 = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MAINTENANCE_3_PROPERTIES,
        .pNext = physical->api_version >= VK_API_VERSION_1_2 ? (void *)&driver : driver.pNext};
    VkPhysicalDeviceSubgroupProperties subgroup = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES,
                                                   .pNext = &maintenance3};
    properties.pNext = &subgroup;
    instance->vkGetPhysicalDeviceProperties2(handle, &properties);
    const VkPhysicalDeviceProperties *core = &properties.properties;
    if (core->limits.maxComputeWorkGroupInvocations < 256 || core->limits.maxComputeSharedMemorySize < 16384 ||
        core->limits.maxPerStageDescriptorStorageBuffers < SX_GPU_MAX_BINDINGS) {
        return false;
    }

    VkQueueFamilyProperties families[32];
    uint32_t family_count = 32;
    instance->vkGetPhysicalDeviceQueueFamilyProperties(handle, &family_count, families);
    physical->queue_family = UINT32_MAX;
    for (uint32_t i = 0; i < family_count && physical->queue_family == UINT32_MAX; i++) {
        // The first: on every driver the general family, which shares the clock and the caches with nothing odd.
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) physical->queue_family = i;
    }
    if (physical->queue_family == UINT32_MAX) return false;
    physical->timestamp_bits = families[physical->queue_family].timestampValidBits;
    physical->timestamp_period = core->limits.timestampPeriod;

    sx_gpu_info *info = &physical->info;
    snprintf(info->name, sizeof info->name, "%.127s", core->deviceName);
    const char *driver_name = driver.driverName[0] ? driver.driverName : "Vulkan driver";
    snprintf(info->driver, sizeof info->driver, "%.60s%s%.60s", driver_name, driver.driverInfo[0] ? " " : "",
             driver.driverInfo);
    info->kind = kind_of(core->deviceType);
    info->backend = SX_GPU_BACKEND_VULKAN;
    info->subgroup_size = subgroup.subgroupSize ? subgroup.subgroupSize : 1;
    info->features = usable_features(instance, physical, &subgroup);
    info->max_binding_size = core->limits.maxStorageBufferRange & ~3u;
    info->max_buffer_size = maintenance3.maxMemoryAllocationSize;
    if (maintenance4.maxBufferSize && maintenance4.maxBufferSize < info->max_buffer_size) {
        info->max_buffer_size = maintenance4.maxBufferSize;
    }
    info->unified_memory = info->kind == SX_GPU_INTEGRATED || info->kind == SX_GPU_CPU;
    const uint32_t minor = VK_API_VERSION_MINOR(physical->api_version);
    info->spirv_version = minor >= 3 ? 0x10600 : minor == 2 ? 0x10500 : 0x10300;
    uint64_t hash = sx_hash(SX_HASH_START, &core->vendorID, sizeof core->vendorID);
    hash = sx_hash(hash, &core->deviceID, sizeof core->deviceID);
    hash = sx_hash(hash, &core->driverVersion, sizeof core->driverVersion);
    hash = sx_hash(hash, core->pipelineCacheUUID, sizeof core->pipelineCacheUUID);
    hash = sx_hash(hash, info->name, strlen(info->name));
    info->identity = sx_hash(hash, info->driver, strlen(info->driver));
    vk_physical_read_memory(instance, physical);
    return true;
}

sx_status vk_physical_list(const vk_instance *instance, vk_physical *devices, uint32_t *count, sx_error *error)
{
    VkPhysicalDevice handles[VK_MAX_DEVICES];
    uint32_t handle_count = VK_MAX_DEVICES;
    *count = 0;
    const VkResult result = instance->vkEnumeratePhysicalDevices(instance->handle, &handle_count, handles);
    if (result < VK_SUCCESS) handle_count = 0;
    for (uint32_t i = 0; i < handle_count; i++) {
        vk_physical physical;
        if (!read_device(instance, handles[i], &physical)) continue;
        uint32_t place = *count; // insertion keeps the driver's order among equals
        for (; place > 0 && devices[place - 1].info.kind > physical.info.kind; place--) {
            devices[place] = devices[place - 1];
        }
        devices[place] = physical;
        (*count)++;
    }
    if (*count) return SX_OK;
    return sx_fail(
        error, SX_ERROR_NO_DEVICE,
        "no Vulkan 1.1 device found (%u seen); install the driver of your GPU, or mesa-vulkan-drivers to run "
        "on the CPU",
        handle_count);
}
