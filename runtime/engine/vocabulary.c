// The tokenizer and what the engine knows of its tokens: markers, ends, step boundaries.
#include "engine/load.h"

#include <stdlib.h>
#include <string.h>

typedef struct string_array {
    const char **texts;
    uint32_t *lengths;
    uint32_t count;
} string_array;

static void free_strings(string_array *array)
{
    free(array->texts);
    free(array->lengths);
}

static sx_status read_strings(const sx_gguf *gguf, const char *key, bool required, string_array *out, sx_error *error)
{
    const sx_gguf_value *value = NULL;
    const sx_status status = sx_gguf_get_strings(gguf, key, required, &value, error);
    if (status != SX_OK || !value) return status;
    if (value->count > UINT32_MAX / 2)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: %s has too many entries", sx_gguf_source(gguf)->name, key);
    out->count = (uint32_t)value->count;
    out->texts = malloc((value->count + 1) * sizeof *out->texts);
    out->lengths = malloc((value->count + 1) * sizeof *out->lengths);
    if (!out->texts || !out->lengths) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the vocabulary");
    for (uint32_t i = 0; i < out->count; i++) {
        const sx_gguf_string string = sx_gguf_string_at(value, i);
        out->texts[i] = string.data;
        out->lengths[i] = (uint32_t)string.length;
    }
    return SX_OK;
}

static sx_status read_id(const sx_gguf *gguf, const char *key, int32_t *out, sx_error *error)
{
    uint32_t id = UINT32_MAX;
    const sx_status status = sx_gguf_get_u32(gguf, key, false, &id, error);
    *out = id > INT32_MAX ? -1 : (int32_t)id;
    return status;
}

static sx_status read_choice(const sx_gguf *gguf, const char *key, sx_choice *out, sx_error *error)
{
    if (!sx_gguf_find(gguf, key)) return SX_OK;
    bool value = false;
    const sx_status status = sx_gguf_get_bool(gguf, key, false, &value, error);
    *out = value ? SX_CHOICE_YES : SX_CHOICE_NO;
    return status;
}

// Scores and types: arrays of one number a token, converted to the width the tokenizer takes.
static sx_status read_numbers(const sx_gguf *gguf, uint32_t count, float **scores, int32_t **types, sx_error *error)
{
    const sx_gguf_value *value = NULL;
    sx_status status = sx_gguf_get_floats(gguf, "tokenizer.ggml.scores", false, &value, error);
    if (status == SX_OK && value && value->count == count) {
        *scores = malloc(count * sizeof **scores);
        if (!*scores) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the vocabulary");
        for (uint32_t i = 0; i < count; i++)
            (*scores)[i] = (float)sx_gguf_number_at(value, i);
    }
    value = NULL;
    if (status == SX_OK) status = sx_gguf_get_integers(gguf, "tokenizer.ggml.token_type", false, &value, error);
    if (status == SX_OK && value && value->count == count) {
        *types = malloc(count * sizeof **types);
        if (!*types) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the vocabulary");
        for (uint32_t i = 0; i < count; i++)
            (*types)[i] = (int32_t)sx_gguf_integer_at(value, i);
    }
    return status;
}

static sx_status read_special(const sx_gguf *gguf, sx_tokenizer_desc *desc, sx_error *error)
{
    sx_gguf_string pre = {0};
    sx_status status = sx_gguf_get_string(gguf, "tokenizer.ggml.pre", false, &pre, error);
    desc->pre = pre.data;
    if (status == SX_OK) status = read_id(gguf, "tokenizer.ggml.bos_token_id", &desc->bos, error);
    if (status == SX_OK) status = read_id(gguf, "tokenizer.ggml.eos_token_id", &desc->eos, error);
    if (status == SX_OK) status = read_id(gguf, "tokenizer.ggml.eot_token_id", &desc->eot, error);
    if (status == SX_OK) status = read_id(gguf, "tokenizer.ggml.unknown_token_id", &desc->unk, error);
    if (status == SX_OK) status = read_id(gguf, "tokenizer.ggml.padding_token_id", &desc->pad, error);
    if (status == SX_OK) status = read_choice(gguf, "tokenizer.ggml.add_bos_token", &desc->add_bos, error);
    if (status == SX_OK) status = read_choice(gguf, "tokenizer.ggml.add_eos_token", &desc->add_eos, error);
    if (status == SX_OK) status = read_choice(gguf, "tokenizer.ggml.add_space_prefix", &desc->add_space_prefix, error);
    return status;
}

sx_status sx_vocabulary_read(const sx_gguf *gguf, sx_tokenizer **out, sx_error *error)
{
    const char *file = sx_gguf_source(gguf)->name;
    sx_tokenizer_desc desc = SX_TOKENIZER_DESC_INIT;
    sx_gguf_string model = {0};
    string_array tokens = {0}, merges = {0};
    float *scores = NULL;
    int32_t *types = NULL;
    sx_status status = sx_gguf_get_string(gguf, "tokenizer.ggml.model", true, &model, error);
    if (status == SX_OK && !sx_tokenizer_kind_of(model.data, &desc.kind))
        status = sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: tokenizer.ggml.model is \"%.40s\"; known are gpt2 and llama",
                         file, model.data);
    if (status == SX_OK) status = read_strings(gguf, "tokenizer.ggml.tokens", true, &tokens, error);
    if (status == SX_OK) status = read_strings(gguf, "tokenizer.ggml.merges", false, &merges, error);
    if (status == SX_OK) status = read_numbers(gguf, tokens.count, &scores, &types, error);
    if (status == SX_OK) status = read_special(gguf, &desc, error);
    if (status == SX_OK) {
        desc.count = tokens.count;
        desc.texts = tokens.texts;
        desc.lengths = tokens.lengths;
        desc.merge_count = merges.count;
        desc.merges = merges.texts;
        desc.merge_lengths = merges.lengths;
        desc.scores = scores;
        desc.types = types;
        sx_error reason = {0};
        status = sx_tokenizer_create(&desc, out, &reason);
        if (status != SX_OK) status = sx_fail(error, status, "%s: %s", file, reason.message);
    }
    free_strings(&tokens);
    free_strings(&merges);
    free(scores);
    free(types);
    return status;
}

// What ends a step. Some vocabularies (SmolLM2's) split text so that no token ever spans a blank line; there every line
// that ends is a step's end.
static sx_status step_rule(const sx_engine *engine, uint32_t *bitmap, sx_step_rule *rule, sx_error *error)
{
    sx_token_list list;
    const sx_status status = sx_engine_token_list(engine, "It is 1.\n\nSo", &list, error);
    sx_tokenizer_step_bitmap(engine->tokenizer, SX_STEP_ENDS_WITH_BLANK_LINE, bitmap);
    *rule = SX_STEP_ENDS_WITH_LINE;
    for (uint32_t i = 0; status == SX_OK && i < list.count; i++)
        if (bitmap[list.tokens[i] >> 5] >> (list.tokens[i] & 31) & 1) *rule = SX_STEP_ENDS_WITH_BLANK_LINE;
    return status;
}

sx_status sx_vocabulary_flags(sx_engine *engine, sx_error *error)
{
    const uint32_t vocabulary = engine->hparams.vocabulary, known = sx_tokenizer_count(engine->tokenizer);
    uint32_t *bitmap = calloc((known + 31) / 32, sizeof *bitmap);
    engine->token_flags = calloc((vocabulary + 3) / 4, 4);
    if (!bitmap || !engine->token_flags) {
        free(bitmap);
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the vocabulary");
    }
    sx_step_rule rule;
    const sx_status status = step_rule(engine, bitmap, &rule, error);
    uint8_t *flags = engine->token_flags;
    const struct {
        sx_step_rule rule;
        uint8_t flag;
    } rules[] = {{rule, SX_TOKEN_SPLIT}, {SX_STEP_REFERENCE, SX_TOKEN_SPLIT_REFERENCE}};
    for (int r = 0; r < 2; r++) {
        sx_tokenizer_step_bitmap(engine->tokenizer, rules[r].rule, bitmap);
        for (uint32_t i = 0; i < vocabulary && i < known; i++)
            if (bitmap[i >> 5] >> (i & 31) & 1) flags[i] |= rules[r].flag;
    }
    for (uint32_t i = 0; i < vocabulary; i++) {
        if (i >= known || sx_token_type(engine->tokenizer, (int32_t)i) == SX_TOKEN_UNUSED) flags[i] |= SX_TOKEN_BANNED;
        if (i < known && sx_token_is_eog(engine->tokenizer, (int32_t)i)) flags[i] |= SX_TOKEN_END;
    }
    free(bitmap);
    return status;
}

sx_status sx_vocabulary_markers(sx_engine *engine, sx_error *error)
{
    const sx_template_info *facts = sx_template_facts(engine->template_id);
    const char *open = facts && facts->think_open ? facts->think_open : "<think>";
    const char *close = facts && facts->think_close ? facts->think_close : "</think>";
    // A template without markers of its own can still be made to think by --think: then the markers are plain text.
    sx_status status = sx_engine_token_list(engine, open, &engine->open, error);
    if (status == SX_OK) status = sx_engine_token_list(engine, close, &engine->close, error);
    if (status == SX_OK && (engine->open.count > SX_MAX_MARKER || engine->close.count > SX_MAX_MARKER))
        status = sx_fail(error, SX_ERROR_UNSUPPORTED,
                         "template: a think marker has more than %d tokens in this "
                         "vocabulary",
                         SX_MAX_MARKER);
    engine->info.thinks = facts && facts->think_open;
    return status;
}
