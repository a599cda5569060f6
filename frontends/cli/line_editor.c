#include "line_editor.h"
#include "interrupt.h"
#include "text.h"

#include <dlfcn.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
    cli_text buffer; // read but not used, without libedit
};

// libedit calls back without a user pointer.
static char *finished_line;
static bool finished;

static void on_line(char *line)
{
    finished_line = line;
    finished = true;
}

static bool find(void *handle, const char *name, void *target)
{
    void *symbol = dlsym(handle, name);
    memcpy(target, &symbol, sizeof symbol); // ISO C has no cast from void * to a function
    return symbol != NULL;
}

// libedit converts by the C library's locale, and crashes on a prompt that this cannot read.
static bool use_utf8(void)
{
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") == 0) return true;
    return setlocale(LC_CTYPE, "C.UTF-8") != NULL;
}

static void open_library(library *edit)
{
    static const char *const names[] = {"libedit.so.2", "libedit.so.0", "libedit.so"};
    void *handle = NULL;
    for (size_t i = 0; !handle && i < sizeof names / sizeof *names; i++)
        handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!handle) return;
    int *catch_signals = dlsym(handle, "rl_catch_signals");
    if (!find(handle, "rl_callback_handler_install", &edit->install) ||
        !find(handle, "rl_callback_handler_remove", &edit->remove) ||
        !find(handle, "rl_callback_read_char", &edit->read_char) || !find(handle, "add_history", &edit->add_history) ||
        !find(handle, "read_history", &edit->read_history) || !find(handle, "write_history", &edit->write_history) ||
        !find(handle, "stifle_history", &edit->stifle_history)) {
        dlclose(handle);
        return;
    }
    if (catch_signals) *catch_signals = 0;
    edit->handle = handle;
}

cli_editor *cli_editor_open(const char *history)
{
    cli_editor *editor = cli_allocate(1, sizeof *editor);
    const char *term = getenv("TERM");
    bool terminal = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
    if (terminal && use_utf8()) open_library(&editor->edit);
    if (!editor->edit.handle || !history) return editor;
    editor->history = cli_copy_string(history);
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
    cli_text_free(&editor->buffer);
    free(editor);
}

static cli_line_end read_edited(library *edit, const char *prompt, char **line)
{
    finished = false;
    edit->install(prompt, on_line);
    bool stopped = false;
    while (!finished && !stopped) {
        stopped = !cli_interrupt_wait(STDIN_FILENO);
        if (!stopped) edit->read_char();
    }
    edit->remove();
    if (stopped) {
        fputc('\n', stdout);
        return CLI_LINE_INTERRUPTED;
    }
    if (!finished_line) return CLI_LINE_EOF;
    *line = cli_copy_string(finished_line);
    free(finished_line);
    if (**line) edit->add_history(*line);
    return CLI_LINE;
}

static cli_line_end read_plain(cli_editor *editor, const char *prompt, char **line)
{
    if (isatty(STDIN_FILENO)) {
        fputs(prompt, stdout);
        fflush(stdout);
    }
    for (;;) {
        char *end = editor->buffer.data ? strchr(editor->buffer.data, '\n') : NULL;
        char block[4096];
        if (!end && !cli_interrupt_wait(STDIN_FILENO)) return CLI_LINE_INTERRUPTED;
        ssize_t got = end ? 0 : read(STDIN_FILENO, block, sizeof block);
        if (!end && got > 0) {
            cli_text_append(&editor->buffer, block, (size_t)got);
            continue;
        }
        if (!end && editor->buffer.length == 0) return CLI_LINE_EOF;
        size_t length = end ? (size_t)(end - editor->buffer.data) : editor->buffer.length;
        cli_text taken = {0}, rest = {0};
        cli_text_append(&taken, editor->buffer.data, length);
        if (end) cli_text_append(&rest, end + 1, editor->buffer.length - length - 1);
        cli_text_free(&editor->buffer);
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
