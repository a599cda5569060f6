// Chat templates as code: a conversation becomes the prompt its model was trained on.
//
// A GGUF file carries a Jinja program in `tokenizer.chat_template`. It is not run: the file's text is matched against
// the signatures of the templates built in here, which render the same text (tests compare with Jinja's output). A
// template that matches none is refused with the list of names, never guessed; the user may force one by name.
// Rendering is pure text work: no clock, no files, thread safe.
#ifndef SX_TEXT_CHAT_TEMPLATE_H
#define SX_TEXT_CHAT_TEMPLATE_H

#include "base/status.h"
#include "text/message.h"
#include "text/tokenizer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sx_template_id {
    SX_TEMPLATE_NONE = 0,       // not recognised
    SX_TEMPLATE_CHATML,         // "chatml": <|im_start|>role, no default system prompt
    SX_TEMPLATE_QWEN2,          // "qwen2": ChatML with the system prompt of Qwen2 ("You are a helpful assistant.")
    SX_TEMPLATE_QWEN25,         // "qwen2.5": ... of Qwen2.5 ("You are Qwen, created by Alibaba Cloud. ...")
    SX_TEMPLATE_SMOLLM2,        // "smollm2": ... of SmolLM2
    SX_TEMPLATE_QWEN3,          // "qwen3": thinks, can be switched off; old thoughts are dropped
    SX_TEMPLATE_QWEN3_THINKING, // "qwen3-thinking": the 2507 kind, the prompt opens the thinking, no switch
    SX_TEMPLATE_QWQ,            // "qwq"
    SX_TEMPLATE_DEEPSEEK_R1,    // "deepseek-r1": R1 and its distillates on Qwen and Llama
    SX_TEMPLATE_DEEPSEEK_0528,  // "deepseek-r1-0528": R1-0528 and its distillate on Qwen3
    SX_TEMPLATE_LLAMA3,         // "llama3": the first Llama 3
    SX_TEMPLATE_LLAMA31,        // "llama3.1": Llama 3.1, 3.2, 3.3, with dates in the system turn
    SX_TEMPLATE_HUNYUAN,        // "hunyuan": dense models, thinks, can be switched off
    SX_TEMPLATE_GEMMA3,         // "gemma3"
    SX_TEMPLATE_COUNT
} sx_template_id;

// Facts about a template; constant data, valid for ever. Strings are never NULL unless it says so.
typedef struct sx_template_info {
    const char *name;
    const char *think_open;   // "<think>", or NULL: the model does not think by itself
    const char *think_close;  // "</think>", or NULL likewise. May be one token or several in a vocabulary
    const char *after_close;  // what the model writes between the close marker and its answer, such as "\n\n"
    bool can_switch;          // thinking can be switched off by the prompt
    const char *exit_message; // said before the close marker at an early exit (which follows a blank line); may be ""
    const char *stops[4];     // end-of-turn markers, NULL-terminated; the tokenizer's own eos counts as well
} sx_template_info;

// NULL for SX_TEMPLATE_NONE and out of range.
const sx_template_info *sx_template_facts(sx_template_id id);
// SX_TEMPLATE_NONE when no signature matches. `text` is the file's `tokenizer.chat_template`; NULL with length 0 is
// allowed (a file without one).
sx_template_id sx_template_detect(const char *text, size_t length);
// For a file without `tokenizer.chat_template`: the template whose turn markers are control tokens of the vocabulary,
// where these markers belong to one template alone; else SX_TEMPLATE_NONE. Such a file is usually a base model.
sx_template_id sx_template_of_vocabulary(const sx_tokenizer *tokenizer);
// By the name given to --template; SX_TEMPLATE_NONE when unknown. NULL is allowed.
sx_template_id sx_template_by_name(const char *name);
// All names, separated by ", ": for messages and help.
const char *sx_template_names(void);
// `forced` (NULL or "" or "auto": none) first, else the file's text; SX_ERROR_UNSUPPORTED with the list of names.
sx_status sx_template_choose(const char *forced, const char *text, size_t length, sx_template_id *id, sx_error *error);

// "system", "user", "assistant" (also "model"), "tool"; false when the name is none of them.
bool sx_role_by_name(const char *name, sx_role *role);

typedef struct sx_template_options {
    bool no_generation_prompt; // do not open the assistant's turn
    bool no_thinking;          // where can_switch: ask for the answer at once
    const char *bos;           // text of the bos token where the template writes it; NULL: the template's usual one.
                               // "" when the tokenizer adds bos by itself (sx_tokenizer_adds_bos)
    const char *date;          // Llama 3's "Today Date", e.g. "26 Jul 2024" (the default when NULL)
} sx_template_options;

// A rendered prompt, owned by the caller: zero-initialise, free with sx_prompt_free. `content` lists the bytes that
// came from the messages, in order; all others are markup.
typedef struct sx_prompt {
    char *text; // terminated
    size_t length;
    sx_text_span *content;
    size_t content_count;
    bool thinking_open; // the prompt ends inside a thinking block: the first generated token is thought
    size_t text_capacity, content_capacity;
} sx_prompt;

void sx_prompt_free(sx_prompt *prompt);

// Renders `count` messages into `prompt` (earlier contents are replaced). SX_ERROR_ARGUMENT, saying which message,
// for what the model's own template refuses (no messages, roles that must alternate in Gemma 3, a system message that
// is not the first where that is impossible, a tool message where the template knows none). On failure the prompt is
// empty.
sx_status sx_template_render(sx_template_id id, const sx_message *messages, size_t count,
                             const sx_template_options *options, sx_prompt *prompt, sx_error *error);

// Tokenises a rendered prompt: control tokens are recognised in the markup and not in the contents, so that a user who
// writes "<|im_end|>" sends those characters and does not end the turn. For contents without such markers the tokens
// equal those of the whole text. bos is added when the tokenizer does so and the text does not begin with it.
// `out`, `capacity`, `count` as in sx_tokenize.
sx_status sx_prompt_tokenize(const sx_prompt *prompt, const sx_tokenizer *tokenizer, int32_t *out, size_t capacity,
                             size_t *count);

#endif
