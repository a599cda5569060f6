// The trace file: written and read back, cut at every byte, changed at every byte, two writers, a full disk.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "signals/trace.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { WIDTH = 6, TOKENS = 9, RECORDS = 3 };

static char path[64];
static uint32_t tokens[TOKENS], state_index[TOKENS];
static uint16_t states[TOKENS * WIDTH];
static sx_trace_boundary boundaries[2];

static sx_trace_info trace_info(void)
{
    sx_trace_info info = {.model = {.exact = 11, .family = 22, .state_count = 3, .state_layers = {1, 2, 3}},
                          .model_name = "small",
                          .format = "F16",
                          .setting = "greedy",
                          .every_token = true};
    info.model.state_width = WIDTH;
    return info;
}

static sx_trace_record make_record(uint32_t number)
{
    for (uint32_t i = 0; i < TOKENS; i++) {
        tokens[i] = 100 * number + i;
        state_index[i] = i;
    }
    for (uint32_t i = 0; i < TOKENS * WIDTH; i++)
        states[i] = (uint16_t)(0x3C00 + number + i);
    boundaries[0] = (sx_trace_boundary){3, 0.25f, 2, SX_TRACE_PROBED | SX_TRACE_RIGHT, 0};
    boundaries[1] = (sx_trace_boundary){8, 1.0f, 1, SX_TRACE_PROBED, 0};
    return (sx_trace_record){.prompt_hash = 1000 + number,
                             .flags = SX_TRACE_KNOWN,
                             .answer_count = 4,
                             .thinking_count = TOKENS,
                             .boundary_count = 2,
                             .state_count = TOKENS,
                             .tokens = tokens,
                             .boundaries = boundaries,
                             .state_index = state_index,
                             .states = states};
}

static sx_trace_writer *open_writer(uint32_t *kept)
{
    const sx_trace_info info = trace_info();
    sx_trace_writer *writer;
    sx_error error = {0};
    if (sx_trace_writer_open(path, &info, &writer, kept, &error) != SX_OK) fail_msg("%s", error.message);
    return writer;
}

static void write_records(void)
{
    unlink(path);
    sx_trace_writer *writer = open_writer(NULL);
    for (uint32_t i = 0; i < RECORDS; i++) {
        const sx_trace_record record = make_record(i);
        assert_int_equal(sx_trace_writer_append(writer, &record, NULL), SX_OK);
        assert_true(sx_trace_writer_has(writer, 1000 + i));
    }
    assert_false(sx_trace_writer_has(writer, 999));
    sx_trace_writer_close(writer);
}

static uint8_t *read_whole(size_t *size)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

static void write_whole(const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

// Reads to the end; what ended it.
static sx_status read_all(const uint8_t *bytes, size_t size, uint32_t *count, bool *torn)
{
    const sx_source source = sx_source_memory("memory", bytes, size);
    sx_trace_reader *reader;
    sx_trace_record record;
    sx_error error = {0};
    *count = 0;
    *torn = false;
    sx_status status = trace_reader_from_source(&source, &reader, &error);
    if (status != SX_OK) {
        assert_non_null(strstr(error.message, "memory"));
        return status;
    }
    while ((status = sx_trace_reader_next(reader, &record, &error)) == SX_OK)
        ++*count;
    *torn = sx_trace_reader_torn(reader);
    sx_trace_reader_close(reader);
    if (status != SX_PENDING) assert_non_null(strstr(error.message, "memory"));
    return status;
}

static void test_round_trip(void **state)
{
    (void)state;
    write_records();
    sx_trace_reader *reader;
    sx_trace_record record;
    assert_int_equal(sx_trace_reader_open(path, &reader, NULL), SX_OK);
    const sx_trace_info info = trace_info(), *read = sx_trace_reader_info(reader);
    assert_memory_equal(read, &info, sizeof info);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < RECORDS; i++) {
            assert_int_equal(sx_trace_reader_next(reader, &record, NULL), SX_OK);
            const sx_trace_record wanted = make_record(i);
            assert_int_equal(record.prompt_hash, wanted.prompt_hash);
            assert_int_equal(record.answer_count, 4);
            assert_memory_equal(record.tokens, tokens, sizeof tokens);
            assert_memory_equal(record.boundaries, boundaries, sizeof boundaries);
            assert_memory_equal(record.state_index, state_index, sizeof state_index);
            assert_memory_equal(record.states, states, sizeof states);
        }
        assert_int_equal(sx_trace_reader_next(reader, &record, NULL), SX_PENDING);
        assert_false(sx_trace_reader_torn(reader));
        sx_trace_reader_rewind(reader);
    }
    sx_trace_reader_close(reader);
}

// Killed at any moment: what was whole stays, and going on gives the very bytes of an undisturbed run.
static void test_killed_anywhere(void **state)
{
    (void)state;
    write_records();
    size_t size;
    uint8_t *bytes = read_whole(&size);
    const size_t record_bytes = (size - SX_TRACE_HEADER) / RECORDS;
    for (size_t cut = 0; cut < size; cut++) {
        write_whole(bytes, cut);
        uint32_t kept = 99;
        sx_trace_writer *writer = open_writer(&kept);
        const uint32_t whole = cut < SX_TRACE_HEADER ? 0 : (uint32_t)((cut - SX_TRACE_HEADER) / record_bytes);
        assert_int_equal(kept, whole);
        for (uint32_t i = whole; i < RECORDS; i++) {
            const sx_trace_record record = make_record(i);
            assert_int_equal(sx_trace_writer_append(writer, &record, NULL), SX_OK);
        }
        sx_trace_writer_close(writer);
        size_t again;
        uint8_t *resumed = read_whole(&again);
        assert_int_equal(again, size);
        assert_memory_equal(resumed, bytes, size);
        free(resumed);
        if (cut > SX_TRACE_HEADER + record_bytes && cut % 7) cut += 5; // every byte of the first record, some later
    }
    free(bytes);
}

static void test_changed_anywhere(void **state)
{
    (void)state;
    write_records();
    size_t size;
    uint8_t *bytes = read_whole(&size);
    const size_t last = size - (size - SX_TRACE_HEADER) / RECORDS;
    for (size_t at = 0; at < size; at++) {
        uint32_t count;
        bool torn;
        bytes[at] ^= 0x41;
        const sx_status status = read_all(bytes, size, &count, &torn);
        bytes[at] ^= 0x41;
        if (at < SX_TRACE_HEADER)
            assert_true(status == SX_ERROR_FORMAT || status == SX_ERROR_UNSUPPORTED);
        else if (at < last)
            assert_true(status == SX_ERROR_FORMAT || torn);
        else
            assert_true(torn || status == SX_ERROR_FORMAT);
        assert_true(count < RECORDS);
    }
    free(bytes);
}

static void test_other_model(void **state)
{
    (void)state;
    write_records();
    sx_trace_writer *writer;
    sx_error error = {0};
    sx_trace_info info = trace_info();
    bool other_format = false;
    sx_model_identity model = info.model;
    model.exact++;
    assert_int_equal(sx_trace_check_model(&info, path, &model, &other_format, &error), SX_OK);
    assert_true(other_format);
    info.model.exact++;
    assert_int_equal(sx_trace_writer_open(path, &info, &writer, NULL, &error), SX_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "quantisation"));
    info.model.family++;
    assert_int_equal(sx_trace_writer_open(path, &info, &writer, NULL, &error), SX_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "another model"));
    info = trace_info();
    info.model.state_layers[1] = 7;
    assert_int_equal(sx_trace_writer_open(path, &info, &writer, NULL, &error), SX_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "other layers"));
    info = trace_info();
    strcpy(info.setting, "temperature 1");
    assert_int_equal(sx_trace_writer_open(path, &info, &writer, NULL, &error), SX_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "other settings"));
    // What was refused left the file as it was.
    uint32_t kept;
    sx_trace_writer_close(open_writer(&kept));
    assert_int_equal(kept, RECORDS);
}

static void test_two_writers(void **state)
{
    (void)state;
    write_records();
    sx_trace_writer *first = open_writer(NULL), *second;
    const sx_trace_info info = trace_info();
    sx_error error = {0};
    assert_int_equal(sx_trace_writer_open(path, &info, &second, NULL, &error), SX_ERROR_BUSY);
    assert_non_null(strstr(error.message, "another program is writing"));
    sx_trace_writer_close(first);
    sx_trace_writer_close(open_writer(NULL));
}

static void test_not_a_number(void **state)
{
    (void)state;
    write_records();
    sx_trace_writer *writer = open_writer(NULL);
    sx_trace_record record = make_record(7);
    sx_error error = {0};
    const uint64_t before = sx_trace_writer_bytes(writer);
    states[5] = 0x7E00;
    assert_int_equal(sx_trace_writer_append(writer, &record, &error), SX_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "not a number"));
    record = make_record(7);
    boundaries[1].index = 2; // before the first
    assert_int_equal(sx_trace_writer_append(writer, &record, &error), SX_ERROR_FORMAT);
    assert_int_equal(sx_trace_writer_bytes(writer), before);
    sx_trace_writer_close(writer);
}

// A file size limit stands for a disk that runs full in the middle of a record.
static void test_full_disk(void **state)
{
    (void)state;
    write_records();
    sx_trace_writer *writer = open_writer(NULL);
    const sx_trace_record record = make_record(7);
    struct rlimit old, low;
    sx_error error = {0};
    const uint64_t before = sx_trace_writer_bytes(writer);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    low = old;
    low.rlim_cur = before + 50;
    setrlimit(RLIMIT_FSIZE, &low);
    const sx_status status = sx_trace_writer_append(writer, &record, &error);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_int_equal(status, SX_ERROR_FILE);
    assert_non_null(strstr(error.message, path));
    size_t size;
    free(read_whole(&size));
    assert_int_equal(size, before);
    assert_int_equal(sx_trace_writer_append(writer, &record, &error), SX_OK);
    sx_trace_writer_close(writer);
}

static void test_no_trace(void **state)
{
    (void)state;
    uint32_t count;
    bool torn;
    uint8_t bytes[SX_TRACE_HEADER] = "GGUF";
    assert_int_equal(read_all(bytes, 4, &count, &torn), SX_ERROR_FORMAT);
    assert_int_equal(read_all(bytes, sizeof bytes, &count, &torn), SX_ERROR_FORMAT);
    sx_trace_reader *reader;
    assert_int_equal(sx_trace_reader_open("/nowhere/a.trace", &reader, NULL), SX_ERROR_FILE);
}

int main(void)
{
    snprintf(path, sizeof path, "/tmp/test_trace.%ld", (long)getpid());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_killed_anywhere),
        cmocka_unit_test(test_changed_anywhere), cmocka_unit_test(test_other_model),
        cmocka_unit_test(test_two_writers),      cmocka_unit_test(test_not_a_number),
        cmocka_unit_test(test_full_disk),        cmocka_unit_test(test_no_trace),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
