// The terminal: colours, the streamed text on standard output, and one status line on standard error.
//
// While text streams to the same terminal, the status line has the last row for itself: the rows above are made the
// scroll region. Where only standard error is a terminal, the line is redrawn in place.
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "common/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum cli_style { CLI_PLAIN = 0, CLI_DIM, CLI_BOLD, CLI_RED, CLI_GREEN, CLI_CYAN } cli_style;

typedef struct cli_terminal {
    bool out, err;  // standard output, standard error are terminals that understand escape sequences
    bool color;     // on standard output
    bool color_err; // on standard error
    bool quiet;     // no status line
    unsigned columns, rows;
    bool status_shown;
    bool region;        // the last row is kept for the status line
    double status_time; // when it was drawn, of cli_seconds
    cli_style style;    // of the text streamed last
    bool broken;        // standard output cannot be written any more
    int broken_code;    // errno of that
    unsigned newlines;  // line ends at the end of the text streamed so far
    bool written;       // any text was streamed
} cli_terminal;

// `color`: a cli_show; NO_COLOR and TERM=dumb are respected when it is CLI_SHOW_AUTO.
void cli_terminal_open(cli_terminal *terminal, uint32_t color, bool quiet);
// Takes the status line away and ends any style.
void cli_terminal_close(cli_terminal *terminal);

// Model text to standard output. To a terminal, control characters other than newline and tab are shown as U+FFFD,
// since a model must not be able to steer the terminal.
void cli_terminal_write(cli_terminal *terminal, const char *text, size_t length, cli_style style);
// Ends the current line, and leaves `blank` empty lines after it; nothing at the very start.
void cli_terminal_end_line(cli_terminal *terminal, unsigned blank);
void cli_terminal_flush(cli_terminal *terminal);
// Writes a finished piece of output where the status line stood, and frees it.
void cli_terminal_print(cli_terminal *terminal, fe_text *text);

// Shows the status line, cut to the width; drawn at most 15 times a second unless `now`.
void cli_status(cli_terminal *terminal, const char *text, bool now);
void cli_status_clear(cli_terminal *terminal);
// True when cli_status would draw.
bool cli_status_due(const cli_terminal *terminal);

// Escape sequences to begin and end a style; "" without colour.
const char *cli_style_begin(bool color, cli_style style);
const char *cli_style_end(bool color);

// [#####-----] in block characters, `width` columns; `share` is clamped to 0..1.
void cli_bar(fe_text *out, double share, unsigned width);

double cli_seconds(void); // monotonic

#endif
