// Keep thinking: back to where the thinking was left, and on from there.
#include "engine/session.h"

#include <string.h>

// Everything up to `length` stays; `wanted` is what the target says next.
static void go_on(sx_session *session, uint32_t wanted)
{
    const uint32_t length = session->restored.exit.length;
    SxState *start = &session->start;
    memset(start, 0, sizeof *start);
    start->now = session->restored.exit;
    start->now.root = wanted;
    start->now.thinking = SX_THINKING_INSIDE;
    start->cycle = session->restored.cycle;
    start->generated = sx_session_reply_index(session, length) + 1;

    session->token_count = length;
    session->length = length;
    session->stats.tokens = sx_session_reply_index(session, length);
    session->stats.answer_tokens = 0;
    sx_stream_resume_thinking(&session->stream);
    session->tokens[session->token_count++] = wanted;
    sx_stream_token(&session->stream, session->tokens + length, session->stats.tokens++);

    session->resumed = true;
    session->keep_wanted = session->left_thinking = false;
    session->exit_reason = SX_REASON_NONE;
    session->done_reason = 0;
    session->settings.policy_off = 1;
    session->settings.answer_now = 0;
    sx_session_prefill_from(session, sx_session_reread(session, length), length);
}

// Whether what the target wanted to say at the exit would end the thinking at once.
static bool wanted_to_close(const sx_session *session)
{
    const uint32_t wanted = session->restored.exit.root;
    return session->exit_reason == SX_REASON_NATURAL || wanted == session->settings.close[0] ||
           wanted >= session->settings.vocabulary || (session->engine->token_flags[wanted] & SX_TOKEN_END);
}

sx_status sx_resume_restore(sx_session *session, sx_error *error)
{
    const SxThought *exit = &session->restored.exit;
    if (exit->length < session->prompt_count || exit->length >= session->context)
        return sx_fail(error, SX_ERROR_CONTEXT, "keep thinking: the context of %u tokens has no room left",
                       session->context);
    if (!wanted_to_close(session)) {
        go_on(session, exit->root);
        return SX_OK;
    }
    // Ask it again, with the close marker forbidden at this place.
    session->settings.suppress_close_position = exit->length;
    sx_status status = sx_gpu_write(session->engine->gpu, session->buffers.settings, 0, &session->settings,
                                    sizeof session->settings, error);
    if (status == SX_OK) status = sx_session_write_rows(session, exit->length - 1, 1, 1, error);
    if (status != SX_OK) return status;
    const sx_tape_key key = {
        .kind = SX_TAPE_RESAMPLE, .splits = sx_tape_splits(exit->length, session->buffers.slots), .rows = 1};
    const sx_gpu_readback readback = {.buffer = session->buffers.samples, .size = sizeof(SxSample)};
    status = sx_session_submit(session, &key, &readback, error);
    if (status == SX_OK) session->phase = SX_PHASE_RESAMPLING;
    return status;
}

sx_status sx_resume_take_sample(sx_session *session, const SxSample *sample, sx_error *error)
{
    if (sample->token >= session->engine->hparams.vocabulary)
        return sx_fail(error, SX_ERROR_DEVICE_LOST, "keep thinking: the device gave no token; load the model again");
    go_on(session, sample->token);
    return SX_OK;
}
