#include "model/fingerprint.h"
#include "base/hash.h"

enum { SAMPLE = 256 }; // bytes from the beginning, the middle and the end of a tensor

typedef struct fingerprint {
    uint64_t exact, family; // the latter without what a quantisation changes
    sx_status status;       // of the first failure
    sx_error *error;
} fingerprint;

static void add_bytes(fingerprint *f, const void *data, size_t size)
{
    f->exact = sx_hash(f->exact, data, size);
    f->family = sx_hash(f->family, data, size);
}

// Dimensions, and of a vector in float32 every value.
static void add_family(fingerprint *f, const sx_tensor_ref *tensor)
{
    const uint32_t shape[] = {tensor->slices, tensor->rows, tensor->columns};
    f->family = sx_hash(f->family, shape, sizeof shape);
    if (tensor->rows > 1 || tensor->format != SX_FORMAT_F32) return;
    float values[SAMPLE];
    for (uint64_t at = 0; at < tensor->size && f->status == SX_OK;) {
        const size_t size = tensor->size - at < sizeof values ? (size_t)(tensor->size - at) : sizeof values;
        f->status = sx_source_read(tensor->source, tensor->offset + at, values, size, f->error);
        f->family = sx_hash(f->family, values, size);
        at += size;
    }
}

static void add_tensor(fingerprint *f, const sx_tensor_ref *tensor)
{
    if (!sx_tensor_exists(tensor) || f->status != SX_OK) return;
    add_family(f, tensor);
    const uint32_t shape[] = {(uint32_t)tensor->format, tensor->slices, tensor->rows, tensor->columns};
    f->exact = sx_hash(f->exact, shape, sizeof shape);
    uint8_t sample[SAMPLE];
    const size_t size = tensor->size < SAMPLE ? (size_t)tensor->size : SAMPLE;
    const uint64_t last = tensor->size - size;
    for (uint64_t i = 0; i < 3 && f->status == SX_OK; i++) {
        f->status = sx_source_read(tensor->source, tensor->offset + last * i / 2, sample, size, f->error);
        f->exact = sx_hash(f->exact, sample, size);
    }
}

static void add_layers(fingerprint *f, const sx_layer_weights *layers, uint32_t count)
{
    _Static_assert(sizeof(sx_layer_weights) % sizeof(sx_tensor_ref) == 0, "a layer is nothing but tensors");
    const sx_tensor_ref *tensors = (const sx_tensor_ref *)layers;
    for (size_t i = 0; i < count * (sizeof *layers / sizeof *tensors); i++)
        add_tensor(f, &tensors[i]);
}

static void add_rope(fingerprint *f, const sx_rope *rope)
{
    add_bytes(f, rope->inv_freq, rope->head_dim / 2 * sizeof *rope->inv_freq);
    add_bytes(f, &rope->factor, sizeof rope->factor);
}

static fingerprint begin(sx_error *error)
{
    return (fingerprint){.exact = SX_HASH_START, .family = SX_HASH_START, .error = error};
}

// 0 stands for none.
static uint64_t finished(uint64_t hash)
{
    return hash ? hash : 1;
}

sx_status sx_target_fingerprint(const sx_hparams *hparams, const sx_target_weights *weights, uint64_t *exact,
                                uint64_t *family, sx_error *error)
{
    fingerprint f = begin(error);
    const uint32_t shape[] = {hparams->architecture, hparams->layers,   hparams->hidden,
                              hparams->heads,        hparams->kv_heads, hparams->head_dim,
                              hparams->vocabulary,   hparams->window,   hparams->window_pattern};
    const float scales[] = {hparams->rms_eps, hparams->attention_scale, hparams->embedding_scale,
                            hparams->attention_softcap};
    add_bytes(&f, shape, sizeof shape);
    add_bytes(&f, scales, sizeof scales);
    add_rope(&f, &hparams->rope);
    add_rope(&f, &hparams->rope_local);
    add_tensor(&f, &weights->token_embedding);
    add_tensor(&f, &weights->output_norm);
    add_tensor(&f, &weights->output);
    add_layers(&f, weights->layers, weights->layer_count);
    *exact = finished(f.exact);
    *family = finished(f.family);
    return f.status;
}

sx_status sx_draft_fingerprint(const sx_draft *draft, uint64_t *out, sx_error *error)
{
    fingerprint f = begin(error);
    const uint32_t shape[] = {draft->layers,          draft->hidden,
                              draft->target_hidden,   draft->heads,
                              draft->kv_heads,        draft->head_dim,
                              draft->aux_count,       draft->window,
                              draft->norm_before_fc,  draft->norm_before_residual,
                              draft->feed_back_normed};
    add_bytes(&f, shape, sizeof shape);
    add_bytes(&f, draft->aux_layers, draft->aux_count * sizeof *draft->aux_layers);
    add_rope(&f, &draft->rope);
    add_tensor(&f, &draft->fc);
    add_tensor(&f, &draft->fc_bias);
    add_tensor(&f, &draft->input_norm);
    for (uint32_t i = 0; i < draft->aux_count; i++)
        add_tensor(&f, &draft->fc_norm[i]);
    add_tensor(&f, &draft->token_embedding);
    add_layers(&f, draft->layer_weights, draft->layers);
    *out = finished(f.exact);
    return f.status;
}
