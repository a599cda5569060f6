// The conformance suite for a browser's event loop: JavaScript calls conformance_web_step until it returns 0.
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>

#define EXPORT __attribute__((used, visibility("default")))

static void print_line(const char *line)
{
    printf("%s\n", line);
}

// The state of the run, made anew by each start; JavaScript holds the pointer.
EXPORT conformance_run *conformance_web_start(void)
{
    conformance_run *run = calloc(1, sizeof *run);
    sx_error error = {SX_OK, ""};
    if (!run || sx_gpu_open(&(sx_gpu_desc){.backend = SX_GPU_BACKEND_DEFAULT}, &run->state.gpu, &error) != SX_OK) {
        printf("conformance: %s\n", error.message);
        free(run);
        return NULL;
    }
    run->print = print_line;
    run->state.computes = true;
    const sx_gpu_info *info = sx_gpu_get_info(run->state.gpu);
    printf("%s, %s, features 0x%x, binding %.0f MiB\n", info->name, info->driver, info->features,
           (double)info->max_binding_size / 1048576);
    return run;
}

// 0: all done, 1: go on, 2: go on once the device has got further.
EXPORT int conformance_web_step(conformance_run *run)
{
    bool waiting;
    if (!conformance_step(run, &waiting)) return 0;
    return waiting ? 2 : 1;
}

// The number of failures; also closes the device.
EXPORT int conformance_web_end(conformance_run *run)
{
    const uint32_t messages = sx_gpu_validation_messages(run->state.gpu);
    sx_gpu_close(run->state.gpu);
    printf("%u cases, %u failed, %u checks, %u validation messages\n", conformance_case_total(), run->failed,
           run->state.checks, messages);
    const int failures = (int)(run->failed + messages + (run->state.checks == 0));
    free(run);
    return failures;
}
