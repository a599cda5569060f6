// The renderers behind chat_template.h, one for each family. Not for other layers.
#ifndef SX_TEXT_TEMPLATES_H
#define SX_TEXT_TEMPLATES_H

#include "text/chat_template.h"

// Bytes somewhere in a message.
typedef struct text_view {
    const char *text;
    size_t length;
} text_view;

// What a renderer writes to. After a failed allocation nothing more is written and `failed` stays set.
typedef struct text_builder {
    sx_prompt *prompt;
    bool failed;
} text_builder;

void text_markup(text_builder *builder, const char *text); // terminated
void text_content(text_builder *builder, text_view view);  // bytes of a message

// One conversation on its way through a renderer.
typedef struct text_conversation {
    const sx_message *messages; // [count], count >= 1
    size_t count;
    const sx_template_options *options; // never NULL
    const char *bos;                    // never NULL
    sx_error *error;
} text_conversation;

// Renders into the builder; sets prompt->thinking_open; refuses what the model's own template refuses.
typedef sx_status (*text_renderer)(const text_conversation *conversation, text_builder *builder);

sx_status text_render_chatml(const text_conversation *conversation, text_builder *builder);
sx_status text_render_qwen2(const text_conversation *conversation, text_builder *builder);
sx_status text_render_qwen25(const text_conversation *conversation, text_builder *builder);
sx_status text_render_smollm2(const text_conversation *conversation, text_builder *builder);
sx_status text_render_qwen3(const text_conversation *conversation, text_builder *builder);
sx_status text_render_qwen3_thinking(const text_conversation *conversation, text_builder *builder);
sx_status text_render_qwq(const text_conversation *conversation, text_builder *builder);
sx_status text_render_deepseek_r1(const text_conversation *conversation, text_builder *builder);
sx_status text_render_deepseek_0528(const text_conversation *conversation, text_builder *builder);
sx_status text_render_llama3(const text_conversation *conversation, text_builder *builder);
sx_status text_render_llama31(const text_conversation *conversation, text_builder *builder);
sx_status text_render_hunyuan(const text_conversation *conversation, text_builder *builder);
sx_status text_render_gemma3(const text_conversation *conversation, text_builder *builder);

// ---- string work as Python does it, for the templates' filters
// ---------------------------------------------------------

text_view text_view_of(const char *text);              // NULL = ""
text_view text_trim(text_view view);                   // str.strip(): Unicode white space at both ends
text_view text_strip(text_view view, const char *set); // str.strip(set), ASCII
text_view text_strip_left(text_view view, const char *set);
text_view text_strip_right(text_view view, const char *set);
bool text_contains(text_view view, const char *part);
text_view text_after_last(text_view view, const char *part);   // split(part)[-1]
text_view text_before_first(text_view view, const char *part); // split(part)[0]

#endif
