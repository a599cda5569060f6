// The application's state without a window: branches, the streamed reply, thinking, settings, the editor.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "export.h"
#include "import.h"
#include "input.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void send_text(chat_state *state, sx_channel channel, const char *text, uint32_t token, double now)
{
    sx_event event = {.kind = SX_EVENT_TEXT,
                      .channel = channel,
                      .text = text,
                      .length = strlen(text),
                      .first_token = token,
                      .token_count = 1};
    chat_apply_event(state, &event, now);
}

static void send_signals(chat_state *state, uint32_t token, float confidence, float progress, float remain)
{
    sx_event event = {.kind = SX_EVENT_SIGNALS,
                      .token_index = token,
                      .has_signals = true,
                      .smoothed = {.confidence = confidence, .progress = progress, .remain = remain}};
    chat_apply_event(state, &event, 1);
}

static void send_exit(chat_state *state, sx_exit_reason reason, uint32_t token)
{
    sx_event event = {.kind = SX_EVENT_EXIT,
                      .exit_reason = reason,
                      .token_index = token,
                      .has_signals = true,
                      .smoothed = {.confidence = 0.92f, .progress = 0.71f, .remain = 40}};
    chat_apply_event(state, &event, 2);
}

static void send_done(chat_state *state)
{
    sx_event event = {
        .kind = SX_EVENT_DONE, .done_reason = SX_DONE_END_OF_TURN, .stats = {.tokens = 9, .thinking_tokens = 6}};
    chat_apply_event(state, &event, 3);
}

static void reply_streams_and_folds(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    uint32_t question = chat_say(&state, -1, "What is 2 plus 2?", 5);
    uint32_t reply = chat_begin_reply(&state, question, 0);
    const chat_message *message = &state.current->messages[reply];
    send_text(&state, SX_CHANNEL_THINKING, "2+2", 0, 0.5);
    send_signals(&state, 0, 0.4f, 0.5f, 30);
    send_text(&state, SX_CHANNEL_THINKING, "=4.", 1, 1.5);
    assert_true(chat_is_thinking(message));
    chat_forecast forecast = chat_thinking_forecast(message);
    assert_true(forecast.known);
    assert_int_equal(forecast.tokens, 30);
    assert_true(forecast.seconds > 29 && forecast.seconds < 31); // one token a second
    send_exit(&state, SX_REASON_SIGNALS, 1);
    assert_false(chat_is_thinking(message));
    assert_int_equal(state.saved_tokens, 40);
    send_text(&state, SX_CHANNEL_ANSWER, "4", 3, 2.5);
    send_done(&state);
    assert_null(state.streaming);
    assert_string_equal(message->thinking.data, "2+2=4.");
    assert_string_equal(message->content.data, "4");
    char sentence[256];
    chat_thinking_sentence(message, sentence, sizeof sentence);
    assert_string_equal(sentence, "Thought for 6 tokens · left early: 92 % confident, 71 % done, about 40 tokens left");
    assert_string_equal(state.current->title, "What is 2 plus 2?");
    chat_new_conversation(&state, 11);
    chat_say(&state, -1, "\n \nBelow\nit", 11);
    assert_string_equal(state.current->title, "Below");
    chat_state_free(&state);
}

static void keep_thinking_withdraws_the_answer(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    uint32_t reply = chat_begin_reply(&state, chat_say(&state, -1, "?", 0), 0);
    send_text(&state, SX_CHANNEL_THINKING, "So", 0, 1);
    send_signals(&state, 0, 0.4f, 0.5f, 30);
    send_exit(&state, SX_REASON_SIGNALS, 0);
    send_text(&state, SX_CHANNEL_THINKING, "That is enough.", 1, 2); // the forced sentence
    send_text(&state, SX_CHANNEL_ANSWER, "wrong", 5, 2);
    send_done(&state);
    assert_true(chat_can_keep_thinking(&state));
    assert_true(chat_keep_thinking(&state, 4));
    const chat_message *message = &state.current->messages[reply];
    assert_int_equal(message->content.length, 0);
    assert_string_equal(message->thinking.data, "So");
    assert_int_equal(state.saved_tokens, 0);
    assert_true(chat_is_thinking(message));
    assert_ptr_equal(state.streaming, state.current);
    assert_false(chat_keep_thinking(&state, 5)); // it is thinking already
    chat_state_free(&state);
}

static void branches_keep_everything(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    uint32_t first = chat_say(&state, -1, "one", 0), path[8], position, count;
    uint32_t answer = chat_begin_reply(&state, first, 0);
    uint64_t seed = state.current->messages[answer].seed;
    send_done(&state);
    assert_int_equal(chat_last_branch(state.current), -1);
    uint32_t again = chat_begin_reply(&state, (uint32_t)chat_regenerate_parent(state.current), 0);
    send_done(&state);
    assert_int_not_equal(state.current->messages[again].seed, seed);
    chat_siblings(state.current, again, &position, &count);
    assert_int_equal(position, 1);
    assert_int_equal(count, 2);
    assert_int_equal(chat_path(state.current, path, 8), 2);
    assert_int_equal(path[1], again);
    assert_int_equal(chat_last_branch(state.current), again);
    chat_say(&state, (int32_t)again, "and now", 0);
    assert_int_equal(chat_last_branch(state.current), again);
    assert_true(chat_select_sibling(state.current, again, -1));
    chat_path(state.current, path, 8);
    assert_int_equal(path[1], answer);
    assert_false(chat_select_sibling(state.current, answer, -1));
    uint32_t edited = chat_say(&state, -1, "two", 0); // an edited first question
    assert_int_equal(chat_path(state.current, path, 8), 1);
    assert_int_equal(path[0], edited);
    assert_int_equal(chat_last_branch(state.current), edited);
    assert_true(chat_select_sibling(state.current, edited, -1));
    sx_message prompt[8];
    assert_int_equal(chat_prompt(state.current, answer, prompt, 8), 2);
    assert_string_equal(prompt[0].content, "one");
    chat_state_free(&state);
}

static void conversations_come_and_go(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    chat_conversation *empty = state.current;
    assert_ptr_equal(chat_new_conversation(&state, 1), empty); // an empty one is not doubled
    chat_begin_reply(&state, chat_say(&state, -1, "busy", 1), 0);
    assert_false(chat_delete_conversation(&state, empty, 1));
    chat_fail_reply(&state, "lost");
    assert_string_equal(empty->messages[1].failure.data, "lost");
    chat_conversation *second = chat_new_conversation(&state, 2);
    assert_ptr_not_equal(second, empty);
    assert_true(chat_delete_conversation(&state, second, 3));
    assert_ptr_equal(state.current, empty);
    assert_true(chat_delete_conversation(&state, empty, 3));
    assert_non_null(state.current);
    assert_int_equal(state.count, 1);
    chat_state_free(&state);
}

static void slider_moves_all_thresholds(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    chat_settings *settings = &state.settings;
    state.calibrated =
        (sx_exit_thresholds){.confidence = 0.7f, .progress = 0.4f, .remain = 90, .margin = -2, .entropy = 1};
    chat_steering steering = state.current->steering;
    sx_policy policy = chat_policy(&state, &steering);
    assert_true(policy.confidence <= 0 && policy.remain <= 0); // the middle: as calibrated
    sx_exit_thresholds middle = chat_thresholds_of(&state, &steering);
    assert_true(middle.confidence == 0.7f && middle.remain == 90);
    steering.effort = 0.2f;
    sx_policy little = chat_policy(&state, &steering);
    steering.effort = 0.8f;
    sx_policy much = chat_policy(&state, &steering);
    assert_true(little.confidence < 0.7f && much.confidence > 0.7f);
    assert_true(little.progress < much.progress && little.remain > much.remain);
    assert_true(little.margin < much.margin && little.entropy > much.entropy);
    steering.effort = 1;
    assert_int_equal(chat_policy(&state, &steering).kind, SX_POLICY_NONE);
    settings->steering.effort = 7;
    settings->zoom = -1;
    chat_settings_clamp(settings);
    assert_true(settings->steering.effort <= 1 && settings->zoom >= 0.6f);
    chat_steer(&state, (chat_steering){.effort = -3});
    assert_true(state.current->steering.effort >= 0);
    chat_state_free(&state);
}

static void steering_belongs_to_the_conversation(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    chat_conversation *first = state.current;
    chat_steer(&state, (chat_steering){.effort = 0.2f, .policy = SX_POLICY_MARGIN});
    chat_begin_reply(&state, chat_say(&state, -1, "one", 1), 0);
    assert_true(first->messages[1].thresholds.confidence < 0.8f);
    send_done(&state);
    chat_conversation *second = chat_new_conversation(&state, 2);
    assert_true(second->steering.effort == 0.2f); // as the last one
    assert_int_equal(second->steering.policy, SX_POLICY_MARGIN);
    chat_steer(&state, (chat_steering){.effort = 1});
    chat_begin_reply(&state, chat_say(&state, -1, "two", 3), 0);
    assert_true(second->messages[1].thresholds.confidence <= 0);
    send_done(&state);
    assert_true(first->steering.effort == 0.2f);
    chat_select_conversation(&state, first);
    chat_conversation *third = chat_new_conversation(&state, 4); // as the one shown before it, not the newest
    assert_true(third->steering.effort == 0.2f);
    chat_select_conversation(&state, second);
    assert_ptr_equal(chat_new_conversation(&state, 5), third); // the empty one, too
    assert_true(third->steering.effort == 1);
    chat_delete_conversation(&state, third, 6);
    assert_true(state.settings.steering.effort == state.current->steering.effort);
    chat_state_free(&state);
}

static void slider_follows_a_profile(void **unused)
{
    (void)unused;
    chat_state state;
    char text[96];
    chat_state_init(&state, 1);
    chat_effort_text(&state, 0.1f, text, sizeof text);
    assert_string_equal(text, "Thinks very little");
    state.profile = (sx_profile){.has_chosen = true, .level_count = 5};
    state.profile.chosen =
        (sx_exit_rule){.signals = SX_SIGNAL_HAS_CONFIDENCE, .confidence = 0.5f, .accuracy = 0.96, .tokens = 55};
    for (uint32_t i = 0; i < 5; i++)
        state.profile.levels[i] = (sx_exit_rule){.signals = SX_SIGNAL_HAS_CONFIDENCE | SX_SIGNAL_HAS_REMAIN,
                                                 .confidence = 0.3f + 0.1f * (float)i,
                                                 .remain = 100,
                                                 .smoothing = SX_SMOOTH_RAW,
                                                 .accuracy = 0.9 + 0.02 * i,
                                                 .tokens = 20 + 10 * i};
    static const float efforts[] = {0, 0.19f, 0.21f, 0.45f, 0.65f, 0.99f};
    static const uint32_t levels[] = {0, 0, 1, 2, 3, 4};
    for (unsigned i = 0; i < 6; i++) {
        chat_steering steering = {.effort = efforts[i]};
        sx_policy policy = chat_policy(&state, &steering);
        assert_ptr_equal(chat_rule(&state, efforts[i]), &state.profile.levels[levels[i]]);
        assert_int_equal(policy.kind, SX_POLICY_SIGNALS);
        assert_int_equal(policy.signals, SX_SIGNAL_HAS_CONFIDENCE | SX_SIGNAL_HAS_REMAIN);
        assert_int_equal(policy.smoothing, SX_SMOOTH_RAW);
        assert_true(policy.confidence == state.profile.levels[levels[i]].confidence && policy.remain == 100);
    }
    chat_effort_text(&state, 0.21f, text, sizeof text);
    assert_string_equal(text, "Level 2 of 5: about 30 tokens, 92 % right");
    chat_effort_text(&state, 0.5f, text, sizeof text);
    assert_string_equal(text, "As chosen: about 55 tokens, 96 % right");
    assert_true(chat_policy(&state, &(chat_steering){.effort = 0.5f}).confidence == 0.5f);
    assert_int_equal(chat_policy(&state, &(chat_steering){.effort = 1}).kind, SX_POLICY_NONE);
    // Another way of leaving was chosen: the profile's thresholds say nothing about it.
    sx_policy margin = chat_policy(&state, &(chat_steering){.effort = 0.2f, .policy = SX_POLICY_MARGIN});
    assert_int_equal(margin.kind, SX_POLICY_MARGIN);
    assert_true(margin.margin < 0);
    chat_steer(&state, (chat_steering){.effort = 0.21f}); // what the plot draws as limits
    uint32_t reply = chat_begin_reply(&state, chat_say(&state, -1, "?", 1), 0);
    assert_true(state.current->messages[reply].thresholds.remain == 100);
    assert_true(state.current->messages[reply].thresholds.progress == 0);
    state.streaming = NULL;
    chat_state_free(&state);
}

static void unlike_questions_are_told(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    state.profile =
        (sx_profile){.level_count = 1, .levels = {{.signals = SX_SIGNAL_HAS_CONFIDENCE, .confidence = 0.9f}}};
    state.profile.range = (sx_signal_range){.steps = 1, .signals = SX_SIGNAL_HAS_CONFIDENCE, .limit = 1};
    state.profile.range.scale[0][0][0] = 1; // the logit of the confidence, around 0
    const struct {
        sx_policy_kind policy;
        float confidence;
        bool told;
    } cases[] = {{SX_POLICY_AUTO, 0.6f, false}, {SX_POLICY_AUTO, 0.99f, true}, {SX_POLICY_MARGIN, 0.99f, false}};
    for (unsigned i = 0; i < 3; i++) {
        chat_steer(&state, (chat_steering){.effort = 0.2f, .policy = cases[i].policy});
        chat_begin_reply(&state, chat_say(&state, -1, "?", 1), 0);
        const sx_event step = {
            .kind = SX_EVENT_SIGNALS, .has_signals = true, .boundary = true, .raw = {cases[i].confidence, 0.5f, 10}};
        chat_apply_event(&state, &step, 1);
        assert_int_equal(state.notice.length > 0, cases[i].told);
        fe_text_clear(&state.notice);
        chat_apply_event(&state, &step, 2); // once is enough
        assert_int_equal(state.notice.length, 0);
        state.streaming = NULL;
    }
    chat_state_free(&state);
}

static void questions_wait_their_turn(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    chat_conversation *first = state.current;
    int32_t edited = 5;
    assert_false(chat_ask_next(&state, 1, 0));
    assert_null(chat_take_back(&state, &edited));
    chat_wait(&state, -1, "Hello"); // while the model is loading
    chat_wait(&state, -1, "What is a cat?");
    chat_conversation *second = chat_new_conversation(&state, 1);
    assert_ptr_not_equal(second, first); // it is not empty: something waits there
    chat_wait(&state, -1, "elsewhere");
    chat_wait(&state, -1, "a mistake");
    char *text = chat_take_back(&state, &edited);
    assert_string_equal(text, "a mistake");
    assert_int_equal(edited, -1);
    free(text);
    assert_int_equal(chat_waiting(&state, first), 2);
    assert_true(chat_ask_next(&state, 2, 0)); // loaded
    assert_ptr_equal(state.streaming, first);
    assert_ptr_equal(state.current, second); // what is shown stays
    assert_string_equal(first->messages[0].content.data, "Hello");
    assert_false(chat_ask_next(&state, 2, 0)); // one reply at a time
    send_text(&state, SX_CHANNEL_ANSWER, "Hi", 0, 1);
    send_done(&state);
    assert_true(chat_ask_next(&state, 3, 2));
    assert_string_equal(first->messages[2].content.data, "What is a cat?");
    assert_int_equal(first->messages[2].parent, 1); // behind the reply to the one before
    send_done(&state);
    chat_select_conversation(&state, first);
    chat_wait(&state, 2, "What is a dog?"); // in place of the cat
    chat_delete_conversation(&state, second, 4);
    assert_int_equal(state.waiting_count, 1); // what waited there went with it
    chat_say_waiting(&state, 5);              // the end: kept without a reply
    assert_int_equal(state.waiting_count, 0);
    int32_t last = chat_path_last(first);
    assert_string_equal(first->messages[last].content.data, "What is a dog?");
    assert_int_equal(first->messages[last].parent, 1);
    chat_wait(&state, -1, "freed with the state");
    chat_state_free(&state);
}

static void editor_undoes_and_recalls(void **unused)
{
    (void)unused;
    chat_input input = {0};
    input_insert(&input, "ä", 2);
    input_insert(&input, "b", 1);
    input_insert(&input, " ", 1);
    input_insert(&input, "c", 1);
    input_delete(&input, -1, INPUT_CHARACTER);
    assert_string_equal(input.text.data, "äb ");
    assert_true(input_undo(&input));
    assert_string_equal(input.text.data, "äb c");
    while (input_undo(&input))
        continue;
    assert_string_equal(input.text.data, "");
    while (input_redo(&input))
        continue;
    assert_string_equal(input.text.data, "äb ");
    input_move(&input, -1, INPUT_ALL, false);
    input_move(&input, 1, INPUT_CHARACTER, true);
    input_insert(&input, "x\ry", 3);
    assert_string_equal(input.text.data, "xyb ");
    input_insert(&input, "\U0001F1E9\U0001F1EA\U0001F44D\U0001F3FD",
                 16); // behind "xy": a flag, and a thumb with its skin
    input_move(&input, -1, INPUT_CHARACTER, false);
    input_delete(&input, -1, INPUT_CHARACTER);
    assert_string_equal(input.text.data, "xy\U0001F44D\U0001F3FDb ");
    input_delete(&input, 1, INPUT_CHARACTER);
    assert_string_equal(input.text.data, "xyb ");
    input_remember(&input, "older");
    input_remember(&input, "newer");
    assert_true(input_recall(&input, -1));
    assert_true(input_recall(&input, -1));
    assert_string_equal(input.text.data, "older");
    assert_false(input_recall(&input, -1));
    input_recall(&input, 1);
    input_recall(&input, 1);
    assert_string_equal(input.text.data, "xyb ");
    input_free(&input);
}

static void export_escapes(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    chat_say(&state, -1, "say \"hi\"\n\x01", 0);
    fe_text out = {0}, name = {0};
    export_json(state.current, "m", &out);
    assert_non_null(strstr(out.data, "\"say \\\"hi\\\"\\n\\u0001\""));
    export_name(state.current, "md", &name);
    assert_string_equal(name.data, "say-hi-.md");
    fe_text_free(&out);
    fe_text_free(&name);
    chat_state_free(&state);
}

static void import_reads_what_export_writes(void **unused)
{
    (void)unused;
    chat_state state;
    chat_state_init(&state, 1);
    uint32_t reply = chat_begin_reply(&state, chat_say(&state, -1, "say \"hi\"\n\x01ä", 0), 0);
    send_text(&state, SX_CHANNEL_THINKING, "Hm", 0, 1);
    send_exit(&state, SX_REASON_SIGNALS, 0);
    send_text(&state, SX_CHANNEL_ANSWER, "hi", 1, 2);
    send_done(&state);
    chat_conversation *old = state.current;
    fe_text out = {0}, problem = {0};
    export_json(old, "m", &out);
    assert_true(chat_import_json(&state, "a.json", out.data, out.length, 5, &problem));
    const chat_conversation *read = state.current;
    assert_ptr_not_equal(read, old);
    assert_int_equal(read->count, 2);
    assert_string_equal(read->title, old->title);
    assert_string_equal(read->messages[0].content.data, old->messages[0].content.data);
    assert_string_equal(read->messages[1].thinking.data, "Hm");
    assert_string_equal(read->messages[1].content.data, "hi");
    assert_string_equal(read->messages[1].exit_sentence, old->messages[reply].exit_sentence);
    uint32_t count = state.count;
    for (size_t length = 0; length < out.length - 3; length++) // cut anywhere: refused, nothing added
        assert_false(chat_import_json(&state, "a.json", out.data, length, 6, &problem));
    assert_false(chat_import_json(&state, "a.json", "[1]", 3, 6, &problem));
    assert_false(chat_import_json(&state, "a.json", "{\"messages\": [{\"role\": \"user\"}, 5]}", 35, 6, &problem));
    assert_int_equal(state.count, count);
    assert_ptr_equal(state.current, read);
    fe_text_free(&out);
    fe_text_free(&problem);
    chat_state_free(&state);
}

// Whatever bytes a file holds, nothing of it is lost in silence, and what is exported is JSON again.
static void import_mends_what_is_no_text(void **unused)
{
    (void)unused;
    static const struct {
        const char *written, *read;
        unsigned replaced;
    } cases[] = {
        {"a\xFF"
         "b",
         "a\uFFFDb", 1},
        {"cut \xE2\x82", "cut \uFFFD\uFFFD", 2},
        {"\xC0\xAF \xED\xA0\x80 \xF4\x90\x80\x80", "\uFFFD\uFFFD \uFFFD\uFFFD\uFFFD \uFFFD\uFFFD\uFFFD\uFFFD", 9},
        {"before \\u0000 behind", "before \uFFFD behind", 1},
        {"\\\\u0000 \\\\\\u0000", "\\u0000 \\\uFFFD", 1},
        {"\\uD83D\\uDE00 \\uD83D. \\uDE00", "\U0001F600 \uFFFD. \uFFFD", 2},
        {"\uFFFD \\ufffd \\u00E4\\n", "\uFFFD \uFFFD \u00E4\n", 0},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        chat_state state;
        fe_text in = {0}, out = {0}, notice = {0};
        chat_state_init(&state, 1);
        fe_text_printf(&in,
                       "\xEF\xBB\xBF{\"title\": \"%s\", \"messages\": [{\"role\": \"user\", \"content\": \"ok\"}, "
                       "{\"role\": \"assistant\", \"content\": \"%s\", \"reasoning_content\": \"%s\"}]}",
                       cases[i].written, cases[i].written, cases[i].written);
        assert_true(chat_import_json(&state, "a.json", in.data, in.length, 5, &notice));
        assert_string_equal(state.current->messages[1].content.data, cases[i].read);
        assert_string_equal(state.current->messages[1].thinking.data, cases[i].read);
        assert_string_equal(state.current->title, cases[i].read);
        char said[40];
        snprintf(said, sizeof said, "%u character", 3 * cases[i].replaced);
        if (cases[i].replaced) {
            assert_non_null(strstr(fe_text_string(&notice), said));
            assert_non_null(strstr(notice.data, "of a.json"));
            assert_non_null(strstr(notice.data, "first in message 2"));
        } else {
            assert_int_equal(notice.length, 0);
        }
        export_json(state.current, "m", &out);
        assert_true(chat_import_json(&state, "b.json", out.data, out.length, 6, &notice));
        assert_null(strstr(fe_text_string(&notice), "b.json")); // nothing was left to mend
        assert_string_equal(state.current->messages[1].content.data, cases[i].read);
        fe_text_free(&in);
        fe_text_free(&out);
        fe_text_free(&notice);
        chat_state_free(&state);
    }
}

// What other tools write: a content in parts, images, other roles. What is not kept is told, and a file of which
// nothing is kept is refused with the message that shows why.
static void import_tells_what_it_leaves_out(void **unused)
{
    (void)unused;
    static const char mixed[] = "{\"messages\": [{\"role\": \"system\", \"content\": \"Be brief\"}, {\"role\": "
                                "\"user\", \"content\": [{\"type\": "
                                "\"text\", \"text\": \"Look\"}, {\"type\": \"image_url\", \"image_url\": {\"url\": "
                                "\"data:\"}}, \"at it\", {\"type\": "
                                "\"input_text\", \"text\": \"now\"}, {\"type\": \"input_audio\", \"text\": \"no\"}, "
                                "5]}, {\"role\": \"assistant\", "
                                "\"content\": null, \"tool_calls\": []}, {\"role\": \"tool\", \"content\": \"7\"}, "
                                "{\"role\": \"tool\", \"content\": "
                                "\"8\"}, 5, {\"role\": \"assistant\", \"content\": [{\"type\": \"output_text\", "
                                "\"text\": \"A cat\"}]}, {\"role\": "
                                "\"user\", \"content\": [{\"type\": \"input_image\"}]}]}";
    static const struct {
        const char *written, *said;
    } refused[] = {
        {"[]", "a.json is not a conversation"},
        {"[5]", "message 1 is neither of a user nor of an assistant"},
        {"[{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]",
         "user or an assistant: message 1 has no text"},
        {"[{\"role\": \"assistant\", \"content\": {\"text\": \"x\"}}]", "message 1 has no text"},
    };
    chat_state state;
    chat_state_init(&state, 1);
    fe_text notice = {0};
    assert_true(chat_import_json(&state, "a.json", mixed, sizeof mixed - 1, 5, &notice));
    assert_int_equal(state.current->count, 2);
    assert_string_equal(state.current->messages[0].content.data, "Look\n\nat it\n\nnow");
    assert_string_equal(state.current->messages[1].content.data, "A cat");
    assert_string_equal(state.current->title, "Look"); // it has no other
    assert_string_equal(notice.data, "Left out of a.json: 4 messages of other roles (system, tool, none), 2 messages "
                                     "without text, 2 images, 2 parts that are no text.");
    for (unsigned i = 0; i < sizeof refused / sizeof *refused; i++) {
        fe_text in = {0};
        fe_text_clear(&notice);
        fe_text_printf(&in, "{\"messages\": %s}", refused[i].written);
        assert_false(chat_import_json(&state, "a.json", in.data, in.length, 5, &notice));
        assert_memory_equal(notice.data, "a.json ", 7);
        assert_non_null(strstr(notice.data, refused[i].said));
        fe_text_free(&in);
    }
    fe_text_free(&notice);
    chat_state_free(&state);
}

// What an older version, or a model, left in a conversation, and sentences longer than what is kept of them.
static void export_is_always_json(void **unused)
{
    (void)unused;
    chat_state state;
    fe_text in = {0}, out = {0}, notice = {0};
    chat_state_init(&state, 1);
    chat_say(&state, -1, "\xFF\"\xE2\x82\\\xC3", 1);
    export_json(state.current, "m", &out);
    assert_non_null(strstr(out.data, "\"content\":\"\uFFFD\\\"\uFFFD\uFFFD\\\\\uFFFD\""));
    fe_text_add(&in, "{\"messages\": [{\"role\": \"assistant\", \"content\": \"\", \"reasoning_content\": \"t\", "
                     "\"exit\": {\"sentence\": \"x");
    for (unsigned i = 0; i < 100; i++)
        fe_text_add(&in, "\u00E4");
    fe_text_add(&in, "\"}}]}");
    assert_true(chat_import_json(&state, "a.json", in.data, in.length, 2, &notice));
    fe_text_clear(&out);
    export_json(state.current, "m", &out);
    assert_null(strstr(out.data, "\uFFFD"));
    assert_false(chat_import_json(&state, "b.json", "\xFF\xFE{\0}\0", 6, 3, &notice));
    assert_non_null(strstr(notice.data, "b.json is written in UTF-16"));
    chat_input field = {0};
    input_insert(&field, "a\xFF\xE4", 3); // from a clipboard
    assert_string_equal(field.text.data, "a\uFFFD\uFFFD");
    input_free(&field);
    fe_text_free(&in);
    fe_text_free(&out);
    fe_text_free(&notice);
    chat_state_free(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reply_streams_and_folds),
        cmocka_unit_test(keep_thinking_withdraws_the_answer),
        cmocka_unit_test(branches_keep_everything),
        cmocka_unit_test(conversations_come_and_go),
        cmocka_unit_test(slider_moves_all_thresholds),
        cmocka_unit_test(steering_belongs_to_the_conversation),
        cmocka_unit_test(slider_follows_a_profile),
        cmocka_unit_test(unlike_questions_are_told),
        cmocka_unit_test(questions_wait_their_turn),
        cmocka_unit_test(editor_undoes_and_recalls),
        cmocka_unit_test(export_escapes),
        cmocka_unit_test(import_reads_what_export_writes),
        cmocka_unit_test(import_mends_what_is_no_text),
        cmocka_unit_test(import_tells_what_it_leaves_out),
        cmocka_unit_test(export_is_always_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
