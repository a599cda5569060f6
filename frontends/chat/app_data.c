#include "app_data.h"

#include <stdlib.h>

double app_clock(void)
{
    return (double)SDL_GetPerformanceCounter() / (double)SDL_GetPerformanceFrequency();
}

void view_release(view_message *view)
{
    if (!view->built) return;
    layout_free(&view->thinking);
    layout_free(&view->content);
    layout_free(&view->failure);
    view->built = false;
}

void view_forget(chat_app *app)
{
    for (uint32_t i = 0; i < app->view_count; i++)
        view_release(&app->views[i]);
    free(app->views);
    app->views = NULL;
    app->view_count = 0;
    app->viewed = NULL;
}

static bool before(app_place a, app_place b)
{
    return a.part < b.part || (a.part == b.part && a.offset < b.offset);
}

void view_selected_range(const chat_app *app, uint32_t part, uint32_t *from, uint32_t *to)
{
    app_place first = before(app->anchor, app->head) ? app->anchor : app->head;
    app_place last = before(app->anchor, app->head) ? app->head : app->anchor;
    *from = *to = 0;
    if (!app->has_selection || part < first.part || part > last.part) return;
    *from = part == first.part ? first.offset : 0;
    *to = part == last.part ? last.offset : UINT32_MAX;
}
