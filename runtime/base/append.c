#include "base/append.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

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
    struct stat info;
    file->descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file->descriptor < 0)
        status = fail(file, "be opened for writing", errno, error);
    else if (flock(file->descriptor, LOCK_EX | LOCK_NB) != 0)
        status = sx_fail(error, SX_ERROR_BUSY,
                         "%s: another program is writing to it; wait for it, or write to another file", path);
    else if (fstat(file->descriptor, &info) != 0 || !S_ISREG(info.st_mode))
        status = sx_fail(error, SX_ERROR_FILE, "%s: is no regular file", path);
    else
        file->size = (uint64_t)info.st_size;
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
    if (ftruncate(file->descriptor, (off_t)size) != 0) return fail(file, "be cut", errno, error);
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
            const ssize_t done = pwrite(file->descriptor, bytes, left, (off_t)at);
            if (done < 0 && errno == EINTR) continue;
            if (done <= 0) {
                reason = done < 0 ? errno : ENOSPC;
                break;
            }
            bytes += done;
            left -= (size_t)done;
            at += (uint64_t)done;
        }
    }
    if (!reason && fsync(file->descriptor) != 0) reason = errno;
    if (!reason) {
        file->size = at;
        return SX_OK;
    }
    if (ftruncate(file->descriptor, (off_t)file->size) != 0) {
        // A torn tail is cut off when the file is opened again.
    }
    return fail(file, "be written", reason, error);
}

void sx_append_close(sx_append_file *file)
{
    if (!file) return;
    if (file->descriptor >= 0) close(file->descriptor); // which unlocks it
    free(file);
}
