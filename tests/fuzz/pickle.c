#include "model/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_arena arena = {0};
    sx_pickled_tensor *tensors;
    size_t count;
    sx_error error;
    sx_pickle_read(data, size, "fuzz", &arena, &tensors, &count, &error);
    sx_arena_free(&arena);
    return 0;
}
