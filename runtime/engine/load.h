// What only loading needs: the open files, and where the load is.
#ifndef SX_ENGINE_LOAD_H
#define SX_ENGINE_LOAD_H

#include "engine/internal.h"

struct sx_load {
    sx_load_stage stage;
    double fraction;
    sx_source bundled[2];             // target and draft, when nothing else was asked for
    const sx_source **target_sources; // the arrays of pointers the openers take
    const sx_source **draft_sources;
    sx_model_files *files;
    sx_target_weights target;
    sx_draft *draft;         // NULL: none
    sx_signal_head *signals; // NULL: none, or the draft's own
    sx_session *probe;       // the session that records the first tapes and runs the self-tests
    bool tested;             // the self-test's result is known already
    uint32_t test_step;
    bool hidden_read; // of the step's pass
    float *test_rows; // [2, hidden + vocabulary] of the device's self-test
    double begin_time;
};

// vocabulary.c
sx_status sx_vocabulary_read(const sx_gguf *gguf, sx_tokenizer **out, sx_error *error);
sx_status sx_vocabulary_flags(sx_engine *engine, sx_error *error);
sx_status sx_vocabulary_markers(sx_engine *engine, sx_error *error);

// plan.c: plans all weights of target, draft and signal rows.
sx_status sx_plan_weights(sx_engine *engine, sx_error *error);
// Estimates what weights and one session take; fails when that is more than `budget` bytes (0: unknown), saying what
// would fit.
sx_status sx_plan_check_memory(sx_engine *engine, uint64_t budget, sx_error *error);

// The largest context up to the engine's that fits `bytes` with the weights, 0 when not even a small one does; after
// sx_plan_check_memory.
uint32_t sx_plan_fitting_context(const sx_engine *engine, uint64_t bytes);

// selftest.c: takes over what an earlier load has found, or has the test run.
void sx_selftest_begin(sx_engine *engine, const sx_selftest *known);
// SX_OK with the stage at SX_LOAD_READY when all tests have run, else SX_PENDING.
sx_status sx_selftest_poll(sx_engine *engine, sx_error *error);

// bundled.c: false when this build carries no model.
bool sx_bundled_model(sx_source *target, sx_source *draft);

#endif
