// What the end-to-end tests share: the bundled model, its problems, and whole replies.
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include "specexit.h"

typedef struct test_reply {
    uint32_t tokens[2048];
    uint32_t count;
    char thinking[8192], answer[4096];
    sx_exit_reason exit_reason;
    uint32_t exit_token; // index of the last token before the exit
    sx_signals exit_signals;
    sx_done_reason done_reason;
    sx_stats stats;
} test_reply;

// Aborts the test program with the message on failure.
sx_engine *test_open_bundled(const sx_engine_desc *desc);
// The same with the kernels of GPUs, those of long prompts among them, on whatever device the test has.
sx_engine *test_open_as_gpu(void);
sx_session *test_open_session(sx_engine *engine);
// Runs until done. `after` (may be NULL) is called after every event and may steer the session.
void test_run(sx_session *session, const sx_generate_desc *desc, test_reply *reply,
              void (*after)(sx_session *, const sx_event *, void *), void *user);
// Adds an event to the reply.
void test_take(test_reply *reply, const sx_event *event);
// Goes on reading events of a reply that runs already.
void test_continue(sx_session *session, test_reply *reply, void (*after)(sx_session *, const sx_event *, void *),
                   void *user);

// Problem `index` of a JSONL file of the demo model; false behind the last one.
typedef struct test_problem {
    char prompt[1024], answer[64];
} test_problem;
bool test_problem_read(const char *file, uint32_t index, test_problem *out);

// The number of an environment variable, or `fallback`.
uint32_t test_number(const char *variable, uint32_t fallback);

#endif
