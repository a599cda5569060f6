#include "model/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sx_entry_list_add(sx_entry_list *list, const sx_tensor_entry *entry)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 32;
        sx_tensor_entry *grown = realloc(list->entries, capacity * sizeof *grown);
        if (!grown) return false;
        list->entries = grown;
        list->capacity = capacity;
    }
    list->entries[list->count++] = *entry;
    return true;
}

void sx_entry_set_dtype(sx_tensor_entry *entry, const char *dtype)
{
    static const sx_format plain[] = {SX_FORMAT_F32, SX_FORMAT_F16, SX_FORMAT_BF16,
                                      SX_FORMAT_I64, SX_FORMAT_I32, SX_FORMAT_U8};
    snprintf(entry->format_name, sizeof entry->format_name, "%s", dtype);
    entry->supported = false;
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(sx_format_get(plain[i])->name, dtype) == 0) {
            entry->format = plain[i];
            entry->supported = true;
        }
}

sx_status sx_read_metadata(const sx_source *source, uint64_t offset, uint64_t size, const char *what, sx_arena *arena,
                           char **out, sx_error *error)
{
    if (size > SX_MAX_METADATA)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: %s of %llu bytes is larger than the %llu that are plausible",
                       source->name, what, (unsigned long long)size, (unsigned long long)SX_MAX_METADATA);
    if (offset > source->size || size > source->size - offset)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: %s of %llu bytes does not fit the file", source->name, what,
                       (unsigned long long)size);
    *out = sx_arena_alloc(arena, (size_t)size + 1);
    if (!*out) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", source->name);
    return sx_source_read(source, offset, *out, (size_t)size, error);
}
