// Model files on this machine: GGUFs in the folders the user chose and in those other tools keep them in. Only read,
// never changed.
#ifndef CHAT_MODELS_H
#define CHAT_MODELS_H

#include "specexit.h"
#include "text.h"

typedef enum model_part { MODEL_DRAFT = 0, MODEL_SIGNALS, MODEL_PROFILE, MODEL_PART_COUNT } model_part;

typedef struct model_file {
    char *path;
    uint64_t bytes;
    uint32_t folder;              // of model_list.folders
    bool parts[MODEL_PART_COUNT]; // found beside it
    bool estimated;
    sx_memory_estimate memory; // weight_bytes 0: it cannot be told
} model_file;

typedef struct model_folder {
    char *path;
    bool chosen; // by the user, else the usual place of some tool
    bool found;  // it can be read
} model_folder;

typedef struct model_list {
    model_folder *folders; // those of the user, and those of the others that hold models
    uint32_t folder_count;
    model_file *files; // drafts, signal heads and later parts of split files left out; by folder, then by name
    uint32_t count, capacity;
} model_list;

// Replaces what was there. `chosen` are the user's folders, one a line; `home` may be NULL.
void models_find(model_list *list, const char *chosen, const char *home);
void models_take(model_list *list, const char *path, const sx_memory_estimate *memory);
void models_bytes_text(uint64_t bytes, char *text, size_t size); // "4.2 GB", "97 MB"
// "fits, up to 32768 tokens", "fits with 2048 tokens", "too large for this GPU"; "" where nothing is known.
void models_fit_text(const sx_memory_estimate *memory, char *text, size_t size);
void models_free(model_list *list);

// What belongs to a model and lies in its folder: named after it, or alone there with it; its name says what it is
// (draft or eagle, signal: GGUF; profile: JSON). NULL: none.
char *models_beside(const char *path, model_part part);
model_part models_part_of(const char *path); // by its name; MODEL_PART_COUNT: none of them

// What a path that is being typed could become.
typedef struct path_choices {
    char **names; // in its folder, folders with a separator behind them; sorted
    uint32_t count, capacity;
    fe_text folder; // the path's folder, as it was typed
    fe_text common; // the path with what all choices have in common
} path_choices;
// Folders, models (GGUF) and conversations (JSON). `~` stands for `home`, which may be NULL.
void models_complete(path_choices *choices, const char *typed, const char *home);
void models_choices_free(path_choices *choices);
char *models_expand(const char *typed, const char *home); // `~` replaced; freed with free

#endif
