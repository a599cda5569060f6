// Replies written ahead of the one at hand, many at a time, for what goes through a list of prompts in their order.
#ifndef CLI_AHEAD_H
#define CLI_AHEAD_H

#include "options.h"
#include "prompts.h"
#include "specexit_signals.h"

typedef struct cli_known_reply {
    uint32_t *choices; // for sx_generate_desc; NULL: it is not known
    uint32_t count;
} cli_known_reply;

// Zero-initialised is empty: nothing is written ahead. Freed with cli_ahead_free.
typedef struct cli_ahead {
    sx_batch *batch;
    uint32_t sequences;
    const cli_options *options;
    const cli_problems *problems;
    const uint32_t *order; // problems, in the order they will be asked for: borrowed
    uint32_t count, next;  // next: the first that has not been begun
    cli_known_reply *replies;
    bool *ready;
    uint32_t place[SX_BATCH_MOST]; // which of them a place of the batch writes
    uint32_t tokens;               // written so far
} cli_ahead;

// The description of the reply to a problem, without policy. Borrows.
sx_generate_desc cli_ahead_describe(const cli_options *options, const cli_problem *problem, sx_message messages[2]);
// `options`, `problems` and `order` are borrowed for the time it is used.
sx_status cli_ahead_open(cli_ahead *ahead, sx_engine *engine, uint32_t sequences, const cli_options *options,
                         const cli_problems *problems, const uint32_t *order, uint32_t count, sx_error *error);
// The reply to the problem order[index], asked for in turn and valid until the next call; those behind it are written
// at the same time. It is not known where its prompt does not fit: the session says so. SX_ERROR_CANCELLED on ctrl-c.
// `tick` is called between steps.
sx_status cli_ahead_reply(cli_ahead *ahead, uint32_t index, void (*tick)(void *user), void *user,
                          cli_known_reply *reply, sx_error *error);
void cli_ahead_free(cli_ahead *ahead);

#endif
