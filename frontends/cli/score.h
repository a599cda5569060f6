// Sums over the problems of one mode of `compare` or `eval`, and how they are shown.
#ifndef CLI_SCORE_H
#define CLI_SCORE_H

#include "reply.h"
#include "terminal.h"

typedef struct cli_score {
    uint32_t problems, known, right; // known: those whose answer is known
    uint64_t prompt_tokens, thinking_tokens, tokens, forced_tokens, cycles, drafted, accepted;
    uint64_t submits, readbacks, readback_bytes;
    double seconds, prefill_seconds, decode_seconds, first_token_seconds;
    double cycle_tokens;                      // acceptance lengths times cycles
    uint32_t exits[SX_REASON_ANSWER_NOW + 1]; // by reason
    uint32_t unfinished;                      // replies cut at their longest length
    uint32_t watched, unlike;                 // replies held against a profile's range, and those beyond it
} cli_score;

void cli_score_add(cli_score *score, const cli_reply *reply, bool known, bool right);
double cli_score_acceptance(const cli_score *score); // tokens per cycle

double cli_score_rate(const cli_score *score); // tokens of replies a second
// Bounds of the share of `right` among `known` trials, 95 % (Wilson); NAN without any.
void cli_wilson(uint32_t right, uint32_t known, double *low, double *high);

// Members of an open object: "mode", "problems", "accuracy", ...
void cli_score_members(json_writer *json, const char *mode, const cli_score *score);
// The scores of all modes, and what made them.
typedef struct cli_score_list {
    const char *const *modes; // [count]
    const cli_score *scores;  // [count]
    uint32_t count;
    const char *model, *device;
} cli_score_list;
// Prints a line of JSON a mode ({"mode": ..., "problems": ..., ...}), or `heading` with model and device, the table,
// and what each mode saves against speculative decoding, where that is among them. `full`: with intervals and rates.
void cli_scores_print(cli_terminal *terminal, const cli_score_list *list, const char *heading, bool full, bool as_json);

#endif
