// One draft out of tensors and a configuration, whatever layout they came in.
#include "model/draft_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct assembly {
    sx_draft *draft;
    sx_lookup *lookup;
    const sx_draft_names *names;
    const sx_draft_config *config;
} assembly;

const char *sx_draft_name(char buffer[96], const char *pattern, uint32_t number)
{
    const char *at = strstr(pattern, "%u");
    if (!at) return pattern;
    snprintf(buffer, 96, "%.*s%u%s", (int)(at - pattern), pattern, number, at + 2);
    return buffer;
}

// Rows of a tensor that decides a size; 0 (and a problem) when it is missing or no matrix.
static uint64_t rows_of(assembly *a, const char *name)
{
    const sx_tensor_entry *entry = sx_lookup_find(a->lookup, name);
    if (!entry) {
        sx_lookup_problem(a->lookup, "%.64s is missing", name);
        return 0;
    }
    if (entry->dimensions[2] != 1 || entry->dimensions[3] != 1 || entry->dimensions[1] > INT32_MAX) {
        sx_lookup_problem(a->lookup, "%.64s is no matrix", name);
        return 0;
    }
    return entry->dimensions[1];
}

static uint64_t columns_of(const assembly *a, const char *name)
{
    const sx_tensor_entry *entry = sx_lookup_find(a->lookup, name);
    return entry ? entry->dimensions[0] : 0;
}

// Whether any of a layer's tensors is there, so that a layer with one missing is still seen.
static bool has_layer(assembly *a, uint32_t layer)
{
    const sx_draft_names *n = a->names;
    const char *const patterns[] = {n->q, n->k, n->v, n->o, n->attention_norm, n->ffn_norm, n->gate, n->up, n->down};
    char name[96];
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        if (sx_lookup_find(a->lookup, sx_draft_name(name, patterns[i], layer))) return true;
    return false;
}

static uint32_t count_layers(assembly *a)
{
    uint32_t count = 1;
    if (!strstr(a->names->q, "%u")) return count;
    while (count < SX_DRAFT_LAYERS && has_layer(a, count))
        count++;
    return count;
}

// Sizes that follow from shapes, since published configurations are wrong about them.
static bool derive_sizes(assembly *a)
{
    char name[96];
    sx_draft *draft = a->draft;
    const sx_draft_config *config = a->config;
    const uint64_t hidden = rows_of(a, sx_draft_name(name, a->names->o, 0));
    const uint64_t q_rows = rows_of(a, sx_draft_name(name, a->names->q, 0));
    const uint64_t k_rows = rows_of(a, sx_draft_name(name, a->names->k, 0));
    const uint64_t ffn = rows_of(a, sx_draft_name(name, a->names->gate, 0));
    if (!hidden || !q_rows || !k_rows || !ffn) return false;
    if (config->hidden && config->hidden != hidden) {
        sx_lookup_problem(a->lookup, "%s says hidden size %u, the tensors %llu", config->config_name, config->hidden,
                          (unsigned long long)hidden);
        return false;
    }
    if (!config->heads || q_rows % config->heads) {
        sx_lookup_problem(a->lookup, "%s says %u attention heads, which do not divide the %llu rows of the query",
                          config->config_name, config->heads, (unsigned long long)q_rows);
        return false;
    }
    const uint64_t head_dim = q_rows / config->heads;
    const uint32_t kv_heads = config->kv_heads ? config->kv_heads : config->heads;
    if (k_rows != kv_heads * head_dim || config->heads % kv_heads) {
        sx_lookup_problem(a->lookup, "%s says %u key heads, which do not agree with %llu rows and heads of %llu",
                          config->config_name, kv_heads, (unsigned long long)k_rows, (unsigned long long)head_dim);
        return false;
    }
    draft->hidden = (uint32_t)hidden;
    draft->ffn = (uint32_t)ffn;
    draft->heads = config->heads;
    draft->kv_heads = kv_heads;
    draft->head_dim = (uint32_t)head_dim;
    draft->layers = count_layers(a);
    return true;
}

// The fusion layer tells Ht and the signals.
static void find_fusion(assembly *a, uint32_t *signal_rows)
{
    sx_draft *draft = a->draft;
    const sx_draft_config *config = a->config;
    char name[96];
    draft->aux_count = config->aux_count ? config->aux_count : 3;
    const uint64_t columns = columns_of(a, a->names->fc);
    if (!sx_lookup_matrix(a->lookup, &draft->fc_whole, SX_REQUIRED, 0, columns, a->names->fc)) return;
    draft->target_hidden = config->target_hidden ? config->target_hidden : (uint32_t)(columns / draft->aux_count);
    if (columns != (uint64_t)draft->target_hidden * draft->aux_count)
        sx_lookup_problem(a->lookup, "%s has %llu columns, %u states of %u are wanted", a->names->fc,
                          (unsigned long long)columns, draft->aux_count, draft->target_hidden);
    const uint64_t extra = (uint64_t)draft->fc_whole.rows - draft->hidden;
    if (draft->fc_whole.rows < draft->hidden || (extra != 0 && extra != 1 && extra != 3)) {
        sx_lookup_problem(a->lookup, "%s has %u rows, %u (or 1 or 3 more, for signals) are wanted", a->names->fc,
                          draft->fc_whole.rows, draft->hidden);
        return;
    }
    draft->fc = sx_tensor_rows(&draft->fc_whole, 0, draft->hidden);
    if (extra) draft->signals = sx_tensor_rows(&draft->fc_whole, draft->hidden, (uint32_t)extra);
    *signal_rows = (uint32_t)extra;
    if (a->names->signals && !extra && sx_lookup_find(a->lookup, a->names->signals)) {
        sx_lookup_matrix(a->lookup, &draft->signals, SX_REQUIRED, 0, columns, a->names->signals);
        *signal_rows = draft->signals.rows;
    }
    sx_lookup_vector(a->lookup, &draft->fc_bias, SX_OPTIONAL, draft->fc_whole.rows, a->names->fc_bias);
    if (sx_tensor_exists(&draft->fc_bias) && extra) {
        // A bias over the signals, too, is nothing any published training makes.
        sx_lookup_problem(a->lookup, "%s together with signal rows is not supported", a->names->fc_bias);
    }
    sx_lookup_vector(a->lookup, &draft->input_norm, config->norm_before_fc ? SX_REQUIRED : SX_FORBIDDEN, columns,
                     a->names->input_norm);
    // One norm a state, all or none.
    const bool first = sx_lookup_find(a->lookup, sx_draft_name(name, a->names->fc_norm, 0)) != NULL;
    const sx_presence presence = config->norm_before_fc                    ? SX_FORBIDDEN
                                 : first || config->fc_norm == SX_REQUIRED ? SX_REQUIRED
                                                                           : config->fc_norm;
    for (uint32_t i = 0; i < draft->aux_count; i++)
        sx_lookup_vector(a->lookup, &draft->fc_norm[i], presence, draft->target_hidden,
                         sx_draft_name(name, a->names->fc_norm, i));
}

static void find_layer(assembly *a, uint32_t layer, sx_layer_weights *w)
{
    const sx_draft *draft = a->draft;
    const sx_draft_names *n = a->names;
    sx_lookup *lookup = a->lookup;
    const uint64_t hidden = draft->hidden, input = layer ? hidden : 2 * hidden;
    const uint64_t q = (uint64_t)draft->heads * draft->head_dim, kv = (uint64_t)draft->kv_heads * draft->head_dim;
    char name[96];
    sx_lookup_vector(lookup, &w->attention_norm, SX_REQUIRED, hidden, sx_draft_name(name, n->attention_norm, layer));
    sx_lookup_vector(lookup, &w->hidden_norm, layer ? SX_FORBIDDEN : SX_REQUIRED, hidden,
                     sx_draft_name(name, n->hidden_norm, layer));
    sx_lookup_matrix(lookup, &w->q, SX_REQUIRED, q, input, sx_draft_name(name, n->q, layer));
    sx_lookup_matrix(lookup, &w->k, SX_REQUIRED, kv, input, sx_draft_name(name, n->k, layer));
    sx_lookup_matrix(lookup, &w->v, SX_REQUIRED, kv, input, sx_draft_name(name, n->v, layer));
    sx_lookup_matrix(lookup, &w->o, SX_REQUIRED, hidden, q, sx_draft_name(name, n->o, layer));
    sx_lookup_vector(lookup, &w->q_bias, SX_OPTIONAL, q, sx_draft_name(name, n->q_bias, layer));
    sx_lookup_vector(lookup, &w->k_bias, SX_OPTIONAL, kv, sx_draft_name(name, n->k_bias, layer));
    sx_lookup_vector(lookup, &w->v_bias, SX_OPTIONAL, kv, sx_draft_name(name, n->v_bias, layer));
    sx_lookup_vector(lookup, &w->o_bias, SX_OPTIONAL, hidden, sx_draft_name(name, n->o_bias, layer));
    sx_lookup_vector(lookup, &w->q_norm, SX_OPTIONAL, draft->head_dim, sx_draft_name(name, n->q_norm, layer));
    sx_lookup_vector(lookup, &w->k_norm, sx_tensor_exists(&w->q_norm) ? SX_REQUIRED : SX_FORBIDDEN, draft->head_dim,
                     sx_draft_name(name, n->k_norm, layer));
    sx_lookup_vector(lookup, &w->ffn_norm, SX_REQUIRED, hidden, sx_draft_name(name, n->ffn_norm, layer));
    sx_lookup_matrix(lookup, &w->gate, SX_REQUIRED, draft->ffn, hidden, sx_draft_name(name, n->gate, layer));
    sx_lookup_matrix(lookup, &w->up, SX_REQUIRED, draft->ffn, hidden, sx_draft_name(name, n->up, layer));
    sx_lookup_matrix(lookup, &w->down, SX_REQUIRED, hidden, draft->ffn, sx_draft_name(name, n->down, layer));
}

static void find_vocabulary(assembly *a)
{
    sx_draft *draft = a->draft;
    const sx_draft_config *config = a->config;
    sx_lookup_matrix(a->lookup, &draft->token_embedding, SX_OPTIONAL, 0, draft->hidden, a->names->token_embedding);
    sx_lookup_matrix(a->lookup, &draft->output, SX_OPTIONAL, 0, draft->hidden, a->names->output);
    sx_lookup_vector(a->lookup, &draft->output_norm, SX_REQUIRED, draft->hidden, a->names->output_norm);
    draft->vocabulary = sx_tensor_exists(&draft->token_embedding) ? draft->token_embedding.rows : config->vocabulary;
    draft->draft_vocabulary = sx_tensor_exists(&draft->output) ? draft->output.rows : 0;
    if (config->draft_vocabulary && draft->draft_vocabulary && config->draft_vocabulary != draft->draft_vocabulary)
        sx_lookup_problem(a->lookup, "%s says a draft vocabulary of %u, %s has %u rows", config->config_name,
                          config->draft_vocabulary, a->names->output, draft->draft_vocabulary);
    sx_lookup_ignore(a->lookup, a->names->ignored);
}

// Reads the map of draft ids to target ids as absolute ones; an identity is dropped.
static sx_status read_target_ids(assembly *a, const sx_tensor_entry *entry, sx_error *error)
{
    sx_draft *draft = a->draft;
    const char *where = a->lookup->where;
    const uint64_t count = entry->dimensions[0];
    const bool wide = entry->format == SX_FORMAT_I64;
    if (!draft->draft_vocabulary) // the target's head is used: only an identity makes sense
        draft->draft_vocabulary = draft->vocabulary ? draft->vocabulary : (uint32_t)count;
    void *raw = malloc((size_t)entry->size);
    uint32_t *ids = sx_arena_alloc(&draft->storage->arena, (size_t)count * sizeof *ids);
    if (!raw || !ids) {
        free(raw);
        return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", where);
    }
    sx_status status = sx_source_read(entry->source, entry->offset, raw, (size_t)entry->size, error);
    bool identity = true;
    for (uint64_t i = 0; i < count && status == SX_OK; i++) {
        int64_t id;
        int32_t narrow;
        if (wide)
            memcpy(&id, (const char *)raw + 8 * i, sizeof id);
        else
            memcpy(&narrow, (const char *)raw + 4 * i, sizeof narrow), id = narrow;
        const int64_t limit = draft->vocabulary ? draft->vocabulary : INT32_MAX;
        if (!a->config->absolute_ids && id < limit) id += (int64_t)i; // below the limit, so this cannot overflow
        if (id < 0 || id >= limit)
            status = sx_fail(error, SX_ERROR_FORMAT,
                             "%s: tensor %s: draft id %llu maps to %lld, outside of the vocabulary of %lld", where,
                             entry->name, (unsigned long long)i, (long long)id, (long long)limit);
        else
            ids[i] = (uint32_t)id;
        identity = identity && id == (int64_t)i;
    }
    free(raw);
    if (status == SX_OK && !(identity && (!draft->vocabulary || count == draft->vocabulary))) draft->target_ids = ids;
    return status;
}

static int compare_ids(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

// Two draft ids for one token would split its probability and confuse the tree.
static sx_status check_distinct(const sx_draft *draft, const char *where, sx_error *error)
{
    if (!draft->target_ids) return SX_OK;
    const size_t count = draft->draft_vocabulary;
    uint32_t *sorted = malloc(count * sizeof *sorted);
    if (!sorted) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", where);
    memcpy(sorted, draft->target_ids, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_ids);
    sx_status status = SX_OK;
    for (size_t i = 1; i < count && status == SX_OK; i++)
        if (sorted[i] == sorted[i - 1])
            status = sx_fail(error, SX_ERROR_FORMAT, "%s: tensor d2t: two draft ids map to token %u", where, sorted[i]);
    free(sorted);
    return status;
}

static sx_status find_target_ids(assembly *a, sx_error *error)
{
    sx_draft *draft = a->draft;
    sx_tensor_entry *entry = sx_lookup_find(a->lookup, a->names->target_ids);
    if (!entry) {
        if (draft->draft_vocabulary && draft->vocabulary && draft->draft_vocabulary != draft->vocabulary)
            sx_lookup_problem(a->lookup, "%s is missing (the draft knows %u of %u tokens)", a->names->target_ids,
                              draft->draft_vocabulary, draft->vocabulary);
        return SX_OK;
    }
    entry->used = true;
    const uint64_t wanted = draft->draft_vocabulary ? draft->draft_vocabulary : draft->vocabulary;
    if (entry->dimension_count != 1 || !entry->supported ||
        (entry->format != SX_FORMAT_I64 && entry->format != SX_FORMAT_I32) ||
        (wanted && entry->dimensions[0] != wanted) || entry->dimensions[0] > 1u << 24) {
        sx_lookup_problem(a->lookup, "%s must be %llu integers", entry->name, (unsigned long long)wanted);
        return SX_OK;
    }
    const sx_status status = read_target_ids(a, entry, error);
    return status == SX_OK ? check_distinct(draft, a->lookup->where, error) : status;
}

sx_status sx_signal_mask_for(const char *where, uint32_t rows, uint32_t named, const sx_draft_options *options,
                             uint32_t *mask, sx_error *error)
{
    const uint32_t all = SX_DRAFT_SIGNAL_CONFIDENCE | SX_DRAFT_SIGNAL_PROGRESS | SX_DRAFT_SIGNAL_REMAIN;
    const uint32_t chosen = options ? (uint32_t)options->single_signal : 0;
    *mask = 0;
    if (rows == 0) return SX_OK;
    if (rows == 3) {
        if (named && named != all)
            return sx_fail(error, SX_ERROR_FORMAT,
                           "%s: key specexit.signals does not name the three signals it has rows for", where);
        *mask = all;
        return SX_OK;
    }
    *mask = named ? named : chosen;
    if (rows == 1 &&
        (*mask == SX_DRAFT_SIGNAL_CONFIDENCE || *mask == SX_DRAFT_SIGNAL_PROGRESS || *mask == SX_DRAFT_SIGNAL_REMAIN))
        return SX_OK;
    return sx_fail(error, SX_ERROR_FORMAT,
                   "%s: has %u signal row%s and does not say which signal it is; say confidence, progress or remain",
                   where, rows, rows == 1 ? "" : "s");
}

static void copy_settings(sx_draft *draft, const sx_draft_config *config)
{
    draft->layout = config->layout;
    draft->context = config->context;
    draft->window = config->window;
    draft->rms_eps = config->rms_eps;
    draft->aux_default = config->aux_count == 0;
    memcpy(draft->aux_layers, config->aux_layers, sizeof draft->aux_layers);
    draft->norm_before_fc = config->norm_before_fc;
    draft->norm_before_residual = config->norm_before_residual;
    draft->norm_output = config->norm_output;
    draft->feed_back_normed = config->feed_back_normed;
}

static sx_status make_rope(sx_draft *draft, const char *where, const sx_draft_config *config, sx_error *error)
{
    sx_rope_desc desc = config->rope;
    desc.head_dim = draft->head_dim;
    const sx_status status = sx_rope_make(&desc, where, &draft->rope, error);
    if (status != SX_OK || !config->inv_freq) return status;
    if (config->inv_freq->count != draft->head_dim / 2)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: key specexit.rope.inv_freq must have %u values", where,
                       draft->head_dim / 2);
    for (uint32_t i = 0; i < draft->head_dim / 2; i++) {
        const double frequency = sx_gguf_number_at(config->inv_freq, i);
        if (!(frequency > 0 && frequency <= 1e6))
            return sx_fail(error, SX_ERROR_FORMAT, "%s: key specexit.rope.inv_freq: value %u is not positive", where,
                           i);
        draft->rope.inv_freq[i] = (float)frequency;
    }
    draft->rope.factor = config->rope_factor;
    return SX_OK;
}

sx_status sx_draft_assemble(sx_draft *draft, sx_lookup *lookup, const sx_draft_names *names,
                            const sx_draft_config *config, const sx_draft_options *options, sx_error *error)
{
    assembly a = {draft, lookup, names, config};
    uint32_t signal_rows = 0;
    copy_settings(draft, config);
    draft->output_norm = (sx_tensor_ref){0};
    sx_status status = SX_OK;
    if (derive_sizes(&a)) {
        find_fusion(&a, &signal_rows);
        draft->layer_weights = sx_arena_alloc(&draft->storage->arena, draft->layers * sizeof *draft->layer_weights);
        if (!draft->layer_weights) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", lookup->where);
        for (uint32_t i = 0; i < draft->layers; i++)
            find_layer(&a, i, &draft->layer_weights[i]);
        find_vocabulary(&a);
        status = find_target_ids(&a, error);
        if (status != SX_OK) return status;
    } else {
        for (size_t i = 0; i < lookup->count; i++)
            lookup->entries[i].used = true; // without sizes nothing else can be judged
    }
    status = sx_lookup_finish(lookup, error);
    if (status != SX_OK) return status;
    status = make_rope(draft, lookup->where, config, error);
    if (status != SX_OK) return status;
    draft->attention_scale = 1 / sqrtf((float)draft->head_dim);
    return sx_signal_mask_for(lookup->where, signal_rows, config->signal_mask, options, &draft->signal_mask, error);
}
