// What `eval` found: one record for each prompt and mode, and the file that keeps them.
//
// The file is one JSON object:
//   format   "specexit evaluation 1"
//   model, model_hash, draft, device, setting    what ran, and how; shards must agree in all but the device
//   prompts, prompts_hash                        how many the run was of, all shards together, and which
//   modes    sums over the records, an object a mode: "mode", "natural" (nothing ends the thinking but the model),
//            "problems", "accuracy" with "accuracy_low" and "accuracy_high" (Wilson, 95 %), "right", "known",
//            "thinking_tokens", "tokens", "cycles", "acceptance_length", "seconds", "tokens_per_second", "exits", ...
//   records  in the order of prompts, then modes: "mode", "problem" (from 0), "prompt", "right" (null: no answer is
//            known), "answer", "finish_reason", "usage", "exit", "stats" as in the output of `run --json`, and in
//            natural modes "steps": [tokens thought, confidence, progress, remain] at the ends of up to 64 steps, with
//            "thinking_start", the place of the first token thought in the reply
//   confidence   how well it tells right answers from wrong ones, wherever a mode left the thinking: "places",
//            "auc_within" (of places in the same problem), "auc_across", "correlation"; null where nothing can be told
// A merge of all shards equals the file of the whole run but for seconds, "cached_tokens" (what a prompt shared with
// the one that ran before it) and, with --drafting auto, cycles.
#ifndef CLI_EVALUATION_H
#define CLI_EVALUATION_H

#include "modes.h"
#include "score.h"

typedef struct cli_record {
    uint32_t mode, problem;
    char *prompt; // owned
    bool known, right;
    cli_reply reply;    // without thinking; points: the steps, of natural modes
    const char *source; // borrowed: name of the file it is from
} cli_record;

// Zero-initialised is empty; freed with cli_evaluation_free.
typedef struct cli_evaluation {
    char model[128], model_hash[20], draft[128], device[256], setting[2048], prompts_hash[20];
    uint32_t prompts, mode_count;
    char modes[CLI_MAXIMUM_MODES][CLI_MODE_NAME];
    bool natural[CLI_MAXIMUM_MODES];
    cli_record *records; // [count], owned
    uint32_t count, capacity;
} cli_evaluation;

// A record of the reply, exactly as the file will say it.
void cli_evaluation_add(cli_evaluation *evaluation, uint32_t mode, uint32_t problem, const char *prompt, bool known,
                        bool right, const cli_reply *reply);
void cli_evaluation_write(fe_text *out, const cli_evaluation *evaluation);
// Into an empty one. `source` must outlive it. On failure a sentence that names it.
bool cli_evaluation_read(cli_evaluation *evaluation, const char *text, size_t length, const char *source,
                         fe_text *message);
// Moves the records of `from` to `into`, which may be empty. Refuses what ran differently, and records that are there.
bool cli_evaluation_merge(cli_evaluation *into, cli_evaluation *from, fe_text *message);
// The confidence of the first mode that thinks to its end with signals (`full`; CLI_MAXIMUM_MODES: there is none), at
// the places where the modes left the thinking of the same problem, against whether they were right.
typedef struct cli_trust {
    uint32_t full, places;                      // places: each of a problem once
    double auc_within, auc_across, correlation; // NAN where there is nothing to tell apart
} cli_trust;
cli_trust cli_evaluation_trust(const cli_evaluation *evaluation);
// How many records from `first` on are of the same problem.
uint32_t cli_evaluation_same_problem(const cli_evaluation *evaluation, uint32_t first);
void cli_evaluation_scores(const cli_evaluation *evaluation, cli_score scores[CLI_MAXIMUM_MODES]);
void cli_evaluation_free(cli_evaluation *evaluation);

#endif
