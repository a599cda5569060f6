#include "graph/layer.h"
#include "graph/parts.h"

#include <string.h>

static void grow(uint32_t *value, uint32_t candidate)
{
    if (*value < candidate) *value = candidate;
}

void sx_scratch_size_add(sx_scratch_size *size, const sx_layer *layer, uint32_t splits, bool packs)
{
    const sx_attention_shape *shape = &layer->shape;
    grow(&size->hidden, layer->hidden);
    grow(&size->ffn, layer->ffn);
    grow(&size->experts, layer->experts);
    grow(&size->routes, layer->experts_used);
    grow(&size->q, shape->heads * shape->head_dim);
    grow(&size->qkv, (shape->heads + 2 * shape->kv_heads) * shape->head_dim);
    if (packs) {
        grow(&size->packed, 2 * layer->hidden);
        grow(&size->packed, layer->ffn);
        grow(&size->packed, shape->heads * shape->head_dim);
    }
    const uint64_t partial = sx_attention_scratch_size(shape, size->rows, splits);
    if (size->partial < partial) size->partial = partial;
}

enum { PARTS = 14 };

static void list_parts(sx_scratch *scratch, const sx_scratch_size *size, sx_buffer_part parts[PARTS])
{
    const uint64_t row = size->rows * sizeof(float);
    const sx_buffer_part list[PARTS] = {
        {&scratch->hidden, row * size->hidden, "hidden"},
        {&scratch->middle, row * size->hidden, "middle"},
        {&scratch->normed, row * size->hidden * 2, "normed"},
        {&scratch->projected, row * size->hidden, "projected"},
        {&scratch->qkv, row * size->qkv, "qkv"},
        {&scratch->q, row * size->q, "q"},
        {&scratch->attended, row * size->q, "attended"},
        {&scratch->partial, size->partial, "attention partials"},
        {&scratch->gate_up, row * size->ffn * 2, "gate and up"},
        {&scratch->unit, row * size->ffn, "gated unit"},
        {&scratch->packed, row * sx_packed_words(size->packed), "packed activations"},
        {&scratch->router, row * size->experts, "router"},
        {&scratch->routes, row / sizeof(float) * size->routes * sizeof(SxRoute), "routes"},
        {&scratch->expert_out, row * size->routes * size->hidden, "expert outputs"},
    };
    memcpy(parts, list, sizeof list);
}

uint64_t sx_scratch_bytes(const sx_scratch_size *size)
{
    sx_scratch scratch;
    sx_buffer_part parts[PARTS];
    list_parts(&scratch, size, parts);
    return sx_parts_bytes(parts, PARTS);
}

sx_status sx_scratch_create(sx_gpu *gpu, const sx_scratch_size *size, sx_scratch *out, sx_error *error)
{
    memset(out, 0, sizeof *out);
    sx_buffer_part parts[PARTS];
    list_parts(out, size, parts);
    out->bytes = sx_parts_bytes(parts, PARTS);
    return sx_parts_create(gpu, parts, PARTS, error);
}

void sx_scratch_destroy(sx_gpu *gpu, sx_scratch *scratch)
{
    sx_buffer_part parts[PARTS];
    list_parts(scratch, &(sx_scratch_size){0}, parts);
    sx_parts_destroy(gpu, parts, PARTS);
    memset(scratch, 0, sizeof *scratch);
}

sx_gpu_binding sx_pack_input(const sx_pass *pass, uint32_t rows, sx_gpu_binding x, uint32_t x_stride,
                             const sx_matrix *matrices, uint32_t count)
{
    const sx_gpu_binding none = {0};
    uint32_t packing = 0;
    while (packing < count && !sx_format_packs(matrices[packing].format))
        packing++;
    if (!pass->ops->packs || packing == count) return none;
    const sx_gpu_binding packed = sx_whole(pass->scratch->packed);
    sx_op_pack_rows(pass->ops, pass->tape, rows, x, x_stride, matrices[packing].columns, packed);
    return packed;
}

static void project_qkv(const sx_pass *pass, const sx_layer *layer, sx_gpu_binding x, uint32_t x_stride)
{
    const uint32_t stride = (layer->shape.heads + 2 * layer->shape.kv_heads) * layer->shape.head_dim;
    const sx_gpu_binding packed = sx_pack_input(pass, pass->rows, x, x_stride, layer->qkv, layer->qkv_count);
    uint32_t offset = 0;
    for (uint32_t i = 0; i < layer->qkv_count; i++) {
        sx_op_linear(pass->ops, pass->tape, pass->rows,
                     &(sx_linear_args){.weight = &layer->qkv[i],
                                       .x = x,
                                       .x_stride = x_stride,
                                       .packed = packed,
                                       .bias = layer->qkv_bias[i],
                                       .out = sx_whole(pass->scratch->qkv),
                                       .out_stride = stride,
                                       .out_offset = offset});
        offset += layer->qkv[i].rows;
    }
}

// out = residual + weight x, with the norm behind the projection where the architecture has one.
static void project_back(const sx_pass *pass, const sx_layer *layer, const sx_matrix *weight, sx_gpu_binding bias,
                         sx_gpu_binding x, uint32_t x_stride, sx_gpu_binding post_norm, sx_gpu_binding residual,
                         sx_gpu_binding out)
{
    const uint32_t hidden = layer->hidden;
    sx_linear_args linear = {.weight = weight,
                             .x = x,
                             .x_stride = x_stride,
                             .packed = sx_pack_input(pass, pass->rows, x, x_stride, weight, 1),
                             .bias = bias,
                             .out_stride = hidden};
    if (!post_norm.size) {
        linear.residual = residual;
        linear.residual_stride = hidden;
        linear.out = out;
        sx_op_linear(pass->ops, pass->tape, pass->rows, &linear);
        return;
    }
    linear.out = sx_whole(pass->scratch->projected);
    sx_op_linear(pass->ops, pass->tape, pass->rows, &linear);
    sx_op_rms_norm(pass->ops, pass->tape, pass->rows,
                   &(sx_norm_args){.x = linear.out,
                                   .x_stride = hidden,
                                   .weight = post_norm,
                                   .n = hidden,
                                   .eps = layer->eps,
                                   .residual = residual,
                                   .out = out,
                                   .out_stride = hidden});
}

static void norm_hidden(const sx_pass *pass, const sx_layer *layer, sx_gpu_buffer *x, sx_gpu_binding weight)
{
    sx_op_rms_norm(pass->ops, pass->tape, pass->rows,
                   &(sx_norm_args){.x = sx_whole(x),
                                   .x_stride = layer->hidden,
                                   .weight = weight,
                                   .n = layer->hidden,
                                   .eps = layer->eps,
                                   .out = sx_whole(pass->scratch->normed),
                                   .out_stride = layer->hidden});
}

static void feed_forward(const sx_pass *pass, const sx_layer *layer)
{
    const sx_scratch *scratch = pass->scratch;
    const sx_gpu_binding packed =
        sx_pack_input(pass, pass->rows, sx_whole(scratch->normed), layer->hidden, layer->gate_up, layer->gate_up_count);
    uint32_t offset = 0;
    for (uint32_t i = 0; i < layer->gate_up_count; i++) {
        sx_op_linear(pass->ops, pass->tape, pass->rows,
                     &(sx_linear_args){.weight = &layer->gate_up[i],
                                       .x = sx_whole(scratch->normed),
                                       .x_stride = layer->hidden,
                                       .packed = packed,
                                       .out = sx_whole(scratch->gate_up),
                                       .out_stride = 2 * layer->ffn,
                                       .out_offset = offset});
        offset += layer->gate_up[i].rows;
    }
    sx_op_gated_unit(pass->ops, pass->tape, pass->rows, layer->activation, sx_whole(scratch->gate_up), layer->ffn,
                     sx_whole(scratch->unit));
    project_back(pass, layer, &layer->down, (sx_gpu_binding){0}, sx_whole(scratch->unit), layer->ffn,
                 layer->post_ffn_norm, sx_whole(scratch->middle), sx_whole(scratch->hidden));
}

static void expert_linear(const sx_pass *pass, const sx_layer *layer, const sx_expert_stack *weight, sx_gpu_buffer *x,
                          bool x_of_route, sx_gpu_buffer *out, uint32_t out_stride, uint32_t out_offset)
{
    const uint32_t x_rows = pass->rows * (x_of_route ? layer->experts_used : 1);
    const sx_matrix *matrix = &weight->matrix;
    sx_op_expert_linear(
        pass->ops, pass->tape, pass->rows,
        &(sx_expert_linear_args){.weight = weight,
                                 .routes = sx_whole(pass->scratch->routes),
                                 .used = layer->experts_used,
                                 .x = sx_whole(x),
                                 .x_stride = matrix->columns,
                                 .x_of_route = x_of_route,
                                 .packed = sx_pack_input(pass, x_rows, sx_whole(x), matrix->columns, matrix, 1),
                                 .out = sx_whole(out),
                                 .out_stride = out_stride,
                                 .out_offset = out_offset});
}

static void expert_feed_forward(const sx_pass *pass, const sx_layer *layer)
{
    const sx_scratch *scratch = pass->scratch;
    const uint32_t used = layer->experts_used, ffn = layer->ffn / used;
    sx_op_linear(pass->ops, pass->tape, pass->rows,
                 &(sx_linear_args){.weight = &layer->router,
                                   .x = sx_whole(scratch->normed),
                                   .x_stride = layer->hidden,
                                   .out = sx_whole(scratch->router),
                                   .out_stride = layer->experts});
    sx_op_route(pass->ops, pass->tape, pass->rows, sx_whole(scratch->router), layer->experts, used,
                layer->expert_weights_normed, sx_whole(scratch->routes));
    expert_linear(pass, layer, &layer->gate_experts, scratch->normed, false, scratch->gate_up, 2 * ffn, 0);
    expert_linear(pass, layer, &layer->up_experts, scratch->normed, false, scratch->gate_up, 2 * ffn, ffn);
    sx_op_gated_unit(pass->ops, pass->tape, pass->rows * used, layer->activation, sx_whole(scratch->gate_up), ffn,
                     sx_whole(scratch->unit));
    expert_linear(pass, layer, &layer->down_experts, scratch->unit, true, scratch->expert_out, layer->hidden, 0);
    sx_op_expert_sum(pass->ops, pass->tape, pass->rows, sx_whole(scratch->expert_out), sx_whole(scratch->routes), used,
                     layer->hidden, sx_whole(scratch->middle), sx_whole(scratch->hidden));
}

void sx_layer_forward(const sx_pass *pass, const sx_layer *layer, sx_gpu_binding inv_freq, const sx_kv *kv,
                      uint32_t kv_layer, sx_gpu_binding attention_input, uint32_t input_stride, sx_gpu_binding residual)
{
    const sx_scratch *scratch = pass->scratch;
    const sx_gpu_binding cache = sx_kv_layer(kv, kv_layer);
    sx_attention_shape shape = layer->shape;
    shape.slots = kv->slots;
    if (!attention_input.size) {
        norm_hidden(pass, layer, scratch->hidden, layer->attention_norm);
        attention_input = sx_whole(scratch->normed);
        input_stride = layer->hidden;
        residual = sx_whole(scratch->hidden);
    }
    project_qkv(pass, layer, attention_input, input_stride);
    sx_op_attention_prepare(pass->ops, pass->tape, pass->rows,
                            &(sx_attention_prepare_args){.shape = &shape,
                                                         .qkv = sx_whole(scratch->qkv),
                                                         .qk_norm = layer->qk_norm,
                                                         .inv_freq = inv_freq,
                                                         .batch = pass->batch,
                                                         .q = sx_whole(scratch->q),
                                                         .kv = cache});
    sx_op_attention(pass->ops, pass->tape, pass->rows,
                    &(sx_attention_args){.shape = &shape,
                                         .q = sx_whole(scratch->q),
                                         .kv = cache,
                                         .batch = pass->batch,
                                         .splits = pass->splits,
                                         .scratch = sx_whole(scratch->partial),
                                         .out = sx_whole(scratch->attended)});
    project_back(pass, layer, &layer->o, layer->o_bias, sx_whole(scratch->attended), shape.heads * shape.head_dim,
                 layer->post_attention_norm, residual, sx_whole(scratch->middle));
    norm_hidden(pass, layer, scratch->middle, layer->ffn_norm);
    if (layer->experts)
        expert_feed_forward(pass, layer);
    else
        feed_forward(pass, layer);
}
