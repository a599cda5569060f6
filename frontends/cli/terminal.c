#include "terminal.h"
#include "interrupt.h"
#include "options.h"
#include "platform.h"
#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double cli_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void measure(cli_terminal *terminal)
{
    unsigned columns = 0, rows = 0;
    terminal->columns = cli_platform_terminal_size(&columns, &rows) ? columns : 80;
    terminal->rows = rows; // 0: unknown, no scroll region
}

void cli_terminal_open(cli_terminal *terminal, uint32_t color, bool quiet)
{
    const char *no_color = getenv("NO_COLOR");
    bool escapes = cli_platform_has_escapes();
    *terminal = (cli_terminal){.out = escapes && cli_platform_is_terminal(CLI_STANDARD_OUTPUT),
                               .err = escapes && cli_platform_is_terminal(CLI_STANDARD_ERROR)};
    bool wanted = color == CLI_SHOW_YES || (color == CLI_SHOW_AUTO && !(no_color && *no_color));
    terminal->color = wanted && (terminal->out || color == CLI_SHOW_YES);
    terminal->color_err = wanted && (terminal->err || color == CLI_SHOW_YES);
    terminal->quiet = quiet;
    measure(terminal);
}

const char *cli_style_begin(bool color, cli_style style)
{
    static const char *const sequences[] = {[CLI_PLAIN] = "",       [CLI_DIM] = "\033[2m",    [CLI_BOLD] = "\033[1m",
                                            [CLI_RED] = "\033[31m", [CLI_GREEN] = "\033[32m", [CLI_CYAN] = "\033[36m"};
    return color ? sequences[style] : "";
}

const char *cli_style_end(bool color)
{
    return color ? "\033[0m" : "";
}

static void put(cli_terminal *terminal, const char *bytes, size_t length)
{
    if (terminal->broken || length == 0) return;
    if (fwrite(bytes, 1, length, stdout) != length) {
        terminal->broken = true;
        terminal->broken_code = errno;
    }
}

static void put_string(cli_terminal *terminal, const char *string)
{
    put(terminal, string, strlen(string));
}

void cli_terminal_flush(cli_terminal *terminal)
{
    if (!terminal->broken && fflush(stdout) != 0) {
        terminal->broken = true;
        terminal->broken_code = errno;
    }
}

static void switch_style(cli_terminal *terminal, cli_style style)
{
    if (style == terminal->style) return;
    if (terminal->style != CLI_PLAIN) put_string(terminal, cli_style_end(terminal->color));
    put_string(terminal, cli_style_begin(terminal->color, style));
    terminal->style = style;
}

void cli_terminal_write(cli_terminal *terminal, const char *text, size_t length, cli_style style)
{
    if (length == 0) return;
    switch_style(terminal, style);
    size_t start = 0;
    for (size_t i = 0; i < length && terminal->out; i++) {
        unsigned char byte = (unsigned char)text[i];
        // C1 controls are U+0080 to U+009F, in UTF-8 C2 80 to C2 9F.
        bool second = byte == 0xc2 && i + 1 < length && (unsigned char)text[i + 1] < 0xa0;
        if (!second && byte != 0x7f && (byte >= 0x20 || byte == '\n' || byte == '\t')) continue;
        put(terminal, text + start, i - start);
        put_string(terminal, "\xef\xbf\xbd");
        i += second;
        start = i + 1;
    }
    put(terminal, text + start, length - start);
    size_t ends = 0;
    while (ends < length && text[length - 1 - ends] == '\n')
        ends++;
    terminal->newlines = (unsigned)(ends == length ? terminal->newlines + ends : ends);
    terminal->written = true;
}

void cli_terminal_end_line(cli_terminal *terminal, unsigned blank)
{
    switch_style(terminal, CLI_PLAIN);
    while (terminal->written && terminal->newlines < blank + 1) {
        put_string(terminal, "\n");
        terminal->newlines++;
    }
}

// ---- The status line ------------------------------------------------------------------------------------------------

static void open_region(cli_terminal *terminal)
{
    // Index (ESC D) makes room for the last row without leaving the column, then the region above it is set; setting it
    // moves the cursor, so that it is saved and restored around.
    fprintf(stderr, "\033D\033[A\0337\033[1;%ur\0338", terminal->rows - 1);
    terminal->region = true;
    cli_interrupt_guard_terminal(true);
}

static void close_region(cli_terminal *terminal)
{
    fprintf(stderr, "\0337\033[r\033[%u;1H\033[2K\0338", terminal->rows);
    terminal->region = false;
    cli_interrupt_guard_terminal(false);
}

bool cli_status_due(const cli_terminal *terminal)
{
    return terminal->err && !terminal->quiet && cli_seconds() - terminal->status_time > 1.0 / 15;
}

void cli_status(cli_terminal *terminal, const char *text, bool now)
{
    if (!terminal->err || terminal->quiet || (!now && !cli_status_due(terminal))) return;
    cli_terminal_flush(terminal);
    if (cli_interrupt_resized()) {
        if (terminal->region) close_region(terminal);
        measure(terminal);
    }
    bool wants_region = terminal->out && terminal->rows >= 5 && terminal->columns >= 20;
    if (wants_region && !terminal->region) open_region(terminal);
    int fitting = (int)cli_text_fit(text, terminal->columns - 1);
    const char *reset = cli_style_end(terminal->color_err);
    if (terminal->region) {
        // A reset before the text, since the streamed text's style is still on; restoring the cursor restores it.
        fprintf(stderr, "\0337\033[%u;1H\033[2K%s%.*s%s\0338", terminal->rows, reset, fitting, text, reset);
    } else if (!terminal->out) {
        fprintf(stderr, "\r\033[2K%.*s%s", fitting, text, reset);
    }
    fflush(stderr);
    terminal->status_shown = true;
    terminal->status_time = cli_seconds();
}

void cli_status_clear(cli_terminal *terminal)
{
    if (!terminal->status_shown) return;
    cli_terminal_flush(terminal);
    if (terminal->region) {
        close_region(terminal);
    } else if (!terminal->out) {
        fputs("\r\033[2K", stderr);
    }
    fflush(stderr);
    terminal->status_shown = false;
}

void cli_terminal_print(cli_terminal *terminal, fe_text *text)
{
    cli_status_clear(terminal);
    cli_terminal_write(terminal, fe_text_string(text), text->length, CLI_PLAIN);
    cli_terminal_flush(terminal);
    fe_text_free(text);
}

void cli_terminal_close(cli_terminal *terminal)
{
    switch_style(terminal, CLI_PLAIN);
    cli_terminal_flush(terminal);
    cli_status_clear(terminal);
}

void cli_bar(fe_text *out, double share, unsigned width)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    if (!(share > 0)) share = 0;
    if (share > 1) share = 1;
    unsigned filled = (unsigned)(share * width * 8 + 0.5), used = filled / 8;
    for (unsigned i = 0; i < used; i++)
        fe_text_add(out, "█");
    if (filled % 8) {
        fe_text_add(out, eighths[filled % 8]);
        used++;
    }
    for (; used < width; used++)
        fe_text_add(out, "░");
}
