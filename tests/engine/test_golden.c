// The engine on the device against other people's implementations: logits of transformers for tiny random models of
// every architecture, signals and trees of a PyTorch EAGLE-3 draft in every layout (tools/golden_models.py).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/session.h"
#include "harness.h"
#include "model/model_files.h"
#include "model/target_weights.h"
#include "reference.h"
#include "support.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 64 };

// Weights are float32; keys and values are kept in f16, 2^-12 relative each, which bounds what can be expected against
// an implementation that does not round them. The second figure is against the plain-C reference, which agrees with
// transformers to 2e-5, over the device's own keys and values, each of which it has found to be rightly rounded.
static const double logit_tolerance = 1e-3;
static const double same_cache_tolerance = 5e-6;

typedef struct golden {
    cJSON *json;
    uint32_t tokens[MAX_TOKENS], count;
} golden;

static char *read_file(const char *path, size_t *size)
{
    FILE *stream = fopen(path, "rb");
    if (!stream) fail_msg("cannot open %s", path);
    fseek(stream, 0, SEEK_END);
    *size = (size_t)ftell(stream);
    rewind(stream);
    char *data = malloc(*size + 1);
    assert_int_equal(fread(data, 1, *size, stream), *size);
    data[*size] = 0;
    fclose(stream);
    return data;
}

static golden read_golden(const char *kind, const char *name)
{
    char path[512];
    size_t size;
    golden g = {0};
    snprintf(path, sizeof path, "%s/%s/%s.json", SX_GOLDEN_FOLDER, kind, name);
    char *text = read_file(path, &size);
    g.json = cJSON_Parse(text);
    free(text);
    assert_non_null(g.json);
    const cJSON *token;
    cJSON_ArrayForEach(token, cJSON_GetObjectItem(g.json, "tokens")) g.tokens[g.count++] = (uint32_t)token->valueint;
    return g;
}

static sx_engine *open_files(const char *target, const char *draft)
{
    char target_path[512], draft_path[512];
    snprintf(target_path, sizeof target_path, "%s/models/%s.gguf", SX_GOLDEN_FOLDER, target);
    snprintf(draft_path, sizeof draft_path, "%s/drafts/%s", SX_GOLDEN_FOLDER, draft ? draft : "");
    return test_open_bundled(
        &(sx_engine_desc){.target_path = target_path, .draft_path = draft ? draft_path : NULL, .context = 128});
}

// Logits [count, vocabulary] of the plain-C reference over the session's keys and values.
static double *reference_logits(const char *name, const golden *g, const sx_session *session)
{
    char path[512];
    sx_model_files *files = NULL;
    sx_hparams hparams;
    sx_target_weights weights;
    snprintf(path, sizeof path, "%s/models/%s.gguf", SX_GOLDEN_FOLDER, name);
    assert_int_equal(sx_model_files_open(path, &files, NULL), SX_OK);
    assert_int_equal(sx_hparams_read(files, &hparams, NULL), SX_OK);
    assert_int_equal(sx_target_weights_find(files, &hparams, &weights, NULL), SX_OK);
    const size_t part = (size_t)g->count * hparams.kv_heads * hparams.head_dim;
    uint16_t *cache = malloc(2 * hparams.layers * part * sizeof *cache);
    for (uint32_t i = 0; i < 2 * hparams.layers; i++) {
        const sx_gpu_binding rows = sx_kv_rows(&session->buffers.kv, i / 2, i % 2, 0, g->count);
        assert_int_equal(rows.size, part * sizeof *cache);
        assert_int_equal(sx_gpu_read(session->engine->gpu, rows.buffer, rows.offset, cache + i * part, rows.size, NULL),
                         SX_OK);
    }
    double *logits = malloc((size_t)g->count * hparams.vocabulary * sizeof *logits);
    reference_target(&hparams, &weights, g->tokens, g->count, cache, NULL, logits);
    free(cache);
    sx_target_weights_free(&weights);
    sx_model_files_close(files);
    return logits;
}

static void check_target(const char *name)
{
    golden g = read_golden("models", name);
    sx_engine *engine = open_files(name, NULL);
    sx_session *session = test_open_session(engine);
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    assert_true(info.bitwise_lossless); // a row's logits are the same bits alone and in company
    char path[512];
    size_t size;
    snprintf(path, sizeof path, "%s/models/%s.f32", SX_GOLDEN_FOLDER, name);
    char *wanted_bytes = read_file(path, &size);
    const size_t states = (size_t)(info.layers + 1) * g.count * info.hidden;
    const size_t count = (size_t)g.count * info.vocabulary;
    assert_int_equal(size, (states + count) * sizeof(float));
    const float *wanted = (const float *)(void *)wanted_bytes + states;
    float *found = NULL;
    sx_error error = {0};
    if (sx_session_logits(session, g.tokens, g.count, &found, &error) != SX_OK) fail_msg("%s", error.message);
    double *same_cache = reference_logits(name, &g, session);
    double worst = 0, worst_same = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        assert_true(isfinite(found[i]));
        worst_same = fmax(worst_same, fabs((double)found[i] - same_cache[i]));
        worst = fmax(worst, fabs((double)found[i] - (double)wanted[i]));
        largest = fmax(largest, fabs((double)wanted[i]));
    }
    print_message("%-14s logits %.1e of transformers', %.1e of those over the same keys and values\n", name,
                  worst / largest, worst_same / largest);
    assert_true(worst / largest <= logit_tolerance);
    assert_true(worst_same / largest <= same_cache_tolerance);
    free(same_cache);
    sx_free(found);
    free(wanted_bytes);
    cJSON_Delete(g.json);
    sx_session_destroy(session);
    sx_engine_destroy(engine);
}

static void test_targets(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen3", "qwen3-yarn", "qwen2", "llama", "gemma3", "hunyuan-dense", "qwen3moe"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_target(names[i]);
}

static void compare_signals(const char *name, const golden *g, const sx_signals *signals)
{
    const cJSON *row;
    uint32_t t = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(g->json, "signals"))
    {
        const double wanted[] = {cJSON_GetArrayItem(row, 0)->valuedouble, cJSON_GetArrayItem(row, 1)->valuedouble,
                                 cJSON_GetArrayItem(row, 2)->valuedouble};
        const double found[] = {(double)signals[t].confidence, (double)signals[t].progress, (double)signals[t].remain};
        // The golden file holds the rows' values before sigmoid and exp.
        const double expected[] = {1 / (1 + exp(-wanted[0])), 1 / (1 + exp(-wanted[1])), exp(wanted[2])};
        for (int i = 0; i < 3; i++)
            if (fabs(found[i] - expected[i]) > 2e-3 * fmax(1, fabs(expected[i])))
                fail_msg("%s: signal %d at token %u is %g instead of %g", name, i, t, found[i], expected[i]);
        t++;
    }
}

// The golden tree lists its nodes by level, ours by score: nodes are the same when all tokens up to the root are.
static bool same_path(const sx_draft_node *nodes, int ours, const cJSON *tokens, const cJSON *parents, int theirs)
{
    while (ours >= 0 && theirs >= 0) {
        if (nodes[ours].token != (uint32_t)cJSON_GetArrayItem(tokens, theirs)->valueint) return false;
        ours = nodes[ours].parent;
        theirs = cJSON_GetArrayItem(parents, theirs)->valueint;
    }
    return ours == theirs;
}

static void check_draft(const char *name, const char *suffix)
{
    char file[64];
    golden g = read_golden("drafts", name);
    snprintf(file, sizeof file, "%s%s", name, suffix);
    sx_engine *engine = open_files("qwen3", file);
    sx_session *session = test_open_session(engine);
    const cJSON *tree = cJSON_GetObjectItem(g.json, "tree");
    const cJSON *tokens = cJSON_GetObjectItem(tree, "tokens"), *parents = cJSON_GetObjectItem(tree, "parents");
    const cJSON *scores = cJSON_GetObjectItem(tree, "logprobs");
    const sx_drafting drafting = {.kind = SX_DRAFT_TREE,
                                  .depth = (uint32_t)cJSON_GetObjectItem(tree, "levels")->valueint,
                                  .branch = (uint32_t)cJSON_GetObjectItem(tree, "width")->valueint,
                                  .nodes = (uint32_t)cJSON_GetArraySize(tokens)};
    sx_signals signals[MAX_TOKENS];
    sx_draft_node nodes[64];
    uint32_t count = 0;
    sx_error error = {0};
    if (sx_session_inspect(session, g.tokens, g.count, &drafting, signals, nodes, 64, &count, &error) != SX_OK)
        fail_msg("%s: %s", name, error.message);
    compare_signals(name, &g, signals);
    assert_int_equal(count, drafting.nodes);
    for (uint32_t i = 0; i < count; i++) {
        const double score = cJSON_GetArrayItem(scores, (int)i)->valuedouble;
        bool found = false;
        for (uint32_t j = 0; j < count && !found; j++)
            found = same_path(nodes, (int)j, tokens, parents, (int)i) &&
                    fabs((double)nodes[j].logprob - score) <= 2e-3 * fmax(1, fabs(score));
        if (!found)
            fail_msg("%s: the tree lacks node %u, token %d with %g", name, i,
                     cJSON_GetArrayItem(tokens, (int)i)->valueint, score);
    }
    cJSON_Delete(g.json);
    sx_session_destroy(session);
    sx_engine_destroy(engine);
}

static void test_drafts(void **state)
{
    (void)state;
    for (const golden_draft *draft = golden_drafts; draft->name; draft++)
        check_draft(draft->name, draft->suffix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_targets), cmocka_unit_test(test_drafts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
