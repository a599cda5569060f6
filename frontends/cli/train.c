// specexit train-signals: signal rows from traces.
#include "commands.h"
#include "interrupt.h"
#include "json.h"
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
    cli_text line = {0};
    cli_text_add(&line, "training ");
    cli_bar(&line, fraction, 20);
    cli_text_printf(&line, " %3.0f %%", 100 * fraction);
    cli_status(terminal, line.data, false);
    cli_text_free(&line);
    return true;
}

static void add_report(cli_text *out, const sx_train_report *r)
{
    static const char *const names[] = {"confidence", "progress", "remain"};
    cli_text_printf(out, "%u prompts (%u held out), %llu tokens, %llu boundaries", r->prompts, r->held_prompts,
                    (unsigned long long)r->tokens, (unsigned long long)r->boundaries);
    if (r->skipped) cli_text_printf(out, "; %llu tokens left out: not a number", (unsigned long long)r->skipped);
    if (r->unfinished) cli_text_printf(out, "; %u prompts never ended their thinking", r->unfinished);
    cli_text_add(out, "\n");
    if (r->confidence_alone)
        cli_text_add(out, "all forced answers were alike right or wrong: confidence is learnt from the model's own "
                          "sureness\n");
    if (!r->held_prompts)
        cli_text_add(out, "no prompt was left to hold out: the penalties were not chosen, give more prompts\n");
    cli_text_add(out, "\nsignal        penalty  held-out loss  of a constant  correlation\n");
    for (int k = 0; k < 3; k++)
        cli_text_printf(out, "%-12s %8g %14.4f %14.4f %12.3f\n", names[k], (double)r->score[k].penalty,
                        r->score[k].held_loss, r->score[k].baseline_loss, r->score[k].correlation);
    cli_text_printf(out,
                    "\nconfidence against \"right if left here\", area under the curve: %.3f within problems, %.3f "
                    "across\n",
                    r->auc_within, r->auc_across);
    cli_text_printf(out, "%u passes, %.1f s on %s", r->passes, r->seconds, r->device[0] ? r->device : "the host");
    if (r->seconds > 0) cli_text_printf(out, ", %.2f GB/s of states", (double)r->bytes_moved * 1e-9 / r->seconds);
    cli_text_add(out, "\n");
}

static void add_json(cli_text *out, const sx_train_report *r)
{
    static const char *const names[] = {"confidence", "progress", "remain"};
    cli_json json = {.out = out};
    cli_json_open(&json, '{');
    cli_json_put_integer(&json, "prompts", r->prompts);
    cli_json_put_integer(&json, "held_prompts", r->held_prompts);
    cli_json_put_integer(&json, "unfinished", r->unfinished);
    cli_json_put_integer(&json, "tokens", r->tokens);
    cli_json_put_integer(&json, "boundaries", r->boundaries);
    cli_json_put_integer(&json, "skipped", r->skipped);
    cli_json_put_boolean(&json, "confidence_alone", r->confidence_alone);
    for (int k = 0; k < 3; k++) {
        cli_json_key(&json, names[k]);
        cli_json_open(&json, '{');
        cli_json_put_number(&json, "penalty", (double)r->score[k].penalty);
        cli_json_put_number(&json, "held_loss", r->score[k].held_loss);
        cli_json_put_number(&json, "baseline_loss", r->score[k].baseline_loss);
        cli_json_put_number(&json, "correlation", r->score[k].correlation);
        cli_json_close(&json, '}');
    }
    cli_json_put_number(&json, "auc_within", r->auc_within);
    cli_json_put_number(&json, "auc_across", r->auc_across);
    cli_json_put_integer(&json, "passes", r->passes);
    cli_json_put_integer(&json, "bytes_moved", r->bytes_moved);
    cli_json_put_number(&json, "seconds", r->seconds);
    cli_json_put_string(&json, "device", r->device);
    cli_json_close(&json, '}');
    cli_text_add(out, "\n");
}

int cli_train_signals(cli_context *context)
{
    const cli_options *options = &context->options;
    if (!context->operand_count) return cli_usage_error(context, "a trace is needed; `specexit trace` makes one");
    if (!options->output) return cli_usage_error(context, "-o FILE is needed: the signal head to write");
    char *cache = options->no_cache ? NULL
                  : options->cache  ? cli_copy_string(options->cache)
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
    cli_text out = {0};
    if (options->json)
        add_json(&out, &report);
    else
        add_report(&out, &report);
    cli_terminal_write(&context->terminal, out.data, out.length, CLI_PLAIN);
    cli_text_free(&out);
    return cli_finish_output(context);
}
