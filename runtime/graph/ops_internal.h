// What the ops share among themselves. Internal to runtime/graph/ops_*.c.
#ifndef SX_GRAPH_OPS_INTERNAL_H
#define SX_GRAPH_OPS_INTERNAL_H

#include "graph/ops.h"

static inline uint32_t ops_ceil_div(uint32_t value, uint32_t divisor)
{
    return value / divisor + (value % divisor != 0);
}

static inline bool ops_present(sx_gpu_binding binding)
{
    return binding.buffer != NULL && binding.size != 0;
}

// An optional input for a kernel that does not read it when it is absent: binding slots cannot stay empty.
static inline sx_gpu_binding ops_optional(const sx_ops *ops, sx_gpu_binding binding)
{
    return ops_present(binding) ? binding : (sx_gpu_binding){.buffer = ops->nothing};
}

// True on drivers that run on a CPU, where small workgroups win: they have no lanes to hide latency with.
static inline bool ops_on_cpu(const sx_ops *ops)
{
    return sx_gpu_get_info(ops->gpu)->kind == SX_GPU_CPU;
}

// The kernel named by the printf-like format. An unknown name gives SX_KERNEL_COUNT, which the tape reports.
sx_kernel ops_kernel(const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 1, 2)))
#endif
    ;

// Lower-case name of a weight format, as kernels are named by ("q4_k").
typedef struct ops_format_name {
    char text[16];
} ops_format_name;
ops_format_name ops_name_of_format(uint32_t format);

#endif
