// specexit eval: every policy on the same prompts, in shards, with intervals, as a file and as a report.
#include "commands.h"
#include "evaluation.h"
#include "report.h"
#include "specexit_signals.h"
#include "text.h"
#include "trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MODES                                                                                                  \
    "plain,speculative,specexit,confidence,progress,remain,margin,entropy,budget=64,silent-budget=64,first,no-think"

enum { MOST_SHARDS = 1000000, SAVE_SECONDS = 60 };
static const size_t file_limit = (size_t)1 << 30;

// ---- Result ---------------------------------------------------------------------------------------------------------

static int save(cli_context *context, const cli_evaluation *evaluation)
{
    const cli_options *options = &context->options;
    sx_error error = {0};
    fe_text text = {0};
    sx_status status = SX_OK;
    if (options->output) {
        cli_evaluation_write(&text, evaluation);
        status = sx_file_write_atomic(options->output, text.data, text.length, &error);
    }
    if (status == SX_OK && options->report) {
        fe_text_clear(&text);
        cli_report(&text, evaluation);
        status = sx_file_write_atomic(options->report, text.data, text.length, &error);
    }
    fe_text_free(&text);
    return status == SX_OK ? CLI_EXIT_OK : cli_fail(context, "%s", error.message);
}

static void show(cli_context *context, const cli_evaluation *evaluation)
{
    const char *names[CLI_MAXIMUM_MODES];
    char heading[48];
    cli_score *scores = fe_allocate(CLI_MAXIMUM_MODES, sizeof *scores);
    cli_evaluation_scores(evaluation, scores);
    for (uint32_t i = 0; i < evaluation->mode_count; i++)
        names[i] = evaluation->modes[i];
    snprintf(heading, sizeof heading, "%u of %u problems", scores[0].problems, evaluation->prompts);
    const cli_score_list list = {names, scores, evaluation->mode_count, evaluation->model, evaluation->device};
    cli_scores_print(&context->terminal, &list, heading, true, context->options.json);
    free(scores);
}

// ---- Merging --------------------------------------------------------------------------------------------------------

static int merge(cli_context *context, cli_evaluation *evaluation)
{
    fe_text message = {0};
    if (!context->operand_count) return cli_usage_error(context, "--merge needs the files of the shards");
    if (context->options.shard || context->options.prompts)
        return cli_usage_error(context, "--merge runs nothing: leave --shard and --prompts out");
    for (int i = 0; i < context->operand_count && !message.length; i++) {
        const char *path = context->operands[i];
        char problem[512];
        size_t length;
        cli_evaluation read = {0};
        char *text = cli_read_all(path, file_limit, &length, problem, sizeof problem);
        if (!text) {
            fe_text_add(&message, problem);
        } else if (cli_evaluation_read(&read, text, length, path, &message)) {
            cli_evaluation_merge(evaluation, &read, &message);
        }
        free(text);
        cli_evaluation_free(&read);
    }
    const int code = message.length ? cli_fail(context, "%s", message.data) : CLI_EXIT_OK;
    fe_text_free(&message);
    return code == CLI_EXIT_OK ? save(context, evaluation) : code;
}

// ---- Running --------------------------------------------------------------------------------------------------------

static bool read_shard(const char *text, uint32_t *index, uint32_t *count)
{
    char *end = NULL, *last = NULL;
    *index = 0, *count = 1;
    if (!text) return true;
    const long shard = strtol(text, &end, 10);
    if (end == text || *end != '/') return false;
    const long shards = strtol(end + 1, &last, 10);
    if (last == end + 1 || *last || shard < 1 || shards < shard || shards > MOST_SHARDS) return false;
    *index = (uint32_t)shard - 1;
    *count = (uint32_t)shards;
    return true;
}

static void describe(const cli_trial *trial, cli_evaluation *out)
{
    const cli_options *options = &trial->context->options;
    const sx_policy *p = &options->policy;
    const sx_exit_thresholds *t = &trial->info.thresholds;
    sx_model_identity identity;
    fe_text text = {0};
    sx_engine_get_identity(trial->engine, &identity);
    snprintf(out->model_hash, sizeof out->model_hash, "%016llx", (unsigned long long)identity.exact);
    snprintf(out->model, sizeof out->model, "%s", trial->info.model_name);
    snprintf(out->draft, sizeof out->draft, "%s", trial->info.draft_name);
    snprintf(out->device, sizeof out->device, "%s", trial->info.device);
    cli_options_setting(options, &text);
    fe_text_printf(&text, "; tokens %u, context %u, kv %u", options->maximum_tokens, trial->info.context,
                   options->kv_type);
    if (trial->info.precision == SX_PRECISION_FAST) fe_text_add(&text, ", fast");
    fe_text_printf(&text, "; policy %u, signals %u, smoothing %u %g, thresholds %g %g %g %g %g", options->policy_kind,
                   p->signals, options->smoothing, (double)p->alpha, (double)p->confidence, (double)p->progress,
                   (double)p->remain, (double)p->margin, (double)p->entropy);
    fe_text_printf(&text, ", thinking %u %u %u, loop guard %u", p->minimum_thinking, p->soft_budget, p->hard_budget,
                   !p->no_loop_guard);
    fe_text_printf(&text, "; of the model %u, %g %g %g %g %g", trial->info.signals, (double)t->confidence,
                   (double)t->progress, (double)t->remain, (double)t->margin, (double)t->entropy);
    fe_text_printf(&text, "; drafting %u %u %u %u", options->draft_kind, options->drafting.depth,
                   options->drafting.branch, options->drafting.nodes);
    for (uint32_t i = 0; i < trial->mode_count; i++) {
        const cli_mode *mode = &trial->modes[i];
        if (!mode->profiled) continue;
        p = &mode->policy;
        fe_text_printf(&text, "; %s: signals %u, smoothing %d %g, thresholds %g %g %g", mode->name, p->signals,
                       (int)p->smoothing, (double)p->alpha, (double)p->confidence, (double)p->progress,
                       (double)p->remain);
    }
    snprintf(out->setting, sizeof out->setting, "%s", text.data);
    fe_text_clear(&text);
    for (uint32_t i = 0; i < trial->problems.count; i++) {
        const cli_problem *problem = &trial->problems.items[i];
        fe_text_printf(&text, "%s\n%s\n\n", problem->prompt, problem->answer ? problem->answer : "");
    }
    snprintf(out->prompts_hash, sizeof out->prompts_hash, "%016llx",
             (unsigned long long)sx_trace_hash(fe_text_string(&text)));
    fe_text_free(&text);
    out->prompts = trial->problems.count;
    out->mode_count = trial->mode_count;
    for (uint32_t i = 0; i < trial->mode_count; i++) {
        snprintf(out->modes[i], sizeof out->modes[i], "%s", trial->modes[i].name);
        out->natural[i] = trial->modes[i].natural;
    }
}

static int run(cli_trial *trial, cli_evaluation *evaluation)
{
    cli_context *context = trial->context;
    uint32_t shard, shards;
    if (!read_shard(context->options.shard, &shard, &shards))
        return cli_usage_error(context, "--shard needs I/N with I from 1 to N, such as 1/4, not \"%s\"",
                               context->options.shard);
    if (context->options.shard && !context->options.output)
        return cli_usage_error(context, "--shard needs -o FILE, which `specexit eval --merge` reads");
    int code = cli_trial_prepare(trial, context, DEFAULT_MODES);
    for (uint32_t i = 0; code == CLI_EXIT_OK && i < trial->mode_count; i++)
        for (uint32_t k = 0; code == CLI_EXIT_OK && k < i; k++)
            if (strcmp(trial->modes[i].name, trial->modes[k].name) == 0)
                code = cli_usage_error(context, "--modes has %s twice", trial->modes[i].name);
    if (code == CLI_EXIT_OK && shard >= trial->problems.count)
        code = cli_usage_error(context, "--shard %s is empty: there are %u prompts", context->options.shard,
                               trial->problems.count);
    if (code == CLI_EXIT_OK) code = cli_trial_load(trial);
    if (code != CLI_EXIT_OK) return code;
    describe(trial, evaluation);
    trial->planned = (trial->problems.count - shard - 1) / shards + 1;
    code = save(context, evaluation); // a place that cannot be written is told now, not after hours
    double saved = cli_seconds();
    for (uint32_t i = shard; code == CLI_EXIT_OK && i < trial->problems.count; i += shards) {
        const cli_problem *problem = &trial->problems.items[i];
        code = cli_trial_problem(trial, i);
        for (uint32_t mode = 0; code == CLI_EXIT_OK && mode < trial->mode_count; mode++)
            cli_evaluation_add(evaluation, mode, i, problem->prompt, problem->answer != NULL, trial->right[mode],
                               &trial->replies[mode]);
        if (code != CLI_EXIT_OK || cli_seconds() - saved < SAVE_SECONDS) continue;
        code = save(context, evaluation);
        saved = cli_seconds();
    }
    const int last = evaluation->count ? save(context, evaluation) : CLI_EXIT_OK;
    return code == CLI_EXIT_OK ? last : code;
}

int cli_eval(cli_context *context)
{
    cli_evaluation *evaluation = fe_allocate(1, sizeof *evaluation);
    cli_trial *trial = fe_allocate(1, sizeof *trial);
    const int code =
        context->options.merge ? merge(context, evaluation) : (trial->context = context, run(trial, evaluation));
    if (evaluation->count && (code == CLI_EXIT_OK || !context->options.merge)) show(context, evaluation);
    cli_trial_free(trial);
    cli_evaluation_free(evaluation);
    free(trial);
    free(evaluation);
    return code ? code : cli_finish_output(context);
}
