// Signals for any model: traces of its thinking, the signal rows fitted on them, and the thresholds chosen by replay.
//
//   probe      what the model would answer if its thinking were left here, and the states its signals are made of
//   batch      many full reasonings written at a time
//   trace      a file of such probes, one record a prompt, with labels
//   train      the three signal rows from a trace: a linear map of the states, written as a signal head
//   calibrate  every rule of exit replayed over a trace, without a device, by the very code that decides live; as a
//              profile (specexit.h) for all front ends
//
// A front end drives the first three prompt by prompt; the last two are one call each. What specexit.h says of memory,
// errors and threads holds here, too.
#ifndef SPECEXIT_SIGNALS_H
#define SPECEXIT_SIGNALS_H

#include "specexit.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SX_STATES_MOST = 8 }; // hidden states that may be fused

// Which model states come from. Two files of one model in different quantisations share `family`, made of the shape,
// the vocabulary and the vectors (norms, biases), which no quantisation touches; `exact` also tells the formats and
// samples of every matrix. A fine-tune that left all vectors as they were is taken for the same family.
typedef struct sx_model_identity {
    uint64_t exact, family;
    uint32_t state_count;                  // hidden states fused; 0: none are kept (sx_engine_desc.keep_states)
    uint32_t state_layers[SX_STATES_MOST]; // the target's layers whose input they are; its layer count: the last output
    uint32_t state_width;                  // values of the fused state: state_count * hidden
} sx_model_identity;
void sx_engine_get_identity(const sx_engine *engine, sx_model_identity *out);

// ---- Probing a session's last reply --------------------------------------------------------------------------------

// True when a token ends a step: a boundary at which thinking may be left.
bool sx_engine_ends_step(const sx_engine *engine, uint32_t token);

typedef struct sx_thinking_span {
    uint32_t first, count; // positions in sx_session_tokens of what was thought, markers left out
    uint32_t answer;       // position behind the close marker
} sx_thinking_span;
// False when the session's last reply has not thought, or has not finished its thinking.
bool sx_session_thinking(const sx_session *session, sx_thinking_span *out);

// The fused hidden states of the session's tokens [first, first + count), as halves [count, state_width]; what half
// precision cannot hold is brought to its largest value. Tokens before `first` must have been read, as those of a
// finished reply have. SX_ERROR_UNSUPPORTED when the engine keeps none. Blocks.
sx_status sx_session_states(sx_session *session, uint32_t first, uint32_t count, uint16_t *states, sx_error *error);

typedef struct sx_forced_answer {
    const char *exit_message; // as in sx_policy
    const uint32_t *guess;    // an answer that is likely: it changes nothing but the time; may be NULL
    uint32_t guess_count;
    uint32_t capacity; // of the arrays: the answer's tokens at most
    uint32_t *tokens;  // out [count]: the greedy answer, the token that ends the turn included
    float *logprobs;   // out [count]
    uint32_t count;    // out
    bool ended;        // out: the answer came to its end
} sx_forced_answer;
// Leaves the thinking after the token at `position`, says the exit message and the close marker, and writes what the
// model answers. The session goes back to `position` and forgets what was behind it, but keeps what is before: so
// boundaries are probed from the last to the first, and nothing is read twice. Blocks.
sx_status sx_session_force_answer(sx_session *session, uint32_t position, sx_forced_answer *answer, sx_error *error);

// ---- Many replies at a time ----------------------------------------------------------------------------------------

// Sequences that go through the model together, one token each a step: on a GPU, which is busy reading the weights,
// many take little longer than one. Each has keys and values of its own context. Nothing is drafted, and of the
// policies there is none; the loop guard and the budgets act as in a session. Where the device is bitwise lossless
// (sx_engine_info.bitwise_lossless), every reply is that of a session, token for token.
typedef struct sx_batch sx_batch;
enum { SX_BATCH_MOST = 32 }; // sequences

// Bytes that a batch takes on the device, the context of each sequence being the engine's; and what the device has
// free, 0 where that is unknown.
uint64_t sx_batch_bytes(const sx_engine *engine, uint32_t sequences, uint64_t *free_bytes);
// Sequences that pay on this device and fit: 1 where they do not, or where a reply might not be that of a session.
uint32_t sx_batch_usual(const sx_engine *engine);
// SX_ERROR_GPU_MEMORY, with how many fit, when they do not.
sx_status sx_batch_create(sx_engine *engine, uint32_t sequences, sx_batch **out, sx_error *error);
void sx_batch_destroy(sx_batch *batch); // before its engine; NULL is allowed
// Whether the description can be written in a batch: no policy, no penalties, a context that is not shifted.
// SX_ERROR_UNSUPPORTED says why not.
sx_status sx_batch_check(const sx_generate_desc *desc, sx_error *error);
// Starts a reply in a free place, whose number (0 .. sequences - 1) `*place` receives; reads the prompt. Blocks.
// Replies that run at the same time are asked for alike, but for their prompts: they share sampling, seed and policy
// (SX_ERROR_ARGUMENT). SX_ERROR_BUSY when no place is free, SX_ERROR_CONTEXT when the prompt does not fit. Stop strings
// are not looked for.
sx_status sx_batch_add(sx_batch *batch, const sx_generate_desc *desc, uint32_t *place, sx_error *error);
uint32_t sx_batch_running(const sx_batch *batch); // replies that are not complete
// Every running reply one token further. Blocks. After a failure the batch is good for sx_batch_destroy alone.
sx_status sx_batch_step(sx_batch *batch, sx_error *error);
// A complete reply, and its place is free: what the model said, for sx_generate_desc.choices of a session, which so has
// read the reply, tells its text and can be probed. Valid until the next sx_batch_add. False when there is none.
bool sx_batch_take(sx_batch *batch, uint32_t *place, const uint32_t **choices, uint32_t *choice_count);

// ---- Trace files ---------------------------------------------------------------------------------------------------

typedef struct sx_trace_info {
    sx_model_identity model;
    char model_name[128], format[48];
    char setting[256]; // how the replies were made (sampling, exit message, ...): one file holds one way
    bool every_token;  // states of all thinking tokens; else of the step boundaries alone
} sx_trace_info;

enum {
    SX_TRACE_PROBED = 1,        // an answer was forced here; without it the other flags and confidence say nothing
    SX_TRACE_SAME_AS_FINAL = 2, // the forced answer equals the one the model came to by itself
    SX_TRACE_RIGHT = 4,         // it equals the expected one
    SX_TRACE_KNOWN = 8,         // of a record: an answer was expected
    SX_TRACE_UNFINISHED = 16    // of a record: no end of the thinking was reached; it holds no tokens
};

typedef struct sx_trace_boundary {
    uint32_t index;   // of the token that ends the step, in the thinking
    float confidence; // geometric mean of the probabilities of the forced answer's tokens, 0..1
    uint16_t count;   // of those tokens
    uint16_t flags;   // SX_TRACE_*
    uint32_t reserved;
} sx_trace_boundary;

// One prompt. Progress and remaining tokens are not stored: they follow from an index and thinking_count.
typedef struct sx_trace_record {
    uint64_t prompt_hash;    // sx_trace_hash of the prompt
    uint32_t flags;          // SX_TRACE_KNOWN, SX_TRACE_RIGHT (the full reasoning's answer), SX_TRACE_UNFINISHED
    uint32_t answer_count;   // tokens of the full reasoning's answer
    uint32_t thinking_count; // tokens
    uint32_t boundary_count, state_count;
    const uint32_t *tokens;              // [thinking_count] ids
    const sx_trace_boundary *boundaries; // [boundary_count], in order
    const uint32_t *state_index;         // [state_count] thinking tokens that the states belong to, in order
    const uint16_t *states;              // [state_count, state_width] halves
} sx_trace_record;

uint64_t sx_trace_hash(const char *text);

typedef struct sx_trace_writer sx_trace_writer;
// Creates the file, or goes on with one that was made in the same way from the same model: a record that was being
// written when the program was killed is cut off. SX_ERROR_MISMATCH for another model or setting, SX_ERROR_BUSY while
// another program writes to it. `*kept` (may be NULL) receives the records that are there already.
sx_status sx_trace_writer_open(const char *path, const sx_trace_info *info, sx_trace_writer **out, uint32_t *kept,
                               sx_error *error);
bool sx_trace_writer_has(const sx_trace_writer *writer, uint64_t prompt_hash);
// Whole or not at all: a full disk leaves the file as it was. SX_ERROR_FORMAT when a state is not a number.
sx_status sx_trace_writer_append(sx_trace_writer *writer, const sx_trace_record *record, sx_error *error);
uint64_t sx_trace_writer_bytes(const sx_trace_writer *writer);
void sx_trace_writer_close(sx_trace_writer *writer); // NULL is allowed
// Bytes a record takes on the disk.
uint64_t sx_trace_record_bytes(const sx_trace_record *record, uint32_t state_width);

typedef struct sx_trace_reader sx_trace_reader;
sx_status sx_trace_reader_open(const char *path, sx_trace_reader **out, sx_error *error);
const sx_trace_info *sx_trace_reader_info(const sx_trace_reader *reader);
// The next record, valid until the reader is closed; SX_PENDING behind the last whole one. A damaged record is an
// error that names its place; a torn last one is passed over (sx_trace_reader_torn).
sx_status sx_trace_reader_next(sx_trace_reader *reader, sx_trace_record *out, sx_error *error);
void sx_trace_reader_rewind(sx_trace_reader *reader);
bool sx_trace_reader_torn(const sx_trace_reader *reader);
void sx_trace_reader_close(sx_trace_reader *reader); // NULL is allowed
// SX_OK, or SX_ERROR_MISMATCH when the trace is not of this model. `*other_format` (may be NULL) is true where only
// the quantisation differs, which is worth a warning and no more.
sx_status sx_trace_check_model(const sx_trace_info *info, const char *trace_name, const sx_model_identity *model,
                               bool *other_format, sx_error *error);

// ---- Training ------------------------------------------------------------------------------------------------------

// How well a signal does on prompts that were held out.
typedef struct sx_signal_score {
    float penalty;        // ridge penalty that was chosen
    double held_loss;     // cross-entropy in nats; of remain the mean square error of the logarithm
    double baseline_loss; // the same for the best constant
    double correlation;   // with the label, over boundaries (remain: of logarithms)
} sx_signal_score;

typedef struct sx_train_report {
    uint32_t prompts, held_prompts, unfinished;
    uint64_t tokens, boundaries;   // that were learnt from
    uint64_t skipped;              // tokens left out because a state is not a number
    sx_signal_score score[3];      // confidence, progress, remain
    double auc_within, auc_across; // confidence against "right if left here", of held-out boundaries of one problem, of
                                   // all; NAN where there is nothing to tell apart
    bool confidence_alone;         // all forced answers were right, or all wrong: trained on the model's own sureness
    uint32_t passes;               // over the trace
    uint64_t bytes_moved;          // of states, over all passes
    double seconds;                // in those passes
    char device[128];              // "" on the host alone
} sx_train_report;

typedef struct sx_train_desc {
    const char *const *traces; // paths, of one model
    uint32_t trace_count;
    const char *output;     // GGUF to write, whole or not at all
    const char *draft_path; // write this draft with the new rows instead of a head alone; NULL: a head
    const char *device;     // as in sx_engine_desc; NULL: the best, and no software driver: plain C is faster there
    const char *cache_dir;
    bool host_only;          // the plain C reference instead of the device
    float boundary_weight;   // of a boundary against a token within a step; 0: 20
    uint64_t resident_bytes; // of states kept on the device between passes; 0: a quarter of its memory
    bool (*on_progress)(void *user, double fraction); // may be NULL; returning false cancels
    void *user;
} sx_train_desc;
// Fits logistic rows for confidence and progress and a log-linear one for the remaining tokens, ridge penalties chosen
// on held-out prompts (one in five), then all prompts with the chosen ones. Memory does not grow with the trace: it is
// read once a pass. The head carries a card (keys specexit.card.*). Blocks.
sx_status sx_train_signals(const sx_train_desc *desc, sx_train_report *report, sx_error *error);

// ---- Calibration ---------------------------------------------------------------------------------------------------

typedef struct sx_calibration {
    char model_name[128]; // of the traces
    sx_model_identity model;
    bool other_format;       // the head, or one of the traces, is of another quantisation: worth a warning
    uint32_t prompts, known; // known: prompts with an expected answer
    double full_accuracy;    // without exit
    double full_tokens;
    bool single_tokens;        // no smoothing could be tried: the trace holds states of boundaries alone
    sx_exit_rule frontier[64]; // fewest tokens at each accuracy, from little to long thinking
    uint32_t frontier_count;
    // The fewest tokens that lose at most 10, 5, 2, 1 and 0 points of accuracy, neighbouring thresholds checked; a rule
    // that none does is left out.
    sx_exit_rule levels[SX_PROFILE_LEVELS];
    uint32_t level_count;
    sx_signal_range range;
    bool has_choice;
    sx_exit_rule choice; // for what was asked
    // Conformal risk control (arXiv 2208.02814): `certified` is the rule of the same family with the lowest confidence
    // threshold whose expected loss of accuracy on a new prompt of this kind is at most `risk`, without any assumption
    // beyond prompts being exchangeable. The family was chosen on the other half of the prompts.
    bool has_certified;
    double risk;
    uint32_t risk_prompts; // prompts it was tested on; at least 1 / risk - 1 are needed
    sx_exit_rule certified;
} sx_calibration;

typedef struct sx_calibrate_desc {
    const char *const *traces;
    uint32_t trace_count;
    const char *head_path;  // signal head, or draft with signal rows
    double lose;            // share of accuracy that may be lost, as 0.005; negative: not asked
    double save;            // share of tokens to save, as 0.5; 0: not asked
    double risk;            // of the certified rule; 0: `lose`, or 0.02
    uint32_t signals;       // SX_SIGNAL_HAS_*: rules of these alone; 0: of all the head has
    sx_smoothing smoothing; // rules with this one alone; auto: all that policies know
    float alpha;            // ewma with this weight alone; 0: several
    uint32_t single_signal; // as in sx_engine_desc
} sx_calibrate_desc;
sx_status sx_calibrate(const sx_calibrate_desc *desc, sx_calibration *out, sx_error *error);

// The calibration as a profile's text (JSON), which sx_profile_read reads, into a new string freed with sx_free; NULL
// when memory is short.
char *sx_profile_text(const sx_calibration *calibration);

// ---- How well a score tells right from wrong -----------------------------------------------------------------------

typedef struct sx_ranked {
    float score;    // higher: more likely right
    uint32_t group; // e.g. the prompt
    bool right;
} sx_ranked;
// Area under the curve: the share of pairs of a right and a wrong item that the score orders so, ties counted half; NAN
// without such pairs. Sorts the items.
double sx_auc(sx_ranked *items, size_t count);
// Over the pairs within one group alone.
double sx_auc_within(sx_ranked *items, size_t count);

#ifdef __cplusplus
}
#endif
#endif
