// Ops: each function appends one operation (usually one dispatch) to a tape. It chooses the kernel variant, the grid
// and the parameters; the mathematics is in the shader of the same name. The graphs (target.c, eagle.c) are sequences
// of these calls.
//
// Conventions: `rows` is the tape's fixed row count; activations are float32, row-major, [rows, stride] with the stride
// in elements; all buffers hold at least `rows` rows. Ops of the forward pass take up to SX_MAX_PREFILL_ROWS rows,
// decisions SX_MAX_ROWS; a batch of more than SX_MAX_ROWS rows is several SxBatch, SX_BATCH_STRIDE bytes apart. Rows
// beyond a batch's count hold harmless values. A binding of size 0 is absent. Every op's result for a row depends on
// that row alone and is summed in an order that does not depend on `rows`: batch invariance. Errors stick to the tape
// (see gpu.h).
#ifndef SX_GRAPH_OPS_H
#define SX_GRAPH_OPS_H

#include "gpu/gpu.h"
#include "model/hparams.h"
#include "shared.h"

#include <stdbool.h>
#include <stdint.h>

_Static_assert(sizeof(SxBatch) == 4 * (4 + 6 * SX_MAX_ROWS + SX_MAX_ROWS * SX_MAX_PATH), "std430 and C agree");
enum { SX_MAX_PREFILL_ROWS = 256, SX_BATCH_STRIDE = 3072 };
_Static_assert(sizeof(SxBatch) <= SX_BATCH_STRIDE && SX_BATCH_STRIDE % SX_GPU_OFFSET_ALIGNMENT == 0, "bound apart");
_Static_assert(sizeof(SxState) % 4 == 0 && sizeof(SxTree) % 4 == 0, "words only");

// What the ops need to know of the device; made once per engine, read only afterwards.
typedef struct sx_ops {
    sx_gpu *gpu;
    sx_gpu_buffer *nothing; // small zero buffer bound where an optional input is absent
    bool shuffle;           // where there are such kernels: those that hand values round a subgroup (CPU drivers)
    bool packs;             // linear ops of weights that are bytes take packed activations; set by the owner
    uint32_t tiled_from;    // linear ops of so many rows or more take the kernels with tiles of both; 0: none does
} sx_ops;

sx_status sx_ops_create(sx_gpu *gpu, sx_ops *ops, sx_error *error);
void sx_ops_destroy(sx_ops *ops);
// Whether the device has what packed activations are multiplied with: packed integer dot products.
bool sx_ops_can_pack(const sx_ops *ops);

// A weight matrix [rows, columns] in word-interleaved tiles (model/quant.h), cut into pieces of whole tiles where it is
// larger than one binding may be.
enum { SX_MATRIX_MAX_PIECES = 16 };
typedef struct sx_matrix {
    uint32_t format;  // sx_format of model/quant.h
    uint32_t rows;    // output features
    uint32_t columns; // input features
    uint32_t piece_count;
    uint32_t piece_rows; // rows of every piece but the last; a multiple of 32
    sx_gpu_binding piece[SX_MATRIX_MAX_PIECES];
} sx_matrix;

// ---- Forward pass (ops_forward.c) ----------------------------------------------------------------------------------

// out[r, :] = scale * table[token[r], :]                                                   shaders/embed.comp
void sx_op_embed(const sx_ops *ops, sx_gpu_tape *tape, const sx_matrix *table, sx_gpu_binding batch, uint32_t rows,
                 float scale, sx_gpu_binding out);

// out[r, out_offset + i] = x[r, i] / sqrt(mean(x[r, :n]^2) + eps) * weight[i]                shaders/rms_norm.comp
typedef struct sx_norm_args {
    sx_gpu_binding x;
    uint32_t x_stride;
    sx_gpu_binding weight; // float32 [n]
    uint32_t n;
    float eps;
    sx_gpu_binding residual; // optional, [rows, out_stride]: added to the result (norms after attention and ffn)
    sx_gpu_binding out;
    uint32_t out_stride, out_offset;
} sx_norm_args;
void sx_op_rms_norm(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_norm_args *args);

// out[r, out_offset + i] = sum_k weight[i, k] * x[r, k] + bias[i] + residual[r, i]           shaders/linear.comp
//                                                              shaders/linear_shuffle.comp, shaders/linear_tiled.comp
typedef struct sx_linear_args {
    const sx_matrix *weight;
    sx_gpu_binding x;    // [rows, x_stride]; up to 3 values behind the columns of a row are read: they must be finite
    uint32_t x_stride;   // >= columns, a multiple of 4
    sx_gpu_binding bias; // optional, float32 [weight rows]
    sx_gpu_binding residual; // optional, [rows, residual_stride]; not the same buffer as out
    uint32_t residual_stride;
    sx_gpu_binding packed; // optional: x packed; read instead of x where sx_format_packs(weight->format)
    sx_gpu_binding out;
    uint32_t out_stride, out_offset;
} sx_linear_args;
void sx_op_linear(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_linear_args *args);

// out = x rounded to bytes in blocks of 32: block b of row r is SX_PACKED_WORDS words (shaders/packed.glsl). x [rows,
// x_stride] with x_stride a multiple of 4; columns, a multiple of 32, of each row; out [rows,
// sx_packed_words(columns)]. A block with an infinity or a NaN makes NaN of everything it is multiplied with.
// shaders/pack_rows.comp
void sx_op_pack_rows(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_gpu_binding x, uint32_t x_stride,
                     uint32_t columns, sx_gpu_binding out);
uint32_t sx_packed_words(uint32_t columns); // of a row; its last block may be short
// Whether there are kernels for packed activations and weights of `format`: those whose weights are bytes with scales.
bool sx_format_packs(uint32_t format);

// ---- Layers of experts: a row goes through the few that its router names

// A stack of experts' matrices: expert e is rows [e * rows_each, (e + 1) * rows_each) of `matrix`.
typedef struct sx_expert_stack {
    sx_matrix matrix;
    uint32_t rows_each; // a multiple of 4
} sx_expert_stack;

// routes[r]: SxRoute[used], the `used` experts with the largest router logits of row r, best first (ties: lower
// number), each with its share of the softmax over all `experts`; with `normed` the shares are divided by their sum.
// logits [rows, experts]. used <= SX_MAX_EXPERTS_USED and <= experts.                            shaders/route.comp
void sx_op_route(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_gpu_binding logits, uint32_t experts,
                 uint32_t used, bool normed, sx_gpu_binding routes);

// out[r * used + k, out_offset + i] = sum_j W[routes[r, k].expert][i, j] * x[..., j], where x's row is r, or
// r * used + k when `x_of_route`. Every product of a row with an expert is summed by itself: batch invariant.
//                                           shaders/linear.comp and shaders/linear_shuffle.comp with EXPERTS
typedef struct sx_expert_linear_args {
    const sx_expert_stack *weight;
    sx_gpu_binding routes; // SxRoute [rows, used]
    uint32_t used;
    sx_gpu_binding x; // [rows or rows * used, x_stride], as in sx_linear_args
    uint32_t x_stride;
    bool x_of_route;
    sx_gpu_binding packed; // as in sx_linear_args
    sx_gpu_binding out;    // [rows * used, out_stride]
    uint32_t out_stride, out_offset;
} sx_expert_linear_args;
void sx_op_expert_linear(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_expert_linear_args *args);

// out[r, i] = residual[r, i] + sum_k routes[r, k].weight * x[r * used + k, i]; x [rows * used, n], the others [rows,
// n].
//                                                                                          shaders/expert_sum.comp
void sx_op_expert_sum(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_gpu_binding x, sx_gpu_binding routes,
                      uint32_t used, uint32_t n, sx_gpu_binding residual, sx_gpu_binding out);

// Splits qkv, normalises q and k heads where norms are given, rotates them to the row's position, stores k and v in the
// row's slot and leaves q in float32.                                            shaders/attention_prepare.comp
typedef struct sx_attention_shape {
    uint32_t heads, kv_heads, head_dim; // head_dim even, <= 256
    uint32_t rope_dims;                 // <= head_dim; the rest is not rotated
    sx_rope_layout rope_layout;
    float rope_factor;    // on cos and sin (YaRN); 1 otherwise
    bool norm_after_rope; // q and k norms behind the rotation (hunyuan), else before it
    float eps;            // of the q and k norms
    float scale;          // on the scores, usually 1 / sqrt(head_dim)
    uint32_t window;      // sliding window in tokens; 0: full attention
    uint32_t slots;       // capacity of kv: [2 (k, v)][slots][kv_heads] heads as shaders/kv.glsl lays them out
    bool kv_q8;           // kv in q8_0 (head_dim a multiple of 4), else in f16
    float softcap;        // cap * tanh(score / cap); 0: none
} sx_attention_shape;
// Bytes of the keys, or of the values, of one position.
uint32_t sx_kv_row_bytes(const sx_attention_shape *shape);
typedef struct sx_attention_prepare_args {
    const sx_attention_shape *shape;
    sx_gpu_binding qkv;      // [rows, (heads + 2 kv_heads) * head_dim]
    sx_gpu_binding qk_norm;  // optional, float32 [2][head_dim]: weights of q norm, then k norm
    sx_gpu_binding inv_freq; // float32 [rope_dims / 2]
    sx_gpu_binding batch;
    sx_gpu_binding q;  // out [rows, heads * head_dim]
    sx_gpu_binding kv; // out, this layer's part
} sx_attention_prepare_args;
void sx_op_attention_prepare(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows,
                             const sx_attention_prepare_args *args);

// out[r, h, :] = softmax(scale * q[r, h] . k[p]) v[p] over the positions p the row sees (SxBatch). Two dispatches:
// partial sums over splits of SX_ATTENTION_SPLIT positions at fixed absolute places, then their merge in order.
//                                                               shaders/attention.comp, shaders/attention_merge.comp
enum { SX_ATTENTION_SPLIT = 64 };
// Words of scratch for `rows` rows and at most `splits` splits.
uint64_t sx_attention_scratch_size(const sx_attention_shape *shape, uint32_t rows, uint32_t splits); // bytes
typedef struct sx_attention_args {
    const sx_attention_shape *shape;
    sx_gpu_binding q, kv, batch;
    uint32_t splits; // the tape serves positions below splits * SX_ATTENTION_SPLIT
    sx_gpu_binding scratch;
    sx_gpu_binding out; // [rows, heads * head_dim]
} sx_attention_args;
void sx_op_attention(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_attention_args *args);

// out[r, i] = act(gate_up[r, i]) * gate_up[r, n + i]; `rows` may also count routes.
//                                                                                          shaders/gated_unit.comp
void sx_op_gated_unit(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_activation activation,
                      sx_gpu_binding gate_up, uint32_t n, sx_gpu_binding out);

// out[r, out_offset + i] = x[source(r), x_offset + i] for i < n; source(r) = batch.source[r], or r when batch is
// absent.
//                                                                                         shaders/gather_rows.comp
typedef struct sx_gather_args {
    sx_gpu_binding x;
    uint32_t x_stride, x_offset, n;
    sx_gpu_binding batch; // optional
    sx_gpu_binding out;
    uint32_t out_stride, out_offset;
} sx_gather_args;
void sx_op_gather_rows(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_gather_args *args);

// signals[r] = (sigmoid(w0.x), sigmoid(w1.x), exp(w2.x), 0): float32 weight [3, n], x [rows, n]; out [rows, 4].
// exp is clamped to finite values. A row of weight that is absent in `mask` (SX_SIGNAL_*) gives 0. shaders/signals.comp
void sx_op_signals(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, sx_gpu_binding weight, uint32_t n,
                   uint32_t mask, sx_gpu_binding x, sx_gpu_binding out);

// ---- Fitting signal rows (ops_fit.c) -------------------------------------------------------------------------------

// Vectors that are projected on at once, and fits whose sums are made at once.
enum { SX_FIT_COLUMNS = 32, SX_FIT_SYSTEMS = 16 };
// z[r, c] = sum_j x[r, j] * v[j, c]: x [rows, width] halves (width even), v float32 [width rounded up to 32 with zeros,
// SX_FIT_COLUMNS], z float32 [rows, SX_FIT_COLUMNS]. Any number of rows. shaders/fit_project.comp
void sx_op_fit_project(const sx_ops *ops, sx_gpu_tape *tape, uint32_t width, uint32_t rows, sx_gpu_binding x,
                       sx_gpu_binding v, sx_gpu_binding z);
// g[j, c] += sum_r x[r, j] * a[r, c]: a float32 [rows, SX_FIT_SYSTEMS], g float32 [width, SX_FIT_SYSTEMS].
//                                                                                           shaders/fit_accumulate.comp
void sx_op_fit_accumulate(const sx_ops *ops, sx_gpu_tape *tape, uint32_t width, uint32_t rows, sx_gpu_binding x,
                          sx_gpu_binding a, sx_gpu_binding g);

// ---- Decisions (ops_decide.c) --------------------------------------------------------------------------------------

// samples[r]: SxSample of each row by the settings' sampler. Greedy (temperature 0): arg max of penalised, biased
// logits (lowest id at ties). Else the Gumbel-max choice among the tokens that top-k, top-p and min-p leave, in the
// order: penalties, bias, temperature, top-k, top-p, min-p; noise keyed by (seed, position the token will have, token),
// see noise.glsl. Tokens of equal value are kept or dropped together. Repetition penalty: positive logits are divided,
// others multiplied; presence and frequency as in OpenAI's interface. Penalties count the tokens of the reply (counts)
// and the row's ancestors in the batch, itself included, but not a root that is of the prompt. Tokens at or beyond
// settings.vocabulary and those with SX_TOKEN_BANNED are never chosen (token 0 when nothing is left); a NaN counts as
// the lowest logit. Log-probability, margin and entropy are of the logits as they are. Rows at or beyond batch.count
// give token 0. At most 262,144 tokens. `greedy` promises settings of temperature 0 without penalties and biases.
//                                                                                                shaders/sample.comp
typedef struct sx_sample_args {
    sx_gpu_binding logits; // [rows, vocabulary]
    uint32_t vocabulary;
    sx_gpu_binding batch, settings;
    sx_gpu_binding counts;  // uint32 [vocabulary]: how often the reply holds each token; not read when greedy
    sx_gpu_binding samples; // out SxSample[rows]
    bool greedy;
} sx_sample_args;
void sx_op_sample(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_sample_args *args);

// children[r]: the `branch` best draft tokens after each row of the beam, best first (ties: lower draft id): by logit
// when greedy, else by logit / temperature + noise keyed by the TARGET's id and the position the child will have; no
// filters and no penalties. Child ids are target ids, SX_NONE where the draft has fewer tokens.   shaders/top_k.comp
typedef struct sx_top_k_args {
    sx_gpu_binding logits; // [rows, draft_vocabulary]
    uint32_t draft_vocabulary;
    sx_gpu_binding token_map; // optional uint32 [draft_vocabulary]: target id of each draft token
    sx_gpu_binding settings;
    sx_gpu_binding state; // now.length gives the position of the root: children of level l have position length + l
    uint32_t level;       // >= 1
    uint32_t branch;
    sx_gpu_binding children; // out SxChildren[rows]
} sx_top_k_args;
void sx_op_top_k(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_top_k_args *args);

// Appends the candidates of a level to the tree and chooses the beam of the next draft pass: the `branch` best of this
// level by cumulative log-probability (ties: lower index). Level 1 resets the tree and has one parent, the root; levels
// go up to SX_MAX_PATH - 1. `beam_in` (absent at level 1) is the batch whose rows the children belong to; `beam_out`
// the next pass's batch: token, position = length + level - 1, slot = length + (level - 1) * branch + row, base =
// length, ancestors, source = beam row of the parent (0 at level 1). All SX_MAX_ROWS rows of it are written: the
// draft's cache needs slots up to length + (level - 1) * branch + SX_MAX_ROWS. shaders/expand.comp
typedef struct sx_expand_args {
    sx_gpu_binding children, state, beam_in;
    uint32_t level, branch;
    sx_gpu_binding tree;     // in and out
    sx_gpu_binding beam_out; // out SxBatch
} sx_expand_args;
void sx_op_expand(const sx_ops *ops, sx_gpu_tape *tape, const sx_expand_args *args);

// The verify batch: row 0 the root, then either the forced tokens still to come as a chain, or the `rows` - 1 best
// candidates of the tree (by cumulative log-probability, ties to the lower index, which puts parents first), or with
// an absent tree and ngram != 0 (at most 63) the continuation of an earlier occurrence of the last `ngram`, then fewer,
// down to 2 (1 where ngram is 1) tokens of history and root, at its latest occurrence, as a chain, or nothing. With the
// entropy policy, inside thinking and a root that is a step boundary, row 1 is the first token of the close marker
// under the root (sx_policy_wants_trial); a drafted node that equals it is that row. No row is deeper than
// SX_MAX_PATH - 1 or at end_position. Without a root (done) count is 0. All SX_MAX_ROWS rows are written: the target's
// cache needs slots up to length + SX_MAX_ROWS.                                                  shaders/select.comp
typedef struct sx_select_args {
    sx_gpu_binding tree; // optional
    uint32_t ngram;      // longest suffix looked up; 0: off
    sx_gpu_binding state, settings, history;
    sx_gpu_binding batch; // out SxBatch: slot = length + row, base = length
} sx_select_args;
void sx_op_select(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_select_args *args);

// Walks the longest path whose tokens equal the target's choices, applies thinking markers, smoothing, exit rule,
// forced tokens and the ends of the reply token by token (sx_policy_accept of engine/policy.h is its specification),
// advances the state, fills state.result. history holds at least end_position tokens. Batches need token, parent,
// position and count.                                                                            shaders/accept.comp
typedef struct sx_accept_args {
    sx_gpu_binding batch, samples;
    sx_gpu_binding signals; // optional float32 [rows, 4]
    sx_gpu_binding settings;
    sx_gpu_binding state;   // in and out
    sx_gpu_binding history; // in and out, uint32 [slots]: committed tokens
    sx_gpu_binding counts;  // in and out
} sx_accept_args;
void sx_op_accept(const sx_ops *ops, sx_gpu_tape *tape, uint32_t rows, const sx_accept_args *args);

// Moves the accepted rows' keys and values of `layers` layers in one buffer from slot base + row to base + index.
// In the order of the path, so that overlapping slots are right; rows in place already are not touched.
//                                                                                               shaders/kv_move.comp
void sx_op_kv_move(const sx_ops *ops, sx_gpu_tape *tape, const sx_attention_shape *shape, uint32_t layers,
                   uint64_t layer_stride, sx_gpu_binding state, sx_gpu_binding kv); // layer_stride in bytes

// The draft's batch over the rows accepted last: row i: token = token after path[i], position = slot = path_base + i,
// base SX_DIRECT, source = path_row[i]. `last` (another buffer): one row whose source is the last of them.
// When the last cycle committed nothing, both counts are 0 and the rows harmless.        shaders/extend_batch.comp
void sx_op_extend_batch(const sx_ops *ops, sx_gpu_tape *tape, sx_gpu_binding state, sx_gpu_binding batch,
                        sx_gpu_binding last);

#endif
