// One message: its layouts, its places, and drawing it with the buttons that belong to it.
#include "actions.h"
#include "plot.h"
#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIVE_LINES = 9, PLOT_HEIGHT = 76, HEADER = 36, FOOTER = 32 };

// ---- Places --------------------------------------------------------------------------------------------------------

static void place_reply(chat_app *app, view_message *view, const chat_message *message, int width)
{
    chat_draw *draw = &app->draw;
    int y = 0, pad = px(draw, 16);
    bool live = chat_is_thinking(message), open = live || message->unfolded;
    view->plot_height = view->card_height = view->thinking_height = 0;
    if (message->thinking.length || live) {
        y = px(draw, HEADER);
        if (live) {
            view->bar_y = y;
            y += px(draw, 28);
        }
        if (open && !app->state.settings.hide_plot && plot_has_data(message)) {
            view->plot_y = y + px(draw, 4);
            view->plot_height = px(draw, PLOT_HEIGHT);
            y += view->plot_height + px(draw, 16);
        }
        if (open && view->thinking.run_count) {
            int line = font_line_height(draw->fonts, CHAT_FONT_SMALL), most = line * LIVE_LINES;
            view->thinking_y = y;
            view->thinking_height = live && view->thinking.height > most ? most : view->thinking.height;
            y += view->thinking_height;
        }
        if (open) y += px(draw, 12);
        view->card_height = y;
        y += px(draw, 16);
    }
    view->content_x = 0;
    view->content_width = width;
    view->content_y = y;
    if (message->content.length) y += view->content.height + px(draw, 8);
    if (message->failure.length) y += view->failure.height + px(draw, 24);
    view->footer_y = y;
    if (message->complete) y += px(draw, FOOTER);
    view->height = y + pad + px(draw, 8);
}

static void build_reply(chat_app *app, view_message *view, const chat_message *message, int width)
{
    chat_draw *draw = &app->draw;
    layout_measure measure = draw_measure(draw);
    markdown document = {0};
    markdown_parse(&document, fe_text_string(&message->content), message->content.length);
    layout_build(&view->content, &document, width, &measure);
    markdown_free(&document);
    bool open = chat_is_thinking(message) || message->unfolded;
    size_t length = open ? message->thinking.length : 0, start = 0;
    const char *text = fe_text_string(&message->thinking);
    while (length && (text[length - 1] == '\n' || text[length - 1] == ' '))
        length--;
    while (start < length && (text[start] == '\n' || text[start] == ' '))
        start++;
    fe_text packed = {0}; // its many blank lines say nothing
    for (size_t i = start; i < length; i++)
        if (text[i] != '\n' || text[i - 1] != '\n') fe_text_append(&packed, text + i, 1);
    layout_build_plain(&view->thinking, fe_text_string(&packed), packed.length, CHAT_FONT_SMALL, LAYOUT_DIM,
                       width - px(draw, 32), &measure);
    fe_text_free(&packed);
    layout_build_plain(&view->failure, fe_text_string(&message->failure), message->failure.length, CHAT_FONT_SMALL,
                       LAYOUT_TEXT, width - px(draw, 24), &measure);
    if (!length) view->thinking.run_count = 0;
    place_reply(app, view, message, width);
}

static void build_question(chat_app *app, view_message *view, const chat_message *message, int width)
{
    chat_draw *draw = &app->draw;
    layout_measure measure = draw_measure(draw);
    int pad = px(draw, 16), widest = 0;
    layout_build_plain(&view->content, fe_text_string(&message->content), message->content.length, CHAT_FONT_BODY,
                       LAYOUT_TEXT, width * 4 / 5 - 2 * pad, &measure);
    for (uint32_t i = 0; i < view->content.run_count; i++) {
        int end = view->content.runs[i].x + view->content.runs[i].width;
        if (end > widest) widest = end;
    }
    view->content_width = widest;
    view->content_x = width - widest - pad;
    view->content_y = px(draw, 10);
    view->footer_y = view->content.height + px(draw, 24);
    view->height = view->footer_y + px(draw, FOOTER);
}

static bool fits(const chat_app *app, const view_message *view, const chat_message *message, int width)
{
    return view->version == message->version && view->width == width && view->scale == app->draw.scale;
}

static void mark(chat_app *app, view_message *view, const chat_message *message, int width)
{
    view->version = message->version;
    view->width = width;
    view->scale = app->draw.scale;
}

void view_estimate(chat_app *app, uint32_t index, int width)
{
    view_message *view = &app->views[index];
    const chat_message *message = &app->state.current->messages[index];
    if (fits(app, view, message, width)) return;
    chat_draw *draw = &app->draw;
    bool user = message->role == SX_ROLE_USER;
    int line = font_line_height(draw->fonts, CHAT_FONT_BODY), inner = user ? width * 4 / 5 : width;
    int lines = 1 + (int)(message->content.length * (size_t)px(draw, 7) / (size_t)(inner > 1 ? inner : 1));
    const char *text = fe_text_string(&message->content);
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    view->height = lines * line + px(draw, FOOTER + 24) + (message->thinking.length ? px(draw, HEADER + 16) : 0);
    view->measured = false;
    mark(app, view, message, width);
}

void view_build(chat_app *app, uint32_t index, int width)
{
    view_message *view = &app->views[index];
    const chat_message *message = &app->state.current->messages[index];
    if (view->built && view->measured && fits(app, view, message, width)) return;
    if (message->role == SX_ROLE_USER) {
        build_question(app, view, message, width);
    } else {
        build_reply(app, view, message, width);
    }
    view->built = view->measured = true;
    mark(app, view, message, width);
}

// ---- Drawing -------------------------------------------------------------------------------------------------------

static void draw_siblings(chat_app *app, uint32_t index, int *x, int y)
{
    chat_draw *draw = &app->draw;
    uint32_t position, count;
    char text[32];
    chat_siblings(app->state.current, index, &position, &count);
    if (count < 2) return;
    int size = px(draw, 24), wide = px(draw, 44), step = 0;
    snprintf(text, sizeof text, "%u / %u", position + 1, count);
    if (draw_button(draw, (SDL_Rect){*x, y, size, size}, "‹", BUTTON_QUIET, "The version before (Alt+Left)")) step = -1;
    draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){*x + size, y, wide, size}, text, draw->theme->dim, 1);
    if (draw_button(draw, (SDL_Rect){*x + size + wide, y, size, size}, "›", BUTTON_QUIET,
                    "The next version (Alt+Right)"))
        step = 1;
    *x += 2 * size + wide + px(draw, 4);
    if (step && app->state.streaming != app->state.current) {
        chat_select_sibling(app->state.current, index, step);
        app_save(app);
        app_clear_selection(app);
        app->redraw = true;
    }
}

static bool small_button(chat_app *app, int *x, int y, const char *label, const char *tip)
{
    chat_draw *draw = &app->draw;
    int width = draw_button_width(draw, label) - px(draw, 8);
    bool clicked = draw_button(draw, (SDL_Rect){*x, y, width, px(draw, 24)}, label, BUTTON_QUIET, tip);
    *x += width;
    return clicked;
}

static void draw_question(chat_app *app, uint32_t index, view_message *view, int x, int y, uint32_t place)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    int pad = px(draw, 16), bottom = app->transcript.y + app->transcript.h;
    uint32_t from, to;
    SDL_Rect bubble = {x + view->content_x - pad, y, view->content_width + 2 * pad,
                       view->content.height + px(draw, 20)};
    draw_round(draw, bubble, px(draw, 16), app->editing == (int32_t)index ? theme->accent_soft : theme->raised);
    view_selected_range(app, 2 * place + 1, &from, &to);
    draw_layout(draw, &view->content, x + view->content_x, y + view->content_y, app->transcript.y, bottom, from, to,
                false);
    uint32_t position, count;
    chat_siblings(app->state.current, index, &position, &count);
    bool over = draw_inside(draw, (SDL_Rect){x, y, view->width, view->height});
    if (!over && count < 2) return;
    int siblings = count > 1 ? px(draw, 96) : 0, line = y + view->footer_y, room = 2 * px(draw, 16);
    int buttons =
        draw_text_width(draw, CHAT_FONT_SMALL, "Copy") + draw_text_width(draw, CHAT_FONT_SMALL, "Edit") + room;
    int at = x + view->width - siblings - buttons + px(draw, 8); // their words end where the bubble does
    if (over && small_button(app, &at, line, "Copy", NULL)) app_copy_message(app, index);
    if (over && small_button(app, &at, line, "Edit", "Change the question and ask again (Ctrl+E)"))
        app_edit(app, index);
    at = x + view->width - siblings;
    draw_siblings(app, index, &at, line);
}

static void draw_thinking_bar(chat_app *app, const chat_message *message, SDL_Rect card, int y)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    chat_forecast forecast = chat_thinking_forecast(message);
    char text[96];
    int pad = px(draw, 16), height = px(draw, 6);
    int width = card.w - 2 * pad, label = width > px(draw, 420) ? px(draw, 230) : width / 2;
    SDL_Rect bar = {card.x + pad, y + px(draw, 9), width - label, height};
    if (!forecast.known) {
        uint32_t done = app->state.prefill_done, total = app->state.prefill_total;
        if (total) {
            snprintf(text, sizeof text, "reading %u of %u tokens", done, total);
        } else {
            snprintf(text, sizeof text, "%.1f s", message->seconds);
        }
        draw_bar(draw, bar, total ? (float)done / (float)total : 0, theme->faint);
    } else {
        draw_bar(draw, bar, forecast.progress, theme->accent);
        int used = snprintf(text, sizeof text, "about %u tokens", forecast.tokens);
        if (forecast.seconds >= 0)
            snprintf(text + used, sizeof text - (size_t)used, ", %.1f s left", forecast.seconds);
        else
            snprintf(text + used, sizeof text - (size_t)used, " left");
    }
    draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){bar.x + bar.w, y, label, px(draw, 24)}, text, theme->dim, 2);
}

static void draw_live_header(chat_app *app, const chat_message *message, SDL_Rect card)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    char text[96];
    int pad = px(draw, 16), line = px(draw, HEADER + 4);
    SDL_Rect row = {card.x + pad, card.y, card.w - 2 * pad, line};
    bool reading = message->thinking.length == 0;
    draw_text_in(draw, CHAT_FONT_SMALL_BOLD, row, reading ? "Reading" : "Thinking", theme->text, 0);
    int used = draw_text_width(draw, CHAT_FONT_SMALL_BOLD, reading ? "Reading" : "Thinking") + px(draw, 8);
    if (message->tokens_per_second > 0) {
        snprintf(text, sizeof text, "%u tokens · %.0f a second", message->thinking_tokens, message->tokens_per_second);
    } else {
        snprintf(text, sizeof text, "%u tokens", message->thinking_tokens);
    }
    if (!reading)
        draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){row.x + used, row.y, row.w - used - px(draw, 130), row.h}, text,
                     theme->dim, 0);
    int width = draw_button_width(draw, "Answer now");
    SDL_Rect button = {card.x + card.w - width - px(draw, 8), card.y + px(draw, 8), width, px(draw, 28)};
    if (!reading && draw_button(draw, button, "Answer now", BUTTON_OUTLINE, "End the thinking here (Esc)"))
        app_answer_now(app);
}

static void draw_folded_header(chat_app *app, chat_message *message, SDL_Rect card)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    char text[256], saved[64];
    int pad = px(draw, 16), right = 0;
    SDL_Rect row = {card.x, card.y, card.w, px(draw, HEADER)};
    bool over = draw_inside(draw, row);
    if (message->saved_tokens && card.w > px(draw, 560)) {
        snprintf(saved, sizeof saved, "saved about %u tokens", message->saved_tokens);
        right = draw_text_width(draw, CHAT_FONT_TINY, saved) + px(draw, 12);
        draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){row.x, row.y, row.w - pad, row.h}, saved, theme->accent, 2);
    }
    chat_thinking_sentence(message, text, sizeof text);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){row.x + pad, row.y, px(draw, 14), row.h},
                 message->unfolded ? "▾" : "▸", theme->faint, 0);
    draw_text_in(draw, CHAT_FONT_SMALL,
                 (SDL_Rect){row.x + pad + px(draw, 18), row.y, row.w - 2 * pad - px(draw, 18) - right, row.h}, text,
                 over ? theme->text : theme->dim, 0);
    if (!over) return;
    draw->hand = true;
    if (draw->pressed) {
        message->unfolded = !message->unfolded;
        message->version++;
        app->column.follow = false; // the row under the pointer stays there
        app->redraw = true;
    }
}

static void draw_card_of(chat_app *app, chat_message *message, view_message *view, int x, int y, uint32_t place)
{
    chat_draw *draw = &app->draw;
    SDL_Rect card = {x, y, view->width, view->card_height};
    bool live = chat_is_thinking(message);
    draw_card(draw, card, px(draw, 12), draw->theme->card, draw->theme->border);
    if (live) {
        draw_live_header(app, message, card);
        draw_thinking_bar(app, message, card, y + view->bar_y);
    } else {
        draw_folded_header(app, message, card);
    }
    int pad = px(draw, 16);
    if (view->plot_height)
        plot_draw(draw, (SDL_Rect){x + pad, y + view->plot_y, view->width - 2 * pad, view->plot_height}, message);
    if (!view->thinking_height) return;
    SDL_Rect outer = draw->clip, text = {x, y + view->thinking_y, view->width, view->thinking_height}, shown;
    if (!SDL_IntersectRect(&outer, &text, &shown)) return;
    uint32_t from, to;
    view_selected_range(app, 2 * place, &from, &to);
    draw_clip(draw, &shown);
    draw_layout(draw, &view->thinking, x + pad, text.y + text.h - view->thinking.height, shown.y, shown.y + shown.h,
                from, to, true);
    draw_clip(draw, &outer);
}

static void draw_reply_footer(chat_app *app, uint32_t index, const chat_message *message, int x, int y)
{
    chat_draw *draw = &app->draw;
    char text[128];
    int at = x - px(draw, 8), line = y, size = 0;
    bool last = app->path_count && app->path[app->path_count - 1] == index;
    bool copied = app->copied == index + 1 && app_clock() < app->copied_until;
    draw_siblings(app, index, &at, line);
    if (small_button(app, &at, line, copied ? "Copied" : "Copy", NULL)) app_copy_message(app, index);
    bool idle = last && !app->state.streaming;
    bool again = idle && small_button(app, &at, line, "Again", "Another answer, with a new seed (Ctrl+R)");
    bool longer = idle && link_can_keep_thinking(&app->link, &app->state) &&
                  small_button(app, &at, line, "Think longer", "Withdraw the answer and go on thinking (Ctrl+L)");
    text[0] = 0;
    if (message->tokens) // else it was imported
        size = snprintf(text, sizeof text, "%u tokens in %.1f s", message->tokens, message->seconds);
    if (message->acceptance > 1.05)
        size += snprintf(text + size, sizeof text - (size_t)size, " · %.1f a step", message->acceptance);
    if (message->done_reason == SX_DONE_STOPPED)
        size += snprintf(text + size, sizeof text - (size_t)size, " · stopped");
    if (message->done_reason == SX_DONE_MAXIMUM) snprintf(text + size, sizeof text - (size_t)size, " · limit reached");
    int right = x + app->transcript.w;
    draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){at + px(draw, 8), line, right - at - px(draw, 8), px(draw, 24)}, text,
                 draw->theme->faint, 2);
    if (again) app_regenerate(app); // moves the messages: last
    if (longer) app_think_longer(app);
}

static void draw_code_buttons(chat_app *app, const layout *l, int x, int y)
{
    chat_draw *draw = &app->draw;
    for (uint32_t i = 0; i < l->box_count; i++) {
        const layout_box *box = &l->boxes[i];
        if (box->kind != LAYOUT_BOX_CODE) continue;
        int width = draw_button_width(draw, "Copy"), pad = px(draw, 12);
        SDL_Rect row = {x + box->x + pad, y + box->y, box->width - 2 * pad, px(draw, 32)};
        if (row.y > app->transcript.y + app->transcript.h || row.y + row.h < app->transcript.y) continue;
        draw_text_in(draw, CHAT_FONT_TINY, row, box->language[0] ? box->language : "code", draw->theme->faint, 0);
        SDL_Rect button = {row.x + row.w - width + px(draw, 8), row.y + px(draw, 4), width, px(draw, 24)};
        if (draw_button(draw, button, "Copy", BUTTON_QUIET, NULL))
            app_copy_text(l->plain.data + box->start, box->length);
    }
}

static void draw_links(chat_app *app, const layout *l, int x, int y)
{
    chat_draw *draw = &app->draw;
    if (!l->urls.length || !draw_inside(draw, app->transcript)) return;
    const layout_run *run = layout_run_at(l, draw->mouse_x - x, draw->mouse_y - y);
    if (!run || run->url < 0) return;
    const char *url = l->urls.data + run->url;
    draw->hand = true;
    draw->tip = url;
    draw->tip_at = (SDL_Rect){x + run->x, y + run->line_y, run->width, run->line_height};
    bool web = strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0 || strncmp(url, "mailto:", 7) == 0;
    if (draw->pressed && web) SDL_OpenURL(url); // a model's text must not open anything else
}

static void draw_reply(chat_app *app, uint32_t index, view_message *view, int x, int y, uint32_t place)
{
    chat_draw *draw = &app->draw;
    chat_message *message = &app->state.current->messages[index];
    uint32_t from, to;
    if (view->card_height) draw_card_of(app, message, view, x, y, place);
    view_selected_range(app, 2 * place + 1, &from, &to);
    if (message->content.length) {
        draw_layout(draw, &view->content, x, y + view->content_y, app->transcript.y,
                    app->transcript.y + app->transcript.h, from, to, false);
        draw_code_buttons(app, &view->content, x, y + view->content_y);
        draw_links(app, &view->content, x, y + view->content_y);
    }
    if (message->failure.length) {
        int pad = px(draw, 8), height = view->failure.height + 2 * pad;
        SDL_Rect rect = {x, y + view->footer_y - height - px(draw, 4), view->width, height};
        draw_round(draw, rect, px(draw, 8), draw->theme->danger_soft);
        draw_layout(draw, &view->failure, rect.x + px(draw, 12), rect.y + pad, app->transcript.y,
                    app->transcript.y + app->transcript.h, 0, 0, false);
    }
    if (message->complete) draw_reply_footer(app, index, message, x, y + view->footer_y);
}

void view_draw_message(chat_app *app, uint32_t message, uint32_t place, int x, int y)
{
    view_message *view = &app->views[message];
    if (app->state.current->messages[message].role == SX_ROLE_USER) {
        draw_question(app, message, view, x, y, place);
    } else {
        draw_reply(app, message, view, x, y, place);
    }
}
