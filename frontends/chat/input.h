// Text editing: cursor, selection, undo, recall of what was sent. Pure; offsets are bytes at character boundaries.
#ifndef CHAT_INPUT_H
#define CHAT_INPUT_H

#include "text.h"

enum { INPUT_UNDO_LIMIT = 200, INPUT_HISTORY_LIMIT = 200 };

typedef struct input_snapshot {
    char *text;
    size_t cursor;
} input_snapshot;

typedef struct chat_input {
    fe_text text;
    size_t cursor, anchor; // the selection lies between them
    input_snapshot undo[INPUT_UNDO_LIMIT];
    unsigned undo_count, undo_at; // states before undo_at can be undone to, those behind it redone
    int last_edit;                // 1 typing, 2 deleting, 0 neither: which edits join in one step of undo
    char *history[INPUT_HISTORY_LIMIT];
    unsigned history_count, history_at;
    fe_text draft; // what was being written when recall began
    bool single_line;
} chat_input;

typedef enum input_unit { INPUT_CHARACTER, INPUT_WORD, INPUT_LINE, INPUT_ALL } input_unit;

void input_free(chat_input *input);
void input_set(chat_input *input, const char *text);                    // forgets undo
void input_insert(chat_input *input, const char *bytes, size_t length); // replaces the selection
void input_delete(chat_input *input, int direction, input_unit unit);   // the selection, or backwards (-1) or forwards
void input_move(chat_input *input, int direction, input_unit unit, bool select);
void input_move_to(chat_input *input, size_t offset, bool select);
void input_select_all(chat_input *input);
void input_selection(const chat_input *input, size_t *start, size_t *end);
bool input_undo(chat_input *input);
bool input_redo(chat_input *input);
void input_remember(chat_input *input, const char *text); // adds to the history
bool input_recall(chat_input *input, int direction);      // -1 older, 1 newer; false at the end
bool input_is_empty(const chat_input *input);             // nothing but white space

#endif
