#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const golden_draft golden_drafts[] = {
    {"gguf", ".gguf"}, {"llamacpp", ".gguf"}, {"llamacpp-old", ".gguf"}, {"eagle", ""},  {"angelslim", ""},
    {"specexit", ""},  {"specforge", ""},     {"speculators", ""},       {"nvidia", ""}, {NULL, NULL},
};

uint64_t random_bits(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

float random_normal(uint64_t *state)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += (double)(random_bits(state) >> 11) * 0x1p-53;
    return (float)(sum - 6);
}

uint8_t *read_whole_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file) print_error("cannot open %s\n", path);
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    bytes[*size] = 0;
    fclose(file);
    return bytes;
}

static void set_scale(uint64_t *state, uint8_t *at)
{
    const uint64_t kind = random_bits(state) % 4;
    const uint16_t half = kind ? sx_float_to_half(random_normal(state) * 0.01f) : (uint16_t)(random_bits(state) & 1023);
    at[0] = (uint8_t)half;
    at[1] = (uint8_t)(half >> 8);
}

void random_blocks(uint64_t *state, sx_format format, uint64_t count, void *destination)
{
    static const int scales[SX_FORMAT_COUNT][2] = {
        [SX_FORMAT_Q4_0] = {0, 0},     [SX_FORMAT_Q4_1] = {0, 2},   [SX_FORMAT_Q5_0] = {0, 0},
        [SX_FORMAT_Q5_1] = {0, 2},     [SX_FORMAT_Q8_0] = {0, 0},   [SX_FORMAT_Q2_K] = {80, 82},
        [SX_FORMAT_Q3_K] = {108, 108}, [SX_FORMAT_Q4_K] = {0, 2},   [SX_FORMAT_Q5_K] = {0, 2},
        [SX_FORMAT_Q6_K] = {208, 208}, [SX_FORMAT_IQ4_NL] = {0, 0},
    };
    const sx_format_info *info = sx_format_get(format);
    uint8_t *bytes = destination;
    for (uint64_t b = 0; b < count / info->block; b++, bytes += info->block_bytes) {
        if (format == SX_FORMAT_F32 || format == SX_FORMAT_F16 || format == SX_FORMAT_BF16) {
            const float value = random_normal(state) * 0.1f;
            sx_quantize_row(format, &value, bytes, 1);
            continue;
        }
        for (uint32_t i = 0; i < info->block_bytes; i++)
            bytes[i] = (uint8_t)random_bits(state);
        if (format == SX_FORMAT_MXFP4) {
            bytes[0] = (uint8_t)(b % 8 == 7 ? b % 3 : 118 + random_bits(state) % 4);
        } else {
            set_scale(state, bytes + scales[format][0]);
            set_scale(state, bytes + scales[format][1]);
        }
    }
}

void test_gguf_begin(test_gguf *file, uint64_t seed)
{
    *file = (test_gguf){.writer = sx_gguf_writer_create(), .seed = seed};
    assert_non_null(file->writer);
}

void test_gguf_bytes(test_gguf *file, const char *name, sx_format format, uint32_t dimension_count,
                     const uint64_t *dimensions, const void *bytes, size_t size)
{
    sx_gguf_writer_tensor(file->writer, name, format, dimension_count, dimensions);
    const size_t padded = size + sx_gguf_padding(size);
    if (file->capacity - file->size < padded) {
        file->capacity = (file->size + padded) * 2;
        file->data = realloc(file->data, file->capacity);
        assert_non_null(file->data);
    }
    memset(file->data + file->size, 0, padded);
    memcpy(file->data + file->size, bytes, size);
    file->size += padded;
}

void test_gguf_stack(test_gguf *file, const char *name, sx_format format, uint64_t slices, uint64_t rows,
                     uint64_t columns)
{
    const uint64_t dimensions[3] = {columns, rows, slices};
    const uint64_t count = columns * (rows ? rows : 1) * slices;
    const size_t size = (size_t)sx_format_row_bytes(format, count);
    void *bytes = malloc(size);
    assert_non_null(bytes);
    if (format < SX_FORMAT_COUNT)
        random_blocks(&file->seed, format, count, bytes);
    else
        memset(bytes, 0, size);
    test_gguf_bytes(file, name, format, slices > 1 ? 3 : rows ? 2 : 1, dimensions, bytes, size);
    free(bytes);
}

void test_gguf_tensor(test_gguf *file, const char *name, sx_format format, uint64_t rows, uint64_t columns)
{
    test_gguf_stack(file, name, format, 1, rows, columns);
}

uint8_t *test_gguf_finish(test_gguf *file, size_t *size)
{
    const void *header;
    size_t header_size;
    assert_int_equal(sx_gguf_writer_header(file->writer, &header, &header_size, NULL), SX_OK);
    uint8_t *bytes = malloc(header_size + file->size + 1);
    assert_non_null(bytes);
    memcpy(bytes, header, header_size);
    if (file->size) memcpy(bytes + header_size, file->data, file->size);
    *size = header_size + file->size;
    sx_gguf_writer_free(file->writer);
    free(file->data);
    return bytes;
}

typedef struct tiny_builder {
    test_gguf file;
    const tiny_options *options;
    uint32_t index;
} tiny_builder;

static bool is_named(const char *name, const char *other)
{
    return other && strcmp(name, other) == 0;
}

static void tiny_tensor(tiny_builder *b, const char *name, sx_format format, uint64_t rows, uint64_t columns)
{
    const tiny_options *o = b->options;
    if (is_named(name, o->skip)) return;
    if (o->split_count && b->index++ % o->split_count != o->split_number) return;
    const bool twisted = is_named(name, o->twist);
    test_gguf_tensor(&b->file, name, format, rows + (twisted && rows), columns + (twisted && !rows));
}

static void tiny_u32(tiny_builder *b, const char *architecture, const char *name, uint32_t value)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", architecture, name);
    if (!is_named(key, b->options->skip_key)) sx_gguf_writer_u32(b->file.writer, key, value);
}

static void tiny_keys(tiny_builder *b, const char *a)
{
    char key[96];
    sx_gguf_writer *w = b->file.writer;
    sx_gguf_writer_string(w, "general.architecture", a);
    tiny_u32(b, a, "block_count", 4);
    tiny_u32(b, a, "context_length", 512);
    tiny_u32(b, a, "embedding_length", 64);
    tiny_u32(b, a, "feed_forward_length", 96);
    tiny_u32(b, a, "attention.head_count", 4);
    tiny_u32(b, a, "attention.head_count_kv", 2);
    tiny_u32(b, a, "attention.key_length", 32);
    tiny_u32(b, a, "attention.value_length", 32);
    tiny_u32(b, a, "attention.sliding_window", 16);
    snprintf(key, sizeof key, "%s.attention.layer_norm_rms_epsilon", a);
    if (!is_named(key, b->options->skip_key)) sx_gguf_writer_f32(w, key, 1e-6f);
    snprintf(key, sizeof key, "%s.rope.freq_base", a);
    sx_gguf_writer_f32(w, key, 1e6f);
    if (strcmp(a, "qwen3moe") == 0) {
        tiny_u32(b, a, "expert_count", 8);
        tiny_u32(b, a, "expert_used_count", 2);
        tiny_u32(b, a, "expert_feed_forward_length", 32);
    }
    if (b->options->split_count) {
        sx_gguf_writer_u32(w, "split.count", b->options->split_count);
        sx_gguf_writer_u32(w, "split.no", b->options->split_number);
    }
}

static void tiny_layer(tiny_builder *b, const char *a, int layer)
{
    const bool gemma = strcmp(a, "gemma3") == 0, moe = strcmp(a, "qwen3moe") == 0;
    const bool qk_norm = strcmp(a, "llama") != 0 && strcmp(a, "qwen2") != 0;
    char name[64];
#define NAMED(role) (snprintf(name, sizeof name, "blk.%d.%s", layer, role), name)
    tiny_tensor(b, NAMED("attn_norm.weight"), SX_FORMAT_F32, 0, 64);
    tiny_tensor(b, NAMED("attn_q.weight"), SX_FORMAT_Q8_0, 128, 64);
    tiny_tensor(b, NAMED("attn_k.weight"), SX_FORMAT_Q4_0, 64, 64);
    tiny_tensor(b, NAMED("attn_v.weight"), SX_FORMAT_F16, 64, 64);
    tiny_tensor(b, NAMED("attn_output.weight"), SX_FORMAT_Q5_0, 64, 128);
    if (strcmp(a, "qwen2") == 0) {
        tiny_tensor(b, NAMED("attn_q.bias"), SX_FORMAT_F32, 0, 128);
        tiny_tensor(b, NAMED("attn_k.bias"), SX_FORMAT_F32, 0, 64);
        tiny_tensor(b, NAMED("attn_v.bias"), SX_FORMAT_F32, 0, 64);
    }
    if (qk_norm) {
        tiny_tensor(b, NAMED("attn_q_norm.weight"), SX_FORMAT_F32, 0, 32);
        tiny_tensor(b, NAMED("attn_k_norm.weight"), SX_FORMAT_F32, 0, 32);
    }
    tiny_tensor(b, NAMED("ffn_norm.weight"), SX_FORMAT_F32, 0, 64);
    if (gemma) {
        tiny_tensor(b, NAMED("post_attention_norm.weight"), SX_FORMAT_F32, 0, 64);
        tiny_tensor(b, NAMED("post_ffw_norm.weight"), SX_FORMAT_F32, 0, 64);
    }
    if (moe) {
        tiny_tensor(b, NAMED("ffn_gate_inp.weight"), SX_FORMAT_F32, 8, 64);
        test_gguf_stack(&b->file, NAMED("ffn_gate_exps.weight"), SX_FORMAT_Q8_0, 8, 32, 64);
        test_gguf_stack(&b->file, NAMED("ffn_up_exps.weight"), SX_FORMAT_Q8_0, 8, 32, 64);
        test_gguf_stack(&b->file, NAMED("ffn_down_exps.weight"), SX_FORMAT_Q8_0, 8, 64, 32);
    } else {
        tiny_tensor(b, NAMED("ffn_gate.weight"), SX_FORMAT_Q4_1, 96, 64);
        tiny_tensor(b, NAMED("ffn_up.weight"), SX_FORMAT_IQ4_NL, 96, 64);
        tiny_tensor(b, NAMED("ffn_down.weight"), SX_FORMAT_BF16, 64, 96);
    }
#undef NAMED
}

uint8_t *tiny_target(const tiny_options *options, size_t *size)
{
    tiny_builder b = {.options = options};
    const char *a = options->architecture ? options->architecture : "qwen3";
    test_gguf_begin(&b.file, 7);
    tiny_keys(&b, a);
    tiny_tensor(&b, "token_embd.weight", SX_FORMAT_Q8_0, 40, 64);
    tiny_tensor(&b, "output_norm.weight", SX_FORMAT_F32, 0, 64);
    if (options->untied) tiny_tensor(&b, "output.weight", SX_FORMAT_Q8_0, 40, 64);
    for (int i = 0; i < 4; i++)
        tiny_layer(&b, a, i);
    if (strcmp(a, "llama") == 0) {
        const uint64_t dimension = 16;
        float divisors[16];
        for (int i = 0; i < 16; i++)
            divisors[i] = 1 + (float)i;
        test_gguf_bytes(&b.file, "rope_freqs.weight", SX_FORMAT_F32, 1, &dimension, divisors, sizeof divisors);
    }
    if (options->extra) tiny_tensor(&b, options->extra, SX_FORMAT_F32, 3, 5);
    return test_gguf_finish(&b.file, size);
}
