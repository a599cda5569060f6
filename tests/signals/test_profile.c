// Profiles: what `specexit calibrate -o` writes is read back; anything else is refused with a sentence.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "specexit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char whole[] =
    "{\"model\": \"m\", \"full_accuracy\": 0.97, \"full_thinking_tokens\": 265, \"chosen\": {\"signals\": "
    "[\"confidence\", \"remain\"], \"confidence\": 0.84, \"remain\": 900, \"smoothing\": \"ewma\", \"alpha\": 0.25, "
    "\"accuracy\": 0.96, \"thinking_tokens\": 55}, \"levels\": [{\"signals\": [\"confidence\"], \"confidence\": 0.3, "
    "\"smoothing\": \"raw\"}, {\"signals\": [\"progress\"], \"progress\": 0.9}]}";

static char path[] = "/tmp/profile-XXXXXX";

static sx_status read_text(const char *text, size_t length, sx_profile *out, sx_error *error)
{
    sx_error ignored = {0};
    assert_int_equal(sx_file_write_atomic(path, text, length, &ignored), SX_OK);
    return sx_profile_read(path, out, error);
}

static void rules_are_read(void **unused)
{
    (void)unused;
    sx_profile profile;
    sx_error error = {0};
    assert_int_equal(read_text(whole, strlen(whole), &profile, &error), SX_OK);
    assert_string_equal(profile.model_name, "m");
    assert_true(profile.has_chosen);
    assert_int_equal(profile.level_count, 2);
    assert_true(profile.full_tokens == 265 && profile.chosen.tokens == 55 && profile.chosen.accuracy == 0.96);
    sx_policy policy = {.kind = SX_POLICY_MARGIN, .progress = 0.5f, .soft_budget = 9};
    sx_exit_rule_apply(&profile.chosen, &policy);
    assert_int_equal(policy.kind, SX_POLICY_SIGNALS);
    assert_int_equal(policy.signals, SX_SIGNAL_HAS_CONFIDENCE | SX_SIGNAL_HAS_REMAIN);
    assert_true(policy.confidence == 0.84f && policy.remain == 900 && policy.alpha == 0.25f);
    assert_int_equal(policy.smoothing, SX_SMOOTH_EWMA);
    assert_true(policy.progress == 0.5f && policy.soft_budget == 9); // what the rule leaves open
    assert_int_equal(profile.levels[0].smoothing, SX_SMOOTH_RAW);
    assert_int_equal(profile.levels[1].signals, SX_SIGNAL_HAS_PROGRESS);
    for (int i = SX_SMOOTH_AUTO; i <= SX_SMOOTH_RAW; i++)
        assert_string_not_equal(sx_smoothing_name((sx_smoothing)i), "unknown");
}

static void others_are_refused(void **unused)
{
    (void)unused;
    static const char *const bad[] = {
        "{}",
        "[1, 2]",
        "{\"chosen\": {\"signals\": []}}",
        "{\"chosen\": {\"signals\": [\"confidence\"]}}",
        "{\"chosen\": {\"signals\": [\"confidence\"], \"confidence\": -1}}",
        "{\"chosen\": {\"signals\": [\"confidence\"], \"confidence\": 0.5, \"alpha\": 7}}",
        "{\"levels\": [7]}",
        "{\"levels\": []}",
        "{\"model_family\": \"12\", \"levels\": [{\"signals\": [\"progress\"], \"progress\": 0.9}]}",
        "{\"range\": {\"signals\": 7, \"limit\": 1, \"steps\": [{\"mean\": [1]}]}, \"levels\": [{\"signals\": "
        "[\"progress\"], \"progress\": 0.9}]}",
    };
    sx_profile profile;
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        sx_error error = {0};
        assert_int_equal(read_text(bad[i], strlen(bad[i]), &profile, &error), SX_ERROR_FORMAT);
        assert_non_null(strstr(error.message, path));
        assert_false(profile.has_chosen || profile.level_count);
    }
    for (size_t length = 0; length < strlen(whole); length++) {
        sx_error error = {0};
        assert_int_not_equal(read_text(whole, length, &profile, &error), SX_OK);
        assert_int_not_equal(error.message[0], 0);
    }
    sx_error error = {0};
    assert_int_not_equal(sx_profile_read("/no/such/profile.json", &profile, &error), SX_OK);
    assert_non_null(strstr(error.message, "/no/such/profile.json"));
}

int main(void)
{
    int file = mkstemp(path);
    if (file < 0) return 1;
    close(file);
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules_are_read), cmocka_unit_test(others_are_refused)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(path);
    return failed;
}
