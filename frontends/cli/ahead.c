#include "ahead.h"
#include "interrupt.h"

#include <stdlib.h>
#include <string.h>

// Replies that are begun before the one at hand is complete, as a multiple of the sequences: one that takes long does
// not leave the others idle, and little is lost when the program is killed.
enum { WINDOW = 4 };

sx_generate_desc cli_ahead_describe(const cli_options *options, const cli_problem *problem, sx_message messages[2])
{
    sx_generate_desc desc = cli_options_describe(options);
    desc.policy.kind = SX_POLICY_NONE;
    cli_options_prompt(options, problem->prompt, messages, &desc);
    return desc;
}

sx_status cli_ahead_open(cli_ahead *ahead, sx_engine *engine, uint32_t sequences, const cli_options *options,
                         const cli_problems *problems, const uint32_t *order, uint32_t count, sx_error *error)
{
    const sx_status status = sx_batch_create(engine, sequences, &ahead->batch, error);
    if (status != SX_OK) return status;
    ahead->sequences = sequences;
    ahead->options = options;
    ahead->problems = problems;
    ahead->order = order;
    ahead->count = count;
    ahead->replies = fe_allocate(count, sizeof *ahead->replies);
    ahead->ready = fe_allocate(count, sizeof *ahead->ready);
    return SX_OK;
}

// Gives the free places what comes next.
static sx_status begin_more(cli_ahead *ahead, uint32_t index, sx_error *error)
{
    sx_status status = SX_OK;
    while (status == SX_OK && sx_batch_running(ahead->batch) < ahead->sequences && ahead->next < ahead->count &&
           ahead->next - index < WINDOW * ahead->sequences) {
        sx_message messages[2];
        const cli_problem *problem = &ahead->problems->items[ahead->order[ahead->next]];
        const sx_generate_desc desc = cli_ahead_describe(ahead->options, problem, messages);
        uint32_t place;
        status = sx_batch_add(ahead->batch, &desc, &place, error);
        if (status == SX_OK) ahead->place[place] = ahead->next;
        if (status == SX_ERROR_CONTEXT) {
            ahead->ready[ahead->next] = true;
            status = SX_OK;
        }
        ahead->next += status == SX_OK;
    }
    return status;
}

static void take_complete(cli_ahead *ahead)
{
    uint32_t place, count;
    const uint32_t *choices;
    while (sx_batch_take(ahead->batch, &place, &choices, &count)) {
        cli_known_reply *reply = &ahead->replies[ahead->place[place]];
        reply->choices = fe_allocate(count, sizeof *choices);
        reply->count = count;
        memcpy(reply->choices, choices, count * sizeof *choices);
        ahead->ready[ahead->place[place]] = true;
    }
}

sx_status cli_ahead_reply(cli_ahead *ahead, uint32_t index, void (*tick)(void *user), void *user,
                          cli_known_reply *reply, sx_error *error)
{
    if (index) {
        free(ahead->replies[index - 1].choices);
        ahead->replies[index - 1] = (cli_known_reply){0};
    }
    sx_status status = begin_more(ahead, index, error);
    while (status == SX_OK && !ahead->ready[index]) {
        if (cli_interrupt_count() || cli_interrupt_fatal()) return sx_fail(error, SX_ERROR_CANCELLED, "interrupted");
        ahead->tokens += sx_batch_running(ahead->batch);
        status = sx_batch_step(ahead->batch, error);
        take_complete(ahead);
        if (status == SX_OK) status = begin_more(ahead, index, error);
        tick(user);
    }
    *reply = ahead->replies[index];
    return status;
}

void cli_ahead_free(cli_ahead *ahead)
{
    for (uint32_t i = 0; i < ahead->count; i++)
        free(ahead->replies[i].choices);
    free(ahead->replies);
    free(ahead->ready);
    sx_batch_destroy(ahead->batch);
    *ahead = (cli_ahead){0};
}
