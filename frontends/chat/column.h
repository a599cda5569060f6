// A long column of items of which only those in sight are built: the place of the view stays at an item, so that items
// above it, whose heights are only estimated, can change without moving what is read. Pure.
#ifndef CHAT_COLUMN_H
#define CHAT_COLUMN_H

#include <stdbool.h>
#include <stdint.h>

typedef struct column_items {
    void *user;
    uint32_t count;
    int (*height)(void *user, uint32_t item); // pixels; an estimate until the item is built
    int (*build)(void *user, uint32_t item);  // makes the height exact and returns it; cheap when it is already
} column_items;

typedef struct column {
    uint32_t first; // the item at the view's upper edge
    int offset;     // pixels of it above that edge; outside of the item until column_place
    bool follow;    // the end stays in sight
    // Made by column_place:
    uint32_t last;            // the item at the view's lower edge
    int64_t scrolled, height; // pixels above the view, pixels of the whole column
} column;

// Scrolling is adding to `offset` with `follow` false. Builds what is in sight, and what was scrolled over; keeps the
// view inside the column, and follows where it stands at its end.
void column_place(column *c, const column_items *items, int view_height);
// Goes to a share of the whole, 0..1, by the heights as far as they are known.
void column_jump(column *c, const column_items *items, double share);

#endif
