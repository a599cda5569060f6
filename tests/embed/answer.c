// A program of its own on the installed library: asks the bundled model, or a GGUF file, one question.
//
//     cc answer.c $(pkg-config --cflags --libs specexit) -o answer && ./answer "Start at 7, add 5, times 2."
#include <specexit.h>
#include <stdio.h>

static int fail(const sx_error *error)
{
    fprintf(stderr, "answer: %s\n", error->message);
    return 1;
}

static int ask(sx_engine *engine, const char *question)
{
    sx_error error;
    sx_session *session;
    const sx_message message = {.role = SX_ROLE_USER, .content = question};
    const sx_generate_desc reply = {.messages = &message, .message_count = 1};
    sx_status status = sx_session_create(engine, &(sx_session_desc){0}, &session, &error);
    if (status == SX_OK) status = sx_session_begin(session, &reply, &error);
    while (status == SX_OK && sx_session_running(session)) {
        sx_event event;
        sx_session_wait(session, 100); // milliseconds; or draw a frame, and poll again
        while ((status = sx_session_poll(session, &event, &error)) == SX_OK) {
            if (event.kind == SX_EVENT_TEXT && event.channel == SX_CHANNEL_ANSWER) fputs(event.text, stdout);
            if (event.kind == SX_EVENT_EXIT) fprintf(stderr, "(thought for %u tokens)\n", event.stats.thinking_tokens);
        }
        if (status == SX_PENDING) status = SX_OK; // no more for now
    }
    sx_session_destroy(session);
    puts("");
    return status == SX_OK ? 0 : fail(&error);
}

int main(int argc, char **argv)
{
    sx_error error;
    sx_engine *engine;
    if (argc < 2) {
        fprintf(stderr, "Usage: answer QUESTION [MODEL.gguf]\n");
        return 2;
    }
    const sx_engine_desc desc = {.target_path = argc > 2 ? argv[2] : NULL};
    if (sx_engine_create(&desc, NULL, NULL, &engine, &error) != SX_OK) return fail(&error);
    const int code = ask(engine, argv[1]);
    sx_engine_destroy(engine);
    return code;
}
