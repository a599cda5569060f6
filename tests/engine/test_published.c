// A published model, end to end: its answers against transformers over the same file (tools/golden_published.py).
//
//   prompts        the prompts' tokens exactly, conversations rendered as the file's own Jinja template does
//   continuations  of every prompt, 32 greedy tokens: their logits in passes of 32 rows, where each token must lead. (A
//                  row's logits are the same bits alone and in company, which the engine's self-test and the next test
//                  assert.) Where the second choice is closer than the tolerance either counts.
//   decoding       the same tokens one by one, and by n-gram, chain and tree speculation with a draft of random
//   weights,
//                  greedy; and the same tokens from all of them at a temperature with a seed
//   made to think  what was not trained to think thinks and answers, cut off or (where 32 tokens are decoded) by itself
//
// On slow drivers SX_PUBLISHED_PROMPTS and SX_PUBLISHED_DECODED bound how many prompts, SX_PUBLISHED_STEPS how many
// tokens are decoded.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness.h"
#include "random_draft.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

static const cJSON *row_at(uint32_t index)
{
    const cJSON *rows = cJSON_GetObjectItem(golden, "rows");
    return cJSON_GetArrayItem(rows, (int)index % cJSON_GetArraySize(rows));
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

static sx_role role_of(const char *name)
{
    return !strcmp(name, "system") ? SX_ROLE_SYSTEM : !strcmp(name, "user") ? SX_ROLE_USER : SX_ROLE_ASSISTANT;
}

static void test_conversations(void **state)
{
    (void)state;
    const cJSON *row, *turn;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(golden, "conversations"))
    {
        sx_message messages[8];
        uint32_t count = 0;
        cJSON_ArrayForEach(turn, cJSON_GetObjectItem(row, "turns"))
        {
            assert_true(count < 8);
            messages[count++] = (sx_message){.role = role_of(cJSON_GetArrayItem(turn, 0)->valuestring),
                                             .content = cJSON_GetArrayItem(turn, 1)->valuestring};
        }
        char *text = NULL;
        assert_int_equal(sx_engine_render(engine, messages, count, false, &text, NULL), SX_OK);
        assert_string_equal(text, cJSON_GetObjectItem(row, "text")->valuestring);
        sx_free(text);
    }
}

static uint32_t best_of(const float *logits, uint32_t count)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < count; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static double best_logits_error(const float *logits, const cJSON *best)
{
    double worst = 0;
    for (int i = 0; i < 8; i++) {
        const int id = cJSON_GetArrayItem(cJSON_GetObjectItem(best, "ids"), i)->valueint;
        const double wanted = cJSON_GetArrayItem(cJSON_GetObjectItem(best, "logits"), i)->valuedouble;
        worst = fmax(worst, fabs((double)logits[id] - wanted));
    }
    return worst;
}

static double margin_of(const cJSON *row, uint32_t step)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItem(row, "margins"), (int)step)->valuedouble;
}

// The prompt and its wanted continuation through the model at once: each token of the continuation must lead where it
// was chosen. Returns the largest error of the logits after the prompt.
static double check_continuation(sx_session *session, const cJSON *row, uint32_t *ties)
{
    uint32_t tokens[256 + MAX_STEPS];
    const uint32_t count = read_tokens(cJSON_GetObjectItem(row, "tokens"), tokens, 256);
    const uint32_t steps = read_tokens(cJSON_GetObjectItem(row, "greedy"), tokens + count, MAX_STEPS);
    assert_int_equal(steps, MAX_STEPS);
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    float *logits = NULL;
    assert_int_equal(sx_session_logits(session, tokens, count + steps - 1, &logits, NULL), SX_OK);
    for (uint32_t i = 0; i < steps; i++) {
        const uint32_t found = best_of(logits + (size_t)(count - 1 + i) * info.vocabulary, info.vocabulary);
        if (found == tokens[count + i]) continue;
        if (margin_of(row, i) > logit_tolerance)
            fail_msg("\"%s\": token %u is %u instead of %u, which leads by %g", prompt_of(row), i, found,
                     tokens[count + i], margin_of(row, i));
        ++*ties;
    }
    const double error =
        best_logits_error(logits + (size_t)(count - 1) * info.vocabulary, cJSON_GetObjectItem(row, "best"));
    sx_free(logits);
    return error;
}

static void test_continuations(void **state)
{
    (void)state;
    const uint32_t prompts = test_number("SX_PUBLISHED_PROMPTS", 10);
    sx_session *session = test_open_session(engine);
    double worst = 0;
    uint32_t ties = 0;
    for (uint32_t i = 0; i < prompts; i++)
        worst = fmax(worst, check_continuation(session, row_at(i), &ties));
    print_message("%u prompts of %d tokens, %u ties; largest difference of the best logits: %.4f\n", prompts, MAX_STEPS,
                  ties, worst);
    assert_true(worst <= logit_tolerance);
    sx_session_destroy(session);
}

static void check_speculation(sx_session *session, sx_generate_desc *desc, const test_reply *plain)
{
    static const struct {
        const char *name;
        sx_drafting drafting;
    } modes[] = {{"n-gram", {.kind = SX_DRAFT_NGRAM, .nodes = 3}},
                 {"chain", {.kind = SX_DRAFT_CHAIN, .depth = 3}},
                 {"tree", {.kind = SX_DRAFT_TREE, .depth = 3, .branch = 3, .nodes = 7}}};
    static test_reply other;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        desc->drafting = modes[i].drafting;
        test_run(session, desc, &other, NULL, NULL);
        if (plain->count != other.count || memcmp(plain->tokens, other.tokens, plain->count * sizeof(uint32_t)))
            fail_msg("\"%s\": %s speculation at temperature %g changes the text", desc->messages->content,
                     modes[i].name, (double)desc->sampling.temperature);
    }
}

static void check_decoding(sx_session *session, const cJSON *row, uint32_t steps)
{
    static test_reply plain;
    uint32_t wanted[MAX_STEPS];
    read_tokens(cJSON_GetObjectItem(row, "greedy"), wanted, MAX_STEPS);
    const sx_message message = {.role = SX_ROLE_USER, .content = prompt_of(row)};
    sx_generate_desc desc = {
        .messages = &message, .message_count = 1, .maximum_tokens = steps, .drafting = {.kind = SX_DRAFT_NONE}};
    test_run(session, &desc, &plain, NULL, NULL);
    assert_true(plain.count > 0);
    uint32_t same = 0;
    while (same < plain.count && plain.tokens[same] == wanted[same])
        same++;
    if (same < plain.count && margin_of(row, same) > logit_tolerance) // else a tie, behind which nothing is comparable
        fail_msg("\"%s\": token %u is %u instead of %u", prompt_of(row), same, plain.tokens[same], wanted[same]);
    check_speculation(session, &desc, &plain);
    desc.sampling = (sx_sampling){.temperature = 0.9f, .top_p = 0.95f, .seed = 11};
    desc.drafting = (sx_drafting){.kind = SX_DRAFT_NONE};
    test_run(session, &desc, &plain, NULL, NULL);
    check_speculation(session, &desc, &plain);
}

static void test_decoding(void **state)
{
    (void)state;
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    assert_true(info.bitwise_lossless);
    const uint32_t prompts = test_number("SX_PUBLISHED_DECODED", 1);
    const uint32_t steps = test_number("SX_PUBLISHED_STEPS", MAX_STEPS);
    sx_session *session = test_open_session(engine);
    for (uint32_t i = 0; i < prompts; i++)
        check_decoding(session, row_at(i + 1), steps);
    sx_session_destroy(session);
}

static void test_made_to_think(void **state)
{
    (void)state;
    static test_reply reply;
    sx_session *session = test_open_session(engine);
    const sx_message message = {.role = SX_ROLE_USER, .content = "What is 2 + 2?"};
    sx_generate_desc desc = {.messages = &message, .message_count = 1, .maximum_tokens = 24, .prefill_thinking = true};
    desc.policy.hard_budget = 6;
    test_run(session, &desc, &reply, NULL, NULL);
    print_message("thinking \"%s\", answer \"%s\"\n", reply.thinking, reply.answer);
    assert_int_equal(reply.exit_reason, SX_REASON_HARD_BUDGET);
    assert_true(strlen(reply.thinking) > 0);
    assert_ptr_equal(strstr(reply.answer, "The answer is"), reply.answer);
    assert_true(strlen(reply.answer) > strlen("The answer is"));
    if (test_number("SX_PUBLISHED_STEPS", MAX_STEPS) == MAX_STEPS) {
        desc.policy = (sx_policy){0};
        desc.maximum_tokens = 160;
        test_run(session, &desc, &reply, NULL, NULL);
        print_message("thinking \"%s\", answer \"%s\"\n", reply.thinking, reply.answer);
        assert_true(reply.exit_reason == SX_REASON_NATURAL || reply.exit_reason == SX_REASON_MARGIN ||
                    reply.done_reason == SX_DONE_MAXIMUM);
        assert_true(strlen(reply.answer) > 0 || reply.done_reason == SX_DONE_MAXIMUM);
    }
    sx_session_destroy(session);
}

int main(int argc, char **argv)
{
    FILE *model = argc == 3 ? fopen(argv[1], "rb") : NULL;
    golden = argc == 3 ? read_golden(argv[2]) : NULL;
    if (!model || !golden) {
        printf("skipped: it takes the model's file (sh tools/models.sh get NAME) and its golden values\n");
        return SKIPPED;
    }
    fclose(model);
    char draft[64];
    snprintf(draft, sizeof draft, "random-draft-%ld.gguf", (long)getpid());
    random_draft_write(argv[1], draft, 7);
    engine = test_open_bundled(&(sx_engine_desc){.target_path = argv[1], .draft_path = draft, .context = 512});
    remove(draft);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_prompts), cmocka_unit_test(test_conversations),
                                       cmocka_unit_test(test_continuations), cmocka_unit_test(test_decoding),
                                       cmocka_unit_test(test_made_to_think)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_engine_destroy(engine);
    cJSON_Delete(golden);
    return failed;
}
