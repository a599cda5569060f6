#include "engine_link.h"
#include "models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy_or_null(const char *text)
{
    return text && text[0] ? fe_copy_string(text) : NULL;
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

// An order about a model with what lies beside it. The caller frees draft and signal head where they are guessed.
static worker_order order_of(const engine_link *link, worker_order_kind kind, const char *target, const char *draft,
                             const chat_model_settings *settings)
{
    char *guess = target && !draft ? models_beside(target, MODEL_DRAFT) : NULL;
    char *signals = target ? models_beside(target, MODEL_SIGNALS) : NULL;
    return (worker_order){.kind = kind,
                          .opening = link->opening,
                          .draft_guessed = guess != NULL,
                          .signals_guessed = signals != NULL,
                          .engine = {.target_path = target,
                                     .draft_path = guess ? guess : draft,
                                     .signals_path = signals,
                                     .device = settings->device[0] ? settings->device : NULL,
                                     .cache_dir = link->cache,
                                     .context = settings->context,
                                     .kv_type = settings->kv_type,
                                     .precision = settings->precision,
                                     .template_name = settings->template_name[0] ? settings->template_name : NULL}};
}

static void give_order(engine_link *link, worker_order *order)
{
    worker_give(link->worker, order);
    if (order->draft_guessed) free((void *)order->engine.draft_path);
    if (order->signals_guessed) free((void *)order->engine.signals_path);
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
    link->opened = *settings;
    link_estimated(link); // an answer on its way is about another device
    link->opening++;
    link->phase = LINK_LOADING;
    link->progress = (sx_load_progress){0};
    link->error = (sx_error){0};
    link->owner = NULL;
    link->writing = link->keeping = false;
    worker_order order = order_of(link, ORDER_OPEN, link->target, link->draft, settings);
    give_order(link, &order);
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
        chat_tell(state, report->error.message, NOTICE_STAYS);
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
        chat_tell(state, "", NOTICE_STAYS);
        fe_text_printf(&state->notice, "The GPU was lost and the model loaded again, on %s; nothing is missing.",
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
        if (state->current->count) chat_tell(state, report->error.message, NOTICE_STAYS); // else the page tells it
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
    sx_message *messages = fe_reallocate(NULL, count, sizeof *messages);
    chat_prompt(conversation, (uint32_t)reply->parent, messages, count);
    const chat_settings *settings = &state->settings;
    const chat_sampling *sampling = &state->model.sampling;
    worker_order order = {.kind = ORDER_BEGIN,
                          .opening = link->opening,
                          .reply = ++link->reply,
                          .generate = {.messages = messages,
                                       .message_count = count,
                                       .no_thinking = settings->no_thinking,
                                       .maximum_tokens = settings->maximum_tokens,
                                       .sampling = {.temperature = sampling->temperature,
                                                    .top_k = sampling->top_k,
                                                    .top_p = sampling->top_p,
                                                    .min_p = sampling->min_p,
                                                    .repetition_penalty = sampling->repetition,
                                                    .seed = reply->seed},
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
    worker_order order = order_of(link, ORDER_ESTIMATE, path, NULL, settings);
    link->estimating = fe_copy_string(path);
    give_order(link, &order);
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
