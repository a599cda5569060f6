// How the first steps of replies look, and how far one is from them.
#ifndef SX_SIGNALS_RANGE_H
#define SX_SIGNALS_RANGE_H

#include "signals/replay.h"

// From the replayed prompts; unknown where they are too few.
void range_fit(const replay *r, uint32_t signals, sx_signal_range *out);
// Distance of step number `step` (from 0, below range->steps) of `tokens` tokens with these raw signals.
double range_distance(const sx_signal_range *range, uint32_t step, const float raw[3], uint32_t tokens);

#endif
