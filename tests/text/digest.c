// Prints hashes of what the text layer makes of every code point and of random texts. Built natively and as
// WebAssembly, the two must print the same (see wasm_digest.sh).
#include "text/chat_template.h"
#include "text/pretokenizer.h"
#include "text/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash = 0xCBF29CE484222325u;

static void add(uint64_t value)
{
    for (int i = 0; i < 8; i++, value >>= 8)
        hash = (hash ^ (value & 0xFF)) * 0x100000001B3u;
}

static void print(const char *name)
{
    printf("%s %016llx\n", name, (unsigned long long)hash);
    hash = 0xCBF29CE484222325u;
}

static uint32_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32);
}

static size_t random_text(uint64_t *seed, uint8_t *text, size_t count)
{
    size_t size = 0;
    while (count--) {
        const uint32_t r = next_random(seed), c = next_random(seed);
        const uint32_t ranges[] = {0x80, 0x250, 0x1200, 0xD800, 0x30000};
        if (r % 16 == 0)
            text[size++] = (uint8_t)c;
        else
            size += text_utf8_write(c % ranges[r % 5] % 0xD800, text + size);
    }
    return size;
}

static bool add_word(void *user, size_t begin, size_t end)
{
    (void)user;
    add(begin);
    add(end);
    return true;
}

static void digest_splits(void)
{
    static const char *const names[] = {"gpt-2",     "smollm",        "qwen2",       "qwen35",
                                        "llama-bpe", "hunyuan-dense", "deepseek-llm"};
    uint64_t seed = 99;
    uint8_t text[1024];
    uint32_t code_points[1024];
    for (int round = 0; round < 2000; round++) {
        const size_t size = random_text(&seed, text, 100);
        size_t count = 0;
        for (size_t offset = 0; offset < size; count++)
            offset += text_utf8_read(text + offset, size - offset, &code_points[count]);
        text_pretokenize(text_pretokenizer_find(names[round % 7]), code_points, count, add_word, NULL);
    }
    print("splits");
}

static void digest_tokens(sx_tokenizer_kind kind)
{
    static const char *const texts[] = {"a", "b", "ab", "\u2581", "aba", "<0xC3>", "é", "<|im_end|>"};
    static const int32_t types[] = {1, 1, 1, 1, 1, 6, 1, 3};
    static const float scores[] = {-1, -2, -0.5f, -3.25f, 0.125f, 0, -1e30f, 0};
    static const char *const merges[] = {"a b", "ab a"};
    sx_tokenizer_desc desc = SX_TOKENIZER_DESC_INIT;
    desc.kind = kind;
    desc.count = 8;
    desc.texts = texts;
    desc.types = types;
    desc.scores = scores;
    desc.merges = merges;
    desc.merge_count = 2;
    desc.unk = 7;
    sx_tokenizer *tokenizer;
    if (sx_tokenizer_create(&desc, &tokenizer, NULL)) exit(1);
    uint64_t seed = 7;
    for (int round = 0; round < 500; round++) {
        char text[64];
        int32_t tokens[256];
        size_t count;
        for (size_t i = 0; i < sizeof text; i++)
            text[i] = "ab \xC3\xA9"[next_random(&seed) % 5];
        sx_tokenize(tokenizer, text, sizeof text, 3, tokens, 256, &count);
        for (size_t i = 0; i < count; i++)
            add((uint64_t)tokens[i]);
    }
    sx_tokenizer_free(tokenizer);
    print(kind == SX_TOKENIZER_SPM ? "spm" : "bpe");
}

int main(void)
{
    for (uint32_t c = 0; c < 0x110000; c++) {
        add(text_category_of(c));
        add(text_combining_class(c));
        add((uint64_t)(text_is_letter(c) + 2 * text_is_number(c) + 4 * text_is_space(c)));
    }
    print("properties");
    uint64_t seed = 5;
    for (int round = 0; round < 2000; round++) {
        uint8_t text[512], *out;
        size_t size = random_text(&seed, text, 50);
        if (!text_nfc(text, size, &out, &size)) return 1;
        for (size_t i = 0; i < size; i++)
            add(out[i]);
        free(out);
    }
    print("nfc");
    digest_splits();
    digest_tokens(SX_TOKENIZER_BPE);
    digest_tokens(SX_TOKENIZER_SPM);
    sx_prompt prompt = {0};
    const sx_message message = {SX_ROLE_USER, " \u3000x<|im_end|>\n ", NULL};
    for (int id = 1; id < SX_TEMPLATE_COUNT; id++) {
        if (sx_template_render((sx_template_id)id, &message, 1, NULL, &prompt, NULL)) return 1;
        for (size_t i = 0; i < prompt.length; i++)
            add((uint8_t)prompt.text[i]);
    }
    sx_prompt_free(&prompt);
    print("templates");
    return 0;
}
