// Targets and drafts as they are loaded, against vectors from other people's implementations (tools/golden_models.py).
#include "reference.h"
#include "support.h"

#include "model/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *golden_folder;

typedef struct golden {
    sx_arena arena;
    const sx_json *json;
    uint32_t tokens[64], count;
} golden;

static void read_golden(golden *g, const char *kind, const char *name)
{
    char path[512];
    size_t size;
    sx_error error;
    *g = (golden){0};
    snprintf(path, sizeof path, "%s/%s/%s.json", golden_folder, kind, name);
    uint8_t *text = read_whole_file(path, &size);
    if (sx_json_parse((const char *)text, size, path, &g->arena, &g->json, &error) != SX_OK)
        fail_msg("%s", error.message);
    free(text);
    for (const sx_json *t = sx_json_find(g->json, "tokens")->first; t; t = t->next)
        g->tokens[g->count++] = (uint32_t)t->integer;
}

static void load_target(const char *name, sx_model_files **files, sx_hparams *hparams, sx_target_weights *weights)
{
    char path[512];
    sx_error error;
    snprintf(path, sizeof path, "%s/models/%s.gguf", golden_folder, name);
    if (sx_model_files_open(path, files, &error) != SX_OK) fail_msg("%s", error.message);
    if (sx_hparams_read(*files, hparams, &error) != SX_OK) fail_msg("%s", error.message);
    if (sx_target_weights_find(*files, hparams, weights, &error) != SX_OK) fail_msg("%s", error.message);
}

// The largest difference over the largest magnitude.
static double relative_error(const double *found, const float *wanted, size_t count)
{
    double worst = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(found[i])) return INFINITY;
        worst = fmax(worst, fabs(found[i] - (double)wanted[i]));
        largest = fmax(largest, fabs((double)wanted[i]));
    }
    return worst / largest;
}

static void check_target(const char *name)
{
    golden g;
    sx_model_files *files;
    sx_hparams h;
    sx_target_weights w;
    char path[512];
    size_t size;
    read_golden(&g, "models", name);
    load_target(name, &files, &h, &w);
    snprintf(path, sizeof path, "%s/models/%s.f32", golden_folder, name);
    uint8_t *wanted = read_whole_file(path, &size);
    const size_t states = (size_t)(h.layers + 1) * g.count * h.hidden, logits = (size_t)g.count * h.vocabulary;
    assert_int_equal(size, (states + logits) * sizeof(float));
    double *found = malloc((states + logits) * sizeof *found);
    reference_target(&h, &w, g.tokens, g.count, NULL, found, found + states);
    // The vectors are float32 results; this forward pass is in double.
    const double state_error = relative_error(found, (const float *)(void *)wanted, states);
    const double logit_error = relative_error(found + states, (const float *)(void *)wanted + states, logits);
    print_message("%-14s states %.1e, logits %.1e\n", name, state_error, logit_error);
    assert_true(state_error < 2e-5);
    assert_true(logit_error < 2e-5);
    free(found), free(wanted);
    sx_target_weights_free(&w);
    sx_model_files_close(files);
    sx_arena_free(&g.arena);
}

static void test_targets(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen3", "qwen3-yarn", "qwen2", "llama", "gemma3", "hunyuan-dense", "qwen3moe"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_target(names[i]);
}

static void compare_list(const char *what, const double *found, const sx_json *list, double tolerance)
{
    double worst = 0, largest = 1e-30;
    uint32_t i = 0;
    for (const sx_json *v = list->first; v; v = v->next, i++) {
        if (!isfinite(found[i])) fail_msg("%s is not finite", what);
        worst = fmax(worst, fabs(found[i] - v->number));
        largest = fmax(largest, fabs(v->number));
    }
    assert_true(i > 0);
    if (worst / largest > tolerance) fail_msg("%s: relative error %g", what, worst / largest);
}

static void check_draft(const char *layout, const char *suffix)
{
    golden g;
    sx_model_files *files;
    sx_hparams h;
    sx_target_weights w;
    sx_draft *d;
    sx_error error;
    char path[512];
    read_golden(&g, "drafts", layout);
    load_target("qwen3", &files, &h, &w);
    snprintf(path, sizeof path, "%s/drafts/%s%s", golden_folder, layout, suffix);
    if (sx_draft_open(path, NULL, &d, &error) != SX_OK) fail_msg("%s", error.message);
    if (sx_draft_bind(d, &h, "qwen3.gguf", &error) != SX_OK) fail_msg("%s", error.message);
    uint32_t i = 0;
    for (const sx_json *v = sx_json_find(g.json, "aux_layers")->first; v; v = v->next)
        assert_int_equal(d->aux_layers[i++], v->integer);
    assert_int_equal(d->aux_count, i);
    const uint32_t pairs = g.count - 1, last = pairs - 1, rows = d->signals.rows;
    double *states = malloc((size_t)(h.layers + 1) * g.count * h.hidden * sizeof *states);
    double *features = malloc((size_t)pairs * d->hidden * sizeof *features), *signals = malloc((pairs * rows + 1) * 8u);
    double *fed_back = malloc((size_t)pairs * d->hidden * sizeof *fed_back);
    double *logits = malloc((size_t)pairs * d->draft_vocabulary * sizeof *logits);
    reference_target(&h, &w, g.tokens, g.count, NULL, states, NULL);
    reference_draft(d, &h, &w, g.tokens, g.count, states, features, rows ? signals : NULL, fed_back, logits);
    compare_list("the feature", features + (size_t)last * d->hidden, sx_json_find(g.json, "last_feature"), 2e-5);
    compare_list("the state", fed_back + (size_t)last * d->hidden, sx_json_find(g.json, "last_state"), 2e-5);
    compare_list("the logits", logits + (size_t)last * d->draft_vocabulary, sx_json_find(g.json, "last_logits"), 2e-5);
    const sx_json *row = sx_json_find(g.json, "signals")->first;
    assert_int_equal(row != NULL, rows != 0);
    for (uint32_t t = 0; row; row = row->next, t++)
        compare_list("the signals", signals + (size_t)t * rows, row, 2e-5);
    // The tree's first child of the root is the likeliest token, in the target's ids.
    uint32_t best = 0;
    const double *z = logits + (size_t)last * d->draft_vocabulary;
    for (uint32_t t = 1; t < d->draft_vocabulary; t++)
        if (z[t] > z[best]) best = t;
    const sx_json *tree = sx_json_find(sx_json_find(g.json, "tree"), "tokens");
    assert_int_equal(d->target_ids ? d->target_ids[best] : best, tree->first->integer);
    free(states), free(features), free(signals), free(fed_back), free(logits);
    sx_draft_close(d);
    sx_target_weights_free(&w);
    sx_model_files_close(files);
    sx_arena_free(&g.arena);
}

static void test_drafts(void **state)
{
    (void)state;
    for (const golden_draft *draft = golden_drafts; draft->name; draft++)
        check_draft(draft->name, draft->suffix);
}

int main(int argc, char **argv)
{
    golden_folder = argc > 1 ? argv[1] : "tests/golden";
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_targets), cmocka_unit_test(test_drafts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
