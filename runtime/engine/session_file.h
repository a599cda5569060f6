// A session as a file: its tokens with their keys and values, and the reply it is writing or has left the thinking of.
//
// Version 1. Little-endian, 32-bit words but for the head's and the end's 64-bit ones; parts follow each other
// directly:
//
//   sx_session_head                            below
//   uint32 tokens [token_count]
//   char stops [stop_bytes]                    the stop strings, each with its terminator, then zeros to a whole word
//   SxSettings, SxThought now, SxThought exit  (shaders/shared.h) only with a reply
//   keys and values [layers][2][length][row_bytes], as they lie on the device
//   the draft's     [draft_layers][2][draft_length][draft_row_bytes]
//   uint64 checksum                            of everything before it: sx_hash64 of each SX_SESSION_BLOCK bytes (the
//                                              last block may be shorter), each going on from the one before
//
// A file is not trusted: whatever it says is checked before anything is done with it.
#ifndef SX_ENGINE_SESSION_FILE_H
#define SX_ENGINE_SESSION_FILE_H

#include "base/file.h"
#include "shared.h"

#include <stdbool.h>

enum { SX_SESSION_FILE_VERSION = 1, SX_SESSION_BLOCK = 1 << 20 };

typedef enum sx_saved_reply {
    SX_SAVED_NONE = 0,
    SX_SAVED_LEFT,   // a finished reply whose thinking was left: keep-thinking can go on
    SX_SAVED_WRITING // `now` is where the reply goes on
} sx_saved_reply;

enum { SX_SAVED_THINKING_OPEN = 1, SX_SAVED_RESUMED = 2, SX_SAVED_SHIFTS = 4 }; // bits of sx_session_head.flags

typedef struct sx_session_head {
    char magic[8]; // "SXSESSN" and a zero
    uint32_t version;
    uint32_t head_bytes; // of this struct
    uint64_t file_bytes; // of the whole file
    uint64_t model;      // sx_target_fingerprint
    uint64_t draft;      // sx_draft_fingerprint; 0: no keys and values of a draft
    uint32_t kv_type;    // sx_kv_type
    uint32_t layers, row_bytes;
    uint32_t draft_layers, draft_row_bytes; // 0 without a draft
    uint32_t vocabulary;
    uint32_t token_count, prompt_count;
    uint32_t length, draft_length; // tokens with keys and values
    uint32_t reply;                // sx_saved_reply
    uint32_t flags;
    uint32_t exit_reason;                      // sx_exit_reason
    uint32_t hurried_at;                       // thinking tokens at an answer-now; 0: none
    uint32_t draft_kind, depth, branch, nodes; // sx_drafting
    uint32_t stop_count, stop_bytes;
    uint32_t cycle, root_is_prompt, generated, forced_count, state_exit_reason; // as in SxState
    uint32_t cycles, drafted, accepted, forced_tokens;                          // as in sx_stats
    uint32_t maximum_tokens; // of the reply that is held; 0: no bound beside settings.end_position
} sx_session_head;

// What a session must be to be loaded: that of the engine at hand.
typedef struct sx_session_wanted {
    uint64_t model, draft; // draft 0: none, or of no use
    uint32_t kv_type, layers, row_bytes, draft_layers, draft_row_bytes, vocabulary;
    uint32_t context;     // tokens
    uint32_t signal_mask; // SX_SIGNAL_* there are
} sx_session_wanted;

typedef struct sx_session_file {
    const sx_source *source; // borrowed
    sx_session_head head;
    uint32_t *tokens; // [token_count], owned
    char *stops;      // [stop_bytes], owned; stop_count terminated strings
    SxSettings settings;
    SxThought now, exit;
    uint64_t kv_offset, draft_kv_offset; // bytes in the file
    bool draft_fits;                     // the draft's keys and values are of the draft at hand
} sx_session_file;

// Reads and checks everything but the keys and values (and so not the checksum). Messages name file, field and remedy.
sx_status sx_session_file_read(const sx_source *source, const sx_session_wanted *wanted, sx_session_file *out,
                               sx_error *error);
// Reads the whole file for its checksum.
sx_status sx_session_file_check(const sx_session_file *file, sx_error *error);
void sx_session_file_free(sx_session_file *file);

#endif
