#include "text/chat_template.h"

#include "text/templates.h"
#include "text/unicode.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// ---- the templates
// ----------------------------------------------------------------------------------------------------

typedef struct text_template {
    sx_template_info info;
    const char *bos; // what the template's bos_token stands for; "" where it writes none
    text_renderer render;
} text_template;

#define IM_END "<|im_end|>"
// The exit message is short, since it costs tokens; these models write a line break before the close marker.
#define THINKS                                                                                                         \
    .think_open = "<think>", .think_close = "</think>", .exit_message = "I have worked this out far enough to answer.\n"
#define ANSWERS .after_close = "", .exit_message = ""

static const text_template templates[SX_TEMPLATE_COUNT] = {
    [SX_TEMPLATE_CHATML] = {{.name = "chatml", ANSWERS, .stops = {IM_END}}, "", text_render_chatml},
    [SX_TEMPLATE_QWEN2] = {{.name = "qwen2", ANSWERS, .stops = {IM_END}}, "", text_render_qwen2},
    [SX_TEMPLATE_QWEN25] = {{.name = "qwen2.5", ANSWERS, .stops = {IM_END}}, "", text_render_qwen25},
    [SX_TEMPLATE_SMOLLM2] = {{.name = "smollm2", ANSWERS, .stops = {IM_END}}, "", text_render_smollm2},
    [SX_TEMPLATE_QWEN3] = {{.name = "qwen3", THINKS, .after_close = "\n\n", .can_switch = true, .stops = {IM_END}},
                           "",
                           text_render_qwen3},
    [SX_TEMPLATE_QWEN3_THINKING] = {{.name = "qwen3-thinking", THINKS, .after_close = "\n\n", .stops = {IM_END}},
                                    "",
                                    text_render_qwen3_thinking},
    [SX_TEMPLATE_QWQ] = {{.name = "qwq", THINKS, .after_close = "\n\n", .can_switch = true, .stops = {IM_END}},
                         "",
                         text_render_qwq},
    [SX_TEMPLATE_DEEPSEEK_R1] =
        {{.name = "deepseek-r1", THINKS, .after_close = "\n\n", .can_switch = true, .stops = {"<｜end▁of▁sentence｜>"}},
         "<｜begin▁of▁sentence｜>",
         text_render_deepseek_r1},
    [SX_TEMPLATE_DEEPSEEK_0528] =
        {{.name = "deepseek-r1-0528", THINKS, .after_close = "\n", .stops = {"<｜end▁of▁sentence｜>"}},
         "<｜begin▁of▁sentence｜>",
         text_render_deepseek_0528},
    [SX_TEMPLATE_LLAMA3] = {{.name = "llama3", ANSWERS, .stops = {"<|eot_id|>"}},
                            "<|begin_of_text|>",
                            text_render_llama3},
    [SX_TEMPLATE_LLAMA31] = {{.name = "llama3.1", ANSWERS, .stops = {"<|eot_id|>", "<|eom_id|>"}},
                             "<|begin_of_text|>",
                             text_render_llama31},
    [SX_TEMPLATE_HUNYUAN] =
        {{.name = "hunyuan", THINKS, .after_close = "\n", .can_switch = true, .stops = {"<｜hy_place▁holder▁no▁2｜>"}},
         "<｜hy_begin▁of▁sentence｜>",
         text_render_hunyuan},
    [SX_TEMPLATE_GEMMA3] = {{.name = "gemma3", ANSWERS, .stops = {"<end_of_turn>"}}, "<bos>", text_render_gemma3},
};

const sx_template_info *sx_template_facts(sx_template_id id)
{
    return id > SX_TEMPLATE_NONE && id < SX_TEMPLATE_COUNT ? &templates[id].info : NULL;
}

const char *sx_template_names(void)
{
    return "chatml, qwen2, qwen2.5, smollm2, qwen3, qwen3-thinking, qwq, deepseek-r1, deepseek-r1-0528, llama3, "
           "llama3.1, hunyuan, "
           "gemma3";
}

sx_template_id sx_template_by_name(const char *name)
{
    for (int id = 1; name && id < SX_TEMPLATE_COUNT; id++) {
        if (strcmp(name, templates[id].info.name) == 0) return (sx_template_id)id;
    }
    return SX_TEMPLATE_NONE;
}

// ---- recognition
// ------------------------------------------------------------------------------------------------------

typedef struct signature {
    sx_template_id id;
    const char *present[5]; // NULL-terminated; all of them
    const char *absent[9];  // NULL-terminated; none of them
} signature;

// Matched in order against the text without white space and "\n" escapes, with ' for every quote: the same Jinja
// program is published with real and with escaped line breaks. Each signature names what makes the template differ
// from its neighbours, so that a relative with other rules is not taken for it.
static const signature signatures[] = {
    {SX_TEMPLATE_GEMMA3, {"<start_of_turn>", "<end_of_turn>", "first_user_prefix"}, {0}},
    {SX_TEMPLATE_HUNYUAN, {"'<｜hy_User｜>'+message['content']+'<｜hy_Assistant｜>'", "enable_thinking"}, {0}},
    {SX_TEMPLATE_DEEPSEEK_R1,
     {"'<｜User｜>'+message['content']", "content.split('</think>')[-1]", "'<｜Assistant｜>", "is_output_first=true"},
     {"is_last_user", "is_tool_outputs"}},
    {SX_TEMPLATE_DEEPSEEK_0528,
     {"'<｜User｜>'+message['content']+'<｜Assistant｜>'", "content.split('</think>')[-1]",
      "notns.is_last_userandnotns.is_tool", "is_output_first=true"},
     {"thinking", "enable_thinking", "is_tool_outputs"}},
    {SX_TEMPLATE_LLAMA31,
     {"<|start_header_id|>", "message['content']|trim+'<|eot_id|>'", "CuttingKnowledgeDate:December2023"},
     {"think", "<|im_start|>"}},
    {SX_TEMPLATE_LLAMA3,
     {"<|start_header_id|>", "message['content']|trim+'<|eot_id|>'", "bos_token+content"},
     {"Cutting", "think", "tool", "Youare"}},
    {SX_TEMPLATE_QWQ,
     {"'<|im_start|>assistant<think>'", "ifnotloop.last", "message.content.split('</think>')[-1].lstrip('')"},
     {"reasoning_content", "bos_token", "YouareQwen", "Youarea"}},
    {SX_TEMPLATE_QWEN3_THINKING,
     {"last_query_index", "<tool_response>", "reasoning_content.strip('')+'</think>'+content.lstrip('')",
      "'<|im_start|>assistant<think>'"},
     {"enable_thinking", "bos_token", "YouareQwen", "Youarea"}},
    {SX_TEMPLATE_QWEN3,
     {"last_query_index", "<tool_response>", "reasoning_content.strip('')+'</think>'+content.lstrip('')",
      "enable_thinkingisfalse"},
     {"'<|im_start|>assistant<think>'", "bos_token", "YouareQwen", "Youarea"}},
    {SX_TEMPLATE_QWEN25,
     {"'<|im_start|>systemYouareQwen,createdbyAlibabaCloud.Youareahelpfulassistant.<|im_end|>'"},
     {"think", "bos_token"}},
    {SX_TEMPLATE_SMOLLM2,
     {"'<|im_start|>systemYouareahelpfulAIassistantnamedSmolLM,trainedbyHuggingFace<|im_end|>'"},
     {"think", "tool", "bos_token"}},
    {SX_TEMPLATE_QWEN2, {"'<|im_start|>systemYouareahelpfulassistant.<|im_end|>'"}, {"think", "tool", "bos_token"}},
    {SX_TEMPLATE_CHATML,
     {"'<|im_start|>'+message['role']+''+message['content']+'<|im_end|>'"},
     {"think", "tool", "system", "Youare", "trim", "strip", "raise_exception", "bos_token"}},
};

static bool matches(const signature *candidate, const char *text)
{
    for (const char *const *part = candidate->present; *part; part++) {
        if (!strstr(text, *part)) return false;
    }
    for (const char *const *part = candidate->absent; *part; part++) {
        if (strstr(text, *part)) return false;
    }
    return true;
}

sx_template_id sx_template_detect(const char *text, size_t length)
{
    const size_t limit = (size_t)1 << 20;
    char *normal = text && length > 0 && length <= limit ? malloc(length + 1) : NULL;
    if (!normal) return SX_TEMPLATE_NONE;
    size_t size = 0;
    for (size_t i = 0; i < length && text[i]; i++) {
        const bool escape = text[i] == '\\' && i + 1 < length && text[i + 1] == 'n';
        if (escape)
            i++;
        else if (!strchr(" \t\r\n", text[i]))
            normal[size++] = text[i] == '"' ? '\'' : text[i];
    }
    normal[size] = 0;
    sx_template_id id = SX_TEMPLATE_NONE;
    for (size_t i = 0; id == SX_TEMPLATE_NONE && i < sizeof signatures / sizeof *signatures; i++) {
        if (matches(&signatures[i], normal)) id = signatures[i].id;
    }
    free(normal);
    return id;
}

sx_template_id sx_template_of_vocabulary(const sx_tokenizer *tokenizer)
{
    static const struct {
        sx_template_id id;
        const char *markers[2];
    } rows[] = {{SX_TEMPLATE_GEMMA3, {"<start_of_turn>", "<end_of_turn>"}}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool all = true;
        for (int m = 0; m < 2 && all; m++) {
            const int32_t id = sx_token_find(tokenizer, rows[i].markers[m], strlen(rows[i].markers[m]));
            all = id >= 0 && sx_token_type(tokenizer, id) == SX_TOKEN_CONTROL;
        }
        if (all) return rows[i].id;
    }
    return SX_TEMPLATE_NONE;
}

sx_status sx_template_choose(const char *forced, const char *text, size_t length, sx_template_id *id, sx_error *error)
{
    *id = SX_TEMPLATE_NONE;
    if (forced && *forced && strcmp(forced, "auto") != 0) {
        *id = sx_template_by_name(forced);
        if (*id != SX_TEMPLATE_NONE) return SX_OK;
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "template \"%.64s\" is not known; known are %s", forced,
                       sx_template_names());
    }
    *id = sx_template_detect(text, length);
    if (*id != SX_TEMPLATE_NONE) return SX_OK;
    return sx_fail(error, SX_ERROR_UNSUPPORTED,
                   "tokenizer.chat_template %s; force the one the model was trained with by --template: %s",
                   length ? "is none of those built in" : "is missing", sx_template_names());
}

bool sx_role_by_name(const char *name, sx_role *role)
{
    static const struct {
        const char *name;
        sx_role role;
    } roles[] = {{"system", SX_ROLE_SYSTEM},
                 {"user", SX_ROLE_USER},
                 {"assistant", SX_ROLE_ASSISTANT},
                 {"model", SX_ROLE_ASSISTANT},
                 {"tool", SX_ROLE_TOOL}};
    for (size_t i = 0; name && i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(name, roles[i].name) == 0) {
            *role = roles[i].role;
            return true;
        }
    }
    return false;
}

// ---- prompts
// ----------------------------------------------------------------------------------------------------------

void sx_prompt_free(sx_prompt *prompt)
{
    free(prompt->text);
    free(prompt->content);
    memset(prompt, 0, sizeof *prompt);
}

static bool reserve(sx_prompt *prompt, size_t more)
{
    if (more < prompt->text_capacity - prompt->length) return true;
    if (more > SIZE_MAX / 4 || prompt->length > SIZE_MAX / 4) return false;
    const size_t capacity = prompt->length + prompt->length / 2 + more + 256;
    char *text = realloc(prompt->text, capacity);
    if (!text) return false;
    prompt->text = text;
    prompt->text_capacity = capacity;
    return true;
}

static void append(text_builder *builder, const char *text, size_t length)
{
    sx_prompt *prompt = builder->prompt;
    if (builder->failed || !reserve(prompt, length)) {
        builder->failed = true;
        return;
    }
    if (length) memcpy(prompt->text + prompt->length, text, length);
    prompt->length += length;
    prompt->text[prompt->length] = 0;
}

void text_markup(text_builder *builder, const char *text)
{
    append(builder, text, strlen(text));
}

void text_content(text_builder *builder, text_view view)
{
    sx_prompt *prompt = builder->prompt;
    if (view.length == 0) return;
    if (prompt->content_count == prompt->content_capacity) {
        const size_t capacity = 2 * prompt->content_capacity + 16;
        sx_text_span *content = realloc(prompt->content, capacity * sizeof *content);
        if (!content) {
            builder->failed = true;
            return;
        }
        prompt->content = content;
        prompt->content_capacity = capacity;
    }
    const size_t begin = prompt->length;
    append(builder, view.text, view.length);
    if (!builder->failed) prompt->content[prompt->content_count++] = (sx_text_span){begin, prompt->length};
}

sx_status sx_template_render(sx_template_id id, const sx_message *messages, size_t count,
                             const sx_template_options *options, sx_prompt *prompt, sx_error *error)
{
    assert(prompt && (messages || count == 0));
    prompt->length = prompt->content_count = 0;
    prompt->thinking_open = false;
    if (id <= SX_TEMPLATE_NONE || id >= SX_TEMPLATE_COUNT)
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "there is no chat template; choose one of %s", sx_template_names());
    if (count == 0) return sx_fail(error, SX_ERROR_ARGUMENT, "messages: there are none");
    static const sx_template_options defaults = {0};
    const text_template *template = &templates[id];
    options = options ? options : &defaults;
    const text_conversation conversation = {messages, count, options, options->bos ? options->bos : template->bos,
                                            error};
    text_builder builder = {prompt, false};
    append(&builder, "", 0);
    sx_status status = template->render(&conversation, &builder);
    if (status == SX_OK && builder.failed) status = sx_fail(error, SX_ERROR_MEMORY, "out of memory for the prompt");
    if (status) sx_prompt_free(prompt);
    return status;
}

sx_status sx_prompt_tokenize(const sx_prompt *prompt, const sx_tokenizer *tokenizer, int32_t *out, size_t capacity,
                             size_t *count)
{
    size_t bos_length = 0;
    const char *bos = sx_token_bytes(tokenizer, sx_tokenizer_bos(tokenizer), &bos_length);
    const bool has_bos = bos_length > 0 && prompt->length >= bos_length && memcmp(prompt->text, bos, bos_length) == 0 &&
                         (prompt->content_count == 0 || prompt->content[0].begin >= bos_length);
    // By hand and not by ADD_SPECIAL, which would end the prompt with eos where a tokenizer adds it.
    const size_t extra = sx_tokenizer_adds_bos(tokenizer) && !has_bos;
    if (extra && capacity > 0) out[0] = sx_tokenizer_bos(tokenizer);
    const size_t offset = extra && capacity > 0 ? 1 : 0;
    const sx_status status =
        sx_tokenize_masked(tokenizer, prompt->text, prompt->length, SX_TOKENIZE_PARSE_SPECIAL, prompt->content,
                           prompt->content_count, capacity ? out + offset : NULL, capacity - offset, count);
    *count += status == SX_OK ? extra : 0;
    return status;
}
