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
#include "json.h"
#include "modes.h"
#include "options.h"
#include "prompts.h"
#include "spark.h"
#include "terminal.h"

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
    cli_text text = {0};
    cli_json json = {.out = &text};
    cli_json_open(&json, '{');
    cli_json_put_string(&json, "text", odd);
    cli_json_key(&json, "list");
    cli_json_open(&json, '[');
    cli_json_number(&json, -1.5e-7);
    cli_json_number(&json, (double)NAN);
    cli_json_boolean(&json, true);
    cli_json_open(&json, '[');
    cli_json_close(&json, ']');
    cli_json_close(&json, ']');
    cli_json_put_integer(&json, "large", UINT64_MAX);
    cli_json_close(&json, '}');
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
    assert_null(cli_json_member(item, "text"));
    cli_json_free(value);
    cli_text_free(&text);
}

static void check_json_bytes_are_utf8(void **state)
{
    (void)state;
    // Lone continuation, overlong, surrogate, beyond U+10FFFF, cut short: each becomes replacement characters.
    static const char *const broken[] = {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        cli_text text = {0};
        cli_json json = {.out = &text};
        cli_json_bytes(&json, broken[i], strlen(broken[i]));
        cli_text expected = {0};
        cli_text_add(&expected, "\"");
        for (size_t k = 0; k < strlen(broken[i]); k++)
            cli_text_add(&expected, "\xef\xbf\xbd");
        cli_text_add(&expected, "\"");
        assert_string_equal(text.data, expected.data);
        cli_text_free(&text);
        cli_text_free(&expected);
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
        cli_text text = {0};
        cli_bar(&text, shares[i], 20);
        assert_int_equal(cli_text_columns(text.data), 20);
        cli_text_free(&text);
    }
    cli_text text = {0};
    cli_bar(&text, (double)NAN, 2);
    assert_string_equal(text.data, "░░");
    cli_text_free(&text);
}

static void check_spark(void **state)
{
    (void)state;
    const float values[] = {0, 0.5f, 1, NAN, 2, -1};
    cli_text text = {0};
    cli_spark(&text, values, 6);
    assert_string_equal(text.data, "▁▅█ █▁");
    cli_text_free(&text);
}

static cli_reply make_reply(const char *thinking, uint32_t tokens_per_step)
{
    cli_reply reply = {.thinking_start = 2};
    cli_text_add(&reply.thinking, thinking);
    for (const char *at = strstr(thinking, "\n\n"); at; at = strstr(at + 2, "\n\n")) {
        reply.points = cli_reallocate(reply.points, reply.point_count + 1, sizeof *reply.points);
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
    cli_text message = {0};
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
    cli_text_free(&message);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
