// The trace file. All numbers little-endian, nothing compressed.
//
//   header    640 bytes: magic "SXTRACE1"; uint32 version (1), state_width, state_count, every_token; uint64 exact,
//   family;
//             uint32 state_layers[8]; model_name[128], format[48], setting[256], each ended by a zero; zeros up to 632;
//             uint64 hash of the 632 bytes before
//   records              each: uint32 magic "RCD1", uint32 0, uint64 bytes of the body, uint64 hash of the body;
//                        then the body:
//     uint64 prompt_hash, uint32 flags, answer_count, thinking_count, boundary_count, state_count, 0     32 bytes
//     uint32 tokens[thinking_count]; sx_trace_boundary boundaries[boundary_count] (16 bytes each);
//     uint32 state_index[state_count]; uint16 states[state_count][state_width]; zeros up to a multiple of 8 bytes
//
// Hashes are sx_hash64. A record is appended whole. A file that ends within a record (or in one whose hash is wrong, at
// the very end) was being written when its writer was killed: it is valid up to there.
#ifndef SX_SIGNALS_TRACE_H
#define SX_SIGNALS_TRACE_H

#include "base/file.h"
#include "specexit_signals.h"

enum {
    SX_TRACE_VERSION = 1,
    SX_TRACE_HEADER = 640,
    SX_TRACE_RECORD_HEADER = 24,
    SX_TRACE_BODY_HEADER = 32,
    SX_TRACE_MOST_TOKENS = 1 << 24 // of a record
};

void trace_header_make(const sx_trace_info *info, uint8_t header[SX_TRACE_HEADER]);
sx_status trace_header_read(const sx_source *source, sx_trace_info *info, sx_error *error);

// Bytes of a record's body, padding included.
uint64_t trace_body_bytes(const sx_trace_record *record, uint32_t state_width);
// SX_OK with the bytes of the body of the record at `offset` in `*size`; SX_PENDING where the file ends before or
// within it; SX_ERROR_FORMAT where there is none.
sx_status trace_body_size(const sx_source *source, uint64_t offset, uint64_t *size, sx_error *error);
// Checks a body of `size` bytes and points `out` into it; it is aligned to 8 bytes. `name` and `offset` are for
// messages.
sx_status trace_body_read(const uint8_t *body, uint64_t size, const sx_trace_info *info, const char *name,
                          uint64_t offset, sx_trace_record *out, sx_error *error);

// A reader over a source that the caller keeps, e.g. memory.
sx_status trace_reader_from_source(const sx_source *source, sx_trace_reader **out, sx_error *error);

#endif
