#include "harness.h"

#include "engine/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void fail(const char *what, const sx_error *error)
{
    fprintf(stderr, "%s: %s (%s)\n", what, error->message, sx_status_name(error->status));
    exit(1);
}

// A message of the validation layers ends the test.
static void print_log(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "log: %s\n", line);
    if (strncmp(line, "validation ", 11) == 0) exit(1);
}

static sx_engine_desc watched(const sx_engine_desc *desc)
{
    sx_engine_desc with_log = desc ? *desc : (sx_engine_desc){0};
    with_log.log = print_log;
    with_log.validation = test_number("SX_VALIDATION", 1) != 0;
    with_log.cache_dir = getenv("SX_TEST_CACHE");
    return with_log;
}

sx_engine *test_open_bundled(const sx_engine_desc *desc)
{
    const sx_engine_desc with_log = watched(desc);
    sx_engine *engine = NULL;
    sx_error error = {0};
    if (sx_engine_create(&with_log, NULL, NULL, &engine, &error) != SX_OK) fail("loading", &error);
    return engine;
}

sx_engine *test_open_as_gpu(void)
{
    const sx_engine_desc with_log = watched(NULL);
    sx_engine *engine = NULL;
    sx_error error = {0};
    if (sx_engine_open(&with_log, &engine, &error) != SX_OK) fail("loading", &error);
    engine->ops.shuffle = false;
    engine->ops.tiled_from = 64;
    engine->prefill_limit = SX_MAX_PREFILL_ROWS;
    engine->prefill_rows = 64;
    sx_status status;
    do
        status = sx_engine_poll(engine, NULL, &error);
    while (status == SX_PENDING);
    if (status != SX_OK) fail("loading", &error);
    return engine;
}

sx_session *test_open_session(sx_engine *engine)
{
    sx_session *session = NULL;
    sx_error error = {0};
    if (sx_session_create(engine, &(sx_session_desc){0}, &session, &error) != SX_OK) fail("session", &error);
    return session;
}

static void append(char *text, size_t size, const sx_event *event)
{
    const size_t used = strlen(text);
    if (used + event->length < size) memcpy(text + used, event->text, event->length + 1);
}

void test_take(test_reply *reply, const sx_event *event)
{
    if (event->kind == SX_EVENT_TEXT) {
        for (uint32_t i = 0; i < event->token_count && event->first_token + i < 2048; i++) {
            reply->tokens[event->first_token + i] = event->tokens[i];
            reply->count = event->first_token + i + 1;
        }
        append(event->channel == SX_CHANNEL_THINKING ? reply->thinking : reply->answer,
               event->channel == SX_CHANNEL_THINKING ? sizeof reply->thinking : sizeof reply->answer, event);
    } else if (event->kind == SX_EVENT_EXIT) {
        reply->exit_reason = event->exit_reason;
        reply->exit_token = event->token_index;
        reply->exit_signals = event->smoothed;
    } else if (event->kind == SX_EVENT_DONE) {
        reply->done_reason = event->done_reason;
        reply->stats = event->stats;
    }
}

void test_continue(sx_session *session, test_reply *reply, void (*after)(sx_session *, const sx_event *, void *),
                   void *user)
{
    sx_error error = {0};
    sx_event event;
    do {
        sx_session_wait(session, 1000);
        const sx_status status = sx_session_poll(session, &event, &error);
        if (status == SX_PENDING) continue;
        if (status != SX_OK) fail("reply", &error);
        test_take(reply, &event);
        if (after) after(session, &event, user);
    } while (sx_session_running(session));
}

void test_run(sx_session *session, const sx_generate_desc *desc, test_reply *reply,
              void (*after)(sx_session *, const sx_event *, void *), void *user)
{
    memset(reply, 0, sizeof *reply);
    sx_error error = {0};
    if (sx_session_begin(session, desc, &error) != SX_OK) fail("begin", &error);
    test_continue(session, reply, after, user);
}

static bool read_field(const char *line, const char *key, char *out, size_t size)
{
    const char *found = strstr(line, key);
    if (!found) return false;
    found = strchr(found + strlen(key), ':');
    while (found && (*found == ':' || *found == ' ' || *found == '"'))
        found++;
    size_t length = 0;
    for (; found && *found && *found != '"' && *found != '}' && length + 1 < size; found++)
        out[length++] = *found;
    out[length] = 0;
    return length > 0;
}

bool test_problem_read(const char *file, uint32_t index, test_problem *out)
{
    char path[1024], line[2048];
    const char *folder = getenv("SX_DEMO_FOLDER"); // where only the build folder was copied to a machine
    snprintf(path, sizeof path, "%s/%s", folder ? folder : SX_DEMO_FOLDER, file);
    FILE *stream = fopen(path, "r");
    if (!stream) {
        fprintf(stderr, "cannot open %s\n", path);
        exit(1);
    }
    bool found = false;
    for (uint32_t i = 0; fgets(line, sizeof line, stream); i++) {
        if (i != index) continue;
        found = read_field(line, "\"prompt\"", out->prompt, sizeof out->prompt) &&
                read_field(line, "\"answer\"", out->answer, sizeof out->answer);
        break;
    }
    fclose(stream);
    return found;
}

uint32_t test_number(const char *variable, uint32_t fallback)
{
    const char *text = getenv(variable);
    return text ? (uint32_t)strtoul(text, NULL, 10) : fallback;
}
