#include "graph/eagle.h"
#include "graph/parts.h"

#include <string.h>

enum { BEAM_ROWS = 16 }; // the fixed row count that holds SX_MAX_BRANCH

enum { PARTS = 15 };

static void list_parts(sx_eagle_buffers *b, const sx_eagle *eagle, uint32_t rows, sx_buffer_part parts[PARTS])
{
    const uint64_t row = rows * sizeof(float);
    const uint64_t state = row * eagle->hidden;
    const uint64_t fused = row * eagle->aux_count * eagle->target_hidden;
    const bool normed_input = eagle->input_norm.size || eagle->fc_norm[0].size;
    const uint64_t logits = sizeof(float) * (uint64_t)eagle->vocabulary;
    const sx_buffer_part list[PARTS] = {
        {&b->gathered, fused, "draft: gathered states"},
        {&b->gathered_normed, normed_input ? fused : 0, "draft: normed states"},
        {&b->embedded, state, "draft: embeddings"},
        {&b->feature_in, state, "draft: features in"},
        {&b->residual, eagle->norm_before_residual ? state : 0, "draft: residual"},
        {&b->feature, eagle->feed_back_normed ? state : 0, "draft: features"},
        {&b->last_feature, state, "draft: last feature"},
        {&b->last_logits, logits, "draft: last logits"},
        {&b->logits, BEAM_ROWS * logits, "draft: logits"},
        {&b->children, BEAM_ROWS * sizeof(SxChildren), "draft: children"},
        {&b->tree, sizeof(SxTree), "draft: tree"},
        {&b->beam[0], sizeof(SxBatch), "draft: beam"},
        {&b->beam[1], sizeof(SxBatch), "draft: beam"},
        {&b->extend, sizeof(SxBatch), "draft: accepted rows"},
        {&b->last, sizeof(SxBatch), "draft: last row"},
    };
    memcpy(parts, list, sizeof list);
}

uint64_t sx_eagle_buffers_bytes(const sx_eagle *eagle, uint32_t rows)
{
    sx_eagle_buffers buffers;
    sx_buffer_part parts[PARTS];
    list_parts(&buffers, eagle, rows, parts);
    return sx_parts_bytes(parts, PARTS);
}

uint64_t sx_eagle_kv_bytes(const sx_eagle *eagle, uint32_t slots)
{
    return sx_kv_bytes(eagle->layer_count, slots, sx_kv_row_bytes(&eagle->layers[0].shape));
}

sx_status sx_eagle_buffers_create(sx_gpu *gpu, const sx_eagle *eagle, uint32_t rows, uint32_t slots,
                                  sx_eagle_buffers *out, sx_error *error)
{
    memset(out, 0, sizeof *out);
    sx_buffer_part parts[PARTS];
    list_parts(out, eagle, rows, parts);
    sx_status status = sx_parts_create(gpu, parts, PARTS, error);
    if (status == SX_OK)
        status = sx_kv_create(gpu, eagle->layer_count, slots, sx_kv_row_bytes(&eagle->layers[0].shape),
                              "draft: keys and values", &out->kv, error);
    if (status != SX_OK) sx_eagle_buffers_destroy(gpu, out);
    return status;
}

void sx_eagle_buffers_destroy(sx_gpu *gpu, sx_eagle_buffers *buffers)
{
    sx_kv_destroy(gpu, &buffers->kv);
    sx_buffer_part parts[PARTS];
    list_parts(buffers, &(sx_eagle){0}, 0, parts);
    sx_parts_destroy(gpu, parts, PARTS);
    memset(buffers, 0, sizeof *buffers);
}

static void norm(const sx_pass *pass, const sx_eagle *eagle, sx_gpu_binding x, sx_gpu_binding weight,
                 sx_gpu_buffer *out, uint32_t out_stride, uint32_t out_offset)
{
    sx_op_rms_norm(pass->ops, pass->tape, pass->rows,
                   &(sx_norm_args){.x = x,
                                   .x_stride = eagle->hidden,
                                   .weight = weight,
                                   .n = eagle->hidden,
                                   .eps = eagle->eps,
                                   .out = sx_whole(out),
                                   .out_stride = out_stride,
                                   .out_offset = out_offset});
}

// Columns begin .. begin + n - 1 of the aux states of batch.source.
static void gather_aux(const sx_pass *pass, sx_gpu_buffer *aux, uint32_t width, uint32_t begin, uint32_t n,
                       sx_gpu_buffer *out)
{
    sx_op_gather_rows(pass->ops, pass->tape, pass->rows,
                      &(sx_gather_args){.x = sx_whole(aux),
                                        .x_stride = width,
                                        .x_offset = begin,
                                        .n = n,
                                        .batch = pass->batch,
                                        .out = sx_whole(out),
                                        .out_stride = width});
}

// The aux states of batch.source, normed as the draft wants them.
static sx_gpu_buffer *gather_normed(const sx_pass *pass, const sx_eagle *eagle, const sx_eagle_buffers *b,
                                    sx_gpu_buffer *aux, uint32_t width)
{
    // All of it in one part, or each state by itself, in place 0, since a norm reads a row's first elements.
    const bool whole = eagle->input_norm.size || !eagle->fc_norm[0].size;
    const uint32_t parts = whole ? 1 : eagle->aux_count, n = width / parts;
    for (uint32_t i = 0; i < parts; i++) {
        const sx_gpu_binding weight = whole ? eagle->input_norm : eagle->fc_norm[i];
        gather_aux(pass, aux, width, i * n, n, b->gathered);
        if (!weight.size) return b->gathered;
        sx_op_rms_norm(pass->ops, pass->tape, pass->rows,
                       &(sx_norm_args){.x = sx_whole(b->gathered),
                                       .x_stride = width,
                                       .weight = weight,
                                       .n = n,
                                       .eps = eagle->eps,
                                       .out = sx_whole(b->gathered_normed),
                                       .out_stride = width,
                                       .out_offset = i * n});
    }
    return b->gathered_normed;
}

// feature_in = fc(norms(aux states of batch.source))
static void fuse(const sx_pass *pass, const sx_eagle *eagle, const sx_eagle_buffers *b, sx_gpu_buffer *aux)
{
    const uint32_t width = eagle->aux_count * eagle->target_hidden;
    const sx_gpu_binding x = sx_whole(gather_normed(pass, eagle, b, aux, width));
    sx_op_linear(pass->ops, pass->tape, pass->rows,
                 &(sx_linear_args){.weight = &eagle->fc,
                                   .x = x,
                                   .x_stride = width,
                                   .packed = sx_pack_input(pass, pass->rows, x, width, &eagle->fc, 1),
                                   .bias = eagle->fc_bias,
                                   .out = sx_whole(b->feature_in),
                                   .out_stride = eagle->hidden});
}

// One step on pairs (batch.token, feature_in). Returns what the next level continues from: the state before the output
// norm, which stays in scratch->hidden, or where normed states are fed back, `feature`.
static sx_gpu_buffer *step(const sx_pass *pass, const sx_eagle *eagle, const sx_eagle_buffers *b)
{
    const sx_layer *first = &eagle->layers[0];
    const sx_gpu_binding feature_in = sx_whole(b->feature_in), none = {0};
    sx_gpu_buffer *normed = pass->scratch->normed;
    sx_op_embed(pass->ops, pass->tape, &eagle->embedding, pass->batch, pass->rows, 1.0f, sx_whole(b->embedded));
    norm(pass, eagle, sx_whole(b->embedded), first->attention_norm, normed, 2 * eagle->hidden, 0);
    norm(pass, eagle, feature_in, first->hidden_norm, normed, 2 * eagle->hidden, eagle->hidden);
    sx_gpu_binding residual = feature_in;
    if (eagle->norm_before_residual) {
        norm(pass, eagle, feature_in, first->hidden_norm, b->residual, eagle->hidden, 0);
        residual = sx_whole(b->residual);
    }
    sx_layer_forward(pass, first, eagle->inv_freq, &b->kv, 0, sx_whole(normed), 2 * eagle->hidden, residual);
    for (uint32_t i = 1; i < eagle->layer_count; i++)
        sx_layer_forward(pass, &eagle->layers[i], eagle->inv_freq, &b->kv, i, none, 0, none);
    if (!eagle->feed_back_normed) return pass->scratch->hidden;
    norm(pass, eagle, sx_whole(pass->scratch->hidden), eagle->output_norm, b->feature, eagle->hidden, 0);
    return b->feature;
}

static void gather_features(const sx_pass *pass, const sx_eagle *eagle, sx_gpu_buffer *from, sx_gpu_buffer *to)
{
    sx_op_gather_rows(pass->ops, pass->tape, pass->rows,
                      &(sx_gather_args){.x = sx_whole(from),
                                        .x_stride = eagle->hidden,
                                        .n = eagle->hidden,
                                        .batch = pass->batch,
                                        .out = sx_whole(to),
                                        .out_stride = eagle->hidden});
}

// logits[rows, D] of `feature` (a state already normed where features are fed back so).
static void head(const sx_pass *pass, const sx_eagle *eagle, sx_gpu_buffer *feature, sx_gpu_buffer *logits)
{
    sx_gpu_binding x = sx_whole(feature);
    if (eagle->norm_output && !eagle->feed_back_normed) {
        norm(pass, eagle, x, eagle->output_norm, pass->scratch->normed, eagle->hidden, 0);
        x = sx_whole(pass->scratch->normed);
    }
    sx_op_linear(pass->ops, pass->tape, pass->rows,
                 &(sx_linear_args){.weight = &eagle->head,
                                   .x = x,
                                   .x_stride = eagle->hidden,
                                   .packed = sx_pack_input(pass, pass->rows, x, eagle->hidden, &eagle->head, 1),
                                   .out = sx_whole(logits),
                                   .out_stride = eagle->vocabulary});
}

void sx_eagle_extend(const sx_pass *pass, const sx_eagle *eagle, const sx_eagle_buffers *b, sx_gpu_buffer *aux)
{
    fuse(pass, eagle, b, aux);
    sx_gpu_buffer *feature = step(pass, eagle, b);
    sx_pass last = *pass;
    last.rows = 1;
    last.batch = sx_whole(b->last);
    gather_features(&last, eagle, feature, b->last_feature);
    head(&last, eagle, b->last_feature, b->last_logits);
}

void sx_eagle_expand(const sx_pass *pass, const sx_eagle *eagle, const sx_eagle_buffers *b, uint32_t depth,
                     uint32_t branch, sx_gpu_binding settings, sx_gpu_binding state)
{
    sx_pass level_pass = *pass;
    level_pass.rows = 1;
    sx_gpu_buffer *logits = b->last_logits, *previous = b->last_feature;
    for (uint32_t level = 1; level <= depth; level++) {
        sx_op_top_k(pass->ops, pass->tape, level_pass.rows,
                    &(sx_top_k_args){.logits = sx_whole(logits),
                                     .draft_vocabulary = eagle->vocabulary,
                                     .token_map = eagle->token_map,
                                     .settings = settings,
                                     .state = state,
                                     .level = level,
                                     .branch = branch,
                                     .children = sx_whole(b->children)});
        const sx_gpu_binding beam_in = level > 1 ? level_pass.batch : (sx_gpu_binding){0};
        const sx_gpu_binding beam_out = sx_whole(b->beam[level & 1]);
        sx_op_expand(pass->ops, pass->tape,
                     &(sx_expand_args){.children = sx_whole(b->children),
                                       .state = state,
                                       .beam_in = beam_in,
                                       .level = level,
                                       .branch = branch,
                                       .tree = sx_whole(b->tree),
                                       .beam_out = beam_out});
        if (level == depth) break;
        level_pass.batch = beam_out;
        level_pass.rows = 1;
        while (level_pass.rows < branch)
            level_pass.rows *= 2;
        gather_features(&level_pass, eagle, previous, b->feature_in);
        previous = step(&level_pass, eagle, b);
        head(&level_pass, eagle, previous, b->logits);
        logits = b->logits;
    }
}
