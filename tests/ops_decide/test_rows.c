// Rows without a tree (forced tokens, n-grams, nothing), the keys' and values' move, and the draft's next rows.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reference.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VOCABULARY = 60, CLOSE = 40 };

// ---- select without a tree -----------------------------------------------------------------------------------------

typedef struct select_case {
    uint32_t rows, ngram, length, alphabet; // of the random history
    uint32_t forced, end_offset;
    bool trial, done;
} select_case;

// Selects on the device and by the reference; gives the rows beyond the root, and their first token.
static uint32_t check_select(harness *h, const select_case *c, uint32_t *first)
{
    SxState state = {.forced_count = c->forced, .done = c->done};
    SxSettings settings = support_settings(VOCABULARY);
    uint32_t flags[VOCABULARY / 4] = {0}, both[SETTINGS_WORDS + VOCABULARY / 4];
    uint32_t *history = malloc(4 * (c->length + 1));
    for (uint32_t i = 0; i <= c->length; i++) {
        history[i] = harness_random(h) % c->alphabet;
    }
    state.now.length = c->length;
    state.now.root = history[c->length];
    state.now.thinking = SX_THINKING_INSIDE;
    settings.end_position = c->length + c->end_offset;
    settings.policy = c->trial ? SX_POLICY_KIND_ENTROPY : SX_POLICY_KIND_NONE;
    settings.split_mask = SX_TOKEN_SPLIT;
    settings.close_count = 1;
    settings.close[0] = harness_random(h) % 2 ? CLOSE : harness_random(h) % c->alphabet;
    settings.exit_count = 20;
    for (uint32_t i = 0; i < 20; i++) {
        settings.exit_tokens[i] = 30 + i;
    }
    memset(flags, SX_TOKEN_SPLIT, sizeof(flags));
    memcpy(both, &settings, sizeof(settings));
    memcpy(both + SETTINGS_WORDS, flags, sizeof(flags));
    sx_gpu_buffer *buffers[] = {harness_input(h, &state, STATE_WORDS),
                                harness_input(h, both, SETTINGS_WORDS + VOCABULARY / 4),
                                harness_input(h, history, c->length + 1), harness_output(h, BATCH_WORDS)};
    harness_begin(h);
    sx_op_select(&h->ops, h->tape, c->rows,
                 &(sx_select_args){.ngram = c->ngram,
                                   .state = harness_whole(buffers[0]),
                                   .settings = harness_whole(buffers[1]),
                                   .history = harness_whole(buffers[2]),
                                   .batch = harness_whole(buffers[3])});
    harness_run(h);
    SxBatch got, want;
    support_read(h, buffers[3], &got, BATCH_WORDS);
    reference_select(NULL, c->ngram, &state, &settings, flags, history, c->rows, &want);
    char what[120];
    snprintf(what, sizeof(what), "rows %u, ngram %u, length %u, forced %u, trial %d", c->rows, c->ngram, c->length,
             c->forced, c->trial);
    support_same(&got, &want, BATCH_WORDS, what);
    for (int i = 0; i < 4; i++) {
        harness_free(h, buffers[i]);
    }
    free(history);
    *first = got.count > 1 ? got.token[1] : SX_NONE;
    return got.count ? got.count - 1 : 0;
}

static void ngrams_agree(void **data)
{
    harness *h = *data;
    harness_seed(h, 31);
    static const uint32_t lengths[] = {0, 1, 2, 3, 9, 100, 255, 256, 257, 600};
    uint32_t round = 0, drafted = 0, first;
    for (size_t i = 0; i < sizeof(lengths) / sizeof(*lengths); i++) {
        for (uint32_t ngram = 0; ngram <= 6; ngram++, round++) {
            static const uint32_t rows[] = {1, 2, 4, 8, 16, 32}, alphabets[] = {1, 2, 5, 20};
            const select_case c = {.rows = rows[round % 6],
                                   .ngram = ngram,
                                   .length = lengths[i],
                                   .alphabet = alphabets[round / 3 % 4],
                                   .trial = round % 5 == 1,
                                   .forced = round % 9 == 8,
                                   .end_offset = round % 4 ? 1000 : 1 + round % 7};
            drafted += check_select(h, &c, &first);
        }
    }
    assert_in_range(drafted, 60, 2000);
}

static void forced_tokens_are_a_chain(void **data)
{
    harness *h = *data;
    harness_seed(h, 32);
    for (uint32_t forced = 2; forced <= 20; forced++) {
        uint32_t first;
        const select_case c = {.rows = forced % 3 ? 32 : 5,
                               .ngram = 3,
                               .length = 50,
                               .alphabet = 2,
                               .forced = forced,
                               .end_offset = forced % 5 ? 1000 : 4,
                               .trial = true};
        const uint32_t rows = check_select(h, &c, &first);
        uint32_t want = forced - 1 < 15 ? forced - 1 : 15; // SX_MAX_PATH - 1
        if (want > c.rows - 1) want = c.rows - 1;
        if (want > c.end_offset - 1) want = c.end_offset - 1;
        assert_int_equal(rows, want);
        assert_int_equal(first, 30 + 20 - forced + 1);
    }
    uint32_t first;
    const select_case done = {.rows = 8, .ngram = 3, .length = 50, .alphabet = 2, .done = true, .end_offset = 100};
    assert_int_equal(check_select(h, &done, &first), 0);
}

// ---- kv_move -------------------------------------------------------------------------------------------------------

static void check_kv_move(harness *h, uint32_t words, uint32_t slots, uint32_t layers, const SxState *state)
{
    const sx_attention_shape shape = {.heads = 1, .kv_heads = 1, .head_dim = 2 * words, .slots = slots};
    const uint32_t stride = (2 * slots * words + 63) / 64 * 64 + 64; // words, with room between the layers
    const size_t count = (size_t)stride * layers;
    uint32_t *kv = malloc(4 * count);
    for (size_t i = 0; i < count; i++) {
        kv[i] = harness_random(h);
    }
    sx_gpu_buffer *b_state = harness_input(h, state, STATE_WORDS), *b_kv = harness_input(h, kv, count);
    harness_begin(h);
    sx_op_kv_move(&h->ops, h->tape, &shape, layers, 4 * stride, harness_whole(b_state), harness_whole(b_kv));
    harness_run(h);
    uint32_t *want = malloc(4 * count), *got = harness_read(h, b_kv, count);
    memcpy(want, kv, 4 * count);
    for (uint32_t layer = 0; layer < layers; layer++) {
        for (uint32_t half = 0; half < 2; half++) {
            for (uint32_t i = 0; i < state->path_count; i++) {
                const size_t part = (size_t)layer * stride + (size_t)half * slots * words;
                memcpy(&want[part + (state->path_base + i) * words],
                       &kv[part + (state->path_base + state->path_row[i]) * words], 4 * words);
            }
        }
    }
    support_same(got, want, count, "keys and values");
    harness_free(h, b_state);
    harness_free(h, b_kv);
    free(kv);
    free(want);
    free(got);
}

static void accepted_rows_move(void **data)
{
    harness *h = *data;
    harness_seed(h, 33);
    for (uint32_t round = 0; round < 30; round++) {
        // Paths ascend; dense ones overlap: a slot is read after another row was moved beside it.
        SxState state = {.path_base = harness_random(h) % 40};
        uint32_t row = 0;
        for (uint32_t i = 0; i < SX_MAX_PATH && row < SX_MAX_ROWS; i++) {
            state.path_row[i] = row;
            state.path_count = i + 1;
            row += 1 + (round % 3 == 0 ? 0 : harness_random(h) % (1 + round % 4));
        }
        if (round == 5) state.path_count = 0;
        static const uint32_t words[] = {1, 16, 63, 64, 65, 200};
        check_kv_move(h, words[round % 6], 80, 1 + round % 5, &state);
    }
}

// ---- extend_batch --------------------------------------------------------------------------------------------------

static void the_draft_goes_on(void **data)
{
    harness *h = *data;
    harness_seed(h, 34);
    for (uint32_t count = 0; count <= SX_MAX_PATH; count++) {
        SxState state = {.path_count = count, .path_base = harness_random(h) % 1000};
        state.now.length = state.path_base + count;
        state.now.root = count == 7 ? SX_NONE : harness_random(h) % 100; // 7: the reply is done
        for (uint32_t i = 0; i < SX_MAX_PATH; i++) {
            state.path_row[i] = i < count ? 2 * i : 0;
            state.path_token[i] = harness_random(h) % 100;
        }
        sx_gpu_buffer *b_state = harness_input(h, &state, STATE_WORDS), *b_batch = harness_output(h, BATCH_WORDS),
                      *b_last = harness_output(h, BATCH_WORDS);
        harness_begin(h);
        sx_op_extend_batch(&h->ops, h->tape, harness_whole(b_state), harness_whole(b_batch), harness_whole(b_last));
        harness_run(h);
        SxBatch batch, last, want, want_last;
        support_read(h, b_batch, &batch, BATCH_WORDS);
        support_read(h, b_last, &last, BATCH_WORDS);
        reference_extend_batch(&state, &want, &want_last);
        support_same(&batch, &want, BATCH_WORDS, "the draft's rows");
        support_same(&last, &want_last, BATCH_WORDS, "the draft's last row");
        harness_free(h, b_state);
        harness_free(h, b_batch);
        harness_free(h, b_last);
    }
}

int main(void)
{
    harness h;
    harness_open(&h);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(ngrams_agree, &h),
        cmocka_unit_test_prestate(forced_tokens_are_a_chain, &h),
        cmocka_unit_test_prestate(accepted_rows_move, &h),
        cmocka_unit_test_prestate(the_draft_goes_on, &h),
    };
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    harness_close(&h);
    return failures;
}
