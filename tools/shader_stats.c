// What AMD's production compiler makes of the kernels, without AMD hardware: Mesa's RADV compiles for any of its
// devices on a null device. Prints registers, spills, shared memory, occupancy and instructions of each kernel whose
// name contains the argument, and fails when one spills. Kernels for CPU drivers are left out.
//
// Environment: RADV_FORCE_FAMILY=NAVI21 (or RAVEN, VEGA20, GFX1100, ... as RADV prints them),
// VK_ICD_FILENAMES=/usr/share/vulkan/icd.d/radeon_icd.x86_64.json, VK_LOADER_LAYERS_DISABLE='~implicit~'.
#include "gpu/kernel_table.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

enum { MAX_BINDINGS = 8, MAX_STATISTICS = 32 };

typedef struct stats_device {
    PFN_vkGetInstanceProcAddr get;
    VkInstance instance;
    VkPhysicalDevice physical;
    VkDevice device;
} stats_device;

#define LOAD(d, name) ((PFN_##name)(d)->get((d)->instance, #name))

static int fail(const char *what)
{
    fprintf(stderr, "shader_stats: %s\n", what);
    return 1;
}

static int open_device(stats_device *d)
{
    void *library = dlopen("libvulkan.so.1", RTLD_NOW);
    if (!library) return fail("libvulkan.so.1 is not installed");
    d->get = (PFN_vkGetInstanceProcAddr)dlsym(library, "vkGetInstanceProcAddr");
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .apiVersion = VK_API_VERSION_1_1};
    const VkInstanceCreateInfo info = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                       .pApplicationInfo = &application};
    if (LOAD(d, vkCreateInstance)(&info, NULL, &d->instance) != VK_SUCCESS) return fail("no Vulkan driver");
    uint32_t count = 1;
    LOAD(d, vkEnumeratePhysicalDevices)(d->instance, &count, &d->physical);
    if (count == 0) return fail("no device: set RADV_FORCE_FAMILY and VK_ICD_FILENAMES as the source says");
    VkPhysicalDeviceProperties properties;
    LOAD(d, vkGetPhysicalDeviceProperties)(d->physical, &properties);
    printf("%s\n", properties.deviceName);
    const float priority = 1;
    const VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE};
    const char *const extensions[] = {VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME};
    const VkDeviceCreateInfo create = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                       .pNext = &statistics,
                                       .queueCreateInfoCount = 1,
                                       .pQueueCreateInfos = &queue,
                                       .enabledExtensionCount = 1,
                                       .ppEnabledExtensionNames = extensions};
    if (LOAD(d, vkCreateDevice)(d->physical, &create, NULL, &d->device) != VK_SUCCESS)
        return fail("the driver reports no pipeline statistics");
    return 0;
}

static VkPipelineLayout make_layout(const stats_device *d, const gpu_kernel_entry *entry)
{
    VkDescriptorSetLayoutBinding bindings[MAX_BINDINGS];
    uint32_t count = 0;
    if (entry->parameter_size)
        bindings[count++] = (VkDescriptorSetLayoutBinding){0, VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER_DYNAMIC, 1,
                                                           VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    for (uint32_t i = 1; i <= entry->binding_count; i++)
        bindings[count++] =
            (VkDescriptorSetLayoutBinding){i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, NULL};
    const VkDescriptorSetLayoutCreateInfo set = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = count, .pBindings = bindings};
    VkDescriptorSetLayout set_layout = VK_NULL_HANDLE;
    LOAD(d, vkCreateDescriptorSetLayout)(d->device, &set, NULL, &set_layout);
    const VkPipelineLayoutCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1, .pSetLayouts = &set_layout};
    VkPipelineLayout layout = VK_NULL_HANDLE;
    LOAD(d, vkCreatePipelineLayout)(d->device, &info, NULL, &layout);
    return layout;
}

static VkPipeline compile(const stats_device *d, const gpu_kernel_entry *entry)
{
    const VkShaderModuleCreateInfo module_info = {
        .sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = entry->words_size, .pCode = entry->words};
    VkShaderModule module = VK_NULL_HANDLE;
    LOAD(d, vkCreateShaderModule)(d->device, &module_info, NULL, &module);
    const VkComputePipelineCreateInfo info = {.sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
                                              .flags = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR,
                                              .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                                                        .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                        .module = module,
                                                        .pName = "main"},
                                              .layout = make_layout(d, entry)};
    VkPipeline pipeline = VK_NULL_HANDLE;
    LOAD(d, vkCreateComputePipelines)(d->device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline);
    return pipeline;
}

static uint64_t value_of(const VkPipelineExecutableStatisticKHR *statistics, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(statistics[i].name, name) == 0) return statistics[i].value.u64;
    return 0;
}

// Prints a line; true when the kernel spills registers.
static int report(const stats_device *d, const gpu_kernel_entry *entry)
{
    const VkPipeline pipeline = compile(d, entry);
    if (!pipeline) {
        printf("%-30s cannot be compiled\n", entry->name);
        return 1;
    }
    const VkPipelineExecutableInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR,
                                              .pipeline = pipeline};
    VkPipelineExecutableStatisticKHR s[MAX_STATISTICS];
    for (int i = 0; i < MAX_STATISTICS; i++)
        s[i] = (VkPipelineExecutableStatisticKHR){.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    uint32_t n = MAX_STATISTICS;
    LOAD(d, vkGetPipelineExecutableStatisticsKHR)(d->device, &info, &n, s);
    const uint64_t spills = value_of(s, n, "Spilled VGPRs") + value_of(s, n, "Spilled SGPRs");
    printf("%-30s vgprs %3llu  sgprs %3llu  spills %3llu  lds %5llu  waves %2llu  instructions %5llu  inverse "
           "throughput %6llu\n",
           entry->name, (unsigned long long)value_of(s, n, "VGPRs"), (unsigned long long)value_of(s, n, "SGPRs"),
           (unsigned long long)spills, (unsigned long long)value_of(s, n, "LDS size"),
           (unsigned long long)value_of(s, n, "Subgroups per SIMD"), (unsigned long long)value_of(s, n, "Instructions"),
           (unsigned long long)value_of(s, n, "Inverse Throughput"));
    return spills != 0;
}

int main(int argc, char **argv)
{
    stats_device device = {0};
    const char *part = argc > 1 ? argv[1] : "";
    if (open_device(&device)) return 2;
    int spilling = 0;
    for (uint32_t i = 0; i < gpu_kernel_count; i++) {
        const gpu_kernel_entry *entry = &gpu_kernel_table[i];
        const int for_cpu_drivers = strstr(entry->name, "_shuffle") != NULL;
        if (entry->available && entry->words && !for_cpu_drivers && strstr(entry->name, part))
            spilling += report(&device, entry);
    }
    if (spilling) fprintf(stderr, "shader_stats: %d kernels spill registers\n", spilling);
    return spilling ? 1 : 0;
}
