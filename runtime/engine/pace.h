// Which speculation pays: measured while it runs.
//
// Speculation never changes the text, so its shape may follow the clock. A ladder of shapes, from no drafted token to
// the largest tree, is climbed one rung at a time: most cycles run the best shape so far; now and then a few cycles try
// its neighbour, which takes its place when it makes more tokens a second. Trials that change nothing become rarer. Old
// measurements fade, since acceptance depends on the text and cost on what else the device does.
//
// Pure bookkeeping, without clock or device. Not thread-safe.
#ifndef SX_ENGINE_PACE_H
#define SX_ENGINE_PACE_H

#include "specexit.h"

enum { SX_PACE_SHAPES = 8 };

typedef struct sx_pace_record {
    double seconds, tokens; // faded sums
} sx_pace_record;

typedef struct sx_pace {
    sx_drafting shape[SX_PACE_SHAPES]; // fully given; each costs more than the one before
    sx_pace_record record[SX_PACE_SHAPES];
    uint32_t count;
    uint32_t first;         // used where nothing has been measured
    uint32_t best, running; // running differs from best during a trial
    uint32_t left;          // cycles until the trial begins, or ends
    uint32_t patience;      // cycles from a trial to the next
    uint32_t trials;        // begun so far
} sx_pace;

// The ladder for a kind of device: with an EAGLE-3 draft its trees and chains (the shortest drafts nothing, and the
// draft only reads along), else n-gram lookup. `cpu`: a software driver, where each row of a pass costs; rungs of more
// than four rows, whose kernels would have to be compiled to be tried, are left out (tools/bench/RESULTS.md).
void sx_pace_init(sx_pace *pace, bool eagle, bool cpu);
// Index of the shape for the next cycle. Counts it.
uint32_t sx_pace_next(sx_pace *pace);
// The trial cannot be made now: back to the best until the next one.
void sx_pace_postpone(sx_pace *pace);
// A cycle of shape `index` gave `tokens` in `seconds` (both > 0).
void sx_pace_take(sx_pace *pace, uint32_t index, uint32_t tokens, double seconds);

#endif
