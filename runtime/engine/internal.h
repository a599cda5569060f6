// What the files of runtime/engine share. Front ends see specexit.h alone.
#ifndef SX_ENGINE_INTERNAL_H
#define SX_ENGINE_INTERNAL_H

#include "base/arena.h"
#include "engine/pace.h"
#include "gpu/gpu.h"
#include "graph/eagle.h"
#include "graph/target.h"
#include "graph/weights.h"
#include "model/draft.h"
#include "model/fingerprint.h"
#include "model/model_files.h"
#include "model/target_weights.h"
#include "specexit.h"
#include "specexit_signals.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

// Tokens of a marker or of a forced message.
typedef struct sx_token_list {
    uint32_t count;
    uint32_t tokens[SX_MAX_FORCED];
} sx_token_list;

typedef struct sx_load sx_load; // what only loading needs (load.c)

struct sx_engine {
    // Files and what was read of them; the mappings are dropped once the weights are on the device.
    sx_engine_info info;
    sx_hparams hparams;
    sx_tokenizer *tokenizer;
    sx_template_id template_id;
    sx_token_list open, close; // think markers; empty where the model does not think
    uint8_t *token_flags;      // [vocabulary rounded up to 4] SX_TOKEN_*
    sx_exit_defaults exit;     // NAN and NULL where nothing was calibrated
    char exit_smoothing[24];   // what exit.smoothing points to
    char exit_message[256]; // key specexit.exit.message of the target, where says_at_exit; else the template's counts
    bool says_at_exit;
    // Device.
    sx_gpu *gpu;
    sx_ops ops;
    sx_weights weights; // the device buffers all matrices live in
    sx_target target;
    bool has_draft;
    sx_eagle draft;
    sx_aux aux;                 // which states are kept; `out` stays NULL here
    uint32_t signal_mask;       // SX_SIGNAL_*: rows of signal_rows that exist
    sx_gpu_binding signal_rows; // float32 [SX_SIGNALS, aux_count * H]
    sx_pace pace;               // what AUTO drafting has measured, for all sessions
    uint64_t draft_fingerprint; // with info.model_exact, whose keys and values a saved session has; 0 without a draft
    // Defaults for sessions.
    uint32_t context;
    uint32_t prefill_limit; // rows of a chunk of a prompt that there is scratch for
    uint32_t prefill_rows;  // of a chunk, a power of two; as many as the device reads in a fraction of a second
    sx_kv_type kv_type;
    bool quantize_draft;
    bool keep_states;
    void (*log)(void *user, const char *line);
    void *log_user;
    sx_load *load; // NULL once ready
    uint32_t session_count;
};

// Bytes the device has free; 0 where unknown.
uint64_t sx_engine_memory_budget(sx_gpu *gpu);
void sx_engine_log(const sx_engine *engine, const char *format, ...) __attribute__((format(printf, 2, 3)));

// ---- settings.c ----------------------------------------------------------------------------------------------------

// Tokens of `text` with markers parsed, at most SX_MAX_FORCED; SX_ERROR_ARGUMENT when it is longer.
sx_status sx_engine_token_list(const sx_engine *engine, const char *text, sx_token_list *out, sx_error *error);
// What zeros in an sx_policy mean for this model.
sx_exit_thresholds sx_settings_thresholds(const sx_engine *engine);
// Whether tokens are counted for penalties; whether the sampler needs nothing but the largest logit.
bool sx_settings_penalised(const SxSettings *settings);
bool sx_settings_greedy(const SxSettings *settings);
// The device's view of a reply's settings. `prompt_count` tokens stand before the reply.
sx_status sx_settings_fill(const sx_engine *engine, const sx_generate_desc *desc, uint32_t prompt_count,
                           uint32_t context, SxSettings *out, sx_error *error);

// ---- prompt.c ------------------------------------------------------------------------------------------------------

typedef struct sx_prompt_tokens {
    uint32_t *tokens; // malloc'ed
    uint32_t count;
    bool thinking_open; // the prompt ends inside a thinking block
} sx_prompt_tokens;
sx_status sx_prompt_make(const sx_engine *engine, const sx_generate_desc *desc, sx_prompt_tokens *out, sx_error *error);

double sx_clock_seconds(void); // monotonic

#endif
