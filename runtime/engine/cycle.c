#include "engine/session.h"

#include <stddef.h>
#include <string.h>

uint32_t sx_fixed_rows(uint32_t rows)
{
    uint32_t fixed = 1;
    while (fixed < rows)
        fixed *= 2;
    return fixed;
}

// Fills in what was not asked for: the pace's first shape, or for a kind that was, what pays elsewhere. On a software
// driver every row costs; on a GPU sixteen rows cost little more than one.
static sx_drafting fill_in(const sx_engine *engine, sx_drafting drafting)
{
    const bool cpu = sx_gpu_get_info(engine->gpu)->kind == SX_GPU_CPU;
    const sx_drafting *first = &engine->pace.shape[engine->pace.first];
    if (drafting.kind == SX_DRAFT_AUTO) drafting.kind = first->kind;
    if (drafting.kind == SX_DRAFT_NONE) return (sx_drafting){.kind = SX_DRAFT_NONE};
    const bool tree = drafting.kind == SX_DRAFT_TREE;
    if (!drafting.depth) drafting.depth = tree ? 5 : cpu ? 3 : 7;
    if (!drafting.branch) drafting.branch = tree ? 4 : 1;
    if (!drafting.nodes) drafting.nodes = tree ? 15 : drafting.depth;
    return drafting;
}

static void take_shape(sx_session *session, const sx_drafting *shape)
{
    session->drafting = *shape;
    session->rows = sx_fixed_rows(1 + shape->nodes);
    // The trial of the entropy policy takes a row of its own.
    if (session->settings.policy == SX_POLICY_KIND_ENTROPY && session->rows < 2) session->rows = 2;
}

sx_status sx_cycle_choose(sx_session *session, const sx_drafting *asked, sx_error *error)
{
    const sx_engine *engine = session->engine;
    sx_drafting drafting = fill_in(engine, *asked);
    if (sx_draft_is_eagle(drafting.kind) && !engine->has_draft)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "drafting: no draft model is loaded; give one, or choose n-gram drafting or none");
    if (drafting.depth >= SX_MAX_PATH)
        return sx_fail(error, SX_ERROR_ARGUMENT, "drafting: depth %u is too deep, at most %d levels are possible",
                       drafting.depth, SX_MAX_PATH - 1);
    if (drafting.branch > SX_MAX_BRANCH)
        return sx_fail(error, SX_ERROR_ARGUMENT, "drafting: %u branches are too many, at most %d are possible",
                       drafting.branch, SX_MAX_BRANCH);
    if (drafting.nodes >= SX_MAX_ROWS)
        return sx_fail(error, SX_ERROR_ARGUMENT, "drafting: %u nodes are too many, at most %d are possible",
                       drafting.nodes, SX_MAX_ROWS - 1);
    if (drafting.kind == SX_DRAFT_CHAIN) {
        drafting.branch = 1;
        drafting.nodes = drafting.depth;
    }
    take_shape(session, &drafting);
    // Where speculation could change the text, its shape must not follow the clock.
    session->paced = asked->kind == SX_DRAFT_AUTO && !asked->depth && !asked->branch && !asked->nodes &&
                     engine->info.bitwise_lossless;
    return SX_OK;
}

// The note of a cycle: the index of its shape in the pace, and whether its tape is new, so that its time says nothing.
enum { NOTE_NEW = 1u << 31 };

static sx_status submit_shape(sx_session *session, uint32_t index, sx_error *error)
{
    if (session->paced) take_shape(session, &session->engine->pace.shape[index]);
    // What this cycle's rows may reach, if all cycles in flight accept as much as they can.
    const uint32_t reach = session->length + (session->in_flight + 1) * SX_MAX_PATH + SX_MAX_PATH;
    sx_tape_key key = {.kind = SX_TAPE_CYCLE,
                       .splits = sx_tape_splits(reach, session->buffers.slots),
                       .draft = session->drafting.kind,
                       .rows = session->rows};
    if (sx_draft_is_eagle(key.draft)) {
        key.depth = session->drafting.depth;
        key.branch = session->drafting.branch;
    }
    const sx_gpu_readback readback = {
        .buffer = session->buffers.state, .offset = offsetof(SxState, result), .size = sizeof(SxResult)};
    const uint64_t recorded = session->tapes.recorded;
    const uint32_t ticket = session->in_flight;
    const sx_status status = sx_session_submit(session, &key, &readback, error);
    if (status != SX_OK) return status;
    const bool new = session->tapes.recorded != recorded;
    session->ticket_note[ticket] = index | (new ? NOTE_NEW : 0);
    if (new) session->cycle_time = 0; // and the cycles in flight are read late
    session->stats.submits++;
    session->stats.readbacks++;
    session->stats.readback_bytes += sizeof(SxResult);
    return SX_OK;
}

sx_status sx_cycle_submit(sx_session *session, sx_error *error)
{
    sx_pace *pace = &session->engine->pace;
    if (!session->paced) return submit_shape(session, 0, error);
    const uint32_t index = sx_pace_next(pace);
    const sx_status status = submit_shape(session, index, error);
    if (status != SX_PENDING || index == pace->best) return status;
    // The kernels of a shape on trial are still being compiled: nobody waits for them.
    sx_pace_postpone(pace);
    return submit_shape(session, pace->best, error);
}

static void take_time(sx_session *session, uint32_t tokens, uint32_t note)
{
    const double now = sx_clock_seconds();
    const double seconds = now - session->cycle_time;
    if (session->paced && session->cycle_time > 0 && seconds > 0 && !(note & NOTE_NEW))
        sx_pace_take(&session->engine->pace, note, tokens, seconds);
    session->cycle_time = now;
}

// ---- Results -------------------------------------------------------------------------------------------------------

void sx_cycle_emit(sx_session *session, uint32_t token)
{
    session->tokens[session->token_count++] = token;
    const uint32_t index = sx_session_reply_index(session, session->token_count - 1);
    if (!index) session->stats.first_token_seconds = sx_clock_seconds() - session->begin_time;
    session->stats.tokens++;
    if (session->stream.channel == SX_CHANNEL_ANSWER) session->stats.answer_tokens++;
    sx_stream_token(&session->stream, session->tokens + session->token_count - 1, index);
}

static void fill_signals(sx_event *event, const sx_session *session, const SxResult *result, uint32_t i)
{
    const float *raw = result->raw + i * SX_SIGNALS, *smoothed = result->smoothed + i * SX_SIGNALS;
    event->has_signals = session->engine->signal_mask != 0;
    event->raw = (sx_signals){raw[0], raw[1], raw[2]};
    event->smoothed = (sx_signals){smoothed[0], smoothed[1], smoothed[2]};
    event->margin = result->margin[i];
    event->entropy = result->entropy[i];
}

static void take_exit(sx_session *session, const SxResult *result, uint32_t i, uint32_t index)
{
    session->left_thinking = true;
    session->exit_reason = (sx_exit_reason)result->exit_reason;
    if (session->exit_reason == SX_REASON_ANSWER_NOW) session->hurried_at = result->thinking_tokens;
    sx_event event = {.kind = SX_EVENT_EXIT,
                      .token_index = index,
                      .boundary = true,
                      .exit_reason = session->exit_reason,
                      .stats = session->stats};
    event.stats.thinking_tokens = result->thinking_tokens;
    fill_signals(&event, session, result, i);
    sx_stream_event(&session->stream, &event);
}

static bool take_done(sx_session *session, uint32_t done)
{
    if (done == SX_DONE_NO) return false;
    session->done_reason = done == SX_DONE_END      ? SX_DONE_END_OF_TURN
                           : done == SX_DONE_LENGTH ? SX_DONE_MAXIMUM
                                                    : SX_DONE_LOOPED;
    return true;
}

bool sx_cycle_take(sx_session *session, const SxResult *result, uint32_t note)
{
    sx_stats *stats = &session->stats;
    const uint8_t *flags = session->engine->token_flags;
    if (!result->path_count) return take_done(session, result->done);
    take_time(session, result->path_count, note);
    stats->cycles++;
    stats->drafted += result->drafted;
    stats->accepted += result->path_count - 1;
    stats->thinking_tokens = result->thinking_tokens;
    const uint32_t first = session->length; // position of path[0]
    for (uint32_t i = 0; i < result->path_count; i++) {
        if (i) sx_cycle_emit(session, result->path[i]);
        const uint32_t position = first + i;
        if (position < session->prompt_count) continue; // the prompt's last token
        const uint32_t index = sx_session_reply_index(session, position);
        const float *smoothed = result->smoothed + i * SX_SIGNALS;
        const bool told = !i && result->root_is_prompt; // before the context was shifted
        if (!told && (smoothed[0] != 0 || smoothed[1] != 0 || smoothed[2] != 0)) {
            sx_event event = {.kind = SX_EVENT_SIGNALS,
                              .token_index = index,
                              .boundary = (flags[result->path[i]] & session->settings.split_mask) != 0,
                              .stats = *stats};
            fill_signals(&event, session, result, i);
            sx_stream_event(&session->stream, &event);
        }
        if (result->exit_reason && result->exit_index == i) take_exit(session, result, i, index);
    }
    session->length = result->length;
    if (sx_draft_is_eagle(session->drafting.kind)) session->draft_length = result->length;
    if (result->root != SX_NONE) sx_cycle_emit(session, result->root);
    stats->forced_tokens += result->forced > 0;
    stats->acceptance_length = stats->cycles ? (double)stats->tokens / stats->cycles : 0;
    return take_done(session, result->done);
}
