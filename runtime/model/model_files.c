#include "model/model_files.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARTS 999
#define SUFFIX_LENGTH 20 // "-00001-of-00003.gguf"

struct sx_model_files {
    size_t count;     // parts, in order
    sx_gguf **parts;  // [count]
    sx_file **files;  // [count]; NULL where the source is the caller's
    uint64_t *starts; // [count + 1]: index of each part's first tensor among all
};

static sx_status allocate(const char *name, size_t count, sx_model_files **out, sx_error *error)
{
    sx_model_files *files = calloc(1, sizeof *files);
    if (files) {
        files->count = count;
        files->parts = calloc(count, sizeof *files->parts);
        files->files = calloc(count, sizeof *files->files);
        files->starts = calloc(count + 1, sizeof *files->starts);
    }
    if (!files || !files->parts || !files->files || !files->starts) {
        sx_model_files_close(files);
        return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", name);
    }
    *out = files;
    return SX_OK;
}

void sx_model_files_close(sx_model_files *files)
{
    if (!files) return;
    for (size_t i = 0; i < files->count; i++) {
        if (files->parts) sx_gguf_close(files->parts[i]);
        if (files->files) sx_file_close(files->files[i]);
    }
    free(files->parts);
    free(files->files);
    free(files->starts);
    free(files);
}

// How many parts the file says its model has (1 when it says nothing), and which one it is (from 0).
static sx_status read_split(const sx_gguf *gguf, uint32_t *count, uint32_t *number, sx_error *error)
{
    *count = 1;
    *number = 0;
    const char *name = sx_gguf_source(gguf)->name;
    sx_status status = sx_gguf_get_u32(gguf, "split.count", false, count, error);
    if (status == SX_OK) status = sx_gguf_get_u32(gguf, "split.no", *count > 1, number, error);
    if (status != SX_OK) return status;
    if (*count == 0) *count = 1; // written by some tools for a model in one piece
    if (*count > MAX_PARTS)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: key split.count: %u parts are too many", name, *count);
    if (*number >= *count)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: key split.no: part %u of %u is impossible", name, *number, *count);
    return SX_OK;
}

// All parts are in place: they must belong together, and no tensor may be in two of them.
static sx_status check_parts(sx_model_files *files, sx_error *error)
{
    char printable[80];
    for (size_t i = 0; i < files->count; i++) {
        const sx_gguf *part = files->parts[i];
        files->starts[i + 1] = files->starts[i] + sx_gguf_tensor_count(part);
        for (uint64_t t = 0; t < sx_gguf_tensor_count(part); t++) {
            const sx_gguf_tensor *tensor = sx_gguf_tensor_at(part, t);
            for (size_t k = 0; k < i; k++)
                if (sx_gguf_find_tensor(files->parts[k], tensor->name.data))
                    return sx_fail(error, SX_ERROR_MISMATCH, "%s: tensor %s is in the part %s, too",
                                   sx_gguf_source(part)->name, sx_gguf_printable(tensor->name, printable),
                                   sx_gguf_source(files->parts[k])->name);
        }
    }
    if (files->count == 1) return SX_OK;
    uint64_t expected = files->starts[files->count];
    const sx_status status = sx_gguf_get_u64(files->parts[0], "split.tensors.count", false, &expected, error);
    if (status != SX_OK) return status;
    if (expected != files->starts[files->count])
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "%s: key split.tensors.count says %llu tensors, its parts have %llu; fetch all parts again",
                       sx_model_files_name(files), (unsigned long long)expected,
                       (unsigned long long)files->starts[files->count]);
    return SX_OK;
}

static sx_status check_part(const sx_gguf *part, uint32_t count, uint32_t number, sx_error *error)
{
    uint32_t its_count, its_number;
    const sx_status status = read_split(part, &its_count, &its_number, error);
    if (status != SX_OK) return status;
    if (its_count != count || its_number != number)
        return sx_fail(
            error, SX_ERROR_MISMATCH,
            "%s: says it is part %u of %u where part %u of %u is wanted; it was renamed or is of another model",
            sx_gguf_source(part)->name, its_number + 1, its_count, number + 1, count);
    return SX_OK;
}

static sx_status open_part(sx_model_files *files, size_t index, const char *path, sx_error *error)
{
    const sx_status status = sx_file_open(path, &files->files[index], error);
    if (status != SX_OK) return status;
    return sx_gguf_open(sx_file_source(files->files[index]), &files->parts[index], error);
}

static sx_status open_parts(sx_model_files *files, const char *path, sx_error *error)
{
    const size_t length = strlen(path), stem = length - SUFFIX_LENGTH;
    char *name = malloc(length + 16);
    if (!name) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", path);
    sx_status status = SX_OK;
    for (size_t i = 0; i < files->count && status == SX_OK; i++) {
        memcpy(name, path, stem);
        snprintf(name + stem, SUFFIX_LENGTH + 16, "-%05u-of-%05u.gguf", (unsigned)i + 1, (unsigned)files->count);
        sx_error inner = {SX_OK, ""};
        status = open_part(files, i, name, &inner);
        if (status != SX_OK)
            sx_fail(error, status, "part %zu of %zu: %.400s", i + 1, files->count, inner.message);
        else
            status = check_part(files->parts[i], (uint32_t)files->count, (uint32_t)i, error);
    }
    free(name);
    return status;
}

// "...-00002-of-00005.gguf"
static bool has_part_name(const char *path, uint32_t count)
{
    const size_t length = strlen(path);
    if (length < SUFFIX_LENGTH) return false;
    char wanted[32];
    unsigned number;
    if (sscanf(path + length - SUFFIX_LENGTH, "-%5u-of-", &number) != 1) return false;
    snprintf(wanted, sizeof wanted, "-%05u-of-%05u.gguf", number, (unsigned)count);
    return strcmp(path + length - SUFFIX_LENGTH, wanted) == 0;
}

sx_status sx_model_files_open(const char *path, sx_model_files **out, sx_error *error)
{
    assert(path && out);
    *out = NULL;
    sx_model_files *files;
    sx_status status = allocate(path, 1, &files, error);
    if (status != SX_OK) return status;
    uint32_t count = 1, number = 0;
    status = open_part(files, 0, path, error);
    if (status == SX_OK) status = read_split(files->parts[0], &count, &number, error);
    if (status == SX_OK && count > 1 && !has_part_name(path, count))
        status = sx_fail(error, SX_ERROR_MISMATCH,
                         "%s: is part %u of %u; give the parts back their names (...-%05u-of-%05u.gguf)", path,
                         number + 1, count, number + 1, count);
    if (status == SX_OK && count > 1) {
        sx_model_files_close(files);
        status = allocate(path, count, &files, error);
        if (status != SX_OK) return status;
        status = open_parts(files, path, error);
    }
    if (status == SX_OK) status = check_parts(files, error);
    if (status == SX_OK)
        *out = files;
    else
        sx_model_files_close(files);
    return status;
}

// Puts one parsed source into its place among the parts.
static sx_status place_source(sx_model_files *files, sx_gguf *part, sx_error *error)
{
    uint32_t count, number;
    const char *name = sx_gguf_source(part)->name;
    sx_status status = read_split(part, &count, &number, error);
    if (status == SX_OK && count != files->count)
        status = sx_fail(error, SX_ERROR_MISMATCH, "%s: belongs to a model of %u parts, %zu files were given", name,
                         count, files->count);
    if (status == SX_OK && files->parts[number])
        status = sx_fail(error, SX_ERROR_MISMATCH, "%s: says it is part %u, as %s does", name, number + 1,
                         sx_gguf_source(files->parts[number])->name);
    if (status == SX_OK)
        files->parts[number] = part;
    else
        sx_gguf_close(part);
    return status;
}

sx_status sx_model_files_from_sources(const sx_source *const *sources, size_t count, sx_model_files **out,
                                      sx_error *error)
{
    assert(sources && count > 0 && out);
    *out = NULL;
    sx_model_files *files;
    sx_status status = allocate(sources[0]->name, count, &files, error);
    if (status != SX_OK) return status;
    for (size_t i = 0; i < count && status == SX_OK; i++) {
        sx_gguf *part;
        status = sx_gguf_open(sources[i], &part, error);
        if (status == SX_OK) status = place_source(files, part, error);
    }
    if (status == SX_OK) status = check_parts(files, error);
    if (status == SX_OK)
        *out = files;
    else
        sx_model_files_close(files);
    return status;
}

const sx_gguf *sx_model_files_metadata(const sx_model_files *files)
{
    return files->parts[0];
}

const char *sx_model_files_name(const sx_model_files *files)
{
    return sx_gguf_source(files->parts[0])->name;
}

size_t sx_model_files_count(const sx_model_files *files)
{
    return files->count;
}

uint64_t sx_model_files_bytes(const sx_model_files *files)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < files->count; i++)
        bytes += sx_gguf_source(files->parts[i])->size;
    return bytes;
}

uint64_t sx_model_files_tensor_count(const sx_model_files *files)
{
    return files->starts[files->count];
}

const sx_gguf_tensor *sx_model_files_tensor_at(const sx_model_files *files, uint64_t index, const sx_source **source)
{
    assert(index < files->starts[files->count]);
    size_t part = 0;
    while (index >= files->starts[part + 1])
        part++;
    if (source) *source = sx_gguf_source(files->parts[part]);
    return sx_gguf_tensor_at(files->parts[part], index - files->starts[part]);
}

const sx_gguf_tensor *sx_model_files_find(const sx_model_files *files, const char *name, const sx_source **source)
{
    for (size_t i = 0; i < files->count; i++) {
        const sx_gguf_tensor *tensor = sx_gguf_find_tensor(files->parts[i], name);
        if (!tensor) continue;
        if (source) *source = sx_gguf_source(files->parts[i]);
        return tensor;
    }
    return NULL;
}
