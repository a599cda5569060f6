#include "prompts.h"
#include "common/json_writer.h"
#include "json_read.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_LIMIT = 256 << 20 }; // bytes of a conversation or problem file

void cli_conversation_add(cli_conversation *conversation, sx_role role, const char *content, const char *reasoning)
{
    if (conversation->count == conversation->capacity) {
        conversation->capacity = conversation->capacity ? conversation->capacity * 2 : 8;
        conversation->messages =
            fe_reallocate(conversation->messages, conversation->capacity, sizeof *conversation->messages);
    }
    conversation->messages[conversation->count++] =
        (sx_message){.role = role,
                     .content = fe_copy_string(content ? content : ""),
                     .reasoning = reasoning ? fe_copy_string(reasoning) : NULL};
}

void cli_conversation_free(cli_conversation *conversation)
{
    for (uint32_t i = 0; i < conversation->count; i++) {
        free((char *)conversation->messages[i].content);
        free((char *)conversation->messages[i].reasoning);
    }
    free(conversation->messages);
    *conversation = (cli_conversation){0};
}

static const char *const role_names[] = {"system", "user", "assistant", "tool", NULL};

static bool read_message(cli_conversation *conversation, const cli_json_value *value, const char *path,
                         fe_text *message)
{
    unsigned number = conversation->count + 1, role = 0;
    const char *name = cli_json_member_string(value, "role");
    while (name && role_names[role] && strcmp(role_names[role], name) != 0)
        role++;
    if (!name || !role_names[role]) {
        fe_text_printf(message, "%s: message %u needs a \"role\" of system, user, assistant or tool", path, number);
        return false;
    }
    const cli_json_value *content = cli_json_member(value, "content");
    if (!content || (content->type != CLI_JSON_STRING && content->type != CLI_JSON_NULL)) {
        fe_text_printf(message, "%s: message %u needs a \"content\" that is a string", path, number);
        return false;
    }
    cli_conversation_add(conversation, (sx_role)role, content->string,
                         cli_json_member_string(value, "reasoning_content"));
    return true;
}

bool cli_conversation_read(cli_conversation *conversation, const char *path, fe_text *message)
{
    char problem[512];
    size_t length;
    char *text = cli_read_all(path, FILE_LIMIT, &length, problem, sizeof problem);
    if (!text) {
        fe_text_add(message, problem);
        return false;
    }
    cli_json_value *root = cli_json_parse(text, length, problem, sizeof problem);
    free(text);
    if (!root) {
        fe_text_printf(message, "%s: not JSON: %s", path, problem);
        return false;
    }
    const cli_json_value *list = root->type == CLI_JSON_OBJECT ? cli_json_member(root, "messages") : root;
    bool good = list && list->type == CLI_JSON_ARRAY && list->first;
    if (!good)
        fe_text_printf(message, "%s: holds no messages; an array of {\"role\": ..., \"content\": ...} is expected",
                       path);
    cli_conversation read = {0};
    for (const cli_json_value *item = good ? list->first : NULL; item && good; item = item->next)
        good = read_message(&read, item, path, message);
    for (uint32_t i = 0; good && i < read.count; i++)
        cli_conversation_add(conversation, read.messages[i].role, read.messages[i].content, read.messages[i].reasoning);
    cli_conversation_free(&read);
    cli_json_free(root);
    return good;
}

sx_status cli_conversation_write(const cli_conversation *conversation, const char *model, const char *path,
                                 sx_error *error)
{
    fe_text text = {0};
    json_writer json = {.out = &text};
    json_open(&json, '{');
    json_put_string(&json, "model", model);
    json_key(&json, "messages");
    json_open(&json, '[');
    for (uint32_t i = 0; i < conversation->count; i++) {
        const sx_message *item = &conversation->messages[i];
        fe_text_add(&text, i ? "" : "\n");
        json_open(&json, '{');
        json_put_string(&json, "role", role_names[item->role]);
        if (item->reasoning) json_put_string(&json, "reasoning_content", item->reasoning);
        json_put_string(&json, "content", item->content);
        json_close(&json, '}');
        fe_text_add(&text, i + 1 < conversation->count ? "" : "\n");
    }
    json_close(&json, ']');
    json_close(&json, '}');
    fe_text_add(&text, "\n");
    sx_status status = sx_file_write_atomic(path, text.data, text.length, error);
    fe_text_free(&text);
    return status;
}

void cli_problems_add(cli_problems *problems, const char *prompt, const char *answer)
{
    if (problems->count == problems->capacity) {
        problems->capacity = problems->capacity ? problems->capacity * 2 : 64;
        problems->items = fe_reallocate(problems->items, problems->capacity, sizeof *problems->items);
    }
    problems->items[problems->count++] =
        (cli_problem){.prompt = fe_copy_string(prompt), .answer = answer ? fe_copy_string(answer) : NULL};
}

void cli_problems_free(cli_problems *problems)
{
    for (uint32_t i = 0; i < problems->count; i++) {
        free(problems->items[i].prompt);
        free(problems->items[i].answer);
    }
    free(problems->items);
    *problems = (cli_problems){0};
}

static bool read_line(cli_problems *problems, const char *line, size_t length, const char *where, fe_text *message)
{
    char problem[256];
    cli_json_value *value = cli_json_parse(line, length, problem, sizeof problem);
    if (!value) {
        fe_text_printf(message, "%s: not JSON: %s", where, problem);
        return false;
    }
    const char *prompt = cli_json_member_string(value, "prompt");
    const cli_json_value *answer = cli_json_member(value, "answer");
    bool good = prompt && (!answer || answer->string || answer->type == CLI_JSON_NULL);
    if (good && answer && answer->string && !answer->string[strspn(answer->string, " \t\n")]) {
        fe_text_printf(message, "%s: the \"answer\" is empty; leave it out where it is not known", where);
        good = false;
    } else if (good) {
        cli_problems_add(problems, prompt, answer ? answer->string : NULL);
    } else {
        fe_text_printf(message, "%s: needs %s", where,
                       prompt ? "an \"answer\" that is a string or a number" : "a \"prompt\" that is a string");
    }
    cli_json_free(value);
    return good;
}

bool cli_problems_read(cli_problems *problems, const char *path, uint32_t limit, fe_text *message)
{
    char problem[512];
    char *text = cli_read_all(path, FILE_LIMIT, NULL, problem, sizeof problem);
    if (!text) {
        fe_text_add(message, problem);
        return false;
    }
    bool good = true;
    unsigned number = 1;
    fe_text where = {0};
    for (const char *line = text; *line && good && (limit == 0 || problems->count < limit); number++) {
        size_t length = strcspn(line, "\n");
        fe_text_clear(&where);
        fe_text_printf(&where, "%s: line %u", path, number);
        if (strspn(line, " \t\r") < length) good = read_line(problems, line, length, where.data, message);
        line += length + (line[length] == '\n');
    }
    if (good && problems->count == 0) {
        fe_text_printf(message, "%s: holds no prompts; lines like {\"prompt\": ..., \"answer\": ...} are expected",
                       path);
        good = false;
    }
    fe_text_free(&where);
    free(text);
    return good;
}
