// sample.comp against sorting in doubles: statistics, ties, penalties, filters, noise, and the distribution it draws.
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

typedef struct fixture {
    harness *h;
    uint32_t vocabulary, rows, lanes; // lanes 0: as the op chooses
    SxSettings settings;
    SxBatch batch;
    float *logits;
    uint32_t *flags, *counts;
    sx_gpu_buffer *buffers[5]; // logits, batch, settings, counts, samples
    sx_gpu_tape *tape, *greedy_tape;
    SxSample samples[SX_MAX_ROWS];
} fixture;

static sx_gpu_tape *record(fixture *f, bool greedy)
{
    sx_gpu_binding bindings[5];
    for (int i = 0; i < 5; i++) {
        bindings[i] = harness_whole(f->buffers[i]);
    }
    harness_begin(f->h);
    if (f->lanes == 0) {
        sx_op_sample(&f->h->ops, f->h->tape, f->rows,
                     &(sx_sample_args){.logits = bindings[0],
                                       .vocabulary = f->vocabulary,
                                       .batch = bindings[1],
                                       .settings = bindings[2],
                                       .counts = bindings[3],
                                       .samples = bindings[4],
                                       .greedy = greedy});
    } else {
        char name[32];
        snprintf(name, sizeof(name), greedy ? "sample_greedy_%u" : "sample_%u", f->lanes);
        if (greedy) bindings[3] = bindings[4];
        sx_gpu_tape_dispatch(f->h->tape, sx_kernel_find(name), &f->vocabulary, 4, bindings, greedy ? 4 : 5, f->rows, 1,
                             1);
    }
    return support_finish(f->h);
}

static fixture make(harness *h, uint32_t vocabulary, uint32_t rows, uint32_t lanes)
{
    fixture f = {.h = h, .vocabulary = vocabulary, .rows = rows, .lanes = lanes};
    f.settings = support_settings(vocabulary);
    f.batch = harness_direct_batch(rows, 100);
    f.logits = harness_floats(h, (size_t)vocabulary * rows, -4.0f, 4.0f);
    f.flags = calloc(support_flag_words(vocabulary), 4);
    f.counts = calloc(vocabulary, 4);
    const size_t words[] = {(size_t)vocabulary * rows, BATCH_WORDS, SETTINGS_WORDS + support_flag_words(vocabulary),
                            vocabulary, 4 * rows};
    for (int i = 0; i < 5; i++) {
        f.buffers[i] = harness_output(h, words[i]);
    }
    f.tape = record(&f, false);
    f.greedy_tape = record(&f, true);
    return f;
}

static void release(fixture *f)
{
    sx_gpu_tape_destroy(f->h->gpu, f->tape);
    sx_gpu_tape_destroy(f->h->gpu, f->greedy_tape);
    for (int i = 0; i < 5; i++) {
        harness_free(f->h, f->buffers[i]);
    }
    free(f->logits);
    free(f->flags);
    free(f->counts);
}

static bool wants_only_the_largest(const SxSettings *s)
{
    return s->temperature == 0 && s->presence_penalty == 0 && s->frequency_penalty == 0 && s->repetition_penalty == 1 &&
           s->bias_count == 0;
}

// The greedy variant gives the same bits as the whole, wherever it may stand in for it.
static void check_greedy(fixture *f)
{
    SxSample samples[SX_MAX_ROWS];
    harness_poison(f->h, f->buffers[4], 4 * f->rows);
    harness_submit(f->h, f->greedy_tape);
    support_read(f->h, f->buffers[4], samples, 4 * f->rows);
    support_same(samples, f->samples, 4 * f->rows, "greedy");
}

static void run(fixture *f)
{
    const size_t flag_words = support_flag_words(f->vocabulary);
    uint32_t *settings = malloc(4 * (SETTINGS_WORDS + flag_words));
    memcpy(settings, &f->settings, sizeof(f->settings));
    memcpy(settings + SETTINGS_WORDS, f->flags, 4 * flag_words);
    support_write(f->h, f->buffers[0], f->logits, (size_t)f->vocabulary * f->rows);
    support_write(f->h, f->buffers[1], &f->batch, BATCH_WORDS);
    support_write(f->h, f->buffers[2], settings, SETTINGS_WORDS + flag_words);
    support_write(f->h, f->buffers[3], f->counts, f->vocabulary);
    harness_poison(f->h, f->buffers[4], 4 * f->rows);
    harness_submit(f->h, f->tape);
    support_read(f->h, f->buffers[4], f->samples, 4 * f->rows);
    if (wants_only_the_largest(&f->settings)) check_greedy(f);
    free(settings);
}

// Runs and compares every row; returns how many rows were doubtful.
static uint32_t check_rows(fixture *f, const char *what)
{
    run(f);
    uint32_t doubtful = 0;
    for (uint32_t row = 0; row < f->rows; row++) {
        const SxSample *got = &f->samples[row];
        if (row >= f->batch.count) {
            if (got->token != 0) fail_msg("%s: idle row %u says %u", what, row, got->token);
            continue;
        }
        const float *logits = &f->logits[(size_t)row * f->vocabulary];
        const reference_choice want =
            reference_sample(logits, f->vocabulary, &f->batch, row, &f->settings, f->flags, f->counts);
        doubtful += want.doubtful;
        if (got->token != want.token && !want.doubtful) {
            fail_msg("%s: vocabulary %u row %u says %u, not %u", what, f->vocabulary, row, got->token, want.token);
        }
        const double logprob = reference_logprob(logits, f->vocabulary, got->token);
        // exp, log and their sum: a few units in the last place of numbers near log(vocabulary).
        const bool close = fabs(got->logprob - logprob) <= 3e-6 * (1 + fabs(logprob)) &&
                           fabs(got->entropy - want.entropy) <= 2e-5 * (1 + fabs(want.entropy)) &&
                           fabs(got->margin - want.margin) <= 1e-6 * (1 + fabs(want.margin));
        if (!close) {
            fail_msg("%s: vocabulary %u row %u: logprob %.9g (%.9g), entropy %.9g (%.9g), margin %.9g (%.9g)", what,
                     f->vocabulary, row, got->logprob, logprob, got->entropy, want.entropy, got->margin, want.margin);
        }
    }
    return doubtful;
}

// ---- Greedy and statistics -----------------------------------------------------------------------------------------

static void noise_is_threefry(void **data)
{
    (void)data;
    // The published vectors of Random123 for threefry2x32, 20 rounds.
    static const uint32_t vectors[3][6] = {
        {0, 0, 0, 0, 0x6B200159, 0x99BA4EFE},
        {0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0x1CB996FC, 0xBB002BE7},
        {0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3, 0xC4923A9C, 0x483DF7A0},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t out[2];
        reference_threefry(&vectors[i][0], &vectors[i][2], out);
        assert_int_equal(out[0], vectors[i][4]);
        assert_int_equal(out[1], vectors[i][5]);
    }
}

static void greedy_at_awkward_sizes(void **data)
{
    harness *h = *data;
    harness_seed(h, 1);
    static const uint32_t sizes[] = {1, 2, 23, 63, 64, 65, 255, 256, 257, 640, 4099};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        for (uint32_t lanes = 16; lanes <= 256; lanes *= 16) {
            fixture f = make(h, sizes[i], 1 + (uint32_t)i * 3 % SX_MAX_ROWS, lanes);
            f.settings.close_count = 1;
            f.settings.close[0] = sizes[i] / 2;
            f.batch.count = f.rows > 2 ? f.rows - 1 : f.rows;
            assert_int_equal(check_rows(&f, "greedy"), 0);
            release(&f);
        }
    }
}

static void odd_logits(void **data)
{
    harness *h = *data;
    harness_seed(h, 2);
    fixture f = make(h, 130, 8, 0);
    for (uint32_t row = 0; row < 8; row++) {
        float *x = &f.logits[row * 130];
        switch (row) {
        case 0: // ties: the lowest
            x[77] = x[78] = x[129] = 9.0f;
            break;
        case 1: // +0 and -0 are equal
            for (uint32_t i = 0; i < 130; i++) {
                x[i] = i == 5 ? -0.0f : i == 6 ? 0.0f : -1.0f;
            }
            break;
        case 2: // NaN is never chosen
            for (uint32_t i = 0; i < 130; i += 2) {
                x[i] = NAN;
            }
            break;
        case 3: // all alike
            for (uint32_t i = 0; i < 130; i++) {
                x[i] = -INFINITY;
            }
            break;
        case 4:
            x[9] = INFINITY;
            break;
        case 5:
            for (uint32_t i = 0; i < 130; i++) {
                x[i] = i % 7 ? -INFINITY : 1.0f;
            }
            break;
        case 6:
            for (uint32_t i = 0; i < 130; i++) {
                x[i] = NAN;
            }
            break;
        default:
            x[3] = 3e38f;
            x[4] = -3e38f;
        }
    }
    check_rows(&f, "odd logits, greedy");
    assert_int_equal(f.samples[0].token, 77);
    assert_int_equal(f.samples[1].token, 5);
    f.settings.temperature = 0.7f;
    f.settings.top_p = 0.9f;
    check_rows(&f, "odd logits, drawn");
    release(&f);
}

static void banned_and_suppressed(void **data)
{
    harness *h = *data;
    harness_seed(h, 3);
    for (uint32_t drawn = 0; drawn < 2; drawn++) {
        fixture f = make(h, 67, 4, 0);
        f.settings.temperature = drawn ? 1.0f : 0.0f;
        f.settings.vocabulary = 60; // tokens beyond are padding of the head
        f.settings.close_count = 1;
        f.settings.close[0] = 7;
        f.settings.suppress_close_position = 102; // what row 1 samples
        for (uint32_t row = 0; row < 4; row++) {
            f.logits[row * 67 + 7] = 30.0f;
            f.logits[row * 67 + 8] = 60.0f;
            f.logits[row * 67 + 63] = 60.0f;
        }
        f.flags[2] = SX_TOKEN_BANNED | SX_TOKEN_END << 8; // tokens 8, 9
        for (uint32_t row = 0; row < 4; row++)
            f.logits[row * 67 + 9] = 29.0f;
        check_rows(&f, "suppressed");
        assert_int_equal(f.samples[0].token, 7);
        assert_int_not_equal(f.samples[1].token, 7);
        assert_int_not_equal(f.samples[1].token, 9);
        assert_int_equal(f.samples[2].token, 7);
        for (uint32_t i = 0; i < 15; i++) {
            f.flags[i] = SX_TOKEN_BANNED * 0x01010101u;
        }
        check_rows(&f, "all banned");
        assert_int_equal(f.samples[2].token, 0);
        release(&f);
    }
}

static void penalties_and_bias(void **data)
{
    harness *h = *data;
    harness_seed(h, 4);
    fixture f = make(h, 90, 16, 0);
    uint32_t doubtful = 0, changed = 0;
    for (uint32_t round = 0; round < 60; round++) {
        SxSettings *s = &f.settings;
        s->temperature = round % 3 ? 0.0f : 0.9f;
        s->repetition_penalty = round % 2 ? harness_uniform(h, 0.7f, 2.0f) : 1.0f;
        s->presence_penalty = round % 4 / 2 ? harness_uniform(h, -1.0f, 2.0f) : 0.0f;
        s->frequency_penalty = round % 8 / 4 ? harness_uniform(h, -0.5f, 1.0f) : 0.0f;
        s->bias_count = round % 5 == 4 ? SX_MAX_BIAS : round % 5;
        for (uint32_t i = 0; i < s->bias_count; i++) {
            s->bias_token[i] = harness_random(h) % 90;
            s->bias_value[i] = harness_random(h) % 8 ? harness_uniform(h, -3.0f, 3.0f) : -100.0f;
        }
        f.batch.root_is_prompt = round & 1;
        for (uint32_t row = 0; row < 16; row++) {
            f.batch.parent[row] = row ? (harness_random(h) % 2 ? row - 1 : harness_random(h) % row) : SX_NONE;
            f.batch.token[row] = harness_random(h) % 12;
            f.batch.position[row] = 50 + row;
        }
        for (uint32_t i = 0; i < 90; i++) {
            f.counts[i] = harness_random(h) % 4 ? 0 : harness_random(h) % 5;
        }
        for (uint32_t i = 0; i < 90 * 16; i++) {
            f.logits[i] = harness_uniform(h, -2.0f, i % 90 < 12 ? 4.0f : 3.0f);
        }
        doubtful += check_rows(&f, "penalties");
        for (uint32_t row = 0; row < 16; row++) {
            const SxSettings plain = support_settings(90);
            changed += s->temperature == 0.0f &&
                       f.samples[row].token !=
                           reference_sample(&f.logits[row * 90], 90, &f.batch, row, &plain, f.flags, f.counts).token;
        }
    }
    assert_true(changed > 100); // the penalties did something
    assert_true(doubtful < 20);
    release(&f);
}

// ---- Filters -------------------------------------------------------------------------------------------------------

static void filters_agree(void **data)
{
    harness *h = *data;
    harness_seed(h, 5);
    uint32_t doubtful = 0, rows = 0;
    for (uint32_t lanes = 16; lanes <= 256; lanes *= 16) {
        fixture f = make(h, 333, 16, lanes);
        for (uint32_t round = 0; round < 50; round++) {
            static const float top_ps[] = {1.0f, 0.95f, 0.5f, 0.05f, 0.999f}, min_ps[] = {0.0f, 0.05f, 0.5f, 0.001f};
            static const uint32_t top_ks[] = {0, 1, 2, 20, 332, 333, 5000};
            f.settings.temperature = harness_uniform(h, 0.2f, 2.5f);
            f.settings.top_k = top_ks[harness_random(h) % 7];
            f.settings.top_p = top_ps[harness_random(h) % 5];
            f.settings.min_p = min_ps[harness_random(h) % 4];
            f.settings.seed_low = harness_random(h);
            f.settings.seed_high = harness_random(h);
            const float spread = harness_uniform(h, 0.5f, 8.0f);
            for (uint32_t i = 0; i < 333 * 16; i++) {
                f.logits[i] = harness_uniform(h, -spread, spread);
            }
            doubtful += check_rows(&f, "filters");
            rows += 16;
        }
        release(&f);
        f = make(h, 10, 4, lanes); // fewer than there are invocations
        for (f.settings.top_k = 1; f.settings.top_k <= 16; f.settings.top_k++) {
            f.settings.temperature = 1.5f;
            f.settings.seed_low = harness_random(h);
            doubtful += check_rows(&f, "few tokens");
            rows += 4;
        }
        release(&f);
    }
    print_message("%u of %u rows doubtful\n", doubtful, rows);
    assert_true(doubtful < rows / 10);
}

static void filters_at_their_edges(void **data)
{
    harness *h = *data;
    harness_seed(h, 6);
    fixture f = make(h, 100, 32, 0);
    static const struct {
        float temperature;
        uint32_t top_k;
        float top_p, min_p;
    } greedy[] = {{1, 1, 1, 0}, {1, 0, 1e-9f, 0}, {1, 0, 0, 0}, {1, 0, 1, 1}, {1e-6f, 0, 1, 0}, {5, 3, 0.01f, 0.99f}};
    for (size_t i = 0; i < sizeof(greedy) / sizeof(*greedy); i++) {
        f.settings.temperature = greedy[i].temperature;
        f.settings.top_k = greedy[i].top_k;
        f.settings.top_p = greedy[i].top_p;
        f.settings.min_p = greedy[i].min_p;
        run(&f);
        for (uint32_t row = 0; row < f.rows; row++) {
            const SxSettings plain = support_settings(100);
            const float *logits = &f.logits[row * 100];
            const reference_choice want = reference_sample(logits, 100, &f.batch, row, &plain, f.flags, f.counts);
            assert_int_equal(f.samples[row].token, want.token);
        }
    }
    // Equal values stand and fall together, whichever filter stops among them; others never pass.
    for (uint32_t i = 0; i < 100 * 32; i++) {
        f.logits[i] = i % 100 % 5 == 2 ? 4.0f : -1.0f;
    }
    for (uint32_t kind = 0; kind < 3; kind++) {
        f.settings = support_settings(100);
        f.settings.temperature = 1.5f;
        f.settings.top_k = kind == 0 ? 3 : 0;
        f.settings.top_p = kind == 1 ? 0.1f : 1.0f;
        f.settings.min_p = kind == 2 ? 0.9f : 0.0f;
        uint32_t seen[100] = {0}, distinct = 0;
        for (uint32_t round = 0; round < 20; round++) {
            f.settings.seed_low = round;
            check_rows(&f, "ties");
            for (uint32_t row = 0; row < f.rows; row++) {
                assert_int_equal(f.samples[row].token % 5, 2);
                distinct += seen[f.samples[row].token]++ == 0;
            }
        }
        assert_int_equal(distinct, 20);
    }
    release(&f);
}

// Shares a little below and above what the best k tokens hold: one token more or less is drawn often enough to be seen.
static void nucleus_at_its_edge(void **data)
{
    harness *h = *data;
    harness_seed(h, 10);
    enum { TOKENS = 20, VOCABULARY = 100 };
    static const float nudge = 2.5e-4f; // far above the device's rounding of about 2e-5
    fixture f = make(h, VOCABULARY, 32, 0);
    double mass[TOKENS + 1] = {0};
    for (uint32_t i = 0; i < VOCABULARY * 32; i++) {
        const uint32_t rank = i % VOCABULARY;
        f.logits[i] = rank < TOKENS ? 2.0f - 0.02f * (float)rank : -80.0f;
    }
    for (uint32_t rank = 0; rank < TOKENS; rank++) {
        mass[rank + 1] = mass[rank] + exp(-0.02 * rank);
    }
    f.settings.temperature = 1.0f;
    uint32_t doubtful = 0;
    for (uint32_t k = 1; k < TOKENS; k++) {
        for (int above = 0; above < 2; above++) {
            const uint32_t kept = k + (uint32_t)above;
            uint32_t seen[VOCABULARY] = {0};
            f.settings.top_p = (float)(mass[k] / mass[TOKENS]) + (above ? nudge : -nudge);
            for (uint32_t round = 0; round < 16; round++) {
                f.settings.seed_low = round;
                doubtful += check_rows(&f, "nucleus");
                for (uint32_t row = 0; row < f.rows; row++) {
                    assert_true(f.samples[row].token < kept);
                    seen[f.samples[row].token]++;
                }
            }
            assert_true(seen[kept - 1] != 0);
        }
    }
    assert_true(doubtful < 100); // of 19,456: draws between two tokens that are as good as equal
    release(&f);
}

static void large_vocabularies(void **data)
{
    harness *h = *data;
    harness_seed(h, 7);
    static const uint32_t sizes[] = {151936, 262144};
    for (uint32_t i = 0; i < 2; i++) {
        fixture f = make(h, sizes[i], 2, 0);
        check_rows(&f, "large, greedy");
        f.settings.temperature = 1.0f;
        f.settings.top_p = 0.9f; // nearly flat: the sum of weights needs more than 32 bits
        check_rows(&f, "large, top-p");
        f.settings.top_k = 40;
        check_rows(&f, "large, top-k");
        f.settings.top_k = 300; // more than there are invocations
        check_rows(&f, "large, a large top-k");
        f.settings.top_k = 40;
        f.settings.top_p = 1.0f;
        for (size_t k = 0; k < (size_t)sizes[i] * 2; k++)
            f.logits[k] = roundf(4 * f.logits[k]) / 4; // thousands as good as the last one
        check_rows(&f, "large, ties");
        release(&f);
    }
}

// ---- The distribution ----------------------------------------------------------------------------------------------

enum { FACES = 8, ROLLS = 600 };

static double chi_square(const uint32_t *counts, const double *probabilities, uint32_t n, uint32_t total)
{
    double sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        const double expected = probabilities[i] * total;
        sum += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    return sum;
}

static void draws_the_distribution(void **data)
{
    harness *h = *data;
    harness_seed(h, 8);
    fixture f = make(h, FACES, SX_MAX_ROWS, 0);
    static const float logits[FACES] = {0.0f, 1.0f, -1.0f, 0.5f, 2.0f, 0.0f, -2.0f, 1.5f};
    for (uint32_t i = 0; i < FACES * SX_MAX_ROWS; i++) {
        f.logits[i] = logits[i % FACES];
    }
    f.settings.temperature = 0.8f;
    double p[FACES], pairs[FACES * FACES], total = 0;
    for (uint32_t i = 0; i < FACES; i++) {
        total += p[i] = exp(logits[i] / 0.8);
    }
    for (uint32_t i = 0; i < FACES; i++) {
        p[i] /= total;
    }
    for (uint32_t i = 0; i < FACES * FACES; i++) {
        pairs[i] = p[i / FACES] * p[i % FACES];
    }
    uint32_t counts[FACES] = {0}, along[FACES * FACES] = {0}, across[FACES * FACES] = {0};
    SxSample before[SX_MAX_ROWS];
    for (uint32_t roll = 0; roll < ROLLS; roll++) {
        f.settings.seed_low = roll; // neighbouring seeds, positions and tokens: the hardest for the noise
        memcpy(before, f.samples, sizeof(before));
        run(&f);
        for (uint32_t row = 0; row < SX_MAX_ROWS; row++) {
            counts[f.samples[row].token]++;
            if (row % 2) along[f.samples[row - 1].token * FACES + f.samples[row].token]++;
            if (roll % 2) across[before[row].token * FACES + f.samples[row].token]++;
        }
    }
    const double single = chi_square(counts, p, FACES, ROLLS * SX_MAX_ROWS);
    const double positions = chi_square(along, pairs, FACES * FACES, ROLLS * SX_MAX_ROWS / 2);
    const double seeds = chi_square(across, pairs, FACES * FACES, ROLLS * SX_MAX_ROWS / 2);
    print_message("chi-square: %.1f of 7, %.1f and %.1f of 63 degrees\n", single, positions, seeds);
    // Beyond these lie 1e-6 of the distributions. The seeds are fixed: the outcome is, too, but for rounding.
    assert_true(single < 40.5);
    assert_true(positions < 129.0 && seeds < 129.0);
    // A sampler at temperature 1 would not pass.
    double warmer[FACES], sum = 0;
    for (uint32_t i = 0; i < FACES; i++) {
        sum += warmer[i] = exp(logits[i]);
    }
    for (uint32_t i = 0; i < FACES; i++) {
        warmer[i] /= sum;
    }
    assert_true(chi_square(counts, warmer, FACES, ROLLS * SX_MAX_ROWS) > 100.0);
    release(&f);
}

// A row's sample depends on that row alone.
static void rows_do_not_matter(void **data)
{
    harness *h = *data;
    harness_seed(h, 9);
    fixture all = make(h, 500, SX_MAX_ROWS, 0), one = make(h, 500, 1, 0);
    all.settings.temperature = one.settings.temperature = 0.8f;
    all.settings.top_p = one.settings.top_p = 0.9f;
    run(&all);
    for (uint32_t row = 0; row < SX_MAX_ROWS; row++) {
        memcpy(one.logits, &all.logits[row * 500], 2000);
        one.batch.position[0] = all.batch.position[row];
        run(&one);
        support_same(&one.samples[0], &all.samples[row], 4, "a row alone");
    }
    release(&all);
    release(&one);
}

int main(void)
{
    harness h;
    harness_open(&h);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(noise_is_threefry, &h),
        cmocka_unit_test_prestate(greedy_at_awkward_sizes, &h),
        cmocka_unit_test_prestate(odd_logits, &h),
        cmocka_unit_test_prestate(banned_and_suppressed, &h),
        cmocka_unit_test_prestate(penalties_and_bias, &h),
        cmocka_unit_test_prestate(filters_agree, &h),
        cmocka_unit_test_prestate(filters_at_their_edges, &h),
        cmocka_unit_test_prestate(nucleus_at_its_edge, &h),
        cmocka_unit_test_prestate(large_vocabularies, &h),
        cmocka_unit_test_prestate(draws_the_distribution, &h),
        cmocka_unit_test_prestate(rows_do_not_matter, &h),
    };
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    harness_close(&h);
    return failures;
}
