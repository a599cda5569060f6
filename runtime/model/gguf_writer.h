// Builds the header of a GGUF file (version 3, alignment 32). The caller writes the header, then each tensor's bytes in
// the order they were declared, each followed by sx_gguf_padding(its size) zero bytes.
#ifndef SX_MODEL_GGUF_WRITER_H
#define SX_MODEL_GGUF_WRITER_H

#include "model/gguf.h"
#include "model/tensor.h"

typedef struct sx_gguf_writer sx_gguf_writer; // one thread

// NULL when host memory is exhausted. The setters copy what they are given and remember a failure, which
// sx_gguf_writer_header reports; keys and names must not repeat (not checked).
sx_gguf_writer *sx_gguf_writer_create(void);
void sx_gguf_writer_free(sx_gguf_writer *writer); // NULL is allowed

void sx_gguf_writer_u32(sx_gguf_writer *writer, const char *key, uint32_t value);
void sx_gguf_writer_f32(sx_gguf_writer *writer, const char *key, float value);
void sx_gguf_writer_bool(sx_gguf_writer *writer, const char *key, bool value);
void sx_gguf_writer_string(sx_gguf_writer *writer, const char *key, const char *value);
void sx_gguf_writer_u32_array(sx_gguf_writer *writer, const char *key, const uint32_t *values, size_t count);
void sx_gguf_writer_f32_array(sx_gguf_writer *writer, const char *key, const float *values, size_t count);
// A key with its value as another file has it.
void sx_gguf_writer_copy(sx_gguf_writer *writer, const sx_gguf_value *value);
// dimensions[0] is the row length, a multiple of the format's block. U8 cannot be written.
void sx_gguf_writer_tensor(sx_gguf_writer *writer, const char *name, sx_format format, uint32_t dimension_count,
                           const uint64_t *dimensions);

// The bytes up to the first tensor's data, valid until the writer is freed or changed.
sx_status sx_gguf_writer_header(sx_gguf_writer *writer, const void **data, size_t *size, sx_error *error);
uint32_t sx_gguf_padding(uint64_t size); // 0..31

#endif
