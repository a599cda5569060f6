#include "model/checkpoint.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const sx_source source = sx_source_memory("fuzz", data, size);
    sx_arena arena = {0};
    sx_entry_list list = {0};
    sx_error error;
    if (sx_torch_read(&source, &arena, &list, &error) == SX_OK)
        for (size_t i = 0; i < list.count; i++) // what is accepted must lie inside the file
            if (list.entries[i].offset > size || list.entries[i].size > size - list.entries[i].offset) abort();
    free(list.entries);
    sx_arena_free(&arena);
    return 0;
}
