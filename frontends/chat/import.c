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

// ---- What is left out ----------------------------------------------------------------------------------------------

typedef struct left_out {     // of a file
    uint32_t roles, textless; // messages of other roles, and without text
    uint32_t images, parts;   // of the other messages; parts that are neither text nor image
    char names[96];           // of the roles
    uint32_t message;         // number of the first message that is left out
    const char *reason;       // for it, NULL: none is left out
} left_out;

static void leave_message(left_out *left, uint32_t message, uint32_t *count, const char *reason)
{
    if (!left->reason) {
        left->message = message;
        left->reason = reason;
    }
    ++*count;
}

static void name_role(left_out *left, const char *role)
{
    size_t used = strlen(left->names), length = strlen(role);
    if (strstr(left->names, role) || used + length + 3 > sizeof left->names) return;
    snprintf(left->names + used, sizeof left->names - used, "%s%s", used ? ", " : "", role);
}

static void list(fe_text *text, uint32_t count, const char *one, const char *many, const char *behind)
{
    if (!count) return;
    fe_text_printf(text, "%s%u %s%s", text->length ? ", " : "", (unsigned)count, count == 1 ? one : many, behind);
}

static void tell_left_out(const left_out *left, const char *name, fe_text *notice)
{
    fe_text all = {0}, roles = {0};
    if (left->names[0]) fe_text_printf(&roles, " (%s)", left->names);
    list(&all, left->roles, "message of another role", "messages of other roles", fe_text_string(&roles));
    list(&all, left->textless, "message without text", "messages without text", "");
    list(&all, left->images, "image", "images", "");
    list(&all, left->parts, "part that is no text", "parts that are no text", "");
    if (all.length) fe_text_printf(notice, "Left out of %s: %s.", name, all.data);
    fe_text_free(&all);
    fe_text_free(&roles);
}

// ---- Reading -------------------------------------------------------------------------------------------------------

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

// The texts of a content in parts, a paragraph each.
static void append_parts(fe_text *text, sqlite3 *database, sqlite3_stmt *row, int column, left_out *left)
{
    static const char sql[] =
        "SELECT CASE WHEN type = 'text' THEN value WHEN type = 'object' AND json_type(value, '$.text') = 'text' AND "
        "coalesce(json_extract(value, '$.type'), 'text') IN ('text', 'input_text', 'output_text') THEN "
        "json_extract(value, '$.text') END, CASE type WHEN 'object' THEN json_extract(value, '$.type') END "
        "FROM json_each(?1)";
    sqlite3_stmt *parts =
        query(database, sql, (const char *)sqlite3_column_text(row, column), (size_t)sqlite3_column_bytes(row, column));
    while (sqlite3_step(parts) == SQLITE_ROW) {
        const char *type = (const char *)sqlite3_column_text(parts, 1);
        if (sqlite3_column_type(parts, 0) == SQLITE_NULL) {
            ++*(type && strstr(type, "image") ? &left->images : &left->parts);
        } else {
            if (text->length && sqlite3_column_bytes(parts, 0)) fe_text_add(text, "\n\n");
            append_column(text, parts, 0);
        }
    }
    sqlite3_finalize(parts);
}

static void add_exit(chat_message *message, sqlite3_stmt *row)
{
    const char *sentence = (const char *)sqlite3_column_text(row, 4);
    if (sentence) {
        size_t most = chat_utf8_cut(sentence, strlen(sentence), sizeof message->exit_sentence - 1);
        snprintf(message->exit_sentence, sizeof message->exit_sentence, "%.*s", (int)most, sentence);
    }
    message->thinking_tokens = (uint32_t)sqlite3_column_int64(row, 5);
    message->left = message->thinking.length > 0;
}

static void add_message(chat_conversation *conversation, sqlite3 *database, sqlite3_stmt *row, uint32_t number,
                        left_out *left)
{
    const char *role = (const char *)sqlite3_column_text(row, 0), *type = (const char *)sqlite3_column_text(row, 1);
    bool user = role && strcmp(role, "user") == 0, assistant = role && strcmp(role, "assistant") == 0;
    if (!user && !assistant) {
        name_role(left, role ? role : "none");
        leave_message(left, number, &left->roles, "is neither of a user nor of an assistant");
        return;
    }
    bool string = type && strcmp(type, "text") == 0;
    fe_text content = {0};
    if (string) append_column(&content, row, 2);
    if (type && strcmp(type, "array") == 0) append_parts(&content, database, row, 2, left);
    if (string || content.length || sqlite3_column_bytes(row, 3)) {
        int32_t before = (int32_t)conversation->count - 1; // a row of messages, without branches
        chat_message *message = chat_add_message(conversation, before, user ? SX_ROLE_USER : SX_ROLE_ASSISTANT);
        fe_text_append(&message->content, fe_text_string(&content), content.length);
        append_column(&message->thinking, row, 3);
        add_exit(message, row);
        message->complete = true;
        message->done_reason = SX_DONE_END_OF_TURN;
    } else {
        leave_message(left, number, &left->textless, "has no text");
    }
    fe_text_free(&content);
}

static void read_title(sqlite3 *database, const char *text, size_t length, chat_conversation *conversation)
{
    sqlite3_stmt *statement = query(database, "SELECT json_extract(?1, '$.title')", text, length);
    if (sqlite3_step(statement) == SQLITE_ROW && sqlite3_column_type(statement, 0) == SQLITE_TEXT)
        chat_rename_conversation(conversation, (const char *)sqlite3_column_text(statement, 0));
    if (!conversation->named) chat_title_from(conversation, fe_text_string(&conversation->messages[0].content));
    sqlite3_finalize(statement);
}

static bool read_conversation(chat_state *state, const fe_text *json, int64_t now, left_out *left)
{
    static const char sql[] =
        "SELECT json_extract(value, '$.role'), json_type(value, '$.content'), json_extract(value, '$.content'), "
        "CASE json_type(value, '$.reasoning_content') WHEN 'text' THEN json_extract(value, '$.reasoning_content') END, "
        "json_extract(value, '$.exit.sentence'), json_extract(value, '$.exit.thinking_tokens') FROM (SELECT CASE type "
        "WHEN 'object' THEN value ELSE '{}' END AS value FROM json_each(?1, '$.messages'))";
    sqlite3 *database = NULL;
    chat_conversation *before = state->current, *conversation = NULL;
    sqlite3_open(":memory:", &database);
    sqlite3_stmt *rows = query(database, sql, json->data, json->length);
    uint32_t number = 0;
    int code;
    while ((code = sqlite3_step(rows)) == SQLITE_ROW) {
        if (!conversation) conversation = chat_new_conversation(state, now);
        add_message(conversation, database, rows, ++number, left);
    }
    sqlite3_finalize(rows);
    bool good = code == SQLITE_DONE && conversation && conversation->count;
    if (code != SQLITE_DONE) *left = (left_out){0};
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

static void tell_refused(const left_out *left, const char *name, fe_text *notice)
{
    if (left->reason) {
        fe_text_printf(notice, "%s has no text of a user or an assistant: message %u %s.", name,
                       (unsigned)left->message, left->reason);
    } else {
        fe_text_printf(notice,
                       "%s is not a conversation: a JSON object with \"messages\", each with \"role\" and "
                       "\"content\", is needed.",
                       name);
    }
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
    left_out left = {0};
    size_t replaced = mend(text + mark, length - mark, &json);
    bool good = read_conversation(state, &json, now, &left);
    if (good) {
        tell_left_out(&left, name, notice);
        if (notice->length && replaced) fe_text_add(notice, " ");
        if (replaced) tell_replaced(state->current, name, replaced, notice);
    } else {
        tell_refused(&left, name, notice);
    }
    fe_text_free(&json);
    return good;
}
