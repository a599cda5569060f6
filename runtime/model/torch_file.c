// `pytorch_model.bin`: a zip archive of stored members, one of them a pickle that describes the others.
#include "model/checkpoint.h"

#include <stdio.h>
#include <string.h>

#define END_RECORD 22   // bytes of a zip's end record without comment
#define ENTRY_RECORD 46 // of a directory entry
#define LOCAL_RECORD 30 // of a member's own header
#define MAX_MEMBERS 65536

static uint32_t load16(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8;
}
static uint32_t load32(const uint8_t *b)
{
    return load16(b) | load16(b + 2) << 16;
}
static uint64_t load64(const uint8_t *b)
{
    return load32(b) | (uint64_t)load32(b + 4) << 32;
}

typedef struct directory {
    uint64_t offset, size, count;
} directory;

static sx_status damaged(const sx_source *source, const char *what, sx_error *error)
{
    return sx_fail(error, SX_ERROR_FORMAT, "%s: %s; the file is damaged or no PyTorch checkpoint", source->name, what);
}

// A 64-bit end record and its locator stand before the end record when the sizes there are all ones.
static sx_status read_zip64(const sx_source *source, uint64_t end_record, directory *out, sx_error *error)
{
    uint8_t locator[20], record[56];
    if (end_record < sizeof locator) return damaged(source, "its 64-bit directory is missing", error);
    sx_status status = sx_source_read(source, end_record - sizeof locator, locator, sizeof locator, error);
    if (status != SX_OK) return status;
    if (load32(locator) != 0x07064b50) return damaged(source, "its 64-bit directory is missing", error);
    status = sx_source_read(source, load64(locator + 8), record, sizeof record, error);
    if (status != SX_OK) return status;
    if (load32(record) != 0x06064b50) return damaged(source, "its 64-bit directory is damaged", error);
    *out = (directory){load64(record + 48), load64(record + 40), load64(record + 32)};
    return SX_OK;
}

static sx_status find_directory(const sx_source *source, directory *out, sx_error *error)
{
    uint8_t tail[END_RECORD + 1024];
    const size_t size = source->size < sizeof tail ? (size_t)source->size : sizeof tail;
    if (size < END_RECORD) return damaged(source, "it is too short to be a zip archive", error);
    const uint64_t start = source->size - size;
    sx_status status = sx_source_read(source, start, tail, size, error);
    if (status != SX_OK) return status;
    for (size_t i = size - END_RECORD + 1; i-- > 0;) {
        if (load32(tail + i) != 0x06054b50) continue;
        *out = (directory){load32(tail + i + 16), load32(tail + i + 12), load16(tail + i + 10)};
        if (out->offset == UINT32_MAX || out->size == UINT32_MAX || out->count == 0xffff)
            return read_zip64(source, start + i, out, error);
        return SX_OK;
    }
    return damaged(source, "it has no zip directory (it may be cut off)", error);
}

// Sizes of all ones are continued in the entry's extra field, in this order, only those that are needed.
static bool read_extra64(const uint8_t *extra, size_t size, uint64_t *values[3])
{
    bool wanted = false;
    for (int i = 0; i < 3; i++)
        wanted = wanted || *values[i] == UINT32_MAX;
    if (!wanted) return true;
    for (size_t at = 0; at + 4 <= size;) {
        const uint32_t kind = load16(extra + at);
        size_t left = load16(extra + at + 2);
        at += 4;
        if (left > size - at) return false;
        if (kind != 1) {
            at += left;
            continue;
        }
        for (int i = 0; i < 3; i++) {
            if (*values[i] != UINT32_MAX) continue;
            if (left < 8) return false;
            *values[i] = load64(extra + at);
            at += 8;
            left -= 8;
        }
        return true;
    }
    return false;
}

// Where the member's bytes begin, behind its own header.
static sx_status locate_member(const sx_source *source, uint64_t header, sx_zip_member *member, sx_error *error)
{
    uint8_t local[LOCAL_RECORD];
    const sx_status status = sx_source_read(source, header, local, sizeof local, error);
    if (status != SX_OK) return status;
    if (load32(local) != 0x04034b50) return damaged(source, "a member's header is not where the directory says", error);
    member->offset = header + LOCAL_RECORD + load16(local + 26) + load16(local + 28);
    if (member->offset > source->size || member->size > source->size - member->offset)
        return damaged(source, "a member ends behind the end of the file", error);
    return SX_OK;
}

// Reads the directory entry at `*at` and moves behind it.
static sx_status read_member(const sx_source *source, const uint8_t *bytes, size_t size, size_t *at, sx_arena *arena,
                             sx_zip_member *member, sx_error *error)
{
    const uint8_t *entry = bytes + *at;
    if (size - *at < ENTRY_RECORD || load32(entry) != 0x02014b50)
        return damaged(source, "its directory is damaged", error);
    const size_t name = load16(entry + 28), extra = load16(entry + 30), comment = load16(entry + 32);
    if (name + extra + comment > size - *at - ENTRY_RECORD) return damaged(source, "its directory is damaged", error);
    uint64_t packed = load32(entry + 20), header = load32(entry + 42);
    member->size = load32(entry + 24);
    uint64_t *values[3] = {&member->size, &packed, &header};
    if (!read_extra64(entry + ENTRY_RECORD + name, extra, values))
        return damaged(source, "its directory is damaged", error);
    if (load16(entry + 8) & 1) return damaged(source, "it is encrypted", error);
    if (load16(entry + 10) != 0 || packed != member->size)
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: has compressed members; PyTorch stores them plainly",
                       source->name);
    member->name = sx_arena_string(arena, (const char *)entry + ENTRY_RECORD, name);
    if (!member->name) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", source->name);
    if (strlen(member->name) != name) return damaged(source, "a member's name has zero bytes", error);
    *at += ENTRY_RECORD + name + extra + comment;
    return locate_member(source, header, member, error);
}

sx_status sx_zip_read(const sx_source *source, sx_arena *arena, sx_zip_member **members, size_t *count, sx_error *error)
{
    directory dir;
    sx_status status = find_directory(source, &dir, error);
    if (status != SX_OK) return status;
    if (dir.count > MAX_MEMBERS || dir.count > dir.size / ENTRY_RECORD)
        return damaged(source, "its directory is damaged", error);
    char *bytes;
    status = sx_read_metadata(source, dir.offset, dir.size, "a zip directory", arena, &bytes, error);
    if (status != SX_OK) return status;
    sx_zip_member *list = sx_arena_alloc(arena, (size_t)dir.count * sizeof *list);
    if (!list) return sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", source->name);
    size_t at = 0;
    for (uint64_t i = 0; i < dir.count && status == SX_OK; i++)
        status = read_member(source, (const uint8_t *)bytes, (size_t)dir.size, &at, arena, &list[i], error);
    *members = list;
    *count = (size_t)dir.count;
    return status;
}

// "<root>/data.pkl" tells the root. NULL when there is none.
static const sx_zip_member *find_pickle(const sx_zip_member *members, size_t count, size_t *root)
{
    static const char name[] = "/data.pkl";
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(members[i].name);
        if (length < sizeof name || strcmp(members[i].name + length - (sizeof name - 1), name) != 0) continue;
        *root = length - (sizeof name - 1);
        return &members[i];
    }
    return NULL;
}

static const sx_zip_member *find_member(const sx_zip_member *members, size_t count, const char *root,
                                        size_t root_length, const char *rest)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(members[i].name, root, root_length) == 0 && strcmp(members[i].name + root_length, rest) == 0)
            return &members[i];
    return NULL;
}

static sx_status place_tensor(const sx_source *source, const sx_pickled_tensor *tensor, const sx_zip_member *storage,
                              sx_tensor_entry *entry, sx_error *error)
{
    *entry = (sx_tensor_entry){.name = tensor->name, .source = source};
    uint64_t elements = 1;
    for (int i = 0; i < 4; i++)
        entry->dimensions[i] = 1;
    entry->dimension_count = tensor->dimension_count ? tensor->dimension_count : 1;
    for (uint32_t i = 0; i < tensor->dimension_count; i++) {
        const uint64_t d = tensor->dimensions[i];
        if (d == 0 || d > (uint64_t)INT64_MAX / elements)
            return sx_fail(error, SX_ERROR_FORMAT, "%s: tensor %.100s: has an impossible dimension", source->name,
                           tensor->name);
        entry->dimensions[tensor->dimension_count - 1 - i] = d;
        elements *= d;
    }
    const uint64_t held = storage->size / tensor->width;
    if (tensor->first > held || elements > held - tensor->first)
        return sx_fail(error, SX_ERROR_FORMAT,
                       "%s: tensor %.100s: is larger than the storage it lies in; the file is damaged", source->name,
                       tensor->name);
    entry->offset = storage->offset + tensor->first * tensor->width;
    entry->size = elements * tensor->width;
    sx_entry_set_dtype(entry, tensor->dtype);
    return SX_OK;
}

static sx_status check_byte_order(const sx_source *source, const sx_zip_member *order, sx_error *error)
{
    char text[8] = "";
    if (!order) return SX_OK; // older files say nothing and are little endian
    const size_t size = order->size < 7 ? (size_t)order->size : 7;
    const sx_status status = sx_source_read(source, order->offset, text, size, error);
    if (status == SX_OK && strcmp(text, "little") != 0)
        return sx_fail(error, SX_ERROR_UNSUPPORTED, "%s: is not little endian", source->name);
    return status;
}

sx_status sx_torch_read(const sx_source *source, sx_arena *arena, sx_entry_list *list, sx_error *error)
{
    sx_zip_member *members;
    size_t count, root_length = 0, tensor_count;
    sx_status status = sx_zip_read(source, arena, &members, &count, error);
    if (status != SX_OK) return status;
    const sx_zip_member *pickle = find_pickle(members, count, &root_length);
    if (!pickle) return damaged(source, "it holds no data.pkl", error);
    const char *root = pickle->name;
    status = check_byte_order(source, find_member(members, count, root, root_length, "/byteorder"), error);
    if (status != SX_OK) return status;
    char *bytes;
    status = sx_read_metadata(source, pickle->offset, pickle->size, "a pickle", arena, &bytes, error);
    if (status != SX_OK) return status;
    sx_pickled_tensor *tensors;
    status = sx_pickle_read((const uint8_t *)bytes, (size_t)pickle->size, source->name, arena, &tensors, &tensor_count,
                            error);
    for (size_t i = 0; i < tensor_count && status == SX_OK; i++) {
        char name[128];
        snprintf(name, sizeof name, "/data/%.100s", tensors[i].key);
        const sx_zip_member *storage = find_member(members, count, root, root_length, name);
        if (!storage)
            return sx_fail(error, SX_ERROR_FORMAT, "%s: tensor %.100s: its storage %.60s is missing", source->name,
                           tensors[i].name, tensors[i].key);
        sx_tensor_entry entry;
        status = place_tensor(source, &tensors[i], storage, &entry, error);
        if (status == SX_OK && !sx_entry_list_add(list, &entry))
            status = sx_fail(error, SX_ERROR_MEMORY, "%s: out of memory", source->name);
    }
    return status;
}
