// The conformance suite for a browser's event loop: JavaScript calls conformance_web_step until it returns 0.
#include "conformance.h"

#include <emscripten.h>
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

// ---- Failures that only JavaScript can cause
// -------------------------------------------------------------------------

typedef struct web_trial {
    sx_gpu *gpu;
    sx_gpu_buffer *buffer;
    sx_gpu_tape *tape;
    sx_gpu_ticket ticket;
} web_trial;

static sx_status begin_trial(web_trial *trial, sx_error *error)
{
    sx_status status = sx_gpu_open(&(sx_gpu_desc){.backend = SX_GPU_BACKEND_DEFAULT}, &trial->gpu, error);
    if (status != SX_OK) return status;
    status = sx_gpu_buffer_create(trial->gpu, 64, SX_GPU_STORAGE, "trial", &trial->buffer, error);
    if (status == SX_OK) status = sx_gpu_tape_create(trial->gpu, "trial", &trial->tape, error);
    if (status != SX_OK) return status;
    record_fill(trial->tape, trial->buffer, 16, 3, 0);
    status = sx_gpu_tape_finish(trial->tape, error);
    if (status != SX_OK) return status;
    return sx_gpu_submit(trial->gpu, trial->tape, &(sx_gpu_readback){trial->buffer, 0, 64}, &trial->ticket, error);
}

// A device with a submit under way, or NULL.
EXPORT web_trial *web_trial_begin(void)
{
    sx_error error = {SX_OK, ""};
    web_trial *trial = calloc(1, sizeof *trial);
    if (trial && begin_trial(trial, &error) == SX_OK) return trial;
    printf("  trial: %s\n", error.message);
    free(trial);
    return NULL;
}

// Polls the submit: the sx_status, and prints the message of an error.
EXPORT int web_trial_poll(web_trial *trial)
{
    uint32_t words[16] = {0};
    sx_error error = {SX_OK, ""};
    const sx_status status = sx_gpu_poll(trial->gpu, trial->ticket, words, sizeof words, &error);
    if (status > SX_PENDING) printf("  %s: %s\n", sx_status_name(status), error.message);
    return status == SX_OK && words[15] != 3 ? (int)SX_ERROR_FORMAT : (int)status;
}

EXPORT int web_trial_is(int status, int memory)
{
    return status == (int)(memory ? SX_ERROR_GPU_MEMORY : SX_ERROR_DEVICE_LOST);
}

EXPORT void web_trial_end(web_trial *trial)
{
    sx_gpu_tape_destroy(trial->gpu, trial->tape);
    sx_gpu_buffer_destroy(trial->gpu, trial->buffer);
    sx_gpu_close(trial->gpu);
    free(trial);
}

// Host seconds of one submit of a tape of `dispatches`, the mean of some.
EXPORT double web_submit_cost(uint32_t dispatches)
{
    sx_error error = {SX_OK, ""};
    web_trial trial = {0};
    if (begin_trial(&trial, &error) != SX_OK) return -1;
    sx_gpu_tape *tape;
    double seconds = -1;
    if (sx_gpu_tape_create(trial.gpu, "cost", &tape, &error) == SX_OK) {
        for (uint32_t i = 0; i < dispatches; i++) {
            record_fill(tape, trial.buffer, 16, i, 0);
        }
        enum { ROUNDS = 8 };
        sx_status status = sx_gpu_tape_finish(tape, &error);
        const double start = emscripten_get_now();
        for (uint32_t i = 0; i < ROUNDS && status == SX_OK; i++) {
            status = sx_gpu_submit(trial.gpu, tape, NULL, &trial.ticket, &error);
        }
        if (status == SX_OK) seconds = 1e-3 * (emscripten_get_now() - start) / ROUNDS;
        sx_gpu_tape_destroy(trial.gpu, tape);
    }
    sx_gpu_tape_destroy(trial.gpu, trial.tape);
    sx_gpu_buffer_destroy(trial.gpu, trial.buffer);
    sx_gpu_close(trial.gpu);
    return seconds;
}
