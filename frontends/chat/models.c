#include "models.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { DEPTH_LIMIT = 6, FILE_LIMIT = 500, ENTRY_LIMIT = 20000 };

static bool is_model(const char *name)
{
    size_t length = strlen(name);
    if (length < 6 || strcmp(name + length - 5, ".gguf") != 0) return false;
    if (chat_contains(name, "draft") || chat_contains(name, "eagle") || chat_contains(name, "mmproj")) return false;
    const char *part = strstr(name, "-of-");
    return !part || part - name < 5 || strncmp(part - 5, "00001", 5) == 0;
}

static void add(model_list *list, const char *path, uint64_t bytes)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 32;
        list->files = chat_reallocate(list->files, list->capacity, sizeof *list->files);
    }
    list->files[list->count++] = (model_file){.path = chat_copy(path), .bytes = bytes};
}

static void walk(model_list *list, const char *folder, unsigned depth, unsigned *entries)
{
    DIR *directory = opendir(folder);
    for (struct dirent *entry; directory && (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (++*entries > ENTRY_LIMIT || list->count >= FILE_LIMIT) break;
        chat_text path = {0};
        struct stat status;
        chat_text_printf(&path, "%s/%s", folder, entry->d_name);
        if (stat(path.data, &status) == 0) {
            if (S_ISDIR(status.st_mode) && depth < DEPTH_LIMIT) walk(list, path.data, depth + 1, entries);
            if (S_ISREG(status.st_mode) && is_model(entry->d_name)) add(list, path.data, (uint64_t)status.st_size);
        }
        chat_text_free(&path);
    }
    if (directory) closedir(directory);
}

static const char *name_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(name_of(((const model_file *)a)->path), name_of(((const model_file *)b)->path));
}

void models_find(model_list *list, const char *home)
{
    static const char *const folders[] = {".cache/specexit/models",
                                          ".cache/llama.cpp",
                                          ".cache/lm-studio/models",
                                          ".lmstudio/models",
                                          ".cache/huggingface/hub",
                                          ".local/share/nomic.ai/GPT4All",
                                          "jan/models",
                                          "models",
                                          "Models",
                                          "Downloads"};
    models_free(list);
    unsigned entries = 0;
    for (unsigned i = 0; home && home[0] && i < sizeof folders / sizeof *folders; i++) {
        chat_text path = {0};
        chat_text_printf(&path, "%s/%s", home, folders[i]);
        walk(list, path.data, 0, &entries);
        chat_text_free(&path);
    }
    if (list->count) qsort(list->files, list->count, sizeof *list->files, by_name);
}

void models_free(model_list *list)
{
    for (unsigned i = 0; i < list->count; i++)
        free(list->files[i].path);
    free(list->files);
    *list = (model_list){0};
}

void models_take(model_list *list, const char *path, const sx_memory_estimate *memory)
{
    for (unsigned i = 0; i < list->count; i++) {
        if (strcmp(list->files[i].path, path) != 0) continue;
        list->files[i].estimated = true;
        list->files[i].memory = *memory;
    }
}

void models_fit_text(const sx_memory_estimate *memory, char *text, size_t size)
{
    double needed = (double)(memory->weight_bytes + memory->session_bytes) * 1e-9;
    text[0] = 0;
    if (memory->weight_bytes == 0) return;
    if (memory->budget == 0) {
        snprintf(text, size, "needs %.1f GB with %u tokens", needed, memory->context);
    } else if (memory->fitting_context == 0) {
        snprintf(text, size, "too large for this GPU");
    } else if (memory->fitting_context < memory->context) {
        snprintf(text, size, "fits with %u tokens only", memory->fitting_context);
    } else {
        snprintf(text, size, "fits, up to %u tokens", memory->fitting_context);
    }
}
