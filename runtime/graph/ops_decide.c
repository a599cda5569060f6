#include "graph/ops_internal.h"

#include <assert.h>

// Lanes of the kernels that make a row of a vocabulary per workgroup. On a CPU few lanes do best, since every one is
// work; but large vocabularies must have many: Mesa's CPU driver ends any loop, without a word, once an invocation has
// made 65,535 rounds of all its loops together.
static uint32_t row_lanes(const sx_ops *ops, uint32_t vocabulary)
{
    return ops_on_cpu(ops) && vocabulary <= 8192 ? 16 : 256;
}

void sx_op_sample(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_sample_args *args)
{
    assert(rows >= 1 && rows <= SX_MAX_ROWS);
    const struct {
        uint32_t vocabulary;
    } parameters = {args->vocabulary};
    const uint32_t lanes = row_lanes(ops, args->vocabulary);
    if (args->greedy) {
        const sx_gpu_binding bindings[] = {args->logits, args->batch, args->settings, args->samples};
        sx_gpu_tape_dispatch(tape, ops_kernel("sample_greedy_%u", lanes), &parameters, sizeof parameters, bindings, 4,
                             rows, 1, 1);
        return;
    }
    const sx_gpu_binding bindings[] = {args->logits, args->batch, args->settings, args->counts, args->samples};
    sx_gpu_tape_dispatch(tape, ops_kernel("sample_%u", lanes), &parameters, sizeof parameters, bindings, 5, rows, 1, 1);
}

void sx_op_top_k(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_top_k_args *args)
{
    assert(rows >= 1 && rows <= SX_MAX_ROWS);
    assert(args->branch >= 1 && args->branch <= SX_MAX_BRANCH && args->level >= 1);
    const struct {
        uint32_t vocabulary, level, branch, has_map;
    } parameters = {args->draft_vocabulary, args->level, args->branch, ops_present(args->token_map)};
    const sx_gpu_binding bindings[] = {args->logits, ops_optional(ops, args->token_map), args->settings, args->state,
                                       args->children};
    sx_gpu_tape_dispatch(tape, ops_kernel("top_k_%u", row_lanes(ops, args->draft_vocabulary)), &parameters,
                         sizeof parameters, bindings, 5, rows, 1, 1);
}

void sx_op_expand(const sx_ops *ops, sx_gpu_tape *tape, const sx_expand_args *args)
{
    assert(args->branch >= 1 && args->branch <= SX_MAX_BRANCH);
    assert(args->level >= 1 && args->level < SX_MAX_PATH);
    const struct {
        uint32_t level, branch;
    } parameters = {args->level, args->branch};
    const sx_gpu_binding bindings[] = {args->children, args->state, ops_optional(ops, args->beam_in), args->tree,
                                       args->beam_out};
    sx_gpu_tape_dispatch(tape, ops_kernel("expand"), &parameters, sizeof parameters, bindings, 5, 1, 1, 1);
}

void sx_op_select(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_select_args *args)
{
    assert(rows >= 1 && rows <= SX_MAX_ROWS);
    (void)ops;
    const bool tree = ops_present(args->tree);
    const struct {
        uint32_t rows, ngram;
    } parameters = {rows, tree ? 0 : args->ngram};
    const sx_gpu_binding bindings[] = {tree ? args->tree : args->history, args->state, args->settings, args->batch};
    sx_gpu_tape_dispatch(tape, ops_kernel(tree ? "select_tree" : "select_ngram"), &parameters, sizeof parameters,
                         bindings, 4, 1, 1, 1);
}

void sx_op_accept(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_accept_args *args)
{
    assert(rows >= 1 && rows <= SX_MAX_ROWS);
    const struct {
        uint32_t rows, has_signals;
    } parameters = {rows, ops_present(args->signals)};
    const sx_gpu_binding bindings[] = {args->batch,    args->samples, ops_optional(ops, args->signals),
                                       args->settings, args->state,   args->history,
                                       args->counts};
    sx_gpu_tape_dispatch(tape, ops_kernel("accept"), &parameters, sizeof parameters, bindings, 7, 1, 1, 1);
}

void sx_op_kv_move(const sx_ops *ops, sx_gpu_tape *tape, const sx_attention_shape *shape, uint32_t layers,
                   uint64_t layer_stride, sx_gpu_binding state, sx_gpu_binding kv)
{
    (void)ops;
    assert(layer_stride % 4 == 0 && layers <= SX_GPU_MAX_GROUPS);
    const struct {
        uint32_t words, slots, layer_stride;
    } parameters = {sx_kv_row_bytes(shape) / 4, shape->slots, (uint32_t)(layer_stride / 4)};
    const sx_gpu_binding bindings[] = {state, kv};
    sx_gpu_tape_dispatch(tape, ops_kernel("kv_move"), &parameters, sizeof parameters, bindings, 2,
                         ops_ceil_div(parameters.words, 64), 2, layers);
}

void sx_op_extend_batch(const sx_ops *ops, sx_gpu_tape *tape, sx_gpu_binding state, sx_gpu_binding batch,
                        sx_gpu_binding last)
{
    (void)ops;
    const sx_gpu_binding bindings[] = {state, batch, last};
    sx_gpu_tape_dispatch(tape, ops_kernel("extend_batch"), NULL, 0, bindings, 3, 1, 1, 1);
}
