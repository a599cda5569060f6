#include "models.h"
#include "platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_LIMIT = 6, FILE_LIMIT = 500, ENTRY_LIMIT = 20000, CHOICE_LIMIT = 200 };

static bool ends_with(const char *name, const char *end)
{
    size_t length = strlen(name), tail = strlen(end);
    return length > tail && strcmp(name + length - tail, end) == 0;
}

model_part models_part_of(const char *path)
{
    const char *name = platform_file_name(path);
    if (ends_with(name, ".json")) return chat_contains(name, "profile") ? MODEL_PROFILE : MODEL_PART_COUNT;
    if (!ends_with(name, ".gguf")) return MODEL_PART_COUNT;
    if (chat_contains(name, "draft") || chat_contains(name, "eagle")) return MODEL_DRAFT;
    return chat_contains(name, "signal") ? MODEL_SIGNALS : MODEL_PART_COUNT;
}

static bool is_model(const char *name)
{
    if (!ends_with(name, ".gguf") || models_part_of(name) != MODEL_PART_COUNT || chat_contains(name, "mmproj"))
        return false;
    const char *part = strstr(name, "-of-");
    return !part || part - name < 5 || strncmp(part - 5, "00001", 5) == 0;
}

// ---- Beside a model ------------------------------------------------------------------------------------------------

typedef struct beside_search {
    const char *model; // its name
    size_t stem;
    unsigned models; // in its folder
    struct {
        char *found; // a name
        bool exact;
        unsigned count;
    } parts[MODEL_PART_COUNT];
} beside_search;

static bool look_beside(void *user, const platform_entry *entry)
{
    beside_search *search = user;
    search->models += !entry->folder && is_model(entry->name);
    model_part part = models_part_of(entry->name);
    if (entry->folder || part == MODEL_PART_COUNT || strcmp(entry->name, search->model) == 0) return true;
    if (search->parts[part].exact) return true;
    search->parts[part].exact = strncmp(entry->name, search->model, search->stem) == 0;
    search->parts[part].count++;
    free(search->parts[part].found);
    search->parts[part].found = fe_copy_string(entry->name);
    return true;
}

// What lies in the folder of the model at `path`, read once for all parts.
static beside_search search_beside(const char *path)
{
    const char *name = platform_file_name(path);
    beside_search search = {.model = name, .stem = strlen(name) > 5 ? strlen(name) - 5 : strlen(name)};
    fe_text folder = {0};
    fe_text_append(&folder, path, (size_t)(name - path));
    platform_list(folder.length ? folder.data : "./", look_beside, &search);
    fe_text_free(&folder);
    return search;
}

static bool is_beside(const beside_search *search, model_part part)
{
    return search->parts[part].exact || (search->parts[part].count == 1 && search->models <= 1);
}

static void forget_search(beside_search *search)
{
    for (int part = 0; part < MODEL_PART_COUNT; part++)
        free(search->parts[part].found);
}

char *models_beside(const char *path, model_part part)
{
    beside_search search = search_beside(path);
    fe_text found = {0};
    if (is_beside(&search, part)) {
        size_t folder = (size_t)(search.model - path);
        if (folder) fe_text_append(&found, path, folder);
        fe_text_printf(&found, "%s%s", folder ? "" : "./", search.parts[part].found);
    }
    forget_search(&search);
    return found.data;
}

// ---- The list ------------------------------------------------------------------------------------------------------

typedef struct folder_walk {
    model_list *list;
    const char *folder;
    unsigned depth, *entries;
} folder_walk;

static void add_file(model_list *list, const char *path, uint64_t bytes)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 32;
        list->files = fe_reallocate(list->files, list->capacity, sizeof *list->files);
    }
    model_file file = {.path = fe_copy_string(path), .bytes = bytes, .folder = list->folder_count - 1};
    beside_search search = search_beside(path);
    for (int part = 0; part < MODEL_PART_COUNT; part++)
        file.parts[part] = is_beside(&search, (model_part)part);
    forget_search(&search);
    list->files[list->count++] = file;
}

static bool take_entry(void *user, const platform_entry *entry)
{
    folder_walk *walk = user;
    if (++*walk->entries > ENTRY_LIMIT || walk->list->count >= FILE_LIMIT) return false;
    fe_text path = {0};
    fe_text_printf(&path, "%s/%s", walk->folder, entry->name);
    if (entry->folder && walk->depth < DEPTH_LIMIT) {
        folder_walk inner = {walk->list, path.data, walk->depth + 1, walk->entries};
        platform_list(path.data, take_entry, &inner);
    } else if (!entry->folder && is_model(entry->name)) {
        add_file(walk->list, path.data, entry->bytes);
    }
    fe_text_free(&path);
    return true;
}

static int by_name(const void *a, const void *b)
{
    const model_file *x = a, *y = b;
    if (x->folder != y->folder) return x->folder < y->folder ? -1 : 1;
    int order = strcmp(platform_file_name(x->path), platform_file_name(y->path));
    return order ? order : strcmp(x->path, y->path);
}

static void find_in(model_list *list, const char *path, size_t length, bool chosen)
{
    for (uint32_t i = 0; i < list->folder_count; i++)
        if (strlen(list->folders[i].path) == length && strncmp(list->folders[i].path, path, length) == 0) return;
    fe_text name = {0};
    fe_text_append(&name, path, length);
    list->folders = fe_reallocate(list->folders, list->folder_count + 1, sizeof *list->folders);
    list->folders[list->folder_count++] = (model_folder){.path = name.data, .chosen = chosen};
    unsigned entries = 0;
    uint32_t before = list->count;
    folder_walk walk = {list, name.data, 0, &entries};
    bool found = platform_list(name.data, take_entry, &walk);
    list->folders[list->folder_count - 1].found = found;
    if (chosen || list->count > before) return;
    list->folder_count--; // it says nothing
    free(name.data);
}

void models_find(model_list *list, const char *chosen, const char *home)
{
    static const char *const usual[] = {".cache/specexit/models",
                                        ".cache/llama.cpp",
                                        ".cache/lm-studio/models",
                                        ".lmstudio/models",
                                        ".cache/huggingface/hub",
                                        ".local/share/nomic.ai/GPT4All",
                                        "Library/Caches/llama.cpp",
                                        "AppData/Local/llama.cpp",
                                        "jan/models",
                                        "models",
                                        "Models",
                                        "Downloads"};
    models_free(list);
    for (size_t length; (length = strcspn(chosen, "\n")) || *chosen; chosen += length + (chosen[length] == '\n'))
        if (length) find_in(list, chosen, length, true);
    for (unsigned i = 0; home && home[0] && i < sizeof usual / sizeof *usual; i++) {
        fe_text path = {0};
        fe_text_printf(&path, "%s/%s", home, usual[i]);
        find_in(list, path.data, path.length, false);
        fe_text_free(&path);
    }
    if (list->count) qsort(list->files, list->count, sizeof *list->files, by_name);
}

void models_free(model_list *list)
{
    for (uint32_t i = 0; i < list->count; i++)
        free(list->files[i].path);
    for (uint32_t i = 0; i < list->folder_count; i++)
        free(list->folders[i].path);
    free(list->files);
    free(list->folders);
    *list = (model_list){0};
}

void models_take(model_list *list, const char *path, const sx_memory_estimate *memory)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (strcmp(list->files[i].path, path) != 0) continue;
        list->files[i].estimated = true;
        list->files[i].memory = *memory;
    }
}

void models_bytes_text(uint64_t bytes, char *text, size_t size)
{
    if (bytes >= 1000000000) {
        snprintf(text, size, "%.1f GB", (double)bytes * 1e-9);
    } else {
        snprintf(text, size, "%.0f MB", (double)bytes * 1e-6);
    }
}

void models_fit_text(const sx_memory_estimate *memory, char *text, size_t size)
{
    char needed[32];
    models_bytes_text(memory->weight_bytes + memory->session_bytes, needed, sizeof needed);
    text[0] = 0;
    if (memory->weight_bytes == 0) return;
    if (memory->budget == 0) {
        snprintf(text, size, "needs %s with %u tokens", needed, memory->context);
    } else if (memory->fitting_context == 0) {
        snprintf(text, size, "too large for this GPU");
    } else if (memory->fitting_context < memory->context) {
        snprintf(text, size, "fits with %u tokens only", memory->fitting_context);
    } else {
        snprintf(text, size, "fits, up to %u tokens", memory->fitting_context);
    }
}

// ---- Paths being typed ---------------------------------------------------------------------------------------------

char *models_expand(const char *typed, const char *home)
{
    if (typed[0] != '~' || !home || (typed[1] && typed[1] != '/')) return fe_copy_string(typed);
    fe_text path = {0};
    fe_text_printf(&path, "%s%s", home, typed + 1);
    return path.data;
}

typedef struct choice_search {
    path_choices *choices;
    const char *start; // what names must begin with
} choice_search;

static bool take_choice(void *user, const platform_entry *entry)
{
    choice_search *search = user;
    path_choices *choices = search->choices;
    bool hidden = entry->name[0] == '.' && search->start[0] != '.';
    bool wanted = entry->folder || ends_with(entry->name, ".gguf") || ends_with(entry->name, ".json");
    if (hidden || !wanted || strncmp(entry->name, search->start, strlen(search->start)) != 0) return true;
    if (choices->count == choices->capacity) {
        choices->capacity = choices->capacity ? choices->capacity * 2 : 16;
        choices->names = fe_reallocate(choices->names, choices->capacity, sizeof *choices->names);
    }
    fe_text name = {0};
    fe_text_printf(&name, "%s%s", entry->name, entry->folder ? "/" : "");
    choices->names[choices->count++] = name.data;
    return choices->count < CHOICE_LIMIT;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void models_complete(path_choices *choices, const char *typed, const char *home)
{
    models_choices_free(choices);
    const char *name = strcmp(typed, "~") == 0 ? typed + 1 : platform_file_name(typed);
    fe_text_append(&choices->folder, typed, (size_t)(name - typed));
    if (strcmp(typed, "~") == 0) fe_text_add(&choices->folder, "/");
    char *folder = models_expand(fe_text_string(&choices->folder), home);
    platform_list(folder[0] ? folder : ".", take_choice, &(choice_search){choices, name});
    free(folder);
    if (choices->count) qsort(choices->names, choices->count, sizeof *choices->names, by_text);
    size_t same = choices->count ? strlen(choices->names[0]) : 0;
    for (uint32_t i = 1; i < choices->count; i++)
        for (size_t k = 0; k < same; k++)
            if (choices->names[i][k] != choices->names[0][k]) same = k;
    while (same && choices->count && ((unsigned char)choices->names[0][same] & 0xC0) == 0x80)
        same--; // whole characters
    fe_text_add(&choices->common, fe_text_string(&choices->folder));
    if (choices->count) {
        fe_text_append(&choices->common, choices->names[0], same);
    } else {
        fe_text_add(&choices->common, name);
    }
}

void models_choices_free(path_choices *choices)
{
    for (uint32_t i = 0; i < choices->count; i++)
        free(choices->names[i]);
    free(choices->names);
    fe_text_free(&choices->folder);
    fe_text_free(&choices->common);
    *choices = (path_choices){0};
}
