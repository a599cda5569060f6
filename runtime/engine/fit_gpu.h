// The device's part of a fit: states go over the bus once where they fit its memory, else once a pass.
#ifndef SX_ENGINE_FIT_GPU_H
#define SX_ENGINE_FIT_GPU_H

#include "gpu/gpu.h"
#include "signals/fit.h"

typedef struct sx_fit_gpu sx_fit_gpu;

// `resident`: bytes of states that stay on the device between passes. On success `out` speaks for the device until
// sx_fit_gpu_close.
sx_status sx_fit_gpu_open(const sx_gpu_desc *desc, uint32_t width, uint64_t resident, sx_fit_gpu **made,
                          fit_device *out, sx_error *error);
void sx_fit_gpu_close(sx_fit_gpu *fit); // NULL is allowed
bool sx_fit_gpu_is_cpu(const sx_fit_gpu *fit);
const char *sx_fit_gpu_name(const sx_fit_gpu *fit);
double sx_fit_gpu_seconds(const sx_fit_gpu *fit); // spent in it so far

#endif
