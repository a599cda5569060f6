// How a reply looks while it is written: dimmed thinking, the answer, and the live status line.
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include "load.h"
#include "reply.h"

typedef struct cli_live {
    cli_context *context;
    bool show_thinking;
    bool think_marks;    // standard output is no terminal: <think> and </think> around the thinking
    bool mark_open;      // <think> was written
    bool answer_started; // white space at its start is left out
    double first_token;  // cli_seconds, 0 before it
} cli_live;

void cli_live_open(cli_live *live, cli_context *context);
// The view to give to cli_reply_generate.
cli_view cli_live_view(cli_live *live);
// For the next reply of a chat.
void cli_live_next(cli_live *live);

// "left early: ... · 54 thinking and 9 answer tokens · 3.9 tokens per cycle · 1.2 s (63 tokens/s)", as one line.
void cli_summary(fe_text *out, const cli_reply *reply);
// That line on standard error, dimmed, where it is a terminal.
void cli_live_summary(cli_live *live, const cli_reply *reply);

#endif
