// From options to a ready engine and session, with a progress bar; and the user's cache directory.
#ifndef CLI_LOAD_H
#define CLI_LOAD_H

#include "options.h"
#include "terminal.h"

// What every command carries around.
typedef struct cli_context {
    cli_options options;
    cli_terminal terminal;
    const char *command; // "run", ...
    bool keep_states;    // load the model so that its hidden states can be read
    int operand_count;
    char **operands;
} cli_context;

enum { CLI_EXIT_OK = 0, CLI_EXIT_FAILURE = 1, CLI_EXIT_USAGE = 2, CLI_EXIT_SIGNAL = 128 };

// "specexit: ..." on standard error, below a cleared status line. Returns CLI_EXIT_FAILURE.
int cli_fail(cli_context *context, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
// The same for misuse, with a pointer to --help. Returns CLI_EXIT_USAGE.
int cli_usage_error(cli_context *context, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
// A remark of the same form, unless --quiet was given.
void cli_note(cli_context *context, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
// The exit code when ctrl-c or another signal ended the work.
int cli_exit_interrupted(void);
// CLI_EXIT_OK, or a failure when standard output could not be written (with a message, silent for a closed pipe).
int cli_finish_output(cli_context *context);

// Loads, and checks --profile; on failure the message is out and `*engine` is NULL. Returns an exit code.
int cli_load_engine(cli_context *context, sx_engine **engine);
// What loading that would take on the device, which is opened with the bundled model; the model's headers alone are
// read.
int cli_load_estimate(cli_context *context, sx_memory_estimate *estimate);
// Holds a profile (`name` NULL: there is none) against the model: a failure when it is another one's, a remark about
// another quantisation.
int cli_profile_check(cli_context *context, const sx_profile *profile, const char *name, const sx_engine *engine);
int cli_load_session(cli_context *context, sx_engine *engine, sx_session **session);

// "1.5 GB", "20 MB": decimal units, as sizes of downloads are given.
void cli_format_bytes(fe_text *out, uint64_t bytes);

#endif
