// Loading a model, step by step, and the engine's smaller services.
#include "engine/load.h"
#include "engine/session.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_CONTEXT = 8192, CONTEXT_LIMIT = 1 << 20, UPLOAD_STEP = 16 << 20 };

const char *sx_version(void)
{
    return SX_VERSION;
}

void sx_free(void *memory)
{
    free(memory);
}

void sx_engine_log(const sx_engine *engine, const char *format, ...)
{
    if (!engine->log) return;
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    engine->log(engine->log_user, line);
}

// ---- Opening -------------------------------------------------------------------------------------------------------

static const sx_source **pointers(const sx_source *sources, uint32_t count)
{
    const sx_source **list = calloc(count, sizeof *list);
    for (uint32_t i = 0; list && i < count; i++)
        list[i] = &sources[i];
    return list;
}

static sx_status open_sources(sx_engine *engine, const sx_engine_desc *desc, sx_error *error)
{
    sx_load *load = engine->load;
    const sx_source *target = desc->target_sources, *draft = desc->draft_sources;
    uint32_t target_count = desc->target_source_count, draft_count = desc->draft_source_count;
    if (!desc->target_path && !target_count) {
        if (!sx_bundled_model(&load->bundled[0], &load->bundled[1]))
            return sx_fail(error, SX_ERROR_ARGUMENT, "no model given, and this build carries none; give a GGUF file");
        engine->info.bundled = true;
        target = &load->bundled[0];
        target_count = 1;
        if (!desc->no_draft && !desc->draft_path && !draft_count) {
            draft = &load->bundled[1];
            draft_count = 1;
        }
    }
    load->target_sources = pointers(target, target_count);
    load->draft_sources = pointers(draft, draft_count);
    if ((target_count && !load->target_sources) || (draft_count && !load->draft_sources))
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the list of files");
    sx_status status = desc->target_path
                           ? sx_model_files_open(desc->target_path, &load->files, error)
                           : sx_model_files_from_sources(load->target_sources, target_count, &load->files, error);
    if (status != SX_OK) return status;
    const sx_draft_options options = {.single_signal = (sx_signal)desc->single_signal};
    if (desc->draft_path)
        status = sx_draft_open(desc->draft_path, &options, &load->draft, error);
    else if (draft_count)
        status = sx_draft_from_sources(load->draft_sources, draft_count, &options, &load->draft, error);
    if (status == SX_OK && desc->signals_path)
        status = sx_signal_head_open(desc->signals_path, &options, &load->signals, error);
    return status;
}

static void take_exit_defaults(sx_engine *engine, const sx_exit_defaults *exit)
{
    engine->exit = *exit;
    if (!exit->smoothing) return;
    snprintf(engine->exit_smoothing, sizeof engine->exit_smoothing, "%s", exit->smoothing);
    engine->exit.smoothing = engine->exit_smoothing;
}

// What a model was trained to say before it closes its thinking early; "" for nothing.
static sx_status read_exit_message(sx_engine *engine, const sx_gguf *metadata, const char *name, sx_error *error)
{
    sx_gguf_string message = {0};
    const sx_status status = sx_gguf_get_string(metadata, "specexit.exit.message", false, &message, error);
    if (status != SX_OK || !message.data) return status;
    if (message.length >= sizeof engine->exit_message)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: key specexit.exit.message has %zu bytes, at most %zu can be said",
                       name, message.length, sizeof engine->exit_message - 1);
    memcpy(engine->exit_message, message.data, message.length);
    engine->exit_message[message.length] = 0;
    engine->says_at_exit = true;
    return SX_OK;
}

// The forced template, else the file's own; an unknown one leaves raw prompts only. A file that carries none, as base
// models do, may still tell by its vocabulary.
static sx_status choose_template(sx_engine *engine, const sx_gguf *metadata, const char *forced, sx_error *error)
{
    sx_gguf_string chat = {0};
    sx_status status = sx_gguf_get_string(metadata, "tokenizer.chat_template", false, &chat, error);
    if (status != SX_OK) return status;
    if (forced) return sx_template_choose(forced, chat.data, chat.length, &engine->template_id, error);
    engine->template_id = sx_template_detect(chat.data, chat.length);
    if (chat.length) return SX_OK;
    engine->template_id = sx_template_of_vocabulary(engine->tokenizer);
    if (engine->template_id != SX_TEMPLATE_NONE)
        sx_engine_log(
            engine,
            "template: the file carries none, its vocabulary has the turns of %s, which is used; a base model "
            "may not have been trained with them",
            sx_template_facts(engine->template_id)->name);
    return SX_OK;
}

static sx_status read_shapes(sx_engine *engine, sx_error *error)
{
    sx_load *load = engine->load;
    sx_status status = sx_hparams_read(load->files, &engine->hparams, error);
    if (status == SX_OK && engine->hparams.experts_used > SX_MAX_EXPERTS_USED)
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: a token goes through %u experts, at most %d are supported",
                       sx_model_files_name(load->files), engine->hparams.experts_used, SX_MAX_EXPERTS_USED);
    if (status == SX_OK) status = sx_target_weights_find(load->files, &engine->hparams, &load->target, error);
    return status;
}

// Signals of another model say nothing; of another quantisation of this one, a little less.
static sx_status check_card(sx_engine *engine, const sx_signal_card *card, const char *name, sx_error *error)
{
    bool other_format;
    const sx_status status =
        sx_signal_card_check(card, name, engine->info.model_exact, engine->info.model_family, &other_format, error);
    if (status != SX_OK || !other_format) return status;
    engine->info.signals_other_format = true;
    sx_engine_log(engine,
                  "%s: its signals were learnt on another quantisation of this model (%s); thresholds and profiles may "
                  "not hold, calibrate them again",
                  name, card->target);
    return SX_OK;
}

static sx_status read_model(sx_engine *engine, const sx_engine_desc *desc, sx_error *error)
{
    sx_load *load = engine->load;
    const sx_gguf *metadata = sx_model_files_metadata(load->files);
    const char *name = sx_model_files_name(load->files);
    sx_status status = read_shapes(engine, error);
    if (status == SX_OK) status = sx_vocabulary_read(metadata, &engine->tokenizer, error);
    if (status != SX_OK) return status;
    if (sx_tokenizer_count(engine->tokenizer) > engine->hparams.vocabulary)
        return sx_fail(error, SX_ERROR_FORMAT,
                       "%s: tokenizer.ggml.tokens has %u tokens, token_embd.weight only %u rows", name,
                       sx_tokenizer_count(engine->tokenizer), engine->hparams.vocabulary);
    status = choose_template(engine, metadata, desc->template_name, error);
    if (status == SX_OK) status = read_exit_message(engine, metadata, name, error);
    if (status == SX_OK) status = sx_vocabulary_flags(engine, error);
    if (status == SX_OK) status = sx_vocabulary_markers(engine, error);
    engine->exit = (sx_exit_defaults){NAN, NAN, NAN, NAN, NULL};
    if (status == SX_OK && load->draft) {
        status = sx_draft_bind(load->draft, &engine->hparams, name, error);
        take_exit_defaults(engine, &load->draft->exit);
    }
    if (status == SX_OK && load->signals) {
        status = sx_signal_head_bind(load->signals, &engine->hparams, name, error);
        take_exit_defaults(engine, &load->signals->exit);
    }
    return status;
}

// What saved sessions, traces, signals and profiles are told apart by.
static sx_status identify(sx_engine *engine, const sx_engine_desc *desc, sx_error *error)
{
    const sx_load *load = engine->load;
    const sx_signal_card *card = load->signals ? &load->signals->card : load->draft ? &load->draft->card : NULL;
    sx_status status = sx_target_fingerprint(&engine->hparams, &load->target, &engine->info.model_exact,
                                             &engine->info.model_family, error);
    if (status == SX_OK && load->draft) {
        status = sx_draft_fingerprint(load->draft, &engine->draft_fingerprint, error);
        // Requantised, it is another draft.
        engine->draft_fingerprint ^= engine->quantize_draft;
    }
    if (status != SX_OK || !card) return status;
    return check_card(engine, card, load->signals ? desc->signals_path : load->draft->name, error);
}

// "Q4_K_M mix: Q4_K 169, Q6_K 29": the formats of all matrices, most frequent first.
static void describe_formats(const sx_model_files *files, char *text, size_t size)
{
    uint32_t counts[SX_FORMAT_ALL] = {0};
    const uint64_t tensors = sx_model_files_tensor_count(files);
    for (uint64_t i = 0; i < tensors; i++) {
        const sx_gguf_tensor *tensor = sx_model_files_tensor_at(files, i, NULL);
        if (tensor->supported && tensor->dimension_count > 1) counts[tensor->format]++;
    }
    size_t used = 0;
    text[0] = 0;
    for (;;) {
        uint32_t best = 0;
        for (uint32_t f = 1; f < SX_FORMAT_ALL; f++)
            if (counts[f] > counts[best]) best = f;
        if (!counts[best] || used + 1 >= size) return;
        const int written = snprintf(text + used, size - used, "%s%s %u", used ? ", " : "",
                                     sx_format_get((sx_format)best)->name, counts[best]);
        if (written < 0 || (size_t)written >= size - used) return;
        used += (size_t)written;
        counts[best] = 0;
    }
}

static void fill_info(sx_engine *engine)
{
    sx_load *load = engine->load;
    sx_engine_info *info = &engine->info;
    const sx_hparams *hparams = &engine->hparams;
    sx_gguf_string name = {0};
    sx_gguf_get_string(sx_model_files_metadata(load->files), "general.name", false, &name, NULL);
    snprintf(info->model_name, sizeof info->model_name, "%s",
             name.length ? name.data : sx_model_files_name(load->files));
    snprintf(info->architecture, sizeof info->architecture, "%s", hparams->architecture_name);
    describe_formats(load->files, info->format, sizeof info->format);
    const sx_template_info *facts = sx_template_facts(engine->template_id);
    snprintf(info->template_name, sizeof info->template_name, "%s", facts ? facts->name : "");
    if (load->draft) snprintf(info->draft_name, sizeof info->draft_name, "%s", load->draft->name);
    info->layers = hparams->layers;
    info->hidden = hparams->hidden;
    info->vocabulary = hparams->vocabulary;
    const uint64_t tensors = sx_model_files_tensor_count(load->files);
    for (uint64_t i = 0; i < tensors; i++) {
        const uint64_t *d = sx_model_files_tensor_at(load->files, i, NULL)->dimensions;
        info->parameters += d[0] * d[1] * d[2] * d[3];
    }
    info->signals = load->signals ? load->signals->signal_mask : load->draft ? load->draft->signal_mask : 0;
    info->thresholds = sx_settings_thresholds(engine);
}

static void choose_context(sx_engine *engine, uint32_t asked)
{
    uint32_t context = engine->hparams.context;
    if (asked)
        context = asked;
    else if (context > DEFAULT_CONTEXT || !context)
        context = DEFAULT_CONTEXT;
    engine->context = engine->info.context = context;
    if (asked > engine->hparams.context)
        sx_engine_log(engine, "context: %u tokens asked for, the model was trained with %u; quality may suffer", asked,
                      engine->hparams.context);
}

// Where the driver does not say what is free, what there is at all is the bound, but for drivers on the CPU, whose
// figure is no limit.
uint64_t sx_engine_memory_budget(sx_gpu *gpu)
{
    const sx_gpu_info *info = sx_gpu_get_info(gpu);
    const uint64_t budget = sx_gpu_memory_budget(gpu);
    return budget || info->kind == SX_GPU_CPU ? budget : info->memory_total;
}

static bool packs(const sx_ops *ops, sx_precision asked)
{
    return asked == SX_PRECISION_FAST && sx_ops_can_pack(ops);
}

static void choose_precision(sx_engine *engine, sx_precision asked)
{
    engine->ops.packs = packs(&engine->ops, asked);
    engine->info.precision = engine->ops.packs ? SX_PRECISION_FAST : SX_PRECISION_FULL;
    const bool software = sx_gpu_get_info(engine->gpu)->kind == SX_GPU_CPU;
    if (engine->ops.packs && software)
        sx_engine_log(engine, "precision: %s computes on the CPU, where fast is slower than full", engine->info.device);
    if (engine->info.precision != asked)
        sx_engine_log(engine, "precision: %s has no packed integer dot products; activations stay float32",
                      engine->info.device);
}

static sx_status open_device(sx_engine *engine, const sx_engine_desc *desc, sx_error *error)
{
    const sx_gpu_desc gpu = {.device = desc->device,
                             .cache_dir = desc->cache_dir,
                             .validation = desc->validation,
                             .log = desc->log,
                             .log_user = desc->log_user};
    sx_status status = sx_gpu_open(&gpu, &engine->gpu, error);
    if (status == SX_OK) status = sx_ops_create(engine->gpu, &engine->ops, error);
    if (status != SX_OK) return status;
    snprintf(engine->info.device, sizeof engine->info.device, "%s", sx_gpu_get_info(engine->gpu)->name);
    choose_precision(engine, desc->precision);
    const uint32_t tiled = engine->ops.tiled_from;
    engine->prefill_limit = tiled ? SX_MAX_PREFILL_ROWS : SX_MAX_ROWS;
    engine->prefill_rows = tiled ? tiled : SX_MAX_ROWS;
    status = sx_plan_weights(engine, error);
    sx_pace_init(&engine->pace, engine->has_draft, sx_gpu_get_info(engine->gpu)->kind == SX_GPU_CPU);
    if (status == SX_OK) status = sx_plan_check_memory(engine, sx_engine_memory_budget(engine->gpu), error);
    if (status == SX_OK) status = sx_weights_allocate(&engine->weights, error);
    if (status != SX_OK) return status;
    // Matrices that the draft or the head borrow are known now that they have their places.
    if (engine->load->target.tied) engine->target.head = engine->target.embedding;
    if (engine->has_draft && !sx_tensor_exists(&engine->load->draft->token_embedding))
        engine->draft.embedding = engine->target.embedding;
    if (engine->has_draft && !sx_tensor_exists(&engine->load->draft->output)) engine->draft.head = engine->target.head;
    return SX_OK;
}

sx_status sx_engine_open(const sx_engine_desc *desc, sx_engine **out, sx_error *error)
{
    *out = NULL;
    sx_engine *engine = calloc(1, sizeof *engine);
    if (engine) engine->load = calloc(1, sizeof *engine->load);
    if (!engine || !engine->load) {
        free(engine);
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for the engine");
    }
    engine->log = desc->log;
    engine->log_user = desc->log_user;
    engine->kv_type = desc->kv_type;
    engine->quantize_draft = desc->quantize_draft;
    engine->keep_states = desc->keep_states;
    engine->load->begin_time = sx_clock_seconds();
    sx_selftest_begin(engine, &desc->selftest);
    sx_status status = open_sources(engine, desc, error);
    if (status == SX_OK) status = read_model(engine, desc, error);
    if (status == SX_OK) status = identify(engine, desc, error);
    if (status == SX_OK) {
        fill_info(engine);
        choose_context(engine, desc->context);
        status = open_device(engine, desc, error);
    }
    if (status != SX_OK) {
        sx_engine_destroy(engine);
        return status;
    }
    engine->load->stage = SX_LOAD_UPLOADING;
    *out = engine;
    return SX_OK;
}

// Weights are planned and forgotten again: nothing is allocated before the plan is carried out.
static sx_status plan_alone(sx_engine *planned, const sx_engine_desc *desc, sx_memory_estimate *out, sx_error *error)
{
    sx_load *load = planned->load;
    sx_status status = open_sources(planned, desc, error);
    if (status == SX_OK) status = read_shapes(planned, error);
    if (status == SX_OK && load->draft)
        status = sx_draft_bind(load->draft, &planned->hparams, sx_model_files_name(load->files), error);
    if (status == SX_OK && load->signals)
        status = sx_signal_head_bind(load->signals, &planned->hparams, sx_model_files_name(load->files), error);
    if (status == SX_OK) status = sx_plan_weights(planned, error);
    if (status != SX_OK) return status;
    describe_formats(load->files, out->format, sizeof out->format);
    choose_context(planned, desc->context);
    status = sx_plan_check_memory(planned, 0, error);
    const sx_engine_info *info = &planned->info;
    out->context = planned->context;
    out->weight_bytes = info->weight_bytes;
    out->session_bytes = info->kv_bytes + info->scratch_bytes;
    const uint32_t own = planned->hparams.context < CONTEXT_LIMIT ? planned->hparams.context : CONTEXT_LIMIT;
    if (own > planned->context) planned->context = own;
    if (status == SX_OK) status = sx_plan_check_memory(planned, 0, error);
    out->fitting_context = out->budget ? sx_plan_fitting_context(planned, out->budget) : planned->context;
    return status;
}

sx_status sx_engine_estimate(const sx_engine *engine, const sx_engine_desc *desc, sx_memory_estimate *out,
                             sx_error *error)
{
    const sx_engine_info *info = &engine->info;
    *out = (sx_memory_estimate){.budget = sx_engine_memory_budget(engine->gpu)};
    if (out->budget) out->budget += info->weight_bytes + info->kv_bytes + info->scratch_bytes;
    sx_engine *planned = calloc(1, sizeof *planned);
    if (planned) planned->load = calloc(1, sizeof *planned->load);
    if (!planned || !planned->load) {
        free(planned);
        return sx_fail(error, SX_ERROR_MEMORY, "out of memory for an estimate");
    }
    planned->gpu = engine->gpu;
    planned->prefill_limit = engine->prefill_limit;
    planned->kv_type = desc->kv_type;
    planned->ops.packs = packs(&engine->ops, desc->precision);
    planned->quantize_draft = desc->quantize_draft;
    planned->keep_states = desc->keep_states;
    const sx_status status = plan_alone(planned, desc, out, error);
    sx_weights_destroy(&planned->weights);
    planned->gpu = NULL; // not its own
    sx_engine_destroy(planned);
    return status;
}

// ---- Going on loading ----------------------------------------------------------------------------------------------

static void close_files(sx_load *load)
{
    sx_target_weights_free(&load->target);
    sx_draft_close(load->draft);
    sx_signal_head_close(load->signals);
    sx_model_files_close(load->files);
    load->draft = NULL;
    load->signals = NULL;
    load->files = NULL;
}

static sx_status finish_upload(sx_engine *engine, sx_error *error)
{
    sx_load *load = engine->load;
    close_files(load);
    load->stage = SX_LOAD_COMPILING;
    // The probe is a session like any other; sx_session_create refuses while loading, hence the detour.
    engine->load = NULL;
    const sx_status status = sx_session_create(engine, &(sx_session_desc){0}, &load->probe, error);
    engine->load = load;
    return status;
}

static sx_status poll_upload(sx_engine *engine, sx_error *error)
{
    sx_load *load = engine->load;
    const sx_status status = sx_weights_upload(&engine->weights, UPLOAD_STEP, error);
    const double total = (double)engine->weights.bytes + 1;
    load->fraction = 0.05 + 0.65 * (double)engine->weights.bytes_done / total;
    return status == SX_OK ? finish_upload(engine, error) : status;
}

static sx_status poll_compile(sx_engine *engine, sx_error *error)
{
    sx_load *load = engine->load;
    const sx_status status = sx_session_warm(load->probe, error);
    if (status != SX_OK) return status;
    sx_gpu_save_cache(engine->gpu);
    load->stage = load->tested ? SX_LOAD_READY : SX_LOAD_TESTING;
    load->fraction = 0.95;
    return SX_OK;
}

static void free_load(sx_load *load)
{
    free(load->target_sources);
    free(load->draft_sources);
    free(load->test_rows);
    free(load);
}

static void finish_load(sx_engine *engine)
{
    sx_load *load = engine->load;
    sx_session_destroy(load->probe);
    engine->info.load_seconds = sx_clock_seconds() - load->begin_time;
    free_load(load);
    engine->load = NULL;
}

sx_status sx_engine_poll(sx_engine *engine, sx_load_progress *progress, sx_error *error)
{
    sx_status status = SX_OK;
    sx_load *load = engine->load;
    if (load) {
        if (load->stage == SX_LOAD_UPLOADING)
            status = poll_upload(engine, error);
        else if (load->stage == SX_LOAD_COMPILING)
            status = poll_compile(engine, error);
        else
            status = sx_selftest_poll(engine, error);
        if (status == SX_OK && load->stage == SX_LOAD_READY) finish_load(engine);
        if (status == SX_OK && engine->load) status = SX_PENDING;
    }
    if (progress) {
        progress->stage = engine->load ? engine->load->stage : SX_LOAD_READY;
        progress->fraction = engine->load ? engine->load->fraction : 1;
        progress->bytes_loaded = engine->weights.bytes_done;
        progress->bytes_total = engine->weights.bytes;
    }
    return status;
}

sx_status sx_engine_create(const sx_engine_desc *desc, bool (*on_progress)(void *user, const sx_load_progress *),
                           void *user, sx_engine **out, sx_error *error)
{
    sx_engine *engine = NULL;
    sx_status status = sx_engine_open(desc, &engine, error);
    *out = NULL;
    if (status != SX_OK) return status;
    do {
        sx_load_progress progress;
        status = sx_engine_poll(engine, &progress, error);
        const bool wanted = !on_progress || on_progress(user, &progress);
        if (status == SX_PENDING && !wanted) status = sx_fail(error, SX_ERROR_CANCELLED, "loading was cancelled");
    } while (status == SX_PENDING);
    if (status != SX_OK) {
        sx_engine_destroy(engine);
        return status;
    }
    *out = engine;
    return SX_OK;
}

void sx_engine_destroy(sx_engine *engine)
{
    if (!engine) return;
    if (engine->load) {
        close_files(engine->load);
        sx_session_destroy(engine->load->probe);
        free_load(engine->load);
    }
    if (engine->gpu) {
        sx_weights_destroy(&engine->weights);
        sx_ops_destroy(&engine->ops);
        sx_gpu_save_cache(engine->gpu);
        sx_gpu_close(engine->gpu);
    }
    sx_tokenizer_free(engine->tokenizer);
    free(engine->target.layers);
    free(engine->draft.layers);
    free(engine->token_flags);
    free(engine);
}

void sx_engine_get_identity(const sx_engine *engine, sx_model_identity *out)
{
    *out = (sx_model_identity){
        .exact = engine->info.model_exact, .family = engine->info.model_family, .state_count = engine->aux.count};
    memcpy(out->state_layers, engine->aux.layers, sizeof out->state_layers);
    out->state_width = engine->aux.count * engine->hparams.hidden;
}

void sx_engine_get_info(const sx_engine *engine, sx_engine_info *info)
{
    *info = engine->info;
}
