// Drafts that are wrong in every way we could think of, and the settings that right ones carry.
#include "support.h"

#include "model/draft.h"
#include "model/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *golden_folder;

// A checkpoint in memory: config.json and its weights.
typedef struct checkpoint {
    uint8_t *config, *weights;
    size_t config_size, weights_size;
    const char *weights_name;
} checkpoint;

static checkpoint read_checkpoint(const char *layout, const char *weights_name)
{
    char path[512];
    checkpoint c = {.weights_name = weights_name};
    snprintf(path, sizeof path, "%s/drafts/%s/config.json", golden_folder, layout);
    c.config = read_whole_file(path, &c.config_size);
    snprintf(path, sizeof path, "%s/drafts/%s/%s", golden_folder, layout, weights_name);
    c.weights = read_whole_file(path, &c.weights_size);
    return c;
}

static void free_checkpoint(checkpoint *c)
{
    free(c->config);
    free(c->weights);
}

static sx_status load(const checkpoint *c, sx_draft **out, sx_error *error)
{
    const sx_source config = sx_source_memory("folder/config.json", c->config, c->config_size);
    const sx_source weights = sx_source_memory(c->weights_name, c->weights, c->weights_size);
    const sx_source *sources[] = {&weights, &config};
    error->message[0] = 0;
    return sx_draft_from_sources(sources, 2, NULL, out, error);
}

static void expect_problem(const checkpoint *c, const char *part)
{
    sx_draft *draft;
    sx_error error;
    const sx_status status = load(c, &draft, &error);
    if (status == SX_OK || !strstr(error.message, part)) fail_msg("\"%s\" where \"%s\" is wanted", error.message, part);
}

// A change of the configuration's text.
static void expect_config_problem(const char *layout, const char *from, const char *to, const char *part)
{
    checkpoint c = read_checkpoint(layout, "model.safetensors");
    const char *at = strstr((const char *)c.config, from);
    if (!at) fail_msg("%s is not in the configuration of %s", from, layout);
    const size_t before = (size_t)(at - (const char *)c.config);
    uint8_t *changed = malloc(c.config_size + strlen(to) + 1);
    const int length = sprintf((char *)changed, "%.*s%s%s", (int)before, (const char *)c.config, to, at + strlen(from));
    free(c.config);
    c.config = changed;
    c.config_size = (size_t)length;
    expect_problem(&c, part);
    free_checkpoint(&c);
}

static void test_configurations(void **state)
{
    (void)state;
    expect_config_problem("specexit", "\"hidden_size\": 64", "\"hidden_size\": 65", "config.json says hidden size 65");
    expect_config_problem("specexit", "\"hidden_size\": 64", "\"hidden_size\": -1", "key hidden_size: is no positive");
    expect_config_problem("specexit", "\"hidden_size\": 64", "\"hidden_size\": 64, \"hidden_size\": 64",
                          "appears twice");
    expect_config_problem("specexit", "\"num_attention_heads\": 2", "\"num_attention_heads\": 3", "3 attention heads");
    expect_config_problem("specexit", "\"num_attention_heads\"", "\"heads\"", "key num_attention_heads: is missing");
    expect_config_problem("specexit", "\"num_key_value_heads\": 1", "\"num_key_value_heads\": 2", "2 key heads");
    expect_config_problem("specexit", "\"draft_vocab_size\": 160", "\"draft_vocab_size\": 161",
                          "draft vocabulary of 161");
    expect_config_problem("specexit", "\"silu\"", "\"gelu\"", "key hidden_act: is not silu");
    expect_config_problem("specexit", "\"rope_theta\": 10000.0", "\"rope_theta\": \"big\"", "key rope_theta");
    expect_config_problem("specexit", "\"rope_theta\": 10000.0",
                          "\"rope_theta\": 1e4, \"rope_scaling\": {\"type\": \"longrope\", \"factor\": 2}",
                          "key rope_scaling: is of a kind");
    expect_config_problem("specexit", "{", "[", "JSON at byte");
    expect_config_problem("nvidia", "\"target_hidden_size\": 64", "\"target_hidden_size\": 32", "3 states of 32");
    expect_config_problem("nvidia", "\"eagle_config\": {", "\"eagle_config\": [{", "JSON at byte");
    expect_config_problem("speculators", "\"eagle3\"", "\"dflash\"", "key speculators_model_type: \"dflash\"");
    expect_config_problem("speculators", "\"transformer_layer_config\"", "\"layer\"",
                          "transformer_layer_config: is missing");
    expect_config_problem("speculators", "\"norm_before_fc\": false", "\"norm_before_fc\": true", "excludes fc_norm");
    expect_config_problem("speculators", "\"norm_before_fc\": false", "\"norm_before_fc\": 1",
                          "neither true nor false");
    expect_config_problem("speculators", "\"eagle_aux_hidden_state_layer_ids\": [",
                          "\"eagle_aux_hidden_state_layer_ids\": [-7,", "impossible layer");
}

// A draft in one file, whose header is JSON of the length its first 8 bytes tell.
static char *header_of(const checkpoint *c, size_t *size)
{
    uint64_t length;
    memcpy(&length, c->weights, 8);
    *size = (size_t)length;
    return (char *)c->weights + 8;
}

// Every tensor renamed in turn: its own name is missing or, where it is optional, the new one is extra.
static void check_names(const char *layout)
{
    checkpoint c = read_checkpoint(layout, "model.safetensors");
    sx_arena arena = {0};
    const sx_json *names;
    size_t size;
    char *header = header_of(&c, &size);
    assert_int_equal(sx_json_parse(header, size, layout, &arena, &names, NULL), SX_OK);
    int count = 0;
    for (const sx_json *n = names->first; n; n = n->next) {
        if (strcmp(n->key, "t2d") == 0) continue; // may be there or not
        char quoted[128], renamed[128];
        snprintf(quoted, sizeof quoted, "\"%s\"", n->key);
        snprintf(renamed, sizeof renamed, "%s", n->key);
        renamed[strlen(renamed) - 1] = '_';
        char *at = strstr(header, quoted) + strlen(quoted) - 2, kept = *at;
        *at = '_';
        sx_draft *draft;
        sx_error error;
        assert_int_not_equal(load(&c, &draft, &error), SX_OK);
        snprintf(quoted, sizeof quoted, "%s is missing", n->key);
        if (!strstr(error.message, quoted) && !strstr(error.message, renamed))
            fail_msg("%s: %s renamed gives \"%s\"", layout, n->key, error.message);
        *at = kept;
        count++;
    }
    assert_true(count > 13);
    sx_arena_free(&arena);
    free_checkpoint(&c);
}

static void test_names(void **state)
{
    (void)state;
    check_names("specexit");
    check_names("nvidia");
    check_names("speculators");
}

// Every matrix turned over in turn.
static void test_shapes(void **state)
{
    (void)state;
    checkpoint c = read_checkpoint("specexit", "model.safetensors");
    sx_arena arena = {0};
    const sx_json *names;
    size_t size;
    char *header = header_of(&c, &size);
    assert_int_equal(sx_json_parse(header, size, "specexit", &arena, &names, NULL), SX_OK);
    int count = 0;
    for (const sx_json *n = names->first; n; n = n->next) {
        const sx_json *shape = sx_json_find(n, "shape");
        if (shape->count != 2 || shape->first->integer == shape->first->next->integer) continue;
        char quoted[128], from[64], to[64];
        snprintf(quoted, sizeof quoted, "\"%s\"", n->key);
        snprintf(from, sizeof from, "[%d,%d]", (int)shape->first->integer, (int)shape->first->next->integer);
        snprintf(to, sizeof to, "[%d,%d]", (int)shape->first->next->integer, (int)shape->first->integer);
        char *at = strstr(strstr(header, quoted), from);
        memcpy(at, to, strlen(to));
        sx_draft *draft;
        sx_error error;
        if (load(&c, &draft, &error) == SX_OK) fail_msg("%s turned over passes", n->key);
        memcpy(at, from, strlen(from));
        count++;
    }
    assert_true(count >= 6);
    sx_arena_free(&arena);
    free_checkpoint(&c);
}

static void test_safetensors(void **state)
{
    (void)state;
    checkpoint c = read_checkpoint("specexit", "model.safetensors");
    sx_draft *draft;
    sx_error error;
    if (load(&c, &draft, &error) != SX_OK) fail_msg("%s", error.message);
    sx_draft_close(draft);
    const size_t whole = c.weights_size;
    size_t header;
    header_of(&c, &header);
    for (size_t cut = 0; cut < whole; cut += cut < header + 16 ? 1 : 4999) { // at every byte of the header
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, c.weights, cut);
        const checkpoint part = {c.config, copy, c.config_size, cut, c.weights_name};
        if (load(&part, &draft, &error) == SX_OK) fail_msg("cut at %zu passes", cut);
        free(copy);
    }
    size_t refused = 0;
    for (size_t i = 0; i < header + 8; i++) {
        c.weights[i] ^= 0x15;
        if (load(&c, &draft, &error) == SX_OK)
            sx_draft_close(draft);
        else
            refused++;
        c.weights[i] ^= 0x15;
    }
    assert_true(refused > header * 9 / 10);
    static const uint64_t lengths[] = {UINT64_MAX, INT64_MAX, 1u << 24, (1u << 24) + 1, 0, 1};
    uint8_t kept[8];
    memcpy(kept, c.weights, 8);
    for (size_t i = 0; i < 6; i++) {
        memcpy(c.weights, &lengths[i], 8);
        assert_int_not_equal(load(&c, &draft, &error), SX_OK);
    }
    memcpy(c.weights, kept, 8);
    free_checkpoint(&c);
}

// `pytorch_model.bin`: the zip's own records and the pickle inside, cut and changed.
static void test_torch(void **state)
{
    (void)state;
    checkpoint c = read_checkpoint("eagle", "pytorch_model.bin");
    sx_draft *draft;
    sx_error error;
    if (load(&c, &draft, &error) != SX_OK) fail_msg("%s", error.message);
    sx_draft_close(draft);
    const size_t whole = c.weights_size;
    for (size_t cut = 0; cut<whole; cut += cut> whole - 3000 ? 1 : 1999) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, c.weights, cut);
        const checkpoint part = {c.config, copy, c.config_size, cut, c.weights_name};
        if (load(&part, &draft, &error) == SX_OK) fail_msg("cut at %zu passes", cut);
        free(copy);
    }
    // The pickle comes first, the directory last.
    static const uint8_t masks[] = {0x01, 0x40, 0xff};
    size_t refused = 0, tried = 0;
    for (size_t i = 0; i < whole; i = i == 4000 ? whole - 3000 : i + 1, tried++) {
        const uint8_t kept = c.weights[i];
        c.weights[i] ^= masks[i % 3];
        if (load(&c, &draft, &error) == SX_OK)
            sx_draft_close(draft);
        else
            refused++;
        c.weights[i] = kept;
    }
    print_message("%zu of %zu damaged checkpoints were refused\n", refused, tried);
    assert_true(refused > tried / 4);
    free_checkpoint(&c);
}

static void check_json(const char *text, bool good)
{
    sx_arena arena = {0};
    const sx_json *value;
    const sx_status status = sx_json_parse(text, strlen(text), "test", &arena, &value, NULL);
    if ((status == SX_OK) != good) fail_msg("JSON %s is %s", text, good ? "refused" : "accepted");
    sx_arena_free(&arena);
}

static void test_json(void **state)
{
    (void)state;
    static const char *const good[] = {"null", "true", " [1, -2.5e3, \"a\\u00e9\\ud83d\\ude00\\n\"] ", "{}",
                                       "[]",   "0",    "{\"a\":{\"b\":[{}]},\"c\":\"\xc3\xa9\"}",      "-0",
                                       "1E5"};
    static const char *const bad[] = {"",
                                      "nul",
                                      "[1,]",
                                      "{\"a\"}",
                                      "{\"a\":1,}",
                                      "01",
                                      "1.",
                                      "1e",
                                      "+1",
                                      ".5",
                                      "[1 2]",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\ud800\"",
                                      "\"\\u0000\"",
                                      "\"\t\"",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"a",
                                      "1 1",
                                      "{\"a\":1,\"a\":2}",
                                      "{1:2}",
                                      "[",
                                      "{",
                                      "'a'",
                                      "NaN",
                                      "1e999",
                                      "//",
                                      "\"\\",
                                      "[\"\xe2\x82\"]"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        check_json(good[i], true);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_json(bad[i], false);
    // Bombs: too deep, too many.
    const size_t size = 6u << 20;
    char *bomb = malloc(size + 1);
    bomb[size] = 0;
    memset(bomb, '[', size);
    check_json(bomb, false);
    for (size_t i = 0; i < size; i++)
        bomb[i] = i == 0 ? '[' : i == size - 1 ? ']' : i % 2 ? '1' : ',';
    check_json(bomb, false);
    free(bomb);
    sx_arena arena = {0};
    const sx_json *value;
    assert_int_equal(sx_json_parse("{\"k\":\"\\ud83d\\ude00\"}", 20, "test", &arena, &value, NULL), SX_OK);
    assert_string_equal(sx_json_find(value, "k")->string, "\xf0\x9f\x98\x80");
    sx_arena_free(&arena);
}

// A GGUF draft over a target of hidden 64: H 64, ffn 96, heads 2/1 of 32, 40 tokens, 24 drafted.
typedef struct draft_options {
    uint64_t fc_rows, aux;
    const char *signals;
    const char *skip, *twist, *skip_key;
    const int64_t *ids; // [24]
    sx_format id_format;
    bool signal_tensor;
    float confidence;
} draft_options;

static void draft_tensor(test_gguf *file, const draft_options *o, const char *name, uint64_t rows, uint64_t columns)
{
    if (o->skip && strcmp(name, o->skip) == 0) return;
    const bool twisted = o->twist && strcmp(name, o->twist) == 0;
    test_gguf_tensor(file, name, rows ? SX_FORMAT_F16 : SX_FORMAT_F32, rows + (twisted && rows),
                     columns + (twisted && !rows));
}

static void draft_u32(test_gguf *file, const draft_options *o, const char *key, uint32_t value)
{
    if (!o->skip_key || strcmp(key, o->skip_key) != 0) sx_gguf_writer_u32(file->writer, key, value);
}

static uint8_t *draft_file(const draft_options *o, size_t *size)
{
    test_gguf file;
    const uint64_t aux = o->aux ? o->aux : 3, count = 24;
    const uint32_t layers[8] = {1, 2, 4, 0, 0, 0, 0, 0};
    test_gguf_begin(&file, 3);
    sx_gguf_writer_string(file.writer, "general.architecture", "eagle3");
    draft_u32(&file, o, "eagle3.embedding_length", 64);
    draft_u32(&file, o, "eagle3.attention.head_count", 2);
    draft_u32(&file, o, "eagle3.attention.head_count_kv", 1);
    draft_u32(&file, o, "eagle3.target_hidden_size", 64);
    draft_u32(&file, o, "eagle3.vocab_size", 40);
    sx_gguf_writer_f32(file.writer, "eagle3.attention.layer_norm_rms_epsilon", 1e-6f);
    sx_gguf_writer_u32_array(file.writer, "eagle3.target_layers", layers, (size_t)aux);
    if (o->signals) sx_gguf_writer_string(file.writer, "specexit.signals", o->signals);
    if (o->confidence != 0) {
        sx_gguf_writer_f32(file.writer, "specexit.exit.confidence", o->confidence);
        sx_gguf_writer_string(file.writer, "specexit.exit.smoothing", "ewma");
    }
    draft_tensor(&file, o, "fc.weight", o->fc_rows ? o->fc_rows : 64, 64 * aux);
    draft_tensor(&file, o, "blk.0.attn_norm.weight", 0, 64);
    draft_tensor(&file, o, "blk.0.attn_norm_2.weight", 0, 64);
    draft_tensor(&file, o, "blk.0.attn_q.weight", 64, 128);
    draft_tensor(&file, o, "blk.0.attn_k.weight", 32, 128);
    draft_tensor(&file, o, "blk.0.attn_v.weight", 32, 128);
    draft_tensor(&file, o, "blk.0.attn_output.weight", 64, 64);
    draft_tensor(&file, o, "blk.0.ffn_norm.weight", 0, 64);
    draft_tensor(&file, o, "blk.0.ffn_gate.weight", 96, 64);
    draft_tensor(&file, o, "blk.0.ffn_up.weight", 96, 64);
    draft_tensor(&file, o, "blk.0.ffn_down.weight", 64, 96);
    draft_tensor(&file, o, "output_norm.weight", 0, 64);
    draft_tensor(&file, o, "output.weight", 24, 64);
    if (o->signal_tensor) draft_tensor(&file, o, "signals.weight", 3, 64 * aux);
    int64_t ids[24];
    int32_t narrow[24];
    for (int i = 0; i < 24; i++) {
        ids[i] = o->ids ? o->ids[i] : i + 10;
        narrow[i] = (int32_t)ids[i];
    }
    const bool wide = o->id_format != SX_FORMAT_I32;
    if (!o->skip || strcmp(o->skip, "d2t") != 0)
        test_gguf_bytes(&file, "d2t", wide ? SX_FORMAT_I64 : SX_FORMAT_I32, 1, &count, wide ? (void *)ids : narrow,
                        wide ? sizeof ids : sizeof narrow);
    return test_gguf_finish(&file, size);
}

static sx_status load_gguf(const draft_options *o, const sx_draft_options *options, sx_draft **draft, uint8_t **bytes,
                           sx_error *error)
{
    size_t size;
    *bytes = draft_file(o, &size);
    static sx_source source; // must outlive the draft; one at a time
    source = sx_source_memory("draft.gguf", *bytes, size);
    const sx_source *sources[] = {&source};
    return sx_draft_from_sources(sources, 1, options, draft, error);
}

static void expect_gguf_problem(const draft_options *o, const char *part)
{
    sx_draft *draft;
    sx_error error = {SX_OK, ""};
    uint8_t *bytes;
    const sx_status status = load_gguf(o, NULL, &draft, &bytes, &error);
    if (status == SX_OK || !strstr(error.message, part)) fail_msg("\"%s\" where \"%s\" is wanted", error.message, part);
    free(bytes);
}

static void check_signals(const draft_options *o, const sx_draft_options *options, uint32_t mask, uint32_t rows)
{
    sx_draft *draft;
    sx_error error;
    uint8_t *bytes;
    if (load_gguf(o, options, &draft, &bytes, &error) != SX_OK) fail_msg("%s", error.message);
    assert_int_equal(draft->signal_mask, mask);
    assert_int_equal(draft->signals.rows, rows);
    assert_int_equal(draft->fc.rows, 64);
    assert_int_equal(draft->target_ids[23], 33);
    if (o->confidence != 0) {
        assert_true(draft->exit.confidence == o->confidence && isnan(draft->exit.remain));
        assert_string_equal(draft->exit.smoothing, "ewma");
    }
    sx_draft_close(draft);
    free(bytes);
}

static void test_signals(void **state)
{
    (void)state;
    const sx_draft_options progress = {.single_signal = SX_DRAFT_SIGNAL_PROGRESS};
    check_signals(&(draft_options){0}, NULL, 0, 0);
    check_signals(&(draft_options){.fc_rows = 67, .confidence = 0.75f}, NULL, 7, 3);
    check_signals(&(draft_options){.fc_rows = 67, .signals = "confidence,progress,remain"}, NULL, 7, 3);
    check_signals(&(draft_options){.fc_rows = 65}, &progress, SX_DRAFT_SIGNAL_PROGRESS, 1);
    check_signals(&(draft_options){.fc_rows = 65, .signals = "remain"}, &progress, SX_DRAFT_SIGNAL_REMAIN, 1);
    check_signals(&(draft_options){.signal_tensor = true}, NULL, 7, 3);
    check_signals(&(draft_options){.id_format = SX_FORMAT_I32}, NULL, 0, 0);
    expect_gguf_problem(&(draft_options){.fc_rows = 65}, "does not say which signal");
    expect_gguf_problem(&(draft_options){.fc_rows = 66}, "fc.weight has 66 rows, 64 (or 1 or 3 more");
    expect_gguf_problem(&(draft_options){.fc_rows = 67, .signals = "confidence"}, "does not name the three");
    expect_gguf_problem(&(draft_options){.fc_rows = 67, .signals = "progress,confidence,remain"}, "in this order");
    expect_gguf_problem(&(draft_options){.fc_rows = 67, .signals = ""}, "in this order");
    expect_gguf_problem(&(draft_options){.fc_rows = 67, .confidence = 1.5f}, "specexit.exit.confidence: 1.5");
    expect_gguf_problem(&(draft_options){.fc_rows = 67, .confidence = NAN}, "specexit.exit.confidence");
}

static void test_gguf_drafts(void **state)
{
    (void)state;
    static const char *const tensors[] = {"fc.weight",
                                          "blk.0.attn_norm.weight",
                                          "blk.0.attn_norm_2.weight",
                                          "blk.0.attn_q.weight",
                                          "blk.0.attn_k.weight",
                                          "blk.0.attn_v.weight",
                                          "blk.0.attn_output.weight",
                                          "blk.0.ffn_norm.weight",
                                          "blk.0.ffn_gate.weight",
                                          "blk.0.ffn_up.weight",
                                          "blk.0.ffn_down.weight",
                                          "output_norm.weight"};
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) {
        char wanted[96];
        snprintf(wanted, sizeof wanted, "%s is missing", tensors[i]);
        expect_gguf_problem(&(draft_options){.skip = tensors[i]}, wanted);
        expect_gguf_problem(&(draft_options){.twist = tensors[i]}, "draft.gguf: ");
    }
    expect_gguf_problem(&(draft_options){.skip = "d2t"}, "d2t is missing (the draft knows 24 of 40 tokens)");
    expect_gguf_problem(&(draft_options){.skip_key = "eagle3.embedding_length"},
                        "key eagle3.embedding_length is missing");
    expect_gguf_problem(&(draft_options){.skip_key = "eagle3.attention.head_count"}, "head_count is missing");
    int64_t ids[24];
    for (int i = 0; i < 24; i++)
        ids[i] = i;
    ids[5] = 40;
    expect_gguf_problem(&(draft_options){.ids = ids}, "draft id 5 maps to 40, outside of the vocabulary of 40");
    ids[5] = -1;
    expect_gguf_problem(&(draft_options){.ids = ids}, "draft id 5 maps to -1");
    ids[5] = INT64_MIN;
    expect_gguf_problem(&(draft_options){.ids = ids}, "draft id 5");
    ids[5] = 6;
    expect_gguf_problem(&(draft_options){.ids = ids}, "two draft ids map to token 6");
}

static void test_pairing(void **state)
{
    (void)state;
    sx_draft *draft;
    sx_error error;
    uint8_t *bytes;
    const draft_options plain = {0};
    sx_hparams target = {.layers = 4, .hidden = 64, .vocabulary = 40};
    assert_int_equal(load_gguf(&plain, NULL, &draft, &bytes, &error), SX_OK);
    target.hidden = 128;
    assert_int_equal(sx_draft_bind(draft, &target, "t.gguf", &error), SX_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "hidden size 64, t.gguf has 128"));
    target.hidden = 64;
    target.vocabulary = 32;
    assert_int_equal(sx_draft_bind(draft, &target, "t.gguf", &error), SX_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "drafts token 32, t.gguf has only 32"));
    target.vocabulary = 40;
    target.layers = 3;
    assert_int_equal(sx_draft_bind(draft, &target, "t.gguf", &error), SX_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "reads layer 4 of the target, but t.gguf has only 3"));
    target.layers = 4;
    assert_int_equal(sx_draft_bind(draft, &target, "t.gguf", &error), SX_OK);
    sx_draft_close(draft);
    free(bytes);
    // The usual layers where a checkpoint names none.
    checkpoint c = read_checkpoint("angelslim", "model.safetensors");
    if (load(&c, &draft, &error) != SX_OK) fail_msg("%s", error.message);
    target = (sx_hparams){.layers = 36, .hidden = 64, .vocabulary = 320};
    assert_int_equal(sx_draft_bind(draft, &target, "t.gguf", &error), SX_OK);
    assert_true(draft->aux_layers[0] == 2 && draft->aux_layers[1] == 18 && draft->aux_layers[2] == 33);
    sx_draft_close(draft);
    free_checkpoint(&c);
}

static sx_status open_head(const char *architecture, uint64_t rows, sx_signal_head **head, uint8_t **bytes,
                           sx_error *error)
{
    test_gguf file;
    size_t size;
    test_gguf_begin(&file, 5);
    sx_gguf_writer_string(file.writer, "general.architecture", architecture);
    sx_gguf_writer_f32(file.writer, "specexit.exit.remain", 150);
    test_gguf_tensor(&file, "signals.weight", SX_FORMAT_F32, rows, 192);
    *bytes = test_gguf_finish(&file, &size);
    static sx_source source;
    source = sx_source_memory("head.gguf", *bytes, size);
    return sx_signal_head_from_source(&source, NULL, head, error);
}

static void test_signal_head(void **state)
{
    (void)state;
    sx_signal_head *head;
    sx_error error;
    uint8_t *bytes;
    assert_int_equal(open_head("specexit-signals", 3, &head, &bytes, &error), SX_OK);
    assert_true(head->signal_mask == 7 && head->target_hidden == 64 && head->exit.remain == 150);
    const sx_hparams target = {.layers = 36, .hidden = 64}, other = {.layers = 36, .hidden = 65};
    assert_int_equal(sx_signal_head_bind(head, &other, "t.gguf", &error), SX_ERROR_MISMATCH);
    assert_int_equal(sx_signal_head_bind(head, &target, "t.gguf", &error), SX_OK);
    assert_int_equal(head->aux_layers[1], 18);
    sx_signal_head_close(head);
    free(bytes);
    assert_int_equal(open_head("specexit-signals", 2, &head, &bytes, &error), SX_ERROR_FORMAT);
    free(bytes);
    assert_int_equal(open_head("qwen3", 3, &head, &bytes, &error), SX_ERROR_UNSUPPORTED);
    free(bytes);
}

// Shards: whole, and with a part missing.
static void test_shards(void **state)
{
    (void)state;
    char path[512];
    sx_draft *draft;
    sx_error error;
    snprintf(path, sizeof path, "%s/drafts/specforge", golden_folder);
    if (sx_draft_open(path, NULL, &draft, &error) != SX_OK) fail_msg("%s", error.message);
    sx_draft_close(draft);
    checkpoint index = read_checkpoint("specforge", "model.safetensors.index.json");
    checkpoint part = read_checkpoint("specforge", "model-00001-of-00003.safetensors");
    const sx_source sources[] = {
        sx_source_memory("config.json", index.config, index.config_size),
        sx_source_memory(index.weights_name, index.weights, index.weights_size),
        sx_source_memory(part.weights_name, part.weights, part.weights_size),
    };
    const sx_source *list[] = {&sources[0], &sources[1], &sources[2]};
    assert_int_equal(sx_draft_from_sources(list, 3, NULL, &draft, &error), SX_ERROR_FILE);
    assert_non_null(strstr(error.message, "model-00002-of-00003.safetensors"));
    assert_int_equal(sx_draft_from_sources(list, 1, NULL, &draft, &error), SX_ERROR_FILE);
    assert_non_null(strstr(error.message, "holds no model.safetensors"));
    free_checkpoint(&index);
    free_checkpoint(&part);
    assert_int_equal(sx_draft_open("/nonexistent/draft", NULL, &draft, &error), SX_ERROR_FILE);
}

static void test_bundled(void **state)
{
    (void)state;
    const char *path = SX_DEMO_FOLDER "/demo-draft.gguf";
    if (access(path, F_OK) != 0) skip();
    sx_draft *draft;
    sx_error error;
    if (sx_draft_open(path, NULL, &draft, &error) != SX_OK) fail_msg("%s", error.message);
    assert_int_equal(draft->signal_mask, 7);
    assert_int_equal(draft->rope.layout, SX_ROPE_HALVES);
    sx_draft_close(draft);
}

int main(int argc, char **argv)
{
    golden_folder = argc > 1 ? argv[1] : "tests/golden";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_configurations), cmocka_unit_test(test_names),       cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_safetensors),    cmocka_unit_test(test_torch),       cmocka_unit_test(test_json),
        cmocka_unit_test(test_signals),        cmocka_unit_test(test_gguf_drafts), cmocka_unit_test(test_pairing),
        cmocka_unit_test(test_signal_head),    cmocka_unit_test(test_shards),      cmocka_unit_test(test_bundled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
