// Published vocabularies: every line of their test files, and random Unicode texts as Hugging Face's library tokenises
// them (tests/golden/text.json). The bundled model's vocabulary is always at hand; the others are skipped, with the
// reason, where they are missing.
#include "support.h"

#include "text/chat_template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *models_folder, *demo_folder;

static sx_tokenizer *find_vocabulary(const char *folder, const char *file)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *probe = fopen(path, "rb");
    if (!probe) {
        printf("skipped: %s cannot be read\n", path);
        return NULL;
    }
    fclose(probe);
    sx_tokenizer *tokenizer = load_vocabulary(path);
    assert_non_null(tokenizer);
    return tokenizer;
}

static void check_tokens(const sx_tokenizer *tokenizer, const char *text, size_t size, const int32_t *wanted,
                         size_t wanted_count, const char *what)
{
    static int32_t tokens[4096];
    size_t count;
    assert_int_equal(sx_tokenize(tokenizer, text, size, 0, tokens, 4096, &count), SX_OK);
    size_t i = 0;
    while (i < count && i < wanted_count && tokens[i] == wanted[i])
        i++;
    if (i < count || i < wanted_count)
        fail_msg("%s: token %zu of \"%.*s\" is %d, wanted %d (%zu tokens, wanted %zu)", what, i, (int)size, text,
                 i < count ? tokens[i] : -1, i < wanted_count ? wanted[i] : -1, count, wanted_count);
}

static size_t parse_numbers(const char *line, size_t length, int32_t *out)
{
    size_t count = 0;
    char *end;
    for (const char *at = line; at < line + length; at = end) {
        const long value = strtol(at, &end, 10);
        if (end == at) break;
        out[count++] = (int32_t)value;
    }
    return count;
}

static void check_test_file(const char *name)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char folder[1024], file[256];
    snprintf(folder, sizeof folder, "%s/vocab", data_folder);
    snprintf(file, sizeof file, "ggml-vocab-%s.gguf", name);
    sx_tokenizer *tokenizer = find_vocabulary(folder, file);
    if (!tokenizer) return;
    char input_name[300], output_name[300];
    size_t input_size, output_size;
    snprintf(input_name, sizeof input_name, "%s.inp", file);
    snprintf(output_name, sizeof output_name, "%s.out", file);
    char *input = read_file(folder, input_name, &input_size), *output = read_file(folder, output_name, &output_size);
    assert_non_null(input);
    assert_non_null(output);
    int lines = 0;
    const char *line = output;
    for (const char *text = input, *next; text < input + input_size; text = next, lines++) {
        const char *end = strstr(text, mark);
        assert_non_null(end);
        next = end + strlen(mark);
        const char *line_end = strchr(line, '\n');
        assert_non_null(line_end);
        static int32_t wanted[4096];
        const size_t wanted_count = parse_numbers(line, (size_t)(line_end - line), wanted);
        check_tokens(tokenizer, text, (size_t)(end - text), wanted, wanted_count, name);
        line = line_end + 1;
    }
    printf("%s: %d lines exact\n", name, lines);
    assert_true(lines > 40 && *line == 0);
    free(input);
    free(output);
    sx_tokenizer_free(tokenizer);
}

static void test_files(void **state)
{
    (void)state;
    check_test_file("qwen2");
    check_test_file("llama-bpe");
}

static void check_golden(const sx_json *root, const char *name, const char *folder, const char *file)
{
    const sx_json *row = sx_json_find(sx_json_find(root, "tokens"), name);
    assert_non_null(row);
    sx_tokenizer *tokenizer = find_vocabulary(folder, file);
    if (!tokenizer) return;
    static uint8_t bytes[4096];
    static int32_t wanted[4096];
    int count = 0;
    const sx_json *text = sx_json_find(root, "texts")->first;
    for (row = row->first; row; row = row->next, text = text->next, count++) {
        const size_t size = from_hex(text, bytes, sizeof bytes);
        size_t wanted_count = 0;
        for (const sx_json *id = row->first; id; id = id->next)
            wanted[wanted_count++] = (int32_t)id->integer;
        check_tokens(tokenizer, (const char *)bytes, size, wanted, wanted_count, name);
    }
    printf("%s: %d texts as Hugging Face's library has them\n", name, count);
    assert_true(count >= 60);
    sx_tokenizer_free(tokenizer);
}

static void test_golden(void **state)
{
    (void)state;
    sx_arena arena = {0};
    const sx_json *root = read_golden(&arena);
    char vocab[1024];
    snprintf(vocab, sizeof vocab, "%s/vocab", data_folder);
    check_golden(root, "demo", demo_folder, "demo.gguf");
    check_golden(root, "qwen2", vocab, "ggml-vocab-qwen2.gguf");
    check_golden(root, "llama-bpe", vocab, "ggml-vocab-llama-bpe.gguf");
    check_golden(root, "smollm2", models_folder, "smollm2-135m.gguf");
    check_golden(root, "gemma3", models_folder, "gemma3-270m.gguf");
    sx_arena_free(&arena);
}

static void test_steps(void **state)
{
    (void)state;
    static const struct {
        const char *file;
        uint32_t ending, reference;
    } cases[] = {{"ggml-vocab-qwen2.gguf", 564, 6}, {"ggml-vocab-llama-bpe.gguf", 587, 6}};
    char vocab[1024];
    snprintf(vocab, sizeof vocab, "%s/vocab", data_folder);
    for (size_t i = 0; i < 2; i++) {
        sx_tokenizer *tokenizer = find_vocabulary(vocab, cases[i].file);
        if (!tokenizer) continue;
        const uint32_t count = sx_tokenizer_count(tokenizer);
        uint32_t *bitmap = malloc((count + 31) / 32 * sizeof *bitmap);
        assert_int_equal(sx_tokenizer_step_bitmap(tokenizer, SX_STEP_ENDS_WITH_BLANK_LINE, bitmap), cases[i].ending);
        assert_int_equal(sx_tokenizer_step_bitmap(tokenizer, SX_STEP_REFERENCE, bitmap), cases[i].reference);
        free(bitmap);
        sx_tokenizer_free(tokenizer);
    }
}

static void test_demo_prompt(void **state)
{
    (void)state;
    sx_tokenizer *tokenizer = find_vocabulary(demo_folder, "demo.gguf");
    if (!tokenizer) skip();
    const sx_message message = {SX_ROLE_USER, "2 + 2 <|im_end|>", NULL};
    sx_prompt prompt = {0};
    int32_t tokens[128];
    size_t count, ends = 0;
    assert_int_equal(sx_template_render(SX_TEMPLATE_QWEN3, &message, 1, NULL, &prompt, NULL), SX_OK);
    assert_int_equal(sx_prompt_tokenize(&prompt, tokenizer, tokens, 128, &count), SX_OK);
    for (size_t i = 0; i < count; i++)
        ends += sx_token_is_eog(tokenizer, tokens[i]);
    assert_int_equal(ends, 1);
    assert_true(sx_token_find(tokenizer, "</think>", 8) > 0);
    sx_prompt_free(&prompt);
    sx_tokenizer_free(tokenizer);
}

// Turn markers of one template alone give it away where a file carries none.
static void test_template_of_vocabulary(void **state)
{
    (void)state;
    sx_tokenizer *demo = find_vocabulary(demo_folder, "demo.gguf");
    sx_tokenizer *gemma = find_vocabulary(models_folder, "gemma3-270m.gguf");
    if (demo) assert_int_equal(sx_template_of_vocabulary(demo), SX_TEMPLATE_NONE);
    if (gemma) assert_int_equal(sx_template_of_vocabulary(gemma), SX_TEMPLATE_GEMMA3);
    sx_tokenizer_free(demo);
    sx_tokenizer_free(gemma);
}

int main(int argc, char **argv)
{
    read_arguments(argc, argv);
    models_folder = argc > 3 ? argv[3] : ".";
    demo_folder = argc > 4 ? argv[4] : "tools/demo_model";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_demo_prompt),
        cmocka_unit_test(test_template_of_vocabulary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
