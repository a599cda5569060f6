#include "load.h"
#include "interrupt.h"
#include "platform.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void complain(cli_context *context, const char *format, va_list arguments)
{
    cli_terminal_close(&context->terminal);
    fprintf(stderr, "%sspecexit: %s", cli_style_begin(context->terminal.color_err, CLI_RED),
            cli_style_end(context->terminal.color_err));
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int cli_fail(cli_context *context, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(context, format, arguments);
    va_end(arguments);
    return CLI_EXIT_FAILURE;
}

int cli_usage_error(cli_context *context, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    complain(context, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try `specexit%s%s --help`.\n", context->command ? " " : "",
            context->command ? context->command : "");
    return CLI_EXIT_USAGE;
}

void cli_note(cli_context *context, const char *format, ...)
{
    va_list arguments;
    if (context->options.quiet) return;
    cli_terminal_flush(&context->terminal);
    cli_status_clear(&context->terminal);
    va_start(arguments, format);
    fputs("specexit: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

int cli_exit_interrupted(void)
{
    int fatal = cli_interrupt_fatal();
    return CLI_EXIT_SIGNAL + (fatal ? fatal : 2); // 2: SIGINT
}

int cli_finish_output(cli_context *context)
{
    cli_terminal_close(&context->terminal);
    if (!context->terminal.broken) return CLI_EXIT_OK;
    if (context->terminal.broken_code == EPIPE) return CLI_EXIT_SIGNAL + 13; // as SIGPIPE would have ended it
    return cli_fail(context, "standard output cannot be written: %s", strerror(context->terminal.broken_code));
}

void cli_format_bytes(fe_text *out, uint64_t bytes)
{
    if (bytes >= 1000000000) {
        fe_text_printf(out, "%.1f GB", (double)bytes * 1e-9);
    } else if (bytes >= 10000000) {
        fe_text_printf(out, "%.0f MB", (double)bytes * 1e-6);
    } else if (bytes >= 1000000) {
        fe_text_printf(out, "%.1f MB", (double)bytes * 1e-6);
    } else if (bytes >= 1000) {
        fe_text_printf(out, "%.0f kB", (double)bytes * 1e-3);
    } else {
        fe_text_printf(out, "%u B", (unsigned)bytes);
    }
}

// A model's name instead of a path: NAME.gguf in the cache's models folder. NULL when `model` is a path.
static char *model_by_name(const char *model)
{
    if (!model || cli_platform_is_path(model) || cli_platform_exists(model, NULL)) return NULL;
    char *folder = cli_platform_cache_folder();
    if (!folder) return NULL;
    fe_text path = {0};
    fe_text_printf(&path, "%s/models/%s.gguf", folder, model);
    free(folder);
    if (!cli_platform_exists(path.data, NULL)) fe_text_free(&path);
    return path.data;
}

static bool on_progress(void *user, const sx_load_progress *progress)
{
    static const char *const stages[] = {"opening", "uploading weights", "compiling kernels", "testing the device",
                                         "ready"};
    cli_terminal *terminal = user;
    if (cli_interrupt_count() || cli_interrupt_fatal()) return false;
    if (!cli_status_due(terminal)) return true;
    fe_text line = {0};
    fe_text_add(&line, "loading ");
    cli_bar(&line, progress->fraction, 20);
    fe_text_printf(&line, " %3.0f %%  %s", 100 * progress->fraction, stages[progress->stage]);
    if (progress->stage == SX_LOAD_UPLOADING && progress->bytes_total) {
        fe_text_add(&line, ", ");
        cli_format_bytes(&line, progress->bytes_loaded);
        fe_text_add(&line, " of ");
        cli_format_bytes(&line, progress->bytes_total);
    }
    cli_status(terminal, line.data, false);
    fe_text_free(&line);
    return true;
}

static void on_log(void *user, const char *text)
{
    cli_note(user, "%s", text);
}

static void describe_load(cli_context *context, const sx_engine *engine)
{
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    fe_text line = {0};
    fe_text_printf(&line, "%s (%s, %s, ", info.model_name, info.architecture, info.format);
    cli_format_bytes(&line, info.weight_bytes);
    fe_text_printf(&line, ") on %s; draft: %s; loaded in %.1f s", info.device,
                   info.draft_name[0] ? info.draft_name : "none", info.load_seconds);
    cli_status_clear(&context->terminal);
    fprintf(stderr, "specexit: %s\n", line.data);
    if (!info.bitwise_lossless)
        fputs("specexit: this device computes a row differently in a batch; speculation may change close calls\n",
              stderr);
    fe_text_free(&line);
}

typedef struct load_paths {
    char *cache, *named; // what a description points to
} load_paths;

// What the options ask for; until forget_paths.
static sx_engine_desc describe(cli_context *context, load_paths *paths)
{
    const cli_options *options = &context->options;
    paths->cache = options->no_cache ? NULL
                   : options->cache  ? fe_copy_string(options->cache)
                                     : cli_platform_cache_folder();
    paths->named = model_by_name(options->model);
    return (sx_engine_desc){.target_path = paths->named ? paths->named : options->model,
                            .draft_path = options->draft,
                            .signals_path = options->signal_head,
                            .no_draft = options->no_draft,
                            .keep_states = context->keep_states,
                            .device = options->device,
                            .cache_dir = paths->cache,
                            .context = options->context,
                            .kv_type = (sx_kv_type)options->kv_type,
                            .precision = (sx_precision)options->precision,
                            .quantize_draft = options->quantize_draft,
                            .single_signal = options->single_signal,
                            .validation = options->validation,
                            .template_name = options->template_name,
                            .log = on_log,
                            .log_user = context};
}

static void forget_paths(load_paths *paths)
{
    free(paths->cache);
    free(paths->named);
}

int cli_load_estimate(cli_context *context, sx_memory_estimate *estimate)
{
    load_paths paths;
    const sx_engine_desc desc = describe(context, &paths);
    // The bundled model stands for the device; whether it is right does not matter here.
    const sx_engine_desc small = {.device = desc.device,
                                  .cache_dir = desc.cache_dir,
                                  .no_draft = true,
                                  .context = 256,
                                  .selftest = {.known = true},
                                  .log = on_log,
                                  .log_user = context};
    sx_engine *engine = NULL;
    sx_error error = {0};
    sx_status status = sx_engine_create(&small, on_progress, &context->terminal, &engine, &error);
    cli_status_clear(&context->terminal);
    if (status == SX_OK) status = sx_engine_estimate(engine, &desc, estimate, &error);
    sx_engine_destroy(engine);
    forget_paths(&paths);
    if (status == SX_OK) return CLI_EXIT_OK;
    return status == SX_ERROR_CANCELLED ? cli_exit_interrupted() : cli_fail(context, "%s", error.message);
}

int cli_load_engine(cli_context *context, sx_engine **engine)
{
    const cli_options *options = &context->options;
    load_paths paths;
    const sx_engine_desc desc = describe(context, &paths);
    sx_error error = {0};
    *engine = NULL;
    sx_status status = sx_engine_create(&desc, on_progress, &context->terminal, engine, &error);
    cli_status_clear(&context->terminal);
    forget_paths(&paths);
    if (status == SX_OK) {
        if (options->verbose) describe_load(context, *engine);
        const int code = cli_profile_check(context, &options->calibrated, options->profile, *engine);
        if (code == CLI_EXIT_OK) return code;
        sx_engine_destroy(*engine);
        *engine = NULL;
        return code;
    }
    *engine = NULL;
    if (status == SX_ERROR_CANCELLED) return cli_exit_interrupted();
    return cli_fail(context, "%s", error.message);
}

int cli_load_session(cli_context *context, sx_engine *engine, sx_session **session)
{
    sx_session_desc desc = {.depth = context->options.cycles_ahead};
    sx_error error = {0};
    *session = NULL;
    if (sx_session_create(engine, &desc, session, &error) == SX_OK) return CLI_EXIT_OK;
    *session = NULL;
    return cli_fail(context, "%s", error.message);
}
