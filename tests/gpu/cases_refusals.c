// One case for each rule of the contract that is refused, and the loss of the device, which must come last.
#include "conformance.h"

#include "kernels.gen.h"

#include <string.h>

// The call is refused as a broken rule, and the message names the rule.
#define CHECK_RULE(c, call, rule)                                                                                      \
    do {                                                                                                               \
        (c)->error.message[0] = 0;                                                                                     \
        CHECK_STATUS(c, call, SX_ERROR_ARGUMENT);                                                                      \
        conformance_check(c, strstr((c)->error.message, rule) != NULL, __FILE__, __LINE__, "message \"%s\" lacks %s",  \
                          (c)->error.message, rule);                                                                   \
    } while (0)

// A dispatch that must be refused: the tape's error sticks, finishing returns it, and submitting is refused too.
static void check_dispatch(conformance *c, sx_kernel kernel, uint32_t parameter_size, const sx_gpu_binding *bindings,
                           uint32_t binding_count, const uint32_t grid[3], const char *rule)
{
    uint32_t parameters[64] = {4, 1, 1};
    sx_gpu_tape *tape = conformance_tape(c);
    CHECK(c, sx_gpu_tape_dispatch(tape, kernel, parameters, parameter_size, bindings, binding_count, grid[0], grid[1],
                                  grid[2]) == SX_ERROR_ARGUMENT);
    // A good command after it does not heal the tape.
    CHECK(c, sx_gpu_tape_copy(tape, c->buffers[0], 0, c->buffers[1], 0, 4) == SX_ERROR_ARGUMENT);
    CHECK_RULE(c, sx_gpu_tape_finish(tape, &c->error), rule);
    sx_gpu_ticket ticket = 7;
    CHECK_RULE(c, sx_gpu_submit(c->gpu, tape, NULL, &ticket, &c->error), "tape state");
    CHECK(c, ticket == 0);
}

static const uint32_t one_group[3] = {1, 1, 1};

static void two_buffers(conformance *c)
{
    conformance_buffer(c, 1024, SX_GPU_STORAGE);
    conformance_buffer(c, 1024, SX_GPU_STORAGE | SX_GPU_INDIRECT);
}

static case_result write_aliasing(conformance *c, uint32_t stage)
{
    (void)stage;
    two_buffers(c);
    sx_gpu_buffer *a = c->buffers[0];
    const sx_gpu_binding same[] = {{a, 0, 256}, {a, 0, 256}};
    check_dispatch(c, SX_KERNEL_TEST_ADD, 8, same, 2, one_group, "write aliasing");
    const sx_gpu_binding other_offset[] = {{a, 0, 256}, {a, 1024, 256}};
    check_dispatch(c, SX_KERNEL_TEST_ADD, 8, other_offset, 2, one_group, "write aliasing");
    const sx_gpu_binding both_written[] = {{a, 0, 256}, {a, 1024, 256}};
    check_dispatch(c, SX_KERNEL_TEST_GRID, 4, both_written, 2, one_group, "write aliasing");
    return CASE_DONE;
}

static case_result indirect_aliasing(conformance *c, uint32_t stage)
{
    (void)stage;
    two_buffers(c);
    const uint32_t parameters[4] = {4, 1, 1, 0};
    sx_gpu_buffer *plain = c->buffers[0], *arguments = c->buffers[1];
    const sx_gpu_binding written = {arguments, 1024, 256}, other = {plain, 0, 0};
    const sx_gpu_binding read[] = {{arguments, 1024, 256}, {plain, 0, 0}};

    sx_gpu_tape *tape = conformance_tape(c);
    sx_gpu_tape_dispatch_indirect(tape, SX_KERNEL_TEST_FILL, parameters, 16, &written, 1, arguments, 0);
    CHECK_RULE(c, sx_gpu_tape_finish(tape, &c->error), "write aliasing");
    tape = conformance_tape(c);
    sx_gpu_tape_dispatch_indirect(tape, SX_KERNEL_TEST_FILL, parameters, 16, &other, 1, plain, 0);
    CHECK_RULE(c, sx_gpu_tape_finish(tape, &c->error), "usage");
    tape = conformance_tape(c);
    sx_gpu_tape_dispatch_indirect(tape, SX_KERNEL_TEST_FILL, parameters, 16, &other, 1, arguments, 2);
    CHECK_RULE(c, sx_gpu_tape_finish(tape, &c->error), "word alignment");
    tape = conformance_tape(c);
    sx_gpu_tape_dispatch_indirect(tape, SX_KERNEL_TEST_FILL, parameters, 16, &other, 1, arguments, 4096 - 8);
    CHECK_RULE(c, sx_gpu_tape_finish(tape, &c->error), "range");
    // Reading the arguments' buffer in the dispatch they belong to is allowed.
    tape = conformance_tape(c);
    CHECK_STATUS(c, sx_gpu_tape_dispatch_indirect(tape, SX_KERNEL_TEST_ADD, parameters, 8, read, 2, arguments, 0),
                 SX_OK);
    CHECK_STATUS(c, sx_gpu_tape_finish(tape, &c->error), SX_OK);
    return CASE_DONE;
}

static case_result bad_bindings(conformance *c, uint32_t stage)
{
    (void)stage;
    two_buffers(c);
    sx_gpu_buffer *a = c->buffers[0];
    const sx_gpu_binding misaligned = {a, 128, 256}, beyond = {a, 4096, 0}, long_range = {a, 256, 4096};
    const sx_gpu_binding odd = {a, 0, 10}, none = {NULL, 0, 0}, huge = {a, UINT64_MAX - 255, 256};
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &misaligned, 1, one_group, "offset alignment");
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &beyond, 1, one_group, "range");
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &long_range, 1, one_group, "range");
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &huge, 1, one_group, "range");
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &odd, 1, one_group, "word alignment");
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &none, 1, one_group, "missing buffer");
    const sx_gpu_binding two[] = {{a, 0, 256}, {c->buffers[1], 0, 0}};
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, two, 2, one_group, "binding count");
    check_dispatch(c, SX_KERNEL_TEST_ADD, 8, two, 1, one_group, "binding count");
    check_dispatch(c, SX_KERNEL_TEST_ADD, 12, two, 2, one_group, "parameter size");
    check_dispatch(c, SX_KERNEL_TEST_ADD, 4, two, 2, one_group, "parameter size");
    check_dispatch(c, SX_KERNEL_COUNT, 4, two, 2, one_group, "usable kernel");
    sx_gpu_buffer *arguments = conformance_buffer(c, 64, SX_GPU_INDIRECT);
    const sx_gpu_binding not_storage = {arguments, 0, 0};
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &not_storage, 1, one_group, "usage");
    return CASE_DONE;
}

// A range larger than the device binds; only where such a buffer can be had without taking the machine's memory.
static case_result binding_size(conformance *c, uint32_t stage)
{
    (void)stage;
    const sx_gpu_info *info = sx_gpu_get_info(c->gpu);
    const uint64_t size = info->max_binding_size + 256;
    if (size > 256u << 20 || size > info->max_buffer_size) return CASE_DONE;
    two_buffers(c);
    sx_gpu_buffer *large = conformance_buffer(c, size / 4, SX_GPU_STORAGE);
    const sx_gpu_binding whole = {large, 0, size}, rest = {large, 0, 0};
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &whole, 1, one_group, "binding size");
    sx_gpu_tape *tape = conformance_tape(c);
    const uint32_t parameters[4] = {4, 1, 1, 0};
    CHECK_STATUS(c, sx_gpu_tape_dispatch(tape, SX_KERNEL_TEST_FILL, parameters, 16, &rest, 1, 1, 1, 1), SX_OK);
    CHECK_STATUS(c, sx_gpu_tape_finish(tape, &c->error), SX_OK);
    return CASE_DONE;
}

static case_result bad_grids(conformance *c, uint32_t stage)
{
    (void)stage;
    two_buffers(c);
    const sx_gpu_binding out = {c->buffers[0], 0, 0};
    const uint32_t folded_y[3] = {65536, 2, 1}, large_y[3] = {1, 65536, 1}, large_z[3] = {1, 1, 65536};
    const uint32_t largest[3] = {UINT32_MAX, 1, 1}, folded_zero[3] = {65536, 0, 1};
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &out, 1, folded_y, "grid folding");
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &out, 1, folded_zero, "grid folding");
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &out, 1, large_y, "grid size");
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &out, 1, large_z, "grid size");
    check_dispatch(c, SX_KERNEL_TEST_FILL, 16, &out, 1, largest, "grid size");
    return CASE_DONE;
}

static case_result bad_copies(conformance *c, uint32_t stage)
{
    (void)stage;
    two_buffers(c);
    sx_gpu_buffer *a = c->buffers[0], *b = c->buffers[1];
    const struct {
        sx_gpu_buffer *source, *destination;
        uint64_t source_offset, destination_offset, size;
        const char *rule;
    } copies[] = {
        {a, a, 0, 1024, 256, "copy aliasing"}, {a, b, 2, 0, 4, "word alignment"},     {a, b, 0, 2, 4, "word alignment"},
        {a, b, 0, 0, 6, "word alignment"},     {a, b, 4096, 0, 4, "range"},           {a, b, 0, 4092, 8, "range"},
        {a, b, 0, 0, 5000, "range"},           {a, b, UINT64_MAX - 3, 0, 8, "range"},
    };
    for (size_t i = 0; i < sizeof copies / sizeof copies[0]; i++) {
        sx_gpu_tape *tape = conformance_tape(c);
        sx_gpu_tape_copy(tape, copies[i].source, copies[i].source_offset, copies[i].destination,
                         copies[i].destination_offset, copies[i].size);
        CHECK_RULE(c, sx_gpu_tape_finish(tape, &c->error), copies[i].rule);
    }
    return CASE_DONE;
}

static case_result bad_buffers(conformance *c, uint32_t stage)
{
    (void)stage;
    sx_gpu_buffer *buffer = (sx_gpu_buffer *)c;
    CHECK_RULE(c, sx_gpu_buffer_create(c->gpu, 0, SX_GPU_STORAGE, "empty", &buffer, &c->error), "empty buffer");
    CHECK(c, buffer == NULL);
    CHECK_RULE(c, sx_gpu_buffer_create(c->gpu, 4, 0, "useless", &buffer, &c->error), "empty buffer");
    CHECK_STATUS(c,
                 sx_gpu_buffer_create(c->gpu, sx_gpu_get_info(c->gpu)->max_buffer_size + 4, SX_GPU_STORAGE, "large",
                                      &buffer, &c->error),
                 SX_ERROR_GPU_MEMORY);
    CHECK(c, buffer == NULL && strstr(c->error.message, "\"large\"") != NULL);
    CHECK_STATUS(c, sx_gpu_buffer_create(c->gpu, UINT64_MAX, SX_GPU_STORAGE, "largest", &buffer, &c->error),
                 SX_ERROR_GPU_MEMORY);
    return CASE_DONE;
}

static case_result bad_transfers(conformance *c, uint32_t stage)
{
    (void)stage;
    two_buffers(c);
    sx_gpu_buffer *a = c->buffers[0];
    uint32_t words[4] = {0};
    CHECK_RULE(c, sx_gpu_write(c->gpu, a, 2, words, 4, &c->error), "word alignment");
    CHECK_RULE(c, sx_gpu_write(c->gpu, a, 0, words, 3, &c->error), "word alignment");
    CHECK_RULE(c, sx_gpu_write(c->gpu, a, 4092, words, 8, &c->error), "range");
    CHECK_RULE(c, sx_gpu_write(c->gpu, a, UINT64_MAX - 3, words, 8, &c->error), "range");
    CHECK_STATUS(c, sx_gpu_write(c->gpu, a, 4096, NULL, 0, &c->error), SX_OK);
    CHECK_RULE(c, sx_gpu_read(c->gpu, a, 1, words, 4, &c->error), "word alignment");
    CHECK_RULE(c, sx_gpu_read(c->gpu, a, 4096, words, 4, &c->error), "range");
    sx_gpu_tape *tape = conformance_tape(c);
    CHECK_STATUS(c, sx_gpu_tape_finish(tape, &c->error), SX_OK);
    sx_gpu_ticket ticket;
    CHECK_RULE(c, sx_gpu_submit(c->gpu, tape, &(sx_gpu_readback){a, 0, 0}, &ticket, &c->error), "range");
    CHECK_RULE(c, sx_gpu_submit(c->gpu, tape, &(sx_gpu_readback){a, 4096, 4}, &ticket, &c->error), "range");
    CHECK_RULE(c, sx_gpu_submit(c->gpu, tape, &(sx_gpu_readback){a, 2, 4}, &ticket, &c->error), "word alignment");
    const sx_kernel wrong = SX_KERNEL_COUNT;
    CHECK_RULE(c, sx_gpu_warm(c->gpu, &wrong, 1, &c->error), "usable kernel");
    return CASE_DONE;
}

static case_result tape_states(conformance *c, uint32_t stage)
{
    (void)stage;
    two_buffers(c);
    sx_gpu_tape *tape = conformance_tape(c);
    sx_gpu_ticket ticket;
    record_fill(tape, c->buffers[0], 4, 1, 0);
    CHECK_RULE(c, sx_gpu_submit(c->gpu, tape, NULL, &ticket, &c->error), "tape state");
    CHECK_STATUS(c, sx_gpu_tape_finish(tape, &c->error), SX_OK);
    CHECK_RULE(c, sx_gpu_tape_finish(tape, &c->error), "tape state");
    CHECK(c, sx_gpu_tape_copy(tape, c->buffers[0], 0, c->buffers[1], 0, 4) == SX_ERROR_ARGUMENT);
    CHECK_STATUS(c, sx_gpu_submit(c->gpu, tape, NULL, &ticket, &c->error), SX_OK); // the finished tape is still sound
    return CASE_DONE;
}

// After a loss every call says so, and everything can still be destroyed.
static case_result loss(conformance *c, uint32_t stage)
{
    (void)stage;
    two_buffers(c);
    sx_gpu_tape *tape = conformance_tape(c), *open = conformance_tape(c), *none = NULL;
    uint32_t words[4] = {0};
    record_fill(tape, c->buffers[0], 4, 1, 0);
    CHECK_STATUS(c, sx_gpu_tape_finish(tape, &c->error), SX_OK);
    conformance_submit(c, tape, &(sx_gpu_readback){c->buffers[0], 0, 16}, 0);
    conformance_write(c, c->buffers[0], 0, words, 4);
    record_fill(open, c->buffers[0], 4, 1, 0);
    sx_gpu_simulate_loss(c->gpu);
    sx_gpu_buffer *buffer = NULL;
    sx_gpu_ticket ticket = 0;
    const sx_kernel kernel = SX_KERNEL_TEST_FILL;
    const sx_status lost = SX_ERROR_DEVICE_LOST;
    CHECK_STATUS(c, sx_gpu_poll(c->gpu, c->tickets[0], words, 16, &c->error), lost);
    CHECK(c, strstr(c->error.message, "reopen the device") != NULL);
    CHECK_STATUS(c, sx_gpu_wait(c->gpu, c->tickets[0], 10, &c->error), lost);
    CHECK_STATUS(c, sx_gpu_submit(c->gpu, tape, NULL, &ticket, &c->error), lost);
    CHECK_STATUS(c, sx_gpu_buffer_create(c->gpu, 4, SX_GPU_STORAGE, "late", &buffer, &c->error), lost);
    CHECK_STATUS(c, sx_gpu_write(c->gpu, c->buffers[0], 0, words, 4, &c->error), lost);
    CHECK_STATUS(c, sx_gpu_read(c->gpu, c->buffers[0], 0, words, 4, &c->error), lost);
    CHECK_STATUS(c, sx_gpu_tape_create(c->gpu, "late", &none, &c->error), lost);
    CHECK_STATUS(c, sx_gpu_tape_finish(open, &c->error), lost);
    CHECK_STATUS(c, sx_gpu_warm(c->gpu, &kernel, 1, &c->error), lost);
    CHECK_STATUS(c, sx_gpu_warm_poll(c->gpu, NULL, &c->error), lost);
    CHECK(c, sx_gpu_memory_budget(c->gpu) == 0);
    sx_gpu_save_cache(c->gpu);
    return CASE_DONE;
}

const conformance_case refusal_cases[] = {
    {"write_aliasing", write_aliasing}, {"indirect_aliasing", indirect_aliasing},
    {"bad_bindings", bad_bindings},     {"binding_size", binding_size},
    {"bad_grids", bad_grids},           {"bad_copies", bad_copies},
    {"bad_buffers", bad_buffers},       {"bad_transfers", bad_transfers},
    {"tape_states", tape_states},       {"loss", loss},
};
const uint32_t refusal_case_count = sizeof refusal_cases / sizeof refusal_cases[0];
