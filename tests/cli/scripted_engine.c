// specexit.h acted out by a script: no model, no device, the same reply every time. For tests of the command line
// program only; it is linked into nothing else.
//
// A token is a word of the reply (in prompts: a byte). The thinking is PARAGRAPHS steps, after each of which the
// signals have moved on; the answer repeats the last number of the prompt. Words in the prompt change the play: "slow"
// takes 4 ms a token, "endless" never stops thinking by itself, "escape" writes control characters, "fail" breaks in
// the middle, "huge" does not fit the context, "direct" does not think,
// "stubborn" does not answer when asked to, "stuck" hangs when stopped. Model paths with "missing", "lost" or "full"
// fail to load.
#include "specexit.h"
#include "specexit_signals.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PARAGRAPHS = 10, CONTEXT = 4096 };

typedef enum play { THINKING, CLOSING, ANSWERING, FINISHED } play;

struct sx_engine {
    sx_engine_info info;
};

struct sx_session {
    char prompt[8192], number[32], word[64];
    sx_generate_desc desc;
    play play;
    bool running, stop, answer_now, pending_signals, slow, waited;
    unsigned paragraph, word_index; // of the next word
    bool boundary;
    sx_exit_reason reason;
    sx_stats stats;
    uint32_t token;
};

const char *sx_version(void)
{
    return "9.8.7";
}
const char *sx_template_names(void)
{
    return "chatml, qwen3";
}
void sx_free(void *memory)
{
    free(memory);
}

sx_status sx_list_devices(sx_device_info *devices, uint32_t capacity, uint32_t *count, sx_error *error)
{
    if (getenv("SCRIPTED_NO_DEVICE")) return sx_fail(error, SX_ERROR_NO_DEVICE, "no Vulkan device; install a driver");
    static const sx_device_info all[2] = {{.name = "Scripted GPU",
                                           .driver = "script 1",
                                           .kind = "discrete",
                                           .backend = "null",
                                           .memory_total = 8000000000,
                                           .memory_budget = 7000000000,
                                           .subgroup_size = 32,
                                           .fp16 = true},
                                          {.name = "Scripted CPU",
                                           .driver = "script 2",
                                           .kind = "cpu",
                                           .backend = "null",
                                           .subgroup_size = 4,
                                           .unified_memory = true}};
    *count = 2;
    for (uint32_t i = 0; i < capacity && i < 2; i++)
        devices[i] = all[i];
    return SX_OK;
}

sx_status sx_engine_create(const sx_engine_desc *desc, bool (*on_progress)(void *user, const sx_load_progress *),
                           void *user, sx_engine **out, sx_error *error)
{
    const char *path = desc->target_path ? desc->target_path : "";
    if (strstr(path, "missing")) return sx_fail(error, SX_ERROR_FILE, "%s: no such file; check the path", path);
    if (getenv("SCRIPTED_NO_DEVICE")) return sx_fail(error, SX_ERROR_NO_DEVICE, "no Vulkan device; install a driver");
    for (int step = 0; on_progress && step <= 4; step++) {
        sx_load_progress progress = {.stage = (sx_load_stage)step, .fraction = step / 4.0, .bytes_total = 100};
        if (!on_progress(user, &progress)) return sx_fail(error, SX_ERROR_CANCELLED, "cancelled");
    }
    if (strstr(path, "lost")) return sx_fail(error, SX_ERROR_DEVICE_LOST, "the device was lost; try again");
    if (strstr(path, "warn") && desc->log) desc->log(desc->log_user, "warning: pipelines.bin is damaged, ignored");
    *out = calloc(1, sizeof **out);
    (*out)->info = (sx_engine_info){.model_name = "scripted",
                                    .model_exact = 1,
                                    .model_family = 7,
                                    .architecture = "script",
                                    .format = "none",
                                    .template_name = "qwen3",
                                    .draft_name = "scripted draft",
                                    .device = "Scripted GPU",
                                    .layers = 1,
                                    .hidden = 8,
                                    .vocabulary = 256,
                                    .context = desc->context ? desc->context : CONTEXT,
                                    .signals = 7,
                                    .thresholds = {0.8f, 0.3f, 200, -3, 0.5f},
                                    .thinks = true,
                                    .bitwise_lossless = !getenv("SCRIPTED_NOT_LOSSLESS"),
                                    .bundled = !*path};
    return SX_OK;
}

void sx_engine_destroy(sx_engine *engine)
{
    free(engine);
}
void sx_engine_get_info(const sx_engine *engine, sx_engine_info *info)
{
    *info = engine->info;
}

sx_status sx_engine_estimate(const sx_engine *engine, const sx_engine_desc *desc, sx_memory_estimate *out,
                             sx_error *error)
{
    if (desc->target_path && strstr(desc->target_path, "none"))
        return sx_fail(error, SX_ERROR_FILE, "%s: no such file", desc->target_path);
    *out = (sx_memory_estimate){.weight_bytes = 3000000000,
                                .session_bytes = 500000000,
                                .budget = 4000000000,
                                .context = desc->context ? desc->context : engine->info.context,
                                .fitting_context = 700};
    return SX_OK;
}

sx_status sx_engine_render(const sx_engine *engine, const sx_message *messages, uint32_t count, bool no_thinking,
                           char **out, sx_error *error)
{
    (void)engine, (void)error;
    *out = calloc(1, 1 << 20);
    for (uint32_t i = 0; i < count; i++)
        snprintf(*out + strlen(*out), 4096, "<%d>%s", (int)messages[i].role, messages[i].content);
    strcat(*out, no_thinking ? "<answer>" : "<think>");
    return SX_OK;
}

sx_status sx_engine_tokenize(const sx_engine *engine, const char *text, size_t length, bool special, uint32_t **tokens,
                             uint32_t *count, sx_error *error)
{
    (void)engine, (void)special, (void)error;
    *tokens = calloc(length + 1, sizeof **tokens);
    for (size_t i = 0; i < length; i++)
        (*tokens)[i] = (unsigned char)text[i];
    *count = (uint32_t)length;
    return SX_OK;
}

sx_status sx_engine_detokenize(const sx_engine *engine, const uint32_t *tokens, uint32_t count, char **text,
                               size_t *length, sx_error *error)
{
    (void)engine;
    *text = calloc(count + 1, 1);
    for (uint32_t i = 0; i < count; i++) {
        if (tokens[i] > 255) {
            free(*text);
            *text = NULL;
            return sx_fail(error, SX_ERROR_ARGUMENT, "token %u is outside of the vocabulary of 256", tokens[i]);
        }
        (*text)[i] = (char)tokens[i];
    }
    *length = count;
    return SX_OK;
}

sx_status sx_session_create(sx_engine *engine, const sx_session_desc *desc, sx_session **out, sx_error *error)
{
    (void)engine, (void)desc, (void)error;
    *out = calloc(1, sizeof **out);
    return SX_OK;
}

void sx_session_destroy(sx_session *session)
{
    free(session);
}
bool sx_session_running(const sx_session *session)
{
    return session->running;
}
void sx_session_answer_now(sx_session *session)
{
    session->answer_now = !strstr(session->prompt, "stubborn");
}
void sx_session_stop(sx_session *session)
{
    session->stop = true;
    if (strstr(session->prompt, "stuck")) sleep(60);
}

void sx_session_wait(sx_session *session, uint32_t milliseconds)
{
    session->waited = true;
    usleep(session->slow ? 4000 : milliseconds * 10);
}

sx_status sx_session_begin(sx_session *session, const sx_generate_desc *desc, sx_error *error)
{
    const char *text = desc->prompt          ? desc->prompt
                       : desc->message_count ? desc->messages[desc->message_count - 1].content
                                             : "tokens 5";
    *session = (sx_session){.desc = *desc, .running = true, .waited = true};
    snprintf(session->prompt, sizeof session->prompt, "%s", text);
    if (desc->message_count > 7 && desc->when_full == SX_FULL_SHIFT)
        session->stats.dropped_messages = desc->message_count - 7;
    if (strstr(text, "huge") || desc->message_count - session->stats.dropped_messages > 7)
        return sx_fail(error, SX_ERROR_CONTEXT, "the prompt has 9000 tokens, the context holds %d; use --context",
                       CONTEXT);
    snprintf(session->number, sizeof session->number, "0");
    for (const char *at = text; *at; at++)
        if (isdigit((unsigned char)*at) && (at == text || !isdigit((unsigned char)at[-1])))
            snprintf(session->number, sizeof session->number, "%d", atoi(at));
    session->slow = strstr(text, "slow") != NULL;
    session->stats.prompt_tokens = (uint32_t)strlen(text);
    session->play = desc->no_thinking || strstr(text, "direct") ? ANSWERING : THINKING;
    return SX_OK;
}

static sx_signals signals_now(const sx_session *session)
{
    float share = (float)session->paragraph / PARAGRAPHS;
    return (sx_signals){.confidence = share, .progress = share, .remain = (1 - share) * PARAGRAPHS * 4};
}

// Why the thinking is left after the word just written, if it is.
static sx_exit_reason decide(const sx_session *session)
{
    const sx_policy *policy = &session->desc.policy;
    bool by_signals = policy->kind == SX_POLICY_AUTO || policy->kind == SX_POLICY_SIGNALS;
    float threshold = policy->confidence > 0 ? policy->confidence : 0.6f;
    if (session->answer_now) return SX_REASON_ANSWER_NOW;
    if (policy->hard_budget && session->stats.thinking_tokens >= policy->hard_budget) return SX_REASON_HARD_BUDGET;
    if (!session->boundary) return SX_REASON_NONE;
    if (policy->soft_budget && session->stats.thinking_tokens >= policy->soft_budget) return SX_REASON_SOFT_BUDGET;
    if (strstr(session->prompt, "endless")) return SX_REASON_NONE;
    if (by_signals && signals_now(session).confidence > threshold) return SX_REASON_SIGNALS;
    if (policy->kind == SX_POLICY_MARGIN && session->paragraph >= 5) return SX_REASON_MARGIN;
    return session->paragraph == PARAGRAPHS ? SX_REASON_NATURAL : SX_REASON_NONE;
}

static void count_token(sx_session *session, bool thinking)
{
    sx_stats *stats = &session->stats;
    unsigned per_cycle = session->desc.drafting.kind == SX_DRAFT_NONE ? 1 : 3;
    session->token = stats->tokens++;
    *(thinking ? &stats->thinking_tokens : &stats->answer_tokens) += 1;
    stats->cycles = (stats->tokens + per_cycle - 1) / per_cycle;
    stats->acceptance_length = (double)stats->tokens / stats->cycles;
    stats->submits = stats->readbacks = stats->cycles;
    stats->readback_bytes = 512ull * stats->cycles;
    stats->decode_seconds = 0.01 * stats->cycles;
}

static void next_thought(sx_session *session)
{
    static const char *const words[] = {"step", " is", " done.", "\n\n"};
    const char *word = words[session->word_index];
    if (session->word_index == 0 && session->paragraph == 2) word = "So";
    if (session->word_index == 1 && strstr(session->prompt, "escape")) word = " \033[31m\x07\xc2\x9bred";
    snprintf(session->word, sizeof session->word, "%s", word);
    count_token(session, true);
    session->boundary = ++session->word_index == 4;
    if (session->boundary) {
        session->word_index = 0;
        session->paragraph++;
    }
}

static sx_status text_event(sx_session *session, sx_event *event, sx_channel channel)
{
    event->kind = SX_EVENT_TEXT;
    event->channel = channel;
    event->text = session->word;
    event->length = strlen(session->word);
    event->first_token = session->token;
    event->token_count = 1;
    event->tokens = &session->token;
    event->stats = session->stats;
    return SX_OK;
}

static sx_status done(sx_session *session, sx_event *event, sx_done_reason reason)
{
    event->kind = SX_EVENT_DONE;
    event->done_reason = reason;
    event->stats = session->stats;
    session->running = false;
    session->play = FINISHED;
    return SX_OK;
}

static sx_status poll_thinking(sx_session *session, sx_event *event)
{
    if (session->pending_signals) {
        session->pending_signals = false;
        event->kind = SX_EVENT_SIGNALS;
        event->token_index = session->token;
        event->boundary = session->boundary;
        event->has_signals = session->desc.drafting.kind != SX_DRAFT_NONE;
        event->raw = event->smoothed = signals_now(session);
        event->margin = -3;
        event->entropy = NAN;
        event->stats = session->stats;
        session->reason = decide(session);
        if (session->reason) session->play = CLOSING;
        return SX_OK;
    }
    next_thought(session);
    session->pending_signals = true;
    return text_event(session, event, SX_CHANNEL_THINKING);
}

static sx_status poll_answer(sx_session *session, sx_event *event)
{
    static const char *const words[] = {"\n\n", "The", " answer", " is "};
    if (session->word_index == 5) return done(session, event, SX_DONE_END_OF_TURN);
    if (session->word_index < 4) {
        snprintf(session->word, sizeof session->word, "%s", words[session->word_index]);
    } else {
        snprintf(session->word, sizeof session->word, "%s.", session->number);
    }
    session->word_index++;
    count_token(session, false);
    return text_event(session, event, SX_CHANNEL_ANSWER);
}

sx_status sx_session_poll(sx_session *session, sx_event *event, sx_error *error)
{
    *event = (sx_event){0};
    if (!session->running) return SX_PENDING;
    if (session->stop) return done(session, event, SX_DONE_STOPPED);
    if (!session->waited) return SX_PENDING;
    session->waited = !session->slow && session->stats.tokens % 16 != 15;
    if (strstr(session->prompt, "fail") && session->stats.tokens == 6)
        return sx_fail(error, SX_ERROR_DEVICE_LOST, "the device was lost; start again");
    if (session->desc.maximum_tokens && session->stats.tokens >= session->desc.maximum_tokens)
        return done(session, event, SX_DONE_MAXIMUM);
    if (session->play == THINKING) return poll_thinking(session, event);
    if (session->play == ANSWERING) return poll_answer(session, event);
    event->kind = SX_EVENT_EXIT;
    event->token_index = session->token;
    event->exit_reason = session->reason;
    event->has_signals = true;
    event->raw = event->smoothed = signals_now(session);
    event->stats = session->stats;
    session->play = ANSWERING;
    session->word_index = 0;
    return SX_OK;
}

sx_status sx_session_keep_thinking(sx_session *session, sx_error *error)
{
    if (session->reason == SX_REASON_NONE) return sx_fail(error, SX_ERROR_ARGUMENT, "thinking has not been left");
    session->play = THINKING;
    session->running = true;
    session->desc.policy.kind = SX_POLICY_NONE;
    session->reason = SX_REASON_NONE;
    session->answer_now = false;
    session->word_index = 0;
    return SX_OK;
}

sx_status sx_session_save(sx_session *session, const char *path, sx_error *error)
{
    (void)session;
    return sx_file_write_atomic(path, "scripted", 8, error);
}

sx_status sx_session_load(sx_session *session, const char *path, sx_error *error)
{
    (void)session;
    sx_file *file;
    const sx_status status = sx_file_open(path, &file, error);
    if (status != SX_OK) return status;
    const bool good = sx_file_source(file)->size == 8;
    sx_file_close(file);
    return good ? SX_OK : sx_fail(error, SX_ERROR_FORMAT, "%s: magic: this is not a session", path);
}

sx_status sx_session_logits(sx_session *session, const uint32_t *tokens, uint32_t count, float **logits,
                            sx_error *error)
{
    (void)session, (void)error;
    *logits = calloc((size_t)count * 256, sizeof **logits);
    for (uint32_t i = 0; i < count; i++)
        (*logits)[i * 256 + tokens[i] % 256] = 1;
    return SX_OK;
}

sx_status sx_describe_file(const char *path, void (*line)(void *user, const char *text), void *user, sx_error *error)
{
    if (access(path, R_OK) != 0) return sx_fail(error, SX_ERROR_FILE, "%s: no such file; check the path", path);
    line(user, "general.name  scripted");
    return SX_OK;
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
    snprintf(text, size, "left: %s, %.0f %% confident", sx_exit_reason_name(event->exit_reason),
             100 * (double)event->smoothed.confidence);
}

sx_status sx_session_inspect(sx_session *session, const uint32_t *tokens, uint32_t count, const sx_drafting *drafting,
                             sx_signals *signals, sx_draft_node *nodes, uint32_t capacity, uint32_t *node_count,
                             sx_error *error)
{
    (void)session, (void)tokens, (void)drafting, (void)nodes, (void)capacity, (void)error;
    for (uint32_t i = 0; i < count; i++)
        signals[i] = (sx_signals){0.5f, 0.25f, 8};
    *node_count = 0;
    return SX_OK;
}

sx_status sx_convert_draft(const sx_convert_desc *desc, sx_error *error)
{
    return sx_fail(error, SX_ERROR_FILE, "%s: cannot be opened", desc->input);
}

// ---- Signals: there is nothing to trace ----------------------------------------------------------------------------

void sx_engine_get_identity(const sx_engine *engine, sx_model_identity *out)
{
    (void)engine;
    *out = (sx_model_identity){.exact = 1, .family = 7, .state_count = 1, .state_layers = {1}, .state_width = 8};
}

bool sx_engine_ends_step(const sx_engine *engine, uint32_t token)
{
    (void)engine, (void)token;
    return false;
}

bool sx_session_thinking(const sx_session *session, sx_thinking_span *out)
{
    (void)session;
    *out = (sx_thinking_span){0};
    return false;
}

const uint32_t *sx_session_tokens(const sx_session *session, uint32_t *count)
{
    *count = 1;
    return &session->token;
}

sx_status sx_session_states(sx_session *session, uint32_t first, uint32_t count, uint16_t *states, sx_error *error)
{
    (void)session, (void)first, (void)count, (void)states;
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "the script has no states");
}

sx_status sx_session_force_answer(sx_session *session, uint32_t position, sx_forced_answer *answer, sx_error *error)
{
    (void)session, (void)position, (void)answer;
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "the script has no branches");
}

uint64_t sx_batch_bytes(const sx_engine *engine, uint32_t sequences, uint64_t *free_bytes)
{
    (void)engine;
    if (free_bytes) *free_bytes = 0;
    return sequences;
}

uint32_t sx_batch_usual(const sx_engine *engine)
{
    (void)engine;
    return 1;
}

sx_status sx_batch_create(sx_engine *engine, uint32_t sequences, sx_batch **out, sx_error *error)
{
    (void)engine;
    *out = NULL;
    return sx_fail(error, SX_ERROR_GPU_MEMORY, "%u sequences do not fit, 1 fits", sequences);
}

void sx_batch_destroy(sx_batch *batch)
{
    (void)batch;
}

sx_status sx_batch_check(const sx_generate_desc *desc, sx_error *error)
{
    if (desc->sampling.presence_penalty == 0) return SX_OK;
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "the script has no penalties");
}

sx_status sx_batch_add(sx_batch *batch, const sx_generate_desc *desc, uint32_t *place, sx_error *error)
{
    (void)batch, (void)desc, (void)place;
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "the script has no batches");
}

uint32_t sx_batch_running(const sx_batch *batch)
{
    (void)batch;
    return 0;
}

sx_status sx_batch_step(sx_batch *batch, sx_error *error)
{
    (void)batch;
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "the script has no batches");
}

bool sx_batch_take(sx_batch *batch, uint32_t *place, const uint32_t **choices, uint32_t *choice_count)
{
    (void)batch, (void)place, (void)choices, (void)choice_count;
    return false;
}

sx_status sx_train_signals(const sx_train_desc *desc, sx_train_report *report, sx_error *error)
{
    *report = (sx_train_report){0};
    return sx_fail(error, SX_ERROR_FILE, "%s: cannot be opened", desc->traces[0]);
}
