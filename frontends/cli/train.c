// specexit train-signals: signal rows from traces.
#include "commands.h"
#include "common/choices.h"
#include "common/json_writer.h"
#include "interrupt.h"
#include "platform.h"
#include "specexit_signals.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool on_progress(void *user, double fraction)
{
    cli_terminal *terminal = user;
    if (cli_interrupt_count() || cli_interrupt_fatal()) return false;
    if (!cli_status_due(terminal)) return true;
    fe_text line = {0};
    fe_text_add(&line, "training ");
    cli_bar(&line, fraction, 20);
    fe_text_printf(&line, " %3.0f %%", 100 * fraction);
    cli_status(terminal, line.data, false);
    fe_text_free(&line);
    return true;
}

static void add_report(fe_text *out, const sx_train_report *r)
{
    fe_text_printf(out, "%u prompts (%u held out), %llu tokens, %llu boundaries", r->prompts, r->held_prompts,
                   (unsigned long long)r->tokens, (unsigned long long)r->boundaries);
    if (r->skipped) fe_text_printf(out, "; %llu tokens left out: not a number", (unsigned long long)r->skipped);
    if (r->unfinished) fe_text_printf(out, "; %u prompts never ended their thinking", r->unfinished);
    fe_text_add(out, "\n");
    if (r->confidence_alone)
        fe_text_add(out, "all forced answers were alike right or wrong: confidence is learnt from the model's own "
                         "sureness\n");
    if (!r->held_prompts)
        fe_text_add(out, "no prompt was left to hold out: the penalties were not chosen, give more prompts\n");
    fe_text_add(out, "\nsignal        penalty  held-out loss  of a constant  correlation\n");
    for (int k = 0; k < 3; k++)
        fe_text_printf(out, "%-12s %8g %14.4f %14.4f %12.3f\n", fe_signal_names[k], (double)r->score[k].penalty,
                       r->score[k].held_loss, r->score[k].baseline_loss, r->score[k].correlation);
    fe_text_printf(out,
                   "\nconfidence against \"right if left here\", area under the curve: %.3f within problems, %.3f "
                   "across\n",
                   r->auc_within, r->auc_across);
    fe_text_printf(out, "%u passes, %.1f s on %s", r->passes, r->seconds, r->device[0] ? r->device : "the host");
    if (r->seconds > 0) fe_text_printf(out, ", %.2f GB/s of states", (double)r->bytes_moved * 1e-9 / r->seconds);
    fe_text_add(out, "\n");
}

static void add_json(fe_text *out, const sx_train_report *r)
{
    json_writer json = {.out = out};
    json_open(&json, '{');
    json_put_integer(&json, "prompts", r->prompts);
    json_put_integer(&json, "held_prompts", r->held_prompts);
    json_put_integer(&json, "unfinished", r->unfinished);
    json_put_integer(&json, "tokens", r->tokens);
    json_put_integer(&json, "boundaries", r->boundaries);
    json_put_integer(&json, "skipped", r->skipped);
    json_put_boolean(&json, "confidence_alone", r->confidence_alone);
    for (int k = 0; k < 3; k++) {
        json_key(&json, fe_signal_names[k]);
        json_open(&json, '{');
        json_put_number(&json, "penalty", (double)r->score[k].penalty);
        json_put_number(&json, "held_loss", r->score[k].held_loss);
        json_put_number(&json, "baseline_loss", r->score[k].baseline_loss);
        json_put_number(&json, "correlation", r->score[k].correlation);
        json_close(&json, '}');
    }
    json_put_number(&json, "auc_within", r->auc_within);
    json_put_number(&json, "auc_across", r->auc_across);
    json_put_integer(&json, "passes", r->passes);
    json_put_integer(&json, "bytes_moved", r->bytes_moved);
    json_put_number(&json, "seconds", r->seconds);
    json_put_string(&json, "device", r->device);
    json_close(&json, '}');
    fe_text_add(out, "\n");
}

int cli_train_signals(cli_context *context)
{
    const cli_options *options = &context->options;
    if (!context->operand_count) return cli_usage_error(context, "a trace is needed; `specexit trace` makes one");
    if (!options->output) return cli_usage_error(context, "-o FILE is needed: the signal head to write");
    char *cache = options->no_cache ? NULL
                  : options->cache  ? fe_copy_string(options->cache)
                                    : cli_platform_cache_folder();
    const sx_train_desc desc = {.traces = (const char *const *)context->operands,
                                .trace_count = (uint32_t)context->operand_count,
                                .output = options->output,
                                .draft_path = options->into,
                                .device = options->device,
                                .cache_dir = cache,
                                .host_only = options->host,
                                .on_progress = on_progress,
                                .user = &context->terminal};
    sx_train_report report;
    sx_error error = {0};
    const sx_status status = sx_train_signals(&desc, &report, &error);
    cli_status_clear(&context->terminal);
    free(cache);
    if (status == SX_ERROR_CANCELLED) return cli_exit_interrupted();
    if (status != SX_OK) return cli_fail(context, "%s", error.message);
    fe_text out = {0};
    if (options->json)
        add_json(&out, &report);
    else
        add_report(&out, &report);
    cli_terminal_write(&context->terminal, out.data, out.length, CLI_PLAIN);
    fe_text_free(&out);
    return cli_finish_output(context);
}
