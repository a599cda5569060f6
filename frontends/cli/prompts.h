// Conversations and problem sets from files, and checking answers.
#ifndef CLI_PROMPTS_H
#define CLI_PROMPTS_H

#include "common/text.h"
#include "specexit.h"

#include <stdbool.h>

// A conversation that owns its texts. Zero-initialised is empty; freed with cli_conversation_free.
typedef struct cli_conversation {
    sx_message *messages; // [count]
    uint32_t count, capacity;
} cli_conversation;

// Copies the texts; `reasoning` may be NULL.
void cli_conversation_add(cli_conversation *conversation, sx_role role, const char *content, const char *reasoning);
void cli_conversation_free(cli_conversation *conversation);
// Reads a JSON array of {"role", "content", "reasoning_content"?}, or an object that has one as "messages". `path` "-"
// is standard input. On failure nothing is added, and `message` names file, field and remedy.
bool cli_conversation_read(cli_conversation *conversation, const char *path, fe_text *message);
// The same format, written whole or not at all.
sx_status cli_conversation_write(const cli_conversation *conversation, const char *model, const char *path,
                                 sx_error *error);

typedef struct cli_problem {
    char *prompt; // owned
    char *answer; // owned; NULL: not known
} cli_problem;

typedef struct cli_problems {
    cli_problem *items; // [count]
    uint32_t count, capacity;
} cli_problems;

void cli_problems_add(cli_problems *problems, const char *prompt, const char *answer);
// JSON lines {"prompt": text, "answer": text or number}; other keys and empty lines are passed over. At most `limit`
// (0: all).
bool cli_problems_read(cli_problems *problems, const char *path, uint32_t limit, fe_text *message);
// A few problems of the kind the bundled model knows, with answers; it never saw them in training.
void cli_problems_bundled(cli_problems *problems, uint32_t limit);
void cli_problems_free(cli_problems *problems);

#endif
