// The frontier of accuracy against tokens, the rule for what is asked, and one whose risk is bounded.
#include "model/draft.h"
#include "signals/range.h"
#include "signals/replay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIDENCES = 50, PROGRESSES = 4, REMAINS = 4, AROUND = 3 };
static const float progresses[PROGRESSES] = {0, 0.1f, 0.2f, 0.3f}; // 0: the signal is not asked
static const float remains[REMAINS] = {0, 300, 100, 50};
static const double level_losses[SX_PROFILE_LEVELS] = {0.10, 0.05, 0.02, 0.01, 0};

// A family: all but the threshold that is swept.
typedef struct family {
    sx_exit_rule rule;
    uint32_t smoothing;
    uint32_t swept; // SX_SIGNAL_HAS_*
} family;

typedef struct calibrator {
    replay r;
    const sx_calibrate_desc *desc;
    sx_calibration *out;
    uint32_t mask;
    sx_signal_head *head; // one of the two holds the rows
    sx_draft *draft;
    sx_error *error;
} calibrator;

static sx_exit_rule swept_rule(const family *f, uint32_t step)
{
    sx_exit_rule rule = f->rule;
    const float share = (float)(step + 1) * 2 / 100 - (step == CONFIDENCES - 1 ? 0.005f : 0);
    if (f->swept == SX_SIGNAL_HAS_CONFIDENCE) rule.confidence = share;
    if (f->swept == SX_SIGNAL_HAS_PROGRESS) rule.progress = share;
    if (f->swept == SX_SIGNAL_HAS_REMAIN) rule.remain = 2000 * powf(share, 3); // the cautious end is the low one
    return rule;
}

// Accuracy and tokens of the rule over some of the prompts; `loss` (may be NULL): mean of "was right, is wrong now".
static void try_rule(const replay *r, sx_exit_rule *rule, uint32_t smoothing, int half, double *loss)
{
    double right = 0, tokens = 0, lost = 0, count = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const replay_prompt *p = &r->prompts[i];
        if (!replay_in_half(p, half)) continue;
        const uint32_t at = replay_exit(p, rule, smoothing);
        const bool left = at < p->boundary_count, good = left ? p->boundaries[at].right : p->right;
        right += good;
        tokens += left ? p->boundaries[at].tokens : p->tokens;
        lost += p->right && !good;
        count++;
    }
    rule->accuracy = count > 0 ? right / count : 0;
    rule->tokens = count > 0 ? tokens / count : 0;
    if (loss) *loss = count > 0 ? lost / count : 1;
}

static void full_reasoning(const replay *r, int half, double *accuracy, double *tokens, uint32_t *count)
{
    double right = 0, sum = 0;
    *count = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        if (!replay_in_half(&r->prompts[i], half)) continue;
        right += r->prompts[i].right;
        sum += r->prompts[i].tokens;
        ++*count;
    }
    *accuracy = *count ? right / *count : 0;
    *tokens = *count ? sum / *count : 0;
}

// ---- All families --------------------------------------------------------------------------------------------------

static bool next_family(const calibrator *c, uint32_t number, family *out)
{
    const uint32_t combined = PROGRESSES * REMAINS, each = combined + 2;
    const uint32_t smoothing = number / each, kind = number % each;
    if (smoothing >= c->r.smoothing_count) return false;
    *out = (family){.smoothing = smoothing,
                    .swept = SX_SIGNAL_HAS_CONFIDENCE,
                    .rule = {.smoothing = c->r.smoothings[smoothing].kind, .alpha = c->r.smoothings[smoothing].alpha}};
    if (kind < combined) {
        out->rule.progress = progresses[kind % PROGRESSES];
        out->rule.remain = remains[kind / PROGRESSES];
        out->rule.signals = SX_SIGNAL_HAS_CONFIDENCE | (out->rule.progress > 0 ? SX_SIGNAL_HAS_PROGRESS : 0) |
                            (out->rule.remain > 0 ? SX_SIGNAL_HAS_REMAIN : 0);
    } else {
        out->swept = out->rule.signals = kind == combined ? SX_SIGNAL_HAS_PROGRESS : SX_SIGNAL_HAS_REMAIN;
    }
    return true;
}

static bool usable(const calibrator *c, const family *f)
{
    return (f->rule.signals & ~c->mask) == 0;
}

// What is asked of a rule, with its worst accuracy among neighbouring thresholds.
typedef struct wish {
    double least_accuracy; // lose
    double most_tokens;    // save
    bool by_tokens;
    // What suits it best so far.
    bool have;
    sx_exit_rule rule;
    family from;
    double worst;
} wish;

static bool better(const wish *w, const sx_exit_rule *a, double worst_a)
{
    if (w->by_tokens) {
        if (a->tokens > w->most_tokens) return false;
        return !w->have || worst_a > w->worst || (worst_a == w->worst && a->tokens > w->rule.tokens);
    }
    if (worst_a < w->least_accuracy - 1e-9) return false;
    return !w->have || a->tokens < w->rule.tokens;
}

static double worst_around(const sx_exit_rule *rules, uint32_t step)
{
    double worst = 1;
    const uint32_t from = step > AROUND ? step - AROUND : 0;
    for (uint32_t i = from; i < CONFIDENCES && i <= step + AROUND; i++)
        worst = rules[i].accuracy < worst ? rules[i].accuracy : worst;
    return worst;
}

// The best rule for each of the wishes over some of the prompts.
static void choose(const calibrator *c, int half, wish *wishes, uint32_t count)
{
    sx_exit_rule sweep[CONFIDENCES];
    family f;
    for (uint32_t number = 0; next_family(c, number, &f); number++) {
        if (!usable(c, &f)) continue;
        for (uint32_t step = 0; step < CONFIDENCES; step++) {
            sweep[step] = swept_rule(&f, step);
            try_rule(&c->r, &sweep[step], f.smoothing, half, NULL);
        }
        for (uint32_t step = 0; step < CONFIDENCES; step++) {
            const double around = worst_around(sweep, step);
            for (wish *w = wishes; w < wishes + count; w++) {
                if (!better(w, &sweep[step], around)) continue;
                w->have = true;
                w->worst = around;
                w->rule = sweep[step];
                w->from = f;
            }
        }
    }
}

// ---- Frontier ------------------------------------------------------------------------------------------------------

static int by_tokens(const void *a, const void *b)
{
    const sx_exit_rule *x = a, *y = b;
    if (x->tokens != y->tokens) return x->tokens < y->tokens ? -1 : 1;
    return (x->accuracy < y->accuracy) - (x->accuracy > y->accuracy);
}

static sx_status find_frontier(calibrator *c)
{
    family f;
    uint32_t families = 0, count = 0;
    while (next_family(c, families, &f))
        families++;
    sx_exit_rule *rules = malloc((size_t)families * CONFIDENCES * sizeof *rules);
    if (!rules) return sx_fail(c->error, SX_ERROR_MEMORY, "out of memory for the frontier");
    for (uint32_t number = 0; next_family(c, number, &f); number++)
        for (uint32_t step = 0; step < CONFIDENCES && usable(c, &f); step++) {
            rules[count] = swept_rule(&f, step);
            try_rule(&c->r, &rules[count++], f.smoothing, REPLAY_ALL, NULL);
        }
    if (count) qsort(rules, count, sizeof *rules, by_tokens);
    double best = -1;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (rules[i].accuracy <= best) continue;
        best = rules[i].accuracy;
        rules[kept++] = rules[i];
    }
    const uint32_t most = sizeof c->out->frontier / sizeof *c->out->frontier;
    const uint32_t first = kept > most ? kept - most : 0; // the least accurate are of no use
    for (uint32_t i = first; i < kept; i++)
        c->out->frontier[c->out->frontier_count++] = rules[i];
    free(rules);
    return SX_OK;
}

// ---- Risk ----------------------------------------------------------------------------------------------------------

// The family is chosen on one half of the prompts; on the other, from the cautious end, the threshold goes down while
// (n R + 1) / (n + 1) <= risk, R being the largest mean loss seen on the way (so that it is monotone, as the theorem
// asks).
static void certify(calibrator *c)
{
    sx_calibration *out = c->out;
    double accuracy, tokens, worst = 0;
    uint32_t count, tuning;
    full_reasoning(&c->r, REPLAY_FIRST_HALF, &accuracy, &tokens, &tuning);
    full_reasoning(&c->r, REPLAY_SECOND_HALF, &(double){0}, &tokens, &count);
    out->risk = c->desc->risk > 0 ? c->desc->risk : c->desc->lose > 0 ? c->desc->lose : 0.02;
    out->risk_prompts = count;
    wish w = {.least_accuracy = accuracy - out->risk};
    if (!tuning || !count) return;
    choose(c, REPLAY_FIRST_HALF, &w, 1);
    if (!w.have) return;
    const family f = w.from;
    for (uint32_t i = 0; i < CONFIDENCES; i++) {
        // Low is cautious where fewer remaining tokens are asked for.
        const uint32_t step = f.swept == SX_SIGNAL_HAS_REMAIN ? i : CONFIDENCES - 1 - i;
        double loss;
        sx_exit_rule rule = swept_rule(&f, step);
        try_rule(&c->r, &rule, f.smoothing, REPLAY_SECOND_HALF, &loss);
        worst = loss > worst ? loss : worst;
        if ((count * worst + 1) / (count + 1) > out->risk) break;
        out->has_certified = true;
        out->certified = rule;
    }
}

// ---------------------------------------------------------------------------------------------------------------------

// The rows of a signal head, or of a draft that has some, in their places among three; freed with free.
static sx_status read_rows(calibrator *c, float **rows, sx_model_identity *model)
{
    const sx_draft_options options = {.single_signal = (sx_signal)c->desc->single_signal};
    sx_status status = sx_signal_head_open(c->desc->head_path, &options, &c->head, c->error);
    if (status == SX_ERROR_UNSUPPORTED || status == SX_ERROR_FORMAT)
        status = sx_draft_open(c->desc->head_path, &options, &c->draft, c->error);
    if (status != SX_OK) return status;
    const sx_signal_head *head = c->head;
    const sx_draft *draft = c->draft;
    const sx_tensor_ref *tensor = head ? &head->signals : &draft->signals;
    c->mask = head ? head->signal_mask : draft->signal_mask;
    *model =
        (sx_model_identity){.state_count = head ? head->aux_count : draft->aux_count, .state_width = tensor->columns};
    memcpy(model->state_layers, head ? head->aux_layers : draft->aux_layers, sizeof model->state_layers);
    if (!sx_tensor_exists(tensor))
        status = sx_fail(c->error, SX_ERROR_ARGUMENT, "%s: has no signal rows", c->desc->head_path);
    *rows = status == SX_OK ? calloc(3 * (size_t)tensor->columns, sizeof **rows) : NULL;
    if (status == SX_OK && !*rows) status = sx_fail(c->error, SX_ERROR_MEMORY, "out of memory for the signal rows");
    uint32_t next = 0;
    for (uint32_t k = 0; k < 3 && status == SX_OK; k++)
        if (c->mask >> k & 1)
            status = sx_tensor_read_floats(tensor, next++, 1, *rows + (size_t)k * tensor->columns, c->error);
    return status;
}

// The rows must be of the traces' model.
static sx_status check_card(calibrator *c)
{
    const sx_signal_card *card = c->head ? &c->head->card : &c->draft->card;
    sx_calibration *out = c->out;
    bool other_format;
    out->model = c->r.info.model;
    snprintf(out->model_name, sizeof out->model_name, "%s", c->r.info.model_name);
    const sx_status status =
        sx_signal_card_check(card, c->desc->head_path, out->model.exact, out->model.family, &other_format, c->error);
    out->other_format = other_format || c->r.other_format;
    return status;
}

static sx_status evaluate(calibrator *c)
{
    sx_calibration *out = c->out;
    if (!c->r.count)
        return sx_fail(c->error, SX_ERROR_ARGUMENT, "the trace holds no finished prompt; trace some first");
    out->prompts = c->r.count;
    for (uint32_t i = 0; i < c->r.count; i++)
        out->known += c->r.prompts[i].known;
    uint32_t count;
    full_reasoning(&c->r, REPLAY_ALL, &out->full_accuracy, &out->full_tokens, &count);
    out->single_tokens = c->r.steps_only;
    const sx_status status = find_frontier(c);
    if (status != SX_OK) return status;
    const double lose = c->desc->lose >= 0 ? c->desc->lose : 0.005;
    wish wishes[1 + SX_PROFILE_LEVELS] = {{.least_accuracy = out->full_accuracy - lose,
                                           .most_tokens = (1 - c->desc->save) * out->full_tokens,
                                           .by_tokens = c->desc->save > 0}};
    for (int i = 0; i < SX_PROFILE_LEVELS; i++)
        wishes[1 + i].least_accuracy = out->full_accuracy - level_losses[i];
    choose(c, REPLAY_ALL, wishes, 1 + SX_PROFILE_LEVELS);
    out->has_choice = wishes[0].have;
    out->choice = wishes[0].rule;
    for (int i = 1; i <= SX_PROFILE_LEVELS; i++)
        if (wishes[i].have) out->levels[out->level_count++] = wishes[i].rule;
    certify(c);
    range_fit(&c->r, c->mask, &out->range);
    return SX_OK;
}

sx_status sx_calibrate(const sx_calibrate_desc *desc, sx_calibration *out, sx_error *error)
{
    memset(out, 0, sizeof *out);
    calibrator c = {.desc = desc, .out = out, .error = error};
    float *rows = NULL;
    sx_model_identity model;
    sx_status status = read_rows(&c, &rows, &model);
    if (status == SX_OK && desc->signals) c.mask &= desc->signals;
    if (status == SX_OK && !c.mask)
        status = sx_fail(error, SX_ERROR_ARGUMENT, "%s: has no row of the signals asked for", desc->head_path);
    replay_choose(&c.r, desc->smoothing, desc->alpha);
    for (uint32_t i = 0; i < desc->trace_count && status == SX_OK; i++)
        status = replay_add(&c.r, desc->traces[i], rows, model.state_width, c.mask, &model, error);
    if (status == SX_OK) status = check_card(&c);
    if (status == SX_OK) status = evaluate(&c);
    sx_signal_head_close(c.head);
    sx_draft_close(c.draft);
    replay_free(&c.r);
    free(rows);
    return status;
}
