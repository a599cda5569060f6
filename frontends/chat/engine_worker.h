// The thread that owns engine and session, so that the window never waits for them: not while a file is checked, not
// while pipelines are compiled, not while a software driver computes. Orders go in, reports come out, both in order.
//
// A lost device is survived here: the model is opened again, the session moved to it, and the reply goes on.
#ifndef CHAT_ENGINE_WORKER_H
#define CHAT_ENGINE_WORKER_H

#include "specexit.h"

typedef struct engine_worker engine_worker;

typedef enum worker_order_kind {
    ORDER_OPEN = 0, // closes what is open
    ORDER_BEGIN,
    ORDER_ANSWER_NOW,
    ORDER_KEEP_THINKING,
    ORDER_STOP,
    ORDER_ESTIMATE // of `engine`, in place of the model that is open
} worker_order_kind;

typedef struct worker_order {
    worker_order_kind kind;
    uint32_t opening;      // counts ORDER_OPENs: reports about an older one are told from those about the present one
    uint32_t reply;        // of ORDER_BEGIN: counts replies
    sx_engine_desc engine; // of ORDER_OPEN and ORDER_ESTIMATE; its strings are copied; log and sources must be unset
    bool draft_guessed, signals_guessed; // go on without when the model does not open with it
    sx_generate_desc
        generate; // of ORDER_BEGIN; the messages and the exit message are copied, no other pointers are set
} worker_order;

typedef enum worker_report_kind {
    REPORT_LOADING = 0,  // progress
    REPORT_READY,        // info
    REPORT_LOAD_FAILED,  // error; the worker holds nothing
    REPORT_EVENT,        // event
    REPORT_REPLY_FAILED, // error; the model is still there
    REPORT_KEPT,         // thinking goes on: events that follow belong to it
    REPORT_NOT_KEPT,     // error
    REPORT_ESTIMATED,    // estimate, or error; the order's path is not told, orders are answered in turn
    REPORT_MOVED         // the device was lost; the model is loaded again and goes on, info says where
} worker_report_kind;

typedef struct worker_report {
    struct worker_report *next;
    worker_report_kind kind;
    uint32_t opening, reply; // of the orders it belongs to
    sx_load_progress progress;
    sx_engine_info info;
    sx_error error;
    sx_memory_estimate estimate;
    sx_event event; // its text is a copy; tokens are NULL
} worker_report;

// `wake` is called on the worker's thread when there is something to take, once until it is taken; it must not call
// back. NULL when no thread can be had.
engine_worker *worker_start(void (*wake)(void *user), void *user);
void worker_stop(engine_worker *worker); // ends what is running and joins the thread; NULL is allowed
void worker_give(engine_worker *worker, const worker_order *order);
worker_report *worker_take(engine_worker *worker); // oldest first, NULL: none; each is freed with worker_report_free
void worker_report_free(worker_report *report);

#endif
