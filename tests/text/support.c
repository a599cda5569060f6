#include "support.h"

#include "base/file.h"
#include "model/gguf.h"
#include "model/json.h"
#include "text/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *golden_folder, *data_folder;

void read_arguments(int argc, char **argv)
{
    golden_folder = argc > 1 ? argv[1] : "tests/golden";
    data_folder = argc > 2 ? argv[2] : "../shared/data";
}

char *read_file(const char *folder, const char *name, size_t *size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    fseek(file, 0, SEEK_END);
    const long length = ftell(file);
    rewind(file);
    char *text = length >= 0 ? malloc((size_t)length + 1) : NULL;
    if (text && fread(text, 1, (size_t)length, file) != (size_t)length) {
        free(text);
        text = NULL;
    }
    fclose(file);
    if (text) text[length] = 0;
    if (size) *size = (size_t)length;
    return text;
}

const sx_json *read_golden(sx_arena *arena)
{
    size_t size = 0;
    sx_error error = {0};
    const sx_json *root = NULL;
    char *text = read_file(golden_folder, "text.json", &size);
    assert_non_null(text);
    if (sx_json_parse(text, size, "text.json", arena, &root, &error) != SX_OK) fail_msg("%s", error.message);
    free(text);
    return root;
}

size_t from_hex(const sx_json *value, uint8_t *bytes, size_t room)
{
    const size_t size = strlen(value->string) / 2;
    assert_true(size <= room);
    for (size_t i = 0; i < size; i++) {
        unsigned byte;
        assert_int_equal(sscanf(value->string + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
    return size;
}

uint32_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 32);
}

// ---- vocabularies
// -----------------------------------------------------------------------------------------------------

static const sx_gguf_value *strings_of(const sx_gguf *gguf, const char *key, const char ***texts, uint32_t **lengths)
{
    const sx_gguf_value *value = NULL;
    if (sx_gguf_get_strings(gguf, key, false, &value, NULL) != SX_OK || !value) return NULL;
    *texts = malloc(value->count * sizeof **texts);
    *lengths = malloc(value->count * sizeof **lengths);
    for (uint64_t i = 0; i < value->count; i++) {
        const sx_gguf_string text = sx_gguf_string_at(value, i);
        (*texts)[i] = text.data;
        (*lengths)[i] = (uint32_t)text.length;
    }
    return value;
}

static int32_t id_of(const sx_gguf *gguf, const char *key)
{
    uint32_t id = UINT32_MAX;
    sx_gguf_get_u32(gguf, key, false, &id, NULL);
    return (int32_t)id;
}

static sx_choice choice_of(const sx_gguf *gguf, const char *key)
{
    bool value = false;
    if (!sx_gguf_find(gguf, key) || sx_gguf_get_bool(gguf, key, false, &value, NULL) != SX_OK) return SX_CHOICE_DEFAULT;
    return value ? SX_CHOICE_YES : SX_CHOICE_NO;
}

static sx_tokenizer *vocabulary_of(const sx_gguf *gguf)
{
    sx_gguf_string model = {"", 0}, pre = {NULL, 0};
    const char **texts = NULL, **merges = NULL;
    uint32_t *lengths = NULL, *merge_lengths = NULL;
    sx_tokenizer_desc desc = SX_TOKENIZER_DESC_INIT;
    sx_tokenizer *tokenizer = NULL;
    sx_error error = {0};
    sx_gguf_get_string(gguf, "tokenizer.ggml.model", true, &model, NULL);
    sx_gguf_get_string(gguf, "tokenizer.ggml.pre", false, &pre, NULL);
    const sx_gguf_value *tokens = strings_of(gguf, "tokenizer.ggml.tokens", &texts, &lengths);
    const sx_gguf_value *merge_value = strings_of(gguf, "tokenizer.ggml.merges", &merges, &merge_lengths);
    const sx_gguf_value *types = NULL, *scores = NULL;
    sx_gguf_get_integers(gguf, "tokenizer.ggml.token_type", false, &types, NULL);
    sx_gguf_get_floats(gguf, "tokenizer.ggml.scores", false, &scores, NULL);
    int32_t *type_array = types && tokens ? malloc(tokens->count * sizeof *type_array) : NULL;
    float *score_array = scores && tokens ? malloc(tokens->count * sizeof *score_array) : NULL;
    for (uint64_t i = 0; tokens && i < tokens->count; i++) {
        if (type_array) type_array[i] = (int32_t)sx_gguf_integer_at(types, i);
        if (score_array) score_array[i] = (float)sx_gguf_number_at(scores, i);
    }
    if (!sx_tokenizer_kind_of(model.data, &desc.kind)) {
        printf("tokenizer model %s\n", model.data);
    } else {
        desc.pre = pre.data;
        desc.count = tokens ? (uint32_t)tokens->count : 0;
        desc.texts = texts;
        desc.lengths = lengths;
        desc.types = type_array;
        desc.scores = score_array;
        desc.merge_count = merge_value ? (uint32_t)merge_value->count : 0;
        desc.merges = merges;
        desc.merge_lengths = merge_lengths;
        desc.bos = id_of(gguf, "tokenizer.ggml.bos_token_id");
        desc.eos = id_of(gguf, "tokenizer.ggml.eos_token_id");
        desc.unk = id_of(gguf, "tokenizer.ggml.unknown_token_id");
        desc.add_bos = choice_of(gguf, "tokenizer.ggml.add_bos_token");
        desc.add_space_prefix = choice_of(gguf, "tokenizer.ggml.add_space_prefix");
        if (sx_tokenizer_create(&desc, &tokenizer, &error) != SX_OK) printf("%s\n", error.message);
    }
    free(texts);
    free(merges);
    free(lengths);
    free(merge_lengths);
    free(type_array);
    free(score_array);
    return tokenizer;
}

sx_tokenizer *load_vocabulary(const char *path)
{
    sx_error error = {0};
    sx_file *file = NULL;
    sx_gguf *gguf = NULL;
    sx_tokenizer *tokenizer = NULL;
    if (sx_file_open(path, &file, &error) != SX_OK || sx_gguf_open(sx_file_source(file), &gguf, &error) != SX_OK)
        printf("%s\n", error.message);
    else
        tokenizer = vocabulary_of(gguf);
    sx_gguf_close(gguf);
    sx_file_close(file);
    return tokenizer;
}

typedef struct token_list {
    char *texts[1024];
    int32_t types[1024];
    float scores[1024];
    uint32_t count;
} token_list;

static void add_token(token_list *list, const char *text, int32_t type, float score)
{
    assert_true(list->count < 1024);
    list->texts[list->count] = strdup(text);
    list->types[list->count] = type;
    list->scores[list->count++] = score;
}

static sx_tokenizer *make(sx_tokenizer_desc *desc, token_list *list)
{
    sx_error error = {0};
    sx_tokenizer *tokenizer = NULL;
    desc->count = list->count;
    desc->texts = (const char *const *)list->texts;
    desc->types = list->types;
    desc->scores = list->scores;
    if (sx_tokenizer_create(desc, &tokenizer, &error) != SX_OK) fail_msg("%s", error.message);
    for (uint32_t i = 0; i < list->count; i++)
        free(list->texts[i]);
    free(list);
    return tokenizer;
}

// The character that stands for a byte in GPT-2's alphabet.
static void alphabet(unsigned byte, char *text)
{
    const bool printable = (byte > 0x20 && byte < 0x7F) || (byte > 0xA0 && byte != 0xAD);
    const uint32_t code_point = printable      ? byte
                                : byte <= 0x20 ? 0x100 + byte
                                : byte == 0xAD ? 0x143
                                               : 0x121 + byte - 0x7F;
    text[text_utf8_write(code_point, (uint8_t *)text)] = 0;
}

sx_tokenizer *make_bpe(const char *pre, const char *const *merges, const char *const *controls,
                       const char *const *user_defined)
{
    token_list *list = calloc(1, sizeof *list);
    sx_tokenizer_desc desc = SX_TOKENIZER_DESC_INIT;
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        alphabet(byte, text);
        add_token(list, text, SX_TOKEN_NORMAL, 0);
    }
    for (; merges && merges[desc.merge_count]; desc.merge_count++) {
        char text[256];
        const char *merge = merges[desc.merge_count], *space = strchr(merge, ' ');
        snprintf(text, sizeof text, "%.*s%s", (int)(space - merge), merge, space + 1);
        add_token(list, text, SX_TOKEN_NORMAL, 0);
    }
    for (; controls && *controls; controls++)
        add_token(list, *controls, SX_TOKEN_CONTROL, 0);
    for (; user_defined && *user_defined; user_defined++)
        add_token(list, *user_defined, SX_TOKEN_USER_DEFINED, 0);
    desc.pre = pre;
    desc.merges = merges;
    return make(&desc, list);
}

sx_tokenizer *make_spm(const char *const *pieces, const char *const *user_defined, sx_choice space_prefix)
{
    token_list *list = calloc(1, sizeof *list);
    sx_tokenizer_desc desc = SX_TOKENIZER_DESC_INIT;
    add_token(list, "<unk>", SX_TOKEN_UNKNOWN, 0);
    add_token(list, "<s>", SX_TOKEN_CONTROL, 0);
    add_token(list, "</s>", SX_TOKEN_CONTROL, 0);
    for (unsigned byte = 0; byte < 256; byte++) {
        char text[8];
        snprintf(text, sizeof text, "<0x%02X>", byte);
        add_token(list, text, SX_TOKEN_BYTE, 0);
    }
    for (float score = 0; *pieces; pieces++, score--)
        add_token(list, *pieces, SX_TOKEN_NORMAL, score);
    for (; user_defined && *user_defined; user_defined++)
        add_token(list, *user_defined, SX_TOKEN_USER_DEFINED, 0);
    desc.kind = SX_TOKENIZER_SPM;
    desc.unk = 0;
    desc.bos = 1;
    desc.eos = 2;
    desc.add_space_prefix = space_prefix;
    return make(&desc, list);
}

void expect_tokens(const sx_tokenizer *tokenizer, const char *text, uint32_t flags, const char *expected)
{
    int32_t tokens[256];
    size_t count;
    assert_int_equal(sx_tokenize(tokenizer, text, strlen(text), flags, tokens, 256, &count), SX_OK);
    assert_true(count <= 256);
    char got[4096] = "";
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size_t length;
        const char *bytes = sx_token_bytes(tokenizer, tokens[i], &length);
        assert_true(size + length + 2 < sizeof got);
        if (i) got[size++] = '|';
        memcpy(got + size, bytes, length);
        size += length;
    }
    got[size] = 0;
    assert_string_equal(got, expected);
}
