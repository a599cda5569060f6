// A vocabulary and a text, both hostile. The input: one line of kind and pre-tokenizer, the tokens one a line (the
// first character is the type), an empty line, the merges one a line, an empty line, the text.
#include "text/tokenizer.h"
#include "text/unicode.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_LINES = 600 };

typedef struct lines {
    const char *texts[MAX_LINES];
    uint32_t lengths[MAX_LINES];
    uint32_t count;
} lines;

static void check(bool good)
{
    if (!good) abort();
}

// Takes lines up to an empty one; returns where the rest begins.
static const char *take_lines(const char *at, const char *end, lines *out)
{
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const size_t length = (size_t)((line_end ? line_end : end) - at);
        const char *next = line_end ? line_end + 1 : end;
        if (length == 0) return next;
        if (out->count < MAX_LINES) {
            out->texts[out->count] = at;
            out->lengths[out->count++] = (uint32_t)length;
        }
        at = next;
    }
    return end;
}

static void check_detokenizer(const sx_tokenizer *tokenizer, const int32_t *tokens, size_t count)
{
    const size_t room = sx_detokenize(tokenizer, tokens, count, SX_DETOKENIZE_SPECIAL, NULL, 0);
    char *text = malloc(room + 1);
    if (!text) return;
    check(sx_detokenize(tokenizer, tokens, count, SX_DETOKENIZE_SPECIAL, text, room) == room);
    for (size_t offset = 0; offset < room;) {
        uint32_t code_point;
        offset += text_utf8_read((const uint8_t *)text + offset, room - offset, &code_point);
        check(code_point < TEXT_BROKEN_BYTE);
    }
    free(text);
}

static void check_text(const sx_tokenizer *tokenizer, const char *text, size_t length)
{
    const sx_text_span spans[] = {{length / 4, length / 2}, {length / 2, length}};
    const size_t room = 3 * length + 8;
    int32_t *tokens = malloc(room * sizeof *tokens);
    for (uint32_t flags = 0; tokens && flags < 4; flags++) {
        size_t count, masked, counted;
        check(sx_tokenize(tokenizer, text, length, flags, tokens, room, &count) == SX_OK && count <= room);
        check(sx_tokenize(tokenizer, text, length, flags, NULL, 0, &counted) == SX_OK && counted == count);
        for (size_t i = 0; i < count; i++)
            check(sx_token_type(tokenizer, tokens[i]) != 0);
        check_detokenizer(tokenizer, tokens, count);
        check(sx_tokenize_masked(tokenizer, text, length, flags, spans, 2, tokens, room, &masked) == SX_OK);
        check(masked <= room);
    }
    free(tokens);
    uint8_t *once = NULL, *twice = NULL;
    size_t once_size, twice_size;
    if (text_nfc((const uint8_t *)text, length, &once, &once_size) &&
        text_nfc(once, once_size, &twice, &twice_size)) // NFC of NFC is itself
        check(once_size == twice_size && memcmp(once, twice, once_size) == 0 && once_size <= 3 * length);
    free(once);
    free(twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"gpt-2",   "smollm", "qwen2",         "qwen35",       "deepseek-r1-qwen",
                                        "hunyuan", "llama3", "hunyuan-dense", "deepseek-llm", "deepseek-v3"};
    const char *at = (const char *)data, *end = at + size;
    if (size < 3) return 0;
    sx_tokenizer_desc desc = SX_TOKENIZER_DESC_INIT;
    desc.kind = data[0] % 2 ? SX_TOKENIZER_SPM : SX_TOKENIZER_BPE;
    desc.pre = names[data[1] % (sizeof names / sizeof *names)];
    lines *tokens = calloc(2, sizeof *tokens), *merges = tokens + 1;
    int32_t types[MAX_LINES];
    float scores[MAX_LINES];
    if (!tokens) return 0;
    at = take_lines(at + 3, end, tokens);
    at = take_lines(at, end, merges);
    for (uint32_t i = 0; i < tokens->count; i++) {
        types[i] = tokens->texts[i][0] - '0';
        scores[i] = (float)((i * 7919) % 613);
        tokens->texts[i]++;
        tokens->lengths[i]--;
    }
    desc.count = tokens->count;
    desc.texts = tokens->texts;
    desc.lengths = tokens->lengths;
    desc.types = types;
    desc.scores = scores;
    desc.merge_count = merges->count;
    desc.merges = merges->texts;
    desc.merge_lengths = merges->lengths;
    desc.bos = data[0] % 7 ? -1 : 0;
    desc.unk = data[0] % 5 ? -1 : 0;
    sx_tokenizer *tokenizer;
    sx_error error;
    if (sx_tokenizer_create(&desc, &tokenizer, &error) == SX_OK) {
        check_text(tokenizer, at, (size_t)(end - at));
        check_text(tokenizer, (const char *)data, size < 2000 ? size : 2000);
        for (uint32_t i = 0; i < tokens->count; i++) {
            size_t length;
            const char *bytes = sx_token_bytes(tokenizer, (int32_t)i, &length);
            const int32_t found = sx_token_find(tokenizer, bytes, length);
            check(found < (int32_t)i + 1 || sx_token_type(tokenizer, found) != SX_TOKEN_NORMAL || length == 0 ||
                  sx_token_type(tokenizer, (int32_t)i) != SX_TOKEN_NORMAL);
        }
        sx_tokenizer_free(tokenizer);
    }
    free(tokens);
    return 0;
}
