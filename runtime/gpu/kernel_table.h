// The generated table of kernels (tools/kernels.py writes it). Internal to the GPU layer.
#ifndef SX_GPU_KERNEL_TABLE_H
#define SX_GPU_KERNEL_TABLE_H

#include <stdbool.h>
#include <stdint.h>

typedef struct gpu_kernel_entry {
    const char *name;
    const uint32_t *words;      // SPIR-V; NULL in WebGPU builds and where the kernel is left out
    uint32_t words_size;        // bytes
    uint32_t parameter_size;    // bytes of the uniform block at binding 0; 0: it has none
    uint32_t binding_count;     // storage buffers, bindings 1..binding_count
    uint32_t written;           // bit i: binding i + 1 may be written
    uint32_t workgroup_size[3]; // invocations
    uint32_t features;          // SX_GPU_FEATURE_* it needs
    bool available;             // false: the tools of this build could not compile it
} gpu_kernel_entry;

extern const gpu_kernel_entry gpu_kernel_table[];
extern const uint32_t gpu_kernel_count;

#endif
