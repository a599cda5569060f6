// The session that fits the file session_seed.py writes.
#ifndef TESTS_FUZZ_SESSION_SEED_H
#define TESTS_FUZZ_SESSION_SEED_H

#include "engine/session_file.h"

static const sx_session_wanted session_seed_wanted = {.model = 1,
                                                      .draft = 2,
                                                      .layers = 2,
                                                      .row_bytes = 8,
                                                      .draft_layers = 1,
                                                      .draft_row_bytes = 8,
                                                      .vocabulary = 100,
                                                      .context = 64,
                                                      .signal_mask = 7};

#endif
