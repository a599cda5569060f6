// The pickle of a dictionary of tensors (protocol 2 to 4), interpreted without running anything: a small stack machine
// whose values are those a state dict is made of. Every other opcode or name is refused.
#include "model/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_STACK 65536
#define MAX_MEMO 1000000
#define MAX_DEPTH_VALUES (1u << 20) // values made in all

typedef enum value_kind {
    NONE,
    MARK,
    INTEGER,
    STRING,
    TUPLE,
    DICT,
    CALLABLE, // a name that REDUCE may call
    DTYPE,    // a storage class: `text` is the dtype, `number` its width
    STORAGE,
    TENSOR,
    OTHER // known to be harmless and without meaning here (booleans, floats, lists)
} value_kind;

typedef struct value {
    value_kind kind;
    int64_t number;
    const char *text;     // STRING, CALLABLE, DTYPE; STORAGE: its key
    struct value **items; // TUPLE: [count]; DICT: keys and values in turn
    size_t count, capacity;
    const struct value *dtype; // STORAGE
    sx_pickled_tensor *tensor; // TENSOR
} value;

typedef struct machine {
    const uint8_t *at, *end, *begin;
    const char *where;
    sx_arena *arena;
    sx_error *error;
    value **stack;
    size_t depth;
    value **memo; // grown as needed
    size_t memo_size, memo_next;
    uint32_t made;
} machine;

static sx_status refuse(machine *m, const char *what)
{
    return sx_fail(
        m->error, SX_ERROR_UNSUPPORTED,
        "%s: the pickle holds %s at byte %zu, which a file of tensors does not need; convert it to safetensors",
        m->where, what, (size_t)(m->at - m->begin));
}

static sx_status damaged(machine *m)
{
    return sx_fail(m->error, SX_ERROR_FORMAT, "%s: the pickle is damaged at byte %zu", m->where,
                   (size_t)(m->at - m->begin));
}

static sx_status out_of_memory(machine *m)
{
    return sx_fail(m->error, SX_ERROR_MEMORY, "%s: out of memory", m->where);
}

static value *make(machine *m, value_kind kind)
{
    if (++m->made > MAX_DEPTH_VALUES) return NULL;
    value *v = sx_arena_alloc(m->arena, sizeof *v);
    if (v) v->kind = kind;
    return v;
}

static sx_status push(machine *m, value *v)
{
    if (!v) return out_of_memory(m);
    if (m->depth >= MAX_STACK) return damaged(m);
    m->stack[m->depth++] = v;
    return SX_OK;
}

static sx_status push_new(machine *m, value_kind kind)
{
    return push(m, make(m, kind));
}

static sx_status push_integer(machine *m, int64_t number)
{
    value *v = make(m, INTEGER);
    if (v) v->number = number;
    return push(m, v);
}

// NULL when the stack is empty or a mark is on top.
static value *pop(machine *m)
{
    if (m->depth == 0 || m->stack[m->depth - 1]->kind == MARK) return NULL;
    return m->stack[--m->depth];
}

static bool read_bytes(machine *m, size_t size, const uint8_t **out)
{
    if ((size_t)(m->end - m->at) < size) return false;
    *out = m->at;
    m->at += size;
    return true;
}

// A little-endian number of `size` bytes.
static bool read_number(machine *m, size_t size, uint64_t *out)
{
    const uint8_t *bytes;
    if (!read_bytes(m, size, &bytes)) return false;
    *out = 0;
    for (size_t i = size; i-- > 0;)
        *out = *out << 8 | bytes[i];
    return true;
}

static sx_status push_string(machine *m, size_t length_bytes)
{
    uint64_t length;
    const uint8_t *bytes;
    if (!read_number(m, length_bytes, &length) || length > SIZE_MAX || !read_bytes(m, (size_t)length, &bytes))
        return damaged(m);
    if (memchr(bytes, 0, (size_t)length)) return refuse(m, "a string with zero bytes");
    value *v = make(m, STRING);
    if (v) v->text = sx_arena_string(m->arena, (const char *)bytes, (size_t)length);
    if (v && !v->text) return out_of_memory(m);
    return push(m, v);
}

static sx_status push_long(machine *m)
{
    uint64_t size, number = 0;
    if (!read_number(m, 1, &size)) return damaged(m);
    if (size > 8) return refuse(m, "a number of more than 64 bits");
    if (!read_number(m, (size_t)size, &number)) return damaged(m);
    if (size && size < 8 && number >> (8 * size - 1)) number |= UINT64_MAX << 8 * size;
    return push_integer(m, (int64_t)number);
}

// The two names a state dict needs to call, and the storage classes.
static sx_status push_global(machine *m, const char *module, const char *name)
{
    static const struct {
        const char *class_name, *dtype;
        int width;
    } storages[] = {
        {"FloatStorage", "F32", 4}, {"HalfStorage", "F16", 2},   {"BFloat16Storage", "BF16", 2},
        {"LongStorage", "I64", 8},  {"IntStorage", "I32", 4},    {"BoolStorage", "U8", 1},
        {"ByteStorage", "U8", 1},   {"DoubleStorage", "F64", 8}, {"CharStorage", "I8", 1},
        {"ShortStorage", "I16", 2},
    };
    const bool torch = strcmp(module, "torch") == 0, utils = strcmp(module, "torch._utils") == 0;
    for (size_t i = 0; torch && i < sizeof storages / sizeof *storages; i++) {
        if (strcmp(name, storages[i].class_name) != 0) continue;
        value *v = make(m, DTYPE);
        if (!v) return out_of_memory(m);
        v->text = storages[i].dtype;
        v->number = storages[i].width;
        return push(m, v);
    }
    const bool known = (strcmp(module, "collections") == 0 && strcmp(name, "OrderedDict") == 0) ||
                       (utils && (strcmp(name, "_rebuild_tensor_v2") == 0 || strcmp(name, "_rebuild_parameter") == 0));
    if (!known) {
        char what[160];
        snprintf(what, sizeof what, "the name %.60s.%.60s", module, name);
        for (char *c = what; *c; c++)
            if ((unsigned char)*c < 32 || (unsigned char)*c > 126) *c = '?';
        return refuse(m, what);
    }
    value *v = make(m, CALLABLE);
    if (v) v->text = sx_arena_string(m->arena, name, strlen(name));
    if (v && !v->text) return out_of_memory(m);
    return push(m, v);
}

// "module\nname\n"
static sx_status read_global(machine *m)
{
    char texts[2][128];
    for (int i = 0; i < 2; i++) {
        const uint8_t *newline = memchr(m->at, '\n', (size_t)(m->end - m->at));
        if (!newline) return damaged(m);
        const size_t length = (size_t)(newline - m->at);
        if (length >= sizeof texts[i]) return refuse(m, "a long name");
        memcpy(texts[i], m->at, length);
        texts[i][length] = 0;
        m->at = newline + 1;
    }
    return push_global(m, texts[0], texts[1]);
}

static sx_status stack_global(machine *m)
{
    const value *name = pop(m), *module = name ? pop(m) : NULL;
    if (!module || name->kind != STRING || module->kind != STRING) return damaged(m);
    return push_global(m, module->text, name->text);
}

static sx_status push_tuple(machine *m, size_t count)
{
    if (m->depth < count) return damaged(m);
    for (size_t i = 0; i < count; i++)
        if (m->stack[m->depth - 1 - i]->kind == MARK) return damaged(m);
    value *v = make(m, TUPLE);
    if (v) v->items = sx_arena_alloc(m->arena, (count + 1) * sizeof *v->items);
    if (!v || !v->items) return out_of_memory(m);
    v->count = count;
    m->depth -= count;
    if (count) memcpy(v->items, m->stack + m->depth, count * sizeof *v->items);
    return push(m, v);
}

// How many values lie above the last mark; false when there is no mark.
static bool count_to_mark(const machine *m, size_t *count)
{
    for (*count = 0; *count < m->depth; ++*count)
        if (m->stack[m->depth - 1 - *count]->kind == MARK) return true;
    return false;
}

static sx_status tuple_to_mark(machine *m)
{
    size_t count;
    if (!count_to_mark(m, &count)) return damaged(m);
    const sx_status status = push_tuple(m, count);
    if (status != SX_OK) return status;
    value *v = m->stack[m->depth - 1];
    m->stack[--m->depth - 1] = v; // over the mark
    return SX_OK;
}

static sx_status dict_add(machine *m, value *dict, value *key, value *item)
{
    if (dict->count + 2 > dict->capacity) {
        const size_t capacity = dict->capacity ? 2 * dict->capacity : 32;
        value **grown = sx_arena_alloc(m->arena, capacity * sizeof *grown);
        if (!grown) return out_of_memory(m);
        if (dict->count) memcpy(grown, dict->items, dict->count * sizeof *grown);
        dict->items = grown;
        dict->capacity = capacity;
    }
    dict->items[dict->count++] = key;
    dict->items[dict->count++] = item;
    return SX_OK;
}

// The top `count` values, keys and items in turn, go into the dictionary below them.
static sx_status set_items(machine *m, size_t count, size_t marks)
{
    if (count % 2 || m->depth < count + marks + 1) return damaged(m);
    value **items = m->stack + m->depth - count;
    value *dict = m->stack[m->depth - count - marks - 1];
    if (dict->kind == OTHER) { // members of something without meaning here
        m->depth -= count + marks;
        return SX_OK;
    }
    if (dict->kind != DICT) return damaged(m);
    sx_status status = SX_OK;
    for (size_t i = 0; i < count && status == SX_OK; i += 2)
        status = dict_add(m, dict, items[i], items[i + 1]);
    m->depth -= count + marks;
    return status;
}

// ("storage", class, key, device, element count)
static sx_status persistent_id(machine *m)
{
    const value *id = pop(m);
    if (!id || id->kind != TUPLE || id->count != 5 || id->items[0]->kind != STRING ||
        strcmp(id->items[0]->text, "storage") != 0 || id->items[1]->kind != DTYPE || id->items[2]->kind != STRING ||
        id->items[4]->kind != INTEGER || id->items[4]->number < 0)
        return refuse(m, "a reference that is no tensor storage");
    value *v = make(m, STORAGE);
    if (!v) return out_of_memory(m);
    v->dtype = id->items[1];
    v->text = id->items[2]->text;
    v->number = id->items[4]->number;
    return push(m, v);
}

// Rows one behind another: the strides follow from the sizes. (A dimension of 1 may have any stride.)
static bool is_contiguous(const value *sizes, const value *strides)
{
    uint64_t wanted = 1;
    for (size_t i = sizes->count; i-- > 0;) {
        const value *size = sizes->items[i], *stride = strides->items[i];
        if (size->kind != INTEGER || stride->kind != INTEGER || size->number < 1 || stride->number < 0) return false;
        if (size->number > 1 && (uint64_t)stride->number != wanted) return false;
        if (wanted > (uint64_t)INT64_MAX / (uint64_t)size->number) return false;
        wanted *= (uint64_t)size->number;
    }
    return true;
}

// (storage, first element, sizes, strides, requires_grad, hooks)
static sx_status rebuild_tensor(machine *m, const value *arguments)
{
    value *const *a = arguments->items;
    if (arguments->count < 4 || a[0]->kind != STORAGE || a[1]->kind != INTEGER || a[1]->number < 0 ||
        a[2]->kind != TUPLE || a[3]->kind != TUPLE || a[2]->count != a[3]->count)
        return damaged(m);
    if (a[2]->count > 4) return refuse(m, "a tensor of more than 4 dimensions");
    if (!is_contiguous(a[2], a[3])) return refuse(m, "a tensor that is empty or not stored row after row");
    value *v = make(m, TENSOR);
    if (v) v->tensor = sx_arena_alloc(m->arena, sizeof *v->tensor);
    if (!v || !v->tensor) return out_of_memory(m);
    *v->tensor = (sx_pickled_tensor){.dtype = a[0]->dtype->text,
                                     .key = a[0]->text,
                                     .storage_count = (uint64_t)a[0]->number,
                                     .first = (uint64_t)a[1]->number,
                                     .width = (uint32_t)a[0]->dtype->number,
                                     .dimension_count = (uint32_t)a[2]->count};
    for (size_t i = 0; i < a[2]->count; i++)
        v->tensor->dimensions[i] = (uint64_t)a[2]->items[i]->number;
    return push(m, v);
}

static sx_status reduce(machine *m)
{
    const value *arguments = pop(m), *callable = arguments ? pop(m) : NULL;
    if (!callable || callable->kind != CALLABLE || arguments->kind != TUPLE) return damaged(m);
    if (strcmp(callable->text, "_rebuild_tensor_v2") == 0) return rebuild_tensor(m, arguments);
    if (strcmp(callable->text, "_rebuild_parameter") == 0) {
        if (arguments->count < 1 || arguments->items[0]->kind != TENSOR) return damaged(m);
        return push(m, arguments->items[0]);
    }
    if (arguments->count != 0) return refuse(m, "an OrderedDict with arguments");
    return push_new(m, DICT);
}

// The attributes of an OrderedDict (versions of modules) mean nothing here.
static sx_status build(machine *m)
{
    const value *attributes = pop(m);
    if (!attributes || m->depth == 0 || m->stack[m->depth - 1]->kind != DICT) return damaged(m);
    return SX_OK;
}

static sx_status memo_put(machine *m, uint64_t index)
{
    if (m->depth == 0 || index >= MAX_MEMO || m->stack[m->depth - 1]->kind == MARK) return damaged(m);
    if (index >= m->memo_size) {
        const size_t size = (size_t)index * 2 + 64;
        value **grown = realloc(m->memo, size * sizeof *grown);
        if (!grown) return out_of_memory(m);
        memset(grown + m->memo_size, 0, (size - m->memo_size) * sizeof *grown);
        m->memo = grown;
        m->memo_size = size;
    }
    m->memo[index] = m->stack[m->depth - 1];
    if (index >= m->memo_next) m->memo_next = (size_t)index + 1;
    return SX_OK;
}

static sx_status memo_operation(machine *m, bool put, size_t width)
{
    uint64_t index;
    if (!read_number(m, width, &index)) return damaged(m);
    if (put) return memo_put(m, index);
    if (index >= m->memo_size || !m->memo[index]) return damaged(m);
    return push(m, m->memo[index]);
}

static sx_status append_to_list(machine *m, bool to_mark)
{
    size_t count = 1;
    if (to_mark && !count_to_mark(m, &count)) return damaged(m);
    if (m->depth < count + to_mark + 1) return damaged(m);
    m->depth -= count + to_mark;
    return m->stack[m->depth - 1]->kind == OTHER ? SX_OK : damaged(m);
}

static sx_status skip(machine *m, size_t size)
{
    const uint8_t *bytes;
    return read_bytes(m, size, &bytes) ? SX_OK : damaged(m);
}

static sx_status push_number(machine *m, size_t width)
{
    uint64_t number;
    if (!read_number(m, width, &number)) return damaged(m);
    return push_integer(m, width == 4 ? (int32_t)number : (int64_t)number);
}

static sx_status execute_data(machine *m, uint8_t opcode)
{
    switch (opcode) {
    case 'N':
        return push_new(m, NONE);
    case 0x88: // True
    case 0x89:
        return push_new(m, OTHER);
    case 'G':
        return skip(m, 8) == SX_OK ? push_new(m, OTHER) : SX_ERROR_FORMAT;
    case 'J':
        return push_number(m, 4);
    case 'K':
        return push_number(m, 1);
    case 'M':
        return push_number(m, 2);
    case 0x8a:
        return push_long(m);
    case 'X':
        return push_string(m, 4);
    case 0x8c:
        return push_string(m, 1);
    case 0x8d:
        return push_string(m, 8);
    case 'c':
        return read_global(m);
    case 0x93:
        return stack_global(m);
    default: {
        char what[32];
        m->at--;
        snprintf(what, sizeof what, "the instruction 0x%02x", opcode);
        return refuse(m, what);
    }
    }
}

static sx_status execute(machine *m, uint8_t opcode)
{
    size_t count;
    switch (opcode) {
    case 0x80:
        return skip(m, 1); // protocol
    case 0x95:
        return skip(m, 8); // frame
    case '(':
        return push_new(m, MARK);
    case '}':
        return push_new(m, DICT);
    case ']':
        return push_new(m, OTHER);
    case ')':
        return push_tuple(m, 0);
    case 0x85:
        return push_tuple(m, 1);
    case 0x86:
        return push_tuple(m, 2);
    case 0x87:
        return push_tuple(m, 3);
    case 't':
        return tuple_to_mark(m);
    case 'a':
        return append_to_list(m, false);
    case 'e':
        return append_to_list(m, true);
    case 's':
        return set_items(m, 2, 0);
    case 'u':
        return count_to_mark(m, &count) ? set_items(m, count, 1) : damaged(m);
    case 'Q':
        return persistent_id(m);
    case 'R':
        return reduce(m);
    case 'b':
        return build(m);
    case 'q':
        return memo_operation(m, true, 1);
    case 'r':
        return memo_operation(m, true, 4);
    case 'h':
        return memo_operation(m, false, 1);
    case 'j':
        return memo_operation(m, false, 4);
    case 0x94:
        return memo_put(m, m->memo_next);
    default:
        return execute_data(m, opcode);
    }
}

static sx_status run(machine *m, const value **result)
{
    while (m->at < m->end) {
        const uint8_t opcode = *m->at++;
        if (opcode == '.') {
            *result = m->depth == 1 ? pop(m) : NULL;
            return *result ? SX_OK : damaged(m);
        }
        const sx_status status = execute(m, opcode);
        if (status != SX_OK) return status;
    }
    return sx_fail(m->error, SX_ERROR_FORMAT, "%s: the pickle ends too early", m->where);
}

static sx_status collect(machine *m, const value *dict, sx_pickled_tensor **tensors, size_t *count)
{
    if (dict->kind != DICT) return refuse(m, "something else than a dictionary of tensors");
    *tensors = sx_arena_alloc(m->arena, (dict->count / 2 + 1) * sizeof **tensors);
    if (!*tensors) return out_of_memory(m);
    for (size_t i = 0; i < dict->count; i += 2) {
        const value *key = dict->items[i], *item = dict->items[i + 1];
        if (key->kind != STRING || item->kind != TENSOR)
            return sx_fail(m->error, SX_ERROR_UNSUPPORTED,
                           "%s: the entry %.100s is no tensor; export the plain state dict", m->where,
                           key->kind == STRING ? key->text : "(without a name)");
        (*tensors)[*count] = *item->tensor;
        (*tensors)[(*count)++].name = key->text;
    }
    return SX_OK;
}

sx_status sx_pickle_read(const uint8_t *data, size_t size, const char *where, sx_arena *arena,
                         sx_pickled_tensor **tensors, size_t *count, sx_error *error)
{
    *tensors = NULL;
    *count = 0;
    machine m = {.at = data, .end = data + size, .begin = data, .where = where, .arena = arena, .error = error};
    m.stack = malloc(MAX_STACK * sizeof *m.stack);
    if (!m.stack) return out_of_memory(&m);
    const value *result = NULL;
    sx_status status = run(&m, &result);
    if (status == SX_OK) status = collect(&m, result, tensors, count);
    if (status != SX_OK) *count = 0;
    free(m.stack);
    free(m.memo);
    return status;
}
