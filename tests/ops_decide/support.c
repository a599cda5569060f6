#include "support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check(sx_status status, const sx_error *error)
{
    if (status != SX_OK) fail_msg("%s: %s", sx_status_name(status), error->message);
}

void support_write(harness *h, sx_gpu_buffer *buffer, const void *data, size_t words)
{
    sx_error error = {0};
    check(sx_gpu_write(h->gpu, buffer, 0, data, 4 * words, &error), &error);
}

sx_gpu_tape *support_finish(harness *h)
{
    sx_error error = {0};
    check(sx_gpu_tape_finish(h->tape, &error), &error);
    sx_gpu_tape *tape = h->tape;
    h->tape = NULL;
    return tape;
}

void support_read(harness *h, sx_gpu_buffer *buffer, void *out, size_t words)
{
    uint32_t *read = harness_read(h, buffer, words);
    memcpy(out, read, 4 * words);
    free(read);
}

void support_same(const void *got, const void *want, size_t words, const char *what)
{
    const uint32_t *a = got, *b = want;
    for (size_t i = 0; i < words; i++) {
        if (a[i] != b[i]) fail_msg("%s: word %zu is %u (0x%08x), not %u (0x%08x)", what, i, a[i], a[i], b[i], b[i]);
    }
}

SxSettings support_settings(uint32_t vocabulary)
{
    SxSettings settings = {0};
    settings.vocabulary = vocabulary;
    settings.top_p = 1.0f;
    settings.repetition_penalty = 1.0f;
    settings.end_position = 1u << 20;
    settings.suppress_close_position = SX_NONE;
    return settings;
}
