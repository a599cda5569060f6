// From trace files to the rows a fit learns from, and to a signal head's file.
#ifndef SX_SIGNALS_ROWS_H
#define SX_SIGNALS_ROWS_H

#include "signals/fit.h"
#include "specexit_signals.h"

typedef struct trace_rows trace_rows;
// Opens all traces, which must be of one model, and looks at their labels. SX_ERROR_ARGUMENT when there is nothing to
// learn from.
sx_status trace_rows_open(const char *const *paths, uint32_t count, float boundary_weight, trace_rows **out,
                          sx_error *error);
void trace_rows_close(trace_rows *rows); // NULL is allowed
const sx_trace_info *trace_rows_info(const trace_rows *rows);
fit_source trace_rows_source(trace_rows *rows);
// Fills the counts of the report, and what the confidence is learnt from.
void trace_rows_report(const trace_rows *rows, sx_train_report *report);

#endif
