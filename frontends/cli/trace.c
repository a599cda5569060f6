// specexit trace: full reasoning with a forced answer at every step, and the states that go with it.
#include "ahead.h"
#include "answers.h"
#include "commands.h"
#include "interrupt.h"
#include "prompts.h"
#include "reply.h"
#include "specexit_signals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tracer {
    cli_context *context;
    cli_checker checker;
    cli_problems problems;
    sx_engine *engine;
    sx_session *session;
    sx_model_identity identity;
    sx_trace_writer *writer;
    double begin;
    uint32_t at, made, kept, duplicates, unfinished, failed;
    uint32_t *order; // problems that are to be traced
    uint32_t order_count;
    cli_ahead ahead;
    // The prompt at hand.
    cli_reply reply;
    sx_thinking_span span;
    uint32_t *tokens; // the session's, copied: [token_count]
    uint32_t token_count;
    sx_trace_boundary *boundaries;
    uint32_t boundary_count, probed;
    uint16_t *states;
    uint32_t *state_index;
    uint32_t state_count;
} tracer;

// ---- Telling -------------------------------------------------------------------------------------------------------

static void add_time(fe_text *line, double seconds)
{
    if (seconds >= 5400)
        fe_text_printf(line, "%.1f h", seconds / 3600);
    else if (seconds >= 90)
        fe_text_printf(line, "%.0f min", seconds / 60);
    else
        fe_text_printf(line, "%.0f s", seconds);
}

static void show_progress(tracer *run, const char *what, uint32_t number)
{
    cli_terminal *terminal = &run->context->terminal;
    if (!cli_status_due(terminal)) return;
    const double spent = cli_seconds() - run->begin;
    const uint32_t left = run->order_count - run->made;
    fe_text line = {0};
    fe_text_add(&line, "tracing ");
    cli_bar(&line, (double)run->at / run->problems.count, 20);
    fe_text_printf(&line, " prompt %u of %u · %s %u", run->at + 1, run->problems.count, what, number);
    if (run->made) {
        fe_text_add(&line, " · ");
        add_time(&line, spent / run->made * left);
        fe_text_add(&line, " left");
    }
    fe_text_add(&line, " · ");
    cli_format_bytes(&line, sx_trace_writer_bytes(run->writer));
    cli_status(terminal, line.data, false);
    fe_text_free(&line);
}

static void on_event(void *user, const sx_event *event, const cli_reply *reply)
{
    (void)event;
    show_progress(user, "token", reply->stats.tokens);
}

static void on_idle(void *user, const cli_reply *reply)
{
    show_progress(user, "token", reply->stats.tokens);
}

static void on_step(void *user)
{
    tracer *run = user;
    show_progress(run, "token", run->ahead.tokens);
}

static void tell(tracer *run, const fe_text *line)
{
    if (run->context->options.quiet) return;
    cli_status_clear(&run->context->terminal);
    fprintf(stderr, "specexit: %s\n", line->data);
}

// What the file will take, before anything is written.
static void tell_size(tracer *run)
{
    const cli_options *options = &run->context->options;
    sx_engine_info info;
    sx_engine_get_info(run->engine, &info);
    const uint64_t state = 2ull * run->identity.state_width + 4, prompts = run->order_count;
    const uint64_t longest = options->maximum_tokens ? options->maximum_tokens : info.context;
    const uint64_t most = prompts * longest * (options->steps_only ? 4 : state + 4),
                   free_bytes = sx_disk_free(options->output);
    fe_text line = {0};
    fe_text_printf(&line, "%s: a %s takes ", options->output, options->steps_only ? "step" : "token of thinking");
    cli_format_bytes(&line, state + 4);
    fe_text_printf(&line, "; %llu prompt%s", (unsigned long long)prompts, prompts == 1 ? "" : "s");
    if (options->steps_only) {
        fe_text_printf(&line, " of 50 steps: ");
        cli_format_bytes(&line, prompts * 50 * (state + 20));
    } else {
        fe_text_printf(&line, " of at most %llu tokens: up to ", (unsigned long long)longest);
        cli_format_bytes(&line, most);
    }
    if (free_bytes) {
        fe_text_add(&line, "; ");
        cli_format_bytes(&line, free_bytes);
        fe_text_add(&line, " of the disk are free");
    }
    tell(run, &line);
    fe_text_free(&line);
}

// ---- One prompt ----------------------------------------------------------------------------------------------------

// `index` of the order. What was written ahead is read by the session, as if it had written it.
static sx_status think(tracer *run, uint32_t index, const cli_problem *problem, sx_error *error)
{
    sx_message messages[2];
    sx_generate_desc desc = cli_ahead_describe(&run->context->options, problem, messages);
    if (run->ahead.batch) {
        cli_known_reply known;
        const sx_status status = cli_ahead_reply(&run->ahead, index, on_step, run, &known, error);
        if (status != SX_OK) return status;
        desc.choices = known.choices;
        desc.choice_count = known.count;
        desc.drafting = (sx_drafting){.kind = SX_DRAFT_NONE}; // there is nothing to draft
    }
    const cli_view view = {.event = on_event, .idle = on_idle, .stop_only = true, .user = run};
    return cli_reply_generate(run->session, &desc, &view, &run->reply, error);
}

// All step boundaries, and which of them are probed: at most --boundaries, spread evenly, the last one always.
static void list_boundaries(tracer *run)
{
    const uint32_t most = run->context->options.boundaries;
    run->boundary_count = 0;
    run->boundaries = fe_reallocate(run->boundaries, run->span.count + 1, sizeof *run->boundaries);
    for (uint32_t i = 0; i < run->span.count; i++)
        if (sx_engine_ends_step(run->engine, run->tokens[run->span.first + i]))
            run->boundaries[run->boundary_count++] = (sx_trace_boundary){.index = i};
    const uint32_t count = run->boundary_count, wanted = most && most < count ? most : count;
    for (uint32_t i = 0; i < wanted; i++)
        run->boundaries[(uint64_t)(i + 1) * count / wanted - 1].flags = SX_TRACE_PROBED;
}

static sx_status read_states(tracer *run, sx_error *error)
{
    const uint32_t width = run->identity.state_width, count = run->span.count;
    const bool steps_only = run->context->options.steps_only;
    run->states = fe_reallocate(run->states, (size_t)count * width + 1, sizeof *run->states);
    run->state_index = fe_reallocate(run->state_index, count + 1, sizeof *run->state_index);
    const sx_status status = sx_session_states(run->session, run->span.first, count, run->states, error);
    run->state_count = 0;
    for (uint32_t i = 0, b = 0; i < count; i++) {
        while (b < run->boundary_count && run->boundaries[b].index < i)
            b++;
        if (steps_only && (b == run->boundary_count || run->boundaries[b].index != i)) continue;
        memmove(run->states + (size_t)run->state_count * width, run->states + (size_t)i * width, 2ull * width);
        run->state_index[run->state_count++] = i;
    }
    return status;
}

// Geometric mean of the probabilities of the tokens that state the value (all but the end where that cannot be told).
static sx_status sureness(tracer *run, const sx_forced_answer *answer, const char *text, sx_trace_boundary *boundary,
                          sx_error *error)
{
    size_t start = 0, end = SIZE_MAX, from = 0;
    const bool known = cli_answer_value(&run->checker, text, &start, &end);
    const uint32_t count = answer->count - (answer->ended && answer->count > 1);
    double sum = 0;
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        char *prefix;
        size_t to;
        const sx_status status = sx_engine_detokenize(run->engine, answer->tokens, i + 1, &prefix, &to, error);
        if (status != SX_OK) return status;
        sx_free(prefix);
        if (!known || (to > start && from < end)) {
            sum += (double)answer->logprobs[i];
            used++;
        }
        from = to;
    }
    const double mean = used ? exp(sum / used) : 0;
    boundary->confidence = (float)(mean < 1 ? mean : 1);
    boundary->count = (uint16_t)used;
    return SX_OK;
}

static sx_status probe_boundary(tracer *run, const cli_problem *problem, sx_trace_boundary *boundary,
                                sx_forced_answer *answer, sx_error *error)
{
    char *text = NULL;
    size_t length;
    sx_status status = sx_session_force_answer(run->session, run->span.first + boundary->index, answer, error);
    if (status == SX_OK)
        status =
            sx_engine_detokenize(run->engine, answer->tokens, answer->count - answer->ended, &text, &length, error);
    if (status == SX_OK) status = sureness(run, answer, text, boundary, error);
    if (status == SX_OK && answer->ended) {
        if (cli_check_same(&run->checker, text, fe_text_string(&run->reply.answer)))
            boundary->flags |= SX_TRACE_SAME_AS_FINAL;
        if (problem->answer && cli_check_answer(&run->checker, problem->prompt, text, problem->answer))
            boundary->flags |= SX_TRACE_RIGHT;
    }
    sx_free(text);
    return status;
}

// From the last boundary to the first, so that every branch overwrites only what no later one needs.
static sx_status probe_boundaries(tracer *run, const cli_problem *problem, sx_error *error)
{
    const cli_options *options = &run->context->options;
    const uint32_t final_count = run->token_count - run->span.answer;
    const uint32_t capacity = options->answer_tokens ? options->answer_tokens : 2 * final_count + 16;
    uint32_t *guess = fe_allocate(capacity + final_count, sizeof *guess);
    sx_forced_answer answer = {.exit_message = options->policy.exit_message,
                               .capacity = capacity,
                               .tokens = fe_allocate(capacity, sizeof(uint32_t)),
                               .logprobs = fe_allocate(capacity, sizeof(float))};
    uint32_t guess_count = final_count;
    memcpy(guess, run->tokens + run->span.answer, final_count * sizeof *guess);
    sx_status status = SX_OK;
    run->probed = 0;
    for (uint32_t i = run->boundary_count; i-- > 0 && status == SX_OK && !cli_interrupt_count();) {
        if (!(run->boundaries[i].flags & SX_TRACE_PROBED)) continue;
        answer.guess = guess;
        answer.guess_count = guess_count;
        status = probe_boundary(run, problem, &run->boundaries[i], &answer, error);
        guess_count = answer.count;
        memcpy(guess, answer.tokens, guess_count * sizeof *guess);
        show_progress(run, "boundary", ++run->probed);
    }
    free(guess);
    free(answer.tokens);
    free(answer.logprobs);
    return status;
}

static sx_status append(tracer *run, const cli_problem *problem, bool finished, sx_error *error)
{
    sx_trace_record record = {.prompt_hash = sx_trace_hash(problem->prompt),
                              .answer_count = run->reply.stats.answer_tokens};
    if (problem->answer) record.flags |= SX_TRACE_KNOWN;
    const char *answer = fe_text_string(&run->reply.answer);
    if (problem->answer && cli_check_answer(&run->checker, problem->prompt, answer, problem->answer))
        record.flags |= SX_TRACE_RIGHT;
    if (finished) {
        record.thinking_count = run->span.count;
        record.boundary_count = run->boundary_count;
        record.state_count = run->state_count;
        record.tokens = run->tokens + run->span.first;
        record.boundaries = run->boundaries;
        record.state_index = run->state_index;
        record.states = run->states;
    } else {
        record.flags |= SX_TRACE_UNFINISHED;
        run->unfinished++;
    }
    return sx_trace_writer_append(run->writer, &record, error);
}

static sx_status trace_problem(tracer *run, uint32_t index, const cli_problem *problem, sx_error *error)
{
    sx_status status = think(run, index, problem, error);
    if (status != SX_OK || run->reply.interrupted) return status;
    const uint32_t *tokens = sx_session_tokens(run->session, &run->token_count);
    run->tokens = fe_reallocate(run->tokens, run->token_count + 1, sizeof *run->tokens);
    memcpy(run->tokens, tokens, run->token_count * sizeof *tokens);
    const bool finished = run->reply.done_reason == SX_DONE_END_OF_TURN && run->reply.left &&
                          run->reply.exit.exit_reason == SX_REASON_NATURAL &&
                          sx_session_thinking(run->session, &run->span) && run->span.count;
    if (finished) {
        list_boundaries(run);
        status = read_states(run, error);
        if (status == SX_OK) status = probe_boundaries(run, problem, error);
    }
    if (status == SX_OK && !cli_interrupt_count()) status = append(run, problem, finished, error);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------

// Whether the replies can be written many at a time.
static bool can_batch(const tracer *run, sx_error *error)
{
    sx_message messages[2];
    const cli_problem nothing = {.prompt = ""};
    const sx_generate_desc desc = cli_ahead_describe(&run->context->options, &nothing, messages);
    return sx_batch_check(&desc, error) == SX_OK;
}

static int prepare(tracer *run)
{
    cli_context *context = run->context;
    const cli_options *options = &context->options;
    fe_text message = {0};
    int code = CLI_EXIT_OK;
    if (!options->output) return cli_usage_error(context, "-o FILE is needed: the trace to write or to go on with");
    if (options->prompts) {
        if (!cli_problems_read(&run->problems, options->prompts, options->limit, &message))
            code = cli_fail(context, "%s", message.data);
    } else if (options->model) {
        return cli_usage_error(context, "--prompts FILE is needed, with lines like {\"prompt\": ..., \"answer\": ...}");
    } else {
        cli_problems_bundled(&run->problems, options->limit);
    }
    fe_text_free(&message);
    sx_error error = {0};
    if (code == CLI_EXIT_OK && options->sequences > 1 && !can_batch(run, &error))
        code = cli_usage_error(context, "--sequences: %s", error.message);
    return code;
}

// The prompts that are not there yet, each once.
static void list_order(tracer *run)
{
    const cli_problems *problems = &run->problems;
    run->order = fe_allocate(problems->count, sizeof *run->order);
    for (uint32_t i = 0; i < problems->count; i++) {
        const char *prompt = problems->items[i].prompt;
        bool again = false;
        for (uint32_t j = 0; j < i && !again; j++)
            again = strcmp(problems->items[j].prompt, prompt) == 0;
        run->duplicates += again;
        if (!again && !sx_trace_writer_has(run->writer, sx_trace_hash(prompt))) run->order[run->order_count++] = i;
    }
}

static int open_writer(tracer *run)
{
    sx_engine_info engine;
    sx_error error = {0};
    sx_trace_info info = {.every_token = !run->context->options.steps_only};
    sx_engine_get_info(run->engine, &engine);
    sx_engine_get_identity(run->engine, &run->identity);
    if (!engine.thinks && run->context->options.think != CLI_THINK_PREFILL)
        return cli_fail(run->context,
                        "%s has no think markers: there is no thinking to trace, unless --think prefill makes it think",
                        engine.model_name);
    info.model = run->identity;
    snprintf(info.model_name, sizeof info.model_name, "%s", engine.model_name);
    snprintf(info.format, sizeof info.format, "%s", engine.format);
    fe_text setting = {0};
    cli_options_setting(&run->context->options, &setting);
    snprintf(info.setting, sizeof info.setting, "%s", setting.data);
    fe_text_free(&setting);
    if (sx_trace_writer_open(run->context->options.output, &info, &run->writer, &run->kept, &error) != SX_OK)
        return cli_fail(run->context, "%s", error.message);
    list_order(run);
    tell_size(run);
    return CLI_EXIT_OK;
}

// How many sequences are written at a time: what was asked for, or what pays on this device; never more than there are
// prompts.
static int open_ahead(tracer *run)
{
    const cli_options *options = &run->context->options;
    sx_error error = {0};
    uint32_t sequences = options->sequences;
    if (!sequences) sequences = can_batch(run, NULL) ? sx_batch_usual(run->engine) : 1;
    if (sequences > run->order_count) sequences = run->order_count;
    if (sequences < 2) return CLI_EXIT_OK;
    fe_text line = {0};
    fe_text_printf(&line, "%u sequences at a time: ", sequences);
    cli_format_bytes(&line, sx_batch_bytes(run->engine, sequences, NULL));
    fe_text_add(&line, " on the device beside the model and its session");
    tell(run, &line);
    sx_engine_info info;
    sx_engine_get_info(run->engine, &info);
    if (!info.bitwise_lossless) {
        fe_text_clear(&line);
        fe_text_add(&line, "this device computes a row differently in a batch: another number of sequences may write "
                           "another text at close calls");
        tell(run, &line);
    }
    fe_text_free(&line);
    if (cli_ahead_open(&run->ahead, run->engine, sequences, options, &run->problems, run->order, run->order_count,
                       &error) == SX_OK)
        return CLI_EXIT_OK;
    if (!options->sequences && error.status == SX_ERROR_GPU_MEMORY) return CLI_EXIT_OK; // nobody asked for so many
    return cli_fail(run->context, "--sequences: %s", error.message);
}

static int trace_all(tracer *run)
{
    run->begin = cli_seconds();
    for (uint32_t i = 0; i < run->order_count; i++) {
        run->at = run->order[i];
        const cli_problem *problem = &run->problems.items[run->at];
        sx_error error = {0};
        const sx_status status = trace_problem(run, i, problem, &error);
        if (status == SX_ERROR_CANCELLED || run->reply.interrupted || cli_interrupt_count())
            return cli_exit_interrupted();
        if (status == SX_ERROR_CONTEXT || status == SX_ERROR_FORMAT) {
            fe_text line = {0};
            fe_text_printf(&line, "prompt %u is left out: %s", run->at + 1, error.message);
            tell(run, &line);
            fe_text_free(&line);
            run->failed++;
        } else if (status != SX_OK) {
            return cli_fail(run->context, "prompt %u: %s", run->at + 1, error.message);
        }
        run->made++;
    }
    run->at = run->problems.count;
    return CLI_EXIT_OK;
}

static void summarise(tracer *run)
{
    fe_text line = {0};
    fe_text_printf(&line, "%s: %u prompts", run->context->options.output, run->kept + run->made - run->failed);
    if (run->kept) fe_text_printf(&line, " (%u were there)", run->kept);
    if (run->duplicates) fe_text_printf(&line, ", %u that appear twice taken once", run->duplicates);
    if (run->unfinished) fe_text_printf(&line, ", %u without an end of thinking", run->unfinished);
    if (run->failed) fe_text_printf(&line, ", %u left out", run->failed);
    fe_text_add(&line, ", ");
    cli_format_bytes(&line, sx_trace_writer_bytes(run->writer));
    if (run->at < run->problems.count) fe_text_add(&line, "; the same command goes on from here");
    tell(run, &line);
    fe_text_free(&line);
}

int cli_trace(cli_context *context)
{
    tracer *run = fe_allocate(1, sizeof *run);
    run->context = context;
    run->checker = cli_options_checker(&context->options);
    context->keep_states = true;
    int code = prepare(run);
    if (code == CLI_EXIT_OK) code = cli_load_engine(context, &run->engine);
    if (code == CLI_EXIT_OK) code = cli_load_session(context, run->engine, &run->session);
    if (code == CLI_EXIT_OK) code = open_writer(run);
    if (code == CLI_EXIT_OK) code = open_ahead(run);
    if (code == CLI_EXIT_OK) {
        code = trace_all(run);
        summarise(run);
    }
    cli_ahead_free(&run->ahead);
    sx_trace_writer_close(run->writer);
    sx_session_destroy(run->session);
    sx_engine_destroy(run->engine);
    cli_problems_free(&run->problems);
    cli_reply_free(&run->reply);
    free(run->order);
    free(run->tokens);
    free(run->boundaries);
    free(run->states);
    free(run->state_index);
    free(run);
    return code ? code : cli_finish_output(context);
}
