// Drafts of every layout as GGUF: the public face of model/convert.h.
#include "model/convert.h"
#include "engine/internal.h"

static bool report(void *user, uint64_t done, uint64_t total)
{
    const sx_convert_desc *desc = user;
    return !desc->on_progress || desc->on_progress(desc->user, total ? (double)done / (double)total : 1);
}

sx_status sx_convert_draft(const sx_convert_desc *desc, sx_error *error)
{
    sx_convert_options options = {.progress = report, .user = (void *)(uintptr_t)desc};
    if (desc->type) {
        options.requantize = true;
        if (!sx_format_from_name(desc->type, &options.format) || !sx_can_quantize(options.format))
            return sx_fail(error, SX_ERROR_ARGUMENT,
                           "type: \"%.20s\" cannot be written; possible are f32, f16, bf16, q8_0 and q4_k", desc->type);
    }
    const sx_draft_options draft_options = {.single_signal = (sx_signal)desc->single_signal};
    sx_draft *draft = NULL;
    sx_status status = sx_draft_open(desc->input, &draft_options, &draft, error);
    if (status != SX_OK) return status;
    status = desc->signals_only ? sx_signal_head_write(draft, desc->output, error)
                                : sx_draft_write(draft, desc->output, &options, error);
    sx_draft_close(draft);
    return status;
}
