// Text from files, and its width in a terminal.
#ifndef CLI_TEXT_H
#define CLI_TEXT_H

#include "common/text.h"

// Everything that can be read from a file, or from standard input where `path` is "-". Terminated; freed with free.
// NULL on failure, with a sentence in `message`. Refuses more than `limit` bytes.
char *cli_read_all(const char *path, size_t limit, size_t *length, char *message, size_t message_size);

// Terminal columns that UTF-8 text takes, and how many of its bytes fit into `columns`. Escape sequences count as none.
size_t cli_text_columns(const char *text);
size_t cli_text_fit(const char *text, size_t columns);

#endif
