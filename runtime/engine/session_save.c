// Saving a session, and taking it up again.
#include "base/hash.h"
#include "engine/session.h"
#include "engine/session_file.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 4 << 20 };

// ---- Writing -------------------------------------------------------------------------------------------------------

typedef struct output {
    sx_file_writer *writer;
    uint8_t *block; // [SX_SESSION_BLOCK], of which `used` bytes are not written yet
    size_t used;
    uint64_t hash;    // of the blocks written
    sx_status status; // of the first failure
    sx_error *error;
} output;

static void write_block(output *out)
{
    out->hash = sx_hash64(out->hash, out->block, out->used);
    out->status = sx_file_writer_write(out->writer, out->block, out->used, out->error);
    out->used = 0;
}

static void put(output *out, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    while (size && out->status == SX_OK) {
        const size_t room = SX_SESSION_BLOCK - out->used, some = size < room ? size : room;
        memcpy(out->block + out->used, bytes, some);
        out->used += some;
        bytes += some;
        size -= some;
        if (out->used == SX_SESSION_BLOCK) write_block(out);
    }
}

static void put_checksum(output *out)
{
    if (out->status == SX_OK && out->used) write_block(out);
    if (out->status == SX_OK) out->status = sx_file_writer_write(out->writer, &out->hash, sizeof out->hash, out->error);
}

static void put_kv(output *out, sx_gpu *gpu, const sx_kv *kv, uint32_t length, uint8_t *chunk)
{
    const uint32_t step = CHUNK / kv->row_bytes;
    for (uint32_t part = 0; part < 2 * kv->layers; part++) {
        for (uint32_t first = 0; first < length && out->status == SX_OK; first += step) {
            const uint32_t count = length - first < step ? length - first : step;
            const sx_gpu_binding rows = sx_kv_rows(kv, part / 2, part % 2, first, count);
            out->status = sx_gpu_read(gpu, rows.buffer, rows.offset, chunk, rows.size, out->error);
            put(out, chunk, rows.size);
        }
    }
}

// The stop strings as the file holds them. NULL when memory is short.
static char *pack_stops(const sx_stream *stream, uint32_t *size)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < stream->stop_count; i++)
        bytes += strlen(stream->stops[i]) + 1;
    bytes = (bytes + 3) / 4 * 4;
    char *packed = calloc(bytes + 1, 1), *to = packed;
    for (uint32_t i = 0; packed && i < stream->stop_count; i++) {
        const size_t length = strlen(stream->stops[i]) + 1;
        memcpy(to, stream->stops[i], length);
        to += length;
    }
    *size = (uint32_t)bytes;
    return packed;
}

static sx_session_head make_head(const sx_session *session, const SxState *state)
{
    const sx_engine *engine = session->engine;
    const sx_session_buffers *b = &session->buffers;
    const bool writing = session->phase != SX_PHASE_IDLE;
    const bool draft = engine->has_draft && session->draft_length;
    const sx_drafting drafting = session->paced ? (sx_drafting){.kind = SX_DRAFT_AUTO} : session->drafting;
    return (sx_session_head){
        .magic = "SXSESSN",
        .version = SX_SESSION_FILE_VERSION,
        .head_bytes = sizeof(sx_session_head),
        .model = engine->info.model_exact,
        .draft = draft ? engine->draft_fingerprint : 0,
        .kv_type = (uint32_t)engine->kv_type,
        .layers = b->kv.layers,
        .row_bytes = b->kv.row_bytes,
        .draft_layers = draft ? b->draft.kv.layers : 0,
        .draft_row_bytes = draft ? b->draft.kv.row_bytes : 0,
        .vocabulary = engine->hparams.vocabulary,
        .token_count = session->token_count,
        .prompt_count = session->prompt_count,
        .length = session->length,
        .draft_length = draft ? session->draft_length : 0,
        .reply = writing                  ? SX_SAVED_WRITING
                 : session->left_thinking ? SX_SAVED_LEFT
                                          : SX_SAVED_NONE,
        .flags = (session->thinking_open ? SX_SAVED_THINKING_OPEN : 0) | (session->resumed ? SX_SAVED_RESUMED : 0) |
                 (session->when_full == SX_FULL_SHIFT ? SX_SAVED_SHIFTS : 0),
        .exit_reason = session->left_thinking ? (uint32_t)session->exit_reason : SX_EXIT_NONE,
        .hurried_at = session->hurried_at,
        .draft_kind = (uint32_t)drafting.kind,
        .depth = drafting.depth,
        .branch = drafting.branch,
        .nodes = drafting.nodes,
        .stop_count = session->stream.stop_count,
        .cycle = state->cycle,
        .root_is_prompt = state->root_is_prompt,
        .generated = state->generated,
        .forced_count = state->forced_count,
        .state_exit_reason = state->exit_reason,
        .cycles = session->stats.cycles,
        .drafted = session->stats.drafted,
        .accepted = session->stats.accepted,
        .forced_tokens = session->stats.forced_tokens,
        .maximum_tokens = session->maximum_tokens ? session->maximum_tokens - session->reply_dropped : 0,
    };
}

static void put_session(output *out, const sx_session *session, const SxState *state, const char *stops,
                        uint32_t stop_bytes, uint8_t *chunk)
{
    sx_session_head head = make_head(session, state);
    head.stop_bytes = stop_bytes;
    const bool reply = head.reply != SX_SAVED_NONE;
    const uint64_t texts = 4ull * head.token_count + stop_bytes;
    head.file_bytes = sizeof head + texts + (reply ? sizeof(SxSettings) + 2 * sizeof(SxThought) : 0) +
                      2ull * head.layers * head.length * head.row_bytes +
                      2ull * head.draft_layers * head.draft_length * head.draft_row_bytes + sizeof out->hash;
    put(out, &head, sizeof head);
    put(out, session->tokens, head.token_count * sizeof *session->tokens);
    put(out, stops, stop_bytes);
    if (reply) {
        put(out, &session->settings, sizeof session->settings);
        put(out, &state->now, sizeof state->now);
        put(out, &state->exit, sizeof state->exit);
    }
    sx_gpu *gpu = session->engine->gpu;
    put_kv(out, gpu, &session->buffers.kv, head.length, chunk);
    if (head.draft_length) put_kv(out, gpu, &session->buffers.draft.kv, head.draft_length, chunk);
    put_checksum(out);
}

// The state a reply goes on from: on the device once the first cycle could run, else what it will start with.
static sx_status read_state(const sx_session *session, SxState *state, sx_error *error)
{
    *state = session->start;
    if (session->phase == SX_PHASE_PREFILLING) return SX_OK;
    return sx_gpu_read(session->engine->gpu, session->buffers.state, 0, state, sizeof *state, error);
}

sx_status sx_session_save(sx_session *session, const char *path, sx_error *error)
{
    if (sx_gpu_get_info(session->engine->gpu)->backend == SX_GPU_BACKEND_WEBGPU)
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: sessions are saved natively only; keep the messages instead",
                       path);
    sx_status status = sx_session_settle(session, error);
    SxState state;
    if (status == SX_OK) status = read_state(session, &state, error);
    if (status != SX_OK) return status;
    uint32_t stop_bytes = 0;
    char *stops = pack_stops(&session->stream, &stop_bytes);
    uint8_t *chunk = malloc(CHUNK), *block = malloc(SX_SESSION_BLOCK);
    if (!stops || !chunk || !block) {
        free(stops);
        free(chunk);
        free(block);
        return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory for saving the session", path);
    }
    output out = {.block = block, .hash = SX_HASH_START, .error = error};
    out.status = sx_file_writer_open(path, &out.writer, error);
    if (out.status == SX_OK) {
        put_session(&out, session, &state, stops, stop_bytes, chunk);
        if (out.status == SX_OK)
            out.status = sx_file_writer_commit(out.writer, error);
        else
            sx_file_writer_abort(out.writer);
    }
    free(stops);
    free(chunk);
    free(block);
    return out.status;
}

// ---- Reading -------------------------------------------------------------------------------------------------------

static sx_status take_kv(sx_gpu *gpu, const sx_kv *kv, const sx_source *source, uint64_t offset, uint32_t length,
                         sx_error *error)
{
    uint8_t *chunk = malloc(CHUNK);
    if (!chunk) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", source->name);
    const uint32_t step = CHUNK / kv->row_bytes;
    sx_status status = SX_OK;
    for (uint32_t part = 0; part < 2 * kv->layers; part++) {
        for (uint32_t first = 0; first < length && status == SX_OK; first += step) {
            const uint32_t count = length - first < step ? length - first : step;
            const sx_gpu_binding rows = sx_kv_rows(kv, part / 2, part % 2, first, count);
            status = sx_source_read(source, offset, chunk, rows.size, error);
            if (status == SX_OK) status = sx_gpu_write(gpu, rows.buffer, rows.offset, chunk, rows.size, error);
            offset += rows.size;
        }
    }
    free(chunk);
    return status;
}

static sx_session_wanted wanted_of(const sx_session *session)
{
    const sx_engine *engine = session->engine;
    const sx_session_buffers *b = &session->buffers;
    return (sx_session_wanted){.model = engine->info.model_exact,
                               .draft = engine->has_draft ? engine->draft_fingerprint : 0,
                               .kv_type = (uint32_t)engine->kv_type,
                               .layers = b->kv.layers,
                               .row_bytes = b->kv.row_bytes,
                               .draft_layers = b->draft.kv.layers,
                               .draft_row_bytes = b->draft.kv.row_bytes,
                               .vocabulary = engine->hparams.vocabulary,
                               .context = session->context,
                               .signal_mask = engine->signal_mask};
}

static SxState saved_state(const sx_session_file *file)
{
    const sx_session_head *head = &file->head;
    return (SxState){.now = file->now,
                     .exit = file->exit,
                     .cycle = head->cycle,
                     .root_is_prompt = head->root_is_prompt != 0,
                     .generated = head->generated,
                     .forced_count = head->forced_count,
                     .exit_reason = head->state_exit_reason};
}

static sx_status begin_stream(sx_session *session, const sx_session_file *file, sx_error *error)
{
    const char *stops[SX_MAX_STOPS], *next = file->stops;
    for (uint32_t i = 0; i < file->head.stop_count; i++) {
        stops[i] = next;
        next += strlen(next) + 1;
    }
    const sx_generate_desc desc = {.stop = stops, .stop_count = file->head.stop_count};
    return sx_stream_begin(&session->stream, session->engine, &desc, file->head.flags & SX_SAVED_THINKING_OPEN, error);
}

static void take_counts(sx_session *session, const sx_session_file *file)
{
    const sx_session_head *head = &file->head;
    memcpy(session->tokens, file->tokens, head->token_count * sizeof *session->tokens);
    session->token_count = head->token_count;
    session->prompt_count = head->prompt_count;
    session->length = head->length;
    session->draft_length = file->draft_fits ? head->draft_length : 0;
    session->settings = file->settings;
    if (session->settings.end_position > session->context) session->settings.end_position = session->context;
    session->start = saved_state(file);
    session->thinking_open = head->flags & SX_SAVED_THINKING_OPEN;
    session->resumed = head->flags & SX_SAVED_RESUMED;
    session->hurried_at = head->hurried_at;
    session->when_full = head->flags & SX_SAVED_SHIFTS ? SX_FULL_SHIFT : SX_FULL_REFUSE;
    session->maximum_tokens = head->maximum_tokens;
    session->reply_dropped = 0;
    session->counts_kept = false;
    free(session->shortest.tokens);
    session->shortest = (sx_prompt_tokens){0};
    session->left_thinking = head->exit_reason != SX_EXIT_NONE;
    session->exit_reason = (sx_exit_reason)head->exit_reason;
    session->keep_wanted = session->stop_wanted = false;
    session->failed_phase = SX_PHASE_IDLE;
    session->counts_dirty = true;
    session->begin_time = session->decode_time = sx_clock_seconds();
    session->stats = (sx_stats){.prompt_tokens = head->prompt_count,
                                .reused_tokens = head->length < head->prompt_count ? head->length : head->prompt_count,
                                .thinking_tokens = file->now.thinking_tokens,
                                .cycles = head->cycles,
                                .drafted = head->drafted,
                                .accepted = head->accepted,
                                .forced_tokens = head->forced_tokens};
}

// The reply's text is told again from its beginning, then it goes on.
static void go_on_writing(sx_session *session)
{
    const uint32_t count = session->token_count, end = session->start.now.length;
    session->token_count = session->prompt_count;
    while (session->token_count < count)
        sx_cycle_emit(session, session->tokens[session->token_count]);
    sx_session_prefill_from(session, sx_session_reread(session, session->length), end);
}

static sx_status take_session(sx_session *session, const sx_session_file *file, sx_error *error)
{
    sx_gpu *gpu = session->engine->gpu;
    const sx_session_head *head = &file->head;
    const sx_drafting saved = {
        .kind = (sx_draft_kind)head->draft_kind, .depth = head->depth, .branch = head->branch, .nodes = head->nodes};
    const bool eagle_lost = sx_draft_is_eagle(saved.kind) && !session->engine->has_draft;
    sx_status status = begin_stream(session, file, error);
    if (status != SX_OK) return status;
    session->length = session->draft_length = session->token_count = session->prompt_count = 0;
    session->left_thinking = false;
    status = take_kv(gpu, &session->buffers.kv, file->source, file->kv_offset, head->length, error);
    if (status == SX_OK && file->draft_fits)
        status =
            take_kv(gpu, &session->buffers.draft.kv, file->source, file->draft_kv_offset, head->draft_length, error);
    const SxState state = saved_state(file);
    if (status == SX_OK) status = sx_gpu_write(gpu, session->buffers.state, 0, &state, sizeof state, error);
    if (status != SX_OK) return status;
    take_counts(session, file);
    if (head->reply != SX_SAVED_NONE) status = sx_cycle_choose(session, eagle_lost ? &(sx_drafting){0} : &saved, error);
    if (status == SX_OK && head->reply == SX_SAVED_WRITING) go_on_writing(session);
    return status;
}

sx_status sx_session_load(sx_session *session, const char *path, sx_error *error)
{
    if (session->phase != SX_PHASE_IDLE)
        return sx_fail(error, SX_ERROR_BUSY, "the session is still writing a reply; stop it first");
    sx_file *opened;
    sx_status status = sx_file_open(path, &opened, error);
    if (status != SX_OK) return status;
    const sx_session_wanted wanted = wanted_of(session);
    sx_session_file file;
    status = sx_session_file_read(sx_file_source(opened), &wanted, &file, error);
    if (status == SX_OK) {
        status = sx_session_file_check(&file, error);
        if (status == SX_OK) status = take_session(session, &file, error);
        sx_session_file_free(&file);
    }
    sx_file_close(opened);
    return status;
}
