// What operating systems do differently, below the front ends: files by path, mappings, libraries. Paths are UTF-8
// everywhere. Where a function fails, errno says why. One source a system: platform_posix.c, platform_windows.c.
#ifndef SX_BASE_PLATFORM_H
#define SX_BASE_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sx_platform_access {
    SX_PLATFORM_READ,
    SX_PLATFORM_CREATE, // to be written; fails with EEXIST where it is there
    SX_PLATFORM_UPDATE  // read and written, created where it is missing
} sx_platform_access;

// A descriptor of the C library, or -1. It is not inherited by other programs.
int sx_platform_open(const char *path, sx_platform_access access);
void sx_platform_close(int descriptor);
bool sx_platform_size(int descriptor, bool *regular, uint64_t *bytes);
// Bytes moved, at most `size`; 0 at the end of the file; -1 on failure. Interruptions are gone over.
ptrdiff_t sx_platform_read(int descriptor, uint64_t offset, void *destination, size_t size);
ptrdiff_t sx_platform_write(int descriptor, uint64_t offset, const void *data, size_t size);
bool sx_platform_truncate(int descriptor, uint64_t size);
bool sx_platform_sync(int descriptor); // onto the disk
bool sx_platform_lock(int descriptor); // against other programs that lock it, until it is closed; never waits

// All bytes of a file that is not empty, read only; NULL where the address space does not take them. It stays when the
// descriptor is closed.
const void *sx_platform_map(int descriptor, size_t size);
void sx_platform_unmap(const void *mapping, size_t size);

bool sx_platform_rename(const char *from, const char *to); // replaces `to`
void sx_platform_remove(const char *path);
bool sx_platform_exists(const char *path);
bool sx_platform_is_folder(const char *path);
bool sx_platform_make_folder(const char *path);      // true, too, where it is there
const char *sx_platform_file_name(const char *path); // behind the last separator
uint64_t sx_platform_disk_free(const char *folder);  // 0: not known
unsigned long sx_platform_process(void);             // a number no other running program has

// A shared library, never unloaded: some drivers leave threads behind that would run into unmapped code.
void *sx_platform_library(const char *name);
// Writes the function's address to `*function`, a pointer to a function. False: there is no such function.
bool sx_platform_function(void *library, const char *name, void *function);

#endif
