// Drafts and signal heads in GGUF: our own, and llama.cpp's in both generations of keys.
#include "base/hash.h"
#include "model/draft_parts.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const sx_draft_names sx_draft_gguf_names = {
    .fc = "fc.weight",
    .fc_bias = "fc.bias",
    .fc_norm = "fc_norm.%u.weight",
    .input_norm = "enc.output_norm.weight",
    .signals = "signals.weight",
    .token_embedding = "token_embd.weight",
    .output_norm = "output_norm.weight",
    .output = "output.weight",
    .target_ids = "d2t",
    .ignored = "t2d",
    .attention_norm = "blk.%u.attn_norm.weight",
    .hidden_norm = "blk.%u.attn_norm_2.weight",
    .q = "blk.%u.attn_q.weight",
    .k = "blk.%u.attn_k.weight",
    .v = "blk.%u.attn_v.weight",
    .o = "blk.%u.attn_output.weight",
    .q_bias = "blk.%u.attn_q.bias",
    .k_bias = "blk.%u.attn_k.bias",
    .v_bias = "blk.%u.attn_v.bias",
    .o_bias = "blk.%u.attn_output.bias",
    .q_norm = "blk.%u.attn_q_norm.weight",
    .k_norm = "blk.%u.attn_k_norm.weight",
    .ffn_norm = "blk.%u.ffn_norm.weight",
    .gate = "blk.%u.ffn_gate.weight",
    .up = "blk.%u.ffn_up.weight",
    .down = "blk.%u.ffn_down.weight",
};

typedef struct signal_name {
    const char *name;
    uint32_t mask;
} signal_name;

static const signal_name signal_names[] = {{"confidence", SX_DRAFT_SIGNAL_CONFIDENCE},
                                           {"progress", SX_DRAFT_SIGNAL_PROGRESS},
                                           {"remain", SX_DRAFT_SIGNAL_REMAIN}};

static uint32_t mask_of(const char *text, size_t length)
{
    for (size_t i = 0; i < 3; i++)
        if (strlen(signal_names[i].name) == length && memcmp(text, signal_names[i].name, length) == 0)
            return signal_names[i].mask;
    return 0;
}

// Adds the names in `text`, separated by commas. False when one is unknown or not in the order of the rows.
static bool add_names(sx_gguf_string text, uint32_t *mask)
{
    size_t start = 0;
    for (size_t i = 0; i <= text.length; i++) {
        if (i < text.length && text.data[i] != ',') continue;
        const uint32_t bit = mask_of(text.data + start, i - start);
        if (bit <= *mask) return false; // the bits grow in the order of the rows
        *mask |= bit;
        start = i + 1;
    }
    return true;
}

// The rows' names, in one string or in an array.
static sx_status read_signal_names(const sx_gguf *gguf, uint32_t *mask, sx_error *error)
{
    const sx_gguf_value *value = sx_gguf_find(gguf, "specexit.signals");
    *mask = 0;
    if (!value) return SX_OK;
    bool good = value->element_type == SX_GGUF_STRING && value->count >= 1;
    for (uint64_t i = 0; good && i < value->count; i++)
        good = add_names(sx_gguf_string_at(value, i), mask);
    if (good) return SX_OK;
    return sx_fail(error, SX_ERROR_FORMAT,
                   "%s: key specexit.signals must be of confidence, progress, remain, in this order",
                   sx_gguf_source(gguf)->name);
}

static sx_status read_threshold(const sx_gguf *gguf, const char *key, float highest, float *out, sx_error *error)
{
    *out = NAN;
    const sx_status status = sx_gguf_get_f32(gguf, key, false, out, error);
    if (status == SX_OK && sx_gguf_find(gguf, key) && !(*out >= 0 && *out <= highest))
        return sx_fail(error, SX_ERROR_FORMAT, "%s: key %s: %g is not within 0 to %g", sx_gguf_source(gguf)->name, key,
                       (double)*out, (double)highest);
    return status;
}

sx_status sx_read_exit_keys(const sx_gguf *gguf, sx_arena *arena, uint32_t *signal_mask, sx_exit_defaults *exit,
                            sx_error *error)
{
    sx_gguf_string smoothing = {NULL, 0};
    sx_status status = read_signal_names(gguf, signal_mask, error);
    if (status == SX_OK) status = read_threshold(gguf, "specexit.exit.confidence", 1, &exit->confidence, error);
    if (status == SX_OK) status = read_threshold(gguf, "specexit.exit.progress", 1, &exit->progress, error);
    if (status == SX_OK) status = read_threshold(gguf, "specexit.exit.remain", 1e9f, &exit->remain, error);
    if (status == SX_OK) status = read_threshold(gguf, "specexit.exit.alpha", 1, &exit->alpha, error);
    if (status == SX_OK) status = sx_gguf_get_string(gguf, "specexit.exit.smoothing", false, &smoothing, error);
    if (status != SX_OK) return status;
    exit->smoothing = NULL;
    if (!smoothing.data) return SX_OK;
    exit->smoothing = sx_arena_string(arena, smoothing.data, smoothing.length);
    if (!exit->smoothing) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", sx_gguf_source(gguf)->name);
    return SX_OK;
}

// ---- Cards ---------------------------------------------------------------------------------------------------------

const char *const sx_card_keys[SX_CARD_KEYS] = {"specexit.card.target",        "specexit.card.target_fingerprint",
                                                "specexit.card.target_family", "specexit.card.replies",
                                                "specexit.card.data",          "specexit.card.scores"};

static sx_status read_hash(const char *name, const sx_card_entry *entry, uint64_t *out, sx_error *error)
{
    if (sx_hash_read(entry->text, out)) return SX_OK;
    return sx_fail(error, SX_ERROR_FORMAT, "%s: key %s must be 16 hexadecimal digits", name, entry->key);
}

static sx_status read_card(const sx_gguf *gguf, sx_arena *arena, sx_signal_card *card, sx_error *error)
{
    const char *name = sx_gguf_source(gguf)->name;
    *card = (sx_signal_card){.target = ""};
    for (int key = 0; key < SX_CARD_KEYS; key++) {
        sx_gguf_string text = {NULL, 0};
        sx_status status = sx_gguf_get_string(gguf, sx_card_keys[key], false, &text, error);
        if (status != SX_OK) return status;
        if (!text.data) continue;
        sx_card_entry *entry = &card->entry[card->count++];
        *entry = (sx_card_entry){sx_card_keys[key], sx_arena_string(arena, text.data, text.length)};
        if (!entry->text) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", name);
        if (key == SX_CARD_TARGET) card->target = entry->text;
        if (key == SX_CARD_EXACT) status = read_hash(name, entry, &card->exact, error);
        if (key == SX_CARD_FAMILY) status = read_hash(name, entry, &card->family, error);
        if (status != SX_OK) return status;
    }
    return SX_OK;
}

sx_status sx_signal_card_check(const sx_signal_card *card, const char *name, uint64_t exact, uint64_t family,
                               bool *other_format, sx_error *error)
{
    *other_format = card->exact && card->exact != exact;
    if (!card->family || card->family == family) return SX_OK;
    return sx_fail(error, SX_ERROR_MISMATCH,
                   "%s: its signals were learnt on another model (%.200s); learn them on this one: `specexit trace`, "
                   "then `specexit train-signals`",
                   name, card->target);
}

sx_status sx_read_aux_layers(const sx_gguf *gguf, const char *key, uint32_t *count, uint32_t *layers, sx_error *error)
{
    const sx_gguf_value *value;
    *count = 0;
    const sx_status status = sx_gguf_get_integers(gguf, key, false, &value, error);
    if (status != SX_OK || !value) return status;
    bool good = value->count >= 1 && value->count <= SX_MAX_AUX;
    for (uint64_t i = 0; good && i < value->count; i++) {
        const int64_t layer = sx_gguf_integer_at(value, i);
        good = layer >= 0 && layer <= 1024;
        layers[i] = (uint32_t)layer;
    }
    if (!good)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: key %s must be 1 to %d layers of the target",
                       sx_gguf_source(gguf)->name, key, SX_MAX_AUX);
    *count = (uint32_t)value->count;
    return SX_OK;
}

// Keys are "eagle3.<name>".
typedef struct eagle_keys {
    const sx_gguf *gguf;
    sx_status status;
    sx_error *error;
} eagle_keys;

static void get_u32(eagle_keys *in, const char *key, bool required, uint32_t *out)
{
    if (in->status == SX_OK) in->status = sx_gguf_get_u32(in->gguf, key, required, out, in->error);
}

static void get_f32(eagle_keys *in, const char *key, bool required, float *out)
{
    if (in->status == SX_OK) in->status = sx_gguf_get_f32(in->gguf, key, required, out, in->error);
}

static void get_bool(eagle_keys *in, const char *key, bool *out)
{
    if (in->status == SX_OK) in->status = sx_gguf_get_bool(in->gguf, key, false, out, in->error);
}

static void read_rope(eagle_keys *in, sx_rope_desc *rope)
{
    sx_gguf_string layout = {"", 0}, scaling = {"", 0};
    const char *name = sx_gguf_source(in->gguf)->name;
    rope->base = 10000;
    get_f32(in, "eagle3.rope.freq_base", false, &rope->base);
    get_f32(in, "eagle3.rope.scaling.factor", false, &rope->factor);
    get_u32(in, "eagle3.rope.scaling.original_context_length", false, &rope->original_context);
    if (in->status == SX_OK)
        in->status = sx_gguf_get_string(in->gguf, "eagle3.rope.scaling.type", false, &scaling, in->error);
    // llama.cpp's converter reorders the rows of q and k so that neighbours turn together, as it does for Llama. Files
    // with named signals are not of its making and keep the order of training.
    rope->layout = sx_gguf_find(in->gguf, "specexit.signals") ? SX_ROPE_HALVES : SX_ROPE_PAIRS;
    if (in->status == SX_OK)
        in->status = sx_gguf_get_string(in->gguf, "specexit.rope.layout", false, &layout, in->error);
    if (in->status != SX_OK) return;
    if (strcmp(layout.data, "halves") == 0)
        rope->layout = SX_ROPE_HALVES;
    else if (layout.length && strcmp(layout.data, "pairs") != 0)
        in->status =
            sx_fail(in->error, SX_ERROR_FORMAT, "%s: key specexit.rope.layout must be \"halves\" or \"pairs\"", name);
    if (strcmp(scaling.data, "linear") == 0)
        rope->scaling = SX_ROPE_LINEAR;
    else if (strcmp(scaling.data, "yarn") == 0)
        rope->scaling = SX_ROPE_YARN;
    else if (scaling.length && strcmp(scaling.data, "none") != 0)
        in->status = sx_fail(in->error, SX_ERROR_UNSUPPORTED,
                             "%s: key eagle3.rope.scaling.type: none, linear and yarn are supported", name);
}

static void read_config(eagle_keys *in, sx_draft_config *config)
{
    get_u32(in, "eagle3.embedding_length", true, &config->hidden);
    get_u32(in, "eagle3.attention.head_count", true, &config->heads);
    get_u32(in, "eagle3.attention.head_count_kv", false, &config->kv_heads);
    get_u32(in, "eagle3.target_hidden_size", false, &config->target_hidden);
    get_u32(in, "eagle3.context_length", false, &config->context);
    get_u32(in, "eagle3.attention.sliding_window", false, &config->window);
    get_u32(in, "eagle3.vocab_size", false, &config->vocabulary);
    get_u32(in, "eagle3.draft_vocab_size", false, &config->draft_vocabulary);
    config->rms_eps = 1e-6f;
    get_f32(in, "eagle3.attention.layer_norm_rms_epsilon", true, &config->rms_eps);
    get_bool(in, "eagle3.norm_before_residual", &config->norm_before_residual);
    get_bool(in, "eagle3.norm_before_fc", &config->norm_before_fc);
    config->norm_output = true;
    get_bool(in, "specexit.norm_output", &config->norm_output);
    get_bool(in, "specexit.feed_back_normed", &config->feed_back_normed);
    const char *key = sx_gguf_find(in->gguf, "eagle3.target_layers") ? "eagle3.target_layers" : "eagle3.extract_layers";
    if (in->status == SX_OK)
        in->status = sx_read_aux_layers(in->gguf, key, &config->aux_count, config->aux_layers, in->error);
    read_rope(in, &config->rope);
    config->rope_factor = 1;
    get_f32(in, "specexit.rope.factor", false, &config->rope_factor);
    if (in->status == SX_OK)
        in->status = sx_gguf_get_floats(in->gguf, "specexit.rope.inv_freq", false, &config->inv_freq, in->error);
    if (in->status == SX_OK && !(config->rope_factor > 0 && config->rope_factor < 100))
        in->status = sx_fail(in->error, SX_ERROR_FORMAT, "%s: key specexit.rope.factor must be positive",
                             sx_gguf_source(in->gguf)->name);
    if (in->status != SX_OK) return;
    const sx_gguf_value *tokens;
    in->status = sx_gguf_get_strings(in->gguf, "tokenizer.ggml.tokens", false, &tokens, in->error);
    if (in->status == SX_OK && tokens && !config->vocabulary && tokens->count <= INT32_MAX)
        config->vocabulary = (uint32_t)tokens->count;
    if (in->status == SX_OK && !(isfinite(config->rms_eps) && config->rms_eps > 0))
        in->status =
            sx_fail(in->error, SX_ERROR_FORMAT, "%s: key eagle3.attention.layer_norm_rms_epsilon must be positive",
                    sx_gguf_source(in->gguf)->name);
}

// Llama 3's frequency divisors, under either of their names.
static sx_status read_divisors(sx_lookup *lookup, sx_draft_config *config, float *divisors, sx_error *error)
{
    static const char *const names[] = {"rope_freqs.weight", "blk.0.rope_freqs.weight"};
    for (int i = 0; i < 2; i++) {
        sx_tensor_entry *entry = sx_lookup_find(lookup, names[i]);
        if (!entry) continue;
        entry->used = true;
        if (!entry->supported || entry->format != SX_FORMAT_F32 || entry->size > SX_MAX_HEAD_DIM / 2 * sizeof *divisors)
            return sx_fail(error, SX_ERROR_FORMAT, "%s: tensor %s must be values of F32, one for each rotating pair",
                           lookup->where, names[i]);
        const sx_status status = sx_source_read(entry->source, entry->offset, divisors, (size_t)entry->size, error);
        if (status != SX_OK) return status;
        config->rope.divisors = divisors;
    }
    return SX_OK;
}

sx_status sx_draft_read_gguf(sx_draft *draft, const sx_draft_options *options, sx_error *error)
{
    const sx_model_files *files = draft->storage->files;
    const sx_gguf *gguf = sx_model_files_metadata(files);
    sx_draft_config config = {
        .layout = SX_DRAFT_GGUF, .fc_norm = SX_OPTIONAL, .absolute_ids = true, .config_name = "its metadata"};
    eagle_keys keys = {gguf, SX_OK, error};
    read_config(&keys, &config);
    sx_status status = keys.status;
    if (status == SX_OK)
        status = sx_read_exit_keys(gguf, &draft->storage->arena, &config.signal_mask, &draft->exit, error);
    if (status == SX_OK) status = read_card(gguf, &draft->storage->arena, &draft->card, error);
    if (status != SX_OK) return status;
    sx_lookup lookup;
    float divisors[SX_MAX_HEAD_DIM / 2];
    for (int i = 0; i < SX_MAX_HEAD_DIM / 2; i++)
        divisors[i] = 1;
    status = sx_lookup_from_gguf(files, &lookup, error);
    if (status != SX_OK) return status;
    status = read_divisors(&lookup, &config, divisors, error);
    if (status == SX_OK) status = sx_draft_assemble(draft, &lookup, &sx_draft_gguf_names, &config, options, error);
    sx_lookup_free(&lookup);
    return status;
}

static sx_status read_signal_head(sx_signal_head *head, const sx_draft_options *options, sx_error *error)
{
    const sx_gguf *gguf = sx_model_files_metadata(head->storage->files);
    const char *name = sx_gguf_source(gguf)->name;
    uint32_t named;
    sx_status status = sx_read_exit_keys(gguf, &head->storage->arena, &named, &head->exit, error);
    if (status == SX_OK) status = read_card(gguf, &head->storage->arena, &head->card, error);
    if (status == SX_OK)
        status = sx_read_aux_layers(gguf, "specexit.target_layers", &head->aux_count, head->aux_layers, error);
    if (status != SX_OK) return status;
    head->aux_default = head->aux_count == 0;
    if (head->aux_default) head->aux_count = 3;
    sx_lookup lookup;
    status = sx_lookup_from_gguf(head->storage->files, &lookup, error);
    if (status != SX_OK) return status;
    sx_lookup_matrix(&lookup, &head->signals, SX_REQUIRED, 0, 0, "signals.weight");
    if (sx_tensor_exists(&head->signals) && head->signals.columns % head->aux_count)
        sx_lookup_problem(&lookup, "signals.weight has %u columns, no multiple of %u states", head->signals.columns,
                          head->aux_count);
    status = sx_lookup_finish(&lookup, error);
    sx_lookup_free(&lookup);
    if (status != SX_OK) return status;
    head->target_hidden = head->signals.columns / head->aux_count;
    return sx_signal_mask_for(name, head->signals.rows, named, options, &head->signal_mask, error);
}

// Takes ownership of `files`.
static sx_status make_signal_head(sx_model_files *files, const sx_draft_options *options, sx_signal_head **out,
                                  sx_error *error)
{
    char printable[80];
    sx_gguf_string architecture = {"", 0};
    const sx_gguf *gguf = sx_model_files_metadata(files);
    const char *name = sx_gguf_source(gguf)->name;
    struct sx_draft_storage *storage = sx_draft_storage_create();
    sx_signal_head *head = storage ? sx_arena_alloc(&storage->arena, sizeof *head) : NULL;
    if (!head) {
        sx_draft_storage_free(storage);
        sx_model_files_close(files);
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory");
    }
    storage->files = files;
    head->storage = storage;
    sx_status status = sx_gguf_get_string(gguf, "general.architecture", true, &architecture, error);
    if (status == SX_OK && strcmp(architecture.data, "specexit-signals") != 0)
        status = sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: is \"%s\", not a signal head (\"specexit-signals\")", name,
                         sx_gguf_printable(architecture, printable));
    if (status == SX_OK) status = read_signal_head(head, options, error);
    if (status == SX_OK)
        *out = head;
    else
        sx_draft_storage_free(storage);
    return status;
}

sx_status sx_signal_head_open(const char *path, const sx_draft_options *options, sx_signal_head **out, sx_error *error)
{
    *out = NULL;
    sx_model_files *files;
    const sx_status status = sx_model_files_open(path, &files, error);
    return status == SX_OK ? make_signal_head(files, options, out, error) : status;
}

sx_status sx_signal_head_from_source(const sx_source *source, const sx_draft_options *options, sx_signal_head **out,
                                     sx_error *error)
{
    *out = NULL;
    sx_model_files *files;
    const sx_status status = sx_model_files_from_sources(&source, 1, &files, error);
    return status == SX_OK ? make_signal_head(files, options, out, error) : status;
}

void sx_signal_head_close(sx_signal_head *head)
{
    if (head) sx_draft_storage_free(head->storage);
}
