// Which tensor becomes which matrix on the device.
#include "engine/load.h"
#include "engine/tapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct plan {
    sx_weights *weights;
    bool quantize; // matrices of float formats become Q8_0
    sx_error *error;
    sx_status status; // of the first failure
} plan;

static sx_format planned_format(const plan *p, const sx_tensor_ref *tensor)
{
    const bool floats =
        tensor->format == SX_FORMAT_F32 || tensor->format == SX_FORMAT_F16 || tensor->format == SX_FORMAT_BF16;
    return p->quantize && floats && tensor->columns % 32 == 0 ? SX_FORMAT_Q8_0 : tensor->format;
}

static void add_matrix(plan *p, const sx_tensor_ref *tensor, sx_matrix *out)
{
    if (p->status == SX_OK)
        p->status = sx_weights_add_matrix(p->weights, &tensor, 1, planned_format(p, tensor), out, p->error);
}

static void add_vector(plan *p, const sx_tensor_ref *tensor, sx_gpu_binding *out)
{
    if (p->status == SX_OK) p->status = sx_weights_add_vector(p->weights, &tensor, 1, 0, out, p->error);
}

static void add_data(plan *p, const void *data, uint64_t size, sx_gpu_binding *out)
{
    if (p->status == SX_OK) p->status = sx_weights_add_data(p->weights, data, size, out, p->error);
}

static uint32_t add_apart(plan *p, const sx_tensor_ref *const *tensors, uint32_t count, sx_matrix *out)
{
    for (uint32_t i = 0; i < count; i++)
        add_matrix(p, tensors[i], &out[i]);
    return count;
}

// One matrix where the formats are equal, else one each. Returns how many.
static uint32_t add_fused(plan *p, const sx_tensor_ref *const *tensors, uint32_t count, sx_matrix *out)
{
    bool equal = true;
    for (uint32_t i = 1; i < count; i++)
        if (planned_format(p, tensors[i]) != planned_format(p, tensors[0]) || tensors[i - 1]->rows % 32) equal = false;
    if (!equal) return add_apart(p, tensors, count, out);
    if (p->status == SX_OK)
        p->status = sx_weights_add_matrix(p->weights, tensors, count, planned_format(p, tensors[0]), &out[0], p->error);
    return 1;
}

// The stack's experts as the rows of one matrix.
static void add_stack(plan *p, const sx_tensor_ref *tensor, sx_expert_stack *out)
{
    if (p->status == SX_OK && tensor->rows % 4) // the kernels make four rows at a time
        p->status = sx_fail(p->error, SX_ERROR_UNSUPPORTED, "%s: tensor %s has experts of %u rows, no multiple of 4",
                            tensor->source->name, tensor->name, tensor->rows);
    out->rows_each = tensor->rows;
    add_matrix(p, tensor, &out->matrix);
}

static void plan_feed_forward(plan *p, const sx_layer_weights *from, sx_layer *to)
{
    if (to->experts) {
        add_matrix(p, &from->router, &to->router);
        add_stack(p, &from->gate_experts, &to->gate_experts);
        add_stack(p, &from->up_experts, &to->up_experts);
        add_stack(p, &from->down_experts, &to->down_experts);
        return;
    }
    const sx_tensor_ref *gate_up[] = {&from->gate, &from->up};
    to->gate_up_count = add_fused(p, gate_up, 2, to->gate_up);
    add_matrix(p, &from->down, &to->down);
}

static void plan_layer(plan *p, const sx_layer_weights *from, sx_layer *to)
{
    const sx_tensor_ref *qkv[] = {&from->q, &from->k, &from->v};
    const sx_tensor_ref *biases[] = {&from->q_bias, &from->k_bias, &from->v_bias};
    const sx_tensor_ref *norms[] = {&from->q_norm, &from->k_norm};
    add_vector(p, &from->attention_norm, &to->attention_norm);
    add_vector(p, &from->hidden_norm, &to->hidden_norm);
    add_vector(p, &from->ffn_norm, &to->ffn_norm);
    add_vector(p, &from->post_attention_norm, &to->post_attention_norm);
    add_vector(p, &from->post_ffn_norm, &to->post_ffn_norm);
    // Biases are fused as the matrices are, which takes all of them or none.
    const int bias_count = sx_tensor_exists(biases[0]) + sx_tensor_exists(biases[1]) + sx_tensor_exists(biases[2]);
    to->qkv_count = bias_count % 3 ? add_apart(p, qkv, 3, to->qkv) : add_fused(p, qkv, 3, to->qkv);
    for (uint32_t i = 0; i < 3 && to->qkv_count == 3; i++)
        add_vector(p, biases[i], &to->qkv_bias[i]);
    if (p->status == SX_OK && to->qkv_count == 1)
        p->status = sx_weights_add_vector(p->weights, biases, 3, 0, &to->qkv_bias[0], p->error);
    if (p->status == SX_OK) p->status = sx_weights_add_vector(p->weights, norms, 2, 0, &to->qk_norm, p->error);
    add_matrix(p, &from->o, &to->o);
    add_vector(p, &from->o_bias, &to->o_bias);
    plan_feed_forward(p, from, to);
}

static void plan_target(plan *p, sx_engine *engine)
{
    const sx_target_weights *from = &engine->load->target;
    const sx_hparams *hparams = &engine->hparams;
    sx_target *to = &engine->target;
    to->hparams = *hparams;
    add_matrix(p, &from->token_embedding, &to->embedding);
    add_vector(p, &from->output_norm, &to->output_norm);
    if (!from->tied) add_matrix(p, &from->output, &to->head);
    for (uint32_t i = 0; i < hparams->layers; i++) {
        sx_layer *layer = &to->layers[i];
        layer->hidden = hparams->hidden;
        layer->ffn = hparams->experts ? hparams->experts_used * hparams->expert_ffn : hparams->ffn;
        layer->experts = hparams->experts;
        layer->experts_used = hparams->experts_used;
        layer->expert_weights_normed = hparams->expert_weights_normed;
        layer->eps = hparams->rms_eps;
        layer->activation = hparams->activation;
        const sx_rope *rope = sx_layer_rope(hparams, i);
        layer->shape = (sx_attention_shape){.heads = hparams->heads,
                                            .kv_heads = hparams->kv_heads,
                                            .head_dim = hparams->head_dim,
                                            .rope_dims = rope->head_dim,
                                            .rope_layout = rope->layout,
                                            .rope_factor = rope->factor,
                                            .norm_after_rope = hparams->qk_norm == SX_QK_NORM_AFTER_ROPE,
                                            .eps = hparams->rms_eps,
                                            .scale = hparams->attention_scale,
                                            .window = sx_layer_window(hparams, i),
                                            .softcap = hparams->attention_softcap,
                                            .kv_q8 = engine->kv_type == SX_KV_Q8_0};
        plan_layer(p, &from->layers[i], layer);
    }
    add_data(p, hparams->rope.inv_freq, hparams->rope.head_dim / 2 * sizeof(float), &to->inv_freq[0]);
    add_data(p, hparams->rope_local.inv_freq, hparams->rope_local.head_dim / 2 * sizeof(float), &to->inv_freq[1]);
}

static void plan_draft(plan *p, sx_engine *engine)
{
    const sx_draft *from = engine->load->draft;
    sx_eagle *to = &engine->draft;
    *to = (sx_eagle){.hidden = from->hidden,
                     .target_hidden = from->target_hidden,
                     .layer_count = from->layers,
                     .aux_count = from->aux_count,
                     .vocabulary = from->draft_vocabulary,
                     .eps = from->rms_eps,
                     .norm_before_residual = from->norm_before_residual,
                     .norm_output = from->norm_output,
                     .feed_back_normed = from->feed_back_normed,
                     .layers = to->layers};
    add_matrix(p, &from->fc, &to->fc);
    add_vector(p, &from->fc_bias, &to->fc_bias);
    add_vector(p, &from->input_norm, &to->input_norm);
    for (uint32_t i = 0; i < from->aux_count; i++)
        add_vector(p, &from->fc_norm[i], &to->fc_norm[i]);
    if (sx_tensor_exists(&from->token_embedding)) add_matrix(p, &from->token_embedding, &to->embedding);
    if (sx_tensor_exists(&from->output)) add_matrix(p, &from->output, &to->head);
    add_vector(p, &from->output_norm, &to->output_norm);
    if (from->target_ids) add_data(p, from->target_ids, from->draft_vocabulary * sizeof(uint32_t), &to->token_map);
    for (uint32_t i = 0; i < from->layers; i++) {
        sx_layer *layer = &to->layers[i];
        layer->hidden = from->hidden;
        layer->ffn = from->ffn;
        layer->eps = from->rms_eps;
        layer->activation = SX_ACTIVATION_SILU;
        layer->shape = (sx_attention_shape){.heads = from->heads,
                                            .kv_heads = from->kv_heads,
                                            .head_dim = from->head_dim,
                                            .rope_dims = from->rope.head_dim,
                                            .rope_layout = from->rope.layout,
                                            .rope_factor = from->rope.factor,
                                            .eps = from->rms_eps,
                                            .scale = from->attention_scale,
                                            .window = from->window,
                                            .kv_q8 = engine->kv_type == SX_KV_Q8_0};
        plan_layer(p, &from->layer_weights[i], layer);
    }
    add_data(p, from->rope.inv_freq, from->rope.head_dim / 2 * sizeof(float), &to->inv_freq);
}

// The rows that exist, in their places among three; absent rows are zero and masked.
static void plan_signals(plan *p, sx_engine *engine, const sx_tensor_ref *rows, uint32_t mask)
{
    const uint64_t width = rows->columns;
    float *data = calloc(SX_SIGNALS * width, sizeof *data);
    if (!data) {
        p->status = sx_fail(p->error, SX_ERROR_MEMORY, "out of memory for the signal rows");
        return;
    }
    uint32_t next = 0;
    for (uint32_t i = 0; i < SX_SIGNALS && p->status == SX_OK; i++)
        if (mask >> i & 1) p->status = sx_tensor_read_floats(rows, next++, 1, data + i * width, p->error);
    add_data(p, data, SX_SIGNALS * width * sizeof *data, &engine->signal_rows);
    engine->signal_mask = mask;
    free(data);
}

// Blocks of q8_0 begin at whole words.
static sx_status check_kv_type(const sx_engine *engine, sx_error *error)
{
    const sx_draft *draft = engine->load->draft;
    if (engine->kv_type != SX_KV_Q8_0) return SX_OK;
    if (engine->hparams.head_dim % 4 || (draft && draft->head_dim % 4))
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "KV type q8_0: the heads of %s or its draft are no multiple of 4 wide; leave the option out",
                       engine->info.model_name);
    return SX_OK;
}

static sx_status plan_aux(sx_engine *engine, sx_error *error)
{
    const sx_draft *draft = engine->load->draft;
    const sx_signal_head *head = engine->load->signals;
    if (!draft && !head && engine->keep_states)
        engine->aux.count = sx_default_aux_layers(engine->hparams.layers, engine->aux.layers);
    if (!draft && !head) return SX_OK;
    engine->aux.count = draft ? draft->aux_count : head->aux_count;
    memcpy(engine->aux.layers, draft ? draft->aux_layers : head->aux_layers, sizeof engine->aux.layers);
    const size_t used = engine->aux.count * sizeof(uint32_t);
    if (draft && head && (head->aux_count != draft->aux_count || memcmp(head->aux_layers, draft->aux_layers, used)))
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "the signal head reads other layers of the target than the draft does; train the head with this "
                       "draft, or leave one of them out");
    return SX_OK;
}

sx_status sx_plan_weights(sx_engine *engine, sx_error *error)
{
    sx_load *load = engine->load;
    engine->target.layers = calloc(engine->hparams.layers, sizeof(sx_layer));
    engine->draft.layers = calloc(load->draft ? load->draft->layers : 1, sizeof(sx_layer));
    if (!engine->target.layers || !engine->draft.layers)
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the model's layers");
    sx_weights_init(&engine->weights, engine->gpu);
    plan p = {.weights = &engine->weights, .error = error, .status = plan_aux(engine, error)};
    if (p.status == SX_OK) p.status = check_kv_type(engine, error);
    if (p.status == SX_OK) plan_target(&p, engine);
    p.quantize = engine->quantize_draft;
    if (load->draft && p.status == SX_OK) {
        engine->has_draft = true;
        plan_draft(&p, engine);
    }
    if (load->signals && p.status == SX_OK)
        plan_signals(&p, engine, &load->signals->signals, load->signals->signal_mask);
    else if (load->draft && load->draft->signal_mask && p.status == SX_OK)
        plan_signals(&p, engine, &load->draft->signals, load->draft->signal_mask);
    return p.status;
}

static unsigned long long mebibytes(uint64_t bytes)
{
    return (unsigned long long)((bytes + (1u << 20) - 1) >> 20);
}

// The largest context that fits `bytes`, 0 when not even a small one does. Memory grows with the context.
static uint32_t fitting_context(const sx_engine *engine, uint64_t bytes)
{
    uint32_t low = 0, high = engine->context;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        const sx_buffers_size size = sx_session_size(middle);
        if (sx_buffers_kv_bytes(engine, &size) + sx_buffers_scratch_bytes(engine, &size) <= bytes)
            low = middle;
        else
            high = middle;
    }
    return low / 256 * 256;
}

uint32_t sx_plan_fitting_context(const sx_engine *engine, uint64_t bytes)
{
    const sx_engine_info *info = &engine->info;
    if (info->weight_bytes + info->kv_bytes + info->scratch_bytes <= bytes) return engine->context;
    return bytes > info->weight_bytes ? fitting_context(engine, bytes - info->weight_bytes) : 0;
}

static sx_status refuse_memory(const sx_engine *engine, uint64_t budget, sx_error *error)
{
    const sx_engine_info *info = &engine->info;
    const uint32_t context = sx_plan_fitting_context(engine, budget);
    char remedy[160];
    if (context)
        snprintf(remedy, sizeof remedy, "a context of %u tokens fits%s", context,
                 engine->kv_type == SX_KV_F16 ? ", keys and values in q8_0 take half" : "");
    else
        snprintf(remedy, sizeof remedy, "use a smaller model or quantisation%s, or another device",
                 engine->has_draft ? ", no draft" : "");
    return sx_fail(error, SX_ERROR_GPU_MEMORY,
                   "%s needs %llu MiB (weights %llu, keys and values of %u tokens %llu, scratch %llu), the device has "
                   "%llu MiB free: %s",
                   info->model_name, mebibytes(info->weight_bytes + info->kv_bytes + info->scratch_bytes),
                   mebibytes(info->weight_bytes), engine->context, mebibytes(info->kv_bytes),
                   mebibytes(info->scratch_bytes), mebibytes(budget), remedy);
}

sx_status sx_plan_check_memory(sx_engine *engine, uint64_t budget, sx_error *error)
{
    const uint64_t weights = sx_weights_bytes(&engine->weights);
    sx_engine_info *info = &engine->info;
    info->weight_bytes = weights;
    const sx_buffers_size size = sx_session_size(engine->context);
    info->kv_bytes = sx_buffers_kv_bytes(engine, &size);
    info->scratch_bytes = sx_buffers_scratch_bytes(engine, &size);
    const uint64_t session = info->kv_bytes + info->scratch_bytes;
    if (!budget || weights + session <= budget) return SX_OK;
    return refuse_memory(engine, budget, error);
}
