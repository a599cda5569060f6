#include "engine/session.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double longest_chunk = 0.5; // seconds
enum { SHORT_PROMPT = 64, SHORT_PROMPT_ROWS = 4 };

double sx_clock_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

sx_status sx_session_create(sx_engine *engine, const sx_session_desc *desc, sx_session **out, sx_error *error)
{
    *out = NULL;
    if (engine->load) return sx_fail(error, SX_ERROR_BUSY, "the model is still being loaded");
    const uint32_t context = desc->context ? desc->context : engine->context;
    if (context > engine->context)
        return sx_fail(error, SX_ERROR_ARGUMENT, "context: %u tokens asked for, the engine was loaded for %u", context,
                       engine->context);
    sx_session *session = calloc(1, sizeof *session);
    if (session) session->tokens = malloc((context + 1) * sizeof(uint32_t));
    if (!session || !session->tokens) {
        free(session);
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for a session of %u tokens", context);
    }
    session->engine = engine;
    session->context = context;
    session->depth_limit = desc->depth ? desc->depth : 2;
    if (session->depth_limit > 2) session->depth_limit = 2;
    const sx_buffers_size size = sx_session_size(engine->context);
    const sx_status status = sx_session_buffers_create(engine, &size, &session->buffers, error);
    if (status != SX_OK) {
        free(session->tokens);
        free(session);
        return status;
    }
    engine->session_count++;
    *out = session;
    return SX_OK;
}

void sx_session_destroy(sx_session *session)
{
    if (!session) return;
    sx_gpu *gpu = session->engine->gpu;
    for (uint32_t i = 0; i < session->in_flight; i++)
        sx_gpu_wait(gpu, session->ticket[i], 10000, NULL);
    sx_tape_cache_clear(gpu, &session->tapes);
    sx_session_buffers_destroy(gpu, &session->buffers);
    sx_stream_free(&session->stream);
    free(session->shortest.tokens);
    free(session->tokens);
    session->engine->session_count--;
    free(session);
}

// ---- Submitting ----------------------------------------------------------------------------------------------------

sx_status sx_session_submit(sx_session *session, const sx_tape_key *key, const sx_gpu_readback *readback,
                            sx_error *error)
{
    sx_gpu_tape *tape = NULL;
    const sx_tape_key whole = sx_tape_key_for(key, &session->settings);
    sx_status status = sx_tapes_get(session->engine, &session->buffers, &session->tapes, &whole, 1, &tape, error);
    if (status == SX_OK)
        status = sx_gpu_submit(session->engine->gpu, tape, readback, &session->ticket[session->in_flight], error);
    if (status == SX_OK) session->in_flight++;
    return status;
}

// SX_OK once when the oldest submit has finished, with its readback.
static sx_status take_oldest(sx_session *session, void *destination, uint64_t size, uint32_t *note, sx_error *error)
{
    const sx_status status = sx_gpu_poll(session->engine->gpu, session->ticket[0], destination, size, error);
    if (status != SX_OK) return status;
    if (note) *note = session->ticket_note[0];
    session->in_flight--;
    memmove(session->ticket, session->ticket + 1, session->in_flight * sizeof *session->ticket);
    memmove(session->ticket_note, session->ticket_note + 1, session->in_flight * sizeof *session->ticket_note);
    return SX_OK;
}

// Batch `index` of a pass over tokens [first, first + count), and the same rows of the draft.
static sx_status write_batch(sx_session *session, uint32_t first, uint32_t count, uint32_t index, sx_error *error)
{
    const uint32_t done = index * SX_MAX_ROWS, left = done < count ? count - done : 0;
    SxBatch batch = sx_batch_of_text(session->tokens, first + done, left, 0, session->buffers.slots);
    for (uint32_t i = 0; i < SX_MAX_ROWS; i++)
        batch.source[i] = done + i;
    sx_gpu *gpu = session->engine->gpu;
    const uint64_t at = (uint64_t)index * SX_BATCH_STRIDE;
    sx_status status = sx_gpu_write(gpu, session->buffers.prefill, at, &batch, sizeof batch, error);
    if (status != SX_OK || !session->engine->has_draft) return status;
    for (uint32_t i = 0; i < batch.count; i++)
        batch.token[i] = session->tokens[first + done + i + 1];
    return sx_gpu_write(gpu, session->buffers.prefill_draft, at, &batch, sizeof batch, error);
}

sx_status sx_session_write_rows(sx_session *session, uint32_t first, uint32_t count, uint32_t rows, sx_error *error)
{
    sx_status status = SX_OK;
    for (uint32_t i = 0; i * SX_MAX_ROWS < rows && status == SX_OK; i++)
        status = write_batch(session, first, count, i, error);
    if (status != SX_OK || !session->engine->has_draft) return status;
    const SxBatch last = {.count = 1, .base = SX_DIRECT, .source = {count - 1}};
    return sx_gpu_write(session->engine->gpu, session->buffers.draft.last, 0, &last, sizeof last, error);
}

static sx_tape_key prefill_key(const sx_session *session, uint32_t rows, uint32_t end)
{
    return (sx_tape_key){.kind = SX_TAPE_PREFILL,
                         .splits = sx_tape_splits(end, session->buffers.slots),
                         .draft = sx_draft_is_eagle(session->drafting.kind) ? SX_DRAFT_CHAIN : SX_DRAFT_NONE,
                         .rows = rows};
}

// Up to a quarter of a large tape's rows may be idle.
uint32_t sx_prefill_rows(const sx_engine *engine, uint32_t left)
{
    uint32_t rows = engine->prefill_rows;
    while (rows > SX_MAX_ROWS && rows / 4 * 3 > left)
        rows /= 2;
    return rows;
}

// Rows of the tape that reads the next of `left` tokens, the last of a prompt of `count`; no result depends on it.
// Kernels of many rows take a driver on the CPU longer to compile than they save on a short prompt, so that one is read
// with those of the cycles.
static uint32_t chunk_rows(const sx_session *session, uint32_t left, uint32_t count)
{
    const sx_engine *engine = session->engine;
    const uint32_t cycle_rows = session->rows > SHORT_PROMPT_ROWS ? session->rows : SHORT_PROMPT_ROWS;
    const bool brief = count <= SHORT_PROMPT && sx_gpu_get_info(engine->gpu)->kind == SX_GPU_CPU;
    if (brief && cycle_rows < engine->prefill_rows) return cycle_rows;
    return sx_prefill_rows(engine, left);
}

static sx_status submit_prefill(sx_session *session, sx_error *error)
{
    const uint32_t left = session->prefill_end - session->prefill_next;
    const uint32_t rows = chunk_rows(session, left, session->prefill_end - session->prefill_start);
    const uint32_t count = left < rows ? left : rows, end = session->prefill_next + count;
    sx_status status = sx_session_write_rows(session, session->prefill_next, count, rows, error);
    if (status != SX_OK) return status;
    const sx_tape_key key = prefill_key(session, rows, end);
    if (!session->in_flight) session->chunk_time = sx_clock_seconds();
    session->ticket_note[session->in_flight] = count;
    status = sx_session_submit(session, &key, NULL, error);
    if (status == SX_OK) session->prefill_next = end;
    return status;
}

uint32_t sx_session_reread(const sx_session *session, uint32_t length)
{
    if (!sx_draft_is_eagle(session->drafting.kind)) return length;
    const uint32_t read = session->draft_length < length ? session->draft_length : length;
    return read ? read - 1 : 0;
}

void sx_session_prefill_from(sx_session *session, uint32_t first, uint32_t end)
{
    session->length = first;
    if (session->draft_length > first) session->draft_length = first;
    session->prefill_start = session->prefill_next = first;
    session->prefill_end = end;
    session->phase = SX_PHASE_PREFILLING;
}

sx_status sx_session_warm(sx_session *session, sx_error *error)
{
    sx_status status = sx_cycle_choose(session, &(sx_drafting){0}, error);
    if (status != SX_OK) return status;
    const bool eagle = sx_draft_is_eagle(session->drafting.kind);
    const uint32_t most = session->engine->prefill_rows;
    const sx_tape_key keys[] = {
        prefill_key(session, chunk_rows(session, 1, 1), 1),
        {.kind = SX_TAPE_CYCLE,
         .splits = sx_tape_splits(1, session->buffers.slots),
         .draft = session->drafting.kind,
         .rows = session->rows,
         .depth = eagle ? session->drafting.depth : 0,
         .branch = eagle ? session->drafting.branch : 0,
         .greedy = true},
        prefill_key(session, most, 1),
    };
    sx_gpu_tape *tapes[SX_TAPES_AT_ONCE];
    _Static_assert(sizeof keys / sizeof *keys <= SX_TAPES_AT_ONCE, "one for each key");
    return sx_tapes_get(session->engine, &session->buffers, &session->tapes, keys, most > SX_MAX_ROWS ? 3 : 2, tapes,
                        error);
}

// ---- Begin ---------------------------------------------------------------------------------------------------------

static sx_status write_counts(sx_session *session, sx_error *error)
{
    const bool kept = session->counts_kept;
    session->counts_kept = false;
    if (kept || (!session->counts_dirty && !sx_settings_penalised(&session->settings))) return SX_OK;
    const uint32_t vocabulary = session->engine->hparams.vocabulary;
    uint32_t *counts = calloc(vocabulary, sizeof *counts);
    if (!counts) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for token counts");
    for (uint32_t i = session->prompt_count; i < session->length; i++)
        counts[session->tokens[i]]++;
    const sx_status status =
        sx_gpu_write(session->engine->gpu, session->buffers.counts, 0, counts, vocabulary * sizeof *counts, error);
    session->counts_dirty = sx_settings_penalised(&session->settings);
    free(counts);
    return status;
}

// Puts the state, the settings and the history in place for the first cycle.
static sx_status write_start(sx_session *session, sx_error *error)
{
    sx_gpu *gpu = session->engine->gpu;
    const sx_session_buffers *b = &session->buffers;
    sx_status status = sx_gpu_write(gpu, b->settings, 0, &session->settings, sizeof session->settings, error);
    if (status == SX_OK) status = sx_gpu_write(gpu, b->state, 0, &session->start, sizeof session->start, error);
    if (status == SX_OK && session->length)
        status = sx_gpu_write(gpu, b->history, 0, session->tokens, session->length * sizeof(uint32_t), error);
    if (status == SX_OK) status = write_counts(session, error);
    return status;
}

// Tokens from the front that the session still has keys and values for.
static uint32_t shared_prefix(const sx_session *session, const sx_prompt_tokens *prompt)
{
    const bool eagle = sx_draft_is_eagle(session->drafting.kind);
    const uint32_t held = eagle ? session->draft_length : session->length;
    uint32_t shared = 0;
    while (shared < held && shared + 1 < prompt->count && session->tokens[shared] == prompt->tokens[shared])
        shared++;
    return sx_session_reread(session, shared);
}

void sx_session_start_state(sx_session *session)
{
    session->start = sx_state_at_prompt(session->tokens, session->prompt_count, session->thinking_open);
}

sx_status sx_prompt_check(const sx_prompt_tokens *prompt, uint32_t context, sx_error *error)
{
    if (prompt->count < context) return SX_OK;
    return sx_fail(error, SX_ERROR_CONTEXT,
                   "prompt: it has %u tokens, the context holds %u and needs room for the reply; shorten it or load "
                   "the model with a larger context",
                   prompt->count, context);
}

static sx_status take_prompt(sx_session *session, const sx_generate_desc *desc, const sx_prompt_tokens *prompt,
                             sx_error *error)
{
    sx_status status = sx_prompt_check(prompt, session->context, error);
    if (status == SX_OK) status = sx_choices_check(session->engine, desc, error);
    if (status == SX_OK)
        status = sx_settings_fill(session->engine, desc, prompt->count, session->context, &session->settings, error);
    if (status == SX_OK) status = sx_cycle_choose(session, &desc->drafting, error);
    if (status == SX_OK)
        status = sx_stream_begin(&session->stream, session->engine, desc, prompt->thinking_open, error);
    if (status != SX_OK) return status;
    const uint32_t shared = shared_prefix(session, prompt);
    memcpy(session->tokens, prompt->tokens, prompt->count * sizeof(uint32_t));
    session->token_count = session->prompt_count = prompt->count;
    memset(&session->stats, 0, sizeof session->stats);
    session->stats.prompt_tokens = prompt->count;
    session->stats.reused_tokens = shared;
    session->stats.dropped_messages = session->dropped;
    session->when_full = desc->when_full;
    session->maximum_tokens = desc->maximum_tokens;
    session->reply_dropped = 0;
    session->counts_kept = false;
    session->thinking_open = prompt->thinking_open;
    session->resumed = false;
    session->hurried_at = 0;
    session->failed_phase = SX_PHASE_IDLE;
    sx_session_start_state(session);
    session->left_thinking = session->keep_wanted = session->stop_wanted = false;
    session->exit_reason = SX_REASON_NONE;
    session->done_reason = 0;
    session->begin_time = sx_clock_seconds();
    sx_session_take_choices(session, desc);
    sx_session_prefill_from(session, shared, session->start.now.length);
    return SX_OK;
}

sx_status sx_session_begin(sx_session *session, const sx_generate_desc *desc, sx_error *error)
{
    if (session->phase != SX_PHASE_IDLE)
        return sx_fail(error, SX_ERROR_BUSY, "the session is still writing a reply; stop it first");
    sx_prompt_tokens prompt;
    sx_status status = sx_shift_prompt(session, desc, &prompt, error);
    if (status != SX_OK) return status;
    status = take_prompt(session, desc, &prompt, error);
    free(prompt.tokens);
    return status;
}

// ---- Polling -------------------------------------------------------------------------------------------------------

static void finish_reply(sx_session *session)
{
    session->phase = SX_PHASE_IDLE;
    session->stats.decode_seconds = sx_clock_seconds() - session->decode_time;
    sx_stream_flush(&session->stream, session->tokens + session->token_count,
                    sx_session_reply_index(session, session->token_count));
    const sx_event event = {.kind = SX_EVENT_DONE, .done_reason = session->done_reason, .stats = session->stats};
    sx_stream_event(&session->stream, &event);
}

// A chunk is one submit, and drivers end submits that take too long (Windows after two seconds). Where a chunk of
// `rows` took a quarter of that, later ones have half as many, where it took little, twice as many: the more rows, the
// more of a large device is busy. A row's result does not depend on its chunk. A driver on the CPU has no such
// watchdog.
static void take_chunk_time(sx_session *session, uint32_t rows)
{
    sx_engine *engine = session->engine;
    const double now = sx_clock_seconds(), device = sx_gpu_last_seconds(engine->gpu);
    const double seconds = device >= 0 ? device : now - session->chunk_time;
    session->chunk_time = now;
    if (rows != engine->prefill_rows || sx_gpu_get_info(engine->gpu)->kind == SX_GPU_CPU) return;
    if (seconds > longest_chunk && rows > 1)
        engine->prefill_rows /= 2;
    else if (seconds < longest_chunk / 8 && rows < engine->prefill_limit)
        engine->prefill_rows *= 2;
}

static sx_status poll_prefill(sx_session *session, sx_error *error)
{
    if (session->stop_wanted && session->in_flight == 0) {
        session->done_reason = SX_DONE_STOPPED;
        session->phase = SX_PHASE_DRAINING;
        session->decode_time = sx_clock_seconds();
        return SX_OK;
    }
    while (!session->stop_wanted && !session->settling && session->in_flight < session->depth_limit &&
           session->prefill_next < session->prefill_end) {
        const sx_status status = submit_prefill(session, error);
        if (status != SX_OK) return status;
    }
    if (session->in_flight) {
        uint32_t rows = 0;
        const sx_status status = take_oldest(session, NULL, 0, &rows, error);
        if (status != SX_OK) return status;
        take_chunk_time(session, rows);
        session->length += rows;
        if (sx_draft_is_eagle(session->drafting.kind)) session->draft_length = session->length;
        const sx_event event = {.kind = SX_EVENT_PREFILL,
                                .prefill_done = session->length,
                                .prefill_total = session->prefill_end,
                                .stats = session->stats};
        sx_stream_event(&session->stream, &event);
        return SX_OK;
    }
    session->phase = session->done_reason ? SX_PHASE_DRAINING : SX_PHASE_RUNNING; // the whole reply may be known
    session->cycle_time = 0;
    if (!session->stats.tokens) { // else it is in the middle of a reply
        session->decode_time = sx_clock_seconds();
        session->stats.prefill_seconds = session->decode_time - session->begin_time;
    }
    return write_start(session, error);
}

static sx_status poll_cycles(sx_session *session, sx_error *error)
{
    if (session->stop_wanted || session->keep_wanted) {
        session->phase = SX_PHASE_DRAINING;
        if (session->stop_wanted) session->done_reason = SX_DONE_STOPPED;
        return SX_OK;
    }
    while (!session->settling && session->in_flight < session->depth_limit) {
        const sx_status status = sx_cycle_submit(session, error);
        if (status != SX_OK) return status;
    }
    SxResult result;
    uint32_t note = 0;
    const sx_status status = take_oldest(session, &result, sizeof result, &note, error);
    if (status != SX_OK) return status;
    if (sx_cycle_take(session, &result, note)) session->phase = SX_PHASE_DRAINING;
    if (session->stream.stopped) {
        session->done_reason = SX_DONE_STOP_STRING;
        session->phase = SX_PHASE_DRAINING;
    }
    return SX_OK;
}

static sx_status poll_draining(sx_session *session, sx_error *error)
{
    if (session->in_flight) {
        SxResult ignored;
        return take_oldest(session, &ignored, sizeof ignored, NULL, error);
    }
    if (session->keep_wanted && !session->stop_wanted) {
        session->phase = SX_PHASE_RESTORING;
        return SX_OK;
    }
    bool shifted = false;
    const sx_status status = sx_shift_reply(session, &shifted, error);
    if (status == SX_OK && !shifted) finish_reply(session);
    return status;
}

static sx_status poll_restoring(sx_session *session, sx_error *error)
{
    const sx_status status = sx_gpu_read(session->engine->gpu, session->buffers.state, 0, &session->restored,
                                         sizeof session->restored, error);
    return status == SX_OK ? sx_resume_restore(session, error) : status;
}

static sx_status poll_resampling(sx_session *session, sx_error *error)
{
    SxSample sample;
    const sx_status status = take_oldest(session, &sample, sizeof sample, NULL, error);
    return status == SX_OK ? sx_resume_take_sample(session, &sample, error) : status;
}

static sx_status advance(sx_session *session, sx_error *error)
{
    switch (session->phase) {
    case SX_PHASE_IDLE:
        return SX_PENDING;
    case SX_PHASE_PREFILLING:
        return poll_prefill(session, error);
    case SX_PHASE_RUNNING:
        return poll_cycles(session, error);
    case SX_PHASE_DRAINING:
        return poll_draining(session, error);
    case SX_PHASE_RESTORING:
        return poll_restoring(session, error);
    case SX_PHASE_RESAMPLING:
        return poll_resampling(session, error);
    }
    return SX_PENDING;
}

// One step; a failed one ends the reply.
static sx_status advance_or_fail(sx_session *session, sx_error *error)
{
    sx_status status = advance(session, error);
    if (status == SX_OK && session->stream.out_of_memory)
        status = sx_fail(error, SX_ERROR_MEMORY, "out of memory while writing the reply");
    if (status == SX_OK || status == SX_PENDING) return status;
    session->failed_phase = session->phase;
    session->phase = SX_PHASE_IDLE;
    session->in_flight = 0;
    session->length = session->draft_length = 0;
    return status;
}

sx_status sx_session_poll(sx_session *session, sx_event *event, sx_error *error)
{
    while (!sx_stream_pop(&session->stream, event)) {
        const sx_status status = advance_or_fail(session, error);
        if (status != SX_OK) return status;
    }
    return SX_OK;
}

static bool settled(const sx_session *session)
{
    const sx_phase phase = session->phase;
    return phase == SX_PHASE_IDLE ||
           (!session->in_flight && (phase == SX_PHASE_PREFILLING || phase == SX_PHASE_RUNNING));
}

sx_status sx_session_settle(sx_session *session, sx_error *error)
{
    sx_status status = SX_OK;
    session->settling = true;
    while ((status == SX_OK || status == SX_PENDING) && !settled(session)) {
        if (session->in_flight) sx_gpu_wait(session->engine->gpu, session->ticket[0], 1000, NULL);
        status = advance_or_fail(session, error);
    }
    session->settling = false;
    session->cycle_time = 0; // the pause is no cycle's
    return status == SX_PENDING ? SX_OK : status;
}

void sx_session_wait(sx_session *session, uint32_t milliseconds)
{
    if (!session->stream.queue_count && session->in_flight)
        sx_gpu_wait(session->engine->gpu, session->ticket[0], milliseconds, NULL);
}

bool sx_session_running(const sx_session *session)
{
    return session->phase != SX_PHASE_IDLE || session->stream.queue_count;
}

// ---- Steering ------------------------------------------------------------------------------------------------------

void sx_session_answer_now(sx_session *session)
{
    if (session->phase == SX_PHASE_IDLE) return;
    session->settings.answer_now = 1;
    // Before the first cycle the settings are not on the device yet: they go there whole.
    if (session->phase == SX_PHASE_RUNNING)
        sx_gpu_write(session->engine->gpu, session->buffers.settings, offsetof(SxSettings, answer_now),
                     &session->settings.answer_now, sizeof(uint32_t), NULL);
}

void sx_session_stop(sx_session *session)
{
    if (session->phase != SX_PHASE_IDLE) session->stop_wanted = true;
}

sx_status sx_session_keep_thinking(sx_session *session, sx_error *error)
{
    if (!session->left_thinking)
        return sx_fail(error, SX_ERROR_ARGUMENT, "keep thinking: the last reply has not left its thinking");
    session->keep_wanted = true;
    session->stop_wanted = false;
    sx_stream_withdraw(&session->stream);
    if (session->phase == SX_PHASE_IDLE) session->phase = SX_PHASE_DRAINING;
    return SX_OK;
}

const uint32_t *sx_session_tokens(const sx_session *session, uint32_t *count)
{
    *count = session->token_count;
    return session->tokens;
}
