#include "import.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

// ---- What no text can hold ------------------------------------------------------------------------------------------

// The code unit of an escape, `\\uXXXX`, at `at`; -1: there is none.
static int32_t escaped_unit(const fe_text *json, size_t at)
{
    int32_t unit = 0;
    if (at + 6 > json->length || json->data[at] != '\\' || json->data[at + 1] != 'u') return -1;
    for (size_t i = at + 2; i < at + 6; i++) {
        static const char digits[] = "0123456789abcdef";
        int c = (unsigned char)json->data[i];
        const char *digit = strchr(digits, c >= 'A' && c <= 'F' ? c + 'a' - 'A' : c);
        if (!digit || !*digit) return -1;
        unit = unit << 4 | (int32_t)(digit - digits);
    }
    return unit;
}

// SQLite passes on bytes that are not UTF-8, ends a string at an escaped NUL, and writes halves of surrogate pairs as
// they are. Returns how many characters were replaced.
static size_t mend(const char *text, size_t length, fe_text *out)
{
    fe_text json = {0};
    size_t replaced = chat_text_append_utf8(&json, text, length), kept = 0;
    for (size_t at = 0; at < json.length;) {
        int32_t unit = escaped_unit(&json, at);
        bool high = unit >= 0xD800 && unit < 0xDC00, low = unit >= 0xDC00 && unit < 0xE000;
        int32_t second = high ? escaped_unit(&json, at + 6) : -1;
        bool pair = second >= 0xDC00 && second < 0xE000;
        if (unit == 0 || low || (high && !pair)) {
            fe_text_append(out, json.data + kept, at - kept);
            fe_text_add(out, FE_REPLACEMENT);
            kept = at + 6;
            replaced++;
        }
        at += pair ? 12 : unit >= 0 ? 6 : json.data[at] == '\\' && at + 1 < json.length ? 2 : 1;
    }
    fe_text_append(out, json.data + kept, json.length - kept);
    fe_text_free(&json);
    return replaced;
}

static bool is_marked(const chat_message *message)
{
    return strstr(fe_text_string(&message->content), FE_REPLACEMENT) ||
           strstr(fe_text_string(&message->thinking), FE_REPLACEMENT);
}

static void tell_replaced(const chat_conversation *conversation, const char *name, size_t replaced, fe_text *notice)
{
    uint32_t marked = 0;
    while (marked < conversation->count && !is_marked(&conversation->messages[marked]))
        marked++;
    fe_text_printf(notice, "%u character%s of %s %s not valid UTF-8 text and stand%s as " FE_REPLACEMENT,
                   (unsigned)replaced, replaced == 1 ? "" : "s", name, replaced == 1 ? "is" : "are",
                   replaced == 1 ? "s" : "");
    if (marked < conversation->count) fe_text_printf(notice, ", first in message %u", marked + 1);
    fe_text_add(notice, ". The file is as it was: mend it and open it again, or go on with this.");
}

// ---- Reading
// ---------------------------------------------------------------------------------------------------------

// SQLite, which is here anyway, reads JSON.
static sqlite3_stmt *query(sqlite3 *database, const char *sql, const char *text, size_t length)
{
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(database, sql, -1, &statement, NULL) == SQLITE_OK)
        sqlite3_bind_text64(statement, 1, text, length, SQLITE_STATIC, SQLITE_UTF8);
    return statement; // NULL is harmless: stepping it is a misuse error, not a crash
}

static void append_column(fe_text *text, sqlite3_stmt *statement, int column)
{
    const char *bytes = (const char *)sqlite3_column_text(statement, column);
    if (bytes) fe_text_append(text, bytes, (size_t)sqlite3_column_bytes(statement, column));
}

static void add_message(chat_conversation *conversation, sqlite3_stmt *row)
{
    const char *role = (const char *)sqlite3_column_text(row, 0);
    bool user = role && strcmp(role, "user") == 0, assistant = role && strcmp(role, "assistant") == 0;
    if ((!user && !assistant) || sqlite3_column_type(row, 1) == SQLITE_NULL) return;
    int32_t before = (int32_t)conversation->count - 1; // a row of messages, without branches
    chat_message *message = chat_add_message(conversation, before, user ? SX_ROLE_USER : SX_ROLE_ASSISTANT);
    append_column(&message->content, row, 1);
    append_column(&message->thinking, row, 2);
    const char *sentence = (const char *)sqlite3_column_text(row, 3);
    if (sentence) {
        size_t most = chat_utf8_cut(sentence, strlen(sentence), sizeof message->exit_sentence - 1);
        snprintf(message->exit_sentence, sizeof message->exit_sentence, "%.*s", (int)most, sentence);
    }
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

static bool read_conversation(chat_state *state, const fe_text *json, int64_t now)
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
              json->data, json->length);
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (!conversation) conversation = chat_new_conversation(state, now);
        add_message(conversation, rows);
    }
    sqlite3_finalize(rows);
    bool good = code == SQLITE_DONE && conversation && conversation->count;
    if (good) {
        read_title(database, json->data, json->length, conversation);
        chat_conversation_touch(state, conversation, now);
    } else {
        if (conversation) chat_delete_conversation(state, conversation, now);
        if (conversation != before) chat_select_conversation(state, before);
    }
    sqlite3_close(database);
    return good;
}

bool chat_import_json(chat_state *state, const char *name, const char *text, size_t length, int64_t now,
                      fe_text *notice)
{
    if (length >= 2 && (memcmp(text, "\xFF\xFE", 2) == 0 || memcmp(text, "\xFE\xFF", 2) == 0)) {
        fe_text_printf(notice, "%s is written in UTF-16; save it as UTF-8 and open it again.", name);
        return false;
    }
    size_t mark = length >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; // as Windows marks UTF-8
    fe_text json = {0};
    size_t replaced = mend(text + mark, length - mark, &json);
    bool good = read_conversation(state, &json, now);
    if (!good)
        fe_text_printf(notice,
                       "%s is not a conversation: a JSON object with \"messages\", each with \"role\" and "
                       "\"content\", is needed.",
                       name);
    if (good && replaced) tell_replaced(state->current, name, replaced, notice);
    fe_text_free(&json);
    return good;
}
