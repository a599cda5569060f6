// The names of the choices that specexit.h offers, as they are given in options: one list for all front ends.
#ifndef FE_CHOICES_H
#define FE_CHOICES_H

#include "common/text.h"
#include "specexit.h"

// In the order of their enumeration, NULL-terminated.
extern const char *const fe_policy_names[];    // sx_policy_kind
extern const char *const fe_smoothing_names[]; // sx_smoothing, as sx_smoothing_name says them
extern const char *const fe_draft_names[];     // sx_draft_kind
extern const char *const fe_kv_names[];        // sx_kv_type
extern const char *const fe_precision_names[]; // sx_precision
extern const char *const fe_full_names[];      // sx_when_full
extern const char *const fe_signal_names[];    // bit by bit of SX_SIGNAL_HAS_*

// The index of the name that is the `length` bytes at `text`; false when there is none.
bool fe_choice_find(const char *const *names, const char *text, size_t length, uint32_t *index);
// Adds "auto, none or signals" with the word "or", for what is said of a wrong one.
void fe_choice_list(fe_text *out, const char *const *names, const char *word);

#endif
