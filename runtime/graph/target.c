#include "graph/target.h"

static void keep_auxiliary(const sx_pass *pass, const sx_target *target, uint32_t layer, const sx_aux *aux)
{
    const uint32_t hidden = target->hparams.hidden;
    for (uint32_t i = 0; i < aux->count; i++) {
        if (aux->layers[i] != layer) continue;
        sx_op_gather_rows(pass->ops, pass->tape, pass->rows,
                          &(sx_gather_args){.x = sx_whole(pass->scratch->hidden),
                                            .x_stride = hidden,
                                            .n = hidden,
                                            .out = sx_whole(aux->out),
                                            .out_stride = aux->count * hidden,
                                            .out_offset = i * hidden});
    }
}

void sx_target_forward(const sx_pass *pass, const sx_target *target, const sx_kv *kv, const sx_aux *aux)
{
    const sx_hparams *hparams = &target->hparams;
    const sx_gpu_binding none = {0};
    sx_op_embed(pass->ops, pass->tape, &target->embedding, pass->batch, pass->rows, hparams->embedding_scale,
                sx_whole(pass->scratch->hidden));
    for (uint32_t i = 0; i < hparams->layers; i++) {
        keep_auxiliary(pass, target, i, aux);
        const bool windowed = sx_layer_window(hparams, i) != 0;
        sx_layer_forward(pass, &target->layers[i], target->inv_freq[windowed], kv, i, none, 0, none);
    }
    keep_auxiliary(pass, target, hparams->layers, aux);
}

void sx_target_logits(const sx_pass *pass, const sx_target *target, sx_gpu_binding hidden, sx_gpu_binding logits)
{
    const sx_hparams *hparams = &target->hparams;
    const sx_gpu_binding normed = sx_whole(pass->scratch->normed);
    sx_op_rms_norm(pass->ops, pass->tape, pass->rows,
                   &(sx_norm_args){.x = hidden,
                                   .x_stride = hparams->hidden,
                                   .weight = target->output_norm,
                                   .n = hparams->hidden,
                                   .eps = hparams->rms_eps,
                                   .out = normed,
                                   .out_stride = hparams->hidden});
    const sx_gpu_binding packed = sx_pack_input(pass, pass->rows, normed, hparams->hidden, &target->head, 1);
    sx_op_linear(pass->ops, pass->tape, pass->rows,
                 &(sx_linear_args){.weight = &target->head,
                                   .x = normed,
                                   .x_stride = hparams->hidden,
                                   .packed = packed,
                                   .out = logits,
                                   .out_stride = hparams->vocabulary});
}
