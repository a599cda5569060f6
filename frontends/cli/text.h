// Growable text and allocation that cannot fail: a front end that is out of memory says so and ends with exit code 1.
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

// Zero-initialised is empty. `data` is NULL until something was added, then always terminated; cli_text_string gives ""
// for the empty one. Freed with cli_text_free, after which it is empty again.
typedef struct cli_text {
    char *data;
    size_t length, capacity; // bytes, the terminator not counted in length
} cli_text;

void cli_text_append(cli_text *text, const char *bytes, size_t length);
void cli_text_add(cli_text *text, const char *string);
void cli_text_printf(cli_text *text, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
const char *cli_text_string(const cli_text *text);
void cli_text_clear(cli_text *text);
void cli_text_free(cli_text *text);

// Zeroed memory, realloc and strdup that end the program instead of returning NULL. Freed with free.
void *cli_allocate(size_t count, size_t size);
void *cli_reallocate(void *memory, size_t count, size_t size);
char *cli_copy_string(const char *string);

// Everything that can be read from a file, or from standard input where `path` is "-". Terminated; freed with free.
// NULL on failure, with a sentence in `message`. Refuses more than `limit` bytes.
char *cli_read_all(const char *path, size_t limit, size_t *length, char *message, size_t message_size);

// Terminal columns that UTF-8 text takes, and how many of its bytes fit into `columns`. Escape sequences count as none.
size_t cli_text_columns(const char *text);
size_t cli_text_fit(const char *text, size_t columns);
// Length of the valid UTF-8 sequence at the `left` bytes, 0 when there is none (Unicode 15, table 3-7).
size_t cli_utf8_sequence(const char *bytes, size_t left);

#endif
