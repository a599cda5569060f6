// specexit draft, convert: what a draft makes of a sequence, and drafts as GGUF.
#include "commands.h"
#include "common/json_writer.h"
#include "interrupt.h"

#include <stdio.h>
#include <stdlib.h>

enum { MOST_NODES = 31 };

static void write_signals(json_writer *json, const sx_signals *signals, uint32_t count)
{
    json_key(json, "signals");
    json_open(json, '[');
    for (uint32_t i = 0; i < count; i++) {
        json_open(json, '{');
        json_put_number(json, "confidence", (double)signals[i].confidence);
        json_put_number(json, "progress", (double)signals[i].progress);
        json_put_number(json, "remain", (double)signals[i].remain);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void write_tree(json_writer *json, const sx_draft_node *nodes, uint32_t count)
{
    json_key(json, "tree");
    json_open(json, '[');
    for (uint32_t i = 0; i < count; i++) {
        json_open(json, '{');
        json_put_integer(json, "token", nodes[i].token);
        json_put_number(json, "parent", nodes[i].parent);
        json_put_integer(json, "depth", nodes[i].depth);
        json_put_number(json, "logprob", (double)nodes[i].logprob);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static int inspect(cli_context *context, sx_engine *engine, sx_session *session)
{
    const cli_options *options = &context->options;
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    sx_signals *signals = calloc(options->token_count, sizeof *signals);
    if (!signals) return cli_fail(context, "out of memory for the signals");
    const sx_drafting drafting = cli_options_describe(options).drafting;
    sx_draft_node nodes[MOST_NODES];
    uint32_t count = 0;
    sx_error error = {0};
    const sx_status status = sx_session_inspect(session, options->tokens, options->token_count, &drafting, signals,
                                                info.draft_name[0] ? nodes : NULL, MOST_NODES, &count, &error);
    int code = CLI_EXIT_OK;
    if (status == SX_OK) {
        fe_text text = {0};
        json_writer json = {.out = &text};
        json_open(&json, '{');
        write_signals(&json, signals, options->token_count);
        write_tree(&json, nodes, count);
        json_close(&json, '}');
        printf("%s\n", text.data);
        fe_text_free(&text);
    } else {
        code = cli_fail(context, "%s", error.message);
    }
    free(signals);
    return code;
}

int cli_draft(cli_context *context)
{
    if (!context->options.has_tokens || context->options.token_count == 0)
        return cli_usage_error(context, "--tokens LIST is needed, such as --tokens 1,2,3");
    sx_engine *engine = NULL;
    sx_session *session = NULL;
    int code = cli_load_engine(context, &engine);
    if (code == CLI_EXIT_OK) code = cli_load_session(context, engine, &session);
    if (code == CLI_EXIT_OK) code = inspect(context, engine, session);
    sx_session_destroy(session);
    sx_engine_destroy(engine);
    return code ? code : cli_finish_output(context);
}

int cli_convert(cli_context *context)
{
    const cli_options *options = &context->options;
    if (context->operand_count != 1) return cli_usage_error(context, "one draft to convert is needed");
    if (!options->output) return cli_usage_error(context, "-o FILE is needed");
    const sx_convert_desc desc = {.input = context->operands[0],
                                  .output = options->output,
                                  .type = options->type,
                                  .signals_only = options->signals_only,
                                  .single_signal = options->single_signal};
    sx_error error = {0};
    if (sx_convert_draft(&desc, &error) != SX_OK) return cli_fail(context, "%s", error.message);
    return CLI_EXIT_OK;
}
