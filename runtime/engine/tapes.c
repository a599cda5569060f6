#include "engine/tapes.h"
#include "graph/parts.h"

#include <assert.h>
#include <string.h>

enum { PARTS = 11, MAX_TAPE_KERNELS = 256 };

sx_buffers_size sx_session_size(uint32_t context)
{
    // The rows of a verify pass stand behind the committed tokens, those of all levels of a draft's tree likewise.
    const uint32_t slots = context + SX_MAX_ROWS + SX_MAX_PATH * SX_MAX_BRANCH;
    return (sx_buffers_size){.slots = slots, .reach = slots};
}

static void list_parts(sx_session_buffers *b, const sx_engine *engine, sx_buffer_part parts[PARTS])
{
    const uint64_t vocabulary = engine->hparams.vocabulary;
    const uint64_t aux = sizeof(float) * engine->prefill_limit * b->aux.count * engine->hparams.hidden;
    const uint64_t batches = (engine->prefill_limit + SX_MAX_ROWS - 1) / SX_MAX_ROWS * SX_BATCH_STRIDE;
    const sx_buffer_part list[PARTS] = {
        {&b->aux.out, aux, "auxiliary states"},
        {&b->state, sizeof(SxState), "state"},
        {&b->settings, sizeof(SxSettings) + (vocabulary + 3) / 4 * 4, "settings"},
        {&b->history, sizeof(uint32_t) * b->slots, "history"},
        {&b->counts, sizeof(uint32_t) * vocabulary, "token counts"},
        {&b->logits, sizeof(float) * SX_MAX_ROWS * vocabulary, "logits"},
        {&b->samples, sizeof(SxSample) * SX_MAX_ROWS, "samples"},
        {&b->signals, engine->signal_mask ? sizeof(float) * 4 * SX_MAX_ROWS : 0, "signals"},
        {&b->verify, sizeof(SxBatch), "verify rows"},
        {&b->prefill, batches, "prompt rows"},
        {&b->prefill_draft, batches, "prompt rows of the draft"},
    };
    memcpy(parts, list, sizeof list);
}

static bool with_draft(const sx_engine *engine, const sx_buffers_size *size)
{
    return engine->has_draft && !size->plain;
}

static sx_scratch_size scratch_size(const sx_engine *engine, const sx_buffers_size *size)
{
    sx_scratch_size scratch = {.rows = engine->prefill_limit};
    const uint32_t splits = sx_tape_splits(size->reach, size->reach);
    for (uint32_t i = 0; i < engine->hparams.layers; i++)
        sx_scratch_size_add(&scratch, &engine->target.layers[i], splits, engine->ops.packs);
    for (uint32_t i = 0; with_draft(engine, size) && i < engine->draft.layer_count; i++)
        sx_scratch_size_add(&scratch, &engine->draft.layers[i], splits, engine->ops.packs);
    const uint32_t fused = engine->draft.aux_count * engine->draft.target_hidden;
    if (with_draft(engine, size) && engine->ops.packs && scratch.packed < fused) scratch.packed = fused;
    return scratch;
}

// Without buffers yet: what they are for.
static sx_session_buffers empty_buffers(const sx_engine *engine, const sx_buffers_size *size)
{
    sx_session_buffers buffers = {.slots = size->slots};
    if (!size->plain) buffers.aux = engine->aux;
    return buffers;
}

uint64_t sx_buffers_kv_bytes(const sx_engine *engine, const sx_buffers_size *size)
{
    return sx_kv_bytes(engine->hparams.layers, size->slots, sx_kv_row_bytes(&engine->target.layers[0].shape)) +
           (with_draft(engine, size) ? sx_eagle_kv_bytes(&engine->draft, size->slots) : 0);
}

uint64_t sx_buffers_scratch_bytes(const sx_engine *engine, const sx_buffers_size *size)
{
    sx_session_buffers buffers = empty_buffers(engine, size);
    sx_buffer_part parts[PARTS];
    list_parts(&buffers, engine, parts);
    const sx_scratch_size scratch = scratch_size(engine, size);
    return sx_parts_bytes(parts, PARTS) + sx_scratch_bytes(&scratch) +
           (with_draft(engine, size) ? sx_eagle_buffers_bytes(&engine->draft, engine->prefill_limit) : 0);
}

sx_status sx_session_buffers_create(const sx_engine *engine, const sx_buffers_size *size, sx_session_buffers *out,
                                    sx_error *error)
{
    sx_gpu *gpu = engine->gpu;
    *out = empty_buffers(engine, size);
    sx_buffer_part parts[PARTS];
    list_parts(out, engine, parts);
    sx_status status = sx_parts_create(gpu, parts, PARTS, error);
    const sx_hparams *hparams = &engine->hparams;
    if (status == SX_OK)
        status = sx_kv_create(gpu, hparams->layers, out->slots, sx_kv_row_bytes(&engine->target.layers[0].shape),
                              "keys and values", &out->kv, error);
    const sx_scratch_size scratch = scratch_size(engine, size);
    if (status == SX_OK) status = sx_scratch_create(gpu, &scratch, &out->scratch, error);
    if (status == SX_OK && with_draft(engine, size))
        status = sx_eagle_buffers_create(gpu, &engine->draft, engine->prefill_limit, out->slots, &out->draft, error);
    // The flags never change; settings are written in front of them with every reply.
    if (status == SX_OK)
        status = sx_gpu_write(gpu, out->settings, sizeof(SxSettings), engine->token_flags,
                              ((uint64_t)hparams->vocabulary + 3) / 4 * 4, error);
    if (status != SX_OK) sx_session_buffers_destroy(gpu, out);
    return status;
}

void sx_session_buffers_destroy(sx_gpu *gpu, sx_session_buffers *buffers)
{
    sx_buffer_part parts[PARTS];
    const sx_engine nothing = {0};
    list_parts(buffers, &nothing, parts);
    sx_parts_destroy(gpu, parts, PARTS);
    sx_kv_destroy(gpu, &buffers->kv);
    sx_scratch_destroy(gpu, &buffers->scratch);
    sx_eagle_buffers_destroy(gpu, &buffers->draft);
    memset(buffers, 0, sizeof *buffers);
}

// ---- Recording -----------------------------------------------------------------------------------------------------

static sx_gpu_binding whole_or_none(sx_gpu_buffer *buffer)
{
    return buffer ? sx_whole(buffer) : (sx_gpu_binding){0};
}

static void record_signals(const sx_pass *pass, const sx_engine *engine, const sx_session_buffers *b)
{
    if (!engine->signal_mask) return;
    sx_op_signals(pass->ops, pass->tape, pass->rows, engine->signal_rows, b->aux.count * engine->hparams.hidden,
                  engine->signal_mask, sx_whole(b->aux.out), sx_whole(b->signals));
}

static void record_sample(const sx_pass *pass, const sx_engine *engine, const sx_session_buffers *b, bool greedy)
{
    sx_op_sample(pass->ops, pass->tape, pass->rows,
                 &(sx_sample_args){.logits = sx_whole(b->logits),
                                   .vocabulary = engine->hparams.vocabulary,
                                   .batch = pass->batch,
                                   .settings = sx_whole(b->settings),
                                   .counts = sx_whole(b->counts),
                                   .samples = sx_whole(b->samples),
                                   .greedy = greedy});
}

static void record_logits(const sx_pass *pass, const sx_engine *engine, const sx_session_buffers *b)
{
    sx_target_logits(pass, &engine->target, sx_whole(b->scratch.hidden), sx_whole(b->logits));
}

// extend of the last cycle stands at the end of its tape, where the accepted rows' states still are: a cycle begins
// with the draft's logits for the root already made (by the prefill, the first time).
static void record_cycle(sx_pass *pass, const sx_engine *engine, const sx_session_buffers *b, const sx_tape_key *key)
{
    const sx_gpu_binding state = sx_whole(b->state), settings = sx_whole(b->settings);
    const bool eagle = sx_draft_is_eagle(key->draft);
    if (eagle) sx_eagle_expand(pass, &engine->draft, &b->draft, key->depth, key->branch, settings, state);
    sx_op_select(pass->ops, pass->tape, key->rows,
                 &(sx_select_args){.tree = eagle ? sx_whole(b->draft.tree) : (sx_gpu_binding){0},
                                   .ngram = key->draft == SX_DRAFT_NGRAM ? SX_NGRAM_LONGEST : 0,
                                   .state = state,
                                   .settings = settings,
                                   .history = sx_whole(b->history),
                                   .batch = sx_whole(b->verify)});
    pass->batch = sx_whole(b->verify);
    pass->rows = key->rows;
    sx_target_forward(pass, &engine->target, &b->kv, &b->aux);
    record_logits(pass, engine, b);
    record_sample(pass, engine, b, key->greedy);
    record_signals(pass, engine, b);
    sx_op_accept(pass->ops, pass->tape, key->rows,
                 &(sx_accept_args){.batch = pass->batch,
                                   .samples = sx_whole(b->samples),
                                   .signals = whole_or_none(b->signals),
                                   .settings = settings,
                                   .state = state,
                                   .history = sx_whole(b->history),
                                   .counts = sx_whole(b->counts)});
    if (key->rows > 1) sx_kv_move(pass->ops, pass->tape, &b->kv, &engine->target.layers[0].shape, state);
    if (!eagle) return;
    sx_op_extend_batch(pass->ops, pass->tape, state, sx_whole(b->draft.extend), sx_whole(b->draft.last));
    pass->batch = sx_whole(b->draft.extend);
    if (pass->rows > SX_MAX_PATH) pass->rows = SX_MAX_PATH;
    sx_eagle_extend(pass, &engine->draft, &b->draft, b->aux.out);
}

static void record(sx_pass *pass, const sx_engine *engine, const sx_session_buffers *b, const sx_tape_key *key)
{
    if (key->kind == SX_TAPE_CYCLE) {
        record_cycle(pass, engine, b, key);
        return;
    }
    if (key->kind == SX_TAPE_TREE) {
        sx_eagle_expand(pass, &engine->draft, &b->draft, key->depth, key->branch, sx_whole(b->settings),
                        sx_whole(b->state));
        return;
    }
    pass->batch = sx_whole(b->prefill);
    pass->rows = key->rows;
    sx_target_forward(pass, &engine->target, &b->kv, &b->aux);
    if (key->kind == SX_TAPE_PREFILL) {
        if (!sx_draft_is_eagle(key->draft)) return;
        pass->batch = sx_whole(b->prefill_draft);
        sx_eagle_extend(pass, &engine->draft, &b->draft, b->aux.out);
        return;
    }
    if (key->kind == SX_TAPE_SIGNALS) {
        record_signals(pass, engine, b);
        return;
    }
    record_logits(pass, engine, b);
    if (key->kind == SX_TAPE_RESAMPLE) record_sample(pass, engine, b, key->greedy);
}

uint32_t sx_tape_splits(uint32_t positions, uint32_t slots)
{
    const uint32_t most = (slots + SX_ATTENTION_SPLIT - 1) / SX_ATTENTION_SPLIT;
    uint32_t splits = 4;
    while (splits < most && splits * SX_ATTENTION_SPLIT < positions)
        splits *= 4;
    return splits < most ? splits : most;
}

static bool same_key(const sx_tape_key *a, const sx_tape_key *b)
{
    return a->kind == b->kind && a->splits == b->splits && a->draft == b->draft && a->rows == b->rows &&
           a->depth == b->depth && a->branch == b->branch && a->greedy == b->greedy;
}

sx_tape_key sx_tape_key_for(const sx_tape_key *key, const SxSettings *settings)
{
    sx_tape_key whole = *key;
    whole.greedy = (key->kind == SX_TAPE_CYCLE || key->kind == SX_TAPE_RESAMPLE) && sx_settings_greedy(settings);
    return whole;
}

// Records a tape in the place of the one that was used longest ago.
static sx_status record_tape(const sx_engine *engine, const sx_session_buffers *buffers, sx_tape_cache *cache,
                             const sx_tape_key *key, sx_tape_entry **out, sx_error *error)
{
    static const char *const labels[] = {"prefill", "cycle", "logits", "resample", "signals", "tree"};
    sx_tape_entry *entry = &cache->entry[0];
    for (uint32_t i = 1; i < SX_TAPE_CACHE; i++)
        if (cache->entry[i].used < entry->used) entry = &cache->entry[i];
    sx_gpu_tape_destroy(engine->gpu, entry->tape);
    memset(entry, 0, sizeof *entry);
    const sx_status status = sx_gpu_tape_create(engine->gpu, labels[key->kind], &entry->tape, error);
    if (status != SX_OK) return status;
    entry->key = *key;
    sx_pass pass = {.ops = &engine->ops, .tape = entry->tape, .scratch = &buffers->scratch, .splits = key->splits};
    record(&pass, engine, buffers, key);
    cache->recorded++;
    *out = entry;
    return SX_OK;
}

static void drop_tape(sx_gpu *gpu, sx_tape_entry *entry)
{
    sx_gpu_tape_destroy(gpu, entry->tape);
    memset(entry, 0, sizeof *entry);
}

// Starts making the pipelines of all of them that are not finished.
static sx_status warm_tapes(sx_gpu *gpu, sx_tape_entry *const entries[], uint32_t count, sx_error *error)
{
    sx_kernel kernels[MAX_TAPE_KERNELS];
    uint32_t kernel_count = 0;
    for (uint32_t i = 0; i < count && kernel_count < MAX_TAPE_KERNELS; i++)
        if (!entries[i]->finished)
            kernel_count +=
                sx_gpu_tape_kernels(entries[i]->tape, kernels + kernel_count, MAX_TAPE_KERNELS - kernel_count);
    return sx_gpu_warm(gpu, kernels, kernel_count < MAX_TAPE_KERNELS ? kernel_count : MAX_TAPE_KERNELS, error);
}

// Finishes those that are not, once their pipelines are there.
static sx_status finish_tapes(sx_gpu *gpu, sx_tape_entry *const entries[], uint32_t count, sx_error *error)
{
    sx_status status = sx_gpu_warm_poll(gpu, NULL, error);
    for (uint32_t i = 0; i < count && status == SX_OK; i++) {
        if (entries[i]->finished) continue;
        status = sx_gpu_tape_finish(entries[i]->tape, error);
        entries[i]->finished = status == SX_OK;
    }
    return status;
}

sx_status sx_tapes_get(const sx_engine *engine, const sx_session_buffers *buffers, sx_tape_cache *cache,
                       const sx_tape_key *keys, uint32_t count, sx_gpu_tape **out, sx_error *error)
{
    sx_tape_entry *entries[SX_TAPES_AT_ONCE];
    assert(count <= SX_TAPES_AT_ONCE);
    bool recorded = false, finished = true;
    sx_status status = SX_OK;
    uint32_t found = 0;
    for (; found < count && status == SX_OK; found++) {
        sx_tape_entry *entry = NULL;
        for (uint32_t i = 0; i < SX_TAPE_CACHE && !entry; i++)
            if (cache->entry[i].tape && same_key(&cache->entry[i].key, &keys[found])) entry = &cache->entry[i];
        if (!entry) {
            status = record_tape(engine, buffers, cache, &keys[found], &entry, error);
            if (status != SX_OK) break;
            recorded = true;
        }
        entry->used = ++cache->clock;
        finished = finished && entry->finished;
        entries[found] = entry;
    }
    if (status == SX_OK && recorded) status = warm_tapes(engine->gpu, entries, count, error);
    if (status == SX_OK && !finished) status = finish_tapes(engine->gpu, entries, count, error);
    if (status == SX_PENDING) return status;
    for (uint32_t i = 0; i < found; i++) {
        if (status == SX_OK)
            out[i] = entries[i]->tape;
        else if (!entries[i]->finished)
            drop_tape(engine->gpu, entries[i]);
    }
    return status;
}

sx_status sx_tape_run(const sx_engine *engine, const sx_session_buffers *buffers, sx_tape_cache *cache,
                      const sx_tape_key *key, const sx_gpu_readback *readback, void *destination, sx_error *error)
{
    sx_gpu *gpu = engine->gpu;
    sx_gpu_tape *tape = NULL;
    sx_gpu_ticket ticket;
    sx_status status;
    do
        status = sx_tapes_get(engine, buffers, cache, key, 1, &tape, error);
    while (status == SX_PENDING);
    if (status == SX_OK) status = sx_gpu_submit(gpu, tape, readback, &ticket, error);
    if (status != SX_OK) return status;
    do {
        sx_gpu_wait(gpu, ticket, 100, NULL);
        status = sx_gpu_poll(gpu, ticket, destination, readback ? readback->size : 0, error);
    } while (status == SX_PENDING);
    return status;
}

SxBatch sx_batch_of_rows(const sx_row *rows, uint32_t count, uint32_t slots)
{
    SxBatch batch = {.count = count, .base = SX_DIRECT, .root_is_prompt = 1};
    for (uint32_t i = 0; i < SX_MAX_ROWS; i++) {
        batch.slot[i] = slots - SX_MAX_ROWS + i;
        batch.parent[i] = SX_NONE;
        batch.source[i] = i;
        if (i >= count) continue;
        batch.token[i] = rows[i].token;
        batch.position[i] = rows[i].position;
        batch.first_slot[i] = rows[i].first_slot;
        batch.slot[i] = rows[i].first_slot + rows[i].position;
    }
    return batch;
}

SxBatch sx_batch_of_text(const uint32_t *tokens, uint32_t first, uint32_t count, uint32_t first_slot, uint32_t slots)
{
    sx_row rows[SX_MAX_ROWS];
    if (count > SX_MAX_ROWS) count = SX_MAX_ROWS;
    for (uint32_t i = 0; i < count; i++)
        rows[i] = (sx_row){tokens[first + i], first + i, first_slot};
    return sx_batch_of_rows(rows, count, slots);
}

void sx_tape_cache_clear(sx_gpu *gpu, sx_tape_cache *cache)
{
    for (uint32_t i = 0; i < SX_TAPE_CACHE; i++)
        drop_tape(gpu, &cache->entry[i]);
    cache->clock = 0;
}
