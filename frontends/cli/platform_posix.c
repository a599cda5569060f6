#include "common/text.h"
#include "platform.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

void cli_platform_begin(int *count, char ***arguments)
{
    (void)count, (void)arguments;
}

bool cli_platform_is_terminal(int descriptor)
{
    return isatty(descriptor);
}

bool cli_platform_has_escapes(void)
{
    const char *term = getenv("TERM");
    return term && *term && strcmp(term, "dumb") != 0;
}

bool cli_platform_terminal_size(unsigned *columns, unsigned *rows)
{
    struct winsize size = {0};
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *columns = size.ws_col;
    *rows = size.ws_row;
    return size.ws_col > 0;
}

int cli_platform_open(const char *path)
{
    return open(path, O_RDONLY | O_CLOEXEC);
}

void cli_platform_close(int descriptor)
{
    close(descriptor);
}

ptrdiff_t cli_platform_read(int descriptor, char *bytes, size_t size)
{
    return read(descriptor, bytes, size);
}

FILE *cli_platform_create(const char *path)
{
    return fopen(path, "w");
}

bool cli_platform_exists(const char *path, uint64_t *bytes)
{
    struct stat status;
    if (stat(path, &status) != 0) return false;
    if (bytes) *bytes = (uint64_t)status.st_size;
    return true;
}

void cli_platform_list(const char *folder, void (*each)(void *user, const char *name), void *user)
{
    DIR *open = opendir(folder);
    for (struct dirent *entry = open ? readdir(open) : NULL; entry; entry = readdir(open))
        each(user, entry->d_name);
    if (open) closedir(open);
}

// The XDG specification: a relative path in the variable counts as unset.
static char *base_folder(const char *variable, const char *fallback)
{
    const char *base = getenv(variable), *home = getenv("HOME");
    fe_text path = {0};
    if (base && base[0] == '/') {
        fe_text_printf(&path, "%s/specexit", base);
    } else if (home && home[0] == '/') {
        fe_text_printf(&path, "%s/%s/specexit", home, fallback);
    }
    return path.data;
}

char *cli_platform_cache_folder(void)
{
    return base_folder("XDG_CACHE_HOME", ".cache");
}

char *cli_platform_state_folder(void)
{
    return base_folder("XDG_STATE_HOME", ".local/state");
}

bool cli_platform_is_path(const char *name)
{
    return strchr(name, '/') != NULL;
}

bool cli_platform_ask(const char *command, const char *const variables[2][2], const char *text)
{
    for (int i = 0; i < 2; i++)
        setenv(variables[i][0], variables[i][1], 1);
    FILE *pipe = popen(command, "w");
    if (!pipe) return false;
    fputs(text, pipe);
    return pclose(pipe) == 0;
}

void *cli_platform_library(const char *name)
{
    return dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

bool cli_platform_symbol(void *library, const char *name, void *target)
{
    void *symbol = dlsym(library, name);
    memcpy(target, &symbol, sizeof symbol); // ISO C has no cast from void * to a function
    return symbol != NULL;
}

void cli_platform_drop_library(void *library)
{
    dlclose(library);
}

bool cli_platform_use_utf8(void)
{
    setlocale(LC_CTYPE, "");
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 || setlocale(LC_CTYPE, "C.UTF-8") != NULL;
}
