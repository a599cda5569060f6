// The engine's thread and what the application makes of its reports, on an engine that says what the test wants: a
// reply, one that is steered, a lost device, a model that cannot be opened.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine_link.h"

#include <SDL.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// ---- The engine ----------------------------------------------------------------------------------------------------

struct sx_engine {
    int number; // how many were opened before
    int polls;
};

struct sx_session {
    sx_engine *engine;
    unsigned step; // of the reply
    bool running, kept, failed;
};

static struct {
    sx_engine engines[8];
    sx_session session;
    int opened, destroyed, moved, losses; // losses: how often the device is still to be lost
    bool refuse, refuse_signals;
    char asked[256]; // of the last opening: model, draft, context, KV type, template, device, signal head
} fake;

static const chat_model_settings usual; // what a beginner has

sx_status sx_engine_open(const sx_engine_desc *desc, sx_engine **out, sx_error *error)
{
    if (fake.refuse_signals && desc->signals_path) {
        snprintf(error->message, sizeof error->message, "%s: of another model", desc->signals_path);
        return SX_ERROR_MISMATCH;
    }
    if (fake.refuse) {
        *error = (sx_error){.status = SX_ERROR_FILE};
        snprintf(error->message, sizeof error->message, "%s: cannot be opened", desc->target_path);
        return SX_ERROR_FILE;
    }
    snprintf(fake.asked, sizeof fake.asked, "%s %s %u %d %s %s", desc->target_path ? desc->target_path : "bundled",
             desc->draft_path ? desc->draft_path : "-", desc->context, desc->kv_type,
             desc->template_name ? desc->template_name : "-", desc->device ? desc->device : "-");
    size_t used = strlen(fake.asked);
    if (desc->signals_path) snprintf(fake.asked + used, sizeof fake.asked - used, " %s", desc->signals_path);
    fake.engines[fake.opened] = (sx_engine){.number = fake.opened};
    *out = &fake.engines[fake.opened++];
    return SX_OK;
}

sx_status sx_engine_poll(sx_engine *engine, sx_load_progress *progress, sx_error *error)
{
    (void)error;
    *progress = (sx_load_progress){.fraction = engine->polls / 3.0};
    return engine->polls++ < 3 ? SX_PENDING : SX_OK;
}

sx_status sx_engine_create(const sx_engine_desc *desc, bool (*on_progress)(void *user, const sx_load_progress *),
                           void *user, sx_engine **out, sx_error *error)
{
    if (!on_progress(user, &(sx_load_progress){.fraction = 0.5})) return SX_ERROR_CANCELLED;
    return sx_engine_open(desc, out, error);
}

void sx_engine_destroy(sx_engine *engine)
{
    if (engine) fake.destroyed++;
}

void sx_engine_get_info(const sx_engine *engine, sx_engine_info *info)
{
    *info = (sx_engine_info){.thresholds = {.confidence = 0.7f, .progress = 0.3f, .remain = 90}};
    snprintf(info->device, sizeof info->device, "device %d", engine->number);
}

sx_status sx_engine_estimate(const sx_engine *engine, const sx_engine_desc *desc, sx_memory_estimate *out,
                             sx_error *error)
{
    assert_non_null(engine);
    if (desc->draft_path || strcmp(desc->target_path, "/m/broken.gguf") == 0) {
        *error = (sx_error){.status = SX_ERROR_FORMAT, .message = "broken"};
        return SX_ERROR_FORMAT;
    }
    *out = (sx_memory_estimate){.weight_bytes = 5, .context = desc->context};
    return SX_OK;
}

sx_status sx_session_create(sx_engine *engine, const sx_session_desc *desc, sx_session **out, sx_error *error)
{
    (void)desc, (void)error;
    fake.session = (sx_session){.engine = engine};
    *out = &fake.session;
    return SX_OK;
}

void sx_session_destroy(sx_session *session)
{
    (void)session;
}

sx_status sx_session_begin(sx_session *session, const sx_generate_desc *desc, sx_error *error)
{
    (void)error;
    assert_string_equal(desc->messages[0].content, "Why?");
    session->running = true;
    session->step = 0;
    return SX_OK;
}

static sx_event text_event(sx_channel channel, const char *text, uint32_t token)
{
    return (sx_event){.kind = SX_EVENT_TEXT,
                      .channel = channel,
                      .text = text,
                      .length = strlen(text),
                      .first_token = token,
                      .token_count = 1};
}

sx_status sx_session_poll(sx_session *session, sx_event *event, sx_error *error)
{
    if (!session->running) return SX_PENDING;
    if (session->step == 1 && fake.losses > 0) {
        fake.losses--;
        *error = (sx_error){.status = SX_ERROR_DEVICE_LOST, .message = "the device was lost"};
        return SX_ERROR_DEVICE_LOST;
    }
    switch (session->step++) {
    case 0:
        *event = text_event(SX_CHANNEL_THINKING, "Hm", 0);
        return SX_OK;
    case 1:
        *event = (sx_event){.kind = SX_EVENT_EXIT, .exit_reason = SX_REASON_SIGNALS, .token_index = 0};
        return SX_OK;
    case 2:
        *event = text_event(SX_CHANNEL_ANSWER, session->kept ? "Better." : "So.", 2);
        return SX_OK;
    default:
        *event = (sx_event){.kind = SX_EVENT_DONE, .done_reason = SX_DONE_END_OF_TURN};
        session->running = false;
        return SX_OK;
    }
}

void sx_session_wait(sx_session *session, uint32_t milliseconds)
{
    (void)session, (void)milliseconds;
}

bool sx_session_running(const sx_session *session)
{
    return session->running;
}

void sx_session_answer_now(sx_session *session)
{
    (void)session;
}

void sx_session_stop(sx_session *session)
{
    (void)session;
}

sx_status sx_session_keep_thinking(sx_session *session, sx_error *error)
{
    (void)error;
    session->kept = session->running = true;
    session->step = 1;
    return SX_OK;
}

sx_status sx_session_move(sx_session *session, sx_engine *engine, sx_error *error)
{
    (void)error;
    session->engine = engine;
    fake.moved++;
    return SX_OK;
}

const char *sx_exit_reason_name(sx_exit_reason reason)
{
    (void)reason;
    return "signals";
}

void sx_exit_sentence(const sx_event *event, char *text, size_t size)
{
    (void)event;
    snprintf(text, size, "left early");
}

// ---- The application's side ----------------------------------------------------------------------------------------

typedef struct fixture {
    engine_link link;
    chat_state state;
    SDL_sem *woken;
} fixture;

static void wake(void *user)
{
    SDL_SemPost(user);
}

static void set_up(fixture *f)
{
    memset(&fake, 0, sizeof fake);
    *f = (fixture){.woken = SDL_CreateSemaphore(0)};
    chat_state_init(&f->state, 1);
    assert_true(link_start(&f->link, wake, f->woken));
}

static void tear_down(fixture *f)
{
    link_free(&f->link);
    chat_state_free(&f->state);
    SDL_DestroySemaphore(f->woken);
    assert_int_equal(fake.opened, fake.destroyed);
}

static void until_idle(fixture *f)
{
    while (link_busy(&f->link)) {
        assert_int_equal(SDL_SemWaitTimeout(f->woken, 20000), 0);
        link_update(&f->link, &f->state, 1);
    }
}

static const chat_message *ask(fixture *f)
{
    uint32_t question = chat_say(&f->state, chat_path_last(f->state.current), "Why?", 1);
    uint32_t reply = chat_begin_reply(&f->state, question, 0);
    link_begin(&f->link, &f->state);
    until_idle(f);
    return &f->state.current->messages[reply];
}

static void replies_are_steered(void **unused)
{
    (void)unused;
    fixture f;
    set_up(&f);
    link_open(&f.link, "", NULL, &usual);
    until_idle(&f);
    assert_int_equal(f.link.phase, LINK_READY);
    assert_true(f.state.calibrated.remain == 90);
    const chat_message *reply = ask(&f);
    assert_string_equal(reply->content.data, "So.");
    assert_true(link_can_keep_thinking(&f.link, &f.state));
    link_keep_thinking(&f.link, &f.state);
    assert_false(link_can_keep_thinking(&f.link, &f.state)); // it was asked for
    until_idle(&f);
    assert_string_equal(reply->thinking.data, "Hm");
    assert_string_equal(reply->content.data, "Better.");
    tear_down(&f);
}

static void lost_devices_are_survived(void **unused)
{
    (void)unused;
    fixture f;
    set_up(&f);
    link_open(&f.link, "", NULL, &usual);
    until_idle(&f);
    fake.losses = 1;
    const chat_message *reply = ask(&f);
    assert_int_equal(fake.moved, 1);
    assert_int_equal(f.link.phase, LINK_READY);
    assert_string_equal(f.link.info.device, "device 1");
    assert_string_equal(reply->thinking.data, "Hm");
    assert_string_equal(reply->content.data, "So.");
    assert_int_equal(reply->failure.length, 0);
    assert_non_null(strstr(f.state.notice.data, "device 1"));
    fake.losses = 100; // a device that is lost again and again
    const chat_message *second = ask(&f);
    assert_string_equal(second->failure.data, "the device was lost");
    assert_string_equal(second->thinking.data, "Hm"); // what was said stays
    assert_int_equal(f.link.phase, LINK_FAILED);
    assert_int_equal(fake.moved, 4);
    tear_down(&f);
}

static void models_that_are_gone_are_told(void **unused)
{
    (void)unused;
    fixture f;
    set_up(&f);
    fake.refuse = true;
    link_open(&f.link, "/gone/model.gguf", NULL, &usual);
    until_idle(&f);
    assert_int_equal(f.link.phase, LINK_FAILED);
    assert_string_equal(f.link.error.message, "/gone/model.gguf: cannot be opened");
    assert_string_equal(ask(&f)->failure.data, "No model is loaded. Open one with Ctrl+O.");
    fake.refuse = false;
    link_open(&f.link, "", NULL, &usual); // another one works
    link_open(&f.link, "", NULL, &usual); // and reports about the one before do not count
    until_idle(&f);
    assert_int_equal(f.link.phase, LINK_READY);
    fake.losses = 1;
    fake.refuse = true; // removed while it was loaded, then the device is lost
    const chat_message *reply = ask(&f);
    assert_string_equal(reply->thinking.data, "Hm");
    assert_true(reply->failure.length > 0);
    tear_down(&f);
}

static void settings_reach_the_engine(void **unused)
{
    (void)unused;
    fixture f;
    set_up(&f);
    link_open(&f.link, "", NULL, &usual);
    until_idle(&f);
    assert_string_equal(fake.asked, "bundled - 0 0 - -");
    chat_model_settings settings = {
        .context = 16384, .kv_type = SX_KV_Q8_0, .template_name = "qwen3", .device = "Some GPU"};
    link_open(&f.link, "/m/a.gguf", "/d/b.gguf", &usual);
    assert_false(chat_model_settings_equal(&f.link.opened, &settings));
    until_idle(&f);
    link_reopen(&f.link, &settings); // the same files
    assert_true(chat_model_settings_equal(&f.link.opened, &settings));
    until_idle(&f);
    assert_string_equal(fake.asked, "/m/a.gguf /d/b.gguf 16384 1 qwen3 Some GPU");
    fake.losses = 1; // also after a lost device
    ask(&f);
    assert_string_equal(fake.asked, "/m/a.gguf /d/b.gguf 16384 1 qwen3 Some GPU");
    assert_int_equal(fake.moved, 1);
    tear_down(&f);
}

static void touch(const char *folder, const char *name, char *path, size_t size)
{
    snprintf(path, size, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
}

// Draft and signal head beside a model are used; one that does not belong to it is left out, the other stays.
static void what_lies_beside_is_used(void **unused)
{
    (void)unused;
    char folder[] = "/tmp/chat-link-XXXXXX", paths[3][64], wanted[200];
    assert_non_null(mkdtemp(folder));
    touch(folder, "m.gguf", paths[0], sizeof paths[0]);
    touch(folder, "m-draft.gguf", paths[1], sizeof paths[1]);
    touch(folder, "m-signals.gguf", paths[2], sizeof paths[2]);
    for (int refuse = 0; refuse < 2; refuse++) {
        fixture f;
        set_up(&f);
        fake.refuse_signals = refuse;
        link_open(&f.link, paths[0], NULL, &usual);
        until_idle(&f);
        assert_int_equal(f.link.phase, LINK_READY);
        snprintf(wanted, sizeof wanted, "%s %s 0 0 - -%s%s", paths[0], paths[1], refuse ? "" : " ",
                 refuse ? "" : paths[2]);
        assert_string_equal(fake.asked, wanted);
        tear_down(&f);
    }
    for (int i = 0; i < 3; i++)
        unlink(paths[i]);
    assert_int_equal(rmdir(folder), 0);
}

static void until_estimated(fixture *f)
{
    while (!f->link.estimated) {
        assert_int_equal(SDL_SemWaitTimeout(f->woken, 20000), 0);
        link_update(&f->link, &f->state, 1);
    }
}

static void memory_is_estimated(void **unused)
{
    (void)unused;
    fixture f;
    set_up(&f);
    assert_false(link_can_estimate(&f.link)); // on no device
    link_open(&f.link, "", NULL, &usual);
    until_idle(&f);
    assert_true(link_can_estimate(&f.link));
    link_estimate(&f.link, "/m/good.gguf", &(chat_model_settings){.context = 77});
    assert_false(link_can_estimate(&f.link)); // one at a time
    until_estimated(&f);
    assert_string_equal(f.link.estimating, "/m/good.gguf");
    assert_int_equal(f.link.estimate.weight_bytes, 5);
    assert_int_equal(f.link.estimate.context, 77);
    link_estimated(&f.link);
    link_estimate(&f.link, "/m/broken.gguf", &usual);
    until_estimated(&f);
    assert_int_equal(f.link.estimate.weight_bytes, 0);
    link_estimated(&f.link);
    link_estimate(&f.link, "/m/good.gguf", &usual);
    link_open(&f.link, "", NULL, &usual); // on another device, perhaps: asked again
    until_idle(&f);
    assert_false(f.link.estimated);
    assert_true(link_can_estimate(&f.link));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_steered),           cmocka_unit_test(lost_devices_are_survived),
        cmocka_unit_test(models_that_are_gone_are_told), cmocka_unit_test(settings_reach_the_engine),
        cmocka_unit_test(memory_is_estimated),           cmocka_unit_test(what_lies_beside_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
