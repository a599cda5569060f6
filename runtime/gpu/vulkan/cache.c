// The pipeline cache on disk: one file a device and driver, a header of ours before the driver's data. Drivers check
// their data themselves, but not all do it well, so a checksum stands before them.
#include "base/file.h"
#include "base/hash.h"
#include "gpu/vulkan/vk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cache_header {
    char magic[8];
    uint64_t identity; // of device and driver
    uint64_t size;     // bytes of the driver's data
    uint64_t checksum; // of the driver's data
} cache_header;

static const char cache_magic[8] = "SXPIPE1";

// The file's data, owned by the caller; NULL with a warning when the file is no good.
static uint8_t *load_file(vk_device *device, size_t *size)
{
    sx_file *file;
    sx_error error = {SX_OK, ""};
    FILE *probe = fopen(device->cache_path, "rb");
    if (!probe) return NULL; // the first run
    fclose(probe);
    if (sx_file_open(device->cache_path, &file, &error) != SX_OK) {
        vk_log(&device->instance, "pipeline cache ignored: %s", error.message);
        return NULL;
    }
    const sx_source *source = sx_file_source(file);
    cache_header header;
    uint8_t *data = NULL;
    const char *problem = "it is shorter than its header";
    if (source->size >= sizeof header && sx_source_read(source, 0, &header, sizeof header, NULL) == SX_OK) {
        if (memcmp(header.magic, cache_magic, sizeof header.magic) != 0) {
            problem = "it is no pipeline cache of this program";
        } else if (header.identity != device->physical.info.identity) {
            problem = "it belongs to another device or driver";
        } else if (header.size != source->size - sizeof header) {
            problem = "it is truncated";
        } else {
            data = malloc(header.size ? (size_t)header.size : 1);
            problem = "it cannot be read";
            if (data && sx_source_read(source, sizeof header, data, (size_t)header.size, NULL) == SX_OK) {
                problem = sx_hash(SX_HASH_START, data, (size_t)header.size) == header.checksum
                              ? NULL
                              : "its checksum is wrong";
            }
        }
    }
    sx_file_close(file);
    if (problem) {
        vk_log(&device->instance, "pipeline cache \"%s\" ignored: %s; it will be written anew", device->cache_path,
               problem);
        free(data);
        return NULL;
    }
    *size = (size_t)header.size;
    return data;
}

sx_status vk_cache_open(vk_device *device, const char *folder, sx_error *error)
{
    size_t size = 0;
    uint8_t *data = NULL;
    if (folder) {
        const size_t length = strlen(folder) + 48;
        device->cache_path = malloc(length);
        if (!device->cache_path) return sx_fail(error, SX_ERROR_MEMORY, "out of host memory opening the GPU");
        snprintf(device->cache_path, length, "%s/pipelines-%016llx.bin", folder,
                 (unsigned long long)device->physical.info.identity);
        data = load_file(device, &size);
    }
    VkPipelineCacheCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO, .initialDataSize = size, .pInitialData = data};
    VkResult result = device->vkCreatePipelineCache(device->handle, &info, NULL, &device->cache);
    if (result != VK_SUCCESS && data) {
        vk_log(&device->instance, "pipeline cache \"%s\" ignored: the driver refuses it", device->cache_path);
        info.initialDataSize = 0;
        result = device->vkCreatePipelineCache(device->handle, &info, NULL, &device->cache);
    }
    free(data);
    return result == VK_SUCCESS ? SX_OK : vk_fail(device, result, "creating the pipeline cache", error);
}

// Header and data, owned by the caller, or NULL.
static uint8_t *cache_content(vk_device *device, size_t *size)
{
    size_t data_size = 0;
    if (device->vkGetPipelineCacheData(device->handle, device->cache, &data_size, NULL) != VK_SUCCESS) return NULL;
    uint8_t *content = malloc(sizeof(cache_header) + data_size);
    if (!content) return NULL;
    uint8_t *data = content + sizeof(cache_header);
    if (device->vkGetPipelineCacheData(device->handle, device->cache, &data_size, data) != VK_SUCCESS) {
        free(content);
        return NULL;
    }
    cache_header header = {.identity = device->physical.info.identity,
                           .size = data_size,
                           .checksum = sx_hash(SX_HASH_START, data, data_size)};
    memcpy(header.magic, cache_magic, sizeof header.magic);
    memcpy(content, &header, sizeof header);
    *size = sizeof header + data_size;
    return content;
}

void vk_cache_save(vk_device *device)
{
    if (!device->cache_path || !device->cache_grown) return;
    device->cache_grown = false;
    size_t size;
    uint8_t *content = cache_content(device, &size);
    if (!content) {
        vk_log(&device->instance, "pipeline cache \"%s\" not written: the driver gives no data", device->cache_path);
        return;
    }
    sx_error error = {SX_OK, ""};
    char *slash = strrchr(device->cache_path, '/');
    *slash = 0;
    sx_status status = sx_make_folders(device->cache_path, &error);
    *slash = '/';
    if (status == SX_OK) status = sx_file_write_atomic(device->cache_path, content, size, &error);
    if (status != SX_OK) vk_log(&device->instance, "pipeline cache not written: %s", error.message);
    free(content);
}

void vulkan_save_cache(void *context)
{
    vk_cache_save(context);
}
