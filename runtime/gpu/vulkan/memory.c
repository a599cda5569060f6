// Device memory: large blocks, cut into allocations by first fit, with neighbouring holes merged on release. Drivers
// allow few allocations (4,096) and round each one up, so small buffers share a block.
#include "gpu/vulkan/vk.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 16 << 20, LARGEST_BLOCK = 256 << 20 }; // bytes

// ---- Holes ---------------------------------------------------------------------------------------------------------

static bool insert_hole(vk_block *block, uint32_t index, vk_range hole)
{
    if (block->hole_count == block->hole_capacity) {
        const uint32_t capacity = block->hole_capacity ? block->hole_capacity * 2 : 8;
        vk_range *moved = realloc(block->holes, capacity * sizeof *moved);
        if (!moved) return false;
        block->holes = moved;
        block->hole_capacity = capacity;
    }
    memmove(block->holes + index + 1, block->holes + index, (block->hole_count - index) * sizeof *block->holes);
    block->holes[index] = hole;
    block->hole_count++;
    return true;
}

static void remove_hole(vk_block *block, uint32_t index)
{
    block->hole_count--;
    memmove(block->holes + index, block->holes + index + 1, (block->hole_count - index) * sizeof *block->holes);
}

// Cuts `size` bytes out of the first hole that has room.
static bool cut(vk_block *block, uint64_t size, uint64_t alignment, uint64_t *offset)
{
    for (uint32_t i = 0; i < block->hole_count; i++) {
        const vk_range hole = block->holes[i];
        const uint64_t begin = (hole.begin + alignment - 1) / alignment * alignment;
        if (begin > hole.end || hole.end - begin < size) continue;
        if (begin > hole.begin) {
            // What alignment skips stays a hole of its own.
            if (begin + size < hole.end && !insert_hole(block, i + 1, (vk_range){begin + size, hole.end})) return false;
            block->holes[i].end = begin;
        } else if (begin + size < hole.end) {
            block->holes[i].begin = begin + size;
        } else {
            remove_hole(block, i);
        }
        *offset = begin;
        return true;
    }
    return false;
}

static void give_back(vk_block *block, vk_range range)
{
    uint32_t index = 0;
    while (index < block->hole_count && block->holes[index].begin < range.begin) {
        index++;
    }
    const bool joins_left = index > 0 && block->holes[index - 1].end == range.begin;
    const bool joins_right = index < block->hole_count && block->holes[index].begin == range.end;
    if (joins_left && joins_right) {
        block->holes[index - 1].end = block->holes[index].end;
        remove_hole(block, index);
    } else if (joins_left) {
        block->holes[index - 1].end = range.end;
    } else if (joins_right) {
        block->holes[index].begin = range.begin;
    } else {
        // Without host memory the range is lost until the block is freed, which is harmless.
        (void)insert_hole(block, index, range);
    }
}

// ---- Blocks --------------------------------------------------------------------------------------------------------

static void free_block(vk_device *device, vk_block *block)
{
    device->vkFreeMemory(device->handle, block->memory, NULL);
    free(block->holes);
    free(block);
}

static VkResult create_block(vk_device *device, uint32_t type, uint64_t size, vk_block **out)
{
    vk_block *block = calloc(1, sizeof *block);
    if (!block || !insert_hole(block, 0, (vk_range){0, size})) {
        free(block);
        return VK_ERROR_OUT_OF_HOST_MEMORY;
    }
    const VkMemoryAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = size, .memoryTypeIndex = type};
    VkResult result = device->vkAllocateMemory(device->handle, &info, NULL, &block->memory);
    if (result == VK_SUCCESS &&
        (device->physical.memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT)) {
        void *mapped = NULL;
        result = device->vkMapMemory(device->handle, block->memory, 0, VK_WHOLE_SIZE, 0, &mapped);
        // Lavapipe of Mesa 25 says VK_SUCCESS and hands on what mmap returned when it failed.
        if (result == VK_SUCCESS && (!mapped || (intptr_t)mapped == -1)) result = VK_ERROR_MEMORY_MAP_FAILED;
        if (result == VK_SUCCESS) {
            block->mapped = mapped;
        } else {
            device->vkFreeMemory(device->handle, block->memory, NULL);
        }
    }
    if (result != VK_SUCCESS) {
        free(block->holes);
        free(block);
        return result;
    }
    block->size = size;
    block->type = type;
    block->next = device->blocks;
    device->blocks = block;
    *out = block;
    return VK_SUCCESS;
}

static VkResult allocate(vk_device *device, uint32_t type, const VkMemoryRequirements *needed, vk_allocation *out)
{
    out->size = needed->size;
    for (vk_block *block = device->blocks; block; block = block->next) {
        if (block->type == type && cut(block, needed->size, needed->alignment, &out->offset)) {
            out->block = block;
            return VK_SUCCESS;
        }
    }
    // Blocks grow with what is asked for, so that a small model does not take 256 MiB.
    uint64_t size = device->next_block_size ? device->next_block_size : FIRST_BLOCK;
    const uint64_t heap = device->physical.memory.memoryHeaps[device->physical.memory.memoryTypes[type].heapIndex].size;
    if (size > heap / 8) size = heap / 8;
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    if (needed->size <= size / 2) {
        result = create_block(device, type, size, &out->block);
        if (result == VK_SUCCESS && size < LARGEST_BLOCK) device->next_block_size = size * 2;
    }
    if (result != VK_SUCCESS) result = create_block(device, type, needed->size, &out->block); // a block of its own
    if (result != VK_SUCCESS) return result;
    const bool fits = cut(out->block, needed->size, needed->alignment, &out->offset);
    assert(fits);
    (void)fits;
    return VK_SUCCESS;
}

static void release(vk_device *device, const vk_allocation *allocation)
{
    vk_block *block = allocation->block;
    give_back(block, (vk_range){allocation->offset, allocation->offset + allocation->size});
    if (block->hole_count != 1 || block->holes[0].begin != 0 || block->holes[0].end != block->size) return;
    for (vk_block **link = &device->blocks; *link; link = &(*link)->next) {
        if (*link != block) continue;
        *link = block->next;
        free_block(device, block);
        return;
    }
}

void vk_memory_close(vk_device *device)
{
    while (device->blocks) {
        vk_block *next = device->blocks->next;
        free_block(device, device->blocks);
        device->blocks = next;
    }
}

// ---- Types and buffers ---------------------------------------------------------------------------------------------

// Property flags wanted for a kind, best first; the last entry is the least that will do.
static uint32_t wanted_flags(const vk_device *device, vk_memory_kind kind, VkMemoryPropertyFlags *wanted)
{
    const VkMemoryPropertyFlags local = VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    const VkMemoryPropertyFlags host = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t count = 0;
    switch (kind) {
    case VK_MEMORY_DEVICE:
        // Over the bus of a discrete device the copy engine is faster than the CPU's stores, so no mapping there.
        if (device->physical.info.unified_memory) wanted[count++] = local | host;
        wanted[count++] = local;
        if (device->physical.info.unified_memory) wanted[count++] = host; // beyond a small carve-out
        break;
    case VK_MEMORY_UPLOAD:
        wanted[count++] = host;
        break;
    case VK_MEMORY_READBACK:
        wanted[count++] = host | VK_MEMORY_PROPERTY_HOST_CACHED_BIT;
        wanted[count++] = host;
        break;
    }
    return count;
}

static VkResult allocate_kind(vk_device *device, vk_memory_kind kind, const VkMemoryRequirements *needed,
                              vk_allocation *out)
{
    VkMemoryPropertyFlags wanted[4];
    const uint32_t count = wanted_flags(device, kind, wanted);
    VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
    for (uint32_t w = 0; w < count; w++) {
        for (uint32_t type = 0; type < device->physical.memory.memoryTypeCount; type++) {
            const VkMemoryPropertyFlags flags = device->physical.memory.memoryTypes[type].propertyFlags;
            if (((needed->memoryTypeBits >> type) & 1) == 0 || (flags & wanted[w]) != wanted[w]) continue;
            if (flags & (VK_MEMORY_PROPERTY_PROTECTED_BIT | VK_MEMORY_PROPERTY_LAZILY_ALLOCATED_BIT)) continue;
            result = allocate(device, type, needed, out);
            if (result == VK_SUCCESS) return result;
        }
    }
    return result;
}

sx_status vk_buffer_open(vk_device *device, vk_memory_kind kind, uint64_t size, VkBufferUsageFlags usage,
                         const char *label, vk_buffer *buffer, sx_error *error)
{
    memset(buffer, 0, sizeof *buffer);
    buffer->size = size;
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = size,
                                     .usage = usage,
                                     .sharingMode = VK_SHARING_MODE_EXCLUSIVE};
    VkResult result = device->vkCreateBuffer(device->handle, &info, NULL, &buffer->handle);
    if (result == VK_SUCCESS) {
        VkMemoryRequirements needed;
        device->vkGetBufferMemoryRequirements(device->handle, buffer->handle, &needed);
        result = allocate_kind(device, kind, &needed, &buffer->allocation);
    }
    if (result == VK_SUCCESS) {
        const vk_allocation *place = &buffer->allocation;
        if (place->block->mapped) buffer->mapped = place->block->mapped + place->offset;
        result = device->vkBindBufferMemory(device->handle, buffer->handle, place->block->memory, place->offset);
    }
    if (result == VK_SUCCESS) return SX_OK;
    vk_buffer_close(device, buffer);
    if (result == VK_ERROR_DEVICE_LOST) return vk_fail(device, result, "creating a buffer", error);
    const uint64_t budget = vulkan_memory_budget(device);
    return sx_fail(
        error, SX_ERROR_GPU_MEMORY,
        "the GPU has no room for buffer \"%s\" of %.1f MiB (%s%.1f MiB left); close other programs, or use a "
        "smaller context, model or quantisation",
        label, (double)size / 1048576, budget ? "" : "unknown, total ",
        (double)(budget ? budget : device->physical.info.memory_total) / 1048576);
}

void vk_buffer_close(vk_device *device, vk_buffer *buffer)
{
    if (buffer->handle) device->vkDestroyBuffer(device->handle, buffer->handle, NULL);
    if (buffer->allocation.block) release(device, &buffer->allocation);
    memset(buffer, 0, sizeof *buffer);
}
