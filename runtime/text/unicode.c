#include "text/unicode.h"

#include "text/unicode_tables.h"

#include <stdlib.h>

// ---- UTF-8 ----------------------------------------------------------------------------------------------------------

size_t text_utf8_prefix(const uint8_t *bytes, size_t size, bool *complete)
{
    *complete = false;
    if (size == 0) return 0;
    const uint8_t first = bytes[0];
    if (first < 0x80) {
        *complete = true;
        return 1;
    }
    if (first < 0xC2 || first > 0xF4) return 0;
    const size_t length = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    // The second byte's range shuts out overlong forms, surrogates and what lies above U+10FFFF.
    const uint8_t low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const uint8_t high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    size_t good = 1;
    while (good < length && good < size) {
        const uint8_t byte = bytes[good];
        if (byte < (good == 1 ? low : 0x80) || byte > (good == 1 ? high : 0xBF)) return good;
        good++;
    }
    *complete = good == length;
    return good;
}

size_t text_utf8_read(const uint8_t *bytes, size_t size, uint32_t *code_point)
{
    bool complete;
    const size_t length = text_utf8_prefix(bytes, size, &complete);
    if (!complete) {
        *code_point = TEXT_BROKEN_BYTE + bytes[0];
        return 1;
    }
    static const uint8_t first_mask[5] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t value = bytes[0] & first_mask[length];
    for (size_t i = 1; i < length; i++)
        value = value << 6 | (bytes[i] & 0x3F);
    *code_point = value;
    return length;
}

size_t text_utf8_write(uint32_t code_point, uint8_t *bytes)
{
    if (code_point >= TEXT_BROKEN_BYTE || code_point < 0x80) {
        bytes[0] = (uint8_t)(code_point >= TEXT_BROKEN_BYTE ? code_point - TEXT_BROKEN_BYTE : code_point);
        return 1;
    }
    const size_t length = code_point < 0x800 ? 2 : code_point < 0x10000 ? 3 : 4;
    static const uint8_t first_mark[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = length; i-- > 1; code_point >>= 6)
        bytes[i] = (uint8_t)(0x80 | (code_point & 0x3F));
    bytes[0] = (uint8_t)(first_mark[length] | code_point);
    return length;
}

// ---- properties -----------------------------------------------------------------------------------------------------

// The run that holds `code_point`: the last one that starts at or before it. Runs begin at 0, so there is one.
static uint32_t find_run(const uint32_t *runs, uint32_t count, unsigned shift, uint32_t code_point)
{
    uint32_t low = 0, high = count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (runs[middle] >> shift <= code_point)
            low = middle;
        else
            high = middle;
    }
    return runs[low];
}

text_category text_category_of(uint32_t code_point)
{
    if (code_point >= TEXT_BROKEN_BYTE) return TEXT_CN;
    const uint32_t category = find_run(text_category_runs, text_category_runs_count, 5, code_point) & 31;
    if (category > TEXT_ZP) // capital and small letters in turn; the last bit says which parity is capital
        return (code_point & 1) == (category & 1) ? TEXT_LU : TEXT_LL;
    return (text_category)category;
}

uint8_t text_combining_class(uint32_t code_point)
{
    if (code_point < 0x300 || code_point >= TEXT_BROKEN_BYTE) return 0;
    return (uint8_t)find_run(text_class_runs, text_class_runs_count, 8, code_point);
}

bool text_is_letter(uint32_t code_point)
{
    if (code_point < 0x80) return (code_point | 32) - 'a' < 26;
    const text_category category = text_category_of(code_point);
    return category >= TEXT_LU && category <= TEXT_LO;
}

bool text_is_mark(uint32_t code_point)
{
    if (code_point < 0x300) return false;
    const text_category category = text_category_of(code_point);
    return category >= TEXT_MN && category <= TEXT_ME;
}

bool text_is_number(uint32_t code_point)
{
    if (code_point < 0x80) return code_point - '0' < 10;
    const text_category category = text_category_of(code_point);
    return category >= TEXT_ND && category <= TEXT_NO;
}

bool text_is_symbol(uint32_t code_point)
{
    const text_category category = text_category_of(code_point);
    return category >= TEXT_PC && category <= TEXT_SO;
}

bool text_is_space(uint32_t code_point)
{
    if (code_point <= 0x20) return code_point == 0x20 || code_point - 9 < 5;
    if (code_point < 0x1680) return code_point == 0x85 || code_point == 0xA0;
    return code_point == 0x1680 || code_point - 0x2000 <= 10 || code_point == 0x2028 || code_point == 0x2029 ||
           code_point == 0x202F || code_point == 0x205F || code_point == 0x3000;
}

bool text_is_newline(uint32_t code_point)
{
    return code_point == '\n' || code_point == '\r';
}

// ---- normalisation --------------------------------------------------------------------------------------------------

// Hangul syllables by arithmetic (the Unicode standard, chapter 3.12): leading consonant, vowel, trailing consonant.
enum { L_FIRST = 0x1100, V_FIRST = 0x1161, T_FIRST = 0x11A7, L_COUNT = 19, V_COUNT = 21, T_COUNT = 28 };

typedef struct code_points {
    uint32_t *items;
    size_t count, capacity;
} code_points;

static bool append(code_points *list, uint32_t code_point)
{
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity + list->capacity / 2 + 16;
        uint32_t *items = capacity > SIZE_MAX / sizeof *items ? NULL : realloc(list->items, capacity * sizeof *items);
        if (!items) return false;
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = code_point;
    return true;
}

// The two parts of a canonical pair, or one with *second = 0; false when the code point has no decomposition.
static bool decomposition(uint32_t code_point, uint32_t *first, uint32_t *second)
{
    uint32_t low = 0, high = text_pair_order_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const uint32_t *pair = text_pairs + 3 * (size_t)text_pair_order[middle];
        if (pair[2] >> 1 == code_point) {
            *first = pair[0];
            *second = pair[1];
            return true;
        }
        if (pair[2] >> 1 < code_point)
            low = middle + 1;
        else
            high = middle;
    }
    low = 0, high = text_single_decompositions_count / 2;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const uint32_t *single = text_single_decompositions + 2 * (size_t)middle;
        if (single[0] == code_point) {
            *first = single[1];
            *second = 0;
            return true;
        }
        if (single[0] < code_point)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

static bool append_decomposed(code_points *list, uint32_t code_point)
{
    if (code_point < 0xC0 || code_point >= TEXT_BROKEN_BYTE) return append(list, code_point);
    const uint32_t syllable = code_point - TEXT_HANGUL_FIRST;
    if (syllable < TEXT_HANGUL_COUNT) {
        const uint32_t trailing = syllable % T_COUNT;
        return append(list, L_FIRST + syllable / (V_COUNT * T_COUNT)) &&
               append(list, V_FIRST + syllable / T_COUNT % V_COUNT) &&
               (trailing == 0 || append(list, T_FIRST + trailing));
    }
    // Only the first part of a pair decomposes further, a few levels at most, so the seconds fit a small stack.
    uint32_t seconds[8], first, second;
    size_t depth = 0;
    while (depth < 8 && decomposition(code_point, &first, &second)) {
        code_point = first;
        if (second) seconds[depth++] = second;
    }
    if (!append(list, code_point)) return false;
    while (depth > 0) {
        if (!append(list, seconds[--depth])) return false;
    }
    return true;
}

// The primary composite of a pair, or 0.
static uint32_t composition(uint32_t first, uint32_t second)
{
    if (first - L_FIRST < L_COUNT && second - V_FIRST < V_COUNT)
        return TEXT_HANGUL_FIRST + ((first - L_FIRST) * V_COUNT + (second - V_FIRST)) * T_COUNT;
    if (first - TEXT_HANGUL_FIRST < TEXT_HANGUL_COUNT && (first - TEXT_HANGUL_FIRST) % T_COUNT == 0 &&
        second - T_FIRST - 1 < T_COUNT - 1)
        return first + (second - T_FIRST);
    uint32_t low = 0, high = text_pairs_count / 3;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const uint32_t *pair = text_pairs + 3 * (size_t)middle;
        if (pair[0] == first && pair[1] == second) return pair[2] & 1 ? pair[2] >> 1 : 0;
        if (pair[0] < first || (pair[0] == first && pair[1] < second))
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

typedef struct mark {
    uint32_t code_point;
    uint8_t class;
} mark;

static void merge_sort_marks(mark *marks, mark *spare, size_t count)
{
    if (count < 2) return;
    const size_t half = count / 2;
    merge_sort_marks(marks, spare, half);
    merge_sort_marks(marks + half, spare, count - half);
    size_t left = 0, right = half;
    for (size_t i = 0; i < count; i++)
        spare[i] =
            right == count || (left < half && marks[left].class <= marks[right].class) ? marks[left++] : marks[right++];
    for (size_t i = 0; i < count; i++)
        marks[i] = spare[i];
}

// Canonical ordering: every run of characters of a class above 0 is sorted by class, stably. Merge sort, because
// hostile texts hold runs of any length.
static bool order_marks(code_points *list)
{
    for (size_t begin = 0; begin < list->count;) {
        if (text_combining_class(list->items[begin]) == 0) {
            begin++;
            continue;
        }
        size_t end = begin + 1;
        bool sorted = true;
        uint8_t class = text_combining_class(list->items[begin]);
        for (uint8_t next; end < list->count && (next = text_combining_class(list->items[end])) != 0; end++) {
            sorted = sorted && class <= next;
            class = next;
        }
        if (!sorted) {
            mark *marks = malloc(2 * (end - begin) * sizeof *marks);
            if (!marks) return false;
            for (size_t i = begin; i < end; i++)
                marks[i - begin] = (mark){list->items[i], text_combining_class(list->items[i])};
            merge_sort_marks(marks, marks + (end - begin), end - begin);
            for (size_t i = begin; i < end; i++)
                list->items[i] = marks[i - begin].code_point;
            free(marks);
        }
        begin = end;
    }
    return true;
}

// Composes in place: a character joins the last starter when nothing of its own class or above stands between them.
static void compose(code_points *list)
{
    size_t write = 0, starter = SIZE_MAX;
    uint8_t previous_class = 0;
    for (size_t read = 0; read < list->count; read++) {
        const uint32_t code_point = list->items[read];
        const uint8_t class = text_combining_class(code_point);
        const bool adjacent = starter != SIZE_MAX && write == starter + 1;
        if (starter != SIZE_MAX && (adjacent || (previous_class < class && previous_class != 0))) {
            const uint32_t composite = composition(list->items[starter], code_point);
            if (composite) {
                list->items[starter] = composite;
                continue;
            }
        }
        if (class == 0) starter = write;
        previous_class = class;
        list->items[write++] = code_point;
    }
    list->count = write;
}

bool text_is_trivially_nfc(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] >= 0xCC) // first byte of U+0300
            return false;
    }
    return true;
}

bool text_nfc(const uint8_t *bytes, size_t size, uint8_t **out, size_t *out_size)
{
    code_points list = {0};
    uint8_t *result = NULL;
    bool good = true;
    for (size_t offset = 0; good && offset < size;) {
        uint32_t code_point;
        offset += text_utf8_read(bytes + offset, size - offset, &code_point);
        good = append_decomposed(&list, code_point);
    }
    good = good && order_marks(&list);
    if (good) {
        compose(&list);
        result = list.count > (SIZE_MAX - 1) / 4 ? NULL : malloc(4 * list.count + 1);
    }
    if (result) {
        *out_size = 0;
        for (size_t i = 0; i < list.count; i++)
            *out_size += text_utf8_write(list.items[i], result + *out_size);
        result[*out_size] = 0;
    }
    free(list.items);
    *out = result;
    return result != NULL;
}
