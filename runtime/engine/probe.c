// What tracing asks of a session: the states signals are made of, and answers from the middle of a thought.
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

bool sx_engine_ends_step(const sx_engine *engine, uint32_t token)
{
    return token < engine->hparams.vocabulary && (engine->token_flags[token] & SX_TOKEN_SPLIT) != 0;
}

// The position behind the first occurrence of the marker in tokens[first, end), or 0.
static uint32_t find_marker(const sx_session *session, const sx_token_list *marker, uint32_t first, uint32_t end)
{
    for (uint32_t at = first; marker->count && at + marker->count <= end; at++)
        if (!memcmp(session->tokens + at, marker->tokens, marker->count * sizeof(uint32_t))) return at + marker->count;
    return 0;
}

bool sx_session_thinking(const sx_session *session, sx_thinking_span *out)
{
    const sx_engine *engine = session->engine;
    const uint32_t prompt = session->prompt_count, end = session->token_count;
    memset(out, 0, sizeof *out);
    uint32_t first = prompt;
    if (!session->thinking_open) {
        // The marker may begin in the prompt.
        const uint32_t before = engine->open.count ? engine->open.count - 1 : 0;
        first = find_marker(session, &engine->open, prompt > before ? prompt - before : 0, end);
    }
    const uint32_t answer = first ? find_marker(session, &engine->close, first, end) : 0;
    if (!answer) return false;
    *out = (sx_thinking_span){.first = first, .count = answer - engine->close.count - first, .answer = answer};
    return true;
}

static sx_status check_idle(const sx_session *session, sx_error *error)
{
    if (session->phase == SX_PHASE_IDLE) return SX_OK;
    return sx_fail(error, SX_ERROR_BUSY, "the session is writing a reply; stop it first");
}

// ---- States --------------------------------------------------------------------------------------------------------

static void to_halves(const float *values, size_t count, uint16_t *out)
{
    static const float largest = 65504.0f;
    for (size_t i = 0; i < count; i++) {
        const float value = values[i];
        out[i] = sx_float_to_half(value > largest ? largest : value < -largest ? -largest : value);
    }
}

sx_status sx_session_states(sx_session *session, uint32_t first, uint32_t count, uint16_t *states, sx_error *error)
{
    const sx_engine *engine = session->engine;
    const uint32_t width = engine->aux.count * engine->hparams.hidden;
    sx_status status = check_idle(session, error);
    if (status != SX_OK) return status;
    if (!width)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "states: the model was loaded without keeping any; load it with keep_states");
    if (first > session->length || count > session->token_count - first)
        return sx_fail(error, SX_ERROR_ARGUMENT,
                       "states: positions %u to %llu asked for, the session has read %u of %u", first,
                       (unsigned long long)first + count, session->length, session->token_count);
    float *rows = malloc((size_t)SX_MAX_ROWS * width * sizeof *rows);
    if (!rows) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for hidden states");
    for (uint32_t done = 0; done < count && status == SX_OK; done += SX_MAX_ROWS) {
        const uint32_t some = count - done < SX_MAX_ROWS ? count - done : SX_MAX_ROWS;
        status = sx_session_run_rows(session, SX_TAPE_SIGNALS, first + done, some, session->buffers.aux.out, width,
                                     rows, error);
        if (status == SX_OK) to_halves(rows, (size_t)some * width, states + (size_t)done * width);
    }
    free(rows);
    return status;
}

// ---- Forced answers ------------------------------------------------------------------------------------------------

// The tokens behind the boundary: forced ones, then the answer as far as it is known, then what is guessed.
typedef struct branch {
    sx_session *session;
    sx_forced_answer *answer;
    uint32_t *line;   // [length], in the session's tokens
    uint32_t base;    // position of line[0]
    uint32_t forced;  // tokens of the exit
    uint32_t known;   // forced and answered tokens
    uint32_t length;  // with the guess
    uint32_t done;    // tokens of the line that have been read
    uint32_t longest; // what the context leaves room for
    sx_error *error;
} branch;

static sx_status begin_branch(branch *b, uint32_t position)
{
    sx_session *session = b->session;
    const sx_forced_answer *answer = b->answer;
    const sx_generate_desc desc = {
        .policy = {.kind = SX_POLICY_NONE, .no_loop_guard = true, .exit_message = answer->exit_message}};
    sx_status status =
        sx_settings_fill(session->engine, &desc, session->prompt_count, session->context, &session->settings, b->error);
    if (status != SX_OK) return status;
    if (!session->settings.exit_count)
        return sx_fail(b->error, SX_ERROR_UNSUPPORTED, "forced answer: %s has no close marker to say",
                       session->engine->info.model_name);
    b->base = position + 1;
    b->line = session->tokens + b->base;
    b->forced = b->known = session->settings.exit_count;
    b->longest = session->context - b->base;
    if (b->forced + 1 >= b->longest)
        return sx_fail(b->error, SX_ERROR_CONTEXT, "forced answer: the context of %u tokens has no room for one",
                       session->context);
    memcpy(b->line, session->settings.exit_tokens, b->forced * sizeof(uint32_t));
    b->length = b->forced;
    for (uint32_t i = 0; i < answer->guess_count && b->length < b->longest; i++)
        b->line[b->length++] = answer->guess[i];
    session->left_thinking = false;
    return sx_gpu_write(session->engine->gpu, session->buffers.settings, 0, &session->settings,
                        sizeof session->settings, b->error);
}

// Reads the next rows of the line and takes in what they say: one new token of the answer, and more where the guess
// was right.
static sx_status advance_branch(branch *b)
{
    sx_session *session = b->session;
    sx_forced_answer *answer = b->answer;
    SxSample samples[SX_MAX_ROWS];
    const uint32_t first = b->done, left = b->length - first, rows = left < SX_MAX_ROWS ? left : SX_MAX_ROWS;
    const sx_tape_key key = {.kind = SX_TAPE_RESAMPLE,
                             .splits = sx_tape_splits(b->base + first + rows, session->buffers.slots),
                             .rows = sx_fixed_rows(rows)};
    sx_status status = sx_session_write_rows(session, b->base + first, rows, SX_MAX_ROWS, b->error);
    if (status == SX_OK) status = sx_session_run_tape(session, &key, b->error);
    if (status == SX_OK)
        status =
            sx_gpu_read(session->engine->gpu, session->buffers.samples, 0, samples, rows * sizeof *samples, b->error);
    for (uint32_t i = 0; i < rows && status == SX_OK; i++) {
        const uint32_t next = first + i + 1; // place in the line of the token that this row says
        b->done = next;
        if (next < b->known) continue;
        const uint32_t token = samples[i].token;
        if (token >= session->engine->hparams.vocabulary)
            return sx_fail(b->error, SX_ERROR_DEVICE_LOST, "forced answer: the device gave no token");
        answer->tokens[answer->count] = token;
        answer->logprobs[answer->count++] = samples[i].logprob;
        answer->ended = (session->engine->token_flags[token] & SX_TOKEN_END) != 0;
        b->known = next + 1;
        if (answer->ended || answer->count == answer->capacity || b->known >= b->longest) return SX_OK;
        const bool guessed = next < b->length && b->line[next] == token;
        b->line[next] = token;
        if (b->length < b->known) b->length = b->known;
        if (!guessed) break;
    }
    return status;
}

sx_status sx_session_force_answer(sx_session *session, uint32_t position, sx_forced_answer *answer, sx_error *error)
{
    answer->count = 0;
    answer->ended = false;
    sx_status status = check_idle(session, error);
    if (status != SX_OK) return status;
    if (position >= session->length || !answer->capacity)
        return sx_fail(error, SX_ERROR_ARGUMENT, "forced answer: position %u asked for, the session has read %u",
                       position, session->length);
    // The guess may lie in the session's own tokens, where the branch is written.
    uint32_t *guess = NULL;
    if (answer->guess_count) {
        guess = malloc(answer->guess_count * sizeof *guess);
        if (!guess) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for a forced answer");
        memcpy(guess, answer->guess, answer->guess_count * sizeof *guess);
        answer->guess = guess;
    }
    branch b = {.session = session, .answer = answer, .error = error};
    status = begin_branch(&b, position);
    while (status == SX_OK && !answer->ended && answer->count < answer->capacity && b.known < b.longest)
        status = advance_branch(&b);
    answer->guess = NULL;
    free(guess);
    session->token_count = session->length = position + 1;
    if (session->draft_length > session->length) session->draft_length = session->length;
    return status;
}
