// The engine as the application sees it: what it was asked for, and what came back, handed to the state. The work is
// done by engine_worker's thread; nothing here waits for it.
#ifndef CHAT_ENGINE_LINK_H
#define CHAT_ENGINE_LINK_H

#include "engine_worker.h"
#include "state.h"

typedef enum link_phase { LINK_CLOSED = 0, LINK_LOADING, LINK_READY, LINK_FAILED } link_phase;

typedef struct engine_link {
    link_phase phase;
    engine_worker *worker;
    uint32_t opening, reply;     // counts, as in worker_order
    bool writing;                // a reply is asked for and not done
    bool keeping;                // think longer is asked for and not answered
    char *estimating;            // path of a model whose memory is asked for, until link_estimated; NULL: none
    bool estimated;              // and the answer is there
    sx_memory_estimate estimate; // weight_bytes 0: it cannot be told
    sx_load_progress progress;
    sx_engine_info info;  // when ready
    sx_error error;       // when failed
    char *target, *cache; // NULL: bundled, none
    char *draft;          // as it was asked for; NULL: what is beside the model
    chat_model_settings opened;
    chat_conversation *owner; // whose reply the session holds, for keep-thinking; NULL: none
    uint32_t owner_reply;
} engine_link;

// False when no thread can be had. `wake` as in worker_start.
bool link_start(engine_link *link, void (*wake)(void *user), void *user);
void link_free(engine_link *link);
// Begins loading; the model before is closed. Empty or NULL strings mean: the bundled model, the draft found beside it.
void link_open(engine_link *link, const char *target, const char *draft, const chat_model_settings *settings);
void link_reopen(engine_link *link, const chat_model_settings *settings); // the same files
// Hands on what the worker has reported. True when something changed that is drawn.
bool link_update(engine_link *link, chat_state *state, double now);
// Starts the reply that chat_begin_reply made. A failure is written into the reply.
void link_begin(engine_link *link, chat_state *state);
void link_answer_now(engine_link *link);
void link_stop(engine_link *link);
bool link_can_keep_thinking(const engine_link *link, const chat_state *state);
void link_keep_thinking(engine_link *link, const chat_state *state);
void link_forget(engine_link *link, const chat_conversation *conversation); // it is about to be freed
// Asks what the model at `path` would take of the device; only where a model is ready, and one at a time.
bool link_can_estimate(const engine_link *link);
void link_estimate(engine_link *link, const char *path, const chat_model_settings *settings);
void link_estimated(engine_link *link);  // the answer was taken
bool link_busy(const engine_link *link); // loading or generating

#endif
