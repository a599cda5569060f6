#include "base/append.h"
#include "base/hash.h"
#include "signals/trace.h"

#include <stdlib.h>
#include <string.h>

struct sx_trace_writer {
    sx_append_file *file;
    sx_trace_info info;
    char *path;
    uint64_t *prompts; // hashes of those that are there
    uint32_t count, capacity;
};

static sx_status remember(sx_trace_writer *writer, uint64_t prompt_hash, sx_error *error)
{
    if (writer->count == writer->capacity) {
        const uint32_t capacity = writer->capacity ? 2 * writer->capacity : 256;
        uint64_t *grown = realloc(writer->prompts, capacity * sizeof *grown);
        if (!grown) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", writer->path);
        writer->prompts = grown;
        writer->capacity = capacity;
    }
    writer->prompts[writer->count++] = prompt_hash;
    return SX_OK;
}

static sx_status check_same(const sx_trace_writer *writer, const sx_trace_info *old, sx_error *error)
{
    const sx_trace_info *new = &writer->info;
    bool other_format;
    const sx_status status = sx_trace_check_model(old, writer->path, &new->model, &other_format, error);
    if (status != SX_OK) return status;
    if (other_format)
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "%s: was begun with another quantisation of the model (%s); go on with that one, or write to "
                       "another file",
                       writer->path, old->format);
    if (strcmp(old->setting, new->setting) != 0 || old->every_token != new->every_token)
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "%s: was begun with other settings (%.200s); give the same, or write to another file",
                       writer->path, old->setting);
    return SX_OK;
}

// Reads what is there; `*good` receives the bytes up to which it is whole.
static sx_status resume(sx_trace_writer *writer, uint64_t *good, sx_error *error)
{
    sx_trace_reader *reader;
    sx_trace_record record;
    sx_status status = sx_trace_reader_open(writer->path, &reader, error);
    if (status != SX_OK) return status;
    status = check_same(writer, sx_trace_reader_info(reader), error);
    *good = SX_TRACE_HEADER;
    while (status == SX_OK) {
        status = sx_trace_reader_next(reader, &record, error);
        if (status != SX_OK) break;
        *good += sx_trace_record_bytes(&record, writer->info.model.state_width);
        status = remember(writer, record.prompt_hash, error);
    }
    sx_trace_reader_close(reader);
    return status == SX_PENDING ? SX_OK : status;
}

sx_status sx_trace_writer_open(const char *path, const sx_trace_info *info, sx_trace_writer **out, uint32_t *kept,
                               sx_error *error)
{
    *out = NULL;
    sx_trace_writer *writer = calloc(1, sizeof *writer);
    if (writer) writer->path = malloc(strlen(path) + 1);
    if (!writer || !writer->path) {
        free(writer);
        return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", path);
    }
    strcpy(writer->path, path);
    writer->info = *info;
    sx_status status = sx_append_open(path, &writer->file, error);
    uint64_t good = 0;
    // A file that was killed before its header was whole is begun anew.
    if (status == SX_OK && sx_append_size(writer->file) >= SX_TRACE_HEADER) status = resume(writer, &good, error);
    if (status == SX_OK) status = sx_append_truncate(writer->file, good, error);
    if (status == SX_OK && !good) {
        uint8_t header[SX_TRACE_HEADER];
        trace_header_make(info, header);
        status = sx_append_write(writer->file, &(sx_append_piece){header, sizeof header}, 1, error);
    }
    if (status != SX_OK) {
        sx_trace_writer_close(writer);
        return status;
    }
    if (kept) *kept = writer->count;
    *out = writer;
    return SX_OK;
}

bool sx_trace_writer_has(const sx_trace_writer *writer, uint64_t prompt_hash)
{
    for (uint32_t i = 0; i < writer->count; i++)
        if (writer->prompts[i] == prompt_hash) return true;
    return false;
}

static bool all_numbers(const uint16_t *halves, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if ((halves[i] & 0x7C00) == 0x7C00) return false;
    return true;
}

static uint8_t *put(uint8_t *at, const void *data, size_t size)
{
    if (size) memcpy(at, data, size);
    return at + size;
}

sx_status sx_trace_writer_append(sx_trace_writer *writer, const sx_trace_record *record, sx_error *error)
{
    const uint32_t width = writer->info.model.state_width;
    const size_t values = (size_t)record->state_count * width, size = (size_t)trace_body_bytes(record, width);
    if (!all_numbers(record->states, values))
        return sx_fail(error, SX_ERROR_FORMAT,
                       "%s: a hidden state of the model is not a number; this prompt is left out", writer->path);
    uint8_t *bytes = calloc(1, SX_TRACE_RECORD_HEADER + size);
    if (!bytes) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory for a record", writer->path);
    uint8_t *body = bytes + SX_TRACE_RECORD_HEADER, *at = body;
    const uint32_t counts[6] = {record->flags,          record->answer_count, record->thinking_count,
                                record->boundary_count, record->state_count,  0};
    at = put(at, &record->prompt_hash, sizeof record->prompt_hash);
    at = put(at, counts, sizeof counts);
    at = put(at, record->tokens, sizeof *record->tokens * record->thinking_count);
    at = put(at, record->boundaries, sizeof *record->boundaries * record->boundary_count);
    at = put(at, record->state_index, sizeof *record->state_index * record->state_count);
    put(at, record->states, sizeof *record->states * values);
    const uint64_t sizes[2] = {size, sx_hash64(SX_HASH_START, body, size)};
    at = put(bytes, "RCD1\0\0\0", 8);
    put(at, sizes, sizeof sizes);
    sx_trace_record checked;
    sx_status status = trace_body_read(body, size, &writer->info, writer->path, 0, &checked, error);
    const sx_append_piece piece = {bytes, SX_TRACE_RECORD_HEADER + size};
    if (status == SX_OK) status = sx_append_write(writer->file, &piece, 1, error);
    free(bytes);
    return status == SX_OK ? remember(writer, record->prompt_hash, error) : status;
}

uint64_t sx_trace_writer_bytes(const sx_trace_writer *writer)
{
    return sx_append_size(writer->file);
}

void sx_trace_writer_close(sx_trace_writer *writer)
{
    if (!writer) return;
    sx_append_close(writer->file);
    free(writer->prompts);
    free(writer->path);
    free(writer);
}
