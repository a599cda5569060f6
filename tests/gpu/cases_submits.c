// Submits, tickets, readbacks, ordering with writes, warming, counters.
#include "conformance.h"

#include "kernels.gen.h"

#include <string.h>

// Polls ticket `index` for `size` bytes; false: pending.
static bool poll(conformance *c, uint32_t index, void *destination, uint64_t size)
{
    const sx_status status = sx_gpu_poll(c->gpu, c->tickets[index], destination, size, &c->error);
    if (status == SX_PENDING) return false;
    CHECK_STATUS(c, status, SX_OK);
    return true;
}

static void finish(conformance *c, sx_gpu_tape *tape)
{
    CHECK_STATUS(c, sx_gpu_tape_finish(tape, &c->error), SX_OK);
}

// The readback brings what the tape left, and only the range asked for.
static case_result readback(conformance *c, uint32_t stage)
{
    if (stage == 0) {
        sx_gpu_buffer *out = conformance_buffer(c, 500, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        record_fill(tape, out, 500, 11, 2);
        finish(c, tape);
        conformance_submit(c, tape, &(sx_gpu_readback){out, 40, 400}, 0);
        conformance_words(c, 101);
        c->words[100] = 0xDEADBEEF;
        return CASE_NEXT;
    }
    if (!poll(c, 0, c->words, 400)) return CASE_AGAIN;
    for (uint32_t i = 0; c->computes && i < 100; i++) {
        if (!CHECK(c, c->words[i] == 11 + 2 * (10 + i))) break;
    }
    CHECK(c, c->words[100] == 0xDEADBEEF);
    return CASE_DONE;
}

// A tape submitted again before its last submit has finished: each submit sees what the one before it left.
static case_result resubmit_in_flight(conformance *c, uint32_t stage)
{
    enum { ROUNDS = 9, COUNT = 20000 };
    if (stage == 0) {
        sx_gpu_buffer *one = conformance_buffer(c, COUNT, SX_GPU_STORAGE),
                      *sum = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        sx_gpu_tape *setup = conformance_tape(c), *add = conformance_tape(c);
        record_fill(setup, one, COUNT, 1, 1);
        record_add(add, one, sum, COUNT, 2);
        finish(c, setup);
        finish(c, add);
        conformance_submit(c, setup, NULL, 0);
        for (uint32_t i = 0; i < ROUNDS; i++) {
            conformance_submit(c, add, NULL, 1 + i);
        }
        conformance_words(c, COUNT);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[1], 0, COUNT, 0)) return CASE_AGAIN;
    for (uint32_t i = 0; c->computes && i < COUNT; i++) {
        if (!CHECK(c, c->words[i] == (1 + i) * ((1u << ROUNDS) - 1))) break;
    }
    return CASE_DONE;
}

// Three readbacks outstanding, the fourth refused; polled last first, each with its own bytes; spent afterwards.
static case_result readback_ring(conformance *c, uint32_t stage)
{
    if (stage == 0) {
        sx_gpu_buffer *out = conformance_buffer(c, 64, SX_GPU_STORAGE),
                      *one = conformance_buffer(c, 64, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c), *setup = conformance_tape(c);
        record_fill(setup, one, 64, 1, 0);
        record_add(tape, one, out, 64, 1);
        finish(c, setup);
        finish(c, tape);
        conformance_submit(c, setup, NULL, 9);
        const sx_gpu_readback range = {out, 0, 256};
        for (uint32_t i = 0; i < SX_GPU_TICKETS_IN_FLIGHT; i++) {
            conformance_submit(c, tape, &range, i);
        }
        CHECK_STATUS(c, sx_gpu_submit(c->gpu, tape, &range, &c->tickets[8], &c->error), SX_ERROR_BUSY);
        CHECK(c, c->tickets[8] == 0);
        conformance_submit(c, tape, NULL, 8); // without a readback there is no such limit
        conformance_words(c, 64);
        return CASE_NEXT;
    }
    if (stage <= SX_GPU_TICKETS_IN_FLIGHT) {
        const uint32_t index = SX_GPU_TICKETS_IN_FLIGHT - stage;
        if (!poll(c, index, c->words, 256)) return CASE_AGAIN;
        for (uint32_t i = 0; c->computes && i < 64; i++) {
            if (!CHECK(c, c->words[i] == index + 1)) break;
        }
        return CASE_NEXT;
    }
    if (stage == SX_GPU_TICKETS_IN_FLIGHT + 1) {
        for (uint32_t i = 0; i < SX_GPU_TICKETS_IN_FLIGHT; i++) {
            CHECK_STATUS(c, sx_gpu_poll(c->gpu, c->tickets[i], c->words, 256, &c->error), SX_ERROR_ARGUMENT);
            CHECK(c, strstr(c->error.message, "spent ticket") != NULL);
        }
        conformance_submit(c, c->tapes[0], &(sx_gpu_readback){c->buffers[0], 0, 256}, 0); // the slots are free again
        return CASE_NEXT;
    }
    if (!poll(c, 0, c->words, 256)) return CASE_AGAIN;
    if (c->computes) CHECK(c, c->words[63] == SX_GPU_TICKETS_IN_FLIGHT + 2);
    return CASE_DONE;
}

static case_result ticket_misuse(conformance *c, uint32_t stage)
{
    uint32_t words[4];
    if (stage == 0) {
        sx_gpu_buffer *out = conformance_buffer(c, 4, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        record_fill(tape, out, 4, 1, 0);
        finish(c, tape);
        conformance_submit(c, tape, &(sx_gpu_readback){out, 0, 16}, 0);
        conformance_submit(c, tape, NULL, 1);
        CHECK(c, c->tickets[0] != 0 && c->tickets[1] == c->tickets[0] + 1);
        CHECK_STATUS(c, sx_gpu_poll(c->gpu, 0, NULL, 0, &c->error), SX_ERROR_ARGUMENT);
        CHECK(c, strstr(c->error.message, "unknown ticket") != NULL);
        CHECK_STATUS(c, sx_gpu_poll(c->gpu, c->tickets[1] + 1, NULL, 0, &c->error), SX_ERROR_ARGUMENT);
        CHECK_STATUS(c, sx_gpu_wait(c->gpu, c->tickets[1] + 1, 0, &c->error), SX_ERROR_ARGUMENT);
        CHECK_STATUS(c, sx_gpu_poll(c->gpu, c->tickets[0], words, 12, &c->error), SX_ERROR_ARGUMENT);
        CHECK(c, strstr(c->error.message, "readback size") != NULL);
        CHECK_STATUS(c, sx_gpu_poll(c->gpu, c->tickets[0], NULL, 0, &c->error), SX_ERROR_ARGUMENT);
        CHECK_STATUS(c, sx_gpu_poll(c->gpu, c->tickets[1], words, 16, &c->error), SX_ERROR_ARGUMENT);
        return CASE_NEXT;
    }
    if (stage == 1) {
        if (!poll(c, 1, NULL, 0)) return CASE_AGAIN; // out of order
        CHECK_STATUS(c, sx_gpu_poll(c->gpu, c->tickets[1], NULL, 0, &c->error), SX_ERROR_ARGUMENT);
        CHECK(c, strstr(c->error.message, "spent ticket") != NULL);
        return CASE_NEXT;
    }
    if (!poll(c, 0, words, 16)) return CASE_AGAIN;
    CHECK(c, !c->computes || words[3] == 1);
    return CASE_DONE;
}

// Writes take effect between the submits around them: the first submit must not see the second write.
static case_result write_order(conformance *c, uint32_t stage)
{
    enum { ROUNDS = 8, COUNT = 4096 };
    if (stage == 0) {
        sx_gpu_buffer *in = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        sx_gpu_buffer *log = conformance_buffer(c, ROUNDS * COUNT, SX_GPU_STORAGE);
        uint32_t *words = conformance_words(c, ROUNDS * COUNT);
        for (uint32_t round = 0; round < ROUNDS; round++) {
            for (uint32_t i = 0; i < COUNT; i++) {
                words[i] = round * 100000 + i;
            }
            conformance_write(c, in, 0, words, COUNT);
            sx_gpu_tape *tape = conformance_tape(c);
            sx_gpu_tape_copy(tape, in, 0, log, round * COUNT * 4, COUNT * 4);
            finish(c, tape);
            conformance_submit(c, tape, NULL, round);
        }
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[1], 0, ROUNDS * COUNT, 0)) return CASE_AGAIN;
    for (uint32_t i = 0; c->computes && i < ROUNDS * COUNT; i++) {
        if (!CHECK(c, c->words[i] == i / COUNT * 100000 + i % COUNT)) break;
    }
    return CASE_DONE;
}

// A write between two submits of one tape, to a buffer that tape reads and writes.
static case_result write_between_resubmits(conformance *c, uint32_t stage)
{
    enum { COUNT = 50000 };
    if (stage == 0) {
        sx_gpu_buffer *a = conformance_buffer(c, COUNT, SX_GPU_STORAGE),
                      *sum = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        uint32_t *words = conformance_words(c, COUNT);
        sx_gpu_tape *tape = conformance_tape(c);
        record_add(tape, a, sum, COUNT, 10);
        finish(c, tape);
        for (uint32_t round = 1; round <= 5; round++) {
            for (uint32_t i = 0; i < COUNT; i++) {
                words[i] = round;
            }
            conformance_write(c, a, 0, words, COUNT);
            conformance_submit(c, tape, NULL, round);
        }
        const uint32_t zero = 0;
        conformance_write(c, sum, 3, &zero, 1);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[1], 0, COUNT, 0)) return CASE_AGAIN;
    for (uint32_t i = 0; c->computes && i < COUNT; i++) {
        if (!CHECK(c, c->words[i] == (i == 3 ? 0 : 12345))) break;
    }
    return CASE_DONE;
}

// More submits than any backend keeps in flight.
static case_result many_submits(conformance *c, uint32_t stage)
{
    enum { SUBMITS = 60 };
    if (stage == 0) {
        sx_gpu_buffer *one = conformance_buffer(c, 64, SX_GPU_STORAGE),
                      *sum = conformance_buffer(c, 64, SX_GPU_STORAGE);
        const uint32_t value = 1;
        conformance_write(c, one, 5, &value, 1);
        sx_gpu_tape *tape = conformance_tape(c);
        record_add(tape, one, sum, 64, 1);
        finish(c, tape);
        for (uint32_t i = 0; i < SUBMITS; i++) {
            conformance_submit(c, tape, NULL, i);
        }
        return CASE_NEXT;
    }
    if (stage == 1) {
        if (!poll(c, SUBMITS - 1, NULL, 0)) return CASE_AGAIN;
        // Those before it are finished too, and may still be polled.
        CHECK_STATUS(c, sx_gpu_poll(c->gpu, c->tickets[0], NULL, 0, &c->error), SX_OK);
        conformance_words(c, 64);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[1], 0, 64, 0)) return CASE_AGAIN;
    if (c->computes) CHECK(c, c->words[5] == SUBMITS && c->words[4] == 0);
    return CASE_DONE;
}

// Objects may go while work that names them is staged or running.
static case_result destroy_early(conformance *c, uint32_t stage)
{
    enum { COUNT = 100000 };
    if (stage == 0) {
        sx_gpu_buffer *gone;
        sx_gpu_tape *tape;
        uint32_t *words = conformance_words(c, COUNT);
        CHECK_STATUS(c, sx_gpu_buffer_create(c->gpu, COUNT * 4, SX_GPU_STORAGE, "gone", &gone, &c->error), SX_OK);
        conformance_write(c, gone, 0, words, COUNT);
        sx_gpu_buffer_destroy(c->gpu, gone); // written, never submitted

        sx_gpu_buffer *kept = conformance_buffer(c, COUNT, SX_GPU_STORAGE);
        CHECK_STATUS(c, sx_gpu_tape_create(c->gpu, "never submitted", &tape, &c->error), SX_OK);
        record_fill(tape, kept, COUNT, 1, 1);
        finish(c, tape);
        sx_gpu_tape_destroy(c->gpu, tape);
        CHECK_STATUS(c, sx_gpu_tape_create(c->gpu, "never finished", &tape, &c->error), SX_OK);
        record_fill(tape, kept, COUNT, 2, 1);
        sx_gpu_tape_destroy(c->gpu, tape);
        CHECK_STATUS(c, sx_gpu_tape_create(c->gpu, "running", &tape, &c->error), SX_OK);
        record_fill(tape, kept, COUNT, 3, 1);
        finish(c, tape);
        conformance_submit(c, tape, NULL, 0);
        sx_gpu_tape_destroy(c->gpu, tape);
        sx_gpu_buffer_destroy(c->gpu, NULL);
        sx_gpu_tape_destroy(c->gpu, NULL);
        return CASE_NEXT;
    }
    if (!conformance_read(c, c->buffers[0], 0, COUNT, 0)) return CASE_AGAIN;
    if (c->computes) CHECK(c, c->words[COUNT - 1] == 3 + COUNT - 1);
    return CASE_DONE;
}

static case_result warm(conformance *c, uint32_t stage)
{
    const sx_kernel kernels[] = {SX_KERNEL_TEST_FILL, SX_KERNEL_TEST_ADD, SX_KERNEL_TEST_FILL, SX_KERNEL_TEST_CHAIN};
    if (stage == 0) {
        CHECK_STATUS(c, sx_gpu_warm(c->gpu, kernels, 4, &c->error), SX_OK);
        return CASE_NEXT;
    }
    if (stage == 1) {
        uint32_t done = 99;
        const sx_status status = sx_gpu_warm_poll(c->gpu, &done, &c->error);
        CHECK(c, done <= 4);
        if (status == SX_PENDING) return CASE_AGAIN;
        CHECK_STATUS(c, status, SX_OK);
        CHECK(c, done == 4);
        CHECK_STATUS(c, sx_gpu_warm(c->gpu, NULL, 0, &c->error), SX_OK);
        return CASE_NEXT;
    }
    const sx_status status = sx_gpu_warm_poll(c->gpu, NULL, &c->error);
    if (status == SX_PENDING) return CASE_AGAIN;
    CHECK_STATUS(c, status, SX_OK);
    return CASE_DONE;
}

static case_result counters(conformance *c, uint32_t stage)
{
    sx_gpu_counters now;
    if (stage == 0) {
        sx_gpu_get_counters(c->gpu, &now);
        c->counts[0] = now.submits;
        c->counts[1] = now.readbacks;
        c->counts[2] = now.readback_bytes;
        c->counts[3] = now.writes;
        c->counts[4] = now.write_bytes;
        c->counts[5] = now.memory_used;
        sx_gpu_buffer *out = conformance_buffer(c, 1000, SX_GPU_STORAGE);
        const uint32_t words[3] = {1, 2, 3};
        conformance_write(c, out, 0, words, 3);
        sx_gpu_tape *tape = conformance_tape(c);
        record_fill(tape, out, 8, 1, 0);
        finish(c, tape);
        conformance_submit(c, tape, NULL, 0);
        conformance_submit(c, tape, &(sx_gpu_readback){out, 0, 32}, 1);
        return CASE_NEXT;
    }
    uint32_t words[8];
    if (!poll(c, 1, words, 32)) return CASE_AGAIN;
    sx_gpu_get_counters(c->gpu, &now);
    CHECK(c, now.submits == c->counts[0] + 2);
    CHECK(c, now.readbacks == c->counts[1] + 1 && now.readback_bytes == c->counts[2] + 32);
    CHECK(c, now.writes == c->counts[3] + 1 && now.write_bytes == c->counts[4] + 12);
    CHECK(c, now.memory_used == c->counts[5] + 4000);
    return CASE_DONE;
}

// Waiting does not spend a ticket; where a backend cannot wait it says pending at once.
static case_result waiting(conformance *c, uint32_t stage)
{
    if (stage == 0) {
        sx_gpu_buffer *out = conformance_buffer(c, 100000, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        for (uint32_t i = 0; i < 20; i++) {
            record_fill(tape, out, 100000, i, 0);
        }
        finish(c, tape);
        conformance_submit(c, tape, &(sx_gpu_readback){out, 0, 4}, 0);
        const sx_status status = sx_gpu_wait(c->gpu, c->tickets[0], 0, &c->error);
        CHECK(c, status == SX_OK || status == SX_PENDING);
        return CASE_NEXT;
    }
    if (stage == 1) {
        const sx_status status = sx_gpu_wait(c->gpu, c->tickets[0], 10000, &c->error);
        CHECK(c, status == SX_OK || status == SX_PENDING);
        if (sx_gpu_get_info(c->gpu)->backend != SX_GPU_BACKEND_WEBGPU) CHECK_STATUS(c, status, SX_OK);
        return CASE_NEXT;
    }
    uint32_t word = 0;
    if (!poll(c, 0, &word, 4)) return CASE_AGAIN;
    CHECK(c, !c->computes || word == 19);
    return CASE_DONE;
}

static case_result device_seconds(conformance *c, uint32_t stage)
{
    if (stage == 0) {
        sx_gpu_buffer *out = conformance_buffer(c, 1000, SX_GPU_STORAGE);
        sx_gpu_tape *tape = conformance_tape(c);
        record_fill(tape, out, 1000, 1, 0);
        finish(c, tape);
        conformance_submit(c, tape, NULL, 0);
        return CASE_NEXT;
    }
    if (!poll(c, 0, NULL, 0)) return CASE_AGAIN;
    const double seconds = sx_gpu_last_seconds(c->gpu);
    if (c->computes && sx_gpu_get_info(c->gpu)->backend == SX_GPU_BACKEND_VULKAN &&
        (sx_gpu_get_info(c->gpu)->features & SX_GPU_FEATURE_TIMESTAMPS)) {
        CHECK(c, seconds >= 0 && seconds < 60);
    } else {
        CHECK(c, seconds < 60); // negative where the device cannot tell
    }
    return CASE_DONE;
}

static case_result device_info(conformance *c, uint32_t stage)
{
    (void)stage;
    const sx_gpu_info *info = sx_gpu_get_info(c->gpu);
    CHECK(c, info->name[0] && info->driver[0] && info->identity != 0);
    CHECK(c, info->subgroup_size >= 1 && info->subgroup_size <= 256);
    CHECK(c, info->max_binding_size >= (128u << 20) - 4 && info->max_binding_size % 4 == 0);
    CHECK(c, info->max_buffer_size >= 128u << 20);
    CHECK(c, info->memory_budget <= info->memory_total || info->memory_total == 0);
    CHECK(c, strcmp(sx_kernel_name(SX_KERNEL_TEST_ADD), "test_add") == 0);
    CHECK(c, sx_kernel_find("test_chain") == SX_KERNEL_TEST_CHAIN);
    CHECK(c, sx_kernel_find("no such kernel") == SX_KERNEL_COUNT);
    CHECK(c, !sx_gpu_kernel_usable(c->gpu, SX_KERNEL_COUNT));
    CHECK(c, sx_gpu_kernel_usable(c->gpu, SX_KERNEL_TEST_FILL));
    sx_gpu_save_cache(c->gpu); // without a folder this does nothing
    return CASE_DONE;
}

const conformance_case submit_cases[] = {
    {"readback", readback},
    {"resubmit_in_flight", resubmit_in_flight},
    {"readback_ring", readback_ring},
    {"ticket_misuse", ticket_misuse},
    {"write_order", write_order},
    {"write_between_resubmits", write_between_resubmits},
    {"many_submits", many_submits},
    {"destroy_early", destroy_early},
    {"warm", warm},
    {"counters", counters},
    {"waiting", waiting},
    {"device_seconds", device_seconds},
    {"device_info", device_info},
};
const uint32_t submit_case_count = sizeof submit_cases / sizeof submit_cases[0];
