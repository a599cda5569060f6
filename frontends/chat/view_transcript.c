// The conversation: messages in a column, thinking cards, answers.
#include "app.h"
#include "plot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMN_WIDTH = 760, LIVE_LINES = 9, PLOT_HEIGHT = 76, HEADER = 36, FOOTER = 32 };

static const char *const examples[] = {
    "What is 13 plus 10, minus 9, minus 4, times 2?",
    "Anna has 20 coins. Then Anna gives 4. Then there are 3 times as many. Then Anna gives 1. How many coins does Anna "
    "have?",
    "Start at 18, add 7, subtract 2, subtract 11, add 9, subtract 5, add 1, subtract 9, add 7.",
    "Ben has 11 coins. Then there are 4 times as many. Ben wins 2 more. Ben sells 9. How many now?",
};

void view_forget(chat_app *app)
{
    for (uint32_t i = 0; i < app->view_count; i++) {
        layout_free(&app->views[i].thinking);
        layout_free(&app->views[i].content);
    }
    free(app->views);
    app->views = NULL;
    app->view_count = 0;
    app->viewed = NULL;
}

static void follow_conversation(chat_app *app)
{
    chat_conversation *conversation = app->state.current;
    if (app->viewed != conversation) view_forget(app);
    app->viewed = conversation;
    if (app->view_count < conversation->count) {
        app->views = chat_reallocate(app->views, conversation->count, sizeof *app->views);
        memset(app->views + app->view_count, 0, (conversation->count - app->view_count) * sizeof *app->views);
        app->view_count = conversation->count;
    }
    app->path_count = chat_path(conversation, NULL, 0);
    if (app->path_count > app->path_capacity) {
        app->path_capacity = app->path_count * 2;
        app->path = chat_reallocate(app->path, app->path_capacity, sizeof *app->path);
    }
    chat_path(conversation, app->path, app->path_count);
}

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
    if (message->failure.length) y += px(draw, 44);
    view->footer_y = y;
    if (message->complete) y += px(draw, FOOTER);
    view->height = y + pad + px(draw, 8);
}

static void build_reply(chat_app *app, view_message *view, const chat_message *message, int width)
{
    chat_draw *draw = &app->draw;
    layout_measure measure = draw_measure(draw);
    markdown document = {0};
    markdown_parse(&document, chat_text_string(&message->content), message->content.length);
    layout_build(&view->content, &document, width, &measure);
    markdown_free(&document);
    bool open = chat_is_thinking(message) || message->unfolded;
    size_t length = open ? message->thinking.length : 0, start = 0;
    const char *text = chat_text_string(&message->thinking);
    while (length && (text[length - 1] == '\n' || text[length - 1] == ' '))
        length--;
    while (start < length && (text[start] == '\n' || text[start] == ' '))
        start++;
    chat_text packed = {0}; // its many blank lines say nothing
    for (size_t i = start; i < length; i++)
        if (text[i] != '\n' || text[i - 1] != '\n') chat_text_append(&packed, text + i, 1);
    layout_build_plain(&view->thinking, chat_text_string(&packed), packed.length, CHAT_FONT_SMALL, LAYOUT_DIM,
                       width - px(draw, 32), &measure);
    chat_text_free(&packed);
    if (!length) view->thinking.run_count = 0;
    place_reply(app, view, message, width);
}

static void build_question(chat_app *app, view_message *view, const chat_message *message, int width)
{
    chat_draw *draw = &app->draw;
    layout_measure measure = draw_measure(draw);
    int pad = px(draw, 16), widest = 0;
    layout_build_plain(&view->content, chat_text_string(&message->content), message->content.length, CHAT_FONT_BODY,
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

static void build(chat_app *app, uint32_t index, int width)
{
    view_message *view = &app->views[index];
    const chat_message *message = &app->state.current->messages[index];
    if (view->built && view->version == message->version && view->width == width && view->scale == app->draw.scale)
        return;
    if (message->role == SX_ROLE_USER) {
        build_question(app, view, message, width);
    } else {
        build_reply(app, view, message, width);
    }
    view->built = true;
    view->version = message->version;
    view->width = width;
    view->scale = app->draw.scale;
}

// ---- Selection -----------------------------------------------------------------------------------------------------

static bool before(app_place a, app_place b)
{
    return a.part < b.part || (a.part == b.part && a.offset < b.offset);
}

static void selected_range(const chat_app *app, uint32_t part, uint32_t *from, uint32_t *to)
{
    app_place first = before(app->anchor, app->head) ? app->anchor : app->head;
    app_place last = before(app->anchor, app->head) ? app->head : app->anchor;
    *from = *to = 0;
    if (!app->has_selection || part < first.part || part > last.part) return;
    *from = part == first.part ? first.offset : 0;
    *to = part == last.part ? last.offset : UINT32_MAX;
}

app_place view_place_at(chat_app *app, int x, int y)
{
    layout_measure measure = draw_measure(&app->draw);
    app_place place = {0};
    for (uint32_t i = 0; i < app->path_count; i++) {
        const view_message *view = &app->views[app->path[i]];
        int left = app->transcript.x;
        if (y < view->top && i) break;
        bool thinking = view->thinking_height && y < view->top + view->card_height;
        if (thinking) {
            int bottom = view->top + view->thinking_y + view->thinking_height - view->thinking.height;
            place.part = 2 * i;
            place.offset = layout_hit(&view->thinking, &measure, x - left - px(&app->draw, 16), y - bottom);
        } else {
            place.part = 2 * i + 1;
            place.offset =
                layout_hit(&view->content, &measure, x - left - view->content_x, y - view->top - view->content_y);
        }
    }
    return place;
}

void view_selection_text(chat_app *app, chat_text *out)
{
    for (uint32_t part = 0; part < 2 * app->path_count; part++) {
        uint32_t from, to;
        const view_message *view = &app->views[app->path[part / 2]];
        const layout *l = part % 2 ? &view->content : &view->thinking;
        selected_range(app, part, &from, &to);
        if (to > l->plain.length) to = (uint32_t)l->plain.length;
        if (from >= to || (part % 2 == 0 && !view->thinking_height)) continue;
        if (out->length) chat_text_add(out, "\n\n");
        chat_text_append(out, l->plain.data + from, to - from);
    }
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
        app_save(app, true);
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
    selected_range(app, 2 * place + 1, &from, &to);
    draw_layout(draw, &view->content, x + view->content_x, y + view->content_y, app->transcript.y, bottom, from, to,
                false);
    uint32_t position, count;
    chat_siblings(app->state.current, index, &position, &count);
    bool over = draw_inside(draw, (SDL_Rect){x, y, view->width, view->height});
    if (!over && count < 2) return;
    int siblings = count > 1 ? px(draw, 96) : 0;
    int at = x + view->width - siblings - 2 * px(draw, 60), line = y + view->footer_y;
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
    selected_range(app, 2 * place, &from, &to);
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
    selected_range(app, 2 * place + 1, &from, &to);
    if (message->content.length) {
        draw_layout(draw, &view->content, x, y + view->content_y, app->transcript.y,
                    app->transcript.y + app->transcript.h, from, to, false);
        draw_code_buttons(app, &view->content, x, y + view->content_y);
        draw_links(app, &view->content, x, y + view->content_y);
    }
    if (message->failure.length) {
        SDL_Rect rect = {x, y + view->footer_y - px(draw, 40), view->width, px(draw, 36)};
        draw_round(draw, rect, px(draw, 8), draw->theme->danger_soft);
        draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x + px(draw, 12), rect.y, rect.w - px(draw, 24), rect.h},
                     message->failure.data, draw->theme->danger, 0);
    }
    if (message->complete) draw_reply_footer(app, index, message, x, y + view->footer_y);
}

// ---- Pages instead of a conversation -------------------------------------------------------------------------------

static void loading_page(chat_app *app, SDL_Rect rect, int y)
{
    static const char *const stages[] = {"Opening the model", "Uploading weights", "Compiling kernels",
                                         "Testing the device", "Ready"};
    chat_draw *draw = &app->draw;
    char text[96];
    int width = px(draw, 320), x = rect.x + (rect.w - width) / 2;
    snprintf(text, sizeof text, "%s … %.0f %%", stages[app->link.progress.stage], 100 * app->link.progress.fraction);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){x, y, width, px(draw, 24)}, text, draw->theme->dim, 1);
    draw_bar(draw, (SDL_Rect){x, y + px(draw, 32), width, px(draw, 6)}, (float)app->link.progress.fraction,
             draw->theme->accent);
    int button = draw_button_width(draw, "Cancel");
    if (app->link.target &&
        draw_button(draw, (SDL_Rect){rect.x + (rect.w - button) / 2, y + px(draw, 56), button, px(draw, 32)}, "Cancel",
                    BUTTON_OUTLINE, NULL))
        app_open_model(app, "");
}

static void failure_page(chat_app *app, SDL_Rect rect, int y)
{
    chat_draw *draw = &app->draw;
    layout text = {0};
    layout_measure measure = draw_measure(draw);
    int width = rect.w < px(draw, 560) ? rect.w : px(draw, 560), x = rect.x + (rect.w - width) / 2, pad = px(draw, 16);
    layout_build_plain(&text, app->link.error.message, strlen(app->link.error.message), CHAT_FONT_SMALL, LAYOUT_TEXT,
                       width - 2 * pad, &measure);
    draw_round(draw, (SDL_Rect){x, y, width, text.height + 2 * pad}, px(draw, 12), draw->theme->danger_soft);
    draw_layout(draw, &text, x + pad, y + pad, 0, app->height, 0, 0, false);
    y += text.height + 2 * pad + px(draw, 16);
    layout_free(&text);
    int other = draw_button_width(draw, "Open another model"),
        bundled = draw_button_width(draw, "Use the bundled model");
    if (draw_button(draw, (SDL_Rect){x, y, other, px(draw, 32)}, "Open another model", BUTTON_FILLED, NULL))
        app_open_overlay(app, OVERLAY_MODELS);
    if (draw_button(draw, (SDL_Rect){x + other + px(draw, 8), y, bundled, px(draw, 32)}, "Use the bundled model",
                    BUTTON_OUTLINE, NULL))
        app_open_model(app, "");
}

static void example_cards(chat_app *app, SDL_Rect rect, int y)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    layout_measure measure = draw_measure(draw);
    int gap = px(draw, 12), columns = rect.w > px(draw, 560) ? 2 : 1, pad = px(draw, 16);
    int width = (rect.w - gap * (columns - 1)) / columns, height = px(draw, columns == 2 ? 92 : 80);
    for (int i = 0; i < 4; i++) {
        SDL_Rect card = {rect.x + i % columns * (width + gap), y + i / columns * (height + gap), width, height};
        if (card.y + card.h > rect.y + rect.h) break; // no room: fewer examples
        bool clicked = draw_button(draw, card, "", BUTTON_QUIET, NULL), over = draw_inside(draw, card);
        draw_card(draw, card, px(draw, 12), over ? theme->raised : theme->card, over ? theme->faint : theme->border);
        layout text = {0};
        layout_build_plain(&text, examples[i], strlen(examples[i]), CHAT_FONT_SMALL, LAYOUT_TEXT, width - 2 * pad,
                           &measure);
        int line = font_line_height(draw->fonts, CHAT_FONT_SMALL), lines = (height - 2 * px(draw, 12)) / line;
        int shown = text.height < lines * line ? text.height : lines * line;
        draw_layout(draw, &text, card.x + pad, card.y + (height - shown) / 2, 0, card.y + height - line, 0, 0, false);
        layout_free(&text);
        if (clicked) app_ask(app, examples[i]);
    }
}

static void empty_page(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    char text[256];
    int y = rect.y + rect.h / 5;
    if (y > rect.y + px(draw, 140)) y = rect.y + px(draw, 140);
    bool failed = app->link.phase == LINK_FAILED;
    draw_text_in(draw, CHAT_FONT_H1, (SDL_Rect){rect.x, y, rect.w, px(draw, 36)},
                 failed ? "This model cannot be loaded" : "What should I think about?", theme->text, 1);
    y += px(draw, 44);
    if (failed) {
        failure_page(app, rect, y + px(draw, 12));
        return;
    }
    if (app->link.phase == LINK_LOADING) {
        loading_page(app, rect, y);
        return;
    }
    snprintf(text, sizeof text, "%s",
             app->link.info.bundled && rect.w > px(draw, 560)
                 ? "A small model for sums and word problems is built in. It stops thinking once it is sure."
                 : "It stops thinking once it is sure.");
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x, y, rect.w, px(draw, 24)}, text, theme->dim, 1);
    if (app->link.info.bundled) example_cards(app, rect, y + px(draw, 48));
}

void view_transcript(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    int pad = px(draw, 24), width = rect.w - 2 * pad;
    if (width > px(draw, COLUMN_WIDTH)) width = px(draw, COLUMN_WIDTH);
    int x = rect.x + (rect.w - width) / 2;
    follow_conversation(app);
    app->transcript = (SDL_Rect){x, rect.y, width, rect.h};
    app->view_height = rect.h;
    if (app->path_count == 0) {
        app->content_height = 0;
        empty_page(app, app->transcript);
        return;
    }
    int total = pad;
    for (uint32_t i = 0; i < app->path_count; i++) {
        build(app, app->path[i], width);
        total += app->views[app->path[i]].height;
    }
    app->content_height = total + px(draw, 8);
    int most = app->content_height > rect.h ? app->content_height - rect.h : 0;
    if (app->follow || app->scroll > most) app->scroll = most;
    if (app->scroll < 0) app->scroll = 0;
    draw_clip(draw, &rect);
    int y = rect.y + pad - app->scroll;
    for (uint32_t i = 0; i < app->path_count; i++) {
        uint32_t index = app->path[i];
        view_message *view = &app->views[index];
        view->top = y;
        int next = y + view->height;
        if (next > rect.y && y < rect.y + rect.h) {
            if (app->state.current->messages[index].role == SX_ROLE_USER) {
                draw_question(app, index, view, x, y, i);
            } else {
                draw_reply(app, index, view, x, y, i);
            }
            if (app->viewed != app->state.current || app->view_count < app->state.current->count) break; // it was left
        }
        y = next;
    }
    draw_clip(draw, NULL);
    if (most > 0) {
        int length = rect.h * rect.h / app->content_height, least = px(draw, 32);
        if (length < least) length = least;
        int at = rect.y + (int)((int64_t)(rect.h - length) * app->scroll / most);
        draw_round(draw, (SDL_Rect){rect.x + rect.w - px(draw, 8), at, px(draw, 4), length}, px(draw, 2),
                   draw->theme->hover);
    }
}
