// A conversation from JSON: what export_json writes, and any object with OpenAI's `messages`.
#ifndef CHAT_IMPORT_H
#define CHAT_IMPORT_H

#include "state.h"

// Adds the conversation and makes it the current one. Messages of users and assistants are taken, others are left out.
// False with a sentence in `problem`, and nothing added, when the text is not such an object.
bool chat_import_json(chat_state *state, const char *text, size_t length, int64_t now, chat_text *problem);

#endif
