#include "report.h"
#include "plot.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BINS = 10, PICTURES = 4, MOST_POINTS = 3000, LABEL_HEIGHT = 13 };

// The file in the order its parts are read: prompts, then modes.
typedef struct report {
    fe_text *out;
    const cli_evaluation *evaluation;
    cli_score scores[CLI_MAXIMUM_MODES];
    cli_trust trust; // trust.full: the mode whose whole thinking is drawn, against which others are measured
} report;

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
    "<title>specexit evaluation</title>\n<style>\n"
    ":root { color-scheme: light dark; --page: #fbfbf9; --text: #2b2d30; --dim: #6d7278; --line: #e3e3de;\n"
    "  --a: #3d6f9e; --b: #b0703c; --c: #5b8a5a; }\n"
    "@media (prefers-color-scheme: dark) { :root { --page: #1b1d1f; --text: #d9dadb; --dim: #91969c;\n"
    "  --line: #34373a; --a: #7fb0dc; --b: #d9a273; --c: #93bf91; } }\n"
    "body { background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 2em auto;\n"
    "  max-width: 62em; padding: 0 1em; }\n"
    "h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; } h3 { font-size: 1em; font-weight: normal; }\n"
    "table { border-collapse: collapse; font-variant-numeric: tabular-nums; }\n"
    "td, th { padding: .25em .7em; white-space: nowrap; text-align: right; border-bottom: 1px solid var(--line);\n"
    "  font-weight: normal; } th { color: var(--dim); }\n"
    "td:first-child, th:first-child, td:last-child, th:last-child { text-align: left; }\n"
    ".wide { overflow-x: auto; } .row { display: flex; flex-wrap: wrap; gap: 1em; } figure { margin: 0; }\n"
    "figcaption, .note { color: var(--dim); font-size: .9em; max-width: 52em; } .row figcaption { max-width: 26em; }\n"
    "svg { max-width: 100%; height: auto; font: 11px system-ui, sans-serif; } svg text.dim { fill: var(--dim); }\n"
    ".grid { stroke: var(--line); } .rule { stroke: var(--dim); stroke-dasharray: 3 3; }\n"
    ".a { fill: var(--a); stroke: var(--a); } .b { fill: var(--b); stroke: var(--b); }\n"
    ".c { fill: var(--c); stroke: var(--c); } svg text.a, svg text.b, svg text.c { stroke: none; }\n"
    "polyline.a, polyline.b, polyline.c { fill: none; stroke-width: 1.6; }\n"
    ".thin { fill-opacity: .25; stroke: none; } .bar { fill-opacity: .7; stroke: none; }\n"
    "</style>\n</head>\n<body>\n";

static double mean(double sum, uint32_t count)
{
    return count ? sum / count : 0;
}

static bool left_early(const cli_record *record)
{
    return record->reply.left && record->reply.exit.exit_reason != SX_REASON_NATURAL;
}

// Tokens of the thinking up to the point.
static double thought(const cli_reply *reply, const cli_point *point)
{
    return (double)point->token_index - reply->thinking_start + 1;
}

static void section(report *r, const char *title, const char *note)
{
    fe_text_printf(r->out, "<h2>%s</h2>\n<p class=\"note\">%s</p>\n", title, note);
}

// ---- Table ----------------------------------------------------------------------------------------------------------

static void add_mode(report *r, uint32_t mode)
{
    const cli_score *s = &r->scores[mode];
    double low, high;
    cli_wilson(s->right, s->known, &low, &high);
    fe_text_add(r->out, "<tr><td>");
    cli_html_text(r->out, r->evaluation->modes[mode]);
    if (s->known) {
        fe_text_printf(r->out, "</td><td>%.1f %%</td><td>%.1f to %.1f", 100.0 * s->right / s->known, 100 * low,
                       100 * high);
    } else {
        fe_text_add(r->out, "</td><td></td><td>");
    }
    fe_text_printf(r->out, "</td><td>%.1f</td><td>%.1f</td><td>%.3g</td><td>%.1f</td><td>%.2f</td><td>%llu</td><td>",
                   mean((double)s->thinking_tokens, s->problems), mean((double)s->tokens, s->problems),
                   mean(s->seconds, s->problems), cli_score_rate(s), cli_score_acceptance(s),
                   (unsigned long long)s->cycles);
    const char *separator = "";
    for (int reason = SX_REASON_NATURAL; reason <= SX_REASON_ANSWER_NOW; reason++) {
        if (!s->exits[reason]) continue;
        fe_text_printf(r->out, "%s%u %s", separator, s->exits[reason], sx_exit_reason_name((sx_exit_reason)reason));
        separator = ", ";
    }
    fe_text_add(r->out, "</td></tr>\n");
}

static void add_table(report *r)
{
    section(r, "All policies", "Means over the problems; accuracy with its 95 % interval (Wilson).");
    fe_text_add(r->out, "<div class=\"wide\"><table>\n<tr><th>mode</th><th>accuracy</th><th>95 % interval</th>"
                        "<th>thinking</th><th>tokens</th><th>seconds</th><th>tokens/s</th><th>per cycle</th>"
                        "<th>cycles</th><th>left by</th></tr>\n");
    for (uint32_t i = 0; i < r->evaluation->mode_count; i++)
        add_mode(r, i);
    fe_text_add(r->out, "</table></div>\n");
}

// ---- Frontier -------------------------------------------------------------------------------------------------------

typedef struct label {
    double x, y, width;
} label;

// The nearest height to `y` at which nothing that was written is covered.
static label place(const label *placed, uint32_t count, label wanted)
{
    const double y = wanted.y;
    for (int attempt = 0; attempt < 2 * CLI_MAXIMUM_MODES; attempt++) {
        const int offset = (attempt + 1) / 2 * (attempt % 2 ? 1 : -1);
        bool free_here = true;
        wanted.y = y + offset * LABEL_HEIGHT;
        for (uint32_t i = 0; i < count; i++)
            free_here =
                free_here && (fabs(placed[i].y - wanted.y) >= LABEL_HEIGHT || placed[i].x > wanted.x + wanted.width ||
                              wanted.x > placed[i].x + placed[i].width);
        if (free_here && wanted.y > LABEL_HEIGHT) return wanted;
    }
    wanted.y = y;
    return wanted;
}

static void add_frontier(report *r)
{
    double most = 0, lowest = 1, low, high;
    label placed[CLI_MAXIMUM_MODES];
    uint32_t labels = 0;
    for (uint32_t i = 0; i < r->evaluation->mode_count; i++) {
        cli_wilson(r->scores[i].right, r->scores[i].known, &low, &high);
        if (!r->scores[i].known) continue;
        lowest = fmin(lowest, low);
        most = fmax(most, mean((double)r->scores[i].thinking_tokens, r->scores[i].problems));
    }
    section(r, "Frontier", "Accuracy against thinking tokens: up and to the left is better.");
    cli_plot plot = {.out = r->out,
                     .width = 860,
                     .height = 380,
                     .x_high = most * 1.15 + 1,
                     .y_low = floor(lowest * 10) / 10,
                     .y_high = 1,
                     .percent = true,
                     .title = "Accuracy against thinking tokens by mode",
                     .x = "thinking tokens a problem",
                     .y = "accuracy"};
    cli_plot_open(&plot);
    for (uint32_t i = 0; i < r->evaluation->mode_count; i++) {
        const cli_score *s = &r->scores[i];
        if (!s->known) continue;
        cli_wilson(s->right, s->known, &low, &high);
        const char *series = r->evaluation->natural[i] ? "c" : s->exits[SX_REASON_SIGNALS] ? "a" : "b";
        const double x = cli_plot_x(&plot, mean((double)s->thinking_tokens, s->problems));
        const double y = cli_plot_y(&plot, (double)s->right / s->known);
        fe_text_printf(r->out,
                       "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke-opacity=\".4\"/>"
                       "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>",
                       series, x, x, cli_plot_y(&plot, low), cli_plot_y(&plot, high), series, x, y);
        label wanted = {.x = x + 8, .y = y + 4, .width = 6.3 * (double)strlen(r->evaluation->modes[i])};
        if (wanted.x + wanted.width > plot.width) wanted.x = x - 8 - wanted.width;
        placed[labels] = place(placed, labels, wanted);
        fe_text_printf(r->out, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", series, placed[labels].x, placed[labels].y);
        labels++;
        cli_html_text(r->out, r->evaluation->modes[i]);
        fe_text_add(r->out, "</text>\n");
    }
    cli_plot_close(&plot);
}

// ---- Trajectories ---------------------------------------------------------------------------------------------------

static void add_line(report *r, const cli_plot *plot, const cli_reply *reply, int signal, double scale)
{
    fe_text_printf(r->out, "<polyline class=\"%c\" points=\"", "abc"[signal]);
    for (uint32_t i = 0; i < reply->point_count; i++) {
        const sx_signals *s = &reply->points[i].smoothed;
        const double value = (double)(signal == 0 ? s->confidence : signal == 1 ? s->progress : s->remain) / scale;
        if (isfinite(value))
            fe_text_printf(r->out, "%.1f,%.1f ", cli_plot_x(plot, thought(reply, &reply->points[i])),
                           cli_plot_y(plot, value));
    }
    fe_text_add(r->out, "\"/>\n");
}

// Below the axis, a lane for each mode that left early, with a mark where.
static void add_lanes(report *r, const cli_plot *plot, const cli_record *records, uint32_t count)
{
    double y = plot->bottom + 46;
    for (uint32_t i = 0; i < count; i++) {
        if (!left_early(&records[i])) continue;
        const double x = cli_plot_x(plot, records[i].reply.stats.thinking_tokens);
        const char *verdict = !records[i].known ? "" : records[i].right ? ", right" : ", wrong";
        fe_text_printf(r->out,
                       "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                       "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\"/>"
                       "<text class=\"dim\" x=\"%.1f\" y=\"%.1f\"%s>",
                       plot->left, plot->right, y, y, records[i].known && !records[i].right ? "b" : "a", x, y,
                       x > plot->width * 0.7 ? x - 8 : x + 8, y + 4,
                       x > plot->width * 0.7 ? " text-anchor=\"end\"" : "");
        cli_html_text(r->out, r->evaluation->modes[records[i].mode]);
        fe_text_printf(r->out, "%s</text>\n", verdict);
        y += LABEL_HEIGHT + 2;
    }
}

static void add_trajectory(report *r, const cli_record *records, uint32_t count, const cli_record *full)
{
    double longest = 1;
    int lanes = 0;
    for (uint32_t i = 0; i < full->reply.point_count; i++)
        longest = fmax(longest, (double)full->reply.points[i].smoothed.remain);
    for (uint32_t i = 0; i < count; i++)
        lanes += left_early(&records[i]);
    fe_text_add(r->out, "<h3>");
    cli_html_text(r->out, full->prompt);
    fe_text_add(r->out, "</h3>\n<figure>");
    cli_plot plot = {.out = r->out,
                     .width = 860,
                     .height = 230 + lanes * (LABEL_HEIGHT + 2),
                     .extra = lanes * (LABEL_HEIGHT + 2) + 10,
                     .x_high = full->reply.stats.thinking_tokens,
                     .y_high = 1,
                     .title = "Signals along the thinking",
                     .x = "thinking tokens",
                     .y = ""};
    cli_plot_open(&plot);
    for (int signal = 0; signal < 3; signal++)
        add_line(r, &plot, &full->reply, signal, signal == 2 ? longest : 1);
    add_lanes(r, &plot, records, count);
    cli_plot_close(&plot);
    fe_text_printf(r->out, "<figcaption>Tokens left: 1 is %.0f.</figcaption></figure>\n", longest);
}

static const cli_record *full_record(const report *r, const cli_record *records, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (records[i].mode == r->trust.full) return &records[i];
    return NULL;
}

static void add_trajectories(report *r)
{
    const cli_evaluation *evaluation = r->evaluation;
    int pictures = 0;
    section(
        r, "Signals of single problems",
        "At the ends of the steps of the whole thinking: <span style=\"color:var(--a)\">confidence</span>, "
        "<span style=\"color:var(--b)\">progress</span>, <span style=\"color:var(--c)\">tokens left</span> as a share "
        "of the most foretold. The marks below show where each policy left.");
    for (uint32_t i = 0, count; i < evaluation->count && pictures < PICTURES; i += count) {
        count = cli_evaluation_same_problem(evaluation, i);
        const cli_record *full = full_record(r, &evaluation->records[i], count);
        if (!full || full->reply.point_count < 2) continue;
        add_trajectory(r, &evaluation->records[i], count, full);
        pictures++;
    }
}

// ---- Reliability ----------------------------------------------------------------------------------------------------

static void add_reliability(report *r)
{
    uint32_t count[BINS] = {0}, right[BINS] = {0}, most = 1;
    double sum[BINS] = {0};
    for (uint32_t i = 0; i < r->evaluation->count; i++) {
        const cli_record *record = &r->evaluation->records[i];
        const double confidence = (double)record->reply.exit.smoothed.confidence;
        if (!record->known || !left_early(record) || !record->reply.exit.has_signals) continue;
        if (!(confidence >= 0 && confidence <= 1)) continue;
        const int bin = confidence < 1 ? (int)(confidence * BINS) : BINS - 1;
        count[bin]++;
        right[bin] += record->right;
        sum[bin] += confidence;
        if (count[bin] > most) most = count[bin];
    }
    fe_text_add(r->out, "<figure>");
    cli_plot plot = {.out = r->out,
                     .width = 420,
                     .height = 360,
                     .x_high = 1,
                     .y_high = 1,
                     .percent = true,
                     .title = "Reliability of the confidence",
                     .x = "confidence at the exit",
                     .y = "right"};
    cli_plot_open(&plot);
    fe_text_printf(r->out, "<line class=\"rule\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", plot.left, plot.bottom,
                   plot.right, plot.top);
    for (int bin = 0; bin < BINS; bin++) {
        double low, high;
        if (!count[bin]) continue;
        cli_wilson(right[bin], count[bin], &low, &high);
        const double x = cli_plot_x(&plot, sum[bin] / count[bin]);
        fe_text_printf(r->out,
                       "<g><title>%u of %u right</title><line class=\"a\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
                       "y2=\"%.1f\" stroke-opacity=\".4\"/><circle class=\"a\" cx=\"%.1f\" cy=\"%.1f\" "
                       "r=\"%.1f\"/></g>\n",
                       right[bin], count[bin], x, x, cli_plot_y(&plot, low), cli_plot_y(&plot, high), x,
                       cli_plot_y(&plot, (double)right[bin] / count[bin]), 3 + 6 * sqrt((double)count[bin] / most));
    }
    cli_plot_close(&plot);
    fe_text_add(r->out, "<figcaption>Reliability: how often the answer was right where thinking was left early (all "
                        "modes), by the confidence there; bars are 95 % intervals.");
    if (isfinite(r->trust.auc_across))
        fe_text_printf(r->out,
                       " Of %u places where thinking was left, a right one had more confidence than a wrong one in "
                       "%.1f %% of pairs (area under the curve)",
                       r->trust.places, 100 * r->trust.auc_across);
    if (isfinite(r->trust.auc_within))
        fe_text_printf(r->out, ", and in %.1f %% of those within one problem", 100 * r->trust.auc_within);
    if (isfinite(r->trust.correlation))
        fe_text_printf(r->out, "; correlation with being right: %.2f.", r->trust.correlation);
    fe_text_add(r->out, "</figcaption></figure>\n");
}

// ---- Tokens left ----------------------------------------------------------------------------------------------------

static void add_remain(report *r)
{
    double most = 1;
    uint64_t points = 0, seen = 0;
    for (uint32_t i = 0; i < r->evaluation->count; i++) {
        const cli_record *record = &r->evaluation->records[i];
        if (record->mode != r->trust.full) continue;
        most = fmax(most, record->reply.stats.thinking_tokens);
        points += record->reply.point_count;
    }
    const uint64_t every = points / MOST_POINTS + 1;
    fe_text_add(r->out, "<figure>");
    cli_plot plot = {.out = r->out,
                     .width = 420,
                     .height = 360,
                     .x_high = most,
                     .y_high = most,
                     .title = "Foretold against true remaining tokens",
                     .x = "thinking tokens that were left",
                     .y = "foretold"};
    cli_plot_open(&plot);
    fe_text_printf(r->out, "<line class=\"rule\" x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\"/>\n", plot.left, plot.bottom,
                   plot.right, plot.top);
    for (uint32_t i = 0; i < r->evaluation->count; i++) {
        const cli_reply *reply = &r->evaluation->records[i].reply;
        if (r->evaluation->records[i].mode != r->trust.full) continue;
        for (uint32_t k = 0; k < reply->point_count; k++) {
            const double foretold = (double)reply->points[k].smoothed.remain;
            if (seen++ % every || !isfinite(foretold)) continue;
            fe_text_printf(r->out, "<circle class=\"c thin\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\"/>",
                           cli_plot_x(&plot, reply->stats.thinking_tokens - thought(reply, &reply->points[k])),
                           cli_plot_y(&plot, foretold));
        }
    }
    cli_plot_close(&plot);
    fe_text_add(r->out,
                "<figcaption>Tokens left: foretold at the ends of steps against those that followed. Beyond the "
                "frame is drawn at its edge.</figcaption></figure>\n");
}

// ---- Exits ----------------------------------------------------------------------------------------------------------

static void add_histogram(report *r, uint32_t mode)
{
    uint32_t bins[BINS] = {0}, total = 0, most = 1;
    for (uint32_t i = 0, count; i < r->evaluation->count; i += count) {
        const cli_record *records = &r->evaluation->records[i];
        count = cli_evaluation_same_problem(r->evaluation, i);
        const cli_record *whole = full_record(r, records, count), *record = NULL;
        for (uint32_t k = 0; k < count; k++)
            if (records[k].mode == mode) record = &records[k];
        if (!whole || !record || !record->reply.left || !whole->reply.stats.thinking_tokens) continue;
        const double share = (double)record->reply.stats.thinking_tokens / whole->reply.stats.thinking_tokens;
        const int bin = share < 1 ? (int)(share * BINS) : BINS - 1;
        bins[bin]++;
        total++;
        if (bins[bin] > most) most = bins[bin];
    }
    if (!total) return;
    fe_text_add(r->out, "<figure>");
    cli_plot plot = {.out = r->out,
                     .width = 260,
                     .height = 150,
                     .x_high = 1,
                     .y_high = most,
                     .counts = true,
                     .title = "Exits",
                     .x = "share of the whole thinking",
                     .y = ""};
    cli_plot_open(&plot);
    for (int bin = 0; bin < BINS; bin++) {
        const double left = cli_plot_x(&plot, (double)bin / BINS), right = cli_plot_x(&plot, (bin + 1.0) / BINS);
        const double top = cli_plot_y(&plot, bins[bin]);
        fe_text_printf(r->out, "<rect class=\"a bar\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>", left + 1,
                       top, right - left - 2, plot.bottom - top);
    }
    cli_plot_close(&plot);
    fe_text_add(r->out, "<figcaption>");
    cli_html_text(r->out, r->evaluation->modes[mode]);
    fe_text_add(r->out, "</figcaption></figure>\n");
}

// ---------------------------------------------------------------------------------------------------------------------

static void add_title(report *r)
{
    const cli_evaluation *evaluation = r->evaluation;
    const struct {
        const char *name, *text;
    } lines[] = {{"Model", evaluation->model},
                 {"Draft", evaluation->draft},
                 {"Device", evaluation->device},
                 {"Settings", evaluation->setting}};
    fe_text_add(r->out, head);
    fe_text_printf(r->out, "<h1>specexit evaluation</h1>\n<p>%u of %u problems, %u modes</p>\n<p class=\"note\">",
                   r->scores[0].problems, evaluation->prompts, evaluation->mode_count);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!*lines[i].text) continue;
        fe_text_printf(r->out, "%s%s: ", i ? "<br/>" : "", lines[i].name);
        cli_html_text(r->out, lines[i].text);
    }
    fe_text_add(r->out, "</p>\n");
}

void cli_report(fe_text *out, const cli_evaluation *evaluation)
{
    report *r = fe_allocate(1, sizeof *r);
    r->out = out;
    r->evaluation = evaluation;
    r->trust = cli_evaluation_trust(evaluation);
    cli_evaluation_scores(evaluation, r->scores);
    add_title(r);
    add_table(r);
    if (r->scores[0].known) add_frontier(r);
    if (r->trust.full == CLI_MAXIMUM_MODES) {
        fe_text_add(out, "<p class=\"note\">No mode thought to its end with signals: there is nothing to draw of "
                         "them. Include speculative among the modes.</p>\n");
    } else {
        add_trajectories(r);
        section(r, "How far the signals can be trusted", "");
        fe_text_add(out, "<div class=\"row\">\n");
        add_reliability(r);
        add_remain(r);
        fe_text_add(out, "</div>\n");
        section(r, "Where the thinking was left", "Problems by the share of their whole thinking that was thought.");
        fe_text_add(out, "<div class=\"row\">\n");
        for (uint32_t i = 0; i < evaluation->mode_count; i++)
            if (!evaluation->natural[i]) add_histogram(r, i);
        fe_text_add(out, "</div>\n");
    }
    fe_text_add(out, "</body>\n</html>\n");
    free(r);
}
