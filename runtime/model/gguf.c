#include "model/gguf.h"

#include "base/arena.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK ((size_t)64 * 1024)
#define MAX_KEY 65535 // the format's own limit
#define MAX_TENSOR_NAME 255
#define MAX_ENTRIES (1u << 20)           // keys, and tensors; bounds keep every product below within a 32-bit size_t
#define MAX_ELEMENTS ((uint64_t)1 << 28) // of an array, and bytes of a string

struct sx_gguf {
    sx_source source;
    sx_arena arena;
    uint32_t version;
    uint64_t value_count, tensor_count;
    sx_gguf_value *values;
    sx_gguf_tensor *tensors;
    const sx_gguf_value **values_by_key; // sorted, for finding
    const sx_gguf_tensor **tensors_by_name;
};

// Reads forward through a window, so that a source without mapping sees few, large reads.
typedef struct reader {
    const sx_source *source;
    uint64_t position;
    uint64_t window_start;
    size_t window_size;
    uint8_t *window; // CHUNK bytes
    sx_error *error;
} reader;

static uint64_t bytes_left(const reader *in)
{
    return in->source->size - in->position;
}

static sx_status read_bytes(reader *in, void *destination, size_t size)
{
    if (size > bytes_left(in))
        return sx_fail(in->error, SX_ERROR_FORMAT,
                       "%s: the file is cut off at %llu bytes, inside its header; fetch it again", in->source->name,
                       (unsigned long long)in->source->size);
    char *out = destination;
    if (size >= CHUNK) {
        const sx_status status = sx_source_read(in->source, in->position, out, size, in->error);
        if (status == SX_OK) in->position += size;
        return status;
    }
    while (size > 0) {
        if (in->position < in->window_start || in->position - in->window_start >= in->window_size) {
            const uint64_t left = bytes_left(in);
            in->window_size = left < CHUNK ? (size_t)left : CHUNK;
            in->window_start = in->position;
            const sx_status status = sx_source_read(in->source, in->position, in->window, in->window_size, in->error);
            if (status != SX_OK) {
                in->window_size = 0;
                return status;
            }
        }
        const size_t at = (size_t)(in->position - in->window_start);
        const size_t count = in->window_size - at < size ? in->window_size - at : size;
        memcpy(out, in->window + at, count);
        out += count;
        size -= count;
        in->position += count;
    }
    return SX_OK;
}

static sx_status read_u32(reader *in, uint32_t *out)
{
    uint8_t b[4];
    const sx_status status = read_bytes(in, b, sizeof b);
    if (status == SX_OK) *out = b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
    return status;
}

static sx_status read_u64(reader *in, uint64_t *out)
{
    uint32_t low = 0, high = 0;
    sx_status status = read_u32(in, &low);
    if (status == SX_OK) status = read_u32(in, &high);
    if (status == SX_OK) *out = low | (uint64_t)high << 32;
    return status;
}

static sx_status out_of_memory(const reader *in)
{
    return sx_fail(in->error, SX_ERROR_MEMORY, "%s: out of memory while reading its header", in->source->name);
}

// `what` names the field for the message.
static sx_status read_string(reader *in, sx_arena *arena, const char *what, uint64_t limit, sx_gguf_string *out)
{
    uint64_t length = 0;
    sx_status status = read_u64(in, &length);
    if (status != SX_OK) return status;
    if (length > bytes_left(in) || length > limit || length > MAX_ELEMENTS)
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: %s has an impossible length of %llu bytes", in->source->name,
                       what, (unsigned long long)length);
    char *text = sx_arena_alloc(arena, (size_t)length + 1);
    if (!text) return out_of_memory(in);
    *out = (sx_gguf_string){text, (size_t)length};
    return read_bytes(in, text, (size_t)length);
}

const char *sx_gguf_printable(sx_gguf_string text, char buffer[80])
{
    size_t i = 0;
    for (; i < text.length && i < 72; i++)
        buffer[i] = text.data[i] > 32 && text.data[i] < 127 ? text.data[i] : '?';
    if (i < text.length) memcpy(buffer + i, "...", 3), i += 3;
    buffer[i] = 0;
    return buffer;
}

static uint32_t type_width(uint32_t type)
{
    static const uint8_t widths[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return type < sizeof widths ? widths[type] : 0;
}

static sx_status read_elements(reader *in, sx_arena *arena, sx_gguf_value *value, sx_gguf_type type)
{
    char name[80];
    if (type == SX_GGUF_STRING) {
        // Every string takes at least its 8 length bytes, so the file's size bounds the table.
        if (value->count > bytes_left(in) / 8 || value->count > MAX_ELEMENTS)
            return sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: %llu strings do not fit the file", in->source->name,
                           sx_gguf_printable(value->key, name), (unsigned long long)value->count);
        sx_gguf_string *strings = sx_arena_alloc(arena, (size_t)value->count * sizeof *strings);
        if (!strings) return out_of_memory(in);
        value->data = strings;
        sx_status status = SX_OK;
        for (uint64_t i = 0; i < value->count && status == SX_OK; i++)
            status = read_string(in, arena, sx_gguf_printable(value->key, name), UINT64_MAX, &strings[i]);
        return status;
    }
    const uint32_t width = type_width(type);
    if (value->count > bytes_left(in) / width || value->count > MAX_ELEMENTS)
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: %llu elements do not fit the file", in->source->name,
                       sx_gguf_printable(value->key, name), (unsigned long long)value->count);
    void *data = sx_arena_alloc(arena, (size_t)value->count * width);
    if (!data) return out_of_memory(in);
    value->data = data;
    const sx_status status = read_bytes(in, data, (size_t)value->count * width);
    if (status != SX_OK || type != SX_GGUF_BOOL) return status;
    for (uint64_t i = 0; i < value->count; i++)
        if (((const uint8_t *)data)[i] > 1)
            return sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: a boolean is neither 0 nor 1", in->source->name,
                           sx_gguf_printable(value->key, name));
    return SX_OK;
}

static sx_status read_value(reader *in, sx_arena *arena, sx_gguf_value *value)
{
    char name[80];
    sx_status status = read_string(in, arena, "a key", MAX_KEY, &value->key);
    uint32_t type = 0;
    if (status == SX_OK) status = read_u32(in, &type);
    if (status != SX_OK) return status;
    sx_gguf_printable(value->key, name);
    if (value->key.length == 0 || memchr(value->key.data, 0, value->key.length))
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: an empty name or one with zero bytes", in->source->name,
                       name);
    if (type > SX_GGUF_F64)
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: unknown value type %u", in->source->name, name, type);
    value->type = (sx_gguf_type)type;
    value->count = 1;
    if (type == SX_GGUF_ARRAY) {
        status = read_u32(in, &type);
        if (status == SX_OK) status = read_u64(in, &value->count);
        if (status != SX_OK) return status;
        if (type == SX_GGUF_ARRAY)
            return sx_fail(in->error, SX_ERROR_UNSUPPORTED, "%s: key %s: arrays of arrays are not supported",
                           in->source->name, name);
        if (type > SX_GGUF_F64)
            return sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: unknown element type %u", in->source->name, name,
                           type);
    }
    value->element_type = (sx_gguf_type)type;
    return read_elements(in, arena, value, value->element_type);
}

static sx_status read_tensor(reader *in, sx_arena *arena, sx_gguf_tensor *tensor)
{
    char name[80];
    sx_status status = read_string(in, arena, "a tensor's name", MAX_TENSOR_NAME, &tensor->name);
    if (status == SX_OK) status = read_u32(in, &tensor->dimension_count);
    if (status != SX_OK) return status;
    sx_gguf_printable(tensor->name, name);
    if (tensor->name.length == 0 || memchr(tensor->name.data, 0, tensor->name.length))
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: tensor %s: an empty name or one with zero bytes",
                       in->source->name, name);
    if (tensor->dimension_count < 1 || tensor->dimension_count > 4)
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: tensor %s: has %u dimensions, 1 to 4 are possible",
                       in->source->name, name, tensor->dimension_count);
    uint64_t elements = 1;
    for (uint32_t i = 0; i < 4; i++) {
        tensor->dimensions[i] = 1;
        if (i >= tensor->dimension_count) continue;
        status = read_u64(in, &tensor->dimensions[i]);
        if (status != SX_OK) return status;
        if (tensor->dimensions[i] == 0 || tensor->dimensions[i] > (uint64_t)INT64_MAX / elements)
            return sx_fail(in->error, SX_ERROR_FORMAT, "%s: tensor %s: dimension %u is impossible (%llu)",
                           in->source->name, name, i, (unsigned long long)tensor->dimensions[i]);
        elements *= tensor->dimensions[i];
    }
    status = read_u32(in, &tensor->ggml_type);
    if (status == SX_OK) status = read_u64(in, &tensor->offset);
    if (status != SX_OK) return status;
    tensor->supported = sx_format_from_ggml(tensor->ggml_type, &tensor->format, NULL);
    if (!tensor->supported) return SX_OK; // refused by name only when something wants it
    const sx_format_info *info = sx_format_get(tensor->format);
    if (tensor->dimensions[0] % info->block)
        return sx_fail(in->error, SX_ERROR_FORMAT,
                       "%s: tensor %s: rows of %llu weights are no multiple of %s's block of %u", in->source->name,
                       name, (unsigned long long)tensor->dimensions[0], info->name, info->block);
    const uint64_t blocks = elements / info->block;
    if (blocks > in->source->size / info->block_bytes)
        return sx_fail(in->error, SX_ERROR_FORMAT,
                       "%s: tensor %s: is larger than the file; the file is cut off or damaged, fetch it again",
                       in->source->name, name);
    tensor->size = blocks * info->block_bytes;
    return SX_OK;
}

// Offsets become absolute; every tensor must lie inside the file.
static sx_status place_tensors(reader *in, sx_gguf *gguf)
{
    char name[80];
    uint32_t alignment = 32;
    sx_status status = sx_gguf_get_u32(gguf, "general.alignment", false, &alignment, in->error);
    if (status != SX_OK) return status;
    if (alignment == 0 || (alignment & (alignment - 1)) || alignment > 1u << 24)
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: key general.alignment: %u is no power of two", in->source->name,
                       alignment);
    const uint64_t start = (in->position + alignment - 1) / alignment * alignment;
    for (uint64_t i = 0; i < gguf->tensor_count; i++) {
        sx_gguf_tensor *tensor = &gguf->tensors[i];
        if (tensor->offset % alignment)
            return sx_fail(in->error, SX_ERROR_FORMAT, "%s: tensor %s: its offset is not aligned to %u",
                           in->source->name, sx_gguf_printable(tensor->name, name), alignment);
        const uint64_t size = in->source->size;
        if (start > size || tensor->offset > size - start || tensor->size > size - start - tensor->offset)
            return sx_fail(
                in->error, SX_ERROR_FORMAT,
                "%s: tensor %s: ends behind the end of the file (%llu bytes); the file is cut off, fetch it again",
                in->source->name, sx_gguf_printable(tensor->name, name), (unsigned long long)size);
        tensor->offset += start;
    }
    return SX_OK;
}

static int compare_strings(sx_gguf_string a, sx_gguf_string b)
{
    const int order = memcmp(a.data, b.data, a.length < b.length ? a.length : b.length);
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int compare_keys(const void *a, const void *b)
{
    return compare_strings((*(const sx_gguf_value *const *)a)->key, (*(const sx_gguf_value *const *)b)->key);
}

static int compare_names(const void *a, const void *b)
{
    return compare_strings((*(const sx_gguf_tensor *const *)a)->name, (*(const sx_gguf_tensor *const *)b)->name);
}

// Sorts for finding; a name that appears twice is refused, because which one counts would depend on the reader.
static sx_status index_values(reader *in, sx_gguf *gguf)
{
    char name[80];
    gguf->values_by_key = sx_arena_alloc(&gguf->arena, (size_t)gguf->value_count * sizeof(void *));
    if (!gguf->values_by_key) return out_of_memory(in);
    for (uint64_t i = 0; i < gguf->value_count; i++)
        gguf->values_by_key[i] = &gguf->values[i];
    if (gguf->value_count) qsort(gguf->values_by_key, (size_t)gguf->value_count, sizeof(void *), compare_keys);
    for (uint64_t i = 1; i < gguf->value_count; i++)
        if (compare_keys(&gguf->values_by_key[i - 1], &gguf->values_by_key[i]) == 0)
            return sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: appears twice", in->source->name,
                           sx_gguf_printable(gguf->values_by_key[i]->key, name));
    return SX_OK;
}

static sx_status index_tensors(reader *in, sx_gguf *gguf)
{
    char name[80];
    gguf->tensors_by_name = sx_arena_alloc(&gguf->arena, (size_t)gguf->tensor_count * sizeof(void *));
    if (!gguf->tensors_by_name) return out_of_memory(in);
    for (uint64_t i = 0; i < gguf->tensor_count; i++)
        gguf->tensors_by_name[i] = &gguf->tensors[i];
    if (gguf->tensor_count) qsort(gguf->tensors_by_name, (size_t)gguf->tensor_count, sizeof(void *), compare_names);
    for (uint64_t i = 1; i < gguf->tensor_count; i++)
        if (compare_names(&gguf->tensors_by_name[i - 1], &gguf->tensors_by_name[i]) == 0)
            return sx_fail(in->error, SX_ERROR_FORMAT, "%s: tensor %s: appears twice", in->source->name,
                           sx_gguf_printable(gguf->tensors_by_name[i]->name, name));
    return SX_OK;
}

static sx_status read_prologue(reader *in, sx_gguf *gguf)
{
    uint8_t magic[4] = {0};
    const sx_source *source = in->source;
    if (source->size < 24)
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: is too short to be a GGUF file (%llu bytes)", source->name,
                       (unsigned long long)source->size);
    sx_status status = read_bytes(in, magic, sizeof magic);
    if (status == SX_OK && memcmp(magic, "GGUF", 4) != 0)
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: is not a GGUF file (it does not begin with \"GGUF\")",
                       source->name);
    if (status == SX_OK) status = read_u32(in, &gguf->version);
    if (status == SX_OK && (gguf->version == 0x02000000u || gguf->version == 0x03000000u))
        return sx_fail(in->error, SX_ERROR_UNSUPPORTED, "%s: is a big-endian GGUF file; get the little-endian one",
                       source->name);
    if (status == SX_OK && gguf->version != 2 && gguf->version != 3)
        return sx_fail(in->error, SX_ERROR_UNSUPPORTED, "%s: is GGUF version %u; versions 2 and 3 are supported",
                       source->name, gguf->version);
    if (status == SX_OK) status = read_u64(in, &gguf->tensor_count);
    if (status == SX_OK) status = read_u64(in, &gguf->value_count);
    if (status != SX_OK) return status;
    // The least a key (length, type, one byte of value) and a tensor (length, count, one dimension, type, offset) take.
    if (gguf->value_count > source->size / 13 || gguf->tensor_count > source->size / 32 ||
        gguf->value_count > MAX_ENTRIES || gguf->tensor_count > MAX_ENTRIES)
        return sx_fail(in->error, SX_ERROR_FORMAT, "%s: %llu keys and %llu tensors do not fit a file of its size",
                       source->name, (unsigned long long)gguf->value_count, (unsigned long long)gguf->tensor_count);
    return SX_OK;
}

static sx_status read_all(reader *in, sx_gguf *gguf)
{
    sx_status status = read_prologue(in, gguf);
    if (status != SX_OK) return status;
    gguf->values = sx_arena_alloc(&gguf->arena, (size_t)gguf->value_count * sizeof *gguf->values);
    gguf->tensors = sx_arena_alloc(&gguf->arena, (size_t)gguf->tensor_count * sizeof *gguf->tensors);
    if (!gguf->values || !gguf->tensors) return out_of_memory(in);
    for (uint64_t i = 0; i < gguf->value_count && status == SX_OK; i++)
        status = read_value(in, &gguf->arena, &gguf->values[i]);
    if (status == SX_OK) status = index_values(in, gguf);
    for (uint64_t i = 0; i < gguf->tensor_count && status == SX_OK; i++)
        status = read_tensor(in, &gguf->arena, &gguf->tensors[i]);
    if (status == SX_OK) status = index_tensors(in, gguf);
    if (status == SX_OK) status = place_tensors(in, gguf);
    return status;
}

sx_status sx_gguf_open(const sx_source *source, sx_gguf **out, sx_error *error)
{
    assert(source && out);
    *out = NULL;
    sx_gguf *gguf = calloc(1, sizeof *gguf);
    uint8_t *window = malloc(CHUNK);
    sx_status status;
    if (!gguf || !window) {
        status = sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", source->name);
    } else {
        gguf->source = *source;
        reader in = {&gguf->source, 0, 0, 0, window, error};
        status = read_all(&in, gguf);
    }
    free(window);
    if (status == SX_OK)
        *out = gguf;
    else
        sx_gguf_close(gguf);
    return status;
}

void sx_gguf_close(sx_gguf *gguf)
{
    if (!gguf) return;
    sx_arena_free(&gguf->arena);
    free(gguf);
}

const sx_source *sx_gguf_source(const sx_gguf *gguf)
{
    return &gguf->source;
}

uint32_t sx_gguf_version(const sx_gguf *gguf)
{
    return gguf->version;
}

uint64_t sx_gguf_value_count(const sx_gguf *gguf)
{
    return gguf->value_count;
}

const sx_gguf_value *sx_gguf_value_at(const sx_gguf *gguf, uint64_t index)
{
    assert(index < gguf->value_count);
    return &gguf->values[index];
}

uint64_t sx_gguf_tensor_count(const sx_gguf *gguf)
{
    return gguf->tensor_count;
}

const sx_gguf_tensor *sx_gguf_tensor_at(const sx_gguf *gguf, uint64_t index)
{
    assert(index < gguf->tensor_count);
    return &gguf->tensors[index];
}

const sx_gguf_value *sx_gguf_find(const sx_gguf *gguf, const char *key)
{
    const sx_gguf_string wanted = {key, strlen(key)};
    for (uint64_t low = 0, high = gguf->value_count; low < high;) {
        const uint64_t middle = low + (high - low) / 2;
        const int order = compare_strings(wanted, gguf->values_by_key[middle]->key);
        if (order == 0) return gguf->values_by_key[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

const sx_gguf_tensor *sx_gguf_find_tensor(const sx_gguf *gguf, const char *name)
{
    const sx_gguf_string wanted = {name, strlen(name)};
    for (uint64_t low = 0, high = gguf->tensor_count; low < high;) {
        const uint64_t middle = low + (high - low) / 2;
        const int order = compare_strings(wanted, gguf->tensors_by_name[middle]->name);
        if (order == 0) return gguf->tensors_by_name[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
