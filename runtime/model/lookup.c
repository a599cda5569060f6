#include "model/lookup.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const sx_tensor_entry *)a)->name, ((const sx_tensor_entry *)b)->name);
}

sx_status sx_lookup_from_entries(const char *where, sx_tensor_entry *entries, size_t count, sx_lookup *out,
                                 sx_error *error)
{
    *out = (sx_lookup){.where = where, .entries = entries, .count = count};
    if (count) qsort(entries, count, sizeof *entries, compare_entries);
    for (size_t i = 1; i < count; i++)
        if (strcmp(entries[i - 1].name, entries[i].name) == 0) {
            const sx_status status =
                sx_fail(error, SX_ERROR_FORMAT, "%s: tensor %.100s appears twice", where, entries[i].name);
            sx_lookup_free(out);
            return status;
        }
    return SX_OK;
}

static void describe_gguf_tensor(const sx_gguf_tensor *tensor, const sx_source *source, sx_tensor_entry *entry)
{
    const char *format_name = NULL;
    sx_format format = SX_FORMAT_F32;
    const bool supported = sx_format_from_ggml(tensor->ggml_type, &format, &format_name);
    *entry = (sx_tensor_entry){.name = tensor->name.data,
                               .supported = supported,
                               .format = format,
                               .dimension_count = tensor->dimension_count,
                               .source = source,
                               .offset = tensor->offset,
                               .size = tensor->size};
    memcpy(entry->dimensions, tensor->dimensions, sizeof entry->dimensions);
    if (format_name)
        snprintf(entry->format_name, sizeof entry->format_name, "%s", format_name);
    else
        snprintf(entry->format_name, sizeof entry->format_name, "type %u", tensor->ggml_type);
}

sx_status sx_lookup_from_gguf(const sx_model_files *files, sx_lookup *out, sx_error *error)
{
    const uint64_t count = sx_model_files_tensor_count(files);
    sx_tensor_entry *entries = calloc((size_t)count + 1, sizeof *entries);
    if (!entries) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", sx_model_files_name(files));
    for (uint64_t i = 0; i < count; i++) {
        const sx_source *source;
        const sx_gguf_tensor *tensor = sx_model_files_tensor_at(files, i, &source);
        describe_gguf_tensor(tensor, source, &entries[i]);
    }
    return sx_lookup_from_entries(sx_model_files_name(files), entries, (size_t)count, out, error);
}

void sx_lookup_free(sx_lookup *lookup)
{
    free(lookup->entries);
    *lookup = (sx_lookup){0};
}

sx_tensor_entry *sx_lookup_find(sx_lookup *lookup, const char *name)
{
    const sx_tensor_entry wanted = {.name = name};
    return lookup->count ? bsearch(&wanted, lookup->entries, lookup->count, sizeof wanted, compare_entries) : NULL;
}

void sx_lookup_problem(sx_lookup *lookup, const char *format, ...)
{
    char text[200];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32 || (unsigned char)*c > 126) *c = '?'; // names come from the file
    lookup->problem_count++;
    const size_t needed = strlen(text) + 2;
    if (lookup->problem_length + needed >= sizeof lookup->problems) {
        lookup->problems_omitted++;
        return;
    }
    snprintf(lookup->problems + lookup->problem_length, sizeof lookup->problems - lookup->problem_length, "%s%s",
             lookup->problem_length ? "; " : "", text);
    lookup->problem_length = strlen(lookup->problems);
}

static const char *shape_text(char buffer[72], uint64_t slices, uint64_t rows, uint64_t columns)
{
    char sizes[3][24];
    const uint64_t values[3] = {slices, rows, columns};
    for (int i = 0; i < 3; i++)
        if (values[i])
            snprintf(sizes[i], sizeof sizes[i], "%llu", (unsigned long long)values[i]);
        else
            strcpy(sizes[i], "any");
    if (slices > 1)
        snprintf(buffer, 72, "[%.20s, %.20s, %.20s]", sizes[0], sizes[1], sizes[2]);
    else if (rows != 1)
        snprintf(buffer, 72, "[%.20s, %.20s]", sizes[1], sizes[2]);
    else
        snprintf(buffer, 72, "[%.20s]", sizes[2]);
    return buffer;
}

bool sx_lookup_stack(sx_lookup *lookup, sx_tensor_ref *out, sx_presence presence, uint64_t slices, uint64_t rows,
                     uint64_t columns, const char *name)
{
    *out = (sx_tensor_ref){0};
    if (presence == SX_FORBIDDEN) return false;
    sx_tensor_entry *entry = sx_lookup_find(lookup, name);
    if (!entry) {
        if (presence == SX_REQUIRED) sx_lookup_problem(lookup, "%.64s is missing", name);
        return false;
    }
    entry->used = true;
    char wanted[72], found[72];
    const uint64_t *d = entry->dimensions;
    const bool fits = (!columns || d[0] == columns) && (!rows || d[1] == rows) && (!slices || d[2] == slices) &&
                      d[3] == 1 && d[0] <= INT32_MAX && d[1] <= INT32_MAX && d[2] <= INT32_MAX;
    if (!fits) {
        sx_lookup_problem(lookup, "%.64s is %s, %s is wanted", name, shape_text(found, d[2] * d[3], d[1], d[0]),
                          shape_text(wanted, slices, rows, columns));
        return false;
    }
    if (!entry->supported || entry->format >= SX_FORMAT_COUNT) {
        sx_lookup_problem(lookup, "%.64s has the unsupported format %s", name, entry->format_name);
        return false;
    }
    *out = (sx_tensor_ref){entry->name,    entry->format, (uint32_t)d[2], (uint32_t)d[1],
                           (uint32_t)d[0], entry->source, entry->offset,  entry->size};
    return true;
}

bool sx_lookup_matrix(sx_lookup *lookup, sx_tensor_ref *out, sx_presence presence, uint64_t rows, uint64_t columns,
                      const char *name)
{
    return sx_lookup_stack(lookup, out, presence, 1, rows, columns, name);
}

bool sx_lookup_vector(sx_lookup *lookup, sx_tensor_ref *out, sx_presence presence, uint64_t length, const char *name)
{
    return sx_lookup_stack(lookup, out, presence, 1, 1, length, name);
}

void sx_lookup_ignore(sx_lookup *lookup, const char *name)
{
    sx_tensor_entry *entry = sx_lookup_find(lookup, name);
    if (entry) entry->used = true;
}

sx_status sx_lookup_finish(sx_lookup *lookup, sx_error *error)
{
    for (size_t i = 0; i < lookup->count; i++)
        if (!lookup->entries[i].used) sx_lookup_problem(lookup, "%.64s is extra", lookup->entries[i].name);
    if (!lookup->problem_count) return SX_OK;
    if (lookup->problems_omitted)
        return sx_fail(error, SX_ERROR_FORMAT, "%.100s: %s; and %u more problems with its tensors", lookup->where,
                       lookup->problems, lookup->problems_omitted);
    return sx_fail(error, SX_ERROR_FORMAT, "%.100s: %s", lookup->where, lookup->problems);
}
