#include "model/tensor.h"

#include <assert.h>
#include <stdlib.h>

static uint64_t row_bytes(const sx_tensor_ref *tensor)
{
    return sx_format_row_bytes(tensor->format, tensor->columns);
}

sx_tensor_ref sx_tensor_rows(const sx_tensor_ref *tensor, uint32_t first, uint32_t count)
{
    assert(tensor->slices == 1 && first <= tensor->rows && count <= tensor->rows - first);
    sx_tensor_ref part = *tensor;
    part.rows = count;
    part.offset += first * row_bytes(tensor);
    part.size = count * row_bytes(tensor);
    return part;
}

sx_tensor_ref sx_tensor_slice(const sx_tensor_ref *tensor, uint32_t slice)
{
    assert(slice < tensor->slices);
    sx_tensor_ref part = *tensor;
    part.slices = 1;
    part.size = tensor->rows * row_bytes(tensor);
    part.offset += slice * part.size;
    return part;
}

// Widens `error` by the tensor's name, since sources know only the file.
static sx_status read_named(const sx_tensor_ref *tensor, uint64_t offset, void *destination, size_t size,
                            sx_error *error)
{
    sx_error inner = {SX_OK, ""};
    const sx_status status = sx_source_read(tensor->source, offset, destination, size, &inner);
    if (status != SX_OK) return sx_fail(error, status, "tensor %s: %.400s", tensor->name, inner.message);
    return SX_OK;
}

sx_status sx_tensor_read(const sx_tensor_ref *tensor, uint64_t first, uint64_t count, void *destination,
                         sx_error *error)
{
    assert(first + count <= (uint64_t)tensor->slices * tensor->rows);
    const uint64_t bytes = row_bytes(tensor);
    return read_named(tensor, tensor->offset + first * bytes, destination, (size_t)(count * bytes), error);
}

sx_status sx_tensor_read_floats(const sx_tensor_ref *tensor, uint64_t first, uint64_t count, float *destination,
                                sx_error *error)
{
    assert(first + count <= (uint64_t)tensor->slices * tensor->rows);
    const uint64_t bytes = row_bytes(tensor);
    if (tensor->format == SX_FORMAT_F32) return sx_tensor_read(tensor, first, count, destination, error);
    void *row = malloc((size_t)bytes + 1);
    if (!row) return sx_fail(error, SX_ERROR_MEMORY, "tensor %s: out of memory", tensor->name);
    sx_status status = SX_OK;
    for (uint64_t i = 0; i < count && status == SX_OK; i++) {
        status = read_named(tensor, tensor->offset + (first + i) * bytes, row, (size_t)bytes, error);
        if (status == SX_OK) sx_dequantize_row(tensor->format, row, destination + i * tensor->columns, tensor->columns);
    }
    free(row);
    return status;
}

uint64_t sx_tensor_tile_bytes(const sx_tensor_ref *tensor, sx_format format)
{
    return tensor->slices * sx_tile_words(format, tensor->rows, tensor->columns) * sizeof(uint32_t);
}

static sx_status grow(const sx_tensor_ref *tensor, sx_tensor_scratch *scratch, size_t bytes, size_t floats,
                      sx_error *error)
{
    if (scratch->size < bytes) {
        free(scratch->bytes);
        scratch->bytes = malloc(bytes);
        scratch->size = scratch->bytes ? bytes : 0;
        if (!scratch->bytes) return sx_fail(error, SX_ERROR_MEMORY, "tensor %s: out of memory", tensor->name);
    }
    if (scratch->float_count < floats) {
        free(scratch->floats);
        scratch->floats = malloc(floats * sizeof(float));
        scratch->float_count = scratch->floats ? floats : 0;
        if (!scratch->floats) return sx_fail(error, SX_ERROR_MEMORY, "tensor %s: out of memory", tensor->name);
    }
    return SX_OK;
}

sx_status sx_tensor_pack(const sx_tensor_ref *tensor, uint32_t slice, uint32_t first, uint32_t count, sx_format format,
                         sx_tensor_scratch *scratch, uint32_t *destination, sx_error *error)
{
    assert(first % 32 == 0 && first <= tensor->rows && count <= tensor->rows - first && slice < tensor->slices);
    const uint64_t bytes = row_bytes(tensor), row = (uint64_t)slice * tensor->rows + first;
    if (format == tensor->format && tensor->source->mapping) {
        const uint64_t offset = tensor->offset + row * bytes;
        assert(offset + count * bytes <= tensor->source->size);
        sx_tile_pack(format, tensor->source->mapping + offset, count, tensor->columns, destination);
        return SX_OK;
    }
    if (format != tensor->format && tensor->columns % sx_format_get(format)->block)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "%s: tensor %s: rows of %u weights cannot be %s, which has blocks of %u", tensor->source->name,
                       tensor->name, tensor->columns, sx_format_get(format)->name, sx_format_get(format)->block);
    const uint64_t packed = sx_format_row_bytes(format, tensor->columns);
    const bool same = format == tensor->format;
    sx_status status = grow(tensor, scratch, (size_t)(count * packed + 1), same ? 0 : tensor->columns, error);
    if (status == SX_OK && same) status = sx_tensor_read(tensor, row, count, scratch->bytes, error);
    for (uint32_t i = 0; i < count && status == SX_OK && !same; i++) {
        status = sx_tensor_read_floats(tensor, row + i, 1, scratch->floats, error);
        if (status == SX_OK)
            sx_quantize_row(format, scratch->floats, (uint8_t *)scratch->bytes + i * packed, tensor->columns);
    }
    if (status == SX_OK) sx_tile_pack(format, scratch->bytes, count, tensor->columns, destination);
    return status;
}

void sx_tensor_scratch_free(sx_tensor_scratch *scratch)
{
    free(scratch->bytes);
    free(scratch->floats);
    *scratch = (sx_tensor_scratch){0};
}
