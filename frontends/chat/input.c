#include "input.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

static void forget_undo(chat_input *input, unsigned from)
{
    for (unsigned i = from; i < input->undo_count; i++)
        free(input->undo[i].text);
    input->undo_count = from;
    if (input->undo_at > from) input->undo_at = from;
}

void input_free(chat_input *input)
{
    forget_undo(input, 0);
    for (unsigned i = 0; i < input->history_count; i++)
        free(input->history[i]);
    fe_text_free(&input->text);
    fe_text_free(&input->draft);
    *input = (chat_input){0};
}

void input_set(chat_input *input, const char *text)
{
    forget_undo(input, 0);
    input->last_edit = 0;
    chat_text_set(&input->text, text, strlen(text));
    input->cursor = input->anchor = input->text.length;
}

// Before an edit: keeps the state, unless the edit goes on with the one before.
static void keep(chat_input *input, int edit)
{
    bool joins = edit && edit == input->last_edit;
    input->last_edit = edit;
    if (joins && input->undo_at == input->undo_count) return;
    forget_undo(input, input->undo_at);
    if (input->undo_count == INPUT_UNDO_LIMIT) {
        free(input->undo[0].text);
        memmove(input->undo, input->undo + 1, (INPUT_UNDO_LIMIT - 1) * sizeof *input->undo);
        input->undo_count--;
    }
    input->undo[input->undo_count++] =
        (input_snapshot){.text = fe_copy_string(fe_text_string(&input->text)), .cursor = input->cursor};
    input->undo_at = input->undo_count;
}

void input_selection(const chat_input *input, size_t *start, size_t *end)
{
    *start = input->cursor < input->anchor ? input->cursor : input->anchor;
    *end = input->cursor < input->anchor ? input->anchor : input->cursor;
}

static bool remove_selection(chat_input *input)
{
    size_t start, end;
    input_selection(input, &start, &end);
    if (start == end) return false;
    chat_text_remove(&input->text, start, end - start);
    input->cursor = input->anchor = start;
    return true;
}

void input_insert(chat_input *input, const char *bytes, size_t length)
{
    bool typing = length <= 4 && bytes[0] != ' ' && bytes[0] != '\n' && input->cursor == input->anchor;
    keep(input, typing ? 1 : 0);
    remove_selection(input);
    fe_text clean = {0}, line = {0};
    chat_text_append_utf8(&clean, bytes, length); // what is pasted may be anything
    for (size_t i = 0; i < clean.length; i++) {   // no carriage returns; one line where only one is wanted
        char c = clean.data[i];
        if (c == '\r') continue;
        if (input->single_line && c == '\n') c = ' ';
        fe_text_append(&line, &c, 1);
    }
    chat_text_insert(&input->text, input->cursor, fe_text_string(&line), line.length);
    input->cursor = input->anchor = input->cursor + line.length;
    fe_text_free(&clean);
    fe_text_free(&line);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

static size_t step(const chat_input *input, size_t at, int direction, input_unit unit)
{
    const char *text = fe_text_string(&input->text);
    size_t length = input->text.length;
    switch (unit) {
    case INPUT_CHARACTER:
        if (direction < 0) return at ? unicode_cluster_start(text, length, at - 1) : 0;
        return at < length ? unicode_cluster(text, length, at) : length;
    case INPUT_WORD:
        if (direction < 0) {
            while (at && is_space(text[at - 1]))
                at--;
            while (at && !is_space(text[at - 1]))
                at--;
            return at;
        }
        while (at < length && is_space(text[at]))
            at++;
        while (at < length && !is_space(text[at]))
            at++;
        return at;
    case INPUT_LINE:
        if (direction < 0) {
            while (at && text[at - 1] != '\n')
                at--;
        } else {
            while (at < length && text[at] != '\n')
                at++;
        }
        return at;
    case INPUT_ALL:
        break;
    }
    return direction < 0 ? 0 : length;
}

void input_delete(chat_input *input, int direction, input_unit unit)
{
    size_t other = step(input, input->cursor, direction, unit);
    if (input->cursor == input->anchor && other == input->cursor) return;
    keep(input, 2);
    if (remove_selection(input)) return;
    input->anchor = other;
    remove_selection(input);
}

void input_move(chat_input *input, int direction, input_unit unit, bool select)
{
    size_t start, end;
    input_selection(input, &start, &end);
    bool collapse = !select && start != end && unit == INPUT_CHARACTER;
    input_move_to(input, collapse ? (direction < 0 ? start : end) : step(input, input->cursor, direction, unit),
                  select);
}

void input_move_to(chat_input *input, size_t offset, bool select)
{
    input->cursor = offset < input->text.length ? offset : input->text.length;
    if (!select) input->anchor = input->cursor;
    input->last_edit = 0;
}

void input_select_all(chat_input *input)
{
    input->anchor = 0;
    input->cursor = input->text.length;
    input->last_edit = 0;
}

static void restore(chat_input *input, const input_snapshot *snapshot)
{
    chat_text_set(&input->text, snapshot->text, strlen(snapshot->text));
    input->cursor = input->anchor = snapshot->cursor;
    input->last_edit = 0;
}

bool input_undo(chat_input *input)
{
    if (input->undo_at == 0) return false;
    if (input->undo_at == input->undo_count) { // the present, for redo
        unsigned at = input->undo_at;
        keep(input, 0);
        input->undo_at = at < input->undo_count ? input->undo_count - 1 : at;
    }
    restore(input, &input->undo[--input->undo_at]);
    return true;
}

bool input_redo(chat_input *input)
{
    if (input->undo_at + 1 >= input->undo_count) return false;
    restore(input, &input->undo[++input->undo_at]);
    return true;
}

void input_remember(chat_input *input, const char *text)
{
    bool same = input->history_count && strcmp(input->history[input->history_count - 1], text) == 0;
    if (!same) {
        if (input->history_count == INPUT_HISTORY_LIMIT) {
            free(input->history[0]);
            memmove(input->history, input->history + 1, (INPUT_HISTORY_LIMIT - 1) * sizeof *input->history);
            input->history_count--;
        }
        input->history[input->history_count++] = fe_copy_string(text);
    }
    input->history_at = input->history_count;
}

bool input_recall(chat_input *input, int direction)
{
    if (direction < 0 ? input->history_at == 0 : input->history_at >= input->history_count) return false;
    if (input->history_at == input->history_count)
        chat_text_set(&input->draft, fe_text_string(&input->text), input->text.length);
    input->history_at += direction < 0 ? -1u : 1u;
    bool back = input->history_at == input->history_count;
    input_set(input, back ? fe_text_string(&input->draft) : input->history[input->history_at]);
    return true;
}

bool input_is_empty(const chat_input *input)
{
    for (size_t i = 0; i < input->text.length; i++)
        if (!is_space(input->text.data[i])) return false;
    return true;
}
