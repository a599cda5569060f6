// Lets tests that block run on WebGPU: built with Asyncify (the product is not), the calls that may be pending sleep
// until they are not. The linker's --wrap puts these in front of the real ones.
#include "cmocka.h"

#include "gpu/gpu.h"

#include <emscripten.h>

sx_status __real_sx_gpu_read(sx_gpu *gpu, sx_gpu_buffer *buffer, uint64_t offset, void *destination, uint64_t size,
                             sx_error *error);
sx_status __real_sx_gpu_poll(sx_gpu *gpu, sx_gpu_ticket ticket, void *destination, uint64_t size, sx_error *error);

sx_status __wrap_sx_gpu_read(sx_gpu *gpu, sx_gpu_buffer *buffer, uint64_t offset, void *destination, uint64_t size,
                             sx_error *error)
{
    for (;;) {
        const sx_status status = __real_sx_gpu_read(gpu, buffer, offset, destination, size, error);
        if (status != SX_PENDING) return status;
        emscripten_sleep(0);
    }
}

sx_status __wrap_sx_gpu_poll(sx_gpu *gpu, sx_gpu_ticket ticket, void *destination, uint64_t size, sx_error *error)
{
    for (;;) {
        const sx_status status = __real_sx_gpu_poll(gpu, ticket, destination, size, error);
        if (status != SX_PENDING) return status;
        emscripten_sleep(0);
    }
}

// From the command line: how many groups to run, and a test to leave out, or the only one to run.
static struct {
    int groups_left;
    const char *skipped, *only;
} options = {1000, "", ""};

int test_main(void); // a test's main, renamed by -Dmain=test_main

// The first return of main is only the first sleep, so the end is told to whoever runs the module.
static void tell_end(int status)
{
    EM_ASM({ Module["sxTestsDone"]($0); }, status);
}

#undef main
int main(int argument_count, char **arguments)
{
    for (int i = 1; i + 1 < argument_count; i += 2) {
        if (strcmp(arguments[i], "--groups") == 0) options.groups_left = atoi(arguments[i + 1]);
        if (strcmp(arguments[i], "--skip") == 0) options.skipped = arguments[i + 1];
        if (strcmp(arguments[i], "--only") == 0) options.only = arguments[i + 1];
    }
    tell_end(test_main());
    return 0;
}

_Noreturn void web_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    printf("FAILED %s:%d: ", file, line);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    tell_end(1);
    abort();
}

int web_run_tests(const char *group, const struct CMUnitTest *tests, size_t count, int (*setup)(void **),
                  int (*teardown)(void **))
{
    void *state = NULL;
    if (options.groups_left-- <= 0) return 0;
    printf("%s: %zu tests\n", group, count);
    if (setup && setup(&state) != 0) web_fail(group, 0, "setup failed");
    for (size_t i = 0; i < count; i++) {
        if (strcmp(tests[i].name, options.skipped) == 0) continue;
        if (*options.only && strcmp(tests[i].name, options.only) != 0) continue;
        void *own = tests[i].initial ? tests[i].initial : state;
        tests[i].test(&own);
        printf("ok   %s\n", tests[i].name);
    }
    if (teardown && teardown(&state) != 0) web_fail(group, 0, "teardown failed");
    return 0;
}
