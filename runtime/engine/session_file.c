#include "engine/session_file.h"
#include "base/hash.h"
#include "base/status.h"

#include <stdlib.h>
#include <string.h>

enum { CHECKSUM_BYTES = 8, MOST_STOP_BYTES = 1 << 20 };

static const char again[] = "the file is damaged; save the session again";

static sx_status damaged(const sx_session_file *file, sx_error *error, const char *field, uint64_t value)
{
    return sx_fail(error, SX_ERROR_FORMAT, "%s: %s is %llu, which cannot be: %s", file->source->name, field,
                   (unsigned long long)value, again);
}

static sx_status read_head(sx_session_file *file, sx_error *error)
{
    static const char magic[8] = "SXSESSN";
    sx_session_head *head = &file->head;
    const sx_source *source = file->source;
    if (source->size < sizeof *head + CHECKSUM_BYTES)
        return sx_fail(error, SX_ERROR_FORMAT,
                       "%s: magic: the file is too short for a session; give one that was "
                       "saved by specexit",
                       source->name);
    const sx_status status = sx_source_read(source, 0, head, sizeof *head, error);
    if (status != SX_OK) return status;
    if (memcmp(head->magic, magic, sizeof magic))
        return sx_fail(error, SX_ERROR_FORMAT, "%s: magic: this is not a session; give one that was saved by specexit",
                       source->name);
    if (head->version != SX_SESSION_FILE_VERSION)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "%s: version is %u, this program reads %d; save the session again with this version",
                       source->name, head->version, SX_SESSION_FILE_VERSION);
    if (head->head_bytes != sizeof *head) return damaged(file, error, "head_bytes", head->head_bytes);
    if (head->file_bytes > source->size)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: file_bytes is %llu, the file ends after %llu; copy it again whole",
                       source->name, (unsigned long long)head->file_bytes, (unsigned long long)source->size);
    if (head->file_bytes < source->size)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: file_bytes is %llu, the file has %llu behind that; copy it again",
                       source->name, (unsigned long long)head->file_bytes,
                       (unsigned long long)(source->size - head->file_bytes));
    return SX_OK;
}

static sx_status check_model(sx_session_file *file, const sx_session_wanted *wanted, sx_error *error)
{
    const sx_session_head *head = &file->head;
    const char *name = file->source->name;
    if (head->model != wanted->model)
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "%s: model: the session was saved with another model; load that one, or begin anew", name);
    if (head->kv_type != wanted->kv_type)
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "%s: kv_type: its keys and values are %s, this engine's are not; load the model with that type",
                       name, head->kv_type ? "q8_0" : "f16");
    if (head->layers != wanted->layers) return damaged(file, error, "layers", head->layers);
    if (head->row_bytes != wanted->row_bytes) return damaged(file, error, "row_bytes", head->row_bytes);
    if (head->vocabulary != wanted->vocabulary) return damaged(file, error, "vocabulary", head->vocabulary);
    file->draft_fits = head->draft && head->draft == wanted->draft;
    if (file->draft_fits && head->draft_layers != wanted->draft_layers)
        return damaged(file, error, "draft_layers", head->draft_layers);
    if (file->draft_fits && head->draft_row_bytes != wanted->draft_row_bytes)
        return damaged(file, error, "draft_row_bytes", head->draft_row_bytes);
    if (head->token_count > wanted->context)
        return sx_fail(error, SX_ERROR_CONTEXT,
                       "%s: token_count is %u, the context holds %u; load the model with a context that is larger",
                       name, head->token_count, wanted->context);
    return SX_OK;
}

// Every count is bounded before sizes are computed from it, so that none overflows.
static sx_status check_counts(sx_session_file *file, sx_error *error)
{
    const sx_session_head *head = &file->head;
    if (head->prompt_count > head->token_count) return damaged(file, error, "prompt_count", head->prompt_count);
    if (head->length > head->token_count) return damaged(file, error, "length", head->length);
    if (head->draft_length > head->length) return damaged(file, error, "draft_length", head->draft_length);
    if (head->draft_layers > 64) return damaged(file, error, "draft_layers", head->draft_layers);
    if (head->draft_row_bytes > 1u << 20) return damaged(file, error, "draft_row_bytes", head->draft_row_bytes);
    if (head->reply > SX_SAVED_WRITING) return damaged(file, error, "reply", head->reply);
    if (head->exit_reason > SX_EXIT_ANSWER_NOW) return damaged(file, error, "exit_reason", head->exit_reason);
    if (head->state_exit_reason > SX_EXIT_ANSWER_NOW)
        return damaged(file, error, "state_exit_reason", head->state_exit_reason);
    if (head->draft_kind > 4) return damaged(file, error, "draft_kind", head->draft_kind);
    if (head->depth >= SX_MAX_PATH) return damaged(file, error, "depth", head->depth);
    if (head->branch > SX_MAX_BRANCH) return damaged(file, error, "branch", head->branch);
    if (head->nodes >= SX_MAX_ROWS) return damaged(file, error, "nodes", head->nodes);
    if (head->stop_count > 16) return damaged(file, error, "stop_count", head->stop_count);
    if (head->stop_bytes > MOST_STOP_BYTES || head->stop_bytes % 4)
        return damaged(file, error, "stop_bytes", head->stop_bytes);
    uint64_t at = sizeof *head + 4ull * head->token_count + head->stop_bytes;
    if (head->reply != SX_SAVED_NONE) at += sizeof(SxSettings) + 2 * sizeof(SxThought);
    file->kv_offset = at;
    at += 2ull * head->layers * head->length * head->row_bytes;
    file->draft_kv_offset = at;
    at += 2ull * head->draft_layers * head->draft_length * head->draft_row_bytes;
    if (at + CHECKSUM_BYTES != head->file_bytes) return damaged(file, error, "file_bytes", head->file_bytes);
    return SX_OK;
}

static sx_status read_texts(sx_session_file *file, sx_error *error)
{
    const sx_session_head *head = &file->head;
    const uint64_t token_bytes = 4ull * head->token_count;
    file->tokens = malloc(token_bytes + 4);
    file->stops = malloc(head->stop_bytes + 1);
    if (!file->tokens || !file->stops)
        return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory for %u tokens", file->source->name,
                       head->token_count);
    sx_status status = sx_source_read(file->source, sizeof *head, file->tokens, token_bytes, error);
    if (status == SX_OK)
        status = sx_source_read(file->source, sizeof *head + token_bytes, file->stops, head->stop_bytes, error);
    if (status != SX_OK) return status;
    for (uint32_t i = 0; i < head->token_count; i++)
        if (file->tokens[i] >= head->vocabulary) return damaged(file, error, "a token", file->tokens[i]);
    uint32_t at = 0;
    for (uint32_t i = 0; i < head->stop_count; i++) {
        const char *end = memchr(file->stops + at, 0, head->stop_bytes - at);
        if (!end || end == file->stops + at) return damaged(file, error, "the length of stop string", i);
        at = (uint32_t)(end - file->stops) + 1;
    }
    return SX_OK;
}

static bool tokens_exist(const uint32_t *tokens, uint32_t count, uint32_t most, uint32_t vocabulary)
{
    for (uint32_t i = 0; i < count && i < most; i++)
        if (tokens[i] >= vocabulary) return false;
    return count <= most;
}

static sx_status check_settings(const sx_session_file *file, const sx_session_wanted *wanted, sx_error *error)
{
    const SxSettings *s = &file->settings;
    const uint32_t vocabulary = wanted->vocabulary;
    if (s->vocabulary != vocabulary) return damaged(file, error, "settings.vocabulary", s->vocabulary);
    if (!tokens_exist(s->open, s->open_count, SX_MAX_MARKER, vocabulary))
        return damaged(file, error, "settings.open_count", s->open_count);
    if (!tokens_exist(s->close, s->close_count, SX_MAX_MARKER, vocabulary))
        return damaged(file, error, "settings.close_count", s->close_count);
    if (!tokens_exist(s->exit_tokens, s->exit_count, SX_MAX_FORCED, vocabulary))
        return damaged(file, error, "settings.exit_count", s->exit_count);
    if (!tokens_exist(s->bias_token, s->bias_count, SX_MAX_BIAS, vocabulary))
        return damaged(file, error, "settings.bias_count", s->bias_count);
    if (s->policy > SX_POLICY_KIND_ENTROPY) return damaged(file, error, "settings.policy", s->policy);
    if (s->smoothing > SX_SMOOTHING_RAW) return damaged(file, error, "settings.smoothing", s->smoothing);
    if (s->signal_mask & ~wanted->signal_mask && s->policy == SX_POLICY_KIND_SIGNALS)
        return sx_fail(error, SX_ERROR_MISMATCH,
                       "%s: settings.signal_mask: the reply leaves its thinking by signals this engine lacks; load the "
                       "model with the draft or signal head it was saved with",
                       file->source->name);
    if (file->head.forced_count > s->exit_count) return damaged(file, error, "forced_count", file->head.forced_count);
    return SX_OK;
}

static sx_status check_thought(const sx_session_file *file, const SxThought *thought, const char *field,
                               sx_error *error)
{
    const sx_session_head *head = &file->head;
    const bool good = thought->length < head->token_count && thought->thinking <= SX_THINKING_AFTER &&
                      thought->window_count <= SX_SIGNAL_WINDOW && thought->window_next < SX_SIGNAL_WINDOW &&
                      (thought->root < head->vocabulary || thought->root == SX_NONE);
    return good ? SX_OK : damaged(file, error, field, thought->length);
}

static sx_status read_reply(sx_session_file *file, const sx_session_wanted *wanted, sx_error *error)
{
    const sx_session_head *head = &file->head;
    if (head->reply == SX_SAVED_NONE) return SX_OK;
    if (!head->prompt_count) return damaged(file, error, "prompt_count", 0);
    uint64_t at = sizeof *head + 4ull * head->token_count + head->stop_bytes;
    sx_status status = sx_source_read(file->source, at, &file->settings, sizeof file->settings, error);
    at += sizeof file->settings;
    if (status == SX_OK) status = sx_source_read(file->source, at, &file->now, sizeof file->now, error);
    at += sizeof file->now;
    if (status == SX_OK) status = sx_source_read(file->source, at, &file->exit, sizeof file->exit, error);
    if (status == SX_OK) status = check_settings(file, wanted, error);
    if (status != SX_OK) return status;
    if (head->exit_reason != SX_EXIT_NONE) {
        status = check_thought(file, &file->exit, "exit.length", error);
        if (status == SX_OK && (file->exit.length > head->length || file->exit.length < head->prompt_count))
            status = damaged(file, error, "exit.length", file->exit.length);
    } else if (head->reply == SX_SAVED_LEFT) {
        status = damaged(file, error, "exit_reason", head->exit_reason);
    }
    if (status != SX_OK || head->reply == SX_SAVED_LEFT) return status;
    status = check_thought(file, &file->now, "now.length", error);
    // The root is the last token; where not all of the prompt is read yet, fewer have keys and values.
    if (status == SX_OK && (file->now.length + 1 != head->token_count || head->length > file->now.length ||
                            file->now.length + 1 < head->prompt_count))
        status = damaged(file, error, "now.length", file->now.length);
    if (status == SX_OK && file->now.root != file->tokens[file->now.length])
        status = damaged(file, error, "now.root", file->now.root);
    return status;
}

sx_status sx_session_file_read(const sx_source *source, const sx_session_wanted *wanted, sx_session_file *out,
                               sx_error *error)
{
    memset(out, 0, sizeof *out);
    out->source = source;
    sx_status status = read_head(out, error);
    if (status == SX_OK) status = check_model(out, wanted, error);
    if (status == SX_OK) status = check_counts(out, error);
    if (status == SX_OK) status = read_texts(out, error);
    if (status == SX_OK) status = read_reply(out, wanted, error);
    if (status != SX_OK) sx_session_file_free(out);
    return status;
}

sx_status sx_session_file_check(const sx_session_file *file, sx_error *error)
{
    uint8_t *block = malloc(SX_SESSION_BLOCK);
    if (!block) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", file->source->name);
    const uint64_t end = file->head.file_bytes - CHECKSUM_BYTES;
    uint64_t hash = SX_HASH_START, saved = 0;
    sx_status status = SX_OK;
    for (uint64_t at = 0; at < end && status == SX_OK; at += SX_SESSION_BLOCK) {
        const size_t size = end - at < SX_SESSION_BLOCK ? (size_t)(end - at) : SX_SESSION_BLOCK;
        status = sx_source_read(file->source, at, block, size, error);
        hash = sx_hash64(hash, block, size);
    }
    free(block);
    if (status == SX_OK) status = sx_source_read(file->source, end, &saved, sizeof saved, error);
    if (status == SX_OK && saved != hash)
        status = sx_fail(error, SX_ERROR_FORMAT, "%s: checksum: it does not match: %s", file->source->name, again);
    return status;
}

void sx_session_file_free(sx_session_file *file)
{
    free(file->tokens);
    free(file->stops);
    memset(file, 0, sizeof *file);
}
