// Scrolling over items whose heights are only guessed until they are built: what is read must not move.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "column.h"

#include <stdlib.h>
#include <string.h>

enum { COUNT = 500, GUESS = 50, VIEW = 300 };

typedef struct items_state {
    int true_height[COUNT];
    bool built[COUNT];
    unsigned builds;
} items_state;

static int height(void *user, uint32_t item)
{
    const items_state *state = user;
    return state->built[item] ? state->true_height[item] : GUESS;
}

static int build(void *user, uint32_t item)
{
    items_state *state = user;
    state->builds += !state->built[item];
    state->built[item] = true;
    return state->true_height[item];
}

static column_items prepare(items_state *state, uint32_t count)
{
    memset(state, 0, sizeof *state);
    srand(7);
    for (unsigned i = 0; i < COUNT; i++)
        state->true_height[i] = 10 + rand() % 190;
    return (column_items){.user = state, .count = count, .height = height, .build = build};
}

// Where an item stands below the view's upper edge, by true heights.
static int place_of(const items_state *state, const column *c, uint32_t item)
{
    int y = -c->offset;
    for (uint32_t i = c->first; i < item; i++)
        y += state->true_height[i];
    for (uint32_t i = item; i < c->first; i++)
        y -= state->true_height[i];
    return y;
}

static void scrolling_moves_by_what_was_asked(void **unused)
{
    (void)unused;
    items_state state;
    column_items items = prepare(&state, COUNT);
    column c = {.follow = true};
    column_place(&c, &items, VIEW);
    assert_int_equal(c.last, COUNT - 1);
    assert_true(state.builds < 60); // a view's worth, not the conversation
    unsigned steps = 0;
    while (c.scrolled > 0) {
        column before = c;
        c.follow = false;
        c.offset -= 70;
        column_place(&c, &items, VIEW);
        int moved = place_of(&state, &c, before.first) - place_of(&state, &before, before.first);
        if (c.scrolled > 0) assert_int_equal(moved, 70);
        assert_false(c.follow);
        assert_true(++steps < 2000);
    }
    assert_int_equal(c.first, 0);
    assert_int_equal(c.offset, 0);
    while (!c.follow) {
        column before = c;
        c.offset += 70;
        column_place(&c, &items, VIEW);
        int moved = place_of(&state, &before, before.first) - place_of(&state, &c, before.first);
        if (!c.follow) assert_int_equal(moved, 70);
        assert_true(++steps < 4000);
    }
    assert_int_equal(c.scrolled + VIEW, c.height);
}

static void short_columns_stand_at_their_start(void **unused)
{
    (void)unused;
    items_state state;
    column_items items = prepare(&state, 1);
    column c = {0};
    c.offset = -500;
    column_place(&c, &items, VIEW);
    assert_int_equal(c.offset, 0);
    assert_true(c.follow);
    assert_int_equal(c.height, state.true_height[0]);
    items.count = 0;
    column_place(&c, &items, VIEW);
    assert_true(c.follow);
}

static void fewer_items_do_no_harm(void **unused)
{
    (void)unused;
    items_state state;
    column_items items = prepare(&state, COUNT);
    column c = {.first = 400, .offset = 5};
    column_place(&c, &items, VIEW);
    assert_int_equal(c.first, 400);
    items.count = 20; // another branch is shown
    column_place(&c, &items, VIEW);
    assert_true(c.first < 20 && c.last == 19 && c.follow);
}

static void jumping_reaches_both_ends(void **unused)
{
    (void)unused;
    items_state state;
    column_items items = prepare(&state, COUNT);
    column c = {.follow = true};
    column_place(&c, &items, VIEW);
    column_jump(&c, &items, 0);
    column_place(&c, &items, VIEW);
    assert_int_equal(c.scrolled, 0);
    column_jump(&c, &items, 0.5);
    column_place(&c, &items, VIEW);
    assert_true(c.first > 200 && c.first < 300 && !c.follow);
    column_jump(&c, &items, 1);
    column_place(&c, &items, VIEW);
    assert_true(c.follow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scrolling_moves_by_what_was_asked),
        cmocka_unit_test(short_columns_stand_at_their_start),
        cmocka_unit_test(fewer_items_do_no_harm),
        cmocka_unit_test(jumping_reaches_both_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
