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

bool link_start(engine_link *link, void (*wake)(void *user), void *user)
{
    link->worker = worker_start(wake, user);
    return link->worker != NULL;
}

void link_free(engine_link *link)
{
    worker_stop(link->worker);
    free(link->target);
    free(link->draft);
    free(link->estimating);
    free(link->cache);
    *link = (engine_link){0};
}

static void give(engine_link *link, worker_order_kind kind)
{
    worker_give(link->worker, &(worker_order){.kind = kind, .opening = link->opening, .reply = link->reply});
}

static sx_engine_desc engine_desc(const char *target, const char *draft, const chat_model_settings *settings)
{
    return (sx_engine_desc){.target_path = target,
                            .draft_path = draft,
                            .device = settings->device[0] ? settings->device : NULL,
                            .context = settings->context,
                            .kv_type = settings->kv_type,
                            .template_name = settings->template_name[0] ? settings->template_name : NULL};
}

void link_open(engine_link *link, const char *target, const char *draft, const chat_model_settings *settings)
{
    char *new_target = copy_or_null(target), *new_draft = copy_or_null(draft);
    free(link->target);
    free(link->draft);
    link->target = new_target;
    link->draft = new_draft;
    link_reopen(link, settings);
}

void link_reopen(engine_link *link, const chat_model_settings *settings)
{
    char *guess = link->target && !link->draft ? draft_beside(link->target) : NULL;
    link->opened = *settings;
    link_estimated(link); // an answer on its way is about another device
    worker_order order = {.kind = ORDER_OPEN,
                          .opening = ++link->opening,
                          .engine = engine_desc(link->target, guess ? guess : link->draft, settings),
                          .draft_guessed = guess != NULL};
    order.engine.cache_dir = link->cache;
    link->phase = LINK_LOADING;
    link->progress = (sx_load_progress){0};
    link->error = (sx_error){0};
    link->owner = NULL;
    link->writing = link->keeping = false;
    worker_give(link->worker, &order);
    free(guess);
}

// ---- What the worker reports ---------------------------------------------------------------------------------------

static void take_ready(engine_link *link, chat_state *state, const sx_engine_info *info)
{
    link->phase = LINK_READY;
    link->info = *info;
    state->calibrated = info->thresholds;
}

static void take_reply_report(engine_link *link, chat_state *state, const worker_report *report, double now)
{
    switch (report->kind) {
    case REPORT_EVENT:
        if (report->event.kind == SX_EVENT_DONE) link->writing = false;
        chat_apply_event(state, &report->event, now);
        break;
    case REPORT_REPLY_FAILED:
        link->writing = false;
        link->owner = NULL;
        chat_fail_reply(state, report->error.message);
        break;
    case REPORT_KEPT:
        link->keeping = false;
        link->writing = chat_keep_thinking(state, now);
        if (!link->writing) link_stop(link); // another conversation is shown by now
        break;
    case REPORT_NOT_KEPT:
        link->keeping = false;
        chat_text_set(&state->notice, report->error.message, strlen(report->error.message));
        break;
    default:
        break;
    }
}

static void take_report(engine_link *link, chat_state *state, const worker_report *report, double now)
{
    switch (report->kind) {
    case REPORT_LOADING:
        link->progress = report->progress;
        break;
    case REPORT_READY:
        take_ready(link, state, &report->info);
        break;
    case REPORT_MOVED:
        take_ready(link, state, &report->info);
        chat_text_clear(&state->notice);
        chat_text_printf(&state->notice, "The GPU was lost and the model loaded again, on %s; nothing is missing.",
                         report->info.device);
        break;
    case REPORT_ESTIMATED:
        link->estimated = link->estimating != NULL;
        link->estimate = report->error.status == SX_OK ? report->estimate : (sx_memory_estimate){0};
        break;
    case REPORT_LOAD_FAILED:
        link->phase = LINK_FAILED;
        link->error = report->error;
        link->owner = NULL;
        break;
    default:
        if (report->reply == link->reply) take_reply_report(link, state, report, now);
        break;
    }
}

bool link_update(engine_link *link, chat_state *state, double now)
{
    bool changed = false;
    for (worker_report *report; (report = worker_take(link->worker));) {
        if (report->opening == link->opening) {
            take_report(link, state, report, now);
            changed = true;
        }
        worker_report_free(report);
    }
    return changed;
}

// ---- What it is asked ----------------------------------------------------------------------------------------------

void link_begin(engine_link *link, chat_state *state)
{
    chat_conversation *conversation = state->streaming;
    chat_message *reply = &conversation->messages[state->reply];
    uint32_t count = chat_prompt(conversation, (uint32_t)reply->parent, NULL, 0);
    sx_message *messages = chat_reallocate(NULL, count, sizeof *messages);
    chat_prompt(conversation, (uint32_t)reply->parent, messages, count);
    const chat_settings *settings = &state->settings;
    worker_order order = {.kind = ORDER_BEGIN,
                          .opening = link->opening,
                          .reply = ++link->reply,
                          .generate = {.messages = messages,
                                       .message_count = count,
                                       .no_thinking = settings->no_thinking,
                                       .maximum_tokens = settings->maximum_tokens,
                                       .sampling = {.temperature = settings->temperature, .seed = reply->seed},
                                       .policy = chat_policy(state, &conversation->steering),
                                       .drafting = {.kind = settings->drafting}}};
    link->owner = conversation;
    link->owner_reply = state->reply;
    link->writing = true;
    worker_give(link->worker, &order);
    free(messages);
}

void link_answer_now(engine_link *link)
{
    give(link, ORDER_ANSWER_NOW);
}

void link_stop(engine_link *link)
{
    give(link, ORDER_STOP);
}

bool link_can_keep_thinking(const engine_link *link, const chat_state *state)
{
    return link->phase == LINK_READY && !link->keeping && link->owner && link->owner == state->current &&
           chat_path_last(state->current) == (int32_t)link->owner_reply && chat_can_keep_thinking(state);
}

void link_keep_thinking(engine_link *link, const chat_state *state)
{
    if (!link_can_keep_thinking(link, state)) return;
    link->keeping = true;
    give(link, ORDER_KEEP_THINKING);
}

void link_forget(engine_link *link, const chat_conversation *conversation)
{
    if (link->owner == conversation) link->owner = NULL;
}

bool link_can_estimate(const engine_link *link)
{
    return link->phase == LINK_READY && !link->estimating;
}

void link_estimate(engine_link *link, const char *path, const chat_model_settings *settings)
{
    char *guess = draft_beside(path);
    worker_order order = {.kind = ORDER_ESTIMATE,
                          .opening = link->opening,
                          .engine = engine_desc(path, guess, settings),
                          .draft_guessed = guess != NULL};
    link->estimating = chat_copy(path);
    worker_give(link->worker, &order);
    free(guess);
}

void link_estimated(engine_link *link)
{
    free(link->estimating);
    link->estimating = NULL;
    link->estimated = false;
}

bool link_busy(const engine_link *link)
{
    return link->phase == LINK_LOADING || link->writing || link->keeping;
}
