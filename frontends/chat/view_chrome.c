// What surrounds the conversation: the side bar, the composer, and the frame that puts all in place.
#include "actions.h"
#include "view.h"

#include <stdio.h>
#include <string.h>

enum { SIDEBAR = 264, NARROW = 760, HEADER = 52, ROW = 36 };

// ---- Composer ------------------------------------------------------------------------------------------------------

static int composer_width(chat_app *app, int width)
{
    int inner = width - px(&app->draw, 48), most = px(&app->draw, 760);
    return inner > most ? most : inner;
}

static int composer_height(chat_app *app, int width)
{
    int outer = composer_width(app, width), inner = outer - px(&app->draw, 32);
    return view_field_height(app, FIELD_COMPOSER, inner, CHAT_FONT_BODY) + px(&app->draw, 12 + 44 + 40) +
           view_notice_height(app, outer);
}

static void composer_tools(chat_app *app, SDL_Rect card)
{
    chat_draw *draw = &app->draw;
    int y = card.y + card.h - px(draw, 40), height = px(draw, 32), pad = px(draw, 8);
    bool busy = app->state.streaming != NULL;
    const chat_message *reply = busy ? &app->state.streaming->messages[app->state.reply] : NULL;
    bool thinking = busy && chat_is_thinking(reply);
    const char *label = busy ? "Stop" : app->editing >= 0 ? "Ask again" : "Send";
    int width = draw_button_width(draw, label);
    SDL_Rect button = {card.x + card.w - width - pad, y, width, height};
    bool ready = !input_is_empty(&app->fields[FIELD_COMPOSER]) &&
                 (app->link.phase == LINK_READY || app->link.phase == LINK_LOADING);
    if (draw_button(draw, button, label, busy || !ready ? BUTTON_OUTLINE : BUTTON_FILLED,
                    busy ? "Stop writing" : "Send (Enter)")) {
        if (busy) {
            app_stop(app);
        } else {
            app_send(app);
        }
    }
    if (busy && !thinking && link_can_keep_thinking(&app->link, &app->state)) {
        int longer = draw_button_width(draw, "Think longer");
        button = (SDL_Rect){button.x - longer - pad, y, longer, height};
        if (draw_button(draw, button, "Think longer", BUTTON_OUTLINE,
                        "Withdraw the answer and go on thinking (Ctrl+L)"))
            app_think_longer(app);
    }
    if (app->editing >= 0) {
        int cancel = draw_button_width(draw, "Cancel");
        button = (SDL_Rect){button.x - cancel - pad, y, cancel, height};
        if (draw_button(draw, button, "Cancel", BUTTON_QUIET, "Leave the question as it was (Esc)"))
            app_cancel_edit(app);
    }
    chat_settings *settings = &app->state.settings;
    int left = card.x + px(draw, 16), room = button.x - left - px(draw, 16);
    SDL_Rect slider = {left, y, px(draw, card.w > px(draw, 460) ? 150 : 110), height};
    if (slider.w > room) slider.w = room;
    if (settings->no_thinking || (app->link.phase == LINK_READY && !app->link.info.thinks)) {
        draw_text_in(draw, CHAT_FONT_SMALL, slider, "Does not think", draw->theme->dim, 0);
        return;
    }
    chat_steering steering = app->state.current->steering;
    if (draw_slider(draw, slider, &steering.effort, true,
                    "Think little … think long: moves all thresholds of the early exit, in this chat"))
        chat_steer(&app->state, steering);
    SDL_Rect name = {slider.x + slider.w + px(draw, 12), y, button.x - slider.x - slider.w - px(draw, 16), height};
    char effort[96];
    chat_effort_text(&app->state, steering.effort, effort, sizeof effort);
    if (name.w > px(draw, 40)) draw_text_in(draw, CHAT_FONT_SMALL, name, effort, draw->theme->dim, 0);
}

static void draw_composer(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    int width = composer_width(app, rect.w), x = rect.x + (rect.w - width) / 2, y = rect.y;
    if (app->state.notice.length) {
        int height = view_notice_height(app, width);
        view_notice(app, (SDL_Rect){x, y, width, height});
        y += height;
    }
    int bottom = rect.y + rect.h - px(draw, 28);
    SDL_Rect card = {x, y, width, bottom - y};
    bool focused = app->field == FIELD_COMPOSER && !app->overlay;
    draw_card(draw, card, px(draw, 16), draw->theme->card, focused ? draw->theme->faint : draw->theme->border);
    SDL_Rect field = {x + px(draw, 16), y + px(draw, 12), width - px(draw, 32), card.h - px(draw, 12 + 44)};
    view_field(app, FIELD_COMPOSER, field, CHAT_FONT_BODY, app->editing >= 0 ? "Change the question" : "Ask something");
    composer_tools(app, card);
    draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){x, bottom + px(draw, 2), width, px(draw, 22)},
                 width > px(draw, 420) ? "Enter sends · Shift+Enter starts a line · Esc answers now · F1 all keys"
                                       : "Enter sends · Esc answers now · F1 all keys",
                 draw->theme->faint, 1);
}

// ---- Side bar ------------------------------------------------------------------------------------------------------

static void draw_row(chat_app *app, chat_conversation *conversation, SDL_Rect row)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    bool current = conversation == app->state.current, over = draw_inside(draw, row);
    int button = px(draw, 24), pad = px(draw, 12);
    if (current || over) draw_round(draw, row, px(draw, 8), current ? theme->hover : theme->raised);
    if (app->renaming == conversation) {
        SDL_Rect field = {row.x + pad, row.y + px(draw, 8), row.w - 2 * pad, row.h - px(draw, 12)};
        view_field(app, FIELD_RENAME, field, CHAT_FONT_SMALL, "Title");
        return;
    }
    int buttons = over && current ? 2 * button + px(draw, 4) : 0;
    SDL_Rect name = {row.x + pad, row.y, row.w - 2 * pad - buttons, row.h};
    draw_text_in(draw, CHAT_FONT_SMALL, name, conversation->title, current ? theme->text : theme->dim, 0);
    if (app->state.streaming == conversation && !buttons)
        draw_round(draw, (SDL_Rect){row.x + row.w - pad, row.y + row.h / 2 - px(draw, 3), px(draw, 6), px(draw, 6)},
                   px(draw, 3), theme->accent);
    if (!over) return;
    draw->hand = true;
    int y = row.y + (row.h - button) / 2, x = row.x + row.w - buttons - px(draw, 4);
    if (buttons && draw_button(draw, (SDL_Rect){x, y, button, button}, "✎", BUTTON_QUIET, "Rename (F2)")) {
        app_begin_rename(app, conversation);
    } else if (buttons && draw_button(draw, (SDL_Rect){x + button, y, button, button}, "×", BUTTON_QUIET,
                                      "Delete (Ctrl+Shift+Backspace)")) {
        app_open_overlay(app, OVERLAY_DELETE);
    } else if (draw->pressed && !current) {
        app_select(app, conversation);
        app->redraw = true;
    } else if (draw->pressed && draw->clicks == 2) {
        app_begin_rename(app, conversation);
    }
}

// Scrolls to the conversation that is being renamed, and to another that was chosen. Returns how many are listed.
static int scroll_list(chat_app *app, int height)
{
    const chat_state *state = &app->state;
    const chat_conversation *wanted = app->renaming                   ? app->renaming
                                      : app->listed != state->current ? state->current
                                                                      : NULL;
    int row = px(&app->draw, ROW), count = 0, at = -1;
    for (uint32_t i = 0; i < state->count; i++) {
        if (state->conversations[i] == wanted && wanted->matches) at = count;
        count += state->conversations[i]->matches;
    }
    int most = count * row - height, least = (at + 1) * row - height;
    if (at >= 0 && app->list_scroll > at * row) app->list_scroll = at * row;
    if (at >= 0 && app->list_scroll < least) app->list_scroll = least;
    app->listed = state->current;
    if (app->list_scroll > most) app->list_scroll = most;
    if (app->list_scroll < 0) app->list_scroll = 0;
    return count;
}

static void draw_list(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    chat_state *state = &app->state;
    int row = px(draw, ROW), count = scroll_list(app, rect.h);
    draw_clip(draw, &rect);
    int y = rect.y - app->list_scroll;
    uint32_t before = state->count;
    for (uint32_t i = 0; i < state->count && state->count == before; i++) {
        if (!state->conversations[i]->matches) continue;
        if (y + row > rect.y && y < rect.y + rect.h)
            draw_row(app, state->conversations[i], (SDL_Rect){rect.x, y, rect.w, row - px(draw, 2)});
        y += row;
    }
    if (count == 0)
        draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x, rect.y, rect.w, row}, "Nothing found",
                     draw->theme->faint, 1);
    draw_clip(draw, NULL);
}

static void draw_model_card(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    const engine_link *link = &app->link;
    char text[256];
    bool clicked = draw_button(draw, rect, "", BUTTON_QUIET, "Open a model (Ctrl+O)"), over = draw_inside(draw, rect);
    draw_card(draw, rect, px(draw, 10), over ? theme->raised : theme->card, theme->border);
    int pad = px(draw, 12), line = px(draw, 20);
    SDL_Rect first = {rect.x + pad, rect.y + px(draw, 8), rect.w - 2 * pad, line};
    SDL_Rect second = {first.x, first.y + line, first.w, line};
    const char *name = link->phase == LINK_READY    ? link->info.model_name
                       : link->phase == LINK_FAILED ? "No model"
                                                    : "Loading";
    draw_text_in(draw, CHAT_FONT_SMALL_BOLD, first, name, theme->text, 0);
    if (link->phase == LINK_LOADING) {
        draw_bar(draw, (SDL_Rect){second.x, second.y + px(draw, 8), second.w, px(draw, 4)},
                 (float)link->progress.fraction, theme->accent);
    } else {
        bool ready = link->phase == LINK_READY;
        snprintf(text, sizeof text, "%s%s", ready && link->info.draft_name[0] ? "with draft · " : "",
                 ready ? link->info.device : "Click to open one");
        draw_text_in(draw, CHAT_FONT_TINY, second, text, theme->dim, 0);
    }
    if (clicked) app_open_overlay(app, OVERLAY_MODELS);
}

static void draw_sidebar(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    char text[96];
    int pad = px(draw, 12), width = rect.w - 2 * pad, x = rect.x + pad, y = rect.y + pad;
    draw_rect(draw, rect, theme->side);
    draw_rect(draw, (SDL_Rect){rect.x + rect.w - 1, rect.y, 1, rect.h}, theme->border);
    if (draw_button(draw, (SDL_Rect){x, y, width, px(draw, 36)}, "New chat", BUTTON_OUTLINE, "Ctrl+N")) app_new(app);
    y += px(draw, 44);
    SDL_Rect search = {x, y, width, px(draw, 32)};
    draw_round(draw, search, px(draw, 8), theme->raised);
    view_field(app, FIELD_SEARCH, (SDL_Rect){x + pad, y + px(draw, 6), width - 2 * pad, px(draw, 22)}, CHAT_FONT_SMALL,
               "Search");
    y += px(draw, 44);
    int bottom = rect.y + rect.h - pad;
    SDL_Rect model = {x, bottom - px(draw, 56), width, px(draw, 56)};
    draw_model_card(app, model);
    bottom = model.y - px(draw, 8);
    if (app->state.saved_tokens) {
        int used = snprintf(text, sizeof text, "%llu tokens", (unsigned long long)app->state.saved_tokens);
        if (app->state.saved_seconds > 0.05)
            used += snprintf(text + used, sizeof text - (size_t)used, " and %.1f s", app->state.saved_seconds);
        snprintf(text + used, sizeof text - (size_t)used, " of thinking saved");
        bottom -= px(draw, 24);
        draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){x, bottom, width, px(draw, 20)}, text, theme->accent, 1);
        bottom -= px(draw, 4);
    }
    draw_list(app, (SDL_Rect){x, y, width, bottom - y});
}

// ---- Frame ---------------------------------------------------------------------------------------------------------

static void draw_header(chat_app *app, SDL_Rect rect, bool narrow)
{
    chat_draw *draw = &app->draw;
    int size = px(draw, 32), y = rect.y + (rect.h - size) / 2, x = rect.x + px(draw, 12), pad = px(draw, 4);
    if (draw_button(draw, (SDL_Rect){x, y, size, size}, "☰", BUTTON_QUIET, "Conversations (Ctrl+B)")) {
        if (narrow) {
            app->drawer = !app->drawer;
        } else {
            app->state.settings.hide_sidebar = !app->state.settings.hide_sidebar;
        }
        app->redraw = true;
    }
    int right = rect.x + rect.w - px(draw, 12), width = draw_button_width(draw, "Settings") - px(draw, 4);
    right -= width;
    if (draw_button(draw, (SDL_Rect){right, y, width, size}, "Settings", BUTTON_QUIET, "Ctrl+,"))
        app_open_overlay(app, OVERLAY_SETTINGS);
    if (app->state.current->count && rect.w > px(draw, 420)) {
        width = draw_button_width(draw, "Export") - px(draw, 4);
        right -= width + pad;
        if (draw_button(draw, (SDL_Rect){right, y, width, size}, "Export", BUTTON_QUIET,
                        "Write as Markdown into your home folder (Ctrl+S; with Shift as JSON)"))
            app_export(app, false);
    }
    SDL_Rect title = {x + size + px(draw, 8), rect.y, right - x - size - px(draw, 16), rect.h};
    if (app->state.current->count)
        draw_text_in(draw, CHAT_FONT_SMALL_BOLD, title, app->state.current->title, draw->theme->text, 0);
}

// The keyboard writes into nothing that is not shown, and a title is written where the keyboard is.
static void leave_fields(chat_app *app, bool sidebar)
{
    if (!sidebar && (app->field == FIELD_SEARCH || app->field == FIELD_RENAME)) app->field = FIELD_COMPOSER;
    if (app->field != FIELD_RENAME) app_end_rename(app, true);
}

void view_frame(chat_app *app)
{
    chat_draw *draw = &app->draw;
    bool narrow = app->width < px(draw, NARROW);
    int side = narrow || app->state.settings.hide_sidebar ? 0 : px(draw, SIDEBAR), header = px(draw, HEADER);
    bool modal = app->overlay || (narrow && app->drawer);
    if (!narrow) app->drawer = false;
    leave_fields(app, side || (narrow && app->drawer && !app->overlay));
    draw->hand = draw->beam = false;
    draw->tip = NULL;
    draw->focus_count = 0;
    draw->enabled = !modal;
    draw_rect(draw, (SDL_Rect){0, 0, app->width, app->height}, draw->theme->background);
    if (side) draw_sidebar(app, (SDL_Rect){0, 0, side, app->height});
    int width = app->width - side, composer = composer_height(app, width);
    draw_header(app, (SDL_Rect){side, 0, width, header}, narrow);
    view_transcript(app, (SDL_Rect){side, header, width, app->height - header - composer - px(draw, 8)});
    draw_composer(app, (SDL_Rect){side, app->height - composer, width, composer});
    if (modal) {
        chat_color shade = {0, 0, 0, draw->theme->dark ? 140 : 70};
        draw_rect(draw, (SDL_Rect){0, 0, app->width, app->height}, shade);
        draw->enabled = true;
        draw->tip = NULL;
        draw->hand = draw->beam = false;
    }
    if (narrow && app->drawer && !app->overlay) {
        SDL_Rect panel = {0, 0, px(draw, SIDEBAR) < app->width ? px(draw, SIDEBAR) : app->width, app->height};
        draw_sidebar(app, panel);
        if (draw->pressed && draw->mouse_x > panel.w) app->drawer = false;
    } else if (app->overlay && modal) { // else it was opened by this very click, which must not reach it
        view_overlay(app);
    }
    draw_tip(draw, app->width, app->height);
    if (draw->focus >= draw->focus_count) draw->focus = -1;
    font_end_frame(draw->fonts);
}
