// One reply from begin to done: pumps the session's events to a view and keeps what is needed afterwards.
#ifndef CLI_REPLY_H
#define CLI_REPLY_H

#include "common/json_writer.h"
#include "common/text.h"
#include "specexit.h"

#include <stdbool.h>

// The signals after one token of the thinking.
typedef struct cli_point {
    uint32_t token_index; // in the reply
    bool boundary, has_signals;
    sx_signals raw, smoothed;
    float margin, entropy;
} cli_point;

// Zero-initialised is empty; freed with cli_reply_free.
typedef struct cli_reply {
    fe_text thinking, answer;
    cli_point *points; // [point_count], in the order of the text
    uint32_t point_count, point_capacity;
    uint32_t thinking_start; // index in the reply of the first token of the thinking's text
    bool thinking_seen;
    bool left;     // thinking has ended
    sx_event exit; // when left; its text pointers are not valid
    char exit_sentence[256];
    sx_done_reason done_reason;
    sx_stats stats;
    double seconds;       // wall clock, from begin to done
    bool interrupted;     // stopped by a signal
    bool watched, unlike; // against the range of a profile; unlike: its promises may not hold for this prompt
} cli_reply;

typedef struct cli_view {
    void (*event)(void *user, const sx_event *event, const cli_reply *reply); // after the reply took it in; NULL: none
    void (*idle)(void *user, const cli_reply *reply); // a few times a second while nothing happens; may be NULL
    const sx_signal_range *range; // of the replies that the profile in use was calibrated on; NULL: none
    bool stop_only;               // ctrl-c stops at the first time
    bool (*broken)(void *user);   // true: nobody reads any more, stop; may be NULL
    void *user;
} cli_view;

// Begins and pumps until done. Ctrl-c once while thinking: the answer is asked for; again, or outside of thinking: the
// reply is stopped. `reply` is emptied first.
sx_status cli_reply_generate(sx_session *session, const sx_generate_desc *desc, const cli_view *view, cli_reply *reply,
                             sx_error *error);
// Goes on thinking from the exit of the session's last reply; `reply` is that reply and loses its answer.
sx_status cli_reply_think_on(sx_session *session, const cli_view *view, cli_reply *reply, sx_error *error);
void cli_reply_free(cli_reply *reply);

// Whether the last token seen belongs to the thinking.
bool cli_reply_is_thinking(const cli_reply *reply);

// Members "finish_reason", "usage", "exit" and "stats" of the JSON of a finished reply.
void cli_reply_json(json_writer *json, const cli_reply *reply);
void cli_signals_json(json_writer *json, const char *key, const sx_signals *signals);

#endif
