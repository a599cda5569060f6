#include "signals/fit.h"

#include "model/quant.h"
#include "specexit_signals.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NEWTON_STEPS = 4, REFIT_STEPS = 2, CONJUGATE_STEPS = 10, HALVINGS = 3, SCALE_STRIDE = 4, MOST_RANKED = 1 << 20 };
static const float penalties[FIT_PENALTIES] = {1e-5f, 1e-4f, 1e-3f, 1e-2f, 1e-1f};

// One fit. Vectors [width], in the space of scaled columns.
typedef struct fit_system {
    uint32_t signal;
    double penalty;
    bool all;    // learns from held-out prompts, too
    bool active; // not finished
    double *w, *best, *direction, *residual, *search, *gradient;
    double loss, held_loss, best_loss, first_norm, squares, step;
} fit_system;

typedef struct fit {
    const fit_source *source;
    const fit_device *device;
    const fit_options *options;
    fit_result *result;
    uint32_t width, count; // systems
    fit_system system[FIT_SYSTEMS];
    double *memory, *scale;
    double weight[FIT_SIGNALS][2], mean[FIT_SIGNALS][2]; // [train, held]
    fit_block block;
    float *v, *z, *a, *g;
    uint32_t expected_passes;
    sx_error *error;
} fit;

static double sigmoid(double z)
{
    return 1 / (1 + exp(-z));
}

// log(1 + exp(z)) - y z
static double cross_entropy(double z, double y)
{
    return (z > 0 ? z + log1p(exp(-z)) : log1p(exp(z))) - y * z;
}

static double loss_of(uint32_t signal, double z, double y)
{
    return signal == 2 ? (z - y) * (z - y) : cross_entropy(z, y);
}

// ---- Passes --------------------------------------------------------------------------------------------------------

static sx_status count_pass(fit *f)
{
    fit_result *result = f->result;
    result->passes++;
    const double done = (double)result->passes / f->expected_passes;
    if (f->options->on_progress && !f->options->on_progress(f->options->user, done < 0.99 ? done : 0.99))
        return sx_fail(f->error, SX_ERROR_CANCELLED, "the training was stopped");
    return SX_OK;
}

// Vectors of the systems into columns: w at the front, the search direction behind where `search`.
static void put_columns(fit *f, bool search)
{
    memset(f->v, 0, (size_t)f->width * FIT_COLUMNS * sizeof *f->v);
    for (uint32_t s = 0; s < f->count; s++) {
        const fit_system *system = &f->system[s];
        for (uint32_t j = 0; j < f->width; j++) {
            float *row = f->v + (size_t)j * FIT_COLUMNS;
            row[s] = (float)(system->w[j] * f->scale[j]);
            if (search) row[FIT_SYSTEMS + s] = (float)(system->search[j] * f->scale[j]);
        }
    }
}

// What a row adds to a system's sums: the residual, or the Hessian's product with the search direction.
static double row_share(fit_system *system, const fit_label *label, const float *z, uint32_t s, bool search)
{
    const uint32_t k = system->signal;
    const double weight = (double)label->weight[k], value = (double)z[s];
    if (weight == 0) return 0;
    const bool learns = system->all || !label->held;
    const double probability = k == 2 ? 0 : sigmoid(value);
    if (search) {
        if (!learns) return 0;
        return weight * (k == 2 ? 1 : probability * (1 - probability)) * (double)z[FIT_SYSTEMS + s];
    }
    const double loss = weight * loss_of(k, value, (double)label->y[k]);
    *(label->held ? &system->held_loss : &system->loss) += loss;
    if (label->held && system->all) system->loss += loss;
    return learns ? weight * ((k == 2 ? value : probability) - (double)label->y[k]) : 0;
}

static sx_status take_block(fit *f, bool search)
{
    sx_status status = f->device->project(f->device->user, &f->block, f->z, f->error);
    if (status != SX_OK) return status;
    memset(f->a, 0, (size_t)f->block.rows * FIT_SYSTEMS * sizeof *f->a);
    for (uint32_t r = 0; r < f->block.rows; r++)
        for (uint32_t s = 0; s < f->count; s++)
            f->a[(size_t)r * FIT_SYSTEMS + s] =
                (float)row_share(&f->system[s], &f->block.label[r], f->z + (size_t)r * FIT_COLUMNS, s, search);
    f->result->rows_read += f->block.rows;
    return f->device->accumulate(f->device->user, &f->block, f->a, f->error);
}

// The weights a system's sums are divided by.
static double total_weight(const fit *f, const fit_system *system)
{
    const double *weight = f->weight[system->signal];
    const double total = weight[0] + (system->all ? weight[1] : 0);
    return total > 0 ? total : 1; // nothing to learn from: all sums are zero
}

// One pass over the data: sums into `gradient` (with the penalty's share), or the product with `search` there.
static sx_status pass(fit *f, bool search)
{
    put_columns(f, search);
    for (uint32_t s = 0; s < f->count && !search; s++)
        f->system[s].loss = f->system[s].held_loss = 0;
    sx_status status = count_pass(f);
    if (status == SX_OK) status = f->device->begin(f->device->user, f->v, f->error);
    f->source->rewind(f->source->user);
    while (status == SX_OK) {
        status = f->source->next(f->source->user, &f->block, f->error);
        if (status != SX_OK || !f->block.rows) break;
        status = take_block(f, search);
    }
    if (status == SX_OK) status = f->device->sum(f->device->user, f->g, f->error);
    for (uint32_t s = 0; s < f->count && status == SX_OK; s++) {
        fit_system *system = &f->system[s];
        const double total = total_weight(f, system), *ridge = search ? system->search : system->w;
        double squares = 0;
        for (uint32_t j = 0; j < f->width; j++) {
            system->gradient[j] =
                f->scale[j] * (double)f->g[(size_t)j * FIT_SYSTEMS + s] / total + system->penalty * ridge[j];
            squares += system->w[j] * system->w[j];
        }
        if (search) continue;
        system->loss = system->loss / total * (system->signal == 2 ? 0.5 : 1) + system->penalty / 2 * squares;
        system->held_loss /= f->weight[system->signal][1] > 0 ? f->weight[system->signal][1] : 1;
    }
    return status;
}

// ---- Newton's method -----------------------------------------------------------------------------------------------

static double dot(const fit *f, const double *a, const double *b)
{
    double sum = 0;
    for (uint32_t j = 0; j < f->width; j++)
        sum += a[j] * b[j];
    return sum;
}

// direction = -H^-1 gradient, roughly, of every active system.
static sx_status solve(fit *f)
{
    bool going = false;
    for (uint32_t s = 0; s < f->count; s++) {
        fit_system *system = &f->system[s];
        for (uint32_t j = 0; j < f->width; j++) {
            system->direction[j] = 0;
            system->residual[j] = system->active ? -system->gradient[j] : 0;
            system->search[j] = system->residual[j];
        }
        system->squares = dot(f, system->residual, system->residual);
        going = going || system->squares > 0;
    }
    double first[FIT_SYSTEMS];
    for (uint32_t s = 0; s < f->count; s++)
        first[s] = f->system[s].squares;
    for (uint32_t i = 0; i < CONJUGATE_STEPS && going; i++) {
        const sx_status status = pass(f, true);
        if (status != SX_OK) return status;
        going = false;
        for (uint32_t s = 0; s < f->count; s++) {
            fit_system *system = &f->system[s];
            const double curvature = dot(f, system->search, system->gradient);
            if (!(curvature > 0) || system->squares <= 1e-4 * first[s]) {
                memset(system->search, 0, f->width * sizeof *system->search);
                continue;
            }
            const double length = system->squares / curvature;
            for (uint32_t j = 0; j < f->width; j++) {
                system->direction[j] += length * system->search[j];
                system->residual[j] -= length * system->gradient[j];
            }
            const double squares = dot(f, system->residual, system->residual), ratio = squares / system->squares;
            for (uint32_t j = 0; j < f->width; j++)
                system->search[j] = system->residual[j] + ratio * system->search[j];
            system->squares = squares;
            going = going || squares > 1e-4 * first[s];
        }
    }
    return SX_OK;
}

// Steps along the directions, halved where the loss grew. Leaves gradients and losses of the new place.
static sx_status step(fit *f)
{
    for (uint32_t s = 0; s < f->count; s++) {
        fit_system *system = &f->system[s];
        memcpy(system->best, system->w, f->width * sizeof *system->w);
        system->best_loss = system->loss;
        system->step = system->active ? 1 : 0;
    }
    for (uint32_t i = 0; i < HALVINGS; i++) {
        bool worse = false;
        for (uint32_t s = 0; s < f->count; s++)
            for (uint32_t j = 0; j < f->width; j++)
                f->system[s].w[j] = f->system[s].best[j] + f->system[s].step * f->system[s].direction[j];
        const sx_status status = pass(f, false);
        if (status != SX_OK) return status;
        for (uint32_t s = 0; s < f->count; s++) {
            fit_system *system = &f->system[s];
            if (!system->active || system->loss <= system->best_loss + 1e-12) continue;
            system->step = i + 2 < HALVINGS ? system->step / 2 : 0;
            worse = true;
        }
        if (!worse) break;
    }
    return SX_OK;
}

static sx_status newton(fit *f, uint32_t steps)
{
    sx_status status = pass(f, false);
    for (uint32_t s = 0; s < f->count; s++) {
        f->system[s].active = true;
        f->system[s].first_norm = dot(f, f->system[s].gradient, f->system[s].gradient);
    }
    for (uint32_t i = 0; i < steps && status == SX_OK; i++) {
        status = solve(f);
        if (status == SX_OK) status = step(f);
        bool going = false;
        for (uint32_t s = 0; s < f->count && status == SX_OK; s++) {
            fit_system *system = &f->system[s];
            const double norm = dot(f, system->gradient, system->gradient);
            system->active = system->active && norm > 1e-6 * system->first_norm && system->step > 0 &&
                             system->best_loss - system->loss > 1e-5 * fabs(system->loss);
            going = going || system->active;
        }
        if (!going) break;
    }
    return status;
}

// ---- Before and after ----------------------------------------------------------------------------------------------

// Scales of the columns from some of the rows; weights and mean labels from all.
static sx_status measure(fit *f)
{
    uint64_t used = 0;
    sx_status status = SX_OK;
    memset(f->scale, 0, f->width * sizeof *f->scale);
    f->source->rewind(f->source->user);
    while (status == SX_OK) {
        status = f->source->next(f->source->user, &f->block, f->error);
        if (status != SX_OK || !f->block.rows) break;
        for (uint32_t r = 0; r < f->block.rows; r++) {
            const fit_label *label = &f->block.label[r];
            for (uint32_t k = 0; k < FIT_SIGNALS; k++) {
                f->weight[k][label->held] += (double)label->weight[k];
                f->mean[k][label->held] += (double)label->weight[k] * (double)label->y[k];
            }
            if (r % SCALE_STRIDE) continue;
            used++;
            for (uint32_t j = 0; j < f->width; j++) {
                const double x = (double)sx_half_to_float(f->block.x[(size_t)r * f->width + j]);
                f->scale[j] += x * x;
            }
        }
    }
    for (uint32_t j = 0; j < f->width; j++)
        f->scale[j] = f->scale[j] > 0 ? sqrt((double)used / f->scale[j]) : 0;
    for (uint32_t k = 0; k < FIT_SIGNALS; k++)
        for (int i = 0; i < 2; i++)
            if (f->weight[k][i] > 0) f->mean[k][i] /= f->weight[k][i];
    return status;
}

static void set_systems(fit *f, uint32_t count)
{
    f->count = count;
    for (uint32_t s = 0; s < count; s++) {
        double *at = f->memory + (size_t)s * 6 * f->width;
        double **const vectors[] = {&f->system[s].w,        &f->system[s].best,   &f->system[s].direction,
                                    &f->system[s].residual, &f->system[s].search, &f->system[s].gradient};
        for (int i = 0; i < 6; i++)
            *vectors[i] = at + (size_t)i * f->width;
    }
}

static bool trains(const fit *f, uint32_t signal)
{
    return (signal || !f->options->skip_confidence) && f->weight[signal][0] > 0;
}

// The system of each signal whose held-out loss is least.
static void choose(fit *f, uint32_t chosen[FIT_SIGNALS])
{
    for (uint32_t k = 0; k < FIT_SIGNALS; k++) {
        chosen[k] = k * FIT_PENALTIES + FIT_PENALTIES / 2;
        for (uint32_t i = 0; i < FIT_PENALTIES && f->weight[k][1] > 0; i++)
            if (f->system[k * FIT_PENALTIES + i].held_loss < f->system[chosen[k]].held_loss)
                chosen[k] = k * FIT_PENALTIES + i;
        f->result->penalty[k] = penalties[chosen[k] % FIT_PENALTIES];
        f->result->held_loss[k] = f->weight[k][1] > 0 ? f->system[chosen[k]].held_loss : (double)NAN;
    }
}

typedef struct moments {
    double count, x, y, xx, yy, xy;
} moments;

static double correlation(const moments *m)
{
    const double vx = m->xx - m->x * m->x / m->count, vy = m->yy - m->y * m->y / m->count;
    return vx > 0 && vy > 0 ? (m->xy - m->x * m->y / m->count) / sqrt(vx * vy) : (double)NAN;
}

// How the chosen rows, which have not seen them, do on the held-out prompts' boundaries.
static sx_status score(fit *f, const uint32_t chosen[FIT_SIGNALS])
{
    moments m[FIT_SIGNALS] = {{0}};
    size_t ranked = 0, capacity = 0;
    sx_ranked *items = NULL;
    double base[FIT_SIGNALS] = {0};
    put_columns(f, false);
    sx_status status = f->device->begin(f->device->user, f->v, f->error);
    f->source->rewind(f->source->user);
    while (status == SX_OK) {
        status = f->source->next(f->source->user, &f->block, f->error);
        if (status != SX_OK || !f->block.rows) break;
        status = f->device->project(f->device->user, &f->block, f->z, f->error);
        for (uint32_t r = 0; r < f->block.rows && status == SX_OK; r++) {
            const fit_label *label = &f->block.label[r];
            if (!label->held) continue;
            for (uint32_t k = 0; k < FIT_SIGNALS; k++) {
                const double y = (double)label->y[k], z = (double)f->z[(size_t)r * FIT_COLUMNS + chosen[k]];
                const double x = k == 2 ? z : sigmoid(z), mean = f->mean[k][0];
                const double logit = log(mean / (1 - mean));
                if (label->weight[k] > 0)
                    base[k] += (double)label->weight[k] * loss_of(k, k == 2 || !isfinite(logit) ? mean : logit, y);
                if (!label->boundary) continue;
                m[k].count++, m[k].x += x, m[k].y += y, m[k].xx += x * x, m[k].yy += y * y, m[k].xy += x * y;
            }
            if (!label->boundary || ranked == MOST_RANKED) continue;
            if (ranked == capacity) {
                capacity = capacity ? 2 * capacity : 1024;
                sx_ranked *grown = realloc(items, capacity * sizeof *items);
                if (!grown) status = sx_fail(f->error, SX_ERROR_MEMORY, "out of memory for scores");
                if (grown) items = grown;
            }
            if (status == SX_OK)
                items[ranked++] = (sx_ranked){f->z[(size_t)r * FIT_COLUMNS + chosen[0]], label->prompt, label->right};
        }
    }
    for (uint32_t k = 0; k < FIT_SIGNALS; k++) {
        f->result->correlation[k] = m[k].count > 1 ? correlation(&m[k]) : (double)NAN;
        f->result->baseline[k] = f->weight[k][1] > 0 ? base[k] / f->weight[k][1] : (double)NAN;
    }
    f->result->auc_within = sx_auc_within(items, ranked);
    f->result->auc_across = sx_auc(items, ranked);
    free(items);
    return status;
}

// ---------------------------------------------------------------------------------------------------------------------

static sx_status allocate(fit *f)
{
    const size_t width = f->width;
    f->memory = calloc(6 * FIT_SYSTEMS * width, sizeof *f->memory);
    f->scale = malloc(width * sizeof *f->scale);
    f->v = malloc(width * FIT_COLUMNS * sizeof *f->v);
    f->g = malloc(width * FIT_SYSTEMS * sizeof *f->g);
    f->z = malloc((size_t)FIT_BLOCK_ROWS * FIT_COLUMNS * sizeof *f->z);
    f->a = malloc((size_t)FIT_BLOCK_ROWS * FIT_SYSTEMS * sizeof *f->a);
    f->block.x = calloc((size_t)FIT_BLOCK_ROWS * width, sizeof *f->block.x);
    f->block.label = malloc(FIT_BLOCK_ROWS * sizeof *f->block.label);
    f->result->rows = calloc(FIT_SIGNALS * width, sizeof *f->result->rows);
    if (f->memory && f->scale && f->v && f->g && f->z && f->a && f->block.x && f->block.label && f->result->rows)
        return SX_OK;
    return sx_fail(f->error, SX_ERROR_MEMORY, "out of memory for a fit of width %u", f->width);
}

static void release(fit *f)
{
    free(f->memory);
    free(f->scale);
    free(f->v);
    free(f->g);
    free(f->z);
    free(f->a);
    free(f->block.x);
    free(f->block.label);
}

// The chosen penalties on all prompts, from where the choice ended.
static sx_status refit(fit *f, const uint32_t chosen[FIT_SIGNALS])
{
    double *start = malloc(FIT_SIGNALS * f->width * sizeof *start);
    if (!start) return sx_fail(f->error, SX_ERROR_MEMORY, "out of memory for a fit");
    for (uint32_t k = 0; k < FIT_SIGNALS; k++)
        memcpy(start + (size_t)k * f->width, f->system[chosen[k]].w, f->width * sizeof *start);
    set_systems(f, FIT_SIGNALS);
    for (uint32_t k = 0; k < FIT_SIGNALS; k++) {
        f->system[k].signal = k;
        f->system[k].penalty = (double)f->result->penalty[k];
        f->system[k].all = true;
        memcpy(f->system[k].w, start + (size_t)k * f->width, f->width * sizeof *start);
    }
    free(start);
    const sx_status status = newton(f, REFIT_STEPS);
    for (uint32_t k = 0; k < FIT_SIGNALS && status == SX_OK; k++)
        for (uint32_t j = 0; j < f->width && trains(f, k); j++)
            f->result->rows[(size_t)k * f->width + j] = (float)(f->system[k].w[j] * f->scale[j]);
    return status;
}

sx_status fit_rows(const fit_source *source, const fit_device *device, const fit_options *options, fit_result *out,
                   sx_error *error)
{
    fit *f = calloc(1, sizeof *f);
    if (!f) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for a fit");
    *f = (fit){.source = source,
               .device = device,
               .options = options,
               .result = out,
               .width = source->width,
               .expected_passes = 75,
               .error = error};
    memset(out, 0, sizeof *out);
    uint32_t chosen[FIT_SIGNALS];
    sx_status status = allocate(f);
    if (status == SX_OK) status = measure(f);
    if (status == SX_OK) {
        set_systems(f, FIT_SIGNALS * FIT_PENALTIES);
        for (uint32_t s = 0; s < f->count; s++) {
            f->system[s].signal = s / FIT_PENALTIES;
            f->system[s].penalty = (double)penalties[s % FIT_PENALTIES];
        }
        status = newton(f, NEWTON_STEPS);
    }
    if (status == SX_OK) {
        choose(f, chosen);
        status = score(f, chosen);
    }
    if (status == SX_OK) status = refit(f, chosen);
    release(f);
    free(f);
    if (status != SX_OK) {
        free(out->rows);
        out->rows = NULL;
    }
    return status;
}
