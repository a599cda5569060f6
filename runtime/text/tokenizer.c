#include "text/tokenizer.h"

#include "text/tokenizer_internal.h"

#include <assert.h>
#include <stdlib.h>

enum { MAX_TOKENS = 1 << 24 };

// ---- making
// -----------------------------------------------------------------------------------------------------------

static sx_status check_id(const char *name, int32_t id, uint32_t count, sx_error *error)
{
    if (id >= -1 && (id < 0 || (uint32_t)id < count)) return SX_OK;
    return sx_fail(error, SX_ERROR_FORMAT, "tokenizer.ggml.%s_token_id is %d, outside of the %u tokens", name, id,
                   count);
}

static sx_status check_desc(const sx_tokenizer_desc *desc, sx_error *error)
{
    if (desc->kind != SX_TOKENIZER_BPE && desc->kind != SX_TOKENIZER_SPM)
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "tokenizer kind %d is not known", (int)desc->kind);
    if (desc->count == 0 || desc->count > MAX_TOKENS || !desc->texts)
        return sx_fail(error, SX_ERROR_FORMAT, "tokenizer.ggml.tokens has %u entries, wanted 1 to %d", desc->count,
                       MAX_TOKENS);
    if (desc->kind == SX_TOKENIZER_SPM && !desc->scores)
        return sx_fail(error, SX_ERROR_FORMAT,
                       "tokenizer.ggml.scores is missing, which tokenizer.ggml.model \"llama\" needs");
    if (desc->kind == SX_TOKENIZER_BPE && !text_pretokenizer_find(desc->pre))
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "tokenizer.ggml.pre \"%.64s\" is not known; known are %s",
                       desc->pre, text_pretokenizer_names());
    if (desc->merge_count > 0 && !desc->merges)
        return sx_fail(error, SX_ERROR_FORMAT, "tokenizer.ggml.merges is missing");
    sx_status status = check_id("bos", desc->bos, desc->count, error);
    status = status ? status : check_id("eos", desc->eos, desc->count, error);
    status = status ? status : check_id("eot", desc->eot, desc->count, error);
    status = status ? status : check_id("unknown", desc->unk, desc->count, error);
    return status ? status : check_id("padding", desc->pad, desc->count, error);
}

static bool choose(sx_choice choice, bool fallback)
{
    return choice ? choice == SX_CHOICE_YES : fallback;
}

sx_status sx_tokenizer_create(const sx_tokenizer_desc *desc, sx_tokenizer **out, sx_error *error)
{
    assert(desc && out);
    *out = NULL;
    sx_status status = check_desc(desc, error);
    if (status) return status;
    sx_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    if (!tokenizer) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the tokenizer");
    const bool spm = desc->kind == SX_TOKENIZER_SPM;
    tokenizer->kind = desc->kind;
    tokenizer->pre = spm ? NULL : text_pretokenizer_find(desc->pre);
    tokenizer->count = desc->count;
    tokenizer->bos = desc->bos;
    tokenizer->eos = desc->eos;
    tokenizer->eot = desc->eot;
    tokenizer->unk = desc->unk;
    tokenizer->pad = desc->pad;
    tokenizer->adds_bos = desc->bos >= 0 && choose(desc->add_bos, spm || tokenizer->pre->adds_bos);
    tokenizer->adds_eos = desc->eos >= 0 && choose(desc->add_eos, false);
    tokenizer->space_prefix = spm && choose(desc->add_space_prefix, true);
    tokenizer->nfc = choose(desc->normalize_nfc, !spm && tokenizer->pre->nfc);
    status = text_load_tokens(tokenizer, desc, error);
    status = status ? status : text_index_tokens(tokenizer, error);
    if (!status && !spm) status = text_load_merges(tokenizer, desc, error);
    if (status)
        sx_tokenizer_free(tokenizer);
    else
        *out = tokenizer;
    return status;
}

void sx_tokenizer_free(sx_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    free(tokenizer->pool);
    free(tokenizer->offsets);
    free(tokenizer->types);
    free(tokenizer->flags);
    free(tokenizer->scores);
    free(tokenizer->map);
    free(tokenizer->pairs);
    free(tokenizer->specials);
    free(tokenizer);
}

bool sx_tokenizer_kind_of(const char *model, sx_tokenizer_kind *kind)
{
    if (model && strcmp(model, "gpt2") == 0)
        *kind = SX_TOKENIZER_BPE;
    else if (model && strcmp(model, "llama") == 0)
        *kind = SX_TOKENIZER_SPM;
    else
        return false;
    return true;
}

bool sx_tokenizer_pre_known(const char *pre)
{
    return text_pretokenizer_find(pre) != NULL;
}

const char *sx_tokenizer_pre_names(void)
{
    return text_pretokenizer_names();
}

// ---- tokens
// -----------------------------------------------------------------------------------------------------------

static bool in_range(const sx_tokenizer *tokenizer, int32_t id)
{
    return id >= 0 && (uint32_t)id < tokenizer->count;
}

uint32_t sx_tokenizer_count(const sx_tokenizer *tokenizer)
{
    return tokenizer->count;
}
int32_t sx_tokenizer_bos(const sx_tokenizer *tokenizer)
{
    return tokenizer->bos;
}
int32_t sx_tokenizer_eos(const sx_tokenizer *tokenizer)
{
    return tokenizer->eos;
}
bool sx_tokenizer_adds_bos(const sx_tokenizer *tokenizer)
{
    return tokenizer->adds_bos;
}

const char *sx_token_bytes(const sx_tokenizer *tokenizer, int32_t id, size_t *length)
{
    *length = 0;
    if (!in_range(tokenizer, id)) return "";
    uint32_t size;
    const uint8_t *bytes = text_token(tokenizer, id, &size);
    *length = size;
    return (const char *)bytes;
}

static bool allow_whole(void *user, int32_t id, size_t length)
{
    (void)id;
    return length == *(const size_t *)user;
}

int32_t sx_token_find(const sx_tokenizer *tokenizer, const char *text, size_t length)
{
    const uint8_t *bytes = (const uint8_t *)text;
    int32_t id = text_find_special(tokenizer, bytes, length, allow_whole, &length);
    if (id < 0) id = text_find(tokenizer, bytes, length);
    return id < 0 && length == 1 ? tokenizer->byte_tokens[bytes[0]] : id;
}

bool sx_token_is_control(const sx_tokenizer *tokenizer, int32_t id)
{
    return in_range(tokenizer, id) &&
           (tokenizer->types[id] == SX_TOKEN_CONTROL || tokenizer->types[id] == SX_TOKEN_UNKNOWN);
}

bool sx_token_is_eog(const sx_tokenizer *tokenizer, int32_t id)
{
    return in_range(tokenizer, id) && (tokenizer->flags[id] & TEXT_FLAG_EOG);
}

int32_t sx_token_type(const sx_tokenizer *tokenizer, int32_t id)
{
    return in_range(tokenizer, id) ? tokenizer->types[id] : 0;
}

static bool ends_step(const uint8_t *bytes, uint32_t length, sx_step_rule rule)
{
    if (rule == SX_STEP_ENDS_WITH_LINE) return length && bytes[length - 1] == '\n';
    if (length < 2 || memcmp(bytes + length - 2, "\n\n", 2) != 0) return false;
    if (rule == SX_STEP_ENDS_WITH_BLANK_LINE) return true;
    uint32_t begin = bytes[0] == '.' || bytes[0] == ' ';
    while (begin < length && bytes[begin] == '\n')
        begin++;
    return begin == length && length - (bytes[0] != '\n') <= 3;
}

uint32_t sx_tokenizer_step_bitmap(const sx_tokenizer *tokenizer, sx_step_rule rule, uint32_t *bitmap)
{
    memset(bitmap, 0, (tokenizer->count + 31) / 32 * sizeof *bitmap);
    uint32_t set = 0;
    for (uint32_t id = 0; id < tokenizer->count; id++) {
        uint32_t length;
        const uint8_t *bytes = text_token(tokenizer, (int32_t)id, &length);
        if (!ends_step(bytes, length, rule) || sx_token_is_control(tokenizer, (int32_t)id)) continue;
        bitmap[id >> 5] |= 1u << (id & 31);
        set++;
    }
    return set;
}

// ---- text to tokens
// ---------------------------------------------------------------------------------------------------

typedef struct special_filter {
    const sx_tokenizer *tokenizer;
    bool parse;
    size_t position;                           // of the special at hand in the text
    const sx_text_span *literal, *literal_end; // those that end after `position`
} special_filter;

static bool allow_special(void *user, int32_t id, size_t length)
{
    const special_filter *filter = user;
    const sx_tokenizer *tokenizer = filter->tokenizer;
    if (!filter->parse && tokenizer->types[id] != SX_TOKEN_USER_DEFINED) return false;
    if (!(tokenizer->flags[id] & TEXT_FLAG_MARKER)) return true;
    for (const sx_text_span *span = filter->literal; span != filter->literal_end; span++) {
        if (span->begin >= filter->position + length) break;
        if (span->begin < span->end) return false;
    }
    return true;
}

static bool tokenize_fragment(const sx_tokenizer *tokenizer, text_scratch *scratch, const uint8_t *bytes, size_t size,
                              text_sink *sink)
{
    if (size == 0) return true;
    if (tokenizer->kind == SX_TOKENIZER_SPM)
        return text_spm_fragment(tokenizer, scratch, bytes, size, tokenizer->space_prefix, sink);
    return text_bpe_fragment(tokenizer, scratch, bytes, size, sink);
}

sx_status sx_tokenize_masked(const sx_tokenizer *tokenizer, const char *text, size_t length, uint32_t flags,
                             const sx_text_span *literal, size_t literal_count, int32_t *out, size_t capacity,
                             size_t *count)
{
    assert(tokenizer && count && (text || length == 0) && (out || capacity == 0));
    const uint8_t *bytes = (const uint8_t *)text;
    text_sink sink = {out, capacity, 0};
    text_scratch scratch = {0};
    special_filter filter = {tokenizer, flags & SX_TOKENIZE_PARSE_SPECIAL, 0, literal,
                             literal_count ? literal + literal_count : literal};
    bool good = length < (size_t)1 << 30;
    if ((flags & SX_TOKENIZE_ADD_SPECIAL) && tokenizer->adds_bos) text_emit(&sink, tokenizer->bos);
    size_t begin = 0;
    for (size_t position = 0; good && position < length;) {
        if (!tokenizer->special_first[bytes[position]]) {
            position++;
            continue;
        }
        filter.position = position;
        while (filter.literal != filter.literal_end && filter.literal->end <= position)
            filter.literal++;
        const int32_t id = text_find_special(tokenizer, bytes + position, length - position, allow_special, &filter);
        if (id < 0) {
            position++;
            continue;
        }
        good = tokenize_fragment(tokenizer, &scratch, bytes + begin, position - begin, &sink);
        text_emit(&sink, id);
        position += tokenizer->offsets[id + 1] - tokenizer->offsets[id];
        begin = position;
    }
    good = good && tokenize_fragment(tokenizer, &scratch, bytes + begin, length - begin, &sink);
    if ((flags & SX_TOKENIZE_ADD_SPECIAL) && tokenizer->adds_eos) text_emit(&sink, tokenizer->eos);
    text_scratch_free(&scratch);
    *count = good ? sink.count : 0;
    return good ? SX_OK : SX_ERROR_MEMORY;
}

sx_status sx_tokenize(const sx_tokenizer *tokenizer, const char *text, size_t length, uint32_t flags, int32_t *out,
                      size_t capacity, size_t *count)
{
    return sx_tokenize_masked(tokenizer, text, length, flags, NULL, 0, out, capacity, count);
}
