// Text <-> tokens: byte-level BPE (GGUF model "gpt2") and SentencePiece (GGUF model "llama"), made from arrays.
//
// A tokenizer is immutable once made: any number of threads may use one at a time without locks. It copies what it
// keeps, so the arrays of the description may be freed after sx_tokenizer_create. Every function that takes text takes
// any bytes: broken UTF-8 is tokenised byte by byte (byte-level BPE) or by byte fallback (SentencePiece) and comes back
// unchanged from sx_token_bytes. The same text gives the same tokens on every platform: the Unicode data is one pinned
// version (see unicode.h), not the C library's.
//
// Formats: the GGUF keys `tokenizer.ggml.*` (ggml-org/ggml docs/gguf.md); the byte alphabet of GPT-2; the split
// patterns are quoted in pretokenizer.c.
#ifndef SX_TEXT_TOKENIZER_H
#define SX_TEXT_TOKENIZER_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sx_tokenizer_kind {
    SX_TOKENIZER_BPE = 0, // tokenizer.ggml.model "gpt2": texts in GPT-2's byte alphabet, merges in rank order
    SX_TOKENIZER_SPM = 1  // "llama": texts with U+2581 for a space, a score for each token, byte tokens <0xNN>
} sx_tokenizer_kind;

// tokenizer.ggml.token_type
enum {
    SX_TOKEN_NORMAL = 1,
    SX_TOKEN_UNKNOWN = 2,
    SX_TOKEN_CONTROL = 3,
    SX_TOKEN_USER_DEFINED = 4, // matched as a whole in any text, before everything else
    SX_TOKEN_UNUSED = 5,       // never produced
    SX_TOKEN_BYTE = 6
};

// Three-valued switches of the description: what the file says, or the default of the kind and pre-tokenizer.
typedef enum sx_choice { SX_CHOICE_DEFAULT = 0, SX_CHOICE_NO = 1, SX_CHOICE_YES = 2 } sx_choice;

// Everything is borrowed for the length of the call. Ids are in 0..count-1; -1 means absent.
// SX_TOKENIZER_DESC_INIT sets all ids to -1; a zero-initialised description would name token 0 everywhere.
typedef struct sx_tokenizer_desc {
    sx_tokenizer_kind kind;
    const char *pre;           // tokenizer.ggml.pre, for BPE; NULL or "default" = "gpt-2". See sx_tokenizer_pre_known
    uint32_t count;            // tokens, 1..16,777,216
    const char *const *texts;  // [count] as stored in the file
    const uint32_t *lengths;   // [count] bytes, or NULL: texts are zero-terminated
    const float *scores;       // [count], needed for SPM, else may be NULL
    const int32_t *types;      // [count] SX_TOKEN_*, or NULL: all normal
    uint32_t merge_count;      // BPE
    const char *const *merges; // [merge_count] "left right" in rank order; NULL when merge_count is 0
    const uint32_t *merge_lengths; // [merge_count] bytes, or NULL: zero-terminated
    int32_t bos, eos, eot, unk, pad;
    sx_choice add_bos, add_eos; // default: SPM adds bos, BPE adds it for llama-bpe and deepseek only; eos never
    sx_choice add_space_prefix; // SPM only, default yes
    sx_choice normalize_nfc;    // default: yes for qwen2 and deepseek-r1-qwen (their published tokenizers say so)
} sx_tokenizer_desc;

// Versions of clang-format disagree about braces in macros.
// clang-format off
#define SX_TOKENIZER_DESC_INIT {.bos = -1, .eos = -1, .eot = -1, .unk = -1, .pad = -1}
// clang-format on

typedef struct sx_tokenizer sx_tokenizer;

// Makes a tokenizer; *out is NULL on failure. Refused, with the id in the message: no tokens, an id out of range, a
// kind or pre-tokenizer that is not known (the message lists those that are), a score that is NaN, a merge without an
// inner space, an SPM byte token that is not written <0xNN>. Tolerated, because published files have them: duplicate
// texts (the lower id is found), invalid UTF-8 in texts (kept as raw bytes), empty texts (never produced), merges that
// name absent tokens (ignored), bytes without a token (they become `unk`, or nothing where that is absent), types out
// of range (normal). Well-known markers (<|im_end|>, <|eot_id|>, ...) whose type says normal are control tokens.
// Errors: SX_ERROR_FORMAT, SX_ERROR_UNSUPPORTED, SX_ERROR_MEMORY.
sx_status sx_tokenizer_create(const sx_tokenizer_desc *desc, sx_tokenizer **out, sx_error *error);
void sx_tokenizer_free(sx_tokenizer *tokenizer); // NULL is allowed

// The kind for a `tokenizer.ggml.model` name ("gpt2", "llama"); false: not supported.
bool sx_tokenizer_kind_of(const char *model, sx_tokenizer_kind *kind);
// Whether `pre` names a known pre-tokenizer; sx_tokenizer_pre_names lists them, separated by ", ".
bool sx_tokenizer_pre_known(const char *pre);
const char *sx_tokenizer_pre_names(void);

uint32_t sx_tokenizer_count(const sx_tokenizer *tokenizer);
int32_t sx_tokenizer_bos(const sx_tokenizer *tokenizer); // -1: none
int32_t sx_tokenizer_eos(const sx_tokenizer *tokenizer); // -1: none
bool sx_tokenizer_adds_bos(const sx_tokenizer *tokenizer);

// ---- text to tokens -------------------------------------------------------------------------------------------------

enum {
    SX_TOKENIZE_ADD_SPECIAL = 1,  // bos in front, eos behind, where the model wants them
    SX_TOKENIZE_PARSE_SPECIAL = 2 // the text of a control token becomes that token, instead of plain characters
};

// A range of bytes, begin <= end.
typedef struct sx_text_span {
    size_t begin, end;
} sx_text_span;

// Tokenises `length` bytes. *count receives the number of tokens of the whole text; the first min(count, capacity) of
// them are written to `out` (which may be NULL when capacity is 0). Call again with a larger buffer when *count >
// capacity; 3 * length + 8 is always enough. Time O(n log n) for any text. Fails only with SX_ERROR_MEMORY
// (texts of 1 GiB and more count as that).
sx_status sx_tokenize(const sx_tokenizer *tokenizer, const char *text, size_t length, uint32_t flags, int32_t *out,
                      size_t capacity, size_t *count);

// The same with PARSE_SPECIAL masked out in `literal` (sorted, not overlapping ranges of `text`, NULL when
// literal_count is 0): a control token, or a user-defined one written like a marker (<|...|>), is recognised only
// where it touches none of the ranges. The tokens are otherwise those of sx_tokenize on the whole text.
sx_status sx_tokenize_masked(const sx_tokenizer *tokenizer, const char *text, size_t length, uint32_t flags,
                             const sx_text_span *literal, size_t literal_count, int32_t *out, size_t capacity,
                             size_t *count);

// ---- tokens ---------------------------------------------------------------------------------------------------------

// The raw bytes of a token: byte-level texts decoded, U+2581 as a space, byte tokens as their byte, the name of a
// control token as it is written. *length receives the count (0 for an id out of range). Owned by the tokenizer,
// not terminated, not necessarily valid UTF-8 by itself. Never NULL.
const char *sx_token_bytes(const sx_tokenizer *tokenizer, int32_t id, size_t *length);
// The id of the token whose raw bytes are exactly `text` (control and user-defined tokens first), or -1.
int32_t sx_token_find(const sx_tokenizer *tokenizer, const char *text, size_t length);

// Control tokens are not shown to the user (bos, end of turn, ...). False for an id out of range.
bool sx_token_is_control(const sx_tokenizer *tokenizer, int32_t id);
// Ends a turn or the text: eos, eot, and every control token with a well-known end marker's text (<|im_end|>,
// <|endoftext|>, <|eot_id|>, <|eom_id|>, <end_of_turn>, <｜end▁of▁sentence｜>, ...). False for an id out of range.
bool sx_token_is_eog(const sx_tokenizer *tokenizer, int32_t id);
int32_t sx_token_type(const sx_tokenizer *tokenizer, int32_t id); // SX_TOKEN_*; 0 for an id out of range

typedef enum sx_step_rule {
    SX_STEP_ENDS_WITH_BLANK_LINE = 0, // the token's bytes end with "\n\n"
    SX_STEP_ENDS_WITH_LINE,           // they end with "\n"
    SX_STEP_REFERENCE // the reference's list: "\n\n" or "\n\n\n", alone or after "." or " " (6 strings at most)
} sx_step_rule;

// Sets bit (id & 31) of bitmap[id >> 5] for every token that ends a reasoning step by `rule` and clears the others.
// bitmap: [(sx_tokenizer_count + 31) / 32] words. Returns how many are set.
uint32_t sx_tokenizer_step_bitmap(const sx_tokenizer *tokenizer, sx_step_rule rule, uint32_t *bitmap);

// ---- streaming detokenisation ---------------------------------------------------------------------------------------

// Turns tokens into text as they come, never splitting a character: bytes that may still become a character are held
// back until the next token decides; bytes that cannot are shown as U+FFFD, one for each maximal ill-formed part, as
// browsers and Python do. What comes out, put together, is valid UTF-8. One thread at a time.
typedef struct sx_detokenizer sx_detokenizer;

enum {
    SX_DETOKENIZE_SPECIAL = 1,          // show control tokens by name; else they give no text
    SX_DETOKENIZE_STRIP_FIRST_SPACE = 2 // drop the space that SPM's prefix put before the first token
};

// `tokenizer` must outlive it. Fails only with SX_ERROR_MEMORY.
sx_status sx_detokenizer_create(const sx_tokenizer *tokenizer, uint32_t flags, sx_detokenizer **out);
void sx_detokenizer_free(sx_detokenizer *detokenizer); // NULL is allowed
// The text that `token` completes, terminated; *length (may be NULL) receives its bytes, often 0. Valid until the next
// call on the same detokenizer. Hidden tokens and ids out of range give what was pending, as a flush would.
const char *sx_detokenizer_push(sx_detokenizer *detokenizer, int32_t token, size_t *length);
// What is still held back, as U+FFFD; the detokenizer then starts afresh, except for STRIP_FIRST_SPACE.
const char *sx_detokenizer_flush(sx_detokenizer *detokenizer, size_t *length);

// Whole sequences: writes up to `capacity` bytes (not terminated) and returns the bytes of the whole text.
// Returns 0 with SX_ERROR_MEMORY's meaning only when count > 0 and memory is exhausted.
size_t sx_detokenize(const sx_tokenizer *tokenizer, const int32_t *tokens, size_t token_count, uint32_t flags,
                     char *out, size_t capacity);

#endif
