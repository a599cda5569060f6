#include "engine_link.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy_or_null(const char *text)
{
    return text && text[0] ? chat_copy(text) : NULL;
}

// A draft in the model's folder: a GGUF named after the model, or the only one with "draft" or "eagle" in its name.
static char *draft_beside(const char *target)
{
    const char *slash = strrchr(target, '/');
    size_t folder_length = slash ? (size_t)(slash - target) : 1;
    const char *name = slash ? slash + 1 : target;
    char folder[1024];
    if (folder_length >= sizeof folder) return NULL;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)folder_length : 1, slash ? target : ".");
    size_t stem = strlen(name) > 5 ? strlen(name) - 5 : strlen(name);
    chat_text found = {0};
    DIR *directory = opendir(folder);
    unsigned count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        size_t length = strlen(entry->d_name);
        bool named = chat_contains(entry->d_name, "draft") || chat_contains(entry->d_name, "eagle");
        if (!named || length < 5 || strcmp(entry->d_name + length - 5, ".gguf") != 0 ||
            strcmp(entry->d_name, name) == 0)
            continue;
        bool exact = strncmp(entry->d_name, name, stem) == 0;
        if (count++ && !exact) continue;
        chat_text_clear(&found);
        chat_text_printf(&found, "%s/%s", folder, entry->d_name);
        if (exact) {
            count = 1;
            break;
        }
    }
    if (directory) closedir(directory);
    if (count != 1) chat_text_free(&found);
    return found.data;
}

void link_close(engine_link *link)
{
    sx_session_destroy(link->session);
    sx_engine_destroy(link->engine);
    link->session = NULL;
    link->engine = NULL;
    link->owner = NULL;
    link->phase = LINK_CLOSED;
}

void link_free(engine_link *link)
{
    link_close(link);
    free(link->target);
    free(link->draft);
    free(link->cache);
    *link = (engine_link){0};
}

static void fail(engine_link *link)
{
    sx_error error = link->error;
    link_close(link);
    link->error = error;
    link->phase = LINK_FAILED;
}

static void read_threshold(void *user, const char *line)
{
    chat_thresholds *thresholds = user;
    float value;
    if (sscanf(line, " specexit.exit.confidence = %f", &value) == 1) thresholds->confidence = value;
    if (sscanf(line, " specexit.exit.progress = %f", &value) == 1) thresholds->progress = value;
    if (sscanf(line, " specexit.exit.remain = %f", &value) == 1) thresholds->remain = value;
}

void link_open(engine_link *link, const char *target, const char *draft, const char *device)
{
    char *new_target = copy_or_null(target), *new_draft = copy_or_null(draft);
    link_close(link);
    free(link->target);
    free(link->draft);
    link->target = new_target;
    link->draft = new_draft ? new_draft : new_target ? draft_beside(new_target) : NULL;
    sx_engine_desc desc = {.target_path = link->target,
                           .draft_path = link->draft,
                           .device = device && device[0] ? device : NULL,
                           .cache_dir = link->cache};
    link->progress = (sx_load_progress){0};
    link->error = (sx_error){0};
    sx_status status = sx_engine_open(&desc, &link->engine, &link->error);
    bool guessed = link->draft && !new_draft;
    if (status != SX_OK && guessed) { // a draft that was only guessed must not keep the model from opening
        free(link->draft);
        link->draft = NULL;
        desc.draft_path = NULL;
        status = sx_engine_open(&desc, &link->engine, &link->error);
    }
    link->phase = LINK_LOADING;
    link->calibrated = (chat_thresholds){0};
    if (status == SX_OK && link->draft) sx_describe_file(link->draft, read_threshold, &link->calibrated, NULL);
    if (status == SX_OK) return;
    link->engine = NULL;
    fail(link);
}

static void tick_loading(engine_link *link)
{
    sx_status status = sx_engine_poll(link->engine, &link->progress, &link->error);
    if (status == SX_PENDING) return;
    if (status == SX_OK) status = sx_session_create(link->engine, &(sx_session_desc){0}, &link->session, &link->error);
    if (status != SX_OK) {
        link->session = NULL;
        fail(link);
        return;
    }
    sx_engine_get_info(link->engine, &link->info);
    link->phase = LINK_READY;
}

static bool tick_reply(engine_link *link, chat_state *state, double (*clock)(void), double end)
{
    bool changed = false;
    do {
        sx_event event;
        sx_error error = {0};
        sx_status status = sx_session_poll(link->session, &event, &error);
        if (status == SX_PENDING) {
            if (!sx_session_running(link->session)) {
                chat_fail_reply(state, "The reply ended without a word; please report this.");
                changed = true;
            }
            break;
        }
        changed = true;
        if (status != SX_OK) {
            chat_fail_reply(state, error.message);
            if (status == SX_ERROR_DEVICE_LOST) {
                link->error = error;
                fail(link);
            }
            break;
        }
        chat_apply_event(state, &event, clock());
    } while (state->streaming && clock() < end);
    return changed;
}

bool link_tick(engine_link *link, chat_state *state, double (*clock)(void), double budget)
{
    double end = clock() + budget;
    if (link->phase == LINK_LOADING) {
        do {
            tick_loading(link);
        } while (link->phase == LINK_LOADING && clock() < end);
        return true;
    }
    return link->phase == LINK_READY && state->streaming && tick_reply(link, state, clock, end);
}

void link_begin(engine_link *link, chat_state *state)
{
    chat_conversation *conversation = state->streaming;
    chat_message *reply = &conversation->messages[state->reply];
    if (chat_effort_is_calibrated(&state->settings)) reply->thresholds = link->calibrated;
    if (link->phase != LINK_READY) {
        chat_fail_reply(state, "No model is loaded. Open one with Ctrl+O.");
        return;
    }
    uint32_t count = chat_prompt(conversation, (uint32_t)reply->parent, NULL, 0);
    sx_message *messages = chat_reallocate(NULL, count, sizeof *messages);
    chat_prompt(conversation, (uint32_t)reply->parent, messages, count);
    const chat_settings *settings = &state->settings;
    sx_generate_desc desc = {.messages = messages,
                             .message_count = count,
                             .no_thinking = settings->no_thinking,
                             .maximum_tokens = settings->maximum_tokens,
                             .sampling = {.temperature = settings->temperature, .seed = reply->seed},
                             .policy = chat_policy(settings),
                             .drafting = {.kind = settings->drafting}};
    sx_error error = {0};
    if (sx_session_begin(link->session, &desc, &error) == SX_OK) {
        link->owner = conversation;
        link->owner_reply = state->reply;
    } else {
        link->owner = NULL;
        chat_fail_reply(state, error.message);
    }
    free(messages);
}

void link_answer_now(engine_link *link)
{
    if (link->session) sx_session_answer_now(link->session);
}

void link_stop(engine_link *link)
{
    if (link->session) sx_session_stop(link->session);
}

bool link_can_keep_thinking(const engine_link *link, const chat_state *state)
{
    return link->phase == LINK_READY && link->owner && link->owner == state->current &&
           chat_path_last(state->current) == (int32_t)link->owner_reply && chat_can_keep_thinking(state);
}

void link_keep_thinking(engine_link *link, chat_state *state, double now)
{
    if (!link_can_keep_thinking(link, state)) return;
    sx_error error = {0};
    if (sx_session_keep_thinking(link->session, &error) == SX_OK) {
        chat_keep_thinking(state, now);
    } else {
        chat_text_set(&state->notice, error.message, strlen(error.message));
    }
}

void link_forget(engine_link *link, const chat_conversation *conversation)
{
    if (link->owner == conversation) link->owner = NULL;
}

bool link_busy(const engine_link *link)
{
    return link->phase == LINK_LOADING || (link->session && sx_session_running(link->session));
}

void link_wait(engine_link *link, uint32_t milliseconds)
{
    if (link->session && sx_session_running(link->session)) sx_session_wait(link->session, milliseconds);
}
