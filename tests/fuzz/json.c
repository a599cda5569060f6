// JSON by itself, and as a draft's configuration.
#include "model/json.h"
#include "model/draft_parts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_arena arena = {0};
    const sx_json *root;
    sx_error error;
    sx_draft_config config;
    if (sx_json_parse((const char *)data, size, "fuzz", &arena, &root, &error) == SX_OK)
        sx_draft_read_config(root, "fuzz", &config, &error);
    sx_arena_free(&arena);
    return 0;
}
