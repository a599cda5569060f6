// specexit.h with a scripted model and no GPU, so that the exports, the worker and the page can be tested by themselves
// and look the same every time. Tokens are words; a word's number is its place in a growing list. A poll that finds
// the result of a cycle arrived reports its CYCLE_TOKENS tokens.
#include "specexit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TOKENS = 4096, CYCLE_TOKENS = 3, PARAGRAPHS = 24, LOAD_STEPS = 8 };
enum { GREEDY_BYTES = 666 }; // a model of this size finds no memory on the GPU

// JavaScript (fake_library.js): the result of a cycle arrives after a while, and the worker's wake() is called then.
extern void fake_submit(void);
// 1 when it has, once.
extern int fake_arrived(void);

struct sx_engine {
    uint64_t bytes;
    int step;
    bool damaged;
};

struct sx_session {
    sx_engine *engine;
    bool running, thinking, exited, stop, answer_now;
    bool signals_on;
    float threshold;
    uint32_t soft_budget, maximum;
    char *script[2]; // thinking and answer
    const char *at;
    uint32_t thinking_tokens, answer_tokens, cycles, exits;
    uint32_t tokens[MAX_TOKENS], token_count, prompt_count;
    uint32_t word[1];
    char text[256];
    sx_event queue[16];
    uint32_t queued, taken;
    char pieces[16][256];
    const char *resume;
};

const char *sx_version(void)
{
    return "0.1.0-fake";
}

void sx_free(void *memory)
{
    free(memory);
}

sx_status sx_engine_open(const sx_engine_desc *desc, sx_engine **out, sx_error *error)
{
    sx_engine *engine = calloc(1, sizeof *engine);
    uint8_t magic[4] = {0};
    for (uint32_t i = 0; i < desc->target_source_count; ++i) {
        const sx_source *source = &desc->target_sources[i];
        engine->bytes += source->size;
        if (source->size < 4 || !source->read_at(source->user, 0, magic, 4) || memcmp(magic, "GGUF", 4)) {
            free(engine);
            return sx_fail(error, SX_ERROR_FORMAT, "%s: this is not a GGUF file; choose a model in GGUF format",
                           source->name);
        }
    }
    *out = engine;
    return SX_OK;
}

sx_status sx_engine_poll(sx_engine *engine, sx_load_progress *progress, sx_error *error)
{
    if (engine->bytes == GREEDY_BYTES && engine->step)
        return sx_fail(error, SX_ERROR_GPU_MEMORY,
                       "the GPU ran out of memory while writing a buffer; use a smaller model");
    if (engine->step < LOAD_STEPS) ++engine->step;
    progress->stage = engine->step < LOAD_STEPS / 2 ? SX_LOAD_UPLOADING
                      : engine->step < LOAD_STEPS   ? SX_LOAD_COMPILING
                                                    : SX_LOAD_READY;
    progress->fraction = (double)engine->step / LOAD_STEPS;
    progress->bytes_total = engine->bytes;
    progress->bytes_loaded = engine->bytes * (uint64_t)engine->step / LOAD_STEPS;
    return engine->step < LOAD_STEPS ? SX_PENDING : SX_OK;
}

void sx_engine_destroy(sx_engine *engine)
{
    free(engine);
}

void sx_engine_get_info(const sx_engine *engine, sx_engine_info *info)
{
    *info = (sx_engine_info){.model_name = "Scripted model",
                             .model_exact = 1,
                             .model_family = 7,
                             .architecture = "fake",
                             .format = "none",
                             .template_name = "qwen3",
                             .draft_name = "Scripted draft",
                             .device = "No GPU",
                             .layers = 5,
                             .hidden = 192,
                             .vocabulary = 640,
                             .context = MAX_TOKENS,
                             .parameters = 2000000,
                             .weight_bytes = engine->bytes,
                             .kv_bytes = 1 << 20,
                             .scratch_bytes = 1 << 20,
                             .signals = 7,
                             .thresholds = {0.75f, 0.25f, 150, -3, 0.5f},
                             .thinks = true,
                             .bitwise_lossless = true,
                             .bundled = true,
                             .draft_acceptance = 3.1,
                             .load_seconds = 0.1};
}

sx_status sx_engine_render(const sx_engine *engine, const sx_message *messages, uint32_t count, bool no_thinking,
                           char **out, sx_error *error)
{
    (void)engine, (void)no_thinking, (void)error;
    *out = strdup(count ? messages[count - 1].content : "");
    return SX_OK;
}

sx_status sx_engine_tokenize(const sx_engine *engine, const char *text, size_t length, bool special, uint32_t **tokens,
                             uint32_t *count, sx_error *error)
{
    (void)engine, (void)text, (void)special, (void)error;
    *tokens = calloc(length + 1, sizeof **tokens);
    *count = 0;
    for (size_t i = 0; i < length; ++i)
        if (text[i] == ' ' || i + 1 == length) (*tokens)[(*count)++] = (uint32_t)i;
    return SX_OK;
}

sx_status sx_session_create(sx_engine *engine, const sx_session_desc *desc, sx_session **out, sx_error *error)
{
    (void)desc, (void)error;
    *out = calloc(1, sizeof **out);
    (*out)->engine = engine;
    return SX_OK;
}

void sx_session_destroy(sx_session *session)
{
    if (!session) return;
    free(session->script[0]);
    free(session->script[1]);
    free(session);
}

static char *make_thinking(const char *question)
{
    char *text = malloc(PARAGRAPHS * 160 + 256);
    int at = sprintf(text, "I need to work out: %.120s\n\n", question);
    for (int i = 0; i < PARAGRAPHS; ++i)
        at +=
            i < 6
                ? sprintf(text + at, "Step %d: take %d and add %d, which gives %d.\n\n", i + 1, i * 3, i + 2, i * 4 + 2)
                : sprintf(text + at, "Check %d: the value %d still agrees with the first derivation.\n\n", i - 5, 22);
    return text;
}

sx_status sx_session_begin(sx_session *s, const sx_generate_desc *desc, sx_error *error)
{
    if (s->running) return sx_fail(error, SX_ERROR_BUSY, "the session is writing a reply");
    const char *question = desc->message_count ? desc->messages[desc->message_count - 1].content : desc->prompt;
    if (!question) question = "(tokens)";
    if (strlen(question) > 3000) return sx_fail(error, SX_ERROR_CONTEXT, "the prompt does not fit the context");
    free(s->script[0]);
    free(s->script[1]);
    s->script[0] = make_thinking(question);
    s->script[1] = strdup("The answer is **22**.\n\nIn symbols, \\(4 \\cdot 5 + 2 = 22\\).\n\n- first\n- second\n");
    s->at = s->script[0];
    s->running = s->thinking = true;
    s->exited = s->stop = s->answer_now = false;
    s->threshold = desc->policy.confidence ? desc->policy.confidence : 0.8f;
    s->signals_on = desc->policy.kind == SX_POLICY_AUTO || desc->policy.kind == SX_POLICY_SIGNALS;
    s->soft_budget = desc->policy.soft_budget;
    s->maximum = desc->maximum_tokens;
    s->thinking_tokens = s->answer_tokens = s->cycles = s->exits = 0;
    s->token_count = s->prompt_count = 0;
    for (uint32_t i = 0; i < desc->token_count && i < MAX_TOKENS / 2; ++i)
        s->tokens[s->token_count++] = desc->tokens[i];
    for (; s->token_count < 8; ++s->token_count)
        s->tokens[s->token_count] = s->token_count;
    s->prompt_count = s->token_count;
    s->queued = s->taken = 0;
    fake_submit();
    return SX_OK;
}

static sx_event *push(sx_session *s, sx_event_kind kind)
{
    sx_event *event = &s->queue[s->queued++];
    *event = (sx_event){.kind = kind};
    sx_stats *stats = &event->stats;
    stats->prompt_tokens = s->prompt_count;
    stats->tokens = s->thinking_tokens + s->answer_tokens;
    stats->thinking_tokens = s->thinking_tokens;
    stats->answer_tokens = s->answer_tokens;
    stats->cycles = stats->submits = stats->readbacks = s->cycles;
    stats->acceptance_length = CYCLE_TOKENS;
    stats->decode_seconds = s->cycles * 0.01;
    return event;
}

static void leave(sx_session *s, sx_exit_reason reason, const sx_signals *signals)
{
    sx_event *event = push(s, SX_EVENT_EXIT);
    event->exit_reason = reason;
    event->token_index = s->thinking_tokens;
    event->has_signals = true;
    event->smoothed = event->raw = *signals;
    s->thinking = s->answer_now = false;
    s->exited = true;
    s->resume = s->at;
    s->at = s->script[1];
}

static void finish(sx_session *s, sx_done_reason reason)
{
    s->running = false;
    push(s, SX_EVENT_DONE)->done_reason = reason;
}

static void one_token(sx_session *s)
{
    size_t length = strcspn(s->at + 1, " \n") + 1;
    while (s->at[length] == '\n')
        ++length;
    uint32_t slot = s->queued;
    snprintf(s->pieces[slot], sizeof s->pieces[slot], "%.*s", (int)length, s->at);
    s->at += length;
    if (s->token_count < MAX_TOKENS) s->tokens[s->token_count++] = (uint32_t)(s->at - s->script[!s->thinking]);
    uint32_t index = s->thinking_tokens + s->answer_tokens;
    if (s->thinking)
        ++s->thinking_tokens;
    else
        ++s->answer_tokens;
    sx_event *event = push(s, SX_EVENT_TEXT);
    event->channel = s->thinking ? SX_CHANNEL_THINKING : SX_CHANNEL_ANSWER;
    event->text = s->pieces[slot];
    event->length = strlen(event->text);
    event->first_token = index;
    event->token_count = 1;
    event->tokens = &s->tokens[s->token_count - 1];
    if (!s->thinking) return;

    bool boundary = s->at[-1] == '\n';
    float share = (float)s->thinking_tokens / 240.0f;
    sx_signals signals = {.confidence = 1.0f - 0.9f / (1.0f + share * share * 25.0f),
                          .progress = share,
                          .remain = 240.0f * (1.0f - share) + 1.0f};
    event = push(s, SX_EVENT_SIGNALS);
    event->token_index = index;
    event->boundary = boundary;
    event->has_signals = true;
    event->raw = event->smoothed = signals;
    event->raw.confidence += ((float)(index * 7 % 13) - 6.0f) * 0.01f;
    event->margin = -8 + share * 8;
    event->entropy = 2 - share;
    float threshold = s->exits ? 2.0f : s->threshold; // keep-thinking suppresses the same exit
    if (s->answer_now)
        leave(s, SX_REASON_ANSWER_NOW, &signals);
    else if (!*s->at)
        leave(s, SX_REASON_NATURAL, &signals);
    else if (boundary && s->soft_budget && s->thinking_tokens >= s->soft_budget)
        leave(s, SX_REASON_SOFT_BUDGET, &signals);
    else if (boundary && s->signals_on && signals.confidence > threshold && signals.progress > 0.3f)
        leave(s, SX_REASON_SIGNALS, &signals);
}

static void cycle(sx_session *s)
{
    s->queued = s->taken = 0;
    ++s->cycles;
    if (s->cycles == 1) {
        sx_event *event = push(s, SX_EVENT_PREFILL);
        event->prefill_done = event->prefill_total = s->prompt_count;
    }
    for (int i = 0; i < CYCLE_TOKENS && s->running; ++i) {
        if (s->stop)
            finish(s, SX_DONE_STOPPED);
        else if (s->maximum && s->thinking_tokens + s->answer_tokens >= s->maximum)
            finish(s, SX_DONE_MAXIMUM);
        else if (!*s->at)
            finish(s, SX_DONE_END_OF_TURN);
        else
            one_token(s);
    }
}

sx_status sx_session_poll(sx_session *s, sx_event *event, sx_error *error)
{
    (void)error;
    if (s->taken == s->queued && s->running && fake_arrived()) {
        cycle(s);
        if (s->running) fake_submit();
    }
    if (s->taken == s->queued) return SX_PENDING;
    *event = s->queue[s->taken++];
    return SX_OK;
}

void sx_session_wait(sx_session *session, uint32_t milliseconds)
{
    (void)session, (void)milliseconds;
}

bool sx_session_running(const sx_session *s)
{
    return s->running || s->taken < s->queued;
}

void sx_session_answer_now(sx_session *s)
{
    s->answer_now = s->thinking;
}

sx_status sx_session_keep_thinking(sx_session *s, sx_error *error)
{
    if (!s->exited) return sx_fail(error, SX_ERROR_ARGUMENT, "thinking has not been left in the last reply");
    bool was_running = s->running;
    s->thinking = s->running = true;
    s->exited = s->stop = false;
    s->answer_tokens = 0;
    s->queued = s->taken = 0;
    ++s->exits;
    s->at = *s->resume ? s->resume : "But wait, let me look again.\n\nYes, it holds.\n\n";
    if (!was_running) fake_submit();
    return SX_OK;
}

void sx_session_stop(sx_session *s)
{
    s->stop = true;
}

const uint32_t *sx_session_tokens(const sx_session *s, uint32_t *count)
{
    *count = s->token_count;
    return s->tokens;
}

const char *sx_exit_reason_name(sx_exit_reason reason)
{
    static const char *const names[] = {"none", "natural",     "signals",     "margin",    "entropy",
                                        "loop", "soft-budget", "hard-budget", "answer-now"};
    return names[reason];
}

const char *sx_done_reason_name(sx_done_reason reason)
{
    static const char *const names[] = {"", "end-of-turn", "maximum", "stop-string", "looped", "stopped"};
    return names[reason];
}

void sx_exit_sentence(const sx_event *event, char *text, size_t size)
{
    if (event->exit_reason == SX_REASON_ANSWER_NOW)
        snprintf(text, size, "left early because you asked for the answer");
    else if (event->exit_reason == SX_REASON_NATURAL)
        snprintf(text, size, "the model finished thinking by itself");
    else
        snprintf(text, size, "left early: %.0f %% confident, %.0f %% done, about %.0f tokens left",
                 event->smoothed.confidence * 100, event->smoothed.progress * 100, event->smoothed.remain);
}
