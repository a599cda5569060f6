// Drafts written as our own GGUF: the same numbers where nothing is requantised, near ones where something is.
#include "reference.h"
#include "support.h"

#include "model/convert.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *golden_folder;

typedef struct results {
    double *signals, *fed_back, *logits;
    uint32_t pairs, signal_rows, hidden, vocabulary;
} results;

static const uint32_t tokens[8] = {5, 300, 17, 88, 251, 9, 120, 33};

static sx_draft *open_draft(const char *path)
{
    sx_draft *draft;
    sx_error error;
    if (sx_draft_open(path, NULL, &draft, &error) != SX_OK) fail_msg("%s", error.message);
    return draft;
}

static results run(const char *path)
{
    char target_path[512];
    sx_model_files *files;
    sx_hparams h;
    sx_target_weights w;
    sx_error error;
    snprintf(target_path, sizeof target_path, "%s/models/qwen3.gguf", golden_folder);
    assert_int_equal(sx_model_files_open(target_path, &files, &error), SX_OK);
    assert_int_equal(sx_hparams_read(files, &h, &error), SX_OK);
    assert_int_equal(sx_target_weights_find(files, &h, &w, &error), SX_OK);
    sx_draft *d = open_draft(path);
    if (sx_draft_bind(d, &h, "qwen3.gguf", &error) != SX_OK) fail_msg("%s", error.message);
    results r = {.pairs = 7, .signal_rows = d->signals.rows, .hidden = d->hidden, .vocabulary = d->draft_vocabulary};
    r.signals = calloc(r.pairs * (r.signal_rows + 1), sizeof(double));
    r.fed_back = calloc(r.pairs * r.hidden, sizeof(double));
    r.logits = calloc((size_t)r.pairs * r.vocabulary, sizeof(double));
    double *states = calloc((size_t)(h.layers + 1) * 8 * h.hidden, sizeof(double));
    reference_target(&h, &w, tokens, 8, NULL, states, NULL);
    reference_draft(d, &h, &w, tokens, 8, states, NULL, r.signal_rows ? r.signals : NULL, r.fed_back, r.logits);
    free(states);
    sx_draft_close(d);
    sx_target_weights_free(&w);
    sx_model_files_close(files);
    return r;
}

static void free_results(results *r)
{
    free(r->signals);
    free(r->fed_back);
    free(r->logits);
}

static double difference(const double *a, const double *b, size_t count)
{
    double worst = 0, largest = 1e-30;
    for (size_t i = 0; i < count; i++) {
        worst = fmax(worst, fabs(a[i] - b[i]));
        largest = fmax(largest, fabs(b[i]));
    }
    return worst / largest;
}

static void convert(const char *from, const char *to, const sx_convert_options *options)
{
    sx_error error;
    sx_draft *draft = open_draft(from);
    if (sx_draft_write(draft, to, options, &error) != SX_OK) fail_msg("%s", error.message);
    sx_draft_close(draft);
}

static void check_layout(const char *layout, const char *folder)
{
    char from[512], to[512];
    snprintf(from, sizeof from, "%s/drafts/%s", golden_folder, layout);
    snprintf(to, sizeof to, "%s/out.gguf", folder);
    results before = run(from);
    static const struct {
        sx_convert_options options;
        double tolerance;
    } cases[] = {{{0}, 0},
                 {{.requantize = true, .format = SX_FORMAT_F32}, 0},
                 {{.requantize = true, .format = SX_FORMAT_Q8_0}, 0.03}};
    for (int i = 0; i < 3; i++) {
        convert(from, to, i ? &cases[i].options : NULL);
        results after = run(to);
        assert_int_equal(after.signal_rows, before.signal_rows);
        assert_int_equal(after.vocabulary, before.vocabulary);
        const double error = difference(after.logits, before.logits, (size_t)before.pairs * before.vocabulary);
        if (error > cases[i].tolerance) fail_msg("%s, case %d: logits differ by %g", layout, i, error);
        // signal rows are never quantised
        assert_true(difference(after.signals, before.signals, before.pairs * before.signal_rows) == 0);
        free_results(&after);
    }
    free_results(&before);
    unlink(to);
}

static void test_layouts(void **state)
{
    (void)state;
    char folder[] = "/tmp/sx-convert-XXXXXX";
    assert_non_null(mkdtemp(folder));
    static const char *const layouts[] = {"gguf.gguf", "llamacpp.gguf", "llamacpp-old.gguf", "eagle",
                                          "specexit",  "specforge",     "speculators",       "nvidia"};
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        check_layout(layouts[i], folder);
    assert_int_equal(rmdir(folder), 0); // nothing but the output was written
}

static bool stop(void *user, uint64_t done, uint64_t total)
{
    uint64_t *last = user;
    assert_true(done > *last && done <= total);
    *last = done;
    return done < total / 2;
}

static void test_failures(void **state)
{
    (void)state;
    char folder[] = "/tmp/sx-convert-XXXXXX", from[512], to[512];
    sx_error error;
    assert_non_null(mkdtemp(folder));
    snprintf(from, sizeof from, "%s/drafts/specexit", golden_folder);
    snprintf(to, sizeof to, "%s/out.gguf", folder);
    sx_draft *draft = open_draft(from);
    uint64_t last = 0;
    const sx_convert_options stopped = {.progress = stop, .user = &last},
                             odd = {.requantize = true, .format = SX_FORMAT_Q6_K};
    assert_int_equal(sx_draft_write(draft, to, &stopped, &error), SX_ERROR_CANCELLED);
    assert_int_equal(sx_draft_write(draft, to, &odd, &error), SX_ERROR_UNSUPPORTED);
    assert_int_equal(sx_draft_write(draft, "/nonexistent/out.gguf", NULL, &error), SX_ERROR_FILE);
    assert_non_null(strstr(error.message, "/nonexistent/out.gguf"));
    sx_draft_close(draft);
    assert_int_equal(rmdir(folder), 0);
}

// What a file says of the making of its signals goes where they go, and is held against the model.
static void check_cards(sx_draft *draft, const char *to)
{
    sx_error error;
    sx_signal_head *head;
    sx_draft *again;
    bool other_format;
    draft->card = (sx_signal_card){.entry = {{"specexit.card.target", "Some model (Q8_0)"},
                                             {"specexit.card.target_fingerprint", "00000000000000aB"},
                                             {"specexit.card.target_family", "123456789abcdef0"}},
                                   .count = 3};
    assert_int_equal(sx_draft_write(draft, to, NULL, &error), SX_OK);
    again = open_draft(to);
    assert_int_equal(sx_signal_head_write(again, to, &error), SX_OK);
    sx_draft_close(again);
    if (sx_signal_head_open(to, NULL, &head, &error) != SX_OK) fail_msg("%s", error.message);
    const sx_signal_card *card = &head->card;
    assert_int_equal(card->count, 3);
    assert_true(card->exact == 0xab && card->family == 0x123456789abcdef0);
    assert_int_equal(sx_signal_card_check(card, "head", card->exact, card->family, &other_format, &error), SX_OK);
    assert_false(other_format);
    assert_int_equal(sx_signal_card_check(card, "head", 5, card->family, &other_format, &error), SX_OK);
    assert_true(other_format);
    assert_int_equal(sx_signal_card_check(card, "head", 5, 6, &other_format, &error), SX_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "Some model (Q8_0)"));
    sx_signal_head_close(head);
    draft->card.entry[1].text = "ab";
    assert_int_equal(sx_signal_head_write(draft, to, &error), SX_OK);
    assert_int_equal(sx_signal_head_open(to, NULL, &head, &error), SX_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "specexit.card.target_fingerprint"));
    draft->card.count = 0;
}

static void test_signal_heads(void **state)
{
    (void)state;
    char folder[] = "/tmp/sx-convert-XXXXXX", from[512], to[512];
    sx_error error;
    assert_non_null(mkdtemp(folder));
    snprintf(from, sizeof from, "%s/drafts/gguf.gguf", golden_folder);
    snprintf(to, sizeof to, "%s/head.gguf", folder);
    sx_draft *draft = open_draft(from);
    if (sx_signal_head_write(draft, to, &error) != SX_OK) fail_msg("%s", error.message);
    sx_signal_head *head;
    if (sx_signal_head_open(to, NULL, &head, &error) != SX_OK) fail_msg("%s", error.message);
    assert_true(head->signal_mask == 7 && head->target_hidden == 64 && head->aux_layers[2] == draft->aux_layers[2]);
    float a[192], b[192];
    for (uint32_t row = 0; row < 3; row++) {
        assert_int_equal(sx_tensor_read_floats(&head->signals, row, 1, a, NULL), SX_OK);
        assert_int_equal(sx_tensor_read_floats(&draft->signals, row, 1, b, NULL), SX_OK);
        assert_memory_equal(a, b, sizeof a);
    }
    assert_int_equal(head->card.count, 0);
    sx_signal_head_close(head);
    check_cards(draft, to);
    sx_draft_close(draft);
    snprintf(from, sizeof from, "%s/drafts/angelslim", golden_folder);
    draft = open_draft(from);
    assert_int_equal(sx_signal_head_write(draft, to, &error), SX_ERROR_ARGUMENT);
    sx_draft_close(draft);
    unlink(to);
    rmdir(folder);
}

int main(int argc, char **argv)
{
    golden_folder = argc > 1 ? argv[1] : "tests/golden";
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_layouts), cmocka_unit_test(test_failures),
                                       cmocka_unit_test(test_signal_heads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
