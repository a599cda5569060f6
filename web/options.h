// Options that JavaScript hands over as one block of terminated strings, key, value, key, value, ...: the descriptors
// of specexit.h without a JSON parser in the wasm. What a key means is said beside the field of the same name there.
#ifndef WEB_OPTIONS_H
#define WEB_OPTIONS_H

#include "specexit.h"

enum { WEB_MAX_STOPS = 16, WEB_MAX_BIAS = 64 };

typedef struct web_generate {
    sx_generate_desc desc; // points into the option block and into what follows
    sx_message *messages;
    uint32_t *tokens;
    const char *stops[WEB_MAX_STOPS];
    uint32_t bias_tokens[WEB_MAX_BIAS];
    float bias_values[WEB_MAX_BIAS];
} web_generate;

// Engine: context, kv_type, precision, quantize_draft, no_draft, template; selftest_known, selftest_lossless and
// selftest_acceptance for sx_selftest.
// SX_ERROR_ARGUMENT names the key that is unknown or whose value is out of range; `block` must outlive `desc`.
sx_status web_engine_options(const char *block, size_t size, sx_engine_desc *desc, sx_error *error);

// Generation: system, user, assistant, tool (messages in order), reasoning (of the assistant before it), prompt, tokens
// ("1,2,3"), stop (repeated), bias ("token:value", repeated), and the fields of sx_generate_desc, sx_sampling,
// sx_policy and sx_drafting by their names (policy and draft name their kinds), choices as common/choices.h names them.
// web_generate_free must be called whatever is returned; `block` must outlive `generate`.
sx_status web_generate_options(const char *block, size_t size, web_generate *generate, sx_error *error);
void web_generate_free(web_generate *generate);

#endif
