#include "plot.h"

#include <math.h>
#include <stdio.h>

typedef struct lane {
    const char *name;
    float (*value)(const chat_point *point);
    float threshold, top;
    const char *sign;
    const char *format;
    float factor;
    bool has_threshold;
    chat_color color;
} lane;

static float confidence_of(const chat_point *point)
{
    return point->smoothed.confidence;
}
static float progress_of(const chat_point *point)
{
    return point->smoothed.progress;
}
static float remain_of(const chat_point *point)
{
    return point->smoothed.remain;
}
static float margin_of(const chat_point *point)
{
    return -point->margin;
}
static float entropy_of(const chat_point *point)
{
    return point->entropy;
}

bool plot_has_data(const chat_message *message)
{
    return message->point_count > 1;
}

static bool has_signals(const chat_message *message)
{
    return message->point_count && message->points[message->point_count - 1].has_signals;
}

static float largest(const chat_message *message, float (*value)(const chat_point *), float least)
{
    for (uint32_t i = 0; i < message->point_count; i++) {
        float v = value(&message->points[i]);
        if (isfinite(v) && v > least) least = v;
    }
    return least;
}

static void dashes(chat_draw *draw, int x, int y, int width, chat_color color)
{
    int step = px(draw, 6);
    for (int at = 0; at < width; at += step)
        draw_rect(draw, (SDL_Rect){x + at, y, at + step / 2 < width ? step / 2 : width - at, 1}, color);
}

static float height_of(const lane *l, float value, const SDL_Rect *box)
{
    float share = isfinite(value) && l->top > 0 ? value / l->top : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    return (float)(box->y + box->h) - 1 - share * (float)(box->h - 2);
}

static void draw_curve(chat_draw *draw, const lane *l, const SDL_Rect *box, const chat_message *message)
{
    // No more points than pixels: of each pixel's points the last is drawn.
    uint32_t count = message->point_count, columns = box->w > 4 ? (uint32_t)box->w / 2 : 2;
    uint32_t shown = count < columns ? count : columns;
    float width = draw->scale * 1.4f, last_x = 0, last_y = 0;
    for (uint32_t i = 0; i < shown; i++) {
        uint32_t at = shown < 2 ? 0 : (uint32_t)((uint64_t)i * (count - 1) / (shown - 1));
        float x = (float)box->x + (float)box->w * (shown < 2 ? 0 : (float)i / (float)(shown - 1));
        float y = height_of(l, l->value(&message->points[at]), box);
        if (i) draw_line(draw, last_x, last_y, x, y, width, l->color);
        last_x = x;
        last_y = y;
    }
    int dot = px(draw, 3);
    draw_round(draw, (SDL_Rect){(int)last_x - dot, (int)last_y - dot, 2 * dot, 2 * dot}, dot, l->color);
}

// Where thinking was left; the forced words behind it are points, too.
static uint32_t exit_point(const chat_message *message)
{
    uint32_t last = message->point_count - 1;
    while (message->left && last && message->points[last].token_index > message->exit_token)
        last--;
    return last;
}

static void draw_lane(chat_draw *draw, SDL_Rect rect, const lane *l, const chat_message *message)
{
    const chat_theme *theme = draw->theme;
    char text[32], limit[32];
    int title = font_line_height(draw->fonts, CHAT_FONT_TINY) + px(draw, 4);
    const chat_point *last = &message->points[exit_point(message)];
    snprintf(text, sizeof text, l->format, (double)(l->value(last) * l->factor));
    int sign = snprintf(limit, sizeof limit, "leaves %s ", l->sign);
    snprintf(limit + sign, sizeof limit - (size_t)sign, l->format, (double)(l->threshold * l->factor));
    SDL_Rect line = {rect.x, rect.y, rect.w, title - px(draw, 4)};
    draw_text_in(draw, CHAT_FONT_TINY, line, l->name, theme->dim, 0);
    int used = draw_text_width(draw, CHAT_FONT_TINY, l->name) + px(draw, 6);
    bool wide = l->has_threshold && rect.w > px(draw, 160);
    draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){line.x + used, line.y, line.w - used, line.h}, text, l->color,
                 wide ? 0 : 2);
    if (wide) draw_text_in(draw, CHAT_FONT_TINY, line, limit, theme->faint, 2);
    SDL_Rect box = {rect.x, rect.y + title, rect.w, rect.h - title};
    draw_rect(draw, (SDL_Rect){box.x, box.y + box.h - 1, box.w, 1}, theme->border);
    if (l->has_threshold) {
        int y = (int)height_of(l, l->threshold, &box);
        dashes(draw, box.x, y, box.w, theme->faint);
    }
    if (message->left && message->point_count > 1) {
        int x = box.x + (int)((int64_t)(box.w - 1) * exit_point(message) / (message->point_count - 1));
        draw_rect(draw, (SDL_Rect){x, box.y, px(draw, 1) + 1, box.h}, theme->accent);
    }
    draw_curve(draw, l, &box, message);
}

void plot_draw(chat_draw *draw, SDL_Rect rect, const chat_message *message)
{
    const chat_theme *theme = draw->theme;
    const chat_thresholds *t = &message->thresholds;
    lane lanes[3];
    int count = 0, gap = px(draw, 20);
    if (!plot_has_data(message)) return;
    if (has_signals(message)) {
        float most = largest(message, remain_of, t->remain > 0 ? t->remain * 1.25f : 50);
        lanes[count++] = (lane){"Confident", confidence_of,     t->confidence,    1, ">", "%.0f %%",
                                100,         t->confidence > 0, theme->confidence};
        lanes[count++] =
            (lane){"Done", progress_of, t->progress, 1, ">", "%.0f %%", 100, t->progress > 0, theme->progress};
        lanes[count++] =
            (lane){"Tokens left", remain_of, t->remain, most, "<", "%.0f", 1, t->remain > 0, theme->remain};
    } else {
        lanes[count++] = (lane){"Nats from closing", margin_of, 0, largest(message, margin_of, 4), "", "%.1f", 1, false,
                                theme->confidence};
        lanes[count++] =
            (lane){"Entropy", entropy_of, 0, largest(message, entropy_of, 1), "", "%.2f", 1, false, theme->remain};
    }
    int width = (rect.w - gap * (count - 1)) / count;
    for (int i = 0; i < count; i++)
        draw_lane(draw, (SDL_Rect){rect.x + i * (width + gap), rect.y, width, rect.h}, &lanes[i], message);
}
