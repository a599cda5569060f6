#include "live.h"
#include "interrupt.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void cli_live_open(cli_live *live, cli_context *context)
{
    uint32_t show = context->options.show_thinking;
    *live = (cli_live){.context = context};
    live->show_thinking = show == CLI_SHOW_YES || (show == CLI_SHOW_AUTO && context->terminal.out);
    live->think_marks = live->show_thinking && !context->terminal.out;
}

void cli_live_next(cli_live *live)
{
    live->mark_open = live->answer_started = false;
    live->first_token = 0;
}

static void show_thinking(cli_live *live, const sx_event *event)
{
    if (!live->show_thinking || event->length == 0) return;
    cli_terminal *terminal = &live->context->terminal;
    if (live->think_marks && !live->mark_open) cli_terminal_write(terminal, "<think>\n", 8, CLI_PLAIN);
    if (!live->mark_open && strspn(event->text, "\n") == event->length) return; // the line end after <think>
    live->mark_open = true;
    cli_terminal_write(terminal, event->text, event->length, CLI_DIM);
}

static void show_answer(cli_live *live, const sx_event *event)
{
    const char *text = event->text;
    size_t length = event->length;
    if (!live->answer_started) {
        size_t blank = strspn(text, " \n");
        text += blank;
        length -= blank < length ? blank : length;
        if (length == 0) return;
        live->answer_started = true;
    }
    cli_terminal_write(&live->context->terminal, text, length, CLI_PLAIN);
}

static void show_exit(cli_live *live, const cli_reply *reply)
{
    cli_terminal *terminal = &live->context->terminal;
    if (live->think_marks) {
        if (!live->mark_open) return;
        cli_terminal_end_line(terminal, 0);
        cli_terminal_write(terminal, "</think>\n\n", 10, CLI_PLAIN);
    } else if (live->show_thinking) {
        cli_terminal_end_line(terminal, 1);
        fe_text line = {0};
        fe_text_printf(&line, "── %s ──\n\n", reply->exit_sentence);
        cli_terminal_write(terminal, line.data, line.length, CLI_CYAN);
        fe_text_free(&line);
    }
}

static void add_signals(fe_text *line, const cli_point *point, unsigned bar)
{
    if (point && point->has_signals) {
        fe_text_add(line, "thinking ");
        cli_bar(line, (double)point->smoothed.progress, bar);
        fe_text_printf(line, " %2.0f %%  ~%.0f tokens left  %.0f %% confident", 100 * (double)point->smoothed.progress,
                       (double)point->smoothed.remain, 100 * (double)point->smoothed.confidence);
    } else {
        fe_text_add(line, "thinking");
        if (point && isfinite(point->margin)) fe_text_printf(line, "  margin %.1f", (double)point->margin);
    }
}

// What matters most comes first: the line is cut to the terminal's width.
static void compose_status(cli_live *live, const cli_reply *reply, fe_text *line)
{
    const sx_stats *stats = &reply->stats;
    bool thinking = cli_reply_is_thinking(reply), asked = cli_interrupt_count() > 0;
    const cli_point *last = reply->point_count ? &reply->points[reply->point_count - 1] : NULL;
    if (thinking) {
        add_signals(line, last, live->context->terminal.columns >= 110 ? 24 : 10);
    } else {
        fe_text_add(line, live->first_token > 0 ? "answering" : "reading the prompt");
    }
    fe_text_add(line, !thinking ? "  ctrl-c: stop" : asked ? "  ending the thought" : "  ctrl-c: answer now");
    if (live->first_token > 0) fe_text_printf(line, "  %u tokens", stats->tokens);
    double elapsed = live->first_token > 0 ? cli_seconds() - live->first_token : 0;
    if (elapsed > 0.3) fe_text_printf(line, ", %.0f/s", (double)stats->tokens / elapsed);
}

static void draw_status(cli_live *live, const cli_reply *reply, bool now)
{
    cli_terminal *terminal = &live->context->terminal;
    if (!now && !cli_status_due(terminal)) return;
    fe_text line = {0};
    compose_status(live, reply, &line);
    cli_status(terminal, line.data, now);
    fe_text_free(&line);
}

static void draw_prefill(cli_live *live, const sx_event *event)
{
    fe_text line = {0};
    fe_text_add(&line, "reading the prompt ");
    cli_bar(&line, event->prefill_total ? (double)event->prefill_done / event->prefill_total : 0, 20);
    fe_text_printf(&line, " %u of %u tokens", event->prefill_done, event->prefill_total);
    cli_status(&live->context->terminal, line.data, false);
    fe_text_free(&line);
}

static void on_event(void *user, const sx_event *event, const cli_reply *reply)
{
    cli_live *live = user;
    switch (event->kind) {
    case SX_EVENT_PREFILL:
        draw_prefill(live, event);
        return;
    case SX_EVENT_TEXT:
        if (live->first_token <= 0) live->first_token = cli_seconds();
        if (event->channel == SX_CHANNEL_THINKING) {
            show_thinking(live, event);
        } else {
            show_answer(live, event);
        }
        break;
    case SX_EVENT_EXIT:
        show_exit(live, reply);
        break;
    case SX_EVENT_SIGNALS:
        break;
    case SX_EVENT_DONE:
        if (live->mark_open && live->think_marks && !reply->left) {
            cli_terminal_end_line(&live->context->terminal, 0);
            cli_terminal_write(&live->context->terminal, "</think>\n", 9, CLI_PLAIN);
        }
        cli_terminal_end_line(&live->context->terminal, 0);
        cli_terminal_flush(&live->context->terminal);
        return;
    }
    if (live->context->terminal.out && event->kind == SX_EVENT_TEXT) cli_terminal_flush(&live->context->terminal);
    draw_status(live, reply, false);
}

static void on_idle(void *user, const cli_reply *reply)
{
    cli_live *live = user;
    cli_terminal_flush(&live->context->terminal);
    draw_status(live, reply, false);
}

static bool is_broken(void *user)
{
    return ((cli_live *)user)->context->terminal.broken;
}

cli_view cli_live_view(cli_live *live)
{
    return (cli_view){.event = on_event,
                      .idle = on_idle,
                      .range = &live->context->options.calibrated.range,
                      .broken = is_broken,
                      .user = live};
}

void cli_summary(fe_text *out, const cli_reply *reply)
{
    const sx_stats *stats = &reply->stats;
    if (reply->left) fe_text_printf(out, "%s · ", reply->exit_sentence);
    if (stats->thinking_tokens) fe_text_printf(out, "%u thinking and ", stats->thinking_tokens);
    fe_text_printf(out, "%u answer tokens", stats->answer_tokens);
    if (stats->cycles && stats->acceptance_length > 1)
        fe_text_printf(out, " · %.1f tokens per cycle", stats->acceptance_length);
    fe_text_printf(out, " · %.1f s", reply->seconds);
    if (stats->decode_seconds > 0)
        fe_text_printf(out, " (%.0f tokens/s)", (double)stats->tokens / stats->decode_seconds);
    if (reply->done_reason == SX_DONE_MAXIMUM) fe_text_add(out, " · cut at the longest length allowed");
    if (reply->done_reason == SX_DONE_LOOPED) fe_text_add(out, " · ended because it repeated itself");
    if (reply->done_reason == SX_DONE_STOPPED) fe_text_add(out, " · stopped");
}

void cli_live_summary(cli_live *live, const cli_reply *reply)
{
    cli_terminal *terminal = &live->context->terminal;
    bool wanted = terminal->err || live->context->options.verbose;
    if (reply->unlike)
        cli_note(live->context,
                 "this prompt looks unlike those the profile was calibrated on: its accuracy may not hold");
    if (!wanted || live->context->options.quiet) return;
    fe_text line = {0};
    cli_summary(&line, reply);
    cli_terminal_flush(terminal);
    cli_status_clear(terminal);
    fprintf(stderr, "%s%s%s%s\n", terminal->out && terminal->err ? "\n" : "",
            cli_style_begin(terminal->color_err, CLI_DIM), line.data, cli_style_end(terminal->color_err));
    fe_text_free(&line);
}
