// What the model tests share: a small random generator and GGUF files built in memory.
#ifndef TESTS_MODEL_SUPPORT_H
#define TESTS_MODEL_SUPPORT_H

#include "model/gguf_writer.h"
#include "model/model_files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

// A generator with a 64-bit state (splitmix64): the same numbers everywhere.
uint64_t random_bits(uint64_t *state);
float random_normal(uint64_t *state); // about N(0, 1)

// The whole file, malloc'ed; fails the test when it cannot be read.
uint8_t *read_whole_file(const char *path, size_t *size);

// The drafts in tests/golden/drafts, one of every published layout: a file, or a folder (suffix ""). Ends at a NULL
// name.
typedef struct golden_draft {
    const char *name, *suffix;
} golden_draft;
extern const golden_draft golden_drafts[];

// A GGUF file under construction: declare keys on `writer`, add tensors, then finish.
typedef struct test_gguf {
    sx_gguf_writer *writer;
    uint8_t *data; // tensor bytes, padded
    size_t size, capacity;
    uint64_t seed;
} test_gguf;

void test_gguf_begin(test_gguf *file, uint64_t seed);
// A tensor with random finite contents. rows = 0 makes a vector.
void test_gguf_tensor(test_gguf *file, const char *name, sx_format format, uint64_t rows, uint64_t columns);
void test_gguf_stack(test_gguf *file, const char *name, sx_format format, uint64_t slices, uint64_t rows,
                     uint64_t columns);
void test_gguf_bytes(test_gguf *file, const char *name, sx_format format, uint32_t dimension_count,
                     const uint64_t *dimensions, const void *bytes, size_t size);
// The file's bytes, malloc'ed; frees what the construction used.
uint8_t *test_gguf_finish(test_gguf *file, size_t *size);

// A tiny qwen3 target: 4 layers, hidden 64, 4 heads and 2 KV heads of 32, ffn 96, 40 tokens. `skip` (may be NULL) names
// a tensor to leave out; `twist` (may be NULL) one to give one row or element more.
typedef struct tiny_options {
    const char *architecture; // NULL = qwen3
    const char *skip, *twist, *skip_key;
    bool untied;
    const char *extra;                  // a tensor nobody wants
    uint32_t split_count, split_number; // a part of a split model: tensors are dealt out in turn
} tiny_options;
uint8_t *tiny_target(const tiny_options *options, size_t *size);

// `count` weights of `format` as random blocks with finite scales (some subnormal).
void random_blocks(uint64_t *state, sx_format format, uint64_t count, void *destination);

#endif
