#include "text.h"
#include "interrupt.h"
#include "platform.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fe_out_of_memory(void)
{
    fputs("specexit: out of memory; close other programs, or use a smaller file\n", stderr);
    exit(1);
}

char *cli_read_all(const char *path, size_t limit, size_t *length, char *message, size_t message_size)
{
    bool standard_input = strcmp(path, "-") == 0;
    const char *name = standard_input ? "standard input" : path;
    int file = standard_input ? CLI_STANDARD_INPUT : cli_platform_open(path);
    if (file < 0) {
        snprintf(message, message_size, "%s: cannot be opened: %s", path, strerror(errno));
        return NULL;
    }
    fe_text text = {0};
    char block[65536];
    ptrdiff_t got = 1;
    errno = EINTR;
    while (text.length <= limit && got > 0 && cli_interrupt_wait(file)) {
        got = cli_platform_read(file, block, sizeof block);
        if (got > 0) fe_text_append(&text, block, (size_t)got);
    }
    int failure = got ? errno : 0; // left by a signal, or by an error
    if (!standard_input) cli_platform_close(file);
    if (text.length > limit) {
        snprintf(message, message_size, "%s: is larger than %zu bytes; split it", name, limit);
    } else if (failure) {
        snprintf(message, message_size, "%s: cannot be read: %s", name, strerror(failure));
    } else {
        if (!text.data) fe_text_append(&text, "", 0);
        if (length) *length = text.length;
        return text.data;
    }
    fe_text_free(&text);
    return NULL;
}

// Bytes of the escape sequence or character at `text`, and the columns it takes. Wide characters count as two: East
// Asian scripts and emoji by block, which is what terminals do to within a few symbols.
static size_t step(const unsigned char *text, size_t *columns)
{
    if (text[0] == 0x1b && text[1] == '[') {
        size_t bytes = 2;
        while (text[bytes] && (text[bytes] < 0x40 || text[bytes] > 0x7e))
            bytes++;
        *columns = 0;
        return text[bytes] ? bytes + 1 : bytes;
    }
    size_t bytes = text[0] < 0xc0 ? 1 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    uint32_t code = bytes == 1 ? text[0] : text[0] & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        if ((text[i] & 0xc0) != 0x80) { // cut short: shown as one replacement character
            *columns = 1;
            return i;
        }
        code = code << 6 | (text[i] & 0x3f);
    }
    bool wide = (code >= 0x1100 && code < 0x1160) || (code >= 0x2e80 && code < 0xa4d0) ||
                (code >= 0xac00 && code < 0xd7a4) || (code >= 0xf900 && code < 0xfb00) ||
                (code >= 0xfe30 && code < 0xfe70) || (code >= 0xff00 && code < 0xff61) || code >= 0x1f300;
    *columns = code < 0x20 || (code >= 0x300 && code < 0x370) ? 0 : wide ? 2 : 1;
    return bytes;
}

size_t cli_text_columns(const char *text)
{
    size_t total = 0, columns;
    for (const unsigned char *at = (const unsigned char *)text; *at; total += columns)
        at += step(at, &columns);
    return total;
}

size_t cli_text_fit(const char *text, size_t limit)
{
    const unsigned char *start = (const unsigned char *)text, *at = start;
    for (size_t total = 0, columns; *at; total += columns) {
        size_t bytes = step(at, &columns);
        if (total + columns > limit) break;
        at += bytes;
    }
    return (size_t)(at - start);
}
