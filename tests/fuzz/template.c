// A conversation through every template: the input is cut into messages at bytes 1..4, which name the next role. It is
// also shown to the recognition.
#include "text/chat_template.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_prompt(const sx_prompt *prompt)
{
    size_t end = 0;
    for (size_t i = 0; i < prompt->content_count; i++) {
        if (prompt->content[i].begin < end || prompt->content[i].end <= prompt->content[i].begin) abort();
        end = prompt->content[i].end;
    }
    if (end > prompt->length || prompt->text[prompt->length]) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MAX_MESSAGES = 12 };
    sx_message messages[MAX_MESSAGES];
    size_t count = 0;
    sx_template_id id;
    sx_error error;
    sx_template_choose(NULL, (const char *)data, size, &id, &error);
    char *text = malloc(size + 1);
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    text[size] = 0;
    messages[count++] = (sx_message){SX_ROLE_USER, text, NULL};
    for (size_t i = 0; i < size && count < MAX_MESSAGES; i++) {
        if (text[i] < 1 || text[i] > 4) continue;
        const bool reasoning = text[i] == 3 && i % 2;
        messages[count++] = (sx_message){(sx_role)(text[i] - 1), text + i + 1, reasoning ? text : NULL};
        text[i] = 0;
    }
    sx_prompt prompt = {0};
    for (int template = 1; template <SX_TEMPLATE_COUNT; template ++) {
        const sx_template_options options = {.no_generation_prompt = size & 1, .no_thinking = size & 2};
        if (sx_template_render((sx_template_id) template, messages, count, &options, &prompt, &error) == SX_OK)
            check_prompt(&prompt);
    }
    sx_prompt_free(&prompt);
    free(text);
    return 0;
}
