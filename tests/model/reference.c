#include "reference.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    assert_non_null(memory);
    return memory;
}

// All of a tensor as floats [slices * rows, columns].
static float *load(const sx_tensor_ref *tensor)
{
    const uint64_t rows = (uint64_t)tensor->slices * tensor->rows;
    float *values = allocate((size_t)(rows * tensor->columns), sizeof *values);
    sx_error error;
    if (sx_tensor_read_floats(tensor, 0, rows, values, &error) != SX_OK) fail_msg("%s", error.message);
    return values;
}

// out [count, rows] = x [count, columns] * matrix^T
static void multiply(const sx_tensor_ref *tensor, uint32_t slice, const double *x, uint32_t count, double *out)
{
    const sx_tensor_ref part = sx_tensor_slice(tensor, slice);
    float *matrix = load(&part);
    for (uint32_t t = 0; t < count; t++)
        for (uint32_t r = 0; r < part.rows; r++) {
            double sum = 0;
            for (uint32_t c = 0; c < part.columns; c++)
                sum += (double)matrix[(size_t)r * part.columns + c] * x[(size_t)t * part.columns + c];
            out[(size_t)t * part.rows + r] = sum;
        }
    free(matrix);
}

static void add_bias(const sx_tensor_ref *bias, double *x, uint32_t count)
{
    if (!sx_tensor_exists(bias)) return;
    float *values = load(bias);
    for (uint32_t i = 0; i < count * bias->columns; i++)
        x[i] += (double)values[i % bias->columns];
    free(values);
}

// RMSNorm of each `columns` values, in place; nothing where the norm is absent.
static void normalise(const sx_tensor_ref *norm, double *x, uint32_t count, double eps)
{
    if (!sx_tensor_exists(norm)) return;
    float *weight = load(norm);
    for (uint32_t t = 0; t < count; t++, x += norm->columns) {
        double sum = 0;
        for (uint32_t i = 0; i < norm->columns; i++)
            sum += x[i] * x[i];
        const double scale = 1 / sqrt(sum / norm->columns + eps);
        for (uint32_t i = 0; i < norm->columns; i++)
            x[i] *= scale * (double)weight[i];
    }
    free(weight);
}

// x [count, heads, head_dim]; row t is at position t.
static void rotate(const sx_rope *rope, double *x, uint32_t count, uint32_t heads)
{
    const uint32_t half = rope->head_dim / 2;
    for (uint32_t t = 0; t < count; t++)
        for (uint32_t h = 0; h < heads; h++, x += rope->head_dim)
            for (uint32_t i = 0; i < half; i++) {
                const uint32_t a = rope->layout == SX_ROPE_HALVES ? i : 2 * i;
                const uint32_t b = rope->layout == SX_ROPE_HALVES ? i + half : 2 * i + 1;
                const double angle = (double)t * (double)rope->inv_freq[i], factor = (double)rope->factor;
                const double cosine = cos(angle) * factor, sine = sin(angle) * factor, p = x[a], q = x[b];
                x[a] = p * cosine - q * sine;
                x[b] = q * cosine + p * sine;
            }
}

typedef struct layer_shape {
    uint32_t heads, kv_heads, head_dim, window, ffn, experts, experts_used;
    double eps, scale;
    sx_qk_norm qk_norm;
    sx_activation activation;
    const sx_rope *rope;
    const uint16_t *cache; // keys and values [2][count][kv_heads * head_dim], or NULL
} layer_shape;

static void attend(const layer_shape *s, const double *q, const double *k, const double *v, uint32_t count, double *out)
{
    double *scores = allocate(count, sizeof *scores);
    for (uint32_t t = 0; t < count; t++)
        for (uint32_t h = 0; h < s->heads; h++) {
            const uint32_t kv = h / (s->heads / s->kv_heads),
                           first = s->window && t + 1 > s->window ? t + 1 - s->window : 0;
            const double *query = q + ((size_t)t * s->heads + h) * s->head_dim;
            double *result = out + ((size_t)t * s->heads + h) * s->head_dim, sum = 0, largest = -INFINITY;
            for (uint32_t p = first; p <= t; p++) {
                const double *key = k + ((size_t)p * s->kv_heads + kv) * s->head_dim;
                scores[p] = 0;
                for (uint32_t i = 0; i < s->head_dim; i++)
                    scores[p] += query[i] * key[i];
                scores[p] *= s->scale;
                largest = fmax(largest, scores[p]);
            }
            for (uint32_t p = first; p <= t; p++)
                sum += scores[p] = exp(scores[p] - largest);
            memset(result, 0, s->head_dim * sizeof *result);
            for (uint32_t p = first; p <= t; p++)
                for (uint32_t i = 0; i < s->head_dim; i++)
                    result[i] += scores[p] / sum * v[((size_t)p * s->kv_heads + kv) * s->head_dim + i];
        }
    free(scores);
}

// A rounding to f16 is off by 2^-12 at most, and the sums behind it by far less.
static void take_from_cache(const uint16_t *cache, double *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const double cached = (double)sx_half_to_float(cache[i]);
        if (fabs(cached - values[i]) > 1.02 * 0x1p-11 * fabs(values[i]) + 1e-6)
            fail_msg("the cache has %.9g where %.9g is computed", cached, values[i]);
        values[i] = cached;
    }
}

// out [count, H] = the attention's output for the normed input x [count, columns of q].
static void attention(const layer_shape *s, const sx_layer_weights *w, const double *x, uint32_t count, double *out)
{
    double *q = allocate((size_t)count * w->q.rows, sizeof *q), *k = allocate((size_t)count * w->k.rows, sizeof *k);
    double *v = allocate((size_t)count * w->v.rows, sizeof *v), *y = allocate((size_t)count * w->q.rows, sizeof *y);
    multiply(&w->q, 0, x, count, q);
    multiply(&w->k, 0, x, count, k);
    multiply(&w->v, 0, x, count, v);
    add_bias(&w->q_bias, q, count);
    add_bias(&w->k_bias, k, count);
    add_bias(&w->v_bias, v, count);
    if (s->qk_norm == SX_QK_NORM_BEFORE_ROPE) {
        normalise(&w->q_norm, q, count * s->heads, s->eps);
        normalise(&w->k_norm, k, count * s->kv_heads, s->eps);
    }
    rotate(s->rope, q, count, s->heads);
    rotate(s->rope, k, count, s->kv_heads);
    if (s->qk_norm == SX_QK_NORM_AFTER_ROPE) {
        normalise(&w->q_norm, q, count * s->heads, s->eps);
        normalise(&w->k_norm, k, count * s->kv_heads, s->eps);
    }
    if (s->cache) {
        take_from_cache(s->cache, k, (size_t)count * w->k.rows);
        take_from_cache(s->cache + (size_t)count * w->k.rows, v, (size_t)count * w->v.rows);
    }
    attend(s, q, k, v, count, y);
    multiply(&w->o, 0, y, count, out);
    add_bias(&w->o_bias, out, count);
    free(q), free(k), free(v), free(y);
}

static double activate(sx_activation activation, double x)
{
    if (activation == SX_ACTIVATION_SILU) return x / (1 + exp(-x));
    return 0.5 * x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
}

static void gated_unit(const layer_shape *s, const sx_tensor_ref *const tensors[3], uint32_t slice, const double *x,
                       uint32_t count, double *out)
{
    const uint32_t ffn = tensors[0]->rows;
    double *gate = allocate((size_t)count * ffn, sizeof *gate), *up = allocate((size_t)count * ffn, sizeof *up);
    multiply(tensors[0], slice, x, count, gate);
    multiply(tensors[1], slice, x, count, up);
    for (size_t i = 0; i < (size_t)count * ffn; i++)
        up[i] *= activate(s->activation, gate[i]);
    multiply(tensors[2], slice, up, count, out);
    free(gate), free(up);
}

// One row through its best experts, weighted by their softmax, whose chosen parts are made to sum to 1.
static void mix_experts(const layer_shape *s, const sx_layer_weights *w, const double *x, uint32_t hidden, double *out)
{
    const sx_tensor_ref *const tensors[3] = {&w->gate_experts, &w->up_experts, &w->down_experts};
    double *scores = allocate(s->experts, sizeof *scores), *part = allocate(hidden, sizeof *part), total = 0;
    uint32_t chosen[64];
    multiply(&w->router, 0, x, 1, scores);
    for (uint32_t n = 0; n < s->experts_used; n++) {
        chosen[n] = 0;
        for (uint32_t e = 1; e < s->experts; e++)
            if (scores[e] > scores[chosen[n]]) chosen[n] = e;
        gated_unit(s, tensors, chosen[n], x, 1, part);
        const double weight = exp(scores[chosen[n]]);
        total += weight;
        for (uint32_t i = 0; i < hidden; i++)
            out[i] += weight * part[i];
        scores[chosen[n]] = -INFINITY;
    }
    for (uint32_t i = 0; i < hidden; i++)
        out[i] /= total;
    free(scores), free(part);
}

// x [count, hidden] in place. `input` (for a draft's first layer, else NULL) is what the attention reads instead.
static void run_layer(const layer_shape *s, const sx_layer_weights *w, const double *input, double *x, uint32_t count)
{
    const uint32_t hidden = w->o.rows;
    const size_t size = (size_t)count * hidden;
    double *normed = allocate(size, sizeof *normed), *y = allocate(size, sizeof *y);
    memcpy(normed, x, size * sizeof *x);
    if (!input) normalise(&w->attention_norm, normed, count, s->eps);
    attention(s, w, input ? input : normed, count, y);
    normalise(&w->post_attention_norm, y, count, s->eps);
    for (size_t i = 0; i < size; i++)
        x[i] += y[i];
    memcpy(normed, x, size * sizeof *x);
    normalise(&w->ffn_norm, normed, count, s->eps);
    memset(y, 0, size * sizeof *y);
    const sx_tensor_ref *const tensors[3] = {&w->gate, &w->up, &w->down};
    if (s->experts)
        for (uint32_t t = 0; t < count; t++)
            mix_experts(s, w, normed + (size_t)t * hidden, hidden, y + (size_t)t * hidden);
    else
        gated_unit(s, tensors, 0, normed, count, y);
    normalise(&w->post_ffn_norm, y, count, s->eps);
    for (size_t i = 0; i < size; i++)
        x[i] += y[i];
    free(normed), free(y);
}

static void embed(const sx_tensor_ref *table, const uint32_t *tokens, uint32_t count, double scale, double *out)
{
    float *values = load(table);
    for (uint32_t t = 0; t < count; t++)
        for (uint32_t i = 0; i < table->columns; i++)
            out[(size_t)t * table->columns + i] = (double)values[(size_t)tokens[t] * table->columns + i] * scale;
    free(values);
}

void reference_target(const sx_hparams *h, const sx_target_weights *w, const uint32_t *tokens, uint32_t count,
                      const uint16_t *cache, double *states, double *logits)
{
    const size_t size = (size_t)count * h->hidden;
    double *x = allocate(size, sizeof *x);
    embed(&w->token_embedding, tokens, count, (double)h->embedding_scale, x);
    for (uint32_t i = 0; i < h->layers; i++) {
        if (states) memcpy(states + i * size, x, size * sizeof *x);
        const layer_shape s = {h->heads,
                               h->kv_heads,
                               h->head_dim,
                               sx_layer_window(h, i),
                               h->ffn,
                               h->experts,
                               h->experts_used,
                               (double)h->rms_eps,
                               (double)h->attention_scale,
                               h->qk_norm,
                               h->activation,
                               sx_layer_rope(h, i),
                               cache ? cache + (size_t)i * 2 * count * h->kv_heads * h->head_dim : NULL};
        run_layer(&s, &w->layers[i], NULL, x, count);
    }
    if (states) memcpy(states + h->layers * size, x, size * sizeof *x);
    if (logits) {
        normalise(&w->output_norm, x, count, (double)h->rms_eps);
        multiply(&w->output, 0, x, count, logits);
        for (size_t i = 0; i < (size_t)count * h->vocabulary; i++)
            logits[i] *= (double)h->logit_scale;
    }
    free(x);
}

// The concatenated, possibly normed, auxiliary states [pairs, A * Ht].
static double *fuse_input(const sx_draft *d, const sx_hparams *h, const double *states, uint32_t count, uint32_t pairs)
{
    const uint32_t wide = d->aux_count * d->target_hidden;
    double *x = allocate((size_t)pairs * wide, sizeof *x);
    for (uint32_t t = 0; t < pairs; t++)
        for (uint32_t a = 0; a < d->aux_count; a++) {
            double *part = x + (size_t)t * wide + (size_t)a * d->target_hidden;
            memcpy(part, states + ((size_t)d->aux_layers[a] * count + t) * h->hidden, h->hidden * sizeof *part);
            normalise(&d->fc_norm[a], part, 1, (double)d->rms_eps);
        }
    normalise(&d->input_norm, x, pairs, (double)d->rms_eps);
    return x;
}

void reference_draft(const sx_draft *d, const sx_hparams *h, const sx_target_weights *target, const uint32_t *tokens,
                     uint32_t count, const double *states, double *features, double *signals, double *fed_back,
                     double *logits)
{
    const uint32_t pairs = count - 1, hidden = d->hidden;
    const double eps = (double)d->rms_eps;
    const size_t size = (size_t)pairs * hidden;
    double *wide = fuse_input(d, h, states, count, pairs), *x = allocate(size, sizeof *x);
    double *e = allocate(size, sizeof *e), *g = allocate(size, sizeof *g), *input = allocate(2 * size, sizeof *input);
    multiply(&d->fc, 0, wide, pairs, x);
    if (features) memcpy(features, x, size * sizeof *x);
    if (signals) multiply(&d->signals, 0, wide, pairs, signals);
    const sx_tensor_ref *table = sx_tensor_exists(&d->token_embedding) ? &d->token_embedding : &target->token_embedding;
    embed(table, tokens + 1, pairs, 1, e);
    const sx_layer_weights *first = &d->layer_weights[0];
    normalise(&first->attention_norm, e, pairs, eps);
    memcpy(g, x, size * sizeof *x);
    normalise(&first->hidden_norm, g, pairs, eps);
    for (uint32_t t = 0; t < pairs; t++) {
        memcpy(input + (size_t)t * 2 * hidden, e + (size_t)t * hidden, hidden * sizeof *e);
        memcpy(input + ((size_t)t * 2 + 1) * hidden, g + (size_t)t * hidden, hidden * sizeof *g);
    }
    if (d->norm_before_residual) memcpy(x, g, size * sizeof *x);
    const layer_shape s = {d->heads,
                           d->kv_heads,
                           d->head_dim,
                           d->window,
                           d->ffn,
                           0,
                           0,
                           eps,
                           (double)d->attention_scale,
                           sx_tensor_exists(&first->q_norm) ? SX_QK_NORM_BEFORE_ROPE : SX_QK_NORM_NONE,
                           SX_ACTIVATION_SILU,
                           &d->rope,
                           NULL};
    for (uint32_t i = 0; i < d->layers; i++)
        run_layer(&s, &d->layer_weights[i], i ? NULL : input, x, pairs);
    memcpy(g, x, size * sizeof *x);
    normalise(&d->output_norm, g, pairs, eps);
    if (fed_back) memcpy(fed_back, d->feed_back_normed ? g : x, size * sizeof *x);
    const sx_tensor_ref *head = sx_tensor_exists(&d->output) ? &d->output : &target->output;
    if (logits) multiply(head, 0, d->norm_output ? g : x, pairs, logits);
    free(wide), free(x), free(e), free(g), free(input);
}
