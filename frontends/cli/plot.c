#include "plot.h"

#include <math.h>
#include <string.h>

void cli_html_text(fe_text *out, const char *text)
{
    static const char special[] = "&<>\"'";
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (size_t length = strlen(text), i = 0; i < length;) {
        const size_t size = fe_utf8_sequence(text + i, length - i);
        const char *found = strchr(special, text[i]);
        const unsigned char byte = (unsigned char)text[i];
        const bool control = (byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f ||
                             (byte == 0xc2 && size == 2 && (unsigned char)text[i + 1] < 0xa0);
        if (found) {
            fe_text_add(out, entities[found - special]);
        } else if (size == 0 || control) {
            fe_text_add(out, "\xef\xbf\xbd");
        } else {
            fe_text_append(out, text + i, size);
        }
        i += size ? size : 1;
    }
}

double cli_plot_step(double high, int most)
{
    if (!(high > 0)) return 1;
    const double rough = high / most, power = pow(10, floor(log10(rough)));
    const double share = rough / power;
    return power * (share <= 1 ? 1 : share <= 2 ? 2 : share <= 5 ? 5 : 10);
}

double cli_plot_x(const cli_plot *plot, double x)
{
    const double share = plot->x_high > 0 ? x / plot->x_high : 0;
    return plot->left + (plot->right - plot->left) * fmin(fmax(share, 0), 1);
}

double cli_plot_y(const cli_plot *plot, double y)
{
    const double span = plot->y_high - plot->y_low, share = span > 0 ? (y - plot->y_low) / span : 0;
    return plot->bottom - (plot->bottom - plot->top) * fmin(fmax(share, 0), 1);
}

void cli_plot_open(cli_plot *plot)
{
    fe_text *out = plot->out;
    plot->left = 46, plot->right = plot->width - 12, plot->top = 10, plot->bottom = plot->height - plot->extra - 38;
    fe_text_printf(out, "<svg viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\"><title>", plot->width,
                   plot->height, plot->width, plot->height);
    cli_html_text(out, plot->title);
    fe_text_add(out, "</title>\n");
    const double fine = cli_plot_step(plot->y_high - plot->y_low, 5), x_step = cli_plot_step(plot->x_high, 6);
    const double y_step = plot->counts ? fmax(fine, 1) : fine;
    for (double y = ceil(plot->y_low / y_step) * y_step; y <= plot->y_high + y_step * 1e-6; y += y_step) {
        const double at = cli_plot_y(plot, y);
        fe_text_printf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>", plot->left,
                       plot->right, at, at);
        fe_text_printf(out, "<text class=\"dim\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%g%s</text>\n", plot->left - 5,
                       at + 4, plot->percent ? round(1e6 * y) / 1e4 : y, plot->percent ? " %" : "");
    }
    for (double x = 0; x <= plot->x_high + x_step * 1e-6; x += x_step)
        fe_text_printf(out, "<text class=\"dim\" x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%g</text>\n",
                       cli_plot_x(plot, x), plot->bottom + 15, x);
    fe_text_printf(out, "<text class=\"dim\" x=\"%d\" y=\"%d\" text-anchor=\"end\">", plot->right, plot->bottom + 30);
    cli_html_text(out, plot->x);
    fe_text_printf(out, "</text>\n<text class=\"dim\" x=\"%d\" y=\"%d\">", plot->left + 4, plot->top + 10);
    cli_html_text(out, plot->y);
    fe_text_add(out, "</text>\n");
}

void cli_plot_close(cli_plot *plot)
{
    fe_text_add(plot->out, "</svg>\n");
}
