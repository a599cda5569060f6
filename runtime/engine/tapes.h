// A session's device buffers, and the tapes recorded over them.
//
// A tape serves positions below its splits * SX_ATTENTION_SPLIT; as a conversation grows, tapes with more splits are
// recorded. Splits grow by factors of four, so a long conversation needs few tapes of each kind, and a tape's idle
// groups cost little. Results do not depend on the tape: see ops.h on batch invariance.
#ifndef SX_ENGINE_TAPES_H
#define SX_ENGINE_TAPES_H

#include "engine/internal.h"

// What a set of buffers serves: a session, or the sequences of a batch (batch.c).
typedef struct sx_buffers_size {
    uint32_t slots; // of the keys and values: positions of all sequences, then those that idle rows and trees use
    uint32_t reach; // positions that a row may see
    bool plain;     // forward passes alone: nothing of a draft, no states
} sx_buffers_size;

typedef struct sx_session_buffers {
    uint32_t slots;
    sx_kv kv;
    sx_scratch scratch;
    sx_eagle_buffers draft;
    sx_aux aux;
    sx_gpu_buffer *state;         // SxState
    sx_gpu_buffer *settings;      // SxSettings and token flags
    sx_gpu_buffer *history;       // uint32 [slots]
    sx_gpu_buffer *counts;        // uint32 [vocabulary]
    sx_gpu_buffer *logits;        // [SX_MAX_ROWS, vocabulary]
    sx_gpu_buffer *samples;       // SxSample[SX_MAX_ROWS]
    sx_gpu_buffer *signals;       // [SX_MAX_ROWS, 4]
    sx_gpu_buffer *verify;        // SxBatch of the verify pass
    sx_gpu_buffer *prefill;       // batches written by the host, SX_BATCH_STRIDE apart
    sx_gpu_buffer *prefill_draft; // the same rows for the draft: each token is the next one's
} sx_session_buffers;

sx_buffers_size sx_session_size(uint32_t context);
// What buffers of that size take on the device: keys and values (the draft's, too), and everything else.
uint64_t sx_buffers_kv_bytes(const sx_engine *engine, const sx_buffers_size *size);
uint64_t sx_buffers_scratch_bytes(const sx_engine *engine, const sx_buffers_size *size);
sx_status sx_session_buffers_create(const sx_engine *engine, const sx_buffers_size *size, sx_session_buffers *out,
                                    sx_error *error);
void sx_session_buffers_destroy(sx_gpu *gpu, sx_session_buffers *buffers);

typedef enum sx_tape_kind {
    SX_TAPE_PREFILL = 0, // prompt rows through target and draft
    SX_TAPE_CYCLE,       // draft, verify, accept, move, extend
    SX_TAPE_LOGITS,      // prefill rows (as many as the key says), their logits
    SX_TAPE_RESAMPLE,    // the same and a sample for each
    SX_TAPE_SIGNALS,     // prefill rows, their signals
    SX_TAPE_TREE         // the draft's tree alone
} sx_tape_kind;

typedef struct sx_tape_key {
    sx_tape_kind kind;
    uint32_t splits;
    sx_draft_kind draft; // never AUTO; prefills: whether the draft reads along
    uint32_t rows;       // cycles: of the verify pass; others: of the tape
    uint32_t depth, branch;
    bool greedy; // cycles and resampling: of the sampler, the part that sx_settings_greedy needs
} sx_tape_key;

enum { SX_TAPE_CACHE = 24, SX_TAPES_AT_ONCE = 3, SX_NGRAM_LONGEST = 4 };
// The key with `greedy` as the settings in force have it.
sx_tape_key sx_tape_key_for(const sx_tape_key *key, const SxSettings *settings);
typedef struct sx_tape_entry {
    sx_tape_key key;
    sx_gpu_tape *tape; // NULL: free
    bool finished;     // false while its pipelines are being made
    uint64_t used;     // for eviction: when it was asked for last
} sx_tape_entry;
typedef struct sx_tape_cache {
    sx_tape_entry entry[SX_TAPE_CACHE];
    uint64_t clock;
    uint64_t recorded; // tapes so far
} sx_tape_cache;

// Whether drafting of this kind runs the EAGLE-3 draft.
static inline bool sx_draft_is_eagle(sx_draft_kind kind)
{
    return kind == SX_DRAFT_CHAIN || kind == SX_DRAFT_TREE;
}
// The smallest splits whose tape serves positions below `positions`.
uint32_t sx_tape_splits(uint32_t positions, uint32_t slots);
// The tapes for the keys, at most SX_TAPES_AT_ONCE, recorded if they are not in the cache. Owned by the cache.
// SX_PENDING while their pipelines are being made, all at the same time: call again.
sx_status sx_tapes_get(const sx_engine *engine, const sx_session_buffers *buffers, sx_tape_cache *cache,
                       const sx_tape_key *keys, uint32_t count, sx_gpu_tape **out, sx_error *error);
// Submits the key's tape and waits for it and for what is read back of it (NULL: nothing).
sx_status sx_tape_run(const sx_engine *engine, const sx_session_buffers *buffers, sx_tape_cache *cache,
                      const sx_tape_key *key, const sx_gpu_readback *readback, void *destination, sx_error *error);
void sx_tape_cache_clear(sx_gpu *gpu, sx_tape_cache *cache);

// A token at its position in a sequence whose position 0 stands in slot `first_slot`.
typedef struct sx_row {
    uint32_t token, position, first_slot;
} sx_row;
// A batch written by the host; idle rows get the last slots. Tokens that are counted already are not counted again for
// penalties when a row is sampled.
SxBatch sx_batch_of_rows(const sx_row *rows, uint32_t count, uint32_t slots);
// The rows of tokens[first, first + count) of one sequence, as many as fit.
SxBatch sx_batch_of_text(const uint32_t *tokens, uint32_t first, uint32_t count, uint32_t first_slot, uint32_t slots);

#endif
