// Trace files. The input changes bytes of a valid file, whose hashes are then made right again, so that it is the
// checks behind them that are tried.
#include "signals/trace.h"
#include "base/hash.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    WIDTH = 4,
    TOKENS = 5,
    BODY = 144,
    RECORD = SX_TRACE_RECORD_HEADER + BODY,
    WHOLE = SX_TRACE_HEADER + 2 * RECORD
};

static void put_record(uint8_t *at)
{
    const uint32_t counts[6] = {SX_TRACE_KNOWN, 3, TOKENS, 2, TOKENS, 0};
    const uint64_t bytes = BODY;
    memcpy(at, "RCD1\0\0\0", 8);
    memcpy(at + 8, &bytes, 8);
    memcpy(at + SX_TRACE_RECORD_HEADER + 8, counts, sizeof counts);
    uint8_t *boundaries = at + SX_TRACE_RECORD_HEADER + SX_TRACE_BODY_HEADER + 4 * TOKENS;
    boundaries[0] = 1;
    boundaries[sizeof(sx_trace_boundary)] = 4;
    for (uint8_t i = 0; i < TOKENS; i++)
        boundaries[2 * sizeof(sx_trace_boundary) + 4 * i] = i;
}

static uint64_t read_everything(const uint8_t *file, size_t size)
{
    const sx_source source = sx_source_memory("fuzz", file, size);
    sx_trace_reader *reader;
    sx_trace_record r;
    sx_error error;
    uint64_t sum = 0;
    if (trace_reader_from_source(&source, &reader, &error) != SX_OK) return 0;
    const uint32_t width = sx_trace_reader_info(reader)->model.state_width;
    while (sx_trace_reader_next(reader, &r, &error) == SX_OK) {
        for (uint32_t i = 0; i < r.thinking_count; i++)
            sum += r.tokens[i];
        for (uint32_t i = 0; i < r.boundary_count; i++)
            sum += r.tokens[r.boundaries[i].index];
        for (uint32_t i = 0; i < r.state_count; i++)
            sum += r.tokens[r.state_index[i]] + r.states[(size_t)i * width] + r.states[(size_t)(i + 1) * width - 1];
    }
    sx_trace_reader_close(reader);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    _Alignas(8) uint8_t file[WHOLE] = {0};
    sx_trace_info info = {.model = {.exact = 1, .family = 2, .state_count = 2, .state_width = WIDTH}};
    trace_header_make(&info, file);
    put_record(file + SX_TRACE_HEADER);
    put_record(file + SX_TRACE_HEADER + RECORD);
    const size_t length = size ? WHOLE - data[0] % 64 : WHOLE;
    for (size_t i = 1; i + 2 < size && i < 40; i += 3)
        file[(data[i] | data[i + 1] << 8) % WHOLE] ^= data[i + 2];
    for (int i = 0; i < 2; i++) {
        uint8_t *record = file + SX_TRACE_HEADER + i * RECORD;
        const uint64_t hash = sx_hash64(SX_HASH_START, record + SX_TRACE_RECORD_HEADER, BODY);
        memcpy(record + 16, &hash, sizeof hash);
    }
    const uint64_t hash = sx_hash64(SX_HASH_START, file, SX_TRACE_HEADER - 8);
    memcpy(file + SX_TRACE_HEADER - 8, &hash, sizeof hash);
    volatile uint64_t sum = read_everything(file, length);
    (void)sum;
    return 0;
}
