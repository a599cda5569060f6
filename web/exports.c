#include "exports.h"

#include "events.h"
#include "options.h"

#include <stdlib.h>
#include <string.h>

enum { WEB_MAX_SOURCES = 64 };

typedef struct web_source {
    int id;
    char *name;
    sx_source source;
} web_source;

struct web_context {
    sx_engine *engine;
    fe_text text; // of the last call
    json_writer json;
    // The engine borrows the sources until it is ready.
    web_source sources[WEB_MAX_SOURCES];
    sx_source target[WEB_MAX_SOURCES], draft[WEB_MAX_SOURCES];
    uint32_t source_count, target_count, draft_count;
};

// JavaScript (library.js): fills the destination from the file, 1 when all of it could be read.
extern int web_source_read(int id, double offset, void *destination, size_t size);
// JavaScript (library.js): prints a warning on the console.
extern void web_log(const char *line);

const char *web_version(void)
{
    return sx_version();
}

web_context *web_create(void)
{
    return calloc(1, sizeof(web_context));
}

static void drop_sources(web_context *context)
{
    for (uint32_t i = 0; i < context->source_count; ++i)
        free(context->sources[i].name);
    context->source_count = context->target_count = context->draft_count = 0;
}

void web_destroy(web_context *context)
{
    if (!context) return;
    web_engine_close(context);
    fe_text_free(&context->text);
    free(context);
}

const char *web_text(web_context *context)
{
    return fe_text_string(&context->text);
}

void fe_out_of_memory(void)
{
    web_log("out of memory");
    abort();
}

// The text of this call begins.
static json_writer *begin(web_context *context)
{
    fe_text_clear(&context->text);
    context->json = (json_writer){.out = &context->text};
    return &context->json;
}

static void write_error(json_writer *json, sx_status status, const sx_error *error)
{
    json_put_string(json, "status", sx_status_name(status));
    json_put_string(json, "message", error->message);
}

static sx_status web_fail(web_context *context, sx_status status, const sx_error *error)
{
    json_writer *json = begin(context);
    json_open(json, '{');
    write_error(json, status, error);
    json_close(json, '}');
    return status;
}

static bool read_source(void *user, uint64_t offset, void *destination, size_t size)
{
    const web_source *source = user;
    return web_source_read(source->id, (double)offset, destination, size) == 1;
}

static void log_line(void *user, const char *line)
{
    (void)user;
    web_log(line);
}

sx_status web_source_add(web_context *context, int id, const char *name, double size, bool is_draft)
{
    sx_error error = {0};
    if (context->source_count == WEB_MAX_SOURCES)
        return web_fail(context, SX_ERROR_ARGUMENT,
                        (sx_fail(&error, SX_ERROR_ARGUMENT, "a model has at most %d files", WEB_MAX_SOURCES), &error));
    web_source *source = &context->sources[context->source_count];
    char *copy = strdup(name);
    if (!copy) {
        sx_fail(&error, SX_ERROR_MEMORY, "out of memory");
        return web_fail(context, SX_ERROR_MEMORY, &error);
    }
    *source = (web_source){.id = id, .name = copy};
    source->source = (sx_source){.name = copy, .size = (uint64_t)size, .read_at = read_source, .user = source};
    ++context->source_count;
    if (is_draft)
        context->draft[context->draft_count++] = source->source;
    else
        context->target[context->target_count++] = source->source;
    return SX_OK;
}

sx_status web_engine_open(web_context *context, const char *options, size_t options_size)
{
    sx_error error = {0};
    sx_engine_desc desc = {.log = log_line};
    if (context->target_count) {
        desc.target_sources = context->target;
        desc.target_source_count = context->target_count;
    }
    if (context->draft_count) {
        desc.draft_sources = context->draft;
        desc.draft_source_count = context->draft_count;
    }
    sx_status status = web_engine_options(options, options_size, &desc, &error);
    if (status == SX_OK) status = sx_engine_open(&desc, &context->engine, &error);
    return status == SX_OK ? SX_OK : web_fail(context, status, &error);
}

sx_status web_engine_poll(web_context *context)
{
    sx_error error = {0};
    sx_load_progress progress = {0};
    sx_status status = sx_engine_poll(context->engine, &progress, &error);
    if (status != SX_OK && status != SX_PENDING) return web_fail(context, status, &error);
    web_write_progress(begin(context), &progress);
    return status;
}

sx_status web_engine_info(web_context *context)
{
    sx_engine_info info;
    sx_engine_get_info(context->engine, &info);
    web_write_info(begin(context), &info);
    return SX_OK;
}

void web_engine_close(web_context *context)
{
    sx_engine_destroy(context->engine);
    context->engine = NULL;
    drop_sources(context);
}

sx_status web_render(web_context *context, const char *options, size_t options_size)
{
    sx_error error = {0};
    web_generate generate;
    char *prompt = NULL;
    sx_status status = web_generate_options(options, options_size, &generate, &error);
    if (status == SX_OK)
        status = sx_engine_render(context->engine, generate.desc.messages, generate.desc.message_count,
                                  generate.desc.no_thinking, &prompt, &error);
    web_generate_free(&generate);
    if (status != SX_OK) return web_fail(context, status, &error);
    json_writer *json = begin(context);
    json_open(json, '{');
    json_put_string(json, "prompt", prompt);
    json_close(json, '}');
    sx_free(prompt);
    return SX_OK;
}

static void write_tokens(json_writer *json, const uint32_t *tokens, uint32_t count)
{
    json_open(json, '{');
    json_put_integers(json, "tokens", tokens, count);
    json_close(json, '}');
}

sx_status web_tokenize(web_context *context, const char *input, size_t length, bool special)
{
    sx_error error = {0};
    uint32_t *tokens, count;
    sx_status status = sx_engine_tokenize(context->engine, input, length, special, &tokens, &count, &error);
    if (status != SX_OK) return web_fail(context, status, &error);
    write_tokens(begin(context), tokens, count);
    sx_free(tokens);
    return SX_OK;
}

sx_status web_profile(web_context *context, const char *text, size_t length)
{
    sx_error error = {0};
    sx_profile profile;
    bool other_format = false;
    sx_engine_info info;
    sx_engine_get_info(context->engine, &info);
    sx_status status = sx_profile_parse(text, length, "profile", &profile, &error);
    if (status == SX_OK) status = sx_profile_check(&profile, "profile", &info, &other_format, &error);
    if (status != SX_OK) return web_fail(context, status, &error);
    web_write_profile(begin(context), &profile, other_format);
    return SX_OK;
}

sx_session *web_session_create(web_context *context, uint32_t tokens, uint32_t depth)
{
    sx_error error = {0};
    sx_session *session = NULL;
    sx_session_desc desc = {.context = tokens, .depth = depth};
    sx_status status = sx_session_create(context->engine, &desc, &session, &error);
    if (status == SX_OK) return session;
    web_fail(context, status, &error);
    return NULL;
}

void web_session_destroy(sx_session *session)
{
    sx_session_destroy(session);
}

sx_status web_session_begin(web_context *context, sx_session *session, const char *options, size_t options_size)
{
    sx_error error = {0};
    web_generate generate;
    sx_status status = web_generate_options(options, options_size, &generate, &error);
    if (status == SX_OK) status = sx_session_begin(session, &generate.desc, &error);
    web_generate_free(&generate);
    return status == SX_OK ? SX_OK : web_fail(context, status, &error);
}

sx_status web_session_poll(web_context *context, sx_session *session)
{
    json_writer *json = begin(context);
    sx_error error = {0};
    sx_event event;
    sx_status status;
    json_open(json, '{');
    json_put_open(json, "events", '[');
    while ((status = sx_session_poll(session, &event, &error)) == SX_OK)
        web_write_event(json, &event);
    json_close(json, ']');
    if (status != SX_PENDING) {
        json_put_open(json, "error", '{');
        write_error(json, status, &error);
        json_close(json, '}');
    }
    json_close(json, '}');
    if (status != SX_PENDING) return status;
    return sx_session_running(session) ? SX_PENDING : SX_OK;
}

void web_session_answer_now(sx_session *session)
{
    sx_session_answer_now(session);
}

sx_status web_session_keep_thinking(web_context *context, sx_session *session)
{
    sx_error error = {0};
    sx_status status = sx_session_keep_thinking(session, &error);
    return status == SX_OK ? SX_OK : web_fail(context, status, &error);
}

void web_session_stop(sx_session *session)
{
    sx_session_stop(session);
}

sx_status web_session_tokens(web_context *context, sx_session *session)
{
    uint32_t count;
    const uint32_t *tokens = sx_session_tokens(session, &count);
    write_tokens(begin(context), tokens, count);
    return SX_OK;
}
