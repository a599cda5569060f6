// From tokens to events: think markers, channels, whole characters, stop strings, and the queue that polls empty.
#ifndef SX_ENGINE_STREAM_H
#define SX_ENGINE_STREAM_H

#include "engine/internal.h"

enum { SX_MAX_STOPS = 16 };

typedef struct sx_queued_event {
    sx_event event;
    size_t text_offset; // of event.text in `text`
    uint32_t token;     // what event.tokens points to, once popped
} sx_queued_event;

typedef struct sx_stream {
    const sx_engine *engine;
    sx_detokenizer *detokenizer;
    sx_channel channel;
    bool channel_empty; // nothing shown in the channel yet: leading line breaks are dropped
    bool may_think;     // an open marker still switches the channel
    uint32_t held;      // tokens at the end that may be the beginning of a marker
    char *stops[SX_MAX_STOPS];
    uint32_t stop_count;
    bool stopped; // a stop string appeared
    char *hold;   // answer text that may be the beginning of a stop string
    size_t hold_length, hold_capacity;
    sx_queued_event *queue;
    uint32_t popped_token;
    uint32_t queue_first, queue_count, queue_capacity;
    char *text; // of the queued events
    size_t text_length, text_capacity;
    uint32_t muted; // events of the reply's tokens before this one were told already (a replay after a device loss)
    bool out_of_memory;
} sx_stream;

// Starts a reply. Stop strings are copied.
sx_status sx_stream_begin(sx_stream *stream, const sx_engine *engine, const sx_generate_desc *desc, bool thinking_open,
                          sx_error *error);
// Takes another engine's tokenizer, as after a move. On failure the stream is as it was.
sx_status sx_stream_rebind(sx_stream *stream, const sx_engine *engine, sx_error *error);
// The same reply from its first token: what a begin does beside the stop strings.
void sx_stream_restart(sx_stream *stream, bool thinking_open);
// Drops what was not told yet of the text behind the end of the thinking, and the reply's end.
void sx_stream_withdraw(sx_stream *stream);
// Goes back into the thinking, as keep-thinking does.
void sx_stream_resume_thinking(sx_stream *stream);
// The reply's token number `index`. The tokens before it, as many as a marker has, stand before it in memory: held ones
// are looked at again.
void sx_stream_token(sx_stream *stream, const uint32_t *token, uint32_t index);
// Shows what is still held back; `end` is behind the reply's last token, `count` the number of them.
void sx_stream_flush(sx_stream *stream, const uint32_t *end, uint32_t count);
void sx_stream_event(sx_stream *stream, const sx_event *event);
bool sx_stream_pop(sx_stream *stream, sx_event *event);
void sx_stream_free(sx_stream *stream);

#endif
