// Models: settings of one, what lies beside it, the folders they are looked for in, paths being typed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "models.h"
#include "settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void models_are_set(void **unused)
{
    (void)unused;
    chat_settings settings;
    chat_settings_default(&settings);
    snprintf(settings.device, sizeof settings.device, "GPU");
    chat_model_settings model, same;
    chat_model_settings_default(&model, &settings);
    assert_string_equal(model.device, "GPU");
    assert_int_equal(model.context, 0);
    assert_string_equal(model.template_name, "");
    static const char names[] = "chatml, qwen2, qwen2.5";
    static const char *const after[] = {"chatml", "qwen2", "qwen2.5", "", "chatml"};
    for (unsigned i = 0; i < 5; i++) {
        chat_step_template(&model, names, 1);
        assert_string_equal(model.template_name, after[i]);
    }
    for (unsigned i = 4; i-- > 0;) {
        chat_step_template(&model, names, -1);
        assert_string_equal(model.template_name, after[i]);
    }
    snprintf(model.template_name, sizeof model.template_name, "gone");
    chat_step_template(&model, names, 1);
    assert_string_equal(model.template_name, "chatml");
    same = model;
    assert_true(chat_model_settings_equal(&model, &same));
    same.kv_type = SX_KV_Q8_0;
    assert_false(chat_model_settings_equal(&model, &same));
    assert_false(chat_model_loads_equal(&model, &same));
    same = model;
    same.sampling.top_k = 40; // of the next reply, not of the load
    assert_false(chat_model_settings_equal(&model, &same));
    assert_true(chat_model_loads_equal(&model, &same));
    same.sampling.temperature = NAN;
    same.context = UINT32_MAX;
    same.kv_type = (sx_kv_type)99;
    chat_model_settings_clamp(&same);
    assert_int_equal(same.context, 0);
    assert_int_equal(same.kv_type, SX_KV_F16);
    assert_true(same.sampling.temperature == 0);
}

static void memory_is_told(void **unused)
{
    (void)unused;
    char text[64];
    sx_memory_estimate memory = {.context = 8192, .fitting_context = 40960};
    models_fit_text(&memory, text, sizeof text);
    assert_string_equal(text, "");
    memory.weight_bytes = 4200000000;
    models_fit_text(&memory, text, sizeof text);
    assert_string_equal(text, "needs 4.2 GB with 8192 tokens");
    memory.budget = 1;
    models_fit_text(&memory, text, sizeof text);
    assert_string_equal(text, "fits, up to 40960 tokens");
    memory.fitting_context = 2048;
    models_fit_text(&memory, text, sizeof text);
    assert_string_equal(text, "fits with 2048 tokens only");
    memory.fitting_context = 0;
    models_fit_text(&memory, text, sizeof text);
    assert_string_equal(text, "too large for this GPU");
    model_file files[] = {{.path = (char *)"/a"}, {.path = (char *)"/b"}};
    model_list list = {.files = files, .count = 2};
    models_take(&list, "/b", &memory);
    models_take(&list, "/c", &memory);
    assert_false(files[0].estimated);
    assert_true(files[1].estimated && files[1].memory.budget == 1);
}

// ---- In folders ----------------------------------------------------------------------------------------------------

static char home[64];

static void put(const char *name)
{
    fe_text path = {0};
    sx_error error = {0};
    fe_text_printf(&path, "%s/%s", home, name);
    char *slash = strrchr(path.data, '/');
    *slash = 0;
    assert_int_equal(sx_make_folders(path.data, &error), SX_OK);
    *slash = '/';
    assert_int_equal(sx_file_write_atomic(path.data, "GGUF", 4, &error), SX_OK);
    fe_text_free(&path);
}

static int set_up(void **unused)
{
    (void)unused;
    static const char *const names[] = {"models/qwen-4b.gguf",
                                        "models/qwen-4b-eagle3-draft.gguf",
                                        "models/qwen-4b.profile.json",
                                        "models/other.gguf",
                                        "models/notes.txt",
                                        "models/big-00001-of-00002.gguf",
                                        "models/big-00002-of-00002.gguf",
                                        "mine/deep/er/small.gguf",
                                        "mine/deep/er/small-signals.gguf",
                                        "mine/mmproj-x.gguf",
                                        "Downloads/readme.md"};
    snprintf(home, sizeof home, "/tmp/chat-models-XXXXXX");
    if (!mkdtemp(home)) return -1;
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        put(names[i]);
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", home);
    return system(command);
}

static const char *under_home(const char *path)
{
    return strncmp(path, home, strlen(home)) == 0 ? path + strlen(home) : path;
}

static void folders_are_searched(void **unused)
{
    (void)unused;
    chat_settings settings;
    chat_settings_default(&settings);
    char folder[96];
    snprintf(folder, sizeof folder, "%s/mine/", home);
    assert_true(chat_folders_add(&settings, folder));
    assert_false(chat_folders_add(&settings, folder)); // there already
    assert_true(chat_folders_add(&settings, "/no/such/folder"));
    assert_false(chat_folders_add(&settings, "two\nlines"));
    model_list list = {0};
    models_find(&list, settings.folders, home);
    assert_int_equal(list.folder_count, 3); // Downloads holds none, so nothing is said of it
    assert_true(list.folders[0].chosen && list.folders[0].found);
    assert_string_equal(under_home(list.folders[0].path), "/mine");
    assert_true(list.folders[1].chosen && !list.folders[1].found);
    assert_false(list.folders[2].chosen);
    static const char *const found[] = {"/mine/deep/er/small.gguf", "/models/big-00001-of-00002.gguf",
                                        "/models/other.gguf", "/models/qwen-4b.gguf"};
    assert_int_equal(list.count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_string_equal(under_home(list.files[i].path), found[i]);
    assert_true(list.files[0].parts[MODEL_SIGNALS] && !list.files[0].parts[MODEL_DRAFT]);
    assert_true(list.files[3].parts[MODEL_DRAFT] && list.files[3].parts[MODEL_PROFILE]);
    assert_int_equal(list.files[3].bytes, 4);
    folder[strlen(folder) - 1] = 0;
    chat_folders_remove(&settings, folder);
    assert_string_equal(settings.folders, "/no/such/folder\n");
    chat_folders_remove(&settings, "/no/such");
    assert_string_equal(settings.folders, "/no/such/folder\n");
    models_find(&list, settings.folders, NULL);
    assert_int_equal(list.count, 0);
    models_free(&list);
}

static void parts_lie_beside(void **unused)
{
    (void)unused;
    char path[128];
    snprintf(path, sizeof path, "%s/models/qwen-4b.gguf", home);
    char *draft = models_beside(path, MODEL_DRAFT), *none = models_beside(path, MODEL_SIGNALS);
    assert_string_equal(under_home(draft), "/models/qwen-4b-eagle3-draft.gguf");
    assert_null(none);
    free(draft);
    put("models/another-draft.gguf"); // two: only one named after the model counts
    snprintf(path, sizeof path, "%s/models/other.gguf", home);
    assert_null(models_beside(path, MODEL_DRAFT));
    assert_null(models_beside("/no/such/folder/m.gguf", MODEL_DRAFT));
    assert_int_equal(models_part_of("/a/b-Draft.gguf"), MODEL_DRAFT);
    assert_int_equal(models_part_of("/a/signals.gguf"), MODEL_SIGNALS);
    assert_int_equal(models_part_of("/a/profile.json"), MODEL_PROFILE);
    assert_int_equal(models_part_of("/drafts/plain.gguf"), MODEL_PART_COUNT);
}

static void completes(const char *typed, const char *common, uint32_t count)
{
    path_choices choices = {0};
    fe_text whole = {0}, expected = {0};
    bool absolute = typed[0] == '/';
    fe_text_printf(&whole, "%s%s", absolute ? home : "", typed);
    fe_text_printf(&expected, "%s%s", absolute ? home : "", common);
    models_complete(&choices, whole.data, home);
    assert_string_equal(fe_text_string(&choices.common), expected.data);
    assert_int_equal(choices.count, count);
    models_choices_free(&choices);
    fe_text_free(&whole);
    fe_text_free(&expected);
}

static void paths_are_completed(void **unused)
{
    (void)unused;
    completes("~", "~/", 3);
    completes("~/m", "~/m", 2); // mine, models
    completes("~/mi", "~/mine/", 1);
    completes("/mo", "/models/", 1);
    completes("/models/q", "/models/qwen-4b", 3);
    completes("/models/o", "/models/other.gguf", 1);
    completes("/models/n", "/models/n", 0); // no model
    completes("/nowhere/x", "/nowhere/x", 0);
    put("models/wörter.gguf");
    put("models/wärme.gguf");
    completes("/models/w", "/models/w", 2); // not half a character
    char *path = models_expand("~/x", home), *other = models_expand("~x", home);
    assert_string_equal(under_home(path), "/x");
    assert_string_equal(other, "~x");
    free(path);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_are_set),
        cmocka_unit_test(memory_is_told),
        cmocka_unit_test_setup_teardown(folders_are_searched, set_up, tear_down),
        cmocka_unit_test_setup_teardown(parts_lie_beside, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths_are_completed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
