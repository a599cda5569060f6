// specexit calibrate: thresholds by replaying traces; and the profiles that keep them.
#include "commands.h"
#include "json.h"
#include "specexit_signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const signal_names[] = {"confidence", "progress", "remain"};

static void add_rule(cli_text *out, const sx_exit_rule *rule)
{
    const char *separator = "";
    if (rule->signals & SX_SIGNAL_HAS_CONFIDENCE) {
        cli_text_printf(out, "confidence > %.3g", (double)rule->confidence);
        separator = ", ";
    }
    if (rule->signals & SX_SIGNAL_HAS_PROGRESS) {
        cli_text_printf(out, "%sprogress > %.3g", separator, (double)rule->progress);
        separator = ", ";
    }
    if (rule->signals & SX_SIGNAL_HAS_REMAIN) cli_text_printf(out, "%sremain < %.3g", separator, (double)rule->remain);
    cli_text_printf(out, "; %s", sx_smoothing_name(rule->smoothing));
    if (rule->smoothing == SX_SMOOTH_EWMA) cli_text_printf(out, " %.3g", (double)rule->alpha);
}

static void add_line(cli_text *out, const char *name, const sx_exit_rule *rule, const sx_calibration *c)
{
    cli_text_printf(out, "%-12s %7.1f %% %8.1f (%4.1f %% fewer)   ", name, 100 * rule->accuracy, rule->tokens,
                    c->full_tokens > 0 ? 100 * (1 - rule->tokens / c->full_tokens) : 0);
    add_rule(out, rule);
    cli_text_add(out, "\n");
}

static void add_report(cli_text *out, const sx_calibration *c)
{
    cli_text_printf(out, "%u prompts replayed, %u with known answers\n", c->prompts, c->known);
    if (!c->known) cli_text_add(out, "no answer is known: accuracy is agreement with the full reasoning's answer\n");
    if (c->single_tokens)
        cli_text_add(out, "the trace holds states of step boundaries alone: no smoothing was tried\n");
    cli_text_printf(out, "\n%-12s %9s %8s\n", "left by", "accuracy", "tokens");
    cli_text_printf(out, "%-12s %7.1f %% %8.1f\n", "nothing", 100 * c->full_accuracy, c->full_tokens);
    for (uint32_t i = 0; i < c->frontier_count; i++)
        add_line(out, i ? "" : "frontier", &c->frontier[i], c);
    if (c->has_choice)
        add_line(out, "chosen", &c->choice, c);
    else
        cli_text_add(out, "no rule does what was asked; ask for less\n");
    if (c->has_certified) {
        add_line(out, "certified", &c->certified, c);
        cli_text_printf(out,
                        "  (expected loss at most %.2f points on new prompts of this kind: conformal risk control on "
                        "%u prompts that took no part in choosing the family; its figures are of those)\n",
                        100 * c->risk, c->risk_prompts);
    } else {
        cli_text_printf(out, "no rule could be certified for %.2f points with %u prompts%s\n", 100 * c->risk,
                        c->risk_prompts,
                        c->risk_prompts + 1 < 1 / c->risk ? ": too few; trace more, or raise --risk" : "");
    }
}

static void put_rule(cli_json *json, const char *key, const sx_exit_rule *rule)
{
    if (key) cli_json_key(json, key);
    cli_json_open(json, '{');
    cli_json_key(json, "signals");
    cli_json_open(json, '[');
    for (int k = 0; k < 3; k++)
        if (rule->signals >> k & 1) cli_json_string(json, signal_names[k]);
    cli_json_close(json, ']');
    if (rule->signals & SX_SIGNAL_HAS_CONFIDENCE) cli_json_put_number(json, "confidence", (double)rule->confidence);
    if (rule->signals & SX_SIGNAL_HAS_PROGRESS) cli_json_put_number(json, "progress", (double)rule->progress);
    if (rule->signals & SX_SIGNAL_HAS_REMAIN) cli_json_put_number(json, "remain", (double)rule->remain);
    cli_json_put_string(json, "smoothing", sx_smoothing_name(rule->smoothing));
    if (rule->smoothing == SX_SMOOTH_EWMA) cli_json_put_number(json, "alpha", (double)rule->alpha);
    cli_json_put_number(json, "accuracy", rule->accuracy);
    cli_json_put_number(json, "thinking_tokens", rule->tokens);
    cli_json_close(json, '}');
}

// The profile: from "think little" to "think long", and what was asked for.
static void add_profile(cli_text *out, const sx_calibration *c, const sx_trace_info *info)
{
    char hash[32];
    cli_json json = {.out = out};
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)info->model.family);
    cli_json_open(&json, '{');
    cli_json_put_string(&json, "model", info->model_name);
    cli_json_put_string(&json, "model_family", hash);
    cli_json_put_integer(&json, "prompts", c->prompts);
    cli_json_put_number(&json, "full_accuracy", c->full_accuracy);
    cli_json_put_number(&json, "full_thinking_tokens", c->full_tokens);
    if (c->has_choice) put_rule(&json, "chosen", &c->choice);
    if (c->has_certified) {
        put_rule(&json, "certified", &c->certified);
        cli_json_put_number(&json, "certified_risk", c->risk);
        cli_json_put_integer(&json, "certified_prompts", c->risk_prompts);
    }
    cli_json_key(&json, "levels");
    cli_json_open(&json, '[');
    const uint32_t levels = c->frontier_count < SX_PROFILE_LEVELS ? c->frontier_count : SX_PROFILE_LEVELS;
    for (uint32_t i = 0; i < levels; i++)
        put_rule(&json, NULL, &c->frontier[levels > 1 ? i * (c->frontier_count - 1) / (levels - 1) : 0]);
    cli_json_close(&json, ']');
    cli_json_key(&json, "frontier");
    cli_json_open(&json, '[');
    for (uint32_t i = 0; i < c->frontier_count; i++)
        put_rule(&json, NULL, &c->frontier[i]);
    cli_json_close(&json, ']');
    cli_json_close(&json, '}');
    cli_text_add(out, "\n");
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
    sx_trace_reader *reader = NULL;
    sx_error error = {0};
    sx_calibration *result = cli_allocate(1, sizeof *result);
    cli_text out = {0}, profile = {0};
    sx_status status = sx_calibrate(&desc, result, &error);
    if (status == SX_OK) status = sx_trace_reader_open(desc.traces[0], &reader, &error);
    if (status == SX_OK) {
        add_profile(&profile, result, sx_trace_reader_info(reader));
        add_report(&out, result);
        if (options->output) status = sx_file_write_atomic(options->output, profile.data, profile.length, &error);
    }
    const cli_text *shown = options->json ? &profile : &out;
    if (status == SX_OK) cli_terminal_write(&context->terminal, shown->data, shown->length, CLI_PLAIN);
    sx_trace_reader_close(reader);
    cli_text_free(&out);
    cli_text_free(&profile);
    free(result);
    return status == SX_OK ? cli_finish_output(context) : cli_fail(context, "%s", error.message);
}

// ---- Profiles in use -----------------------------------------------------------------------------------------------

bool cli_profile_apply(cli_options *options, cli_text *message)
{
    sx_profile profile;
    sx_error error = {0};
    if (!options->profile) return true;
    if (sx_profile_read(options->profile, &profile, &error) != SX_OK) {
        cli_text_printf(message, "--profile %s", error.message);
        return false;
    }
    uint32_t level = options->effort < profile.level_count ? options->effort : profile.level_count;
    if (options->effort ? !level : !profile.has_chosen) {
        cli_text_printf(message, "--profile %s: has no %s", options->profile,
                        options->effort ? "levels for --effort" : "chosen rule; say --effort");
        return false;
    }
    const sx_exit_rule *rule = options->effort ? &profile.levels[level - 1] : &profile.chosen;
    sx_exit_rule_apply(rule, &options->policy);
    options->policy_kind = SX_POLICY_SIGNALS;
    if (rule->smoothing != SX_SMOOTH_AUTO) options->smoothing = rule->smoothing;
    return true;
}
