// Shared by the files of the Vulkan backend; nobody else includes this.
//
// One compute queue. Every vkQueueSubmit is a *sequence* number and takes the frame sequence % VK_FRAMES: a fence, the
// command buffers around a tape (staged writes, prologue with barrier and timestamp, epilogue with timestamp and
// readback) and its stretch of the staging ring. Frames finish in order. The front's serials name those submits that
// carry a tape; flushes of staged writes have none.
#ifndef SX_GPU_VULKAN_VK_H
#define SX_GPU_VULKAN_VK_H

#include "gpu/backend.h"

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan.h>

enum {
    VK_FRAMES = 16,             // submits in flight; more make the caller wait
    VK_STAGING_SIZE = 16 << 20, // bytes of the ring for writes, a power of two
    VK_STAGING_CHUNK = 4 << 20, // bytes of one staged copy at most
    VK_MAX_DEVICES = 32,
    VK_MAX_PENDING_RANGES = 256
};

// ---- Functions -----------------------------------------------------------------------------------------------------

#define VK_INSTANCE_FUNCTIONS(X)                                                                                       \
    X(vkDestroyInstance)                                                                                               \
    X(vkEnumeratePhysicalDevices)                                                                                      \
    X(vkGetPhysicalDeviceProperties2)                                                                                  \
    X(vkGetPhysicalDeviceFeatures2)                                                                                    \
    X(vkGetPhysicalDeviceQueueFamilyProperties)                                                                        \
    X(vkGetPhysicalDeviceMemoryProperties2)                                                                            \
    X(vkEnumerateDeviceExtensionProperties)                                                                            \
    X(vkCreateDevice)                                                                                                  \
    X(vkGetDeviceProcAddr)

#define VK_DEVICE_FUNCTIONS(X)                                                                                         \
    X(vkDestroyDevice)                                                                                                 \
    X(vkGetDeviceQueue)                                                                                                \
    X(vkDeviceWaitIdle)                                                                                                \
    X(vkAllocateMemory)                                                                                                \
    X(vkFreeMemory)                                                                                                    \
    X(vkMapMemory)                                                                                                     \
    X(vkCreateBuffer)                                                                                                  \
    X(vkDestroyBuffer)                                                                                                 \
    X(vkGetBufferMemoryRequirements)                                                                                   \
    X(vkBindBufferMemory)                                                                                              \
    X(vkCreateCommandPool)                                                                                             \
    X(vkDestroyCommandPool)                                                                                            \
    X(vkAllocateCommandBuffers)                                                                                        \
    X(vkFreeCommandBuffers)                                                                                            \
    X(vkBeginCommandBuffer)                                                                                            \
    X(vkEndCommandBuffer)                                                                                              \
    X(vkCmdPipelineBarrier)                                                                                            \
    X(vkCmdCopyBuffer)                                                                                                 \
    X(vkCmdFillBuffer)                                                                                                 \
    X(vkCmdBindPipeline)                                                                                               \
    X(vkCmdBindDescriptorSets)                                                                                         \
    X(vkCmdDispatch)                                                                                                   \
    X(vkCmdDispatchIndirect)                                                                                           \
    X(vkCmdResetQueryPool)                                                                                             \
    X(vkCmdWriteTimestamp)                                                                                             \
    X(vkCreateQueryPool)                                                                                               \
    X(vkDestroyQueryPool)                                                                                              \
    X(vkGetQueryPoolResults)                                                                                           \
    X(vkCreateFence)                                                                                                   \
    X(vkDestroyFence)                                                                                                  \
    X(vkResetFences)                                                                                                   \
    X(vkGetFenceStatus)                                                                                                \
    X(vkWaitForFences)                                                                                                 \
    X(vkQueueSubmit)                                                                                                   \
    X(vkCreateShaderModule)                                                                                            \
    X(vkDestroyShaderModule)                                                                                           \
    X(vkCreatePipelineCache)                                                                                           \
    X(vkDestroyPipelineCache)                                                                                          \
    X(vkGetPipelineCacheData)                                                                                          \
    X(vkCreatePipelineLayout)                                                                                          \
    X(vkDestroyPipelineLayout)                                                                                         \
    X(vkCreateComputePipelines)                                                                                        \
    X(vkDestroyPipeline)                                                                                               \
    X(vkCreateDescriptorSetLayout)                                                                                     \
    X(vkDestroyDescriptorSetLayout)                                                                                    \
    X(vkCreateDescriptorPool)                                                                                          \
    X(vkDestroyDescriptorPool)                                                                                         \
    X(vkAllocateDescriptorSets)                                                                                        \
    X(vkUpdateDescriptorSets)

#define VK_MEMBER(name) PFN_##name name;

// ---- Instance and physical devices (instance.c) --------------------------------------------------------------------

typedef struct vk_instance {
    PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr;
    VK_INSTANCE_FUNCTIONS(VK_MEMBER)
    VkInstance handle;
    bool validation; // the layer is loaded
    VkDebugUtilsMessengerEXT messenger;
    uint32_t messages; // warnings and errors of the validation layer
    void (*log)(void *user, const char *line);
    void *log_user;
} vk_instance;

// One physical device that can run this program.
typedef struct vk_physical {
    VkPhysicalDevice handle;
    uint32_t queue_family, timestamp_bits;
    float timestamp_period; // nanoseconds a tick
    uint32_t api_version;
    bool has_memory_budget, has_portability_subset, has_float16, has_int_dot, has_cooperative_matrix, has_maintenance4;
    VkPhysicalDeviceMemoryProperties memory;
    sx_gpu_info info;
} vk_physical;

// SX_ERROR_NO_DEVICE with the remedy when there is no loader or no driver. `instance` is filled; close it with
// vk_instance_close, also after a failure.
sx_status vk_instance_open(vk_instance *instance, const sx_gpu_desc *desc, sx_error *error);
void vk_instance_close(vk_instance *instance);
void vk_keep_libraries(void); // sanitizer.c
void vk_log(const vk_instance *instance, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Fills up to VK_MAX_DEVICES usable devices, best first. SX_ERROR_NO_DEVICE when there is none.
sx_status vk_physical_list(const vk_instance *instance, vk_physical *devices, uint32_t *count, sx_error *error);
// Memory types, total and budget as they are now.
void vk_physical_read_memory(const vk_instance *instance, vk_physical *physical);
// The features of `physical` that the device is created with, chained; `chain` owns the memory.
typedef struct vk_feature_chain {
    VkPhysicalDeviceFeatures2 features;
    VkPhysicalDevice16BitStorageFeatures storage16;
    VkPhysicalDeviceShaderFloat16Int8Features float16;
    VkPhysicalDeviceShaderIntegerDotProductFeatures int_dot;
    VkPhysicalDeviceVulkanMemoryModelFeatures memory_model;
    VkPhysicalDeviceMaintenance4Features maintenance4;
#ifdef VK_KHR_cooperative_matrix
    VkPhysicalDeviceCooperativeMatrixFeaturesKHR cooperative_matrix;
#endif
} vk_feature_chain;
void vk_feature_chain_query(const vk_instance *instance, const vk_physical *physical, vk_feature_chain *chain);

// ---- Memory (memory.c) ---------------------------------------------------------------------------------------------

typedef enum vk_memory_kind {
    VK_MEMORY_DEVICE,  // fast for the device; mapped too where host and device share the memory
    VK_MEMORY_UPLOAD,  // host memory the device reads; mapped
    VK_MEMORY_READBACK // host memory the host reads; mapped, cached where there is such a type
} vk_memory_kind;

typedef struct vk_range {
    uint64_t begin, end;
} vk_range; // bytes

typedef struct vk_block { // one VkDeviceMemory
    struct vk_block *next;
    VkDeviceMemory memory;
    uint64_t size;
    uint32_t type;
    uint8_t *mapped; // NULL where the host cannot see it
    vk_range *holes; // free ranges, ordered, never touching
    uint32_t hole_count, hole_capacity;
} vk_block;

typedef struct vk_allocation {
    vk_block *block;
    uint64_t offset, size;
} vk_allocation;

typedef struct vk_buffer { // the native part of a buffer; also internal buffers
    VkBuffer handle;
    vk_allocation allocation;
    uint8_t *mapped; // NULL where the host cannot see it
    uint64_t size;
    uint64_t write_sequence; // of the frame that holds its last staged write or fill; 0: none
} vk_buffer;

// ---- The device ----------------------------------------------------------------------------------------------------

typedef struct vk_frame {
    VkFence fence;
    VkCommandBuffer writes, prologue, epilogue;
    bool recording; // `writes` is open
    bool busy;      // submitted, not seen finished
    uint64_t sequence, serial;
    uint64_t ring_end; // of the staging ring once it is finished
    double seconds;    // of the tape; negative where unknown
} vk_frame;

typedef struct vk_pending_range {
    VkBuffer buffer;
    uint64_t begin, end;
} vk_pending_range;

typedef struct vk_device {
    vk_instance instance;
    vk_physical physical;
    VkDevice handle;
    VkQueue queue;
    VK_DEVICE_FUNCTIONS(VK_MEMBER)

    vk_block *blocks;
    uint64_t next_block_size;

    VkCommandPool pool;
    VkQueryPool queries; // two a frame; VK_NULL_HANDLE without timestamps
    vk_frame frames[VK_FRAMES];
    uint64_t next_sequence, finished_sequence, finished_serial;

    vk_buffer staging;
    uint64_t ring_head, ring_tail;                   // ever-growing byte positions
    vk_pending_range pending[VK_MAX_PENDING_RANGES]; // written since the last barrier of the open `writes`
    uint32_t pending_count;
    vk_buffer readbacks[SX_GPU_TICKETS_IN_FLIGHT];
    vk_buffer read_staging; // of vulkan_read; created when first needed

    VkDescriptorSetLayout set_layouts[SX_GPU_MAX_BINDINGS + 1];
    VkPipelineLayout pipeline_layouts[SX_GPU_MAX_BINDINGS + 1]; // by the number of storage buffers
    VkPipeline *pipelines;                                      // by kernel
    VkPipelineCache cache;
    char *cache_path; // NULL: no cache on disk
    bool cache_grown;
    sx_kernel *warm_kernels;
    uint32_t warm_count, warm_done;
} vk_device;

// Maps a VkResult to a status; `what` says what was tried.
sx_status vk_fail(const vk_device *device, VkResult result, const char *what, sx_error *error);

// Memory and buffers. Contents are undefined; vk_buffer_close accepts a zeroed struct.
sx_status vk_buffer_open(vk_device *device, vk_memory_kind kind, uint64_t size, VkBufferUsageFlags usage,
                         const char *label, vk_buffer *buffer, sx_error *error);
void vk_buffer_close(vk_device *device, vk_buffer *buffer);
void vk_memory_close(vk_device *device); // frees the blocks

// Frames (frame.c).
sx_status vk_frames_open(vk_device *device, sx_error *error);
void vk_frames_close(vk_device *device);
// The frame of the next submit, free to record into.
sx_status vk_frame_next(vk_device *device, vk_frame **frame, sx_error *error);
// Notes which frames are finished.
sx_status vk_frames_update(vk_device *device, sx_error *error);
sx_status vk_frame_wait(vk_device *device, uint64_t sequence, uint64_t nanoseconds, sx_error *error);
// Submits the staged writes and, if given, the tape between prologue and epilogue.
sx_status vk_frame_submit(vk_device *device, VkCommandBuffer tape, uint64_t serial, bool epilogue, sx_error *error);
sx_status vk_flush(vk_device *device, sx_error *error); // submits staged writes if there are any

VkCommandBuffer vk_tape_commands(const sx_gpu_tape *tape); // tape.c

// Staged writes (transfer.c).
sx_status vk_transfer_open(vk_device *device, sx_error *error);
sx_status vk_transfer_write(vk_device *device, vk_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                            sx_error *error);
sx_status vk_transfer_zero(vk_device *device, vk_buffer *buffer, sx_error *error);

// Pipelines (pipeline.c) and their cache on disk (cache.c).
sx_status vk_pipelines_open(vk_device *device, sx_error *error);
void vk_pipelines_close(vk_device *device);
sx_status vk_pipeline_get(vk_device *device, sx_kernel kernel, VkPipeline *pipeline, sx_error *error);
sx_status vk_cache_open(vk_device *device, const char *folder, sx_error *error);
void vk_cache_save(vk_device *device);

// The functions of the backend table.
sx_status vulkan_list(sx_gpu_info *infos, uint32_t capacity, uint32_t *count, sx_error *error);
sx_status vulkan_open(const sx_gpu_desc *desc, sx_gpu_info *info, void **device, sx_error *error);
void vulkan_close(void *device);
uint64_t vulkan_memory_budget(void *device);
uint32_t vulkan_validation_messages(void *device);
sx_status vulkan_buffer_create(void *device, sx_gpu_buffer *buffer, sx_error *error);
void vulkan_buffer_destroy(void *device, sx_gpu_buffer *buffer);
sx_status vulkan_write(void *device, sx_gpu_buffer *buffer, uint64_t offset, const void *data, uint64_t size,
                       sx_error *error);
sx_status vulkan_warm(void *device, const sx_kernel *kernels, uint32_t count, sx_error *error);
sx_status vulkan_warm_poll(void *device, uint32_t *done, sx_error *error);
void vulkan_save_cache(void *device);
sx_status vulkan_tape_finish(void *device, sx_gpu_tape *tape, sx_error *error);
void vulkan_tape_destroy(void *device, sx_gpu_tape *tape);
sx_status vulkan_submit(void *device, sx_gpu_tape *tape, const sx_gpu_readback *readback, uint32_t slot,
                        uint64_t serial, sx_error *error);
sx_status vulkan_finished(void *device, uint64_t *serial, sx_error *error);
sx_status vulkan_take_readback(void *device, uint32_t slot, void *destination, uint64_t size, sx_error *error);
sx_status vulkan_wait(void *device, uint64_t serial, uint32_t milliseconds, sx_error *error);
sx_status vulkan_read(void *device, sx_gpu_buffer *buffer, uint64_t offset, void *destination, uint64_t size,
                      sx_error *error);
double vulkan_seconds(void *device, uint64_t serial);

#endif
