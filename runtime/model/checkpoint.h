// PyTorch checkpoints: tensor tables of safetensors files and of `pytorch_model.bin`. Only the tables are read; tensor
// data stays in the file. Untrusted throughout: a pickle is interpreted by a reader that knows the few opcodes and
// names that a dictionary of tensors needs and refuses every other, so nothing in a file is ever run.
#ifndef SX_MODEL_CHECKPOINT_H
#define SX_MODEL_CHECKPOINT_H

#include "base/arena.h"
#include "model/lookup.h"

#define SX_MAX_METADATA ((uint64_t)16 << 20) // bytes of a header, pickle or JSON file

typedef struct sx_entry_list {
    sx_tensor_entry *entries; // malloc'ed
    size_t count, capacity;
} sx_entry_list;

// False when out of memory.
bool sx_entry_list_add(sx_entry_list *list, const sx_tensor_entry *entry);

// Append the file's tensors; names live in the arena. On failure the list keeps what it had got so far.
sx_status sx_safetensors_read(const sx_source *source, sx_arena *arena, sx_entry_list *list, sx_error *error);
sx_status sx_torch_read(const sx_source *source, sx_arena *arena, sx_entry_list *list, sx_error *error);

// A whole file of at most SX_MAX_METADATA bytes, terminated, in the arena.
sx_status sx_read_metadata(const sx_source *source, uint64_t offset, uint64_t size, const char *what, sx_arena *arena,
                           char **out, sx_error *error);

// Element types by their bytes in the file. `dtype` is one of "F32", "F16", "BF16", "I64", "I32", "U8", or a name
// of no format of ours. Fills format, supported and format_name.
void sx_entry_set_dtype(sx_tensor_entry *entry, const char *dtype);

// A stored (uncompressed) member of a zip archive; used by sx_torch_read and its tests.
typedef struct sx_zip_member {
    const char *name;
    uint64_t offset, size; // of its bytes in the file
} sx_zip_member;
sx_status sx_zip_read(const sx_source *source, sx_arena *arena, sx_zip_member **members, size_t *count,
                      sx_error *error);

// What a pickle says about one tensor. Sizes are the file's, unchecked but for overflow.
typedef struct sx_pickled_tensor {
    const char *name;
    const char *dtype;             // as for sx_entry_set_dtype
    const char *key;               // of the storage
    uint64_t storage_count, first; // elements
    uint32_t width;                // bytes of an element
    uint32_t dimension_count;      // 0..4
    uint64_t dimensions[4];        // in PyTorch's order, outermost first
} sx_pickled_tensor;
sx_status sx_pickle_read(const uint8_t *data, size_t size, const char *where, sx_arena *arena,
                         sx_pickled_tensor **tensors, size_t *count, sx_error *error);

#endif
