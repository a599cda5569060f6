// What the application knows, and every change of it: conversations with their branches, the reply being streamed, the
// settings. Pure: no window, no file, no clock (times are passed in), so that tests drive it directly.
//
// A conversation is a tree of messages in one array. A message names its parent and which of its children is shown;
// regenerating or editing adds a sibling, so nothing said is ever lost. The path is what is shown: from the selected
// first message down the selected children.
#ifndef CHAT_STATE_H
#define CHAT_STATE_H

#include "settings.h"
#include "text.h"

typedef struct chat_point { // the signals at one token of the thinking
    uint32_t token_index;
    bool boundary, has_signals;
    sx_signals smoothed;
    float margin, entropy;
} chat_point;

typedef struct chat_thresholds { // what the reply's policy exits at; 0: not known
    float confidence, progress, remain;
} chat_thresholds;

typedef struct chat_message {
    int32_t parent;   // index in the conversation, -1: none
    int32_t selected; // the child that is shown, -1: none
    sx_role role;
    fe_text thinking, content;
    fe_text failure; // why the reply failed, empty when it did not
    bool complete;   // false while streaming, and after a kill
    bool left;       // thinking has ended
    bool unfolded;   // the thinking is shown although it has ended
    sx_exit_reason exit_reason;
    char exit_sentence[160];
    uint32_t exit_token;
    size_t exit_length;    // bytes of the thinking without what was forced behind the exit; not saved
    uint32_t saved_tokens; // thinking tokens that were still expected at the exit
    uint32_t thinking_tokens, tokens;
    double seconds; // from sending to the last event
    double tokens_per_second;
    double acceptance; // tokens per cycle
    uint64_t seed;
    sx_done_reason done_reason;
    chat_thresholds thresholds;
    chat_point *points;
    uint32_t point_count, point_capacity;
    uint32_t version;                       // grows with every change of what is shown
    bool dirty;                             // not saved yet
    size_t stored_thinking, stored_content; // bytes that the store has of a reply that is being written
    bool stored_left;
} chat_message;

typedef struct chat_conversation {
    int64_t id; // in the store, 0: not there yet
    chat_steering steering;
    char *title;
    bool named;       // the user gave the title
    int64_t updated;  // seconds since 1970
    int32_t selected; // the first message that is shown, -1: none
    chat_message *messages;
    uint32_t count, capacity;
    bool loaded; // messages are in memory
    bool dirty;
    bool matches; // the search in the side bar
} chat_conversation;

typedef struct chat_question { // sent by the user, not asked yet
    chat_conversation *conversation;
    int32_t edited; // the message it replaces, -1: none
    char *text;
} chat_question;

// What takes a notice away, besides the user.
typedef enum chat_notice_end { NOTICE_STAYS = 0, NOTICE_WHILE_WRITING, NOTICE_WHILE_LOADING } chat_notice_end;

typedef struct chat_state {
    chat_conversation **conversations; // newest first
    uint32_t count, capacity;
    chat_conversation *current;   // never NULL after chat_state_init
    chat_conversation *streaming; // NULL: nothing is being generated
    uint32_t reply;               // the message being generated
    double started;               // when it was sent, seconds
    double first_text;            // when its first text came, 0: not yet
    uint32_t first_token;
    chat_question *waiting; // for the model to be loaded or the reply to be complete; oldest first
    uint32_t waiting_count, waiting_capacity;
    uint32_t prefill_done, prefill_total;
    uint64_t saved_tokens; // in all conversations since the start
    double saved_seconds;
    uint64_t next_seed;
    chat_settings settings;
    chat_model_settings model;     // of settings.model, as they are to be when it is loaded next
    sx_exit_thresholds calibrated; // of the model that is open: where the slider's middle is
    sx_profile profile;            // of that model; level_count 0: the slider moves the thresholds themselves
    sx_watch watch;                // of the reply being generated: whether the profile was made for its like
    fe_text notice;                // one line for the user until dismissed
    chat_notice_end notice_end;
} chat_state;

void chat_state_init(chat_state *state, uint64_t seed);
void chat_state_free(chat_state *state);
void chat_tell(chat_state *state, const char *notice, chat_notice_end end); // in place of what was said before

// ---- Conversations
chat_conversation *chat_new_conversation(chat_state *state, int64_t now); // an empty current one is kept
chat_conversation *chat_add_conversation(chat_state *state);              // at the end, for the store
void chat_select_conversation(chat_state *state, chat_conversation *conversation);
void chat_steer(chat_state *state, chat_steering steering); // the current conversation, and those begun after it
// Removes and frees it; refused (false) while it is being written to.
bool chat_delete_conversation(chat_state *state, chat_conversation *conversation, int64_t now);
void chat_rename_conversation(chat_conversation *conversation, const char *title);
void chat_title_from(chat_conversation *conversation, const char *text); // its first line with text, cut at a word
void chat_conversation_touch(chat_state *state, chat_conversation *conversation, int64_t now); // to the top

// ---- Messages
chat_message *chat_add_message(chat_conversation *conversation, int32_t parent, sx_role role);
// Indices of the messages shown, in order; returns their count, writes at most `capacity`.
uint32_t chat_path(const chat_conversation *conversation, uint32_t *path, uint32_t capacity);
int32_t chat_path_last(const chat_conversation *conversation); // -1: empty
void chat_siblings(const chat_conversation *conversation, uint32_t message, uint32_t *position, uint32_t *count);
int32_t chat_last_branch(const chat_conversation *conversation); // the last message shown that has siblings, -1: none
bool chat_select_sibling(chat_conversation *conversation, uint32_t message, int direction); // false at the end
void chat_message_free(chat_message *message);

// ---- Talking
// Adds the user's words behind `parent` (-1: the start) and returns the message's index.
uint32_t chat_say(chat_state *state, int32_t parent, const char *text, int64_t now);
// Adds an empty reply to message `parent` and makes it the streaming one.
uint32_t chat_begin_reply(chat_state *state, uint32_t parent, double now);
// A question of the current conversation that cannot be asked yet; `edited` as in chat_question.
void chat_wait(chat_state *state, int32_t edited, const char *text);
uint32_t chat_waiting(const chat_state *state, const chat_conversation *conversation); // how many wait in it
// The newest waiting question of the current conversation, which waits no more; to be freed. NULL: none waits.
char *chat_take_back(chat_state *state, int32_t *edited);
// Says the oldest waiting question in its conversation and begins the reply. False: none waits, or one is being
// written.
bool chat_ask_next(chat_state *state, int64_t date, double now);
void chat_say_waiting(chat_state *state, int64_t date); // all of them, without replies: before the end
// The user message whose reply is shown last, to answer it again; -1: there is none.
int32_t chat_regenerate_parent(const chat_conversation *conversation);
// The messages from the start to `last`, for the template; texts are borrowed. Returns the count.
uint32_t chat_prompt(const chat_conversation *conversation, uint32_t last, sx_message *messages, uint32_t capacity);
void chat_apply_event(chat_state *state, const sx_event *event, double now);
void chat_fail_reply(chat_state *state, const char *reason);
// The last reply goes on thinking: its answer is withdrawn. False where its thinking was not left.
bool chat_keep_thinking(chat_state *state, double now);
bool chat_can_keep_thinking(const chat_state *state); // the shown last reply is one whose thinking was ended early
bool chat_is_thinking(const chat_message *message);

typedef struct chat_forecast {
    bool known;
    float progress; // 0..1
    uint32_t tokens;
    double seconds; // < 0: unknown
} chat_forecast;
chat_forecast chat_thinking_forecast(const chat_message *message);
// "thought for 214 tokens · left early: ..." into text.
void chat_thinking_sentence(const chat_message *message, char *text, size_t size);

// ---- Settings to the engine
sx_policy chat_policy(const chat_state *state, const chat_steering *steering);
sx_exit_thresholds chat_thresholds_of(const chat_state *state,
                                      const chat_steering *steering); // where the slider stands
bool chat_effort_is_calibrated(float effort);                         // the slider stands in the middle
// "Thinks less", or what the profile promises: "Level 2 of 5: about 34 tokens, 97 % right".
void chat_effort_text(const chat_state *state, float effort, char *text, size_t size);
// The profile's rule where the slider stands; NULL: there is no profile, or it thinks as long as it wants.
const sx_exit_rule *chat_rule(const chat_state *state, float effort);

#endif
