// A session's inside. Phases:
//
//   idle -> prefilling -> running -> draining -> idle                      a reply
//   running, or idle after it -> draining -> restoring -> (resampling ->) prefilling -> running      keep thinking
//   running -> draining -> prefilling -> running                                                     a full context
//
// Draining waits for the cycles that were submitted ahead, whose results are not wanted any more.
#ifndef SX_ENGINE_SESSION_H
#define SX_ENGINE_SESSION_H

#include "engine/stream.h"
#include "engine/tapes.h"

typedef enum sx_phase {
    SX_PHASE_IDLE = 0,
    SX_PHASE_PREFILLING,
    SX_PHASE_RUNNING,
    SX_PHASE_DRAINING,
    SX_PHASE_RESTORING, // reading the state with the exit's snapshot
    SX_PHASE_RESAMPLING // asking what the model says when it may not close its thinking
} sx_phase;

struct sx_session {
    sx_engine *engine;
    uint32_t context;
    uint32_t depth_limit; // cycles in flight
    sx_session_buffers buffers;
    sx_tape_cache tapes;
    sx_stream stream;
    // Tokens: prompt and reply. The first `length` of them have keys and values; draft_length of those in the draft.
    uint32_t *tokens; // [context + 1]
    uint32_t token_count, prompt_count, length, draft_length;
    uint32_t dropped; // messages left out of the last prompt, and what they said
    uint64_t dropped_hash;
    // For a reply that outgrows the context (shift.c).
    sx_when_full when_full;
    uint32_t maximum_tokens;   // of the reply; 0: as many as come
    sx_prompt_tokens shortest; // the prompt without all that may be left out; no tokens: it has nothing of the kind
    uint32_t shortest_dropped;
    uint64_t shortest_hash;
    uint32_t reply_dropped; // tokens of the reply that are not in `tokens` any more
    // The reply.
    sx_phase phase;
    sx_drafting drafting; // resolved: no AUTO; of the last cycle that was submitted
    uint32_t rows;        // of its verify pass
    bool paced;           // the engine's pace changes the shape from cycle to cycle
    double cycle_time;    // when the last result came; 0: no measure of the next cycle
    SxSettings settings;
    SxState start;     // state the first cycle starts from, written when the prompt has been read
    bool counts_dirty; // counts hold a penalised reply's tokens
    bool counts_kept;  // and they stay as they are for the next first cycle
    uint32_t prefill_start, prefill_next, prefill_end;
    double chunk_time; // when the chunk before the oldest in flight was taken in, or the first one submitted
    sx_gpu_ticket ticket[SX_GPU_TICKETS_IN_FLIGHT];
    uint32_t ticket_note[SX_GPU_TICKETS_IN_FLIGHT]; // prefills: rows of the chunk; cycles: see cycle.c
    uint32_t in_flight;
    bool left_thinking; // there is a snapshot to go back to
    sx_exit_reason exit_reason;
    bool keep_wanted; // after draining: go back into the thinking
    bool stop_wanted;
    bool settling;              // nothing new is submitted: what is in flight is taken in
    sx_done_reason done_reason; // after draining: the reply is over
    SxState restored;
    // For going on after a device loss.
    sx_phase failed_phase; // where the session was when the device failed
    bool thinking_open;    // the prompt ends inside a thinking block
    bool resumed;          // keep-thinking was used: the reply is no function of prompt and seed any more
    uint32_t hurried_at;   // thinking tokens at an answer-now; 0: none
    double begin_time, decode_time;
    sx_stats stats;
};

// ---- cycle.c: submitting and reading cycles -----------------------------------------------------------------------

// Chooses what AUTO and zeros stand for, and the rows of the verify pass.
sx_status sx_cycle_choose(sx_session *session, const sx_drafting *asked, sx_error *error);
sx_status sx_cycle_submit(sx_session *session, sx_error *error);
// Takes in a finished cycle, submitted with this note: tokens, events, statistics. True when the reply is over.
bool sx_cycle_take(sx_session *session, const SxResult *result, uint32_t note);
// The reply's next token: kept, counted and told.
void sx_cycle_emit(sx_session *session, uint32_t token);

// ---- choices.c: replies that are known ------------------------------------------------------------------------------

// The state of a reply at the end of its prompt.
SxState sx_state_at_prompt(const uint32_t *tokens, uint32_t prompt_count, bool thinking_open);
// One token further: what the model says next, `choice`, goes the way that a cycle's rows go. state->result tells what
// came of it. `tokens` receives the token committed.
void sx_state_choose(const sx_engine *engine, const SxSettings *settings, SxState *state, uint32_t *tokens,
                     uint32_t choice);
sx_status sx_choices_check(const sx_engine *engine, const sx_generate_desc *desc, sx_error *error);
// Writes the reply as far as the choices tell it, its events included; its tokens are still to be read then.
void sx_session_take_choices(sx_session *session, const sx_generate_desc *desc);

// ---- shift.c: conversations longer than the context ----------------------------------------------------------------

// The prompt's tokens, with what `when_full` leaves out left out.
sx_status sx_shift_prompt(sx_session *session, const sx_generate_desc *desc, sx_prompt_tokens *out, sx_error *error);
// When a reply has ended because the context is full, and nothing is in flight: leaves out what came first and sets the
// session to read the rest and go on. *shifted says whether that was asked for and possible.
sx_status sx_shift_reply(sx_session *session, bool *shifted, sx_error *error);

// ---- resume.c: keep-thinking --------------------------------------------------------------------------------------

// The state has been read into session->restored: prepares the way on from the snapshot.
sx_status sx_resume_restore(sx_session *session, sx_error *error);
sx_status sx_resume_take_sample(sx_session *session, const SxSample *sample, sx_error *error);

// The fixed row counts tapes come in: the smallest that holds `rows`.
uint32_t sx_fixed_rows(uint32_t rows);

// ---- session.c ----------------------------------------------------------------------------------------------------

// Records the tapes that a first, greedy reply needs, which creates their pipelines. SX_PENDING: call again.
sx_status sx_session_warm(sx_session *session, sx_error *error);
// The number in the reply of the token at `position`.
static inline uint32_t sx_session_reply_index(const sx_session *session, uint32_t position)
{
    return position - session->prompt_count + session->reply_dropped;
}
// Puts the state at the prompt's end in place of the first cycle's.
void sx_session_start_state(sx_session *session);
// A prompt that leaves no room for a reply is refused.
sx_status sx_prompt_check(const sx_prompt_tokens *prompt, uint32_t context, sx_error *error);
// Rows of a tape that reads the next of `left` tokens of a long prompt.
uint32_t sx_prefill_rows(const sx_engine *engine, uint32_t left);
// Makes tokens [first, first + count) the rows of the next tape that is no cycle, a tape of `rows` rows.
sx_status sx_session_write_rows(sx_session *session, uint32_t first, uint32_t count, uint32_t rows, sx_error *error);
// The key without `greedy`, which follows from the settings in force.
sx_status sx_session_submit(sx_session *session, const sx_tape_key *key, const sx_gpu_readback *readback,
                            sx_error *error);
// Submits a tape and waits for it (inspect.c). No cycle may be in flight.
sx_status sx_session_run_tape(sx_session *session, const sx_tape_key *key, sx_error *error);
// Runs the tape over tokens [first, first + count), 32 at a time, and reads `width` floats a row from `buffer`.
sx_status sx_session_run_rows(sx_session *session, sx_tape_kind kind, uint32_t first, uint32_t count,
                              sx_gpu_buffer *buffer, uint32_t width, float *out, sx_error *error);
// The phase after the snapshot is known: reads positions [first, end) again and then starts from session->start.
void sx_session_prefill_from(sx_session *session, uint32_t first, uint32_t end);
// The first position to read again where `length` positions stay and the token behind them may be another one: the
// draft's entry of a position pairs it with the next token.
uint32_t sx_session_reread(const sx_session *session, uint32_t length);
// Takes in what has been submitted, until nothing is in flight and the session is idle, or in the middle of reading
// its prompt or of writing its reply, where the next poll goes on. Blocks.
sx_status sx_session_settle(sx_session *session, sx_error *error);

#endif
