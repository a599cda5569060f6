// Helpers of the text tests: files, small vocabularies, vocabularies from GGUF files.
#ifndef SX_TESTS_TEXT_SUPPORT_H
#define SX_TESTS_TEXT_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "model/json.h"
#include "text/tokenizer.h"

extern const char *golden_folder; // set by every main from argv
extern const char *data_folder;
void read_arguments(int argc, char **argv);

// The whole file, terminated, freed by the caller; NULL when it cannot be read.
char *read_file(const char *folder, const char *name, size_t *size);

// The tokenizer of a GGUF file; NULL after printing why.
sx_tokenizer *load_vocabulary(const char *path);

// A small byte-level vocabulary: the 256 bytes, then the result of each merge, then markers as control tokens and
// user-defined tokens. `merges` is in the byte alphabet ("a b"), NULL-terminated, like the others (which may be NULL).
sx_tokenizer *make_bpe(const char *pre, const char *const *merges, const char *const *controls,
                       const char *const *user_defined);
// A small SentencePiece vocabulary: <unk>, <s>, </s>, the 256 bytes, then `pieces` with scores 0, -1, -2, ...
sx_tokenizer *make_spm(const char *const *pieces, const char *const *user_defined, sx_choice space_prefix);

// Checks that `text` becomes exactly the tokens with these texts, "|" between them.
void expect_tokens(const sx_tokenizer *tokenizer, const char *text, uint32_t flags, const char *expected);

// tests/golden/text.json; fails the test when it cannot be read. The arena is the caller's to free.
const sx_json *read_golden(sx_arena *arena);
// The bytes of a JSON string of hexadecimal digits; returns how many. `bytes` has room.
size_t from_hex(const sx_json *value, uint8_t *bytes, size_t room);

// xorshift; tests print the seed on failure
uint32_t next_random(uint64_t *state);

#endif
