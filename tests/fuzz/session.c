// A saved session's file, for a session like the one that session_seed.py writes.
#include "session_seed.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const sx_source source = sx_source_memory("fuzz.session", data, size);
    sx_session_file file;
    sx_error error;
    if (sx_session_file_read(&source, &session_seed_wanted, &file, &error) != SX_OK) return 0;
    sx_session_file_check(&file, &error);
    sx_session_file_free(&file);
    return 0;
}
