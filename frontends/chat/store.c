#include "store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// 1: conversations without effort and policy; 2: models without sampling and profile, which the settings had for all;
// 3: models without precision
enum { SCHEMA_VERSION = 4 };

struct chat_store {
    sqlite3 *database;
    bool saving;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS conversations(id INTEGER PRIMARY KEY, title TEXT NOT NULL, named INTEGER NOT NULL,"
    " updated INTEGER NOT NULL, selected INTEGER NOT NULL, effort REAL, policy INTEGER);"
    "CREATE TABLE IF NOT EXISTS messages(conversation INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,"
    " number INTEGER NOT NULL, parent INTEGER NOT NULL, selected INTEGER NOT NULL, role INTEGER NOT NULL,"
    " content TEXT NOT NULL, thinking TEXT NOT NULL, failure TEXT NOT NULL, complete INTEGER NOT NULL,"
    " left_thinking INTEGER NOT NULL, exit_reason INTEGER NOT NULL, exit_sentence TEXT NOT NULL,"
    " exit_token INTEGER NOT NULL, saved_tokens INTEGER NOT NULL, thinking_tokens INTEGER NOT NULL,"
    " tokens INTEGER NOT NULL, seconds REAL NOT NULL, tokens_per_second REAL NOT NULL, acceptance REAL NOT NULL,"
    " seed INTEGER NOT NULL, confidence REAL NOT NULL, progress REAL NOT NULL, remain REAL NOT NULL, points BLOB,"
    " PRIMARY KEY(conversation, number)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS pieces(conversation INTEGER NOT NULL REFERENCES conversations(id) ON DELETE CASCADE,"
    " number INTEGER NOT NULL, place INTEGER NOT NULL, thinking TEXT NOT NULL, content TEXT NOT NULL,"
    " PRIMARY KEY(conversation, number, place)) WITHOUT ROWID;" // what came to a message after it was written
    "CREATE TABLE IF NOT EXISTS models(path TEXT PRIMARY KEY, context INTEGER NOT NULL, kv_type INTEGER NOT NULL,"
    " template TEXT NOT NULL, device TEXT NOT NULL, temperature REAL, top_p REAL, top_k INTEGER, min_p REAL,"
    " repetition REAL, profile TEXT, precision INTEGER) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS settings(key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;";

// Conversations of then are steered as the settings say: NULL.
static const char from_version_1[] =
    "ALTER TABLE conversations ADD COLUMN effort REAL; ALTER TABLE conversations ADD COLUMN policy INTEGER";

// Models of then draw with the temperature of the settings: NULL.
static const char from_version_2[] =
    "ALTER TABLE models ADD COLUMN temperature REAL; ALTER TABLE models ADD COLUMN top_p REAL;"
    "ALTER TABLE models ADD COLUMN top_k INTEGER; ALTER TABLE models ADD COLUMN min_p REAL;"
    "ALTER TABLE models ADD COLUMN repetition REAL; ALTER TABLE models ADD COLUMN profile TEXT";

// Models of then have full precision: NULL.
static const char from_version_3[] = "ALTER TABLE models ADD COLUMN precision INTEGER";

static bool run(sqlite3 *database, const char *sql)
{
    return sqlite3_exec(database, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static int read_version(sqlite3 *database)
{
    sqlite3_stmt *statement = NULL;
    int version = -1;
    if (sqlite3_prepare_v2(database, "PRAGMA user_version", -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        version = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    return version;
}

// Whether the database can be read and written, and has (or now gets) the tables.
static bool prepare(sqlite3 *database, const char *path, fe_text *problem)
{
    char sql[64];
    sqlite3_busy_timeout(database, 500);
    sqlite3_exec(database, "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON", NULL, NULL,
                 NULL);
    int version = read_version(database);
    if (version > SCHEMA_VERSION) {
        fe_text_printf(problem, "%s: written by a newer version of this program. ", path);
        return false;
    }
    snprintf(sql, sizeof sql, "PRAGMA user_version=%d", SCHEMA_VERSION);
    if (version >= 0 && run(database, "BEGIN IMMEDIATE") && (version != 1 || run(database, from_version_1)) &&
        (version != 2 || run(database, from_version_2)) &&
        ((version != 2 && version != 3) || run(database, from_version_3)) && run(database, schema) &&
        run(database, sql) && run(database, "COMMIT"))
        return true;
    int code = sqlite3_errcode(database);
    const char *what = code == SQLITE_NOTADB || code == SQLITE_CORRUPT      ? "is damaged"
                       : code == SQLITE_READONLY || code == SQLITE_CANTOPEN ? "cannot be written"
                       : code == SQLITE_BUSY || code == SQLITE_LOCKED       ? "is in use by another window"
                                                                            : "cannot be used";
    fe_text_printf(problem, "%s %s (%s). ", path, what, sqlite3_errmsg(database));
    sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    return false;
}

// Copies what a database that cannot be written holds, so that it can at least be read.
static bool copy_readable(const char *path, sqlite3 *memory)
{
    sqlite3 *source = NULL;
    bool good = false;
    fe_text name = {0};
    fe_text_add(&name, "file:");
    for (const char *at = path; *at; at++) {
        if (strchr("%?#", *at)) {
            fe_text_printf(&name, "%%%02X", (unsigned char)*at);
        } else {
            fe_text_append(&name, at, 1);
        }
    }
    fe_text_add(&name, "?mode=ro&immutable=1");
    if (sqlite3_open_v2(name.data, &source, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, NULL) == SQLITE_OK &&
        read_version(source) >= 1 && read_version(source) <= SCHEMA_VERSION) {
        sqlite3_backup *backup = sqlite3_backup_init(memory, "main", source, "main");
        good = backup && sqlite3_backup_step(backup, -1) == SQLITE_DONE;
        sqlite3_backup_finish(backup);
    }
    sqlite3_close(source);
    fe_text_free(&name);
    return good;
}

static sqlite3 *open_memory(const char *path, fe_text *problem)
{
    sqlite3 *memory = NULL;
    sqlite3_open(":memory:", &memory);
    bool copied = path && copy_readable(path, memory);
    if (path)
        fe_text_add(problem, copied ? "Its conversations are shown, but changes are not saved."
                                    : "Conversations of this run are kept in memory only; move the file away to "
                                      "start a new one.");
    fe_text ignored = {0};
    prepare(memory, ":memory:", &ignored);
    fe_text_free(&ignored);
    return memory;
}

chat_store *chat_store_open(const char *path, fe_text *problem)
{
    chat_store *store = fe_reallocate(NULL, 1, sizeof *store);
    *store = (chat_store){.saving = path != NULL};
    if (path) {
        int code = sqlite3_open_v2(path, &store->database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
        if (code != SQLITE_OK) fe_text_printf(problem, "%s cannot be opened (%s). ", path, sqlite3_errstr(code));
        if (code == SQLITE_OK && prepare(store->database, path, problem)) return store;
        sqlite3_close(store->database);
    }
    store->saving = false;
    store->database = open_memory(path, problem);
    return store;
}

void chat_store_close(chat_store *store)
{
    if (!store) return;
    sqlite3_close(store->database);
    free(store);
}

bool chat_store_is_saving(const chat_store *store)
{
    return store->saving;
}

// ---- Reading -------------------------------------------------------------------------------------------------------

static sqlite3_stmt *statement_of(chat_store *store, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    sqlite3_prepare_v2(store->database, sql, -1, &statement, NULL);
    return statement; // NULL is harmless: stepping it is a misuse error, not a crash
}

// Leaves alone what was not saved or is out of range.
static void read_steering(sqlite3_stmt *statement, int column, chat_steering *steering)
{
    double effort = sqlite3_column_double(statement, column);
    int policy = sqlite3_column_int(statement, column + 1);
    if (sqlite3_column_type(statement, column) == SQLITE_NULL) return;
    if (effort >= 0 && effort <= 1) steering->effort = (float)effort;
    if (policy >= 0 && policy <= SX_POLICY_ENTROPY) steering->policy = (sx_policy_kind)policy;
}

void chat_store_list(chat_store *store, chat_state *state)
{
    sqlite3_stmt *statement =
        statement_of(store, "SELECT id, title, named, updated, selected, effort, policy FROM conversations"
                            " ORDER BY updated DESC, id DESC");
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        chat_conversation *conversation = chat_add_conversation(state);
        const char *title = (const char *)sqlite3_column_text(statement, 1);
        conversation->id = sqlite3_column_int64(statement, 0);
        free(conversation->title);
        conversation->title = fe_copy_string(title ? title : "");
        conversation->named = sqlite3_column_int(statement, 2);
        conversation->updated = sqlite3_column_int64(statement, 3);
        conversation->selected = sqlite3_column_int(statement, 4);
        read_steering(statement, 5, &conversation->steering);
    }
    sqlite3_finalize(statement);
}

static void read_text(sqlite3_stmt *statement, int column, fe_text *text)
{
    const char *bytes = (const char *)sqlite3_column_text(statement, column);
    if (bytes) chat_text_set(text, bytes, (size_t)sqlite3_column_bytes(statement, column));
}

static void read_points(sqlite3_stmt *statement, int column, chat_message *message)
{
    const void *blob = sqlite3_column_blob(statement, column);
    size_t size = (size_t)sqlite3_column_bytes(statement, column);
    if (!blob || size % sizeof(chat_point)) return;
    message->point_count = message->point_capacity = (uint32_t)(size / sizeof(chat_point));
    message->points = fe_reallocate(NULL, message->point_count, sizeof(chat_point));
    for (uint32_t i = 0; i < message->point_count; i++) { // a bool in a damaged file may hold anything: no plain copy
        const unsigned char *from = (const unsigned char *)blob + i * sizeof(chat_point);
        chat_point *point = &message->points[i];
        *point = (chat_point){.boundary = from[offsetof(chat_point, boundary)] != 0,
                              .has_signals = from[offsetof(chat_point, has_signals)] != 0};
        memcpy(&point->token_index, from + offsetof(chat_point, token_index), sizeof point->token_index);
        memcpy(&point->smoothed, from + offsetof(chat_point, smoothed), sizeof point->smoothed);
        memcpy(&point->margin, from + offsetof(chat_point, margin), sizeof point->margin);
        memcpy(&point->entropy, from + offsetof(chat_point, entropy), sizeof point->entropy);
    }
}

static void read_message(sqlite3_stmt *statement, chat_message *message)
{
    const char *sentence = (const char *)sqlite3_column_text(statement, 9);
    read_text(statement, 4, &message->content);
    read_text(statement, 5, &message->thinking);
    read_text(statement, 6, &message->failure);
    message->left = sqlite3_column_int(statement, 7);
    message->exit_reason = (sx_exit_reason)sqlite3_column_int(statement, 8);
    snprintf(message->exit_sentence, sizeof message->exit_sentence, "%s", sentence ? sentence : "");
    message->exit_token = (uint32_t)sqlite3_column_int64(statement, 10);
    message->saved_tokens = (uint32_t)sqlite3_column_int64(statement, 11);
    message->thinking_tokens = (uint32_t)sqlite3_column_int64(statement, 12);
    message->tokens = (uint32_t)sqlite3_column_int64(statement, 13);
    message->seconds = sqlite3_column_double(statement, 14);
    message->tokens_per_second = sqlite3_column_double(statement, 15);
    message->acceptance = sqlite3_column_double(statement, 16);
    message->seed = (uint64_t)sqlite3_column_int64(statement, 17);
    message->thresholds.confidence = (float)sqlite3_column_double(statement, 18);
    message->thresholds.progress = (float)sqlite3_column_double(statement, 19);
    message->thresholds.remain = (float)sqlite3_column_double(statement, 20);
    read_points(statement, 21, message);
    // A reply that a kill cut short is shown as it is, with its end marked as stopped.
    message->done_reason = sqlite3_column_int(statement, 22) ? SX_DONE_END_OF_TURN : SX_DONE_STOPPED;
    message->complete = true;
    message->dirty = false;
}

static void append_column(sqlite3_stmt *statement, int column, fe_text *text)
{
    const char *bytes = (const char *)sqlite3_column_text(statement, column);
    if (bytes) fe_text_append(text, bytes, (size_t)sqlite3_column_bytes(statement, column));
}

// A reply that a kill cut short is in pieces behind what was written last.
static void load_pieces(chat_store *store, chat_conversation *conversation)
{
    sqlite3_stmt *statement = statement_of(
        store, "SELECT number, thinking, content FROM pieces WHERE conversation = ? ORDER BY number, place");
    if (statement) sqlite3_bind_int64(statement, 1, conversation->id);
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        int number = sqlite3_column_int(statement, 0);
        if (number < 0 || number >= (int)conversation->count) continue;
        append_column(statement, 1, &conversation->messages[number].thinking);
        append_column(statement, 2, &conversation->messages[number].content);
    }
    sqlite3_finalize(statement);
}

void chat_store_load(chat_store *store, chat_conversation *conversation)
{
    if (conversation->loaded || !conversation->id) return;
    conversation->loaded = true;
    int32_t selected = conversation->selected;
    sqlite3_stmt *statement = statement_of(
        store, "SELECT number, parent, selected, role, content, thinking, failure, left_thinking, exit_reason,"
               " exit_sentence, exit_token, saved_tokens, thinking_tokens, tokens, seconds, tokens_per_second,"
               " acceptance, seed, confidence, progress, remain, points, complete"
               " FROM messages WHERE conversation = ? ORDER BY number");
    if (statement) sqlite3_bind_int64(statement, 1, conversation->id);
    while (statement && sqlite3_step(statement) == SQLITE_ROW) {
        int32_t number = sqlite3_column_int(statement, 0), parent = sqlite3_column_int(statement, 1);
        int role = sqlite3_column_int(statement, 3);
        if (number != (int32_t)conversation->count || parent >= number || role < 0 || role > SX_ROLE_TOOL) break;
        chat_message *message = chat_add_message(conversation, parent < 0 ? -1 : parent, (sx_role)role);
        message->selected = sqlite3_column_int(statement, 2);
        read_message(statement, message);
    }
    sqlite3_finalize(statement);
    load_pieces(store, conversation);
    // Adding selects; what was selected when it was saved counts. A child must lie behind its parent, as it was added.
    sqlite3_stmt *choices = statement_of(store, "SELECT number, selected FROM messages WHERE conversation = ?");
    if (choices) sqlite3_bind_int64(choices, 1, conversation->id);
    while (choices && sqlite3_step(choices) == SQLITE_ROW) {
        int32_t number = sqlite3_column_int(choices, 0), child = sqlite3_column_int(choices, 1);
        if (number < 0 || number >= (int32_t)conversation->count) continue;
        bool good =
            child > number && child < (int32_t)conversation->count && conversation->messages[child].parent == number;
        if (good) conversation->messages[number].selected = child;
        conversation->messages[number].dirty = false;
    }
    sqlite3_finalize(choices);
    if (selected >= 0 && selected < (int32_t)conversation->count && conversation->messages[selected].parent < 0)
        conversation->selected = selected;
    conversation->dirty = false;
}

void chat_store_search(chat_store *store, chat_state *state, const char *needle)
{
    for (uint32_t i = 0; i < state->count; i++)
        state->conversations[i]->matches = chat_contains(state->conversations[i]->title, needle);
    if (!needle[0]) return;
    sqlite3_stmt *statement =
        statement_of(store, "SELECT DISTINCT conversation FROM messages WHERE instr(lower(content), lower(?)) > 0");
    if (statement) sqlite3_bind_text(statement, 1, needle, -1, SQLITE_STATIC);
    while (statement && sqlite3_step(statement) == SQLITE_ROW)
        for (uint32_t i = 0; i < state->count; i++)
            if (state->conversations[i]->id == sqlite3_column_int64(statement, 0))
                state->conversations[i]->matches = true;
    sqlite3_finalize(statement);
}

// ---- Writing -------------------------------------------------------------------------------------------------------

static bool finish(sqlite3_stmt *statement)
{
    int code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
    sqlite3_finalize(statement);
    return code == SQLITE_DONE;
}

static bool save_header(chat_store *store, chat_conversation *conversation)
{
    sqlite3_stmt *statement = statement_of(
        store,
        "INSERT INTO conversations(id, title, named, updated, selected, effort, policy) VALUES(?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT(id) DO UPDATE SET title = excluded.title, named = excluded.named, updated = excluded.updated,"
        " selected = excluded.selected, effort = excluded.effort, policy = excluded.policy");
    if (!statement) return false;
    if (conversation->id) sqlite3_bind_int64(statement, 1, conversation->id);
    sqlite3_bind_text(statement, 2, conversation->title, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 3, conversation->named);
    sqlite3_bind_int64(statement, 4, conversation->updated);
    sqlite3_bind_int(statement, 5, conversation->selected);
    sqlite3_bind_double(statement, 6, (double)conversation->steering.effort);
    sqlite3_bind_int(statement, 7, conversation->steering.policy);
    return finish(statement);
}

static void bind_text(sqlite3_stmt *statement, int place, const fe_text *text)
{
    sqlite3_bind_text64(statement, place, fe_text_string(text), text->length, SQLITE_STATIC, SQLITE_UTF8);
}

static bool save_message(chat_store *store, int64_t conversation, uint32_t number, const chat_message *message)
{
    sqlite3_stmt *statement = statement_of(
        store,
        "INSERT OR REPLACE INTO messages(conversation, number, parent, selected, role, content, thinking, failure,"
        " complete, left_thinking, exit_reason, exit_sentence, exit_token, saved_tokens, thinking_tokens, tokens,"
        " seconds, tokens_per_second, acceptance, seed, confidence, progress, remain, points)"
        " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
    if (!statement) return false;
    sqlite3_bind_int64(statement, 1, conversation);
    sqlite3_bind_int64(statement, 2, number);
    sqlite3_bind_int(statement, 3, message->parent);
    sqlite3_bind_int(statement, 4, message->selected);
    sqlite3_bind_int(statement, 5, message->role);
    bind_text(statement, 6, &message->content);
    bind_text(statement, 7, &message->thinking);
    bind_text(statement, 8, &message->failure);
    sqlite3_bind_int(statement, 9, message->complete && message->done_reason != SX_DONE_STOPPED);
    sqlite3_bind_int(statement, 10, message->left);
    sqlite3_bind_int(statement, 11, message->exit_reason);
    sqlite3_bind_text(statement, 12, message->exit_sentence, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 13, message->exit_token);
    sqlite3_bind_int64(statement, 14, message->saved_tokens);
    sqlite3_bind_int64(statement, 15, message->thinking_tokens);
    sqlite3_bind_int64(statement, 16, message->tokens);
    sqlite3_bind_double(statement, 17, message->seconds);
    sqlite3_bind_double(statement, 18, message->tokens_per_second);
    sqlite3_bind_double(statement, 19, message->acceptance);
    sqlite3_bind_int64(statement, 20, (int64_t)message->seed);
    sqlite3_bind_double(statement, 21, (double)message->thresholds.confidence);
    sqlite3_bind_double(statement, 22, (double)message->thresholds.progress);
    sqlite3_bind_double(statement, 23, (double)message->thresholds.remain);
    sqlite3_bind_blob64(statement, 24, message->points, message->point_count * sizeof(chat_point), SQLITE_STATIC);
    if (!finish(statement)) return false;
    statement = statement_of(store, "DELETE FROM pieces WHERE conversation = ? AND number = ?"); // they are in it now
    if (statement) sqlite3_bind_int64(statement, 1, conversation);
    if (statement) sqlite3_bind_int64(statement, 2, number);
    return finish(statement);
}

static bool save_all(chat_store *store, chat_conversation *conversation, int64_t *id)
{
    if (!save_header(store, conversation)) return false;
    *id = conversation->id ? conversation->id : sqlite3_last_insert_rowid(store->database);
    for (uint32_t i = 0; i < conversation->count; i++)
        if (conversation->messages[i].dirty && !save_message(store, *id, i, &conversation->messages[i])) return false;
    return true;
}

static void note_stored(chat_message *message)
{
    message->stored_thinking = message->thinking.length;
    message->stored_content = message->content.length;
    message->stored_left = message->left;
}

bool chat_store_save(chat_store *store, chat_conversation *conversation, fe_text *problem)
{
    bool dirty = conversation->dirty;
    for (uint32_t i = 0; i < conversation->count && !dirty; i++)
        dirty = conversation->messages[i].dirty;
    if (!dirty || (!conversation->count && !conversation->id)) return true;
    int64_t id = 0;
    bool begun = run(store->database, "BEGIN IMMEDIATE");
    if (!begun || !save_all(store, conversation, &id) || !run(store->database, "COMMIT")) {
        fe_text_printf(problem, "This conversation cannot be saved: %s", sqlite3_errmsg(store->database));
        if (begun) run(store->database, "ROLLBACK");
        return false;
    }
    conversation->id = id;
    conversation->dirty = false;
    for (uint32_t i = 0; i < conversation->count; i++) {
        if (conversation->messages[i].dirty) note_stored(&conversation->messages[i]);
        conversation->messages[i].dirty = false;
    }
    return true;
}

bool chat_store_save_reply(chat_store *store, chat_conversation *conversation, uint32_t reply, fe_text *problem)
{
    chat_message *message = &conversation->messages[reply];
    size_t thinking = message->thinking.length, content = message->content.length;
    bool grows = thinking >= message->stored_thinking && content >= message->stored_content;
    bool stored = conversation->id && (message->stored_thinking || message->stored_content);
    if (!stored || !grows || message->complete || message->left != message->stored_left)
        return chat_store_save(store, conversation, problem);
    if (thinking == message->stored_thinking && content == message->stored_content) return true;
    sqlite3_stmt *statement = statement_of(
        store, "INSERT OR REPLACE INTO pieces(conversation, number, place, thinking, content) VALUES(?, ?, ?, ?, ?)");
    if (statement) {
        const char *from = fe_text_string(&message->thinking) + message->stored_thinking;
        sqlite3_bind_int64(statement, 1, conversation->id);
        sqlite3_bind_int64(statement, 2, reply);
        sqlite3_bind_int64(statement, 3, (int64_t)(message->stored_thinking + message->stored_content)); // it grows
        sqlite3_bind_text64(statement, 4, from, thinking - message->stored_thinking, SQLITE_STATIC, SQLITE_UTF8);
        from = fe_text_string(&message->content) + message->stored_content;
        sqlite3_bind_text64(statement, 5, from, content - message->stored_content, SQLITE_STATIC, SQLITE_UTF8);
    }
    if (!finish(statement)) {
        fe_text_printf(problem, "This conversation cannot be saved: %s", sqlite3_errmsg(store->database));
        return false;
    }
    note_stored(message);
    return true;
}

void chat_store_delete(chat_store *store, const chat_conversation *conversation)
{
    static const char *const statements[] = {"DELETE FROM messages WHERE conversation = ?",
                                             "DELETE FROM pieces WHERE conversation = ?",
                                             "DELETE FROM conversations WHERE id = ?"};
    for (unsigned i = 0; i < 3; i++) {
        sqlite3_stmt *statement = statement_of(store, statements[i]);
        if (statement) sqlite3_bind_int64(statement, 1, conversation->id);
        finish(statement);
    }
}

// ---- Settings ------------------------------------------------------------------------------------------------------

static double read_number(chat_store *store, const char *key, double otherwise)
{
    sqlite3_stmt *statement = statement_of(store, "SELECT value FROM settings WHERE key = ?");
    if (statement) sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    if (statement && sqlite3_step(statement) == SQLITE_ROW) otherwise = sqlite3_column_double(statement, 0);
    sqlite3_finalize(statement);
    return otherwise;
}

static void copy_column(sqlite3_stmt *statement, int column, char *text, size_t size)
{
    const char *value = (const char *)sqlite3_column_text(statement, column);
    if (value) snprintf(text, size, "%s", value);
}

static void read_string(chat_store *store, const char *key, char *text, size_t size)
{
    sqlite3_stmt *statement = statement_of(store, "SELECT value FROM settings WHERE key = ?");
    if (statement) sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    if (statement && sqlite3_step(statement) == SQLITE_ROW) copy_column(statement, 0, text, size);
    sqlite3_finalize(statement);
}

// Out-of-range numbers must not reach a cast.
static int read_whole(chat_store *store, const char *key, int otherwise)
{
    double value = read_number(store, key, otherwise);
    return value >= 0 && value <= 1e9 ? (int)value : otherwise;
}

void chat_store_read_settings(chat_store *store, chat_settings *settings)
{
    settings->theme = (chat_theme_choice)read_whole(store, "theme", settings->theme);
    settings->zoom = (float)read_number(store, "zoom", (double)settings->zoom);
    settings->steering.effort = (float)read_number(store, "effort", (double)settings->steering.effort);
    settings->steering.policy = (sx_policy_kind)read_whole(store, "policy", settings->steering.policy);
    settings->drafting = (sx_draft_kind)read_whole(store, "drafting", settings->drafting);
    settings->seed = (uint64_t)read_whole(store, "seed", 0);
    settings->maximum_tokens = (uint32_t)read_whole(store, "maximum_tokens", 0);
    settings->no_thinking = read_whole(store, "no_thinking", 0);
    settings->hide_plot = read_whole(store, "hide_plot", 0);
    settings->hide_sidebar = read_whole(store, "hide_sidebar", 0);
    settings->motion = (chat_motion)read_whole(store, "motion", settings->motion);
    settings->window_width = read_whole(store, "window_width", settings->window_width);
    settings->window_height = read_whole(store, "window_height", settings->window_height);
    read_string(store, "device", settings->device, sizeof settings->device);
    read_string(store, "model", settings->model, sizeof settings->model);
    read_string(store, "folders", settings->folders, sizeof settings->folders);
    chat_settings_clamp(settings);
}

static void write_value(chat_store *store, const char *key, double number, const char *string)
{
    sqlite3_stmt *statement = statement_of(store, "INSERT OR REPLACE INTO settings(key, value) VALUES(?, ?)");
    if (!statement) return;
    sqlite3_bind_text(statement, 1, key, -1, SQLITE_STATIC);
    if (string) {
        sqlite3_bind_text(statement, 2, string, -1, SQLITE_STATIC);
    } else {
        sqlite3_bind_double(statement, 2, number);
    }
    finish(statement);
}

void chat_store_write_settings(chat_store *store, const chat_settings *settings)
{
    if (!run(store->database, "BEGIN IMMEDIATE")) return;
    write_value(store, "theme", settings->theme, NULL);
    write_value(store, "zoom", (double)settings->zoom, NULL);
    write_value(store, "effort", (double)settings->steering.effort, NULL);
    write_value(store, "policy", settings->steering.policy, NULL);
    write_value(store, "drafting", settings->drafting, NULL);
    write_value(store, "seed", (double)settings->seed, NULL);
    write_value(store, "maximum_tokens", settings->maximum_tokens, NULL);
    write_value(store, "no_thinking", settings->no_thinking, NULL);
    write_value(store, "hide_plot", settings->hide_plot, NULL);
    write_value(store, "hide_sidebar", settings->hide_sidebar, NULL);
    write_value(store, "motion", settings->motion, NULL);
    write_value(store, "window_width", settings->window_width, NULL);
    write_value(store, "window_height", settings->window_height, NULL);
    write_value(store, "device", 0, settings->device);
    write_value(store, "model", 0, settings->model);
    write_value(store, "folders", 0, settings->folders);
    run(store->database, "COMMIT");
}

// Out-of-range numbers must not reach a cast.
static float read_fraction(sqlite3_stmt *statement, int column, double otherwise)
{
    double value =
        sqlite3_column_type(statement, column) == SQLITE_NULL ? otherwise : sqlite3_column_double(statement, column);
    return value >= 0 && value <= 1000 ? (float)value : 0;
}

bool chat_store_read_model(chat_store *store, const char *path, chat_model_settings *model)
{
    sqlite3_stmt *statement =
        statement_of(store, "SELECT context, kv_type, template, device, temperature, top_p, min_p, repetition, top_k,"
                            " profile, precision FROM models WHERE path = ?");
    if (statement) sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
    bool found = statement && sqlite3_step(statement) == SQLITE_ROW;
    if (found) {
        int64_t context = sqlite3_column_int64(statement, 0), top_k = sqlite3_column_int64(statement, 8);
        *model = (chat_model_settings){
            .context = context > 0 && context <= UINT32_MAX ? (uint32_t)context : 0,
            .kv_type = (sx_kv_type)sqlite3_column_int(statement, 1),
            .precision = (sx_precision)sqlite3_column_int(statement, 10),
            .sampling = {.temperature = read_fraction(statement, 4, read_number(store, "temperature", 0)),
                         .top_p = read_fraction(statement, 5, 0),
                         .min_p = read_fraction(statement, 6, 0),
                         .repetition = read_fraction(statement, 7, 0),
                         .top_k = top_k > 0 && top_k <= UINT32_MAX ? (uint32_t)top_k : 0}};
        copy_column(statement, 2, model->template_name, sizeof model->template_name);
        copy_column(statement, 3, model->device, sizeof model->device);
        copy_column(statement, 9, model->profile, sizeof model->profile);
        chat_model_settings_clamp(model);
    } else {
        model->sampling.temperature = (float)read_number(store, "temperature", (double)model->sampling.temperature);
        chat_model_settings_clamp(model);
    }
    sqlite3_finalize(statement);
    return found;
}

void chat_store_write_model(chat_store *store, const char *path, const chat_model_settings *model)
{
    sqlite3_stmt *statement =
        statement_of(store, "INSERT OR REPLACE INTO models(path, context, kv_type, template, device, temperature,"
                            " top_p, min_p, repetition, top_k, profile, precision)"
                            " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    if (!statement) return;
    sqlite3_bind_text(statement, 1, path, -1, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 2, model->context);
    sqlite3_bind_int(statement, 3, model->kv_type);
    sqlite3_bind_text(statement, 4, model->template_name, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 5, model->device, -1, SQLITE_STATIC);
    sqlite3_bind_double(statement, 6, (double)model->sampling.temperature);
    sqlite3_bind_double(statement, 7, (double)model->sampling.top_p);
    sqlite3_bind_double(statement, 8, (double)model->sampling.min_p);
    sqlite3_bind_double(statement, 9, (double)model->sampling.repetition);
    sqlite3_bind_int64(statement, 10, model->sampling.top_k);
    sqlite3_bind_text(statement, 11, model->profile, -1, SQLITE_STATIC);
    sqlite3_bind_int(statement, 12, model->precision);
    finish(statement);
}
