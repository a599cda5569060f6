// The conformance suite of the GPU layer: the same cases on every backend. A case is a function called with stage 0, 1,
// 2 ... until it is done. It never blocks, since a browser cannot: where the device has not finished yet it returns
// CASE_AGAIN and is called once more with the same stage later.
#ifndef SX_TESTS_GPU_CONFORMANCE_H
#define SX_TESTS_GPU_CONFORMANCE_H

#include "gpu/gpu.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum case_result { CASE_NEXT, CASE_AGAIN, CASE_DONE } case_result;

enum { CONFORMANCE_MAX_OBJECTS = 64, CONFORMANCE_MAX_TICKETS = 64 };

typedef struct conformance {
    sx_gpu *gpu;
    const char *name;  // of the running case
    bool computes;     // false on the null backend: contents are not checked
    uint32_t failures; // of the running case
    uint32_t checks;   // of all cases, so that a suite that checks nothing shows
    sx_error error;    // of the last call
    // What the running case made; destroyed when it ends.
    sx_gpu_buffer *buffers[CONFORMANCE_MAX_OBJECTS];
    uint32_t buffer_count;
    sx_gpu_tape *tapes[CONFORMANCE_MAX_OBJECTS];
    uint32_t tape_count;
    sx_gpu_ticket tickets[CONFORMANCE_MAX_TICKETS];
    uint32_t *words; // scratch of the case, freed when it ends
    uint64_t counts[8];
} conformance;

typedef struct conformance_case {
    const char *name;
    case_result (*run)(conformance *c, uint32_t stage);
} conformance_case;

extern const conformance_case data_cases[];
extern const uint32_t data_case_count;
extern const conformance_case submit_cases[];
extern const uint32_t submit_case_count;
extern const conformance_case refusal_cases[];
extern const uint32_t refusal_case_count;

// ---- Helpers -------------------------------------------------------------------------------------------------------

// Notes a failure with file and line unless `holds`; returns `holds`.
bool conformance_check(conformance *c, bool holds, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
#define CHECK(c, condition) conformance_check(c, condition, __FILE__, __LINE__, "%s", #condition)
// The call returns `status` (and says so in words when it does not).
#define CHECK_STATUS(c, call, wanted) conformance_check_status(c, call, wanted, __FILE__, __LINE__, #call)
bool conformance_check_status(conformance *c, sx_status got, sx_status wanted, const char *file, int line,
                              const char *call);

sx_gpu_buffer *conformance_buffer(conformance *c, uint64_t words, uint32_t usage);
sx_gpu_tape *conformance_tape(conformance *c);
uint32_t *conformance_words(conformance *c, uint64_t count); // zeroed
void conformance_write(conformance *c, sx_gpu_buffer *buffer, uint64_t first_word, const uint32_t *words,
                       uint64_t count);
// Submits; the ticket goes to c->tickets[index]. `readback` may be NULL.
void conformance_submit(conformance *c, sx_gpu_tape *tape, const sx_gpu_readback *readback, uint32_t index);
// Reads `count` words into c->words + place; false: not there yet, call again. Failures count as there.
bool conformance_read(conformance *c, sx_gpu_buffer *buffer, uint64_t first_word, uint64_t count, uint64_t place);

// Commands of the test kernels, on whole buffers from `offset` bytes on where they take one.
void record_fill(sx_gpu_tape *tape, sx_gpu_buffer *out, uint32_t count, uint32_t value, uint32_t step);
void record_fill_at(sx_gpu_tape *tape, sx_gpu_buffer *out, uint64_t offset, uint64_t size, uint32_t count,
                    uint32_t value);
void record_add(sx_gpu_tape *tape, sx_gpu_buffer *a, sx_gpu_buffer *b, uint32_t count, uint32_t factor);
void record_chain(sx_gpu_tape *tape, sx_gpu_buffer *in, sx_gpu_buffer *out, uint32_t count, uint32_t factor,
                  uint32_t addend);

// ---- Running -------------------------------------------------------------------------------------------------------

typedef struct conformance_run {
    conformance state;
    uint32_t index, stage; // of the case that runs
    uint32_t failed;       // cases
    const char *filter;    // part of a name, or NULL
    void (*print)(const char *line);
} conformance_run;

uint32_t conformance_case_total(void);
// Runs one stage. Returns false when every case is done; CASE_AGAIN is reported through `*waiting`.
bool conformance_step(conformance_run *run, bool *waiting);

#endif
