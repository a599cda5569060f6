// Runs the conformance suite on one native backend: conformance vulkan|null [part of a case's name].
// The validation layers are asked for; any message of theirs is a failure, and so is a device whose name lacks
// SX_DEVICE_NAME (if that is set): a test of one driver must not pass on another.
#include "conformance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void print_line(const char *line)
{
    printf("%s\n", line);
}

static void log_line(void *user, const char *line)
{
    uint32_t *messages = user;
    *messages += strncmp(line, "validation ", 11) == 0;
    printf("  log: %s\n", line);
}

int main(int argument_count, char **arguments)
{
    const char *backend = argument_count > 1 ? arguments[1] : "vulkan";
    uint32_t messages = 0; // counted here, so that those of closing the device count too
    const bool null = strcmp(backend, "null") == 0;
    const sx_gpu_desc desc = {.backend = null ? SX_GPU_BACKEND_NULL : SX_GPU_BACKEND_VULKAN,
                              .validation = true,
                              .log = log_line,
                              .log_user = &messages};
    conformance_run run = {.filter = argument_count > 2 ? arguments[2] : NULL, .print = print_line};
    sx_error error = {SX_OK, ""};
    sx_gpu *gpu = NULL;
    if (sx_gpu_open(&desc, &gpu, &error) != SX_OK) {
        fprintf(stderr, "conformance: %s\n", error.message);
        return 1;
    }
    const sx_gpu_info *info = sx_gpu_get_info(gpu);
    printf("%s, %s, features 0x%x, validation %s\n", info->name, info->driver, info->features,
           info->validation ? "on" : "off");
    const char *expected = getenv("SX_DEVICE_NAME");
    if (!null && expected && !strstr(info->name, expected)) {
        fprintf(stderr, "conformance: this is not the device that the test is for, %s\n", expected);
        sx_gpu_close(gpu);
        return 1;
    }
    run.state.gpu = gpu;
    run.state.computes = !null;
    bool waiting;
    while (conformance_step(&run, &waiting)) {
        // A CPU driver needs the processor that this loop would burn.
        if (waiting) nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    }
    run.failed += sx_gpu_validation_messages(gpu) != messages;
    sx_gpu_close(gpu);
    printf("%u cases, %u failed, %u checks, %u validation messages\n", conformance_case_total(), run.failed,
           run.state.checks, messages);
    return run.failed || messages || run.state.checks == 0;
}
