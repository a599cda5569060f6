// What is Vulkan's own: choosing devices, the pipeline cache on disk, a machine without a driver, memory that runs out.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "gpu/gpu.h"
#include "kernels.gen.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_SIZE = 4096 };

static void note_line(void *user, const char *line)
{
    char *log = user;
    const size_t length = strlen(log);
    snprintf(log + length, LOG_SIZE - length, "%s\n", line);
}

// ---- Devices -------------------------------------------------------------------------------------------------------

static void list_is_sorted(void **state)
{
    (void)state;
    sx_gpu_info infos[8];
    uint32_t count = 0, again = 0;
    sx_error error = {SX_OK, ""};
    assert_int_equal(sx_gpu_list(SX_GPU_BACKEND_VULKAN, infos, 8, &count, &error), SX_OK);
    assert_true(count >= 1);
    assert_int_equal(sx_gpu_list(SX_GPU_BACKEND_DEFAULT, NULL, 0, &again, &error), SX_OK);
    assert_int_equal(count, again);
    for (uint32_t i = 1; i < count && i < 8; i++) {
        assert_true(infos[i - 1].kind <= infos[i].kind);
    }
    assert_true(infos[0].memory_total > 0);
}

static void open_by(const char *device, sx_status wanted, char *message)
{
    sx_gpu *gpu = (sx_gpu *)message;
    sx_error error = {SX_OK, ""};
    const sx_gpu_desc desc = {.backend = SX_GPU_BACKEND_VULKAN, .device = device};
    assert_int_equal(sx_gpu_open(&desc, &gpu, &error), wanted);
    if (wanted == SX_OK) {
        sx_gpu_close(gpu);
    } else {
        assert_null(gpu);
    }
    strcpy(message, error.message);
}

static void device_is_chosen(void **state)
{
    (void)state;
    sx_gpu_info info;
    uint32_t count;
    char message[512], name[sizeof info.name];
    assert_int_equal(sx_gpu_list(SX_GPU_BACKEND_VULKAN, &info, 1, &count, NULL), SX_OK);
    open_by(NULL, SX_OK, message);
    open_by("", SX_OK, message);
    open_by("0", SX_OK, message);
    open_by(info.name, SX_OK, message);
    for (size_t i = 0; i < sizeof name; i++) {
        name[i] = (char)toupper((unsigned char)info.name[i]);
    }
    open_by(name + 2, SX_OK, message); // part of the name, other case
    open_by("99", SX_ERROR_NO_DEVICE, message);
    assert_non_null(strstr(message, "\"99\""));
    open_by("no such card", SX_ERROR_NO_DEVICE, message);
    assert_non_null(strstr(message, "no such card"));
    assert_non_null(strstr(message, info.name)); // says what there is
}

static void no_driver_is_told(void **state)
{
    (void)state;
    const char *variables[] = {"VK_ICD_FILENAMES", "VK_DRIVER_FILES"};
    char *kept[2];
    for (int i = 0; i < 2; i++) {
        const char *value = getenv(variables[i]);
        kept[i] = value ? strdup(value) : NULL;
        setenv(variables[i], "/nonexistent/driver.json", 1);
    }
    uint32_t count = 7;
    char message[512];
    sx_error error = {SX_OK, ""};
    assert_int_equal(sx_gpu_list(SX_GPU_BACKEND_VULKAN, NULL, 0, &count, &error), SX_ERROR_NO_DEVICE);
    assert_int_equal(count, 0);
    assert_non_null(strstr(error.message, "mesa-vulkan-drivers"));
    open_by(NULL, SX_ERROR_NO_DEVICE, message);
    for (int i = 0; i < 2; i++) {
        if (kept[i]) {
            setenv(variables[i], kept[i], 1);
        } else {
            unsetenv(variables[i]);
        }
        free(kept[i]);
    }
}

static void other_backends_are_told(void **state)
{
    (void)state;
    sx_gpu *gpu = NULL;
    sx_error error = {SX_OK, ""};
    assert_int_equal(sx_gpu_open(&(sx_gpu_desc){.backend = SX_GPU_BACKEND_WEBGPU}, &gpu, &error), SX_ERROR_UNSUPPORTED);
    assert_null(gpu);
}

// ---- Pipeline cache ------------------------------------------------------------------------------------------------

// Opens a device with this cache folder, builds two kernels, closes it. `log` gets the warnings.
static void use_cache(const char *folder, char *log)
{
    log[0] = 0;
    sx_error error = {SX_OK, ""};
    sx_gpu *gpu;
    const sx_gpu_desc desc = {
        .backend = SX_GPU_BACKEND_VULKAN, .cache_dir = folder, .validation = true, .log = note_line, .log_user = log};
    assert_int_equal(sx_gpu_open(&desc, &gpu, &error), SX_OK);
    const sx_kernel kernels[] = {SX_KERNEL_TEST_FILL, SX_KERNEL_TEST_CHAIN};
    sx_status status = sx_gpu_warm(gpu, kernels, 2, &error);
    while (status == SX_OK && (status = sx_gpu_warm_poll(gpu, NULL, &error)) == SX_PENDING) {
        status = SX_OK;
    }
    assert_int_equal(status, SX_OK);
    sx_gpu_save_cache(gpu);
    sx_gpu_save_cache(gpu); // has not grown
    assert_int_equal(sx_gpu_validation_messages(gpu), 0);
    sx_gpu_close(gpu);
}

// The only file of the folder.
static void cache_file(const char *folder, char *path, size_t size)
{
    DIR *stream = opendir(folder);
    assert_non_null(stream);
    uint32_t count = 0;
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        snprintf(path, size, "%s/%s", folder, entry->d_name);
        count++;
    }
    closedir(stream);
    assert_int_equal(count, 1); // and no temporary file left
}

static long read_all(const char *path, uint8_t **bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    rewind(file);
    *bytes = malloc((size_t)size + 1);
    assert_int_equal(fread(*bytes, 1, (size_t)size, file), size);
    fclose(file);
    return size;
}

static void write_all(const char *path, const uint8_t *bytes, long size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, (size_t)size, file), size);
    fclose(file);
}

static void make_folder(char *folder)
{
    strcpy(folder, "/tmp/sx-cache-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void cache_is_kept_and_checked(void **state)
{
    (void)state;
    char folder[64], nested[96], path[512], log[LOG_SIZE];
    make_folder(folder);
    snprintf(nested, sizeof nested, "%s/a/b", folder); // folders are made
    use_cache(nested, log);
    assert_string_equal(log, "");
    cache_file(nested, path, sizeof path);
    uint8_t *bytes, *again;
    const long size = read_all(path, &bytes);
    assert_true(size >= 32);
    use_cache(nested, log);
    assert_string_equal(log, "");

    const long lengths[] = {0, 1, 31, 32, size / 2, size - 1};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        if (lengths[i] >= size) continue;
        write_all(path, bytes, lengths[i]);
        use_cache(nested, log);
        assert_non_null(strstr(log, "ignored"));
        use_cache(nested, log); // it was written anew
        assert_string_equal(log, "");
    }
    const long places[] = {0, 7, 8, 15, 16, 20, 24, 31, 32, size / 2, size - 1};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] >= size) continue;
        bytes[places[i]] ^= 0x40;
        write_all(path, bytes, size);
        bytes[places[i]] ^= 0x40;
        use_cache(nested, log);
        assert_non_null(strstr(log, "ignored"));
    }
    const long last = read_all(path, &again);
    assert_true(last >= 32 && memcmp(again, bytes, 8) == 0);
    free(bytes);
    free(again);
    unlink(path);
    rmdir(nested);
    snprintf(nested, sizeof nested, "%s/a", folder);
    rmdir(nested);
    rmdir(folder);
}

static void cache_that_cannot_be_written(void **state)
{
    (void)state;
    char folder[64], nested[96], path[512], log[LOG_SIZE];
    make_folder(folder);
    snprintf(nested, sizeof nested, "%s/file", folder);
    write_all(nested, (const uint8_t *)"x", 1); // a file where a folder should be
    use_cache(nested, log);
    assert_non_null(strstr(log, "pipeline cache not written"));
    unlink(nested);

    use_cache(folder, log);
    cache_file(folder, path, sizeof path);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0); // a folder where the file should be
    use_cache(folder, log);
    assert_non_null(strstr(log, "ignored"));
    assert_non_null(strstr(log, "not written"));
    rmdir(path);
    assert_int_equal(rmdir(folder), 0); // nothing left behind
}

// ---- Memory --------------------------------------------------------------------------------------------------------

static void memory_that_runs_out(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); // its shadow needs the address space that this test takes away
#endif
    sx_error error = {SX_OK, ""};
    sx_gpu *gpu;
    assert_int_equal(sx_gpu_open(&(sx_gpu_desc){.backend = SX_GPU_BACKEND_VULKAN}, &gpu, &error), SX_OK);
    sx_gpu_buffer *small, *buffers[8] = {NULL};
    assert_int_equal(sx_gpu_buffer_create(gpu, 1 << 20, SX_GPU_STORAGE, "small", &small, &error), SX_OK);
    if (sx_gpu_get_info(gpu)->kind != SX_GPU_CPU) {
        // A real device: its memory is not ours to fill.
        sx_gpu_buffer_destroy(gpu, small);
        sx_gpu_close(gpu);
        skip();
    }
    struct rlimit old, limit;
    FILE *statm = fopen("/proc/self/statm", "r");
    unsigned long pages;
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%lu", &pages), 1);
    fclose(statm);
    getrlimit(RLIMIT_AS, &old);
    limit = old;
    limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + (64u << 20);
    assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
    sx_status status = SX_OK;
    uint32_t count = 0;
    while (status == SX_OK && count < 8) {
        status = sx_gpu_buffer_create(gpu, 40u << 20, SX_GPU_STORAGE, "greedy", &buffers[count], &error);
        count += status == SX_OK;
    }
    setrlimit(RLIMIT_AS, &old);
    assert_int_equal(status, SX_ERROR_GPU_MEMORY);
    assert_non_null(strstr(error.message, "\"greedy\" of 40.0 MiB"));
    for (uint32_t i = 0; i < count; i++) {
        sx_gpu_buffer_destroy(gpu, buffers[i]);
    }
    // The device goes on working.
    const uint32_t word = 5;
    uint32_t back = 0;
    assert_int_equal(sx_gpu_write(gpu, small, 0, &word, 4, &error), SX_OK);
    assert_int_equal(sx_gpu_read(gpu, small, 0, &back, 4, &error), SX_OK);
    assert_int_equal(back, word);
    sx_gpu_buffer_destroy(gpu, small);
    sx_gpu_close(gpu);
}

// Buffers of many sizes come and go; none overlaps another.
static void suballocation(void **state)
{
    (void)state;
    enum { COUNT = 60, ROUNDS = 600 };
    sx_error error = {SX_OK, ""};
    sx_gpu *gpu;
    assert_int_equal(sx_gpu_open(&(sx_gpu_desc){.backend = SX_GPU_BACKEND_VULKAN}, &gpu, &error), SX_OK);
    sx_gpu_buffer *buffers[COUNT] = {NULL};
    uint32_t marks[COUNT] = {0}, seed = 12345;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        seed = seed * 1664525u + 1013904223u;
        const uint32_t index = (seed >> 8) % COUNT;
        if (buffers[index]) {
            uint32_t ends[2] = {0, 0};
            const uint64_t last = sx_gpu_buffer_size(buffers[index]) - 4;
            assert_int_equal(sx_gpu_read(gpu, buffers[index], 0, &ends[0], 4, &error), SX_OK);
            assert_int_equal(sx_gpu_read(gpu, buffers[index], last, &ends[1], 4, &error), SX_OK);
            assert_true(ends[0] == marks[index] && ends[1] == marks[index]);
            sx_gpu_buffer_destroy(gpu, buffers[index]);
            buffers[index] = NULL;
            continue;
        }
        const uint64_t size = 4 + (uint64_t)((seed >> 14) % 9 == 0 ? (seed >> 4) % 9000000 : (seed >> 4) % 70000);
        assert_int_equal(sx_gpu_buffer_create(gpu, size, SX_GPU_STORAGE, "piece", &buffers[index], &error), SX_OK);
        marks[index] = seed;
        assert_int_equal(sx_gpu_write(gpu, buffers[index], 0, &seed, 4, &error), SX_OK);
        assert_int_equal(sx_gpu_write(gpu, buffers[index], sx_gpu_buffer_size(buffers[index]) - 4, &seed, 4, &error),
                         SX_OK);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        sx_gpu_buffer_destroy(gpu, buffers[i]);
    }
    sx_gpu_counters counters;
    sx_gpu_get_counters(gpu, &counters);
    assert_int_equal(counters.memory_used, 0);
    sx_gpu_close(gpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(list_is_sorted),
        cmocka_unit_test(device_is_chosen),
        cmocka_unit_test(no_driver_is_told),
        cmocka_unit_test(other_backends_are_told),
        cmocka_unit_test(cache_is_kept_and_checked),
        cmocka_unit_test(cache_that_cannot_be_written),
        cmocka_unit_test(suballocation),
        cmocka_unit_test(memory_that_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
