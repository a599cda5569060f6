// Replies whose tokens are known before they are read: what the model says, one choice after the other, taken the way a
// cycle takes its samples. This is how a batch writes replies, and how a session takes them over from it.
#include "engine/policy.h"
#include "engine/session.h"

#include <math.h>
#include <string.h>

SxState sx_state_at_prompt(const uint32_t *tokens, uint32_t prompt_count, bool thinking_open)
{
    SxState state = {.root_is_prompt = 1};
    state.now.length = prompt_count - 1;
    state.now.root = tokens[prompt_count - 1];
    state.now.thinking = thinking_open ? SX_THINKING_INSIDE : SX_THINKING_BEFORE;
    state.now.thinking_start = prompt_count;
    return state;
}

void sx_state_choose(const sx_engine *engine, const SxSettings *settings, SxState *state, uint32_t *tokens,
                     uint32_t choice)
{
    const SxBatch batch = {.count = 1,
                           .base = state->now.length,
                           .token = {state->now.root},
                           .position = {state->now.length},
                           .parent = {SX_NONE}};
    const SxSample sample = {.token = choice, .margin = -INFINITY, .entropy = NAN};
    sx_policy_accept(&batch, 1, &sample, NULL, settings, (const uint32_t *)engine->token_flags, state, tokens, NULL);
}

sx_status sx_choices_check(const sx_engine *engine, const sx_generate_desc *desc, sx_error *error)
{
    const uint32_t vocabulary = engine->hparams.vocabulary;
    if (desc->choice_count && desc->policy.kind != SX_POLICY_NONE)
        return sx_fail(error, SX_ERROR_ARGUMENT,
                       "choices: they say nothing of what a policy goes by; they go with the policy none");
    for (uint32_t i = 0; i < desc->choice_count; i++)
        if (desc->choices[i] >= vocabulary)
            return sx_fail(error, SX_ERROR_ARGUMENT, "choices: number %u is %u, the vocabulary has %u", i,
                           desc->choices[i], vocabulary);
    return SX_OK;
}

void sx_session_take_choices(sx_session *session, const sx_generate_desc *desc)
{
    SxState *state = &session->start;
    bool ended = false;
    for (uint32_t i = 0; i < desc->choice_count && !ended; i++) {
        sx_state_choose(session->engine, &session->settings, state, session->tokens, desc->choices[i]);
        session->cycle_time = 0; // no cycle: its time says nothing
        ended = sx_cycle_take(session, &state->result, 0);
        if (session->stream.stopped) session->done_reason = SX_DONE_STOP_STRING;
        ended = ended || session->stream.stopped;
    }
    if (state->now.root == SX_NONE) session->tokens[state->now.length] = 0; // read by nobody who minds
    session->decode_time = session->begin_time;
}
