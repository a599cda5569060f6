// A file that only grows, for one writer at a time: what is told as written is on the file whole or not at all.
#ifndef SX_BASE_APPEND_H
#define SX_BASE_APPEND_H

#include "base/status.h"

#include <stddef.h>
#include <stdint.h>

typedef struct sx_append_file sx_append_file;

// Opens or creates `path` and locks it until it is closed. SX_ERROR_BUSY when another program has it open so.
sx_status sx_append_open(const char *path, sx_append_file **out, sx_error *error);
uint64_t sx_append_size(const sx_append_file *file);
// Cuts the file to `size` bytes, no more than it has.
sx_status sx_append_truncate(sx_append_file *file, uint64_t size, sx_error *error);
// Adds the pieces one behind another and hands them to the disk. On failure (a full disk) the file is cut back to what
// it was.
typedef struct sx_append_piece {
    const void *data;
    size_t size;
} sx_append_piece;
sx_status sx_append_write(sx_append_file *file, const sx_append_piece *pieces, size_t count, sx_error *error);
void sx_append_close(sx_append_file *file); // NULL is allowed

#endif
