// Streaming detokenisation: what comes out is valid UTF-8 at every step and, put together, what a decoder of the whole
// text gives, however the bytes are cut into tokens.
#include "support.h"

#include "text/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_valid(const char *text, size_t size)
{
    for (size_t offset = 0; offset < size;) {
        uint32_t code_point;
        offset += text_utf8_read((const uint8_t *)text + offset, size - offset, &code_point);
        if (code_point >= TEXT_BROKEN_BYTE) return false;
    }
    return true;
}

// Pushes `size` bytes as single-byte tokens and flushes; the result in `out`, terminated.
static void stream(const sx_tokenizer *tokenizer, const char *bytes, size_t size, char *out)
{
    sx_detokenizer *detokenizer;
    size_t total = 0, length;
    assert_int_equal(sx_detokenizer_create(tokenizer, 0, &detokenizer), SX_OK);
    for (size_t i = 0; i <= size; i++) {
        const int32_t id = i < size ? sx_token_find(tokenizer, bytes + i, 1) : -1;
        const char *text =
            i < size ? sx_detokenizer_push(detokenizer, id, &length) : sx_detokenizer_flush(detokenizer, &length);
        assert_int_equal(strlen(text), length);
        assert_true(is_valid(text, length));
        memcpy(out + total, text, length + 1);
        total += length;
    }
    sx_detokenizer_free(detokenizer);
}

static void test_replacement(void **state)
{
    (void)state;
    // As Python's decode(errors="replace") gives them.
    static const struct {
        const char *bytes, *text;
    } cases[] = {
        {"hello", "hello"},
        {"é€\U0001F642", "é€\U0001F642"},
        {"\xC3", "\uFFFD"},
        {"\xC3"
         "a",
         "\uFFFDa"},
        {"\xE2\x82"
         "a",
         "\uFFFDa"},
        {"\xE2\x82\xC3\xA9", "\uFFFDé"},
        {"\xF0\x9F\x98", "\uFFFD"},
        {"\xF0\x9F\x98\xF0\x9F\x98\x80", "\uFFFD\U0001F600"},
        {"\x80\x81", "\uFFFD\uFFFD"},
        {"\xC0\x80", "\uFFFD\uFFFD"},
        {"\xE0\x80\x80", "\uFFFD\uFFFD\uFFFD"},
        {"\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD"},
        {"\xF4\x90\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD"},
        {"\xFF\xE2\x82\xAC", "\uFFFD€"},
    };
    sx_tokenizer *tokenizer = make_bpe("gpt-2", NULL, NULL, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[128];
        stream(tokenizer, cases[i].bytes, strlen(cases[i].bytes), out);
        assert_string_equal(out, cases[i].text);
    }
    sx_tokenizer_free(tokenizer);
}

static void test_every_split(void **state)
{
    (void)state;
    // A vocabulary of every cut of this text in two: whatever pair is pushed, the text is the same.
    const char *text = "aé€\U0001F642\xFF\xE2\x82z";
    const size_t size = strlen(text);
    char storage[32][32];
    const char *texts[64];
    sx_tokenizer_desc desc = SX_TOKENIZER_DESC_INIT;
    uint32_t lengths[64];
    int32_t types[64];
    for (size_t cut = 0; cut <= size; cut++) {
        texts[2 * cut] = storage[cut];
        texts[2 * cut + 1] = text + cut;
        memcpy(storage[cut], text, cut);
        lengths[2 * cut] = (uint32_t)cut;
        lengths[2 * cut + 1] = (uint32_t)(size - cut);
        types[2 * cut] = types[2 * cut + 1] = SX_TOKEN_USER_DEFINED; // raw bytes
    }
    desc.count = (uint32_t)(2 * size + 2);
    desc.texts = texts;
    desc.lengths = lengths;
    desc.types = types;
    sx_tokenizer *tokenizer;
    assert_int_equal(sx_tokenizer_create(&desc, &tokenizer, NULL), SX_OK);
    for (int32_t cut = 0; cut <= (int32_t)size; cut++) {
        const int32_t pair[2] = {2 * cut, 2 * cut + 1};
        char out[64];
        const size_t length = sx_detokenize(tokenizer, pair, 2, 0, out, sizeof out);
        const char *expected = "aé€\U0001F642\uFFFD\uFFFDz";
        assert_int_equal(length, strlen(expected));
        assert_memory_equal(out, expected, length);
        char small[4];
        assert_int_equal(sx_detokenize(tokenizer, pair, 2, 0, small, sizeof small), length);
        assert_memory_equal(small, expected, sizeof small);
        assert_int_equal(sx_detokenize(tokenizer, pair, 2, 0, NULL, 0), length);
    }
    sx_tokenizer_free(tokenizer);
}

static void test_random_bytes(void **state)
{
    (void)state;
    sx_tokenizer *tokenizer = make_bpe("gpt-2", NULL, NULL, NULL);
    uint64_t seed = 1234567;
    for (int round = 0; round < 3000; round++) {
        const uint64_t start = seed;
        uint8_t bytes[24];
        static const uint8_t likely[] = {0xC3, 0xE2, 0x82, 0xF0, 0x9F, 0x98, 0x80, 0xED, 0xE0, 0xF4, 'a', 0xFF};
        for (size_t i = 0; i < sizeof bytes; i++) {
            const uint32_t r = next_random(&seed);
            bytes[i] = r % 3 ? likely[r / 3 % sizeof likely] : (uint8_t)(1 + r / 3 % 255);
        }
        char expected[128], out[128];
        size_t size = 0;
        for (size_t offset = 0; offset < sizeof bytes;) { // a decoder of the whole
            bool complete;
            const size_t good = text_utf8_prefix(bytes + offset, sizeof bytes - offset, &complete);
            if (complete) memcpy(expected + size, bytes + offset, good);
            size += complete ? good : text_utf8_write(TEXT_REPLACEMENT, (uint8_t *)expected + size);
            offset += good ? good : 1;
        }
        expected[size] = 0;
        stream(tokenizer, (char *)bytes, sizeof bytes, out);
        if (strcmp(out, expected) != 0) fail_msg("seed %llu", (unsigned long long)start);
    }
    sx_tokenizer_free(tokenizer);
}

static void test_hidden_tokens(void **state)
{
    (void)state;
    static const char *const controls[] = {"<|im_end|>", NULL};
    sx_tokenizer *tokenizer = make_bpe("gpt-2", NULL, controls, NULL);
    const int32_t end = sx_token_find(tokenizer, "<|im_end|>", 10);
    const int32_t tokens[] = {'h' - 0, 0xE2, end, 'i', -5, 0x7FFFFFFF};
    char out[64];
    size_t length = sx_detokenize(tokenizer, tokens, 6, 0, out, sizeof out);
    assert_int_equal(length, 5);
    assert_memory_equal(out, "h\uFFFDi", 5);
    length = sx_detokenize(tokenizer, tokens, 6, SX_DETOKENIZE_SPECIAL, out, sizeof out);
    assert_int_equal(length, 15);
    assert_memory_equal(out, "h\uFFFD<|im_end|>i", 15);
    sx_tokenizer_free(tokenizer);
}

static void test_first_space(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\u2581a", "a", "\u2581", NULL};
    sx_tokenizer *tokenizer = make_spm(pieces, NULL, SX_CHOICE_YES);
    const int32_t a = sx_token_find(tokenizer, " a", 2);
    const int32_t tokens[] = {1, a, a};
    char out[16];
    assert_int_equal(sx_detokenize(tokenizer, tokens, 3, SX_DETOKENIZE_STRIP_FIRST_SPACE, out, sizeof out), 3);
    assert_memory_equal(out, "a a", 3);
    assert_int_equal(sx_detokenize(tokenizer, tokens, 3, 0, out, sizeof out), 4);
    sx_detokenizer *detokenizer;
    assert_int_equal(sx_detokenizer_create(tokenizer, 0, &detokenizer), SX_OK);
    assert_string_equal(sx_detokenizer_push(detokenizer, 3 + 0xC3, NULL), ""); // a byte token
    assert_string_equal(sx_detokenizer_push(detokenizer, 3 + 0xA9, NULL), "é");
    assert_string_equal(sx_detokenizer_push(detokenizer, 3 + 0xC3, NULL), "");
    assert_string_equal(sx_detokenizer_flush(detokenizer, NULL), "\uFFFD");
    assert_string_equal(sx_detokenizer_flush(detokenizer, NULL), "");
    sx_detokenizer_free(detokenizer);
    sx_detokenizer_free(NULL);
    sx_tokenizer_free(tokenizer);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_replacement),   cmocka_unit_test(test_every_split), cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_hidden_tokens), cmocka_unit_test(test_first_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
