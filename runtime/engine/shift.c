// A conversation that has outgrown the context: the oldest turns behind the system message are left out.
//
// What stays is rendered and read anew, so the reply is the one that a conversation of just these messages would have.
// So that this happens seldom, a quarter of the context is made free each time, and the same turns stay left out as
// long as the conversation begins with them.
//
// A reply that fills the context goes on behind the shortest prompt, that of the system message and the last turn;
// where that does not make room enough, without its own beginning: what stays is the think marker (and the one that
// closes it), and the last tokens from the beginning of a step on. They are read anew as a prompt, and the last of them
// is the next cycle's root. All that depends on the tokens alone, so the text is the same however it is drafted.
#include "base/hash.h"
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

static uint32_t first_turn(const sx_generate_desc *desc)
{
    return desc->messages[0].role == SX_ROLE_SYSTEM ? 1 : 0;
}

// The message at which the turn behind message `from` begins; the count when there is none.
static uint32_t next_turn(const sx_generate_desc *desc, uint32_t from)
{
    uint32_t next = from + 1;
    while (next < desc->message_count && desc->messages[next].role != SX_ROLE_USER)
        next++;
    return next;
}

static uint64_t hash_turns(const sx_generate_desc *desc, uint32_t dropped)
{
    uint64_t hash = SX_HASH_START;
    const sx_message *first = desc->messages + first_turn(desc);
    for (uint32_t i = 0; i < dropped; i++) {
        const char *content = first[i].content ? first[i].content : "";
        hash = sx_hash(hash, content, strlen(content) + 1);
    }
    return hash;
}

// What was left out of the last prompt, where this conversation begins likewise and has a turn behind it.
static uint32_t still_dropped(const sx_session *session, const sx_generate_desc *desc)
{
    const uint32_t dropped = session->dropped, first = first_turn(desc);
    if (!dropped || first + dropped >= desc->message_count) return 0;
    if (desc->messages[first + dropped].role != SX_ROLE_USER) return 0;
    return hash_turns(desc, dropped) == session->dropped_hash ? dropped : 0;
}

static sx_status make_without(const sx_engine *engine, const sx_generate_desc *desc, uint32_t dropped,
                              sx_prompt_tokens *out, sx_error *error)
{
    const uint32_t first = first_turn(desc), kept = desc->message_count - dropped;
    sx_message *messages = malloc(kept * sizeof *messages);
    if (!messages) return sx_fail(error, SX_ERROR_MEMORY, "out of memory while reading the prompt");
    memcpy(messages, desc->messages, first * sizeof *messages);
    memcpy(messages + first, desc->messages + first + dropped, (kept - first) * sizeof *messages);
    sx_generate_desc shorter = *desc;
    shorter.messages = messages;
    shorter.message_count = kept;
    const sx_status status = sx_prompt_make(engine, &shorter, out, error);
    free(messages);
    return status;
}

// Tokens a prompt may have, so that there is room for the reply: all that is asked for, or a quarter of the context.
static uint32_t longest_prompt(const sx_session *session, const sx_generate_desc *desc)
{
    uint32_t reply = session->context / 4;
    if (desc->maximum_tokens && desc->maximum_tokens < reply) reply = desc->maximum_tokens;
    return session->context - (reply ? reply : 1);
}

// Keeps the prompt that a reply has to itself when the context is full; the one at hand has `count` tokens.
static sx_status keep_shortest(sx_session *session, const sx_generate_desc *desc, uint32_t count, sx_error *error)
{
    const uint32_t first = first_turn(desc);
    uint32_t last = first + session->dropped;
    for (uint32_t next; (next = next_turn(desc, last)) < desc->message_count;)
        last = next;
    if (last == first + session->dropped) return SX_OK;
    session->shortest_dropped = last - first;
    session->shortest_hash = hash_turns(desc, last - first);
    const sx_status status = make_without(session->engine, desc, last - first, &session->shortest, error);
    if (status != SX_OK || session->shortest.count < count) return status;
    free(session->shortest.tokens);
    session->shortest = (sx_prompt_tokens){0};
    return SX_OK;
}

sx_status sx_shift_prompt(sx_session *session, const sx_generate_desc *desc, sx_prompt_tokens *out, sx_error *error)
{
    free(session->shortest.tokens);
    session->shortest = (sx_prompt_tokens){0};
    if (desc->when_full != SX_FULL_SHIFT || !desc->messages || !desc->message_count) {
        session->dropped = 0;
        return sx_prompt_make(session->engine, desc, out, error);
    }
    uint32_t dropped = still_dropped(session, desc), longest = longest_prompt(session, desc);
    sx_status status = make_without(session->engine, desc, dropped, out, error);
    if (status == SX_OK && out->count > longest) longest -= session->context / 4;
    while (status == SX_OK && out->count > longest) {
        const uint32_t first = first_turn(desc), next = next_turn(desc, first + dropped);
        if (next >= desc->message_count) break; // the last turn is never left out
        dropped = next - first;
        free(out->tokens);
        status = make_without(session->engine, desc, dropped, out, error);
    }
    if (status != SX_OK) return status;
    session->dropped = dropped;
    session->dropped_hash = hash_turns(desc, dropped);
    status = keep_shortest(session, desc, out->count, error);
    if (status != SX_OK) free(out->tokens);
    return status;
}

// ---- In the middle of a reply --------------------------------------------------------------------------------------

// What becomes of the session's tokens: the prompt, the reply's tokens up to and with the think marker, the close
// marker where it would be lost, and the tail. Positions are those before, `head` and `length` those after.
typedef struct cut {
    const uint32_t *prompt; // NULL: it stays as it is
    uint32_t prompt_count;
    uint32_t marker; // tokens of the reply that open the thinking
    uint32_t close;  // position of the close marker, of close_count tokens; close_count 0: it is in the tail, or none
    uint32_t close_count;
    uint32_t tail; // position of the first token that stays behind them
    uint32_t head, length;
} cut;

enum { LEAST_ROOM = 32 };

// The first beginning of a step at or behind `from`, if one is near; else `from`.
static uint32_t step_from(const sx_session *session, uint32_t from)
{
    const uint32_t end = from + (session->token_count - from) / 2;
    for (uint32_t at = from; at < end; at++)
        if (sx_engine_ends_step(session->engine, session->tokens[at - 1])) return at;
    return from;
}

// False where the prompt alone leaves too little room.
static bool plan_cut(const sx_session *session, const SxThought *now, cut *c)
{
    const uint32_t old_prompt = session->prompt_count;
    *c = (cut){.prompt = session->shortest.tokens, .prompt_count = old_prompt};
    if (c->prompt) c->prompt_count = session->shortest.count;
    if (now->thinking != SX_THINKING_BEFORE && now->thinking_start > old_prompt)
        c->marker = now->thinking_start - old_prompt;
    c->head = c->prompt_count + c->marker;
    c->tail = old_prompt + c->marker;
    if (c->head >= session->context) return false;
    const uint32_t room = session->context - c->head, quarter = session->context / 4;
    if (room < quarter || room < LEAST_ROOM) return false;
    if (session->token_count - c->tail > room - quarter) {
        sx_thinking_span span;
        c->tail = step_from(session, session->token_count - room / 2);
        if (now->thinking == SX_THINKING_AFTER && sx_session_thinking(session, &span) && span.answer <= c->tail) {
            c->close_count = session->engine->close.count;
            c->close = span.answer - c->close_count;
            c->head += c->close_count;
        }
    }
    c->length = c->head + session->token_count - c->tail;
    return true;
}

// Carries the cut out. Returns how many tokens from the front are what they were.
static uint32_t cut_tokens(sx_session *session, const cut *c)
{
    uint32_t *tokens = session->tokens, same = 0;
    uint32_t *marker = tokens + c->prompt_count;
    while (c->prompt && same < c->prompt_count && tokens[same] == c->prompt[same])
        same++;
    if (!c->prompt) same = c->prompt_count + c->marker;
    // Everything moves towards the front, in order, so that nothing is overwritten before it has moved.
    memmove(marker, tokens + session->prompt_count, c->marker * sizeof *tokens);
    memmove(marker + c->marker, tokens + c->close, c->close_count * sizeof *tokens);
    memmove(tokens + c->head, tokens + c->tail, (session->token_count - c->tail) * sizeof *tokens);
    if (c->prompt) memcpy(tokens, c->prompt, c->prompt_count * sizeof *tokens);
    return same;
}

static void move_thought(SxThought *thought, const sx_session *session, const cut *c)
{
    thought->thinking_start -= session->prompt_count - c->prompt_count;
    thought->length -= c->tail - c->head;
}

// The state that the next cycle starts from: the last token is its root once more, as the last token of a prompt is.
static void cut_state(sx_session *session, const cut *c)
{
    SxState *start = &session->start;
    *start = session->restored;
    session->left_thinking = session->left_thinking && start->exit.length > c->tail;
    if (session->left_thinking) move_thought(&start->exit, session, c);
    move_thought(&start->now, session, c);
    start->now.length--;
    start->now.root = session->tokens[session->token_count - 1];
    start->root_is_prompt = 1;
    start->forced_count += start->forced_count > 0; // the root is the forced token before them
    start->done = SX_DONE_NO;
    start->path_count = 0;
}

static void cut_settings(sx_session *session, uint32_t length)
{
    SxSettings *settings = &session->settings;
    settings->end_position = session->context;
    settings->suppress_close_position = SX_NONE;
    if (!session->maximum_tokens) return;
    const uint32_t left = session->maximum_tokens - session->stats.tokens;
    if (left < session->context - length) settings->end_position = length + left;
}

sx_status sx_shift_reply(sx_session *session, bool *shifted, sx_error *error)
{
    cut c;
    *shifted = false;
    if (session->when_full != SX_FULL_SHIFT || session->done_reason != SX_DONE_MAXIMUM) return SX_OK;
    if (session->maximum_tokens && session->stats.tokens >= session->maximum_tokens) return SX_OK;
    const sx_status status = sx_gpu_read(session->engine->gpu, session->buffers.state, 0, &session->restored,
                                         sizeof session->restored, error);
    if (status != SX_OK || !plan_cut(session, &session->restored.now, &c)) return status;
    cut_state(session, &c);
    cut_settings(session, c.length);
    const uint32_t same = cut_tokens(session, &c);
    // The prompt of the reply that is held now; what was told of it is counted on.
    session->reply_dropped += (session->token_count - session->prompt_count) - (c.length - c.prompt_count);
    session->stats.dropped_tokens = session->reply_dropped;
    session->token_count = c.length;
    session->prompt_count = c.prompt_count;
    if (c.prompt) {
        session->dropped = session->stats.dropped_messages = session->shortest_dropped;
        session->dropped_hash = session->shortest_hash;
        free(session->shortest.tokens);
        session->shortest = (sx_prompt_tokens){0};
    }
    session->resumed = true; // no function of the prompt that is held
    session->counts_kept = true;
    session->done_reason = 0;
    sx_session_prefill_from(session, sx_session_reread(session, same), c.length - 1);
    *shifted = true;
    return SX_OK;
}
