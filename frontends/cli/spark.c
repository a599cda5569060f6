#include "spark.h"
#include "common/choices.h"

#include <math.h>
#include <stdlib.h>

void cli_spark(fe_text *out, const float *values, uint32_t count)
{
    static const char *const levels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    for (uint32_t i = 0; i < count; i++) {
        if (isnan(values[i])) {
            fe_text_add(out, " ");
            continue;
        }
        float clamped = values[i] < 0 ? 0 : values[i] > 1 ? 1 : values[i];
        fe_text_add(out, levels[(int)(clamped * 7 + 0.5f)]);
    }
}

static float pick(const cli_point *point, int signal)
{
    return signal == 0 ? point->smoothed.confidence : signal == 1 ? point->smoothed.progress : point->smoothed.remain;
}

// One column shows the mean over the tokens that fall into it.
static void resample(const cli_reply *reply, uint32_t length, int signal, float *columns, unsigned width)
{
    double *sums = fe_allocate(width, sizeof *sums);
    unsigned *counts = fe_allocate(width, sizeof *counts);
    for (uint32_t i = 0; i < reply->point_count; i++) {
        const cli_point *point = &reply->points[i];
        float value = pick(point, signal);
        if (!point->has_signals || !isfinite(value) || point->token_index < reply->thinking_start) continue;
        uint32_t at = point->token_index - reply->thinking_start;
        unsigned column = (unsigned)((uint64_t)at * width / length);
        if (column >= width) continue;
        sums[column] += (double)value;
        counts[column]++;
    }
    for (unsigned i = 0; i < width; i++)
        columns[i] = counts[i] ? (float)(sums[i] / counts[i]) : i > 0 ? columns[i - 1] : NAN;
    free(sums);
    free(counts);
}

void cli_signal_lines(fe_text *out, const cli_reply *natural, uint32_t left_after, const char *sentence, unsigned width)
{
    uint32_t length = natural->stats.thinking_tokens;
    bool any = false;
    for (uint32_t i = 0; i < natural->point_count; i++)
        any = any || natural->points[i].has_signals;
    if (!any || length == 0) return;
    if (width > length) width = length;
    float *columns = fe_allocate(width, sizeof *columns);
    for (int signal = 0; signal < 3; signal++) {
        resample(natural, length, signal, columns, width);
        float highest = 0, last = columns[width - 1];
        for (unsigned i = 0; i < width; i++)
            highest = columns[i] > highest ? columns[i] : highest;
        for (unsigned i = 0; signal == 2 && i < width; i++)
            columns[i] = highest > 0 ? columns[i] / highest : columns[i];
        fe_text_printf(out, "  %-11s", fe_signal_names[signal]);
        cli_spark(out, columns, width);
        fe_text_printf(out, signal == 2 ? " %.0f\n" : " %.2f\n", (double)last);
    }
    if (left_after) {
        unsigned column = (unsigned)((uint64_t)(left_after - 1) * width / length);
        if (column >= width) column = width - 1;
        fe_text_printf(out, "  %*s▲ after %u of %u thinking tokens", 11 + (int)column, "", left_after, length);
        if (*sentence) fe_text_printf(out, ": %s", sentence);
        fe_text_add(out, "\n");
    }
    free(columns);
}
