// The pace of speculation against made-up devices: it must find the fastest shape, follow a change, and stay there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/pace.h"

// Rates of the shapes' tokens and seconds; drafted tokens are accepted with a falling chance.
typedef struct device {
    double seconds_per_row, seconds_per_cycle, acceptance;
} device;

static double tokens_of(const sx_drafting *shape, const device *d)
{
    double tokens = 1, chance = d->acceptance;
    const uint32_t depth = shape->kind == SX_DRAFT_NGRAM ? shape->nodes : shape->depth;
    const double width = depth ? (double)shape->nodes / depth : 0;
    for (uint32_t level = 0; level < depth; level++, chance *= d->acceptance)
        tokens += chance * (width > 1 ? 1 + 0.1 * (width - 1) : 1);
    return tokens;
}

static double seconds_of(const sx_drafting *shape, const device *d)
{
    return d->seconds_per_cycle + d->seconds_per_row * (1 + shape->nodes + 0.25 * shape->depth);
}

// Runs cycles and returns how many of them ran the device's fastest shape. Tokens are whole numbers.
static uint32_t run(sx_pace *pace, const device *d, uint32_t cycles, uint32_t *fastest)
{
    *fastest = 0;
    for (uint32_t i = 1; i < pace->count; i++)
        if (tokens_of(&pace->shape[i], d) / seconds_of(&pace->shape[i], d) >
            tokens_of(&pace->shape[*fastest], d) / seconds_of(&pace->shape[*fastest], d))
            *fastest = i;
    uint32_t hits = 0;
    double carry[SX_PACE_SHAPES] = {0};
    for (uint32_t i = 0; i < cycles; i++) {
        const uint32_t index = sx_pace_next(pace);
        assert_true(index < pace->count);
        carry[index] += tokens_of(&pace->shape[index], d);
        const uint32_t tokens = (uint32_t)carry[index];
        carry[index] -= tokens;
        sx_pace_take(pace, index, tokens, seconds_of(&pace->shape[index], d));
        hits += index == *fastest;
    }
    return hits;
}

static void test_finds_the_fastest(void **state)
{
    (void)state;
    static const device devices[] = {
        {1, 0.01, 0.05}, // each row costs, nothing is accepted: no speculation
        {1, 0.5, 0.8},   // a software driver
        {0.001, 1, 0.9}, // rows are free: the largest
        {0.02, 1, 0.1},  // rows are cheap, nothing is accepted
    };
    for (size_t i = 0; i < sizeof devices / sizeof *devices; i++) {
        for (int kind = 0; kind < 4; kind++) {
            sx_pace pace;
            uint32_t fastest;
            sx_pace_init(&pace, kind & 1, kind & 2);
            run(&pace, &devices[i], 600, &fastest);
            const double found =
                tokens_of(&pace.shape[pace.best], &devices[i]) / seconds_of(&pace.shape[pace.best], &devices[i]);
            const double best =
                tokens_of(&pace.shape[fastest], &devices[i]) / seconds_of(&pace.shape[fastest], &devices[i]);
            if (found < best / 1.06)
                fail_msg("device %zu, ladder %d: stays at %u, %u is %.2f times faster", i, kind, pace.best, fastest,
                         best / found);
            // Most of the time goes to what was found, not to trials.
            const uint32_t before = pace.best;
            uint32_t hits = 0;
            for (int cycle = 0; cycle < 1000; cycle++) {
                const uint32_t index = sx_pace_next(&pace);
                hits += index == before;
                sx_pace_take(&pace, index, (uint32_t)tokens_of(&pace.shape[index], &devices[i]) + 1,
                             seconds_of(&pace.shape[index], &devices[i]) *
                                 ((uint32_t)tokens_of(&pace.shape[index], &devices[i]) + 1) /
                                 tokens_of(&pace.shape[index], &devices[i]));
            }
            assert_true(hits > 900);
        }
    }
}

static void test_follows_a_change(void **state)
{
    (void)state;
    sx_pace pace;
    uint32_t fastest;
    sx_pace_init(&pace, true, false);
    run(&pace, &(device){0.001, 1, 0.95}, 800, &fastest);
    assert_int_equal(pace.best, pace.count - 1);
    run(&pace, &(device){1, 0.01, 0.05}, 4000, &fastest);
    assert_int_equal(fastest, 0);
    assert_int_equal(pace.best, 0);
}

static void test_postpones(void **state)
{
    (void)state;
    sx_pace pace;
    sx_pace_init(&pace, true, true);
    const uint32_t best = pace.best;
    uint32_t cycles = 0;
    while (sx_pace_next(&pace) == best) {
        sx_pace_take(&pace, best, 2, 1);
        assert_true(++cycles < 1000);
    }
    sx_pace_postpone(&pace);
    assert_int_equal(sx_pace_next(&pace), best);
    assert_int_equal(pace.best, best);
}

// Shapes are ordered by cost, and all of them are ones that a session would accept.
static void test_ladders(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        sx_pace pace;
        sx_pace_init(&pace, kind & 1, kind & 2);
        assert_true(pace.count >= 2 && pace.count <= SX_PACE_SHAPES && pace.first < pace.count);
        for (uint32_t i = 0; i < pace.count; i++) {
            assert_true(pace.shape[i].kind != SX_DRAFT_AUTO);
            assert_true(pace.shape[i].nodes <= 31 && pace.shape[i].branch <= 10 && pace.shape[i].depth < 16);
            if (kind & 2) assert_true(pace.shape[i].nodes <= 3);
            if (i) assert_true(pace.shape[i].nodes > pace.shape[i - 1].nodes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_fastest),
        cmocka_unit_test(test_follows_a_change),
        cmocka_unit_test(test_postpones),
        cmocka_unit_test(test_ladders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
