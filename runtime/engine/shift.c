// A conversation that has outgrown the context: the oldest turns behind the system message are left out.
//
// What stays is rendered and read anew, so the reply is the one that a conversation of just these messages would have.
// So that this happens seldom, a quarter of the context is made free each time, and the same turns stay left out as
// long as the conversation begins with them.
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

sx_status sx_shift_prompt(sx_session *session, const sx_generate_desc *desc, sx_prompt_tokens *out, sx_error *error)
{
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
    return SX_OK;
}
