#include "text/tokenizer_internal.h"

#include <stdlib.h>

void text_scratch_free(text_scratch *scratch)
{
    free(scratch->symbols);
    free(scratch->heap);
    free(scratch->code_points);
    free(scratch->offsets);
    free(scratch->bytes);
    *scratch = (text_scratch){0};
}

bool text_reserve(void *items, size_t *capacity, size_t count, size_t size)
{
    if (count <= *capacity) return true;
    const size_t grown = count + count / 2 + 16;
    if (grown < count || grown > SIZE_MAX / size) return false;
    void *pointer; // by memcpy, since the caller's pointer is of another type
    memcpy(&pointer, items, sizeof pointer);
    pointer = realloc(pointer, grown * size);
    if (!pointer) return false;
    memcpy(items, &pointer, sizeof pointer);
    *capacity = grown;
    return true;
}

bool text_add_symbol(text_scratch *scratch, uint32_t offset, uint32_t length, int32_t id)
{
    const size_t index = scratch->symbol_count;
    if (!text_reserve(&scratch->symbols, &scratch->symbol_capacity, index + 1, sizeof *scratch->symbols)) return false;
    scratch->symbols[index] =
        (text_symbol){offset, length, id, index ? (uint32_t)index - 1 : TEXT_NO_SLOT, TEXT_NO_SLOT};
    if (index) scratch->symbols[index - 1].next = (uint32_t)index;
    scratch->symbol_count++;
    return true;
}

static bool comes_before(const text_merge *a, const text_merge *b)
{
    return a->priority != b->priority ? a->priority < b->priority : a->position < b->position;
}

static bool push(text_scratch *scratch, text_merge merge)
{
    if (!text_reserve(&scratch->heap, &scratch->heap_capacity, scratch->heap_count + 1, sizeof *scratch->heap))
        return false;
    text_merge *heap = scratch->heap;
    size_t index = scratch->heap_count++;
    while (index > 0 && comes_before(&merge, &heap[(index - 1) / 2])) {
        heap[index] = heap[(index - 1) / 2];
        index = (index - 1) / 2;
    }
    heap[index] = merge;
    return true;
}

static text_merge pop(text_scratch *scratch)
{
    text_merge *heap = scratch->heap;
    const text_merge top = heap[0], last = heap[--scratch->heap_count];
    const size_t count = scratch->heap_count;
    size_t index = 0;
    for (size_t child; (child = 2 * index + 1) < count; index = child) {
        if (child + 1 < count && comes_before(&heap[child + 1], &heap[child])) child++;
        if (!comes_before(&heap[child], &last)) break;
        heap[index] = heap[child];
    }
    heap[index] = last;
    return top;
}

static bool queue_pair(const sx_tokenizer *tokenizer, text_scratch *scratch, const uint8_t *text, uint32_t left,
                       text_merge_rule rule)
{
    const text_symbol *symbols = scratch->symbols;
    if (left == TEXT_NO_SLOT || symbols[left].next == TEXT_NO_SLOT) return true;
    const text_symbol *right = &symbols[symbols[left].next];
    text_merge merge = {.position = left, .size = symbols[left].length + right->length};
    return !rule(tokenizer, text, &symbols[left], right, &merge) || push(scratch, merge);
}

bool text_merge_all(const sx_tokenizer *tokenizer, text_scratch *scratch, const uint8_t *text, text_merge_rule rule)
{
    scratch->heap_count = 0;
    for (uint32_t i = 0; i + 1 < scratch->symbol_count; i++) {
        if (!queue_pair(tokenizer, scratch, text, i, rule)) return false;
    }
    text_symbol *symbols = scratch->symbols;
    while (scratch->heap_count > 0) {
        const text_merge merge = pop(scratch);
        text_symbol *left = &symbols[merge.position];
        // Symbols only grow, so equal sizes mean that both are as they were.
        if (left->length == 0 || left->next == TEXT_NO_SLOT || left->length + symbols[left->next].length != merge.size)
            continue;
        text_symbol *right = &symbols[left->next];
        left->length = merge.size;
        left->id = merge.result;
        left->next = right->next;
        right->length = 0;
        if (left->next != TEXT_NO_SLOT) symbols[left->next].previous = merge.position;
        if (!queue_pair(tokenizer, scratch, text, left->previous, rule) ||
            !queue_pair(tokenizer, scratch, text, merge.position, rule))
            return false;
    }
    return true;
}
