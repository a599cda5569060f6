// specexit chat: a conversation in the terminal.
#include "chat.h"
#include "commands.h"
#include "interrupt.h"
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void say(cli_chat_state *chat, const char *text)
{
    cli_terminal *terminal = &chat->context->terminal;
    cli_terminal_write(terminal, text, strlen(text), CLI_DIM);
    cli_terminal_end_line(terminal, 0);
    cli_terminal_flush(terminal);
}

// Keeps what a turn that ran to its end, or was stopped in its answer, has said.
static void keep_reply(cli_chat_state *chat)
{
    const char *answer = fe_text_string(&chat->reply.answer);
    answer += strspn(answer, " \n");
    cli_conversation_add(&chat->conversation, SX_ROLE_ASSISTANT, answer,
                         chat->reply.thinking.length ? chat->reply.thinking.data : NULL);
    chat->answered = true;
}

static void drop_last(cli_conversation *conversation)
{
    sx_message *last = &conversation->messages[--conversation->count];
    free((char *)last->content);
    free((char *)last->reasoning);
}

static sx_status generate(cli_chat_state *chat, sx_error *error)
{
    cli_view view = cli_live_view(&chat->live);
    sx_generate_desc desc = cli_options_describe(&chat->context->options);
    desc.messages = chat->conversation.messages;
    desc.message_count = chat->conversation.count;
    const sx_status status = cli_reply_generate(chat->session, &desc, &view, &chat->reply, error);
    const uint32_t dropped = chat->reply.stats.dropped_messages;
    if (status == SX_OK && dropped > chat->dropped) {
        fe_text line = {0};
        fe_text_printf(&line, "(the context is full: the oldest %u messages are left out)", dropped);
        cli_terminal_end_line(&chat->context->terminal, 0);
        say(chat, line.data);
        fe_text_free(&line);
    }
    if (status == SX_OK && chat->reply.stats.dropped_tokens) {
        fe_text line = {0};
        fe_text_printf(&line, "(the reply has filled the context: its first %u tokens are left out)",
                       chat->reply.stats.dropped_tokens);
        cli_terminal_end_line(&chat->context->terminal, 0);
        say(chat, line.data);
        fe_text_free(&line);
    }
    if (status == SX_OK) chat->dropped = dropped;
    return status;
}

static void finish_turn(cli_chat_state *chat, sx_status status, const sx_error *error)
{
    cli_terminal_end_line(&chat->context->terminal, 0);
    if (status != SX_OK) {
        cli_fail(chat->context, "%s", error->message);
        if (status == SX_ERROR_CONTEXT)
            say(chat, "/clear begins anew, /when-full shift leaves the oldest turns out, --context N holds more");
        if (status == SX_ERROR_DEVICE_LOST || status == SX_ERROR_NO_DEVICE) chat->code = CLI_EXIT_FAILURE;
        chat->done = chat->done || chat->code != CLI_EXIT_OK;
        return;
    }
    keep_reply(chat);
    cli_live_summary(&chat->live, &chat->reply);
}

void cli_chat_ask(cli_chat_state *chat)
{
    sx_error error = {0};
    cli_interrupt_reset();
    cli_live_next(&chat->live);
    chat->answered = false;
    sx_status status = generate(chat, &error);
    finish_turn(chat, status, &error);
    if (status != SX_OK) drop_last(&chat->conversation);
}

void cli_chat_again(cli_chat_state *chat)
{
    if (!chat->answered) {
        say(chat, "there is no answer to repeat yet");
        return;
    }
    drop_last(&chat->conversation);
    cli_chat_ask(chat);
}

void cli_chat_think_on(cli_chat_state *chat)
{
    if (!chat->answered) {
        say(chat, "there is no thinking to go on with yet");
        return;
    }
    sx_error error = {0};
    cli_view view = cli_live_view(&chat->live);
    cli_interrupt_reset();
    cli_live_next(&chat->live);
    sx_status status = cli_reply_think_on(chat->session, &view, &chat->reply, &error);
    if (status == SX_OK) drop_last(&chat->conversation);
    finish_turn(chat, status, &error);
}

void cli_chat_set_system(cli_chat_state *chat, const char *text)
{
    cli_conversation *conversation = &chat->conversation;
    if (conversation->count && conversation->messages[0].role == SX_ROLE_SYSTEM) {
        free((char *)conversation->messages[0].content);
        conversation->messages[0].content = fe_copy_string(text);
        return;
    }
    cli_conversation_add(conversation, SX_ROLE_SYSTEM, text, NULL);
    sx_message added = conversation->messages[conversation->count - 1];
    memmove(conversation->messages + 1, conversation->messages,
            (conversation->count - 1) * sizeof *conversation->messages);
    conversation->messages[0] = added;
}

void cli_chat_clear(cli_chat_state *chat)
{
    const char *system = chat->context->options.system;
    cli_conversation_free(&chat->conversation);
    chat->answered = false;
    if (system) cli_chat_set_system(chat, system);
}

// Lines that end in a backslash go on. CLI_LINE with an owned `*text`, or how the input ended.
static cli_line_end read_turn(cli_chat_state *chat, char **text)
{
    fe_text whole = {0};
    for (;;) {
        char *line;
        cli_line_end end = cli_editor_read(chat->editor, whole.length ? "… " : "› ", &line);
        if (end != CLI_LINE) {
            fe_text_free(&whole);
            return end;
        }
        size_t length = strlen(line);
        bool more = length && line[length - 1] == '\\';
        fe_text_append(&whole, line, more ? length - 1 : length);
        free(line);
        if (!more) break;
        fe_text_add(&whole, "\n");
    }
    *text = whole.data;
    return CLI_LINE;
}

static void take_turn(cli_chat_state *chat, const char *text)
{
    if (text[0] == '/') {
        cli_chat_command(chat, text + 1);
    } else if (text[strspn(text, " \t")]) {
        cli_conversation_add(&chat->conversation, SX_ROLE_USER, text, NULL);
        cli_chat_ask(chat);
    }
}

static void converse(cli_chat_state *chat)
{
    bool hinted = false;
    while (!chat->done) {
        char *text = NULL;
        cli_interrupt_reset();
        // The prompt and what is typed are no part of the streamed text.
        chat->context->terminal.written = false;
        chat->context->terminal.newlines = 0;
        cli_line_end end = read_turn(chat, &text);
        if (cli_interrupt_fatal()) {
            chat->code = cli_exit_interrupted();
            break;
        }
        if (end == CLI_LINE_EOF) break;
        if (end == CLI_LINE_INTERRUPTED) {
            if (hinted) break;
            say(chat, "ctrl-d, /quit or ctrl-c again leaves; /help lists the commands");
            hinted = true;
            continue;
        }
        hinted = false;
        take_turn(chat, text);
        free(text);
        if (chat->context->terminal.broken) break;
    }
}

static char *history_path(void)
{
    char *folder = cli_platform_state_folder();
    fe_text path = {0};
    if (folder && sx_make_folders(folder, NULL) == SX_OK) fe_text_printf(&path, "%s/history", folder);
    free(folder);
    return path.data;
}

static int start(cli_chat_state *chat)
{
    cli_context *context = chat->context;
    if (context->options.raw) return cli_usage_error(context, "--raw has no turns; use `specexit run --raw`");
    fe_text message = {0};
    int code = CLI_EXIT_OK;
    if (context->options.messages && !cli_conversation_read(&chat->conversation, context->options.messages, &message))
        code = cli_fail(context, "%s", message.data);
    fe_text_free(&message);
    if (context->options.system) cli_chat_set_system(chat, context->options.system);
    if (code == CLI_EXIT_OK) code = cli_load_engine(context, &chat->engine);
    if (code == CLI_EXIT_OK) code = cli_load_session(context, chat->engine, &chat->session);
    if (code != CLI_EXIT_OK) return code;
    char *history = history_path();
    chat->editor = cli_editor_open(history);
    free(history);
    cli_live_open(&chat->live, context);
    sx_engine_get_info(chat->engine, &chat->info);
    return code;
}

int cli_chat(cli_context *context)
{
    cli_chat_state chat = {.context = context};
    chat.code = start(&chat);
    if (chat.code == CLI_EXIT_OK) {
        if (context->terminal.out && !context->options.quiet) {
            fe_text line = {0};
            fe_text_printf(&line, "%s on %s. /help lists the commands, ctrl-d leaves.", chat.info.model_name,
                           chat.info.device);
            say(&chat, line.data);
            fe_text_free(&line);
        }
        converse(&chat);
    }
    cli_editor_close(chat.editor);
    sx_session_destroy(chat.session);
    sx_engine_destroy(chat.engine);
    cli_conversation_free(&chat.conversation);
    cli_reply_free(&chat.reply);
    for (uint32_t i = 0; i < chat.kept_count; i++)
        free(chat.kept[i]);
    free(chat.kept);
    return chat.code ? chat.code : cli_finish_output(context);
}
