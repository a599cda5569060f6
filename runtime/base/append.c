#include "base/append.h"
#include "base/platform.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct sx_append_file {
    int descriptor;
    uint64_t size;
    char path[];
};

static sx_status fail(const sx_append_file *file, const char *what, int reason, sx_error *error)
{
    return sx_fail(error, SX_ERROR_FILE, "%s: cannot %s: %s", file->path, what, strerror(reason));
}

sx_status sx_append_open(const char *path, sx_append_file **out, sx_error *error)
{
    *out = NULL;
    const size_t length = strlen(path);
    sx_append_file *file = calloc(1, sizeof *file + length + 1);
    if (!file) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", path);
    memcpy(file->path, path, length + 1);
    sx_status status = SX_OK;
    bool regular;
    file->descriptor = sx_platform_open(path, SX_PLATFORM_UPDATE);
    if (file->descriptor < 0)
        status = fail(file, "be opened for writing", errno, error);
    else if (!sx_platform_lock(file->descriptor))
        status = sx_fail(error, SX_ERROR_BUSY,
                         "%s: another program is writing to it; wait for it, or write to another file", path);
    else if (!sx_platform_size(file->descriptor, &regular, &file->size) || !regular)
        status = sx_fail(error, SX_ERROR_FILE, "%s: is no regular file", path);
    if (status != SX_OK) {
        sx_append_close(file);
        return status;
    }
    *out = file;
    return SX_OK;
}

uint64_t sx_append_size(const sx_append_file *file)
{
    return file->size;
}

sx_status sx_append_truncate(sx_append_file *file, uint64_t size, sx_error *error)
{
    if (size >= file->size) return SX_OK;
    if (!sx_platform_truncate(file->descriptor, size)) return fail(file, "be cut", errno, error);
    file->size = size;
    return SX_OK;
}

sx_status sx_append_write(sx_append_file *file, const sx_append_piece *pieces, size_t count, sx_error *error)
{
    uint64_t at = file->size;
    int reason = 0;
    for (size_t i = 0; i < count && !reason; i++) {
        const char *bytes = pieces[i].data;
        for (size_t left = pieces[i].size; left && !reason;) {
            const ptrdiff_t done = sx_platform_write(file->descriptor, at, bytes, left);
            if (done <= 0) {
                reason = done < 0 ? errno : ENOSPC;
                break;
            }
            bytes += done;
            left -= (size_t)done;
            at += (uint64_t)done;
        }
    }
    if (!reason && !sx_platform_sync(file->descriptor)) reason = errno;
    if (!reason) {
        file->size = at;
        return SX_OK;
    }
    if (!sx_platform_truncate(file->descriptor, file->size)) {
        // A torn tail is cut off when the file is opened again.
    }
    return fail(file, "be written", reason, error);
}

void sx_append_close(sx_append_file *file)
{
    if (!file) return;
    if (file->descriptor >= 0) sx_platform_close(file->descriptor); // which unlocks it
    free(file);
}
