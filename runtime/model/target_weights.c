#include "model/target_weights.h"

#include "model/architecture.h"

#include <stdio.h>
#include <stdlib.h>

// "blk.<layer>.<role>"
static const char *name_of(char buffer[64], uint32_t layer, const char *role)
{
    snprintf(buffer, 64, "blk.%u.%s", layer, role);
    return buffer;
}

static void find_attention(sx_lookup *lookup, const sx_hparams *h, const sx_architecture_row *row, uint32_t layer,
                           sx_layer_weights *w)
{
    char name[64];
    const uint64_t q = (uint64_t)h->heads * h->head_dim, kv = (uint64_t)h->kv_heads * h->head_dim;
    const sx_presence norms = h->qk_norm == SX_QK_NORM_NONE ? SX_FORBIDDEN : SX_REQUIRED;
    const sx_presence post = h->post_norms ? SX_REQUIRED : SX_FORBIDDEN;
    sx_lookup_vector(lookup, &w->attention_norm, SX_REQUIRED, h->hidden, name_of(name, layer, "attn_norm.weight"));
    sx_lookup_matrix(lookup, &w->q, SX_REQUIRED, q, h->hidden, name_of(name, layer, "attn_q.weight"));
    sx_lookup_matrix(lookup, &w->k, SX_REQUIRED, kv, h->hidden, name_of(name, layer, "attn_k.weight"));
    sx_lookup_matrix(lookup, &w->v, SX_REQUIRED, kv, h->hidden, name_of(name, layer, "attn_v.weight"));
    sx_lookup_matrix(lookup, &w->o, SX_REQUIRED, h->hidden, q, name_of(name, layer, "attn_output.weight"));
    sx_lookup_vector(lookup, &w->q_bias, row->qkv_bias, q, name_of(name, layer, "attn_q.bias"));
    sx_lookup_vector(lookup, &w->k_bias, row->qkv_bias, kv, name_of(name, layer, "attn_k.bias"));
    sx_lookup_vector(lookup, &w->v_bias, row->qkv_bias, kv, name_of(name, layer, "attn_v.bias"));
    sx_lookup_vector(lookup, &w->o_bias, row->output_bias, h->hidden, name_of(name, layer, "attn_output.bias"));
    sx_lookup_vector(lookup, &w->q_norm, norms, h->head_dim, name_of(name, layer, "attn_q_norm.weight"));
    sx_lookup_vector(lookup, &w->k_norm, norms, h->head_dim, name_of(name, layer, "attn_k_norm.weight"));
    sx_lookup_vector(lookup, &w->post_attention_norm, post, h->hidden,
                     name_of(name, layer, "post_attention_norm.weight"));
}

static void find_feed_forward(sx_lookup *lookup, const sx_hparams *h, uint32_t layer, sx_layer_weights *w)
{
    char name[64];
    const sx_presence dense = h->experts ? SX_FORBIDDEN : SX_REQUIRED;
    const sx_presence sparse = h->experts ? SX_REQUIRED : SX_FORBIDDEN;
    const sx_presence post = h->post_norms ? SX_REQUIRED : SX_FORBIDDEN;
    sx_lookup_vector(lookup, &w->ffn_norm, SX_REQUIRED, h->hidden, name_of(name, layer, "ffn_norm.weight"));
    sx_lookup_matrix(lookup, &w->gate, dense, h->ffn, h->hidden, name_of(name, layer, "ffn_gate.weight"));
    sx_lookup_matrix(lookup, &w->up, dense, h->ffn, h->hidden, name_of(name, layer, "ffn_up.weight"));
    sx_lookup_matrix(lookup, &w->down, dense, h->hidden, h->ffn, name_of(name, layer, "ffn_down.weight"));
    sx_lookup_vector(lookup, &w->post_ffn_norm, post, h->hidden, name_of(name, layer, "post_ffw_norm.weight"));
    sx_lookup_matrix(lookup, &w->router, sparse, h->experts, h->hidden, name_of(name, layer, "ffn_gate_inp.weight"));
    sx_lookup_stack(lookup, &w->gate_experts, sparse, h->experts, h->expert_ffn, h->hidden,
                    name_of(name, layer, "ffn_gate_exps.weight"));
    sx_lookup_stack(lookup, &w->up_experts, sparse, h->experts, h->expert_ffn, h->hidden,
                    name_of(name, layer, "ffn_up_exps.weight"));
    sx_lookup_stack(lookup, &w->down_experts, sparse, h->experts, h->hidden, h->expert_ffn,
                    name_of(name, layer, "ffn_down_exps.weight"));
}

static void find_all(sx_lookup *lookup, const sx_hparams *h, sx_target_weights *w)
{
    const sx_architecture_row *row = sx_architecture_get(h->architecture);
    sx_lookup_matrix(lookup, &w->token_embedding, SX_REQUIRED, h->vocabulary, h->hidden, "token_embd.weight");
    sx_lookup_vector(lookup, &w->output_norm, SX_REQUIRED, h->hidden, "output_norm.weight");
    w->tied = !sx_lookup_find(lookup, "output.weight");
    if (w->tied)
        w->output = w->token_embedding;
    else
        sx_lookup_matrix(lookup, &w->output, SX_REQUIRED, h->vocabulary, h->hidden, "output.weight");
    for (uint32_t i = 0; i < h->layers; i++) {
        find_attention(lookup, h, row, i, &w->layers[i]);
        find_feed_forward(lookup, h, i, &w->layers[i]);
    }
    if (row->rope_freqs != SX_FORBIDDEN) sx_lookup_ignore(lookup, "rope_freqs.weight"); // read with the hparams
}

sx_status sx_target_weights_find(const sx_model_files *files, const sx_hparams *hparams, sx_target_weights *out,
                                 sx_error *error)
{
    sx_lookup lookup;
    sx_target_weights weights = {.layer_count = hparams->layers};
    sx_status status = sx_lookup_from_gguf(files, &lookup, error);
    if (status != SX_OK) return status;
    weights.layers = calloc(hparams->layers, sizeof *weights.layers);
    if (!weights.layers) {
        status = sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", lookup.where);
    } else {
        find_all(&lookup, hparams, &weights);
        status = sx_lookup_finish(&lookup, error);
    }
    for (size_t i = 0; i < lookup.count; i++)
        weights.bytes += lookup.entries[i].size;
    sx_lookup_free(&lookup);
    if (status == SX_OK)
        *out = weights;
    else
        free(weights.layers);
    return status;
}

void sx_target_weights_free(sx_target_weights *weights)
{
    free(weights->layers);
    *weights = (sx_target_weights){0};
}
