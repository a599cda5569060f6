// config.json of a draft: flat Llama keys (EAGLE, AngelSlim, NVIDIA), with an eagle_config (SpecForge), or with the
// layer's settings nested in transformer_layer_config (speculators).
#include "model/draft_parts.h"
#include "model/json.h"

#include <string.h>

typedef struct config_reader {
    const sx_json *outer, *inner; // settings of the draft, and of its layer (the same object where flat)
    const char *where;
    sx_status status;
    sx_error *error;
} config_reader;

// null counts as absent, as in Python's configurations.
static const sx_json *find(const sx_json *object, const char *key)
{
    const sx_json *value = sx_json_find(object, key);
    return value && value->type != SX_JSON_NULL ? value : NULL;
}

static void fail(config_reader *in, const char *key, const char *what)
{
    if (in->status == SX_OK) in->status = sx_fail(in->error, SX_ERROR_FORMAT, "%s: key %s: %s", in->where, key, what);
}

static void get_u32(config_reader *in, const sx_json *object, const char *key, uint32_t *out)
{
    const sx_json *value = find(object, key);
    if (!value) return;
    if (!value->is_integer || value->integer < 1 || value->integer > INT32_MAX)
        fail(in, key, "is no positive integer");
    else
        *out = (uint32_t)value->integer;
}

static void get_f32(config_reader *in, const sx_json *object, const char *key, float *out)
{
    const sx_json *value = find(object, key);
    if (!value) return;
    if (value->type != SX_JSON_NUMBER || !(value->number > 0 && value->number < 1e30))
        fail(in, key, "is no positive number");
    else
        *out = (float)value->number;
}

static bool get_bool(config_reader *in, const sx_json *object, const char *key, bool fallback)
{
    const sx_json *value = find(object, key);
    if (!value) return fallback;
    if (value->type != SX_JSON_BOOL) fail(in, key, "is neither true nor false");
    return value->boolean;
}

static const char *get_string(config_reader *in, const sx_json *object, const char *key, const char *fallback)
{
    const sx_json *value = find(object, key);
    if (!value) return fallback;
    if (value->type == SX_JSON_STRING) return value->string;
    fail(in, key, "is no string");
    return fallback;
}

// Ids that name a layer by its output become the input of the next one.
static void read_aux(config_reader *in, const sx_json *object, bool outputs, sx_draft_config *config)
{
    static const char key[] = "eagle_aux_hidden_state_layer_ids";
    const sx_json *list = find(object, key);
    if (!list || in->status != SX_OK || (list->type == SX_JSON_ARRAY && !list->count)) return;
    if (list->type != SX_JSON_ARRAY || list->count > SX_MAX_AUX) {
        fail(in, key, "is no list of 1 to 8 layers");
        return;
    }
    for (const sx_json *id = list->first; id; id = id->next) {
        if (!id->is_integer || id->integer < (outputs ? -1 : 0) || id->integer > 1024) {
            fail(in, key, "holds an impossible layer");
            return;
        }
        config->aux_layers[config->aux_count++] = (uint32_t)(id->integer + outputs);
    }
}

static void read_scaling_kind(config_reader *in, const sx_json *scaling, sx_rope_desc *rope)
{
    const char *kind = get_string(in, scaling, "rope_type", get_string(in, scaling, "type", "default"));
    const bool has_alpha = find(scaling, "alpha") != NULL;
    if (strcmp(kind, "linear") == 0)
        rope->scaling = SX_ROPE_LINEAR;
    else if (strcmp(kind, "llama3") == 0)
        rope->scaling = SX_ROPE_LLAMA3;
    else if (strcmp(kind, "yarn") == 0)
        rope->scaling = SX_ROPE_YARN;
    else if (strcmp(kind, "dynamic") == 0 || strcmp(kind, "ntk") == 0)
        rope->scaling = has_alpha ? SX_ROPE_NTK : SX_ROPE_PLAIN; // without alpha it scales only behind the context
    else if (strcmp(kind, "default") != 0 && strcmp(kind, "mrope") != 0)
        fail(in, "rope_scaling", "is of a kind that is not supported (linear, llama3, yarn, dynamic are)");
    if (rope->scaling == SX_ROPE_NTK) get_f32(in, scaling, "alpha", &rope->factor);
}

static void read_rope(config_reader *in, sx_draft_config *config)
{
    sx_rope_desc *rope = &config->rope;
    rope->layout = SX_ROPE_HALVES;
    rope->base = 10000;
    const sx_json *parameters = find(in->inner, "rope_parameters");
    get_f32(in, in->inner, "rope_theta", &rope->base);
    get_f32(in, parameters, "rope_theta", &rope->base);
    const sx_json *scaling = find(in->inner, "rope_scaling");
    if (!scaling) scaling = parameters;
    if (!scaling) return;
    get_f32(in, scaling, "factor", &rope->factor);
    get_f32(in, scaling, "low_freq_factor", &rope->low_freq_factor);
    get_f32(in, scaling, "high_freq_factor", &rope->high_freq_factor);
    get_f32(in, scaling, "beta_fast", &rope->beta_fast);
    get_f32(in, scaling, "beta_slow", &rope->beta_slow);
    get_f32(in, scaling, "attention_factor", &rope->attention_factor);
    rope->original_context = config->context;
    get_u32(in, scaling, "original_max_position_embeddings", &rope->original_context);
    read_scaling_kind(in, scaling, rope);
}

// Which layers are windowed is told in one of two ways; a mixture is nothing any published draft has.
static void read_window(config_reader *in, sx_draft_config *config)
{
    uint32_t window = 0;
    get_u32(in, in->inner, "sliding_window", &window);
    const sx_json *types = find(in->inner, "layer_types");
    bool windowed = get_bool(in, in->inner, "use_sliding_window", window != 0);
    if (types && types->type == SX_JSON_ARRAY && types->first) {
        uint32_t count = 0;
        for (const sx_json *type = types->first; type; type = type->next)
            count += type->type == SX_JSON_STRING && strcmp(type->string, "sliding_attention") == 0;
        if (count != 0 && count != types->count)
            fail(in, "layer_types", "mixes windowed and full layers, which is not supported");
        windowed = count != 0;
    }
    if (windowed && !window) fail(in, "sliding_window", "is missing, but the layers are windowed");
    config->window = windowed ? window : 0;
}

static void read_flags(config_reader *in, const sx_json *eagle, sx_draft_config *config)
{
    const sx_json *outer = in->outer;
    config->norm_before_residual =
        get_bool(in, outer, "norm_before_residual", get_bool(in, eagle, "norm_before_residual", false));
    config->norm_before_fc = get_bool(in, outer, "norm_before_fc", get_bool(in, eagle, "norm_before_fc", false));
    const bool fc_norm = get_bool(in, outer, "fc_norm", get_bool(in, eagle, "fc_norm", false));
    config->fc_norm = fc_norm ? SX_REQUIRED : SX_OPTIONAL;
    if (config->norm_before_fc && fc_norm) fail(in, "norm_before_fc", "excludes fc_norm");
    config->norm_output = true;
    if (config->layout == SX_DRAFT_SPECULATORS) {
        config->feed_back_normed = get_bool(in, outer, "norm_output", false);
    } else {
        config->norm_output = get_bool(in, outer, "norm_output", get_bool(in, eagle, "norm_output", true));
    }
}

static void read_sizes(config_reader *in, sx_draft_config *config)
{
    get_u32(in, in->inner, "hidden_size", &config->hidden);
    get_u32(in, in->inner, "num_attention_heads", &config->heads);
    config->kv_heads = config->heads;
    get_u32(in, in->inner, "num_key_value_heads", &config->kv_heads);
    get_u32(in, in->inner, "vocab_size", &config->vocabulary);
    get_u32(in, in->inner, "max_position_embeddings", &config->context);
    get_u32(in, in->outer, "draft_vocab_size", &config->draft_vocabulary);
    get_u32(in, in->outer, "target_hidden_size", &config->target_hidden);
    config->rms_eps = 1e-6f;
    get_f32(in, in->inner, "rms_norm_eps", &config->rms_eps);
    if (!config->heads) fail(in, "num_attention_heads", "is missing");
    const char *activation = get_string(in, in->inner, "hidden_act", "silu");
    if (strcmp(activation, "silu") != 0) fail(in, "hidden_act", "is not silu, which is not supported");
}

sx_status sx_draft_read_config(const sx_json *root, const char *where, sx_draft_config *out, sx_error *error)
{
    *out = (sx_draft_config){.config_name = "config.json"};
    config_reader in = {root, root, where, SX_OK, error};
    if (root->type != SX_JSON_OBJECT) return sx_fail(error, SX_ERROR_FORMAT, "%s: is no JSON object", where);
    const char *kind = get_string(&in, root, "speculators_model_type", NULL);
    const sx_json *eagle = find(root, "eagle_config");
    if (eagle && eagle->type != SX_JSON_OBJECT) fail(&in, "eagle_config", "is no object");
    out->layout = kind ? SX_DRAFT_SPECULATORS : eagle ? SX_DRAFT_SPECFORGE : SX_DRAFT_EAGLE;
    if (kind && strcmp(kind, "eagle3") != 0)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "%s: key speculators_model_type: \"%.60s\" is not supported, eagle3 is", where, kind);
    if (kind) {
        in.inner = find(root, "transformer_layer_config");
        if (!in.inner || in.inner->type != SX_JSON_OBJECT) fail(&in, "transformer_layer_config", "is missing");
    }
    if (in.status == SX_OK) {
        read_sizes(&in, out);
        read_rope(&in, out);
        read_window(&in, out);
        read_flags(&in, eagle, out);
        // Nested ids name outputs (SpecForge, NVIDIA), those at the top inputs (speculators).
        read_aux(&in, eagle, true, out);
        if (!out->aux_count) read_aux(&in, root, false, out);
    }
    return in.status;
}
