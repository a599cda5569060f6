#include "trial.h"
#include "interrupt.h"

#include <stdlib.h>
#include <string.h>

enum { WARM_UP_TOKENS = 8 }; // length of the uncounted first replies

static int prepare_problems(cli_trial *run)
{
    cli_context *context = run->context;
    const cli_options *options = &context->options;
    fe_text message = {0};
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
    fe_text_free(&message);
    return code;
}

int cli_trial_prepare(cli_trial *run, cli_context *context, const char *modes)
{
    fe_text message = {0};
    run->context = context;
    run->default_modes = !context->options.modes;
    run->mode_count =
        cli_modes_parse(run->default_modes ? modes : context->options.modes, &context->options, run->modes, &message);
    int code = run->mode_count ? CLI_EXIT_OK : cli_usage_error(context, "%s", message.data);
    fe_text_free(&message);
    if (code == CLI_EXIT_OK) code = prepare_problems(run);
    run->planned = run->problems.count;
    return code;
}

static sx_generate_desc describe(const cli_trial *run, uint32_t index)
{
    const cli_mode *mode = &run->modes[index];
    sx_generate_desc desc = cli_options_describe(&run->context->options);
    desc.policy = mode->policy;
    desc.drafting = mode->drafting;
    desc.no_thinking = desc.no_thinking || mode->no_thinking;
    if (mode->no_thinking) desc.prefill_thinking = false;
    for (uint32_t i = index; (mode->first || mode->steps) && i-- > 0;) {
        if (!run->modes[i].natural) continue;
        const cli_reply *natural = &run->replies[i];
        desc.policy.soft_budget =
            mode->first ? cli_first_budget(natural, mode->mark) : cli_steps_budget(natural, mode->steps);
        break;
    }
    return desc;
}

// ---- Progress -------------------------------------------------------------------------------------------------------

typedef struct progress {
    cli_trial *run;
    uint32_t mode;
} progress;

static void show_progress(void *user, const cli_reply *reply)
{
    progress *at = user;
    cli_terminal *terminal = &at->run->context->terminal;
    if (!cli_status_due(terminal)) return;
    const cli_trial *run = at->run;
    uint32_t done = run->done * run->mode_count + at->mode, all = run->planned * run->mode_count;
    fe_text line = {0};
    fe_text_printf(&line, "%s ", strcmp(run->context->command, "compare") == 0 ? "comparing" : "evaluating");
    cli_bar(&line, (double)done / all, 20);
    fe_text_printf(&line, " problem %u of %u · %s · %u tokens · ctrl-c: stop and show the table", run->done + 1,
                   run->planned, run->modes[at->mode].name, reply->stats.tokens);
    cli_status(terminal, line.data, false);
    fe_text_free(&line);
}

static void on_event(void *user, const sx_event *event, const cli_reply *reply)
{
    (void)event;
    show_progress(user, reply);
}

// ---- One reply ------------------------------------------------------------------------------------------------------

static sx_status ask(cli_trial *run, uint32_t mode, const char *prompt, uint32_t maximum, cli_reply *reply,
                     sx_error *error)
{
    sx_message messages[2];
    sx_generate_desc desc = describe(run, mode);
    cli_options_prompt(&run->context->options, prompt, messages, &desc);
    if (maximum) desc.maximum_tokens = maximum;
    progress at = {.run = run, .mode = mode};
    cli_view view = {.event = on_event, .idle = show_progress, .stop_only = true, .user = &at};
    if (desc.policy.kind == SX_POLICY_SIGNALS) view.range = &run->modes[mode].calibrated.range;
    return cli_reply_generate(run->sessions[mode], &desc, &view, reply, error);
}

bool cli_trial_is_right(const cli_trial *run, const cli_problem *problem, const char *answer)
{
    const cli_checker checker = cli_options_checker(&run->context->options);
    return problem->answer && cli_check_answer(&checker, problem->prompt, answer, problem->answer);
}

// ---- All of them ----------------------------------------------------------------------------------------------------

// The first use of a kernel can cost its compilation; no mode shall pay for that in the figures.
static int warm_up(cli_trial *run)
{
    cli_reply reply = {0};
    sx_error error = {0};
    int code = CLI_EXIT_OK;
    for (uint32_t i = 0; code == CLI_EXIT_OK && i < run->mode_count; i++) {
        if (ask(run, i, "1", WARM_UP_TOKENS, &reply, &error) != SX_OK)
            code = cli_fail(run->context, "%s", error.message);
        if (reply.interrupted) code = cli_exit_interrupted();
    }
    cli_reply_free(&reply);
    return code;
}

// What was not asked for is left out where the model cannot do it.
static void drop_modes(cli_trial *run)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->mode_count; i++) {
        const sx_policy *policy = &run->modes[i].policy;
        const bool lacks =
            policy->kind == SX_POLICY_SIGNALS && (!run->info.signals || (policy->signals & ~run->info.signals));
        if (!lacks) run->modes[kept++] = run->modes[i];
    }
    run->mode_count = kept;
}

int cli_trial_load(cli_trial *run)
{
    int code = cli_load_engine(run->context, &run->engine);
    if (code != CLI_EXIT_OK) return code;
    sx_engine_get_info(run->engine, &run->info);
    if (run->default_modes) drop_modes(run);
    for (uint32_t i = 0; code == CLI_EXIT_OK && i < run->mode_count; i++)
        if (run->modes[i].profiled)
            code = cli_profile_check(run->context, &run->modes[i].calibrated, run->modes[i].name, run->engine);
    for (uint32_t i = 0; code == CLI_EXIT_OK && i < run->mode_count; i++)
        code = cli_load_session(run->context, run->engine, &run->sessions[i]);
    return code == CLI_EXIT_OK ? warm_up(run) : code;
}

int cli_trial_problem(cli_trial *run, uint32_t index)
{
    const cli_problem *problem = &run->problems.items[index];
    for (uint32_t i = 0; i < run->mode_count; i++) {
        sx_error error = {0};
        cli_reply *reply = &run->replies[i];
        if (ask(run, i, problem->prompt, 0, reply, &error) != SX_OK)
            return cli_fail(run->context, "problem %u, mode %s: %s", index + 1, run->modes[i].name, error.message);
        if (reply->interrupted) return cli_exit_interrupted();
        run->right[i] = cli_trial_is_right(run, problem, fe_text_string(&reply->answer));
    }
    run->done++;
    return CLI_EXIT_OK;
}

void cli_trial_free(cli_trial *run)
{
    for (uint32_t i = 0; i < run->mode_count; i++) {
        sx_session_destroy(run->sessions[i]);
        cli_reply_free(&run->replies[i]);
    }
    sx_engine_destroy(run->engine);
    cli_problems_free(&run->problems);
}
