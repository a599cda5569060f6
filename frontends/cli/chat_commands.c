#include "chat.h"
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SETTINGS = CLI_GROUP_GENERATE | CLI_GROUP_PROMPT | CLI_GROUP_DISPLAY | CLI_GROUP_CHAT };

static void print(cli_chat_state *chat, fe_text *text)
{
    cli_terminal *terminal = &chat->context->terminal;
    cli_terminal_write(terminal, fe_text_string(text), text->length, CLI_PLAIN);
    cli_terminal_end_line(terminal, 0);
    cli_terminal_flush(terminal);
    fe_text_free(text);
}

static void say(cli_chat_state *chat, const char *line)
{
    fe_text text = {0};
    fe_text_add(&text, line);
    print(chat, &text);
}

static void help(cli_chat_state *chat, const char *argument)
{
    (void)argument;
    fe_text text = {0};
    fe_text_add(&text, "/more          withdraw the answer and think on from where the thinking was left\n"
                       "/again         answer the last question once more (with another /seed, say)\n"
                       "/stats         tokens, cycles and times of the last reply\n"
                       "/system TEXT   set the system message\n"
                       "/clear         begin a new conversation\n"
                       "/save FILE     write the conversation as JSON, and beside it, in FILE.session, what the model\n"
                       "               has computed of it, so that nothing need be read again\n"
                       "/load FILE     take up a conversation from such a file\n"
                       "/info          the model and its device\n"
                       "/quit          leave (ctrl-d)\n"
                       "A line that ends in \\ goes on in the next. Ctrl-c while it thinks: answer now.\n\n"
                       "Every option below can be set by its name: /policy margin, /confidence 0.9, /seed 7\n");
    cli_options_help(&text, SETTINGS);
    print(chat, &text);
}

static void quit(cli_chat_state *chat, const char *argument)
{
    (void)argument;
    chat->done = true;
}

static void more(cli_chat_state *chat, const char *argument)
{
    (void)argument;
    cli_chat_think_on(chat);
}

static void again(cli_chat_state *chat, const char *argument)
{
    (void)argument;
    cli_chat_again(chat);
}

static void clear(cli_chat_state *chat, const char *argument)
{
    (void)argument;
    cli_chat_clear(chat);
    say(chat, "a new conversation");
}

static void system_message(cli_chat_state *chat, const char *argument)
{
    cli_chat_set_system(chat, argument);
    say(chat, "the system message is set");
}

static void stats(cli_chat_state *chat, const char *argument)
{
    (void)argument;
    const sx_stats *of = &chat->reply.stats;
    fe_text text = {0};
    if (chat->answered) {
        cli_summary(&text, &chat->reply);
        fe_text_printf(&text, "\nprompt: %u tokens, %u of them reused, %.2f s; first token after %.2f s\n",
                       of->prompt_tokens, of->reused_tokens, of->prefill_seconds, of->first_token_seconds);
        fe_text_printf(&text, "cycles: %u; drafted %u, accepted %u; %llu submits, %llu readbacks of %llu bytes\n",
                       of->cycles, of->drafted, of->accepted, (unsigned long long)of->submits,
                       (unsigned long long)of->readbacks, (unsigned long long)of->readback_bytes);
    } else {
        fe_text_add(&text, "no reply yet");
    }
    print(chat, &text);
}

static void info(cli_chat_state *chat, const char *argument)
{
    (void)argument;
    fe_text text = {0};
    fe_text_printf(&text, "%s, %s, %s, on %s; draft: %s; context %u tokens", chat->info.model_name,
                   chat->info.architecture, chat->info.format, chat->info.device,
                   chat->info.draft_name[0] ? chat->info.draft_name : "none", chat->info.context);
    print(chat, &text);
}

// FILE.session: keys and values of the conversation in FILE. They save time only: without them, or with those of
// another conversation, the next turn reads what it needs.
static char *session_path(const char *argument)
{
    fe_text path = {0};
    fe_text_printf(&path, "%s.session", argument);
    return path.data;
}

static void save(cli_chat_state *chat, const char *argument)
{
    sx_error error = {0};
    fe_text text = {0};
    char *session = session_path(argument);
    if (chat->conversation.count == 0) {
        fe_text_add(&text, "there is nothing to save yet");
    } else if (cli_conversation_write(&chat->conversation, chat->info.model_name, argument, &error) != SX_OK) {
        fe_text_add(&text, error.message);
    } else {
        fe_text_printf(&text, "saved %u messages in %s", chat->conversation.count, argument);
        if (sx_session_save(chat->session, session, &error) == SX_OK) {
            fe_text_printf(&text, ", what was computed of them in %s", session);
        } else {
            fe_text_printf(&text, "; %s", error.message);
        }
    }
    free(session);
    print(chat, &text);
}

static void load(cli_chat_state *chat, const char *argument)
{
    cli_conversation read = {0};
    fe_text text = {0};
    if (cli_conversation_read(&read, argument, &text)) {
        cli_conversation_free(&chat->conversation);
        chat->conversation = read;
        chat->answered = false;
        fe_text_printf(&text, "%u messages from %s", read.count, argument);
        char *session = session_path(argument);
        sx_error error = {0};
        if (cli_platform_exists(session, NULL)) {
            if (sx_session_load(chat->session, session, &error) == SX_OK) {
                fe_text_printf(&text, ", with what was computed of them");
            } else {
                fe_text_printf(&text, "; they will be read again: %s", error.message);
            }
        }
        free(session);
    }
    print(chat, &text);
}

static const struct {
    const char *name;
    bool needs_argument;
    void (*run)(cli_chat_state *chat, const char *argument);
} chat_commands[] = {
    {"help", false, help},   {"quit", false, quit},   {"exit", false, quit},
    {"more", false, more},   {"again", false, again}, {"clear", false, clear},
    {"stats", false, stats}, {"info", false, info},   {"system", true, system_message},
    {"save", true, save},    {"load", true, load},
};

static void set_option(cli_chat_state *chat, const char *name, const char *value)
{
    char *copy = fe_copy_string(value);
    chat->kept = fe_reallocate(chat->kept, chat->kept_count + 1, sizeof *chat->kept);
    chat->kept[chat->kept_count++] = copy;
    fe_text message = {0};
    cli_options *options = &chat->context->options, before = *options;
    bool set = cli_options_set(options, SETTINGS, name, copy, &message);
    if (set && (strcmp(name, "profile") == 0 || strcmp(name, "effort") == 0)) {
        set = cli_profile_apply(options, &message) &&
              cli_profile_check(chat->context, &options->calibrated, options->profile, chat->engine) == CLI_EXIT_OK;
        if (!set) *options = before;
    }
    if (set) {
        fe_text_printf(&message, "%s is set%s%s", name, *value ? " to " : "", value);
        cli_live_open(&chat->live, chat->context);
    } else if (message.length) {
        fe_text_add(&message, " (/help lists the commands)");
    }
    print(chat, &message);
}

void cli_chat_command(cli_chat_state *chat, const char *line)
{
    size_t length = strcspn(line, " \t");
    const char *argument = line + length + strspn(line + length, " \t");
    fe_text name = {0};
    fe_text_append(&name, line, length);
    for (size_t i = 0; i < sizeof chat_commands / sizeof *chat_commands; i++) {
        if (strcmp(chat_commands[i].name, name.data) != 0) continue;
        if (chat_commands[i].needs_argument && !*argument) {
            fe_text text = {0};
            fe_text_printf(&text, "/%s needs something after it (/help)", name.data);
            print(chat, &text);
        } else {
            chat_commands[i].run(chat, argument);
        }
        fe_text_free(&name);
        return;
    }
    set_option(chat, name.data, argument);
    fe_text_free(&name);
}
