// One row an option; read by options.c and option_help.c only.
#ifndef CLI_OPTION_TABLE_H
#define CLI_OPTION_TABLE_H

#include "options.h"

typedef enum cli_option_kind {
    CLI_FLAG,    // bool
    CLI_STRING,  // const char *
    CLI_COUNT,   // uint32_t in [minimum, maximum]
    CLI_FLOAT,   // float in [minimum, maximum]
    CLI_CHOICE,  // uint32_t: index in `names`
    CLI_SEED,    // uint64_t
    CLI_STOP,    // may be repeated
    CLI_BIAS,    // ID=VALUE, may be repeated
    CLI_SIGNALS, // list of signal names
    CLI_TOKENS   // list of token ids
} cli_option_kind;

typedef struct cli_option {
    const char *name; // long, without dashes
    char letter;      // 0: none
    unsigned group;
    cli_option_kind kind;
    size_t offset;            // in cli_options
    const char *argument;     // for help; NULL for flags
    const char *help;         // one sentence; lines are broken by the help
    double minimum, maximum;  // of CLI_COUNT and CLI_FLOAT
    const char *const *names; // of CLI_CHOICE, NULL-terminated
} cli_option;

extern const cli_option cli_option_table[];
extern const unsigned cli_option_count;

#endif
