// The report of an evaluation: one HTML file, plots as inline SVG, no script, nothing loaded from elsewhere.
#ifndef CLI_REPORT_H
#define CLI_REPORT_H

#include "evaluation.h"

void cli_report(fe_text *out, const cli_evaluation *evaluation);

#endif
