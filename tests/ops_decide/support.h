// What the tests of the deciding ops share, beside tests/ops/harness.h.
#ifndef TESTS_OPS_DECIDE_SUPPORT_H
#define TESTS_OPS_DECIDE_SUPPORT_H

#include "../ops/harness.h"

// Writes `words` words from the beginning of the buffer; the guard words behind its data stay.
void support_write(harness *h, sx_gpu_buffer *buffer, const void *data, size_t words);
// Ends the tape h->tape and hands it over, to be submitted as often as wanted with harness_submit.
sx_gpu_tape *support_finish(harness *h);
// Reads into `out` instead of new memory.
void support_read(harness *h, sx_gpu_buffer *buffer, void *out, size_t words);
// Fails, naming `what` and the first different word, unless `words` words are equal.
void support_same(const void *got, const void *want, size_t words, const char *what);

// Settings that filter, penalise and force nothing, for `vocabulary` tokens; greedy.
SxSettings support_settings(uint32_t vocabulary);
// Settings with their token flags behind them, as the device wants them: (sizeof(SxSettings) / 4 + flag words) words.
enum { SETTINGS_WORDS = sizeof(SxSettings) / 4, STATE_WORDS = sizeof(SxState) / 4, BATCH_WORDS = sizeof(SxBatch) / 4 };
static inline size_t support_flag_words(uint32_t vocabulary)
{
    return (vocabulary + 3) / 4;
}

#endif
