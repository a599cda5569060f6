// From messages, text or tokens to the prompt's tokens.
#include "engine/internal.h"

#include <stdlib.h>
#include <string.h>

static sx_status out_of_memory(sx_error *error)
{
    return sx_fail(error, SX_ERROR_MEMORY, "out of memory while reading the prompt");
}

static sx_status from_messages(const sx_engine *engine, const sx_generate_desc *desc, sx_prompt_tokens *out,
                               sx_error *error)
{
    if (engine->template_id == SX_TEMPLATE_NONE)
        return sx_fail(
            error, SX_ERROR_UNSUPPORTED,
            "template: %s carries no chat template this program knows; give a raw prompt, or force one of: %s",
            engine->info.model_name, sx_template_names());
    sx_prompt prompt = {0};
    const sx_template_options options = {.no_thinking = desc->no_thinking,
                                         .bos = sx_tokenizer_adds_bos(engine->tokenizer) ? "" : NULL};
    sx_status status =
        sx_template_render(engine->template_id, desc->messages, desc->message_count, &options, &prompt, error);
    if (status == SX_OK) {
        const size_t capacity = 3 * prompt.length + 8;
        size_t count = 0;
        out->tokens = malloc(capacity * sizeof(uint32_t));
        status = out->tokens ? sx_prompt_tokenize(&prompt, engine->tokenizer, (int32_t *)out->tokens, capacity, &count)
                             : SX_ERROR_MEMORY;
        if (status != SX_OK) status = out_of_memory(error);
        out->count = (uint32_t)count;
        out->thinking_open = prompt.thinking_open;
    }
    sx_prompt_free(&prompt);
    return status;
}

static sx_status from_text(const sx_engine *engine, const char *text, sx_prompt_tokens *out, sx_error *error)
{
    const size_t length = strlen(text), capacity = 3 * length + 8;
    size_t count = 0;
    out->tokens = malloc(capacity * sizeof(uint32_t));
    if (!out->tokens ||
        sx_tokenize(engine->tokenizer, text, length, SX_TOKENIZE_ADD_SPECIAL | SX_TOKENIZE_PARSE_SPECIAL,
                    (int32_t *)out->tokens, capacity, &count) != SX_OK)
        return out_of_memory(error);
    out->count = (uint32_t)count;
    return SX_OK;
}

static sx_status from_tokens(const sx_engine *engine, const sx_generate_desc *desc, sx_prompt_tokens *out,
                             sx_error *error)
{
    for (uint32_t i = 0; i < desc->token_count; i++)
        if (desc->tokens[i] >= engine->hparams.vocabulary)
            return sx_fail(error, SX_ERROR_ARGUMENT, "tokens: number %u is %u, the vocabulary has %u", i,
                           desc->tokens[i], engine->hparams.vocabulary);
    out->tokens = malloc((desc->token_count + 1) * sizeof(uint32_t));
    if (!out->tokens) return out_of_memory(error);
    memcpy(out->tokens, desc->tokens, desc->token_count * sizeof(uint32_t));
    out->count = desc->token_count;
    return SX_OK;
}

// Whether the last think marker in the prompt opens: raw prompts and tokens may end inside a thinking block.
static bool ends_inside_thinking(const sx_engine *engine, const sx_prompt_tokens *prompt)
{
    const sx_token_list *open = &engine->open, *close = &engine->close;
    if (!open->count) return false;
    for (uint32_t end = prompt->count; end > 0; end--) {
        const uint32_t *tokens = prompt->tokens + end;
        if (end >= close->count && !memcmp(tokens - close->count, close->tokens, close->count * sizeof(uint32_t)))
            return false;
        if (end >= open->count && !memcmp(tokens - open->count, open->tokens, open->count * sizeof(uint32_t)))
            return true;
    }
    return false;
}

// "<think>" and a first sentence in the model's mouth, for models that were not trained to think.
static sx_status open_thinking(const sx_engine *engine, sx_prompt_tokens *prompt, sx_error *error)
{
    static const char words[] = "<think>\nI will work this out step by step before I answer.\n\n";
    sx_token_list list;
    const sx_status status = sx_engine_token_list(engine, words, &list, error);
    if (status != SX_OK) return status;
    uint32_t *grown = realloc(prompt->tokens, (prompt->count + list.count) * sizeof(uint32_t));
    if (!grown) return out_of_memory(error);
    memcpy(grown + prompt->count, list.tokens, list.count * sizeof(uint32_t));
    prompt->tokens = grown;
    prompt->count += list.count;
    prompt->thinking_open = true;
    return SX_OK;
}

sx_status sx_prompt_make(const sx_engine *engine, const sx_generate_desc *desc, sx_prompt_tokens *out, sx_error *error)
{
    memset(out, 0, sizeof *out);
    const int given = (desc->messages != NULL) + (desc->prompt != NULL) + (desc->tokens != NULL);
    if (given != 1) return sx_fail(error, SX_ERROR_ARGUMENT, "prompt: give exactly one of messages, text and tokens");
    sx_status status = desc->messages ? from_messages(engine, desc, out, error)
                       : desc->prompt ? from_text(engine, desc->prompt, out, error)
                                      : from_tokens(engine, desc, out, error);
    if (status == SX_OK && !desc->messages) out->thinking_open = ends_inside_thinking(engine, out);
    if (status == SX_OK && desc->prefill_thinking && !out->thinking_open) status = open_thinking(engine, out, error);
    if (status == SX_OK && !out->count)
        status = sx_fail(error, SX_ERROR_ARGUMENT, "prompt: it is empty; a model needs at least one token");
    if (status != SX_OK) {
        free(out->tokens);
        memset(out, 0, sizeof *out);
    }
    return status;
}
