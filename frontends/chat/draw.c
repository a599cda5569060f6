#include "draw.h"
#include "unicode.h"

#include <math.h>
#include <string.h>

enum { DISC_RADIUS = 32 };

static SDL_Texture *make_disc(SDL_Renderer *renderer)
{
    int size = 2 * DISC_RADIUS;
    SDL_Surface *surface = SDL_CreateRGBSurfaceWithFormat(0, size, size, 32, SDL_PIXELFORMAT_ARGB8888);
    if (!surface) return NULL;
    for (int y = 0; y < size; y++) {
        uint32_t *row = (uint32_t *)((char *)surface->pixels + y * surface->pitch);
        for (int x = 0; x < size; x++) {
            float dx = (float)(x - DISC_RADIUS) + 0.5f, dy = (float)(y - DISC_RADIUS) + 0.5f;
            float cover = (float)DISC_RADIUS + 0.5f - sqrtf(dx * dx + dy * dy);
            cover = cover < 0 ? 0 : cover > 1 ? 1 : cover;
            row[x] = (uint32_t)(cover * 255) << 24 | 0xFFFFFF;
        }
    }
    SDL_SetHint(SDL_HINT_RENDER_SCALE_QUALITY, "linear");
    SDL_Texture *texture = SDL_CreateTextureFromSurface(renderer, surface);
    SDL_FreeSurface(surface);
    if (texture) SDL_SetTextureBlendMode(texture, SDL_BLENDMODE_BLEND);
    return texture;
}

bool draw_open(chat_draw *draw, SDL_Renderer *renderer, float scale, fe_text *problem)
{
    *draw = (chat_draw){.renderer = renderer, .scale = scale, .theme = &chat_theme_light, .focus = -1};
    draw->disc = make_disc(renderer);
    draw->fonts = font_set_create(renderer, scale, problem);
    return draw->fonts != NULL;
}

void draw_close(chat_draw *draw)
{
    font_set_destroy(draw->fonts);
    if (draw->disc) SDL_DestroyTexture(draw->disc);
    *draw = (chat_draw){0};
}

void draw_rect(chat_draw *draw, SDL_Rect rect, chat_color color)
{
    // The software renderer blends pixel by pixel, opaque colours too, when it is told to blend.
    SDL_SetRenderDrawBlendMode(draw->renderer, color.a == 255 ? SDL_BLENDMODE_NONE : SDL_BLENDMODE_BLEND);
    SDL_SetRenderDrawColor(draw->renderer, color.r, color.g, color.b, color.a);
    SDL_RenderFillRect(draw->renderer, &rect);
}

void draw_round(chat_draw *draw, SDL_Rect rect, int radius, chat_color color)
{
    if (rect.w <= 0 || rect.h <= 0) return;
    if (2 * radius > rect.w) radius = rect.w / 2;
    if (2 * radius > rect.h) radius = rect.h / 2;
    if (radius < 1 || !draw->disc) {
        draw_rect(draw, rect, color);
        return;
    }
    int r = radius;
    draw_rect(draw, (SDL_Rect){rect.x + r, rect.y, rect.w - 2 * r, rect.h}, color);
    draw_rect(draw, (SDL_Rect){rect.x, rect.y + r, r, rect.h - 2 * r}, color);
    draw_rect(draw, (SDL_Rect){rect.x + rect.w - r, rect.y + r, r, rect.h - 2 * r}, color);
    SDL_SetTextureColorMod(draw->disc, color.r, color.g, color.b);
    SDL_SetTextureAlphaMod(draw->disc, color.a);
    for (int corner = 0; corner < 4; corner++) {
        int right = corner & 1, low = corner >> 1;
        SDL_Rect from = {right * DISC_RADIUS, low * DISC_RADIUS, DISC_RADIUS, DISC_RADIUS};
        SDL_Rect to = {rect.x + right * (rect.w - r), rect.y + low * (rect.h - r), r, r};
        SDL_RenderCopy(draw->renderer, draw->disc, &from, &to);
    }
}

void draw_card(chat_draw *draw, SDL_Rect rect, int radius, chat_color fill, chat_color border)
{
    int line = px(draw, 1) > 1 ? px(draw, 1) : 1;
    draw_round(draw, rect, radius, border);
    draw_round(draw, (SDL_Rect){rect.x + line, rect.y + line, rect.w - 2 * line, rect.h - 2 * line}, radius - line,
               fill);
}

void draw_line(chat_draw *draw, float x0, float y0, float x1, float y1, float width, chat_color color)
{
    float dx = x1 - x0, dy = y1 - y0, length = sqrtf(dx * dx + dy * dy);
    if (length < 1e-3f) return;
    float half = width / 2;
    // A soft rim of half a pixel on both sides stands in for antialiasing.
    float inner_x = -dy / length * half, inner_y = dx / length * half;
    float outer_x = -dy / length * (half + 0.9f), outer_y = dx / length * (half + 0.9f);
    SDL_Color solid = {color.r, color.g, color.b, color.a}, clear = {color.r, color.g, color.b, 0};
    SDL_Vertex v[8] = {{.position = {x0 + outer_x, y0 + outer_y}, .color = clear},
                       {.position = {x1 + outer_x, y1 + outer_y}, .color = clear},
                       {.position = {x0 + inner_x, y0 + inner_y}, .color = solid},
                       {.position = {x1 + inner_x, y1 + inner_y}, .color = solid},
                       {.position = {x0 - inner_x, y0 - inner_y}, .color = solid},
                       {.position = {x1 - inner_x, y1 - inner_y}, .color = solid},
                       {.position = {x0 - outer_x, y0 - outer_y}, .color = clear},
                       {.position = {x1 - outer_x, y1 - outer_y}, .color = clear}};
    SDL_SetRenderDrawBlendMode(draw->renderer, SDL_BLENDMODE_BLEND);
    static const int indices[] = {0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6, 5, 6, 7};
    SDL_RenderGeometry(draw->renderer, NULL, v, 8, indices, 18);
}

void draw_clip(chat_draw *draw, const SDL_Rect *rect)
{
    SDL_RenderSetClipRect(draw->renderer, rect);
    draw->clip = rect ? *rect : (SDL_Rect){0};
}

// ---- Text ----------------------------------------------------------------------------------------------------------

int draw_text(chat_draw *draw, chat_font font, int x, int y, const char *text, chat_color color)
{
    return font_draw(draw->fonts, font, x, y, text, strlen(text), false, color);
}

int draw_text_width(chat_draw *draw, chat_font font, const char *text)
{
    return font_width(draw->fonts, font, text, strlen(text));
}

// A label whose words run in more than one direction.
static void draw_one_line(chat_draw *draw, const layout *line, SDL_Rect rect, chat_color color, int align)
{
    int left = 1 << 30, right = 0;
    for (uint32_t i = 0; i < line->run_count; i++) {
        if (line->runs[i].x < left) left = line->runs[i].x;
        if (line->runs[i].x + line->runs[i].width > right) right = line->runs[i].x + line->runs[i].width;
    }
    int width = right - left, x = rect.x + (align == 1 ? (rect.w - width) / 2 : align == 2 ? rect.w - width : 0);
    for (uint32_t i = 0; i < line->run_count; i++) {
        const layout_run *run = &line->runs[i];
        int y = rect.y + (rect.h - font_glyph_height(draw->fonts, run->font)) / 2;
        font_draw(draw->fonts, run->font, x + run->x - left, y, line->plain.data + run->start, run->length, run->rtl,
                  color);
    }
}

void draw_text_in(chat_draw *draw, chat_font font, SDL_Rect rect, const char *text, chat_color color, int align)
{
    char cut[512];
    size_t length = strcspn(text, "\n");
    int width = font_width(draw->fonts, font, text, length);
    if (width > rect.w) {
        int dots = font_width(draw->fonts, font, "…", strlen("…"));
        if (length > sizeof cut - 8) length = sizeof cut - 8;
        while (length && (width = font_width(draw->fonts, font, text, length) + dots) > rect.w)
            length = chat_utf8_previous(text, length);
        memcpy(cut, text, length);
        memcpy(cut + length, "…", sizeof "…");
        length += strlen("…");
        text = cut;
    }
    if (unicode_has_rtl(text, length)) {
        layout line = {0};
        layout_measure measure = draw_measure(draw);
        layout_build_plain(&line, text, length, font, LAYOUT_TEXT, 1 << 20, &measure);
        draw_one_line(draw, &line, rect, color, align);
        layout_free(&line);
        return;
    }
    int x = rect.x + (align == 1 ? (rect.w - width) / 2 : align == 2 ? rect.w - width : 0);
    int y = rect.y + (rect.h - font_glyph_height(draw->fonts, font)) / 2;
    font_draw(draw->fonts, font, x, y, text, length, false, color);
}

static int measure_width(void *user, chat_font font, const char *text, size_t length)
{
    return font_width(((chat_draw *)user)->fonts, font, text, length);
}

static int measure_height(void *user, chat_font font)
{
    return font_line_height(((chat_draw *)user)->fonts, font);
}

static int measure_ascent(void *user, chat_font font)
{
    return font_ascent(((chat_draw *)user)->fonts, font);
}

layout_measure draw_measure(chat_draw *draw)
{
    return (layout_measure){.user = draw,
                            .width = measure_width,
                            .height = measure_height,
                            .ascent = measure_ascent,
                            .unit = px(draw, CHAT_UNIT)};
}

static void draw_boxes(chat_draw *draw, const layout *l, int x, int y, int top, int bottom)
{
    const chat_theme *theme = draw->theme;
    for (uint32_t i = 0; i < l->box_count; i++) {
        const layout_box *box = &l->boxes[i];
        SDL_Rect rect = {x + box->x, y + box->y, box->width, box->height};
        if (rect.y + rect.h < top || rect.y > bottom) continue;
        if (box->kind == LAYOUT_BOX_CODE) {
            draw_card(draw, rect, px(draw, 8), theme->code, theme->border);
        } else if (box->kind == LAYOUT_BOX_CHIP) {
            draw_round(draw, rect, px(draw, 4), theme->raised);
        } else {
            draw_rect(draw, rect, theme->border);
        }
    }
}

void draw_layout(chat_draw *draw, const layout *l, int x, int y, int top, int bottom, uint32_t from, uint32_t to,
                 bool dimmed)
{
    const chat_theme *theme = draw->theme;
    layout_measure measure = draw_measure(draw);
    draw_boxes(draw, l, x, y, top, bottom);
    for (uint32_t i = layout_first_visible(l, top - y); i < l->run_count; i++) {
        const layout_run *run = &l->runs[i];
        const char *text = l->plain.data + run->start;
        if (y + run->line_y > bottom) break;
        uint32_t start = from > run->start ? from : run->start;
        uint32_t end = to < run->start + run->length ? to : run->start + run->length;
        if (start < end) {
            int x0 = layout_run_x(l, &measure, run, start), x1 = layout_run_x(l, &measure, run, end);
            int left = x0 < x1 ? x0 : x1, width = x0 < x1 ? x1 - x0 : x0 - x1;
            draw_rect(draw, (SDL_Rect){x + left, y + run->line_y, width, run->line_height}, theme->selection);
        }
        chat_color color = run->role == LAYOUT_LINK            ? theme->accent
                           : dimmed || run->role == LAYOUT_DIM ? theme->dim
                                                               : theme->text;
        font_draw(draw->fonts, run->font, x + run->x, y + run->y, text, run->length, run->rtl, color);
        int ascent = font_ascent(draw->fonts, run->font);
        if (run->role == LAYOUT_LINK)
            draw_rect(draw, (SDL_Rect){x + run->x, y + run->y + ascent + px(draw, 2), run->width, 1}, color);
        if (run->strike) draw_rect(draw, (SDL_Rect){x + run->x, y + run->y + ascent * 2 / 3, run->width, 1}, color);
    }
}

void draw_underline(chat_draw *draw, const layout *l, int x, int y, uint32_t from, uint32_t to, int thickness)
{
    layout_measure measure = draw_measure(draw);
    for (uint32_t i = 0; i < l->run_count; i++) {
        const layout_run *run = &l->runs[i];
        uint32_t start = from > run->start ? from : run->start;
        uint32_t end = to < run->start + run->length ? to : run->start + run->length;
        if (start >= end) continue;
        int x0 = layout_run_x(l, &measure, run, start), x1 = layout_run_x(l, &measure, run, end);
        int below = run->y + font_ascent(draw->fonts, run->font) + px(draw, 3);
        draw_rect(draw, (SDL_Rect){x + (x0 < x1 ? x0 : x1), y + below, x0 < x1 ? x1 - x0 : x0 - x1, thickness},
                  draw->theme->text);
    }
}

// ---- Widgets -------------------------------------------------------------------------------------------------------

static bool contains(SDL_Rect rect, int x, int y)
{
    return x >= rect.x && y >= rect.y && x < rect.x + rect.w && y < rect.y + rect.h;
}

bool draw_inside(const chat_draw *draw, SDL_Rect rect)
{
    return draw->enabled && contains(rect, draw->mouse_x, draw->mouse_y) &&
           (draw->clip.w == 0 || contains(draw->clip, draw->mouse_x, draw->mouse_y));
}

static bool take_focus(chat_draw *draw, SDL_Rect rect)
{
    if (!draw->enabled) return false;
    bool focused = draw->focus == draw->focus_count++;
    if (focused && draw->show_focus) {
        int gap = px(draw, 2);
        draw_round(draw, (SDL_Rect){rect.x - gap, rect.y - gap, rect.w + 2 * gap, rect.h + 2 * gap}, px(draw, 10),
                   draw->theme->accent);
    }
    return focused;
}

int draw_button_width(chat_draw *draw, const char *label)
{
    return draw_text_width(draw, CHAT_FONT_SMALL, label) + px(draw, 24);
}

bool draw_button(chat_draw *draw, SDL_Rect rect, const char *label, draw_button_style style, const char *tip)
{
    const chat_theme *theme = draw->theme;
    bool focused = take_focus(draw, rect), over = draw_inside(draw, rect);
    int radius = px(draw, 8);
    chat_color ink = theme->dim;
    if (focused && draw->show_focus) draw_round(draw, rect, radius, theme->background);
    if (style == BUTTON_FILLED) {
        draw_round(draw, rect, radius, over ? theme->dim : theme->accent);
        if (over) draw_round(draw, rect, radius, (chat_color){theme->accent.r, theme->accent.g, theme->accent.b, 200});
        ink = theme->on_accent;
    } else if (style == BUTTON_OUTLINE) {
        draw_card(draw, rect, radius, over ? theme->hover : theme->card, theme->border);
        ink = theme->text;
    } else if (over) {
        draw_round(draw, rect, radius, style == BUTTON_DANGER ? theme->danger_soft : theme->hover);
        ink = theme->text;
    }
    if (style == BUTTON_DANGER) ink = theme->danger;
    int pad = style == BUTTON_ROW ? px(draw, 12) : px(draw, 4);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x + pad, rect.y, rect.w - 2 * pad, rect.h}, label, ink,
                 style == BUTTON_ROW ? 0 : 1);
    if (over) {
        draw->hand = true;
        draw->tip = tip;
        draw->tip_at = rect;
    }
    return (over && draw->pressed) || (focused && draw->activate);
}

bool draw_slider(chat_draw *draw, SDL_Rect rect, float *value, bool middle_counts, const char *tip)
{
    const chat_theme *theme = draw->theme;
    bool focused = take_focus(draw, rect), over = draw_inside(draw, rect), changed = false;
    int radius = px(draw, 7), middle = rect.y + rect.h / 2, span = rect.w - 2 * radius;
    if (focused && draw->show_focus) draw_round(draw, rect, px(draw, 8), theme->background);
    if (over && draw->down && span > 0) {
        float moved = (float)(draw->mouse_x - rect.x - radius) / (float)span;
        moved = moved < 0 ? 0 : moved > 1 ? 1 : moved;
        if (middle_counts && fabsf(moved - 0.5f) < 0.03f) moved = 0.5f; // easy to find
        changed = moved != *value;
        *value = moved;
    } else if (focused && draw->nudge) {
        float moved = *value + 0.05f * (float)draw->nudge;
        *value = moved < 0 ? 0 : moved > 1 ? 1 : roundf(moved * 20) / 20;
        changed = true;
    }
    int at = rect.x + radius + (int)((float)span * *value);
    int line = px(draw, 4);
    draw_round(draw, (SDL_Rect){rect.x, middle - line / 2, rect.w, line}, line / 2, theme->hover);
    draw_round(draw, (SDL_Rect){rect.x, middle - line / 2, at - rect.x, line}, line / 2, theme->accent);
    if (middle_counts)
        draw_rect(draw, (SDL_Rect){rect.x + rect.w / 2, middle - px(draw, 5), 1, px(draw, 10)}, theme->faint);
    draw_round(draw, (SDL_Rect){at - radius, middle - radius, 2 * radius, 2 * radius}, radius, theme->accent);
    draw_round(draw, (SDL_Rect){at - radius + 2, middle - radius + 2, 2 * radius - 4, 2 * radius - 4}, radius - 2,
               over ? theme->accent_soft : theme->card);
    if (over) {
        draw->hand = true;
        draw->tip = tip;
        draw->tip_at = rect;
    }
    return changed;
}

void draw_bar(chat_draw *draw, SDL_Rect rect, float fraction, chat_color color)
{
    fraction = fraction < 0 ? 0 : fraction > 1 ? 1 : fraction;
    draw_round(draw, rect, rect.h / 2, draw->theme->hover);
    int width = (int)((float)rect.w * fraction);
    if (width > 0)
        draw_round(draw, (SDL_Rect){rect.x, rect.y, width > rect.h ? width : rect.h, rect.h}, rect.h / 2, color);
}

void draw_tip(chat_draw *draw, int width, int height)
{
    if (!draw->tip) return;
    int pad = px(draw, 8), w = draw_text_width(draw, CHAT_FONT_TINY, draw->tip) + 2 * pad;
    int h = font_line_height(draw->fonts, CHAT_FONT_TINY) + pad;
    int x = draw->tip_at.x + draw->tip_at.w / 2 - w / 2, y = draw->tip_at.y - h - px(draw, 6);
    if (y < pad) y = draw->tip_at.y + draw->tip_at.h + px(draw, 6);
    if (y + h > height) y = height - h;
    x = x + w > width - pad ? width - pad - w : x;
    x = x < pad ? pad : x;
    draw_round(draw, (SDL_Rect){x, y, w, h}, px(draw, 6), draw->theme->text);
    draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){x, y, w, h}, draw->tip, draw->theme->background, 1);
}
