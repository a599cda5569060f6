// The options of all commands: one table says name, meaning, range and where the value goes. Parsing, --help, the
// suggestions for misspelt names and the /commands of the chat all read that table.
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include "answers.h"
#include "common/text.h"
#include "specexit.h"

// Which commands take an option: each command names the groups it wants.
enum {
    CLI_GROUP_MODEL = 1 << 0,    // -m, --draft, ...
    CLI_GROUP_ENGINE = 1 << 1,   // device, context, ...
    CLI_GROUP_PROMPT = 1 << 2,   // --system, --think, ...
    CLI_GROUP_MESSAGES = 1 << 3, // --messages
    CLI_GROUP_SAMPLING = 1 << 4,
    CLI_GROUP_POLICY = 1 << 5,
    CLI_GROUP_DRAFTING = 1 << 6,
    CLI_GROUP_DISPLAY = 1 << 7, // --thinking, --quiet, ...
    CLI_GROUP_JSON = 1 << 8,
    CLI_GROUP_COMPARE = 1 << 9,
    CLI_GROUP_TOKENS = 1 << 10, // --tokens
    CLI_GROUP_OUTPUT = 1 << 11, // -o
    CLI_GROUP_SPECIAL = 1 << 12,
    CLI_GROUP_GENERAL = 1 << 13, // --help, --color: every command
    CLI_GROUP_CHAT = 1 << 14,
    CLI_GROUP_CONVERT = 1 << 15, // --type, ...
    CLI_GROUP_TRACE = 1 << 16,   // --boundaries, ...
    CLI_GROUP_TRAIN = 1 << 17,
    CLI_GROUP_CALIBRATE = 1 << 18, // --lose, ...
    CLI_GROUP_EVAL = 1 << 19,      // --shard, ...
    CLI_GROUP_INFO = 1 << 20,      // --estimate
    CLI_GROUP_GENERATE = CLI_GROUP_SAMPLING | CLI_GROUP_POLICY | CLI_GROUP_DRAFTING
};

typedef enum cli_think { CLI_THINK_ON = 0, CLI_THINK_OFF, CLI_THINK_PREFILL } cli_think;
typedef enum cli_show { CLI_SHOW_AUTO = 0, CLI_SHOW_YES, CLI_SHOW_NO } cli_show;

enum { CLI_MAXIMUM_STOPS = 16, CLI_MAXIMUM_BIASES = 64 };

// Zero-initialised is "nothing given". Strings are borrowed from the arguments.
typedef struct cli_options {
    const char *model, *draft, *signal_head, *device, *cache, *template_name;
    bool no_draft, no_cache, quantize_draft, validation;
    bool estimate; // info
    uint32_t context, kv_type, precision, cycles_ahead;

    const char *system, *messages;
    bool raw;
    uint32_t think; // cli_think
    uint32_t maximum_tokens;
    uint32_t when_full; // sx_when_full

    sx_sampling sampling; // the bias arrays below are put in by cli_options_describe
    uint32_t bias_tokens[CLI_MAXIMUM_BIASES];
    float bias_values[CLI_MAXIMUM_BIASES];
    const char *stops[CLI_MAXIMUM_STOPS];
    uint32_t stop_count;
    sx_policy policy;
    uint32_t policy_kind, smoothing, draft_kind; // the enumerations of specexit.h
    sx_drafting drafting;

    uint32_t show_thinking, color; // cli_show
    bool json, quiet, verbose, help, version;

    const char *prompts, *modes, *records, *shard, *report;
    bool merge;
    uint32_t limit;
    uint32_t check; // cli_check_kind
    const char *check_command;

    uint32_t boundaries, answer_tokens; // trace; 0: all, the default
    uint32_t sequences;                 // trace; 0: what pays
    bool steps_only;
    const char *into; // train-signals
    bool host;
    float lose, save, risk; // calibrate, per cent
    const char *profile;
    sx_profile calibrated; // what it holds, read by cli_profile_apply
    uint32_t effort;       // level of the profile; 0: its chosen rule

    uint32_t *tokens; // owned: freed by cli_options_free
    uint32_t token_count;
    bool has_tokens;
    const char *output;
    const char *type;       // convert: format of the matrices
    bool signals_only;      // convert
    uint32_t single_signal; // SX_SIGNAL_HAS_*; 0: a lone row is refused
    bool special;
} cli_options;

// Parses `arguments` ([0] is the command's name) with the options of `groups`. On success `*rest` is the index of the
// first operand (operands are moved to the end). On failure the sentence in `message` names the option and the remedy.
bool cli_options_parse(cli_options *options, unsigned groups, int count, char **arguments, int *rest, fe_text *message);
// Sets one option by its long name: `value` NULL or "" where it takes none. For the chat.
bool cli_options_set(cli_options *options, unsigned groups, const char *name, const char *value, fe_text *message);
void cli_options_free(cli_options *options);

// What specexit.h wants to know of the reply. Borrows from `options`; the prompt is not filled in.
sx_generate_desc cli_options_describe(const cli_options *options);
// Fills in a prompt as it is (--raw), or as the user's turn behind --system. `messages` and `prompt` are borrowed.
void cli_options_prompt(const cli_options *options, const char *prompt, sx_message messages[2], sx_generate_desc *desc);
// Puts the rule of --profile into the policy (calibrate.c). On failure a sentence.
bool cli_profile_apply(cli_options *options, fe_text *message);
// How replies are made and checked, in one line: files made in different ways are not mixed. Texts as their hash.
void cli_options_setting(const cli_options *options, fe_text *out);
cli_checker cli_options_checker(const cli_options *options);

// The options of `groups` as help text, one headline a group.
void cli_options_help(fe_text *out, unsigned groups);

// The long name among the options of `groups` that is most like `name`, or NULL.
const char *cli_options_suggest(const char *name, unsigned groups);
// The same among any NULL-terminated list.
const char *cli_suggest(const char *name, const char *const *names);

// Ids separated by commas, spaces or lines. NULL and a sentence on failure; freed with free.
uint32_t *cli_parse_tokens(const char *text, uint32_t *count, fe_text *message);

#endif
