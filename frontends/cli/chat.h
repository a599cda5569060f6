// The state of a chat and what its /commands do to it.
#ifndef CLI_CHAT_H
#define CLI_CHAT_H

#include "line_editor.h"
#include "live.h"
#include "prompts.h"

typedef struct cli_chat_state {
    cli_context *context;
    sx_engine *engine;
    sx_session *session;
    sx_engine_info info;
    cli_editor *editor;
    cli_conversation conversation;
    cli_live live;
    cli_reply reply;  // to the last turn
    bool answered;    // the conversation ends with `reply`
    uint32_t dropped; // messages left out of the last prompt
    bool done;
    int code;    // exit code
    char **kept; // [kept_count] values of options set by commands, which borrow them
    uint32_t kept_count;
} cli_chat_state;

// A line without its slash.
void cli_chat_command(cli_chat_state *chat, const char *line);

// Answers the conversation's last message.
void cli_chat_ask(cli_chat_state *chat);
// Drops the last answer and answers once more.
void cli_chat_again(cli_chat_state *chat);
// Withdraws the last answer and goes on thinking from where the thinking was left.
void cli_chat_think_on(cli_chat_state *chat);
void cli_chat_set_system(cli_chat_state *chat, const char *text);
// Forgets all turns; the system message of the command line stays.
void cli_chat_clear(cli_chat_state *chat);

#endif
