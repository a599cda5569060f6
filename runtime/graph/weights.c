#include "graph/weights.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { TILE_ROWS = 32 };

static const uint64_t BUFFER_LIMIT = 512u << 20; // a larger one is harder to find on a device in use
static const uint64_t BAND_BYTES = 2u << 20;     // packed at a time: bounds the host memory

typedef enum item_kind { ITEM_MATRIX, ITEM_VECTOR, ITEM_DATA } item_kind;

typedef struct sx_weights_item {
    item_kind kind;
    sx_tensor_ref *tensors; // owned array
    uint32_t tensor_count;
    sx_matrix matrix;      // pieces are set by allocate
    sx_matrix *matrix_out; // matrices
    sx_gpu_binding *out;   // vectors and data
    void *data;            // data: owned copy
    uint64_t size;         // bytes of a vector or of data
    float add;
} item;

void sx_weights_init(sx_weights *weights, sx_gpu *gpu)
{
    memset(weights, 0, sizeof *weights);
    weights->gpu = gpu;
}

static uint64_t align(uint64_t bytes)
{
    const uint64_t mask = SX_GPU_OFFSET_ALIGNMENT - 1;
    return (bytes + mask) & ~mask;
}

static uint64_t binding_limit(const sx_weights *weights)
{
    const sx_gpu_info *info = sx_gpu_get_info(weights->gpu);
    return info->max_binding_size < info->max_buffer_size ? info->max_binding_size : info->max_buffer_size;
}

// The status of an add_item that gave NULL, also for callers without an sx_error.
static sx_status failed(const sx_error *error)
{
    return error && error->status != SX_OK ? error->status : SX_ERROR_MEMORY;
}

static item *add_item(sx_weights *weights, item_kind kind, const sx_tensor_ref *const *tensors, uint32_t count,
                      sx_error *error)
{
    if (weights->item_count == weights->item_capacity) {
        const uint32_t capacity = weights->item_capacity ? 2 * weights->item_capacity : 64;
        item *grown = realloc(weights->items, capacity * sizeof *grown);
        if (!grown) {
            sx_fail(error, SX_ERROR_MEMORY, "out of memory for the list of weights");
            return NULL;
        }
        weights->items = grown;
        weights->item_capacity = capacity;
    }
    item *added = &weights->items[weights->item_count];
    *added = (item){.kind = kind, .tensors = calloc(count ? count : 1, sizeof *added->tensors)};
    if (!added->tensors) {
        sx_fail(error, SX_ERROR_MEMORY, "out of memory for the list of weights");
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!sx_tensor_exists(tensors[i])) continue;
        sx_tensor_ref flat = *tensors[i]; // a stack of matrices is the rows of all
        if ((uint64_t)flat.rows * flat.slices > INT32_MAX) {
            sx_fail(error, SX_ERROR_FORMAT, "%s: tensor %s has more than %d rows", flat.source->name, flat.name,
                    INT32_MAX);
            return NULL;
        }
        flat.rows *= flat.slices;
        flat.slices = 1;
        added->tensors[added->tensor_count++] = flat;
    }
    weights->item_count++;
    return added;
}

static sx_status check_tensor(const sx_tensor_ref *tensor, sx_format format, uint32_t columns, sx_error *error)
{
    const sx_format_info *info = sx_format_get(format);
    if (tensor->columns != columns)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: tensor %s has %u columns where its neighbours have %u",
                       tensor->source->name, tensor->name, tensor->columns, columns);
    if (columns % 4) // the kernels load four activations at a time
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: tensor %s has rows of %u weights, no multiple of 4",
                       tensor->source->name, tensor->name, columns);
    if (tensor->format == format) return SX_OK;
    if (!sx_can_quantize(format))
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: tensor %s is %s and cannot be made %s", tensor->source->name,
                       tensor->name, sx_format_get(tensor->format)->name, info->name);
    if (columns % info->block)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "%s: tensor %s: rows of %u weights cannot be %s, which has blocks of %u", tensor->source->name,
                       tensor->name, columns, info->name, info->block);
    return SX_OK;
}

// Sets matrix->piece_rows and piece_count so that each piece fits a binding.
static sx_status cut_matrix(const sx_weights *weights, const char *name, sx_matrix *matrix, sx_error *error)
{
    const uint64_t tile = 4 * sx_tile_words((sx_format)matrix->format, TILE_ROWS, matrix->columns);
    const uint64_t tiles = (matrix->rows + TILE_ROWS - 1) / TILE_ROWS, fitting = binding_limit(weights) / tile;
    const uint64_t pieces = fitting ? (tiles + fitting - 1) / fitting : UINT64_MAX;
    if (pieces > SX_MATRIX_MAX_PIECES)
        return sx_fail(error, SX_ERROR_UNSUPPORTED,
                       "tensor %s has %llu MiB, more than this device can bind (%d pieces of %llu MiB); use a smaller "
                       "quantisation or another device",
                       name, (unsigned long long)(tiles * tile >> 20), SX_MATRIX_MAX_PIECES,
                       (unsigned long long)(binding_limit(weights) >> 20));
    matrix->piece_count = (uint32_t)pieces;
    matrix->piece_rows = (uint32_t)(fitting < tiles ? fitting : tiles) * TILE_ROWS;
    return SX_OK;
}

static uint32_t rows_of_piece(const sx_matrix *matrix, uint32_t piece)
{
    const uint32_t first = piece * matrix->piece_rows;
    return matrix->rows - first < matrix->piece_rows ? matrix->rows - first : matrix->piece_rows;
}

static uint64_t bytes_of_piece(const sx_matrix *matrix, uint32_t piece)
{
    return 4 * sx_tile_words((sx_format)matrix->format, rows_of_piece(matrix, piece), matrix->columns);
}

sx_status sx_weights_add_matrix(sx_weights *weights, const sx_tensor_ref *const *tensors, uint32_t count,
                                sx_format format, sx_matrix *out, sx_error *error)
{
    assert(count >= 1 && format < SX_FORMAT_COUNT);
    item *added = add_item(weights, ITEM_MATRIX, tensors, count, error);
    if (!added) return failed(error);
    assert(added->tensor_count == count);
    uint64_t rows = 0;
    for (uint32_t i = 0; i < count; i++) {
        const sx_status status = check_tensor(&added->tensors[i], format, added->tensors[0].columns, error);
        if (status != SX_OK) return status;
        rows += added->tensors[i].rows;
    }
    if (rows == 0 || rows > INT32_MAX)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: tensor %s has %llu rows", added->tensors[0].source->name,
                       added->tensors[0].name, (unsigned long long)rows);
    added->matrix = (sx_matrix){.format = format, .rows = (uint32_t)rows, .columns = added->tensors[0].columns};
    added->matrix_out = out;
    const sx_status status = cut_matrix(weights, added->tensors[0].name, &added->matrix, error);
    if (status != SX_OK) return status;
    for (uint32_t piece = 0; piece < added->matrix.piece_count; piece++)
        weights->bytes += align(bytes_of_piece(&added->matrix, piece));
    return SX_OK;
}

static sx_status set_size(sx_weights *weights, item *added, uint64_t size, sx_gpu_binding *out, sx_error *error)
{
    added->out = out;
    added->size = size;
    weights->bytes += align(size);
    if (size <= binding_limit(weights)) return SX_OK;
    return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s has %llu MiB, more than this device can bind",
                   added->tensor_count ? added->tensors[0].name : "a table", (unsigned long long)(size >> 20));
}

sx_status sx_weights_add_vector(sx_weights *weights, const sx_tensor_ref *const *tensors, uint32_t count, float add,
                                sx_gpu_binding *out, sx_error *error)
{
    item *added = add_item(weights, ITEM_VECTOR, tensors, count, error);
    if (!added) return failed(error);
    uint64_t values = 0;
    for (uint32_t i = 0; i < added->tensor_count; i++)
        values += (uint64_t)added->tensors[i].rows * added->tensors[i].columns;
    added->add = add;
    return set_size(weights, added, 4 * values, out, error);
}

sx_status sx_weights_add_data(sx_weights *weights, const void *data, uint64_t size, sx_gpu_binding *out,
                              sx_error *error)
{
    assert(size % 4 == 0);
    item *added = add_item(weights, ITEM_DATA, NULL, 0, error);
    if (!added) return failed(error);
    added->data = malloc(size ? (size_t)size : 1);
    if (!added->data) return sx_fail(error, SX_ERROR_MEMORY, "out of memory for a table of the model");
    if (size) memcpy(added->data, data, (size_t)size);
    return set_size(weights, added, size, out, error);
}

uint64_t sx_weights_bytes(const sx_weights *weights)
{
    return weights->bytes;
}

// ---- Allocation -----------------------------------------------------------------------------------------------------

// Buffers being filled with places; `sizes` has what each must hold.
typedef struct layout {
    uint64_t limit;
    uint32_t count;
    uint64_t sizes[SX_WEIGHTS_MAX_BUFFERS];
} layout;

// Gives `size` bytes a place: its buffer's number goes to *buffer. False when there are too many buffers.
static bool place(layout *l, uint64_t size, uint32_t *buffer, sx_gpu_binding *binding)
{
    if (!l->count || l->sizes[l->count - 1] + size > l->limit) {
        if (l->count == SX_WEIGHTS_MAX_BUFFERS) return false;
        l->sizes[l->count++] = 0;
    }
    *buffer = l->count - 1;
    *binding = (sx_gpu_binding){.offset = l->sizes[*buffer], .size = size};
    l->sizes[*buffer] = align(l->sizes[*buffer] + size);
    return true;
}

typedef bool (*piece_visitor)(void *user, uint64_t size, sx_gpu_binding *binding);

// Calls `visit` for everything that needs a place, in order; false when it does.
static bool each_piece(sx_weights *weights, piece_visitor visit, void *user)
{
    for (uint32_t i = 0; i < weights->item_count; i++) {
        item *it = &weights->items[i];
        if (it->kind != ITEM_MATRIX) {
            *it->out = (sx_gpu_binding){0};
            if (it->size && !visit(user, it->size, it->out)) return false;
            continue;
        }
        for (uint32_t piece = 0; piece < it->matrix.piece_count; piece++)
            if (!visit(user, bytes_of_piece(&it->matrix, piece), &it->matrix.piece[piece])) return false;
        *it->matrix_out = it->matrix;
    }
    return true;
}

static bool visit_size(void *user, uint64_t size, sx_gpu_binding *binding)
{
    uint32_t buffer;
    return place(user, size, &buffer, binding);
}

typedef struct binder {
    layout places;
    sx_gpu_buffer **buffers;
} binder;

static bool visit_bind(void *user, uint64_t size, sx_gpu_binding *binding)
{
    binder *b = user;
    uint32_t buffer;
    if (!place(&b->places, size, &buffer, binding)) return false;
    binding->buffer = b->buffers[buffer];
    return true;
}

sx_status sx_weights_allocate(sx_weights *weights, sx_error *error)
{
    const uint64_t largest = sx_gpu_get_info(weights->gpu)->max_buffer_size;
    layout places = {.limit = largest < BUFFER_LIMIT ? largest : BUFFER_LIMIT};
    if (binding_limit(weights) > places.limit) places.limit = binding_limit(weights); // a piece may need as much
    if (places.limit > largest) places.limit = largest;
    if (!each_piece(weights, visit_size, &places))
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "the weights need more than %d buffers of %llu MiB",
                       SX_WEIGHTS_MAX_BUFFERS, (unsigned long long)(places.limit >> 20));
    for (uint32_t i = 0; i < places.count; i++) {
        const sx_status status =
            sx_gpu_buffer_create(weights->gpu, places.sizes[i], SX_GPU_STORAGE, "weights", &weights->buffers[i], error);
        if (status != SX_OK) return status; // what exists is freed by destroy
        weights->buffer_count = i + 1;
    }
    binder binds = {.places = {.limit = places.limit}, .buffers = weights->buffers};
    const bool placed = each_piece(weights, visit_bind, &binds);
    assert(placed);
    (void)placed;
    return SX_OK;
}

// ---- Upload ---------------------------------------------------------------------------------------------------------

static sx_status grow_staging(sx_weights *weights, size_t words, sx_error *error)
{
    if (weights->staging_words >= words) return SX_OK;
    free(weights->staging);
    weights->staging = malloc(words * sizeof *weights->staging);
    weights->staging_words = weights->staging ? words : 0;
    return weights->staging ? SX_OK : sx_fail(error, SX_ERROR_MEMORY, "out of memory while loading weights");
}

// The tensor that holds row `row` of the matrix; *first is its first row there.
static const sx_tensor_ref *tensor_of_row(const item *it, uint64_t row, uint64_t *first)
{
    *first = 0;
    for (uint32_t i = 0; i < it->tensor_count; i++) {
        if (row < *first + it->tensors[i].rows) return &it->tensors[i];
        *first += it->tensors[i].rows;
    }
    assert(!"a row of the matrix");
    return NULL;
}

// A tile whose rows come from more than one tensor, gathered row by row.
static sx_status pack_mixed_tile(sx_weights *weights, const item *it, uint64_t row, uint32_t count, sx_error *error)
{
    const sx_format format = (sx_format)it->matrix.format;
    const uint32_t columns = it->matrix.columns;
    const size_t row_bytes = (size_t)sx_format_row_bytes(format, columns);
    uint8_t *bytes = malloc(count * row_bytes);
    float *floats = malloc(columns * sizeof *floats);
    sx_status status = bytes && floats ? SX_OK : sx_fail(error, SX_ERROR_MEMORY, "out of memory while loading weights");
    for (uint32_t i = 0; i < count && status == SX_OK; i++) {
        uint64_t first;
        const sx_tensor_ref *tensor = tensor_of_row(it, row + i, &first);
        if (tensor->format == format) {
            status = sx_tensor_read(tensor, row + i - first, 1, bytes + i * row_bytes, error);
            continue;
        }
        status = sx_tensor_read_floats(tensor, row + i - first, 1, floats, error);
        if (status == SX_OK) sx_quantize_row(format, floats, bytes + i * row_bytes, columns);
    }
    if (status == SX_OK) sx_tile_pack(format, bytes, count, columns, weights->staging);
    free(bytes);
    free(floats);
    return status;
}

// Rows of the next band: whole tiles of one tensor in one piece, or one tile where tensors meet.
static uint32_t band_rows(const item *it, uint64_t row)
{
    const sx_matrix *matrix = &it->matrix;
    const uint64_t tile = 4 * sx_tile_words((sx_format)matrix->format, TILE_ROWS, matrix->columns);
    const uint64_t wanted = (BAND_BYTES / tile ? BAND_BYTES / tile : 1) * TILE_ROWS;
    uint64_t first;
    const sx_tensor_ref *tensor = tensor_of_row(it, row, &first);
    const uint64_t in_tensor = first + tensor->rows - row;
    const uint64_t in_piece = matrix->piece_rows - row % matrix->piece_rows, in_matrix = matrix->rows - row;
    uint64_t rows = in_tensor < in_matrix ? in_tensor / TILE_ROWS * TILE_ROWS : in_tensor;
    if (rows == 0) rows = TILE_ROWS;
    if (rows > wanted) rows = wanted;
    if (rows > in_piece) rows = in_piece;
    return (uint32_t)(rows < in_matrix ? rows : in_matrix);
}

static sx_status upload_band(sx_weights *weights, const item *it, uint64_t *bytes, sx_error *error)
{
    const sx_matrix *matrix = &it->matrix;
    const sx_format format = (sx_format)matrix->format;
    const uint64_t row = weights->next_row;
    const uint32_t count = band_rows(it, row);
    const uint64_t words = sx_tile_words(format, count, matrix->columns);
    uint64_t first;
    const sx_tensor_ref *tensor = tensor_of_row(it, row, &first);
    sx_status status = grow_staging(weights, (size_t)words, error);
    if (status == SX_OK && row + count <= first + tensor->rows) {
        const sx_tensor_ref band = sx_tensor_rows(tensor, (uint32_t)(row - first), count);
        status = sx_tensor_pack(&band, 0, 0, count, format, &weights->scratch, weights->staging, error);
    } else if (status == SX_OK) {
        status = pack_mixed_tile(weights, it, row, count, error);
    }
    if (status != SX_OK) return status;
    const sx_gpu_binding *piece = &matrix->piece[row / matrix->piece_rows];
    const uint64_t before = sx_tile_words(format, row % matrix->piece_rows, matrix->columns);
    *bytes = 4 * words;
    weights->next_row = row + count;
    return sx_gpu_write(weights->gpu, piece->buffer, piece->offset + 4 * before, weights->staging, *bytes, error);
}

static sx_status upload_vector(sx_weights *weights, const item *it, sx_error *error)
{
    const size_t count = (size_t)(it->size / 4);
    float *values = malloc(it->size ? (size_t)it->size : 1);
    sx_status status = values ? SX_OK : sx_fail(error, SX_ERROR_MEMORY, "out of memory while loading weights");
    size_t at = 0;
    for (uint32_t i = 0; i < it->tensor_count && status == SX_OK; i++) {
        const sx_tensor_ref *tensor = &it->tensors[i];
        status = sx_tensor_read_floats(tensor, 0, tensor->rows, values + at, error);
        at += (size_t)tensor->rows * tensor->columns;
    }
    for (size_t i = 0; i < count && status == SX_OK && it->add != 0; i++)
        values[i] += it->add;
    if (status == SX_OK) status = sx_gpu_write(weights->gpu, it->out->buffer, it->out->offset, values, it->size, error);
    free(values);
    return status;
}

// One step of the item at the upload position, which moves on when the item is done.
static sx_status upload_some(sx_weights *weights, uint64_t *bytes, sx_error *error)
{
    const item *it = &weights->items[weights->next_item];
    sx_status status = SX_OK;
    *bytes = it->size;
    if (it->kind == ITEM_MATRIX)
        status = upload_band(weights, it, bytes, error);
    else if (it->size && it->kind == ITEM_VECTOR)
        status = upload_vector(weights, it, error);
    else if (it->size)
        status = sx_gpu_write(weights->gpu, it->out->buffer, it->out->offset, it->data, it->size, error);
    if (it->kind != ITEM_MATRIX || weights->next_row == it->matrix.rows) {
        weights->next_item++;
        weights->next_row = 0;
    }
    return status;
}

sx_status sx_weights_upload(sx_weights *weights, uint64_t budget, sx_error *error)
{
    uint64_t spent = 0;
    while (weights->next_item < weights->item_count) {
        if (spent >= budget && spent > 0) return SX_PENDING;
        uint64_t bytes = 0;
        const sx_status status = upload_some(weights, &bytes, error);
        if (status != SX_OK) return status;
        spent += bytes;
        weights->bytes_done += bytes;
    }
    weights->bytes_done = weights->bytes;
    free(weights->staging);
    weights->staging = NULL;
    weights->staging_words = 0;
    sx_tensor_scratch_free(&weights->scratch);
    return SX_OK;
}

void sx_weights_destroy(sx_weights *weights)
{
    for (uint32_t i = 0; i < weights->buffer_count; i++)
        sx_gpu_buffer_destroy(weights->gpu, weights->buffers[i]);
    for (uint32_t i = 0; i < weights->item_count; i++) {
        free(weights->items[i].tensors);
        free(weights->items[i].data);
    }
    free(weights->items);
    free(weights->staging);
    sx_tensor_scratch_free(&weights->scratch);
    memset(weights, 0, sizeof *weights);
}
