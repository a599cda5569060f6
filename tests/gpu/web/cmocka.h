// The few parts of cmocka that the op tests use, for running them on WebGPU: cmocka itself is not there as wasm.
// A failure ends the program.
#ifndef SX_TESTS_GPU_WEB_CMOCKA_H
#define SX_TESTS_GPU_WEB_CMOCKA_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*test)(void **state);
    void *initial;
};

// Versions of clang-format disagree about braces in macros.
// clang-format off
#define cmocka_unit_test(function) {#function, function, NULL}
#define cmocka_unit_test_prestate(function, state) {#function, function, state}
// clang-format on
#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    web_run_tests(#tests, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)
#define cmocka_run_group_tests_name(name, tests, setup, teardown)                                                      \
    web_run_tests(name, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

#define web_check(holds, ...)                                                                                          \
    do {                                                                                                               \
        if (!(holds)) web_fail(__FILE__, __LINE__, __VA_ARGS__);                                                       \
    } while (0)
#define assert_true(value) web_check(value, "%s is false", #value)
#define assert_false(value) web_check(!(value), "%s is true", #value)
#define assert_non_null(value) web_check((value) != NULL, "%s is NULL", #value)
#define assert_null(value) web_check((value) == NULL, "%s is not NULL", #value)
#define assert_int_equal(a, b)                                                                                         \
    web_check((long long)(a) == (long long)(b), "%s is %lld, %s is %lld", #a, (long long)(a), #b, (long long)(b))
#define assert_int_not_equal(a, b) web_check((long long)(a) != (long long)(b), "%s is %s", #a, #b)
#define assert_in_range(value, low, high)                                                                              \
    web_check((unsigned long long)(value) >= (unsigned long long)(low) &&                                              \
                  (unsigned long long)(value) <= (unsigned long long)(high),                                           \
              "%s is out of range", #value)
#define assert_memory_equal(a, b, size) web_check(memcmp(a, b, size) == 0, "%s and %s differ", #a, #b)
#define fail_msg(...) web_fail(__FILE__, __LINE__, __VA_ARGS__)
#define print_message(...) printf(__VA_ARGS__)

_Noreturn void web_fail(const char *file, int line, const char *format, ...);
int web_run_tests(const char *group, const struct CMUnitTest *tests, size_t count, int (*setup)(void **),
                  int (*teardown)(void **));

#endif
