// A model in several files through the whole engine: the same logits as in one, whichever part is named, and a part
// that is missing or of another model is refused by name. And what a load tells of its progress.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "harness.h"
#include "model/gguf_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], path[128];

static const char *part_path(uint32_t part, uint32_t count)
{
    snprintf(path, sizeof path, "%s/demo-%05u-of-%05u.gguf", folder, part + 1, count);
    return path;
}

// As llama.cpp's gguf-split leaves them: all keys in the first part, tensors in their order over all of them.
static void write_part(const sx_gguf *whole, uint32_t part, uint32_t count)
{
    const uint64_t tensors = sx_gguf_tensor_count(whole);
    const uint64_t first = tensors * part / count, end = tensors * (part + 1) / count;
    sx_gguf_writer *writer = sx_gguf_writer_create();
    for (uint64_t i = 0; part == 0 && i < sx_gguf_value_count(whole); i++)
        sx_gguf_writer_copy(writer, sx_gguf_value_at(whole, i));
    sx_gguf_writer_u32(writer, "split.no", part);
    sx_gguf_writer_u32(writer, "split.count", count);
    sx_gguf_writer_u32(writer, "split.tensors.count", (uint32_t)tensors);
    for (uint64_t i = first; i < end; i++) {
        const sx_gguf_tensor *tensor = sx_gguf_tensor_at(whole, i);
        sx_gguf_writer_tensor(writer, tensor->name.data, tensor->format, tensor->dimension_count, tensor->dimensions);
    }
    const void *header = NULL;
    size_t size = 0;
    assert_int_equal(sx_gguf_writer_header(writer, &header, &size, NULL), SX_OK);
    FILE *file = fopen(part_path(part, count), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(header, 1, size, file), size);
    for (uint64_t i = first; i < end; i++) {
        static const char zeros[32];
        const sx_gguf_tensor *tensor = sx_gguf_tensor_at(whole, i);
        assert_int_equal(fwrite(sx_gguf_source(whole)->mapping + tensor->offset, 1, (size_t)tensor->size, file),
                         tensor->size);
        fwrite(zeros, 1, sx_gguf_padding(tensor->size), file);
    }
    assert_int_equal(fclose(file), 0);
    sx_gguf_writer_free(writer);
}

static void write_parts(uint32_t count)
{
    const char *demo = getenv("SX_DEMO_FOLDER");
    snprintf(path, sizeof path, "%s/demo.gguf", demo ? demo : SX_DEMO_FOLDER);
    sx_file *file;
    sx_gguf *whole;
    assert_int_equal(sx_file_open(path, &file, NULL), SX_OK);
    assert_int_equal(sx_gguf_open(sx_file_source(file), &whole, NULL), SX_OK);
    for (uint32_t part = 0; part < count; part++)
        write_part(whole, part, count);
    sx_gguf_close(whole);
    sx_file_close(file);
}

enum { TOKENS = 24 };

static float *logits_of(const sx_engine_desc *desc, sx_engine_info *info)
{
    uint32_t tokens[TOKENS];
    for (uint32_t i = 0; i < TOKENS; i++)
        tokens[i] = (i * 31 + 7) % 300;
    sx_engine *engine = test_open_bundled(desc);
    sx_session *session = test_open_session(engine);
    float *logits = NULL;
    assert_int_equal(sx_session_logits(session, tokens, TOKENS, &logits, NULL), SX_OK);
    sx_engine_get_info(engine, info);
    sx_session_destroy(session);
    sx_engine_destroy(engine);
    return logits;
}

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/sx-split-XXXXXX");
    if (!mkdtemp(folder)) return 1;
    write_parts(2);
    write_parts(3);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    for (uint32_t count = 2; count <= 3; count++)
        for (uint32_t part = 0; part < count; part++)
            remove(part_path(part, count));
    return rmdir(folder);
}

static void test_same_logits(void **state)
{
    (void)state;
    sx_engine_info whole, split;
    float *want = logits_of(&(sx_engine_desc){.no_draft = true}, &whole);
    for (uint32_t count = 2; count <= 3; count++) {
        float *got = logits_of(&(sx_engine_desc){.target_path = part_path(count - 1, count)}, &split);
        assert_memory_equal(got, want, TOKENS * (size_t)whole.vocabulary * sizeof *want);
        assert_int_equal(split.parameters, whole.parameters);
        assert_int_equal(split.weight_bytes, whole.weight_bytes);
        assert_string_equal(split.format, whole.format);
        assert_string_equal(split.template_name, whole.template_name);
        sx_free(got);
    }
    sx_free(want);
}

static void refused(const char *field)
{
    sx_engine *engine = NULL;
    sx_error error = {0};
    char first[128];
    snprintf(first, sizeof first, "%s", part_path(0, 3));
    assert_true(sx_engine_open(&(sx_engine_desc){.target_path = first}, &engine, &error) > SX_PENDING);
    assert_null(engine);
    assert_non_null(strstr(error.message, "demo-0000"));
    if (!strstr(error.message, field)) fail_msg("%s does not name %s", error.message, field);
}

static void test_wrong_parts(void **state)
{
    (void)state;
    char second[128], third[128], aside[128];
    snprintf(second, sizeof second, "%s", part_path(1, 3));
    snprintf(third, sizeof third, "%s", part_path(2, 3));
    snprintf(aside, sizeof aside, "%s/aside", folder);
    assert_int_equal(rename(third, aside), 0);
    refused("00003-of-00003");
    assert_int_equal(link(second, third), 0); // a part in another's place
    refused("part 2 of 3");
    assert_int_equal(remove(third), 0);
    assert_int_equal(rename(aside, third), 0);
}

typedef struct seen {
    double fraction;
    uint64_t bytes, total;
    uint32_t calls, stages; // bits of sx_load_stage
} seen;

static bool watch(void *user, const sx_load_progress *progress)
{
    seen *s = user;
    assert_true(progress->fraction >= s->fraction && progress->fraction <= 1);
    assert_true(progress->bytes_loaded >= s->bytes && progress->bytes_loaded <= progress->bytes_total);
    s->fraction = progress->fraction;
    s->bytes = progress->bytes_loaded;
    s->total = progress->bytes_total;
    s->calls++;
    s->stages |= 1u << progress->stage;
    return true;
}

static void test_progress(void **state)
{
    (void)state;
    seen s = {0};
    sx_engine *engine = NULL;
    sx_error error = {0};
    const sx_engine_desc desc = {.target_path = part_path(0, 2), .cache_dir = getenv("SX_TEST_CACHE")};
    assert_int_equal(sx_engine_create(&desc, watch, &s, &engine, &error), SX_OK);
    sx_engine_info info;
    sx_engine_get_info(engine, &info);
    assert_true(s.fraction == 1);
    assert_int_equal(s.bytes, s.total);
    assert_int_equal(s.total, info.weight_bytes);
    assert_true(s.stages & 1u << SX_LOAD_COMPILING && s.stages & 1u << SX_LOAD_READY);
    sx_engine_destroy(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_logits),
        cmocka_unit_test(test_wrong_parts),
        cmocka_unit_test(test_progress),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
