// Sessions saved and loaded: what follows is, token for token, what would have followed. Files that are damaged or
// belong elsewhere are refused by name of file and field, and change nothing.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../fuzz/session_seed.h"
#include "harness.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static sx_engine *engine;
static test_problem problem;
static sx_message message = {.role = SX_ROLE_USER};
static char path[64];

static sx_generate_desc ask(uint32_t maximum)
{
    return (sx_generate_desc){
        .messages = &message, .message_count = 1, .maximum_tokens = maximum, .policy = {.kind = SX_POLICY_NONE}};
}

static int setup(void **state)
{
    assert_true(test_problem_read("heldout.jsonl", 3, &problem));
    message.content = problem.prompt;
    snprintf(path, sizeof path, "saved-%ld.session", (long)getpid());
    *state = test_open_session(engine);
    return 0;
}

static int teardown(void **state)
{
    sx_session_destroy(*state);
    remove(path);
    return 0;
}

static void must(sx_status status, const sx_error *error)
{
    if (status != SX_OK) fail_msg("%s", error->message);
}

static void save(sx_session *session)
{
    sx_error error = {0};
    must(sx_session_save(session, path, &error), &error);
}

static sx_session *load_into_new(void)
{
    sx_error error = {0};
    sx_session *session = test_open_session(engine);
    must(sx_session_load(session, path, &error), &error);
    return session;
}

static void assert_same(const test_reply *a, const test_reply *b)
{
    assert_int_equal(a->count, b->count);
    assert_memory_equal(a->tokens, b->tokens, a->count * sizeof *a->tokens);
    assert_string_equal(a->thinking, b->thinking);
    assert_string_equal(a->answer, b->answer);
    assert_int_equal(a->done_reason, b->done_reason);
}

typedef struct save_at {
    sx_event_kind kind;
    uint32_t token;
    bool done;
} save_at;

static void save_once(sx_session *session, const sx_event *event, void *user)
{
    save_at *at = user;
    if (at->done || event->kind != at->kind || (at->kind == SX_EVENT_TEXT && event->first_token < at->token)) return;
    at->done = true;
    save(session);
}

// Writes the reply in a session of its own, which is saved at `at` and goes on.
static void save_while_writing(const sx_generate_desc *desc, save_at at, test_reply *saved)
{
    sx_session *fresh = test_open_session(engine);
    test_run(fresh, desc, saved, save_once, &at);
    sx_session_destroy(fresh);
    assert_true(at.done);
}

// The reply whole; with a save in its middle; from the file on.
static void check_middle(sx_session *session, const sx_generate_desc *desc, save_at at)
{
    static test_reply whole, saved, loaded;
    test_run(session, desc, &whole, NULL, NULL);
    save_while_writing(desc, at, &saved);
    assert_same(&whole, &saved);
    sx_session *other = load_into_new();
    assert_true(sx_session_running(other));
    memset(&loaded, 0, sizeof loaded);
    test_continue(other, &loaded, NULL, NULL);
    assert_same(&whole, &loaded);
    assert_int_equal(loaded.stats.thinking_tokens, whole.stats.thinking_tokens);
    sx_session_destroy(other);
}

static void test_middle_of_a_reply(void **state)
{
    static const sx_draft_kind kinds[] = {SX_DRAFT_NONE, SX_DRAFT_CHAIN, SX_DRAFT_TREE};
    for (int i = 0; i < 3; i++) {
        sx_generate_desc desc = ask(40);
        desc.drafting.kind = kinds[i];
        if (i == 1)
            desc.sampling = (sx_sampling){
                .temperature = 0.9f, .top_p = 0.95f, .presence_penalty = 0.5f, .repetition_penalty = 1.1f, .seed = 5};
        check_middle(*state, &desc, (save_at){.kind = SX_EVENT_TEXT, .token = 20});
    }
}

// Smoothed signals, their window and the exit rule go on where they were; stop strings are kept.
static void test_middle_with_signals(void **state)
{
    sx_generate_desc desc = ask(100);
    desc.policy.kind = SX_POLICY_SIGNALS;
    desc.policy.smoothing = SX_SMOOTH_MOMENTUM;
    const char *stops[] = {"never said", "The"};
    desc.stop = stops;
    desc.stop_count = 2;
    check_middle(*state, &desc, (save_at){.kind = SX_EVENT_TEXT, .token = 12});
}

static void test_middle_of_the_prompt(void **state)
{
    static uint32_t tokens[100];
    for (uint32_t i = 0; i < 100; i++)
        tokens[i] = (i * 31 + 7) % 300;
    sx_generate_desc desc = ask(10);
    desc.messages = NULL;
    desc.message_count = 0;
    desc.tokens = tokens;
    desc.token_count = 100;
    check_middle(*state, &desc, (save_at){.kind = SX_EVENT_PREFILL});
}

static void test_next_turn(void **state)
{
    static test_reply first, kept, loaded;
    sx_generate_desc desc = ask(60);
    test_run(*state, &desc, &first, NULL, NULL);
    save(*state);
    const sx_message turns[] = {message,
                                {.role = SX_ROLE_ASSISTANT, .content = first.answer},
                                {.role = SX_ROLE_USER, .content = "Start with 5, add 3."}};
    desc.messages = turns;
    desc.message_count = 3;
    test_run(*state, &desc, &kept, NULL, NULL);
    sx_session *other = load_into_new();
    assert_false(sx_session_running(other));
    test_run(other, &desc, &loaded, NULL, NULL);
    assert_same(&kept, &loaded);
    assert_true(loaded.stats.reused_tokens > 5);
    assert_int_equal(loaded.stats.reused_tokens, kept.stats.reused_tokens);
    sx_session_destroy(other);
}

static void test_keep_thinking(void **state)
{
    static test_reply cut, kept, loaded;
    sx_generate_desc desc = ask(50);
    desc.policy.soft_budget = 20;
    test_run(*state, &desc, &cut, NULL, NULL);
    assert_int_equal(cut.exit_reason, SX_REASON_SOFT_BUDGET);
    save(*state);
    kept = loaded = cut;
    assert_int_equal(sx_session_keep_thinking(*state, NULL), SX_OK);
    test_continue(*state, &kept, NULL, NULL);
    sx_session *other = load_into_new();
    assert_int_equal(sx_session_keep_thinking(other, NULL), SX_OK);
    test_continue(other, &loaded, NULL, NULL);
    assert_same(&kept, &loaded);
    assert_true(kept.count > cut.count);
    sx_session_destroy(other);
}

static void test_empty_session(void **state)
{
    save(*state);
    sx_session *other = load_into_new();
    uint32_t count = 1;
    sx_session_tokens(other, &count);
    assert_int_equal(count, 0);
    sx_session_destroy(other);
}

// ---- Files that are refused ----------------------------------------------------------------------------------------

static uint8_t *bytes;
static size_t size;

static void write_bytes(size_t length)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static void read_bytes(void)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    size = (size_t)ftell(file);
    rewind(file);
    bytes = malloc(size + 16);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, size, file), size);
    fclose(file);
}

static void refused(sx_session *session, sx_status status, const char *field)
{
    sx_error error = {0};
    assert_int_equal(sx_session_load(session, path, &error), status);
    assert_non_null(strstr(error.message, path));
    if (field && !strstr(error.message, field)) fail_msg("%s does not name %s", error.message, field);
}

static void refused_with(sx_session *session, size_t offset, uint32_t value, sx_status status, const char *field)
{
    uint32_t kept;
    memcpy(&kept, bytes + offset, 4);
    memcpy(bytes + offset, &value, 4);
    write_bytes(size);
    refused(session, status, field);
    memcpy(bytes + offset, &kept, 4);
}

#define HEAD(field) offsetof(sx_session_head, field)

static void test_refusals(void **state)
{
    static test_reply reply, again;
    sx_generate_desc desc = ask(40);
    test_run(*state, &desc, &reply, NULL, NULL);
    save_while_writing(&desc, (save_at){.kind = SX_EVENT_TEXT, .token = 10}, &again);
    read_bytes();
    for (size_t length = 0; length < size; length += length < 4000 ? 61 : size / 37) {
        write_bytes(length);
        refused(*state, SX_ERROR_FORMAT, length < sizeof(sx_session_head) + 8 ? "magic" : "file_bytes");
    }
    memset(bytes + size, 0, 16);
    write_bytes(size + 16);
    refused(*state, SX_ERROR_FORMAT, "file_bytes");
    refused_with(*state, 0, 0x46554747, SX_ERROR_FORMAT, "magic");
    refused_with(*state, HEAD(version), 2, SX_ERROR_UNSUPPORTED, "version");
    refused_with(*state, HEAD(head_bytes), 8, SX_ERROR_FORMAT, "head_bytes");
    refused_with(*state, HEAD(model), 12345, SX_ERROR_MISMATCH, "model");
    refused_with(*state, HEAD(kv_type), 1, SX_ERROR_MISMATCH, "kv_type");
    refused_with(*state, HEAD(layers), 0xffffffff, SX_ERROR_FORMAT, "layers");
    refused_with(*state, HEAD(row_bytes), 0xffffffff, SX_ERROR_FORMAT, "row_bytes");
    refused_with(*state, HEAD(draft_layers), 0xffffffff, SX_ERROR_FORMAT, "draft_layers");
    refused_with(*state, HEAD(vocabulary), 7, SX_ERROR_FORMAT, "vocabulary");
    refused_with(*state, HEAD(token_count), 0xffffffff, SX_ERROR_CONTEXT, "token_count");
    refused_with(*state, HEAD(prompt_count), 0xffffffff, SX_ERROR_FORMAT, "prompt_count");
    refused_with(*state, HEAD(length), 0xfffffff0, SX_ERROR_FORMAT, "length");
    refused_with(*state, HEAD(draft_length), 0xfffffff0, SX_ERROR_FORMAT, "draft_length");
    refused_with(*state, HEAD(reply), 3, SX_ERROR_FORMAT, "reply");
    refused_with(*state, HEAD(stop_count), 17, SX_ERROR_FORMAT, "stop_count");
    refused_with(*state, HEAD(stop_bytes), 0xfffffffc, SX_ERROR_FORMAT, "stop_bytes");
    refused_with(*state, HEAD(nodes), 99, SX_ERROR_FORMAT, "nodes");
    refused_with(*state, HEAD(forced_count), 1000, SX_ERROR_FORMAT, "forced_count");
    refused_with(*state, sizeof(sx_session_head), 0x7fffffff, SX_ERROR_FORMAT, "token");
    refused_with(*state, size - 4000, 0x12345678, SX_ERROR_FORMAT, "checksum");
    // The session that refused all of them still has its own keys and values.
    test_run(*state, &desc, &again, NULL, NULL);
    assert_true(again.stats.reused_tokens > 0);
    assert_same(&reply, &again);
    write_bytes(size);
    free(bytes);
    sx_session *small = NULL;
    assert_int_equal(sx_session_create(engine, &(sx_session_desc){.context = 30}, &small, NULL), SX_OK);
    refused(small, SX_ERROR_CONTEXT, "token_count");
    sx_session_destroy(small);
}

// A file that another program wrote from the description of the format.
static void test_described_format(void **state)
{
    (void)state;
    sx_error error = {0};
    sx_file *opened;
    must(sx_file_open(SX_SESSION_SEED, &opened, &error), &error);
    sx_session_file file;
    must(sx_session_file_read(sx_file_source(opened), &session_seed_wanted, &file, &error), &error);
    must(sx_session_file_check(&file, &error), &error);
    assert_true(file.draft_fits);
    assert_int_equal(file.head.token_count, 11);
    assert_int_equal(file.tokens[10], 30);
    assert_string_equal(file.stops, "end");
    assert_int_equal(file.now.length, 10);
    sx_session_file_free(&file);
    sx_file_close(opened);
}

// Nothing is left behind where a file cannot be written, and a running session is not replaced.
static void test_failures(void **state)
{
    sx_error error = {0};
    assert_int_equal(sx_session_save(*state, "/nonexistent/a.session", &error), SX_ERROR_FILE);
    assert_int_equal(sx_session_load(*state, "/nonexistent/a.session", &error), SX_ERROR_FILE);
    save(*state);
    const sx_generate_desc desc = ask(5);
    assert_int_equal(sx_session_begin(*state, &desc, NULL), SX_OK);
    assert_int_equal(sx_session_load(*state, path, &error), SX_ERROR_BUSY);
    sx_session_stop(*state);
    static test_reply reply;
    memset(&reply, 0, sizeof reply);
    test_continue(*state, &reply, NULL, NULL);
}

// Another draft's keys and values are of no use, the target's are.
static void test_without_the_draft(void **state)
{
    static test_reply whole, saved, loaded;
    sx_generate_desc desc = ask(30);
    test_run(*state, &desc, &whole, NULL, NULL);
    save_while_writing(&desc, (save_at){.kind = SX_EVENT_TEXT, .token = 10}, &saved);
    sx_engine *plain = test_open_bundled(&(sx_engine_desc){.no_draft = true});
    sx_session *session = test_open_session(plain);
    sx_error error = {0};
    must(sx_session_load(session, path, &error), &error);
    memset(&loaded, 0, sizeof loaded);
    test_continue(session, &loaded, NULL, NULL);
    assert_same(&whole, &loaded);
    sx_session_destroy(session);
    sx_engine_destroy(plain);
}

int main(void)
{
    engine = test_open_bundled(NULL);
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_middle_of_a_reply),
        TEST(test_middle_with_signals),
        TEST(test_middle_of_the_prompt),
        TEST(test_next_turn),
        TEST(test_keep_thinking),
        TEST(test_empty_session),
        TEST(test_refusals),
        TEST(test_failures),
        TEST(test_without_the_draft),
        TEST(test_described_format),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    sx_engine_destroy(engine);
    return failed;
}
