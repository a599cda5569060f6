// The harness: steps through the cases, keeps their objects, prints what failed.
#include "conformance.h"

#include "kernels.gen.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool conformance_check(conformance *c, bool holds, const char *file, int line, const char *format, ...)
{
    c->checks++;
    if (holds) return true;
    c->failures++;
    if (c->failures > 10) return false; // the first ones tell enough
    const char *base = strrchr(file, '/');
    printf("  %s (%s:%d): ", c->name, base ? base + 1 : file, line);
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
    return false;
}

bool conformance_check_status(conformance *c, sx_status got, sx_status wanted, const char *file, int line,
                              const char *call)
{
    return conformance_check(c, got == wanted, file, line, "%s gave %s (%s), wanted %s", call, sx_status_name(got),
                             c->error.message, sx_status_name(wanted));
}

sx_gpu_buffer *conformance_buffer(conformance *c, uint64_t words, uint32_t usage)
{
    sx_gpu_buffer *buffer = NULL;
    char label[32];
    snprintf(label, sizeof label, "buffer %u", c->buffer_count);
    CHECK(c, c->buffer_count < CONFORMANCE_MAX_OBJECTS);
    CHECK_STATUS(c, sx_gpu_buffer_create(c->gpu, words * 4, usage, label, &buffer, &c->error), SX_OK);
    c->buffers[c->buffer_count++] = buffer;
    return buffer;
}

sx_gpu_tape *conformance_tape(conformance *c)
{
    sx_gpu_tape *tape = NULL;
    CHECK(c, c->tape_count < CONFORMANCE_MAX_OBJECTS);
    CHECK_STATUS(c, sx_gpu_tape_create(c->gpu, c->name, &tape, &c->error), SX_OK);
    c->tapes[c->tape_count++] = tape;
    return tape;
}

uint32_t *conformance_words(conformance *c, uint64_t count)
{
    free(c->words);
    c->words = calloc((size_t)count, sizeof *c->words);
    CHECK(c, c->words != NULL);
    return c->words;
}

void conformance_write(conformance *c, sx_gpu_buffer *buffer, uint64_t first_word, const uint32_t *words,
                       uint64_t count)
{
    CHECK_STATUS(c, sx_gpu_write(c->gpu, buffer, first_word * 4, words, count * 4, &c->error), SX_OK);
}

void conformance_submit(conformance *c, sx_gpu_tape *tape, const sx_gpu_readback *readback, uint32_t index)
{
    CHECK_STATUS(c, sx_gpu_submit(c->gpu, tape, readback, &c->tickets[index], &c->error), SX_OK);
}

bool conformance_read(conformance *c, sx_gpu_buffer *buffer, uint64_t first_word, uint64_t count, uint64_t place)
{
    const sx_status status = sx_gpu_read(c->gpu, buffer, first_word * 4, c->words + place, count * 4, &c->error);
    if (status == SX_PENDING) return false;
    CHECK_STATUS(c, status, SX_OK);
    return true;
}

// ---- Test kernels --------------------------------------------------------------------------------------------------

void record_fill(sx_gpu_tape *tape, sx_gpu_buffer *out, uint32_t count, uint32_t value, uint32_t step)
{
    const uint32_t parameters[4] = {count, value, step, 0};
    const sx_gpu_binding binding = {.buffer = out};
    sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_FILL, parameters, sizeof parameters, &binding, 1, (count + 63) / 64, 1,
                         1);
}

void record_fill_at(sx_gpu_tape *tape, sx_gpu_buffer *out, uint64_t offset, uint64_t size, uint32_t count,
                    uint32_t value)
{
    const uint32_t parameters[4] = {count, value, 0, 0};
    const sx_gpu_binding binding = {.buffer = out, .offset = offset, .size = size};
    sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_FILL, parameters, sizeof parameters, &binding, 1, (count + 63) / 64, 1,
                         1);
}

void record_add(sx_gpu_tape *tape, sx_gpu_buffer *a, sx_gpu_buffer *b, uint32_t count, uint32_t factor)
{
    const uint32_t parameters[2] = {count, factor};
    const sx_gpu_binding bindings[] = {{.buffer = a}, {.buffer = b}};
    sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_ADD, parameters, sizeof parameters, bindings, 2, (count + 63) / 64, 1, 1);
}

void record_chain(sx_gpu_tape *tape, sx_gpu_buffer *in, sx_gpu_buffer *out, uint32_t count, uint32_t factor,
                  uint32_t addend)
{
    const uint32_t parameters[3] = {count, factor, addend};
    const sx_gpu_binding bindings[] = {{.buffer = in}, {.buffer = out}};
    sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_CHAIN, parameters, sizeof parameters, bindings, 2, (count + 63) / 64, 1,
                         1);
}

// ---- Running -------------------------------------------------------------------------------------------------------

uint32_t conformance_case_total(void)
{
    return data_case_count + submit_case_count + refusal_case_count;
}

// The cases that lose the device come last, in refusal_cases.
static const conformance_case *case_at(uint32_t index)
{
    if (index < data_case_count) return &data_cases[index];
    index -= data_case_count;
    if (index < submit_case_count) return &submit_cases[index];
    return &refusal_cases[index - submit_case_count];
}

static void end_case(conformance_run *run)
{
    conformance *c = &run->state;
    char line[160];
    snprintf(line, sizeof line, "%s %s", c->failures ? "FAIL" : "ok  ", c->name);
    run->print(line);
    run->failed += c->failures != 0;
    for (uint32_t i = 0; i < c->tape_count; i++) {
        sx_gpu_tape_destroy(c->gpu, c->tapes[i]);
    }
    for (uint32_t i = 0; i < c->buffer_count; i++) {
        sx_gpu_buffer_destroy(c->gpu, c->buffers[i]);
    }
    free(c->words);
    *c = (conformance){.gpu = c->gpu, .computes = c->computes, .checks = c->checks};
    run->index++;
    run->stage = 0;
}

bool conformance_step(conformance_run *run, bool *waiting)
{
    *waiting = false;
    while (run->filter && run->index < conformance_case_total() && !strstr(case_at(run->index)->name, run->filter)) {
        run->index++;
    }
    if (run->index == conformance_case_total()) return false;
    const conformance_case *current = case_at(run->index);
    run->state.name = current->name;
    switch (current->run(&run->state, run->stage)) {
    case CASE_NEXT:
        run->stage++;
        break;
    case CASE_AGAIN:
        *waiting = true;
        break;
    case CASE_DONE:
        end_case(run);
        break;
    }
    return true;
}
