// Self-tests while loading: does this device sum a row the same way alone and in company, and does the draft fit?
//
// The first runs a few tokens through the passes that prompts and replies are made of: a chunk of a prompt, 32 rows, a
// verify pass's rows, and one row, and compares the bits of a row's last hidden state, and of its logits. WGSL has no
// `precise`, and drivers differ: where it fails, speculation is only close to plain decoding, and
// sx_engine_info says so. The second lets the draft work on a short reply: a draft that does not belong to the target
// loads well and has nothing accepted.
#include "engine/load.h"
#include "engine/session.h"

#include <stdlib.h>
#include <string.h>

enum { TEST_TOKENS = 4, TEST_PASSES = 4, TEST_REPLY = 24 };
static const double longest_reply = 1.0; // seconds: on a slow device a few cycles must do

// Steps of load->test_step: pass p is submitted in step 2p and compared in step 2p + 1; then the reply.
enum { STEP_REPLY = 2 * TEST_PASSES, STEP_REPLYING };

static uint32_t pass_rows(const sx_session *probe, uint32_t pass)
{
    const uint32_t verify = probe->rows >= TEST_TOKENS ? probe->rows : 8;
    return pass == 0 ? probe->engine->prefill_rows : pass == 1 ? SX_MAX_ROWS : pass == 2 ? verify : 1;
}

static sx_status submit_pass(sx_session *probe, uint32_t pass, sx_error *error)
{
    const uint32_t vocabulary = probe->engine->hparams.vocabulary;
    for (uint32_t i = 0; i <= TEST_TOKENS; i++)
        probe->tokens[i] = (i * 7919u + 13u) % vocabulary;
    // The last pass runs the last token alone, over the keys and values that the passes before have left.
    const uint32_t rows = pass_rows(probe, pass), first = rows == 1 ? TEST_TOKENS - 1 : 0;
    const sx_tape_key key = {.kind = pass ? SX_TAPE_LOGITS : SX_TAPE_PREFILL,
                             .splits = sx_tape_splits(TEST_TOKENS, probe->buffers.slots),
                             .draft = SX_DRAFT_NONE,
                             .rows = rows};
    sx_status status = sx_session_write_rows(probe, first, TEST_TOKENS - first, rows, error);
    if (status == SX_OK) status = sx_session_submit(probe, &key, NULL, error);
    return status;
}

// The last token's hidden state, and behind it its logits where the pass makes them. In a browser each read takes some
// calls, and what has arrived is not asked for again.
static sx_status read_pass(sx_engine *engine, uint32_t pass, float *row, sx_error *error)
{
    sx_load *load = engine->load;
    const sx_session *probe = load->probe;
    const uint64_t hidden = engine->hparams.hidden * sizeof(float), logits = engine->hparams.vocabulary * sizeof(float);
    const uint64_t at = pass_rows(probe, pass) == 1 ? 0 : TEST_TOKENS - 1;
    sx_status status = SX_OK;
    if (!load->hidden_read)
        status = sx_gpu_read(engine->gpu, probe->buffers.scratch.hidden, at * hidden, row, hidden, error);
    load->hidden_read = status == SX_OK;
    if (status == SX_OK && pass)
        status =
            sx_gpu_read(engine->gpu, probe->buffers.logits, at * logits, row + engine->hparams.hidden, logits, error);
    if (status == SX_OK) load->hidden_read = false;
    return status;
}

static sx_status compare_pass(sx_engine *engine, uint32_t pass, sx_error *error)
{
    sx_load *load = engine->load;
    sx_session *probe = load->probe;
    sx_status status = SX_OK;
    if (probe->in_flight) {
        status = sx_gpu_poll(engine->gpu, probe->ticket[0], NULL, 0, error);
        if (status != SX_OK) return status;
        probe->in_flight = 0;
    }
    const size_t width = (size_t)engine->hparams.hidden + engine->hparams.vocabulary;
    if (!load->test_rows) load->test_rows = calloc(2 * width, sizeof(float));
    if (!load->test_rows) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the device's self-test");
    float *first = load->test_rows, *now = pass ? first + width : first;
    status = read_pass(engine, pass, now, error);
    if (status != SX_OK || !pass) return status;
    // A chunk of a prompt makes no logits: the next pass gives those to compare with.
    const size_t compared = pass == 1 ? engine->hparams.hidden : width;
    if (memcmp(first, now, compared * sizeof(float))) {
        engine->info.bitwise_lossless = false;
        sx_engine_log(engine,
                      "%s: a row's logits depend on the rows beside it; with speculation, text may differ in "
                      "rare places",
                      engine->info.device);
    }
    memcpy(first, now, width * sizeof(float));
    return SX_OK;
}

static sx_status begin_reply(sx_session *probe, sx_error *error)
{
    static const sx_message hello = {.role = SX_ROLE_USER, .content = "Start with 7, add 5, then multiply by 2."};
    const sx_pace *pace = &probe->engine->pace;
    sx_generate_desc desc = {
        .messages = &hello, .message_count = 1, .maximum_tokens = TEST_REPLY, .drafting = pace->shape[pace->first]};
    if (probe->engine->template_id == SX_TEMPLATE_NONE) {
        desc.messages = NULL;
        desc.prompt = hello.content;
    }
    probe->length = probe->draft_length = 0; // the passes above left other tokens' keys
    return sx_session_begin(probe, &desc, error);
}

static sx_status poll_reply(sx_engine *engine, sx_error *error)
{
    sx_session *probe = engine->load->probe;
    sx_event event;
    const sx_status status = sx_session_poll(probe, &event, error);
    if (status == SX_PENDING) {
        if (sx_clock_seconds() - probe->begin_time > longest_reply) sx_session_stop(probe);
        sx_session_wait(probe, 10);
        return status;
    }
    if (status != SX_OK || event.kind != SX_EVENT_DONE) return status == SX_OK ? SX_PENDING : status;
    engine->info.draft_acceptance = (float)event.stats.acceptance_length; // as sx_selftest keeps it
    if (event.stats.cycles >= 4 && event.stats.accepted == 0)
        sx_engine_log(engine,
                      "draft: none of its %u tokens was accepted in a short test; it looks as if %s was not "
                      "trained for %s",
                      event.stats.drafted, engine->info.draft_name, engine->info.model_name);
    return SX_OK;
}

void sx_selftest_begin(sx_engine *engine, const sx_selftest *known)
{
    engine->info.bitwise_lossless = !known->known || known->bitwise_lossless;
    engine->info.draft_acceptance = known->known ? (double)known->draft_acceptance : 0;
    engine->load->tested = known->known;
}

sx_status sx_selftest_poll(sx_engine *engine, sx_error *error)
{
    sx_load *load = engine->load;
    const uint32_t step = load->test_step;
    sx_status status = SX_OK;
    if (step < STEP_REPLY && step % 2 == 0)
        status = submit_pass(load->probe, step / 2, error);
    else if (step < STEP_REPLY)
        status = compare_pass(engine, step / 2, error);
    else if (!engine->has_draft)
        load->stage = SX_LOAD_READY;
    else if (step == STEP_REPLY)
        status = begin_reply(load->probe, error);
    else {
        status = poll_reply(engine, error);
        if (status == SX_OK) load->stage = SX_LOAD_READY;
    }
    if (status != SX_OK) return status;
    load->test_step++;
    return load->stage == SX_LOAD_READY ? SX_OK : SX_PENDING;
}
