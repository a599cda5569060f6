// Parts of the command line program that are awkward to reach from outside.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answers.h"
#include "common/choices.h"
#include "common/json_writer.h"
#include "evaluation.h"
#include "json_read.h"
#include "modes.h"
#include "options.h"
#include "plot.h"
#include "prompts.h"
#include "spark.h"
#include "terminal.h"
#include "text.h"

static void check_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
        bool matches;
    } cases[] = {
        {"The answer is 42.", "42", true},
        {"42", "42.0", true},
        {"It is 41, no: 42", "42", true},
        {"It is 42, no: 41", "42", false},
        {"42 apples", "4", false},
        {"$1,234.50", "1234.5", true},
        {"1,234 and 5", "1234", false},
        {"-7", "-7", true},
        {"10-7", "7", true},
        {"10 - 7", "-7", false},
        {"10 -7", "-7", true},
        {"\\boxed{12} because 3 divides it", "12", true},
        {"first \\boxed{1}, then \\boxed{2}.", "2", true},
        {"no number here", "5", false},
        {"", "5", false},
        {"It is Paris.", "paris", true},
        {"Parisian", "Paris", false},
        {"new\n  york", "New York", true},
        {"yes", "", false},
        {"0.333333333", "0.33333333", true},
        {"3", "3.", true},
        {"version 3a", "3a", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (cli_answer_matches(cases[i].text, cases[i].expected) != cases[i].matches)
            fail_msg("\"%s\" against \"%s\" should be %d", cases[i].text, cases[i].expected, cases[i].matches);
    }
}

static void check_json_round_trip(void **state)
{
    (void)state;
    static const char odd[] = "quote\" back\\ tab\t nul-free \x01\x7f \xc3\xa4 \xf0\x9f\x99\x82";
    fe_text text = {0};
    json_writer json = {.out = &text};
    json_open(&json, '{');
    json_put_string(&json, "text", odd);
    json_key(&json, "list");
    json_open(&json, '[');
    json_number(&json, -1.5e-7);
    json_number(&json, (double)NAN);
    json_boolean(&json, true);
    json_open(&json, '[');
    json_close(&json, ']');
    json_close(&json, ']');
    json_put_integer(&json, "large", UINT64_MAX);
    json_put_integers(&json, "tokens", (const uint32_t[]){1, UINT32_MAX}, 2);
    json_put_string(&json, "none", NULL);
    json_close(&json, '}');
    char problem[128];
    cli_json_value *value = cli_json_parse(text.data, text.length, problem, sizeof problem);
    assert_non_null(value);
    assert_string_equal(cli_json_member_string(value, "text"), odd);
    const cli_json_value *item = cli_json_member(value, "list")->first;
    assert_true(item->number == -1.5e-7);
    assert_int_equal(item->next->type, CLI_JSON_NULL);
    assert_int_equal(item->next->next->type, CLI_JSON_TRUE);
    assert_null(item->next->next->next->first);
    assert_string_equal(cli_json_member(value, "large")->string, "18446744073709551615");
    assert_string_equal(cli_json_member(value, "tokens")->first->next->string, "4294967295");
    assert_int_equal(cli_json_member(value, "none")->type, CLI_JSON_NULL);
    assert_null(cli_json_member(item, "text"));
    cli_json_free(value);
    fe_text_free(&text);
}

static void check_json_bytes_are_utf8(void **state)
{
    (void)state;
    // Lone continuation, overlong, surrogate, beyond U+10FFFF, cut short: each becomes replacement characters.
    static const char *const broken[] = {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        fe_text text = {0};
        json_writer json = {.out = &text};
        json_bytes(&json, broken[i], strlen(broken[i]));
        fe_text expected = {0};
        fe_text_add(&expected, "\"");
        for (size_t k = 0; k < strlen(broken[i]); k++)
            fe_text_add(&expected, "\xef\xbf\xbd");
        fe_text_add(&expected, "\"");
        assert_string_equal(text.data, expected.data);
        fe_text_free(&text);
        fe_text_free(&expected);
    }
}

// Any prefix and any changed byte of a document is either read or refused, never read out of bounds (sanitizers).
static void check_json_survives_damage(void **state)
{
    (void)state;
    static const char document[] = "{\"a\":[1,-2.5e3,true,null,\"x\\u00e4\\ud83d\\ude42\\n\"],\"b\":{\"c\":\"\"}}";
    char problem[128], *copy;
    for (size_t length = 0; length < sizeof document; length++) {
        copy = malloc(length + 1); // exactly as long as it is said to be
        memcpy(copy, document, length);
        cli_json_value *value = cli_json_parse(copy, length, problem, sizeof problem);
        assert_int_equal(value != NULL, length == sizeof document - 1);
        cli_json_free(value);
        free(copy);
        if (length == sizeof document - 1) break;
    }
    for (size_t at = 0; at < sizeof document - 1; at++) {
        for (int byte = 0; byte < 256; byte += 5) {
            copy = malloc(sizeof document - 1);
            memcpy(copy, document, sizeof document - 1);
            copy[at] = (char)byte;
            cli_json_free(cli_json_parse(copy, sizeof document - 1, problem, sizeof problem));
            free(copy);
        }
    }
}

static void check_columns(void **state)
{
    (void)state;
    assert_int_equal(cli_text_columns("abc"), 3);
    assert_int_equal(cli_text_columns("\033[2mabc\033[0m"), 3);
    assert_int_equal(cli_text_columns("\xc3\xa4\xe2\x96\x88"), 2);
    assert_int_equal(cli_text_columns("\xe4\xbd\xa0"), 2);
    assert_int_equal(cli_text_columns("\xf0\x9f\x99\x82!"), 3);
    assert_int_equal(cli_text_fit("ab\xe4\xbd\xa0", 3), 2);
    assert_int_equal(cli_text_fit("ab\xe4\xbd\xa0", 4), 5);
    assert_int_equal(cli_text_fit("abc", 0), 0);
    assert_int_equal(cli_text_columns("\xe4"), 1); // cut short
    assert_int_equal(cli_text_columns("\033[2"), 0);
}

static void check_bar(void **state)
{
    (void)state;
    static const double shares[] = {-1, 0, 0.01, 0.5, 0.999, 1, 7};
    for (size_t i = 0; i < sizeof shares / sizeof *shares; i++) {
        fe_text text = {0};
        cli_bar(&text, shares[i], 20);
        assert_int_equal(cli_text_columns(text.data), 20);
        fe_text_free(&text);
    }
    fe_text text = {0};
    cli_bar(&text, (double)NAN, 2);
    assert_string_equal(text.data, "░░");
    fe_text_free(&text);
}

static void check_spark(void **state)
{
    (void)state;
    const float values[] = {0, 0.5f, 1, NAN, 2, -1};
    fe_text text = {0};
    cli_spark(&text, values, 6);
    assert_string_equal(text.data, "▁▅█ █▁");
    fe_text_free(&text);
}

static cli_reply make_reply(const char *thinking, uint32_t tokens_per_step)
{
    cli_reply reply = {.thinking_start = 2};
    fe_text_add(&reply.thinking, thinking);
    for (const char *at = strstr(thinking, "\n\n"); at; at = strstr(at + 2, "\n\n")) {
        reply.points = fe_reallocate(reply.points, reply.point_count + 1, sizeof *reply.points);
        reply.point_count++;
        reply.points[reply.point_count - 1] =
            (cli_point){.token_index = 1 + reply.point_count * tokens_per_step, .boundary = true};
    }
    reply.stats.thinking_tokens = reply.point_count * tokens_per_step;
    return reply;
}

static void check_first_budget(void **state)
{
    (void)state;
    cli_reply reply = make_reply("\n1+1=2.\n\nSo 2.\n\nCheck 1: 2. So yes.\n\nSo 2.\n\n", 6);
    // The second step ends with token 13, thinking token 12: beyond 6, at most 12.
    uint32_t budget = cli_first_budget(&reply, "So ");
    assert_in_range(budget, 7, 12);
    assert_in_range(cli_first_budget(&reply, "1+1"), 1, 6);
    assert_in_range(cli_first_budget(&reply, "Check"), 13, 18);
    assert_int_equal(cli_first_budget(&reply, "Hence"), 0);
    free(reply.points);
    reply.points = NULL;
    reply.point_count = 0;
    assert_in_range(cli_first_budget(&reply, "Check"), 7, 18); // from the share of the text
    cli_reply_free(&reply);
}

static void check_suggestions(void **state)
{
    (void)state;
    static const char *const names[] = {"run", "compare", "devices", NULL};
    assert_string_equal(cli_suggest("compair", names), "compare");
    assert_string_equal(cli_suggest("rnu", names), "run");
    assert_string_equal(cli_suggest("device", names), "devices");
    assert_null(cli_suggest("tokenize", names));
    assert_null(cli_suggest("", names));
}

static void check_bundled_problems(void **state)
{
    (void)state;
    cli_problems problems = {0};
    cli_problems_bundled(&problems, 0);
    assert_in_range(problems.count, 3, 100);
    for (uint32_t i = 0; i < problems.count; i++)
        assert_true(cli_answer_matches(problems.items[i].answer, problems.items[i].answer));
    cli_problems_free(&problems);
    cli_problems_bundled(&problems, 2);
    assert_int_equal(problems.count, 2);
    cli_problems_free(&problems);
}

static void check_tokens(void **state)
{
    (void)state;
    fe_text message = {0};
    uint32_t count, *tokens = cli_parse_tokens(" 1, 2\n3 4294967295 ", &count, &message);
    assert_int_equal(count, 4);
    assert_int_equal(tokens[3], UINT32_MAX);
    free(tokens);
    tokens = cli_parse_tokens("[]", &count, &message);
    assert_non_null(tokens);
    assert_int_equal(count, 0);
    free(tokens);
    assert_null(cli_parse_tokens("4294967296", &count, &message));
    assert_null(cli_parse_tokens("1 -2", &count, &message));
    assert_null(cli_parse_tokens("11111111111111111111111111111111", &count, &message));
    fe_text_free(&message);
}

static void check_wilson(void **state)
{
    (void)state;
    double low, high;
    cli_wilson(97, 100, &low, &high); // 0.97 of 100: [0.9155, 0.9897]
    assert_true(fabs(low - 0.915484) < 1e-5 && fabs(high - 0.989747) < 1e-5);
    cli_wilson(5, 10, &low, &high);
    assert_true(fabs(low + high - 1) < 1e-12 && fabs(low - 0.236593) < 1e-5);
    cli_wilson(0, 10, &low, &high);
    assert_true(low == 0 && fabs(high - 0.277533) < 1e-5);
    cli_wilson(10, 10, &low, &high);
    assert_true(high == 1 && fabs(low - 0.722467) < 1e-5);
    cli_wilson(0, 0, &low, &high);
    assert_true(isnan(low) && isnan(high));
}

static void check_html_text(void **state)
{
    (void)state;
    fe_text out = {0};
    cli_html_text(&out, "<a href=\"x\">&'\n\xc3\xa9\xff\x1b\xc2\x9b");
    assert_string_equal(out.data,
                        "&lt;a href=&quot;x&quot;&gt;&amp;&#39;\n\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    fe_text_free(&out);
}

// Two modes, the first natural; problems `first`, `first` + 2, ... of 5.
static void fill_evaluation(cli_evaluation *out, uint32_t first, uint32_t step)
{
    cli_point points[100];
    *out = (cli_evaluation){.prompts = 5, .mode_count = 2, .modes = {"plain", "margin=-2"}, .natural = {true}};
    snprintf(out->model, sizeof out->model, "m \"x\"");
    snprintf(out->setting, sizeof out->setting, "temperature 0, seed 1; tokens 5");
    for (uint32_t i = 0; i < 100; i++)
        points[i] =
            (cli_point){.token_index = 3 + i, .boundary = i % 2, .has_signals = true, .smoothed = {0.1f, NAN, 7}};
    for (uint32_t problem = first; problem < 5; problem += step)
        for (uint32_t mode = 0; mode < 2; mode++) {
            cli_reply reply = {
                .points = points, .point_count = 100, .thinking_start = 3, .left = true, .seconds = 1.0 / 3};
            reply.exit =
                (sx_event){.exit_reason = SX_REASON_MARGIN, .has_signals = mode, .smoothed = {0.3f, 0.7f, 1e9f}};
            reply.done_reason = SX_DONE_END_OF_TURN;
            reply.stats = (sx_stats){.tokens = 7 + problem, .cycles = 3, .acceptance_length = (7 + problem) / 3.0};
            fe_text_add(&reply.answer, "a\n\"b\"");
            cli_evaluation_add(out, mode, problem, "p <1>", problem > 0, problem > 1, &reply);
            fe_text_free(&reply.answer);
        }
}

static void check_evaluation_merges(void **state)
{
    (void)state;
    cli_evaluation whole, odd, even, merged = {0}, read = {0};
    fe_text expected = {0}, given = {0}, message = {0};
    fill_evaluation(&whole, 0, 1);
    fill_evaluation(&even, 0, 2);
    fill_evaluation(&odd, 1, 2);
    cli_evaluation_write(&expected, &whole);
    assert_true(cli_evaluation_merge(&merged, &odd, &message));
    assert_true(cli_evaluation_merge(&merged, &even, &message));
    cli_evaluation_write(&given, &merged);
    assert_string_equal(given.data, expected.data);
    assert_int_equal(whole.records[0].reply.point_count, 50); // every second token ends a step
    assert_int_equal(whole.records[0].reply.points[0].token_index, 4);
    // What is read is what was written, and a record that is there already is refused.
    assert_true(cli_evaluation_read(&read, expected.data, expected.length, "file", &message));
    fe_text_clear(&given);
    cli_evaluation_write(&given, &read);
    assert_string_equal(given.data, expected.data);
    assert_false(cli_evaluation_merge(&merged, &read, &message));
    assert_non_null(strstr(message.data, "give every shard once"));
    fe_text_clear(&message);
    cli_evaluation_free(&even);
    fill_evaluation(&even, 0, 2);
    snprintf(even.setting, sizeof even.setting, "temperature 0, seed 2; tokens 5");
    assert_false(cli_evaluation_merge(&whole, &even, &message));
    assert_non_null(strstr(message.data, "other settings than the files before it: \"seed 2\", not \"seed 1\""));
    cli_evaluation_free(&whole), cli_evaluation_free(&odd), cli_evaluation_free(&even);
    cli_evaluation_free(&merged), cli_evaluation_free(&read);
    fe_text_free(&expected), fe_text_free(&given), fe_text_free(&message);
}

// Cut and with single bytes changed, it is refused or read, and nothing else.
static void check_evaluation_survives_damage(void **state)
{
    (void)state;
    cli_evaluation whole;
    fe_text text = {0}, message = {0};
    fill_evaluation(&whole, 0, 3);
    cli_evaluation_write(&text, &whole);
    cli_evaluation_free(&whole);
    for (size_t i = 0; i < text.length; i += 13) {
        static const char bytes[] = "{}[]\"-9,x";
        char *copy = fe_copy_string(text.data);
        cli_evaluation read = {0};
        copy[i] = bytes[i % (sizeof bytes - 1)];
        fe_text_clear(&message);
        assert_true(cli_evaluation_read(&read, copy, text.length, "f", &message) == !message.length);
        cli_evaluation_free(&read);
        fe_text_clear(&message);
        assert_false(cli_evaluation_read(&read, text.data, i, "f", &message));
        free(copy);
    }
    fe_text_free(&text);
    fe_text_free(&message);
}

static void check_choices(void **state)
{
    (void)state;
    for (uint32_t i = 0; i <= SX_SMOOTH_RAW; i++)
        assert_string_equal(fe_smoothing_names[i], sx_smoothing_name((sx_smoothing)i));
    for (uint32_t bit = 0; fe_signal_names[bit]; bit++) {
        // A profile is written by the engine's names.
        fe_text text = {0};
        fe_text_printf(&text, "{\"chosen\": {\"signals\": [\"%s\"], \"%s\": 0.5}}", fe_signal_names[bit],
                       fe_signal_names[bit]);
        sx_profile profile;
        sx_error error;
        assert_int_equal(sx_profile_parse(text.data, text.length, "p", &profile, &error), SX_OK);
        assert_int_equal(profile.chosen.signals, 1u << bit);
        fe_text_free(&text);
    }
    static const char *const *const lists[] = {fe_policy_names, fe_smoothing_names, fe_draft_names,
                                               fe_kv_names,     fe_full_names,      fe_signal_names};
    static const uint32_t counts[] = {SX_POLICY_ENTROPY + 1, SX_SMOOTH_RAW + 1, SX_DRAFT_TREE + 1,
                                      SX_KV_Q8_0 + 1,        SX_FULL_SHIFT + 1, 3};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        uint32_t count = 0, index;
        for (; lists[i][count]; count++)
            assert_true(fe_choice_find(lists[i], lists[i][count], strlen(lists[i][count]), &index) && index == count);
        assert_int_equal(count, counts[i]);
        assert_false(fe_choice_find(lists[i], "auto-", 5, &index) || fe_choice_find(lists[i], "", 0, &index));
    }
    fe_text text = {0};
    fe_choice_list(&text, fe_kv_names, "or");
    fe_choice_list(&text, fe_signal_names, "and");
    assert_string_equal(text.data, "f16 or q8_0confidence, progress and remain");
    fe_text_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_answers),
        cmocka_unit_test(check_json_round_trip),
        cmocka_unit_test(check_json_bytes_are_utf8),
        cmocka_unit_test(check_json_survives_damage),
        cmocka_unit_test(check_columns),
        cmocka_unit_test(check_bar),
        cmocka_unit_test(check_spark),
        cmocka_unit_test(check_first_budget),
        cmocka_unit_test(check_suggestions),
        cmocka_unit_test(check_bundled_problems),
        cmocka_unit_test(check_tokens),
        cmocka_unit_test(check_wilson),
        cmocka_unit_test(check_html_text),
        cmocka_unit_test(check_evaluation_merges),
        cmocka_unit_test(check_evaluation_survives_damage),
        cmocka_unit_test(check_choices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
