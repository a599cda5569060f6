// The context: what happens when a conversation outgrows it, and the memory it takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/load.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static sx_engine *engine;

static sx_session *session_of(uint32_t context)
{
    sx_session *session = NULL;
    assert_int_equal(sx_session_create(engine, &(sx_session_desc){.context = context}, &session, NULL), SX_OK);
    return session;
}

// A system message, `pairs` turns with their answers, and a question. Returns how many messages that is.
static uint32_t make_turns(sx_message *turns, uint32_t pairs)
{
    static const char *const questions[] = {"Start with 5, add 3, then multiply by 2, then subtract 4.",
                                            "Start with 9, add 4, then multiply by 3, then subtract 1."};
    uint32_t count = 0;
    turns[count++] = (sx_message){.role = SX_ROLE_SYSTEM, .content = "Be brief."};
    for (uint32_t i = 0; i < pairs; i++) {
        turns[count++] = (sx_message){.role = SX_ROLE_USER, .content = questions[i % 2]};
        turns[count++] = (sx_message){.role = SX_ROLE_ASSISTANT, .content = "The answer is 12."};
    }
    turns[count++] = (sx_message){.role = SX_ROLE_USER, .content = "Start with 2, add 7."};
    return count;
}

static sx_generate_desc ask(const sx_message *messages, uint32_t count)
{
    return (sx_generate_desc){.messages = messages,
                              .message_count = count,
                              .maximum_tokens = 12,
                              .policy = {.kind = SX_POLICY_NONE},
                              .when_full = SX_FULL_SHIFT};
}

static void assert_same(const test_reply *a, const test_reply *b)
{
    assert_int_equal(a->stats.prompt_tokens, b->stats.prompt_tokens);
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->tokens, b->tokens, a->count * sizeof *a->tokens);
}

// The oldest turns go, the system message stays, and the reply is that to the messages that are left.
static void test_shifted(void **state)
{
    (void)state;
    static test_reply shifted, alone, next;
    enum { CONTEXT = 160 };
    sx_session *session = session_of(CONTEXT), *other = session_of(CONTEXT);
    sx_message turns[20], kept[20];
    uint32_t count = make_turns(turns, 6);
    sx_generate_desc desc = ask(turns, count);
    desc.when_full = SX_FULL_REFUSE;
    assert_int_equal(sx_session_begin(session, &desc, NULL), SX_ERROR_CONTEXT);
    desc = ask(turns, count);
    test_run(session, &desc, &shifted, NULL, NULL);
    const uint32_t dropped = shifted.stats.dropped_messages;
    assert_true(dropped >= 2 && dropped % 2 == 0 && dropped <= count - 2);
    // A quarter of the context is free once more, so that the next turn need not shift again.
    assert_in_range(shifted.stats.prompt_tokens, 20, CONTEXT - 12 - CONTEXT / 4);
    kept[0] = turns[0];
    memcpy(kept + 1, turns + 1 + dropped, (count - 1 - dropped) * sizeof *kept);
    desc = ask(kept, count - dropped);
    test_run(other, &desc, &alone, NULL, NULL);
    assert_int_equal(alone.stats.dropped_messages, 0);
    assert_same(&alone, &shifted);
    // The next turn leaves out the same messages, so that the prompt read before is found again.
    turns[count++] = (sx_message){.role = SX_ROLE_ASSISTANT, .content = "8"};
    turns[count++] = (sx_message){.role = SX_ROLE_USER, .content = "Start with 1."};
    desc = ask(turns, count);
    test_run(session, &desc, &next, NULL, NULL);
    assert_int_equal(next.stats.dropped_messages, dropped);
    assert_true(next.stats.reused_tokens + 8 > shifted.stats.prompt_tokens);
    // Another conversation is not the one that was cut.
    desc = ask(kept, 4);
    test_run(session, &desc, &next, NULL, NULL);
    assert_int_equal(next.stats.dropped_messages, 0);
    sx_session_destroy(session);
    sx_session_destroy(other);
}

static void test_last_turn_stays(void **state)
{
    (void)state;
    static char text[4000];
    memset(text, 'x', sizeof text - 1);
    sx_session *session = session_of(160);
    sx_message turns[4];
    const uint32_t count = make_turns(turns, 1);
    turns[count - 1].content = text;
    const sx_generate_desc desc = ask(turns, count);
    sx_error error = {0};
    assert_int_equal(sx_session_begin(session, &desc, &error), SX_ERROR_CONTEXT);
    assert_non_null(strstr(error.message, "context"));
    sx_session_destroy(session);
}

// However a prompt is cut into chunks, the bits of what follows are the same.
static void test_chunks(void **state)
{
    (void)state;
    static test_reply whole, cut;
    sx_message turns[12];
    sx_generate_desc desc = ask(turns, make_turns(turns, 4));
    desc.sampling = (sx_sampling){.temperature = 1, .seed = 3};
    sx_session *session = session_of(600);
    test_run(session, &desc, &whole, NULL, NULL);
    assert_true(whole.stats.prompt_tokens > 100);
    sx_session_destroy(session);
    static const uint32_t rows[] = {1, 8, 16};
    for (int i = 0; i < 3; i++) {
        engine->prefill_rows = rows[i];
        session = session_of(600);
        test_run(session, &desc, &cut, NULL, NULL);
        assert_int_equal(cut.stats.reused_tokens, 0);
        assert_same(&whole, &cut);
        sx_session_destroy(session);
    }
    engine->prefill_rows = SX_MAX_ROWS;
}

// Chunks read by the tiled kernels, and by those of decoding: the same bits, also where a reply is read again.
static void test_long_chunks(void **state)
{
    (void)state;
    static test_reply whole, cut, again;
    sx_engine *other = test_open_as_gpu();
    assert_true(other->info.bitwise_lossless);
    sx_message turns[14];
    uint32_t count = make_turns(turns, 5);
    sx_generate_desc desc = ask(turns, count);
    desc.sampling = (sx_sampling){.temperature = 1, .seed = 3};
    other->prefill_rows = SX_MAX_ROWS;
    sx_session *session = test_open_session(other);
    test_run(session, &desc, &whole, NULL, NULL);
    assert_true(whole.stats.prompt_tokens > 128);
    sx_session_destroy(session);
    other->prefill_rows = SX_MAX_PREFILL_ROWS;
    session = test_open_session(other);
    test_run(session, &desc, &cut, NULL, NULL);
    assert_same(&whole, &cut);
    // The next turn over the keys and values of the reply as it was written, and over all of it read as a prompt.
    turns[count++] = (sx_message){.role = SX_ROLE_ASSISTANT, .content = whole.answer};
    turns[count++] = (sx_message){.role = SX_ROLE_USER, .content = "Start with 1, add 3."};
    desc.message_count = count;
    test_run(session, &desc, &cut, NULL, NULL);
    assert_true(cut.stats.reused_tokens > 128);
    sx_session_destroy(session);
    other->prefill_rows = 64;
    session = test_open_session(other);
    test_run(session, &desc, &again, NULL, NULL);
    assert_int_equal(again.stats.reused_tokens, 0);
    assert_same(&cut, &again);
    sx_session_destroy(session);
    sx_engine_destroy(other);
}

// What the engine says it needs is what it then takes, whatever the context and the type of keys and values.
static void test_memory(void **state)
{
    (void)state;
    static const sx_engine_desc descs[] = {
        {0}, {.context = 300}, {.context = 5000, .kv_type = SX_KV_Q8_0}, {.context = 5000, .no_draft = true}};
    for (int i = 0; i < 4; i++) {
        sx_engine *other = test_open_bundled(&descs[i]);
        sx_engine_info info;
        sx_engine_get_info(other, &info);
        sx_gpu_counters before, after;
        sx_gpu_get_counters(other->gpu, &before);
        sx_session *session = test_open_session(other);
        sx_gpu_get_counters(other->gpu, &after);
        assert_in_range(before.memory_used, info.weight_bytes, info.weight_bytes + info.weight_bytes / 50);
        const uint64_t said = info.kv_bytes + info.scratch_bytes, taken = after.memory_used - before.memory_used;
        assert_in_range(taken, said - said / 100, said + said / 100);
        sx_session_destroy(session);
        sx_engine_destroy(other);
    }
}

static sx_engine_info info_of(const sx_engine_desc *desc)
{
    sx_engine_info info;
    sx_engine *other = test_open_bundled(desc);
    sx_engine_get_info(other, &info);
    sx_engine_destroy(other);
    return info;
}

// What does not fit is refused with what would, to the byte.
static void test_too_large(void **state)
{
    (void)state;
    sx_engine *other = test_open_bundled(&(sx_engine_desc){.context = 1024});
    sx_engine_info info;
    sx_engine_get_info(other, &info);
    const uint64_t all = info.weight_bytes + info.kv_bytes + info.scratch_bytes;
    sx_error error = {0};
    assert_int_equal(sx_plan_check_memory(other, 0, &error), SX_OK); // unknown
    assert_int_equal(sx_plan_check_memory(other, all, &error), SX_OK);
    assert_int_equal(sx_plan_check_memory(other, all - 1, &error), SX_ERROR_GPU_MEMORY);
    assert_non_null(strstr(error.message, "keys and values of 1024 tokens"));
    assert_non_null(strstr(error.message, "a context of 768 tokens fits"));
    assert_non_null(strstr(error.message, "q8_0"));
    assert_int_equal(sx_plan_check_memory(other, info.weight_bytes + 1000, &error), SX_ERROR_GPU_MEMORY);
    assert_non_null(strstr(error.message, "smaller model"));
    sx_engine_destroy(other);
}

// Keys and values in bytes: about half the memory, and still the same text whatever is drafted, reused or saved.
static void test_q8(void **state)
{
    (void)state;
    static test_reply plain, tree, again, loaded;
    const sx_engine_info half = info_of(NULL);
    sx_engine *other = test_open_bundled(&(sx_engine_desc){.kv_type = SX_KV_Q8_0});
    sx_engine_info info;
    sx_engine_get_info(other, &info);
    assert_in_range(info.kv_bytes, half.kv_bytes / 2, half.kv_bytes * 6 / 10);
    assert_true(info.bitwise_lossless);
    sx_message turns[4];
    sx_generate_desc desc = ask(turns, make_turns(turns, 1));
    desc.maximum_tokens = 60;
    desc.drafting.kind = SX_DRAFT_NONE;
    sx_session *first = test_open_session(other), *second = test_open_session(other);
    test_run(first, &desc, &plain, NULL, NULL);
    desc.drafting.kind = SX_DRAFT_TREE;
    test_run(second, &desc, &tree, NULL, NULL);
    assert_same(&plain, &tree);
    assert_true(tree.stats.accepted > 5);
    test_run(second, &desc, &again, NULL, NULL);
    assert_true(again.stats.reused_tokens > 10);
    assert_same(&plain, &again);
    sx_error error = {0};
    assert_int_equal(sx_session_save(second, "context.session", &error), SX_OK);
    assert_int_equal(sx_session_load(first, "context.session", &error), SX_OK);
    test_run(first, &desc, &loaded, NULL, NULL);
    assert_int_equal(loaded.stats.reused_tokens, again.stats.reused_tokens);
    assert_same(&plain, &loaded);
    sx_session *f16 = test_open_session(engine);
    assert_int_equal(sx_session_load(f16, "context.session", &error), SX_ERROR_MISMATCH);
    assert_non_null(strstr(error.message, "q8_0"));
    remove("context.session");
    // Close to what f16 gives: logits differ by the rounding of keys and values alone.
    uint32_t tokens[40], wrong = 0;
    for (uint32_t i = 0; i < 40; i++)
        tokens[i] = (i * 31 + 7) % 300;
    float *a = NULL, *b = NULL;
    assert_int_equal(sx_session_logits(f16, tokens, 40, &a, NULL), SX_OK);
    assert_int_equal(sx_session_logits(first, tokens, 40, &b, NULL), SX_OK);
    double difference = 0, size = 0;
    for (size_t i = 0; i < 40 * (size_t)info.vocabulary; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)a[i] * a[i];
        wrong += a[i] != b[i];
    }
    assert_true(wrong > 0); // it is another cache, after all
    assert_true(difference < 1e-3 * size);
    sx_free(a);
    sx_free(b);
    sx_session_destroy(f16);
    sx_session_destroy(first);
    sx_session_destroy(second);
    sx_engine_destroy(other);
}

// The estimate from the headers is what a load takes; what fits is found around it.
static void test_estimate(void **state)
{
    (void)state;
    sx_engine_info info;
    sx_memory_estimate estimate, half, less;
    sx_engine_get_info(engine, &info);
    assert_int_equal(sx_engine_estimate(engine, &(sx_engine_desc){0}, &estimate, NULL), SX_OK);
    assert_int_equal(estimate.weight_bytes, info.weight_bytes);
    assert_int_equal(estimate.session_bytes, info.kv_bytes + info.scratch_bytes);
    assert_int_equal(estimate.context, info.context);
    assert_true(estimate.fitting_context >= info.context);
    const sx_engine_desc narrow = {.kv_type = SX_KV_Q8_0}, plain = {.no_draft = true, .context = 256};
    assert_int_equal(sx_engine_estimate(engine, &narrow, &half, NULL), SX_OK);
    assert_true(half.session_bytes < estimate.session_bytes);
    assert_int_equal(sx_engine_estimate(engine, &plain, &less, NULL), SX_OK);
    assert_true(less.weight_bytes < estimate.weight_bytes && less.session_bytes < estimate.session_bytes);
    assert_int_equal(less.context, 256);
    const uint64_t whole = info.weight_bytes + info.kv_bytes + info.scratch_bytes;
    assert_int_equal(sx_plan_fitting_context(engine, whole), info.context);
    const uint32_t fitting = sx_plan_fitting_context(engine, whole - 1);
    assert_true(fitting > 0 && fitting < info.context);
    assert_int_equal(sx_plan_fitting_context(engine, info.weight_bytes), 0);
    sx_error error;
    assert_int_not_equal(sx_engine_estimate(engine, &(sx_engine_desc){.target_path = "/none.gguf"}, &less, &error),
                         SX_OK);
    assert_non_null(strstr(error.message, "/none.gguf"));
}

int main(void)
{
    engine = test_open_bundled(NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_estimate), cmocka_unit_test(test_shifted),     cmocka_unit_test(test_last_turn_stays),
        cmocka_unit_test(test_chunks),   cmocka_unit_test(test_memory),      cmocka_unit_test(test_too_large),
        cmocka_unit_test(test_q8),       cmocka_unit_test(test_long_chunks),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_engine_destroy(engine);
    return failed;
}
