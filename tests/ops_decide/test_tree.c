// The draft's tree: top_k, expand and select, one by one and level by level, against sorting.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reference.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHILDREN_WORDS = sizeof(SxChildren) / 4, TREE_WORDS = sizeof(SxTree) / 4 };

// ---- top_k ---------------------------------------------------------------------------------------------------------

typedef struct top_k_case {
    uint32_t vocabulary, rows, branch, lanes;
    bool map, coarse; // coarse: many equal logits
    float temperature;
} top_k_case;

static void record_top_k(harness *h, const top_k_case *c, uint32_t level, const sx_gpu_binding bindings[5])
{
    if (c->lanes == 0) {
        sx_op_top_k(&h->ops, h->tape, c->rows,
                    &(sx_top_k_args){.logits = bindings[0],
                                     .draft_vocabulary = c->vocabulary,
                                     .token_map = c->map ? bindings[1] : (sx_gpu_binding){0},
                                     .settings = bindings[2],
                                     .state = bindings[3],
                                     .level = level,
                                     .branch = c->branch,
                                     .children = bindings[4]});
        return;
    }
    char name[32];
    snprintf(name, sizeof(name), "top_k_%u", c->lanes);
    const uint32_t parameters[] = {c->vocabulary, level, c->branch, c->map};
    sx_gpu_tape_dispatch(h->tape, sx_kernel_find(name), parameters, sizeof(parameters), bindings, 5, c->rows, 1, 1);
}

// Returns how many rows were doubtful.
static uint32_t check_top_k(harness *h, const top_k_case *c)
{
    const uint32_t level = 1 + harness_random(h) % 8;
    const size_t count = (size_t)c->vocabulary * c->rows;
    float *logits = harness_floats(h, count, -6.0f, 6.0f);
    for (size_t i = 0; c->coarse && i < count; i++) {
        logits[i] = roundf(logits[i]);
    }
    if (c->vocabulary > 5) logits[3] = NAN;
    uint32_t *map = malloc(4 * c->vocabulary);
    for (uint32_t i = 0; i < c->vocabulary; i++) {
        map[i] = 2 * i + harness_random(h) % 2;
    }
    SxSettings settings = support_settings(1u << 20);
    settings.temperature = c->temperature;
    settings.seed_low = harness_random(h);
    settings.top_k = 1; // the draft knows no filters
    SxState state = {.now.length = harness_random(h) % 5000};
    sx_gpu_buffer *buffers[] = {harness_input(h, logits, count), harness_input(h, map, c->vocabulary),
                                harness_input(h, &settings, SETTINGS_WORDS), harness_input(h, &state, STATE_WORDS),
                                harness_output(h, c->rows * CHILDREN_WORDS)};
    sx_gpu_binding bindings[5];
    for (int i = 0; i < 5; i++) {
        bindings[i] = harness_whole(buffers[i]);
    }
    harness_begin(h);
    record_top_k(h, c, level, bindings);
    harness_run(h);
    SxChildren *got = (SxChildren *)harness_read(h, buffers[4], c->rows * CHILDREN_WORDS);
    uint32_t doubtful = 0;
    for (uint32_t row = 0; row < c->rows; row++) {
        SxChildren want;
        if (!reference_top_k(&logits[(size_t)row * c->vocabulary], c->vocabulary, c->map ? map : NULL, &settings,
                             state.now.length + level, c->branch, &want)) {
            doubtful++;
            continue;
        }
        for (uint32_t k = 0; k < c->branch; k++) {
            const bool same = got[row].token[k] == want.token[k] &&
                              fabsf(got[row].logprob[k] - want.logprob[k]) <= 4e-6f * (1 + fabsf(want.logprob[k]));
            if (!same) {
                fail_msg("vocabulary %u, %u lanes, branch %u, row %u: child %u is %u (%.7g), not %u (%.7g)",
                         c->vocabulary, c->lanes, c->branch, row, k, got[row].token[k], got[row].logprob[k],
                         want.token[k], want.logprob[k]);
            }
            assert_true(got[row].logprob[k] <= 0.0f);
        }
    }
    for (int i = 0; i < 5; i++) {
        harness_free(h, buffers[i]);
    }
    free(got);
    free(map);
    free(logits);
    return doubtful;
}

static void top_k_agrees(void **data)
{
    harness *h = *data;
    harness_seed(h, 11);
    static const uint32_t sizes[] = {1, 3, 10, 63, 65, 250, 257, 640, 3001};
    uint32_t doubtful = 0, rows = 0, round = 0;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (uint32_t branch = 1; branch <= SX_MAX_BRANCH; branch += branch < 4 ? 1 : 3, round++) {
            const top_k_case c = {.vocabulary = sizes[i],
                                  .rows = 1 + round * 5 % 16,
                                  .branch = branch,
                                  .lanes = round % 3 == 0   ? 0
                                           : round % 3 == 1 ? 16
                                                            : 256,
                                  .map = round % 2,
                                  .coarse = round % 5 == 2,
                                  .temperature = round % 4 == 0   ? 0.0f
                                                 : round % 4 == 1 ? 1.0f
                                                                  : 0.3f};
            doubtful += check_top_k(h, &c);
            rows += c.rows;
        }
    }
    print_message("%u of %u rows doubtful\n", doubtful, rows);
    assert_true(doubtful < rows / 10);
}

// Where one lane holds nearly everything that is best, and where all is equal.
static void top_k_with_adverse_logits(void **data)
{
    harness *h = *data;
    for (uint32_t kind = 0; kind < 3; kind++) {
        for (uint32_t lanes = 16; lanes <= 256; lanes *= 16) {
            enum { VOCABULARY = 5000, BRANCH = 10 };
            float *logits = malloc(4 * VOCABULARY);
            for (uint32_t i = 0; i < VOCABULARY; i++) {
                logits[i] = kind == 0   ? 1.0f
                            : kind == 1 ? (i / 4 % lanes == 7 ? 5.0f + (float)i * 1e-3f : -1.0f)
                                        : (i / 4 % lanes == 7 ? 5.0f - (float)i * 1e-3f : -1.0f);
            }
            SxSettings settings = support_settings(VOCABULARY);
            SxState state = {0};
            sx_gpu_buffer *buffers[] = {harness_input(h, logits, VOCABULARY), h->ops.nothing,
                                        harness_input(h, &settings, SETTINGS_WORDS),
                                        harness_input(h, &state, STATE_WORDS), harness_output(h, CHILDREN_WORDS)};
            sx_gpu_binding bindings[5];
            for (int i = 0; i < 5; i++) {
                bindings[i] = harness_whole(buffers[i]);
            }
            const top_k_case c = {.vocabulary = VOCABULARY, .rows = 1, .branch = BRANCH, .lanes = lanes};
            harness_begin(h);
            record_top_k(h, &c, 1, bindings);
            harness_run(h);
            SxChildren *got = (SxChildren *)harness_read(h, buffers[4], CHILDREN_WORDS), want;
            reference_top_k(logits, VOCABULARY, NULL, &settings, 1, BRANCH, &want);
            support_same(got->token, want.token, BRANCH, "adverse logits");
            for (int i = 0; i < 5; i++) {
                if (i != 1) harness_free(h, buffers[i]);
            }
            free(got);
            free(logits);
        }
    }
}

static void top_k_of_a_large_vocabulary(void **data)
{
    harness *h = *data;
    harness_seed(h, 12);
    for (uint32_t drawn = 0; drawn < 2; drawn++) {
        const top_k_case c = {.vocabulary = 151936, .rows = 2, .branch = 10, .temperature = drawn ? 0.8f : 0.0f};
        check_top_k(h, &c);
    }
}

// ---- expand and select ---------------------------------------------------------------------------------------------

typedef struct tree_case {
    uint32_t branch, levels, rows;
    bool ties, missing, trial;
    uint32_t end_offset; // end_position - length
} tree_case;

static void random_children(harness *h, const tree_case *c, SxChildren *children)
{
    for (uint32_t row = 0; row < SX_MAX_BRANCH; row++) {
        for (uint32_t k = 0; k < SX_MAX_BRANCH; k++) {
            children[row].token[k] = 100 * k + harness_random(h) % 100;
            children[row].logprob[k] = c->ties ? -(float)(harness_random(h) % 3) : harness_uniform(h, -4.0f, 0.0f);
            if (c->missing && harness_random(h) % 4 == 0) {
                children[row].token[k] = SX_NONE;
                children[row].logprob[k] = -1e30f;
            }
        }
    }
}

static void random_root(harness *h, const tree_case *c, SxState *state, SxSettings *settings, uint32_t *flags)
{
    memset(state, 0, sizeof(*state));
    *settings = support_settings(1000);
    state->now.length = harness_random(h) % 3000;
    state->now.root = 5;
    state->root_is_prompt = harness_random(h) % 2;
    settings->end_position = state->now.length + c->end_offset;
    settings->close_count = settings->exit_count = 1;
    settings->split_mask = SX_TOKEN_SPLIT;
    settings->policy = SX_POLICY_KIND_ENTROPY;
    state->now.thinking = SX_THINKING_INSIDE;
    memset(flags, 0, 4 * support_flag_words(1000));
    if (c->trial) ((uint8_t *)flags)[5] = SX_TOKEN_SPLIT;
}

// Grows a tree and selects its rows on the device in one tape; every intermediate is compared.
static void check_tree(harness *h, const tree_case *c)
{
    SxState state;
    SxSettings settings;
    uint32_t flags[250], both[SETTINGS_WORDS + 250];
    random_root(h, c, &state, &settings, flags);
    SxChildren children[SX_MAX_PATH][SX_MAX_BRANCH];
    for (uint32_t level = 1; level <= c->levels; level++) {
        random_children(h, c, children[level]);
    }
    // Often the draft proposes the close marker itself.
    settings.close[0] = harness_random(h) % 2 ? children[1][0].token[harness_random(h) % c->branch] : 999;
    if (settings.close[0] == SX_NONE) settings.close[0] = 999;
    memcpy(both, &settings, sizeof(settings));
    memcpy(both + SETTINGS_WORDS, flags, sizeof(flags));
    sx_gpu_buffer *b_state = harness_input(h, &state, STATE_WORDS), *b_tree = harness_output(h, TREE_WORDS);
    sx_gpu_buffer *b_settings = harness_input(h, both, SETTINGS_WORDS + 250), *b_batch = harness_output(h, BATCH_WORDS);
    sx_gpu_buffer *b_children[SX_MAX_PATH], *b_beam[SX_MAX_PATH];
    harness_begin(h);
    for (uint32_t level = 1; level <= c->levels; level++) {
        b_children[level] = harness_input(h, children[level], SX_MAX_BRANCH * CHILDREN_WORDS);
        b_beam[level] = harness_output(h, BATCH_WORDS);
        sx_op_expand(&h->ops, h->tape,
                     &(sx_expand_args){.children = harness_whole(b_children[level]),
                                       .state = harness_whole(b_state),
                                       .beam_in = level == 1 ? (sx_gpu_binding){0} : harness_whole(b_beam[level - 1]),
                                       .level = level,
                                       .branch = c->branch,
                                       .tree = harness_whole(b_tree),
                                       .beam_out = harness_whole(b_beam[level])});
    }
    sx_op_select(&h->ops, h->tape, c->rows,
                 &(sx_select_args){.tree = harness_whole(b_tree),
                                   .state = harness_whole(b_state),
                                   .settings = harness_whole(b_settings),
                                   .batch = harness_whole(b_batch)});
    harness_run(h);
    char what[100];
    static SxTree tree, got_tree;
    SxBatch beam[2], got, want;
    for (uint32_t level = 1; level <= c->levels; level++) {
        reference_expand(children[level], &state, level == 1 ? NULL : &beam[(level - 1) % 2], level, c->branch, &tree,
                         &beam[level % 2]);
        support_read(h, b_beam[level], &got, BATCH_WORDS);
        snprintf(what, sizeof(what), "beam of level %u, branch %u", level, c->branch);
        support_same(&got, &beam[level % 2], BATCH_WORDS, what);
        harness_free(h, b_beam[level]);
        harness_free(h, b_children[level]);
    }
    support_read(h, b_tree, &got_tree, TREE_WORDS);
    assert_int_equal(got_tree.count, tree.count);
    assert_int_equal(got_tree.level, tree.level);
    support_same(got_tree.token, tree.token, tree.count, "tree tokens");
    support_same(got_tree.parent, tree.parent, tree.count, "tree parents");
    support_same(got_tree.score, tree.score, tree.count, "tree scores");
    support_same(got_tree.depth, tree.depth, tree.count, "tree depths");
    reference_select(&tree, 0, &state, &settings, flags, NULL, c->rows, &want);
    support_read(h, b_batch, &got, BATCH_WORDS);
    snprintf(what, sizeof(what), "rows of a tree, branch %u, %u levels, %u rows", c->branch, c->levels, c->rows);
    support_same(&got, &want, BATCH_WORDS, what);
    sx_gpu_buffer *rest[] = {b_state, b_tree, b_settings, b_batch};
    for (int i = 0; i < 4; i++) {
        harness_free(h, rest[i]);
    }
}

static void trees_agree(void **data)
{
    harness *h = *data;
    harness_seed(h, 13);
    uint32_t round = 0;
    for (uint32_t branch = 1; branch <= SX_MAX_BRANCH; branch++) {
        for (uint32_t levels = 1; levels <= 8; levels += 1 + branch % 2, round++) {
            static const uint32_t rows[] = {1, 2, 4, 8, 16, 32};
            const tree_case c = {.branch = branch,
                                 .levels = levels,
                                 .rows = rows[round % 6],
                                 .ties = round % 3 == 1,
                                 .missing = round % 4 == 2,
                                 .trial = round % 5 < 2,
                                 .end_offset = round % 7 == 3 ? 1 + round % 6 : 10000};
            check_tree(h, &c);
        }
    }
    // As deep as it goes.
    const tree_case deepest = {.branch = 10, .levels = SX_MAX_PATH - 1, .rows = 32, .end_offset = 10000};
    check_tree(h, &deepest);
    const tree_case chain = {.branch = 1, .levels = SX_MAX_PATH - 1, .rows = 32, .ties = true, .end_offset = 10000};
    check_tree(h, &chain);
}

int main(void)
{
    harness h;
    harness_open(&h);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(top_k_agrees, &h),
        cmocka_unit_test_prestate(top_k_with_adverse_logits, &h),
        cmocka_unit_test_prestate(top_k_of_a_large_vocabulary, &h),
        cmocka_unit_test_prestate(trees_agree, &h),
    };
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    harness_close(&h);
    return failures;
}
