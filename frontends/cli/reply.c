#include "reply.h"
#include "interrupt.h"
#include "terminal.h"

#include <stdlib.h>

enum { WAIT_MILLISECONDS = 50 };

void cli_reply_free(cli_reply *reply)
{
    fe_text_free(&reply->thinking);
    fe_text_free(&reply->answer);
    free(reply->points);
    *reply = (cli_reply){0};
}

bool cli_reply_is_thinking(const cli_reply *reply)
{
    return reply->thinking_seen && !reply->left;
}

static void take_text(cli_reply *reply, const sx_event *event)
{
    bool thinking = event->channel == SX_CHANNEL_THINKING;
    if (thinking && !reply->thinking_seen && event->length) {
        reply->thinking_seen = true;
        reply->thinking_start = event->first_token;
    }
    fe_text_append(thinking ? &reply->thinking : &reply->answer, event->text, event->length);
}

static void take_point(cli_reply *reply, const sx_event *event)
{
    if (reply->point_count == reply->point_capacity) {
        reply->point_capacity = reply->point_capacity ? reply->point_capacity * 2 : 256;
        reply->points = fe_reallocate(reply->points, reply->point_capacity, sizeof *reply->points);
    }
    reply->points[reply->point_count++] = (cli_point){.token_index = event->token_index,
                                                      .boundary = event->boundary,
                                                      .has_signals = event->has_signals,
                                                      .raw = event->raw,
                                                      .smoothed = event->smoothed,
                                                      .margin = event->margin,
                                                      .entropy = event->entropy};
}

static void take_event(cli_reply *reply, const sx_event *event)
{
    reply->stats = event->stats;
    switch (event->kind) {
    case SX_EVENT_TEXT:
        take_text(reply, event);
        break;
    case SX_EVENT_SIGNALS:
        take_point(reply, event);
        break;
    case SX_EVENT_EXIT:
        reply->left = true;
        reply->exit = *event;
        reply->exit.text = NULL;
        reply->exit.tokens = NULL;
        sx_exit_sentence(event, reply->exit_sentence, sizeof reply->exit_sentence);
        break;
    case SX_EVENT_DONE:
        reply->done_reason = event->done_reason;
        break;
    case SX_EVENT_PREFILL:
        break;
    }
}

// Acts on ctrl-c; `asked` counts what has been acted on.
static void heed_interrupts(sx_session *session, cli_reply *reply, bool stop_only, unsigned *asked)
{
    unsigned count = cli_interrupt_count();
    if (cli_interrupt_fatal()) count = 2;
    if (count <= *asked) return;
    if (count == 1 && !stop_only && cli_reply_is_thinking(reply)) {
        sx_session_answer_now(session);
    } else {
        reply->interrupted = true;
        sx_session_stop(session);
    }
    *asked = count;
}

static sx_status pump(sx_session *session, const cli_view *view, cli_reply *reply, sx_error *error)
{
    double start = cli_seconds();
    sx_watch watch;
    sx_watch_begin(&watch, view ? view->range : NULL);
    reply->watched = watch.range != NULL;
    unsigned asked = 0;
    bool stopped = false;
    for (;;) {
        sx_event event;
        heed_interrupts(session, reply, view && view->stop_only, &asked);
        if (!stopped && view && view->broken && view->broken(view->user)) {
            stopped = true;
            sx_session_stop(session);
        }
        sx_status status = sx_session_poll(session, &event, error);
        if (status == SX_PENDING) {
            if (!sx_session_running(session))
                return sx_fail(error, SX_ERROR_CANCELLED, "the reply ended without a word; please report this");
            if (view && view->idle) view->idle(view->user, reply);
            sx_session_wait(session, WAIT_MILLISECONDS);
            continue;
        }
        if (status != SX_OK) return status;
        take_event(reply, &event);
        sx_watch_event(&watch, &event);
        reply->unlike = reply->unlike || sx_watch_unlike(&watch);
        reply->seconds = cli_seconds() - start;
        if (view && view->event) view->event(view->user, &event, reply);
        if (event.kind == SX_EVENT_DONE) return SX_OK;
    }
}

sx_status cli_reply_generate(sx_session *session, const sx_generate_desc *desc, const cli_view *view, cli_reply *reply,
                             sx_error *error)
{
    cli_reply_free(reply);
    double start = cli_seconds();
    sx_status status = sx_session_begin(session, desc, error);
    if (status != SX_OK) return status;
    double begun = cli_seconds() - start;
    status = pump(session, view, reply, error);
    reply->seconds += begun;
    return status;
}

sx_status cli_reply_think_on(sx_session *session, const cli_view *view, cli_reply *reply, sx_error *error)
{
    sx_status status = sx_session_keep_thinking(session, error);
    if (status != SX_OK) return status;
    fe_text_clear(&reply->answer);
    while (reply->point_count && reply->points[reply->point_count - 1].token_index > reply->exit.token_index)
        reply->point_count--;
    reply->left = false;
    reply->done_reason = 0;
    // Its first steps have been watched.
    cli_view rest = view ? *view : (cli_view){0};
    rest.range = NULL;
    const bool watched = reply->watched;
    status = pump(session, &rest, reply, error);
    reply->watched = watched;
    return status;
}

void cli_signals_json(json_writer *json, const char *key, const sx_signals *signals)
{
    json_key(json, key);
    json_open(json, '{');
    json_put_number(json, "confidence", (double)signals->confidence);
    json_put_number(json, "progress", (double)signals->progress);
    json_put_number(json, "remain", (double)signals->remain);
    json_close(json, '}');
}

static void usage_json(json_writer *json, const sx_stats *stats)
{
    json_key(json, "usage"); // the names of OpenAI's chat completions
    json_open(json, '{');
    json_put_integer(json, "prompt_tokens", stats->prompt_tokens);
    json_put_integer(json, "completion_tokens", stats->tokens);
    json_put_integer(json, "total_tokens", (uint64_t)stats->prompt_tokens + stats->tokens);
    json_key(json, "prompt_tokens_details");
    json_open(json, '{');
    json_put_integer(json, "cached_tokens", stats->reused_tokens);
    json_close(json, '}');
    json_key(json, "completion_tokens_details");
    json_open(json, '{');
    json_put_integer(json, "reasoning_tokens", stats->thinking_tokens);
    json_put_integer(json, "accepted_prediction_tokens", stats->accepted);
    json_put_integer(json, "rejected_prediction_tokens", stats->drafted - stats->accepted);
    json_close(json, '}');
    json_close(json, '}');
}

static void exit_json(json_writer *json, const cli_reply *reply)
{
    json_key(json, "exit");
    if (!reply->left) {
        json_null(json);
        return;
    }
    json_open(json, '{');
    json_put_string(json, "reason", sx_exit_reason_name(reply->exit.exit_reason));
    json_put_string(json, "sentence", reply->exit_sentence);
    json_put_integer(json, "token_index", reply->exit.token_index);
    if (reply->exit.has_signals) cli_signals_json(json, "signals", &reply->exit.smoothed);
    json_close(json, '}');
}

void cli_reply_json(json_writer *json, const cli_reply *reply)
{
    const sx_stats *stats = &reply->stats;
    json_put_string(json, "finish_reason", reply->done_reason == SX_DONE_MAXIMUM ? "length" : "stop");
    json_put_string(json, "done_reason", sx_done_reason_name(reply->done_reason));
    usage_json(json, stats);
    exit_json(json, reply);
    if (reply->watched) json_put_boolean(json, "unlike_profile", reply->unlike);
    json_key(json, "stats");
    json_open(json, '{');
    json_put_integer(json, "thinking_tokens", stats->thinking_tokens);
    json_put_integer(json, "answer_tokens", stats->answer_tokens);
    json_put_integer(json, "forced_tokens", stats->forced_tokens);
    json_put_integer(json, "tokens", stats->tokens);
    json_put_integer(json, "cycles", stats->cycles);
    json_put_number(json, "acceptance_length", stats->acceptance_length);
    json_put_integer(json, "submits", stats->submits);
    json_put_integer(json, "readbacks", stats->readbacks);
    json_put_integer(json, "readback_bytes", stats->readback_bytes);
    json_put_number(json, "prefill_seconds", stats->prefill_seconds);
    json_put_number(json, "decode_seconds", stats->decode_seconds);
    json_put_number(json, "first_token_seconds", stats->first_token_seconds);
    json_put_number(json, "seconds", reply->seconds);
    json_close(json, '}');
}
