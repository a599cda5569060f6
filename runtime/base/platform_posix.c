#include "base/platform.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

int sx_platform_open(const char *path, sx_platform_access access)
{
    // Without O_NONBLOCK opening a pipe for reading waits for a writer; files do not know it.
    static const int flags[] = {[SX_PLATFORM_READ] = O_RDONLY | O_NONBLOCK,
                                [SX_PLATFORM_CREATE] = O_WRONLY | O_CREAT | O_EXCL,
                                [SX_PLATFORM_UPDATE] = O_RDWR | O_CREAT};
    return open(path, flags[access] | O_CLOEXEC, 0666);
}

void sx_platform_close(int descriptor)
{
    close(descriptor);
}

bool sx_platform_size(int descriptor, bool *regular, uint64_t *bytes)
{
    struct stat info;
    if (fstat(descriptor, &info) != 0) return false;
    *regular = S_ISREG(info.st_mode);
    *bytes = (uint64_t)info.st_size;
    return true;
}

ptrdiff_t sx_platform_read(int descriptor, uint64_t offset, void *destination, size_t size)
{
    ssize_t got;
    do
        got = pread(descriptor, destination, size, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

ptrdiff_t sx_platform_write(int descriptor, uint64_t offset, const void *data, size_t size)
{
    ssize_t done;
    do
        done = pwrite(descriptor, data, size, (off_t)offset);
    while (done < 0 && errno == EINTR);
    return done;
}

bool sx_platform_truncate(int descriptor, uint64_t size)
{
    return ftruncate(descriptor, (off_t)size) == 0;
}

bool sx_platform_sync(int descriptor)
{
    return fsync(descriptor) == 0;
}

bool sx_platform_lock(int descriptor)
{
    return flock(descriptor, LOCK_EX | LOCK_NB) == 0;
}

const void *sx_platform_map(int descriptor, size_t size)
{
    void *mapping = mmap(NULL, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    return mapping == MAP_FAILED ? NULL : mapping;
}

void sx_platform_unmap(const void *mapping, size_t size)
{
    munmap((void *)mapping, size);
}

bool sx_platform_rename(const char *from, const char *to)
{
    return rename(from, to) == 0;
}

void sx_platform_remove(const char *path)
{
    unlink(path);
}

bool sx_platform_exists(const char *path)
{
    return access(path, F_OK) == 0 || errno != ENOENT;
}

bool sx_platform_is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool sx_platform_make_folder(const char *path)
{
    if (mkdir(path, 0700) == 0) return true;
    if (errno != EEXIST) return false;
    if (sx_platform_is_folder(path)) return true;
    errno = ENOTDIR;
    return false;
}

const char *sx_platform_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

uint64_t sx_platform_disk_free(const char *folder)
{
    struct statvfs info;
    return statvfs(folder, &info) == 0 ? (uint64_t)info.f_bavail * info.f_frsize : 0;
}

unsigned long sx_platform_process(void)
{
    return (unsigned long)getpid();
}

void *sx_platform_library(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
}

bool sx_platform_function(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    memcpy(function, &symbol, sizeof symbol); // ISO C has no cast from an object to a function
    return symbol != NULL;
}
