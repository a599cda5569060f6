// Many replies at a time: sequences side by side in the same keys and values, sequence i in slots from i * context on,
// and one forward pass with a row of each. The device makes samples; the host takes them the way accept.comp does.
#include "engine/session.h"
#include "specexit_signals.h"

#include <stdlib.h>
#include <string.h>

enum { USUAL = 8 };
_Static_assert(SX_BATCH_MOST == SX_MAX_ROWS, "a row each");

typedef struct sequence {
    bool running, complete;
    uint32_t *tokens;  // [context + 1]
    uint32_t *choices; // [context + 1]
    uint32_t choice_count;
    SxSettings settings;
    SxState state;
} sequence;

struct sx_batch {
    sx_engine *engine;
    uint32_t count, context;
    sx_session_buffers buffers;
    sx_tape_cache tapes;
    sequence sequences[SX_BATCH_MOST];
    SxSettings settings; // on the device: those of all sequences, but for where they end
};

// ---- Memory --------------------------------------------------------------------------------------------------------

static sx_buffers_size size_of(uint32_t count, uint32_t context)
{
    return (sx_buffers_size){.slots = count * context + SX_MAX_ROWS, .reach = context, .plain = true};
}

uint64_t sx_batch_bytes(const sx_engine *engine, uint32_t sequences, uint64_t *free_bytes)
{
    const sx_buffers_size size = size_of(sequences, engine->context);
    if (free_bytes) *free_bytes = sx_engine_memory_budget(engine->gpu);
    return sx_buffers_kv_bytes(engine, &size) + sx_buffers_scratch_bytes(engine, &size);
}

uint32_t sx_batch_usual(const sx_engine *engine)
{
    uint64_t free_bytes;
    uint32_t sequences = USUAL;
    if (sx_gpu_get_info(engine->gpu)->kind == SX_GPU_CPU || !engine->info.bitwise_lossless) return 1;
    while (sequences > 1 && sx_batch_bytes(engine, sequences, &free_bytes) > free_bytes && free_bytes)
        sequences /= 2;
    return sequences;
}

static sx_status check_memory(const sx_engine *engine, uint32_t sequences, sx_error *error)
{
    uint64_t free_bytes;
    const uint64_t bytes = sx_batch_bytes(engine, sequences, &free_bytes);
    if (!free_bytes || bytes <= free_bytes) return SX_OK;
    uint32_t fitting = sequences;
    while (fitting && sx_batch_bytes(engine, fitting, NULL) > free_bytes)
        fitting--;
    return sx_fail(error, SX_ERROR_GPU_MEMORY,
                   "%u sequences of %u tokens need %llu MiB, the device has %llu MiB free: %u fit; take fewer, or a "
                   "smaller context",
                   sequences, engine->context, (unsigned long long)((bytes + (1u << 20) - 1) >> 20),
                   (unsigned long long)(free_bytes >> 20), fitting);
}

// ---- Life ----------------------------------------------------------------------------------------------------------

sx_status sx_batch_create(sx_engine *engine, uint32_t sequences, sx_batch **out, sx_error *error)
{
    *out = NULL;
    if (engine->load) return sx_fail(error, SX_ERROR_BUSY, "the model is still being loaded");
    if (!sequences || sequences > SX_BATCH_MOST)
        return sx_fail(error, SX_ERROR_ARGUMENT, "sequences: %u asked for, 1 to %d are possible", sequences,
                       SX_BATCH_MOST);
    if ((uint64_t)sequences * engine->context > UINT32_MAX / 2)
        return sx_fail(error, SX_ERROR_ARGUMENT, "sequences: %u of %u tokens are more than can be counted", sequences,
                       engine->context);
    sx_status status = check_memory(engine, sequences, error);
    if (status != SX_OK) return status;
    sx_batch *batch = calloc(1, sizeof *batch);
    if (!batch) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for %u sequences", sequences);
    batch->engine = engine;
    batch->context = engine->context;
    for (; batch->count < sequences && status == SX_OK; batch->count++) {
        sequence *s = &batch->sequences[batch->count];
        s->tokens = malloc(((size_t)batch->context + 1) * sizeof *s->tokens);
        s->choices = malloc(((size_t)batch->context + 1) * sizeof *s->choices);
        if (!s->tokens || !s->choices) status = sx_fail(error, SX_ERROR_MEMORY, "out of memory for sequences");
    }
    const sx_buffers_size size = size_of(sequences, batch->context);
    if (status == SX_OK) status = sx_session_buffers_create(engine, &size, &batch->buffers, error);
    if (status != SX_OK) {
        sx_batch_destroy(batch);
        return status;
    }
    *out = batch;
    return SX_OK;
}

void sx_batch_destroy(sx_batch *batch)
{
    if (!batch) return;
    sx_tape_cache_clear(batch->engine->gpu, &batch->tapes);
    sx_session_buffers_destroy(batch->engine->gpu, &batch->buffers);
    for (uint32_t i = 0; i < batch->count; i++) {
        free(batch->sequences[i].tokens);
        free(batch->sequences[i].choices);
    }
    free(batch);
}

// ---- Adding --------------------------------------------------------------------------------------------------------

uint32_t sx_batch_running(const sx_batch *batch)
{
    uint32_t running = 0;
    for (uint32_t i = 0; i < batch->count; i++)
        running += batch->sequences[i].running;
    return running;
}

sx_status sx_batch_check(const sx_generate_desc *desc, sx_error *error)
{
    const sx_sampling *sampling = &desc->sampling;
    if (desc->policy.kind != SX_POLICY_NONE)
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "many sequences: they are written with the policy none");
    if (sampling->presence_penalty != 0 || sampling->frequency_penalty != 0 ||
        (sampling->repetition_penalty != 0 && sampling->repetition_penalty != 1))
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "many sequences: penalties count the tokens of one reply; take one at a time");
    if (desc->when_full != SX_FULL_REFUSE)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "many sequences: a full context ends a reply; take one at a time to shift it");
    return SX_OK;
}

// The device's settings are all sequences'; where a reply ends is the host's business.
static sx_status share_settings(sx_batch *batch, const SxSettings *settings, sx_error *error)
{
    SxSettings shared = *settings;
    shared.end_position = batch->context;
    if (!memcmp(&shared, &batch->settings, sizeof shared)) return SX_OK;
    if (sx_batch_running(batch))
        return sx_fail(error, SX_ERROR_ARGUMENT,
                       "many sequences: replies that run together share sampling, seed and policy");
    batch->settings = shared;
    return sx_gpu_write(batch->engine->gpu, batch->buffers.settings, 0, &shared, sizeof shared, error);
}

// Reads the first `count` tokens.
static sx_status read_prompt(sx_batch *batch, uint32_t place, uint32_t count, sx_error *error)
{
    const sequence *s = &batch->sequences[place];
    const uint32_t first_slot = place * batch->context;
    sx_status status = SX_OK;
    for (uint32_t done = 0, rows; done < count && status == SX_OK; done += rows) {
        rows = sx_prefill_rows(batch->engine, count - done);
        const uint32_t end = done + rows < count ? done + rows : count;
        for (uint32_t i = 0; i < rows && status == SX_OK; i += SX_MAX_ROWS) {
            const uint32_t left = done + i < end ? end - done - i : 0;
            const SxBatch batch_rows = sx_batch_of_text(s->tokens, done + i, left, first_slot, batch->buffers.slots);
            status = sx_gpu_write(batch->engine->gpu, batch->buffers.prefill,
                                  (uint64_t)i / SX_MAX_ROWS * SX_BATCH_STRIDE, &batch_rows, sizeof batch_rows, error);
        }
        const sx_tape_key key = {.kind = SX_TAPE_PREFILL,
                                 .splits = sx_tape_splits(end, batch->context),
                                 .draft = SX_DRAFT_NONE,
                                 .rows = rows};
        if (status == SX_OK)
            status = sx_tape_run(batch->engine, &batch->buffers, &batch->tapes, &key, NULL, NULL, error);
    }
    return status;
}

static sx_status start(sx_batch *batch, uint32_t place, const sx_generate_desc *desc, const sx_prompt_tokens *prompt,
                       sx_error *error)
{
    sequence *s = &batch->sequences[place];
    sx_status status = sx_prompt_check(prompt, batch->context, error);
    if (status == SX_OK)
        status = sx_settings_fill(batch->engine, desc, prompt->count, batch->context, &s->settings, error);
    if (status == SX_OK) status = share_settings(batch, &s->settings, error);
    if (status != SX_OK) return status;
    memcpy(s->tokens, prompt->tokens, prompt->count * sizeof *s->tokens);
    s->state = sx_state_at_prompt(s->tokens, prompt->count, prompt->thinking_open);
    s->choice_count = 0;
    status = read_prompt(batch, place, prompt->count - 1, error);
    s->running = status == SX_OK;
    return status;
}

sx_status sx_batch_add(sx_batch *batch, const sx_generate_desc *desc, uint32_t *place, sx_error *error)
{
    uint32_t at = 0;
    while (at < batch->count && (batch->sequences[at].running || batch->sequences[at].complete))
        at++;
    if (at == batch->count)
        return sx_fail(error, SX_ERROR_BUSY, "many sequences: all %u places are taken", batch->count);
    sx_prompt_tokens prompt;
    sx_status status = sx_batch_check(desc, error);
    if (status == SX_OK) status = sx_prompt_make(batch->engine, desc, &prompt, error);
    if (status != SX_OK) return status;
    status = start(batch, at, desc, &prompt, error);
    free(prompt.tokens);
    *place = at;
    return status;
}

// ---- Writing -------------------------------------------------------------------------------------------------------

static sx_status take_sample(sx_batch *batch, sequence *s, const SxSample *sample, sx_error *error)
{
    if (sample->token >= batch->engine->hparams.vocabulary)
        return sx_fail(error, SX_ERROR_DEVICE_LOST, "many sequences: the device gave no token");
    s->choices[s->choice_count++] = sample->token;
    sx_state_choose(batch->engine, &s->settings, &s->state, s->tokens, sample->token);
    s->complete = s->state.done != SX_DONE_NO;
    s->running = !s->complete;
    return SX_OK;
}

sx_status sx_batch_step(sx_batch *batch, sx_error *error)
{
    sx_row rows[SX_MAX_ROWS];
    sequence *of_row[SX_MAX_ROWS];
    uint32_t count = 0, longest = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        sequence *s = &batch->sequences[i];
        if (!s->running) continue;
        const uint32_t position = s->state.now.length;
        rows[count] = (sx_row){s->state.now.root, position, i * batch->context};
        of_row[count++] = s;
        if (longest < position) longest = position;
    }
    if (!count) return SX_OK;
    const SxBatch batch_rows = sx_batch_of_rows(rows, count, batch->buffers.slots);
    const sx_tape_key kind = {
        .kind = SX_TAPE_RESAMPLE, .splits = sx_tape_splits(longest + 1, batch->context), .rows = sx_fixed_rows(count)};
    const sx_tape_key key = sx_tape_key_for(&kind, &batch->settings);
    SxSample samples[SX_MAX_ROWS];
    const sx_gpu_readback readback = {.buffer = batch->buffers.samples, .size = count * sizeof *samples};
    sx_status status =
        sx_gpu_write(batch->engine->gpu, batch->buffers.prefill, 0, &batch_rows, sizeof batch_rows, error);
    if (status == SX_OK)
        status = sx_tape_run(batch->engine, &batch->buffers, &batch->tapes, &key, &readback, samples, error);
    for (uint32_t i = 0; i < count && status == SX_OK; i++)
        status = take_sample(batch, of_row[i], &samples[i], error);
    return status;
}

bool sx_batch_take(sx_batch *batch, uint32_t *place, const uint32_t **choices, uint32_t *choice_count)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        sequence *s = &batch->sequences[i];
        if (!s->complete) continue;
        s->complete = false;
        *place = i;
        *choices = s->choices;
        *choice_count = s->choice_count;
        return true;
    }
    return false;
}
