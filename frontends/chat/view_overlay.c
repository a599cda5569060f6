// The panel that is on top: help, deleting, or one with a file of its own.
#include "actions.h"
#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
