// A saved session's file, for a session like the one that session_seed.py writes.
#include "engine/session_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const sx_session_wanted wanted = {.model = 1,
                                      .draft = 2,
                                      .layers = 2,
                                      .row_bytes = 8,
                                      .draft_layers = 1,
                                      .draft_row_bytes = 8,
                                      .vocabulary = 100,
                                      .context = 64,
                                      .signal_mask = 7};
    const sx_source source = sx_source_memory("fuzz.session", data, size);
    sx_session_file file;
    sx_error error;
    if (sx_session_file_read(&source, &wanted, &file, &error) != SX_OK) return 0;
    sx_session_file_check(&file, &error);
    sx_session_file_free(&file);
    return 0;
}
