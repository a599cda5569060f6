// Hyper-parameters, rotary tables and the tensors of targets, right and wrong.
#include "support.h"

#include "model/target_weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct loaded {
    uint8_t *bytes;
    sx_source source;
    sx_model_files *files;
    sx_hparams hparams;
    sx_target_weights weights;
    sx_error error;
} loaded;

static sx_status load(loaded *model, const tiny_options *options)
{
    size_t size;
    memset(model, 0, sizeof *model);
    model->bytes = tiny_target(options, &size);
    model->source = sx_source_memory("tiny.gguf", model->bytes, size);
    const sx_source *sources[] = {&model->source};
    sx_status status = sx_model_files_from_sources(sources, 1, &model->files, &model->error);
    if (status == SX_OK) status = sx_hparams_read(model->files, &model->hparams, &model->error);
    if (status == SX_OK) status = sx_target_weights_find(model->files, &model->hparams, &model->weights, &model->error);
    return status;
}

static void unload(loaded *model)
{
    sx_target_weights_free(&model->weights);
    sx_model_files_close(model->files);
    free(model->bytes);
}

static void expect_ok(const tiny_options *options, loaded *model)
{
    if (load(model, options) != SX_OK) fail_msg("%s", model->error.message);
}

static void expect_problem(const tiny_options *options, const char *part)
{
    loaded model;
    const sx_status status = load(&model, options);
    if (status == SX_OK || !strstr(model.error.message, part))
        fail_msg("\"%s\" where \"%s\" is wanted", model.error.message, part);
    unload(&model);
}

static void test_architectures(void **state)
{
    (void)state;
    static const char *const names[] = {"qwen3", "qwen2", "llama", "gemma3", "hunyuan-dense", "qwen3moe"};
    for (int i = 0; i < 6; i++) {
        const tiny_options options = {.architecture = names[i], .untied = i % 2};
        loaded model;
        expect_ok(&options, &model);
        const sx_hparams *h = &model.hparams;
        assert_string_equal(h->architecture_name, names[i]);
        assert_true(h->layers == 4 && h->hidden == 64 && h->heads == 4 && h->kv_heads == 2 && h->head_dim == 32);
        assert_true(h->vocabulary == 40 && h->context == 512);
        assert_true(fabsf(h->attention_scale - 1 / sqrtf(32)) < 1e-7f);
        assert_int_equal(model.weights.tied, !options.untied);
        assert_int_equal(sx_tensor_exists(&model.weights.layers[0].q_bias), i == 1);
        assert_int_equal(sx_tensor_exists(&model.weights.layers[0].q_norm), i != 1 && i != 2);
        assert_int_equal(sx_tensor_exists(&model.weights.layers[0].gate), i != 5);
        assert_int_equal(model.weights.layers[3].gate_experts.slices, i == 5 ? 8 : 0);
        unload(&model);
    }
}

static void test_gemma_windows(void **state)
{
    (void)state;
    const tiny_options options = {.architecture = "gemma3"};
    loaded model;
    expect_ok(&options, &model);
    const sx_hparams *h = &model.hparams;
    for (uint32_t i = 0; i < 12; i++)
        assert_int_equal(sx_layer_window(h, i), (i + 1) % 6 ? 16 : 0);
    assert_true(fabsf(h->embedding_scale - 8) < 1e-6f);
    assert_true(fabsf(sx_layer_rope(h, 0)->inv_freq[1] - powf(1e4f, -1.0f / 16)) < 1e-6f);
    assert_true(fabsf(sx_layer_rope(h, 5)->inv_freq[1] - powf(1e6f, -1.0f / 16)) < 1e-6f);
    unload(&model);
}

static void test_llama_divisors(void **state)
{
    (void)state;
    const tiny_options options = {.architecture = "llama"};
    loaded model;
    expect_ok(&options, &model);
    assert_int_equal(model.hparams.rope.layout, SX_ROPE_PAIRS);
    for (int i = 0; i < 16; i++) {
        const float wanted = powf(1e6f, -(float)i / 16) / (1 + (float)i);
        assert_true(fabsf(model.hparams.rope.inv_freq[i] / wanted - 1) < 1e-5f);
    }
    unload(&model);
}

static void test_problems(void **state)
{
    (void)state;
    expect_problem(&(tiny_options){.architecture = "mamba"},
                   "architecture \"mamba\" is not supported; supported are qwen3");
    expect_problem(&(tiny_options){.architecture = "eagle3"}, "this is a draft");
    expect_problem(&(tiny_options){.skip = "blk.2.ffn_up.weight"}, "blk.2.ffn_up.weight is missing");
    expect_problem(&(tiny_options){.skip = "token_embd.weight"}, "token_embd.weight is missing");
    expect_problem(&(tiny_options){.skip = "output_norm.weight"}, "output_norm.weight is missing");
    expect_problem(&(tiny_options){.twist = "blk.1.attn_k.weight"},
                   "blk.1.attn_k.weight is [65, 64], [64, 64] is wanted");
    expect_problem(&(tiny_options){.twist = "blk.1.attn_norm.weight"},
                   "blk.1.attn_norm.weight is [65], [64] is wanted");
    expect_problem(&(tiny_options){.extra = "blk.0.mystery.weight"}, "blk.0.mystery.weight is extra");
    expect_problem(&(tiny_options){.architecture = "qwen2", .extra = "blk.0.attn_q_norm.weight"}, "is extra");
    static const char *const keys[] = {"block_count",          "context_length",
                                       "embedding_length",     "feed_forward_length",
                                       "attention.head_count", "attention.layer_norm_rms_epsilon"};
    for (int i = 0; i < 6; i++) {
        char key[64], wanted[96];
        snprintf(key, sizeof key, "qwen3.%s", keys[i]);
        snprintf(wanted, sizeof wanted, "tiny.gguf: key %s is missing", key);
        expect_problem(&(tiny_options){.skip_key = key}, wanted);
    }
}

// All of many problems are counted, though only some fit.
static void test_many_problems(void **state)
{
    (void)state;
    loaded model;
    const tiny_options options = {.architecture = "qwen3"};
    expect_ok(&options, &model);
    sx_hparams wrong = model.hparams;
    wrong.hidden = 65;
    sx_target_weights weights;
    assert_int_equal(sx_target_weights_find(model.files, &wrong, &weights, &model.error), SX_ERROR_FORMAT);
    assert_non_null(strstr(model.error.message, "more problems"));
    unload(&model);
}

static void write_file(const char *folder, const char *name, const uint8_t *bytes, size_t size)
{
    char path[512];
    sx_error error;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (sx_file_write_atomic(path, bytes, size, &error) != SX_OK) fail_msg("%s", error.message);
}

static void write_part(const char *folder, const char *name, uint32_t number, uint32_t count)
{
    size_t size;
    const tiny_options options = {.split_count = count, .split_number = number};
    uint8_t *bytes = tiny_target(&options, &size);
    write_file(folder, name, bytes, size);
    free(bytes);
}

static void expect_open_failure(const char *folder, const char *name, const char *part)
{
    char path[512];
    sx_error error = {SX_OK, ""};
    sx_model_files *files;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    const sx_status status = sx_model_files_open(path, &files, &error);
    if (status == SX_OK || !strstr(error.message, part)) fail_msg("\"%s\" where \"%s\" is wanted", error.message, part);
}

static void test_splits(void **state)
{
    (void)state;
    char folder[] = "/tmp/sx-splits-XXXXXX", path[512];
    assert_non_null(mkdtemp(folder));
    write_part(folder, "m-00001-of-00003.gguf", 0, 3);
    write_part(folder, "m-00002-of-00003.gguf", 1, 3);
    expect_open_failure(folder, "m-00001-of-00003.gguf", "part 3 of 3");
    write_part(folder, "m-00003-of-00003.gguf", 2, 3);
    for (int i = 1; i <= 3; i++) {
        sx_model_files *files;
        sx_error error;
        sx_hparams hparams;
        sx_target_weights weights;
        snprintf(path, sizeof path, "%s/m-%05d-of-00003.gguf", folder, i);
        if (sx_model_files_open(path, &files, &error) != SX_OK) fail_msg("%s", error.message);
        assert_int_equal(sx_model_files_count(files), 3);
        assert_int_equal(sx_hparams_read(files, &hparams, NULL), SX_OK);
        assert_int_equal(sx_target_weights_find(files, &hparams, &weights, NULL), SX_OK);
        sx_target_weights_free(&weights);
        sx_model_files_close(files);
    }
    write_part(folder, "m-00002-of-00003.gguf", 0, 3); // the first part again
    expect_open_failure(folder, "m-00001-of-00003.gguf", "says it is part 1 of 3 where part 2 of 3 is wanted");
    write_part(folder, "m-00002-of-00003.gguf", 1, 4); // of another model
    expect_open_failure(folder, "m-00001-of-00003.gguf", "part 2 of 4");
    write_part(folder, "renamed.gguf", 0, 3);
    expect_open_failure(folder, "renamed.gguf", "is part 1 of 3; give the parts back their names");
    expect_open_failure(folder, "none.gguf", "cannot open");
    static const char *const names[] = {"m-00001-of-00003.gguf", "m-00002-of-00003.gguf", "m-00003-of-00003.gguf",
                                        "renamed.gguf"};
    for (int i = 0; i < 4; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

// Against values from transformers 5 (ROPE_INIT_FUNCTIONS, head_dim 8).
static void test_rope_scalings(void **state)
{
    (void)state;
    sx_rope rope;
    sx_rope_desc desc = {.head_dim = 8, .base = 10000, .scaling = SX_ROPE_LINEAR, .factor = 4};
    assert_int_equal(sx_rope_make(&desc, "test", &rope, NULL), SX_OK);
    assert_true(rope.inv_freq[0] == 0.25f && fabsf(rope.inv_freq[1] - 0.025f) < 1e-9f && rope.factor == 1);
    desc = (sx_rope_desc){.head_dim = 8, .base = 10000, .scaling = SX_ROPE_NTK, .factor = 16};
    assert_int_equal(sx_rope_make(&desc, "test", &rope, NULL), SX_OK);
    assert_true(fabsf(rope.inv_freq[3] - powf(10000 * powf(16, 8.0f / 6), -0.75f)) < 1e-8f);
    sx_error error;
    desc.base = 0.5f;
    assert_int_equal(sx_rope_make(&desc, "test", &rope, &error), SX_ERROR_FORMAT);
    desc = (sx_rope_desc){.head_dim = 7, .base = 10000};
    assert_int_equal(sx_rope_make(&desc, "test", &rope, &error), SX_ERROR_UNSUPPORTED);
    desc = (sx_rope_desc){.head_dim = 8, .base = 10000, .scaling = SX_ROPE_YARN, .factor = 4};
    assert_int_equal(sx_rope_make(&desc, "test", &rope, &error), SX_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "original context"));
}

// The bundled model, as far as it is there.
static void test_bundled(void **state)
{
    (void)state;
    const char *path = SX_DEMO_FOLDER "/demo.gguf";
    if (access(path, F_OK) != 0) skip();
    sx_model_files *files;
    sx_hparams hparams;
    sx_target_weights weights;
    sx_error error;
    if (sx_model_files_open(path, &files, &error) != SX_OK) fail_msg("%s", error.message);
    if (sx_hparams_read(files, &hparams, &error) != SX_OK) fail_msg("%s", error.message);
    if (sx_target_weights_find(files, &hparams, &weights, &error) != SX_OK) fail_msg("%s", error.message);
    assert_int_equal(hparams.architecture, SX_ARCH_QWEN3);
    assert_true(weights.tied);
    sx_target_weights_free(&weights);
    sx_model_files_close(files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_architectures),  cmocka_unit_test(test_gemma_windows),
        cmocka_unit_test(test_llama_divisors), cmocka_unit_test(test_problems),
        cmocka_unit_test(test_many_problems),  cmocka_unit_test(test_splits),
        cmocka_unit_test(test_rope_scalings),  cmocka_unit_test(test_bundled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
