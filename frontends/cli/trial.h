// The same prompts in several modes: what `compare` and `eval` have in common.
#ifndef CLI_TRIAL_H
#define CLI_TRIAL_H

#include "load.h"
#include "modes.h"
#include "prompts.h"

// Zero-initialised is empty; freed with cli_trial_free.
typedef struct cli_trial {
    cli_context *context;
    cli_mode modes[CLI_MAXIMUM_MODES];
    uint32_t mode_count;
    bool default_modes; // --modes was not given
    cli_problems problems;
    uint32_t planned, done; // problems, for the progress line; planned: all, until the caller says otherwise
    sx_engine *engine;
    sx_engine_info info;
    sx_session *sessions[CLI_MAXIMUM_MODES]; // one a mode, so that none profits from another's KV
    cli_reply replies[CLI_MAXIMUM_MODES];    // to the problem at hand
    bool right[CLI_MAXIMUM_MODES];           // false, too, where no answer is known
} cli_trial;

// The functions return exit codes; messages are out.
// Reads --modes (else the list `modes`) and the prompts: arguments, --prompts, or those of the bundled model.
int cli_trial_prepare(cli_trial *trial, cli_context *context, const char *modes);
// Loads the model, and lets every mode write a few tokens, so that none pays for what is done once. Modes of the
// default list that need signals the model has not are dropped.
int cli_trial_load(cli_trial *trial);
// One problem in all modes: `replies` and `right` are filled.
int cli_trial_problem(cli_trial *trial, uint32_t index);
bool cli_trial_is_right(const cli_trial *trial, const cli_problem *problem, const char *answer);
void cli_trial_free(cli_trial *trial);

#endif
