// Opening drafts of every kind, and pairing them with a target.
#include "model/draft.h"

#include "base/platform.h"
#include "model/draft_parts.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sx_draft_storage *sx_draft_storage_create(void)
{
    return calloc(1, sizeof(struct sx_draft_storage));
}

void sx_draft_storage_free(struct sx_draft_storage *storage)
{
    if (!storage) return;
    sx_model_files_close(storage->files);
    for (size_t i = 0; i < storage->opened_count; i++)
        sx_file_close(storage->opened[i]);
    sx_arena_free(&storage->arena);
    free(storage);
}

void sx_draft_close(sx_draft *draft)
{
    if (draft) sx_draft_storage_free(draft->storage); // the draft itself lives in there
}

static sx_status create(const char *name, sx_draft **out, sx_error *error)
{
    struct sx_draft_storage *storage = sx_draft_storage_create();
    sx_draft *draft = storage ? sx_arena_alloc(&storage->arena, sizeof *draft) : NULL;
    char *copy = draft ? sx_arena_string(&storage->arena, name, strlen(name)) : NULL;
    if (!copy) {
        sx_draft_storage_free(storage);
        return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", name);
    }
    draft->name = copy;
    draft->storage = storage;
    draft->exit = (sx_exit_defaults){NAN, NAN, NAN, NAN, NULL};
    *out = draft;
    return SX_OK;
}

static sx_status finish(sx_draft *draft, sx_status status, sx_draft **out)
{
    if (status == SX_OK)
        *out = draft;
    else
        sx_draft_close(draft);
    return status;
}

static sx_status check_gguf(const sx_gguf *gguf, sx_error *error)
{
    char printable[80];
    sx_gguf_string name = {"", 0};
    const sx_status status = sx_gguf_get_string(gguf, "general.architecture", true, &name, error);
    if (status != SX_OK || strcmp(name.data, "eagle3") == 0) return status;
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: architecture \"%s\" is no draft that is supported (eagle3 is)",
                   sx_gguf_source(gguf)->name, sx_gguf_printable(name, printable));
}

static sx_status read_gguf(sx_draft *draft, const sx_draft_options *options, sx_error *error)
{
    const sx_status status = check_gguf(sx_model_files_metadata(draft->storage->files), error);
    return status == SX_OK ? sx_draft_read_gguf(draft, options, error) : status;
}

static bool begins_with_gguf(const sx_source *source)
{
    char magic[4] = "";
    return source->size >= 4 && source->read_at(source->user, 0, magic, 4) && memcmp(magic, "GGUF", 4) == 0;
}

// A folder, or a weights file with its config.json beside it.
static sx_status open_checkpoint(sx_draft *draft, const char *path, const sx_draft_options *options, sx_error *error)
{
    sx_checkpoint_files files = {.where = draft->name, .storage = draft->storage};
    if (sx_platform_is_folder(path)) {
        files.folder = path;
        return sx_draft_read_checkpoint(draft, &files, options, error);
    }
    files.weights = sx_platform_file_name(path);
    const size_t folder = (size_t)(files.weights - path);
    files.folder = folder ? sx_arena_string(&draft->storage->arena, path, folder) : ".";
    if (!files.folder) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", path);
    return sx_draft_read_checkpoint(draft, &files, options, error);
}

sx_status sx_draft_open(const char *path, const sx_draft_options *options, sx_draft **out, sx_error *error)
{
    assert(path && out);
    *out = NULL;
    sx_draft *draft;
    sx_status status = create(path, &draft, error);
    if (status != SX_OK) return status;
    if (sx_platform_is_folder(path)) return finish(draft, open_checkpoint(draft, path, options, error), out);
    sx_file *file;
    status = sx_file_open(path, &file, error);
    if (status != SX_OK) return finish(draft, status, out);
    const bool gguf = begins_with_gguf(sx_file_source(file));
    sx_file_close(file);
    if (!gguf) return finish(draft, open_checkpoint(draft, path, options, error), out);
    status = sx_model_files_open(path, &draft->storage->files, error);
    if (status == SX_OK) status = read_gguf(draft, options, error);
    return finish(draft, status, out);
}

sx_status sx_draft_from_sources(const sx_source *const *sources, size_t count, const sx_draft_options *options,
                                sx_draft **out, sx_error *error)
{
    assert(sources && count > 0 && out);
    *out = NULL;
    sx_draft *draft;
    sx_status status = create(sources[0]->name, &draft, error);
    if (status != SX_OK) return status;
    if (begins_with_gguf(sources[0])) {
        status = sx_model_files_from_sources(sources, count, &draft->storage->files, error);
        if (status == SX_OK) status = read_gguf(draft, options, error);
        return finish(draft, status, out);
    }
    sx_checkpoint_files files = {
        .where = draft->name, .sources = sources, .source_count = count, .storage = draft->storage};
    return finish(draft, sx_draft_read_checkpoint(draft, &files, options, error), out);
}

uint32_t sx_default_aux_layers(uint32_t layers, uint32_t aux_layers[SX_MAX_AUX])
{
    const bool small = layers < 8; // where 2 and L-3 would meet
    aux_layers[0] = small ? layers > 1 : 2;
    aux_layers[1] = layers / 2;
    aux_layers[2] = small ? layers - 1 : layers - 3;
    return 3;
}

// The inputs of layers 2, L/2 and L-3 where a file names none.
static sx_status settle_aux_layers(const char *name, bool *aux_default, uint32_t aux_count, uint32_t *aux_layers,
                                   const sx_hparams *target, const char *target_name, sx_error *error)
{
    if (*aux_default) {
        if (aux_count != 3 || target->layers < 4)
            return sx_fail(error, SX_ERROR_MISMATCH,
                           "%s: does not say which layers of the target it reads, and %s has %u", name, target_name,
                           target->layers);
        aux_layers[0] = 2;
        aux_layers[1] = target->layers / 2;
        aux_layers[2] = target->layers - 3;
        *aux_default = false;
    }
    for (uint32_t i = 0; i < aux_count; i++)
        if (aux_layers[i] > target->layers)
            return sx_fail(error, SX_ERROR_MISMATCH, "%s: reads layer %u of the target, but %s has only %u", name,
                           aux_layers[i], target_name, target->layers);
    return SX_OK;
}

sx_status sx_draft_bind(sx_draft *draft, const sx_hparams *target, const char *target_name, sx_error *error)
{
    const char *name = draft->name;
    if (draft->target_hidden != target->hidden)
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "%s: is made for a target with hidden size %u, %s has %u; they do not belong together", name,
                       draft->target_hidden, target_name, target->hidden);
    const bool borrows = !sx_tensor_exists(&draft->token_embedding) || !sx_tensor_exists(&draft->output);
    if (borrows && draft->hidden != target->hidden)
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "%s: has no embedding or head of its own, and its hidden size %u is not %s's, %u", name,
                       draft->hidden, target_name, target->hidden);
    if (sx_tensor_exists(&draft->token_embedding) && draft->vocabulary < target->vocabulary)
        return sx_fail(error, SX_ERROR_MISMATCH, "%s: knows %u tokens, %s has %u; they do not belong together", name,
                       draft->vocabulary, target_name, target->vocabulary);
    if (!sx_tensor_exists(&draft->output) && draft->target_ids)
        return sx_fail(error, SX_ERROR_MISMATCH, "%s: has a map of tokens, but no head of its own to use it with",
                       name);
    if (!sx_tensor_exists(&draft->output)) draft->draft_vocabulary = target->vocabulary;
    if (!draft->target_ids && draft->draft_vocabulary > target->vocabulary)
        return sx_fail(error, SX_ERROR_MISMATCH, "%s: drafts %u tokens, %s has only %u", name, draft->draft_vocabulary,
                       target_name, target->vocabulary);
    for (uint32_t i = 0; draft->target_ids && i < draft->draft_vocabulary; i++)
        if (draft->target_ids[i] >= target->vocabulary)
            return sx_fail(error, SX_ERROR_MISMATCH, "%s: drafts token %u, %s has only %u", name, draft->target_ids[i],
                           target_name, target->vocabulary);
    draft->vocabulary = target->vocabulary;
    return settle_aux_layers(name, &draft->aux_default, draft->aux_count, draft->aux_layers, target, target_name,
                             error);
}

sx_status sx_signal_head_bind(sx_signal_head *head, const sx_hparams *target, const char *target_name, sx_error *error)
{
    const char *name = sx_model_files_name(head->storage->files);
    if (head->target_hidden != target->hidden)
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "%s: is made for a target with hidden size %u, %s has %u; they do not belong together", name,
                       head->target_hidden, target_name, target->hidden);
    return settle_aux_layers(name, &head->aux_default, head->aux_count, head->aux_layers, target, target_name, error);
}
