// Pictures in text: the signals along the thinking, and where it was left.
#ifndef CLI_SPARK_H
#define CLI_SPARK_H

#include "reply.h"

// Values 0..1 as block characters, one a column; NaN leaves a blank.
void cli_spark(fe_text *out, const float *values, uint32_t count);

// Three lines (confidence, progress, remain) over `width` columns along the thinking of `natural`, and a fourth with a
// mark at `left_after` thinking tokens and `sentence`. Nothing when the reply has no signals.
void cli_signal_lines(fe_text *out, const cli_reply *natural, uint32_t left_after, const char *sentence,
                      unsigned width);

#endif
