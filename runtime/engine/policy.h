// The exit policy: when a thought has gone on long enough. Plain C, no GPU, no I/O, no clock.
//
// This is the specification of shaders/accept.comp, which must agree with it on every input (tests/policy), and what
// `calibrate` and replay use. Everything works token by token, so that the exit is a function of the text and the seed,
// the same for plain, chain and tree decoding. The reference's per-cycle form is `reference_mode`.
//
// Sources: SpecExit, arXiv 2509.24248, and its reference code for signals, smoothings and the rule; ThinkBrake,
// arXiv 2510.00546, for the margin; EAT, arXiv 2509.26522, for the entropy after a trial close marker.
#ifndef SX_ENGINE_POLICY_H
#define SX_ENGINE_POLICY_H

#include "shared.h"

#include <stdbool.h>

// One smoothing step with the raw signals of one token (or, in reference mode, their means over a cycle) into
// `thought`: scores, smoothed, window. ewma: s += alpha * (x - s), started at the first score. momentum: last + mean of
// the last 9 differences, 0 before 10 scores. mean: of the last 10 (fewer at the start). paragraph_mean: the same, and
// after a step boundary (told by `boundary`, after the decision) the window keeps only its last score. raw: the score.
void sx_policy_smooth(SxThought *thought, const SxSettings *settings, const float raw[SX_SIGNALS]);
void sx_policy_after_boundary(SxThought *thought, const SxSettings *settings);

// True when the smoothed signals call for an exit: every signal of signal_mask is strictly beyond its threshold, and
// none of them is zero or not finite.
bool sx_policy_signals_pass(const SxThought *thought, const SxSettings *settings);

// What is known of one committed token, in the order of the text.
typedef struct sx_policy_token {
    uint32_t token;
    uint32_t flags;                // SX_TOKEN_*
    bool generated;                // false for the last prompt token
    const uint32_t *history;       // committed tokens before it, history[0 .. position - 1]
    uint32_t position;
    const float *raw;              // [SX_SIGNALS], or NULL without signal rows
    float margin, entropy;         // of the row; entropy is NaN where no trial was made
} sx_policy_token;

// Advances markers, counts, smoothing and loop guard by one committed token and decides: SX_EXIT_NONE, or why thinking
// must be left after this token. Does not look at forced tokens: the caller does not ask while it forces.
uint32_t sx_policy_step(SxThought *thought, const SxSettings *settings, const sx_policy_token *token);

// True when the answer (outside thinking) repeats itself: the reply should end.
bool sx_policy_answer_loops(const SxThought *thought, const SxSettings *settings);

// One whole cycle as accept.comp does it, for the test that compares both: batch, samples [rows], signals [rows * 4] or
// NULL, token flags packed as behind SxSettings; state, history and counts are advanced and state->result is filled.
void sx_policy_accept(const SxBatch *batch, uint32_t rows, const SxSample *samples, const float *signals,
                      const SxSettings *settings, const uint32_t *token_flags, SxState *state, uint32_t *history,
                      uint32_t *counts);

#endif
