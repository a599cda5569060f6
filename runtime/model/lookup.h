// Finding a model's tensors by name and shape, the same for every kind of file. Problems are collected, not reported
// one at a time, so that one message names everything that is wrong with a file.
#ifndef SX_MODEL_LOOKUP_H
#define SX_MODEL_LOOKUP_H

#include "model/model_files.h"

// One tensor as a file describes it.
typedef struct sx_tensor_entry {
    const char *name; // terminated, without zero bytes
    bool supported;   // false: `format_name` is no format of ours
    sx_format format;
    char format_name[20];
    uint32_t dimension_count; // 1..4
    uint64_t dimensions[4];   // [0] is the row length
    const sx_source *source;
    uint64_t offset, size;
    bool used; // set by the lookup
} sx_tensor_entry;

typedef struct sx_lookup {
    const char *where; // file or folder, for messages
    sx_tensor_entry *entries;
    size_t count;
    char problems[360];
    size_t problem_length;
    unsigned problem_count, problems_omitted;
} sx_lookup;

// All tensors of GGUF files. The entries are owned by the lookup, their names by the files.
sx_status sx_lookup_from_gguf(const sx_model_files *files, sx_lookup *out, sx_error *error);
// Sorts the entries by name and refuses names that appear twice; takes ownership of `entries` (malloc'ed) at once.
sx_status sx_lookup_from_entries(const char *where, sx_tensor_entry *entries, size_t count, sx_lookup *out,
                                 sx_error *error);
void sx_lookup_free(sx_lookup *lookup);

typedef enum sx_presence { SX_FORBIDDEN = 0, SX_OPTIONAL, SX_REQUIRED } sx_presence;

sx_tensor_entry *sx_lookup_find(sx_lookup *lookup, const char *name);
// The tensor of that name as [slices][rows, columns]; 0 for a size accepts any. A vector has rows 1. Absent, misshapen
// or unreadable ones become problems, but for absent optional ones, which leave *out zero; forbidden ones are left to
// sx_lookup_finish, which calls them extra. Returns true when *out was filled.
bool sx_lookup_stack(sx_lookup *lookup, sx_tensor_ref *out, sx_presence presence, uint64_t slices, uint64_t rows,
                     uint64_t columns, const char *name);
bool sx_lookup_matrix(sx_lookup *lookup, sx_tensor_ref *out, sx_presence presence, uint64_t rows, uint64_t columns,
                      const char *name);
bool sx_lookup_vector(sx_lookup *lookup, sx_tensor_ref *out, sx_presence presence, uint64_t length, const char *name);
// Adds a problem in words: "fc.weight is [3, 4], [5, 6] is wanted".
void sx_lookup_problem(sx_lookup *lookup, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A tensor that may be there and is not needed.
void sx_lookup_ignore(sx_lookup *lookup, const char *name);
// Fails with SX_ERROR_FORMAT when there were problems or tensors nobody asked for ("extra").
sx_status sx_lookup_finish(sx_lookup *lookup, sx_error *error);

#endif
