#include "specexit_signals.h"

#include <math.h>
#include <stdlib.h>

static int by_score(const void *a, const void *b)
{
    const sx_ranked *x = a, *y = b;
    return (x->score > y->score) - (x->score < y->score);
}

static int by_group(const void *a, const void *b)
{
    const sx_ranked *x = a, *y = b;
    if (x->group != y->group) return x->group < y->group ? -1 : 1;
    return by_score(a, b);
}

// Of items sorted by score: pairs of a right and a wrong one that the score orders so, ties counted half.
static void count_pairs(const sx_ranked *items, size_t count, double *wins, double *pairs)
{
    double wrong = 0, right = 0;
    for (size_t i = 0; i < count;) {
        size_t end = i;
        double some_right = 0, some_wrong = 0;
        for (; end < count && items[end].score == items[i].score; end++)
            *(items[end].right ? &some_right : &some_wrong) += 1;
        *wins += some_right * (wrong + 0.5 * some_wrong);
        wrong += some_wrong;
        right += some_right;
        i = end > i ? end : i + 1;
    }
    *pairs += wrong * right;
}

double sx_auc(sx_ranked *items, size_t count)
{
    double wins = 0, pairs = 0;
    if (count) qsort(items, count, sizeof *items, by_score);
    count_pairs(items, count, &wins, &pairs);
    return pairs > 0 ? wins / pairs : (double)NAN;
}

double sx_auc_within(sx_ranked *items, size_t count)
{
    double wins = 0, pairs = 0;
    if (count) qsort(items, count, sizeof *items, by_group);
    for (size_t i = 0; i < count;) {
        size_t end = i;
        while (end < count && items[end].group == items[i].group)
            end++;
        count_pairs(items + i, end - i, &wins, &pairs);
        i = end;
    }
    return pairs > 0 ? wins / pairs : (double)NAN;
}
