// Weights on their way to the device: planned, allocated in a few large buffers, uploaded piece by piece.
//
//   sx_weights_add_*      plan: says what goes where; nothing is read or allocated on the device yet
//   sx_weights_bytes      what the plan needs, for the memory estimate
//   sx_weights_allocate   makes the buffers and fills in every planned matrix and binding
//   sx_weights_upload     reads, packs and writes a bounded part; call until SX_OK
//
// Host memory: one band of rows at a time (a few MiB), never a second copy of the file.
#ifndef SX_GRAPH_WEIGHTS_H
#define SX_GRAPH_WEIGHTS_H

#include "graph/ops.h"
#include "model/tensor.h"

enum { SX_WEIGHTS_MAX_BUFFERS = 256 };

typedef struct sx_weights {
    sx_gpu *gpu;
    struct sx_weights_item *items; // in the order they were added
    uint32_t item_count, item_capacity;
    uint32_t buffer_count;
    sx_gpu_buffer *buffers[SX_WEIGHTS_MAX_BUFFERS];
    uint64_t bytes;      // planned, with padding
    uint64_t bytes_done; // uploaded
    uint32_t next_item;  // upload position
    uint64_t next_row;
    sx_tensor_scratch scratch;
    uint32_t *staging; // packed tiles on their way
    size_t staging_words;
} sx_weights;

void sx_weights_init(sx_weights *weights, sx_gpu *gpu);

// One matrix of the tensors' rows, one tensor behind another ([count] of the same columns): they are packed in
// `format`, requantised where a tensor's own differs (sx_can_quantize). The tensors' references are copied, what they
// point into must stay readable until the upload is done. `*out` is filled by sx_weights_allocate and must stay in
// place until then. With more than one tensor, all but the last have a multiple of 32 rows or are packed row by row.
sx_status sx_weights_add_matrix(sx_weights *weights, const sx_tensor_ref *const *tensors, uint32_t count,
                                sx_format format, sx_matrix *out, sx_error *error);
// The tensors' values as float32, one behind another. Absent tensors (sx_tensor_exists) are left out; when all are
// absent `*out` becomes a binding of size 0. `add` (usually 0) is added to every value.
sx_status sx_weights_add_vector(sx_weights *weights, const sx_tensor_ref *const *tensors, uint32_t count, float add,
                                sx_gpu_binding *out, sx_error *error);
// Plain bytes (a multiple of 4), copied now.
sx_status sx_weights_add_data(sx_weights *weights, const void *data, uint64_t size, sx_gpu_binding *out,
                              sx_error *error);

uint64_t sx_weights_bytes(const sx_weights *weights);
sx_status sx_weights_allocate(sx_weights *weights, sx_error *error);
// Uploads about `budget` bytes and returns SX_PENDING, or SX_OK when everything is on the device.
sx_status sx_weights_upload(sx_weights *weights, uint64_t budget, sx_error *error);
void sx_weights_destroy(sx_weights *weights); // a zeroed struct is allowed

#endif
