// Reading files: memory-mapped natively, by callback where a file is elsewhere (a browser's storage, memory).
#ifndef SX_BASE_FILE_H
#define SX_BASE_FILE_H

#include "base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A random-access byte source. `read_at` fills exactly `size` bytes from `offset` and returns false on any failure.
// It is called on the thread that polls the engine.
typedef struct sx_source {
    const char *name; // for messages; borrowed
    uint64_t size;    // bytes
    bool (*read_at)(void *user, uint64_t offset, void *destination, size_t size);
    void *user;
    const uint8_t *mapping; // non-NULL when all bytes are addressable: readers may then skip read_at
} sx_source;

typedef struct sx_file sx_file; // a mapped (or, where mapping fails, plainly read) file

// Opens and maps `path` read only. Owned by the caller; sx_file_close(NULL) is allowed.
sx_status sx_file_open(const char *path, sx_file **out, sx_error *error);
void sx_file_close(sx_file *file);
// The source stays valid until the file is closed.
const sx_source *sx_file_source(const sx_file *file);

// A source over caller-owned memory.
sx_source sx_source_memory(const char *name, const void *data, size_t size);
// Checked read: fails with SX_ERROR_FORMAT naming the file when the range lies outside of it.
sx_status sx_source_read(const sx_source *source, uint64_t offset, void *destination, size_t size, sx_error *error);

// Writes `size` bytes to `path` by way of a temporary file in the same folder, fsync and rename, so that readers see
// the old file or the whole new one.
sx_status sx_file_write_atomic(const char *path, const void *data, size_t size, sx_error *error);

// The same in pieces, for files too large to hold in memory. Commit and abort free the writer; abort(NULL) is allowed.
typedef struct sx_file_writer sx_file_writer;
sx_status sx_file_writer_open(const char *path, sx_file_writer **out, sx_error *error);
sx_status sx_file_writer_write(sx_file_writer *writer, const void *data, size_t size, sx_error *error);
sx_status sx_file_writer_commit(sx_file_writer *writer, sx_error *error); // on failure nothing is left behind
void sx_file_writer_abort(sx_file_writer *writer);

// Bytes that can still be written in the folder of `path`; 0 where that is not known.
uint64_t sx_disk_free(const char *path);
// Creates a folder and its parents (mode 0700); fine if it exists.
sx_status sx_make_folders(const char *path, sx_error *error);

#endif
