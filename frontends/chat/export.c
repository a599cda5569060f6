#include "export.h"

#include <stdlib.h>
#include <string.h>

static uint32_t *shown_path(const chat_conversation *conversation, uint32_t *count)
{
    *count = chat_path(conversation, NULL, 0);
    uint32_t *path = chat_reallocate(NULL, *count, sizeof *path);
    chat_path(conversation, path, *count);
    return path;
}

void export_markdown(const chat_conversation *conversation, chat_text *out)
{
    uint32_t count, *path = shown_path(conversation, &count);
    chat_text_printf(out, "# %s\n", conversation->title);
    for (uint32_t i = 0; i < count; i++) {
        const chat_message *message = &conversation->messages[path[i]];
        chat_text_printf(out, "\n## %s\n\n", message->role == SX_ROLE_USER ? "You" : "Model");
        if (message->thinking.length) {
            char sentence[256];
            chat_thinking_sentence(message, sentence, sizeof sentence);
            chat_text_printf(out, "<details><summary>%s</summary>\n\n%s\n\n</details>\n\n", sentence,
                             message->thinking.data);
        }
        chat_text_printf(out, "%s\n", chat_text_string(&message->content));
    }
    free(path);
}

// `text` is the user's or a model's, perhaps from a database that an older version wrote: no byte of it is trusted.
static void json_string(chat_text *out, const char *text)
{
    size_t length = strlen(text), kept = 0; // bytes before `kept` are written
    chat_text_add(out, "\"");
    for (size_t at = 0; at < length; at++) {
        unsigned char c = (unsigned char)text[at];
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        chat_text_append_utf8(out, text + kept, at - kept);
        kept = at + 1;
        if (c == '\n') {
            chat_text_add(out, "\\n");
        } else if (c < 0x20) {
            chat_text_printf(out, "\\u%04x", c);
        } else {
            chat_text_printf(out, "\\%c", c);
        }
    }
    chat_text_append_utf8(out, text + kept, length - kept);
    chat_text_add(out, "\"");
}

void export_json(const chat_conversation *conversation, const char *model, chat_text *out)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    uint32_t count, *path = shown_path(conversation, &count);
    chat_text_add(out, "{\"title\": ");
    json_string(out, conversation->title);
    chat_text_add(out, ", \"model\": ");
    json_string(out, model);
    chat_text_add(out, ", \"messages\": [");
    for (uint32_t i = 0; i < count; i++) {
        const chat_message *message = &conversation->messages[path[i]];
        chat_text_printf(out, "%s\n  {\"role\": \"%s\", \"content\": ", i ? "," : "", roles[message->role]);
        json_string(out, chat_text_string(&message->content));
        if (message->thinking.length) {
            chat_text_add(out, ", \"reasoning_content\": ");
            json_string(out, message->thinking.data);
            chat_text_printf(out, ", \"exit\": {\"reason\": \"%s\", \"thinking_tokens\": %u, \"sentence\": ",
                             sx_exit_reason_name(message->exit_reason), message->thinking_tokens);
            json_string(out, message->exit_sentence);
            chat_text_add(out, "}");
        }
        chat_text_add(out, "}");
    }
    chat_text_add(out, "\n]}\n");
    free(path);
}

void export_name(const chat_conversation *conversation, const char *extension, chat_text *out)
{
    size_t start = out->length;
    for (const char *at = conversation->title; *at && out->length - start < 60; at++) {
        unsigned char c = (unsigned char)*at;
        bool kept = c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (kept) {
            chat_text_append(out, at, 1);
        } else if (out->length > start && out->data[out->length - 1] != '-') {
            chat_text_add(out, "-");
        }
    }
    if (out->length == start) chat_text_add(out, "chat");
    chat_text_printf(out, ".%s", extension);
}
