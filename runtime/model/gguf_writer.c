#include "model/gguf_writer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT 32

typedef struct bytes {
    uint8_t *data;
    size_t size, capacity;
} bytes;

struct sx_gguf_writer {
    bytes values, tensors, header;
    uint64_t value_count, tensor_count;
    uint64_t data_size; // of the tensors declared so far, padded
    bool failed;
};

sx_gguf_writer *sx_gguf_writer_create(void)
{
    return calloc(1, sizeof(sx_gguf_writer));
}

void sx_gguf_writer_free(sx_gguf_writer *writer)
{
    if (!writer) return;
    free(writer->values.data);
    free(writer->tensors.data);
    free(writer->header.data);
    free(writer);
}

static void append(sx_gguf_writer *writer, bytes *to, const void *data, size_t size)
{
    if (writer->failed || size == 0) return;
    if (to->capacity - to->size < size) {
        const size_t capacity = (to->size + size) * 2;
        uint8_t *grown = realloc(to->data, capacity);
        if (!grown) {
            writer->failed = true;
            return;
        }
        to->data = grown;
        to->capacity = capacity;
    }
    memcpy(to->data + to->size, data, size);
    to->size += size;
}

static void append_u32(sx_gguf_writer *writer, bytes *to, uint32_t value)
{
    const uint8_t b[4] = {(uint8_t)value, (uint8_t)(value >> 8), (uint8_t)(value >> 16), (uint8_t)(value >> 24)};
    append(writer, to, b, sizeof b);
}

static void append_u64(sx_gguf_writer *writer, bytes *to, uint64_t value)
{
    append_u32(writer, to, (uint32_t)value);
    append_u32(writer, to, (uint32_t)(value >> 32));
}

static void append_string(sx_gguf_writer *writer, bytes *to, const char *text, size_t length)
{
    append_u64(writer, to, length);
    append(writer, to, text, length);
}

static void begin_value(sx_gguf_writer *writer, const char *key, sx_gguf_type type)
{
    append_string(writer, &writer->values, key, strlen(key));
    append_u32(writer, &writer->values, (uint32_t)type);
    writer->value_count++;
}

void sx_gguf_writer_u32(sx_gguf_writer *writer, const char *key, uint32_t value)
{
    begin_value(writer, key, SX_GGUF_U32);
    append_u32(writer, &writer->values, value);
}

void sx_gguf_writer_f32(sx_gguf_writer *writer, const char *key, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    begin_value(writer, key, SX_GGUF_F32);
    append_u32(writer, &writer->values, bits);
}

void sx_gguf_writer_bool(sx_gguf_writer *writer, const char *key, bool value)
{
    const uint8_t byte = value;
    begin_value(writer, key, SX_GGUF_BOOL);
    append(writer, &writer->values, &byte, 1);
}

void sx_gguf_writer_string(sx_gguf_writer *writer, const char *key, const char *value)
{
    begin_value(writer, key, SX_GGUF_STRING);
    append_string(writer, &writer->values, value, strlen(value));
}

void sx_gguf_writer_u32_array(sx_gguf_writer *writer, const char *key, const uint32_t *values, size_t count)
{
    begin_value(writer, key, SX_GGUF_ARRAY);
    append_u32(writer, &writer->values, SX_GGUF_U32);
    append_u64(writer, &writer->values, count);
    for (size_t i = 0; i < count; i++)
        append_u32(writer, &writer->values, values[i]);
}

void sx_gguf_writer_f32_array(sx_gguf_writer *writer, const char *key, const float *values, size_t count)
{
    begin_value(writer, key, SX_GGUF_ARRAY);
    append_u32(writer, &writer->values, SX_GGUF_F32);
    append_u64(writer, &writer->values, count);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &values[i], sizeof bits);
        append_u32(writer, &writer->values, bits);
    }
}

void sx_gguf_writer_copy(sx_gguf_writer *writer, const sx_gguf_value *value)
{
    static const uint8_t widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    append_string(writer, &writer->values, value->key.data, value->key.length);
    append_u32(writer, &writer->values, (uint32_t)value->type);
    writer->value_count++;
    if (value->type == SX_GGUF_ARRAY) {
        append_u32(writer, &writer->values, (uint32_t)value->element_type);
        append_u64(writer, &writer->values, value->count);
    }
    if (value->element_type != SX_GGUF_STRING) {
        append(writer, &writer->values, value->data, (size_t)value->count * widths[value->element_type]);
        return;
    }
    for (uint64_t i = 0; i < value->count; i++) {
        const sx_gguf_string text = sx_gguf_string_at(value, i);
        append_string(writer, &writer->values, text.data, text.length);
    }
}

uint32_t sx_gguf_padding(uint64_t size)
{
    return (uint32_t)(-size % ALIGNMENT);
}

void sx_gguf_writer_tensor(sx_gguf_writer *writer, const char *name, sx_format format, uint32_t dimension_count,
                           const uint64_t *dimensions)
{
    assert(dimension_count >= 1 && dimension_count <= 4 && format != SX_FORMAT_U8);
    uint64_t size = sx_format_row_bytes(format, dimensions[0]);
    append_string(writer, &writer->tensors, name, strlen(name));
    append_u32(writer, &writer->tensors, dimension_count);
    for (uint32_t i = 0; i < dimension_count; i++) {
        append_u64(writer, &writer->tensors, dimensions[i]);
        if (i) size *= dimensions[i];
    }
    append_u32(writer, &writer->tensors, sx_format_get(format)->ggml_type);
    append_u64(writer, &writer->tensors, writer->data_size);
    writer->data_size += size + sx_gguf_padding(size);
    writer->tensor_count++;
}

sx_status sx_gguf_writer_header(sx_gguf_writer *writer, const void **data, size_t *size, sx_error *error)
{
    static const uint8_t zeros[ALIGNMENT];
    bytes *header = &writer->header;
    header->size = 0;
    append(writer, header, "GGUF", 4);
    append_u32(writer, header, 3);
    append_u64(writer, header, writer->tensor_count);
    append_u64(writer, header, writer->value_count);
    append(writer, header, writer->values.data, writer->values.size);
    append(writer, header, writer->tensors.data, writer->tensors.size);
    append(writer, header, zeros, sx_gguf_padding(header->size));
    if (writer->failed) return sx_fail(error, SX_ERROR_MEMORY, "out of memory while building a GGUF header");
    *data = header->data;
    *size = header->size;
    return SX_OK;
}
