// UTF-8, properties, NFC and the pre-tokenizers, against tests/golden/text.json and by exhaustion.
#include "support.h"

#include "model/json.h"
#include "text/pretokenizer.h"
#include "text/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_utf8_round_trip(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        if (c >= 0xD800 && c < 0xE000) continue;
        uint8_t bytes[4];
        uint32_t back;
        const size_t length = text_utf8_write(c, bytes);
        assert_int_equal(text_utf8_read(bytes, length, &back), length);
        assert_int_equal(back, c);
        for (size_t cut = 1; cut < length; cut++) { // a part of a character is broken bytes
            bool complete;
            assert_int_equal(text_utf8_read(bytes, cut, &back), 1);
            assert_int_equal(back, TEXT_BROKEN_BYTE + bytes[0]);
            assert_int_equal(text_utf8_prefix(bytes, cut, &complete), cut);
            assert_false(complete);
        }
    }
}

static void test_utf8_refuses(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "\x80",         "\xBF",         "\xC0\x80",         "\xC1\xBF",         "\xE0\x80\x80",     "\xE0\x9F\xBF",
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF",
        "\xC3(",        "\xE2\x82(",    "\xF0\x9F\x98("};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        uint32_t code_point;
        assert_int_equal(text_utf8_read((const uint8_t *)broken[i], strlen(broken[i]), &code_point), 1);
        assert_int_equal(code_point, TEXT_BROKEN_BYTE + (uint8_t)broken[i][0]);
    }
}

static void test_properties(void **state)
{
    (void)state;
    static const struct {
        uint32_t code_point;
        text_category category;
    } samples[] = {{'A', TEXT_LU},    {'z', TEXT_LL},     {'5', TEXT_ND},    {'_', TEXT_PC},     {' ', TEXT_ZS},
                   {0x100, TEXT_LU},  {0x101, TEXT_LL},   {0x139, TEXT_LU},  {0x13A, TEXT_LL},   {0x1C5, TEXT_LT},
                   {0x2B0, TEXT_LM},  {0x5D0, TEXT_LO},   {0x301, TEXT_MN},  {0x903, TEXT_MC},   {0x20DD, TEXT_ME},
                   {0x2160, TEXT_NL}, {0xBD, TEXT_NO},    {0x2014, TEXT_PD}, {0x20AC, TEXT_SC},  {0x1F600, TEXT_SO},
                   {0x378, TEXT_CN},  {0x200D, TEXT_CF},  {0xE000, TEXT_CO}, {0xD800, TEXT_CS},  {0x1C89, TEXT_LU},
                   {0x4E00, TEXT_LO}, {0x323AF, TEXT_LO}, {0x2028, TEXT_ZL}, {0x110041, TEXT_CN}};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        assert_int_equal(text_category_of(samples[i].code_point), samples[i].category);
    uint32_t letters = 0, marks = 0, numbers = 0, symbols = 0, spaces = 0;
    for (uint32_t c = 0; c < 0x110100; c++) {
        letters += text_is_letter(c);
        marks += text_is_mark(c);
        numbers += text_is_number(c);
        symbols += text_is_symbol(c);
        spaces += text_is_space(c);
        // The classes share no code point.
        assert_true(text_is_letter(c) + text_is_mark(c) + text_is_number(c) + text_is_symbol(c) + text_is_space(c) <=
                    1);
    }
    // Counted by Python's unicodedata2 16.0.0.
    assert_int_equal(letters, 141028);
    assert_int_equal(marks, 2501);
    assert_int_equal(numbers, 1911);
    assert_int_equal(symbols, 9369);
    assert_int_equal(spaces, 25);
}

static void check_nfc(const uint8_t *bytes, size_t size, const uint8_t *expected, size_t expected_size)
{
    uint8_t *out;
    size_t out_size;
    assert_true(text_nfc(bytes, size, &out, &out_size));
    assert_int_equal(out_size, expected_size);
    assert_memory_equal(out, expected, expected_size);
    assert_true(out_size <= 3 * size);
    if (text_is_trivially_nfc(bytes, size)) {
        assert_int_equal(out_size, size);
        assert_memory_equal(out, bytes, size);
    }
    free(out);
}

static void test_nfc_golden(void **state)
{
    (void)state;
    sx_arena arena = {0};
    const sx_json *root = read_golden(&arena);
    const sx_json *text = sx_json_find(root, "texts")->first, *nfc = sx_json_find(root, "nfc")->first;
    static uint8_t bytes[4096], expected[4096];
    int changed = 0;
    for (; text; text = text->next, nfc = nfc->next) {
        const size_t size = from_hex(text, bytes, sizeof bytes), wanted = from_hex(nfc, expected, sizeof expected);
        check_nfc(bytes, size, expected, wanted);
        check_nfc(expected, wanted, expected, wanted);
        changed += size != wanted || memcmp(bytes, expected, size) != 0;
    }
    assert_null(nfc);
    assert_true(changed > 10);
    sx_arena_free(&arena);
}

static void test_nfc_cases(void **state)
{
    (void)state;
    static const struct {
        const char *text, *nfc;
    } cases[] = {
        {"", ""},
        {"e\u0301", "é"},
        {"a\u0323\u0302", "ậ"},           // two marks of different classes, both compose
        {"a\u0302\u0323", "ậ"},           // in the other order: sorted first
        {"\u1100\u1161\u11A8", "\uAC01"}, // Hangul by arithmetic
        {"\uAC00\u11A8", "\uAC01"},       //
        {"\u2126", "\u03A9"},             // a single
        {"\u0958", "\u0915\u093C"},       // excluded from composition
        {"a\u0301\u0301", "á\u0301"},     // blocked by its own class
        {"\xFF"
         "e\u0301\xC3",
         "\xFF"
         "é\xC3"}, // broken bytes pass and part their neighbours
        {"e\xCC\xCC\x81", "e\xCC\u0301"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        check_nfc((const uint8_t *)cases[i].text, strlen(cases[i].text), (const uint8_t *)cases[i].nfc,
                  strlen(cases[i].nfc));
}

static void test_nfc_long_run(void **state)
{
    (void)state;
    // A hostile text: one letter and 200,000 marks in falling classes must not take quadratic time.
    const size_t pairs = 100000;
    uint8_t *text = malloc(4 * pairs + 1), *out;
    size_t out_size;
    text[0] = 'q';
    for (size_t i = 0; i < pairs; i++)
        memcpy(text + 1 + 4 * i, "\xCC\x81\xCC\xA3", 4); // classes 230, 220
    assert_true(text_nfc(text, 4 * pairs + 1, &out, &out_size));
    assert_int_equal(out_size, 4 * pairs + 1);
    assert_memory_equal(out + 1, "\xCC\xA3\xCC\xA3", 4);
    assert_memory_equal(out + out_size - 4, "\xCC\x81\xCC\x81", 4);
    free(out);
    free(text);
}

// ---- pre-tokenizers
// ---------------------------------------------------------------------------------------------------

typedef struct collector {
    size_t ends[4096], count;
} collector;

static bool collect(void *user, size_t begin, size_t end)
{
    collector *c = user;
    assert_int_equal(begin, c->count ? c->ends[c->count - 1] : 0);
    assert_true(end > begin && c->count < 4096);
    c->ends[c->count++] = end;
    return true;
}

static void check_split(const char *name, const uint8_t *bytes, size_t size, const sx_json *lengths)
{
    static uint32_t code_points[4096], offsets[4097];
    static collector words;
    size_t count = 0;
    for (size_t offset = 0; offset < size; count++) {
        offsets[count] = (uint32_t)offset;
        offset += text_utf8_read(bytes + offset, size - offset, &code_points[count]);
    }
    offsets[count] = (uint32_t)size;
    words.count = 0;
    assert_true(text_pretokenize(text_pretokenizer_find(name), code_points, count, collect, &words));
    const sx_json *length = lengths->first;
    size_t end = 0;
    for (size_t i = 0; i < words.count; i++, length = length->next) {
        if (!length) fail_msg("%s: too many pieces in %.*s", name, (int)size, bytes);
        end += (size_t)length->integer;
        if (offsets[words.ends[i]] != end) fail_msg("%s: piece %zu of \"%.*s\"", name, i, (int)size, bytes);
    }
    assert_null(length);
    assert_int_equal(end, size);
}

static void test_splits(void **state)
{
    (void)state;
    static const struct {
        const char *pre, *golden;
    } cases[] = {{"gpt-2", "gpt-2"},
                 {"default", "gpt-2"},
                 {"smollm", "smollm"},
                 {"qwen2", "qwen2"},
                 {"deepseek-r1-qwen", "qwen2"},
                 {"hunyuan", "qwen2"},
                 {"qwen35", "qwen35"},
                 {"llama-bpe", "llama-bpe"},
                 {"llama3", "llama-bpe"},
                 {"llama-v3", "llama-bpe"},
                 {"hunyuan-dense", "hunyuan-dense"},
                 {"deepseek-v3", "hunyuan-dense"},
                 {"deepseek-llm", "deepseek-llm"}};
    sx_arena arena = {0};
    const sx_json *root = read_golden(&arena), *splits = sx_json_find(root, "splits");
    static uint8_t bytes[4096];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const sx_json *lengths = sx_json_find(splits, cases[i].golden)->first;
        assert_true(sx_tokenizer_pre_known(cases[i].pre));
        assert_non_null(strstr(sx_tokenizer_pre_names(), i == 1 ? "gpt-2" : cases[i].pre));
        for (const sx_json *text = sx_json_find(root, "texts")->first; text; text = text->next, lengths = lengths->next)
            check_split(cases[i].pre, bytes, from_hex(text, bytes, sizeof bytes), lengths);
        assert_null(lengths);
    }
    assert_false(sx_tokenizer_pre_known("qwen3"));
    sx_arena_free(&arena);
}

static bool count_words(void *user, size_t begin, size_t end)
{
    *(size_t *)user += end - begin;
    return true;
}

static void test_split_long_runs(void **state)
{
    (void)state;
    // What would make a matcher walk the same run again from each of its characters.
    static const uint32_t units[][2] = {{' ', ' '},     {'\n', '\n'},     {'a', 'a'},           {'1', '1'},
                                        {' ', 0x4E00},  {0x3000, 0x3000}, {'\'', '!'},          {' ', '\n'},
                                        {0x301, 0x301}, {0, 0},           {0x110080, 0x110081}, {'\t', ' '}};
    const size_t count = 300000;
    uint32_t *text = malloc(count * sizeof *text);
    static const char *const names[] = {"gpt-2",     "smollm",        "qwen2",       "qwen35",
                                        "llama-bpe", "hunyuan-dense", "deepseek-llm"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
            for (size_t i = 0; i < count; i++)
                text[i] = units[u][i & 1];
            text[count - 1] = n & 1 ? 'x' : text[count - 1];
            size_t covered = 0;
            assert_true(text_pretokenize(text_pretokenizer_find(names[n]), text, count, count_words, &covered));
            assert_int_equal(covered, count);
        }
    }
    free(text);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_round_trip), cmocka_unit_test(test_utf8_refuses),
        cmocka_unit_test(test_properties),      cmocka_unit_test(test_nfc_golden),
        cmocka_unit_test(test_nfc_cases),       cmocka_unit_test(test_nfc_long_run),
        cmocka_unit_test(test_splits),          cmocka_unit_test(test_split_long_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
