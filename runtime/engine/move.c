// A session's move to another engine: what is left to do when a device was lost.
#include "engine/session.h"

#include <string.h>

static sx_status check_same_model(const sx_session *session, const sx_engine *to, sx_error *error)
{
    const sx_engine *from = session->engine;
    if (to->load) return sx_fail(error, SX_ERROR_BUSY, "the model is still being loaded");
    if (from->hparams.vocabulary != to->hparams.vocabulary || from->hparams.layers != to->hparams.layers ||
        from->hparams.hidden != to->hparams.hidden)
        return sx_fail(error, SX_ERROR_MISMATCH, "the conversation belongs to %s and cannot go on with %s",
                       from->info.model_name, to->info.model_name);
    if (session->token_count >= to->context)
        return sx_fail(error, SX_ERROR_CONTEXT, "the conversation has %u tokens, the new context holds %u",
                       session->token_count, to->context);
    return SX_OK;
}

// The reply from its prompt once more; `told` of its tokens are not told again.
static void replay(sx_session *session, uint32_t told)
{
    sx_stream_restart(&session->stream, session->thinking_open);
    session->stream.muted = told;
    // Answer-now came when it came; its replay is a budget of exactly as many thinking tokens.
    if (session->hurried_at) session->settings.hard_budget = session->hurried_at;
    session->settings.answer_now = 0;
    session->token_count = session->prompt_count;
    session->stats.tokens = session->stats.thinking_tokens = session->stats.answer_tokens = 0;
    session->stats.cycles = session->stats.drafted = session->stats.accepted = 0;
    sx_session_start_state(session);
    sx_session_prefill_from(session, 0, session->prompt_count - 1);
}

// On from the tokens told so far, with the marker state they are in; smoothing starts anew.
static void go_on_from_told(sx_session *session)
{
    SxState *start = &session->start;
    memset(start, 0, sizeof *start);
    const bool inside = session->stream.channel == SX_CHANNEL_THINKING;
    start->now.length = session->token_count - 1;
    start->now.root = session->tokens[session->token_count - 1];
    start->now.thinking = inside ? SX_THINKING_INSIDE : SX_THINKING_AFTER;
    start->now.thinking_start = session->prompt_count;
    start->now.thinking_tokens = session->stats.thinking_tokens;
    start->generated = session->token_count - session->prompt_count;
    sx_session_prefill_from(session, 0, session->token_count - 1);
}

sx_status sx_session_move(sx_session *session, sx_engine *engine, sx_error *error)
{
    sx_status status = check_same_model(session, engine, error);
    if (status != SX_OK) return status;
    sx_session_buffers buffers;
    const sx_buffers_size size = sx_session_size(engine->context);
    status = sx_session_buffers_create(engine, &size, &buffers, error);
    if (status != SX_OK) return status;
    status = sx_stream_rebind(&session->stream, engine, error);
    if (status != SX_OK) {
        sx_session_buffers_destroy(engine->gpu, &buffers);
        return status;
    }
    sx_gpu *old = session->engine->gpu;
    for (uint32_t i = 0; i < session->in_flight; i++)
        sx_gpu_wait(old, session->ticket[i], 10000, NULL);
    session->in_flight = 0;
    sx_tape_cache_clear(old, &session->tapes);
    sx_session_buffers_destroy(old, &session->buffers);
    session->buffers = buffers;
    session->engine->session_count--;
    engine->session_count++;
    session->engine = engine;
    if (session->context > engine->context) session->context = engine->context;
    session->length = session->draft_length = 0;
    session->counts_dirty = true;
    const bool writing = session->phase != SX_PHASE_IDLE || session->failed_phase != SX_PHASE_IDLE;
    session->failed_phase = SX_PHASE_IDLE;
    session->left_thinking = session->left_thinking && writing;
    session->done_reason = 0;
    if (!writing) return SX_OK;
    if (session->resumed)
        go_on_from_told(session);
    else
        replay(session, session->token_count - session->prompt_count);
    return SX_OK;
}
