#include "import.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

// SQLite, which is here anyway, reads JSON.
static sqlite3_stmt *query(sqlite3 *database, const char *sql, const char *text, size_t length)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK)
        sqlite3_bind_text64(statement, 1, text, length, SQLITE_STATIC, SQLITE_UTF8);
    return statement; // NULL is harmless: stepping it is a misuse error, not a crash
}

static void append_column(chat_text *text, sqlite3_stmt *statement, int column)
{
    const char *bytes = (const char *)sqlite3_column_text(statement, column);
    if (bytes) chat_text_append(text, bytes, (size_t)sqlite3_column_bytes(statement, column));
}

static void add_message(chat_conversation *conversation, sqlite3_stmt *row)
{
    const char *role = (const char *)sqlite3_column_text(row, 0);
    bool user = role && strcmp(role, "user") == 0, assistant = role && strcmp(role, "assistant") == 0;
    if ((!user && !assistant) || sqlite3_column_type(row, 1) == SQLITE_NULL) return;
    chat_message *message =
        chat_add_message(conversation, chat_path_last(conversation), user ? SX_ROLE_USER : SX_ROLE_ASSISTANT);
    append_column(&message->content, row, 1);
    append_column(&message->thinking, row, 2);
    const char *sentence = (const char *)sqlite3_column_text(row, 3);
    if (sentence) snprintf(message->exit_sentence, sizeof message->exit_sentence, "%s", sentence);
    message->thinking_tokens = (uint32_t)sqlite3_column_int64(row, 4);
    message->left = message->thinking.length > 0;
    message->complete = true;
    message->done_reason = SX_DONE_END_OF_TURN;
}

static void read_title(sqlite3 *database, const char *text, size_t length, chat_conversation *conversation)
{
    sqlite3_stmt *statement = query(database, "SELECT json_extract(?1, '$.title')", text, length);
    if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_TEXT)
        chat_rename_conversation(conversation, (const char *)sqlite3_column_text(statement, 0));
    sqlite3_finalize(statement);
}

bool chat_import_json(chat_state *state, const char *text, size_t length, int64_t now, chat_text *problem)
{
    sqlite3 *database = NULL;
    chat_conversation *before = state->current, *conversation = NULL;
    sqlite3_open(":memory:", &database);
    sqlite3_stmt *rows =
        query(database,
              "SELECT json_extract(value, '$.role'), CASE json_type(value, '$.content') WHEN 'text' THEN "
              "json_extract(value, '$.content') END, CASE json_type(value, '$.reasoning_content') WHEN 'text' THEN "
              "json_extract(value, '$.reasoning_content') END, json_extract(value, '$.exit.sentence'),"
              " json_extract(value, '$.exit.thinking_tokens') FROM json_each(?1, '$.messages') WHERE type = 'object'",
              text, length);
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (!conversation) conversation = chat_new_conversation(state, now);
        add_message(conversation, rows);
    }
    sqlite3_finalize(rows);
    bool good = code == SQLITE_DONE && conversation && conversation->count;
    if (good) {
        read_title(database, text, length, conversation);
        chat_conversation_touch(state, conversation, now);
    } else {
        chat_text_add(problem, "This is not a conversation: a JSON object with \"messages\", each with \"role\" and "
                               "\"content\", is needed.");
        if (conversation) chat_delete_conversation(state, conversation, now);
        if (conversation != before) chat_select_conversation(state, before);
    }
    sqlite3_close(database);
    return good;
}
