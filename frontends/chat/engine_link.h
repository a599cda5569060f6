// The engine as the application sees it: opened in the background of the frames, polled a bounded time a frame, its
// events handed to the state. Never blocks, except for one submit on a software driver.
#ifndef CHAT_ENGINE_LINK_H
#define CHAT_ENGINE_LINK_H

#include "state.h"

typedef enum link_phase { LINK_CLOSED = 0, LINK_LOADING, LINK_READY, LINK_FAILED } link_phase;

typedef struct engine_link {
    link_phase phase;
    sx_engine *engine;
    sx_session *session;
    sx_load_progress progress;
    sx_engine_info info;          // when ready
    sx_error error;               // when failed
    char *target, *draft, *cache; // NULL: bundled, none, none
    chat_conversation *owner;     // whose reply the session holds, for keep-thinking; NULL: none
    uint32_t owner_reply;
    chat_thresholds calibrated; // what the draft's file says, zeros where it does not
} engine_link;

// Begins loading; the model before is closed. Empty or NULL strings mean: the bundled model, the draft found beside the
// model, the best device.
void link_open(engine_link *link, const char *target, const char *draft, const char *device);
void link_close(engine_link *link); // also cancels loading
void link_free(engine_link *link);
// Advances loading or generation for at most `budget` seconds. True when something changed that is drawn.
bool link_tick(engine_link *link, chat_state *state, double (*clock)(void), double budget);
// Starts the reply that chat_begin_reply made. A failure is written into the reply.
void link_begin(engine_link *link, chat_state *state);
void link_answer_now(engine_link *link);
void link_stop(engine_link *link);
bool link_can_keep_thinking(const engine_link *link, const chat_state *state);
void link_keep_thinking(engine_link *link, chat_state *state, double now);
void link_forget(engine_link *link, const chat_conversation *conversation); // it is about to be freed
bool link_busy(const engine_link *link);                                    // loading or generating
void link_wait(engine_link *link, uint32_t milliseconds);                   // sleeps while generating

#endif
