// Model files on this machine: GGUFs in the folders people and other tools keep them in. Only read, never changed.
#ifndef CHAT_MODELS_H
#define CHAT_MODELS_H

#include "specexit.h"
#include "text.h"

typedef struct model_file {
    char *path;
    uint64_t bytes;
    bool estimated;
    sx_memory_estimate memory; // weight_bytes 0: it cannot be told
} model_file;

typedef struct model_list {
    model_file *files; // drafts and later parts of split files left out; by name
    unsigned count, capacity;
} model_list;

void models_find(model_list *list, const char *home); // replaces what was there; `home` may be NULL
void models_take(model_list *list, const char *path, const sx_memory_estimate *memory);
// "fits, up to 32768 tokens", "fits with 2048 tokens", "too large for this GPU"; "" where nothing is known.
void models_fit_text(const sx_memory_estimate *memory, char *text, size_t size);
void models_free(model_list *list);

#endif
