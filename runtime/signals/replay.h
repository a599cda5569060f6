// Traces replayed through engine/policy.c: what a rule of exit would have done, without a device.
#ifndef SX_SIGNALS_REPLAY_H
#define SX_SIGNALS_REPLAY_H

#include "specexit_signals.h"

// How signals are smoothed between boundaries.
typedef struct replay_smoothing {
    sx_smoothing kind;
    float alpha;
} replay_smoothing;

enum { REPLAY_SMOOTHINGS = 10 };

// One boundary of one prompt: the smoothed signals at the moment of decision, and what leaving there gives.
typedef struct replay_boundary {
    float smoothed[REPLAY_SMOOTHINGS][3], raw[3];
    uint32_t tokens; // of thinking, if left here
    bool right;
} replay_boundary;

typedef struct replay_prompt {
    replay_boundary *boundaries;
    uint32_t boundary_count, tokens; // tokens: of the full reasoning
    uint64_t hash;
    bool right, known;
} replay_prompt;

typedef struct replay {
    replay_prompt *prompts; // [count]
    uint32_t count, capacity;
    replay_smoothing smoothings[REPLAY_SMOOTHINGS];
    uint32_t smoothing_count;
    bool steps_only;    // a trace holds no other states
    sx_trace_info info; // of the first trace
    bool other_format;  // another trace is of another quantisation
    uint32_t trace_count;
} replay;

// Chooses what is replayed: one smoothing (ewma: with `alpha`, 0: with several), or all (SX_SMOOTH_AUTO).
void replay_choose(replay *r, sx_smoothing kind, float alpha);

// Adds a trace's finished prompts; `rows` [3, width] are the signal rows. Without states of every token nothing but raw
// signals can be replayed.
sx_status replay_add(replay *r, const char *path, const float *rows, uint32_t width, uint32_t mask,
                     const sx_model_identity *model, sx_error *error);
void replay_free(replay *r);

// The prompts in two halves, by their hashes: what is chosen on one is tested on the other.
enum { REPLAY_ALL = 0, REPLAY_FIRST_HALF = 1, REPLAY_SECOND_HALF = 2 };
bool replay_in_half(const replay_prompt *prompt, int half);

// Index of the boundary at which the rule leaves, or the boundary count.
uint32_t replay_exit(const replay_prompt *prompt, const sx_exit_rule *rule, uint32_t smoothing);

#endif
