// specexit template, tokenize, detokenize, logits: for checking against other programs.
#include "commands.h"
#include "common/json_writer.h"
#include "prompts.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_LIMIT = 64 << 20 }; // bytes

static void print(cli_context *context, const char *bytes, size_t length)
{
    context->terminal.out = false; // exactly these bytes, also on a terminal
    cli_terminal_write(&context->terminal, bytes, length, CLI_PLAIN);
}

// The draft has no part in these commands, and its self-test costs time.
static int load_target(cli_context *context, sx_engine **engine)
{
    context->options.no_draft = true;
    return cli_load_engine(context, engine);
}

static int read_input(cli_context *context, char **text, size_t *length)
{
    char problem[512];
    *text = cli_read_all("-", INPUT_LIMIT, length, problem, sizeof problem);
    return *text ? CLI_EXIT_OK : cli_fail(context, "%s", problem);
}

int cli_template(cli_context *context)
{
    if (!context->options.messages)
        return cli_usage_error(context, "--messages FILE is needed; - reads standard input");
    cli_conversation conversation = {0};
    fe_text message = {0};
    sx_engine *engine = NULL;
    char *prompt = NULL;
    int code = CLI_EXIT_OK;
    if (!cli_conversation_read(&conversation, context->options.messages, &message))
        code = cli_fail(context, "%s", message.data);
    if (code == CLI_EXIT_OK) code = load_target(context, &engine);
    sx_error error = {0};
    if (code == CLI_EXIT_OK && sx_engine_render(engine, conversation.messages, conversation.count,
                                                context->options.think == CLI_THINK_OFF, &prompt, &error) != SX_OK)
        code = cli_fail(context, "%s", error.message);
    if (code == CLI_EXIT_OK) print(context, prompt, strlen(prompt));
    sx_free(prompt);
    sx_engine_destroy(engine);
    cli_conversation_free(&conversation);
    fe_text_free(&message);
    return code ? code : cli_finish_output(context);
}

static void print_tokens(cli_context *context, const uint32_t *tokens, uint32_t count)
{
    bool as_json = context->options.json;
    fe_text out = {0};
    fe_text_add(&out, as_json ? "{\"tokens\":[" : "");
    for (uint32_t i = 0; i < count; i++)
        fe_text_printf(&out, "%s%u", i == 0 ? "" : as_json ? "," : " ", tokens[i]);
    fe_text_add(&out, as_json ? "]}\n" : "\n");
    print(context, out.data, out.length);
    fe_text_free(&out);
}

int cli_tokenize(cli_context *context)
{
    char *text = NULL;
    size_t length = 0;
    sx_engine *engine = NULL;
    uint32_t *tokens = NULL, count = 0;
    sx_error error = {0};
    int code = read_input(context, &text, &length);
    if (code == CLI_EXIT_OK) code = load_target(context, &engine);
    if (code == CLI_EXIT_OK) {
        if (sx_engine_tokenize(engine, text, length, context->options.special, &tokens, &count, &error) == SX_OK) {
            print_tokens(context, tokens, count);
        } else {
            code = cli_fail(context, "%s", error.message);
        }
    }
    sx_free(tokens);
    sx_engine_destroy(engine);
    free(text);
    return code ? code : cli_finish_output(context);
}

// The ids of --tokens, or those on standard input.
static int take_tokens(cli_context *context)
{
    cli_options *options = &context->options;
    if (options->has_tokens) return CLI_EXIT_OK;
    char *text;
    size_t length;
    int code = read_input(context, &text, &length);
    if (code != CLI_EXIT_OK) return code;
    fe_text message = {0};
    options->tokens = cli_parse_tokens(text, &options->token_count, &message);
    if (!options->tokens) code = cli_fail(context, "standard input: %s", message.data);
    fe_text_free(&message);
    free(text);
    return code;
}

int cli_detokenize(cli_context *context)
{
    sx_engine *engine = NULL;
    char *text = NULL;
    size_t length = 0;
    sx_error error = {0};
    int code = take_tokens(context);
    if (code == CLI_EXIT_OK) code = load_target(context, &engine);
    if (code == CLI_EXIT_OK) {
        const cli_options *options = &context->options;
        if (sx_engine_detokenize(engine, options->tokens, options->token_count, &text, &length, &error) == SX_OK) {
            print(context, text, length);
        } else {
            code = cli_fail(context, "%s", error.message);
        }
    }
    sx_free(text);
    sx_engine_destroy(engine);
    return code ? code : cli_finish_output(context);
}

// Turns host floats into little-endian bytes, in place.
static void to_little_endian(float *values, size_t count)
{
    uint32_t probe = 1;
    if (*(const unsigned char *)&probe == 1) return;
    for (unsigned char *at = (unsigned char *)values; count--; at += 4) {
        unsigned char bytes[4] = {at[3], at[2], at[1], at[0]};
        memcpy(at, bytes, 4);
    }
}

static int write_logits(cli_context *context, sx_engine *engine, sx_session *session)
{
    const cli_options *options = &context->options;
    sx_error error = {0};
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    float *logits = NULL;
    sx_status status = sx_session_logits(session, options->tokens, options->token_count, &logits, &error);
    size_t count = (size_t)options->token_count * info.vocabulary;
    if (status == SX_OK) {
        to_little_endian(logits, count);
        if (strcmp(options->output, "-") == 0) {
            print(context, (const char *)logits, count * sizeof *logits);
        } else {
            status = sx_file_write_atomic(options->output, logits, count * sizeof *logits, &error);
        }
    }
    sx_free(logits);
    if (status != SX_OK) return cli_fail(context, "%s", error.message);
    if (options->verbose)
        fprintf(stderr, "specexit: %s: float32 [%u, %u]\n", options->output, options->token_count, info.vocabulary);
    return CLI_EXIT_OK;
}

int cli_logits(cli_context *context)
{
    const cli_options *options = &context->options;
    if (!options->has_tokens || options->token_count == 0)
        return cli_usage_error(context, "--tokens LIST is needed, such as --tokens 1,2,3");
    if (!options->output) return cli_usage_error(context, "-o FILE is needed; - writes to standard output");
    sx_engine *engine = NULL;
    sx_session *session = NULL;
    int code = load_target(context, &engine);
    if (code == CLI_EXIT_OK) code = cli_load_session(context, engine, &session);
    if (code == CLI_EXIT_OK) code = write_logits(context, engine, session);
    sx_session_destroy(session);
    sx_engine_destroy(engine);
    return code ? code : cli_finish_output(context);
}
