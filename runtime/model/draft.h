// EAGLE-3 drafts in every layout they are published in, brought to one form; and stand-alone signal heads.
//
// Layouts: our own GGUF and llama.cpp's (both generations of keys); EAGLE, AngelSlim, SpecExit, SpecForge, speculators
// and NVIDIA checkpoints (config.json with safetensors, sharded or not, or pytorch_model.bin).
#ifndef SX_MODEL_DRAFT_H
#define SX_MODEL_DRAFT_H

#include "model/hparams.h"
#include "model/target_weights.h"

#define SX_MAX_AUX 8 // auxiliary target states

typedef enum sx_draft_layout {
    SX_DRAFT_GGUF,
    SX_DRAFT_EAGLE, // EAGLE, AngelSlim, SpecExit, NVIDIA: `midlayer.*`
    SX_DRAFT_SPECFORGE,
    SX_DRAFT_SPECULATORS
} sx_draft_layout;

// Bits, and rows of `signals` in this order.
typedef enum sx_signal {
    SX_DRAFT_SIGNAL_CONFIDENCE = 1, // sigmoid
    SX_DRAFT_SIGNAL_PROGRESS = 2,   // sigmoid
    SX_DRAFT_SIGNAL_REMAIN = 4      // exp, tokens
} sx_signal;

// Settings of the exit that a file may carry; NAN and NULL where it says nothing.
typedef struct sx_exit_defaults {
    float confidence, progress, remain; // thresholds
    float alpha;                        // of the per-token smoothing
    const char *smoothing;              // owned by the draft
} sx_exit_defaults;

// What a file says of the making of its signal rows: keys specexit.card.*, as train-signals writes them.
typedef struct sx_card_entry {
    const char *key, *text;
} sx_card_entry;
typedef enum sx_card_key {
    SX_CARD_TARGET = 0,
    SX_CARD_EXACT,
    SX_CARD_FAMILY,
    SX_CARD_REPLIES,
    SX_CARD_DATA,
    SX_CARD_SCORES,
    SX_CARD_KEYS
} sx_card_key;
extern const char *const sx_card_keys[SX_CARD_KEYS];
typedef struct sx_signal_card {
    sx_card_entry entry[SX_CARD_KEYS]; // [count], all that the file has
    uint32_t count;
    const char *target;     // the model the rows were learnt on, in words; "" where the file does not say
    uint64_t exact, family; // both of its sx_target_fingerprint; 0 likewise
} sx_signal_card;
// SX_OK, or SX_ERROR_MISMATCH where the card names another model. `*other_format`: only its quantisation is another.
// `name` is the file's.
sx_status sx_signal_card_check(const sx_signal_card *card, const char *name, uint64_t exact, uint64_t family,
                               bool *other_format, sx_error *error);

// One forward step on a pair (token at t+1, features at t), with H hidden, Ht target_hidden, A aux_count:
//
//   x  = concat(aux states)                            [A*Ht]
//   x  = norm_before_fc ? rms(x, input_norm) : fc_norm ? concat(rms(aux[i], fc_norm[i])) : x
//   g  = fc x (+ fc_bias)                              [H]     the feature (of a drafted token: the step's fed-back
//   state) s  = signals x                                     [signal rows] e  = embedding(token) [H] layer 0: y =
//   concat(rms(e, attention_norm), rms(g, hidden_norm)); residual = norm_before_residual ? rms(g,
//            hidden_norm) : g; h = residual + o(attention(y)); h = h + ffn(rms(h, ffn_norm))
//   layers 1..: ordinary decoder layers on h
//   logits = output rms(h, output_norm)   (output h when !norm_output)
//   fed back as the next level's feature: feed_back_normed ? rms(h, output_norm) : h
typedef struct sx_draft {
    sx_draft_layout layout;
    const char *name;          // of the file or folder, for messages
    uint32_t layers;           // counted from the tensors
    uint32_t hidden;           // H
    uint32_t target_hidden;    // Ht
    uint32_t ffn;              // I
    uint32_t heads, kv_heads;  //
    uint32_t head_dim;         // from the shapes
    uint32_t vocabulary;       // V of the target's ids; 0 when the file does not say and has no embedding
    uint32_t draft_vocabulary; // D = rows of output; 0 when the target's head is used (then D = V)
    uint32_t context;          // trained context length; 0 when unknown
    uint32_t window;           // sliding window of its attention; 0 = none
    float rms_eps;
    float attention_scale;
    sx_rope rope;
    // The target state wanted at aux i is the INPUT of target layer aux_layers[i]; == the target's layer count means
    // the last layer's output (before the output norm). aux_default: the file does not say; sx_draft_bind fills in 2,
    // L/2, L-3.
    uint32_t aux_count;
    uint32_t aux_layers[SX_MAX_AUX];
    bool aux_default;
    bool norm_before_fc;
    bool norm_before_residual;
    bool norm_output;      // output_norm before the head (true but for some SpecForge drafts)
    bool feed_back_normed; // EAGLE-3.1
    uint32_t signal_mask;  // sx_signal bits that `signals` has rows for; 0 = no signals
    sx_exit_defaults exit;
    sx_signal_card card;

    sx_tensor_ref fc;                  // [H, A*Ht]: the feature rows alone
    sx_tensor_ref fc_whole;            // [H + signal rows, A*Ht] as stored; equals fc without signals
    sx_tensor_ref fc_bias;             // [H] optional
    sx_tensor_ref signals;             // [1 or 3, A*Ht] optional; a view into fc_whole
    sx_tensor_ref input_norm;          // [A*Ht] optional, present with norm_before_fc
    sx_tensor_ref fc_norm[SX_MAX_AUX]; // [Ht] optional, all or none
    sx_tensor_ref token_embedding;     // [V, H] optional: the target's is used when absent
    sx_tensor_ref output_norm;         // [H]
    sx_tensor_ref output;              // [D, H] optional: the target's is used when absent
    sx_layer_weights *layer_weights;   // [layers]
    uint32_t *target_ids;              // [D]: the target's id of draft id i, each < V; NULL when they are the same

    struct sx_draft_storage *storage; // what the tensors point into
} sx_draft;

typedef struct sx_draft_options {
    sx_signal single_signal; // which signal a lone row is; 0 = a file that does not say is refused
} sx_draft_options;

// `path`: a .gguf; a .safetensors or .bin with config.json beside it; or a checkpoint folder. `options` may be NULL.
// Every tensor is checked; missing, extra and misshapen ones are named; on failure nothing is left open.
sx_status sx_draft_open(const char *path, const sx_draft_options *options, sx_draft **out, sx_error *error);
// The same over named sources (a browser's files): one GGUF, or config.json and the weights (an index file, too, where
// sharded). Names are compared behind the last '/'. The sources are borrowed and must outlive the draft.
sx_status sx_draft_from_sources(const sx_source *const *sources, size_t count, const sx_draft_options *options,
                                sx_draft **out, sx_error *error);
void sx_draft_close(sx_draft *draft); // NULL is allowed

// Checks that the draft belongs to the target (Ht, H where the target's embedding or head is used, vocabulary, ids,
// aux layers within its layers) and fills what the file leaves open (vocabulary, draft_vocabulary, aux_layers). Fails
// with SX_ERROR_MISMATCH naming both files' numbers.
sx_status sx_draft_bind(sx_draft *draft, const sx_hparams *target, const char *target_name, sx_error *error);

// The layers to fuse where nothing asks for any, for a target of `layers` layers: the inputs of 2, L/2 and L-3, as
// EAGLE-3 has them; of small targets 1, L/2 and L-1. Returns how many.
uint32_t sx_default_aux_layers(uint32_t layers, uint32_t aux_layers[SX_MAX_AUX]);

// A stand-alone signal head: GGUF with general.architecture "specexit-signals" and the tensor signals.weight
// [1 or 3, A*Ht], over the same auxiliary states.
typedef struct sx_signal_head {
    uint32_t target_hidden;
    uint32_t aux_count;
    uint32_t aux_layers[SX_MAX_AUX]; // as in sx_draft
    bool aux_default;
    uint32_t signal_mask;
    sx_exit_defaults exit;
    sx_signal_card card;
    sx_tensor_ref signals;
    struct sx_draft_storage *storage;
} sx_signal_head;

sx_status sx_signal_head_open(const char *path, const sx_draft_options *options, sx_signal_head **out, sx_error *error);
sx_status sx_signal_head_from_source(const sx_source *source, const sx_draft_options *options, sx_signal_head **out,
                                     sx_error *error);
sx_status sx_signal_head_bind(sx_signal_head *head, const sx_hparams *target, const char *target_name, sx_error *error);
void sx_signal_head_close(sx_signal_head *head);

#endif
