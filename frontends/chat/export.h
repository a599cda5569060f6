// A conversation, along its shown path, as Markdown or as JSON in the shape of OpenAI's messages.
#ifndef CHAT_EXPORT_H
#define CHAT_EXPORT_H

#include "state.h"

void export_markdown(const chat_conversation *conversation, fe_text *out);
void export_json(const chat_conversation *conversation, const char *model, fe_text *out);
// A file name made of the title: letters, digits and dashes of any script, never empty.
void export_name(const chat_conversation *conversation, const char *extension, fe_text *out);

#endif
