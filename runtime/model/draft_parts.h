// What the readers of the draft layouts share: a configuration and a scheme of names, from which one function assembles
// and checks a draft.
#ifndef SX_MODEL_DRAFT_PARTS_H
#define SX_MODEL_DRAFT_PARTS_H

#include "base/arena.h"
#include "model/draft.h"
#include "model/lookup.h"

#define SX_DRAFT_LAYERS 16 // most layers a draft may have
#define SX_DRAFT_FILES 64  // most files a checkpoint may consist of

// What a loaded draft's pointers point into.
struct sx_draft_storage {
    sx_arena arena;
    sx_model_files *files; // of a GGUF
    sx_file *opened[SX_DRAFT_FILES];
    size_t opened_count;
};

struct sx_draft_storage *sx_draft_storage_create(void);
void sx_draft_storage_free(struct sx_draft_storage *storage); // NULL is allowed

// The names of a layout's tensors. Those with %u take the layer's (or the norm's) number.
typedef struct sx_draft_names {
    const char *fc, *fc_bias, *fc_norm, *input_norm, *signals;
    const char *token_embedding, *output_norm, *output, *target_ids, *ignored;
    const char *attention_norm, *hidden_norm, *q, *k, *v, *o, *q_bias, *k_bias, *v_bias, *o_bias, *q_norm, *k_norm;
    const char *ffn_norm, *gate, *up, *down;
} sx_draft_names;

// What a layout's metadata says; zero where it says nothing.
typedef struct sx_draft_config {
    sx_draft_layout layout;
    uint32_t hidden, heads, kv_heads, target_hidden, ffn;
    uint32_t vocabulary, draft_vocabulary, context, window;
    float rms_eps;
    sx_rope_desc rope; // head_dim is set from the shapes
    uint32_t aux_count;
    uint32_t aux_layers[SX_MAX_AUX]; // inputs of target layers
    bool norm_before_fc, norm_before_residual, norm_output, feed_back_normed;
    sx_presence fc_norm;
    const sx_gguf_value *inv_freq; // a table of frequencies instead of `rope`'s rule, or NULL
    float rope_factor;             // with inv_freq
    bool absolute_ids;             // of the map: else id - index
    uint32_t signal_mask;          // that the file names
    const char *config_name;       // what carries the settings, for messages: "config.json" or "its metadata"
} sx_draft_config;

// Finds and checks all tensors and fills `draft` (zeroed but for name and storage). The lookup's `where` names the
// draft.
sx_status sx_draft_assemble(sx_draft *draft, sx_lookup *lookup, const sx_draft_names *names,
                            const sx_draft_config *config, const sx_draft_options *options, sx_error *error);

// One GGUF file whose architecture is eagle3.
sx_status sx_draft_read_gguf(sx_draft *draft, const sx_draft_options *options, sx_error *error);
// The keys specexit.* of a draft or a signal head.
sx_status sx_read_exit_keys(const sx_gguf *gguf, sx_arena *arena, uint32_t *signal_mask, sx_exit_defaults *exit,
                            sx_error *error);
// `key` as aux layers; absent leaves *count 0.
sx_status sx_read_aux_layers(const sx_gguf *gguf, const char *key, uint32_t *count, uint32_t *layers, sx_error *error);
// Rows of signals and the mask the file or the user names: the mask to use, or an error.
sx_status sx_signal_mask_for(const char *where, uint32_t rows, uint32_t named, const sx_draft_options *options,
                             uint32_t *mask, sx_error *error);

extern const sx_draft_names sx_draft_gguf_names;
// `pattern` with the number in the place of its %u, if it has one.
const char *sx_draft_name(char buffer[96], const char *pattern, uint32_t number);

// Hands out a checkpoint's files by their names: NULL (and no error) when there is none of that name.
typedef struct sx_checkpoint_files {
    const char *where;               // folder or first file, for messages
    const char *folder;              // files are opened from here, or
    const sx_source *const *sources; // found among these
    size_t source_count;
    const char *weights; // the weights file the user named, or NULL
    struct sx_draft_storage *storage;
} sx_checkpoint_files;

sx_status sx_checkpoint_find(sx_checkpoint_files *files, const char *name, const sx_source **out, sx_error *error);
// config.json and the weights in whatever form they are there.
sx_status sx_draft_read_checkpoint(sx_draft *draft, sx_checkpoint_files *files, const sx_draft_options *options,
                                   sx_error *error);
// config.json as a configuration.
struct sx_json;
sx_status sx_draft_read_config(const struct sx_json *config, const char *where, sx_draft_config *out, sx_error *error);

#endif
