#include "common/text.h"
#include "platform.h"

#include <windows.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <shellapi.h>
#include <stdlib.h>
#include <string.h>

static wchar_t *wide(const char *text)
{
    const int length = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *out = fe_allocate((size_t)length + 1, sizeof *out);
    MultiByteToWideChar(CP_UTF8, 0, text, -1, out, length);
    return out;
}

static char *narrow(const wchar_t *text)
{
    const int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *out = fe_allocate((size_t)length + 1, 1);
    WideCharToMultiByte(CP_UTF8, 0, text, -1, out, length, NULL, NULL);
    return out;
}

// ---- The terminal --------------------------------------------------------------------------------------------------

static UINT output_page; // the console's before; it stays as it is set when a program ends

static void restore_console(void)
{
    SetConsoleOutputCP(output_page);
}

static HANDLE console_of(int descriptor, DWORD *mode)
{
    const HANDLE handle = (HANDLE)_get_osfhandle(descriptor);
    return GetConsoleMode(handle, mode) ? handle : NULL;
}

void cli_platform_begin(int *count, char ***arguments)
{
    int wide_count = 0;
    wchar_t **given = CommandLineToArgvW(GetCommandLineW(), &wide_count);
    if (given) {
        char **all = fe_allocate((size_t)wide_count + 1, sizeof *all);
        for (int i = 0; i < wide_count; i++)
            all[i] = narrow(given[i]);
        *count = wide_count;
        *arguments = all; // for as long as the program runs
        LocalFree(given);
    }
    for (int descriptor = CLI_STANDARD_INPUT; descriptor <= CLI_STANDARD_ERROR; descriptor++) {
        DWORD mode;
        _setmode(descriptor, _O_BINARY);
        const HANDLE console = descriptor == CLI_STANDARD_INPUT ? NULL : console_of(descriptor, &mode);
        if (console) SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
        if (console && !output_page) {
            output_page = GetConsoleOutputCP();
            SetConsoleOutputCP(CP_UTF8);
            atexit(restore_console);
        }
    }
}

bool cli_platform_is_terminal(int descriptor)
{
    DWORD mode;
    return console_of(descriptor, &mode) != NULL;
}

bool cli_platform_has_escapes(void)
{
    DWORD mode = 0;
    const bool output = console_of(CLI_STANDARD_OUTPUT, &mode) || console_of(CLI_STANDARD_ERROR, &mode);
    return output && (mode & ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0;
}

bool cli_platform_terminal_size(unsigned *columns, unsigned *rows)
{
    DWORD mode;
    CONSOLE_SCREEN_BUFFER_INFO info;
    HANDLE console = console_of(CLI_STANDARD_ERROR, &mode);
    if (!console) console = console_of(CLI_STANDARD_OUTPUT, &mode);
    if (!console || !GetConsoleScreenBufferInfo(console, &info)) return false;
    *columns = (unsigned)(info.srWindow.Right - info.srWindow.Left + 1);
    *rows = (unsigned)(info.srWindow.Bottom - info.srWindow.Top + 1);
    return true;
}

// ---- Files ---------------------------------------------------------------------------------------------------------

int cli_platform_open(const char *path)
{
    wchar_t *name = wide(path);
    const int descriptor = _wopen(name, _O_RDONLY | _O_BINARY | _O_NOINHERIT);
    free(name);
    return descriptor;
}

void cli_platform_close(int descriptor)
{
    _close(descriptor);
}

// What is typed comes as UTF-16; the console's own conversion to UTF-8 loses everything but ASCII. Ctrl-z at the start
// of a line is the end.
static ptrdiff_t read_console(HANDLE console, char *bytes, size_t size)
{
    static wchar_t left; // the first half of a pair whose second half was not there yet
    wchar_t typed[1024];
    DWORD start = left ? 1 : 0, got = 0, limit = (DWORD)(size / 3) < 1024 ? (DWORD)(size / 3) : 1024;
    typed[0] = left;
    left = 0;
    if (!ReadConsoleW(console, typed + start, limit - start, &got, NULL) || got == 0) {
        errno = EINTR; // by ctrl-c
        return -1;
    }
    got += start;
    if (typed[0] == 26) return 0;
    if (typed[got - 1] >= 0xD800 && typed[got - 1] < 0xDC00) left = typed[--got];
    size_t length = 0;
    const int count = WideCharToMultiByte(CP_UTF8, 0, typed, (int)got, bytes, (int)size, NULL, NULL);
    for (int i = 0; i < count; i++) // lines end with a line feed alone
        if (bytes[i] != '\r') bytes[length++] = bytes[i];
    return (ptrdiff_t)length;
}

ptrdiff_t cli_platform_read(int descriptor, char *bytes, size_t size)
{
    DWORD mode;
    const HANDLE console = console_of(descriptor, &mode);
    return console ? read_console(console, bytes, size) : _read(descriptor, bytes, (unsigned)size);
}

FILE *cli_platform_create(const char *path)
{
    wchar_t *name = wide(path);
    FILE *file = _wfopen(name, L"wb");
    free(name);
    return file;
}

bool cli_platform_exists(const char *path, uint64_t *bytes)
{
    WIN32_FILE_ATTRIBUTE_DATA data;
    wchar_t *name = wide(path);
    const bool found = GetFileAttributesExW(name, GetFileExInfoStandard, &data);
    free(name);
    if (found && bytes) *bytes = (uint64_t)data.nFileSizeHigh << 32 | data.nFileSizeLow;
    return found;
}

void cli_platform_list(const char *folder, void (*each)(void *user, const char *name), void *user)
{
    fe_text pattern = {0};
    WIN32_FIND_DATAW found;
    fe_text_printf(&pattern, "%s/*", folder);
    wchar_t *name = wide(pattern.data);
    const HANDLE search = FindFirstFileW(name, &found);
    free(name);
    fe_text_free(&pattern);
    if (search == INVALID_HANDLE_VALUE) return;
    do {
        char *entry = narrow(found.cFileName);
        each(user, entry);
        free(entry);
    } while (FindNextFileW(search, &found));
    FindClose(search);
}

static char *base_folder(const char *inside)
{
    enum { LONGEST_VARIABLE = 32767 };
    wchar_t *base = fe_allocate(LONGEST_VARIABLE, sizeof *base);
    const DWORD length = GetEnvironmentVariableW(L"LOCALAPPDATA", base, LONGEST_VARIABLE);
    fe_text path = {0};
    if (length > 0 && length < LONGEST_VARIABLE) {
        char *start = narrow(base);
        fe_text_printf(&path, "%s/specexit/%s", start, inside);
        free(start);
        for (char *at = path.data; *at; at++)
            if (*at == '\\') *at = '/'; // Windows takes both
    }
    free(base);
    return path.data;
}

char *cli_platform_cache_folder(void)
{
    return base_folder("cache");
}

char *cli_platform_state_folder(void)
{
    return base_folder("state");
}

bool cli_platform_is_path(const char *name)
{
    return strpbrk(name, "/\\:") != NULL;
}

// ---- Other programs and libraries ----------------------------------------------------------------------------------

bool cli_platform_ask(const char *command, const char *const variables[2][2], const char *text)
{
    for (int i = 0; i < 2; i++) {
        wchar_t *name = wide(variables[i][0]), *value = wide(variables[i][1]);
        _wputenv_s(name, value);
        free(name);
        free(value);
    }
    wchar_t *line = wide(command);
    FILE *pipe = _wpopen(line, L"wb");
    free(line);
    if (!pipe) return false;
    fputs(text, pipe);
    return _pclose(pipe) == 0;
}

void *cli_platform_library(const char *name)
{
    wchar_t *file = wide(name);
    void *library = (void *)LoadLibraryExW(file, NULL, LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
    free(file);
    return library;
}

bool cli_platform_symbol(void *library, const char *name, void *target)
{
    FARPROC found = GetProcAddress((HMODULE)library, name);
    memcpy(target, &found, sizeof found);
    return found != NULL;
}

void cli_platform_drop_library(void *library)
{
    FreeLibrary((HMODULE)library);
}

bool cli_platform_use_utf8(void)
{
    return false; // libedit, which would need it, is not to be had here; the console edits lines itself
}
