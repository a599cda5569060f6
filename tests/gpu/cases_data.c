// What kernels and copies compute, in order: contents, hazards, grids, bindings.
#include "conformance.h"

#include "kernels.gen.h"

#include <string.h>

// Compares c->words with `expected(i)` and names the first difference.
#define CHECK_WORDS(c, count, expression)                                                                              \
    do {                                                                                                               \
        for (uint32_t i = 0; (c)->computes && i < (count); i++) {                                                      \
            const uint32_t expected = (expression);                                                                    \
            if ((c)->words[i] != expected) {                                                                           \
                conformance_check(c, false, __FILE__, __LINE__, "word %u is %u, wanted %u", i, (c)->words[i],          \
                                  expected);                                                                           \
                break;                                                                                                 \
            }                                                                                                          \
        }                                                                                                              \
        (c)->checks++;                                                                                                 \
    } while (0)

// Finishes and submits a tape without readback.
static void go(conformance *c, sx_gpu_tape *tape, uint32_t ticket)
{
    CHECK_STATUS(c, sx_gpu_tape_finish(tape, &c->error), SX_OK);
    conformance_submit(c, tape, NULL, ticket);
}

static case_result zero_fill(conformance *c, uint32_t stage)
{
    enum { COUNT = 5000 };
    if (stage == 0) {
        // Dirty some memory and give it back, so that a new buffer is likely to lie there.
        sx_gpu_buffer *dirty[4];
        for (uint32_t i = 0; i < 4; i++) {
            CHECK_STATUS(c, sx_gpu_buffer_create(c->gpu, COUNT * 4, SX_GPU_STORAGE, "dirty", &dirty[i], &c->error),
                         SX_OK);
            uint32_t *words = conformance_words(c, COUNT);
            memset(words, 0xAB, COUNT * 4);
            conformance_write(c, dirty[i], 0, words, COUNT);
        }
        for (uint32_t i = 0; i < 4; i++) {
            sx_gpu_buffer_destroy(c->gpu, dirty[i]);
        }
        conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        conformance_words(c, COUNT);
        c->words[0] = 1; // must be overwritten
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 0, COUNT, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, COUNT, 0);
    return CASE_DONE;
}

// Sizes that are no multiple of 4 are rounded up, and the buffer holds them.
static case_result odd_size(conformance *c, uint32_t stage)
{
    (void)stage;
    sx_gpu_buffer *buffer;
    CHECK_STATUS(c, sx_gpu_buffer_create(c->gpu, 9, SX_GPU_STORAGE, "odd", &buffer, &c->error), SX_OK);
    CHECK(c, sx_gpu_buffer_size(buffer) == 12);
    sx_gpu_buffer_destroy(c->gpu, buffer);
    return CASE_DONE;
}

static uint32_t mix(uint32_t i)
{
    return i * 2654435761u + 12345u;
}

// Larger than the staging memory, then a piece of it overwritten twice, all before anything is read.
static case_result large_write(conformance *c, uint32_t stage)
{
    enum { COUNT = 5 * 1024 * 1024 + 3, PLACE = 1000003 };
    if (stage == 0) {
        uint32_t *words = conformance_words(c, COUNT);
        sx_gpu_buffer *buffer = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        for (uint32_t i = 0; i < COUNT; i++) {
            words[i] = mix(i);
        }
        conformance_write(c, buffer, 0, words, COUNT);
        const uint32_t first[4] = {1, 1, 1, 1}, second[2] = {2, 2};
        conformance_write(c, buffer, PLACE, first, 4);
        conformance_write(c, buffer, PLACE + 1, second, 2);
        memset(words, 0, COUNT * sizeof *words);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 0, COUNT, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, COUNT, i < PLACE || i >= PLACE + 4 ? mix(i) : i == PLACE || i == PLACE + 3 ? 1u : 2u);
    return CASE_DONE;
}

static case_result read_ranges(conformance *c, uint32_t stage)
{
    if (stage == 0) {
        sx_gpu_buffer *buffer = conformance_buffer(c, 1000, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        record_fill(tape, buffer, 1000, 7, 3);
        go(c, tape, 0);
        conformance_words(c, 10);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 501, 10, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, 10, 7 + 3 * (501 + i));
    return CASE_DONE;
}

static case_result seven_bindings(conformance *c, uint32_t stage)
{
    enum { COUNT = 257 };
    if (stage == 0) {
        sx_gpu_tape *tape = conformance_tape(c);
        sx_gpu_binding bindings[7];
        for (uint32_t i = 0; i < 7; i++) {
            bindings[i] = (sx_gpu_binding){.buffer = conformance_buffer(c, COUNT, SX_GPU_STORAGE)};
            if (i != 3) record_fill(tape, bindings[i].buffer, COUNT, i + 1, i * 10);
        }
        const uint32_t parameters[1] = {COUNT};
        sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_SEVEN, parameters, sizeof parameters, bindings, 7, 5, 1, 1);
        go(c, tape, 0);
        conformance_words(c, COUNT);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[3], 0, COUNT, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, COUNT,
                (1 + 0 * i) + 2 * (2 + 10 * i) + 3 * (3 + 20 * i) + 4 * (5 + 40 * i) + 5 * (6 + 50 * i) +
                    6 * (7 + 60 * i));
    return CASE_DONE;
}

// A read-only buffer may be bound twice; ranges of one buffer at different offsets are what they say.
static case_result binding_offsets(conformance *c, uint32_t stage)
{
    enum { COUNT = 64, WORDS = 64 * 8 };
    if (stage == 0) {
        sx_gpu_buffer *data = conformance_buffer(c, WORDS, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        for (uint32_t i = 0; i < 8; i++) {
            record_fill_at(tape, data, i * 256, 256, COUNT, 100 + i);
        }
        sx_gpu_buffer *out = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        const sx_gpu_binding bindings[] = {{data, 0, 256},    {data, 256, 256},  {data, 512, 256}, {out, 0, 0},
                                           {data, 1024, 256}, {data, 1280, 256}, {data, 1792, 0}};
        const uint32_t parameters[1] = {COUNT};
        sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_SEVEN, parameters, sizeof parameters, bindings, 7, 1, 1, 1);
        sx_gpu_tape_stats stats;
        sx_gpu_tape_get_stats(tape, &stats);
        CHECK(c, stats.barriers == 1); // the eight fills touch different ranges
        go(c, tape, 0);
        conformance_words(c, WORDS);
        return CASE_NEXT;
    }
    if (stage == 1) {
        if (!conformance_read(c, c->buffers[1], 0, COUNT, 0)) return CASE_AGAIN;
        CHECK_WORDS(c, COUNT, 100 + 2 * 101 + 3 * 102 + 4 * 104 + 5 * 105 + 6 * 107);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 0, WORDS, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, WORDS, 100 + i / 64);
    return CASE_DONE;
}

// ---- Hazards -------------------------------------------------------------------------------------------------------

// Read after write, 24 times to and fro between two buffers.
static case_result hazard_chain(conformance *c, uint32_t stage)
{
    enum { COUNT = 3001, LINKS = 24 };
    if (stage == 0) {
        sx_gpu_buffer *a = conformance_buffer(c, COUNT, SX_GPU_STORAGE),
                      *b = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        record_fill(tape, a, COUNT, 5, 1);
        for (uint32_t i = 0; i < LINKS; i++) {
            record_chain(tape, i % 2 ? b : a, i % 2 ? a : b, COUNT, 3, i);
        }
        sx_gpu_tape_stats stats;
        sx_gpu_tape_get_stats(tape, &stats);
        CHECK(c, stats.dispatches == LINKS + 1 && stats.barriers == LINKS && stats.copies == 0);
        go(c, tape, 0);
        conformance_words(c, COUNT);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 0, COUNT, 0)) return CASE_AGAIN;
    uint32_t factor = 1, addend = 0; // of the even number of reversals
    for (uint32_t i = 0; i < LINKS; i++) {
        factor *= 3;
        addend = addend * 3 + i;
    }
    CHECK_WORDS(c, COUNT, (5 + i) * factor + addend);
    return CASE_DONE;
}

// Write after read: the source is overwritten right after it was read. Write after write: twice the same target.
static case_result hazard_overwrite(conformance *c, uint32_t stage)
{
    enum { COUNT = 100000 };
    if (stage == 0) {
        sx_gpu_buffer *a = conformance_buffer(c, COUNT, SX_GPU_STORAGE),
                      *b = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        record_fill(tape, a, COUNT, 9, 0);
        record_fill(tape, a, COUNT, 10, 1);       // WAW
        record_chain(tape, a, b, COUNT, 1, 1000); // RAW
        record_fill(tape, a, COUNT, 77, 0);       // WAR
        sx_gpu_tape_stats stats;
        sx_gpu_tape_get_stats(tape, &stats);
        CHECK(c, stats.barriers == 3);
        go(c, tape, 0);
        conformance_words(c, COUNT);
        return CASE_NEXT;
    }
    if (stage == 1) {
        if (!conformance_read(c, c->buffers[1], 0, COUNT, 0)) return CASE_AGAIN;
        CHECK_WORDS(c, COUNT, 10 + (COUNT - 1 - i) + 1000);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 0, COUNT, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, COUNT, 77);
    return CASE_DONE;
}

// Barriers stand where they must and nowhere else.
static case_result barrier_count(conformance *c, uint32_t stage)
{
    (void)stage;
    sx_gpu_buffer *a = conformance_buffer(c, 512, SX_GPU_STORAGE), *b = conformance_buffer(c, 512, SX_GPU_STORAGE);
    sx_gpu_buffer *d = conformance_buffer(c, 512, SX_GPU_STORAGE), *e = conformance_buffer(c, 512, SX_GPU_STORAGE);
    sx_gpu_tape *tape = conformance_tape(c);
    sx_gpu_tape_stats stats;
    record_fill(tape, a, 512, 1, 0);
    record_fill(tape, b, 512, 2, 0);             // independent
    record_add(tape, a, d, 512, 1);              // reads a: barrier 1
    record_add(tape, a, e, 512, 1);              // reads what is visible already
    record_add(tape, b, a, 512, 1);              // b is visible, but a was read: barrier 2
    sx_gpu_tape_copy(tape, d, 0, e, 1024, 1024); // d and e were written before barrier 2
    sx_gpu_tape_copy(tape, d, 0, e, 0, 1024);    // another range of e
    sx_gpu_tape_copy(tape, e, 1024, b, 0, 256);  // reads what the first copy wrote: barrier 3
    sx_gpu_tape_get_stats(tape, &stats);
    CHECK(c, stats.dispatches == 5 && stats.copies == 3 && stats.indirect_dispatches == 0);
    CHECK(c, stats.barriers == 3);
    CHECK(c, stats.parameter_bytes == 2 * 16 + 3 * 8);
    CHECK_STATUS(c, sx_gpu_tape_finish(tape, &c->error), SX_OK);
    return CASE_DONE;
}

static case_result copies(conformance *c, uint32_t stage)
{
    enum { COUNT = 777 };
    if (stage == 0) {
        sx_gpu_buffer *a = conformance_buffer(c, COUNT, SX_GPU_STORAGE),
                      *b = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        record_fill(tape, a, COUNT, 1, 1);
        sx_gpu_tape_copy(tape, a, 400, b, 4, 44); // words 100..110 to 1..11
        record_add(tape, b, a, COUNT, 1);         // a += b
        sx_gpu_tape_copy(tape, a, 0, b, 40, 16);  // words 0..3 to 10..13, over the end of the first copy
        CHECK_STATUS(c, sx_gpu_tape_copy(tape, a, 0, b, 0, 0), SX_OK); // nothing
        go(c, tape, 0);
        conformance_words(c, COUNT);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[1], 0, COUNT, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, COUNT,
                i >= 10 && i < 14  ? (i - 10) + 1 + (i >= 11 ? 101 + (i - 11) : 0)
                : i >= 1 && i < 10 ? 101 + (i - 1)
                                   : 0);
    return CASE_DONE;
}

// ---- Grids ---------------------------------------------------------------------------------------------------------

static case_result grid(conformance *c, uint32_t stage, uint32_t x, uint32_t y, uint32_t z)
{
    const uint32_t groups = x * y * z;
    if (stage == 0) {
        sx_gpu_buffer *hits = conformance_buffer(c, groups + 64, SX_GPU_STORAGE);
        sx_gpu_buffer *size = conformance_buffer(c, 4, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        const uint32_t parameters[1] = {groups};
        const sx_gpu_binding bindings[] = {{.buffer = hits}, {.buffer = size}};
        sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_GRID, parameters, sizeof parameters, bindings, 2, x, y, z);
        go(c, tape, 0);
        conformance_words(c, groups + 64);
        return CASE_NEXT;
    }
    if (stage == 1) {
        if (!conformance_read(c, c->buffers[0], 0, groups + 64, 0)) return CASE_AGAIN;
        CHECK_WORDS(c, groups + 64, i < groups ? 1 : 0);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[1], 0, 3, 0)) return CASE_AGAIN;
    if (c->computes) {
        const uint32_t *seen = c->words;
        CHECK(c, seen[0] <= 65535 && (uint64_t)seen[0] * seen[1] >= (uint64_t)x * y && seen[2] == z);
        CHECK(c, x > 65535 || (seen[0] == x && seen[1] == y));
        CHECK(c, seen[0] * seen[1] - x * y < 65536);
    }
    return CASE_DONE;
}

static case_result grid_small(conformance *c, uint32_t stage)
{
    return grid(c, stage, 7, 5, 3);
}

static case_result grid_limit(conformance *c, uint32_t stage)
{
    return grid(c, stage, 65535, 1, 1);
}

static case_result grid_folded(conformance *c, uint32_t stage)
{
    return grid(c, stage, 65536, 1, 1);
}

static case_result grid_folded_twice(conformance *c, uint32_t stage)
{
    return grid(c, stage, 131071, 1, 2);
}

// A grid without groups runs nothing.
static case_result grid_empty(conformance *c, uint32_t stage)
{
    if (stage == 0) {
        sx_gpu_buffer *hits = conformance_buffer(c, 64, SX_GPU_STORAGE),
                      *size = conformance_buffer(c, 4, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        const uint32_t parameters[1] = {64};
        const sx_gpu_binding bindings[] = {{.buffer = hits}, {.buffer = size}};
        CHECK_STATUS(
            c, sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_GRID, parameters, sizeof parameters, bindings, 2, 0, 1, 1),
            SX_OK);
        go(c, tape, 0);
        conformance_words(c, 64);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 0, 64, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, 64, 0);
    return CASE_DONE;
}

// A kernel writes the grid of the next two dispatches: one with groups, one without.
static case_result indirect(conformance *c, uint32_t stage)
{
    enum { GROUPS = 37 };
    if (stage == 0) {
        sx_gpu_buffer *count = conformance_buffer(c, 1, SX_GPU_STORAGE);
        sx_gpu_buffer *arguments = conformance_buffer(c, 16, SX_GPU_STORAGE | SX_GPU_INDIRECT);
        sx_gpu_buffer *hits = conformance_buffer(c, 256, SX_GPU_STORAGE),
                      *size = conformance_buffer(c, 4, SX_GPU_STORAGE);
        sx_gpu_buffer *empty = conformance_buffer(c, 256, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        record_fill(tape, count, 1, GROUPS, 0);
        const uint32_t write_parameters[3] = {4, 2, 1}, grid_parameters[1] = {GROUPS * 2};
        const sx_gpu_binding write[] = {{.buffer = count}, {.buffer = arguments}};
        sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_ARGUMENTS, write_parameters, sizeof write_parameters, write, 2, 1, 1,
                             1);
        const sx_gpu_binding run[] = {{.buffer = hits}, {.buffer = size}},
                             rest[] = {{.buffer = empty}, {.buffer = size}};
        sx_gpu_tape_dispatch_indirect(tape, SX_KERNEL_TEST_GRID, grid_parameters, sizeof grid_parameters, run, 2,
                                      arguments, 16);
        sx_gpu_tape_dispatch_indirect(tape, SX_KERNEL_TEST_GRID, grid_parameters, sizeof grid_parameters, rest, 2,
                                      arguments, 32);
        sx_gpu_tape_stats stats;
        sx_gpu_tape_get_stats(tape, &stats);
        CHECK(c, stats.indirect_dispatches == 2 && stats.dispatches == 2);
        go(c, tape, 0);
        conformance_words(c, 256);
        return CASE_NEXT;
    }
    if (stage == 1) {
        if (!conformance_read(c, c->buffers[2], 0, 256, 0)) return CASE_AGAIN;
        CHECK_WORDS(c, 256, i < GROUPS * 2 ? 1 : 0);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[4], 0, 256, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, 256, 0);
    return CASE_DONE;
}

// Many dispatches, each with its own parameters.
static case_result many_parameters(conformance *c, uint32_t stage)
{
    enum { DISPATCHES = 300 };
    if (stage == 0) {
        sx_gpu_buffer *out = conformance_buffer(c, DISPATCHES, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        for (uint32_t i = 0; i < DISPATCHES; i++) {
            const uint32_t parameters[4] = {1, i * i + 1, 0, i};
            const sx_gpu_binding binding = {.buffer = out};
            sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_FILL, parameters, sizeof parameters, &binding, 1, 1, 1, 1);
        }
        go(c, tape, 0);
        conformance_words(c, DISPATCHES);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 0, DISPATCHES, 0)) return CASE_AGAIN;
    CHECK_WORDS(c, DISPATCHES, i * i + 1);
    return CASE_DONE;
}

// An empty tape can be submitted.
static case_result empty_tape(conformance *c, uint32_t stage)
{
    if (stage == 0) {
        go(c, conformance_tape(c), 0);
        return CASE_NEXT;
    }
    const sx_status status = sx_gpu_poll(c->gpu, c->tickets[0], NULL, 0, &c->error);
    if (status == SX_PENDING) return CASE_AGAIN;
    CHECK_STATUS(c, status, SX_OK);
    return CASE_DONE;
}

// ---- Features ------------------------------------------------------------------------------------------------------

static case_result feature_shuffle(conformance *c, uint32_t stage)
{
    enum { COUNT = 640 };
    const sx_gpu_info *info = sx_gpu_get_info(c->gpu);
    if (!sx_gpu_kernel_usable(c->gpu, SX_KERNEL_TEST_SHUFFLE)) return CASE_DONE;
    CHECK(c, info->features & SX_GPU_FEATURE_SUBGROUP_SHUFFLE);
    if (stage == 0) {
        sx_gpu_tape *tape = conformance_tape(c);
        const uint32_t parameters[1] = {COUNT};
        const sx_gpu_binding binding = {.buffer = conformance_buffer(c, COUNT, SX_GPU_STORAGE)};
        sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_SHUFFLE, parameters, sizeof parameters, &binding, 1, COUNT / 64, 1,
                             1);
        go(c, tape, 0);
        conformance_words(c, COUNT);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 0, COUNT, 0)) return CASE_AGAIN;
    // Lanes of a subgroup are neighbours on every device met so far; a workgroup of 64 holds whole subgroups or one.
    const uint32_t lanes = info->subgroup_size < 64 ? info->subgroup_size : 64;
    CHECK_WORDS(c, COUNT, i / lanes * lanes);
    return CASE_DONE;
}

static case_result feature_half(conformance *c, uint32_t stage)
{
    enum { COUNT = 64 };
    if (!sx_gpu_kernel_usable(c->gpu, SX_KERNEL_TEST_HALF)) return CASE_DONE;
    CHECK(c, sx_gpu_get_info(c->gpu)->features & SX_GPU_FEATURE_FP16);
    if (stage == 0) {
        sx_gpu_tape *tape = conformance_tape(c);
        const uint32_t parameters[1] = {COUNT};
        sx_gpu_buffer *in = conformance_buffer(c, COUNT, SX_GPU_STORAGE),
                      *out = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        const float values[3] = {1024, 3, 0.5f};
        uint32_t words[3];
        memcpy(words, values, sizeof words);
        conformance_write(c, in, 0, words, 3);
        const sx_gpu_binding bindings[] = {{.buffer = in}, {.buffer = out}};
        sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_HALF, parameters, sizeof parameters, bindings, 2, 1, 1, 1);
        go(c, tape, 0);
        conformance_words(c, COUNT);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[1], 0, COUNT, 0)) return CASE_AGAIN;
    float results[4];
    memcpy(results, c->words, sizeof results);
    // 2049 lies between two halves; to even is 2048.
    if (c->computes) CHECK(c, results[0] == 2048 && results[1] == 7 && results[2] == 2 && results[3] == 1);
    return CASE_DONE;
}

const conformance_case data_cases[] = {
    {"zero_fill", zero_fill},
    {"odd_size", odd_size},
    {"large_write", large_write},
    {"read_ranges", read_ranges},
    {"seven_bindings", seven_bindings},
    {"binding_offsets", binding_offsets},
    {"hazard_chain", hazard_chain},
    {"hazard_overwrite", hazard_overwrite},
    {"barrier_count", barrier_count},
    {"copies", copies},
    {"grid_small", grid_small},
    {"grid_limit", grid_limit},
    {"grid_folded", grid_folded},
    {"grid_folded_twice", grid_folded_twice},
    {"grid_empty", grid_empty},
    {"indirect", indirect},
    {"many_parameters", many_parameters},
    {"empty_tape", empty_tape},
    {"feature_shuffle", feature_shuffle},
    {"feature_half", feature_half},
};
const uint32_t data_case_count = sizeof data_cases / sizeof data_cases[0];
