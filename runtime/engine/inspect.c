// For checking against other programs: logits, signals and drafted trees of given tokens. These functions block.
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

sx_status sx_session_run_tape(sx_session *session, const sx_tape_key *key, sx_error *error)
{
    const sx_tape_key whole = sx_tape_key_for(key, &session->settings);
    return sx_tape_run(session->engine, &session->buffers, &session->tapes, &whole, NULL, NULL, error);
}

// Checks the tokens and makes them the session's; its conversation is forgotten.
static sx_status take_tokens(sx_session *session, const uint32_t *tokens, uint32_t count, sx_error *error)
{
    if (session->phase != SX_PHASE_IDLE)
        return sx_fail(error, SX_ERROR_BUSY, "the session is writing a reply; stop it first");
    if (!count || count > session->context)
        return sx_fail(error, SX_ERROR_ARGUMENT, "tokens: %u given, 1 to %u are possible", count, session->context);
    const uint32_t vocabulary = session->engine->hparams.vocabulary;
    for (uint32_t i = 0; i < count; i++)
        if (tokens[i] >= vocabulary)
            return sx_fail(error, SX_ERROR_ARGUMENT, "tokens: number %u is %u, the vocabulary has %u", i, tokens[i],
                           vocabulary);
    memcpy(session->tokens, tokens, count * sizeof *tokens);
    session->tokens[count] = 0; // read behind the last row by a draft that does not run
    session->token_count = session->length = session->draft_length = 0;
    session->left_thinking = false;
    return SX_OK;
}

sx_status sx_session_run_rows(sx_session *session, sx_tape_kind kind, uint32_t first, uint32_t count,
                              sx_gpu_buffer *buffer, uint32_t width, float *out, sx_error *error)
{
    sx_status status = SX_OK;
    for (uint32_t done = 0; done < count && status == SX_OK; done += SX_MAX_ROWS) {
        const uint32_t at = first + done, rows = count - done < SX_MAX_ROWS ? count - done : SX_MAX_ROWS;
        const sx_tape_key key = {.kind = kind,
                                 .splits = sx_tape_splits(at + rows, session->buffers.slots),
                                 .rows = kind == SX_TAPE_LOGITS ? sx_fixed_rows(rows) : SX_MAX_ROWS};
        status = sx_session_write_rows(session, at, rows, SX_MAX_ROWS, error);
        if (status == SX_OK) status = sx_session_run_tape(session, &key, error);
        if (status == SX_OK)
            status = sx_gpu_read(session->engine->gpu, buffer, 0, out + (size_t)done * width,
                                 (uint64_t)rows * width * sizeof(float), error);
    }
    return status;
}

sx_status sx_session_logits(sx_session *session, const uint32_t *tokens, uint32_t count, float **logits,
                            sx_error *error)
{
    *logits = NULL;
    sx_status status = take_tokens(session, tokens, count, error);
    if (status != SX_OK) return status;
    const uint32_t vocabulary = session->engine->hparams.vocabulary;
    float *out = malloc((size_t)count * vocabulary * sizeof *out);
    if (!out) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the logits of %u tokens", count);
    status = sx_session_run_rows(session, SX_TAPE_LOGITS, 0, count, session->buffers.logits, vocabulary, out, error);
    if (status != SX_OK) {
        free(out);
        return status;
    }
    *logits = out;
    return SX_OK;
}

static sx_status inspect_signals(sx_session *session, uint32_t count, sx_signals *signals, sx_error *error)
{
    memset(signals, 0, count * sizeof *signals);
    if (!session->engine->signal_mask) return SX_OK;
    float *rows = malloc((size_t)count * 4 * sizeof *rows);
    if (!rows) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the signals of %u tokens", count);
    const sx_status status =
        sx_session_run_rows(session, SX_TAPE_SIGNALS, 0, count, session->buffers.signals, 4, rows, error);
    for (uint32_t i = 0; i < count && status == SX_OK; i++)
        signals[i] = (sx_signals){rows[4 * i], rows[4 * i + 1], rows[4 * i + 2]};
    free(rows);
    return status;
}

// The best candidates in the order select.comp verifies them: by score, ties to the lower index.
static uint32_t rank_nodes(const SxTree *tree, uint32_t wanted, sx_draft_node *nodes, uint32_t capacity)
{
    int32_t rank[SX_MAX_CANDIDATES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < SX_MAX_CANDIDATES; i++)
        rank[i] = -1;
    for (; count < wanted && count < tree->count; count++) {
        uint32_t best = SX_MAX_CANDIDATES;
        for (uint32_t i = 0; i < tree->count; i++)
            if (rank[i] < 0 && (best == SX_MAX_CANDIDATES || tree->score[i] > tree->score[best])) best = i;
        rank[best] = (int32_t)count;
        if (count >= capacity) continue;
        nodes[count] = (sx_draft_node){.token = tree->token[best],
                                       .parent = tree->parent[best] == SX_NONE ? -1 : rank[tree->parent[best]],
                                       .depth = tree->depth[best],
                                       .logprob = tree->score[best]};
    }
    return count;
}

static sx_status inspect_tree(sx_session *session, uint32_t count, const sx_drafting *drafting, sx_draft_node *nodes,
                              uint32_t capacity, uint32_t *node_count, sx_error *error)
{
    sx_gpu *gpu = session->engine->gpu;
    session->settings.policy = SX_POLICY_KIND_NONE;
    sx_status status = sx_cycle_choose(session, drafting, error);
    if (status != SX_OK) return status;
    if (!sx_draft_is_eagle(session->drafting.kind) || count < 2)
        return sx_fail(error, SX_ERROR_ARGUMENT, "tree: it takes an EAGLE-3 draft and at least two tokens");
    for (uint32_t first = 0; first + 1 < count && status == SX_OK; first += SX_MAX_ROWS) {
        const uint32_t rows = count - 1 - first < SX_MAX_ROWS ? count - 1 - first : SX_MAX_ROWS;
        const sx_tape_key key = {.kind = SX_TAPE_PREFILL,
                                 .splits = sx_tape_splits(first + rows, session->buffers.slots),
                                 .draft = SX_DRAFT_CHAIN,
                                 .rows = SX_MAX_ROWS};
        status = sx_session_write_rows(session, first, rows, SX_MAX_ROWS, error);
        if (status == SX_OK) status = sx_session_run_tape(session, &key, error);
    }
    const SxSettings settings = {.vocabulary = session->engine->hparams.vocabulary,
                                 .end_position = session->context,
                                 .suppress_close_position = SX_NONE};
    SxState *state = &session->start;
    memset(state, 0, sizeof *state);
    state->now.length = count - 1;
    state->now.root = session->tokens[count - 1];
    if (status == SX_OK) status = sx_gpu_write(gpu, session->buffers.settings, 0, &settings, sizeof settings, error);
    if (status == SX_OK) status = sx_gpu_write(gpu, session->buffers.state, 0, state, sizeof *state, error);
    const sx_tape_key key = {.kind = SX_TAPE_TREE,
                             .splits = sx_tape_splits(count + SX_MAX_PATH, session->buffers.slots),
                             .draft = session->drafting.kind,
                             .depth = session->drafting.depth,
                             .branch = session->drafting.branch};
    if (status == SX_OK) status = sx_session_run_tape(session, &key, error);
    SxTree *tree = malloc(sizeof *tree);
    if (!tree) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the drafted tree");
    if (status == SX_OK) status = sx_gpu_read(gpu, session->buffers.draft.tree, 0, tree, sizeof *tree, error);
    if (status == SX_OK) *node_count = rank_nodes(tree, session->drafting.nodes, nodes, capacity);
    free(tree);
    return status;
}

sx_status sx_session_inspect(sx_session *session, const uint32_t *tokens, uint32_t count, const sx_drafting *drafting,
                             sx_signals *signals, sx_draft_node *nodes, uint32_t capacity, uint32_t *node_count,
                             sx_error *error)
{
    *node_count = 0;
    sx_status status = take_tokens(session, tokens, count, error);
    if (status == SX_OK && signals) status = inspect_signals(session, count, signals, error);
    if (status == SX_OK && nodes) status = inspect_tree(session, count, drafting, nodes, capacity, node_count, error);
    return status;
}
