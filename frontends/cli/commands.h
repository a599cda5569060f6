// The subcommands. Each gets parsed options and operands and returns an exit code.
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "load.h"

int cli_run(cli_context *context);
int cli_compare(cli_context *context);
int cli_eval(cli_context *context);
int cli_chat(cli_context *context);
int cli_devices(cli_context *context);
int cli_info(cli_context *context);
int cli_models(cli_context *context);
int cli_logits(cli_context *context);
int cli_tokenize(cli_context *context);
int cli_detokenize(cli_context *context);
int cli_template(cli_context *context);
int cli_draft(cli_context *context);
int cli_convert(cli_context *context);
int cli_trace(cli_context *context);
int cli_train_signals(cli_context *context);
int cli_calibrate(cli_context *context);

// The program: arguments as main gets them. Apart from main so that tests can link it with a scripted engine.
int cli_main(int count, char **arguments);

#endif
