#include "text/tokenizer_internal.h"
#include "text/unicode.h"

#include <assert.h>
#include <stdlib.h>

struct sx_detokenizer {
    const sx_tokenizer *tokenizer;
    uint32_t flags;
    uint8_t pending[4]; // the beginning of a character whose rest may come
    size_t pending_size;
    bool started; // some token gave text
    char *text;   // of the last call, [3 * (pending + longest token) + 1]: each broken byte becomes three
};

sx_status sx_detokenizer_create(const sx_tokenizer *tokenizer, uint32_t flags, sx_detokenizer **out)
{
    assert(tokenizer && out);
    *out = NULL;
    sx_detokenizer *detokenizer = calloc(1, sizeof *detokenizer);
    char *text = malloc(3 * ((size_t)tokenizer->max_bytes + sizeof detokenizer->pending) + 1);
    if (!detokenizer || !text) {
        free(detokenizer);
        free(text);
        return SX_ERROR_MEMORY;
    }
    detokenizer->tokenizer = tokenizer;
    detokenizer->flags = flags;
    detokenizer->text = text;
    *out = detokenizer;
    return SX_OK;
}

void sx_detokenizer_free(sx_detokenizer *detokenizer)
{
    if (detokenizer) free(detokenizer->text);
    free(detokenizer);
}

// Takes `size` bytes at `bytes`, which follow on the pending ones, appends what is decided to text + written and
// returns the new length.
static size_t decode(sx_detokenizer *detokenizer, const uint8_t *bytes, size_t size, size_t written)
{
    uint8_t *text = (uint8_t *)detokenizer->text;
    for (size_t i = 0; i < size; i++) {
        uint8_t *pending = detokenizer->pending;
        pending[detokenizer->pending_size++] = bytes[i];
        bool complete;
        const size_t good = text_utf8_prefix(pending, detokenizer->pending_size, &complete);
        if (complete) {
            memcpy(text + written, pending, good);
            written += good;
            detokenizer->pending_size = 0;
        } else if (good < detokenizer->pending_size) {
            // The new byte cannot go on: what stood before it is broken, and so is the byte unless it begins anew.
            written += text_utf8_write(TEXT_REPLACEMENT, text + written);
            const bool alone = detokenizer->pending_size == 1;
            detokenizer->pending_size = 0;
            if (!alone) i--;
        }
    }
    return written;
}

static const char *finish(sx_detokenizer *detokenizer, size_t written, size_t *length)
{
    detokenizer->text[written] = 0;
    if (length) *length = written;
    return detokenizer->text;
}

static size_t give_up_pending(sx_detokenizer *detokenizer)
{
    if (detokenizer->pending_size == 0) return 0;
    detokenizer->pending_size = 0;
    return text_utf8_write(TEXT_REPLACEMENT, (uint8_t *)detokenizer->text);
}

const char *sx_detokenizer_push(sx_detokenizer *detokenizer, int32_t token, size_t *length)
{
    const sx_tokenizer *tokenizer = detokenizer->tokenizer;
    size_t size;
    const uint8_t *bytes = (const uint8_t *)sx_token_bytes(tokenizer, token, &size);
    const bool control = sx_token_is_control(tokenizer, token);
    const bool hidden =
        sx_token_type(tokenizer, token) == 0 || (control && !(detokenizer->flags & SX_DETOKENIZE_SPECIAL));
    size_t written = hidden || control ? give_up_pending(detokenizer) : 0;
    if (hidden) return finish(detokenizer, written, length);
    const bool strip = !detokenizer->started && !control && (detokenizer->flags & SX_DETOKENIZE_STRIP_FIRST_SPACE) &&
                       tokenizer->space_prefix && size > 0 && bytes[0] == ' ';
    detokenizer->started = detokenizer->started || !control;
    written = decode(detokenizer, bytes + strip, size - strip, written);
    return finish(detokenizer, written, length);
}

const char *sx_detokenizer_flush(sx_detokenizer *detokenizer, size_t *length)
{
    return finish(detokenizer, give_up_pending(detokenizer), length);
}

size_t sx_detokenize(const sx_tokenizer *tokenizer, const int32_t *tokens, size_t token_count, uint32_t flags,
                     char *out, size_t capacity)
{
    sx_detokenizer *detokenizer;
    if (sx_detokenizer_create(tokenizer, flags, &detokenizer)) return 0;
    size_t total = 0;
    for (size_t i = 0; i <= token_count; i++) {
        size_t length;
        const char *text = i < token_count ? sx_detokenizer_push(detokenizer, tokens[i], &length)
                                           : sx_detokenizer_flush(detokenizer, &length);
        if (total < capacity) memcpy(out + total, text, length < capacity - total ? length : capacity - total);
        total += length;
    }
    sx_detokenizer_free(detokenizer);
    return total;
}
