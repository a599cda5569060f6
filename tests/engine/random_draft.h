// An EAGLE-3 draft of random weights for a target at hand, as a GGUF file: what it proposes is never right except by
// chance, so speculation with it must cost speed only, never change a token.
#ifndef TEST_RANDOM_DRAFT_H
#define TEST_RANDOM_DRAFT_H

#include <stdint.h>

// Writes `path` for the target in the GGUF file `target_path`; ends the test program with a message on failure. The
// same seed gives the same file.
void random_draft_write(const char *target_path, const char *path, uint32_t seed);

#endif
