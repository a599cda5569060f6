// Every renderer follows its model's published Jinja template statement by statement, so that both can be read side by
// side. Tool definitions are not rendered; tool results are.
#include "text/templates.h"

#include "text/unicode.h"

#include <string.h>

// ---- string work
// ------------------------------------------------------------------------------------------------------

text_view text_view_of(const char *text)
{
    return (text_view){text ? text : "", text ? strlen(text) : 0};
}

// What Python's str.isspace accepts: White_Space and the four separators U+001C..1F.
static bool is_python_space(uint32_t code_point)
{
    return text_is_space(code_point) || (code_point >= 0x1C && code_point <= 0x1F);
}

text_view text_trim(text_view view)
{
    const uint8_t *bytes = (const uint8_t *)view.text;
    size_t begin = 0, end = view.length;
    uint32_t code_point;
    for (size_t step; begin < end; begin += step) {
        step = text_utf8_read(bytes + begin, end - begin, &code_point);
        if (!is_python_space(code_point)) break;
    }
    while (end > begin) {
        size_t start = end - 1;
        while (start > begin && end - start < 4 && (bytes[start] & 0xC0) == 0x80)
            start--;
        if (text_utf8_read(bytes + start, end - start, &code_point) != end - start || !is_python_space(code_point))
            break;
        end = start;
    }
    return (text_view){view.text + begin, end - begin};
}

text_view text_strip_left(text_view view, const char *set)
{
    while (view.length > 0 && view.text[0] && strchr(set, view.text[0])) {
        view.text++;
        view.length--;
    }
    return view;
}

text_view text_strip_right(text_view view, const char *set)
{
    while (view.length > 0 && view.text[view.length - 1] && strchr(set, view.text[view.length - 1]))
        view.length--;
    return view;
}

text_view text_strip(text_view view, const char *set)
{
    return text_strip_right(text_strip_left(view, set), set);
}

static const char *find_part(text_view view, const char *part)
{
    const size_t length = strlen(part);
    const char *at = view.text, *end = view.text + view.length;
    while ((size_t)(end - at) >= length) {
        at = memchr(at, part[0], (size_t)(end - at) - length + 1);
        if (!at || memcmp(at, part, length) == 0) return at;
        at++;
    }
    return NULL;
}

bool text_contains(text_view view, const char *part)
{
    return find_part(view, part) != NULL;
}

text_view text_after_last(text_view view, const char *part)
{
    for (const char *at; (at = find_part(view, part)) != NULL;) {
        const char *end = view.text + view.length;
        view.text = at + strlen(part);
        view.length = (size_t)(end - view.text);
    }
    return view;
}

text_view text_before_first(text_view view, const char *part)
{
    const char *at = find_part(view, part);
    return at ? (text_view){view.text, (size_t)(at - view.text)} : view;
}

static bool starts_with(text_view view, const char *part)
{
    const size_t length = strlen(part);
    return view.length >= length && memcmp(view.text, part, length) == 0;
}

static bool ends_with(text_view view, const char *part)
{
    const size_t length = strlen(part);
    return view.length >= length && memcmp(view.text + view.length - length, part, length) == 0;
}

static const char *role_name(sx_role role)
{
    static const char *const names[] = {"system", "user", "assistant", "tool"};
    return names[role];
}

static text_view content_of(const sx_message *message)
{
    return text_view_of(message->content);
}

// ---- ChatML and its kin
// -----------------------------------------------------------------------------------------------

static void open_turn(text_builder *b, sx_role role)
{
    text_markup(b, "<|im_start|>");
    text_markup(b, role_name(role));
    text_markup(b, "\n");
}

static void whole_turn(text_builder *b, sx_role role, text_view content)
{
    open_turn(b, role);
    text_content(b, content);
    text_markup(b, "<|im_end|>\n");
}

static void default_system(const text_conversation *c, text_builder *b, const char *text)
{
    if (text && c->messages[0].role != SX_ROLE_SYSTEM) {
        open_turn(b, SX_ROLE_SYSTEM);
        text_markup(b, text);
        text_markup(b, "<|im_end|>\n");
    }
}

static sx_status render_plain(const text_conversation *c, text_builder *b, const char *system)
{
    default_system(c, b, system);
    for (size_t i = 0; i < c->count; i++)
        whole_turn(b, c->messages[i].role, content_of(&c->messages[i]));
    if (!c->options->no_generation_prompt) open_turn(b, SX_ROLE_ASSISTANT);
    return SX_OK;
}

sx_status text_render_chatml(const text_conversation *c, text_builder *b)
{
    return render_plain(c, b, NULL);
}

sx_status text_render_qwen2(const text_conversation *c, text_builder *b)
{
    return render_plain(c, b, "You are a helpful assistant.");
}

sx_status text_render_smollm2(const text_conversation *c, text_builder *b)
{
    return render_plain(c, b, "You are a helpful AI assistant named SmolLM, trained by Hugging Face");
}

// Results of tools that follow one another share one turn of the user.
static void tool_turn(const text_conversation *c, text_builder *b, size_t index)
{
    if (index == 0 || c->messages[index - 1].role != SX_ROLE_TOOL) text_markup(b, "<|im_start|>user");
    text_markup(b, "\n<tool_response>\n");
    text_content(b, content_of(&c->messages[index]));
    text_markup(b, "\n</tool_response>");
    if (index + 1 == c->count || c->messages[index + 1].role != SX_ROLE_TOOL) text_markup(b, "<|im_end|>\n");
}

sx_status text_render_qwen25(const text_conversation *c, text_builder *b)
{
    default_system(c, b, "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.");
    for (size_t i = 0; i < c->count; i++) {
        if (c->messages[i].role == SX_ROLE_TOOL)
            tool_turn(c, b, i);
        else
            whole_turn(b, c->messages[i].role, content_of(&c->messages[i]));
    }
    if (!c->options->no_generation_prompt) open_turn(b, SX_ROLE_ASSISTANT);
    return SX_OK;
}

sx_status text_render_qwq(const text_conversation *c, text_builder *b)
{
    for (size_t i = 0; i < c->count; i++) {
        const sx_message *message = &c->messages[i];
        text_view content = content_of(message);
        if (message->role == SX_ROLE_ASSISTANT && i + 1 < c->count)
            content = text_strip_left(text_after_last(content, "</think>"), "\n");
        if (message->role == SX_ROLE_TOOL)
            tool_turn(c, b, i);
        else
            whole_turn(b, message->role, content);
    }
    if (!c->options->no_generation_prompt) {
        open_turn(b, SX_ROLE_ASSISTANT);
        text_markup(b, c->options->no_thinking ? "<think>\n</think>" : "<think>\n");
        b->prompt->thinking_open = !c->options->no_thinking;
    }
    return SX_OK;
}

// The last message of the user that is a question and not a tool's result: thoughts before it are old.
static size_t last_query(const text_conversation *c)
{
    for (size_t i = c->count; i-- > 0;) {
        const text_view content = content_of(&c->messages[i]);
        if (c->messages[i].role == SX_ROLE_USER &&
            !(starts_with(content, "<tool_response>") && ends_with(content, "</tool_response>")))
            return i;
    }
    return c->count - 1;
}

static void qwen3_assistant(const text_conversation *c, text_builder *b, size_t index, size_t query)
{
    const sx_message *message = &c->messages[index];
    text_view content = content_of(message), reasoning = text_view_of(message->reasoning);
    if (!message->reasoning && text_contains(content, "</think>")) {
        reasoning = text_strip_right(text_before_first(content, "</think>"), "\n");
        reasoning = text_strip_left(text_after_last(reasoning, "<think>"), "\n");
        content = text_strip_left(text_after_last(content, "</think>"), "\n");
    }
    open_turn(b, SX_ROLE_ASSISTANT);
    if (index > query && (index + 1 == c->count || reasoning.length > 0)) {
        text_markup(b, "<think>\n");
        text_content(b, text_strip(reasoning, "\n"));
        text_markup(b, "\n</think>\n\n");
        content = text_strip_left(content, "\n");
    }
    text_content(b, content);
    text_markup(b, "<|im_end|>\n");
}

static void qwen3_turns(const text_conversation *c, text_builder *b)
{
    const size_t query = last_query(c);
    for (size_t i = 0; i < c->count; i++) {
        const sx_message *message = &c->messages[i];
        if (message->role == SX_ROLE_ASSISTANT)
            qwen3_assistant(c, b, i, query);
        else if (message->role == SX_ROLE_TOOL)
            tool_turn(c, b, i);
        else
            whole_turn(b, message->role, content_of(message));
    }
    if (!c->options->no_generation_prompt) open_turn(b, SX_ROLE_ASSISTANT);
}

sx_status text_render_qwen3(const text_conversation *c, text_builder *b)
{
    qwen3_turns(c, b);
    if (!c->options->no_generation_prompt && c->options->no_thinking) text_markup(b, "<think>\n\n</think>\n\n");
    return SX_OK;
}

sx_status text_render_qwen3_thinking(const text_conversation *c, text_builder *b)
{
    qwen3_turns(c, b);
    if (!c->options->no_generation_prompt) {
        text_markup(b, "<think>\n");
        b->prompt->thinking_open = true;
    }
    return SX_OK;
}

// ---- DeepSeek R1 and Hunyuan
// ------------------------------------------------------------------------------------------

static const char deepseek_end[] = "<｜end▁of▁sentence｜>";

static void deepseek_tool(text_builder *b, text_view content, bool first_output)
{
    text_markup(b, first_output ? "<｜tool▁outputs▁begin｜>" : "\n");
    text_markup(b, "<｜tool▁output▁begin｜>");
    text_content(b, content);
    text_markup(b, "<｜tool▁output▁end｜>");
}

sx_status text_render_deepseek_r1(const text_conversation *c, text_builder *b)
{
    bool tool = false, first_output = true;
    text_markup(b, c->bos);
    for (size_t i = c->count; i-- > 0;) {
        if (c->messages[i].role == SX_ROLE_SYSTEM) { // the last one counts
            text_content(b, content_of(&c->messages[i]));
            break;
        }
    }
    for (size_t i = 0; i < c->count; i++) {
        const text_view content = content_of(&c->messages[i]);
        switch (c->messages[i].role) {
        case SX_ROLE_SYSTEM:
            break;
        case SX_ROLE_USER:
            tool = false;
            text_markup(b, "<｜User｜>");
            text_content(b, content);
            break;
        case SX_ROLE_ASSISTANT:
            text_markup(b, tool ? "<｜tool▁outputs▁end｜>" : "<｜Assistant｜>");
            text_content(b, tool ? content : text_after_last(content, "</think>"));
            text_markup(b, deepseek_end);
            tool = false;
            break;
        case SX_ROLE_TOOL:
            tool = true;
            deepseek_tool(b, content, first_output);
            first_output = false;
            break;
        }
    }
    if (tool) {
        text_markup(b, "<｜tool▁outputs▁end｜>");
    } else if (!c->options->no_generation_prompt) {
        text_markup(b, c->options->no_thinking ? "<｜Assistant｜><think>\n</think>" : "<｜Assistant｜><think>\n");
        b->prompt->thinking_open = !c->options->no_thinking;
    }
    return SX_OK;
}

// The system messages, a blank line between them; returns whether there is any text.
static bool joined_system(const text_conversation *c, text_builder *b)
{
    bool any = false, separator = false;
    for (size_t i = 0; i < c->count; i++) {
        if (c->messages[i].role != SX_ROLE_SYSTEM) continue;
        text_markup(b, separator ? "\n\n" : "");
        text_content(b, content_of(&c->messages[i]));
        any = any || separator || content_of(&c->messages[i]).length > 0;
        separator = true;
    }
    return any;
}

sx_status text_render_deepseek_0528(const text_conversation *c, text_builder *b)
{
    bool tool = false, first_output = true, last_user = false;
    text_markup(b, c->bos);
    joined_system(c, b);
    for (size_t i = 0; i < c->count; i++) {
        const sx_role role = c->messages[i].role;
        const text_view content = content_of(&c->messages[i]);
        if (role == SX_ROLE_SYSTEM) continue;
        last_user = role == SX_ROLE_USER;
        if (role == SX_ROLE_USER) {
            text_markup(b, "<｜User｜>");
            text_content(b, content);
            text_markup(b, "<｜Assistant｜>");
            tool = false;
        } else if (role == SX_ROLE_ASSISTANT) {
            text_markup(b, tool ? "<｜tool▁outputs▁end｜>" : "");
            text_content(b, tool ? content : text_after_last(content, "</think>"));
            text_markup(b, deepseek_end);
            tool = false;
        } else {
            deepseek_tool(b, content, first_output);
            first_output = false;
            tool = true;
        }
    }
    if (tool)
        text_markup(b, "<｜tool▁outputs▁end｜>");
    else if (!c->options->no_generation_prompt && !last_user)
        text_markup(b, "<｜Assistant｜>");
    return SX_OK;
}

sx_status text_render_hunyuan(const text_conversation *c, text_builder *b)
{
    static const char end[] = "<｜hy_place▁holder▁no▁2｜>";
    bool tool = false, first_output = true, last_user = false;
    text_markup(b, c->bos);
    const bool system = joined_system(c, b);
    text_markup(b, system ? "<｜hy_place▁holder▁no▁3｜>" : "");
    for (size_t i = 0; i < c->count; i++) {
        const sx_role role = c->messages[i].role;
        text_view content = content_of(&c->messages[i]);
        if (role == SX_ROLE_USER) {
            tool = false;
            text_markup(b, "<｜hy_User｜>");
            text_content(b, content);
            text_markup(b, "<｜hy_Assistant｜>");
        } else if (role == SX_ROLE_ASSISTANT) {
            // The template's strip('</answer>') takes off any of those letters, not the word; so it is done here, too.
            if (i + 1 < c->count && text_contains(content, "<answer>"))
                content = text_trim(text_strip(text_after_last(content, "<answer>"), "</answer>"));
            text_markup(b, tool ? "</tool_responses><｜hy_Assistant｜>" : "");
            text_content(b, content);
            text_markup(b, end);
            tool = false;
        } else if (role == SX_ROLE_TOOL) {
            tool = true;
            text_markup(b, first_output ? "<｜hy_User｜><tool_responses><tool_response>" : "\n<tool_response>");
            text_content(b, content);
            text_markup(b, "</tool_response>");
            first_output = false;
        }
        if (role != SX_ROLE_SYSTEM) last_user = role == SX_ROLE_USER;
    }
    if (tool)
        text_markup(b, "</tool_responses><｜hy_Assistant｜>");
    else if (!c->options->no_generation_prompt && !last_user)
        text_markup(b, "<｜hy_Assistant｜>");
    if (c->options->no_thinking) text_markup(b, "<think>\n\n</think>\n");
    return SX_OK;
}

// ---- Llama 3
// ----------------------------------------------------------------------------------------------------------

static void llama_header(text_builder *b, const char *role)
{
    text_markup(b, "<|start_header_id|>");
    text_markup(b, role);
    text_markup(b, "<|end_header_id|>\n\n");
}

sx_status text_render_llama3(const text_conversation *c, text_builder *b)
{
    text_markup(b, c->bos);
    for (size_t i = 0; i < c->count; i++) {
        llama_header(b, role_name(c->messages[i].role));
        text_content(b, text_trim(content_of(&c->messages[i])));
        text_markup(b, "<|eot_id|>");
    }
    if (!c->options->no_generation_prompt) llama_header(b, "assistant");
    return SX_OK;
}

// Jinja's tojson as the published templates are run: a string in quotes, escaped where JSON needs it.
static void json_content(text_builder *b, text_view view)
{
    text_markup(b, "\"");
    size_t begin = 0;
    for (size_t i = 0; i < view.length; i++) {
        const unsigned char byte = (unsigned char)view.text[i];
        char escape[8] = {'\\', 0};
        static const char plain[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
        const char *found = byte ? strchr(plain, byte) : NULL;
        if (!found && byte >= 0x20) continue;
        if (found) {
            escape[1] = letters[found - plain];
        } else {
            static const char digits[] = "0123456789abcdef";
            memcpy(escape + 1, "u00", 3);
            escape[4] = digits[byte >> 4];
            escape[5] = digits[byte & 15];
        }
        text_content(b, (text_view){view.text + begin, i - begin});
        text_content(b, text_view_of(escape));
        begin = i + 1;
    }
    text_content(b, (text_view){view.text + begin, view.length - begin});
    text_markup(b, "\"");
}

sx_status text_render_llama31(const text_conversation *c, text_builder *b)
{
    const bool system = c->messages[0].role == SX_ROLE_SYSTEM;
    text_markup(b, c->bos);
    llama_header(b, "system");
    text_markup(b, "Cutting Knowledge Date: December 2023\nToday Date: ");
    text_markup(b, c->options->date ? c->options->date : "26 Jul 2024");
    text_markup(b, "\n\n");
    if (system) text_content(b, text_trim(content_of(&c->messages[0])));
    text_markup(b, "<|eot_id|>");
    for (size_t i = system; i < c->count; i++) {
        const sx_message *message = &c->messages[i];
        const bool tool = message->role == SX_ROLE_TOOL;
        llama_header(b, tool ? "ipython" : role_name(message->role));
        if (tool)
            json_content(b, content_of(message));
        else
            text_content(b, text_trim(content_of(message)));
        text_markup(b, "<|eot_id|>");
    }
    if (!c->options->no_generation_prompt) llama_header(b, "assistant");
    return SX_OK;
}

// ---- Gemma 3
// ----------------------------------------------------------------------------------------------------------

sx_status text_render_gemma3(const text_conversation *c, text_builder *b)
{
    const bool system = c->messages[0].role == SX_ROLE_SYSTEM;
    text_markup(b, c->bos);
    for (size_t i = system; i < c->count; i++) {
        const sx_message *message = &c->messages[i];
        const bool users_turn = (i - system) % 2 == 0;
        if ((message->role == SX_ROLE_USER) != users_turn)
            return sx_fail(c->error, SX_ERROR_ARGUMENT,
                           "messages[%zu]: the roles must alternate user, assistant, user, ... for Gemma 3", i);
        text_markup(b, "<start_of_turn>");
        text_markup(b, message->role == SX_ROLE_ASSISTANT ? "model" : role_name(message->role));
        text_markup(b, "\n");
        if (i == system && system) {
            text_content(b, content_of(&c->messages[0]));
            text_markup(b, "\n\n");
        }
        text_content(b, text_trim(content_of(message)));
        text_markup(b, "<end_of_turn>\n");
    }
    if (!c->options->no_generation_prompt) text_markup(b, "<start_of_turn>model\n");
    return SX_OK;
}
