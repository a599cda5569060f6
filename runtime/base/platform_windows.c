#include "base/platform.h"

#include <windows.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

// UTF-16 for the system; NULL with errno.
static wchar_t *wide(const char *text)
{
    const int length = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, NULL, 0);
    wchar_t *out = length > 0 ? malloc((size_t)length * sizeof *out) : NULL;
    if (out) MultiByteToWideChar(CP_UTF8, 0, text, -1, out, length);
    if (!out) errno = length > 0 ? ENOMEM : ENOENT; // no file is called by what is not UTF-8
    return out;
}

static bool fail(void)
{
    switch (GetLastError()) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
        errno = ENOENT;
        break;
    case ERROR_ACCESS_DENIED:
    case ERROR_SHARING_VIOLATION:
        errno = EACCES;
        break;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
        errno = ENOSPC;
        break;
    default:
        errno = EIO;
    }
    return false;
}

static HANDLE handle_of(int descriptor)
{
    return (HANDLE)_get_osfhandle(descriptor);
}

// By the system's own call, not the C library's: others may go on reading, renaming and removing the file, as they may
// on POSIX systems.
int sx_platform_open(const char *path, sx_platform_access access)
{
    static const struct {
        DWORD access, creation;
        int flags;
    } modes[] = {[SX_PLATFORM_READ] = {GENERIC_READ, OPEN_EXISTING, _O_RDONLY},
                 [SX_PLATFORM_CREATE] = {GENERIC_READ | GENERIC_WRITE, CREATE_NEW, 0},
                 [SX_PLATFORM_UPDATE] = {GENERIC_READ | GENERIC_WRITE, OPEN_ALWAYS, 0}};
    wchar_t *name = wide(path);
    if (!name) return -1;
    const HANDLE handle =
        CreateFileW(name, modes[access].access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL,
                    modes[access].creation, FILE_ATTRIBUTE_NORMAL, NULL);
    free(name);
    if (handle == INVALID_HANDLE_VALUE) {
        const bool exists = GetLastError() == ERROR_FILE_EXISTS;
        fail();
        if (exists) errno = EEXIST;
        return -1;
    }
    const int descriptor = _open_osfhandle((intptr_t)handle, modes[access].flags | _O_BINARY | _O_NOINHERIT);
    if (descriptor < 0) CloseHandle(handle);
    return descriptor;
}

void sx_platform_close(int descriptor)
{
    _close(descriptor);
}

bool sx_platform_size(int descriptor, bool *regular, uint64_t *bytes)
{
    LARGE_INTEGER size;
    *regular = GetFileType(handle_of(descriptor)) == FILE_TYPE_DISK;
    *bytes = 0;
    if (!*regular) return true;
    if (!GetFileSizeEx(handle_of(descriptor), &size)) return fail();
    *bytes = (uint64_t)size.QuadPart;
    return true;
}

static OVERLAPPED place(uint64_t offset)
{
    return (OVERLAPPED){.Offset = (DWORD)offset, .OffsetHigh = (DWORD)(offset >> 32)};
}

enum { TRANSFER_LIMIT = 1 << 30 };

ptrdiff_t sx_platform_read(int descriptor, uint64_t offset, void *destination, size_t size)
{
    OVERLAPPED at = place(offset);
    DWORD got = 0;
    if (ReadFile(handle_of(descriptor), destination, size < TRANSFER_LIMIT ? (DWORD)size : TRANSFER_LIMIT, &got, &at) ||
        GetLastError() == ERROR_HANDLE_EOF)
        return (ptrdiff_t)got;
    fail();
    return -1;
}

ptrdiff_t sx_platform_write(int descriptor, uint64_t offset, const void *data, size_t size)
{
    OVERLAPPED at = place(offset);
    DWORD done = 0;
    if (WriteFile(handle_of(descriptor), data, size < TRANSFER_LIMIT ? (DWORD)size : TRANSFER_LIMIT, &done, &at))
        return (ptrdiff_t)done;
    fail();
    return -1;
}

bool sx_platform_truncate(int descriptor, uint64_t size)
{
    FILE_END_OF_FILE_INFO end = {.EndOfFile = {.QuadPart = (LONGLONG)size}};
    return SetFileInformationByHandle(handle_of(descriptor), FileEndOfFileInfo, &end, sizeof end) || fail();
}

bool sx_platform_sync(int descriptor)
{
    return FlushFileBuffers(handle_of(descriptor)) || fail();
}

// Locks here are for bytes and forbid reading, too: one byte far behind every end is enough, and hides nothing.
bool sx_platform_lock(int descriptor)
{
    OVERLAPPED at = place((uint64_t)1 << 62);
    return LockFileEx(handle_of(descriptor), LOCKFILE_EXCLUSIVE_LOCK | LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at) ||
           fail();
}

const void *sx_platform_map(int descriptor, size_t size)
{
    (void)size;
    const HANDLE mapping = CreateFileMappingW(handle_of(descriptor), NULL, PAGE_READONLY, 0, 0, NULL);
    const void *view = mapping ? MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0) : NULL;
    if (mapping) CloseHandle(mapping); // the view holds it
    return view;
}

void sx_platform_unmap(const void *mapping, size_t size)
{
    (void)size;
    UnmapViewOfFile(mapping);
}

bool sx_platform_rename(const char *from, const char *to)
{
    wchar_t *old = wide(from), *name = wide(to);
    const bool good = old && name && (MoveFileExW(old, name, MOVEFILE_REPLACE_EXISTING) || fail());
    free(old);
    free(name);
    return good;
}

void sx_platform_remove(const char *path)
{
    wchar_t *name = wide(path);
    if (name) DeleteFileW(name);
    free(name);
}

static DWORD attributes_of(const char *path)
{
    wchar_t *name = wide(path);
    const DWORD attributes = name ? GetFileAttributesW(name) : INVALID_FILE_ATTRIBUTES;
    free(name);
    return attributes;
}

bool sx_platform_exists(const char *path)
{
    return attributes_of(path) != INVALID_FILE_ATTRIBUTES;
}

bool sx_platform_is_folder(const char *path)
{
    const DWORD attributes = attributes_of(path);
    return attributes != INVALID_FILE_ATTRIBUTES && (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

bool sx_platform_make_folder(const char *path)
{
    if (sx_platform_is_folder(path)) return true; // drives, too, which nobody can create
    wchar_t *name = wide(path);
    if (!name) return false;
    const bool good = CreateDirectoryW(name, NULL);
    const bool taken = !good && GetLastError() == ERROR_ALREADY_EXISTS;
    free(name);
    if (good || (taken && sx_platform_is_folder(path))) return true;
    fail();
    if (taken) errno = ENOTDIR;
    return false;
}

const char *sx_platform_file_name(const char *path)
{
    const char *name = path;
    for (const char *at = path; *at; at++)
        if (*at == '/' || *at == '\\' || (*at == ':' && at == path + 1)) name = at + 1;
    return name;
}

uint64_t sx_platform_disk_free(const char *folder)
{
    ULARGE_INTEGER left = {.QuadPart = 0};
    wchar_t *name = wide(folder);
    if (name) GetDiskFreeSpaceExW(name, &left, NULL, NULL);
    free(name);
    return left.QuadPart;
}

unsigned long sx_platform_process(void)
{
    return GetCurrentProcessId();
}

void *sx_platform_library(const char *name)
{
    wchar_t *file = wide(name);
    void *library = file ? (void *)LoadLibraryExW(file, NULL, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS) : NULL;
    free(file);
    return library;
}

bool sx_platform_function(void *library, const char *name, void *function)
{
    FARPROC found = GetProcAddress((HMODULE)library, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}
