#include "score.h"

#include <math.h>
#include <string.h>

void cli_score_add(cli_score *score, const cli_reply *reply, bool known, bool right)
{
    const sx_stats *stats = &reply->stats;
    score->problems++;
    score->known += known;
    score->right += right;
    score->prompt_tokens += stats->prompt_tokens;
    score->thinking_tokens += stats->thinking_tokens;
    score->tokens += stats->tokens;
    score->forced_tokens += stats->forced_tokens;
    score->cycles += stats->cycles;
    score->drafted += stats->drafted;
    score->accepted += stats->accepted;
    score->submits += stats->submits;
    score->readbacks += stats->readbacks;
    score->readback_bytes += stats->readback_bytes;
    score->seconds += reply->seconds;
    score->prefill_seconds += stats->prefill_seconds;
    score->decode_seconds += stats->decode_seconds;
    score->first_token_seconds += stats->first_token_seconds;
    score->cycle_tokens += stats->acceptance_length * stats->cycles;
    score->exits[reply->left ? reply->exit.exit_reason : SX_REASON_NONE]++;
    score->unfinished += reply->done_reason == SX_DONE_MAXIMUM;
    score->watched += reply->watched;
    score->unlike += reply->unlike;
}

double cli_score_acceptance(const cli_score *score)
{
    return score->cycles ? score->cycle_tokens / (double)score->cycles : 0;
}

// E. B. Wilson (1927), with the normal quantile of 95 %.
void cli_wilson(uint32_t right, uint32_t known, double *low, double *high)
{
    const double z = 1.959963984540054, n = known, share = known ? right / n : 0;
    if (!known) {
        *low = *high = (double)NAN;
        return;
    }
    const double middle = (share + z * z / (2 * n)) / (1 + z * z / n);
    const double half = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n));
    *low = right ? middle - half : 0;
    *high = right < known ? middle + half : 1;
}

double cli_score_rate(const cli_score *score)
{
    return score->seconds > 0 ? (double)score->tokens / score->seconds : 0;
}

void cli_score_members(json_writer *json, const char *mode, const cli_score *score)
{
    double low, high;
    cli_wilson(score->right, score->known, &low, &high);
    json_put_string(json, "mode", mode);
    json_put_integer(json, "problems", score->problems);
    json_put_number(json, "accuracy", score->known ? (double)score->right / score->known : (double)NAN);
    json_put_number(json, "accuracy_low", low);
    json_put_number(json, "accuracy_high", high);
    json_put_integer(json, "right", score->right);
    json_put_integer(json, "known", score->known);
    json_put_integer(json, "prompt_tokens", score->prompt_tokens);
    json_put_integer(json, "thinking_tokens", score->thinking_tokens);
    json_put_integer(json, "tokens", score->tokens);
    json_put_integer(json, "forced_tokens", score->forced_tokens);
    json_put_integer(json, "cycles", score->cycles);
    json_put_integer(json, "drafted", score->drafted);
    json_put_integer(json, "accepted", score->accepted);
    json_put_number(json, "acceptance_length", cli_score_acceptance(score));
    json_put_number(json, "seconds", score->seconds);
    json_put_number(json, "tokens_per_second", cli_score_rate(score));
    json_put_number(json, "prefill_seconds", score->prefill_seconds);
    json_put_number(json, "decode_seconds", score->decode_seconds);
    json_put_number(json, "first_token_seconds", score->first_token_seconds);
    json_put_integer(json, "submits", score->submits);
    json_put_integer(json, "readbacks", score->readbacks);
    json_put_integer(json, "readback_bytes", score->readback_bytes);
    json_put_integer(json, "unfinished", score->unfinished);
    if (score->watched) json_put_integer(json, "unlike_profile", score->unlike);
    json_key(json, "exits");
    json_open(json, '{');
    for (int reason = 0; reason <= SX_REASON_ANSWER_NOW; reason++)
        if (score->exits[reason])
            json_put_integer(json, sx_exit_reason_name((sx_exit_reason)reason), score->exits[reason]);
    json_close(json, '}');
}

static void add_json(fe_text *out, const cli_score_list *list, uint32_t mode)
{
    json_writer json = {.out = out};
    json_open(&json, '{');
    cli_score_members(&json, list->modes[mode], &list->scores[mode]);
    json_put_string(&json, "model", list->model);
    json_put_string(&json, "device", list->device);
    json_close(&json, '}');
    fe_text_add(out, "\n");
}

static void add_row(fe_text *out, const char *mode, int width, const cli_score *score, bool full)
{
    double low, high;
    cli_wilson(score->right, score->known, &low, &high);
    fe_text_printf(out, "%-*s ", width, mode);
    if (score->known) {
        fe_text_printf(out, "%8.1f %%", 100.0 * score->right / score->known);
        if (full) fe_text_printf(out, " %6.1f to %5.1f", 100 * low, 100 * high);
    } else {
        fe_text_printf(out, full ? "%10s %15s" : "%10s", "-", "-");
    }
    fe_text_printf(out, " %10llu %9llu %8llu %10.2f %9.2f", (unsigned long long)score->thinking_tokens,
                   (unsigned long long)score->tokens, (unsigned long long)score->cycles, cli_score_acceptance(score),
                   score->seconds);
    if (full) fe_text_printf(out, " %9.1f", cli_score_rate(score));
    fe_text_add(out, "\n");
}

static void add_saving(fe_text *out, const char *mode, const cli_score *score, const char *baseline,
                       const cli_score *base)
{
    if (base->thinking_tokens == 0 || score->seconds <= 0) return;
    double fewer = 100 * (1 - (double)score->thinking_tokens / (double)base->thinking_tokens);
    double faster = base->seconds / score->seconds;
    fe_text_printf(out, "%s against %s: ", mode, baseline);
    if (fabs(fewer) < 0.05) {
        fe_text_add(out, "the same number of thinking tokens");
    } else {
        fe_text_printf(out, "%.1f %% %s thinking tokens", fabs(fewer), fewer >= 0 ? "fewer" : "more");
    }
    fe_text_printf(out, ", %.2f times %s", faster >= 1 ? faster : 1 / faster, faster >= 1 ? "faster" : "slower");
    if (score->known && base->known)
        fe_text_printf(out, ", accuracy %+.1f points",
                       100.0 * ((double)score->right / score->known - (double)base->right / base->known));
    fe_text_add(out, "\n");
}

static void add_table(fe_text *out, const cli_score_list *list, bool full)
{
    const char *const *modes = list->modes;
    int width = (int)strlen("mode");
    uint32_t baseline = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        width = (int)strlen(modes[i]) > width ? (int)strlen(modes[i]) : width;
        if (strcmp(modes[i], "speculative") == 0) baseline = i;
    }
    fe_text_printf(out, full ? "%-*s %10s %15s" : "%-*s %10s", width, "mode", "accuracy", "95 % interval");
    fe_text_printf(out, " %10s %9s %8s %10s %9s", "thinking", "tokens", "cycles", "per cycle", "seconds");
    fe_text_add(out, full ? "  tokens/s\n" : "\n");
    for (uint32_t i = 0; i < list->count; i++)
        add_row(out, modes[i], width, &list->scores[i], full);
    fe_text_add(out, "\n");
    for (uint32_t i = 0; i < list->count; i++)
        if (i != baseline) add_saving(out, modes[i], &list->scores[i], modes[baseline], &list->scores[baseline]);
    for (uint32_t i = 0; i < list->count; i++)
        if (list->scores[i].unlike)
            fe_text_printf(out, "%s: %u of %u problems look unlike those its profile was calibrated on\n", modes[i],
                           list->scores[i].unlike, list->scores[i].watched);
}

void cli_scores_print(cli_terminal *terminal, const cli_score_list *list, const char *heading, bool full, bool as_json)
{
    fe_text out = {0};
    for (uint32_t i = 0; as_json && i < list->count; i++)
        add_json(&out, list, i);
    if (!as_json) {
        fe_text_printf(&out, "%s · %s · %s\n\n", heading, list->model, list->device);
        add_table(&out, list, full);
    }
    cli_terminal_print(terminal, &out);
}
