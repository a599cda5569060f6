// A conversation from JSON: what export_json writes, and any object with OpenAI's `messages`.
#ifndef CHAT_IMPORT_H
#define CHAT_IMPORT_H

#include "state.h"

// Adds the conversation and makes it the current one. Messages of users and assistants are taken, of a content in parts
// the texts, a paragraph each; everything else is left out. What no text can hold (bytes that are not UTF-8, NUL,
// halves of surrogate pairs) becomes U+FFFD. `notice` receives a sentence when either happened; and when the text,
// which came from the file `name`, is no such object or holds no text: then the result is false and nothing is added.
bool chat_import_json(chat_state *state, const char *name, const char *text, size_t length, int64_t now,
                      fe_text *notice);

#endif
