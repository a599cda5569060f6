// The conversation: which messages are in sight, the selection over them, the scroll bar.
#include "actions.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMN_WIDTH = 760, KEPT_AROUND = 24, TOP = 24, BOTTOM = 8 };

// What is kept for drawing becomes that of the current conversation: before each frame, and before events that came
// since the conversation changed are told what is where.
static void follow_conversation(chat_app *app)
{
    chat_conversation *conversation = app->state.current;
    if (app->viewed != conversation) view_forget(app);
    app->viewed = conversation;
    if (app->view_count < conversation->count) {
        app->views = fe_reallocate(app->views, conversation->count, sizeof *app->views);
        memset(app->views + app->view_count, 0, (conversation->count - app->view_count) * sizeof *app->views);
        app->view_count = conversation->count;
    }
    app->path_count = chat_path(conversation, NULL, 0);
    if (app->path_count > app->path_capacity) {
        app->path_capacity = app->path_count * 2;
        app->path = fe_reallocate(app->path, app->path_capacity, sizeof *app->path);
    }
    chat_path(conversation, app->path, app->path_count);
}

// ---- Selection -----------------------------------------------------------------------------------------------------

app_place view_place_at(chat_app *app, int x, int y)
{
    layout_measure measure = draw_measure(&app->draw);
    app_place place = {0};
    follow_conversation(app);
    for (uint32_t i = app->column.first; i <= app->column.last && i < app->path_count; i++) {
        const view_message *view = &app->views[app->path[i]];
        int left = app->transcript.x;
        if (y < view->top && i > app->column.first) break;
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

void view_selection_text(chat_app *app, fe_text *out)
{
    follow_conversation(app);
    for (uint32_t part = 0; part < 2 * app->path_count; part++) {
        uint32_t from, to;
        view_selected_range(app, part, &from, &to);
        if (from >= to) continue;
        view_build(app, app->path[part / 2], app->transcript.w);
        const view_message *view = &app->views[app->path[part / 2]];
        const layout *l = part % 2 ? &view->content : &view->thinking;
        if (to > l->plain.length) to = (uint32_t)l->plain.length;
        if (from >= to || (part % 2 == 0 && !view->thinking_height)) continue;
        if (out->length) fe_text_add(out, "\n\n");
        fe_text_append(out, l->plain.data + from, to - from);
    }
}

// ---- What is in sight ----------------------------------------------------------------------------------------------

static int with_margins(const chat_app *app, uint32_t item)
{
    int height = app->views[app->path[item]].height;
    if (item == 0) height += px(&app->draw, TOP);
    if (item + 1 == app->path_count) height += px(&app->draw, BOTTOM);
    return height;
}

static int item_height(void *user, uint32_t item)
{
    chat_app *app = user;
    view_estimate(app, app->path[item], app->transcript.w);
    return with_margins(app, item);
}

static int item_build(void *user, uint32_t item)
{
    chat_app *app = user;
    view_build(app, app->path[item], app->transcript.w);
    return with_margins(app, item);
}

static column_items items_of(chat_app *app)
{
    return (column_items){.user = app, .count = app->path_count, .height = item_height, .build = item_build};
}

// Another width or zoom changes all heights: what is read stays where it is, as a share of its message.
static void place_column(chat_app *app)
{
    column *c = &app->column;
    column_items items = items_of(app);
    if (!c->follow && c->first < app->path_count) {
        int old = app->views[app->path[c->first]].height, width = app->views[app->path[c->first]].width;
        int now = item_build(app, c->first);
        if (old > 0 && width != app->transcript.w) c->offset = (int)((int64_t)c->offset * now / old);
    }
    column_place(c, &items, app->view_height);
    for (uint32_t i = 0; i < app->path_count; i++)
        if (i + KEPT_AROUND < c->first || i > c->last + KEPT_AROUND) view_release(&app->views[app->path[i]]);
}

static void draw_scroll_bar(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    column *c = &app->column;
    SDL_Rect bar = {rect.x + rect.w - px(draw, 12), rect.y, px(draw, 12), rect.h};
    bool over = draw_inside(draw, bar);
    if (c->height <= rect.h) return;
    if (!draw->down) app->scroll_bar_held = false;
    if (over && draw->pressed) app->scroll_bar_held = true;
    int least = px(draw, 32), length = (int)((int64_t)rect.h * rect.h / c->height);
    if (length < least) length = least < rect.h ? least : rect.h;
    if (app->scroll_bar_held && rect.h > length) {
        double middle = (double)(draw->mouse_y - rect.y - length / 2) / (rect.h - length);
        column_items items = items_of(app);
        column_jump(c, &items, middle * (double)(c->height - rect.h) / (double)c->height);
        app->redraw = true;
    }
    int at = rect.y + (int)((rect.h - length) * c->scrolled / (c->height - rect.h));
    int wide = px(draw, over || app->scroll_bar_held ? 8 : 4);
    draw_round(draw, (SDL_Rect){bar.x + bar.w - wide - px(draw, 2), at, wide, length}, wide / 2,
               over || app->scroll_bar_held ? draw->theme->faint : draw->theme->hover);
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
        app->column = (column){.follow = true};
        view_empty_page(app, app->transcript);
        return;
    }
    place_column(app);
    draw_clip(draw, &rect);
    const column c = app->column; // the buttons of a message may move it
    int y = rect.y - c.offset;
    for (uint32_t i = c.first; i <= c.last && i < app->path_count; i++) {
        uint32_t message = app->path[i];
        int height = with_margins(app, i), top = i ? y : y + px(draw, TOP);
        app->views[message].top = top;
        view_draw_message(app, message, i, x, top);
        if (app->viewed != app->state.current || app->view_count < app->state.current->count) break; // it was left
        y += height;
    }
    draw_clip(draw, NULL);
    draw_scroll_bar(app, rect);
}
