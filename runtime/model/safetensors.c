#include "model/checkpoint.h"
#include "model/json.h"

#include <stdlib.h>
#include <string.h>

typedef struct dtype {
    const char *name;  // as safetensors writes it
    const char *plain; // as sx_entry_set_dtype takes it
    uint32_t width;
} dtype;

static const dtype dtypes[] = {
    {"F32", "F32", 4}, {"F16", "F16", 2}, {"BF16", "BF16", 2}, {"I64", "I64", 8},         {"I32", "I32", 4},
    {"U8", "U8", 1},   {"BOOL", "U8", 1}, {"I8", "I8", 1},     {"I16", "I16", 2},         {"U16", "U16", 2},
    {"U32", "U32", 4}, {"U64", "U64", 8}, {"F64", "F64", 8},   {"F8_E4M3", "F8_E4M3", 1}, {"F8_E5M2", "F8_E5M2", 1},
};

static sx_status bad_tensor(const sx_source *source, const char *name, const char *what, sx_error *error)
{
    return sx_fail(error, SX_ERROR_FORMAT, "%s: tensor %.100s: %s", source->name, name, what);
}

// Fills the dimensions (reversed: the innermost first) and the element count.
static sx_status read_shape(const sx_source *source, const sx_json *tensor, sx_tensor_entry *entry, uint64_t *elements,
                            sx_error *error)
{
    const sx_json *shape = sx_json_find(tensor, "shape");
    if (!shape || shape->type != SX_JSON_ARRAY) return bad_tensor(source, entry->name, "has no shape", error);
    if (shape->count > 4) return bad_tensor(source, entry->name, "has more than 4 dimensions", error);
    entry->dimension_count = shape->count ? shape->count : 1;
    for (int i = 0; i < 4; i++)
        entry->dimensions[i] = 1;
    *elements = 1;
    uint32_t at = shape->count;
    for (const sx_json *d = shape->first; d; d = d->next) {
        if (!d->is_integer || d->integer < 1 || (uint64_t)d->integer > (uint64_t)INT64_MAX / *elements)
            return bad_tensor(source, entry->name, "has an impossible dimension", error);
        entry->dimensions[--at] = (uint64_t)d->integer;
        *elements *= (uint64_t)d->integer;
    }
    return SX_OK;
}

static sx_status read_tensor(const sx_source *source, const sx_json *tensor, uint64_t data, sx_tensor_entry *entry,
                             sx_error *error)
{
    *entry = (sx_tensor_entry){.name = tensor->key, .source = source};
    const sx_json *type = sx_json_find(tensor, "dtype"), *offsets = sx_json_find(tensor, "data_offsets");
    if (tensor->type != SX_JSON_OBJECT || tensor->count != 3 || !type || type->type != SX_JSON_STRING || !offsets)
        return bad_tensor(source, entry->name, "its entry is not dtype, shape and data_offsets", error);
    uint64_t elements = 0;
    const sx_status status = read_shape(source, tensor, entry, &elements, error);
    if (status != SX_OK) return status;
    const sx_json *begin = offsets->first, *end = begin ? begin->next : NULL;
    if (offsets->type != SX_JSON_ARRAY || offsets->count != 2 || !begin->is_integer || !end->is_integer ||
        begin->integer < 0 || end->integer < begin->integer || (uint64_t)end->integer > source->size - data)
        return bad_tensor(source, entry->name, "its data_offsets lie outside of the file; it may be cut off", error);
    entry->offset = data + (uint64_t)begin->integer;
    entry->size = (uint64_t)(end->integer - begin->integer);
    sx_entry_set_dtype(entry, type->string);
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
        if (strcmp(type->string, dtypes[i].name) != 0) continue;
        sx_entry_set_dtype(entry, dtypes[i].plain);
        if (elements > UINT64_MAX / dtypes[i].width || elements * dtypes[i].width != entry->size)
            return bad_tensor(source, entry->name, "its shape does not agree with its data_offsets", error);
    }
    return SX_OK;
}

static int compare_offsets(const void *a, const void *b)
{
    const sx_tensor_entry *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return (x->size > y->size) - (x->size < y->size);
}

// The format allows neither overlaps nor holes.
static sx_status check_coverage(const sx_source *source, uint64_t data, sx_tensor_entry *entries, size_t count,
                                sx_error *error)
{
    uint64_t at = data;
    if (count) qsort(entries, count, sizeof *entries, compare_offsets);
    for (size_t i = 0; i < count; i++) {
        if (entries[i].offset != at)
            return bad_tensor(source, entries[i].name, "its data overlaps another's or leaves a hole", error);
        at += entries[i].size;
    }
    if (at != source->size)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: %llu bytes belong to no tensor", source->name,
                       (unsigned long long)(source->size - at));
    return SX_OK;
}

sx_status sx_safetensors_read(const sx_source *source, sx_arena *arena, sx_entry_list *list, sx_error *error)
{
    uint8_t b[8];
    if (source->size < 8)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: is too short to be a safetensors file", source->name);
    sx_status status = sx_source_read(source, 0, b, sizeof b, error);
    if (status != SX_OK) return status;
    uint64_t length = 0;
    for (int i = 7; i >= 0; i--)
        length = length << 8 | b[i];
    char *text;
    status = sx_read_metadata(source, 8, length, "a safetensors header", arena, &text, error);
    if (status != SX_OK) return status;
    const sx_json *header;
    status = sx_json_parse(text, (size_t)length, source->name, arena, &header, error);
    if (status != SX_OK) return status;
    if (header->type != SX_JSON_OBJECT)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: its header is no JSON object", source->name);
    const size_t first = list->count;
    for (const sx_json *member = header->first; member && status == SX_OK; member = member->next) {
        if (strcmp(member->key, "__metadata__") == 0) continue;
        sx_tensor_entry entry;
        status = read_tensor(source, member, 8 + length, &entry, error);
        if (status == SX_OK && !sx_entry_list_add(list, &entry))
            status = sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", source->name);
    }
    if (status != SX_OK) return status;
    return check_coverage(source, 8 + length, list->entries + first, list->count - first, error);
}
