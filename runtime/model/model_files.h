// A model as one or several GGUF files (`name-00001-of-00003.gguf`), looked up as one.
#ifndef SX_MODEL_FILES_H
#define SX_MODEL_FILES_H

#include "model/gguf.h"
#include "model/tensor.h"

typedef struct sx_model_files sx_model_files; // owns what it opened; immutable; may be read on any thread

// Opens `path` and, when it is a part of a split model, all its parts (any part may be named). Missing parts, parts of
// another model or in the wrong place, and tensors that appear twice are refused by name.
sx_status sx_model_files_open(const char *path, sx_model_files **out, sx_error *error);
// The same over sources the caller holds (a browser's storage, embedded data): all parts, in any order. Borrowed: the
// sources must outlive the result.
sx_status sx_model_files_from_sources(const sx_source *const *sources, size_t count, sx_model_files **out,
                                      sx_error *error);
void sx_model_files_close(sx_model_files *files); // NULL is allowed

// The file that holds the metadata (the first part).
const sx_gguf *sx_model_files_metadata(const sx_model_files *files);
const char *sx_model_files_name(const sx_model_files *files); // for messages
size_t sx_model_files_count(const sx_model_files *files);
uint64_t sx_model_files_bytes(const sx_model_files *files); // of all parts
uint64_t sx_model_files_tensor_count(const sx_model_files *files);
// Tensors of all parts; *source (may be NULL) is set to the part's source.
const sx_gguf_tensor *sx_model_files_tensor_at(const sx_model_files *files, uint64_t index, const sx_source **source);
// NULL when there is none.
const sx_gguf_tensor *sx_model_files_find(const sx_model_files *files, const char *name, const sx_source **source);

#endif
