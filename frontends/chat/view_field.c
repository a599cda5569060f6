// Text fields, and the notice.
#include "view.h"

#include <string.h>

enum { LINES = 8 }; // of a field, before it scrolls

// ---- Text fields ---------------------------------------------------------------------------------------------------

typedef struct field_text {     // as it is shown
    const layout *l;            // the app's
    size_t cursor, from, to;    // what is selected
    size_t composed, composing; // what an input method is composing: from, to
} field_text;

// What is being composed stands in place of what is selected, which it will replace.
static field_text field_layout(chat_app *app, app_field field, int width, chat_font font)
{
    const chat_input *input = &app->fields[field];
    layout_measure measure = draw_measure(&app->draw);
    app_field_view *view = &app->field_views[field];
    fe_text text = {0};
    field_text out = {.l = &view->shown, .cursor = input->cursor};
    input_selection(input, &out.from, &out.to);
    fe_text_append(&text, fe_text_string(&input->text), input->text.length);
    if (app->field == field && app->composition.length) {
        chat_text_remove(&text, out.from, out.to - out.from);
        chat_text_insert(&text, out.from, app->composition.data, app->composition.length);
        out.composed = out.from;
        out.composing = out.from + app->composition.length;
        out.cursor = out.from + app->composition_to;
        out.to = out.from;
    }
    if (view->shown.width == width && view->font == font && view->scale == app->draw.scale) {
        layout_change_plain(&view->shown, fe_text_string(&text), text.length, font, LAYOUT_TEXT, &measure);
    } else {
        layout_build_plain(&view->shown, fe_text_string(&text), text.length, font, LAYOUT_TEXT, width, &measure);
    }
    view->font = font;
    view->scale = app->draw.scale;
    fe_text_free(&text);
    return out;
}

int view_field_height(chat_app *app, app_field field, int width, chat_font font)
{
    field_text shown = field_layout(app, field, width, font);
    int height = shown.l->height, line = font_line_height(app->draw.fonts, font);
    return height < line ? line : height > LINES * line ? LINES * line : height;
}

bool view_field_step(chat_app *app, app_field field, int direction, bool select)
{
    chat_font font = app->field_views[field].font;
    int x, y, height, line = font_line_height(app->draw.fonts, font);
    field_text shown = field_layout(app, field, app->field_views[field].rect.w, font);
    layout_measure measure = draw_measure(&app->draw);
    layout_position(shown.l, &measure, (uint32_t)shown.cursor, &x, &y, &height);
    int wanted = y + height / 2 + direction * line;
    bool moves = wanted >= 0 && wanted < shown.l->height;
    if (moves) input_move_to(&app->fields[field], layout_hit(shown.l, &measure, x, wanted), select);
    return moves;
}

static void field_pointer(chat_app *app, app_field field, SDL_Rect rect, const layout *l, int top)
{
    chat_draw *draw = &app->draw;
    chat_input *input = &app->fields[field];
    if (!draw_inside(draw, rect) && !(app->field_selecting && app->field == field)) return;
    draw->beam = true;
    layout_measure measure = draw_measure(draw);
    size_t offset = layout_hit(l, &measure, draw->mouse_x - rect.x, draw->mouse_y - top);
    if (draw->pressed) {
        app->field = field;
        app->field_selecting = true;
        input_move_to(input, offset, (SDL_GetModState() & KMOD_SHIFT) != 0);
        if (draw->clicks == 2) {
            input_move(input, -1, INPUT_WORD, false);
            input_move(input, 1, INPUT_WORD, true);
        }
    } else if (app->field_selecting && draw->down && draw->clicks < 2) {
        input_move_to(input, offset, true);
    }
}

void view_field(chat_app *app, app_field field, SDL_Rect rect, chat_font font, const char *placeholder)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    const chat_input *input = &app->fields[field];
    bool focused = app->field == field;
    int x, y, height;
    field_text shown = field_layout(app, field, rect.w, font);
    layout_measure measure = draw_measure(draw);
    layout_position(shown.l, &measure, (uint32_t)shown.cursor, &x, &y, &height);
    int top = rect.y;
    if (y + height > rect.h) top -= y + height - rect.h; // the cursor stays in sight
    app->field_views[field].rect = rect;
    SDL_Rect before = draw->clip;
    draw_clip(draw, &rect);
    field_pointer(app, field, rect, shown.l, top);
    if (input->text.length == 0 && shown.composed == shown.composing)
        draw_text_in(draw, font, (SDL_Rect){rect.x + px(draw, 4), rect.y, rect.w, font_line_height(draw->fonts, font)},
                     placeholder, theme->faint, 0);
    draw_layout(draw, shown.l, rect.x, top, rect.y, rect.y + rect.h, focused ? (uint32_t)shown.from : 0,
                focused ? (uint32_t)shown.to : 0, false);
    if (shown.composed < shown.composing) {
        draw_underline(draw, shown.l, rect.x, top, (uint32_t)shown.composed, (uint32_t)shown.composing, px(draw, 1));
        draw_underline(draw, shown.l, rect.x, top, (uint32_t)(shown.composed + app->composition_from),
                       (uint32_t)(shown.composed + app->composition_to), px(draw, 2));
    }
    if (focused) {
        draw->caret = (SDL_Rect){rect.x + x, top + y + height / 6, px(draw, 1.5f), height - height / 3};
        draw_rect(draw, draw->caret, theme->accent);
    }
    draw_clip(draw, before.w ? &before : NULL);
}

// ---- Notice ---------------------------------------------------------------------------------------------------------

// Wrapped. The caller frees it.
static layout notice_layout(chat_app *app, int width)
{
    layout l = {0};
    layout_measure measure = draw_measure(&app->draw);
    layout_build_plain(&l, app->state.notice.data, app->state.notice.length, CHAT_FONT_SMALL, LAYOUT_TEXT,
                       width - px(&app->draw, 60), &measure);
    return l;
}

int view_notice_height(chat_app *app, int width)
{
    if (!app->state.notice.length) return 0;
    layout l = notice_layout(app, width);
    int height = l.height + px(&app->draw, 24);
    layout_free(&l);
    return height;
}

void view_notice(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    int button = px(draw, 28);
    rect.h -= px(draw, 8); // from what is below
    draw_round(draw, rect, px(draw, 8), draw->theme->accent_soft);
    layout l = notice_layout(app, rect.w);
    draw_layout(draw, &l, rect.x + px(draw, 12), rect.y + (rect.h - l.height) / 2, 0, app->height, 0, 0, false);
    layout_free(&l);
    if (draw_button(draw, (SDL_Rect){rect.x + rect.w - button - px(draw, 4), rect.y + px(draw, 4), button, button}, "×",
                    BUTTON_QUIET, NULL)) {
        fe_text_clear(&app->state.notice);
        app->redraw = true;
    }
}
