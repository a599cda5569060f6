// specexit calibrate: thresholds by replaying traces; and the profiles that keep them.
#include "commands.h"
#include "specexit_signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_rule(fe_text *out, const sx_exit_rule *rule)
{
    const char *separator = "";
    if (rule->signals & SX_SIGNAL_HAS_CONFIDENCE) {
        fe_text_printf(out, "confidence > %.3g", (double)rule->confidence);
        separator = ", ";
    }
    if (rule->signals & SX_SIGNAL_HAS_PROGRESS) {
        fe_text_printf(out, "%sprogress > %.3g", separator, (double)rule->progress);
        separator = ", ";
    }
    if (rule->signals & SX_SIGNAL_HAS_REMAIN) fe_text_printf(out, "%sremain < %.3g", separator, (double)rule->remain);
    fe_text_printf(out, "; %s", sx_smoothing_name(rule->smoothing));
    if (rule->smoothing == SX_SMOOTH_EWMA) fe_text_printf(out, " %.3g", (double)rule->alpha);
}

static void add_line(fe_text *out, const char *name, const sx_exit_rule *rule, const sx_calibration *c)
{
    fe_text_printf(out, "%-12s %7.1f %% %8.1f (%4.1f %% fewer)   ", name, 100 * rule->accuracy, rule->tokens,
                   c->full_tokens > 0 ? 100 * (1 - rule->tokens / c->full_tokens) : 0);
    add_rule(out, rule);
    fe_text_add(out, "\n");
}

static void add_report(fe_text *out, const sx_calibration *c)
{
    fe_text_printf(out, "%u prompts replayed, %u with known answers\n", c->prompts, c->known);
    if (!c->known) fe_text_add(out, "no answer is known: accuracy is agreement with the full reasoning's answer\n");
    if (c->single_tokens) fe_text_add(out, "the trace holds states of step boundaries alone: no smoothing was tried\n");
    fe_text_printf(out, "\n%-12s %9s %8s\n", "left by", "accuracy", "tokens");
    fe_text_printf(out, "%-12s %7.1f %% %8.1f\n", "nothing", 100 * c->full_accuracy, c->full_tokens);
    for (uint32_t i = 0; i < c->frontier_count; i++)
        add_line(out, i ? "" : "frontier", &c->frontier[i], c);
    if (c->has_choice)
        add_line(out, "chosen", &c->choice, c);
    else
        fe_text_add(out, "no rule does what was asked; ask for less\n");
    if (c->has_certified) {
        add_line(out, "certified", &c->certified, c);
        fe_text_printf(out,
                       "  (expected loss at most %.2f points on new prompts of this kind: conformal risk control on "
                       "%u prompts that took no part in choosing the family; its figures are of those)\n",
                       100 * c->risk, c->risk_prompts);
    } else {
        fe_text_printf(out, "no rule could be certified for %.2f points with %u prompts%s\n", 100 * c->risk,
                       c->risk_prompts,
                       c->risk_prompts + 1 < 1 / c->risk ? ": too few; trace more, or raise --risk" : "");
    }
}

int cli_calibrate(cli_context *context)
{
    const cli_options *options = &context->options;
    if (!context->operand_count) return cli_usage_error(context, "a trace is needed; `specexit trace` makes one");
    if (!options->signal_head)
        return cli_usage_error(context, "--signal-head FILE is needed: a head, or a draft with signal rows");
    const sx_calibrate_desc desc = {.traces = (const char *const *)context->operands,
                                    .trace_count = (uint32_t)context->operand_count,
                                    .head_path = options->signal_head,
                                    .lose = options->lose > 0 ? (double)options->lose / 100 : -1,
                                    .save = (double)options->save / 100,
                                    .risk = (double)options->risk / 100,
                                    .signals = options->policy.signals,
                                    .smoothing = (sx_smoothing)options->smoothing,
                                    .alpha = options->policy.alpha};
    sx_error error = {0};
    sx_calibration *result = fe_allocate(1, sizeof *result);
    fe_text out = {0};
    char *profile = NULL;
    sx_status status = sx_calibrate(&desc, result, &error);
    if (status == SX_OK && !(profile = sx_profile_text(result)))
        status = sx_fail(&error, SX_ERROR_MEMORY, "out of memory for the profile");
    if (status == SX_OK && options->output)
        status = sx_file_write_atomic(options->output, profile, strlen(profile), &error);
    if (status == SX_OK && options->json) {
        for (char *at = profile; at[0] && at[1]; at++) // one line
            if (*at == '\n') *at = ' ';
        fe_text_add(&out, profile);
    } else if (status == SX_OK) {
        add_report(&out, result);
    }
    cli_terminal_write(&context->terminal, fe_text_string(&out), out.length, CLI_PLAIN);
    if (status == SX_OK && result->other_format)
        cli_note(context, "the files are of several quantisations of one model; calibrate with those of the one that "
                          "will run");
    fe_text_free(&out);
    sx_free(profile);
    free(result);
    return status == SX_OK ? cli_finish_output(context) : cli_fail(context, "%s", error.message);
}

// ---- Profiles in use -----------------------------------------------------------------------------------------------

bool cli_profile_apply(cli_options *options, fe_text *message)
{
    sx_profile *profile = &options->calibrated;
    sx_error error = {0};
    if (!options->profile) return true;
    if (sx_profile_read(options->profile, profile, &error) != SX_OK) {
        fe_text_printf(message, "--profile %s", error.message);
        return false;
    }
    uint32_t level = options->effort < profile->level_count ? options->effort : profile->level_count;
    if (options->effort ? !level : !profile->has_chosen) {
        fe_text_printf(message, "--profile %s: has no %s", options->profile,
                       options->effort ? "levels for --effort" : "chosen rule; say --effort");
        return false;
    }
    const sx_exit_rule *rule = options->effort ? &profile->levels[level - 1] : &profile->chosen;
    sx_exit_rule_apply(rule, &options->policy);
    options->policy_kind = SX_POLICY_SIGNALS;
    if (rule->smoothing != SX_SMOOTH_AUTO) options->smoothing = rule->smoothing;
    return true;
}

int cli_profile_check(cli_context *context, const sx_profile *profile, const char *name, const sx_engine *engine)
{
    sx_error error = {0};
    bool other_format;
    if (!name) return CLI_EXIT_OK;
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    if (sx_profile_check(profile, name, &info, &other_format, &error) != SX_OK)
        return cli_fail(context, "%s", error.message);
    if (other_format)
        cli_note(context, "%s: was calibrated on another quantisation of this model; its accuracy may not hold", name);
    return CLI_EXIT_OK;
}
