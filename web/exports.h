// What the wasm module exports to web/worker.js: specexit.h with its structs turned into option blocks (options.h) and
// JSON (read with web_text after each call). Sources read through the JavaScript function web_source_read.
//
// Every function that returns sx_status leaves {"status":...,"message":...} as the text when it fails. Sizes are
// doubles, since JavaScript numbers are: exact up to 2^53.
#ifndef WEB_EXPORTS_H
#define WEB_EXPORTS_H

#include "common/json_writer.h"
#include "specexit.h"

typedef struct web_context web_context; // one engine, its sources and the text of the last call

const char *web_version(void);
web_context *web_create(void);          // NULL: out of memory
void web_destroy(web_context *context); // sessions must be gone

// The JSON of the last call, terminated; valid until the next.
const char *web_text(web_context *context);

// A file of the model to open next: JavaScript's web_source_read(id, ...) reads it. `is_draft`: of the draft.
sx_status web_source_add(web_context *context, int id, const char *name, double size, bool is_draft);
// Opens an engine over the sources added (with none: the model built into the program, if there is one).
sx_status web_engine_open(web_context *context, const char *options, size_t options_size);
sx_status web_engine_poll(web_context *context); // text: as web_write_progress writes it
sx_status web_engine_info(web_context *context); // text: as web_write_info writes it
void web_engine_close(web_context *context);

// `options` hold the messages. Text: {"prompt":"..."}.
sx_status web_render(web_context *context, const char *options, size_t options_size);
// Text: {"tokens":[...]}.
sx_status web_tokenize(web_context *context, const char *input, size_t length, bool special);

// Reads a profile and checks that it is this model's. Text: as web_write_profile writes it.
sx_status web_profile(web_context *context, const char *text, size_t length);

sx_session *web_session_create(web_context *context, uint32_t tokens, uint32_t depth); // NULL: text holds the error
void web_session_destroy(sx_session *session);
sx_status web_session_begin(web_context *context, sx_session *session, const char *options, size_t options_size);
// All events there are now. Text: {"events":[...]}, with "error" when the reply failed. SX_PENDING while the reply
// runs, SX_OK when none does.
sx_status web_session_poll(web_context *context, sx_session *session);
void web_session_answer_now(sx_session *session);
sx_status web_session_keep_thinking(web_context *context, sx_session *session);
void web_session_stop(sx_session *session);
// Text: {"tokens":[...]}, the prompt and the reply so far.
sx_status web_session_tokens(web_context *context, sx_session *session);

#endif
