// Drafts as PyTorch checkpoints: config.json beside safetensors files or pytorch_model.bin.
#include "base/platform.h"
#include "model/checkpoint.h"
#include "model/draft_parts.h"
#include "model/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMON_NAMES                                                                                                   \
    .fc = "fc.weight", .fc_bias = "fc.bias", .fc_norm = "fc_norm.%u.weight", .input_norm = "input_norm.weight",        \
    .token_embedding = "embed_tokens.weight", .output_norm = "norm.weight", .output = "lm_head.weight",                \
    .target_ids = "d2t", .ignored = "t2d"

#define LAYER_NAMES(prefix)                                                                                            \
    .attention_norm = prefix "input_layernorm.weight", .hidden_norm = prefix "hidden_norm.weight",                     \
    .q = prefix "self_attn.q_proj.weight", .k = prefix "self_attn.k_proj.weight",                                      \
    .v = prefix "self_attn.v_proj.weight", .o = prefix "self_attn.o_proj.weight",                                      \
    .q_bias = prefix "self_attn.q_proj.bias", .k_bias = prefix "self_attn.k_proj.bias",                                \
    .v_bias = prefix "self_attn.v_proj.bias", .o_bias = prefix "self_attn.o_proj.bias",                                \
    .q_norm = prefix "self_attn.q_norm.weight", .k_norm = prefix "self_attn.k_norm.weight",                            \
    .ffn_norm = prefix "post_attention_layernorm.weight", .gate = prefix "mlp.gate_proj.weight",                       \
    .up = prefix "mlp.up_proj.weight", .down = prefix "mlp.down_proj.weight"

static const sx_draft_names midlayer_names = {COMMON_NAMES, LAYER_NAMES("midlayer.")};
static const sx_draft_names layers_names = {COMMON_NAMES, LAYER_NAMES("layers.%u.")};

static sx_status open_in_folder(sx_checkpoint_files *files, const char *name, const sx_source **out, sx_error *error)
{
    const size_t length = strlen(files->folder) + strlen(name) + 2;
    char *path = sx_arena_alloc(&files->storage->arena, length);
    if (!path) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", files->where);
    snprintf(path, length, "%s/%s", files->folder, name);
    if (!sx_platform_exists(path)) return SX_OK;
    if (files->storage->opened_count == SX_DRAFT_FILES)
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: consists of more than %d files", files->where, SX_DRAFT_FILES);
    sx_file *file;
    const sx_status status = sx_file_open(path, &file, error);
    if (status != SX_OK) return status;
    files->storage->opened[files->storage->opened_count++] = file;
    *out = sx_file_source(file);
    return SX_OK;
}

sx_status sx_checkpoint_find(sx_checkpoint_files *files, const char *name, const sx_source **out, sx_error *error)
{
    *out = NULL;
    if (files->folder) return open_in_folder(files, name, out, error);
    for (size_t i = 0; i < files->source_count; i++)
        if (strcmp(sx_platform_file_name(files->sources[i]->name), name) == 0) *out = files->sources[i];
    return SX_OK;
}

// Zip archives begin with "PK"; everything else is taken for safetensors.
static sx_status read_weights(const sx_source *source, sx_arena *arena, sx_entry_list *list, sx_error *error)
{
    char magic[4] = "";
    if (source->size >= 4) {
        const sx_status status = sx_source_read(source, 0, magic, 4, error);
        if (status != SX_OK) return status;
    }
    if (memcmp(magic, "PK\3\4", 4) == 0) return sx_torch_read(source, arena, list, error);
    if ((unsigned char)magic[0] == 0x80 && (unsigned char)magic[1] <= 5 && (unsigned char)magic[1] >= 2 &&
        magic[2] != 0)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "%s: is in the format PyTorch had before 1.6; save it again or convert it to safetensors",
                       source->name);
    return sx_safetensors_read(source, arena, list, error);
}

static sx_status read_json_file(const sx_source *source, sx_arena *arena, const sx_json **out, sx_error *error)
{
    char *text;
    const sx_status status = sx_read_metadata(source, 0, source->size, "a JSON file", arena, &text, error);
    return status == SX_OK ? sx_json_parse(text, (size_t)source->size, source->name, arena, out, error) : status;
}

// Reads one shard and checks that it holds exactly the tensors the index puts there.
static sx_status read_shard(sx_checkpoint_files *files, const sx_json *map, const char *name, const char *index_name,
                            sx_entry_list *list, sx_error *error)
{
    const sx_source *source;
    sx_status status = sx_checkpoint_find(files, name, &source, error);
    if (status == SX_OK && !source)
        status = sx_fail(error, SX_ERROR_FILE, "%s: the part %.100s, which %s names, is missing", files->where, name,
                         index_name);
    const size_t first = list->count;
    if (status == SX_OK) status = read_weights(source, &files->storage->arena, list, error);
    if (status != SX_OK) return status;
    for (size_t i = first; i < list->count; i++) {
        const sx_json *place = sx_json_find(map, list->entries[i].name);
        if (!place || place->type != SX_JSON_STRING || strcmp(place->string, name) != 0)
            return sx_fail(error, SX_ERROR_FORMAT, "%s: tensor %.100s: is in %.100s, where %s does not put it",
                           files->where, list->entries[i].name, name, index_name);
    }
    return SX_OK;
}

static sx_status read_sharded(sx_checkpoint_files *files, const sx_source *index, sx_entry_list *list, sx_error *error)
{
    const sx_json *root;
    const char *index_name = sx_platform_file_name(index->name);
    sx_status status = read_json_file(index, &files->storage->arena, &root, error);
    if (status != SX_OK) return status;
    const sx_json *map = sx_json_find(root, "weight_map");
    if (!map || map->type != SX_JSON_OBJECT || !map->count)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: has no weight_map", index->name);
    const char *shards[SX_DRAFT_FILES];
    size_t count = 0;
    for (const sx_json *m = map->first; m && status == SX_OK; m = m->next) {
        if (m->type != SX_JSON_STRING || !*m->string || strchr(m->string, '/') || strchr(m->string, '\\'))
            return sx_fail(error, SX_ERROR_FORMAT, "%s: the place of tensor %.100s is no file name", index->name,
                           m->key);
        size_t i = 0;
        while (i < count && strcmp(shards[i], m->string) != 0)
            i++;
        if (i < count) continue;
        if (count == SX_DRAFT_FILES)
            return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: names too many parts", index->name);
        shards[count++] = m->string;
        status = read_shard(files, map, m->string, index_name, list, error);
    }
    if (status != SX_OK) return status;
    if (list->count != map->count)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: names %u tensors, its parts hold %zu", index->name, map->count,
                       list->count);
    return SX_OK;
}

// Whatever form the weights are there in, the usual ones first.
static sx_status read_any_weights(sx_checkpoint_files *files, sx_entry_list *list, sx_error *error)
{
    static const char *const names[] = {"model.safetensors.index.json", "model.safetensors",
                                        "pytorch_model.bin.index.json", "pytorch_model.bin"};
    const sx_source *source = NULL;
    for (int i = 0; i < 4; i++) {
        const char *name = files->weights ? files->weights : names[i];
        const sx_status status = sx_checkpoint_find(files, name, &source, error);
        if (status != SX_OK) return status;
        if (!source) continue;
        const size_t length = strlen(name);
        if (length > 5 && strcmp(name + length - 5, ".json") == 0) return read_sharded(files, source, list, error);
        return read_weights(source, &files->storage->arena, list, error);
    }
    return sx_fail(error, SX_ERROR_FILE, "%s: holds no model.safetensors and no pytorch_model.bin", files->where);
}

// True where the tensors are of the kind `prefix`.
static bool has_prefix(const sx_lookup *lookup, const char *prefix)
{
    for (size_t i = 0; i < lookup->count; i++)
        if (strncmp(lookup->entries[i].name, prefix, strlen(prefix)) == 0) return true;
    return false;
}

static sx_status read_config_file(sx_checkpoint_files *files, sx_draft_config *config, sx_error *error)
{
    const sx_source *source;
    const sx_json *root;
    sx_status status = sx_checkpoint_find(files, "config.json", &source, error);
    if (status != SX_OK) return status;
    if (!source) return sx_fail(error, SX_ERROR_FILE, "%s: config.json is missing beside the weights", files->where);
    status = read_json_file(source, &files->storage->arena, &root, error);
    if (status != SX_OK) return status;
    return sx_draft_read_config(root, source->name, config, error);
}

sx_status sx_draft_read_checkpoint(sx_draft *draft, sx_checkpoint_files *files, const sx_draft_options *options,
                                   sx_error *error)
{
    sx_draft_config config = {0};
    sx_entry_list list = {0};
    sx_lookup lookup;
    sx_status status = read_config_file(files, &config, error);
    if (status == SX_OK) status = read_any_weights(files, &list, error);
    if (status != SX_OK) {
        free(list.entries);
        return status;
    }
    status = sx_lookup_from_entries(draft->name, list.entries, list.count, &lookup, error);
    if (status != SX_OK) return status;
    const sx_draft_names *names = has_prefix(&lookup, "layers.") ? &layers_names : &midlayer_names;
    status = sx_draft_assemble(draft, &lookup, names, &config, options, error);
    sx_lookup_free(&lookup);
    return status;
}
