// Model files on this machine: GGUFs in the folders people and other tools keep them in. Only read, never changed.
#ifndef CHAT_MODELS_H
#define CHAT_MODELS_H

#include "text.h"

typedef struct model_file {
    char *path;
    uint64_t bytes;
} model_file;

typedef struct model_list {
    model_file *files; // drafts and later parts of split files left out; by name
    unsigned count, capacity;
} model_list;

void models_find(model_list *list, const char *home); // replaces what was there; `home` may be NULL
void models_free(model_list *list);

#endif
