// GGUF files, versions 2 and 3, little endian. The parser trusts nothing: every length is checked against the file,
// keys and tensors may not repeat, arrays of arrays are refused. Messages name the file and the field.
#ifndef SX_MODEL_GGUF_H
#define SX_MODEL_GGUF_H

#include "base/file.h"
#include "model/quant.h"

typedef enum sx_gguf_type {
    SX_GGUF_U8 = 0,
    SX_GGUF_I8,
    SX_GGUF_U16,
    SX_GGUF_I16,
    SX_GGUF_U32,
    SX_GGUF_I32,
    SX_GGUF_F32,
    SX_GGUF_BOOL,
    SX_GGUF_STRING,
    SX_GGUF_ARRAY,
    SX_GGUF_U64,
    SX_GGUF_I64,
    SX_GGUF_F64
} sx_gguf_type;

typedef struct sx_gguf_string {
    const char *data; // terminated for convenience, but may hold zero bytes and invalid UTF-8
    size_t length;
} sx_gguf_string;

typedef struct sx_gguf_value {
    sx_gguf_string key;
    sx_gguf_type type;         // of the value, SX_GGUF_ARRAY for an array
    sx_gguf_type element_type; // of an array
    uint64_t count;            // elements of an array, else 1
    const void *data;          // strings: sx_gguf_string[count]; numbers: packed in the file's width. Use sx_gguf_*_at.
} sx_gguf_value;

typedef struct sx_gguf_tensor {
    sx_gguf_string name;
    uint32_t ggml_type;
    sx_format format; // meaningful only when `supported`
    bool supported;
    uint32_t dimension_count; // 1..4
    uint64_t dimensions[4];   // [0] is the row length (columns), unused ones are 1
    uint64_t offset;          // in the source
    uint64_t size;            // bytes; 0 when not supported
} sx_gguf_tensor;

typedef struct sx_gguf sx_gguf; // one parsed file; immutable, may be read on any thread

// Reads header, metadata and tensor table (not the tensors). `source` is borrowed and must outlive the result.
sx_status sx_gguf_open(const sx_source *source, sx_gguf **out, sx_error *error);
void sx_gguf_close(sx_gguf *gguf); // NULL is allowed

const sx_source *sx_gguf_source(const sx_gguf *gguf);
uint32_t sx_gguf_version(const sx_gguf *gguf);
uint64_t sx_gguf_value_count(const sx_gguf *gguf);
const sx_gguf_value *sx_gguf_value_at(const sx_gguf *gguf, uint64_t index);
uint64_t sx_gguf_tensor_count(const sx_gguf *gguf);
const sx_gguf_tensor *sx_gguf_tensor_at(const sx_gguf *gguf, uint64_t index);
// NULL when there is none.
const sx_gguf_value *sx_gguf_find(const sx_gguf *gguf, const char *key);
const sx_gguf_tensor *sx_gguf_find_tensor(const sx_gguf *gguf, const char *name);

// Typed access. The getters leave *out alone and succeed when the key is absent and `required` is false; they fail with
// SX_ERROR_FORMAT when it is absent but required, has another type, or does not fit (integers of any width are accepted
// for u32 and u64 when the value fits, F32 and F64 for f32).
sx_status sx_gguf_get_u32(const sx_gguf *gguf, const char *key, bool required, uint32_t *out, sx_error *error);
sx_status sx_gguf_get_u64(const sx_gguf *gguf, const char *key, bool required, uint64_t *out, sx_error *error);
sx_status sx_gguf_get_f32(const sx_gguf *gguf, const char *key, bool required, float *out, sx_error *error);
sx_status sx_gguf_get_bool(const sx_gguf *gguf, const char *key, bool required, bool *out, sx_error *error);
sx_status sx_gguf_get_string(const sx_gguf *gguf, const char *key, bool required, sx_gguf_string *out, sx_error *error);
// An array whose elements are strings / integers / floats: *out is NULL when absent and not required.
sx_status sx_gguf_get_strings(const sx_gguf *gguf, const char *key, bool required, const sx_gguf_value **out,
                              sx_error *error);
sx_status sx_gguf_get_integers(const sx_gguf *gguf, const char *key, bool required, const sx_gguf_value **out,
                               sx_error *error);
sx_status sx_gguf_get_floats(const sx_gguf *gguf, const char *key, bool required, const sx_gguf_value **out,
                             sx_error *error);

// Element `index` (< count) of an array or the value itself (index 0), whatever its width.
sx_gguf_string sx_gguf_string_at(const sx_gguf_value *value, uint64_t index); // type or element type STRING
int64_t sx_gguf_integer_at(const sx_gguf_value *value, uint64_t index);       // integer types and BOOL; U64 wraps
double sx_gguf_number_at(const sx_gguf_value *value, uint64_t index);         // any number

// For messages: unprintable bytes become '?', long names are cut. Returns `buffer`.
const char *sx_gguf_printable(sx_gguf_string text, char buffer[80]);

#endif
