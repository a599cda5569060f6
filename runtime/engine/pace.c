#include "engine/pace.h"

#include <string.h>

enum {
    TRIAL_CYCLES = 6,
    FIRST_PATIENCE = 12,
    LONGEST_PATIENCE = 384,
};
static const double keep = 0.98;   // of a record, each time something is added: a memory of about 50 cycles
static const double better = 1.05; // times more tokens a second than the best: less may be noise

typedef struct ladder {
    uint32_t count, first;
    sx_drafting shape[SX_PACE_SHAPES];
} ladder;

// Versions of clang-format disagree about braces in macros.
// clang-format off
#define CHAIN(levels) {.kind = SX_DRAFT_CHAIN, .depth = levels, .branch = 1, .nodes = levels}
#define NGRAM(most) {.kind = SX_DRAFT_NGRAM, .depth = most, .branch = 1, .nodes = most}
// clang-format on
static const ladder eagle_cpu = {3, 2, {CHAIN(0), CHAIN(1), CHAIN(3)}};
static const ladder eagle_gpu = {6,
                                 4,
                                 {CHAIN(0),
                                  CHAIN(1),
                                  CHAIN(3),
                                  {.kind = SX_DRAFT_TREE, .depth = 4, .branch = 3, .nodes = 7},
                                  {.kind = SX_DRAFT_TREE, .depth = 5, .branch = 4, .nodes = 15},
                                  {.kind = SX_DRAFT_TREE, .depth = 7, .branch = 8, .nodes = 31}}};
static const ladder ngram_cpu = {2, 0, {{.kind = SX_DRAFT_NONE}, NGRAM(3)}};
static const ladder ngram_gpu = {4, 2, {{.kind = SX_DRAFT_NONE}, NGRAM(3), NGRAM(7), NGRAM(15)}};

void sx_pace_init(sx_pace *pace, bool eagle, bool cpu)
{
    const ladder *from = eagle ? cpu ? &eagle_cpu : &eagle_gpu : cpu ? &ngram_cpu : &ngram_gpu;
    memset(pace, 0, sizeof *pace);
    memcpy(pace->shape, from->shape, sizeof pace->shape);
    pace->count = from->count;
    pace->first = pace->best = pace->running = from->first;
    pace->left = pace->patience = FIRST_PATIENCE;
}

// One rung up, one down, two up, two down, and again, leaving out those that are not there.
static void begin_trial(sx_pace *pace)
{
    static const int32_t steps[] = {1, -1, 2, -2};
    int64_t rung;
    do {
        rung = (int64_t)pace->best + steps[pace->trials++ % 4];
    } while (rung < 0 || rung >= pace->count);
    pace->running = (uint32_t)rung;
    pace->left = TRIAL_CYCLES;
}

static double speed(const sx_pace_record *record)
{
    return record->seconds > 0 ? record->tokens / record->seconds : 0;
}

static void end_trial(sx_pace *pace)
{
    if (speed(&pace->record[pace->running]) > better * speed(&pace->record[pace->best])) {
        pace->best = pace->running;
        pace->patience = FIRST_PATIENCE;
    } else if (pace->patience < LONGEST_PATIENCE) {
        pace->patience *= 2;
    }
    pace->running = pace->best;
    pace->left = pace->patience;
}

uint32_t sx_pace_next(sx_pace *pace)
{
    if (pace->count > 1 && !pace->left) {
        if (pace->running == pace->best)
            begin_trial(pace);
        else
            end_trial(pace);
    }
    pace->left -= pace->left > 0;
    return pace->running;
}

void sx_pace_postpone(sx_pace *pace)
{
    pace->running = pace->best;
    pace->left = FIRST_PATIENCE;
}

void sx_pace_take(sx_pace *pace, uint32_t index, uint32_t tokens, double seconds)
{
    sx_pace_record *record = &pace->record[index];
    record->seconds = keep * record->seconds + seconds;
    record->tokens = keep * record->tokens + tokens;
}
