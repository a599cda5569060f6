// One line from the user, with editing and history where libedit is installed and both ends are a terminal.
//
// libedit is opened at run time, not linked, so that the program also runs where it is missing, such as a machine that
// only got a copy of the build folder.
#ifndef CLI_LINE_EDITOR_H
#define CLI_LINE_EDITOR_H

#include <stdbool.h>

typedef struct cli_editor cli_editor;

// `history` (may be NULL) is a file that is read now and written when closed.
cli_editor *cli_editor_open(const char *history);
void cli_editor_close(cli_editor *editor); // NULL is allowed

typedef enum cli_line_end { CLI_LINE, CLI_LINE_INTERRUPTED, CLI_LINE_EOF } cli_line_end;

// Sets `*line` (freed with free; without its line end) for CLI_LINE only. CLI_LINE_INTERRUPTED: a signal came.
cli_line_end cli_editor_read(cli_editor *editor, const char *prompt, char **line);

#endif
