#include "actions.h"
#include "export.h"
#include "import.h"
#include "unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t wall_clock(void)
{
    return (int64_t)time(NULL);
}

static void say_while(chat_app *app, chat_notice_end end, const char *notice)
{
    chat_tell(&app->state, notice, end);
    app->redraw = true;
}

void app_say(chat_app *app, const char *notice)
{
    say_while(app, NOTICE_STAYS, notice);
}

void app_scroll_to_end(chat_app *app)
{
    app->column.follow = true;
    app->redraw = true;
}

void app_clear_selection(chat_app *app)
{
    app->has_selection = app->selecting = false;
}

void app_save_reply(chat_app *app)
{
    chat_state *state = &app->state;
    fe_text problem = {0};
    double clock = app_clock();
    bool whole = clock - app->saved_at > 2; // the plot and the counts, too
    if (whole) app->saved_at = clock;
    bool good = whole ? chat_store_save(app->store, state->streaming, &problem)
                      : chat_store_save_reply(app->store, state->streaming, state->reply, &problem);
    if (!good && !state->notice.length) app_say(app, fe_text_string(&problem));
    fe_text_free(&problem);
}

void app_save(chat_app *app)
{
    fe_text problem = {0};
    app->saved_at = app_clock();
    bool good = chat_store_save(app->store, app->state.current, &problem);
    if (good && app->state.streaming && app->state.streaming != app->state.current)
        good = chat_store_save(app->store, app->state.streaming, &problem);
    if (!good && !app->state.notice.length) app_say(app, fe_text_string(&problem));
    fe_text_free(&problem);
}

void app_save_all(chat_app *app)
{
    fe_text problem = {0};
    for (uint32_t i = 0; i < app->state.count; i++)
        chat_store_save(app->store, app->state.conversations[i], &problem);
    fe_text_free(&problem);
}

// The reply that the state has begun.
static void ask_engine(chat_app *app)
{
    link_begin(&app->link, &app->state);
    if (app->state.streaming == app->state.current) {
        app_clear_selection(app);
        app_scroll_to_end(app);
    }
    app_save(app);
}

void app_forget_waiting(chat_app *app)
{
    chat_notice_end end = app->state.notice_end;
    if ((end == NOTICE_WHILE_WRITING && !app->state.streaming) ||
        (end == NOTICE_WHILE_LOADING && app->link.phase != LINK_LOADING))
        fe_text_clear(&app->state.notice);
}

static bool can_reply(chat_app *app)
{
    if (app->state.streaming) {
        say_while(app, NOTICE_WHILE_WRITING, "A reply is being written; stop it first (Esc).");
        return false;
    }
    if (app->link.phase == LINK_LOADING) {
        say_while(app, NOTICE_WHILE_LOADING, "The model is still loading.");
        return false;
    }
    if (app->link.phase != LINK_READY) {
        app_say(app, "No model is loaded. Open one with Ctrl+O.");
        return false;
    }
    if (app->link.keeping) return false;
    return true;
}

void app_ask_next(chat_app *app)
{
    if (app->link.phase != LINK_READY || app->link.keeping) return;
    if (!chat_ask_next(&app->state, wall_clock(), app_clock())) return;
    fe_text_clear(&app->state.notice);
    ask_engine(app);
}

static bool has_model(chat_app *app)
{
    if (app->link.phase == LINK_READY || app->link.phase == LINK_LOADING) return true;
    app_say(app, "No model is loaded. Open one with Ctrl+O.");
    return false;
}

void app_ask(chat_app *app, const char *question)
{
    if (!has_model(app)) return;
    chat_wait(&app->state, app->editing, question);
    app->editing = -1;
    app_ask_next(app);
    if (!chat_waiting(&app->state, app->state.current)) return;
    enum { SHOWN = 100 }; // bytes of the question
    size_t length = strlen(question), shown = strcspn(question, "\n");
    shown = shown > SHOWN ? unicode_cluster_start(question, length, SHOWN) : shown;
    fe_text notice = {0};
    fe_text_printf(&notice, "Sent as soon as %s (Up takes it back): %.*s%s",
                   app->link.phase == LINK_LOADING ? "the model is loaded" : "the reply is complete", (int)shown,
                   question, shown < length ? " …" : "");
    app_say(app, notice.data);
    fe_text_free(&notice);
}

bool app_take_back(chat_app *app)
{
    char *text = chat_take_back(&app->state, &app->editing);
    if (!text) return false;
    input_set(&app->fields[FIELD_COMPOSER], text);
    fe_text_clear(&app->state.notice);
    free(text);
    return true;
}

void app_send(chat_app *app)
{
    chat_input *composer = &app->fields[FIELD_COMPOSER];
    if (app->composition.length) return; // half a word
    if (input_is_empty(composer) || !has_model(app)) return;
    char *text = fe_copy_string(fe_text_string(&composer->text));
    input_remember(composer, text);
    input_set(composer, "");
    app_ask(app, text);
    free(text);
}

void app_new(chat_app *app)
{
    app_save(app);
    chat_new_conversation(&app->state, wall_clock());
    app_cancel_edit(app);
    app_clear_selection(app);
    app->field = FIELD_COMPOSER;
    app->drawer = false;
    app_scroll_to_end(app);
}

void app_select(chat_app *app, chat_conversation *conversation)
{
    if (conversation == app->state.current) return;
    app_save(app);
    app_cancel_edit(app);
    app_end_rename(app, true);
    chat_store_load(app->store, conversation);
    chat_select_conversation(&app->state, conversation);
    app_clear_selection(app);
    app->drawer = false;
    app->field = FIELD_COMPOSER;
    app_scroll_to_end(app);
}

void app_next_conversation(chat_app *app, int direction)
{
    const chat_state *state = &app->state;
    int64_t at = 0;
    while (at < state->count && state->conversations[at] != state->current)
        at++;
    for (at += direction; at >= 0 && at < state->count; at += direction) {
        if (!state->conversations[at]->matches) continue;
        app_select(app, state->conversations[at]);
        return;
    }
}

void app_delete(chat_app *app)
{
    chat_conversation *conversation = app->state.current;
    if (app->state.streaming == conversation) {
        say_while(app, NOTICE_WHILE_WRITING, "A reply is being written here; stop it first (Esc).");
        return;
    }
    app_cancel_edit(app);
    app_end_rename(app, false);
    chat_store_delete(app->store, conversation);
    link_forget(&app->link, conversation);
    view_forget(app);
    chat_delete_conversation(&app->state, conversation, wall_clock());
    chat_store_load(app->store, app->state.current);
    app_scroll_to_end(app);
}

void app_begin_rename(chat_app *app, chat_conversation *conversation)
{
    app->renaming = conversation;
    input_set(&app->fields[FIELD_RENAME], conversation->title);
    input_select_all(&app->fields[FIELD_RENAME]);
    app->field = FIELD_RENAME;
}

void app_end_rename(chat_app *app, bool keep)
{
    if (!app->renaming) return;
    if (keep) {
        fe_text problem = {0};
        chat_rename_conversation(app->renaming, fe_text_string(&app->fields[FIELD_RENAME].text));
        if (!chat_store_save(app->store, app->renaming, &problem)) app_say(app, fe_text_string(&problem));
        fe_text_free(&problem);
    }
    app->renaming = NULL;
    if (app->field == FIELD_RENAME) app->field = FIELD_COMPOSER;
}

void app_regenerate(chat_app *app)
{
    int32_t parent = chat_regenerate_parent(app->state.current);
    if (parent < 0 || !can_reply(app)) return;
    chat_begin_reply(&app->state, (uint32_t)parent, app_clock());
    ask_engine(app);
}

void app_edit(chat_app *app, uint32_t message)
{
    app->editing = (int32_t)message;
    input_set(&app->fields[FIELD_COMPOSER], fe_text_string(&app->state.current->messages[message].content));
    app->field = FIELD_COMPOSER;
}

void app_cancel_edit(chat_app *app)
{
    if (app->editing < 0) return;
    app->editing = -1;
    input_set(&app->fields[FIELD_COMPOSER], "");
}

void app_answer_now(chat_app *app)
{
    if (app->state.streaming) link_answer_now(&app->link);
}

void app_stop(chat_app *app)
{
    if (app->state.streaming) link_stop(&app->link);
}

void app_think_longer(chat_app *app)
{
    link_keep_thinking(&app->link, &app->state);
    app_scroll_to_end(app);
}

static void close_panel(chat_app *app)
{
    app->overlay = OVERLAY_NONE;
    app->field = FIELD_COMPOSER;
    app->redraw = true;
}

void app_escape(chat_app *app)
{
    if (app->overlay) {
        close_panel(app);
    } else if (app->renaming) {
        app_end_rename(app, false);
    } else if (app->drawer) {
        app->drawer = false;
    } else if (app->field == FIELD_SEARCH) {
        input_set(&app->fields[FIELD_SEARCH], "");
        app_search(app);
        app->field = FIELD_COMPOSER;
    } else if (app->editing >= 0) {
        app_cancel_edit(app);
    } else if (app->state.streaming) {
        const chat_message *reply = &app->state.streaming->messages[app->state.reply];
        if (chat_is_thinking(reply) && reply->thinking.length) {
            app_answer_now(app);
        } else {
            app_stop(app);
        }
    } else if (app->has_selection) {
        app_clear_selection(app);
    } else if (input_is_empty(&app->fields[FIELD_COMPOSER]) && app_take_back(app)) {
        app->field = FIELD_COMPOSER;
    } else {
        fe_text_clear(&app->state.notice);
    }
    app->redraw = true;
}

void app_toggle_thinking(chat_app *app)
{
    chat_conversation *conversation = app->state.current;
    int32_t last = chat_path_last(conversation);
    if (last < 0 || conversation->messages[last].role != SX_ROLE_ASSISTANT) return;
    conversation->messages[last].unfolded = !conversation->messages[last].unfolded;
    conversation->messages[last].version++;
}

// ---- Copying and files ---------------------------------------------------------------------------------------------

void app_copy_text(const char *text, size_t length)
{
    fe_text copy = {0};
    fe_text_append(&copy, text, length);
    SDL_SetClipboardText(copy.data);
    fe_text_free(&copy);
}

void app_copy_message(chat_app *app, uint32_t message)
{
    const fe_text *content = &app->state.current->messages[message].content;
    app_copy_text(fe_text_string(content), content->length);
    app->copied = message + 1;
    app->copied_until = app_clock() + 1.5;
}

static bool is_file(const char *path)
{
    sx_file *file;
    bool there = sx_file_open(path, &file, NULL) == SX_OK;
    sx_file_close(file);
    return there;
}

// A file in the home folder that is not there yet: title.md, title.2.md and so on.
static void export_path(const chat_app *app, bool json, fe_text *path)
{
    char extension[24];
    for (unsigned number = 1; number == 1 || (is_file(path->data) && number < 10000); number++) {
        fe_text_clear(path);
        fe_text_printf(path, "%s/", app->home ? app->home : ".");
        snprintf(extension, sizeof extension, "%u.%s", number, json ? "json" : "md");
        export_name(app->state.current, number > 1 ? extension : extension + 2, path); // without "1."
    }
}

void app_export(chat_app *app, bool json)
{
    chat_conversation *conversation = app->state.current;
    fe_text out = {0}, path = {0}, notice = {0};
    export_path(app, json, &path);
    if (json) {
        export_json(conversation, app->link.info.model_name, &out);
    } else {
        export_markdown(conversation, &out);
    }
    sx_error error = {0};
    if (sx_file_write_atomic(path.data, out.data, out.length, &error) == SX_OK) {
        fe_text_printf(&notice, "Exported to %s", path.data);
    } else {
        fe_text_add(&notice, error.message);
    }
    app_say(app, notice.data);
    fe_text_free(&out);
    fe_text_free(&path);
    fe_text_free(&notice);
}

void app_check_profile(chat_app *app)
{
    chat_state *state = &app->state;
    const sx_engine_info *info = &app->link.info;
    if (app->profile_checked || app->link.phase != LINK_READY) return;
    app->profile_checked = true;
    bool other_format = false;
    sx_error error = {0};
    if (!state->profile.has_chosen && !state->profile.level_count) {
        if (info->signals_other_format)
            app_say(app, "The signals were learnt on another quantisation of this model: they may say less.");
    } else if (sx_profile_check(&state->profile, "The profile", info, &other_format, &error) != SX_OK) {
        state->profile = (sx_profile){0};
        app_say(app, error.message);
    } else if (other_format) {
        app_say(app, "The profile was calibrated on another quantisation of this model: its accuracy may not hold.");
    }
}

// The profile that the model's settings name, or the one beside the model.
static void read_profile(chat_app *app)
{
    chat_state *state = &app->state;
    const char *named = state->model.profile, *model = state->settings.model;
    char *path = named[0] ? fe_copy_string(named) : model[0] ? models_beside(model, MODEL_PROFILE) : NULL;
    sx_error error = {0};
    state->profile = (sx_profile){0};
    sx_watch_begin(&state->watch, NULL);
    if (path && strcmp(path, "-") != 0 && sx_profile_read(path, &state->profile, &error) != SX_OK)
        app_say(app, error.message);
    free(path);
    app->profile_checked = false;
}

void app_read_model_settings(chat_app *app)
{
    chat_state *state = &app->state;
    chat_model_settings_default(&state->model, &state->settings);
    chat_store_read_model(app->store, state->settings.model, &state->model);
    if (app->device) snprintf(state->model.device, sizeof state->model.device, "%s", app->device);
    read_profile(app);
}

void app_change_model(chat_app *app, const chat_model_settings *model)
{
    chat_state *state = &app->state;
    if (strcmp(model->device, state->model.device) != 0) {
        snprintf(state->settings.device, sizeof state->settings.device, "%s", model->device);
        app->device = NULL;
    }
    bool profile = strcmp(model->profile, state->model.profile) != 0;
    state->model = *model;
    if (profile) read_profile(app);
    chat_store_write_model(app->store, state->settings.model, model);
    app->redraw = true;
}

void app_estimate(chat_app *app, const char *path)
{
    if (!link_can_estimate(&app->link)) return;
    chat_model_settings settings = {0};
    chat_store_read_model(app->store, path, &settings);
    link_estimate(&app->link, path, &settings);
}

// The path that was typed is done with; the next is typed from the start.
static void take_path(chat_app *app)
{
    input_set(&app->fields[FIELD_MODEL], "");
    app_path_typed(app);
}

static void leave_model(chat_app *app, const char *reason)
{
    fe_text_clear(&app->state.notice); // about what was tried before
    if (app->state.streaming) chat_fail_reply(&app->state, reason);
    app_save(app);
    close_panel(app);
}

void app_reload_model(chat_app *app)
{
    leave_model(app, "Stopped: the model was loaded again.");
    link_reopen(&app->link, &app->state.model);
}

void app_open_model(chat_app *app, const char *path)
{
    leave_model(app, "Stopped: another model was opened.");
    // A draft dropped onto the window joins the model that is open.
    bool draft = path[0] && models_part_of(path) == MODEL_DRAFT && app->link.target;
    char *target = fe_copy_string(draft ? app->link.target : path);
    snprintf(app->state.settings.model, sizeof app->state.settings.model, "%s", target);
    app_read_model_settings(app);
    link_open(&app->link, target, draft ? path : NULL, &app->state.model);
    free(target);
}

static bool read_file(const char *path, fe_text *out, sx_error *error)
{
    enum { SIZE_LIMIT = 64 << 20 };
    sx_file *file;
    if (sx_file_open(path, &file, error) != SX_OK) return false;
    const sx_source *source = sx_file_source(file);
    bool good = source->size < SIZE_LIMIT;
    if (good) {
        char *bytes = fe_reallocate(NULL, (size_t)source->size + 1, 1);
        good = sx_source_read(source, 0, bytes, (size_t)source->size, error) == SX_OK;
        if (good) chat_text_set(out, bytes, (size_t)source->size);
        free(bytes);
    } else {
        snprintf(error->message, sizeof error->message, "%s is too large for a conversation", path);
    }
    sx_file_close(file);
    return good;
}

static void import_file(chat_app *app, const char *path)
{
    sx_error error = {0};
    fe_text text = {0}, notice = {0};
    app_save(app);
    app_cancel_edit(app);
    bool good = read_file(path, &text, &error);
    if (!good) fe_text_add(&notice, error.message);
    good = good && chat_import_json(&app->state, platform_file_name(path), fe_text_string(&text), text.length,
                                    wall_clock(), &notice);
    if (good) {
        view_forget(app);
        app_clear_selection(app);
        app_scroll_to_end(app);
        fe_text_clear(&app->state.notice);
        app_save(app);
        take_path(app);
        close_panel(app);
    }
    if (notice.length) app_say(app, notice.data);
    fe_text_free(&text);
    fe_text_free(&notice);
}

static void use_profile(chat_app *app, const char *path, const sx_profile *profile)
{
    chat_model_settings model = app->state.model;
    fe_text notice = {0};
    snprintf(model.profile, sizeof model.profile, "%s", path);
    app_change_model(app, &model);
    fe_text_printf(&notice, "The slider now follows %s%s%s.", platform_file_name(path),
                   profile->model_name[0] ? ", which was made for " : "", profile->model_name);
    app_say(app, notice.data);
    fe_text_free(&notice);
    take_path(app);
    close_panel(app);
}

// Whether the file may be a model. What certainly is none does not take the place of the one that is open.
static bool may_be_model(const char *path, fe_text *problem)
{
    sx_error error = {0};
    sx_file *file;
    char magic[4] = "";
    if (sx_file_open(path, &file, &error) != SX_OK) {
        fe_text_add(problem, error.message);
        return false;
    }
    const sx_source *source = sx_file_source(file);
    bool good = source->size >= sizeof magic && sx_source_read(source, 0, magic, sizeof magic, &error) == SX_OK &&
                memcmp(magic, "GGUF", sizeof magic) == 0;
    if (!good)
        fe_text_printf(problem, "%s is no model (a GGUF file), no profile and no conversation (JSON files).",
                       platform_file_name(path));
    sx_file_close(file);
    return good;
}

static void open_model_file(chat_app *app, const char *path)
{
    fe_text problem = {0};
    if (may_be_model(path, &problem)) {
        app_open_model(app, path);
    } else {
        app_say(app, problem.data);
    }
    fe_text_free(&problem);
}

static bool any_entry(void *user, const platform_entry *entry)
{
    (void)user, (void)entry;
    return false;
}

void app_open_file(chat_app *app, const char *typed)
{
    char *expanded = models_expand(typed, app->home), *path = platform_full_path(expanded);
    size_t length = strlen(path);
    sx_profile profile;
    sx_error error = {0};
    if (platform_list(path, any_entry, NULL)) {
        chat_folders_add(&app->state.settings, path);
        chat_store_write_settings(app->store, &app->state.settings);
        take_path(app);
        if (app->overlay != OVERLAY_MODELS) app_open_overlay(app, OVERLAY_MODELS);
        app_find_models(app);
    } else if (length <= 5 || strcmp(path + length - 5, ".json") != 0) {
        open_model_file(app, path);
    } else if (sx_profile_read(path, &profile, &error) == SX_OK) {
        use_profile(app, path, &profile);
    } else if (models_part_of(path) == MODEL_PROFILE) { // it says so
        app_say(app, error.message);
    } else {
        import_file(app, path);
    }
    free(expanded);
    free(path);
}

void app_find_models(chat_app *app)
{
    models_find(&app->models, app->state.settings.folders, app->home);
    app_path_typed(app);
    app->panel_scroll = 0;
    app->redraw = true;
}

void app_forget_folder(chat_app *app, const char *folder)
{
    chat_folders_remove(&app->state.settings, folder);
    chat_store_write_settings(app->store, &app->state.settings);
    app_find_models(app);
}

void app_path_typed(chat_app *app)
{
    const char *typed = fe_text_string(&app->fields[FIELD_MODEL].text);
    if (typed[0]) {
        models_complete(&app->choices, typed, app->home);
    } else {
        models_choices_free(&app->choices);
    }
    app->panel_scroll = 0;
}

void app_complete_path(chat_app *app)
{
    if (!app->choices.count) return;
    char *path = fe_copy_string(fe_text_string(&app->choices.common));
    input_set(&app->fields[FIELD_MODEL], path);
    app_path_typed(app);
    free(path);
}

void app_open_overlay(chat_app *app, app_overlay overlay)
{
    app->overlay = app->overlay == overlay ? OVERLAY_NONE : overlay;
    app->draw.focus = -1;
    app->panel_scroll = 0;
    app->drawer = false;
    // The path of a model that could not be opened stays, to be mended.
    if (app->overlay == OVERLAY_MODELS && app->link.phase != LINK_FAILED) take_path(app);
    app->field = app->overlay == OVERLAY_MODELS ? FIELD_MODEL : FIELD_COMPOSER;
    if (app->overlay == OVERLAY_MODELS) app_find_models(app);
    if (app->overlay == OVERLAY_SETTINGS && app->device_count == 0) {
        uint32_t count = 0;
        if (sx_list_devices(app->devices, 8, &count, NULL) == SX_OK) app->device_count = count < 8 ? count : 8;
    }
    app->redraw = true;
}

void app_zoom(chat_app *app, int direction)
{
    float *zoom = &app->state.settings.zoom;
    *zoom = direction == 0 ? 1 : *zoom + 0.1f * (float)direction;
    chat_settings_clamp(&app->state.settings);
    app->redraw = true;
}

void app_apply_theme(chat_app *app)
{
    chat_theme_choice choice = app->state.settings.theme;
    bool dark = choice == CHAT_THEME_DARK || (choice == CHAT_THEME_SYSTEM && app->desktop.dark);
    app->draw.theme = dark ? &chat_theme_dark : &chat_theme_light;
    app->redraw = true;
}

bool app_moves(const chat_app *app)
{
    chat_motion motion = app->state.settings.motion;
    return motion == CHAT_MOTION_FULL || (motion == CHAT_MOTION_SYSTEM && !app->desktop.reduced_motion);
}

void app_cycle_theme(chat_app *app)
{
    app->state.settings.theme = app->draw.theme->dark ? CHAT_THEME_LIGHT : CHAT_THEME_DARK;
    app_apply_theme(app);
}

void app_search(chat_app *app)
{
    chat_store_search(app->store, &app->state, fe_text_string(&app->fields[FIELD_SEARCH].text));
    app->list_scroll = 0;
}
