#include "column.h"

static int height_of(const column_items *items, uint32_t item)
{
    return items->height(items->user, item);
}

static int built(const column_items *items, uint32_t item)
{
    return items->build(items->user, item);
}

static void place_at_end(column *c, const column_items *items, int view_height)
{
    c->first = c->last = items->count - 1;
    int below = built(items, c->first);
    while (below < view_height && c->first > 0)
        below += built(items, --c->first);
    c->offset = below > view_height ? below - view_height : 0;
}

// Moves `first` so that `offset` lies inside it. What is passed is built: its true height was scrolled over.
static void settle(column *c, const column_items *items)
{
    if (c->first >= items->count) {
        c->first = items->count - 1;
        c->offset = 0;
    }
    while (c->offset < 0 && c->first > 0)
        c->offset += built(items, --c->first);
    if (c->offset < 0) c->offset = 0;
    while (c->first + 1 < items->count) {
        int height = built(items, c->first);
        if (c->offset < height) break;
        c->offset -= height;
        c->first++;
    }
}

void column_place(column *c, const column_items *items, int view_height)
{
    if (items->count == 0) {
        *c = (column){.follow = true};
        return;
    }
    if (!c->follow) {
        settle(c, items);
        c->last = c->first;
        int below = built(items, c->first) - c->offset;
        while (below < view_height && c->last + 1 < items->count)
            below += built(items, ++c->last);
        c->follow = c->last + 1 == items->count && below <= view_height;
    }
    if (c->follow) place_at_end(c, items, view_height);
    c->height = 0;
    for (uint32_t i = 0; i < items->count; i++) {
        if (i == c->first) c->scrolled = c->height + c->offset;
        c->height += height_of(items, i);
    }
}

void column_jump(column *c, const column_items *items, double share)
{
    int64_t total = 0;
    for (uint32_t i = 0; i < items->count; i++)
        total += height_of(items, i);
    int64_t wanted = (int64_t)((double)total * (share < 0 ? 0 : share > 1 ? 1 : share));
    c->follow = false;
    for (c->first = 0; c->first + 1 < items->count; c->first++) {
        int height = height_of(items, c->first);
        if (wanted < height) break;
        wanted -= height;
    }
    c->offset = (int)wanted;
}
