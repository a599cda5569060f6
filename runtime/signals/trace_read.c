#include "base/hash.h"
#include "signals/trace.h"

#include <stdlib.h>
#include <string.h>

struct sx_trace_reader {
    sx_file *file; // NULL over a caller's source
    const sx_source *source;
    sx_trace_info info;
    uint64_t offset; // of the next record
    bool torn;
    uint64_t checked; // bytes from the front whose hashes were right: what is read again is not hashed again
    uint8_t *body;    // a copy of the current body where the source is not mapped
    uint64_t body_size;
};

sx_status trace_reader_from_source(const sx_source *source, sx_trace_reader **out, sx_error *error)
{
    *out = NULL;
    sx_trace_info info;
    const sx_status status = trace_header_read(source, &info, error);
    if (status != SX_OK) return status;
    sx_trace_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", source->name);
    reader->source = source;
    reader->info = info;
    reader->offset = SX_TRACE_HEADER;
    *out = reader;
    return SX_OK;
}

sx_status sx_trace_reader_open(const char *path, sx_trace_reader **out, sx_error *error)
{
    *out = NULL;
    sx_file *file;
    sx_status status = sx_file_open(path, &file, error);
    if (status != SX_OK) return status;
    status = trace_reader_from_source(sx_file_source(file), out, error);
    if (status == SX_OK)
        (*out)->file = file;
    else
        sx_file_close(file);
    return status;
}

const sx_trace_info *sx_trace_reader_info(const sx_trace_reader *reader)
{
    return &reader->info;
}

// The body's bytes, aligned: in the mapping where there is one, else read.
static sx_status take_body(sx_trace_reader *reader, uint64_t offset, uint64_t size, const uint8_t **out,
                           sx_error *error)
{
    const sx_source *source = reader->source;
    if (source->mapping && ((uintptr_t)(source->mapping + offset) & 7) == 0) {
        *out = source->mapping + offset;
        return SX_OK;
    }
    if (size > reader->body_size) {
        uint8_t *grown = realloc(reader->body, (size_t)size);
        if (!grown) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory for a record", source->name);
        reader->body = grown;
        reader->body_size = size;
    }
    *out = reader->body;
    return sx_source_read(source, offset, reader->body, (size_t)size, error);
}

sx_status sx_trace_reader_next(sx_trace_reader *reader, sx_trace_record *out, sx_error *error)
{
    const sx_source *source = reader->source;
    uint64_t size = 0, hash;
    sx_status status = trace_body_size(source, reader->offset, &size, error);
    if (status == SX_PENDING) reader->torn = reader->offset < source->size;
    if (status != SX_OK) return status;
    const uint64_t at = reader->offset + SX_TRACE_RECORD_HEADER;
    const uint8_t *body = NULL;
    status = sx_source_read(source, at - sizeof hash, &hash, sizeof hash, error);
    if (status == SX_OK) status = take_body(reader, at, size, &body, error);
    if (status != SX_OK) return status;
    if (at >= reader->checked && sx_hash64(SX_HASH_START, body, (size_t)size) != hash) {
        if (at + size == source->size) { // as when the machine went down before all of it was on the disk
            reader->torn = true;
            return SX_PENDING;
        }
        return sx_fail(error, SX_ERROR_FORMAT,
                       "%s: the record at byte %llu is damaged (wrong hash); cut the file there", source->name,
                       (unsigned long long)reader->offset);
    }
    status = trace_body_read(body, size, &reader->info, source->name, reader->offset, out, error);
    if (status == SX_OK) reader->offset = at + size;
    if (reader->offset > reader->checked) reader->checked = reader->offset;
    return status;
}

void sx_trace_reader_rewind(sx_trace_reader *reader)
{
    reader->offset = SX_TRACE_HEADER;
    reader->torn = false;
}

bool sx_trace_reader_torn(const sx_trace_reader *reader)
{
    return reader->torn;
}

void sx_trace_reader_close(sx_trace_reader *reader)
{
    if (!reader) return;
    sx_file_close(reader->file);
    free(reader->body);
    free(reader);
}
