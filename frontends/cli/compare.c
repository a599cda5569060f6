// specexit compare: the same prompts in several modes, side by side.
#include "commands.h"
#include "platform.h"
#include "score.h"
#include "spark.h"
#include "text.h"
#include "trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PICTURES = 3 }; // how many problems are drawn

typedef struct comparison {
    cli_trial trial;
    cli_score scores[CLI_MAXIMUM_MODES];
    FILE *records;
} comparison;

static int prepare(comparison *run, cli_context *context)
{
    int code = cli_trial_prepare(&run->trial, context, "plain,speculative,specexit");
    if (code == CLI_EXIT_OK && context->options.records) {
        run->records = cli_platform_create(context->options.records);
        if (!run->records)
            code = cli_fail(context, "%s: cannot be written: %s", context->options.records, strerror(errno));
    }
    return code;
}

static void write_record(comparison *run, uint32_t mode, uint32_t problem, bool known, bool right)
{
    const cli_reply *reply = &run->trial.replies[mode];
    const cli_problem *item = &run->trial.problems.items[problem];
    fe_text line = {0};
    json_writer json = {.out = &line};
    json_open(&json, '{');
    json_put_string(&json, "mode", run->trial.modes[mode].name);
    json_put_integer(&json, "problem", problem);
    json_put_string(&json, "prompt", item->prompt);
    json_put_string(&json, "expected", item->answer);
    json_key(&json, "right");
    if (known) {
        json_boolean(&json, right);
    } else {
        json_null(&json);
    }
    json_put_string(&json, "thinking", fe_text_string(&reply->thinking));
    json_put_string(&json, "answer", fe_text_string(&reply->answer));
    cli_reply_json(&json, reply);
    json_close(&json, '}');
    fe_text_add(&line, "\n");
    fputs(line.data, run->records);
    fe_text_free(&line);
}

// ---- Showing --------------------------------------------------------------------------------------------------------

static void add_answer(const comparison *run, fe_text *out, const char *mode, const cli_reply *reply,
                       const cli_problem *problem)
{
    const char *answer = fe_text_string(&reply->answer);
    answer += strspn(answer, " \n");
    size_t line = strcspn(answer, "\n");
    size_t fits = cli_text_fit(answer, 50);
    bool cut = fits < strlen(answer);
    fe_text_printf(out, "  %-12s %4u thinking tokens, %6.2f s   %.*s%s", mode, reply->stats.thinking_tokens,
                   reply->seconds, (int)(fits < line ? fits : line), answer, cut ? " …" : "");
    if (problem->answer) fe_text_add(out, cli_trial_is_right(&run->trial, problem, answer) ? "  ✓" : "  ✗");
    fe_text_add(out, "\n");
}

// The answers of all modes, and the signals along the whole thinking with a mark where the last mode left it.
static void show_problem(comparison *run, uint32_t index)
{
    const cli_problem *problem = &run->trial.problems.items[index];
    const cli_reply *natural = NULL, *early = NULL;
    fe_text out = {0};
    fe_text_printf(&out, "%s\n", problem->prompt);
    for (uint32_t i = 0; i < run->trial.mode_count; i++) {
        const cli_reply *reply = &run->trial.replies[i];
        add_answer(run, &out, run->trial.modes[i].name, reply, problem);
        if (run->trial.modes[i].natural && reply->point_count) natural = reply;
        if (!run->trial.modes[i].natural && !early) early = reply;
    }
    unsigned columns = run->trial.context->terminal.columns;
    unsigned width = columns > 40 ? columns - 30 : 20;
    bool left = early && early->left && early->exit.exit_reason != SX_REASON_NATURAL;
    if (natural)
        cli_signal_lines(&out, natural, left ? early->stats.thinking_tokens : 0, left ? early->exit_sentence : "",
                         width > 70 ? 70 : width);
    fe_text_add(&out, "\n");
    cli_terminal_print(&run->trial.context->terminal, &out);
}

// What the modes that nobody chose come to with a model that lacks a draft or signals.
static void explain_modes(const cli_trial *trial)
{
    const cli_options *options = &trial->context->options;
    fe_text out = {0};
    if (!trial->info.draft_name[0] && options->draft_kind == SX_DRAFT_AUTO)
        fe_text_add(&out, "speculative drafts by n-gram lookup: the model has no EAGLE-3 draft\n");
    if (!trial->info.signals && options->policy_kind == SX_POLICY_AUTO)
        fe_text_add(&out, "specexit leaves by margin: the model has no signals\n");
    if (out.length) cli_terminal_print(&trial->context->terminal, &out);
}

static void show_scores(comparison *run)
{
    const cli_trial *trial = &run->trial;
    const char *names[CLI_MAXIMUM_MODES];
    char heading[32];
    for (uint32_t i = 0; i < trial->mode_count; i++)
        names[i] = trial->modes[i].name;
    const uint32_t problems = run->scores[0].problems;
    snprintf(heading, sizeof heading, "%u problem%s", problems, problems == 1 ? "" : "s");
    const cli_score_list list = {names, run->scores, trial->mode_count, trial->info.model_name, trial->info.device};
    cli_scores_print(&trial->context->terminal, &list, heading, false, trial->context->options.json);
    if (trial->default_modes && !trial->context->options.json) explain_modes(trial);
}

// ---------------------------------------------------------------------------------------------------------------------

static int compare_problem(comparison *run, uint32_t index)
{
    const cli_options *options = &run->trial.context->options;
    const bool known = run->trial.problems.items[index].answer != NULL;
    int code = cli_trial_problem(&run->trial, index);
    if (code != CLI_EXIT_OK) return code;
    // Only now, so that a problem counts in all modes or in none.
    for (uint32_t i = 0; i < run->trial.mode_count; i++) {
        cli_score_add(&run->scores[i], &run->trial.replies[i], known, run->trial.right[i]);
        if (run->records) write_record(run, i, index, known, run->trial.right[i]);
    }
    if (!options->json && !options->quiet && index < PICTURES) show_problem(run, index);
    return CLI_EXIT_OK;
}

static int close_records(comparison *run)
{
    if (!run->records) return CLI_EXIT_OK;
    bool bad = ferror(run->records) != 0;
    bad = fclose(run->records) != 0 || bad;
    if (!bad) return CLI_EXIT_OK;
    return cli_fail(run->trial.context, "%s: could not be written whole: %s", run->trial.context->options.records,
                    strerror(errno));
}

int cli_compare(cli_context *context)
{
    comparison *run = fe_allocate(1, sizeof *run);
    int code = prepare(run, context);
    if (code == CLI_EXIT_OK) code = cli_trial_load(&run->trial);
    for (uint32_t i = 0; code == CLI_EXIT_OK && i < run->trial.problems.count; i++)
        code = compare_problem(run, i);
    if (run->scores[0].problems) show_scores(run);
    int records = close_records(run);
    cli_trial_free(&run->trial);
    free(run);
    if (code == CLI_EXIT_OK) code = records;
    return code ? code : cli_finish_output(context);
}
