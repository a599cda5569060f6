#include "base/file.h"
#include "base/platform.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sx_file {
    sx_source source;
    int descriptor; // -1 once mapped
    char name[];
};

static bool read_descriptor(void *user, uint64_t offset, void *destination, size_t size)
{
    const sx_file *file = user;
    char *out = destination;
    while (size > 0) {
        const ptrdiff_t got = sx_platform_read(file->descriptor, offset, out, size);
        if (got <= 0) return false;
        out += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return true;
}

static bool read_mapping(void *user, uint64_t offset, void *destination, size_t size)
{
    memcpy(destination, (const uint8_t *)user + offset, size);
    return true;
}

static sx_status open_checked(const char *path, int *descriptor, uint64_t *size, sx_error *error)
{
    *descriptor = sx_platform_open(path, SX_PLATFORM_READ);
    if (*descriptor < 0) return sx_fail(error, SX_ERROR_FILE, "%s: cannot open: %s", path, strerror(errno));
    bool regular;
    if (!sx_platform_size(*descriptor, &regular, size)) {
        const int reason = errno;
        sx_platform_close(*descriptor);
        return sx_fail(error, SX_ERROR_FILE, "%s: cannot read its size: %s", path, strerror(reason));
    }
    if (!regular) {
        sx_platform_close(*descriptor);
        return sx_fail(error, SX_ERROR_FILE, "%s: is not a regular file", path);
    }
    return SX_OK;
}

sx_status sx_file_open(const char *path, sx_file **out, sx_error *error)
{
    assert(path && out);
    *out = NULL;
    int descriptor;
    uint64_t size = 0;
    const sx_status status = open_checked(path, &descriptor, &size, error);
    if (status != SX_OK) return status;
    const size_t name_size = strlen(path) + 1;
    sx_file *file = calloc(1, sizeof *file + name_size);
    if (!file) {
        sx_platform_close(descriptor);
        return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", path);
    }
    memcpy(file->name, path, name_size);
    file->descriptor = descriptor;
    file->source = (sx_source){file->name, size, read_descriptor, file, NULL};
    // An empty file cannot be mapped, and a 32-bit address space may be too small: both are read plainly.
    if (size > 0 && size <= SIZE_MAX) {
        const void *mapping = sx_platform_map(descriptor, (size_t)size);
        if (mapping) {
            file->source.mapping = mapping;
            file->source.read_at = read_mapping;
            file->source.user = (void *)mapping;
            sx_platform_close(descriptor);
            file->descriptor = -1;
        }
    }
    *out = file;
    return SX_OK;
}

void sx_file_close(sx_file *file)
{
    if (!file) return;
    if (file->source.mapping) sx_platform_unmap(file->source.mapping, (size_t)file->source.size);
    if (file->descriptor >= 0) sx_platform_close(file->descriptor);
    free(file);
}

const sx_source *sx_file_source(const sx_file *file)
{
    return &file->source;
}

sx_source sx_source_memory(const char *name, const void *data, size_t size)
{
    return (sx_source){name, size, read_mapping, (void *)data, data};
}

sx_status sx_source_read(const sx_source *source, uint64_t offset, void *destination, size_t size, sx_error *error)
{
    if (offset > source->size || size > source->size - offset)
        return sx_fail(error, SX_ERROR_FORMAT,
                       "%s: ends too early (%zu bytes wanted at offset %llu of %llu); fetch the file again",
                       source->name, size, (unsigned long long)offset, (unsigned long long)source->size);
    if (size == 0) return SX_OK;
    if (!source->read_at(source->user, offset, destination, size))
        return sx_fail(error, SX_ERROR_FILE, "%s: cannot read %zu bytes at offset %llu", source->name, size,
                       (unsigned long long)offset);
    return SX_OK;
}

struct sx_file_writer {
    int descriptor;
    uint64_t size; // written so far
    char *temporary;
    char path[];
};

sx_status sx_file_writer_open(const char *path, sx_file_writer **out, sx_error *error)
{
    *out = NULL;
    const size_t length = strlen(path);
    sx_file_writer *writer = calloc(1, sizeof *writer + length + 1);
    char *temporary = malloc(length + 32);
    if (!writer || !temporary) {
        free(writer);
        free(temporary);
        return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", path);
    }
    memcpy(writer->path, path, length + 1);
    writer->temporary = temporary;
    writer->descriptor = -1;
    for (unsigned attempt = 0; attempt < 100 && writer->descriptor < 0; attempt++) {
        snprintf(temporary, length + 32, "%s.%lu.%u.part", path, sx_platform_process(), attempt);
        writer->descriptor = sx_platform_open(temporary, SX_PLATFORM_CREATE);
        if (writer->descriptor < 0 && errno != EEXIST) break;
    }
    if (writer->descriptor < 0) {
        const int reason = errno;
        free(temporary);
        free(writer);
        return sx_fail(error, SX_ERROR_FILE, "%s: cannot create a file in its folder: %s", path, strerror(reason));
    }
    *out = writer;
    return SX_OK;
}

sx_status sx_file_writer_write(sx_file_writer *writer, const void *data, size_t size, sx_error *error)
{
    const char *bytes = data;
    while (size > 0) {
        const ptrdiff_t done = sx_platform_write(writer->descriptor, writer->size, bytes, size);
        if (done < 0) return sx_fail(error, SX_ERROR_FILE, "%s: cannot write: %s", writer->path, strerror(errno));
        bytes += done;
        size -= (size_t)done;
        writer->size += (uint64_t)done;
    }
    return SX_OK;
}

sx_status sx_file_writer_commit(sx_file_writer *writer, sx_error *error)
{
    bool good = sx_platform_sync(writer->descriptor);
    int reason = errno;
    sx_platform_close(writer->descriptor); // what it would say, the sync has said
    writer->descriptor = -1;
    if (good && !sx_platform_rename(writer->temporary, writer->path)) good = false, reason = errno;
    sx_status status = SX_OK;
    if (!good) {
        sx_platform_remove(writer->temporary);
        status = sx_fail(error, SX_ERROR_FILE, "%s: cannot write: %s", writer->path, strerror(reason));
    }
    free(writer->temporary);
    free(writer);
    return status;
}

void sx_file_writer_abort(sx_file_writer *writer)
{
    if (!writer) return;
    sx_platform_close(writer->descriptor);
    sx_platform_remove(writer->temporary);
    free(writer->temporary);
    free(writer);
}

sx_status sx_file_write_atomic(const char *path, const void *data, size_t size, sx_error *error)
{
    sx_file_writer *writer;
    sx_status status = sx_file_writer_open(path, &writer, error);
    if (status != SX_OK) return status;
    status = sx_file_writer_write(writer, data, size, error);
    if (status != SX_OK) {
        sx_file_writer_abort(writer);
        return status;
    }
    return sx_file_writer_commit(writer, error);
}

sx_status sx_make_folders(const char *path, sx_error *error)
{
    const size_t length = strlen(path);
    char *copy = malloc(length + 1);
    if (!copy) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", path);
    memcpy(copy, path, length + 1);
    bool good = length > 0;
    int reason = ENOENT;
    for (size_t i = 1; good && i <= length; i++) {
        if (copy[i] != '/' && copy[i] != 0) continue;
        const char kept = copy[i];
        copy[i] = 0;
        if (!sx_platform_make_folder(copy)) good = false, reason = errno;
        copy[i] = kept;
    }
    free(copy);
    if (!good) return sx_fail(error, SX_ERROR_FILE, "%s: cannot create the folder: %s", path, strerror(reason));
    return SX_OK;
}

uint64_t sx_disk_free(const char *path)
{
    const size_t length = (size_t)(sx_platform_file_name(path) - path);
    char *folder = malloc(length + 2);
    if (!folder) return 0;
    memcpy(folder, length ? path : ".", length ? length : 1);
    folder[length ? length : 1] = 0;
    const uint64_t bytes = sx_platform_disk_free(folder);
    free(folder);
    return bytes;
}
