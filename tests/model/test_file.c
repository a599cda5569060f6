// Reading and writing files: what fails, and that nothing is left behind when it does.
#include "support.h"

#include "base/file.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef _WIN32
#define NO_REGULAR_FILE "NUL"
#else
#define NO_REGULAR_FILE "/dev/null"
#endif

static char folder[64];

static const char *in_folder(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int entries_in_folder(void)
{
    int count = 0;
    DIR *list = opendir(folder);
    assert_non_null(list);
    while (readdir(list))
        count++;
    closedir(list);
    return count - 2; // . and ..
}

static void test_round_trip(void **state)
{
    (void)state;
    sx_error error;
    sx_file *file;
    char text[8] = "";
    assert_int_equal(sx_file_write_atomic(in_folder("a"), "first", 5, &error), SX_OK);
    assert_int_equal(sx_file_write_atomic(in_folder("a"), "second", 6, &error), SX_OK);
    assert_int_equal(entries_in_folder(), 1);
    assert_int_equal(sx_file_open(in_folder("a"), &file, &error), SX_OK);
    const sx_source *source = sx_file_source(file);
    assert_int_equal(source->size, 6);
    assert_int_equal(sx_source_read(source, 1, text, 5, &error), SX_OK);
    assert_string_equal(text, "econd");
    assert_int_equal(sx_source_read(source, 6, text, 0, &error), SX_OK);
    assert_int_equal(sx_source_read(source, 2, text, 5, &error), SX_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "/a: ends too early"));
    assert_int_equal(sx_source_read(source, UINT64_MAX, text, 5, &error), SX_ERROR_FORMAT);
    sx_file_close(file);
    unlink(in_folder("a"));
}

static void test_failures(void **state)
{
    (void)state;
    sx_error error;
    sx_file *file;
    assert_int_equal(sx_file_open(in_folder("none"), &file, &error), SX_ERROR_FILE);
    assert_null(file);
    assert_int_equal(sx_file_open(folder, &file, &error), SX_ERROR_FILE);
    assert_int_equal(sx_file_open(NO_REGULAR_FILE, &file, &error), SX_ERROR_FILE);
    assert_non_null(strstr(error.message, "regular file"));
#ifndef _WIN32
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    alarm(20); // a program that waited for somebody to write would wait for ever
    assert_int_equal(sx_file_open(in_folder("pipe"), &file, &error), SX_ERROR_FILE);
    alarm(0);
    assert_non_null(strstr(error.message, "regular file"));
    unlink(in_folder("pipe"));
#endif
    assert_int_equal(sx_file_write_atomic(in_folder("no/such"), "x", 1, &error), SX_ERROR_FILE);
    assert_int_equal(sx_make_folders(in_folder("taken"), &error), SX_OK);
    assert_int_equal(sx_file_write_atomic(in_folder("taken"), "x", 1, &error), SX_ERROR_FILE);
    assert_int_equal(entries_in_folder(), 1);
    rmdir(in_folder("taken"));
    assert_int_equal(sx_file_write_atomic(in_folder("empty"), "", 0, &error), SX_OK);
    assert_int_equal(sx_file_open(in_folder("empty"), &file, &error), SX_OK);
    assert_int_equal(sx_file_source(file)->size, 0);
    sx_file_close(file);
    sx_file_close(NULL);
    unlink(in_folder("empty"));
    sx_file_writer *writer;
    assert_int_equal(sx_file_writer_open(in_folder("w"), &writer, &error), SX_OK);
    assert_int_equal(sx_file_writer_write(writer, "abc", 3, &error), SX_OK);
    sx_file_writer_abort(writer);
    assert_int_equal(entries_in_folder(), 0);
}

static void test_folders(void **state)
{
    (void)state;
    sx_error error;
    assert_int_equal(sx_make_folders(in_folder("x/y/z"), &error), SX_OK);
    assert_int_equal(sx_make_folders(in_folder("x/y/z"), &error), SX_OK);
    assert_int_equal(sx_file_write_atomic(in_folder("x/f"), "", 0, &error), SX_OK);
    assert_int_equal(sx_make_folders(in_folder("x/f"), &error), SX_ERROR_FILE);
    assert_int_equal(sx_make_folders(in_folder("x/f/g"), &error), SX_ERROR_FILE);
    unlink(in_folder("x/f"));
    rmdir(in_folder("x/y/z"));
    rmdir(in_folder("x/y"));
    rmdir(in_folder("x"));
}

int main(void)
{
    snprintf(folder, sizeof folder, "/tmp/sx-file-%ld", (long)getpid());
    if (sx_make_folders(folder, NULL) != SX_OK) return 1;
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip), cmocka_unit_test(test_failures),
                                       cmocka_unit_test(test_folders)};
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(folder);
    return failed;
}
