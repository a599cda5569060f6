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
// after a step boundary (sx_policy_after_boundary, after the decision) the window keeps only its last score. raw: the
// score. Every operation is rounded by itself (no fused multiply-add), so that C and `precise` GLSL agree in all bits.
void sx_policy_smooth(SxThought *thought, const SxSettings *settings, const float raw[SX_SIGNALS]);
void sx_policy_after_boundary(SxThought *thought, const SxSettings *settings);

// True when the smoothed signals call for an exit: every signal of signal_mask (not empty) is strictly beyond its
// threshold, and none of them is zero or not finite.
bool sx_policy_signals_pass(const SxThought *thought, const SxSettings *settings);

// What is known of one committed token, in the order of the text.
typedef struct sx_policy_token {
    uint32_t token;
    uint32_t flags;          // SX_TOKEN_*
    bool generated;          // false for the last prompt token: markers are seen, nothing is counted or decided
    bool forced;             // an exit forces it: markers are seen, nothing is counted or decided
    const uint32_t *history; // committed tokens before it, history[0 .. position - 1]
    uint32_t position;
    const float *raw;      // [SX_SIGNALS], or NULL without signal rows
    float margin, entropy; // of the row; entropy is NaN where no trial was made
} sx_policy_token;

// Advances length, markers, counts, loop guard and smoothing by one committed token and decides: SX_EXIT_NONE, or why
// thinking must be left after this token.
//
// Markers. BEFORE becomes INSIDE when the last open_count tokens are the open marker (it may begin in the prompt);
// INSIDE becomes AFTER when the last close_count are the close marker, all of them at or behind thinking_start. AFTER
// is final. Opening clears the smoothing; both crossings clear the runs of the loop guard. Tokens of the markers are no
// thinking tokens (those of a long close marker are counted while it is written and taken off when it is whole).
//
// Decision, for a generated thinking token that completes no marker, in this order of precedence: answer_now; loop
// (some period p has run >= max(loop_tokens, p * loop_repeats)); hard_budget; and with at least minimum_thinking
// tokens, at a token with a flag of split_mask: the policy, then soft_budget. Budgets and policy need policy_off == 0.
// In reference mode the step makes no smoothing (the caller does, once per cycle, after it) and decides on the values
// as they stand.
uint32_t sx_policy_step(SxThought *thought, const SxSettings *settings, const sx_policy_token *token);

// True when the answer (outside thinking) repeats itself by the same rule: the reply should end.
bool sx_policy_answer_loops(const SxThought *thought, const SxSettings *settings);

// True when a token with these flags, next to be committed to `thought`, is a step boundary at which the entropy policy
// wants to know the entropy behind the close marker. select.comp then hangs the marker's first token under the root as
// row 1 (the tape needs two rows), and accept.comp stops before such a token, so that it becomes a root.
bool sx_policy_wants_trial(const SxThought *thought, const SxSettings *settings, uint32_t forced_count, uint32_t flags);

// One whole cycle as accept.comp does it, for replies whose samples the host has (choices.c) and for the test that
// compares both: batch, samples [rows], signals [rows * 4] or NULL, token flags packed as behind SxSettings; state,
// history and counts (may be NULL) are advanced and state->result is filled.
//
// For the rows of the path, root first: the row's token is committed (history; counts, when generated) and
// sx_policy_step is taken. Then, in this order:
//  - position + 1 == end_position: done, length. Nothing is emitted (root SX_NONE), an exit decided here is not taken.
//  - the answer loops: done, loop; root SX_NONE. (Also an exit by loop when there is nothing to force, exit_count 0;
//  all
//    other exits are then not taken.)
//  - an exit: forced_count = exit_count, the snapshot below. With end_closes, a sample with SX_TOKEN_END while thinking
//    is one, too, of reason natural (where there is something to force).
//  - an end token is wanted right behind a close marker that was not forced: forced_count = answer_count, so that
//    exit_tokens' last ones stand in its place.
//  - next = the forced token, else samples[row].token; it counts as emitted (state.generated).
//  - next is not forced and has SX_TOKEN_END: done, end, with next as the root.
//  - next is not forced and completes the close marker: exit_reason natural, the snapshot below.
//  - the path goes on in the lowest row that hangs under this one and holds `next`, unless sx_policy_wants_trial;
//    else `next` is the root of the next cycle.
//
// state.forced_count counts the forced tokens not committed yet. While it is not 0 between cycles, the root is the
// first of them: root == exit_tokens[exit_count - forced_count].
//
// state.exit is what a keep-thinking puts back as state.now: after an exit, the thought as it was when the exit token
// had been committed; at a natural close, as it was when the last token before the marker had been (a marker of several
// tokens begins at the latest `next` equal to its first token). Its root is the token the target wanted next. Where
// that is the first token of the close marker or an end token, the host has to sample another in its place
// (suppress_close_position = exit.length). After an exit by loop the runs in the snapshot are 0. What the tokens from
// exit.length on added to counts, the host takes back.
//
// A done state, or an empty batch, changes nothing but `cycle`: path_count is 0, the result repeats done, length, root.
// Unused entries of the arrays of result and of path_row and path_token are 0.
void sx_policy_accept(const SxBatch *batch, uint32_t rows, const SxSample *samples, const float *signals,
                      const SxSettings *settings, const uint32_t *token_flags, SxState *state, uint32_t *history,
                      uint32_t *counts);

#endif
