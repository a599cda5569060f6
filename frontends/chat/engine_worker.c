#include "engine_worker.h"
#include "text.h"

#include <SDL.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MILLISECONDS = 4, MOVES_PER_REPLY = 3 };

typedef struct order_node {
    struct order_node *next;
    worker_order order; // owns its strings
} order_node;

struct engine_worker {
    SDL_Thread *thread;
    SDL_mutex *mutex;
    SDL_cond *wanted; // an order came
    void (*wake)(void *user);
    void *wake_user;
    // Under the mutex:
    order_node *orders, *last_order;
    worker_report *reports, *last_report;
    bool woken, quitting;
    // The thread's own:
    worker_order opened; // the last ORDER_OPEN, to open it again
    sx_engine *engine;   // NULL: nothing is open
    sx_session *session; // NULL: still loading
    uint32_t reply;      // being written, or written last
    unsigned moves;      // after lost devices, in this reply
    bool running;
};

// ---- Orders and reports --------------------------------------------------------------------------------------------

static const char *copy_or_null(const char *text)
{
    return text ? fe_copy_string(text) : NULL;
}

static void copy_order(worker_order *to, const worker_order *from)
{
    *to = *from;
    to->engine.target_path = copy_or_null(from->engine.target_path);
    to->engine.draft_path = copy_or_null(from->engine.draft_path);
    to->engine.signals_path = copy_or_null(from->engine.signals_path);
    to->engine.device = copy_or_null(from->engine.device);
    to->engine.cache_dir = copy_or_null(from->engine.cache_dir);
    to->engine.template_name = copy_or_null(from->engine.template_name);
    to->generate.policy.exit_message = copy_or_null(from->generate.policy.exit_message);
    uint32_t count = from->generate.message_count;
    sx_message *messages = count ? fe_reallocate(NULL, count, sizeof *messages) : NULL;
    for (uint32_t i = 0; i < count; i++) {
        messages[i] = from->generate.messages[i];
        messages[i].content = copy_or_null(messages[i].content);
        messages[i].reasoning = copy_or_null(messages[i].reasoning);
    }
    to->generate.messages = messages;
}

static void free_order(worker_order *order)
{
    free((void *)order->engine.target_path);
    free((void *)order->engine.draft_path);
    free((void *)order->engine.signals_path);
    free((void *)order->engine.device);
    free((void *)order->engine.cache_dir);
    free((void *)order->engine.template_name);
    free((void *)order->generate.policy.exit_message);
    for (uint32_t i = 0; i < order->generate.message_count; i++) {
        free((void *)order->generate.messages[i].content);
        free((void *)order->generate.messages[i].reasoning);
    }
    free((void *)order->generate.messages);
    *order = (worker_order){0};
}

void worker_give(engine_worker *worker, const worker_order *order)
{
    order_node *node = fe_reallocate(NULL, 1, sizeof *node);
    node->next = NULL;
    copy_order(&node->order, order);
    SDL_LockMutex(worker->mutex);
    if (worker->last_order) {
        worker->last_order->next = node;
    } else {
        worker->orders = node;
    }
    worker->last_order = node;
    SDL_CondSignal(worker->wanted);
    SDL_UnlockMutex(worker->mutex);
}

static order_node *next_order(engine_worker *worker)
{
    order_node *node = worker->orders;
    if (!node) return NULL;
    worker->orders = node->next;
    if (!worker->orders) worker->last_order = NULL;
    return node;
}

worker_report *worker_take(engine_worker *worker)
{
    SDL_LockMutex(worker->mutex);
    worker_report *report = worker->reports;
    if (report) worker->reports = report->next;
    if (!worker->reports) {
        worker->last_report = NULL;
        worker->woken = false;
    }
    SDL_UnlockMutex(worker->mutex);
    return report;
}

void worker_report_free(worker_report *report)
{
    free((void *)report->event.text);
    free(report);
}

static worker_report *report_of(const engine_worker *worker, worker_report_kind kind)
{
    worker_report *report = fe_reallocate(NULL, 1, sizeof *report);
    *report = (worker_report){.kind = kind, .opening = worker->opened.opening, .reply = worker->reply};
    return report;
}

static void tell(engine_worker *worker, worker_report *report)
{
    SDL_LockMutex(worker->mutex);
    worker_report *last = worker->last_report;
    bool joins = last && last->kind == REPORT_LOADING && report->kind == REPORT_LOADING;
    if (joins) { // only the newest progress counts
        last->progress = report->progress;
        last->opening = report->opening;
        worker_report_free(report);
    } else {
        if (last) {
            last->next = report;
        } else {
            worker->reports = report;
        }
        worker->last_report = report;
    }
    bool wake = !worker->woken;
    worker->woken = true;
    SDL_UnlockMutex(worker->mutex);
    if (wake) worker->wake(worker->wake_user);
}

static void tell_error(engine_worker *worker, worker_report_kind kind, const sx_error *error)
{
    worker_report *report = report_of(worker, kind);
    report->error = *error;
    tell(worker, report);
}

static void tell_info(engine_worker *worker, worker_report_kind kind)
{
    worker_report *report = report_of(worker, kind);
    sx_engine_get_info(worker->engine, &report->info);
    tell(worker, report);
}

static void tell_progress(engine_worker *worker, const sx_load_progress *progress)
{
    worker_report *report = report_of(worker, REPORT_LOADING);
    report->progress = *progress;
    tell(worker, report);
}

static void tell_event(engine_worker *worker, const sx_event *event)
{
    worker_report *report = report_of(worker, REPORT_EVENT);
    report->event = *event;
    report->event.tokens = NULL;
    report->event.text = NULL;
    if (event->kind == SX_EVENT_TEXT) {
        char *text = fe_reallocate(NULL, event->length + 1, 1);
        memcpy(text, event->text, event->length);
        text[event->length] = 0;
        report->event.text = text;
    }
    tell(worker, report);
}

// ---- Loading -------------------------------------------------------------------------------------------------------

static void close_all(engine_worker *worker)
{
    sx_session_destroy(worker->session);
    sx_engine_destroy(worker->engine);
    worker->session = NULL;
    worker->engine = NULL;
    worker->running = false;
}

// Leaves out what was only guessed to belong to the model, the last guess first. False: there is nothing left.
static bool drop_guess(worker_order *order)
{
    bool *guessed = order->signals_guessed ? &order->signals_guessed : &order->draft_guessed;
    const char **path = order->signals_guessed ? &order->engine.signals_path : &order->engine.draft_path;
    if (!*guessed) return false;
    free((void *)*path);
    *path = NULL;
    *guessed = false;
    return true;
}

static void open_model(engine_worker *worker, worker_order *order)
{
    close_all(worker);
    free_order(&worker->opened);
    worker->opened = *order; // with its strings
    *order = (worker_order){0};
    sx_engine_desc *desc = &worker->opened.engine;
    sx_error error = {0};
    sx_status status = sx_engine_open(desc, &worker->engine, &error);
    while (status != SX_OK && drop_guess(&worker->opened))
        status = sx_engine_open(desc, &worker->engine, &error);
    if (status == SX_OK) return;
    worker->engine = NULL;
    tell_error(worker, REPORT_LOAD_FAILED, &error);
}

static void go_on_loading(engine_worker *worker)
{
    sx_load_progress progress = {0};
    sx_error error = {0};
    sx_status status = sx_engine_poll(worker->engine, &progress, &error);
    if (status == SX_PENDING) {
        tell_progress(worker, &progress);
        return;
    }
    if (status == SX_OK) status = sx_session_create(worker->engine, &(sx_session_desc){0}, &worker->session, &error);
    if (status == SX_OK) {
        tell_info(worker, REPORT_READY);
        return;
    }
    worker->session = NULL;
    close_all(worker);
    tell_error(worker, REPORT_LOAD_FAILED, &error);
}

static bool still_wanted(void *user, const sx_load_progress *progress)
{
    engine_worker *worker = user;
    tell_progress(worker, progress);
    SDL_LockMutex(worker->mutex);
    bool other = worker->quitting;
    for (const order_node *node = worker->orders; node; node = node->next)
        other = other || node->order.kind == ORDER_OPEN;
    SDL_UnlockMutex(worker->mutex);
    return !other;
}

// Opens the model again, on whatever device is there now, and moves the session: the reply goes on.
static sx_status move_on(engine_worker *worker, sx_error *error)
{
    sx_engine *again = NULL;
    if (worker->moves++ >= MOVES_PER_REPLY) return SX_ERROR_DEVICE_LOST;
    sx_status status = sx_engine_create(&worker->opened.engine, still_wanted, worker, &again, error);
    if (status != SX_OK) return status;
    status = sx_session_move(worker->session, again, error);
    if (status != SX_OK) {
        sx_engine_destroy(again);
        return status;
    }
    sx_engine_destroy(worker->engine);
    worker->engine = again;
    tell_info(worker, REPORT_MOVED);
    return SX_OK;
}

// ---- Replies -------------------------------------------------------------------------------------------------------

static void fail_reply(engine_worker *worker, sx_status status, const sx_error *error)
{
    worker->running = false;
    if (status == SX_ERROR_DEVICE_LOST) { // nothing works on it any more
        close_all(worker);
        tell_error(worker, REPORT_LOAD_FAILED, error);
    }
    tell_error(worker, REPORT_REPLY_FAILED, error); // last: the next question must not go to a model that is gone
}

static void begin_reply(engine_worker *worker, const worker_order *order)
{
    sx_error error = {0};
    worker->reply = order->reply;
    worker->moves = 0;
    if (!worker->session) {
        sx_error none = {SX_ERROR_ARGUMENT, "No model is loaded. Open one with Ctrl+O."};
        fail_reply(worker, none.status, &none);
        return;
    }
    sx_status status = sx_session_begin(worker->session, &order->generate, &error);
    if (status == SX_ERROR_DEVICE_LOST && move_on(worker, &error) == SX_OK)
        status = sx_session_begin(worker->session, &order->generate, &error);
    worker->running = status == SX_OK;
    if (!worker->running) fail_reply(worker, status, &error);
}

static void keep_thinking(engine_worker *worker)
{
    sx_error error = {SX_ERROR_ARGUMENT, "The model that thought about this is not open any more."};
    if (worker->session && sx_session_keep_thinking(worker->session, &error) == SX_OK) {
        worker->running = true;
        tell(worker, report_of(worker, REPORT_KEPT));
    } else {
        tell_error(worker, REPORT_NOT_KEPT, &error);
    }
}

static void estimate(engine_worker *worker, worker_order *order)
{
    worker_report *report = report_of(worker, REPORT_ESTIMATED);
    report->error = (sx_error){SX_ERROR_ARGUMENT, "No model is open whose device could be asked."};
    sx_status status = SX_ERROR_ARGUMENT;
    if (worker->session) {
        do { // as open_model does
            status = sx_engine_estimate(worker->engine, &order->engine, &report->estimate, &report->error);
        } while (status != SX_OK && drop_guess(order));
    }
    report->error.status = status;
    tell(worker, report);
}

static void go_on_writing(engine_worker *worker)
{
    sx_event event;
    sx_error error = {0};
    sx_status status = sx_session_poll(worker->session, &event, &error);
    if (status == SX_OK) {
        if (event.kind == SX_EVENT_DONE) worker->running = false;
        tell_event(worker, &event);
    } else if (status == SX_PENDING && sx_session_running(worker->session)) {
        sx_session_wait(worker->session, WAIT_MILLISECONDS);
    } else if (status == SX_PENDING) {
        sx_error silent = {SX_ERROR_ARGUMENT, "The reply ended without a word; please report this."};
        fail_reply(worker, silent.status, &silent);
    } else if (status != SX_ERROR_DEVICE_LOST || move_on(worker, &error) != SX_OK) {
        fail_reply(worker, status, &error);
    }
}

// ---- The thread ----------------------------------------------------------------------------------------------------

static void obey(engine_worker *worker, worker_order *order)
{
    switch (order->kind) {
    case ORDER_OPEN:
        open_model(worker, order);
        break;
    case ORDER_BEGIN:
        begin_reply(worker, order);
        break;
    case ORDER_ANSWER_NOW:
        if (worker->session) sx_session_answer_now(worker->session);
        break;
    case ORDER_KEEP_THINKING:
        keep_thinking(worker);
        break;
    case ORDER_STOP:
        if (worker->session) sx_session_stop(worker->session);
        break;
    case ORDER_ESTIMATE:
        estimate(worker, order);
        break;
    }
}

// The next order; sleeps while there is nothing else to do. False: the end.
static bool await_order(engine_worker *worker, order_node **node)
{
    bool idle = !worker->running && (!worker->engine || worker->session);
    SDL_LockMutex(worker->mutex);
    while (idle && !worker->orders && !worker->quitting)
        SDL_CondWait(worker->wanted, worker->mutex);
    bool go_on = !worker->quitting;
    *node = next_order(worker);
    SDL_UnlockMutex(worker->mutex);
    return go_on;
}

static int work(void *user)
{
    engine_worker *worker = user;
    order_node *node;
    while (await_order(worker, &node)) {
        if (node) {
            obey(worker, &node->order);
            free_order(&node->order);
            free(node);
        } else if (worker->engine && !worker->session) {
            go_on_loading(worker);
        } else if (worker->running) {
            go_on_writing(worker);
        }
    }
    if (node) {
        free_order(&node->order);
        free(node);
    }
    close_all(worker);
    free_order(&worker->opened);
    return 0;
}

engine_worker *worker_start(void (*wake)(void *user), void *user)
{
    engine_worker *worker = fe_reallocate(NULL, 1, sizeof *worker);
    *worker = (engine_worker){.wake = wake, .wake_user = user};
    worker->mutex = SDL_CreateMutex();
    worker->wanted = SDL_CreateCond();
    if (worker->mutex && worker->wanted) worker->thread = SDL_CreateThread(work, "engine", worker);
    if (worker->thread) return worker;
    worker_stop(worker);
    return NULL;
}

void worker_stop(engine_worker *worker)
{
    if (!worker) return;
    if (worker->thread) {
        SDL_LockMutex(worker->mutex);
        worker->quitting = true;
        SDL_CondSignal(worker->wanted);
        SDL_UnlockMutex(worker->mutex);
        SDL_WaitThread(worker->thread, NULL);
    }
    for (order_node *node; (node = next_order(worker));) {
        free_order(&node->order);
        free(node);
    }
    for (worker_report *report; worker->reports;) {
        report = worker->reports;
        worker->reports = report->next;
        worker_report_free(report);
    }
    if (worker->wanted) SDL_DestroyCond(worker->wanted);
    if (worker->mutex) SDL_DestroyMutex(worker->mutex);
    free(worker);
}
