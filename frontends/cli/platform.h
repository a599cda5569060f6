// What operating systems do differently for the command line: files by path, folders, the terminal. Paths and texts are
// UTF-8 everywhere. One source a system: platform_posix.c, platform_windows.c (and interrupt_posix.c,
// interrupt_windows.c).
#ifndef CLI_PLATFORM_H
#define CLI_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Before anything else: arguments become UTF-8, and standard output bytes as they are.
void cli_platform_begin(int *count, char ***arguments);

enum { CLI_STANDARD_INPUT = 0, CLI_STANDARD_OUTPUT = 1, CLI_STANDARD_ERROR = 2 };
bool cli_platform_is_terminal(int descriptor);
// Whether terminals here understand escape sequences (elsewhere: TERM is missing or "dumb").
bool cli_platform_has_escapes(void);
bool cli_platform_terminal_size(unsigned *columns, unsigned *rows); // false: not known

int cli_platform_open(const char *path); // to be read; -1 and errno
void cli_platform_close(int descriptor);
// Bytes read, 0 at the end, -1 with errno, which is EINTR after a signal.
ptrdiff_t cli_platform_read(int descriptor, char *bytes, size_t size);
FILE *cli_platform_create(const char *path);                 // to be written, from its start
bool cli_platform_exists(const char *path, uint64_t *bytes); // `bytes` may be NULL
void cli_platform_list(const char *folder, void (*each)(void *user, const char *name), void *user);

// Where the program keeps what can be made again, and what it remembers; NULL: not known. Freed with free.
char *cli_platform_cache_folder(void);
char *cli_platform_state_folder(void);
bool cli_platform_is_path(const char *name); // it has a separator in it

// Runs a command of the system's shell with `text` as its input and two variables set; whether it ended with 0.
bool cli_platform_ask(const char *command, const char *const variables[2][2], const char *text);

void *cli_platform_library(const char *name);                            // NULL: there is none
bool cli_platform_symbol(void *library, const char *name, void *target); // its address to `*target`, a pointer
void cli_platform_drop_library(void *library);
bool cli_platform_use_utf8(void); // the C library's locale; false: it has none

#endif
