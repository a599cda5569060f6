#include "engine/stream.h"

#include <stdlib.h>
#include <string.h>

static bool reserve(sx_stream *stream, char **memory, size_t *capacity, size_t needed)
{
    if (needed <= *capacity) return true;
    const size_t larger = needed * 2 + 256;
    char *grown = realloc(*memory, larger);
    if (!grown) {
        stream->out_of_memory = true;
        return false;
    }
    *memory = grown;
    *capacity = larger;
    return true;
}

static bool told_already(const sx_stream *stream, const sx_event *event)
{
    switch (event->kind) {
    case SX_EVENT_TEXT:
        return event->first_token < stream->muted;
    case SX_EVENT_SIGNALS:
    case SX_EVENT_EXIT:
        return event->token_index + 1 < stream->muted;
    case SX_EVENT_PREFILL:
        return stream->muted > 0;
    case SX_EVENT_DONE:
        break;
    }
    return false;
}

static void queue_event(sx_stream *stream, const sx_event *event, const char *text, size_t length)
{
    if (told_already(stream, event)) return;
    if (!stream->queue_count) {
        stream->queue_first = 0;
        stream->text_length = 0;
    }
    if (stream->queue_first + stream->queue_count == stream->queue_capacity) {
        const uint32_t capacity = stream->queue_capacity * 2 + 32;
        sx_queued_event *grown = realloc(stream->queue, capacity * sizeof *grown);
        if (!grown) {
            stream->out_of_memory = true;
            return;
        }
        stream->queue = grown;
        stream->queue_capacity = capacity;
    }
    if (!reserve(stream, &stream->text, &stream->text_capacity, stream->text_length + length + 1)) return;
    sx_queued_event *queued = &stream->queue[stream->queue_first + stream->queue_count++];
    queued->event = *event;
    queued->event.length = length;
    queued->text_offset = stream->text_length;
    if (event->tokens) queued->token = *event->tokens;
    if (length) memcpy(stream->text + stream->text_length, text, length);
    stream->text[stream->text_length + length] = 0;
    stream->text_length += length + 1;
}

void sx_stream_event(sx_stream *stream, const sx_event *event)
{
    queue_event(stream, event, NULL, 0);
}

bool sx_stream_pop(sx_stream *stream, sx_event *event)
{
    if (!stream->queue_count) return false;
    const sx_queued_event *queued = &stream->queue[stream->queue_first++];
    stream->queue_count--;
    *event = queued->event;
    event->text = stream->text + queued->text_offset;
    if (event->tokens) {
        stream->popped_token = queued->token;
        event->tokens = &stream->popped_token;
    }
    return true;
}

// ---- Stop strings --------------------------------------------------------------------------------------------------

// Length of the longest end of the held text that begins a stop string.
static size_t unfinished_stop(const sx_stream *stream)
{
    size_t longest = 0;
    for (uint32_t i = 0; i < stream->stop_count; i++) {
        size_t length = strlen(stream->stops[i]) - 1;
        if (length > stream->hold_length) length = stream->hold_length;
        while (length > longest && memcmp(stream->hold + stream->hold_length - length, stream->stops[i], length))
            length--;
        if (length > longest) longest = length;
    }
    return longest;
}

// Adds answer text and says how much of the held text may be shown now.
static size_t pass_stops(sx_stream *stream, const char *text, size_t length)
{
    if (!reserve(stream, &stream->hold, &stream->hold_capacity, stream->hold_length + length + 1)) return 0;
    memcpy(stream->hold + stream->hold_length, text, length);
    stream->hold_length += length;
    stream->hold[stream->hold_length] = 0;
    const char *first = NULL;
    for (uint32_t i = 0; i < stream->stop_count; i++) {
        const char *found = strstr(stream->hold, stream->stops[i]);
        if (found && (!first || found < first)) first = found;
    }
    if (first) {
        stream->stopped = true;
        return (size_t)(first - stream->hold);
    }
    return stream->hold_length - unfinished_stop(stream);
}

// ---- Text ----------------------------------------------------------------------------------------------------------

// `token` is NULL where the text is no token's own.
static void show(sx_stream *stream, uint32_t index, const uint32_t *token, const char *text, size_t length)
{
    sx_event event = {.kind = SX_EVENT_TEXT,
                      .channel = stream->channel,
                      .first_token = index,
                      .token_count = token ? 1 : 0,
                      .tokens = token};
    if (stream->stopped) length = 0;
    while (stream->channel_empty && length && (*text == '\n' || *text == '\r')) {
        text++;
        length--;
    }
    if (length) stream->channel_empty = false;
    if (stream->channel == SX_CHANNEL_THINKING || !stream->stop_count) {
        queue_event(stream, &event, text, length);
        return;
    }
    const size_t shown = stream->stopped ? 0 : pass_stops(stream, text, length);
    queue_event(stream, &event, stream->hold, shown);
    if (shown) memmove(stream->hold, stream->hold + shown, stream->hold_length - shown + 1);
    stream->hold_length -= shown;
}

static void show_token(sx_stream *stream, const uint32_t *token, uint32_t index)
{
    size_t length = 0;
    const char *text = sx_detokenizer_push(stream->detokenizer, (int32_t)*token, &length);
    show(stream, index, token, text, length);
}

static void show_pending_bytes(sx_stream *stream, uint32_t index)
{
    size_t length = 0;
    const char *text = sx_detokenizer_flush(stream->detokenizer, &length);
    if (length) show(stream, index, NULL, text, length);
}

// How many of the `count` tokens before `end` are the longest beginning of `marker`; marker->count: all of it.
static uint32_t marker_match(const sx_token_list *marker, const uint32_t *end, uint32_t count)
{
    uint32_t length = marker->count < count ? marker->count : count;
    while (length && memcmp(end - length, marker->tokens, length * sizeof(uint32_t)))
        length--;
    return length;
}

static void switch_channel(sx_stream *stream, sx_channel channel, const uint32_t *token, uint32_t index)
{
    // The tokens of the marker are told, without text.
    const uint32_t held = stream->held + 1;
    stream->held = 0;
    show_pending_bytes(stream, index);
    for (uint32_t back = held; back-- > 0;) {
        const sx_event event = {.kind = SX_EVENT_TEXT,
                                .channel = stream->channel,
                                .first_token = index - back,
                                .token_count = 1,
                                .tokens = token - back};
        queue_event(stream, &event, NULL, 0);
    }
    stream->channel = channel;
    stream->channel_empty = true;
    stream->may_think = false;
}

void sx_stream_token(sx_stream *stream, const uint32_t *token, uint32_t index)
{
    const bool inside = stream->channel == SX_CHANNEL_THINKING;
    const sx_token_list *marker = inside ? &stream->engine->close : &stream->engine->open;
    uint32_t matched = 0;
    // Tokens shown already are past.
    if (marker->count && (inside || stream->may_think)) matched = marker_match(marker, token + 1, stream->held + 1);
    if (matched && matched == marker->count) {
        switch_channel(stream, inside ? SX_CHANNEL_ANSWER : SX_CHANNEL_THINKING, token, index);
        return;
    }
    stream->held++;
    for (; stream->held > matched; stream->held--)
        show_token(stream, token + 1 - stream->held, index + 1 - stream->held);
}

void sx_stream_flush(sx_stream *stream, const uint32_t *end, uint32_t count)
{
    for (; stream->held; stream->held--)
        show_token(stream, end - stream->held, count - stream->held);
    show_pending_bytes(stream, count);
    if (!stream->stopped && stream->hold_length) {
        const sx_event event = {.kind = SX_EVENT_TEXT, .channel = stream->channel, .first_token = count};
        queue_event(stream, &event, stream->hold, stream->hold_length);
    }
    stream->hold_length = 0;
}

// ---- Life ----------------------------------------------------------------------------------------------------------

static void free_stops(sx_stream *stream)
{
    for (uint32_t i = 0; i < stream->stop_count; i++)
        free(stream->stops[i]);
    stream->stop_count = 0;
}

sx_status sx_stream_rebind(sx_stream *stream, const sx_engine *engine, sx_error *error)
{
    sx_detokenizer *detokenizer = NULL;
    const sx_status status = sx_detokenizer_create(engine->tokenizer, 0, &detokenizer);
    if (status != SX_OK) return sx_fail(error, status, "out of memory for the reply");
    sx_detokenizer_free(stream->detokenizer);
    stream->detokenizer = detokenizer;
    stream->engine = engine;
    return SX_OK;
}

void sx_stream_restart(sx_stream *stream, bool thinking_open)
{
    size_t ignored;
    sx_detokenizer_flush(stream->detokenizer, &ignored);
    stream->channel = thinking_open ? SX_CHANNEL_THINKING : SX_CHANNEL_ANSWER;
    stream->may_think = !thinking_open && stream->engine->open.count;
    stream->channel_empty = true;
    stream->stopped = false;
    stream->held = 0;
    stream->hold_length = 0;
    stream->queue_count = 0;
    stream->muted = 0;
}

sx_status sx_stream_begin(sx_stream *stream, const sx_engine *engine, const sx_generate_desc *desc, bool thinking_open,
                          sx_error *error)
{
    if (desc->stop_count > SX_MAX_STOPS)
        return sx_fail(error, SX_ERROR_ARGUMENT, "stop strings: %u given, at most %d are possible", desc->stop_count,
                       SX_MAX_STOPS);
    if (!stream->detokenizer) {
        const sx_status status = sx_stream_rebind(stream, engine, error);
        if (status != SX_OK) return status;
    }
    free_stops(stream);
    for (uint32_t i = 0; i < desc->stop_count; i++) {
        if (!desc->stop[i][0])
            return sx_fail(error, SX_ERROR_ARGUMENT, "stop strings: number %u is empty; leave it out", i + 1);
        stream->stops[i] = strdup(desc->stop[i]);
        if (!stream->stops[i]) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the stop strings");
        stream->stop_count++;
    }
    sx_stream_restart(stream, thinking_open);
    return SX_OK;
}

void sx_stream_withdraw(sx_stream *stream)
{
    uint32_t kept = stream->queue_count;
    while (kept && stream->queue[stream->queue_first + kept - 1].event.kind != SX_EVENT_EXIT)
        kept--;
    stream->queue_count = kept;
}

void sx_stream_resume_thinking(sx_stream *stream)
{
    size_t ignored;
    sx_detokenizer_flush(stream->detokenizer, &ignored);
    stream->channel = SX_CHANNEL_THINKING;
    stream->channel_empty = false;
    stream->stopped = false;
    stream->held = 0;
    stream->hold_length = 0;
}

void sx_stream_free(sx_stream *stream)
{
    free_stops(stream);
    sx_detokenizer_free(stream->detokenizer);
    free(stream->hold);
    free(stream->queue);
    free(stream->text);
    memset(stream, 0, sizeof *stream);
}
