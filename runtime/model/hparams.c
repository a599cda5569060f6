#include "model/hparams.h"

#include "model/architecture.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const sx_architecture_row architectures[SX_ARCH_COUNT] = {
    [SX_ARCH_QWEN3] = {.name = "qwen3", .layout = SX_ROPE_HALVES, .qk_norm = SX_QK_NORM_BEFORE_ROPE},
    [SX_ARCH_QWEN2] = {.name = "qwen2", .layout = SX_ROPE_HALVES, .qkv_bias = SX_REQUIRED},
    [SX_ARCH_LLAMA] = {.name = "llama",
                       .layout = SX_ROPE_PAIRS,
                       .qkv_bias = SX_OPTIONAL,
                       .output_bias = SX_OPTIONAL,
                       .rope_freqs = SX_OPTIONAL},
    [SX_ARCH_GEMMA3] = {.name = "gemma3",
                        .layout = SX_ROPE_HALVES,
                        .activation = SX_ACTIVATION_GELU,
                        .qk_norm = SX_QK_NORM_BEFORE_ROPE,
                        .post_norms = true,
                        .scaled_embedding = true,
                        .window_pattern = 6,
                        .window_rope_base = 10000},
    [SX_ARCH_HUNYUAN_DENSE] = {.name = "hunyuan-dense",
                               .layout = SX_ROPE_HALVES,
                               .qk_norm = SX_QK_NORM_AFTER_ROPE,
                               .qkv_bias = SX_OPTIONAL},
    [SX_ARCH_QWEN3MOE] = {.name = "qwen3moe",
                          .layout = SX_ROPE_HALVES,
                          .qk_norm = SX_QK_NORM_BEFORE_ROPE,
                          .experts = true},
};

const sx_architecture_row *sx_architecture_get(sx_architecture architecture)
{
    assert(architecture < SX_ARCH_COUNT);
    return &architectures[architecture];
}

const char *sx_architecture_list(void)
{
    return "qwen3, qwen2, llama, gemma3, hunyuan-dense, qwen3moe";
}

// Keys are "<architecture>.<name>"; reads go on after a failure without effect, so that the caller checks once.
typedef struct key_reader {
    const sx_gguf *gguf;
    const char *file;
    const char *prefix;
    sx_status status;
    sx_error *error;
    char key[96];
} key_reader;

static const char *full_key(key_reader *in, const char *name)
{
    snprintf(in->key, sizeof in->key, "%s.%s", in->prefix, name);
    return in->key;
}

static void get_u32(key_reader *in, const char *name, bool required, uint32_t low, uint32_t high, uint32_t *out)
{
    if (in->status != SX_OK) return;
    const bool present = sx_gguf_find(in->gguf, full_key(in, name)) != NULL;
    in->status = sx_gguf_get_u32(in->gguf, in->key, required, out, in->error);
    if (in->status == SX_OK && present && (*out < low || *out > high))
        in->status = sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: %u is not within %u to %u", in->file, in->key,
                             *out, low, high);
}

// A positive number.
static void get_f32(key_reader *in, const char *name, bool required, float *out)
{
    if (in->status != SX_OK) return;
    const bool present = sx_gguf_find(in->gguf, full_key(in, name)) != NULL;
    in->status = sx_gguf_get_f32(in->gguf, in->key, required, out, in->error);
    if (in->status == SX_OK && present && !(isfinite(*out) && *out > 0))
        in->status = sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: %g is not a positive number", in->file, in->key,
                             (double)*out);
}

static void read_sizes(key_reader *in, const sx_architecture_row *row, sx_hparams *h)
{
    get_u32(in, "block_count", true, 1, 1024, &h->layers);
    get_u32(in, "embedding_length", true, 1, 1 << 20, &h->hidden);
    get_u32(in, "feed_forward_length", !row->experts, 0, 1 << 22, &h->ffn);
    get_u32(in, "attention.head_count", true, 1, 65536, &h->heads);
    h->kv_heads = h->heads;
    get_u32(in, "attention.head_count_kv", false, 1, 65536, &h->kv_heads);
    get_u32(in, "context_length", true, 1, 1u << 30, &h->context);
    get_f32(in, "attention.layer_norm_rms_epsilon", true, &h->rms_eps);
    if (in->status != SX_OK) return;
    if (h->heads % h->kv_heads)
        in->status = sx_fail(in->error, SX_ERROR_FORMAT,
                             "%s: key %s.attention.head_count: %u is no multiple of head_count_kv, %u", in->file,
                             in->prefix, h->heads, h->kv_heads);
    h->head_dim = h->hidden / h->heads;
    uint32_t value_dim = h->head_dim;
    get_u32(in, "attention.key_length", false, 1, 65536, &h->head_dim);
    get_u32(in, "attention.value_length", false, 1, 65536, &value_dim);
    uint32_t rotary = h->head_dim;
    get_u32(in, "rope.dimension_count", false, 1, 65536, &rotary);
    if (in->status != SX_OK) return;
    if (h->head_dim < 2 || h->head_dim > SX_MAX_HEAD_DIM || h->head_dim % 2)
        in->status = sx_fail(in->error, SX_ERROR_UNSUPPORTED,
                             "%s: key %s.attention.key_length: heads of %u; even sizes up to %d are supported",
                             in->file, in->prefix, h->head_dim, SX_MAX_HEAD_DIM);
    else if (value_dim != h->head_dim)
        in->status =
            sx_fail(in->error, SX_ERROR_UNSUPPORTED,
                    "%s: key %s.attention.value_length: %u differs from key_length, %u, which is not supported",
                    in->file, in->prefix, value_dim, h->head_dim);
    else if (rotary != h->head_dim)
        in->status = sx_fail(in->error, SX_ERROR_UNSUPPORTED,
                             "%s: key %s.rope.dimension_count: rotation of %u of %u components is not supported",
                             in->file, in->prefix, rotary, h->head_dim);
}

static void read_experts(key_reader *in, const sx_architecture_row *row, sx_hparams *h)
{
    get_u32(in, "expert_count", row->experts, 0, 65536, &h->experts);
    if (in->status != SX_OK || (!row->experts && h->experts == 0)) return;
    if (!row->experts || h->experts == 0) {
        in->status = sx_fail(in->error, SX_ERROR_UNSUPPORTED,
                             "%s: key %s.expert_count: %u experts are not supported for this architecture", in->file,
                             in->prefix, h->experts);
        return;
    }
    h->expert_weights_normed = true;
    get_u32(in, "expert_used_count", true, 1, h->experts, &h->experts_used);
    get_u32(in, "expert_feed_forward_length", true, 1, 1 << 22, &h->expert_ffn);
    h->ffn = 0;
}

// A window pattern given as one boolean a layer ("is windowed") must repeat as the table's form does.
static void read_pattern_array(key_reader *in, const sx_gguf_value *value, sx_hparams *h)
{
    uint32_t period = 0;
    bool regular = value->element_type == SX_GGUF_BOOL && value->count >= h->layers;
    for (uint32_t i = 0; regular && i < h->layers; i++) {
        const bool windowed = sx_gguf_integer_at(value, i) != 0;
        if (!period && !windowed) period = i + 1;
        if (period && windowed == ((i + 1) % period == 0)) regular = false;
    }
    if (!regular)
        in->status =
            sx_fail(in->error, SX_ERROR_UNSUPPORTED,
                    "%s: key %s: only windows that repeat (all but every n-th layer) are supported", in->file, in->key);
    h->window_pattern = period;
}

static void read_window(key_reader *in, const sx_architecture_row *row, sx_hparams *h)
{
    if (!row->window_pattern || in->status != SX_OK) return;
    get_u32(in, "attention.sliding_window", true, 1, 1u << 30, &h->window);
    h->window_pattern = row->window_pattern;
    const sx_gguf_value *value = sx_gguf_find(in->gguf, full_key(in, "attention.sliding_window_pattern"));
    if (value && value->type == SX_GGUF_ARRAY)
        read_pattern_array(in, value, h);
    else
        get_u32(in, "attention.sliding_window_pattern", false, 0, 1024, &h->window_pattern);
}

static void read_scaling(key_reader *in, sx_rope_desc *desc)
{
    sx_gguf_string type = {"", 0};
    if (in->status == SX_OK)
        in->status = sx_gguf_get_string(in->gguf, full_key(in, "rope.scaling.type"), false, &type, in->error);
    get_f32(in, "rope.scale_linear", false, &desc->factor); // older files
    get_f32(in, "rope.scaling.factor", false, &desc->factor);
    get_u32(in, "rope.scaling.original_context_length", false, 0, 1u << 30, &desc->original_context);
    get_f32(in, "rope.scaling.yarn_beta_fast", false, &desc->beta_fast);
    get_f32(in, "rope.scaling.yarn_beta_slow", false, &desc->beta_slow);
    float attention_factor = 1;
    get_f32(in, "rope.scaling.attn_factor", false, &attention_factor);
    get_f32(in, "rope.scaling.yarn_attn_factor", false, &attention_factor);
    if (in->status != SX_OK) return;
    char name[80];
    if (strcmp(type.data, "yarn") == 0) {
        desc->scaling = SX_ROPE_YARN;
        if (desc->factor > 1) attention_factor *= 1 + 0.1f * logf(desc->factor);
        desc->attention_factor = attention_factor;
    } else if (type.length == 0 || strcmp(type.data, "linear") == 0) {
        desc->scaling = desc->factor > 0 && desc->factor != 1 ? SX_ROPE_LINEAR : SX_ROPE_PLAIN;
    } else if (strcmp(type.data, "none") != 0) {
        in->status = sx_fail(in->error, SX_ERROR_UNSUPPORTED,
                             "%s: key %s.rope.scaling.type: \"%s\" is not supported; none, linear and yarn are",
                             in->file, in->prefix, sx_gguf_printable(type, name));
    }
}

// llama files carry Llama 3's frequency scaling as a tensor of divisors.
static void read_divisors(key_reader *in, const sx_model_files *files, const sx_hparams *h, float *divisors,
                          bool *found)
{
    const sx_source *source;
    const sx_gguf_tensor *tensor = sx_model_files_find(files, "rope_freqs.weight", &source);
    *found = tensor != NULL;
    if (!tensor || in->status != SX_OK) return;
    if (!tensor->supported || tensor->format != SX_FORMAT_F32 || tensor->dimension_count != 1 ||
        tensor->dimensions[0] != h->head_dim / 2) {
        in->status = sx_fail(in->error, SX_ERROR_FORMAT, "%s: tensor rope_freqs.weight must be %u values of F32",
                             in->file, h->head_dim / 2);
        return;
    }
    in->status = sx_source_read(source, tensor->offset, divisors, h->head_dim / 2 * sizeof *divisors, in->error);
}

static void read_rope(key_reader *in, const sx_model_files *files, const sx_architecture_row *row, sx_hparams *h)
{
    float divisors[SX_MAX_HEAD_DIM / 2];
    bool divided = false;
    sx_rope_desc desc = {.layout = row->layout, .head_dim = h->head_dim, .base = 10000};
    get_f32(in, "rope.freq_base", false, &desc.base);
    read_scaling(in, &desc);
    if (desc.scaling == SX_ROPE_YARN && desc.original_context == 0) desc.original_context = h->context;
    if (row->rope_freqs != SX_FORBIDDEN) read_divisors(in, files, h, divisors, &divided);
    if (divided) desc.divisors = divisors;
    if (in->status == SX_OK) in->status = sx_rope_make(&desc, in->file, &h->rope, in->error);
    h->rope_local = h->rope;
    if (!h->window || in->status != SX_OK) return;
    sx_rope_desc local = {.layout = row->layout, .head_dim = h->head_dim, .base = row->window_rope_base};
    get_f32(in, "rope.freq_base_swa", false, &local.base);
    if (in->status == SX_OK) in->status = sx_rope_make(&local, in->file, &h->rope_local, in->error);
}

static void read_vocabulary(key_reader *in, const sx_model_files *files, sx_hparams *h)
{
    if (in->status != SX_OK) return;
    const sx_gguf_tensor *tensor = sx_model_files_find(files, "token_embd.weight", NULL);
    if (!tensor) {
        in->status = sx_fail(in->error, SX_ERROR_FORMAT, "%s: tensor token_embd.weight is missing", in->file);
        return;
    }
    if (tensor->dimensions[1] > 1u << 24) {
        in->status = sx_fail(in->error, SX_ERROR_FORMAT, "%s: tensor token_embd.weight: %llu tokens are impossible",
                             in->file, (unsigned long long)tensor->dimensions[1]);
        return;
    }
    h->vocabulary = (uint32_t)tensor->dimensions[1];
    const sx_gguf_value *tokens;
    in->status = sx_gguf_get_strings(in->gguf, "tokenizer.ggml.tokens", false, &tokens, in->error);
    if (in->status == SX_OK && tokens && tokens->count > h->vocabulary)
        in->status = sx_fail(in->error, SX_ERROR_FORMAT,
                             "%s: key tokenizer.ggml.tokens: %llu tokens, but token_embd.weight has %u rows", in->file,
                             (unsigned long long)tokens->count, h->vocabulary);
}

static sx_status find_architecture(const sx_gguf *gguf, sx_architecture *out, sx_error *error)
{
    sx_gguf_string name = {"", 0};
    const sx_status status = sx_gguf_get_string(gguf, "general.architecture", true, &name, error);
    if (status != SX_OK) return status;
    for (int i = 0; i < SX_ARCH_COUNT; i++)
        if (strcmp(name.data, architectures[i].name) == 0) {
            *out = (sx_architecture)i;
            return SX_OK;
        }
    char printable[80];
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: architecture \"%s\" is not supported; supported are %s%s",
                   sx_gguf_source(gguf)->name, sx_gguf_printable(name, printable), sx_architecture_list(),
                   strcmp(name.data, "eagle3") == 0 ? " (this is a draft: give it with the draft option)" : "");
}

sx_status sx_hparams_read(const sx_model_files *files, sx_hparams *out, sx_error *error)
{
    const sx_gguf *gguf = sx_model_files_metadata(files);
    sx_architecture architecture = SX_ARCH_QWEN3;
    const sx_status status = find_architecture(gguf, &architecture, error);
    if (status != SX_OK) return status;
    const sx_architecture_row *row = sx_architecture_get(architecture);
    sx_hparams h = {.architecture = architecture,
                    .architecture_name = row->name,
                    .embedding_scale = 1,
                    .logit_scale = 1,
                    .activation = row->activation,
                    .qk_norm = row->qk_norm,
                    .post_norms = row->post_norms};
    key_reader in = {gguf, sx_model_files_name(files), row->name, SX_OK, error, ""};
    read_sizes(&in, row, &h);
    read_experts(&in, row, &h);
    read_window(&in, row, &h);
    get_f32(&in, "final_logit_softcapping", false, &h.logit_softcap);
    get_f32(&in, "attn_logit_softcapping", false, &h.attention_softcap);
    if (in.status == SX_OK) read_rope(&in, files, row, &h);
    read_vocabulary(&in, files, &h);
    if (in.status != SX_OK) return in.status;
    h.attention_scale = 1 / sqrtf((float)h.head_dim);
    // Gemma 3 27B, told by its layers, scales by hidden / heads instead.
    if (architecture == SX_ARCH_GEMMA3 && h.layers == 62)
        h.attention_scale = 1 / sqrtf((float)h.hidden / (float)h.heads);
    if (row->scaled_embedding) h.embedding_scale = sqrtf((float)h.hidden);
    *out = h;
    return SX_OK;
}
