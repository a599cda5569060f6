#include "line_editor.h"
#include "common/text.h"
#include "interrupt.h"
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HISTORY_LINES = 1000 };

// The part of libedit's readline interface that is used here.
typedef struct library {
    void *handle;
    void (*install)(const char *prompt, void (*on_line)(char *line));
    void (*remove)(void);
    void (*read_char)(void);
    int (*add_history)(const char *line);
    int (*read_history)(const char *path);
    int (*write_history)(const char *path);
    void (*stifle_history)(int lines);
} library;

struct cli_editor {
    library edit; // handle is NULL without libedit
    char *history;
    fe_text buffer; // read but not used, without libedit
};

// libedit calls back without a user pointer.
static char *finished_line;
static bool finished;

static void on_line(char *line)
{
    finished_line = line;
    finished = true;
}

static void open_library(library *edit)
{
    static const char *const names[] = {"libedit.so.2", "libedit.so.0", "libedit.so"};
    void *handle = NULL;
    for (size_t i = 0; !handle && i < sizeof names / sizeof *names; i++)
        handle = cli_platform_library(names[i]);
    if (!handle) return;
    int *catch_signals = NULL;
    if (!cli_platform_symbol(handle, "rl_callback_handler_install", &edit->install) ||
        !cli_platform_symbol(handle, "rl_callback_handler_remove", &edit->remove) ||
        !cli_platform_symbol(handle, "rl_callback_read_char", &edit->read_char) ||
        !cli_platform_symbol(handle, "add_history", &edit->add_history) ||
        !cli_platform_symbol(handle, "read_history", &edit->read_history) ||
        !cli_platform_symbol(handle, "write_history", &edit->write_history) ||
        !cli_platform_symbol(handle, "stifle_history", &edit->stifle_history)) {
        cli_platform_drop_library(handle);
        return;
    }
    if (cli_platform_symbol(handle, "rl_catch_signals", &catch_signals)) *catch_signals = 0;
    edit->handle = handle;
}

cli_editor *cli_editor_open(const char *history)
{
    cli_editor *editor = fe_allocate(1, sizeof *editor);
    bool terminal = cli_platform_is_terminal(CLI_STANDARD_INPUT) && cli_platform_is_terminal(CLI_STANDARD_OUTPUT);
    // libedit converts by the C library's locale, and crashes on a prompt that this cannot read.
    if (terminal && cli_platform_has_escapes() && cli_platform_use_utf8()) open_library(&editor->edit);
    if (!editor->edit.handle || !history) return editor;
    editor->history = fe_copy_string(history);
    editor->edit.stifle_history(HISTORY_LINES);
    editor->edit.read_history(history);
    return editor;
}

void cli_editor_close(cli_editor *editor)
{
    if (!editor) return;
    if (editor->history) editor->edit.write_history(editor->history);
    // The library stays loaded: it has handlers for the end of the program.
    free(editor->history);
    fe_text_free(&editor->buffer);
    free(editor);
}

static cli_line_end read_edited(library *edit, const char *prompt, char **line)
{
    finished = false;
    edit->install(prompt, on_line);
    bool stopped = false;
    while (!finished && !stopped) {
        stopped = !cli_interrupt_wait(CLI_STANDARD_INPUT);
        if (!stopped) edit->read_char();
    }
    edit->remove();
    if (stopped) {
        fputc('\n', stdout);
        return CLI_LINE_INTERRUPTED;
    }
    if (!finished_line) return CLI_LINE_EOF;
    *line = fe_copy_string(finished_line);
    free(finished_line);
    if (**line) edit->add_history(*line);
    return CLI_LINE;
}

static cli_line_end read_plain(cli_editor *editor, const char *prompt, char **line)
{
    if (cli_platform_is_terminal(CLI_STANDARD_INPUT)) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    for (;;) {
        char *end = editor->buffer.data ? strchr(editor->buffer.data, '\n') : NULL;
        char block[4096];
        if (!end && !cli_interrupt_wait(CLI_STANDARD_INPUT)) return CLI_LINE_INTERRUPTED;
        ptrdiff_t got = end ? 0 : cli_platform_read(CLI_STANDARD_INPUT, block, sizeof block);
        if (!end && got > 0) {
            fe_text_append(&editor->buffer, block, (size_t)got);
            continue;
        }
        if (!end && editor->buffer.length == 0) return CLI_LINE_EOF;
        size_t length = end ? (size_t)(end - editor->buffer.data) : editor->buffer.length;
        fe_text taken = {0}, rest = {0};
        fe_text_append(&taken, editor->buffer.data, length);
        if (end) fe_text_append(&rest, end + 1, editor->buffer.length - length - 1);
        fe_text_free(&editor->buffer);
        editor->buffer = rest;
        *line = taken.data;
        return CLI_LINE;
    }
}

cli_line_end cli_editor_read(cli_editor *editor, const char *prompt, char **line)
{
    *line = NULL;
    return editor->edit.handle ? read_edited(&editor->edit, prompt, line) : read_plain(editor, prompt, line);
}
