// Plots as SVG that takes its colours from the page: classes a, b, c for series, "grid", "dim".
#ifndef CLI_PLOT_H
#define CLI_PLOT_H

#include "common/text.h"

#include <stdbool.h>
#include <stdint.h>

// The frame of a plot: values from 0 (or `y_low`) to the ends given are put where they belong.
typedef struct cli_plot {
    fe_text *out;                 // borrowed
    int width, height;            // of the picture; the frame leaves room for the axes
    int extra;                    // room below the axis
    double x_high, y_low, y_high; // ends of the axes
    const char *title, *x, *y;    // told to screen readers; names of the axes
    bool percent;                 // the y axis is a share, told in per cent
    bool counts;                  // the y axis counts: no fractions
    int left, right, top, bottom; // filled in by cli_plot_open
} cli_plot;

void cli_plot_open(cli_plot *plot);
void cli_plot_close(cli_plot *plot);
double cli_plot_x(const cli_plot *plot, double x); // clamped to the frame
double cli_plot_y(const cli_plot *plot, double y);
// A step for at most `most` ticks up to `high`: 1, 2 or 5 times a power of ten.
double cli_plot_step(double high, int most);

// Text as content or attribute of HTML; bytes that are no UTF-8 and control characters become U+FFFD.
void cli_html_text(fe_text *out, const char *text);

#endif
