#include "signals/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Of the tokens within a step one in so many is taken, for as many: neighbours say nearly the same.
enum { HELD_ONE_IN = 5, WITHIN_ONE_IN = 4 };
static const float default_boundary_weight = 20;

struct trace_rows {
    sx_trace_reader **readers; // [count]
    uint32_t count;
    float boundary_weight;
    bool alone; // the forced answers do not tell right from wrong: learn the model's own sureness
    // Where the source is.
    uint32_t reader, prompt;
    bool open; // record is valid
    sx_trace_record record;
    uint32_t next; // state of the record
    uint32_t boundary;
    // Seen at the beginning.
    uint32_t prompts, held_prompts, unfinished;
    bool hold_none; // there would be nothing left to learn from
    uint64_t tokens, boundaries, same, skipped;
    double confidence, confidence_squares;
};

static bool is_held(const trace_rows *rows, const sx_trace_record *record)
{
    return !rows->hold_none && record->prompt_hash % HELD_ONE_IN == 0;
}

static bool is_number(const uint16_t *x, uint32_t width)
{
    for (uint32_t j = 0; j < width; j++)
        if ((x[j] & 0x7C00) == 0x7C00) return false;
    return true;
}

static void look_at(trace_rows *rows, const sx_trace_record *record)
{
    const uint32_t width = trace_rows_info(rows)->model.state_width;
    if (record->flags & SX_TRACE_UNFINISHED) {
        rows->unfinished++;
        return;
    }
    rows->prompts++;
    rows->held_prompts += is_held(rows, record);
    rows->tokens += record->state_count;
    for (uint32_t i = 0; i < record->state_count; i++)
        rows->skipped += !is_number(record->states + (size_t)i * width, width);
    for (uint32_t i = 0; i < record->boundary_count; i++) {
        const sx_trace_boundary *b = &record->boundaries[i];
        if (!(b->flags & SX_TRACE_PROBED)) continue;
        rows->boundaries++;
        rows->same += (b->flags & SX_TRACE_SAME_AS_FINAL) != 0;
        rows->confidence += (double)b->confidence;
        rows->confidence_squares += (double)b->confidence * (double)b->confidence;
    }
}

static sx_status check_labels(trace_rows *rows, sx_error *error)
{
    const double count = (double)rows->boundaries, mean = rows->confidence / (count > 0 ? count : 1);
    const double variance = rows->confidence_squares / (count > 0 ? count : 1) - mean * mean;
    if (!rows->prompts || !rows->boundaries)
        return sx_fail(error, SX_ERROR_ARGUMENT,
                       "the trace holds no step at which an answer was forced (%u prompts never ended their thinking); "
                       "trace more prompts, or allow longer replies",
                       rows->unfinished);
    rows->hold_none = rows->held_prompts == rows->prompts;
    if (rows->hold_none) rows->held_prompts = 0;
    rows->alone = rows->same == 0 || rows->same == rows->boundaries;
    if (rows->alone && !(variance > 1e-6))
        return sx_fail(error, SX_ERROR_ARGUMENT,
                       "every forced answer %s the final one, with the same sureness: nothing tells a good exit from a "
                       "bad one. Trace harder prompts; thinking can be left by margin without training",
                       rows->same ? "equals" : "differs from");
    return SX_OK;
}

sx_status trace_rows_open(const char *const *paths, uint32_t count, float boundary_weight, trace_rows **out,
                          sx_error *error)
{
    *out = NULL;
    if (!count) return sx_fail(error, SX_ERROR_ARGUMENT, "no trace was given; make one with `specexit trace`");
    trace_rows *rows = calloc(1, sizeof *rows);
    if (rows) rows->readers = calloc(count, sizeof *rows->readers);
    if (!rows || !rows->readers) {
        free(rows);
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the traces");
    }
    rows->boundary_weight = boundary_weight > 0 ? boundary_weight : default_boundary_weight;
    sx_status status = SX_OK;
    for (uint32_t i = 0; i < count && status == SX_OK; i++) {
        status = sx_trace_reader_open(paths[i], &rows->readers[i], error);
        if (status != SX_OK) break;
        rows->count++;
        bool other_format = false;
        status = sx_trace_check_model(sx_trace_reader_info(rows->readers[i]), paths[i], &trace_rows_info(rows)->model,
                                      &other_format, error);
        if (status == SX_OK && other_format)
            status = sx_fail(error, SX_ERROR_MISMATCH,
                             "%s: is of another quantisation of the model than %s; give one "
                             "of them",
                             paths[i], paths[0]);
        sx_trace_record record;
        while (status == SX_OK && (status = sx_trace_reader_next(rows->readers[i], &record, error)) == SX_OK)
            look_at(rows, &record);
        if (status == SX_PENDING) status = SX_OK;
    }
    if (status == SX_OK) status = check_labels(rows, error);
    if (status != SX_OK) {
        trace_rows_close(rows);
        return status;
    }
    *out = rows;
    return SX_OK;
}

void trace_rows_close(trace_rows *rows)
{
    if (!rows) return;
    for (uint32_t i = 0; i < rows->count; i++)
        sx_trace_reader_close(rows->readers[i]);
    free(rows->readers);
    free(rows);
}

const sx_trace_info *trace_rows_info(const trace_rows *rows)
{
    return sx_trace_reader_info(rows->readers[0]);
}

void trace_rows_report(const trace_rows *rows, sx_train_report *report)
{
    report->prompts = rows->prompts;
    report->held_prompts = rows->held_prompts;
    report->unfinished = rows->unfinished;
    report->tokens = rows->tokens - rows->skipped;
    report->boundaries = rows->boundaries;
    report->skipped = rows->skipped;
    report->confidence_alone = rows->alone;
}

// ---- As a source of blocks -----------------------------------------------------------------------------------------

static void rewind_rows(void *user)
{
    trace_rows *rows = user;
    for (uint32_t i = 0; i < rows->count; i++)
        sx_trace_reader_rewind(rows->readers[i]);
    rows->reader = rows->prompt = 0;
    rows->open = false;
}

// The next finished record; false behind the last.
static sx_status next_record(trace_rows *rows, bool *found, sx_error *error)
{
    *found = false;
    while (rows->reader < rows->count) {
        const sx_status status = sx_trace_reader_next(rows->readers[rows->reader], &rows->record, error);
        if (status == SX_PENDING) {
            rows->reader++;
            continue;
        }
        if (status != SX_OK) return status;
        if (rows->record.flags & SX_TRACE_UNFINISHED) continue;
        rows->prompt++;
        rows->next = rows->boundary = 0;
        *found = rows->open = true;
        return SX_OK;
    }
    return SX_OK;
}

static float target_confidence(const trace_rows *rows, const sx_trace_boundary *b)
{
    return rows->alone || (b->flags & SX_TRACE_SAME_AS_FINAL) ? b->confidence : 0;
}

// Labels of thinking token `index`: those of the latest boundary that was probed, at it or before.
static void label_token(trace_rows *rows, uint32_t index, fit_label *label)
{
    const sx_trace_record *r = &rows->record;
    const sx_trace_boundary *latest = NULL;
    while (rows->boundary < r->boundary_count && r->boundaries[rows->boundary].index <= index)
        rows->boundary++;
    for (uint32_t i = rows->boundary; i-- > 0 && !latest;)
        if (r->boundaries[i].flags & SX_TRACE_PROBED) latest = &r->boundaries[i];
    const bool here = latest && latest->index == index;
    const float weight = here ? rows->boundary_weight : WITHIN_ONE_IN;
    *label = (fit_label){
        .y = {latest ? target_confidence(rows, latest) : 0, (float)(index + 1) / (float)r->thinking_count,
              logf((float)(r->thinking_count - index))},
        .weight = {latest ? weight : 0, weight, weight},
        .held = is_held(rows, r),
        .boundary = here,
        .right = here && (latest->flags & (r->flags & SX_TRACE_KNOWN ? SX_TRACE_RIGHT : SX_TRACE_SAME_AS_FINAL)) != 0,
        .prompt = rows->prompt};
}

static sx_status next_block(void *user, fit_block *block, sx_error *error)
{
    trace_rows *rows = user;
    const size_t width = trace_rows_info(rows)->model.state_width;
    block->rows = 0;
    while (block->rows < FIT_BLOCK_ROWS) {
        if (!rows->open || rows->next == rows->record.state_count) {
            bool found;
            const sx_status status = next_record(rows, &found, error);
            if (status != SX_OK || !found) return status;
            continue;
        }
        const uint16_t *state = rows->record.states + rows->next * width;
        label_token(rows, rows->record.state_index[rows->next++], &block->label[block->rows]);
        const fit_label *label = &block->label[block->rows];
        if (!label->boundary && (rows->next - 1) % WITHIN_ONE_IN) continue;
        if (!is_number(state, (uint32_t)width)) continue;
        memcpy(block->x + block->rows * width, state, width * sizeof *state);
        block->rows++;
    }
    return SX_OK;
}

fit_source trace_rows_source(trace_rows *rows)
{
    return (fit_source){rows, trace_rows_info(rows)->model.state_width, rewind_rows, next_block};
}
