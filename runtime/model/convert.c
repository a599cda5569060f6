#include "model/convert.h"

#include "model/draft_parts.h"
#include "model/gguf_writer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TENSORS (SX_DRAFT_LAYERS * 24 + SX_MAX_AUX + 16)
#define BAND_BYTES (1u << 20)

typedef struct planned_tensor {
    const sx_tensor_ref *tensor;
    char name[96];
    sx_format format;
} planned_tensor;

typedef struct conversion {
    const sx_draft *draft;
    const sx_convert_options *options;
    sx_gguf_writer *writer;
    sx_file_writer *file;
    planned_tensor tensors[MAX_TENSORS];
    size_t count;
    uint64_t done, total;
    sx_error *error;
} conversion;

static sx_format format_for(const conversion *c, const sx_tensor_ref *tensor, bool exact)
{
    if (tensor->rows == 1) return SX_FORMAT_F32;
    if (exact) return tensor->format;
    if (!c->options || !c->options->requantize) return tensor->format;
    if (tensor->columns % sx_format_get(c->options->format)->block == 0) return c->options->format;
    return tensor->columns % 32 == 0 ? SX_FORMAT_Q8_0 : SX_FORMAT_F16;
}

static void plan(conversion *c, const sx_tensor_ref *tensor, const char *pattern, uint32_t number, bool exact)
{
    if (!sx_tensor_exists(tensor)) return;
    planned_tensor *p = &c->tensors[c->count++];
    char buffer[96];
    const char *name = sx_draft_name(buffer, pattern, number);
    memcpy(p->name, name, strlen(name) + 1);
    p->tensor = tensor;
    p->format = format_for(c, tensor, exact);
    // A lone signal row is a matrix of one row, not a vector.
    const uint64_t dimensions[2] = {tensor->columns, tensor->rows};
    sx_gguf_writer_tensor(c->writer, p->name, p->format, tensor->rows > 1 || exact ? 2 : 1, dimensions);
    c->total += sx_format_row_bytes(p->format, tensor->columns) * tensor->rows;
}

static void plan_layer(conversion *c, uint32_t i)
{
    const sx_layer_weights *w = &c->draft->layer_weights[i];
    const sx_draft_names *n = &sx_draft_gguf_names;
    plan(c, &w->attention_norm, n->attention_norm, i, false);
    plan(c, &w->hidden_norm, n->hidden_norm, i, false);
    plan(c, &w->q, n->q, i, false);
    plan(c, &w->k, n->k, i, false);
    plan(c, &w->v, n->v, i, false);
    plan(c, &w->q_bias, n->q_bias, i, false);
    plan(c, &w->k_bias, n->k_bias, i, false);
    plan(c, &w->v_bias, n->v_bias, i, false);
    plan(c, &w->q_norm, n->q_norm, i, false);
    plan(c, &w->k_norm, n->k_norm, i, false);
    plan(c, &w->o, n->o, i, false);
    plan(c, &w->o_bias, n->o_bias, i, false);
    plan(c, &w->ffn_norm, n->ffn_norm, i, false);
    plan(c, &w->gate, n->gate, i, false);
    plan(c, &w->up, n->up, i, false);
    plan(c, &w->down, n->down, i, false);
}

static void plan_draft(conversion *c)
{
    const sx_draft *d = c->draft;
    const sx_draft_names *n = &sx_draft_gguf_names;
    plan(c, &d->fc, n->fc, 0, false);
    plan(c, &d->fc_bias, n->fc_bias, 0, false);
    plan(c, &d->signals, n->signals, 0, true); // few rows, on which the exit depends: not quantised
    plan(c, &d->input_norm, n->input_norm, 0, false);
    for (uint32_t i = 0; i < d->aux_count; i++)
        plan(c, &d->fc_norm[i], n->fc_norm, i, false);
    plan(c, &d->token_embedding, n->token_embedding, 0, false);
    for (uint32_t i = 0; i < d->layers; i++)
        plan_layer(c, i);
    plan(c, &d->output_norm, n->output_norm, 0, false);
    plan(c, &d->output, n->output, 0, false);
}

static void put_signal_keys(sx_gguf_writer *w, uint32_t mask, const sx_exit_defaults *exit)
{
    static const char *const names[3] = {"confidence", "progress", "remain"};
    char text[64] = "";
    for (int i = 0; i < 3; i++) {
        if (!(mask >> i & 1)) continue;
        if (*text) strcat(text, ",");
        strcat(text, names[i]);
    }
    if (mask) sx_gguf_writer_string(w, "specexit.signals", text);
    if (!isnan(exit->confidence)) sx_gguf_writer_f32(w, "specexit.exit.confidence", exit->confidence);
    if (!isnan(exit->progress)) sx_gguf_writer_f32(w, "specexit.exit.progress", exit->progress);
    if (!isnan(exit->remain)) sx_gguf_writer_f32(w, "specexit.exit.remain", exit->remain);
    if (!isnan(exit->alpha)) sx_gguf_writer_f32(w, "specexit.exit.alpha", exit->alpha);
    if (exit->smoothing) sx_gguf_writer_string(w, "specexit.exit.smoothing", exit->smoothing);
}

static void put_card(sx_gguf_writer *w, const sx_signal_card *card)
{
    for (uint32_t i = 0; i < card->count; i++)
        sx_gguf_writer_string(w, card->entry[i].key, card->entry[i].text);
}

static void put_draft_keys(sx_gguf_writer *w, const sx_draft *d)
{
    sx_gguf_writer_string(w, "general.architecture", "eagle3");
    sx_gguf_writer_u32(w, "eagle3.block_count", d->layers);
    sx_gguf_writer_u32(w, "eagle3.embedding_length", d->hidden);
    sx_gguf_writer_u32(w, "eagle3.feed_forward_length", d->ffn);
    sx_gguf_writer_u32(w, "eagle3.attention.head_count", d->heads);
    sx_gguf_writer_u32(w, "eagle3.attention.head_count_kv", d->kv_heads);
    sx_gguf_writer_u32(w, "eagle3.attention.key_length", d->head_dim);
    sx_gguf_writer_u32(w, "eagle3.attention.value_length", d->head_dim);
    sx_gguf_writer_f32(w, "eagle3.attention.layer_norm_rms_epsilon", d->rms_eps);
    sx_gguf_writer_u32(w, "eagle3.target_hidden_size", d->target_hidden);
    if (d->vocabulary) sx_gguf_writer_u32(w, "eagle3.vocab_size", d->vocabulary);
    if (d->context) sx_gguf_writer_u32(w, "eagle3.context_length", d->context);
    if (d->window) sx_gguf_writer_u32(w, "eagle3.attention.sliding_window", d->window);
    if (!d->aux_default) sx_gguf_writer_u32_array(w, "eagle3.target_layers", d->aux_layers, d->aux_count);
    sx_gguf_writer_bool(w, "eagle3.norm_before_residual", d->norm_before_residual);
    sx_gguf_writer_bool(w, "eagle3.norm_before_fc", d->norm_before_fc);
    sx_gguf_writer_bool(w, "specexit.norm_output", d->norm_output);
    sx_gguf_writer_bool(w, "specexit.feed_back_normed", d->feed_back_normed);
    sx_gguf_writer_string(w, "specexit.rope.layout", d->rope.layout == SX_ROPE_HALVES ? "halves" : "pairs");
    // Every scaling rule comes down to its table.
    sx_gguf_writer_f32_array(w, "specexit.rope.inv_freq", d->rope.inv_freq, d->rope.head_dim / 2);
    sx_gguf_writer_f32(w, "specexit.rope.factor", d->rope.factor);
    put_signal_keys(w, d->signal_mask, &d->exit);
}

static sx_status put_bytes(conversion *c, const void *bytes, size_t size)
{
    const sx_status status = sx_file_writer_write(c->file, bytes, size, c->error);
    if (status != SX_OK) return status;
    c->done += size;
    const sx_convert_options *o = c->options;
    if (o && o->progress && !o->progress(o->user, c->done < c->total ? c->done : c->total, c->total))
        return sx_fail(c->error, SX_ERROR_CANCELLED, "the conversion was stopped");
    return SX_OK;
}

static sx_status put_padding(conversion *c, uint64_t size)
{
    static const uint8_t zeros[32];
    return sx_file_writer_write(c->file, zeros, sx_gguf_padding(size), c->error);
}

static sx_status put_tensor(conversion *c, const planned_tensor *p)
{
    const sx_tensor_ref *tensor = p->tensor;
    const size_t row_bytes = (size_t)sx_format_row_bytes(p->format, tensor->columns);
    const bool same = p->format == tensor->format;
    uint32_t band = (uint32_t)(BAND_BYTES / row_bytes);
    band = band ? band : 1;
    uint8_t *bytes = malloc(band * row_bytes);
    float *floats = same ? NULL : malloc(tensor->columns * sizeof *floats);
    if (!bytes || (!same && !floats)) {
        free(bytes);
        free(floats);
        return sx_fail(c->error, SX_ERROR_MEMORY, "tensor %s: out of memory", tensor->name);
    }
    sx_status status = SX_OK;
    for (uint32_t first = 0; first < tensor->rows && status == SX_OK; first += band) {
        const uint32_t rows = tensor->rows - first < band ? tensor->rows - first : band;
        if (same) status = sx_tensor_read(tensor, first, rows, bytes, c->error);
        for (uint32_t r = 0; r < rows && !same && status == SX_OK; r++) {
            status = sx_tensor_read_floats(tensor, first + r, 1, floats, c->error);
            if (status == SX_OK) sx_quantize_row(p->format, floats, bytes + r * row_bytes, tensor->columns);
        }
        if (status == SX_OK) status = put_bytes(c, bytes, rows * row_bytes);
    }
    free(bytes);
    free(floats);
    return status == SX_OK ? put_padding(c, (uint64_t)row_bytes * tensor->rows) : status;
}

static sx_status put_target_ids(conversion *c)
{
    const sx_draft *d = c->draft;
    sx_status status = SX_OK;
    for (uint32_t i = 0; i < d->draft_vocabulary && status == SX_OK; i++) {
        const int64_t id = d->target_ids[i];
        status = sx_file_writer_write(c->file, &id, sizeof id, c->error);
    }
    return status == SX_OK ? put_padding(c, (uint64_t)d->draft_vocabulary * 8) : status;
}

static sx_status put_file(conversion *c, const char *path, bool with_ids)
{
    const void *header;
    size_t size;
    sx_status status = sx_gguf_writer_header(c->writer, &header, &size, c->error);
    if (status == SX_OK) status = sx_file_writer_open(path, &c->file, c->error);
    if (status != SX_OK) return status;
    status = sx_file_writer_write(c->file, header, size, c->error);
    for (size_t i = 0; i < c->count && status == SX_OK; i++)
        status = put_tensor(c, &c->tensors[i]);
    if (status == SX_OK && with_ids) status = put_target_ids(c);
    if (status == SX_OK) return sx_file_writer_commit(c->file, c->error);
    sx_file_writer_abort(c->file);
    return status;
}

static conversion *begin(const sx_draft *draft, const sx_convert_options *options, sx_error *error)
{
    conversion *c = calloc(1, sizeof *c);
    if (c) c->writer = sx_gguf_writer_create();
    if (!c || !c->writer) {
        free(c);
        sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", draft->name);
        return NULL;
    }
    c->draft = draft;
    c->options = options;
    c->error = error;
    return c;
}

static void end(conversion *c)
{
    sx_gguf_writer_free(c->writer);
    free(c);
}

sx_status sx_draft_write(const sx_draft *draft, const char *path, const sx_convert_options *options, sx_error *error)
{
    if (options && options->requantize && !sx_can_quantize(options->format))
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s cannot be written; F32, F16, BF16, Q8_0 and Q4_K can",
                       sx_format_get(options->format)->name);
    conversion *c = begin(draft, options, error);
    if (!c) return SX_ERROR_MEMORY;
    put_draft_keys(c->writer, draft);
    put_card(c->writer, &draft->card);
    plan_draft(c);
    const uint64_t count = draft->draft_vocabulary;
    if (draft->target_ids) sx_gguf_writer_tensor(c->writer, sx_draft_gguf_names.target_ids, SX_FORMAT_I64, 1, &count);
    const sx_status status = put_file(c, path, draft->target_ids != NULL);
    end(c);
    return status;
}

sx_status sx_signal_head_write(const sx_draft *draft, const char *path, sx_error *error)
{
    if (!sx_tensor_exists(&draft->signals))
        return sx_fail(error, SX_ERROR_ARGUMENT, "%s: has no signal rows to write", draft->name);
    conversion *c = begin(draft, NULL, error);
    if (!c) return SX_ERROR_MEMORY;
    sx_gguf_writer_string(c->writer, "general.architecture", "specexit-signals");
    if (!draft->aux_default)
        sx_gguf_writer_u32_array(c->writer, "specexit.target_layers", draft->aux_layers, draft->aux_count);
    put_signal_keys(c->writer, draft->signal_mask, &draft->exit);
    put_card(c->writer, &draft->card);
    plan(c, &draft->signals, sx_draft_gguf_names.signals, 0, true);
    const sx_status status = put_file(c, path, false);
    end(c);
    return status;
}
