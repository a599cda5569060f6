#include "graph/ops_internal.h"

#include "kernels.gen.h"
#include "model/quant.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

_Static_assert(SX_ATTENTION_SPLIT == 64, "attention.glsl says so, too");

// Partial results of attention beyond this are made and merged in several passes over the rows, which reuse the
// scratch: at 32 rows, 32 heads and 32k positions all at once would need 270 MiB.
static const uint64_t ATTENTION_SCRATCH_LIMIT = 32u << 20;

// Bytes of the buffer bound where an optional input is absent. Kernels declare an SxBatch at some of these bindings,
// and WebGPU refuses a binding smaller than what is declared.
static const uint64_t NOTHING_SIZE = sizeof(SxBatch);

sx_status sx_ops_create(sx_gpu *gpu, sx_ops *ops, sx_error *error)
{
    const sx_gpu_info *info = sx_gpu_get_info(gpu);
    memset(ops, 0, sizeof *ops);
    ops->gpu = gpu;
    ops->shuffle = info->kind == SX_GPU_CPU && info->subgroup_size >= 4 &&
                   (info->features & SX_GPU_FEATURE_SUBGROUP_SHUFFLE) &&
                   sx_gpu_kernel_usable(gpu, SX_KERNEL_ATTENTION_F16_M1_SHUFFLE4);
    ops->tiled_from = info->kind == SX_GPU_CPU ? 0 : 64; // there they take four times as long as the others
    return sx_gpu_buffer_create(gpu, NOTHING_SIZE, SX_GPU_STORAGE, "nothing", &ops->nothing, error);
}

bool sx_ops_can_pack(const sx_ops *ops)
{
    return sx_gpu_kernel_usable(ops->gpu, SX_KERNEL_PACKED_LINEAR_Q8_0_M1); // they need nothing else
}

void sx_ops_destroy(sx_ops *ops)
{
    if (ops->gpu) sx_gpu_buffer_destroy(ops->gpu, ops->nothing);
    memset(ops, 0, sizeof *ops);
}

sx_kernel ops_kernel(const char *format, ...)
{
    char name[64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    return sx_kernel_find(name);
}

static unsigned shuffle_lanes(const sx_ops *ops)
{
    return sx_gpu_get_info(ops->gpu)->subgroup_size >= 8 ? 8 : 4;
}

// The variant of a kernel that adds over a workgroup of so many lanes on this device. On CPUs few lanes do best, since
// every one is work: one subgroup.
static sx_kernel reducing_kernel(const sx_ops *ops, const char *name, unsigned gpu_lanes)
{
    if (ops->shuffle) return ops_kernel("%s_shuffle%u", name, shuffle_lanes(ops));
    return ops_kernel("%s_%u", name, gpu_lanes);
}

ops_format_name ops_name_of_format(uint32_t format)
{
    assert(format < SX_FORMAT_COUNT);
    ops_format_name name = {{0}};
    const char *text = sx_format_get((sx_format)format)->name;
    for (size_t i = 0; text[i] && i + 1 < sizeof name.text; i++)
        name.text[i] = text[i] >= 'A' && text[i] <= 'Z' ? (char)(text[i] - 'A' + 'a') : text[i];
    return name;
}

static uint32_t row_words(const sx_matrix *matrix)
{
    return (uint32_t)sx_tile_row_words((sx_format)matrix->format, matrix->columns);
}

static uint32_t rows_of_piece(const sx_matrix *matrix, uint32_t piece)
{
    return piece + 1 < matrix->piece_count ? matrix->piece_rows : matrix->rows - piece * matrix->piece_rows;
}

// ---- Passes of more rows than a batch has -------------------------------------------------------------------------

static uint32_t batch_rows(uint32_t rows, uint32_t first)
{
    return rows - first < SX_MAX_ROWS ? rows - first : SX_MAX_ROWS;
}

// The batch of row `first`, a multiple of SX_MAX_ROWS; absent where they all are.
static sx_gpu_binding batch_from(sx_gpu_binding batches, uint32_t first)
{
    if (!ops_present(batches) || !first) return batches;
    batches.offset += (uint64_t)(first / SX_MAX_ROWS) * SX_BATCH_STRIDE;
    batches.size = sizeof(SxBatch);
    return batches;
}

// Rows `first` and up of a buffer of rows of `stride` floats.
static sx_gpu_binding rows_from(sx_gpu_binding binding, uint32_t first, uint32_t stride)
{
    if (!first) return binding;
    const uint64_t bytes = 4 * (uint64_t)first * stride;
    assert(bytes % SX_GPU_OFFSET_ALIGNMENT == 0 && binding.size > bytes);
    binding.offset += bytes;
    binding.size -= bytes;
    return binding;
}

// ---- Ops -----------------------------------------------------------------------------------------------------------

void sx_op_embed(const sx_ops *ops, sx_gpu_tape *tape, const sx_matrix *table, sx_gpu_binding batch, uint32_t rows,
                 float scale, sx_gpu_binding out)
{
    (void)ops;
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS);
    const sx_kernel kernel = ops_kernel("embed_%s", ops_name_of_format(table->format).text);
    for (uint32_t piece = 0; piece < table->piece_count; piece++) {
        const struct {
            uint32_t words_per_row, columns, matrix_rows, first_row, piece_rows;
            float scale;
        } parameters = {row_words(table),
                        table->columns,
                        table->rows,
                        piece * table->piece_rows,
                        rows_of_piece(table, piece),
                        scale};
        for (uint32_t first = 0; first < rows; first += SX_MAX_ROWS) {
            const sx_gpu_binding bindings[] = {table->piece[piece], batch_from(batch, first),
                                               rows_from(out, first, table->columns)};
            sx_gpu_tape_dispatch(tape, kernel, &parameters, sizeof parameters, bindings, 3,
                                 ops_ceil_div(table->columns, 4 * 64), batch_rows(rows, first), 1);
        }
    }
}

void sx_op_rms_norm(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_norm_args *args)
{
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS && args->n >= 1);
    const struct {
        uint32_t n, x_stride, out_stride, out_offset;
        float eps;
        uint32_t has_residual;
    } parameters = {args->n,          args->x_stride, args->out_stride,
                    args->out_offset, args->eps,      ops_present(args->residual)};
    const sx_gpu_binding bindings[] = {args->x, args->weight, ops_optional(ops, args->residual), args->out};
    const sx_kernel kernel = reducing_kernel(ops, "rms_norm", args->n <= 1024 ? 64 : 256);
    sx_gpu_tape_dispatch(tape, kernel, &parameters, sizeof parameters, bindings, 4, rows, 1, 1);
}

// The kernel rows that serve `rows` activation rows.
static uint32_t linear_kernel_rows(uint32_t rows)
{
    return rows == 1 ? 1 : rows <= 4 ? 4 : rows <= 8 ? 8 : 16;
}

// The variant of a kernel for so many rows on this device.
static sx_kernel rows_kernel(const sx_ops *ops, const char *name, uint32_t kernel_rows)
{
    if (!ops->shuffle) return ops_kernel("%s_m%u", name, kernel_rows);
    return ops_kernel("%s_m%u_shuffle%u", name, kernel_rows, shuffle_lanes(ops));
}

// What a linear op reads: x as it is, or packed where that is given and the weights are bytes.
typedef struct linear_input {
    bool packed;
    sx_gpu_binding x;
    uint32_t stride; // words
} linear_input;

static linear_input linear_input_of(const sx_matrix *weight, sx_gpu_binding x, uint32_t x_stride, sx_gpu_binding packed)
{
    assert(x_stride >= weight->columns && x_stride % 4 == 0);
    if (!ops_present(packed) || !sx_format_packs(weight->format)) return (linear_input){false, x, x_stride};
    return (linear_input){true, packed, sx_packed_words(weight->columns)};
}

// The kernel of `kind` ("linear", "expert") for so many rows. Packed ones do not shuffle.
static sx_kernel linear_kernel(const sx_ops *ops, const char *kind, uint32_t format, bool packed, uint32_t kernel_rows)
{
    const ops_format_name weights = ops_name_of_format(format);
    if (packed) return ops_kernel("packed_%s_%s_m%u", kind, weights.text, kernel_rows);
    char name[32];
    snprintf(name, sizeof name, "%s_%s", kind, weights.text);
    return rows_kernel(ops, name, kernel_rows);
}

// How a linear op is cut into workgroups.
typedef struct linear_grid {
    sx_kernel kernel;
    uint32_t matrix_rows, rows; // of a workgroup
} linear_grid;

static linear_grid linear_grid_of(const sx_ops *ops, uint32_t format, uint32_t rows, bool packed)
{
    if (ops->tiled_from && rows >= ops->tiled_from) {
        const char *prefix = packed ? "packed_" : "";
        return (linear_grid){ops_kernel("%slinear_%s_tiled", prefix, ops_name_of_format(format).text), 64, 64};
    }
    const uint32_t kernel_rows = linear_kernel_rows(rows);
    return (linear_grid){linear_kernel(ops, "linear", format, packed, kernel_rows), 32, kernel_rows};
}

bool sx_format_packs(uint32_t format)
{
    return format > SX_FORMAT_BF16;
}

uint32_t sx_packed_words(uint32_t columns)
{
    return ops_ceil_div(columns, 32) * SX_PACKED_WORDS;
}

void sx_op_pack_rows(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_gpu_binding x, uint32_t x_stride,
                     uint32_t columns, sx_gpu_binding out)
{
    (void)ops;
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS * SX_MAX_EXPERTS_USED);
    assert(columns % 32 == 0 && x_stride >= columns && x_stride % 4 == 0);
    const struct {
        uint32_t blocks, count, x_stride, out_stride;
    } parameters = {columns / 32, rows * (columns / 32), x_stride, sx_packed_words(columns)};
    const sx_gpu_binding bindings[] = {x, out};
    sx_gpu_tape_dispatch(tape, SX_KERNEL_PACK_ROWS, &parameters, sizeof parameters, bindings, 2,
                         ops_ceil_div(parameters.count, 64), 1, 1);
}

void sx_op_linear(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_linear_args *args)
{
    const sx_matrix *weight = args->weight;
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS);
    const linear_input input = linear_input_of(weight, args->x, args->x_stride, args->packed);
    const linear_grid grid = linear_grid_of(ops, weight->format, rows, input.packed);
    const uint32_t row_blocks = ops_ceil_div(rows, grid.rows);
    for (uint32_t piece = 0; piece < weight->piece_count; piece++) {
        const uint32_t piece_rows = rows_of_piece(weight, piece);
        const struct {
            uint32_t words_per_row, columns, matrix_rows, first_row, rows, row_blocks, x_stride, out_stride, out_offset,
                residual_stride, has_bias, has_residual;
        } parameters = {row_words(weight),
                        weight->columns,
                        piece_rows,
                        piece * weight->piece_rows,
                        rows,
                        row_blocks,
                        input.stride,
                        args->out_stride,
                        args->out_offset,
                        args->residual_stride,
                        ops_present(args->bias),
                        ops_present(args->residual)};
        const sx_gpu_binding bindings[] = {weight->piece[piece], input.x, ops_optional(ops, args->bias),
                                           ops_optional(ops, args->residual), args->out};
        sx_gpu_tape_dispatch(tape, grid.kernel, &parameters, sizeof parameters, bindings, 5,
                             ops_ceil_div(piece_rows, grid.matrix_rows) * row_blocks, 1, 1);
    }
}

void sx_op_route(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_gpu_binding logits, uint32_t experts,
                 uint32_t used, bool normed, sx_gpu_binding routes)
{
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS && used >= 1 && used <= experts && used <= SX_MAX_EXPERTS_USED);
    const struct {
        uint32_t experts, used, normed;
    } parameters = {experts, used, normed};
    const sx_gpu_binding bindings[] = {logits, routes};
    const sx_kernel kernel = ops_on_cpu(ops) ? SX_KERNEL_ROUTE_16 : SX_KERNEL_ROUTE_64;
    sx_gpu_tape_dispatch(tape, kernel, &parameters, sizeof parameters, bindings, 2, rows, 1, 1);
}

void sx_op_expert_linear(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_expert_linear_args *args)
{
    const sx_matrix *weight = &args->weight->matrix;
    const uint32_t each = args->weight->rows_each, routes = rows * args->used;
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS && args->used >= 1 && args->used <= SX_MAX_EXPERTS_USED);
    assert(each && each % 4 == 0 && weight->rows % each == 0);
    const linear_input input = linear_input_of(weight, args->x, args->x_stride, args->packed);
    const sx_kernel kernel = linear_kernel(ops, "expert", weight->format, input.packed, 1);
    for (uint32_t piece = 0; piece < weight->piece_count; piece++) {
        const struct {
            uint32_t words_per_row, columns, matrix_rows, first_row, rows, row_blocks, x_stride, out_stride, out_offset,
                unused[3], experts, piece_rows, x_share;
        } parameters = {.words_per_row = row_words(weight),
                        .columns = weight->columns,
                        .matrix_rows = each,
                        .first_row = piece * weight->piece_rows,
                        .rows = routes,
                        .row_blocks = routes,
                        .x_stride = input.stride,
                        .out_stride = args->out_stride,
                        .out_offset = args->out_offset,
                        .experts = weight->rows / each,
                        .piece_rows = rows_of_piece(weight, piece),
                        .x_share = args->x_of_route ? 1 : args->used};
        const sx_gpu_binding bindings[] = {weight->piece[piece], input.x, args->routes, args->out};
        sx_gpu_tape_dispatch(tape, kernel, &parameters, sizeof parameters, bindings, 4, ops_ceil_div(each, 32) * routes,
                             1, 1);
    }
}

void sx_op_expert_sum(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_gpu_binding x, sx_gpu_binding routes,
                      uint32_t used, uint32_t n, sx_gpu_binding residual, sx_gpu_binding out)
{
    (void)ops;
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS && used >= 1 && n >= 1);
    const struct {
        uint32_t n, count, used;
    } parameters = {n, rows * n, used};
    const sx_gpu_binding bindings[] = {x, routes, residual, out};
    sx_gpu_tape_dispatch(tape, SX_KERNEL_EXPERT_SUM, &parameters, sizeof parameters, bindings, 4,
                         ops_ceil_div(rows * n, 64), 1, 1);
}

static const char *name_of_kv(const sx_attention_shape *shape)
{
    return shape->kv_q8 ? "q8" : "f16";
}

uint32_t sx_kv_row_bytes(const sx_attention_shape *shape)
{
    const uint32_t head = shape->kv_q8 ? shape->head_dim + 4 * ops_ceil_div(shape->head_dim, 32) : 2 * shape->head_dim;
    return shape->kv_heads * head;
}

void sx_op_attention_prepare(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_attention_prepare_args *args)
{
    const sx_attention_shape *shape = args->shape;
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS);
    assert(shape->head_dim % 2 == 0 && shape->head_dim <= 256 && shape->rope_dims <= shape->head_dim);
    assert(shape->kv_heads && shape->heads % shape->kv_heads == 0 && shape->slots);
    assert(!shape->kv_q8 || shape->head_dim % 4 == 0);
    const struct {
        uint32_t heads, kv_heads, head_dim, rope_dims, rope_pairs, slots, has_norm, norm_after_rope;
        float eps, rope_factor;
    } parameters = {shape->heads,
                    shape->kv_heads,
                    shape->head_dim,
                    shape->rope_dims,
                    shape->rope_layout == SX_ROPE_PAIRS,
                    shape->slots,
                    ops_present(args->qk_norm),
                    shape->norm_after_rope,
                    shape->eps,
                    shape->rope_factor};
    char name[32];
    snprintf(name, sizeof name, "attention_prepare_%s", name_of_kv(shape));
    const sx_kernel kernel = reducing_kernel(ops, name, 64);
    const uint32_t all_heads = shape->heads + 2 * shape->kv_heads;
    for (uint32_t first = 0; first < rows; first += SX_MAX_ROWS) {
        const sx_gpu_binding bindings[] = {rows_from(args->qkv, first, all_heads * shape->head_dim),
                                           ops_optional(ops, args->qk_norm),
                                           args->inv_freq,
                                           batch_from(args->batch, first),
                                           rows_from(args->q, first, shape->heads * shape->head_dim),
                                           args->kv};
        sx_gpu_tape_dispatch(tape, kernel, &parameters, sizeof parameters, bindings, 6, all_heads,
                             batch_rows(rows, first), 1);
    }
}

static uint64_t scratch_bytes_per_row(const sx_attention_shape *shape, uint32_t splits)
{
    return 4 * (uint64_t)shape->heads * splits * (shape->head_dim + 2);
}

static uint32_t attention_rows_per_pass(const sx_attention_shape *shape, uint32_t rows, uint32_t splits)
{
    const uint64_t fitting = ATTENTION_SCRATCH_LIMIT / scratch_bytes_per_row(shape, splits);
    return fitting >= rows ? rows : fitting ? (uint32_t)fitting : 1;
}

uint64_t sx_attention_scratch_size(const sx_attention_shape *shape, uint32_t rows, uint32_t splits)
{
    if (rows > SX_MAX_ROWS) rows = SX_MAX_ROWS; // batches take turns
    return attention_rows_per_pass(shape, rows, splits) * scratch_bytes_per_row(shape, splits);
}

static uint32_t attention_kernel_rows(const sx_ops *ops, uint32_t queries)
{
    const bool eight = ops->shuffle && shuffle_lanes(ops) == 8; // elsewhere it would spill registers
    return queries <= 2 ? queries : queries <= 4 || !eight ? 4 : 8;
}

// On GPUs, where heads are multiples of 16 components, keys come 16 bytes a load.
static bool reads_wide(const sx_ops *ops, const sx_attention_shape *shape)
{
    return !ops->shuffle && !shape->kv_q8 && shape->head_dim % 16 == 0;
}

// The rows of one batch.
static void attention_of_batch(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_attention_args *args)
{
    const sx_attention_shape *shape = args->shape;
    const uint32_t per_pass = attention_rows_per_pass(shape, rows, args->splits);
    const uint32_t group = shape->heads / shape->kv_heads; // queries of a row that share a key
    const uint32_t kernel_rows = attention_kernel_rows(ops, per_pass * group);
    const bool wide = reads_wide(ops, shape);
    char name[32];
    snprintf(name, sizeof name, "attention_%s", wide ? "wide" : name_of_kv(shape));
    const sx_kernel kernel = rows_kernel(ops, name, kernel_rows);
    for (uint32_t first = 0; first < rows; first += per_pass) {
        const uint32_t count = rows - first < per_pass ? rows - first : per_pass;
        const struct {
            uint32_t heads, kv_heads, head_dim, slots, window, splits, first_row, rows;
            float scale, softcap;
        } parameters = {shape->heads, shape->kv_heads, shape->head_dim, shape->slots, shape->window,
                        args->splits, first,           count,           shape->scale, shape->softcap};
        const sx_gpu_binding partial[] = {args->q, args->kv, args->batch, args->scratch, args->kv};
        sx_gpu_tape_dispatch(tape, kernel, &parameters, sizeof parameters, partial, wide ? 5 : 4, args->splits,
                             shape->kv_heads, ops_ceil_div(count * group, kernel_rows));
        const sx_gpu_binding merge[] = {args->scratch, args->batch, args->out};
        sx_gpu_tape_dispatch(tape, SX_KERNEL_ATTENTION_MERGE, &parameters, sizeof parameters, merge, 3,
                             ops_ceil_div(count * shape->heads * shape->head_dim, 64), 1, 1);
    }
}

void sx_op_attention(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_attention_args *args)
{
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS && args->splits >= 1);
    const uint32_t stride = args->shape->heads * args->shape->head_dim;
    for (uint32_t first = 0; first < rows; first += SX_MAX_ROWS) {
        sx_attention_args part = *args;
        part.q = rows_from(args->q, first, stride);
        part.batch = batch_from(args->batch, first);
        part.out = rows_from(args->out, first, stride);
        attention_of_batch(ops, tape, batch_rows(rows, first), &part);
    }
}

void sx_op_gated_unit(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_activation activation,
                      sx_gpu_binding gate_up, uint32_t n, sx_gpu_binding out)
{
    (void)ops;
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS * SX_MAX_EXPERTS_USED && n >= 1);
    const struct {
        uint32_t n, count, activation;
    } parameters = {n, rows * n, activation};
    const sx_gpu_binding bindings[] = {gate_up, out};
    sx_gpu_tape_dispatch(tape, SX_KERNEL_GATED_UNIT, &parameters, sizeof parameters, bindings, 2,
                         ops_ceil_div(rows * n, 64), 1, 1);
}

void sx_op_gather_rows(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_gather_args *args)
{
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS && args->n >= 1 && args->x_stride >= args->x_offset + args->n);
    const uint64_t x_size = args->x.size ? args->x.size : sx_gpu_buffer_size(args->x.buffer) - args->x.offset;
    const uint32_t x_rows = (uint32_t)(x_size / (4 * (uint64_t)args->x_stride));
    const struct {
        uint32_t n, x_stride, x_offset, out_stride, out_offset, has_batch, x_rows;
    } parameters = {args->n,          args->x_stride,           args->x_offset,     args->out_stride,
                    args->out_offset, ops_present(args->batch), x_rows ? x_rows : 1};
    const uint32_t step = ops_present(args->batch) ? SX_MAX_ROWS : rows;
    for (uint32_t first = 0; first < rows; first += step) {
        const sx_gpu_binding bindings[] = {args->x, ops_optional(ops, batch_from(args->batch, first)),
                                           rows_from(args->out, first, args->out_stride)};
        sx_gpu_tape_dispatch(tape, SX_KERNEL_GATHER_ROWS, &parameters, sizeof parameters, bindings, 3,
                             ops_ceil_div(args->n, 64), rows - first < step ? rows - first : step, 1);
    }
}

void sx_op_signals(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_gpu_binding weight, uint32_t n,
                   uint32_t mask, sx_gpu_binding x, sx_gpu_binding out)
{
    assert(rows >= 1 && rows <= SX_MAX_PREFILL_ROWS && n >= 1);
    const struct {
        uint32_t n, mask;
    } parameters = {n, mask};
    const sx_gpu_binding bindings[] = {weight, x, out};
    sx_gpu_tape_dispatch(tape, reducing_kernel(ops, "signals", 64), &parameters, sizeof parameters, bindings, 3, rows,
                         1, 1);
}
