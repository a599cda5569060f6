// Pre-tokenizers: how a text is cut into words before byte-pair merging. Each published tokenizer does it by regular
// expressions; here they are matchers written by hand, linear in the text, each beside the expression it implements.
#ifndef SX_TEXT_PRETOKENIZER_H
#define SX_TEXT_PRETOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Where the match that begins exactly at `position` ends (> position), or `position`: there is none. `code_points` is
// one piece, [count]; what lies outside of the piece does not exist for the expression.
typedef size_t (*text_matcher)(const uint32_t *code_points, size_t count, size_t position);

// Expressions applied one after the other: each cuts the pieces of the one before into its matches and what lies
// between them.
typedef struct text_pretokenizer {
    const char *name;
    text_matcher stages[7]; // NULL ends the list
    bool ignore_merges;     // a word that is a token as a whole is that token, whatever the merges would make of it
    bool nfc;               // the published tokenizer normalises to NFC
    bool adds_bos;          // when the file does not say
} text_pretokenizer;

// By the name of `tokenizer.ggml.pre`; NULL when unknown.
const text_pretokenizer *text_pretokenizer_find(const char *name);
const char *text_pretokenizer_names(void);

// Calls `word` for every final piece [begin, end) of `code_points`, in order; stops and returns false when it does.
bool text_pretokenize(const text_pretokenizer *pre, const uint32_t *code_points, size_t count,
                      bool (*word)(void *user, size_t begin, size_t end), void *user);

#endif
