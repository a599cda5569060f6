// Drawing with SDL's renderer, and the immediate-mode widgets made of it: a widget is drawn and asked in one call.
// All lengths are pixels of the screen; px() turns logical ones into them.
#ifndef CHAT_DRAW_H
#define CHAT_DRAW_H

#include "font.h"

typedef struct chat_draw {
    SDL_Renderer *renderer;
    font_set *fonts;
    const chat_theme *theme;
    float scale;       // pixels per logical pixel: the display's and the zoom
    SDL_Texture *disc; // white, soft edge; corners are cut out of it

    // The pointer and keyboard as the widgets of this frame see them.
    int mouse_x, mouse_y;
    bool enabled; // false while something on top has the input
    bool pressed, released, down;
    bool activate;          // Enter or space for the focused widget
    int nudge;              // arrow keys for the focused slider: -1 left, 1 right
    int clicks;             // of `pressed`: 2 for a double click
    int focus, focus_count; // -1: none; tab moves it
    bool show_focus;
    bool hand, beam; // the pointer's shape, asked for by this frame's widgets
    const char *tip; // of the widget under the pointer; valid during the frame
    SDL_Rect tip_at;
    SDL_Rect caret; // of the field that has the keyboard
    SDL_Rect clip;  // widgets outside cannot be clicked; width 0: none
} chat_draw;

typedef enum draw_button_style {
    BUTTON_QUIET,
    BUTTON_OUTLINE,
    BUTTON_FILLED,
    BUTTON_DANGER,
    BUTTON_ROW
} draw_button_style;

bool draw_open(chat_draw *draw, SDL_Renderer *renderer, float scale, fe_text *problem);
void draw_close(chat_draw *draw);

static inline int px(const chat_draw *draw, float logical)
{
    return (int)(logical * draw->scale + 0.5f);
}

void draw_rect(chat_draw *draw, SDL_Rect rect, chat_color color);
void draw_round(chat_draw *draw, SDL_Rect rect, int radius, chat_color color);
void draw_card(chat_draw *draw, SDL_Rect rect, int radius, chat_color fill, chat_color border);
void draw_line(chat_draw *draw, float x0, float y0, float x1, float y1, float width, chat_color color);
void draw_clip(chat_draw *draw, const SDL_Rect *rect); // NULL: none

int draw_text(chat_draw *draw, chat_font font, int x, int y, const char *text, chat_color color); // returns its width
int draw_text_width(chat_draw *draw, chat_font font, const char *text);
// Cut with "…" where it is longer than `width`; vertically centred in `height`.
void draw_text_in(chat_draw *draw, chat_font font, SDL_Rect rect, const char *text, chat_color color, int align);
// The runs and boxes of a layout at x, y that show between `top` and `bottom`; bytes from..to are marked as selected.
void draw_layout(chat_draw *draw, const layout *l, int x, int y, int top, int bottom, uint32_t from, uint32_t to,
                 bool dimmed);
// Lines under bytes from..to.
void draw_underline(chat_draw *draw, const layout *l, int x, int y, uint32_t from, uint32_t to, int thickness);
layout_measure draw_measure(chat_draw *draw);

bool draw_inside(const chat_draw *draw, SDL_Rect rect); // the pointer, where it may be used
bool draw_button(chat_draw *draw, SDL_Rect rect, const char *label, draw_button_style style, const char *tip);
int draw_button_width(chat_draw *draw, const char *label);
// A bar with a handle; true while it is being moved. `value` is 0..1; `middle`: that is a place to come back to.
bool draw_slider(chat_draw *draw, SDL_Rect rect, float *value, bool middle, const char *tip);
void draw_bar(chat_draw *draw, SDL_Rect rect, float fraction, chat_color color);
void draw_tip(chat_draw *draw, int width, int height);

#endif
