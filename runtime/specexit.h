// specexit: a reasoning model that knows when to stop thinking, on any GPU.
//
// An engine is a loaded model (the target, with an optional EAGLE-3 draft and signal rows) on one device. It does not
// change once it is loaded, and any number of sessions may use it. A session is one conversation: its tokens, their
// keys and values, the state of its thinking.
//
//     sx_engine_desc desc = {0};                          // zero means default: the bundled model, the best device
//     sx_engine *engine;
//     sx_engine_create(&desc, NULL, NULL, &engine, &error);
//     sx_session *session;
//     sx_session_create(engine, &(sx_session_desc){0}, &session, &error);
//     sx_message message = {.role = SX_ROLE_USER, .content = "..."};
//     sx_session_begin(session, &(sx_generate_desc){.messages = &message, .message_count = 1}, &error);
//     while (sx_session_running(session)) {
//         sx_event event;
//         sx_session_wait(session, 100);                  // or go on drawing and poll again later
//         while ((status = sx_session_poll(session, &event, &error)) == SX_OK) ...
//         if (status != SX_PENDING) break;                // it failed; SX_PENDING: no more events for now
//     }
//
// tests/embed/answer.c is a whole program. `cmake --install` puts the library, these headers and specexit.pc in place.
//
// Nothing here blocks, except where a function says so: loading and generation advance inside the poll functions, each
// of which returns within a few milliseconds (on a software driver: one submit at most).
//
// Threads: an engine and its sessions belong to one thread at a time. sx_session_answer_now, sx_session_keep_thinking
// and sx_session_stop may be called between polls.
// Memory: descriptors and what they point to are borrowed for the call, unless said otherwise. Strings are UTF-8.
// Errors: functions return sx_status; with an error, `error` (may be NULL) holds a sentence for the user that names the
// file, the field and the remedy. NULL for a handle that must exist is a programmer error and asserts.
#ifndef SPECEXIT_H
#define SPECEXIT_H

#include "base/file.h"
#include "base/status.h"
#include "text/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sx_engine sx_engine;
typedef struct sx_session sx_session;

const char *sx_version(void); // "0.1.0"

// ---- Devices -------------------------------------------------------------------------------------------------------

typedef struct sx_device_info {
    char name[128];
    char driver[128];
    char kind[16];          // "discrete", "integrated", "virtual", "cpu", "other"
    char backend[16];       // "vulkan", "webgpu", "null"
    uint64_t memory_total;  // bytes of device memory, 0 where unknown
    uint64_t memory_budget; // bytes that can be had now, 0 where unknown
    uint32_t subgroup_size;
    bool fp16, integer_dot, cooperative_matrix, unified_memory;
} sx_device_info;

// Best first. `devices` may be NULL when capacity is 0; `*count` is how many there are.
sx_status sx_list_devices(sx_device_info *devices, uint32_t capacity, uint32_t *count, sx_error *error);

// ---- Engine --------------------------------------------------------------------------------------------------------

typedef enum sx_kv_type { SX_KV_F16 = 0, SX_KV_Q8_0 } sx_kv_type;

// What activations are rounded to before they are multiplied with weights.
typedef enum sx_precision {
    SX_PRECISION_FULL = 0, // nothing: float32
    SX_PRECISION_FAST // 8 bits in blocks of 32, for weights that are integers with scales (all formats but F32, F16 and
                      // BF16), multiplied by packed integer dot products. Text still does not hang on speculation, but
                      // it may differ from that of FULL. Devices without such products keep to FULL, and say so
} sx_precision;

typedef enum sx_load_stage {
    SX_LOAD_OPENING = 0, // headers, tokenizer, checks
    SX_LOAD_UPLOADING,   // weights to the device
    SX_LOAD_COMPILING,   // pipelines
    SX_LOAD_TESTING,     // self-test of the device and of the draft
    SX_LOAD_READY
} sx_load_stage;

typedef struct sx_load_progress {
    sx_load_stage stage;
    double fraction; // of the whole load, 0..1, never falls
    uint64_t bytes_loaded, bytes_total;
} sx_load_progress;

// What the self-test of a load found (sx_engine_info tells it), to be kept by front ends that load often.
typedef struct sx_selftest {
    bool known; // false: nothing is known, the test runs
    bool bitwise_lossless;
    float draft_acceptance;
} sx_selftest;

typedef struct sx_engine_desc {
    const char *target_path;  // GGUF (the first part of a split one). NULL with no source: the bundled model and draft
    const char *draft_path;   // EAGLE-3 draft: GGUF, or safetensors / pytorch_model.bin with config.json beside it, or
                              // their folder. NULL: none (the bundled draft with the bundled model)
    const char *signals_path; // separate signal head (GGUF). NULL: the draft's signal rows, if it has them. Signals
                              // that say they were learnt on another model are refused (SX_ERROR_MISMATCH)
    const sx_source *target_sources; // instead of target_path: files read through callbacks, e.g. in a browser;
    uint32_t target_source_count;    // they must stay readable until the engine is ready
    const sx_source *draft_sources;
    uint32_t draft_source_count;
    uint32_t single_signal; // SX_SIGNAL_HAS_*: what a draft's lone signal row says, which cannot be seen; 0: such a
                            // draft is refused
    bool no_draft;          // ignore the bundled draft
    bool keep_states;       // fuse the target's hidden states also where neither draft nor signal head asks for them
                            // (specexit_signals.h)
    const char *device;     // NULL: the best; a number of sx_list_devices or part of a name
    const char *cache_dir;  // folder for compiled pipelines and measurements; NULL: none
    uint32_t context;       // tokens of every session; 0: the model's own, at most 8,192 and what memory allows
    sx_kv_type kv_type;
    sx_precision precision;
    bool quantize_draft;       // turn F16/BF16/F32 draft matrices into Q8_0 while loading
    sx_selftest selftest;      // of the same files on the same device and driver by the same program: spares the test
    bool validation;           // Vulkan validation layers
    const char *template_name; // force a chat template; NULL: recognise the model's own
    void (*log)(void *user, const char *line); // warnings; may be NULL; must outlive the engine
    void *log_user;
} sx_engine_desc;

// Begins loading. On SX_OK `*out` is owned by the caller and advances by sx_engine_poll. Files are opened and checked
// here already: what is wrong with them is said at once.
sx_status sx_engine_open(const sx_engine_desc *desc, sx_engine **out, sx_error *error);
// SX_PENDING while loading, SX_OK when ready; `progress` may be NULL.
sx_status sx_engine_poll(sx_engine *engine, sx_load_progress *progress, sx_error *error);
// Both in one, blocking. `on_progress` may be NULL; returning false cancels (SX_ERROR_CANCELLED).
sx_status sx_engine_create(const sx_engine_desc *desc, bool (*on_progress)(void *user, const sx_load_progress *),
                           void *user, sx_engine **out, sx_error *error);
// Sessions must be gone. NULL is allowed. Also cancels a load.
void sx_engine_destroy(sx_engine *engine);

enum { SX_SIGNAL_HAS_CONFIDENCE = 1, SX_SIGNAL_HAS_PROGRESS = 2, SX_SIGNAL_HAS_REMAIN = 4 };

// When thinking is left, in the units of sx_policy: where zeros in an sx_policy lead with a certain model.
typedef struct sx_exit_thresholds {
    float confidence, progress; // left above
    float remain;               // left below, tokens
    float margin;               // nats, < 0
    float entropy;              // nats
} sx_exit_thresholds;

typedef struct sx_engine_info {
    char model_name[128]; // general.name, or the file's name
    char architecture[32];
    char format[48];        // dominant weight format, e.g. "Q4_K_M mix: Q4_K 169, Q6_K 29"
    char template_name[32]; // "" when unknown: then only raw prompts work
    char draft_name[128];   // "" without a draft
    char device[128];
    uint32_t layers, hidden, vocabulary, context;
    uint64_t parameters;
    uint64_t model_exact, model_family; // which model it is, with and without its quantisation (sx_model_identity)
    uint64_t weight_bytes, kv_bytes, scratch_bytes; // on the device; kv (the draft's, too) and scratch for one session
    uint32_t signals;                               // SX_SIGNAL_HAS_*
    sx_exit_thresholds thresholds; // what the draft or signal head was calibrated with, else sx_policy's defaults
    bool thinks;                   // the template has think markers
    bool bitwise_lossless;         // the device's self-test found a row's logits equal alone and in a batch, to the bit
    bool signals_other_format;     // the signals were learnt on another quantisation of the model: they may say less
    bool bundled;
    sx_precision precision;  // the one in use
    double draft_acceptance; // tokens per cycle in the load-time self-test, 0 without a draft
    double load_seconds;
} sx_engine_info;
void sx_engine_get_info(const sx_engine *engine, sx_engine_info *info);

typedef struct sx_memory_estimate { // bytes on the device
    uint64_t weight_bytes;
    uint64_t session_bytes;   // keys, values and scratch of one session of `context` tokens
    uint64_t budget;          // what can be had, 0 where unknown
    uint32_t context;         // tokens, as a load would choose them
    uint32_t fitting_context; // the most tokens that fit the budget, at most the model's own; 0: not even 256
    char format[48];          // as in sx_engine_info
} sx_memory_estimate;
// What loading `desc` would take on the device of `engine`, which is ready and would be closed before. Reads headers,
// allocates nothing on the device; desc->device is not looked at. Blocks while the headers are read.
sx_status sx_engine_estimate(const sx_engine *engine, const sx_engine_desc *desc, sx_memory_estimate *out,
                             sx_error *error);

// ---- Text ----------------------------------------------------------------------------------------------------------

// Writes the rendered prompt into a new string, freed with sx_free.
sx_status sx_engine_render(const sx_engine *engine, const sx_message *messages, uint32_t count, bool no_thinking,
                           char **out, sx_error *error);
// Token ids of the text; markers such as <think> in it are parsed when `special`. Freed with sx_free.
sx_status sx_engine_tokenize(const sx_engine *engine, const char *text, size_t length, bool special, uint32_t **tokens,
                             uint32_t *count, sx_error *error);
// The bytes of the tokens (special tokens spelled out), terminated. Freed with sx_free.
sx_status sx_engine_detokenize(const sx_engine *engine, const uint32_t *tokens, uint32_t count, char **text,
                               size_t *length, sx_error *error);
void sx_free(void *memory);

// ---- Generation ----------------------------------------------------------------------------------------------------

typedef struct sx_sampling {
    float temperature;                         // 0: greedy
    uint32_t top_k;                            // 0: off
    float top_p;                               // 0 or 1: off
    float min_p;                               // 0: off
    float presence_penalty, frequency_penalty; // as in OpenAI's API, over the reply
    float repetition_penalty;                  // 0 or 1: off
    uint64_t seed; // the same seed, settings and prompt give the same text with any draft, on the same device
    const uint32_t *bias_tokens; // [bias_count], at most 64
    const float *bias_values;    // added to the logits
    uint32_t bias_count;
} sx_sampling;

typedef enum sx_policy_kind {
    SX_POLICY_AUTO = 0, // signals where the model has them, else margin
    SX_POLICY_NONE,     // the model thinks as long as it wants (loop guard and budgets still act)
    SX_POLICY_SIGNALS,
    SX_POLICY_MARGIN,
    SX_POLICY_ENTROPY
} sx_policy_kind;

typedef enum sx_smoothing {
    SX_SMOOTH_AUTO = 0, // what the draft was calibrated with, else ewma
    SX_SMOOTH_EWMA,
    SX_SMOOTH_MOMENTUM,
    SX_SMOOTH_MEAN,
    SX_SMOOTH_PARAGRAPH_MEAN,
    SX_SMOOTH_RAW
} sx_smoothing;

// Zero means: what the draft (or signal head) was calibrated with; where it says nothing, the default named here.
typedef struct sx_policy {
    sx_policy_kind kind;
    uint32_t signals; // SX_SIGNAL_HAS_*, those that must all agree; 0: all the model has
    float confidence; // exit above; default 0.8
    float progress;   // exit above; default 0.3
    float remain;     // exit below, tokens; default 200
    sx_smoothing smoothing;
    float alpha;           // of ewma; default 0.1 per cycle of 3 tokens, that is 0.0345 per token
    float margin;          // nats, < 0: exit when log p(</think>) - max log p is at least this; default -3
    float entropy;         // nats, > 0; default 0.5
    bool reference_mode;   // smooth and decide per cycle, as the paper's code does
    bool reference_splits; // only the paper's six step-split tokens are boundaries
    bool no_loop_guard;
    uint32_t minimum_thinking; // tokens
    uint32_t soft_budget;      // leave at the first step boundary with this many thinking tokens; 0: none
    uint32_t hard_budget;      // leave at this many, mid-sentence if need be; 0: none
    // Forced before the close marker; "" for nothing. NULL: what the model's key specexit.exit.message says, else the
    // template's own.
    const char *exit_message;
} sx_policy;

// A rule of exit with what it did on the prompts it was calibrated on.
typedef struct sx_exit_rule {
    uint32_t signals; // SX_SIGNAL_HAS_* that must agree
    float confidence, progress, remain;
    sx_smoothing smoothing;
    float alpha;
    double accuracy; // share of prompts that were right (against the expected answer, else the model's own final one)
    double tokens;   // mean thinking tokens
} sx_exit_rule;
void sx_exit_rule_apply(const sx_exit_rule *rule, sx_policy *policy); // by signals; what the rule leaves open stays

// How the raw signals look at the first steps of replies, so that replies of another kind can be told apart: of every
// step the logits of confidence and progress, the logarithms of remain and of the step's tokens. A step's distance is
// |scale (x - mean)|^2, a reply's the largest of its steps.
enum { SX_RANGE_STEPS = 4, SX_RANGE_VALUES = 4 };
typedef struct sx_signal_range {
    uint32_t steps;   // 0: not known
    uint32_t signals; // SX_SIGNAL_HAS_*; of others nothing is compared
    double mean[SX_RANGE_STEPS][SX_RANGE_VALUES];
    double scale[SX_RANGE_STEPS][SX_RANGE_VALUES][SX_RANGE_VALUES]; // lower triangles
    // Of replies to prompts of the same kind at most this share has a distance beyond the limit: conformal, without any
    // assumption beyond prompts being exchangeable. Mean and scale are of one half of the prompts, the limit of the
    // other.
    double limit, share;
} sx_signal_range;

// A file that `specexit calibrate -o` wrote for a model.
enum { SX_PROFILE_LEVELS = 5 };
typedef struct sx_profile {
    char model_name[128];
    uint64_t model_exact, model_family; // of which the traces were (sx_model_identity); 0: the file does not say
    double full_accuracy, full_tokens;  // without exit
    bool has_chosen;
    sx_exit_rule chosen; // for what was asked
    uint32_t level_count;
    sx_exit_rule levels[SX_PROFILE_LEVELS]; // from think little to think long
    sx_signal_range range;                  // of the replies it was calibrated on
} sx_profile;
// SX_ERROR_FORMAT when it is no profile or a rule of it cannot be used; then `out` is empty.
sx_status sx_profile_read(const char *path, sx_profile *out, sx_error *error);
// The same from memory; `name` is for messages.
sx_status sx_profile_parse(const char *text, size_t length, const char *name, sx_profile *out, sx_error *error);
// SX_OK, or SX_ERROR_MISMATCH when the profile is not one of the model that `info` is of. `*other_format` (may be NULL)
// is true where only the quantisation is another, which is worth a warning.
sx_status sx_profile_check(const sx_profile *profile, const char *name, const sx_engine_info *info, bool *other_format,
                           sx_error *error);

typedef enum sx_draft_kind {
    SX_DRAFT_AUTO = 0, // the EAGLE-3 draft where there is one, else n-gram; how much of it, or none, is measured as it
                       // runs (the number of cycles then varies; the text does not)
    SX_DRAFT_NONE,
    SX_DRAFT_NGRAM,
    SX_DRAFT_CHAIN,
    SX_DRAFT_TREE
} sx_draft_kind;

typedef struct sx_drafting {
    sx_draft_kind kind;
    uint32_t depth;  // levels; 0: chosen by the engine
    uint32_t branch; // children of a node (tree), at most 10; 0: chosen
    uint32_t nodes;  // drafted nodes verified per cycle, at most 31; 0: chosen
} sx_drafting;

// What happens when the messages and room for the reply outgrow the context.
typedef enum sx_when_full {
    SX_FULL_REFUSE = 0, // SX_ERROR_CONTEXT
    SX_FULL_SHIFT       // the oldest turns behind the system message are left out, whole, the last one never; the
                        // reply is that to the messages that stay. A reply that fills the context goes on: the turns
                        // before the last are left out, then its own beginning, but for the think marker
} sx_when_full;

typedef struct sx_generate_desc {
    // The prompt: messages (rendered with the chat template), or raw text, or tokens. Exactly one of them.
    const sx_message *messages;
    uint32_t message_count;
    const char *prompt;
    const uint32_t *tokens;
    uint32_t token_count;
    bool no_thinking;        // ask the template for an answer without thinking
    bool prefill_thinking;   // start the reply with the think marker and a built-in instruction, for models that do not
                             // think by themselves: for trying things. With a template that has no thinking, the end of
                             // the turn closes the thinking (SX_REASON_NATURAL), and behind the marker of an exit the
                             // answer begins with "The answer is"
    sx_when_full when_full;  // turns are left out of messages only
    uint32_t maximum_tokens; // of the reply; 0: as many as the context holds (no bound with SX_FULL_SHIFT)
    const char *const *stop; // stop strings [stop_count], at most 16; the text ends before the first that appears
    uint32_t stop_count;
    sx_sampling sampling;
    sx_policy policy;
    sx_drafting drafting;
    // What the model is known to say after the prompt and after each token of the reply, as sx_batch_take tells it
    // (specexit_signals.h): so much of the reply is read, as a prompt is, and not written; all of its events come. With
    // SX_POLICY_NONE only.
    const uint32_t *choices;
    uint32_t choice_count;
} sx_generate_desc;

typedef enum sx_event_kind {
    SX_EVENT_PREFILL = 0, // progress of reading the prompt
    SX_EVENT_TEXT,        // a piece of text
    SX_EVENT_SIGNALS,     // the signals at one token of the thinking
    SX_EVENT_EXIT,        // thinking has ended
    SX_EVENT_DONE         // the reply is complete; the session can begin the next one
} sx_event_kind;

typedef enum sx_channel { SX_CHANNEL_THINKING = 0, SX_CHANNEL_ANSWER } sx_channel;

typedef enum sx_exit_reason {
    SX_REASON_NONE = 0,
    SX_REASON_NATURAL, // the model closed its thinking by itself
    SX_REASON_SIGNALS,
    SX_REASON_MARGIN,
    SX_REASON_ENTROPY,
    SX_REASON_LOOP,
    SX_REASON_SOFT_BUDGET,
    SX_REASON_HARD_BUDGET,
    SX_REASON_ANSWER_NOW
} sx_exit_reason;

typedef enum sx_done_reason {
    SX_DONE_END_OF_TURN = 1,
    SX_DONE_MAXIMUM, // maximum_tokens or the context is full
    SX_DONE_STOP_STRING,
    SX_DONE_LOOPED, // the answer repeated itself without end
    SX_DONE_STOPPED // sx_session_stop
} sx_done_reason;

typedef struct sx_signals {
    float confidence; // 0..1, would the answer be right if given now
    float progress;   // 0..1, share of the reasoning done
    float remain;     // thinking tokens left
} sx_signals;

// Counted from sx_session_begin.
typedef struct sx_stats {
    uint32_t prompt_tokens, reused_tokens; // reused: found in the session's KV
    uint32_t dropped_messages;             // left out of the prompt by SX_FULL_SHIFT
    uint32_t dropped_tokens;               // of the reply, left out by SX_FULL_SHIFT
    uint32_t tokens;                       // of the reply, markers and forced tokens included
    uint32_t thinking_tokens, answer_tokens;
    uint32_t forced_tokens;
    uint32_t cycles;
    uint32_t drafted, accepted;                  // drafted nodes verified, and those of them accepted
    double acceptance_length;                    // tokens per cycle, the bonus token included
    uint64_t submits, readbacks, readback_bytes; // of cycles
    double prefill_seconds, decode_seconds, first_token_seconds;
} sx_stats;

typedef struct sx_event {
    sx_event_kind kind;
    // SX_EVENT_TEXT
    sx_channel channel;
    const char *text;     // terminated, whole UTF-8 characters; valid until the next call for the session
    size_t length;        // bytes; may be 0 for tokens that are not shown (markers)
    uint32_t first_token; // index in the reply of the piece's first token
    uint32_t token_count;
    const uint32_t *tokens; // ids [token_count]; valid as text is
    // SX_EVENT_SIGNALS; the values at the exit for SX_EVENT_EXIT
    uint32_t token_index; // index in the reply
    bool boundary;        // the token ends a step
    bool has_signals;
    sx_signals raw, smoothed;
    float margin, entropy;
    // SX_EVENT_EXIT
    sx_exit_reason exit_reason;
    // SX_EVENT_PREFILL
    uint32_t prefill_done, prefill_total; // tokens
    // SX_EVENT_DONE
    sx_done_reason done_reason;
    sx_stats stats; // also valid for the other kinds, as far as it is known
} sx_event;

// Whether a reply is like those a profile was calibrated on: begin it with the reply and show it every event.
typedef struct sx_watch {
    const sx_signal_range *range; // borrowed; NULL: nothing is watched
    uint32_t step, tokens;        // steps seen, tokens of the one at hand
    double distance;
} sx_watch;
void sx_watch_begin(sx_watch *watch, const sx_signal_range *range); // NULL is allowed
void sx_watch_event(sx_watch *watch, const sx_event *event);
// True once a step lay beyond the limit: what the profile promises may not hold for this prompt.
bool sx_watch_unlike(const sx_watch *watch);

typedef struct sx_session_desc {
    uint32_t context; // tokens; 0: the engine's
    uint32_t depth;   // cycles submitted before the first is read, 1 or 2; 0: chosen
} sx_session_desc;

sx_status sx_session_create(sx_engine *engine, const sx_session_desc *desc, sx_session **out, sx_error *error);
void sx_session_destroy(sx_session *session); // NULL is allowed; waits for the device

// Starts a reply. What the new prompt shares with the session's tokens is reused. SX_ERROR_BUSY while one is running,
// SX_ERROR_CONTEXT when the prompt does not fit.
sx_status sx_session_begin(sx_session *session, const sx_generate_desc *desc, sx_error *error);
// The next event, or SX_PENDING. After SX_EVENT_DONE, or when no reply is running: SX_PENDING.
sx_status sx_session_poll(sx_session *session, sx_event *event, sx_error *error);
// Sleeps until there may be an event or the time is over. Natively only; in a browser it returns at once.
void sx_session_wait(sx_session *session, uint32_t milliseconds);
bool sx_session_running(const sx_session *session);

// Ends the thinking with the next token; nothing happens outside of thinking.
void sx_session_answer_now(sx_session *session);
// Goes on thinking from where it was left, whatever the reason: while the answer is being written, or after the reply
// is done. The text after the exit is withdrawn: what was told of it no longer counts, from the token behind
// the exit's on, and no more of it comes; generation continues. SX_ERROR_ARGUMENT when thinking has not been
// left in the session's last reply.
sx_status sx_session_keep_thinking(sx_session *session, sx_error *error);
// Ends the reply; SX_EVENT_DONE follows.
void sx_session_stop(sx_session *session);

// Moves the session to another engine of the same model, as after SX_ERROR_DEVICE_LOST: keys and values are computed
// again. A reply that was being written goes on: it is generated again from its prompt, which gives the same tokens,
// and events go on behind those told already. (After keep-thinking, or when its beginning was left out, the prompt does
// not determine it: it goes on from the tokens it has.) On failure the session still belongs to its old engine.
sx_status sx_session_move(sx_session *session, sx_engine *engine, sx_error *error);

// Writes the session to a file (the format: engine/session_file.h), whole or not at all: its tokens with their keys and
// values, the state and settings of its last reply, the sampler's included. What is in flight is waited for; a reply
// that is being written goes on afterwards. Natively only (SX_ERROR_UNSUPPORTED in a browser). Blocks.
sx_status sx_session_save(sx_session *session, const char *path, sx_error *error);
// Puts what a file holds in place of the session's own content. SX_ERROR_MISMATCH when it is another model's or of
// another KV type, SX_ERROR_FORMAT when it is damaged or no session, SX_ERROR_CONTEXT when it has more tokens than fit,
// SX_ERROR_BUSY while a reply is running; then the session stays as it was. A reply that was being written when it was
// saved runs on: its text is told again from its beginning, then what follows, token for token as if it had not been
// stopped (on the same device). Keys and values of another draft are left out: the next prompt is read anew. Blocks.
sx_status sx_session_load(sx_session *session, const char *path, sx_error *error);

// Tokens the session holds, valid until the next call: the prompt and the reply so far, without what SX_FULL_SHIFT has
// left out.
const uint32_t *sx_session_tokens(const sx_session *session, uint32_t *count);

// ---- For checking against other programs ----------------------------------------------------------------------------

// Logits [count, vocabulary] after each of the tokens, into a new array freed with sx_free. Blocks.
sx_status sx_session_logits(sx_session *session, const uint32_t *tokens, uint32_t count, float **logits,
                            sx_error *error);

typedef struct sx_draft_node {
    uint32_t token;
    int32_t parent; // node, -1: the last token given
    uint32_t depth; // 1 under the last token
    float logprob;  // of the token under its parent, cumulated from the root
} sx_draft_node;

// What the draft makes of a sequence: the raw signals at each token (signals [count], may be NULL; zeros where there
// are no rows) and the tree it proposes behind the last one, best nodes first, parents before children. `*node_count`
// receives how many; at most `capacity` are written. Needs count >= 2 and a draft for the tree. Blocks.
sx_status sx_session_inspect(sx_session *session, const uint32_t *tokens, uint32_t count, const sx_drafting *drafting,
                             sx_signals *signals, sx_draft_node *nodes, uint32_t capacity, uint32_t *node_count,
                             sx_error *error);

typedef struct sx_convert_desc {
    const char *input;      // a draft in any layout the engine loads (draft_path above)
    const char *output;     // GGUF to write, whole or not at all
    const char *type;       // "q8_0", "q4_k", "f16", "bf16", "f32" for the matrices; NULL: as they are
    bool signals_only;      // write the signal rows alone, as a separate signal head
    uint32_t single_signal; // as in sx_engine_desc
    bool (*on_progress)(void *user, double fraction); // may be NULL; returning false cancels
    void *user;
} sx_convert_desc;
// Writes a draft as GGUF. Needs no device. Blocks.
sx_status sx_convert_draft(const sx_convert_desc *desc, sx_error *error);

// A line for every key and tensor of a model file. Needs no device.
sx_status sx_describe_file(const char *path, void (*line)(void *user, const char *text), void *user, sx_error *error);

// Names of the chat templates, separated by ", ".
const char *sx_template_names(void);

// "signals", "answer-now", "end-of-turn", ...: as the enumerations say them; constant strings.
const char *sx_exit_reason_name(sx_exit_reason reason);
const char *sx_done_reason_name(sx_done_reason reason);
const char *sx_smoothing_name(sx_smoothing smoothing); // "auto", "ewma", "momentum", "mean", "paragraph-mean", "raw"
// A sentence in plain words with the values, e.g. "left early: 92 % confident, 71 % done, about 40 tokens left".
void sx_exit_sentence(const sx_event *event, char *text, size_t size);

#ifdef __cplusplus
}
#endif
#endif
