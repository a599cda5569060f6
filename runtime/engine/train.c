// Signal rows from a trace: the fit on the device, and the file it goes to.
#include "engine/fit_gpu.h"
#include "engine/internal.h"
#include "model/convert.h"
#include "signals/rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALL_SIGNALS = SX_SIGNAL_HAS_CONFIDENCE | SX_SIGNAL_HAS_PROGRESS | SX_SIGNAL_HAS_REMAIN };

static void fill_report(sx_train_report *report, const fit_result *fit, uint32_t width)
{
    for (int k = 0; k < FIT_SIGNALS; k++)
        report->score[k] = (sx_signal_score){fit->penalty[k], fit->held_loss[k], fit->baseline[k], fit->correlation[k]};
    report->auc_within = fit->auc_within;
    report->auc_across = fit->auc_across;
    report->passes = fit->passes;
    report->bytes_moved = 2 * fit->rows_read * width * 2; // read by both kernels
    report->seconds = fit->seconds;
}

static sx_status fit_on_device(const sx_train_desc *desc, const fit_source *source, fit_result *fit,
                               sx_train_report *report, sx_error *error)
{
    const sx_gpu_desc gpu = {.device = desc->device, .cache_dir = desc->cache_dir};
    const fit_options options = {.on_progress = desc->on_progress, .user = desc->user};
    fit_device device = {0};
    sx_fit_gpu *made = NULL;
    sx_status status = SX_OK;
    if (!desc->host_only) status = sx_fit_gpu_open(&gpu, source->width, desc->resident_bytes, &made, &device, error);
    // A software driver would run on the same cores, slower than plain C.
    if (made && sx_fit_gpu_is_cpu(made) && !desc->device) {
        sx_fit_gpu_close(made);
        made = NULL;
    }
    if (status == SX_OK && !made) status = fit_host_make(source->width, &device, error);
    const double start = sx_clock_seconds();
    if (status == SX_OK) status = fit_rows(source, &device, &options, fit, error);
    if (status == SX_OK) {
        fit->seconds = made ? sx_fit_gpu_seconds(made) : sx_clock_seconds() - start;
        if (made) snprintf(report->device, sizeof report->device, "%s", sx_fit_gpu_name(made));
    }
    if (made)
        sx_fit_gpu_close(made);
    else
        fit_host_free(&device);
    return status;
}

// What was learnt from what, for whoever finds the file.
typedef char card_texts[SX_CARD_KEYS][256];

// The texts must outlive the card.
static void fill_card(sx_signal_card *card, card_texts text, const sx_trace_info *info, const sx_train_report *report)
{
    snprintf(text[SX_CARD_TARGET], sizeof text[SX_CARD_TARGET], "%s (%s)", info->model_name, info->format);
    snprintf(text[SX_CARD_EXACT], sizeof text[SX_CARD_EXACT], "%016llx", (unsigned long long)info->model.exact);
    snprintf(text[SX_CARD_FAMILY], sizeof text[SX_CARD_FAMILY], "%016llx", (unsigned long long)info->model.family);
    snprintf(text[SX_CARD_REPLIES], sizeof text[SX_CARD_REPLIES], "%.250s", info->setting);
    snprintf(text[SX_CARD_DATA], sizeof text[SX_CARD_DATA],
             "%u prompts (%u held out to choose penalties), %llu tokens, %llu boundaries%s", report->prompts,
             report->held_prompts, (unsigned long long)report->tokens, (unsigned long long)report->boundaries,
             report->confidence_alone ? "; confidence is the model's own sureness" : "");
    snprintf(text[SX_CARD_SCORES], sizeof text[SX_CARD_SCORES],
             "held out: losses %.4f %.4f %.4f (constants: %.4f %.4f %.4f), correlations %.3f %.3f %.3f, AUC of "
             "confidence %.3f within problems, %.3f across",
             report->score[0].held_loss, report->score[1].held_loss, report->score[2].held_loss,
             report->score[0].baseline_loss, report->score[1].baseline_loss, report->score[2].baseline_loss,
             report->score[0].correlation, report->score[1].correlation, report->score[2].correlation,
             report->auc_within, report->auc_across);
    card->count = SX_CARD_KEYS;
    for (int key = 0; key < SX_CARD_KEYS; key++)
        card->entry[key] = (sx_card_entry){sx_card_keys[key], text[key]};
}

static sx_status check_draft(const sx_draft *draft, const sx_trace_info *info, sx_error *error)
{
    const sx_model_identity *m = &info->model;
    const bool fits = draft->aux_count == m->state_count && draft->aux_count * draft->target_hidden == m->state_width &&
                      (draft->aux_default || !memcmp(draft->aux_layers, m->state_layers, m->state_count * 4));
    if (fits) return SX_OK;
    return sx_fail(error, SX_ERROR_MISMATCH,
                   "%s: reads other layers of the model than the trace holds; trace with this draft", draft->name);
}

static sx_status write_rows(const sx_train_desc *desc, const sx_trace_info *info, const float *rows,
                            const sx_train_report *report, sx_error *error)
{
    const size_t bytes = (size_t)FIT_SIGNALS * info->model.state_width * sizeof *rows;
    const sx_source memory = sx_source_memory("trained rows", rows, bytes);
    const sx_tensor_ref signals = {.name = "signals.weight",
                                   .format = SX_FORMAT_F32,
                                   .slices = 1,
                                   .rows = FIT_SIGNALS,
                                   .columns = info->model.state_width,
                                   .source = &memory,
                                   .size = bytes};
    const sx_exit_defaults nothing = {NAN, NAN, NAN, NAN, NULL};
    card_texts texts;
    sx_draft alone = {.name = desc->output, .aux_count = info->model.state_count}, *draft = &alone;
    sx_status status = SX_OK;
    memcpy(alone.aux_layers, info->model.state_layers, sizeof alone.aux_layers);
    if (desc->draft_path) {
        // A lone row that is to be replaced need not say what it is.
        const sx_draft_options any = {.single_signal = SX_DRAFT_SIGNAL_CONFIDENCE};
        status = sx_draft_open(desc->draft_path, &any, &draft, error);
        if (status == SX_OK) status = check_draft(draft, info, error);
    }
    if (status == SX_OK) {
        draft->signals = signals;
        draft->signal_mask = ALL_SIGNALS;
        draft->exit = nothing;
        fill_card(&draft->card, texts, info, report);
        status = desc->draft_path ? sx_draft_write(draft, desc->output, NULL, error)
                                  : sx_signal_head_write(draft, desc->output, error);
    }
    if (draft != &alone) sx_draft_close(draft);
    return status;
}

sx_status sx_train_signals(const sx_train_desc *desc, sx_train_report *report, sx_error *error)
{
    memset(report, 0, sizeof *report);
    trace_rows *rows;
    sx_status status = trace_rows_open(desc->traces, desc->trace_count, desc->boundary_weight, &rows, error);
    if (status != SX_OK) return status;
    const sx_trace_info info = *trace_rows_info(rows);
    trace_rows_report(rows, report);
    const fit_source source = trace_rows_source(rows);
    fit_result fit = {0};
    status = fit_on_device(desc, &source, &fit, report, error);
    trace_rows_close(rows);
    if (status != SX_OK) return status;
    fill_report(report, &fit, info.model.state_width);
    status = write_rows(desc, &info, fit.rows, report, error);
    free(fit.rows);
    return status;
}
