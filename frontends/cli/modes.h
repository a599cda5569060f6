// The modes that `compare` and `eval` run: how each drafts and when it leaves the thinking.
#ifndef CLI_MODES_H
#define CLI_MODES_H

#include "options.h"
#include "reply.h"

enum { CLI_MAXIMUM_MODES = 16, CLI_MODE_NAME = 160 }; // a name may hold the path of a profile

typedef struct cli_mode {
    char name[CLI_MODE_NAME]; // as it was written
    sx_policy policy;
    sx_drafting drafting;
    bool natural; // the thinking ends by itself: its signals can be drawn, and `first` measured on it
    bool no_thinking;
    uint32_t steps; // leave after so many; 0: no matter
    bool first;     // leave after the first paragraph that begins with `mark`
    char mark[32];
    bool profiled;         // the policy is that of a file, whose name says too little of it
    sx_profile calibrated; // what --profile or, when profiled, that file holds
} cli_mode;

// Parses a list such as "plain,speculative,budget=60". Returns the count, or 0 with a sentence.
uint32_t cli_modes_parse(const char *list, const cli_options *options, cli_mode modes[CLI_MAXIMUM_MODES],
                         fe_text *message);

// Thinking tokens up to the end of the first paragraph that begins with `mark` in a reply that ended by itself; 0 when
// there is none. A little less rather than more, so that as a soft budget it leaves exactly there.
uint32_t cli_first_budget(const cli_reply *natural, const char *mark);
// The same up to the end of step number `steps`, counted from 1.
uint32_t cli_steps_budget(const cli_reply *natural, uint32_t steps);

#endif
