// One conversation and what can be done with it: steering, reuse, limits, counters.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/internal.h"
#include "harness.h"

#include <string.h>

static sx_engine *engine;
static test_problem problem;
static sx_message message = {.role = SX_ROLE_USER};

static sx_generate_desc ask(sx_policy_kind policy)
{
    return (sx_generate_desc){
        .messages = &message, .message_count = 1, .maximum_tokens = 700, .policy = {.kind = policy}};
}

static int setup(void **state)
{
    assert_true(test_problem_read("heldout.jsonl", 3, &problem));
    message.content = problem.prompt;
    *state = test_open_session(engine);
    return 0;
}

static int teardown(void **state)
{
    sx_session_destroy(*state);
    return 0;
}

static void test_counters(void **state)
{
    static test_reply reply;
    const sx_generate_desc desc = ask(SX_POLICY_NONE);
    test_run(*state, &desc, &reply, NULL, NULL);
    const sx_stats *stats = &reply.stats;
    assert_int_equal(stats->tokens, reply.count);
    assert_true(stats->cycles > 0 && stats->tokens >= stats->cycles);
    // One submit and one readback a cycle; a cycle submitted ahead of the end may be in vain.
    assert_in_range(stats->submits, stats->cycles, stats->cycles + 2);
    assert_int_equal(stats->readbacks, stats->submits);
    assert_true(stats->readback_bytes <= stats->readbacks * 1024);
    assert_true(stats->thinking_tokens > 20);
    assert_int_equal(reply.done_reason, SX_DONE_END_OF_TURN);
    assert_int_equal(reply.exit_reason, SX_REASON_NATURAL);
    assert_null(strstr(reply.thinking, "</think>"));
    assert_null(strstr(reply.answer, "<|im_end|>"));
    assert_true(strlen(reply.answer) > 0);
}

static void test_repeatable(void **state)
{
    static test_reply first, second, other;
    sx_generate_desc desc = ask(SX_POLICY_NONE);
    desc.sampling = (sx_sampling){.temperature = 1.2f, .seed = 77};
    test_run(*state, &desc, &first, NULL, NULL);
    test_run(*state, &desc, &second, NULL, NULL);
    assert_true(second.stats.reused_tokens > 0);
    assert_int_equal(first.count, second.count);
    assert_memory_equal(first.tokens, second.tokens, first.count * sizeof(uint32_t));
    desc.sampling.seed = 78;
    test_run(*state, &desc, &other, NULL, NULL);
    assert_true(other.count != first.count || memcmp(other.tokens, first.tokens, first.count * sizeof(uint32_t)));
}

// A second turn over reused keys and values against a fresh session that reads everything in larger chunks.
static void test_prefix_reuse(void **state)
{
    static test_reply first, reused, fresh;
    sx_generate_desc desc = ask(SX_POLICY_NONE);
    test_run(*state, &desc, &first, NULL, NULL);
    const sx_message turns[] = {message,
                                {.role = SX_ROLE_ASSISTANT, .content = first.answer},
                                {.role = SX_ROLE_USER, .content = "Start with 5, add 3."}};
    desc.messages = turns;
    desc.message_count = 3;
    test_run(*state, &desc, &reused, NULL, NULL);
    assert_true(reused.stats.reused_tokens > 5);
    sx_session *session = test_open_session(engine);
    test_run(session, &desc, &fresh, NULL, NULL);
    sx_session_destroy(session);
    assert_int_equal(fresh.stats.reused_tokens, 0);
    assert_int_equal(fresh.count, reused.count);
    assert_memory_equal(fresh.tokens, reused.tokens, fresh.count * sizeof(uint32_t));
}

static void answer_at_forty(sx_session *session, const sx_event *event, void *user)
{
    bool *pressed = user;
    if (event->kind != SX_EVENT_TEXT || event->first_token < 40 || *pressed) return;
    *pressed = true;
    sx_session_answer_now(session);
}

static void test_answer_now(void **state)
{
    static test_reply reply;
    bool pressed = false;
    const sx_generate_desc desc = ask(SX_POLICY_NONE);
    test_run(*state, &desc, &reply, answer_at_forty, &pressed);
    assert_true(pressed);
    assert_int_equal(reply.exit_reason, SX_REASON_ANSWER_NOW);
    assert_in_range(reply.exit_token, 40, 90);
    assert_int_equal(reply.done_reason, SX_DONE_END_OF_TURN);
}

static void test_budgets(void **state)
{
    static test_reply reply;
    sx_generate_desc desc = ask(SX_POLICY_NONE);
    desc.policy.hard_budget = 25;
    test_run(*state, &desc, &reply, NULL, NULL);
    assert_int_equal(reply.exit_reason, SX_REASON_HARD_BUDGET);
    assert_in_range(reply.stats.thinking_tokens, 25, 26);
    desc.policy.hard_budget = 0;
    desc.policy.soft_budget = 25;
    test_run(*state, &desc, &reply, NULL, NULL);
    assert_int_equal(reply.exit_reason, SX_REASON_SOFT_BUDGET);
    assert_true(reply.stats.thinking_tokens >= 25);
    desc.maximum_tokens = 10;
    test_run(*state, &desc, &reply, NULL, NULL);
    assert_int_equal(reply.count, 10);
    assert_int_equal(reply.done_reason, SX_DONE_MAXIMUM);
}

// After a forced exit, thinking goes on exactly as if there had been none.
static void test_keep_thinking(void **state)
{
    static test_reply whole, cut;
    sx_generate_desc desc = ask(SX_POLICY_NONE);
    test_run(*state, &desc, &whole, NULL, NULL);
    desc.policy.soft_budget = 20;
    test_run(*state, &desc, &cut, NULL, NULL);
    assert_int_equal(cut.exit_reason, SX_REASON_SOFT_BUDGET);
    assert_true(cut.count < whole.count);
    assert_int_equal(sx_session_keep_thinking(*state, NULL), SX_OK);
    test_continue(*state, &cut, NULL, NULL);
    assert_int_equal(cut.exit_reason, SX_REASON_NATURAL);
    assert_int_equal(cut.count, whole.count);
    assert_memory_equal(cut.tokens, whole.tokens, whole.count * sizeof(uint32_t));
}

// Steered while the answer is being written: nothing of the withdrawn answer comes any more.
static void test_keep_thinking_at_once(void **state)
{
    sx_generate_desc desc = ask(SX_POLICY_NONE);
    desc.policy.soft_budget = 20;
    assert_int_equal(sx_session_begin(*state, &desc, NULL), SX_OK);
    sx_event event = {0};
    while (sx_session_running(*state) && event.kind != SX_EVENT_EXIT)
        if (sx_session_poll(*state, &event, NULL) == SX_PENDING) sx_session_wait(*state, 10);
    assert_int_equal(event.kind, SX_EVENT_EXIT);
    const uint32_t exit_token = event.token_index;
    assert_int_equal(sx_session_keep_thinking(*state, NULL), SX_OK);
    do {
        assert_true(sx_session_running(*state));
        if (sx_session_poll(*state, &event, NULL) == SX_PENDING) sx_session_wait(*state, 10);
        assert_int_not_equal(event.kind, SX_EVENT_DONE);
    } while (event.kind != SX_EVENT_TEXT);
    assert_int_equal(event.channel, SX_CHANNEL_THINKING);
    assert_int_equal(event.first_token, exit_token + 1);
    sx_session_stop(*state);
    while (sx_session_running(*state))
        if (sx_session_poll(*state, &event, NULL) == SX_PENDING) sx_session_wait(*state, 10);
}

static void test_keep_thinking_after_close(void **state)
{
    static test_reply reply;
    const sx_generate_desc desc = ask(SX_POLICY_NONE);
    test_run(*state, &desc, &reply, NULL, NULL);
    assert_int_equal(reply.exit_reason, SX_REASON_NATURAL);
    const uint32_t before = reply.exit_token, count = reply.count;
    reply.exit_reason = SX_REASON_NONE;
    assert_int_equal(sx_session_keep_thinking(*state, NULL), SX_OK);
    test_continue(*state, &reply, NULL, NULL);
    assert_true(reply.exit_reason == SX_REASON_NONE || reply.exit_token > before);
    assert_true(reply.count != count);
    sx_error error = {0};
    if (reply.exit_reason == SX_REASON_NONE)
        assert_int_equal(sx_session_keep_thinking(*state, &error), SX_ERROR_ARGUMENT);
}

static void stop_at_ten(sx_session *session, const sx_event *event, void *user)
{
    (void)user;
    if (event->kind == SX_EVENT_TEXT && event->first_token >= 10) sx_session_stop(session);
}

static void test_stop(void **state)
{
    static test_reply reply, again;
    const sx_generate_desc desc = ask(SX_POLICY_NONE);
    test_run(*state, &desc, &reply, stop_at_ten, NULL);
    assert_int_equal(reply.done_reason, SX_DONE_STOPPED);
    assert_in_range(reply.count, 10, 60);
    test_run(*state, &desc, &again, NULL, NULL);
    assert_memory_equal(again.tokens, reply.tokens, reply.count * sizeof(uint32_t));
}

static void test_stop_string(void **state)
{
    static test_reply whole, reply;
    sx_generate_desc desc = ask(SX_POLICY_NONE);
    test_run(*state, &desc, &whole, NULL, NULL);
    const size_t length = strlen(whole.answer);
    assert_true(length > 6);
    char stop[4] = {whole.answer[3], whole.answer[4], whole.answer[5], 0};
    const char *stops[] = {"never said", stop};
    desc.stop = stops;
    desc.stop_count = 2;
    test_run(*state, &desc, &reply, NULL, NULL);
    assert_int_equal(reply.done_reason, SX_DONE_STOP_STRING);
    const char *first = strstr(whole.answer, stop);
    assert_int_equal(strlen(reply.answer), (size_t)(first - whole.answer));
    assert_memory_equal(reply.answer, whole.answer, strlen(reply.answer));
}

static void test_bad_requests(void **state)
{
    static char text[40000];
    memset(text, 'x', sizeof text - 1);
    sx_error error = {0};
    sx_generate_desc desc = {.prompt = text};
    assert_int_equal(sx_session_begin(*state, &desc, &error), SX_ERROR_CONTEXT);
    assert_non_null(strstr(error.message, "context"));
    desc = (sx_generate_desc){0};
    assert_int_equal(sx_session_begin(*state, &desc, &error), SX_ERROR_ARGUMENT);
    const uint32_t tokens[] = {1, 4000000000u};
    desc = (sx_generate_desc){.tokens = tokens, .token_count = 2};
    assert_int_equal(sx_session_begin(*state, &desc, &error), SX_ERROR_ARGUMENT);
    desc = ask(SX_POLICY_AUTO);
    desc.sampling.temperature = -1;
    assert_int_equal(sx_session_begin(*state, &desc, &error), SX_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "temperature"));
    desc = ask(SX_POLICY_AUTO);
    desc.drafting.nodes = 99;
    assert_int_equal(sx_session_begin(*state, &desc, &error), SX_ERROR_ARGUMENT);
    desc = ask(SX_POLICY_AUTO);
    assert_int_equal(sx_session_begin(*state, &desc, &error), SX_OK);
    assert_int_equal(sx_session_begin(*state, &desc, &error), SX_ERROR_BUSY);
    sx_session_stop(*state);
    static test_reply reply;
    test_continue(*state, &reply, NULL, NULL);
    assert_int_equal(reply.done_reason, SX_DONE_STOPPED);
}

// The device is lost in the middle: on a new engine the reply goes on and is the same.
static void test_device_loss(void **state)
{
    static test_reply whole, reply;
    sx_generate_desc desc = ask(SX_POLICY_SIGNALS);
    desc.sampling = (sx_sampling){.temperature = 0.8f, .seed = 5};
    desc.maximum_tokens = 80;
    test_run(*state, &desc, &whole, NULL, NULL);

    sx_engine *lost = test_open_bundled(NULL);
    sx_session *session = test_open_session(lost);
    memset(&reply, 0, sizeof reply);
    assert_int_equal(sx_session_begin(session, &desc, NULL), SX_OK);
    sx_status status = SX_OK;
    sx_error error = {0};
    sx_event event;
    uint32_t told = 0;
    while (status == SX_OK || status == SX_PENDING) {
        status = sx_session_poll(session, &event, &error);
        if (status == SX_OK) test_take(&reply, &event);
        if (status == SX_OK && event.kind == SX_EVENT_TEXT && event.first_token == 30) sx_gpu_simulate_loss(lost->gpu);
    }
    assert_int_equal(status, SX_ERROR_DEVICE_LOST);
    told = reply.count;
    assert_in_range(told, 31, 79);
    sx_engine *fresh = test_open_bundled(NULL);
    assert_int_equal(sx_session_move(session, fresh, &error), SX_OK);
    sx_engine_destroy(lost);
    test_continue(session, &reply, NULL, NULL);
    assert_int_equal(reply.count, whole.count);
    assert_memory_equal(reply.tokens, whole.tokens, whole.count * sizeof(uint32_t));
    assert_string_equal(reply.thinking, whole.thinking);
    assert_string_equal(reply.answer, whole.answer);
    sx_session_destroy(session);
    sx_engine_destroy(fresh);
}

// A row's logits do not depend on the tokens computed beside it, nor on where chunks are cut.
static void test_logits_alone(void **state)
{
    uint32_t tokens[40];
    for (uint32_t i = 0; i < 40; i++)
        tokens[i] = (i * 31 + 7) % 300;
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    float *all = NULL, *one = NULL;
    assert_int_equal(sx_session_logits(*state, tokens, 40, &all, NULL), SX_OK);
    for (uint32_t count = 1; count <= 40; count += 13) {
        assert_int_equal(sx_session_logits(*state, tokens, count, &one, NULL), SX_OK);
        assert_memory_equal(one + (count - 1) * (size_t)info.vocabulary, all + (count - 1) * (size_t)info.vocabulary,
                            info.vocabulary * sizeof(float));
        sx_free(one);
    }
    sx_free(all);
}

// What front ends draw is what the draft's file says, and what a reply without thresholds is left by.
static void test_thresholds(void **state)
{
    (void)state;
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    assert_float_equal(info.thresholds.confidence, 0.84f, 0.005f);
    assert_float_equal(info.thresholds.progress, 0, 0);
    assert_float_equal(info.thresholds.remain, 1000, 0);
    assert_float_equal(info.thresholds.margin, -3, 0);
    SxSettings settings;
    sx_generate_desc desc = ask(SX_POLICY_SIGNALS);
    assert_int_equal(sx_settings_fill(engine, &desc, 1, 100, &settings, NULL), SX_OK);
    assert_float_equal(settings.confidence_threshold, info.thresholds.confidence, 0);
    assert_float_equal(settings.remain_threshold, info.thresholds.remain, 0);
    assert_int_equal(settings.exit_count, settings.close_count); // the file says that nothing is said before the marker
    desc.policy.confidence = 0.5f;
    assert_int_equal(sx_settings_fill(engine, &desc, 1, 100, &settings, NULL), SX_OK);
    assert_float_equal(settings.confidence_threshold, 0.5f, 0);
}

static void test_known_selftest(void **state)
{
    (void)state;
    const sx_engine_desc desc = {.selftest = {.known = true, .bitwise_lossless = false, .draft_acceptance = 2.5f}};
    sx_engine *known;
    sx_error error = {0};
    assert_int_equal(sx_engine_open(&desc, &known, &error), SX_OK);
    sx_load_progress progress;
    while (sx_engine_poll(known, &progress, &error) == SX_PENDING)
        assert_int_not_equal(progress.stage, SX_LOAD_TESTING);
    assert_int_equal(progress.stage, SX_LOAD_READY);
    sx_engine_info info;
    sx_engine_get_info(known, &info);
    assert_false(info.bitwise_lossless);
    assert_float_equal(info.draft_acceptance, 2.5, 0);
    sx_engine_destroy(known);
}

// Without signals thinking is left by margin. A model whose template has no thinking and that is made to think has its
// answer begun behind the marker, and leaves the thinking where it would end its turn; one that thinks is left alone.
static void test_without_signals(void **state)
{
    (void)state;
    SxSettings settings;
    sx_generate_desc desc = ask(SX_POLICY_AUTO);
    desc.prefill_thinking = true;
    assert_int_equal(sx_settings_fill(engine, &desc, 1, 100, &settings, NULL), SX_OK);
    assert_int_equal(settings.policy, SX_POLICY_KIND_SIGNALS);
    assert_int_equal(settings.end_closes, 0);
    assert_int_equal(settings.exit_count, settings.close_count);

    sx_engine *bare = test_open_bundled(&(sx_engine_desc){.no_draft = true, .template_name = "chatml"});
    sx_session *session = test_open_session(bare);
    assert_int_equal(sx_settings_fill(bare, &desc, 1, 100, &settings, NULL), SX_OK);
    assert_int_equal(settings.policy, SX_POLICY_KIND_MARGIN);
    assert_float_equal(settings.margin_threshold, -3, 0);
    assert_int_equal(settings.end_closes, 1);
    assert_true(settings.answer_count > 0 && settings.answer_count < settings.exit_count);
    assert_true(settings.exit_count > settings.close_count);
    static test_reply reply;
    desc.policy.hard_budget = 10;
    desc.maximum_tokens = 60;
    test_run(session, &desc, &reply, NULL, NULL);
    assert_int_equal(reply.exit_reason, SX_REASON_HARD_BUDGET);
    assert_ptr_equal(strstr(reply.answer, "The answer is"), reply.answer);
    assert_true(strlen(reply.answer) > strlen("The answer is"));
    desc.prefill_thinking = false;
    assert_int_equal(sx_settings_fill(bare, &desc, 1, 100, &settings, NULL), SX_OK);
    assert_int_equal(settings.end_closes, 0);
    sx_session_destroy(session);
    sx_engine_destroy(bare);
}

int main(void)
{
    engine = test_open_bundled(NULL);
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_thresholds),
        TEST(test_known_selftest),
        TEST(test_without_signals),
        TEST(test_counters),
        TEST(test_repeatable),
        TEST(test_prefix_reuse),
        TEST(test_answer_now),
        TEST(test_budgets),
        TEST(test_keep_thinking),
        TEST(test_keep_thinking_at_once),
        TEST(test_keep_thinking_after_close),
        TEST(test_stop),
        TEST(test_stop_string),
        TEST(test_bad_requests),
        TEST(test_logits_alone),
        TEST(test_device_loss),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_engine_destroy(engine);
    return failed;
}
