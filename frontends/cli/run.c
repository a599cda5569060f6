// specexit run: one prompt, one reply.
#include "commands.h"
#include "interrupt.h"
#include "live.h"
#include "platform.h"
#include "prompts.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROMPT_LIMIT = 64 << 20 }; // bytes

// The prompt in one of its forms; only one of the fields is used.
typedef struct run_prompt {
    char *text; // owned
    cli_conversation conversation;
} run_prompt;

static int read_prompt(cli_context *context, run_prompt *prompt)
{
    const cli_options *options = &context->options;
    bool standard_input = context->operand_count == 0 || strcmp(context->operands[0], "-") == 0;
    if (!standard_input) {
        prompt->text = fe_copy_string(context->operands[0]);
        return CLI_EXIT_OK;
    }
    if (cli_platform_is_terminal(CLI_STANDARD_INPUT) && !options->quiet)
        fputs("specexit: type the prompt and end it with ctrl-d on an empty line\n", stderr);
    char problem[512];
    size_t length;
    prompt->text = cli_read_all("-", PROMPT_LIMIT, &length, problem, sizeof problem);
    if (cli_interrupt_count() || cli_interrupt_fatal()) return cli_exit_interrupted();
    if (!prompt->text) return cli_fail(context, "%s", problem);
    if (strlen(prompt->text) != length)
        return cli_fail(context, "standard input: holds a zero byte; a prompt is UTF-8 text");
    // The last line end belongs to the shell's pipe, not to the prompt.
    if (!options->raw && length && prompt->text[length - 1] == '\n') prompt->text[length - 1] = 0;
    if (prompt->text[0] == 0)
        return cli_usage_error(context, "the prompt is empty; give it as an argument or on standard input");
    return CLI_EXIT_OK;
}

static int prepare_prompt(cli_context *context, run_prompt *prompt)
{
    const cli_options *options = &context->options;
    unsigned forms = (options->messages != NULL) + options->has_tokens + (context->operand_count > 0);
    if (context->operand_count > 1)
        return cli_usage_error(context, "more than one prompt; put it in quotes: specexit run \"%s %s ...\"",
                               context->operands[0], context->operands[1]);
    if (forms > 1) return cli_usage_error(context, "give one of PROMPT, --messages and --tokens, not several");
    if (options->has_tokens && options->token_count == 0)
        return cli_usage_error(context, "--tokens needs at least one token id");
    if (options->system && (options->raw || options->has_tokens))
        return cli_usage_error(context, "--system needs the chat template; leave out --raw and --tokens");
    if (options->has_tokens) return CLI_EXIT_OK;
    if (options->system) cli_conversation_add(&prompt->conversation, SX_ROLE_SYSTEM, options->system, NULL);
    if (options->messages) {
        fe_text message = {0};
        bool good = cli_conversation_read(&prompt->conversation, options->messages, &message);
        int code = good ? CLI_EXIT_OK : cli_fail(context, "%s", message.data);
        fe_text_free(&message);
        return code;
    }
    int code = read_prompt(context, prompt);
    if (code == CLI_EXIT_OK && !options->raw)
        cli_conversation_add(&prompt->conversation, SX_ROLE_USER, prompt->text, NULL);
    return code;
}

// ---- --json ---------------------------------------------------------------------------------------------------------

static void write_line(cli_context *context, fe_text *line)
{
    fe_text_add(line, "\n");
    cli_terminal_write(&context->terminal, line->data, line->length, CLI_PLAIN);
    cli_terminal_flush(&context->terminal);
    fe_text_free(line);
}

static void text_json(json_writer *json, const sx_event *event)
{
    json_key(json, "delta");
    json_open(json, '{');
    json_key(json, event->channel == SX_CHANNEL_THINKING ? "reasoning_content" : "content");
    json_bytes(json, event->text, event->length);
    json_close(json, '}');
    json_put_integer(json, "first_token", event->first_token);
    json_key(json, "tokens");
    json_open(json, '[');
    for (uint32_t i = 0; i < event->token_count; i++)
        json_integer(json, event->tokens[i]);
    json_close(json, ']');
}

static void signals_json(json_writer *json, const sx_event *event)
{
    json_put_integer(json, "token_index", event->token_index);
    json_put_boolean(json, "boundary", event->boundary);
    if (event->has_signals) {
        cli_signals_json(json, "raw", &event->raw);
        cli_signals_json(json, "smoothed", &event->smoothed);
    }
    json_put_number(json, "margin", (double)event->margin);
    json_put_number(json, "entropy", (double)event->entropy);
}

static void done_json(json_writer *json, const cli_reply *reply)
{
    json_key(json, "message");
    json_open(json, '{');
    json_put_string(json, "role", "assistant");
    json_key(json, "reasoning_content");
    json_bytes(json, fe_text_string(&reply->thinking), reply->thinking.length);
    json_key(json, "content");
    json_bytes(json, fe_text_string(&reply->answer), reply->answer.length);
    json_close(json, '}');
    cli_reply_json(json, reply);
}

static void json_event(void *user, const sx_event *event, const cli_reply *reply)
{
    static const char *const names[] = {[SX_EVENT_PREFILL] = "prefill",
                                        [SX_EVENT_TEXT] = "text",
                                        [SX_EVENT_SIGNALS] = "signals",
                                        [SX_EVENT_EXIT] = "exit",
                                        [SX_EVENT_DONE] = "done"};
    fe_text line = {0};
    json_writer json = {.out = &line};
    json_open(&json, '{');
    json_put_string(&json, "event", names[event->kind]);
    switch (event->kind) {
    case SX_EVENT_PREFILL:
        json_put_integer(&json, "done", event->prefill_done);
        json_put_integer(&json, "total", event->prefill_total);
        break;
    case SX_EVENT_TEXT:
        text_json(&json, event);
        break;
    case SX_EVENT_SIGNALS:
        signals_json(&json, event);
        break;
    case SX_EVENT_EXIT:
        json_put_string(&json, "reason", sx_exit_reason_name(event->exit_reason));
        json_put_string(&json, "sentence", reply->exit_sentence);
        signals_json(&json, event);
        break;
    case SX_EVENT_DONE:
        done_json(&json, reply);
        break;
    }
    json_close(&json, '}');
    write_line(user, &line);
}

static bool json_broken(void *user)
{
    return ((cli_context *)user)->terminal.broken;
}

// ---------------------------------------------------------------------------------------------------------------------

static int generate(cli_context *context, sx_session *session, const run_prompt *prompt)
{
    const cli_options *options = &context->options;
    sx_generate_desc desc = cli_options_describe(options);
    if (options->has_tokens) {
        desc.tokens = options->tokens;
        desc.token_count = options->token_count;
    } else if (prompt->conversation.count) {
        desc.messages = prompt->conversation.messages;
        desc.message_count = prompt->conversation.count;
    } else {
        desc.prompt = prompt->text;
    }
    cli_live live;
    cli_live_open(&live, context);
    cli_view view = options->json ? (cli_view){.event = json_event,
                                               .range = &options->calibrated.range,
                                               .broken = json_broken,
                                               .user = context}
                                  : cli_live_view(&live);
    cli_reply reply = {0};
    sx_error error = {0};
    sx_status status = cli_reply_generate(session, &desc, &view, &reply, &error);
    int code = CLI_EXIT_OK;
    if (status != SX_OK) {
        cli_terminal_end_line(&context->terminal, 0);
        code = cli_fail(context, "%s", error.message);
    } else {
        if (!options->json) cli_live_summary(&live, &reply);
        if (reply.interrupted) code = cli_exit_interrupted();
    }
    cli_reply_free(&reply);
    int output = cli_finish_output(context);
    return code ? code : output;
}

int cli_run(cli_context *context)
{
    run_prompt prompt = {0};
    sx_engine *engine = NULL;
    sx_session *session = NULL;
    int code = prepare_prompt(context, &prompt);
    if (code == CLI_EXIT_OK) code = cli_load_engine(context, &engine);
    if (code == CLI_EXIT_OK) code = cli_load_session(context, engine, &session);
    if (code == CLI_EXIT_OK) code = generate(context, session, &prompt);
    sx_session_destroy(session);
    sx_engine_destroy(engine);
    free(prompt.text);
    cli_conversation_free(&prompt.conversation);
    return code;
}
