// Looking kernels up in the generated table.
#include "gpu/backend.h"

#include <assert.h>
#include <string.h>

const char *sx_kernel_name(sx_kernel kernel)
{
    return kernel < gpu_kernel_count ? gpu_kernel_table[kernel].name : "(no kernel)";
}

sx_kernel sx_kernel_find(const char *name)
{
    for (uint32_t i = 0; i < gpu_kernel_count; i++) {
        if (strcmp(gpu_kernel_table[i].name, name) == 0) return i;
    }
    return gpu_kernel_count;
}

bool sx_gpu_kernel_usable(const sx_gpu *gpu, sx_kernel kernel)
{
    if (kernel >= gpu_kernel_count) return false;
    const gpu_kernel_entry *entry = &gpu_kernel_table[kernel];
    if (!entry->available || (entry->features & ~gpu->info.features) != 0) return false;
    // The version word is 0 | major | minor | 0.
    return !entry->words || entry->words[1] <= gpu->info.spirv_version;
}
