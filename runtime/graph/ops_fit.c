#include "graph/ops_internal.h"

#include "kernels.gen.h"

#include <assert.h>

static void dispatch(sx_gpu_tape *tape, sx_kernel kernel, uint32_t width, uint32_t rows, sx_gpu_binding x,
                     sx_gpu_binding in, sx_gpu_binding out, uint32_t groups)
{
    assert(width >= 2 && width % 2 == 0 && rows >= 1);
    const struct {
        uint32_t width, rows;
    } parameters = {width, rows};
    const sx_gpu_binding bindings[] = {x, in, out};
    sx_gpu_tape_dispatch(tape, kernel, &parameters, sizeof parameters, bindings, 3, groups, 1, 1);
}

void sx_op_fit_project(const sx_ops *ops, sx_gpu_tape *tape, uint32_t width, uint32_t rows, sx_gpu_binding x,
                       sx_gpu_binding v, sx_gpu_binding z)
{
    (void)ops;
    dispatch(tape, SX_KERNEL_FIT_PROJECT, width, rows, x, v, z, ops_ceil_div(rows, 32));
}

void sx_op_fit_accumulate(const sx_ops *ops, sx_gpu_tape *tape, uint32_t width, uint32_t rows, sx_gpu_binding x,
                          sx_gpu_binding a, sx_gpu_binding g)
{
    (void)ops;
    dispatch(tape, SX_KERNEL_FIT_ACCUMULATE, width, rows, x, a, g, ops_ceil_div(width, 64));
}
