#include "signals/range.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// RIDGE: variance added to every value, in squared logits and logarithms, so that what never varies is no ruler.
enum { VALUES = SX_RANGE_VALUES, LEAST_PROMPTS = 20 };
static const double ridge = 0.01, wanted_share = 0.01;

static double logit(float probability)
{
    const double p = fmin(fmax((double)probability, 1e-4), 1 - 1e-4);
    return log(p / (1 - p));
}

static void values_of(uint32_t signals, const float raw[3], uint32_t tokens, double out[VALUES])
{
    out[0] = signals & SX_SIGNAL_HAS_CONFIDENCE ? logit(raw[0]) : 0;
    out[1] = signals & SX_SIGNAL_HAS_PROGRESS ? logit(raw[1]) : 0;
    out[2] = signals & SX_SIGNAL_HAS_REMAIN ? log(fmin(fmax((double)raw[2], 1), 1e6)) : 0;
    out[3] = log((double)(tokens ? tokens : 1));
}

static uint32_t step_tokens(const replay_prompt *prompt, uint32_t step)
{
    return prompt->boundaries[step].tokens - (step ? prompt->boundaries[step - 1].tokens : 0);
}

double range_distance(const sx_signal_range *range, uint32_t step, const float raw[3], uint32_t tokens)
{
    double x[VALUES], sum = 0;
    values_of(range->signals, raw, tokens, x);
    for (int i = 0; i < VALUES; i++) {
        double row = 0;
        for (int j = 0; j <= i; j++)
            row += range->scale[step][i][j] * (x[j] - range->mean[step][j]);
        sum += row * row;
    }
    return sum;
}

// The inverse of the Cholesky factor of `covariance`, which is positive definite.
static void whiten(double covariance[VALUES][VALUES], double out[VALUES][VALUES])
{
    double factor[VALUES][VALUES] = {{0}};
    for (int i = 0; i < VALUES; i++)
        for (int j = 0; j <= i; j++) {
            double sum = covariance[i][j];
            for (int k = 0; k < j; k++)
                sum -= factor[i][k] * factor[j][k];
            factor[i][j] = i == j ? sqrt(sum) : sum / factor[j][j];
        }
    memset(out, 0, VALUES * sizeof *out);
    for (int i = 0; i < VALUES; i++) {
        out[i][i] = 1 / factor[i][i];
        for (int j = 0; j < i; j++) {
            double sum = 0;
            for (int k = j; k < i; k++)
                sum += factor[i][k] * out[k][j];
            out[i][j] = -sum / factor[i][i];
        }
    }
}

// Mean and scale of a step over the first half; false where too few prompts have it.
static bool fit_step(const replay *r, uint32_t step, sx_signal_range *out)
{
    double covariance[VALUES][VALUES] = {{0}}, *mean = out->mean[step], count = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t p = 0; p < r->count; p++) {
            const replay_prompt *prompt = &r->prompts[p];
            double x[VALUES];
            if (!replay_in_half(prompt, REPLAY_FIRST_HALF) || prompt->boundary_count <= step) continue;
            values_of(out->signals, prompt->boundaries[step].raw, step_tokens(prompt, step), x);
            count += pass == 0;
            for (int i = 0; i < VALUES; i++) {
                mean[i] += pass == 0 ? x[i] : 0;
                for (int j = 0; j <= i && pass == 1; j++)
                    covariance[i][j] += (x[i] - mean[i]) * (x[j] - mean[j]) / count;
            }
        }
        if (count < LEAST_PROMPTS) return false;
        for (int i = 0; i < VALUES && pass == 0; i++)
            mean[i] /= count;
    }
    for (int i = 0; i < VALUES; i++)
        covariance[i][i] += ridge;
    whiten(covariance, out->scale[step]);
    return true;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// The limit that all but a share of the other half keep.
static void find_limit(const replay *r, sx_signal_range *out)
{
    uint32_t count = 0;
    double *distance = malloc((r->count + 1) * sizeof *distance);
    for (uint32_t p = 0; p < r->count && distance; p++) {
        const replay_prompt *prompt = &r->prompts[p];
        double most = 0;
        if (!replay_in_half(prompt, REPLAY_SECOND_HALF)) continue;
        for (uint32_t step = 0; step < out->steps && step < prompt->boundary_count; step++)
            most = fmax(most, range_distance(out, step, prompt->boundaries[step].raw, step_tokens(prompt, step)));
        distance[count++] = most;
    }
    if (count < LEAST_PROMPTS) {
        out->steps = 0;
    } else {
        qsort(distance, count, sizeof *distance, ascending);
        const uint32_t rank = (uint32_t)ceil((count + 1) * (1 - wanted_share));
        out->limit = distance[(rank < count ? rank : count) - 1];
        out->share = rank < count ? wanted_share : 1.0 / (count + 1);
    }
    free(distance);
}

void range_fit(const replay *r, uint32_t signals, sx_signal_range *out)
{
    *out = (sx_signal_range){.signals = signals};
    while (out->steps < SX_RANGE_STEPS && fit_step(r, out->steps, out))
        out->steps++;
    if (out->steps) find_limit(r, out);
    if (!out->steps) *out = (sx_signal_range){.signals = signals};
}

// ---- A reply -------------------------------------------------------------------------------------------------------

void sx_watch_begin(sx_watch *watch, const sx_signal_range *range)
{
    *watch = (sx_watch){.range = range && range->steps ? range : NULL};
}

void sx_watch_event(sx_watch *watch, const sx_event *event)
{
    if (!watch->range || event->kind != SX_EVENT_SIGNALS || !event->has_signals) return;
    watch->tokens++;
    if (!event->boundary) return;
    const float raw[3] = {event->raw.confidence, event->raw.progress, event->raw.remain};
    if (watch->step < watch->range->steps)
        watch->distance = fmax(watch->distance, range_distance(watch->range, watch->step, raw, watch->tokens));
    watch->step++;
    watch->tokens = 0;
}

bool sx_watch_unlike(const sx_watch *watch)
{
    return watch->range && watch->distance > watch->range->limit;
}
