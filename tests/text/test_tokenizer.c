// The tokenizer on small vocabularies made here: merging, special tokens, refusals, tolerance, hostile texts.
#include "support.h"

#include "text/unicode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARSE SX_TOKENIZE_PARSE_SPECIAL

static const char *const merges[] = {"h e", "l l", "he ll", "hell o", "Ġ w",  "Ġw o", "r l", "Ġwo rl",
                                     "l d", "Ċ Ċ", ". ĊĊ",  "ĊĊ Ċ",   ") ĊĊ", "Ġ ĊĊ", "Ã ©", NULL};
static const char *const controls[] = {"<|im_start|>", "<|im_end|>", "<|endoftext|>", "<s>", NULL};
static const char *const user_defined[] = {"<think>", "</think>", "<|note|>", "<|note|>x", "\t\t", NULL};

// ---- byte-level BPE
// ---------------------------------------------------------------------------------------------------

static void test_bpe_merges(void **state)
{
    (void)state;
    sx_tokenizer *tokenizer = make_bpe("gpt-2", merges, controls, user_defined);
    expect_tokens(tokenizer, "", 0, "");
    expect_tokens(tokenizer, "hello", 0, "hello");
    expect_tokens(tokenizer, "hellhello", 0, "hell|hello");
    expect_tokens(tokenizer, "hello world", 0, "hello| worl|d");
    expect_tokens(tokenizer, "heé", 0, "he|é");
    expect_tokens(tokenizer, "x\n\n", 0, "x|\n\n");
    expect_tokens(tokenizer, "hel\xFFlo", 0, "he|l|\xFF|l|o");
    sx_tokenizer_free(tokenizer);
}

static void test_ignore_merges(void **state)
{
    (void)state;
    // "abc" is in the vocabulary as (ab)(c), but "b c" merges first, so that the merges never reach it.
    static const char *const awkward[] = {"b c", "a b", "ab c", NULL};
    sx_tokenizer *plain = make_bpe("gpt-2", awkward, NULL, NULL), *whole = make_bpe("llama-bpe", awkward, NULL, NULL);
    expect_tokens(plain, "abc", 0, "a|bc");
    expect_tokens(whole, "abc", 0, "abc");
    expect_tokens(whole, "abcabc", 0, "a|bc|a|bc");
    sx_tokenizer_free(plain);
    sx_tokenizer_free(whole);
}

static void test_nfc_choice(void **state)
{
    (void)state;
    sx_tokenizer *qwen = make_bpe("qwen2", merges, NULL, NULL), *llama = make_bpe("llama-bpe", merges, NULL, NULL);
    expect_tokens(qwen, "e\u0301", 0, "é");
    expect_tokens(llama, "e\u0301", 0, "e|\xCC|\x81");
    sx_tokenizer_free(qwen);
    sx_tokenizer_free(llama);
}

typedef struct piece {
    char text[64];
} piece;

static piece join(const piece *left, const piece *right, const char *between)
{
    piece out = {""};
    const size_t a = strlen(left->text), b = strlen(between), c = strlen(right->text);
    assert_true(a + b + c < sizeof out.text);
    memcpy(out.text, left->text, a);
    memcpy(out.text + a, between, b);
    memcpy(out.text + a + b, right->text, c);
    return out;
}

// The definition of byte-pair merging, without a queue: the merge of the lowest rank, leftmost first. Writes the pieces
// with "|" between them.
static void merge_naively(const char *const *rules, const char *word, char *out)
{
    piece pieces[64] = {{""}};
    size_t count = strlen(word);
    for (size_t i = 0; i < count; i++)
        pieces[i].text[0] = word[i];
    for (;;) {
        size_t best = SIZE_MAX, at = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            const piece pair = join(&pieces[i], &pieces[i + 1], " ");
            for (size_t rank = 0; rules[rank] && rank < best; rank++) {
                if (strcmp(rules[rank], pair.text) == 0) {
                    best = rank;
                    at = i;
                }
            }
        }
        if (best == SIZE_MAX) break;
        pieces[at] = join(&pieces[at], &pieces[at + 1], "");
        memmove(&pieces[at + 1], &pieces[at + 2], (count - at - 2) * sizeof *pieces);
        count--;
    }
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        if (i) out[size++] = '|';
        const size_t length = strlen(pieces[i].text);
        memcpy(out + size, pieces[i].text, length);
        size += length;
    }
    out[size] = 0;
}

// Random merges over three letters, each of two earlier results.
static void make_rules(uint64_t *seed, piece *rules, size_t rule_count)
{
    piece texts[40] = {{"a"}, {"b"}, {"c"}};
    for (size_t count = 0; count < rule_count;) {
        const piece *left = &texts[next_random(seed) % (3 + count)], *right = &texts[next_random(seed) % (3 + count)];
        bool good = strlen(left->text) + strlen(right->text) < 12;
        rules[count] = join(left, right, " ");
        for (size_t i = 0; i < count; i++)
            good = good && strcmp(rules[i].text, rules[count].text) != 0;
        if (good) texts[3 + count++] = join(left, right, "");
    }
}

static void test_bpe_against_definition(void **state)
{
    (void)state;
    enum { RULES = 30 };
    uint64_t seed = 88172645463325252u;
    printf("seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 200; round++) {
        piece rules[RULES];
        const char *texts[RULES + 1] = {NULL};
        make_rules(&seed, rules, RULES);
        for (size_t i = 0; i < RULES; i++)
            texts[i] = rules[i].text;
        sx_tokenizer *tokenizer = make_bpe("gpt-2", texts, NULL, NULL);
        for (int w = 0; w < 20; w++) {
            char word[48] = "", expected[256];
            const size_t length = 1 + next_random(&seed) % 40;
            for (size_t i = 0; i < length; i++)
                word[i] = (char)('a' + next_random(&seed) % 3);
            merge_naively(texts, word, expected);
            expect_tokens(tokenizer, word, 0, expected);
        }
        sx_tokenizer_free(tokenizer);
    }
}

static void test_long_words(void **state)
{
    (void)state;
    // A million bytes in one word: merging with a queue takes a moment, without one it would take hours.
    static const char *const doubling[] = {"a a", "aa aa", "aaaa aaaa", NULL};
    static const char *const pieces[] = {"a", "aa", "aaaa", "aaaaaaaa", NULL};
    const size_t size = 1000000;
    char *text = malloc(size);
    memset(text, 'a', size);
    sx_tokenizer *bpe = make_bpe("qwen2", doubling, NULL, NULL), *spm = make_spm(pieces, NULL, SX_CHOICE_NO);
    size_t count;
    assert_int_equal(sx_tokenize(bpe, text, size, 0, NULL, 0, &count), SX_OK);
    assert_int_equal(count, size / 8);
    assert_int_equal(sx_tokenize(spm, text, size, 0, NULL, 0, &count), SX_OK);
    assert_int_equal(count, size / 8);
    sx_tokenizer_free(bpe);
    sx_tokenizer_free(spm);
    free(text);
}

// ---- SentencePiece
// ----------------------------------------------------------------------------------------------------

static void test_spm(void **state)
{
    (void)state;
    static const char *const pieces[] = {"\u2581the", "th", "the", "\u2581t", "he", "\u2581", "t", "h", "e", "é", NULL};
    static const char *const user[] = {"\u2581\u2581", "<b>", NULL};
    sx_tokenizer *prefix = make_spm(pieces, user, SX_CHOICE_DEFAULT), *none = make_spm(pieces, user, SX_CHOICE_NO);
    expect_tokens(prefix, "the", 0, " the");
    expect_tokens(none, "the", 0, "the");
    expect_tokens(none, " the", 0, " the");
    expect_tokens(none, "\u2581the", 0, " the"); // U+2581 is a space
    expect_tokens(none, "hé", 0, "h|é");
    expect_tokens(none, "q€", 0, "q|\xE2|\x82|\xAC"); // byte fallback
    expect_tokens(none, "\xFFt", 0, "\xFF|t");
    expect_tokens(none, "the   the", 0, "the|  | the"); // user-defined spaces before everything else
    expect_tokens(prefix, "the<b>the</s>the", PARSE, " the|<b>| the|</s>| the");
    expect_tokens(prefix, "</s>", 0, " |<|/|s|>");
    expect_tokens(none, "the", SX_TOKENIZE_ADD_SPECIAL, "<s>|the");
    assert_int_equal(sx_token_find(none, "\n", 1), 3 + '\n');
    assert_int_equal(sx_token_type(none, 3 + '\n'), SX_TOKEN_BYTE);
    sx_tokenizer_free(prefix);
    sx_tokenizer_free(none);
}

// ---- special tokens
// ---------------------------------------------------------------------------------------------------

static void test_specials(void **state)
{
    (void)state;
    sx_tokenizer *tokenizer = make_bpe("gpt-2", merges, controls, user_defined);
    expect_tokens(tokenizer, "<|im_end|>", PARSE, "<|im_end|>");
    expect_tokens(tokenizer, "<|im_end|>", 0, "<|||i|m|_|e|n|d|||>");
    expect_tokens(tokenizer, "hello<|im_start|>hello<|im_end|>", PARSE, "hello|<|im_start|>|hello|<|im_end|>");
    expect_tokens(tokenizer, "<<|im_end|", PARSE, "<|<|||i|m|_|e|n|d||");
    expect_tokens(tokenizer, "<think>hello</think>", 0, "<think>|hello|</think>");
    expect_tokens(tokenizer, "<|note|>x<|note|>y", PARSE, "<|note|>x|<|note|>|y"); // the longest
    expect_tokens(tokenizer, "\t\t\t", 0, "\t\t|\t");
    expect_tokens(tokenizer, "hello<s>", PARSE, "hello|<s>");
    sx_tokenizer_free(tokenizer);
}

static void expect_masked(const sx_tokenizer *tokenizer, const char *text, size_t begin, size_t end, size_t specials)
{
    const sx_text_span span = {begin, end};
    int32_t tokens[64];
    size_t count, found = 0, size = 0;
    char back[128];
    assert_int_equal(sx_tokenize_masked(tokenizer, text, strlen(text), PARSE, &span, 1, tokens, 64, &count), SX_OK);
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const char *bytes = sx_token_bytes(tokenizer, tokens[i], &length);
        memcpy(back + size, bytes, length);
        size += length;
        found += sx_token_type(tokenizer, tokens[i]) != SX_TOKEN_NORMAL;
    }
    assert_int_equal(size, strlen(text));
    assert_memory_equal(back, text, size);
    assert_int_equal(found, specials);
}

static void test_masks(void **state)
{
    (void)state;
    sx_tokenizer *tokenizer = make_bpe("gpt-2", merges, controls, user_defined);
    const char *text = "a<|im_end|>b<|im_end|>"; // the markers at 1..11 and 12..22
    expect_masked(tokenizer, text, 0, 0, 2);
    expect_masked(tokenizer, text, 5, 5, 2); // an empty range hides nothing
    expect_masked(tokenizer, text, 0, 1, 2);
    expect_masked(tokenizer, text, 0, 2, 1); // a byte of it is enough
    expect_masked(tokenizer, text, 10, 11, 1);
    expect_masked(tokenizer, text, 11, 12, 2);
    expect_masked(tokenizer, text, 11, 13, 1);
    expect_masked(tokenizer, text, 5, 15, 0);
    expect_masked(tokenizer, "<|note|>", 0, 8, 0); // user-defined, but a marker
    expect_masked(tokenizer, "<think>", 0, 7, 1);  // user-defined
    // Across the end of a range, too, the rest of the marker is text.
    const sx_text_span spans[] = {{0, 3}, {3, 3}, {12, 14}};
    int32_t tokens[64];
    size_t count;
    assert_int_equal(sx_tokenize_masked(tokenizer, text, 22, PARSE, spans, 3, tokens, 64, &count), SX_OK);
    assert_int_equal(count, 22);
    sx_tokenizer_free(tokenizer);
}

static void test_attributes(void **state)
{
    (void)state;
    sx_tokenizer *tokenizer = make_bpe("gpt-2", merges, controls, user_defined);
    const int32_t end = sx_token_find(tokenizer, "<|im_end|>", 10),
                  start = sx_token_find(tokenizer, "<|im_start|>", 12);
    const int32_t think = sx_token_find(tokenizer, "<think>", 7), hello = sx_token_find(tokenizer, "hello", 5);
    assert_true(end > 0 && start > 0 && think > 0 && hello > 0);
    assert_int_equal(sx_token_find(tokenizer, "hell", 4), hello - 1);
    assert_int_equal(sx_token_find(tokenizer, "hellow", 6), -1);
    assert_int_equal(sx_token_find(tokenizer, "", 0), -1);
    assert_true(sx_token_is_control(tokenizer, end) && sx_token_is_eog(tokenizer, end));
    assert_true(sx_token_is_control(tokenizer, start) && !sx_token_is_eog(tokenizer, start));
    assert_false(sx_token_is_control(tokenizer, think) || sx_token_is_eog(tokenizer, think));
    assert_false(sx_token_is_control(tokenizer, hello) || sx_token_is_eog(tokenizer, hello));
    for (int32_t id = -3; id < 0; id++) {
        size_t length = 9;
        assert_non_null(sx_token_bytes(tokenizer, id, &length));
        assert_int_equal(length, 0);
        assert_false(sx_token_is_control(tokenizer, id) || sx_token_is_eog(tokenizer, id));
        assert_int_equal(sx_token_type(tokenizer, id), 0);
    }
    assert_int_equal(sx_token_type(tokenizer, (int32_t)sx_tokenizer_count(tokenizer)), 0);
    assert_int_equal(sx_token_type(tokenizer, INT32_MAX), 0);
    sx_tokenizer_free(tokenizer);
}

static void test_steps(void **state)
{
    (void)state;
    sx_tokenizer *tokenizer = make_bpe("qwen2", merges, controls, user_defined);
    uint32_t bitmap[64];
    const char *ending[] = {"\n\n", ".\n\n", "\n\n\n", ")\n\n", " \n\n"};
    memset(bitmap, 0xFF, sizeof bitmap);
    assert_int_equal(sx_tokenizer_step_bitmap(tokenizer, SX_STEP_ENDS_WITH_BLANK_LINE, bitmap), 5);
    for (int i = 0; i < 5; i++) {
        const int32_t id = sx_token_find(tokenizer, ending[i], strlen(ending[i]));
        assert_true(id >= 0 && (bitmap[id >> 5] >> (id & 31) & 1));
    }
    assert_int_equal(bitmap[0], 0);
    const int32_t line = sx_token_find(tokenizer, "\n", 1);
    assert_false(bitmap[line >> 5] >> (line & 31) & 1);
    assert_true(sx_tokenizer_step_bitmap(tokenizer, SX_STEP_ENDS_WITH_LINE, bitmap) > 5);
    assert_true(bitmap[line >> 5] >> (line & 31) & 1);
    assert_int_equal(sx_tokenizer_step_bitmap(tokenizer, SX_STEP_REFERENCE, bitmap), 4); // not ")\n\n"
    const int32_t bracket = sx_token_find(tokenizer, ")\n\n", 3);
    assert_false(bitmap[bracket >> 5] >> (bracket & 31) & 1);
    sx_tokenizer_free(tokenizer);
}

// ---- descriptions
// -----------------------------------------------------------------------------------------------------

typedef struct fixture {
    const char *texts[6];
    int32_t types[6];
    float scores[6];
    const char *merges[2];
    sx_tokenizer_desc desc;
} fixture;

static void set_up(fixture *f)
{
    static const fixture good = {.texts = {"a", "b", "ab", "<0x41>", "<s>", "c"},
                                 .types = {1, 1, 1, 6, 3, 1},
                                 .merges = {"a b", "x y"},
                                 .desc = SX_TOKENIZER_DESC_INIT};
    *f = good;
    f->desc.count = 6;
    f->desc.texts = f->texts;
    f->desc.types = f->types;
    f->desc.scores = f->scores;
    f->desc.merges = f->merges;
    f->desc.merge_count = 2;
}

static void expect_refusal(fixture *f, sx_status status, const char *part)
{
    sx_tokenizer *tokenizer = (sx_tokenizer *)f;
    sx_error error = {0};
    assert_int_equal(sx_tokenizer_create(&f->desc, &tokenizer, &error), status);
    assert_null(tokenizer);
    assert_int_equal(error.status, status);
    if (!strstr(error.message, part)) fail_msg("\"%s\" does not speak of %s", error.message, part);
    assert_int_equal(sx_tokenizer_create(&f->desc, &tokenizer, NULL), status);
}

static void test_refusals(void **state)
{
    (void)state;
    fixture f;
    set_up(&f), f.desc.count = 0;
    expect_refusal(&f, SX_ERROR_FORMAT, "tokens");
    set_up(&f), f.desc.count = UINT32_MAX;
    expect_refusal(&f, SX_ERROR_FORMAT, "tokens");
    set_up(&f), f.desc.texts = NULL;
    expect_refusal(&f, SX_ERROR_FORMAT, "tokens");
    set_up(&f), f.desc.kind = (sx_tokenizer_kind)7;
    expect_refusal(&f, SX_ERROR_UNSUPPORTED, "kind");
    set_up(&f), f.desc.pre = "falcon";
    expect_refusal(&f, SX_ERROR_UNSUPPORTED, "qwen2");
    set_up(&f), f.desc.bos = 6;
    expect_refusal(&f, SX_ERROR_FORMAT, "bos");
    set_up(&f), f.desc.eos = -2;
    expect_refusal(&f, SX_ERROR_FORMAT, "eos");
    set_up(&f), f.desc.eot = INT32_MIN;
    expect_refusal(&f, SX_ERROR_FORMAT, "eot");
    set_up(&f), f.desc.unk = INT32_MAX;
    expect_refusal(&f, SX_ERROR_FORMAT, "unknown");
    set_up(&f), f.desc.pad = 100;
    expect_refusal(&f, SX_ERROR_FORMAT, "padding");
    set_up(&f), f.desc.merges = NULL;
    expect_refusal(&f, SX_ERROR_FORMAT, "merges");
    static const char *const bad_merges[] = {"", "ab", "a ", " ", " a"};
    for (size_t i = 0; i < sizeof bad_merges / sizeof *bad_merges; i++) {
        set_up(&f), f.merges[1] = bad_merges[i];
        expect_refusal(&f, SX_ERROR_FORMAT, "merges[1]");
    }
    set_up(&f), f.desc.kind = SX_TOKENIZER_SPM, f.desc.scores = NULL;
    expect_refusal(&f, SX_ERROR_FORMAT, "scores");
    set_up(&f), f.desc.kind = SX_TOKENIZER_SPM, f.scores[2] = NAN;
    expect_refusal(&f, SX_ERROR_FORMAT, "scores[2]");
    set_up(&f), f.desc.kind = SX_TOKENIZER_SPM, f.texts[3] = "<0x4G>";
    expect_refusal(&f, SX_ERROR_FORMAT, "tokens[3]");
    sx_tokenizer_kind kind;
    assert_true(sx_tokenizer_kind_of("gpt2", &kind) && kind == SX_TOKENIZER_BPE);
    assert_true(sx_tokenizer_kind_of("llama", &kind) && kind == SX_TOKENIZER_SPM);
    assert_false(sx_tokenizer_kind_of("bert", &kind) || sx_tokenizer_kind_of(NULL, &kind));
}

static void test_tolerance(void **state)
{
    (void)state;
    fixture f;
    sx_tokenizer *tokenizer;
    // Duplicates, an empty text, broken UTF-8, unknown types, merges of absent tokens, infinite scores, few bytes.
    set_up(&f);
    f.texts[1] = "a";
    f.texts[2] = "";
    f.texts[4] = "\xFF\xC3";
    f.texts[5] = "<|im_end|>"; // says normal
    f.types[4] = 99;
    f.types[0] = INT32_MIN;
    for (int kind = 0; kind < 2; kind++) {
        f.desc.kind = (sx_tokenizer_kind)kind;
        f.scores[0] = INFINITY;
        f.scores[1] = -INFINITY;
        assert_int_equal(sx_tokenizer_create(&f.desc, &tokenizer, NULL), SX_OK);
        assert_int_equal(sx_token_find(tokenizer, "a", 1), 0);
        assert_int_equal(sx_token_find(tokenizer, "\xFF\xC3", 2), 4);
        assert_true(sx_token_is_control(tokenizer, 5) && sx_token_is_eog(tokenizer, 5));
        expect_tokens(tokenizer, "a<|im_end|>", PARSE, kind ? "a|<|im_end|>" : "a|<|im_end|>");
        expect_tokens(tokenizer, "aéa", 0, "a|a"); // bytes without a token and no unknown token
        sx_tokenizer_free(tokenizer);
        f.desc.add_space_prefix = SX_CHOICE_NO;
    }
    // An unknown token stands for what cannot be written.
    set_up(&f);
    f.desc.unk = 5;
    assert_int_equal(sx_tokenizer_create(&f.desc, &tokenizer, NULL), SX_OK);
    expect_tokens(tokenizer, "azba", 0, "a|c|b|a");
    sx_tokenizer_free(tokenizer);
    sx_tokenizer_free(NULL);
}

static void test_lengths_not_terminators(void **state)
{
    (void)state;
    static const char pool[] = "abab\0x";
    const char *const texts[] = {pool, pool + 1, pool + 2, pool + 4};
    const uint32_t lengths[] = {1, 1, 2, 2};
    const char *const rules[] = {"a bXX"};
    const uint32_t rule_lengths[] = {3};
    sx_tokenizer_desc desc = SX_TOKENIZER_DESC_INIT;
    desc.count = 4;
    desc.texts = texts;
    desc.lengths = lengths;
    desc.merge_count = 1;
    desc.merges = rules;
    desc.merge_lengths = rule_lengths;
    sx_tokenizer *tokenizer;
    assert_int_equal(sx_tokenizer_create(&desc, &tokenizer, NULL), SX_OK);
    expect_tokens(tokenizer, "abba", 0, "ab|b|a");
    assert_int_equal(sx_token_find(tokenizer, "\0x", 2), 3);
    sx_tokenizer_free(tokenizer);
}

static void test_capacity(void **state)
{
    (void)state;
    fixture f;
    sx_tokenizer *tokenizer;
    set_up(&f);
    f.desc.bos = 4;
    f.desc.eos = 5;
    f.desc.add_bos = f.desc.add_eos = SX_CHOICE_YES;
    assert_int_equal(sx_tokenizer_create(&f.desc, &tokenizer, NULL), SX_OK);
    expect_tokens(tokenizer, "ab", SX_TOKENIZE_ADD_SPECIAL, "<s>|ab|c");
    expect_tokens(tokenizer, "", SX_TOKENIZE_ADD_SPECIAL, "<s>|c");
    expect_tokens(tokenizer, "ab", 0, "ab");
    int32_t tokens[4] = {-7, -7, -7, -7};
    size_t count;
    assert_int_equal(sx_tokenize(tokenizer, "ab", 2, SX_TOKENIZE_ADD_SPECIAL, tokens, 2, &count), SX_OK);
    assert_int_equal(count, 3);
    assert_int_equal(tokens[1], 2);
    assert_int_equal(tokens[2], -7);
    assert_true(sx_tokenizer_adds_bos(tokenizer));
    assert_int_equal(sx_tokenizer_bos(tokenizer), 4);
    assert_int_equal(sx_tokenizer_eos(tokenizer), 5);
    sx_tokenizer_free(tokenizer);
}

// ---- any bytes come back
// ----------------------------------------------------------------------------------------------

static size_t random_text(uint64_t *seed, uint8_t *text, size_t room)
{
    static const char alphabet[] = " \n\thelowrd'.<|>é"; // and a zero byte
    const size_t length = next_random(seed) % (room / 4);
    size_t size = 0;
    for (size_t i = 0; i < length; i++) {
        const uint32_t r = next_random(seed);
        const uint32_t c = next_random(seed);
        if (r % 4 == 0)
            text[size++] = (uint8_t)c; // broken more often than not
        else if (r % 4 == 1)
            size += text_utf8_write(c % 0x110000, text + size);
        else
            text[size++] = (uint8_t)alphabet[c % sizeof alphabet];
    }
    return size;
}

static void test_round_trips(void **state)
{
    (void)state;
    static const char *const pieces[] = {"he", "\u2581w", "ll", "hell", "é", NULL};
    static const char *const names[] = {"gpt-2",         "smollm",       "llama-bpe",  "hunyuan",
                                        "hunyuan-dense", "deepseek-llm", "deepseek-v3"};
    uint64_t seed = 0x9E3779B97F4A7C15u;
    for (size_t n = 0; n <= sizeof names / sizeof *names; n++) {
        const bool spm = n == sizeof names / sizeof *names;
        sx_tokenizer *tokenizer =
            spm ? make_spm(pieces, NULL, SX_CHOICE_NO) : make_bpe(names[n], merges, controls, user_defined);
        for (int round = 0; round < 400; round++) {
            const uint64_t start = seed;
            uint8_t text[400], back[400];
            int32_t tokens[1208];
            size_t size = random_text(&seed, text, sizeof text), count, back_size = 0;
            assert_int_equal(sx_tokenize(tokenizer, (char *)text, size, round & 2, tokens, 1208, &count), SX_OK);
            assert_true(count <= 3 * size + 8);
            for (size_t i = 0; i < count; i++) {
                size_t length;
                const char *bytes = sx_token_bytes(tokenizer, tokens[i], &length);
                memcpy(back + back_size, bytes, length);
                back_size += length;
            }
            if (back_size != size || memcmp(back, text, size) != 0)
                fail_msg("%s, seed %llu: the text does not come back", spm ? "spm" : names[n],
                         (unsigned long long)start);
        }
        sx_tokenizer_free(tokenizer);
    }
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bpe_merges),
        cmocka_unit_test(test_ignore_merges),
        cmocka_unit_test(test_nfc_choice),
        cmocka_unit_test(test_bpe_against_definition),
        cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_spm),
        cmocka_unit_test(test_specials),
        cmocka_unit_test(test_masks),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_tolerance),
        cmocka_unit_test(test_lengths_not_terminators),
        cmocka_unit_test(test_capacity),
        cmocka_unit_test(test_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
