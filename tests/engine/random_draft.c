#include "random_draft.h"

#include "model/gguf_writer.h"
#include "model/hparams.h"
#include "model/model_files.h"
#include "model/quant.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { DRAFT_VOCABULARY = 2048, FFN = 256, HEAD_DIM = 64, HEADS = 4, KV_HEADS = 2, AUX = 3 };

typedef struct random_tensor {
    const char *name;
    uint32_t rows, columns; // rows 0: a vector of float32
} random_tensor;

static void give_up(const char *what)
{
    fprintf(stderr, "random draft: %s\n", what);
    exit(1);
}

static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void write_bytes(FILE *file, const void *data, size_t size)
{
    if (fwrite(data, 1, size, file) != size) give_up("the file cannot be written");
}

static void write_padding(FILE *file, uint64_t size)
{
    static const char zeros[32];
    write_bytes(file, zeros, sx_gguf_padding(size));
}

static void write_matrix(FILE *file, const random_tensor *tensor, uint32_t *state)
{
    const size_t count = (size_t)tensor->rows * tensor->columns;
    const float size = 1.7f / sqrtf((float)tensor->columns);
    for (size_t i = 0; i < count; i++) {
        const uint16_t half = sx_float_to_half(size * ((float)next_random(state) / 8388608.0f - 1));
        write_bytes(file, &half, sizeof half);
    }
    write_padding(file, 2 * (uint64_t)count);
}

static void write_vector(FILE *file, const random_tensor *tensor)
{
    const float one = 1;
    for (uint32_t i = 0; i < tensor->columns; i++)
        write_bytes(file, &one, sizeof one);
    write_padding(file, 4 * (uint64_t)tensor->columns);
}

// Draft ids stand for target ids all over the vocabulary.
static void write_map(FILE *file, uint32_t vocabulary)
{
    for (uint64_t i = 0; i < DRAFT_VOCABULARY; i++) {
        const int64_t id = (int64_t)(i * vocabulary / DRAFT_VOCABULARY);
        write_bytes(file, &id, sizeof id);
    }
    write_padding(file, 8 * (uint64_t)DRAFT_VOCABULARY);
}

static void put_keys(sx_gguf_writer *w, const sx_hparams *target)
{
    const uint32_t aux[AUX] = {2, target->layers / 2, target->layers - 2};
    sx_gguf_writer_string(w, "general.architecture", "eagle3");
    sx_gguf_writer_u32(w, "eagle3.block_count", 1);
    sx_gguf_writer_u32(w, "eagle3.context_length", 2048);
    sx_gguf_writer_u32(w, "eagle3.embedding_length", target->hidden);
    sx_gguf_writer_u32(w, "eagle3.target_hidden_size", target->hidden);
    sx_gguf_writer_u32(w, "eagle3.feed_forward_length", FFN);
    sx_gguf_writer_u32(w, "eagle3.attention.head_count", HEADS);
    sx_gguf_writer_u32(w, "eagle3.attention.head_count_kv", KV_HEADS);
    sx_gguf_writer_u32(w, "eagle3.attention.key_length", HEAD_DIM);
    sx_gguf_writer_u32(w, "eagle3.attention.value_length", HEAD_DIM);
    sx_gguf_writer_f32(w, "eagle3.attention.layer_norm_rms_epsilon", 1e-5f);
    sx_gguf_writer_u32(w, "eagle3.vocab_size", target->vocabulary);
    sx_gguf_writer_u32_array(w, "eagle3.target_layers", aux, AUX);
    sx_gguf_writer_string(w, "specexit.rope.layout", "halves");
}

void random_draft_write(const char *target_path, const char *path, uint32_t seed)
{
    sx_error error = {0};
    sx_model_files *files = NULL;
    sx_hparams target;
    if (sx_model_files_open(target_path, &files, &error) || sx_hparams_read(files, &target, &error))
        give_up(error.message);
    sx_model_files_close(files);
    const uint32_t h = target.hidden, q = HEADS * HEAD_DIM, kv = KV_HEADS * HEAD_DIM;
    const random_tensor tensors[] = {{"fc.weight", h, AUX * h},
                                     {"blk.0.attn_norm.weight", 0, h},
                                     {"blk.0.attn_norm_2.weight", 0, h},
                                     {"blk.0.attn_q.weight", q, 2 * h},
                                     {"blk.0.attn_k.weight", kv, 2 * h},
                                     {"blk.0.attn_v.weight", kv, 2 * h},
                                     {"blk.0.attn_output.weight", h, q},
                                     {"blk.0.ffn_norm.weight", 0, h},
                                     {"blk.0.ffn_gate.weight", FFN, h},
                                     {"blk.0.ffn_up.weight", FFN, h},
                                     {"blk.0.ffn_down.weight", h, FFN},
                                     {"output_norm.weight", 0, h},
                                     {"output.weight", DRAFT_VOCABULARY, h}};
    const size_t count = sizeof tensors / sizeof *tensors;
    sx_gguf_writer *w = sx_gguf_writer_create();
    if (!w) give_up("out of memory");
    put_keys(w, &target);
    for (size_t i = 0; i < count; i++) {
        const uint64_t dimensions[] = {tensors[i].columns, tensors[i].rows};
        sx_gguf_writer_tensor(w, tensors[i].name, tensors[i].rows ? SX_FORMAT_F16 : SX_FORMAT_F32,
                              tensors[i].rows ? 2 : 1, dimensions);
    }
    const uint64_t ids = DRAFT_VOCABULARY;
    sx_gguf_writer_tensor(w, "d2t", SX_FORMAT_I64, 1, &ids);
    const void *header;
    size_t header_size;
    if (sx_gguf_writer_header(w, &header, &header_size, &error)) give_up(error.message);
    FILE *file = fopen(path, "wb");
    if (!file) give_up("the file cannot be made");
    write_bytes(file, header, header_size);
    for (size_t i = 0; i < count; i++) {
        if (tensors[i].rows)
            write_matrix(file, &tensors[i], &seed);
        else
            write_vector(file, &tensors[i]);
    }
    write_map(file, target.vocabulary);
    if (fclose(file)) give_up("the file cannot be written");
    sx_gguf_writer_free(w);
}
