// The exports over the scripted engine: options in, JSON out, and what happens to damaged options.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "exports.h"
#include "options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t model_bytes[] = "GGUF and more";

int web_source_read(int id, double offset, void *destination, size_t size);
void web_log(const char *line);
void fake_submit(void);
int fake_arrived(void);

int web_source_read(int id, double offset, void *destination, size_t size)
{
    if (id != 7 || offset + (double)size > sizeof model_bytes) return 0;
    memcpy(destination, model_bytes + (size_t)offset, size);
    return 1;
}

void web_log(const char *line)
{
    (void)line;
}

void fake_submit(void) {}

int fake_arrived(void)
{
    return 1;
}

static sx_status parse(const char *block, size_t size, web_generate *generate, sx_error *error)
{
    memset(error, 0, sizeof *error);
    return web_generate_options(block, size, generate, error);
}

static void test_options(void **state)
{
    (void)state;
    static const char block[] =
        "system\0be brief\0user\0one\0assistant\0two\0reasoning\0because\0user\0three\0temperature\0"
        "0.5\0seed\0"
        "18446744073709551615\0stop\0a\0stop\0b\0bias\0"
        "12:-1.5\0policy\0entropy\0no_loop_guard\0true\0draft\0chain\0";
    web_generate generate;
    sx_error error;
    assert_int_equal(parse(block, sizeof block - 1, &generate, &error), SX_OK);
    const sx_generate_desc *desc = &generate.desc;
    assert_int_equal(desc->message_count, 4);
    assert_int_equal(desc->messages[0].role, SX_ROLE_SYSTEM);
    assert_string_equal(desc->messages[2].reasoning, "because");
    assert_string_equal(desc->messages[3].content, "three");
    assert_float_equal(desc->sampling.temperature, 0.5f, 0);
    assert_true(desc->sampling.seed == UINT64_MAX);
    assert_int_equal(desc->stop_count, 2);
    assert_string_equal(desc->stop[1], "b");
    assert_int_equal(desc->sampling.bias_tokens[0], 12);
    assert_float_equal(desc->sampling.bias_values[0], -1.5f, 0);
    assert_int_equal(desc->policy.kind, SX_POLICY_ENTROPY);
    assert_true(desc->policy.no_loop_guard);
    assert_int_equal(desc->drafting.kind, SX_DRAFT_CHAIN);
    web_generate_free(&generate);

    static const char tokens[] = "tokens\0"
                                 "5,0,4294967295\0";
    assert_int_equal(parse(tokens, sizeof tokens - 1, &generate, &error), SX_OK);
    assert_int_equal(generate.desc.token_count, 3);
    assert_true(generate.desc.tokens[2] == UINT32_MAX);
    assert_null(generate.desc.messages);
    web_generate_free(&generate);
}

// Versions of clang-format disagree about braces in macros.
// clang-format off
#define ROW(text, message) {text, sizeof(text) - 1, message}
// clang-format on
static void test_damaged_options(void **state)
{
    (void)state;
    static const struct {
        const char *block;
        size_t size;
        const char *message;
    } rows[] = {
        ROW("nothing\0x\0", "option \"nothing\" is not known"),
        ROW("seed\0-1\0", "option \"seed\": \"-1\" is not a whole number"),
        ROW("top_k\0004294967296\0", "is not a whole number"),
        ROW("temperature\0nan\0", "is not a number"),
        ROW("temperature\0001e99\0", "is not a number"),
        ROW("temperature\0\0", "is not a number"),
        ROW("policy\0never\0", "option \"policy\": \"never\" is not auto, none, signals, margin or entropy"),
        ROW("no_thinking\0yes\0", "is not true or false"),
        ROW("reasoning\0x\0", "must follow an assistant's message"),
        ROW("tokens\0001,,2\0", "is not a list of token numbers"),
        ROW("tokens\0\0", "is not a list of token numbers"),
        ROW("bias\00012\0", "is not of the form token:value"),
        ROW("bias\0:1\0", "is not of the form token:value"),
        ROW("bias\00099999999999999999999:1\0", "is not of the form token:value"),
        ROW("user\0", "the option block is cut short"),
        ROW("user", "the option block is cut short"),
#undef ROW
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; ++i) {
        web_generate generate;
        sx_error error;
        assert_int_equal(parse(rows[i].block, rows[i].size, &generate, &error), SX_ERROR_ARGUMENT);
        if (!strstr(error.message, rows[i].message)) fail_msg("row %zu: \"%s\"", i, error.message);
        web_generate_free(&generate);
    }
    // Seventeen stop strings.
    char block[17 * 7];
    for (int i = 0; i < 17; ++i)
        memcpy(block + 7 * i, "stop\0x", 7);
    web_generate generate;
    sx_error error;
    assert_int_equal(parse(block, sizeof block, &generate, &error), SX_ERROR_ARGUMENT);
    web_generate_free(&generate);
}

static web_context *open_model(void)
{
    web_context *context = web_create();
    assert_int_equal(web_source_add(context, 7, "model.gguf", sizeof model_bytes, false), SX_OK);
    static const char tested[] = "selftest_known\0true\0selftest_lossless\0true\0selftest_acceptance\0"
                                 "2.5\0";
    assert_int_equal(web_engine_open(context, tested, sizeof tested - 1), SX_OK);
    while (web_engine_poll(context) == SX_PENDING)
        assert_non_null(strstr(web_text(context), "\"fraction\":"));
    return context;
}

static void test_reply(void **state)
{
    (void)state;
    web_context *context = open_model();
    assert_non_null(strstr(web_text(context), "\"stage\":\"ready\",\"fraction\":1"));
    web_engine_info(context);
    assert_non_null(strstr(web_text(context), "\"signals\":[\"confidence\",\"progress\",\"remain\"]"));
    assert_non_null(strstr(web_text(context), "\"thresholds\":{\"confidence\":0.75,\"progress\":0.25,"));

    sx_session *session = web_session_create(context, 0, 0);
    static const char options[] = "user\0What is \"it\"?\0";
    assert_int_equal(web_session_begin(context, session, options, sizeof options - 1), SX_OK);
    bool thinking = false, exited = false, done = false;
    for (int i = 0; i < 10000 && !done; ++i) {
        sx_status status = web_session_poll(context, session);
        thinking |= strstr(web_text(context), "\"kind\":\"text\",\"channel\":\"thinking\"") != NULL;
        exited |= strstr(web_text(context), "\"kind\":\"exit\",\"reason\":\"signals\"") != NULL;
        done = status == SX_OK;
    }
    assert_true(thinking && exited && done);
    assert_non_null(strstr(web_text(context), "\"kind\":\"done\",\"reason\":\"end-of-turn\""));
    web_session_destroy(session);
    web_destroy(context);
}

static void test_profile(void **state)
{
    (void)state;
    static const char text[] =
        "{\"model\": \"m\", \"full_accuracy\": 0.97, \"full_thinking_tokens\": 265, \"chosen\": {\"signals\": "
        "[\"confidence\", \"remain\"], \"confidence\": 0.75, \"remain\": 900, \"smoothing\": \"paragraph-mean\", "
        "\"alpha\": "
        "0.25, \"accuracy\": 0.5, \"thinking_tokens\": 55}, \"levels\": [{\"signals\": [\"progress\"], \"progress\": "
        "0.5}]}";
    web_context *context = open_model();
    assert_int_equal(web_profile(context, text, strlen(text)), SX_OK);
    assert_string_equal(
        web_text(context),
        "{\"modelName\":\"m\",\"otherFormat\":false,\"fullAccuracy\":0.97,\"fullTokens\":265,\"chosen\":{"
        "\"options\":{\"policy\":\"signals\",\"signals\":5,\"confidence\":0.75,\"remain\":900,\"smoothing\":"
        "\"paragraph-mean\",\"alpha\":0.25},\"accuracy\":0.5,\"tokens\":55},\"levels\":[{\"options\":{"
        "\"policy\":\"signals\",\"signals\":2,\"progress\":0.5,\"smoothing\":\"auto\"},\"accuracy\":0,"
        "\"tokens\":0}]}");
    // What is written can be asked for.
    static const char options[] = "policy\0signals\0signals\0005\0smoothing\0paragraph-mean\0";
    web_generate generate;
    sx_error error;
    assert_int_equal(parse(options, sizeof options - 1, &generate, &error), SX_OK);
    assert_int_equal(generate.desc.policy.smoothing, SX_SMOOTH_PARAGRAPH_MEAN);
    web_generate_free(&generate);
    static const char others[] =
        "{\"model\": \"m\", \"model_family\": \"00000000000000aa\", \"levels\": [{\"signals\": "
        "[\"progress\"], \"progress\": 0.5}]}";
    assert_int_equal(web_profile(context, others, strlen(others)), SX_ERROR_MISMATCH);
    assert_int_equal(web_profile(context, "{}", 2), SX_ERROR_FORMAT);
    assert_non_null(strstr(web_text(context), "\"message\":\"profile"));
    web_destroy(context);
}

static void test_failures(void **state)
{
    (void)state;
    web_context *context = web_create();
    assert_int_equal(web_source_add(context, 8, "unreadable.gguf", 100, false), SX_OK);
    assert_int_equal(web_engine_open(context, "", 0), SX_ERROR_FORMAT);
    assert_non_null(strstr(web_text(context), "{\"status\":\"format\",\"message\":\"unreadable.gguf: "));
    for (int i = 1; i < 64; ++i)
        assert_int_equal(web_source_add(context, 7, "x", 1, true), SX_OK);
    assert_int_equal(web_source_add(context, 7, "x", 1, true), SX_ERROR_ARGUMENT);
    web_destroy(context);
    web_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options), cmocka_unit_test(test_damaged_options), cmocka_unit_test(test_reply),
        cmocka_unit_test(test_profile), cmocka_unit_test(test_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
