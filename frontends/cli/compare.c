// specexit compare: the same prompts in several modes, side by side.
#include "answers.h"
#include "commands.h"
#include "interrupt.h"
#include "modes.h"
#include "prompts.h"
#include "score.h"
#include "spark.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PICTURES = 3, WARM_UP_TOKENS = 8 }; // how many problems are drawn; length of the uncounted first replies

typedef struct comparison {
    cli_context *context;
    cli_mode modes[CLI_MAXIMUM_MODES];
    uint32_t mode_count;
    cli_problems problems;
    sx_engine *engine;
    sx_engine_info info;
    sx_session *sessions[CLI_MAXIMUM_MODES]; // one a mode, so that none profits from another's KV
    cli_score scores[CLI_MAXIMUM_MODES];
    cli_reply replies[CLI_MAXIMUM_MODES]; // to the problem at hand
    FILE *records;
} comparison;

static int prepare_problems(comparison *run)
{
    cli_context *context = run->context;
    const cli_options *options = &context->options;
    cli_text message = {0};
    int code = CLI_EXIT_OK;
    if (options->prompts && context->operand_count) {
        code = cli_usage_error(context, "give prompts as arguments or with --prompts, not both");
    } else if (options->prompts) {
        if (!cli_problems_read(&run->problems, options->prompts, options->limit, &message))
            code = cli_fail(context, "%s", message.data);
    } else if (context->operand_count) {
        for (int i = 0; i < context->operand_count && (!options->limit || (uint32_t)i < options->limit); i++)
            cli_problems_add(&run->problems, context->operands[i], NULL);
    } else if (options->model) {
        code = cli_usage_error(context, "the built-in problems are for the bundled model; give prompts, or --prompts "
                                        "FILE with lines like {\"prompt\": ..., \"answer\": ...}");
    } else {
        cli_problems_bundled(&run->problems, options->limit);
    }
    cli_text_free(&message);
    return code;
}

static int prepare(comparison *run)
{
    cli_context *context = run->context;
    cli_text message = {0};
    run->mode_count = cli_modes_parse(context->options.modes, &context->options, run->modes, &message);
    int code = run->mode_count ? CLI_EXIT_OK : cli_usage_error(context, "%s", message.data);
    cli_text_free(&message);
    if (code == CLI_EXIT_OK) code = prepare_problems(run);
    if (code == CLI_EXIT_OK && context->options.records) {
        run->records = fopen(context->options.records, "w");
        if (!run->records)
            code = cli_fail(context, "%s: cannot be written: %s", context->options.records, strerror(errno));
    }
    return code;
}

static sx_generate_desc describe(const comparison *run, uint32_t index)
{
    const cli_mode *mode = &run->modes[index];
    sx_generate_desc desc = cli_options_describe(&run->context->options);
    desc.policy = mode->policy;
    desc.drafting = mode->drafting;
    if (mode->first) {
        for (uint32_t i = index; i-- > 0;) {
            if (!run->modes[i].natural) continue;
            desc.policy.soft_budget = cli_first_budget(&run->replies[i], mode->mark);
            break;
        }
    }
    return desc;
}

// ---- Progress -------------------------------------------------------------------------------------------------------

typedef struct progress {
    comparison *run;
    uint32_t mode, problem;
} progress;

static void show_progress(void *user, const cli_reply *reply)
{
    progress *at = user;
    cli_terminal *terminal = &at->run->context->terminal;
    if (!cli_status_due(terminal)) return;
    uint32_t done = at->problem * at->run->mode_count + at->mode, all = at->run->problems.count * at->run->mode_count;
    cli_text line = {0};
    cli_text_add(&line, "comparing ");
    cli_bar(&line, (double)done / all, 20);
    cli_text_printf(&line, " problem %u of %u · %s · %u tokens · ctrl-c: stop and show the table", at->problem + 1,
                    at->run->problems.count, at->run->modes[at->mode].name, reply->stats.tokens);
    cli_status(terminal, line.data, false);
    cli_text_free(&line);
}

static void on_event(void *user, const sx_event *event, const cli_reply *reply)
{
    (void)event;
    show_progress(user, reply);
}

// ---- One reply ------------------------------------------------------------------------------------------------------

static sx_status ask(comparison *run, uint32_t mode, const char *prompt, uint32_t problem, uint32_t maximum,
                     cli_reply *reply, sx_error *error)
{
    const cli_options *options = &run->context->options;
    sx_message messages[2] = {{.role = SX_ROLE_SYSTEM, .content = options->system},
                              {.role = SX_ROLE_USER, .content = prompt}};
    sx_generate_desc desc = describe(run, mode);
    if (options->raw) {
        desc.prompt = prompt;
    } else {
        desc.messages = options->system ? messages : messages + 1;
        desc.message_count = options->system ? 2 : 1;
    }
    if (maximum) desc.maximum_tokens = maximum;
    progress at = {.run = run, .mode = mode, .problem = problem};
    cli_view view = {.event = on_event, .idle = show_progress, .stop_only = true, .user = &at};
    return cli_reply_generate(run->sessions[mode], &desc, &view, reply, error);
}

static void write_record(comparison *run, uint32_t mode, uint32_t problem, bool known, bool right)
{
    const cli_reply *reply = &run->replies[mode];
    const cli_problem *item = &run->problems.items[problem];
    cli_text line = {0};
    cli_json json = {.out = &line};
    cli_json_open(&json, '{');
    cli_json_put_string(&json, "mode", run->modes[mode].name);
    cli_json_put_integer(&json, "problem", problem);
    cli_json_put_string(&json, "prompt", item->prompt);
    cli_json_put_string(&json, "expected", item->answer);
    cli_json_key(&json, "right");
    if (known) {
        cli_json_boolean(&json, right);
    } else {
        cli_json_null(&json);
    }
    cli_json_put_string(&json, "thinking", cli_text_string(&reply->thinking));
    cli_json_put_string(&json, "answer", cli_text_string(&reply->answer));
    cli_reply_json(&json, reply);
    cli_json_close(&json, '}');
    cli_text_add(&line, "\n");
    fputs(line.data, run->records);
    cli_text_free(&line);
}

// ---- Showing --------------------------------------------------------------------------------------------------------

static void print(comparison *run, cli_text *text)
{
    cli_status_clear(&run->context->terminal);
    cli_terminal_write(&run->context->terminal, cli_text_string(text), text->length, CLI_PLAIN);
    cli_terminal_flush(&run->context->terminal);
    cli_text_free(text);
}

static bool is_right(const comparison *run, const cli_problem *problem, const char *answer)
{
    const cli_checker checker = cli_options_checker(&run->context->options);
    return cli_check_answer(&checker, problem->prompt, answer, problem->answer);
}

static void add_answer(const comparison *run, cli_text *out, const char *mode, const cli_reply *reply,
                       const cli_problem *problem)
{
    const char *answer = cli_text_string(&reply->answer);
    answer += strspn(answer, " \n");
    size_t line = strcspn(answer, "\n");
    size_t fits = cli_text_fit(answer, 50);
    bool cut = fits < strlen(answer);
    cli_text_printf(out, "  %-12s %4u thinking tokens, %6.2f s   %.*s%s", mode, reply->stats.thinking_tokens,
                    reply->seconds, (int)(fits < line ? fits : line), answer, cut ? " …" : "");
    if (problem->answer) cli_text_add(out, is_right(run, problem, answer) ? "  ✓" : "  ✗");
    cli_text_add(out, "\n");
}

// The answers of all modes, and the signals along the whole thinking with a mark where the last mode left it.
static void show_problem(comparison *run, uint32_t index)
{
    const cli_problem *problem = &run->problems.items[index];
    const cli_reply *natural = NULL, *early = NULL;
    cli_text out = {0};
    cli_text_printf(&out, "%s\n", problem->prompt);
    for (uint32_t i = 0; i < run->mode_count; i++) {
        const cli_reply *reply = &run->replies[i];
        add_answer(run, &out, run->modes[i].name, reply, problem);
        if (run->modes[i].natural && reply->point_count) natural = reply;
        if (!run->modes[i].natural && !early) early = reply;
    }
    unsigned columns = run->context->terminal.columns;
    unsigned width = columns > 40 ? columns - 30 : 20;
    bool left = early && early->left && early->exit.exit_reason != SX_REASON_NATURAL;
    if (natural)
        cli_signal_lines(&out, natural, left ? early->stats.thinking_tokens : 0, left ? early->exit_sentence : "",
                         width > 70 ? 70 : width);
    cli_text_add(&out, "\n");
    print(run, &out);
}

static void show_scores(comparison *run)
{
    const char *names[CLI_MAXIMUM_MODES];
    uint32_t baseline = 0;
    cli_text out = {0};
    for (uint32_t i = 0; i < run->mode_count; i++) {
        names[i] = run->modes[i].name;
        if (strcmp(names[i], "speculative") == 0) baseline = i;
    }
    if (run->context->options.json) {
        for (uint32_t i = 0; i < run->mode_count; i++)
            cli_score_json(&out, names[i], &run->scores[i], &run->info);
    } else {
        cli_text_printf(&out, "%u problem%s · %s · %s\n\n", run->scores[0].problems,
                        run->scores[0].problems == 1 ? "" : "s", run->info.model_name, run->info.device);
        cli_score_table(&out, names, run->scores, run->mode_count, baseline);
    }
    print(run, &out);
}

// ---------------------------------------------------------------------------------------------------------------------

static int load(comparison *run)
{
    int code = cli_load_engine(run->context, &run->engine);
    if (code != CLI_EXIT_OK) return code;
    sx_engine_get_info(run->engine, &run->info);
    for (uint32_t i = 0; code == CLI_EXIT_OK && i < run->mode_count; i++)
        code = cli_load_session(run->context, run->engine, &run->sessions[i]);
    return code;
}

// The first use of a kernel can cost its compilation; no mode shall pay for that in the figures.
static int warm_up(comparison *run)
{
    cli_reply reply = {0};
    sx_error error = {0};
    int code = CLI_EXIT_OK;
    for (uint32_t i = 0; code == CLI_EXIT_OK && i < run->mode_count; i++) {
        if (ask(run, i, "1", 0, WARM_UP_TOKENS, &reply, &error) != SX_OK)
            code = cli_fail(run->context, "%s", error.message);
        if (reply.interrupted) code = cli_exit_interrupted();
    }
    cli_reply_free(&reply);
    return code;
}

static int compare_problem(comparison *run, uint32_t index)
{
    const cli_problem *problem = &run->problems.items[index];
    bool known = problem->answer != NULL, right[CLI_MAXIMUM_MODES] = {false};
    for (uint32_t i = 0; i < run->mode_count; i++) {
        sx_error error = {0};
        cli_reply *reply = &run->replies[i];
        if (ask(run, i, problem->prompt, index, 0, reply, &error) != SX_OK)
            return cli_fail(run->context, "problem %u, mode %s: %s", index + 1, run->modes[i].name, error.message);
        if (reply->interrupted) return cli_exit_interrupted();
        right[i] = known && is_right(run, problem, cli_text_string(&reply->answer));
    }
    // Only now, so that a problem counts in all modes or in none.
    for (uint32_t i = 0; i < run->mode_count; i++) {
        cli_score_add(&run->scores[i], &run->replies[i], known, right[i]);
        if (run->records) write_record(run, i, index, known, right[i]);
    }
    if (!run->context->options.json && !run->context->options.quiet && index < PICTURES) show_problem(run, index);
    return CLI_EXIT_OK;
}

static int close_records(comparison *run)
{
    if (!run->records) return CLI_EXIT_OK;
    bool bad = ferror(run->records) != 0;
    bad = fclose(run->records) != 0 || bad;
    if (!bad) return CLI_EXIT_OK;
    return cli_fail(run->context, "%s: could not be written whole: %s", run->context->options.records, strerror(errno));
}

int cli_compare(cli_context *context)
{
    comparison *run = cli_allocate(1, sizeof *run);
    run->context = context;
    int code = prepare(run);
    if (code == CLI_EXIT_OK) code = load(run);
    if (code == CLI_EXIT_OK) code = warm_up(run);
    for (uint32_t i = 0; code == CLI_EXIT_OK && i < run->problems.count; i++)
        code = compare_problem(run, i);
    if (run->scores[0].problems) show_scores(run);
    int records = close_records(run);
    for (uint32_t i = 0; i < run->mode_count; i++) {
        sx_session_destroy(run->sessions[i]);
        cli_reply_free(&run->replies[i]);
    }
    sx_engine_destroy(run->engine);
    cli_problems_free(&run->problems);
    free(run);
    if (code == CLI_EXIT_OK) code = records;
    return code ? code : cli_finish_output(context);
}
