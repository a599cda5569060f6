#include "export.h"
#include "common/json_writer.h"

#include <stdlib.h>
#include <string.h>

static uint32_t *shown_path(const chat_conversation *conversation, uint32_t *count)
{
    *count = chat_path(conversation, NULL, 0);
    uint32_t *path = fe_reallocate(NULL, *count, sizeof *path);
    chat_path(conversation, path, *count);
    return path;
}

void export_markdown(const chat_conversation *conversation, fe_text *out)
{
    uint32_t count, *path = shown_path(conversation, &count);
    fe_text_printf(out, "# %s\n", conversation->title);
    for (uint32_t i = 0; i < count; i++) {
        const chat_message *message = &conversation->messages[path[i]];
        fe_text_printf(out, "\n## %s\n\n", message->role == SX_ROLE_USER ? "You" : "Model");
        if (message->thinking.length) {
            char sentence[256];
            chat_thinking_sentence(message, sentence, sizeof sentence);
            fe_text_printf(out, "<details><summary>%s</summary>\n\n%s\n\n</details>\n\n", sentence,
                           message->thinking.data);
        }
        fe_text_printf(out, "%s\n", fe_text_string(&message->content));
    }
    free(path);
}

void export_json(const chat_conversation *conversation, const char *model, fe_text *out)
{
    static const char *const roles[] = {"system", "user", "assistant", "tool"};
    uint32_t count, *path = shown_path(conversation, &count);
    json_writer json = {.out = out};
    json_open(&json, '{');
    json_put_string(&json, "title", conversation->title);
    json_put_string(&json, "model", model);
    json_put_open(&json, "messages", '[');
    for (uint32_t i = 0; i < count; i++) {
        const chat_message *message = &conversation->messages[path[i]];
        json_open(&json, '{');
        json_put_string(&json, "role", roles[message->role]);
        json_put_string(&json, "content", fe_text_string(&message->content));
        if (message->thinking.length) {
            json_put_string(&json, "reasoning_content", message->thinking.data);
            json_put_open(&json, "exit", '{');
            json_put_string(&json, "reason", sx_exit_reason_name(message->exit_reason));
            json_put_integer(&json, "thinking_tokens", message->thinking_tokens);
            json_put_string(&json, "sentence", message->exit_sentence);
            json_close(&json, '}');
        }
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    fe_text_add(out, "\n");
    free(path);
}

void export_name(const chat_conversation *conversation, const char *extension, fe_text *out)
{
    size_t start = out->length;
    for (const char *at = conversation->title; *at && out->length - start < 60; at++) {
        unsigned char c = (unsigned char)*at;
        bool kept = c >= 0x80 || (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
        if (kept) {
            fe_text_append(out, at, 1);
        } else if (out->length > start && out->data[out->length - 1] != '-') {
            fe_text_add(out, "-");
        }
    }
    if (out->length == start) fe_text_add(out, "chat");
    fe_text_printf(out, ".%s", extension);
}
