#include "option_table.h"
#include "common/choices.h"
#include "specexit_signals.h"

#include <stddef.h>

// In the order of the enumerations of options.h and answers.h.
static const char *const think_names[] = {"on", "off", "prefill", NULL};
static const char *const show_names[] = {"auto", "show", "hide", NULL};
static const char *const check_names[] = {"auto", "number", "choice", "exact", NULL};
static const char *const color_names[] = {"auto", "always", "never", NULL};

#define AT(field) offsetof(cli_options, field)
// Versions of clang-format disagree about braces in macros.
// clang-format off
#define FLAG(name, letter, group, field, help) {name, letter, group, CLI_FLAG, AT(field), NULL, help, 0, 0, NULL}
#define TEXT(name, letter, group, field, argument, help) \
    {name, letter, group, CLI_STRING, AT(field), argument, help, 0, 0, NULL}
#define COUNT(name, letter, group, field, low, high, help) \
    {name, letter, group, CLI_COUNT, AT(field), "N", help, low, high, NULL}
#define FLOAT(name, letter, group, field, low, high, help) \
    {name, letter, group, CLI_FLOAT, AT(field), "X", help, low, high, NULL}
#define CHOICE(name, letter, group, field, argument, list, help) \
    {name, letter, group, CLI_CHOICE, AT(field), argument, help, 0, 0, list}
// clang-format on

enum {
    MODEL = CLI_GROUP_MODEL,
    ENGINE = CLI_GROUP_ENGINE,
    PROMPT = CLI_GROUP_PROMPT,
    SAMPLING = CLI_GROUP_SAMPLING,
    POLICY = CLI_GROUP_POLICY,
    DRAFTING = CLI_GROUP_DRAFTING,
    DISPLAY = CLI_GROUP_DISPLAY,
    GENERAL = CLI_GROUP_GENERAL,
    PROBLEMS = CLI_GROUP_COMPARE | CLI_GROUP_TRACE | CLI_GROUP_EVAL
};

// A threshold of 0 would mean "default" to the engine, so the smallest value is a little above.
#define TINY 1e-6
#define MANY 4294967295.0

const cli_option cli_option_table[] = {
    TEXT("model", 'm', MODEL, model, "FILE",
         "GGUF file of the model, or a name from `specexit models` (default: the bundled model)"),
    TEXT("draft", 'd', MODEL, draft, "PATH",
         "EAGLE-3 draft: a GGUF file, a safetensors or PyTorch file, or the folder it is in"),
    TEXT("signal-head", 0, MODEL | CLI_GROUP_CALIBRATE, signal_head, "FILE",
         "separate signal head (default: the draft's own signal rows)"),
    FLAG("no-draft", 0, MODEL, no_draft, "load no draft, not even the bundled one"),
    FLAG("quantize-draft", 0, MODEL, quantize_draft,
         "turn the draft's matrices into Q8_0 while loading: faster, a little less accepted"),
    TEXT("template", 0, MODEL, template_name, "NAME", "chat template to use when the file's own is not recognised"),
    TEXT("device", 0, ENGINE | CLI_GROUP_TRAIN, device, "N|NAME",
         "device to use, by its number or part of its name (see `specexit devices`)"),
    COUNT("context", 'c', ENGINE, context, 16, 16777216,
          "tokens that a conversation can hold (default: the model's, at most 8192)"),
    CHOICE("kv", 0, ENGINE, kv_type, "TYPE", fe_kv_names,
           "keys and values in f16 (default) or q8_0, which takes little more than half the memory"),
    CHOICE(
        "precision", 0, ENGINE, precision, "MODE", fe_precision_names,
        "full (default): activations in float32; or fast: in 8 bits against quantised weights, by the device's packed "
        "integer dot products"),
    COUNT("cycles-ahead", 0, ENGINE, cycles_ahead, 1, 2,
          "cycles submitted before the first is read, 1 or 2 (default: 2)"),
    TEXT("cache", 0, ENGINE | CLI_GROUP_TRAIN, cache, "FOLDER",
         "where compiled pipelines are kept (default: $XDG_CACHE_HOME/specexit)"),
    FLAG("no-cache", 0, ENGINE | CLI_GROUP_TRAIN, no_cache, "keep nothing on disk"),
    FLAG("estimate", 0, CLI_GROUP_INFO, estimate,
         "load nothing: say what memory the model (with its draft, --context and --kv) would take on the device"),
    FLAG("validation", 0, ENGINE, validation, "switch the Vulkan validation layers on (slow; for finding errors)"),

    TEXT("system", 0, PROMPT, system, "TEXT", "system message before the prompt"),
    {"messages", 0, CLI_GROUP_MESSAGES, CLI_STRING, AT(messages), "FILE",
     "conversation as JSON: an array of {\"role\": ..., \"content\": ...}, or an object with it as \"messages\"", 0, 0,
     NULL},
    FLAG("raw", 0, PROMPT, raw, "give the prompt to the model as it is, without the chat template"),
    CHOICE("think", 0, PROMPT | CLI_GROUP_MESSAGES, think, "MODE", think_names,
           "on (default), off, or prefill: start the reply with the think marker and a built-in instruction. prefill "
           "makes a model think that was not trained to: it ends its thinking with its turn, and its answer is begun "
           "with \"The answer is\". That is for trying things only; expect no better answers of it"),
    COUNT("max-tokens", 'n', PROMPT, maximum_tokens, 1, MANY,
          "length of the reply at most, thinking included (default: what the context holds)"),
    CHOICE(
        "when-full", 0, CLI_GROUP_CHAT | CLI_GROUP_DISPLAY, when_full, "WHAT", fe_full_names,
        "when a conversation outgrows the context: refuse (default) the turn, and end a reply that fills it; or shift: "
        "leave out the oldest turns, then the beginning of the reply, and go on"),
    {"stop", 0, PROMPT, CLI_STOP, 0, "TEXT", "end the reply before this text (up to 16 times)", 0, 0, NULL},

    FLOAT("temperature", 't', SAMPLING, sampling.temperature, 0, 100, "0 (default) always takes the likeliest token"),
    COUNT("top-k", 0, SAMPLING, sampling.top_k, 0, MANY, "sample from the N likeliest tokens only (0: off)"),
    FLOAT("top-p", 0, SAMPLING, sampling.top_p, 0, 1,
          "sample from the likeliest tokens that together have this probability"),
    FLOAT("min-p", 0, SAMPLING, sampling.min_p, 0, 1, "drop tokens less likely than this share of the likeliest one"),
    FLOAT("presence-penalty", 0, SAMPLING, sampling.presence_penalty, -10, 10,
          "taken from a token's logit once it appeared in the reply"),
    FLOAT("frequency-penalty", 0, SAMPLING, sampling.frequency_penalty, -10, 10,
          "taken from it for each time it appeared"),
    FLOAT("repetition-penalty", 0, SAMPLING, sampling.repetition_penalty, TINY, 10,
          "divides positive logits of tokens that appeared, multiplies negative ones (1: off)"),
    {"seed", 's', SAMPLING, CLI_SEED, AT(sampling.seed), "N",
     "the same seed gives the same text, with speculation or without", 0, 0, NULL},
    {"logit-bias", 0, SAMPLING, CLI_BIAS, 0, "ID=X", "add X to the logit of a token (up to 64 times)", 0, 0, NULL},

    CHOICE("policy", 'p', POLICY, policy_kind, "NAME", fe_policy_names,
           "when thinking is left: auto (default: signals where the model has them, else margin), signals, margin, "
           "entropy, none"),
    TEXT("profile", 0, POLICY, profile, "FILE",
         "thresholds that `specexit calibrate` wrote; they take the place of those given here"),
    COUNT("effort", 0, POLICY, effort, 1, 5, "level of the profile, from 1 (think little) to 5 (think long)"),
    {"signals", 0, POLICY | CLI_GROUP_CALIBRATE, CLI_SIGNALS, AT(policy.signals), "LIST",
     "signals that must agree, such as confidence,progress (default: all)", 0, 0, NULL},
    FLOAT("confidence", 0, POLICY, policy.confidence, TINY, 1,
          "leave above this confidence (default: the draft's calibration, else 0.8)"),
    FLOAT("progress", 0, POLICY, policy.progress, TINY, 1,
          "leave above this share of the reasoning (default: calibrated, else 0.3)"),
    FLOAT("remain", 0, POLICY, policy.remain, TINY, 1e9,
          "leave when fewer thinking tokens than this remain (default: calibrated, else 200)"),
    CHOICE("smoothing", 0, POLICY | CLI_GROUP_CALIBRATE, smoothing, "NAME", fe_smoothing_names,
           "of the signals: auto (default), ewma, momentum, mean, paragraph-mean, raw"),
    FLOAT("alpha", 0, POLICY | CLI_GROUP_CALIBRATE, policy.alpha, TINY, 1,
          "weight of the newest score in ewma, per token (default: 0.0345)"),
    FLOAT("margin", 0, POLICY, policy.margin, -1000, -TINY,
          "leave when the close marker is at most this much less likely than the best token, in nats (default: -3)"),
    FLOAT("entropy", 0, POLICY, policy.entropy, TINY, 1000,
          "leave when the entropy after a trial close marker is below this, in nats (default: 0.5)"),
    FLAG("reference", 0, POLICY, policy.reference_mode, "smooth and decide per cycle, as the paper's code does"),
    FLAG("reference-splits", 0, POLICY, policy.reference_splits, "only the paper's six tokens end a step"),
    FLAG("no-loop-guard", 0, POLICY, policy.no_loop_guard, "let the model repeat itself"),
    COUNT("min-thinking", 0, POLICY, policy.minimum_thinking, 0, MANY, "think at least N tokens"),
    COUNT("budget", 0, POLICY, policy.soft_budget, 1, MANY,
          "leave at the end of the first step with N thinking tokens"),
    COUNT("hard-budget", 0, POLICY, policy.hard_budget, 1, MANY,
          "leave at N thinking tokens, in mid-sentence if need be"),
    TEXT("exit-message", 0, POLICY, policy.exit_message, "TEXT",
         "said before the close marker at an early exit (default: the template's own)"),

    CHOICE("drafting", 0, DRAFTING, draft_kind, "NAME", fe_draft_names,
           "auto (default: what pays, measured as it runs), tree, chain, ngram, none"),
    COUNT("depth", 0, DRAFTING, drafting.depth, 1, 31, "drafted levels (default: chosen by the engine)"),
    COUNT("branch", 0, DRAFTING, drafting.branch, 1, 10, "children of a node in a tree (default: chosen)"),
    COUNT("nodes", 0, DRAFTING, drafting.nodes, 1, 31, "drafted tokens verified in a cycle (default: chosen)"),

    TEXT("prompts", 0, PROBLEMS, prompts, "FILE",
         "JSON lines {\"prompt\": ..., \"answer\": ...}; the answer may be left out"),
    COUNT("limit", 0, PROBLEMS, limit, 1, MANY, "take only the first N prompts"),
    CHOICE("check", 0, PROBLEMS, check, "HOW", check_names,
           "when an answer is right: auto (default: numbers as numbers, others as a phrase), number, choice (one "
           "capital letter), exact (the last line)"),
    TEXT("check-command", 0, PROBLEMS, check_command, "COMMAND",
         "run this instead: the answer on standard input, SPECEXIT_PROMPT and SPECEXIT_EXPECTED in the environment; "
         "exit code 0 means right"),
    COUNT("boundaries", 0, CLI_GROUP_TRACE, boundaries, 1, MANY,
          "force answers at N step boundaries of a prompt at most, evenly spread (default: at all)"),
    COUNT(
        "sequences", 0, CLI_GROUP_TRACE, sequences, 1, SX_BATCH_MOST,
        "write the reasoning of N prompts at a time: the same trace, sooner on a GPU (default: 8 there, or as many as "
        "its memory holds; 1 on a CPU)"),
    FLAG("steps-only", 0, CLI_GROUP_TRACE, steps_only,
         "keep the states of step boundaries alone: a far smaller file, on which no smoothing can be calibrated"),
    TEXT("into", 0, CLI_GROUP_TRAIN, into, "DRAFT", "write this EAGLE-3 draft with the new rows, not a head alone"),
    FLOAT("lose", 0, CLI_GROUP_CALIBRATE, lose, TINY, 100, "points of accuracy that may be lost (default: 0.5)"),
    FLOAT("save", 0, CLI_GROUP_CALIBRATE, save, TINY, 100,
          "per cent of the thinking tokens to save; then the most accurate rule that does is chosen"),
    FLOAT("risk", 0, CLI_GROUP_CALIBRATE, risk, TINY, 100,
          "points of expected loss that the certified rule may have (default: those of --lose, else 2)"),
    FLAG("host", 0, CLI_GROUP_TRAIN, host, "fit on the CPU in plain C: the reference, slow"),
    COUNT("answer-tokens", 0, CLI_GROUP_TRACE, answer_tokens, 1, 4096,
          "length of a forced answer at most (default: twice the full reasoning's answer and 16)"),
    TEXT("modes", 0, CLI_GROUP_COMPARE | CLI_GROUP_EVAL, modes, "LIST",
         "what to compare (default: plain,speculative,specexit; of eval: all policies); see above"),
    TEXT("shard", 0, CLI_GROUP_EVAL, shard, "I/N",
         "take the prompts I, I + N, ... only; the files of all N are put together by --merge"),
    FLAG("merge", 0, CLI_GROUP_EVAL, merge, "run nothing: put the given files of one run together"),
    TEXT("report", 0, CLI_GROUP_EVAL, report, "FILE", "write a report with plots, one HTML file without scripts"),
    TEXT("records", 0, CLI_GROUP_COMPARE, records, "FILE", "write one JSON line for each prompt and mode"),

    {"tokens", 0, CLI_GROUP_TOKENS, CLI_TOKENS, 0, "LIST", "token ids, such as 1,2,3", 0, 0, NULL},
    TEXT("output", 'o', CLI_GROUP_OUTPUT, output, "FILE", "file to write"),
    TEXT("type", 0, CLI_GROUP_CONVERT, type, "TYPE",
         "format of the matrices: f32, f16, bf16, q8_0 or q4_k (default: as they are)"),
    FLAG("signals-only", 0, CLI_GROUP_CONVERT, signals_only, "write the signal rows alone, as a separate signal head"),
    {"single-signal", 0, CLI_GROUP_CONVERT | CLI_GROUP_MODEL, CLI_SIGNALS, AT(single_signal), "NAME",
     "which signal a draft's only signal row is, since that cannot be seen in the file", 0, 0, NULL},
    FLAG("special", 0, CLI_GROUP_SPECIAL, special, "read markers such as <think> in the text as the tokens they name"),

    CHOICE("thinking", 0, DISPLAY, show_thinking, "WHEN", show_names,
           "auto (default: shown on a terminal, left out of a pipe or file), show, hide"),
    FLAG("quiet", 'q', DISPLAY | CLI_GROUP_COMPARE | CLI_GROUP_EVAL, quiet, "no progress, no signals, no summary"),
    FLAG("verbose", 'v', GENERAL, verbose, "say what was loaded, and what the engine reports"),
    FLAG("json", 0, CLI_GROUP_JSON, json, "one JSON object a line, for other programs"),
    CHOICE("color", 0, GENERAL, color, "WHEN", color_names,
           "auto (default: on a terminal, unless NO_COLOR is set), always, never"),
    FLAG("help", 'h', GENERAL, help, "show this help"),
    FLAG("version", 0, GENERAL, version, "show the version"),
};

const unsigned cli_option_count = sizeof cli_option_table / sizeof *cli_option_table;
