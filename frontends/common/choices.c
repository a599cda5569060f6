#include "common/choices.h"

#include <string.h>

const char *const fe_policy_names[] = {
    [SX_POLICY_AUTO] = "auto",     [SX_POLICY_NONE] = "none",       [SX_POLICY_SIGNALS] = "signals",
    [SX_POLICY_MARGIN] = "margin", [SX_POLICY_ENTROPY] = "entropy", NULL};
const char *const fe_smoothing_names[] = {[SX_SMOOTH_AUTO] = "auto",
                                          [SX_SMOOTH_EWMA] = "ewma",
                                          [SX_SMOOTH_MOMENTUM] = "momentum",
                                          [SX_SMOOTH_MEAN] = "mean",
                                          [SX_SMOOTH_PARAGRAPH_MEAN] = "paragraph-mean",
                                          [SX_SMOOTH_RAW] = "raw",
                                          NULL};
const char *const fe_draft_names[] = {[SX_DRAFT_AUTO] = "auto",   [SX_DRAFT_NONE] = "none", [SX_DRAFT_NGRAM] = "ngram",
                                      [SX_DRAFT_CHAIN] = "chain", [SX_DRAFT_TREE] = "tree", NULL};
const char *const fe_kv_names[] = {[SX_KV_F16] = "f16", [SX_KV_Q8_0] = "q8_0", NULL};
const char *const fe_precision_names[] = {[SX_PRECISION_FULL] = "full", [SX_PRECISION_FAST] = "fast", NULL};
const char *const fe_full_names[] = {[SX_FULL_REFUSE] = "refuse", [SX_FULL_SHIFT] = "shift", NULL};
const char *const fe_signal_names[] = {"confidence", "progress", "remain", NULL};

bool fe_choice_find(const char *const *names, const char *text, size_t length, uint32_t *index)
{
    for (uint32_t i = 0; names[i]; i++) {
        if (strlen(names[i]) == length && memcmp(names[i], text, length) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

void fe_choice_list(fe_text *out, const char *const *names, const char *word)
{
    for (size_t i = 0; names[i]; i++) {
        if (i > 0 && names[i + 1]) fe_text_add(out, ", ");
        if (i > 0 && !names[i + 1]) fe_text_printf(out, " %s ", word);
        fe_text_add(out, names[i]);
    }
}
