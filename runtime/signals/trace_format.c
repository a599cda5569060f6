#include "base/hash.h"
#include "signals/trace.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(sx_trace_boundary) == 16, "as the file has it");

typedef struct file_header {
    char magic[8];
    uint32_t version, state_width, state_count, every_token;
    uint64_t exact, family;
    uint32_t state_layers[SX_STATES_MOST];
    char model_name[128], format[48], setting[256];
    uint8_t zeros[632 - 504];
    uint64_t hash;
} file_header;
_Static_assert(sizeof(file_header) == SX_TRACE_HEADER, "as documented");

typedef struct body_header {
    uint64_t prompt_hash;
    uint32_t flags, answer_count, thinking_count, boundary_count, state_count, zero;
} body_header;
_Static_assert(sizeof(body_header) == SX_TRACE_BODY_HEADER, "as documented");

typedef struct record_header {
    char magic[4];
    uint32_t zero;
    uint64_t bytes, hash;
} record_header;
_Static_assert(sizeof(record_header) == SX_TRACE_RECORD_HEADER, "as documented");

static const char file_magic[8] = "SXTRACE1", record_magic[4] = "RCD1";

uint64_t sx_trace_hash(const char *text)
{
    return sx_hash64(SX_HASH_START, text, strlen(text));
}

// ---- Header --------------------------------------------------------------------------------------------------------

void trace_header_make(const sx_trace_info *info, uint8_t bytes[SX_TRACE_HEADER])
{
    file_header header = {.version = SX_TRACE_VERSION,
                          .state_width = info->model.state_width,
                          .state_count = info->model.state_count,
                          .every_token = info->every_token,
                          .exact = info->model.exact,
                          .family = info->model.family};
    memcpy(header.magic, file_magic, sizeof header.magic);
    memcpy(header.state_layers, info->model.state_layers, sizeof header.state_layers);
    snprintf(header.model_name, sizeof header.model_name, "%s", info->model_name);
    snprintf(header.format, sizeof header.format, "%s", info->format);
    snprintf(header.setting, sizeof header.setting, "%s", info->setting);
    header.hash = sx_hash64(SX_HASH_START, &header, offsetof(file_header, hash));
    memcpy(bytes, &header, sizeof header);
}

sx_status trace_header_read(const sx_source *source, sx_trace_info *info, sx_error *error)
{
    file_header header;
    if (source->size < sizeof header)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: is too short for a trace; make it with `specexit trace`",
                       source->name);
    const sx_status status = sx_source_read(source, 0, &header, sizeof header, error);
    if (status != SX_OK) return status;
    if (memcmp(header.magic, file_magic, sizeof header.magic) != 0)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: is no trace; make one with `specexit trace`", source->name);
    if (header.version != SX_TRACE_VERSION)
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: is a trace of version %u, this program reads version %d",
                       source->name, header.version, SX_TRACE_VERSION);
    const bool whole = header.hash == sx_hash64(SX_HASH_START, &header, offsetof(file_header, hash)) &&
                       !header.model_name[sizeof header.model_name - 1] && !header.format[sizeof header.format - 1] &&
                       !header.setting[sizeof header.setting - 1];
    if (!whole || !header.state_count || header.state_count > SX_STATES_MOST || !header.state_width ||
        header.state_width > 1u << 20 || header.state_width % header.state_count || header.every_token > 1)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: the header is damaged; make the trace again", source->name);
    memset(info, 0, sizeof *info);
    info->model = (sx_model_identity){.exact = header.exact,
                                      .family = header.family,
                                      .state_count = header.state_count,
                                      .state_width = header.state_width};
    memcpy(info->model.state_layers, header.state_layers, sizeof header.state_layers);
    memcpy(info->model_name, header.model_name, sizeof info->model_name);
    memcpy(info->format, header.format, sizeof info->format);
    memcpy(info->setting, header.setting, sizeof info->setting);
    info->every_token = header.every_token;
    return SX_OK;
}

sx_status sx_trace_check_model(const sx_trace_info *info, const char *trace_name, const sx_model_identity *model,
                               bool *other_format, sx_error *error)
{
    if (other_format) *other_format = info->model.exact != model->exact;
    if (info->model.family != model->family)
        return sx_fail(error, SX_ERROR_MISMATCH, "%s: was made with another model (%s, %s); make a trace of this one",
                       trace_name, info->model_name, info->format);
    const bool same = info->model.state_count == model->state_count && info->model.state_width == model->state_width &&
                      !memcmp(info->model.state_layers, model->state_layers, model->state_count * sizeof(uint32_t));
    if (same) return SX_OK;
    return sx_fail(error, SX_ERROR_MISMATCH,
                   "%s: holds the states of other layers of the model; make it again with the same draft or head",
                   trace_name);
}

// ---- Records -------------------------------------------------------------------------------------------------------

static uint64_t round_up(uint64_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

uint64_t trace_body_bytes(const sx_trace_record *record, uint32_t width)
{
    return round_up(SX_TRACE_BODY_HEADER + 4ull * record->thinking_count +
                    sizeof(sx_trace_boundary) * (uint64_t)record->boundary_count + 4ull * record->state_count +
                    2ull * record->state_count * width);
}

uint64_t sx_trace_record_bytes(const sx_trace_record *record, uint32_t state_width)
{
    return SX_TRACE_RECORD_HEADER + trace_body_bytes(record, state_width);
}

sx_status trace_body_size(const sx_source *source, uint64_t offset, uint64_t *size, sx_error *error)
{
    record_header header;
    if (offset > source->size || source->size - offset < sizeof header) return SX_PENDING;
    const sx_status status = sx_source_read(source, offset, &header, sizeof header, error);
    if (status != SX_OK) return status;
    if (memcmp(header.magic, record_magic, sizeof header.magic) != 0 || header.zero || header.bytes % 8 ||
        header.bytes < SX_TRACE_BODY_HEADER)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: no record at byte %llu; the trace is damaged", source->name,
                       (unsigned long long)offset);
    *size = header.bytes;
    return header.bytes > source->size - offset - sizeof header ? SX_PENDING : SX_OK;
}

static sx_status damaged(const char *name, uint64_t offset, const char *what, sx_error *error)
{
    return sx_fail(error, SX_ERROR_FORMAT, "%s: the record at byte %llu is damaged (%s); cut the file there", name,
                   (unsigned long long)offset, what);
}

// Indices grow and lie within the thinking; counts and flags are possible.
static bool good_lists(const sx_trace_record *r)
{
    uint64_t next = 0;
    for (uint32_t i = 0; i < r->boundary_count; i++) {
        const sx_trace_boundary *b = &r->boundaries[i];
        if (b->index < next || b->index >= r->thinking_count || !(b->confidence >= 0 && b->confidence <= 1))
            return false;
        next = b->index + 1ull;
    }
    next = 0;
    for (uint32_t i = 0; i < r->state_count; i++) {
        if (r->state_index[i] < next || r->state_index[i] >= r->thinking_count) return false;
        next = r->state_index[i] + 1ull;
    }
    return true;
}

sx_status trace_body_read(const uint8_t *body, uint64_t size, const sx_trace_info *info, const char *name,
                          uint64_t offset, sx_trace_record *out, sx_error *error)
{
    body_header header;
    if (size < sizeof header) return damaged(name, offset, "too short", error);
    memcpy(&header, body, sizeof header);
    *out = (sx_trace_record){.prompt_hash = header.prompt_hash,
                             .flags = header.flags,
                             .answer_count = header.answer_count,
                             .thinking_count = header.thinking_count,
                             .boundary_count = header.boundary_count,
                             .state_count = header.state_count};
    if (header.thinking_count > SX_TRACE_MOST_TOKENS || header.boundary_count > header.thinking_count ||
        header.state_count > header.thinking_count || trace_body_bytes(out, info->model.state_width) != size)
        return damaged(name, offset, "its counts do not fit its length", error);
    const uint8_t *at = body + sizeof header;
    out->tokens = (const uint32_t *)(const void *)at;
    at += 4ull * header.thinking_count;
    out->boundaries = (const sx_trace_boundary *)(const void *)at;
    at += sizeof(sx_trace_boundary) * (uint64_t)header.boundary_count;
    out->state_index = (const uint32_t *)(const void *)at;
    at += 4ull * header.state_count;
    out->states = (const uint16_t *)(const void *)at;
    return good_lists(out) ? SX_OK : damaged(name, offset, "a boundary is out of place", error);
}
