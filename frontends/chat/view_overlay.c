// The panels on top: what they stand on, help, deleting.
#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

SDL_Rect view_panel(chat_app *app, int width, int height, const char *title)
{
    chat_draw *draw = &app->draw;
    int margin = px(draw, 16);
    width = px(draw, (float)width) < app->width - 2 * margin ? px(draw, (float)width) : app->width - 2 * margin;
    int pad = px(draw, 24), size = px(draw, 32), notice = view_notice_height(app, width - 2 * pad);
    int told = notice ? notice + px(draw, 8) : 0;
    height = px(draw, (float)height) + told;
    if (height > app->height - 2 * margin) height = app->height - 2 * margin;
    SDL_Rect card = {(app->width - width) / 2, (app->height - height) / 2, width, height};
    bool outside = draw->pressed && !draw_inside(draw, card);
    draw_card(draw, card, px(draw, 16), draw->theme->background, draw->theme->border);
    SDL_Rect inner = {card.x + pad, card.y + px(draw, 20), card.w - 2 * pad, card.h - px(draw, 40)};
    draw_text_in(draw, CHAT_FONT_H2, (SDL_Rect){inner.x, inner.y, inner.w - size, size}, title, draw->theme->text, 0);
    bool close = draw_button(draw, (SDL_Rect){inner.x + inner.w - size, inner.y, size, size}, "×", BUTTON_QUIET, "Esc");
    if (close || outside) app_escape(app);
    inner.y += px(draw, 48);
    inner.h -= px(draw, 48);
    if (notice) view_notice(app, (SDL_Rect){inner.x, inner.y, inner.w, notice});
    inner.y += told;
    inner.h -= told;
    return inner;
}

void view_panel_scrolled(chat_app *app, SDL_Rect rect, int height)
{
    chat_draw *draw = &app->draw;
    int before = app->panel_scroll, most = height - rect.h;
    if (app->panel_scroll > most) app->panel_scroll = most;
    if (app->panel_scroll < 0) app->panel_scroll = 0;
    if (app->panel_scroll != before) app->redraw = true;
    if (most <= 0) return;
    int least = px(draw, 24), length = (int)((int64_t)rect.h * rect.h / height);
    if (length < least) length = least;
    int at = rect.y + (int)((int64_t)(rect.h - length) * app->panel_scroll / most), wide = px(draw, 4);
    draw_round(draw, (SDL_Rect){rect.x + rect.w + px(draw, 10), at, wide, length}, wide / 2, draw->theme->hover);
}

// ---- Help ----------------------------------------------------------------------------------------------------------

static const char *const keys[][2] = {
    {"Enter", "Send"},
    {"Shift+Enter", "New line"},
    {"Esc", "Answer now, then stop"},
    {"Ctrl+L", "Think longer"},
    {"Alt+Up, Down", "Let it think more or less"},
    {"Ctrl+R", "Answer again, new seed"},
    {"Ctrl+E", "Edit the last question"},
    {"Up, Down", "Recall what was sent"},
    {"Alt+Left, Right", "Versions of the answer"},
    {"Ctrl+T", "Open or fold the thinking"},
    {"Ctrl+Shift+C", "Copy the last answer"},
    {"Ctrl+A, Ctrl+C", "Select all, copy"},
    {"Ctrl+N", "New chat"},
    {"Ctrl+PgUp, PgDn", "Chat before, after"},
    {"Ctrl+K", "Search chats"},
    {"F2", "Rename"},
    {"Ctrl+Shift+Bksp", "Delete the chat"},
    {"Ctrl+S", "Export (Shift: as JSON)"},
    {"Ctrl+O", "Open a model"},
    {"Ctrl+,", "Settings"},
    {"Ctrl+B", "Side bar"},
    {"Ctrl+D", "Dark or light"},
    {"Ctrl+Plus, −, 0", "Zoom"},
    {"PgUp, PgDn", "Scroll"},
    {"Tab, arrows", "Buttons and sliders"},
    {"Ctrl+Z, Ctrl+Y", "Undo, redo"},
    {"Ctrl+Q", "Quit"},
};

static void draw_help(chat_app *app)
{
    chat_draw *draw = &app->draw;
    int count = (int)(sizeof keys / sizeof *keys), row = px(draw, 28);
    SDL_Rect inner = view_panel(app, 720, 480, "Keys");
    int columns = inner.w > px(draw, 520) ? 2 : 1, rows = (count + columns - 1) / columns;
    int width = (inner.w - px(draw, 24) * (columns - 1)) / columns, key = px(draw, 132);
    draw_clip(draw, &inner);
    for (int i = 0; i < count; i++) {
        SDL_Rect line = {inner.x + i / rows * (width + px(draw, 24)), inner.y + i % rows * row - app->panel_scroll,
                         width, row};
        draw_text_in(draw, CHAT_FONT_SMALL_BOLD, (SDL_Rect){line.x, line.y, key, row}, keys[i][0], draw->theme->text,
                     0);
        draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){line.x + key, line.y, width - key, row}, keys[i][1],
                     draw->theme->dim, 0);
    }
    draw_clip(draw, NULL);
    view_panel_scrolled(app, inner, rows * row);
}

// ---- Deleting ------------------------------------------------------------------------------------------------------

static void draw_delete(chat_app *app)
{
    chat_draw *draw = &app->draw;
    SDL_Rect inner = view_panel(app, 440, 190, "Delete this chat?");
    if (app->overlay != OVERLAY_DELETE) return;
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){inner.x, inner.y, inner.w, px(draw, 24)}, app->state.current->title,
                 draw->theme->dim, 0);
    int keep = draw_button_width(draw, "Keep"), remove = draw_button_width(draw, "Delete"),
        y = inner.y + inner.h - px(draw, 36);
    int x = inner.x + inner.w - remove;
    bool yes = draw_button(draw, (SDL_Rect){x, y, remove, px(draw, 36)}, "Delete", BUTTON_DANGER, "Enter");
    bool no =
        draw_button(draw, (SDL_Rect){x - keep - px(draw, 8), y, keep, px(draw, 36)}, "Keep", BUTTON_OUTLINE, "Esc");
    if (!yes && !no) return;
    app->overlay = OVERLAY_NONE;
    app->redraw = true;
    if (yes) app_delete(app);
}

void view_overlay(chat_app *app)
{
    switch (app->overlay) {
    case OVERLAY_HELP:
        draw_help(app);
        break;
    case OVERLAY_SETTINGS:
        view_settings(app);
        break;
    case OVERLAY_MODELS:
        view_models(app);
        break;
    case OVERLAY_DELETE:
        draw_delete(app);
        break;
    case OVERLAY_NONE:
        break;
    }
}
