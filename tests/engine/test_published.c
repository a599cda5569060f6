// A published model, end to end: SmolLM2-135M-Instruct against transformers over the same file (golden_published.py).
//
// Tokens of the prompts exactly, logits within the tolerance, the greedy continuation token for token (where the second
// choice is closer than the tolerance, either counts and the rest of that line is not comparable), and n-gram
// speculation equal to plain decoding. SX_PUBLISHED_STEPS and SX_PUBLISHED_PROMPTS bound the work on slow drivers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SKIPPED = 77, MAX_STEPS = 32 };

// Logits are of size 20; keys and values are f16, and the sums run in another order.
static const double logit_tolerance = 0.05;

static sx_engine *engine;
static cJSON *golden;

static cJSON *read_golden(const char *path)
{
    static char text[1 << 20];
    FILE *stream = fopen(path, "rb");
    if (!stream) return NULL;
    text[fread(text, 1, sizeof text - 1, stream)] = 0;
    fclose(stream);
    return cJSON_Parse(text);
}

static uint32_t read_tokens(const cJSON *list, uint32_t *tokens, uint32_t capacity)
{
    uint32_t count = 0;
    const cJSON *token;
    cJSON_ArrayForEach(token, list)
    {
        if (count < capacity) tokens[count++] = (uint32_t)token->valueint;
    }
    return count;
}

static const char *prompt_of(const cJSON *row)
{
    return cJSON_GetObjectItem(row, "prompt")->valuestring;
}

static void check_prompt_tokens(const cJSON *row)
{
    uint32_t wanted[256];
    const uint32_t count = read_tokens(cJSON_GetObjectItem(row, "tokens"), wanted, 256);
    const sx_message message = {.role = SX_ROLE_USER, .content = prompt_of(row)};
    char *text = NULL;
    uint32_t *tokens = NULL, found = 0;
    assert_int_equal(sx_engine_render(engine, &message, 1, false, &text, NULL), SX_OK);
    assert_int_equal(sx_engine_tokenize(engine, text, strlen(text), true, &tokens, &found, NULL), SX_OK);
    assert_int_equal(found, count);
    assert_memory_equal(tokens, wanted, count * sizeof(uint32_t));
    sx_free(text);
    sx_free(tokens);
}

static void test_prompts(void **state)
{
    (void)state;
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(golden, "rows")) check_prompt_tokens(row);
}

static void test_logits(void **state)
{
    (void)state;
    uint32_t tokens[256];
    const cJSON *row = cJSON_GetArrayItem(cJSON_GetObjectItem(golden, "rows"), 1);
    const uint32_t count = read_tokens(cJSON_GetObjectItem(row, "tokens"), tokens, 256);
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    sx_session *session = test_open_session(engine);
    float *logits = NULL;
    assert_int_equal(sx_session_logits(session, tokens, count, &logits, NULL), SX_OK);
    const float *last = logits + (size_t)(count - 1) * info.vocabulary;
    const cJSON *best = cJSON_GetObjectItem(row, "best");
    double worst = 0;
    for (int i = 0; i < 8; i++) {
        const int id = cJSON_GetArrayItem(cJSON_GetObjectItem(best, "ids"), i)->valueint;
        const double wanted = cJSON_GetArrayItem(cJSON_GetObjectItem(best, "logits"), i)->valuedouble;
        worst = fmax(worst, fabs((double)last[id] - wanted));
    }
    print_message("largest difference of the eight best logits: %.4f\n", worst);
    assert_true(worst <= logit_tolerance);
    sx_free(logits);
    sx_session_destroy(session);
}

static void check_continuation(sx_session *session, const cJSON *row, uint32_t steps)
{
    static test_reply plain, speculative;
    uint32_t wanted[MAX_STEPS];
    read_tokens(cJSON_GetObjectItem(row, "greedy"), wanted, MAX_STEPS);
    const sx_message message = {.role = SX_ROLE_USER, .content = prompt_of(row)};
    sx_generate_desc desc = {
        .messages = &message, .message_count = 1, .maximum_tokens = steps, .drafting = {.kind = SX_DRAFT_NONE}};
    test_run(session, &desc, &plain, NULL, NULL);
    for (uint32_t i = 0; i < plain.count; i++) {
        const double margin = cJSON_GetArrayItem(cJSON_GetObjectItem(row, "margins"), (int)i)->valuedouble;
        if (plain.tokens[i] == wanted[i]) continue;
        if (margin > logit_tolerance)
            fail_msg("\"%s\": token %u is %u instead of %u, which leads by %g", desc.messages->content, i,
                     plain.tokens[i], wanted[i], margin);
        print_message("\"%s\": token %u is a tie (%g)\n", desc.messages->content, i, margin);
        break;
    }
    desc.drafting = (sx_drafting){.kind = SX_DRAFT_NGRAM, .nodes = 3};
    test_run(session, &desc, &speculative, NULL, NULL);
    assert_int_equal(plain.count, speculative.count);
    assert_memory_equal(plain.tokens, speculative.tokens, plain.count * sizeof(uint32_t));
}

static void test_continuations(void **state)
{
    (void)state;
    const uint32_t prompts = test_number("SX_PUBLISHED_PROMPTS", 10);
    const uint32_t steps = test_number("SX_PUBLISHED_STEPS", MAX_STEPS);
    sx_session *session = test_open_session(engine);
    for (uint32_t i = 0; i < prompts; i++)
        check_continuation(session, cJSON_GetArrayItem(cJSON_GetObjectItem(golden, "rows"), (int)i), steps);
    sx_session_destroy(session);
}

int main(int argc, char **argv)
{
    FILE *model = argc == 3 ? fopen(argv[1], "rb") : NULL;
    golden = argc == 3 ? read_golden(argv[2]) : NULL;
    if (!model || !golden) {
        printf("skipped: it takes the model's file (sh tools/models.sh get smollm2-135m) and its golden values\n");
        return SKIPPED;
    }
    fclose(model);
    engine = test_open_bundled(&(sx_engine_desc){.target_path = argv[1], .context = 512});
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_prompts), cmocka_unit_test(test_logits),
                                       cmocka_unit_test(test_continuations)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_engine_destroy(engine);
    cJSON_Delete(golden);
    return failed;
}
