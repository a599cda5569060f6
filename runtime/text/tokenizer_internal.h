// What the files of the tokenizer share. Not for other layers.
#ifndef SX_TEXT_TOKENIZER_INTERNAL_H
#define SX_TEXT_TOKENIZER_INTERNAL_H

#include "text/pretokenizer.h"
#include "text/tokenizer.h"

#include <string.h>

#define TEXT_NO_SLOT UINT32_MAX

typedef struct text_pair_slot {
    uint32_t left, right; // ids; left = TEXT_NO_SLOT: free
    uint32_t rank;
    int32_t result; // id
} text_pair_slot;

struct sx_tokenizer {
    sx_tokenizer_kind kind;
    const text_pretokenizer *pre; // BPE
    uint32_t count;
    uint8_t *pool;         // raw bytes of all tokens, one after the other; a space is a space, in SPM too
    uint32_t *offsets;     // [count + 1] into pool
    uint8_t *types;        // [count] SX_TOKEN_*, after corrections
    uint8_t *flags;        // [count] TEXT_FLAG_*
    float *scores;         // [count], SPM
    uint32_t *map;         // open hash table of the ids text can merge to, keyed by raw bytes; TEXT_NO_SLOT: free
    uint32_t map_mask;     // slots - 1
    uint32_t max_length;   // of the tokens in the map, bytes
    uint32_t max_bytes;    // of any token
    text_pair_slot *pairs; // BPE: open hash table of merges
    uint32_t pair_mask;
    int32_t *specials; // control, unknown and user-defined tokens with a text, sorted by bytes
    uint32_t special_count;
    bool special_first[256];  // some special begins with this byte
    int32_t byte_tokens[256]; // -1: absent
    int32_t bos, eos, eot, unk, pad;
    bool adds_bos, adds_eos, space_prefix, nfc;
};

enum {
    TEXT_FLAG_EOG = 1,
    TEXT_FLAG_MARKER = 2 // must not be recognised in the user's own words
};

static inline const uint8_t *text_token(const sx_tokenizer *tokenizer, int32_t id, uint32_t *length)
{
    *length = tokenizer->offsets[id + 1] - tokenizer->offsets[id];
    return tokenizer->pool + tokenizer->offsets[id];
}

// ---- vocabulary.c: the tables of a tokenizer
// --------------------------------------------------------------------------

// The bytes behind a text in GPT-2's alphabet; characters outside of the alphabet stand for themselves. `raw` has room
// for `length` bytes; returns how many were written.
size_t text_decode_byte_level(const char *text, size_t length, uint8_t *raw);
// Fills pool, offsets, types, flags, scores and the id of each byte. The tokenizer is zeroed but for kind and count.
sx_status text_load_tokens(sx_tokenizer *tokenizer, const sx_tokenizer_desc *desc, sx_error *error);
// Builds map and specials.
sx_status text_index_tokens(sx_tokenizer *tokenizer, sx_error *error);
// Builds pairs.
sx_status text_load_merges(sx_tokenizer *tokenizer, const sx_tokenizer_desc *desc, sx_error *error);
// The id that text can merge to with exactly these bytes, or -1.
int32_t text_find(const sx_tokenizer *tokenizer, const uint8_t *bytes, size_t length);
// The longest special token that `bytes` begins with and `allow` takes, or -1.
int32_t text_find_special(const sx_tokenizer *tokenizer, const uint8_t *bytes, size_t size,
                          bool (*allow)(void *user, int32_t id, size_t length), void *user);

// ---- merge.c: the common engine of both kinds
// -------------------------------------------------------------------------

// Where tokens go: all are counted, those that fit are written.
typedef struct text_sink {
    int32_t *out;
    size_t capacity, count;
} text_sink;

static inline void text_emit(text_sink *sink, int32_t id)
{
    if (sink->count < sink->capacity) sink->out[sink->count] = id;
    sink->count++;
}

// A piece of text on its way to become a token. Pieces form a list in text order.
typedef struct text_symbol {
    uint32_t offset, length; // bytes; length 0: absorbed by its left neighbour
    int32_t id;              // -1: no token has this text
    uint32_t previous, next; // TEXT_NO_SLOT at the ends
} text_symbol;

typedef struct text_merge {
    uint32_t priority; // smaller first; equal ones from left to right
    uint32_t position; // index of the left symbol
    uint32_t size;     // bytes of both: tells whether the merge is still what it was when it was queued
    int32_t result;    // id
} text_merge;

// Memory of one tokenize call, reused from word to word.
typedef struct text_scratch {
    text_symbol *symbols;
    size_t symbol_count, symbol_capacity;
    text_merge *heap;
    size_t heap_count, heap_capacity;
    uint32_t *code_points, *offsets; // of the fragment at hand
    size_t code_point_capacity;
    uint8_t *bytes;
    size_t byte_capacity;
} text_scratch;

void text_scratch_free(text_scratch *scratch);
// Makes room for `count` items of `size` bytes each in the malloc'ed array that the pointer at `items` points to; false
// when memory is exhausted. Contents are kept.
bool text_reserve(void *items, size_t *capacity, size_t count, size_t size);
bool text_add_symbol(text_scratch *scratch, uint32_t offset, uint32_t length, int32_t id);

// Whether `left` and `right` (neighbours in `text`) merge; fills priority and result.
typedef bool (*text_merge_rule)(const sx_tokenizer *tokenizer, const uint8_t *text, const text_symbol *left,
                                const text_symbol *right, text_merge *merge);
// Merges the scratch's symbols, best first, until nothing merges. O(n log n). False when memory is exhausted.
bool text_merge_all(const sx_tokenizer *tokenizer, text_scratch *scratch, const uint8_t *text, text_merge_rule rule);

// ---- bpe.c, spm.c: a fragment between special tokens
// ------------------------------------------------------------------

// false when memory is exhausted. `size` < 2^31.
bool text_bpe_fragment(const sx_tokenizer *tokenizer, text_scratch *scratch, const uint8_t *bytes, size_t size,
                       text_sink *sink);
// `space_prefix`: the fragment begins the text or follows a special token, and the model wants a space there.
bool text_spm_fragment(const sx_tokenizer *tokenizer, text_scratch *scratch, const uint8_t *bytes, size_t size,
                       bool space_prefix, text_sink *sink);

#endif
