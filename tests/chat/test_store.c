// The SQLite store: what was saved is there after a kill; damaged and read-only files are survived with a sentence.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/chat-store-XXXXXX", path[128];

static int set_up(void **unused)
{
    (void)unused;
    if (!mkdtemp(strcpy(folder, "/tmp/chat-store-XXXXXX"))) return -1;
    snprintf(path, sizeof path, "%s/chats.db", folder);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    chmod(folder, 0700);
    for (unsigned i = 0; i < 4; i++) {
        char name[160];
        snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static void write_conversation(chat_store *store, chat_state *state, const char *answer)
{
    fe_text problem = {0};
    chat_begin_reply(state, chat_say(state, -1, "question 日本", 7), 0);
    sx_event text = {.kind = SX_EVENT_TEXT,
                     .channel = SX_CHANNEL_ANSWER,
                     .text = answer,
                     .length = strlen(answer),
                     .token_count = 1};
    chat_apply_event(state, &text, 1);
    sx_event point = {.kind = SX_EVENT_SIGNALS, .token_index = 3, .has_signals = true, .smoothed = {0.5f, 0.25f, 12}};
    chat_apply_event(state, &point, 1);
    assert_true(chat_store_save(store, state->current, &problem));
    assert_int_equal(problem.length, 0);
}

static void check_conversation(const char *answer)
{
    fe_text problem = {0};
    chat_store *store = chat_store_open(path, &problem);
    assert_string_equal(fe_text_string(&problem), "");
    chat_state state;
    chat_state_init(&state, 1);
    chat_store_list(store, &state);
    assert_int_equal(state.count, 2); // the empty one and what was saved
    chat_conversation *saved = state.conversations[1];
    chat_store_load(store, saved);
    assert_int_equal(saved->count, 2);
    assert_string_equal(saved->messages[0].content.data, "question 日本");
    assert_string_equal(saved->messages[1].content.data, answer);
    assert_int_equal(saved->messages[0].selected, 1);
    assert_int_equal(saved->messages[1].point_count, 1);
    assert_true(saved->messages[1].points[0].smoothed.remain > 11);
    assert_true(saved->messages[1].complete);
    chat_store_search(store, &state, "QUESTION");
    assert_true(saved->matches);
    chat_store_search(store, &state, "absent");
    assert_false(saved->matches);
    chat_store_delete(store, saved);
    chat_state_free(&state);
    chat_store_close(store);
}

static void kill_loses_nothing_saved(void **unused)
{
    (void)unused;
    pid_t child = fork();
    if (child == 0) {
        fe_text problem = {0};
        chat_store *store = chat_store_open(path, &problem);
        chat_state state;
        chat_state_init(&state, 1);
        write_conversation(store, &state, "half an ans");
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    check_conversation("half an ans");
}

// A reply is written piece by piece; a kill loses nothing that was given to the store, and no piece is there twice.
static void pieces_are_put_together(void **unused)
{
    (void)unused;
    static const char *const pieces[] = {"one ", "zwei ", "三 "};
    pid_t child = fork();
    if (child == 0) {
        fe_text problem = {0};
        chat_store *store = chat_store_open(path, &problem);
        chat_state state;
        chat_state_init(&state, 1);
        uint32_t reply = chat_begin_reply(&state, chat_say(&state, -1, "question", 7), 0);
        for (int i = 0; i < 9; i++) {
            sx_event text = {.kind = SX_EVENT_TEXT,
                             .channel = i < 5 ? SX_CHANNEL_THINKING : SX_CHANNEL_ANSWER,
                             .text = pieces[i % 3],
                             .length = strlen(pieces[i % 3]),
                             .first_token = (uint32_t)i,
                             .token_count = 1};
            if (i == 5) chat_apply_event(&state, &(sx_event){.kind = SX_EVENT_EXIT, .token_index = 4}, 1);
            chat_apply_event(&state, &text, 1);
            if (i == 3 && !chat_store_save(store, state.current, &problem)) _exit(1); // the whole, in between
            if (!chat_store_save_reply(store, state.current, reply, &problem)) _exit(1);
        }
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    for (unsigned pass = 0; pass < 2; pass++) {
        fe_text problem = {0};
        chat_store *store = chat_store_open(path, &problem);
        chat_state state;
        chat_state_init(&state, 1);
        chat_store_list(store, &state);
        chat_conversation *saved = state.conversations[1];
        chat_store_load(store, saved);
        assert_int_equal(saved->count, 2);
        assert_string_equal(saved->messages[1].thinking.data, "one zwei 三 one zwei ");
        assert_string_equal(saved->messages[1].content.data, "三 one zwei 三 ");
        assert_true(saved->messages[1].left);
        saved->messages[1].dirty = true; // written as a whole, which takes the pieces in
        assert_true(chat_store_save(store, saved, &problem));
        chat_state_free(&state);
        chat_store_close(store);
    }
}

static void damaged_file_is_left_alone(void **unused)
{
    (void)unused;
    FILE *file = fopen(path, "w");
    for (unsigned i = 0; i < 500; i++)
        fputs("not a database ", file);
    fclose(file);
    fe_text problem = {0};
    chat_store *store = chat_store_open(path, &problem);
    assert_non_null(strstr(problem.data, "is damaged"));
    assert_non_null(strstr(problem.data, "memory only"));
    assert_false(chat_store_is_saving(store));
    chat_state state;
    chat_state_init(&state, 1);
    write_conversation(store, &state, "goes on"); // in memory
    chat_state_free(&state);
    chat_store_close(store);
    struct stat size;
    assert_int_equal(stat(path, &size), 0);
    assert_int_equal(size.st_size, 7500);
    fe_text_free(&problem);
}

static void missing_folder_is_survived(void **unused)
{
    (void)unused;
    fe_text problem = {0};
    chat_store *store = chat_store_open("/nonexistent/folder/chats.db", &problem);
    assert_true(problem.length > 0);
    assert_false(chat_store_is_saving(store));
    chat_store_close(store);
    fe_text_free(&problem);
}

// Whether a file that cannot be written is read, and goes on in memory.
static bool shows_read_only(void)
{
    fe_text problem = {0}, ignored = {0};
    chat_state state;
    chat_store *store = chat_store_open(path, &problem);
    chat_state_init(&state, 1);
    chat_store_list(store, &state);
    bool good = strstr(fe_text_string(&problem), "not saved") && state.count == 2 && !chat_store_is_saving(store);
    if (good) chat_store_load(store, state.conversations[1]);
    good = good && strcmp(state.conversations[1]->messages[1].content.data, "kept") == 0;
    chat_rename_conversation(state.conversations[1], "Another name");
    good = good && chat_store_save(store, state.conversations[1], &ignored);
    chat_state_free(&state);
    chat_store_close(store);
    fe_text_free(&problem);
    return good;
}

static void read_only_is_shown(void **unused)
{
    (void)unused;
    fe_text problem = {0};
    chat_store *store = chat_store_open(path, &problem);
    chat_state state;
    chat_state_init(&state, 1);
    write_conversation(store, &state, "kept");
    chat_state_free(&state);
    chat_store_close(store);
    chmod(path, 0444);
    chmod(folder, 0555);
    pid_t child = fork(); // root may write everywhere, so another user looks at it
    if (child == 0) {
        bool nobody = geteuid() != 0 || setuid(65534) == 0;
        _exit(nobody && access(path, W_OK) != 0 && shows_read_only() ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void run_sql(const char *sql)
{
    sqlite3 *database;
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(database);
}

static void steering_comes_back(void **unused)
{
    (void)unused;
    fe_text problem = {0};
    for (unsigned pass = 0; pass < 2; pass++) {
        chat_store *store = chat_store_open(path, &problem);
        chat_state state;
        chat_state_init(&state, 1);
        chat_store_list(store, &state);
        if (pass) { // both as they were left
            assert_int_equal(state.count, 3);
            assert_true(state.conversations[1]->steering.effort == 1);
            assert_true(state.conversations[2]->steering.effort == 0.25f);
            assert_int_equal(state.conversations[2]->steering.policy, SX_POLICY_ENTROPY);
        } else {
            chat_steer(&state, (chat_steering){.effort = 0.25f, .policy = SX_POLICY_ENTROPY});
            write_conversation(store, &state, "one");
            chat_fail_reply(&state, "stopped");
            chat_new_conversation(&state, 8);
            write_conversation(store, &state, "two");
            chat_steer(&state, (chat_steering){.effort = 1}); // alone, later
            assert_true(chat_store_save(store, state.current, &problem));
        }
        chat_state_free(&state);
        chat_store_close(store);
    }
    run_sql("UPDATE conversations SET effort = 1e9, policy = -7"); // nonsense is left out
    chat_store *store = chat_store_open(path, &problem);
    chat_state state;
    chat_state_init(&state, 1);
    chat_store_list(store, &state);
    assert_true(state.conversations[1]->steering.effort == 0.5f);
    assert_int_equal(state.conversations[1]->steering.policy, SX_POLICY_AUTO);
    chat_state_free(&state);
    chat_store_close(store);
    assert_int_equal(problem.length, 0);
}

// A database of the first version, which knew no steering of conversations: all are steered as its settings say.
static void old_file_is_brought_up(void **unused)
{
    (void)unused;
    fe_text problem = {0};
    chat_store *store = chat_store_open(path, &problem);
    chat_state state;
    chat_state_init(&state, 1);
    write_conversation(store, &state, "old");
    chat_state_free(&state);
    chat_store_close(store);
    run_sql("ALTER TABLE conversations DROP COLUMN effort; ALTER TABLE conversations DROP COLUMN policy;"
            " DROP TABLE models; INSERT INTO settings VALUES('effort', 0.75); PRAGMA user_version = 1");
    for (unsigned pass = 0; pass < 2; pass++) {
        store = chat_store_open(path, &problem);
        assert_string_equal(fe_text_string(&problem), "");
        assert_true(chat_store_is_saving(store));
        chat_state_init(&state, 1);
        chat_store_read_settings(store, &state.settings);
        chat_store_list(store, &state);
        assert_int_equal(state.count, 2);
        chat_model_settings model;
        assert_int_equal(chat_store_read_model(store, "", &model), pass); // there are none yet
        chat_store_write_model(store, "", &(chat_model_settings){.context = 2048});
        assert_true(state.conversations[1]->steering.effort == (pass ? 0.125f : 0.75f));
        chat_store_load(store, state.conversations[1]);
        assert_string_equal(state.conversations[1]->messages[1].content.data, "old");
        chat_select_conversation(&state, state.conversations[1]);
        chat_steer(&state, (chat_steering){.effort = 0.125f});
        assert_true(chat_store_save(store, state.current, &problem));
        chat_state_free(&state);
        chat_store_close(store);
    }
}

// Of the second version, whose settings had one temperature for all models, and which knew no precision.
static void older_models_keep_their_temperature(void **unused)
{
    (void)unused;
    fe_text problem = {0};
    chat_store_close(chat_store_open(path, &problem));
    run_sql("DROP TABLE models; CREATE TABLE models(path TEXT PRIMARY KEY, context INTEGER NOT NULL, kv_type INTEGER"
            " NOT NULL, template TEXT NOT NULL, device TEXT NOT NULL) WITHOUT ROWID;"
            "INSERT INTO models VALUES('/m/a.gguf', 4096, 0, '', ''); INSERT INTO settings VALUES('temperature', 0.75);"
            " PRAGMA user_version = 2");
    for (unsigned pass = 0; pass < 2; pass++) {
        chat_store *store = chat_store_open(path, &problem);
        assert_string_equal(fe_text_string(&problem), "");
        chat_model_settings read = {0};
        assert_true(chat_store_read_model(store, "/m/a.gguf", &read));
        assert_int_equal(read.context, 4096);
        assert_true(read.sampling.temperature == (pass ? 0.25f : 0.75f));
        assert_int_equal(read.precision, pass ? SX_PRECISION_FAST : SX_PRECISION_FULL);
        read.sampling.temperature = 0.25f;
        read.precision = SX_PRECISION_FAST;
        chat_store_write_model(store, "/m/a.gguf", &read);
        chat_model_settings other = {0};
        assert_false(chat_store_read_model(store, "/m/new.gguf", &other));
        assert_true(other.sampling.temperature == 0.75f);
        chat_store_close(store);
    }
}

// Of the third version, where models had no precision.
static void full_precision_is_what_models_had(void **unused)
{
    (void)unused;
    fe_text problem = {0};
    chat_store_close(chat_store_open(path, &problem));
    run_sql("ALTER TABLE models DROP COLUMN precision; PRAGMA user_version = 3;"
            "INSERT INTO models VALUES('/m/a.gguf', 4096, 1, '', '', 0.5, 0, 0, 0, 0, '')");
    chat_store *store = chat_store_open(path, &problem);
    assert_string_equal(fe_text_string(&problem), "");
    chat_model_settings read = {.precision = SX_PRECISION_FAST};
    assert_true(chat_store_read_model(store, "/m/a.gguf", &read));
    assert_int_equal(read.kv_type, SX_KV_Q8_0);
    assert_int_equal(read.precision, SX_PRECISION_FULL);
    chat_store_close(store);
}

static void models_come_back(void **unused)
{
    (void)unused;
    fe_text problem = {0};
    chat_store *store = chat_store_open(path, &problem);
    chat_model_settings first = {.context = 16384,
                                 .kv_type = SX_KV_Q8_0,
                                 .precision = SX_PRECISION_FAST,
                                 .template_name = "qwen3",
                                 .device = "GPU",
                                 .sampling = {.temperature = 0.5f, .top_p = 0.75f, .min_p = 0.25f, .top_k = 20},
                                 .profile = "/m/a.profile.json"};
    first.sampling.repetition = 1.25f;
    chat_model_settings bundled = {.device = "CPU"}, read = {.context = 7};
    assert_false(chat_store_read_model(store, "/m/a.gguf", &read));
    assert_int_equal(read.context, 7); // as it was
    chat_store_write_model(store, "/m/a.gguf", &bundled);
    chat_store_write_model(store, "/m/a.gguf", &first);
    chat_store_write_model(store, "", &bundled);
    chat_store_close(store);
    run_sql(
        "INSERT INTO models VALUES('/m/odd.gguf', -5, 77, 'a name that is longer than all templates have', '', -1,"
        " 1e99, -3, 'x', 2.5, NULL, 9);"
        "INSERT INTO models VALUES('/m/huge.gguf', 99999999999, 0, '', '', NULL, NULL, 1e30, NULL, NULL, NULL, NULL)");
    store = chat_store_open(path, &problem);
    assert_true(chat_store_read_model(store, "/m/a.gguf", &read));
    assert_true(chat_model_settings_equal(&read, &first));
    assert_true(chat_store_read_model(store, "", &read));
    assert_true(chat_model_settings_equal(&read, &bundled));
    assert_true(chat_store_read_model(store, "/m/odd.gguf", &read));
    assert_int_equal(read.context, 0);
    assert_int_equal(read.kv_type, SX_KV_F16);
    assert_int_equal(strlen(read.template_name), sizeof read.template_name - 1);
    assert_true(read.sampling.temperature == 0 && read.sampling.top_p == 0 && read.sampling.repetition == 2);
    assert_int_equal(read.sampling.top_k, 0);
    assert_int_equal(read.profile[0], 0);
    assert_true(chat_store_read_model(store, "/m/huge.gguf", &read));
    assert_int_equal(read.context, 0);
    chat_store_close(store);
    assert_int_equal(problem.length, 0);
}

static void settings_come_back(void **unused)
{
    (void)unused;
    fe_text problem = {0};
    chat_store *store = chat_store_open(path, &problem);
    chat_settings settings, read;
    chat_settings_default(&settings);
    settings.steering.effort = 0.75f;
    settings.theme = CHAT_THEME_DARK;
    snprintf(settings.model, sizeof settings.model, "/m/a.gguf");
    chat_store_write_settings(store, &settings);
    chat_store_close(store);
    store = chat_store_open(path, &problem);
    chat_settings_default(&read);
    chat_store_read_settings(store, &read);
    assert_int_equal(read.theme, CHAT_THEME_DARK);
    assert_string_equal(read.model, "/m/a.gguf");
    assert_true(read.steering.effort > 0.74f && read.steering.effort < 0.76f);
    chat_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kill_loses_nothing_saved, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pieces_are_put_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_file_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_folder_is_survived, set_up, tear_down),
        cmocka_unit_test_setup_teardown(read_only_is_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(steering_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(old_file_is_brought_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(older_models_keep_their_temperature, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_precision_is_what_models_had, set_up, tear_down),
        cmocka_unit_test_setup_teardown(models_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(settings_come_back, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
