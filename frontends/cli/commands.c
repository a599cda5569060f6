#include "commands.h"
#include "interrupt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct command {
    const char *name;
    int (*run)(cli_context *context);
    unsigned groups;
    int most; // operands
    const char *operands, *summary, *details, *examples;
} command;

enum { MODEL = CLI_GROUP_MODEL | CLI_GROUP_ENGINE };

static const command commands[] = {
    {"run", cli_run,
     MODEL | CLI_GROUP_PROMPT | CLI_GROUP_MESSAGES | CLI_GROUP_TOKENS | CLI_GROUP_GENERATE | CLI_GROUP_DISPLAY |
         CLI_GROUP_JSON,
     1000, "[PROMPT]", "answer one prompt",
     "Answers PROMPT, or what standard input holds. On a terminal the thinking is shown dimmed, with a\n"
     "status line: how far the thinking is, the tokens left, and how confident the model is by now.\n"
     "Ctrl-c once: leave the thinking and answer now. Ctrl-c twice: stop.",
     "  specexit run \"Start at 7, add 5, times 2.\"\n"
     "  specexit run -m Qwen3-4B-Q4_K_M.gguf -d Qwen3-4B-eagle3.gguf \"How many primes are below 50?\"\n"
     "  specexit run --temperature 0.6 --top-p 0.95 --seed 7 --budget 2000 \"Prove that ...\"\n"
     "  git diff | specexit run -m model.gguf --system \"Review this change.\" > review.txt\n"
     "  specexit run --json \"What is 9 plus 8, plus 11?\" | jq -c 'select(.event == \"exit\")'\n"},
    {"chat", cli_chat,
     MODEL | CLI_GROUP_PROMPT | CLI_GROUP_MESSAGES | CLI_GROUP_CHAT | CLI_GROUP_GENERATE | CLI_GROUP_DISPLAY, 0, "",
     "talk in the terminal",
     "Every turn goes on from the one before. Lines that begin with / are commands: /help lists them.\n"
     "With --messages the conversation of the file is taken up again.",
     "  specexit chat\n"
     "  specexit chat -m Qwen3-4B-Q4_K_M.gguf -d Qwen3-4B-eagle3.gguf --system \"Be brief.\"\n"
     "  specexit chat --messages conversation.json\n"},
    {"compare", cli_compare, MODEL | CLI_GROUP_PROMPT | CLI_GROUP_GENERATE | CLI_GROUP_COMPARE | CLI_GROUP_JSON, 1000,
     "[PROMPT]...", "the same prompts plain, speculative and with early exit",
     "Runs every prompt in every mode and compares thinking tokens, tokens, cycles, tokens per cycle,\n"
     "seconds and, where answers are known, accuracy. Without prompts: a few problems for the bundled\n"
     "model. A number as answer must equal the last number of the reply's answer (or the one in \\boxed{});\n"
     "another answer must appear in it.\n\n"
     "Modes: plain (no speculation, no exit), speculative (no exit), specexit (speculation and the exit policy\n"
     "of the options below); also ngram, chain, tree (speculation of that kind, no exit), signals, margin=X,\n"
     "entropy=X, confidence=X, progress=X, remain=N (exit by that alone), budget=N, hard-budget=N, silent-budget=N\n"
     "(without an exit message), no-think, steps=N (leave after N steps of the thinking), first=TEXT (leave after\n"
     "the first paragraph that begins with TEXT; \"So \" when no TEXT is given), and profile=FILE (exit by the rule\n"
     "of a profile, as --profile and --effort choose it).",
     "  specexit compare\n"
     "  specexit compare \"What is 9 plus 8, plus 11?\"\n"
     "  specexit compare --prompts problems.jsonl --limit 50 --json\n"
     "  specexit compare -m smollm2-135m --think prefill \"What is 12 + 30?\"\n"
     "  specexit compare --prompts problems.jsonl --modes speculative,specexit,budget=60,margin=-2,first\n"},
    {"eval", cli_eval,
     MODEL | CLI_GROUP_PROMPT | CLI_GROUP_GENERATE | CLI_GROUP_EVAL | CLI_GROUP_OUTPUT | CLI_GROUP_JSON, 1000,
     "[PROMPT]...", "measure every policy on the same prompts; shards, intervals, a report",
     "Runs every prompt in every mode, as `compare` does, and keeps a record of each: -o writes them with the sums\n"
     "(accuracy with its 95 % interval, tokens, seconds, tokens per second, acceptance length) as one JSON file.\n"
     "Shards of a run, made by other processes or machines, are put together exactly by --merge.\n"
     "Every mode has keys and values of its own: where memory is short, use fewer modes or a smaller --context.\n\n"
     "Modes: those of `compare` (specexit compare --help); by default plain, speculative, specexit, each signal "
     "alone,\n"
     "margin, entropy, budget=64, silent-budget=64, first and no-think. Without =X a mode leaves by the thresholds of "
     "the\n"
     "model, which were chosen for all signals together: to be fair to one alone, give its own, or the profile that\n"
     "`specexit calibrate --signals NAME` chose for it alone.\n"
     "A merge differs from one run in seconds and cached_tokens alone; with --drafting auto, which measures as it\n"
     "runs, also in cycles.",
     "  specexit eval --prompts problems.jsonl -o result.json --report report.html\n"
     "  specexit eval --prompts problems.jsonl --modes speculative,specexit,confidence=0.9,budget=200 -o result.json\n"
     "  specexit eval --prompts problems.jsonl --shard 1/2 -o 1.json   # and 2/2 elsewhere\n"
     "  specexit eval --merge 1.json 2.json -o result.json --report report.html\n"},
    {"devices", cli_devices, CLI_GROUP_JSON, 0, "", "list the devices, best first", NULL,
     "  specexit devices\n"
     "  specexit run --device 1 \"...\"\n"
     "  specexit run --device radeon \"...\"\n"},
    {"models", cli_models, CLI_GROUP_JSON, 0, "", "list the models in the cache",
     "Lists the GGUF files in $XDG_CACHE_HOME/specexit/models, where tools/models.sh puts what it fetches.\n"
     "They can be given to -m by name.",
     "  specexit models\n"
     "  specexit run -m smollm2-135m \"Hello\"\n"},
    {"info", cli_info, MODEL | CLI_GROUP_INFO | CLI_GROUP_JSON, 1, "[FILE]", "show what a model file holds",
     "With FILE: every key and tensor of the file; no device is needed. Without: loads the model (-m, or the\n"
     "bundled one) and shows what it is, what it takes, and what it can do; with --estimate only what it would take.",
     "  specexit info Qwen3-4B-Q4_K_M.gguf\n"
     "  specexit info --estimate -m Qwen3-4B-Q4_K_M.gguf --context 16384 --kv q8_0\n"
     "  specexit info -m Qwen3-4B-Q4_K_M.gguf -d Qwen3-4B-eagle3.gguf\n"},
    {"template", cli_template, MODEL | CLI_GROUP_MESSAGES, 0, "", "print a conversation as the model's prompt", NULL,
     "  specexit template -m model.gguf --messages conversation.json\n"
     "  echo '[{\"role\": \"user\", \"content\": \"Hello\"}]' | specexit template --messages -\n"},
    {"tokenize", cli_tokenize, MODEL | CLI_GROUP_SPECIAL | CLI_GROUP_JSON, 0, "", "text in, token ids out",
     "Reads text from standard input, to its last byte, and prints the ids on one line.",
     "  printf 'Hello' | specexit tokenize -m model.gguf\n"
     "  printf '<think>' | specexit tokenize --special\n"},
    {"detokenize", cli_detokenize, MODEL | CLI_GROUP_TOKENS, 0, "", "token ids in, text out",
     "Reads ids from standard input (or --tokens), separated by commas, spaces or lines, and prints the\n"
     "bytes they stand for, with nothing added.",
     "  echo 1 2 3 | specexit detokenize -m model.gguf\n"
     "  printf 'Hello' | specexit tokenize | specexit detokenize\n"},
    {"logits", cli_logits, MODEL | CLI_GROUP_TOKENS | CLI_GROUP_OUTPUT, 0, "",
     "write the logits after each of some tokens",
     "For checking against other programs: raw little-endian float32, [tokens, vocabulary].",
     "  specexit logits -m model.gguf --tokens 1,2,3 -o logits.f32\n"},
    {"draft", cli_draft, MODEL | CLI_GROUP_TOKENS | CLI_GROUP_DRAFTING | CLI_GROUP_JSON, 0, "",
     "show the signals at each of some tokens and the drafted tree",
     "Prints one JSON object: the raw signals after each token, and the nodes the draft proposes behind the\n"
     "last one, best first: token, parent (a node, -1: the last token), depth, cumulative log-probability.",
     "  specexit draft --tokens 1,2,3 --drafting tree --depth 4 --branch 4 --nodes 12\n"},
    {"convert", cli_convert, CLI_GROUP_OUTPUT | CLI_GROUP_CONVERT, 1, "DRAFT",
     "write an EAGLE-3 draft, or its signal rows alone, as GGUF",
     "DRAFT is a GGUF, safetensors or PyTorch file, or the folder of a checkpoint. Nothing is written when\n"
     "anything in it is missing or misshapen.",
     "  specexit convert Qwen3-4B_eagle3 -o draft.gguf --type q8_0\n"
     "  specexit convert draft.gguf -o signals.gguf --signals-only\n"},
    {"trace", cli_trace, MODEL | CLI_GROUP_PROMPT | CLI_GROUP_GENERATE | CLI_GROUP_TRACE | CLI_GROUP_OUTPUT, 0, "",
     "record what the model would answer at every step of its thinking",
     "Runs the full reasoning of every prompt and, at the ends of its steps, forces an answer. The file holds the\n"
     "model's hidden states with these labels: what `train-signals` and `calibrate` learn from. Ctrl-c or a\n"
     "crash loses at most the prompts at hand: the same command goes on where it was. Records stand in the order\n"
     "of the prompts, however many are written at a time.",
     "  specexit trace --prompts problems.jsonl -o problems.trace\n"
     "  specexit trace -m model.gguf --prompts problems.jsonl -o problems.trace --boundaries 24 --steps-only\n"},
    {"train-signals", cli_train_signals, CLI_GROUP_TRAIN | CLI_GROUP_OUTPUT | CLI_GROUP_JSON, 1000, "TRACE...",
     "learn the signals of a model from its traces",
     "Fits confidence, progress and remaining tokens as linear functions of the model's hidden states: on the\n"
     "device, in passes over the trace, with memory that does not grow with it. Penalties are chosen on one\n"
     "prompt in five. Writes a signal head (or, with --into, a draft with it) that says what it was learnt from.",
     "  specexit train-signals problems.trace -o signals.gguf\n"
     "  specexit train-signals problems.trace -o draft.gguf --into Qwen3-4B_eagle3\n"
     "  specexit run -m model.gguf --signal-head signals.gguf \"How many primes are below 50?\"\n"},
    {"calibrate", cli_calibrate, CLI_GROUP_CALIBRATE | CLI_GROUP_OUTPUT | CLI_GROUP_JSON, 1000, "TRACE...",
     "choose when to stop thinking by replaying traces",
     "Replays every prompt of the traces under thousands of rules of exit, with the code that decides live and\n"
     "without a device. Prints the frontier of accuracy against tokens, the rule for what is asked, and one whose\n"
     "expected loss is bounded. -o writes them as a profile for --profile. Use other prompts than were trained on.",
     "  specexit calibrate calibration.trace --signal-head signals.gguf --lose 0.5 -o profile.json\n"
     "  specexit calibrate calibration.trace --signal-head signals.gguf --save 50\n"
     "  specexit calibrate calibration.trace --signal-head signals.gguf --signals confidence --smoothing raw\n"
     "  specexit run -m model.gguf --signal-head signals.gguf --profile profile.json --effort 2 \"...\"\n"},
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_program_help(void)
{
    fputs("Usage: specexit COMMAND [OPTION]...\n\n"
          "Runs reasoning models on any GPU with Vulkan: speculative decoding that also knows when the model has\n"
          "thought enough. Without -m it uses a small bundled model that solves chains of arithmetic.\n\n"
          "Commands:\n",
          stdout);
    for (int i = 0; i < COMMAND_COUNT; i++)
        printf("  %-12s %s\n", commands[i].name, commands[i].summary);
    fputs("\nExamples:\n"
          "  specexit run \"Start at 7, add 5, times 2.\"\n"
          "  specexit compare\n"
          "  specexit run -m Qwen3-4B-Q4_K_M.gguf -d Qwen3-4B-eagle3.gguf \"How many primes are below 50?\"\n\n"
          "`specexit COMMAND --help` shows a command's options. --version shows the version.\n"
          "Exit codes: 0 done, 1 failure, 2 wrong usage, 130 stopped by ctrl-c.\n",
          stdout);
}

static void print_command_help(const command *chosen)
{
    fe_text out = {0};
    fe_text_printf(&out, "Usage: specexit %s [OPTION]...%s%s\n\n%c%s.\n", chosen->name, *chosen->operands ? " " : "",
                   chosen->operands, chosen->summary[0] - 'a' + 'A', chosen->summary + 1);
    if (chosen->details) fe_text_printf(&out, "\n%s\n", chosen->details);
    fe_text_printf(&out, "\nExamples:\n%s", chosen->examples);
    cli_options_help(&out, chosen->groups);
    if (chosen->groups & CLI_GROUP_MODEL)
        fe_text_printf(&out, "\nChat templates for --template: %s.\n", sx_template_names());
    fputs(out.data, stdout);
    fe_text_free(&out);
}

static const command *find_command(const char *name)
{
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0) return &commands[i];
    return NULL;
}

static int unknown_command(cli_context *context, const char *name)
{
    const char *names[COMMAND_COUNT + 1] = {0};
    for (int i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    const char *meant = cli_suggest(name, names);
    if (name[0] == '-')
        return cli_usage_error(context, "unknown option %s; options follow a command, such as `specexit run %s`", name,
                               name);
    if (meant) return cli_usage_error(context, "unknown command \"%s\"; did you mean \"%s\"?", name, meant);
    return cli_usage_error(context, "unknown command \"%s\"; to ask the model: specexit run \"%s\"", name, name);
}

static int flush_help(cli_context *context)
{
    cli_terminal_flush(&context->terminal);
    return cli_finish_output(context);
}

// --help and --version without a command, `help` and `help COMMAND`; -1: something else.
static int general(cli_context *context, int count, char **arguments)
{
    const char *first = count > 1 ? arguments[1] : NULL;
    if (first && (strcmp(first, "--version") == 0 || strcmp(first, "-V") == 0)) {
        printf("specexit %s\n", sx_version());
        return flush_help(context);
    }
    bool help = first && strcmp(first, "help") == 0;
    if (help && count > 2) {
        const command *chosen = find_command(arguments[2]);
        if (!chosen) return unknown_command(context, arguments[2]);
        print_command_help(chosen);
        return flush_help(context);
    }
    if (help || (first && (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0))) {
        print_program_help();
        return flush_help(context);
    }
    if (!first) return cli_usage_error(context, "no command; `specexit run \"...\"` asks the model");
    return -1;
}

static int dispatch(cli_context *context, const command *chosen, int count, char **arguments)
{
    fe_text message = {0};
    int rest = 0;
    bool parsed = cli_options_parse(&context->options, chosen->groups, count, arguments, &rest, &message);
    cli_terminal_open(&context->terminal, context->options.color, context->options.quiet);
    // Progress in between would end up among the JSON lines.
    context->terminal.quiet = context->terminal.quiet || (context->options.json && context->terminal.out);
    if (!parsed) {
        int code = cli_usage_error(context, "%s", message.data);
        fe_text_free(&message);
        return code;
    }
    if (context->options.help) {
        print_command_help(chosen);
        return flush_help(context);
    }
    if (!cli_profile_apply(&context->options, &message)) {
        int code = cli_fail(context, "%s", message.data);
        fe_text_free(&message);
        return code;
    }
    if (context->options.version) {
        printf("specexit %s\n", sx_version());
        return flush_help(context);
    }
    context->operands = arguments + rest;
    context->operand_count = count - rest;
    if (context->operand_count > chosen->most)
        return cli_usage_error(context, "unexpected argument \"%s\"", context->operands[chosen->most]);
    return chosen->run(context);
}

int cli_main(int count, char **arguments)
{
    cli_context context = {0};
    cli_terminal_open(&context.terminal, CLI_SHOW_AUTO, false);
    int code = general(&context, count, arguments);
    if (code >= 0) return code;
    const command *chosen = find_command(arguments[1]);
    if (!chosen) return unknown_command(&context, arguments[1]);
    context.command = chosen->name;
    cli_interrupt_install();
    code = dispatch(&context, chosen, count - 1, arguments + 1);
    cli_options_free(&context.options);
    return code;
}
