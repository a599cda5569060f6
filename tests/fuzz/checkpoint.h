// What the fuzz entries of the checkpoint formats share: a file is read, and what is accepted must lie inside it.
#ifndef TESTS_FUZZ_CHECKPOINT_H
#define TESTS_FUZZ_CHECKPOINT_H

#include "model/checkpoint.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef sx_status fuzz_checkpoint_reader(const sx_source *source, sx_arena *arena, sx_entry_list *list,
                                         sx_error *error);

static int fuzz_checkpoint(fuzz_checkpoint_reader *read, const uint8_t *data, size_t size)
{
    const sx_source source = sx_source_memory("fuzz", data, size);
    sx_arena arena = {0};
    sx_entry_list list = {0};
    sx_error error;
    if (read(&source, &arena, &list, &error) == SX_OK)
        for (size_t i = 0; i < list.count; i++)
            if (list.entries[i].offset > size || list.entries[i].size > size - list.entries[i].offset) abort();
    free(list.entries);
    sx_arena_free(&arena);
    return 0;
}

#endif
