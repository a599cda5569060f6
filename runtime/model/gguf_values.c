// Typed access to a GGUF file's metadata.
#include "model/gguf.h"

#include <assert.h>
#include <string.h>

static const char *type_name(sx_gguf_type type)
{
    static const char *const names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                        "bool", "string", "array", "u64", "i64", "f64"};
    return (size_t)type < sizeof names / sizeof *names ? names[type] : "?";
}

static bool is_integer(sx_gguf_type type)
{
    return type <= SX_GGUF_I32 || type == SX_GGUF_U64 || type == SX_GGUF_I64;
}

static bool is_float(sx_gguf_type type)
{
    return type == SX_GGUF_F32 || type == SX_GGUF_F64;
}

static sx_status missing(const sx_gguf *gguf, const char *key, sx_error *error)
{
    return sx_fail(error, SX_ERROR_FORMAT, "%s: key %s is missing", sx_gguf_source(gguf)->name, key);
}

static sx_status wrong_type(const sx_gguf *gguf, const sx_gguf_value *value, const char *key, const char *wanted,
                            sx_error *error)
{
    return sx_fail(error, SX_ERROR_FORMAT, "%s: key %s: is %s%s where %s is wanted", sx_gguf_source(gguf)->name, key,
                   value->type == SX_GGUF_ARRAY ? "an array of " : "", type_name(value->element_type), wanted);
}

sx_gguf_string sx_gguf_string_at(const sx_gguf_value *value, uint64_t index)
{
    assert(value->element_type == SX_GGUF_STRING && index < value->count);
    return ((const sx_gguf_string *)value->data)[index];
}

int64_t sx_gguf_integer_at(const sx_gguf_value *value, uint64_t index)
{
    assert(index < value->count);
    const uint8_t *bytes = value->data;
    switch (value->element_type) {
    case SX_GGUF_U8:
    case SX_GGUF_BOOL:
        return bytes[index];
    case SX_GGUF_I8:
        return (int8_t)bytes[index];
    case SX_GGUF_U16:
        return ((const uint16_t *)value->data)[index];
    case SX_GGUF_I16:
        return ((const int16_t *)value->data)[index];
    case SX_GGUF_U32:
        return ((const uint32_t *)value->data)[index];
    case SX_GGUF_I32:
        return ((const int32_t *)value->data)[index];
    case SX_GGUF_U64:
    case SX_GGUF_I64:
        return ((const int64_t *)value->data)[index];
    default:
        assert(!"an integer value");
        return 0;
    }
}

double sx_gguf_number_at(const sx_gguf_value *value, uint64_t index)
{
    assert(index < value->count);
    if (value->element_type == SX_GGUF_F32) return ((const float *)value->data)[index];
    if (value->element_type == SX_GGUF_F64) return ((const double *)value->data)[index];
    if (value->element_type == SX_GGUF_U64) return (double)((const uint64_t *)value->data)[index];
    return (double)sx_gguf_integer_at(value, index);
}

sx_status sx_gguf_get_u64(const sx_gguf *gguf, const char *key, bool required, uint64_t *out, sx_error *error)
{
    const sx_gguf_value *value = sx_gguf_find(gguf, key);
    if (!value) return required ? missing(gguf, key, error) : SX_OK;
    if (!is_integer(value->type)) return wrong_type(gguf, value, key, "an integer", error);
    const int64_t number = sx_gguf_integer_at(value, 0);
    if (number < 0 && value->type != SX_GGUF_U64)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: key %s: %lld is negative", sx_gguf_source(gguf)->name, key,
                       (long long)number);
    *out = (uint64_t)number;
    return SX_OK;
}

sx_status sx_gguf_get_u32(const sx_gguf *gguf, const char *key, bool required, uint32_t *out, sx_error *error)
{
    uint64_t number = *out;
    const sx_status status = sx_gguf_get_u64(gguf, key, required, &number, error);
    if (status != SX_OK) return status;
    if (number > UINT32_MAX)
        return sx_fail(error, SX_ERROR_FORMAT, "%s: key %s: %llu is too large", sx_gguf_source(gguf)->name, key,
                       (unsigned long long)number);
    *out = (uint32_t)number;
    return SX_OK;
}

sx_status sx_gguf_get_f32(const sx_gguf *gguf, const char *key, bool required, float *out, sx_error *error)
{
    const sx_gguf_value *value = sx_gguf_find(gguf, key);
    if (!value) return required ? missing(gguf, key, error) : SX_OK;
    if (!is_float(value->type)) return wrong_type(gguf, value, key, "a number with a point", error);
    *out = (float)sx_gguf_number_at(value, 0);
    return SX_OK;
}

sx_status sx_gguf_get_bool(const sx_gguf *gguf, const char *key, bool required, bool *out, sx_error *error)
{
    const sx_gguf_value *value = sx_gguf_find(gguf, key);
    if (!value) return required ? missing(gguf, key, error) : SX_OK;
    if (value->type != SX_GGUF_BOOL) return wrong_type(gguf, value, key, "a boolean", error);
    *out = sx_gguf_integer_at(value, 0) != 0;
    return SX_OK;
}

sx_status sx_gguf_get_string(const sx_gguf *gguf, const char *key, bool required, sx_gguf_string *out, sx_error *error)
{
    const sx_gguf_value *value = sx_gguf_find(gguf, key);
    if (!value) return required ? missing(gguf, key, error) : SX_OK;
    if (value->type != SX_GGUF_STRING) return wrong_type(gguf, value, key, "a string", error);
    *out = sx_gguf_string_at(value, 0);
    return SX_OK;
}

static sx_status get_array(const sx_gguf *gguf, const char *key, bool required, bool (*accepts)(sx_gguf_type),
                           const char *wanted, const sx_gguf_value **out, sx_error *error)
{
    *out = NULL;
    const sx_gguf_value *value = sx_gguf_find(gguf, key);
    if (!value) return required ? missing(gguf, key, error) : SX_OK;
    if (value->type != SX_GGUF_ARRAY || !accepts(value->element_type))
        return wrong_type(gguf, value, key, wanted, error);
    *out = value;
    return SX_OK;
}

static bool is_string(sx_gguf_type type)
{
    return type == SX_GGUF_STRING;
}

sx_status sx_gguf_get_strings(const sx_gguf *gguf, const char *key, bool required, const sx_gguf_value **out,
                              sx_error *error)
{
    return get_array(gguf, key, required, is_string, "an array of strings", out, error);
}

sx_status sx_gguf_get_integers(const sx_gguf *gguf, const char *key, bool required, const sx_gguf_value **out,
                               sx_error *error)
{
    return get_array(gguf, key, required, is_integer, "an array of integers", out, error);
}

sx_status sx_gguf_get_floats(const sx_gguf *gguf, const char *key, bool required, const sx_gguf_value **out,
                             sx_error *error)
{
    return get_array(gguf, key, required, is_float, "an array of numbers", out, error);
}
