#include "layout.h"
#include "unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct old_lines { // of a text that is changed, from the first that is set anew on
    const layout_run *runs;
    uint32_t count, next;      // next: of the runs, the first that may stand below what is set
    size_t length, new_length; // of the texts
    size_t same;               // from this offset in the new text on both are the same
    bool wrapped;              // lines within a paragraph may stay, not whole paragraphs alone
    bool met;                  // all runs from `next` on stay: what would follow is what they show
} old_lines;

typedef struct builder {
    layout *out;
    old_lines *old; // NULL: none
    const layout_measure *measure;
    int left, right; // of the text being set
    int y;           // top of the line being set
    int pen;
    int slack;                 // pixels by which the width of the last run, and so `pen`, may be wrong
    uint32_t line_first;       // its first run
    int align;                 // 0 left, 1 centre, 2 right
    int minimum_height;        // of an empty line
    bool chips;                // inline code gets a background
    bool direction_known, rtl; // of the paragraph
} builder;

static int width_of(builder *b, chat_font font, const char *text, size_t length)
{
    return b->measure->width(b->measure->user, font, text, length);
}

static layout_box *add_box(layout *out, layout_box_kind kind, int x, int y, int width, int height)
{
    if (out->box_count == out->box_capacity) {
        out->box_capacity = out->box_capacity ? out->box_capacity * 2 : 16;
        out->boxes = fe_reallocate(out->boxes, out->box_capacity, sizeof *out->boxes);
    }
    layout_box *box = &out->boxes[out->box_count++];
    *box = (layout_box){.kind = kind, .x = x, .y = y, .width = width, .height = height};
    return box;
}

static layout_run *add_run(layout *out)
{
    if (out->run_count == out->run_capacity) {
        out->run_capacity = out->run_capacity ? out->run_capacity * 2 : 64;
        out->runs = fe_reallocate(out->runs, out->run_capacity, sizeof *out->runs);
    }
    return &out->runs[out->run_count++];
}

// Splits the line's runs where the direction changes; levels [..] are those of the plain text from `start` on.
static void split_runs(builder *b, uint32_t start, const uint8_t *levels)
{
    layout *out = b->out;
    for (uint32_t i = b->line_first; i < out->run_count; i++) {
        uint32_t first = out->runs[i].start - start, end = 1;
        while (end < out->runs[i].length && levels[first + end] == levels[first])
            end++;
        out->runs[i].rtl = levels[first] & 1;
        if (end == out->runs[i].length) continue;
        add_run(out);
        memmove(out->runs + i + 1, out->runs + i, (out->run_count - i - 1) * sizeof *out->runs);
        layout_run *head = &out->runs[i], *tail = head + 1;
        tail->start += end;
        tail->length -= end;
        head->length = end;
        head->width = width_of(b, head->font, out->plain.data + head->start, head->length);
        tail->width = width_of(b, tail->font, out->plain.data + tail->start, tail->length);
    }
}

// Rule L2 of UAX 9: from the highest level down, what has this level or a higher one is turned around.
static void place_runs(builder *b, uint32_t start, const uint8_t *levels)
{
    layout *out = b->out;
    uint32_t count = out->run_count - b->line_first;
    uint32_t *order = fe_reallocate(NULL, count, sizeof *order);
    int highest = 0, x = count ? out->runs[b->line_first].x : 0;
    for (uint32_t i = 0; i < count; i++) {
        order[i] = b->line_first + i;
        if (levels[out->runs[order[i]].start - start] > highest) highest = levels[out->runs[order[i]].start - start];
    }
    for (int level = highest; level > 0; level--) {
        for (uint32_t i = 0; i < count; i++) {
            uint32_t end = i;
            while (end < count && levels[out->runs[order[end]].start - start] >= level)
                end++;
            for (uint32_t low = i, high = end; low + 1 < high; low++) {
                uint32_t swapped = order[low];
                order[low] = order[--high];
                order[high] = swapped;
            }
            if (end > i) i = end;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        out->runs[order[i]].x = x;
        x += out->runs[order[i]].width;
    }
    b->pen = x;
    free(order);
}

static void reorder_line(builder *b)
{
    layout *out = b->out;
    if (out->run_count == b->line_first) return;
    uint32_t start = out->runs[b->line_first].start, length = (uint32_t)out->plain.length - start;
    const char *text = out->plain.data + start;
    if (!b->rtl && !unicode_has_rtl(text, length)) {
        b->direction_known = true; // the paragraph began from left to right
        return;
    }
    uint8_t *levels = fe_reallocate(NULL, length, 1);
    if (unicode_levels(text, length, &b->direction_known, &b->rtl, levels)) {
        split_runs(b, start, levels);
        place_runs(b, start, levels);
    }
    free(levels);
}

// Measures the last run, where its width was only told from those of its words.
static void settle(builder *b)
{
    if (!b->slack) return;
    layout_run *last = &b->out->runs[b->out->run_count - 1];
    int width = width_of(b, (chat_font)last->font, b->out->plain.data + last->start, last->length);
    b->pen += width - last->width;
    last->width = width;
    b->slack = 0;
}

enum { CONTEXT = 64 }; // bytes: farther away no character tells where a line may break

// Whether the old lines go on with the one that begins here. What is set below a line depends on the text below it, and
// within a paragraph on its direction.
static void meet_old_lines(builder *b, bool paragraph)
{
    old_lines *old = b->old;
    size_t at = b->out->plain.length;
    if (!old || (paragraph ? at <= old->same : !old->wrapped || at < old->same + CONTEXT)) return;
    while (old->next < old->count && old->runs[old->next].start + old->new_length < at + old->length)
        old->next++;
    old->met =
        paragraph || (old->next < old->count && old->runs[old->next].start + old->new_length == at + old->length);
}

static bool is_met(const builder *b)
{
    return b->old && b->old->met;
}

static void end_line(builder *b)
{
    settle(b);
    reorder_line(b);
    layout *out = b->out;
    int height = 0, ascent = 0;
    for (uint32_t i = b->line_first; i < out->run_count; i++) {
        int h = b->measure->height(b->measure->user, out->runs[i].font);
        int a = b->measure->ascent(b->measure->user, out->runs[i].font);
        if (h > height) height = h;
        if (a > ascent) ascent = a;
    }
    if (height == 0) height = b->minimum_height;
    int align = b->align ? b->align : b->rtl ? 2 : 0;
    int shift = align ? (b->right - b->pen) / (align == 1 ? 2 : 1) : 0;
    for (uint32_t i = b->line_first; i < out->run_count; i++) {
        layout_run *run = &out->runs[i];
        run->x += shift > 0 ? shift : 0;
        run->line_y = b->y;
        run->line_height = height;
        // The line's spacing is shared above and below its glyphs.
        run->y = b->y + (height - ascent) / 3 + ascent - b->measure->ascent(b->measure->user, run->font);
        if (b->chips && run->role == LAYOUT_CODE) {
            int unit = b->measure->unit;
            add_box(out, LAYOUT_BOX_CHIP, run->x - unit / 2, b->y + unit / 2, run->width + unit, height - unit);
        }
    }
    b->line_first = out->run_count;
    b->y += height;
    b->pen = b->left;
    meet_old_lines(b, false);
}

typedef struct style {
    chat_font font;
    layout_role role;
    bool strike;
    int32_t url;
} style;

// The line's last run where text of this style goes on with it, NULL: a new run begins.
static layout_run *joined_run(builder *b, const style *s)
{
    layout *out = b->out;
    if (out->run_count == b->line_first) return NULL;
    layout_run *last = &out->runs[out->run_count - 1];
    bool same = last->font == s->font && last->role == s->role && last->url == s->url && last->strike == s->strike;
    return same && last->start + last->length == out->plain.length ? last : NULL;
}

// What the text adds to the line. A run is measured as a whole, as it is drawn: the widths of words are rounded, and
// their sum is not the width of the line.
static int added_width(builder *b, const style *s, const char *text, size_t length)
{
    layout_run *last = joined_run(b, s);
    if (!last) return width_of(b, s->font, text, length);
    fe_text *plain = &b->out->plain;
    size_t before = plain->length;
    fe_text_append(plain, text, length);
    int width = width_of(b, s->font, plain->data + last->start, last->length + length) - last->width;
    chat_text_remove(plain, before, length);
    return width;
}

// The same to within `*off` pixels. Far from the end of the line the sum will do: a line would else be measured anew
// with every word of it. Rounding, kerning and overhang between two words are less than a fourth of the line's height.
static int told_width(builder *b, const style *s, const char *text, size_t length, int *off)
{
    *off = b->slack + b->measure->height(b->measure->user, s->font) / 4;
    int width = width_of(b, s->font, text, length);
    bool near_end = b->pen + width + *off > b->right && b->pen + width - *off <= b->right;
    if (joined_run(b, s) && !near_end) return width;
    *off = 0;
    return added_width(b, s, text, length);
}

static void put(builder *b, const style *s, const char *text, size_t length)
{
    layout *out = b->out;
    layout_run *last = joined_run(b, s);
    if (!last) settle(b);
    int off, width = told_width(b, s, text, length, &off);
    uint32_t start = (uint32_t)out->plain.length;
    fe_text_append(&out->plain, text, length);
    b->pen += width;
    b->slack = off;
    if (last) {
        last->length += (uint32_t)length;
        last->width += width;
        return;
    }
    *add_run(out) = (layout_run){.x = b->pen - width,
                                 .width = width,
                                 .font = (uint8_t)s->font,
                                 .role = (uint8_t)s->role,
                                 .strike = s->strike,
                                 .start = start,
                                 .length = (uint32_t)length,
                                 .url = s->url};
}

static bool fits(builder *b, const style *s, const char *text, size_t length)
{
    int off;
    if (!joined_run(b, s)) settle(b);
    return b->pen + told_width(b, s, text, length, &off) <= b->right;
}

// Bytes of the word that the line has room for; 0: not even one character. Looks further and further ahead, then
// between what fits and what does not.
static size_t fitting(builder *b, const style *s, const char *word, size_t length)
{
    size_t least = 0, most = 32;
    for (;; most *= 2) {
        most = unicode_cluster_start(word, length, most < length ? most : length);
        if (most <= least) most = unicode_cluster(word, length, least);
        if (!fits(b, s, word, most)) break;
        least = most;
        if (least == length) return length;
    }
    for (;;) {
        size_t middle = unicode_cluster_start(word, length, (least + most) / 2);
        if (middle <= least) middle = unicode_cluster(word, length, least);
        if (middle >= most) return least;
        *(fits(b, s, word, middle) ? &least : &most) = middle;
    }
}

// A word wider than the line is broken between characters.
static void put_long(builder *b, const style *s, const char *word, size_t length)
{
    while (length) {
        size_t taken = fitting(b, s, word, length);
        if (!taken && b->pen == b->left) taken = unicode_cluster(word, length, 0);
        if (taken) put(b, s, word, taken);
        word += taken;
        length -= taken;
        if (!length) return;
        end_line(b);
        if (is_met(b)) return;
    }
}

static void put_word(builder *b, const style *s, const char *word, size_t length)
{
    enum { LONG = 1024 }; // bytes: the beginning tells, where that does not fit
    size_t tried = unicode_cluster_start(word, length, length < LONG ? length : LONG);
    if (!fits(b, s, word, tried) && b->pen > b->left) end_line(b);
    if (is_met(b)) return;
    if (fits(b, s, word, tried) && (tried == length || fits(b, s, word, length))) {
        put(b, s, word, length);
    } else {
        put_long(b, s, word, length);
    }
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

// Finds where the lines of a piece of the text may break, from the blank before `at` to one behind it; returns where.
// Whatever else there is, they may break at blanks.
static size_t find_breaks(const char *text, size_t length, size_t at, bool *breaks)
{
    enum { PIECE = 4096 };
    size_t end = at + PIECE < length ? at + PIECE : length;
    while (end < length && !is_blank(text[end]))
        end++;
    while (at && !is_blank(text[at]))
        at--;
    unicode_breaks(text + at, end - at, breaks + at);
    return end;
}

// Sets the text from `at` on.
static void set_text(builder *b, const style *s, const char *text, size_t length, size_t at)
{
    bool *breaks = fe_reallocate(NULL, length + 1, sizeof *breaks);
    size_t found = at; // breaks up to here are
    while (at < length && !is_met(b)) {
        if (at == found) found = find_breaks(text, length, at, breaks);
        if (text[at] == '\n') {
            end_line(b);
            b->direction_known = b->rtl = false;
            fe_text_append(&b->out->plain, "\n", 1);
            meet_old_lines(b, true);
            at++;
        } else if (text[at] == '\t') {
            put(b, s, text + at, 1);
            at++;
        } else if (text[at] == ' ') {
            size_t end = at;
            while (end < length && text[end] == ' ')
                end++;
            put(b, s, text + at, end - at);
            at = end;
        } else {
            size_t end = at + 1;
            while (end < length && !is_blank(text[end]) && !breaks[end - 1])
                end++;
            put_word(b, s, text + at, end - at);
            at = end;
        }
    }
    free(breaks);
}

static void begin(builder *b, int left, int right)
{
    b->left = b->pen = left;
    b->right = right > left + 4 * b->measure->unit ? right : left + 4 * b->measure->unit;
    b->line_first = b->out->run_count;
    b->direction_known = b->rtl = false;
}

static void end_block(builder *b)
{
    if (b->out->run_count > b->line_first) end_line(b);
    fe_text_append(&b->out->plain, "\n", 1);
}

static chat_font font_of(const markdown_block *block, uint8_t style_bits)
{
    if (style_bits & MARKDOWN_MONO) return CHAT_FONT_MONO;
    if (block->kind == MARKDOWN_HEADING)
        return block->level == 1 ? CHAT_FONT_H1 : block->level == 2 ? CHAT_FONT_H2 : CHAT_FONT_H3;
    bool bold = style_bits & MARKDOWN_BOLD, italic = style_bits & MARKDOWN_ITALIC;
    return bold && italic ? CHAT_FONT_BOLD_ITALIC : bold ? CHAT_FONT_BOLD : italic ? CHAT_FONT_ITALIC : CHAT_FONT_BODY;
}

static void set_spans(builder *b, const markdown *document, const markdown_block *block)
{
    for (uint32_t i = 0; i < block->span_count; i++) {
        const markdown_span *span = &document->spans[block->first_span + i];
        style s = {.font = font_of(block, span->style),
                   .role = span->style & MARKDOWN_MONO   ? LAYOUT_CODE
                           : span->style & MARKDOWN_LINK ? LAYOUT_LINK
                           : block->quotes               ? LAYOUT_DIM
                                                         : LAYOUT_TEXT,
                   .strike = span->style & MARKDOWN_STRIKE,
                   .url = span->url};
        set_text(b, &s, document->text.data + span->start, span->length, 0);
    }
}

static void set_code(builder *b, const markdown *document, const markdown_block *block, int left, int right)
{
    int unit = b->measure->unit, top = b->y, header = 8 * unit;
    begin(b, left + 3 * unit, right - 3 * unit);
    b->y += header + unit;
    b->chips = false;
    uint32_t start = (uint32_t)b->out->plain.length;
    b->minimum_height = b->measure->height(b->measure->user, CHAT_FONT_MONO);
    for (uint32_t i = 0; i < block->span_count; i++) {
        const markdown_span *span = &document->spans[block->first_span + i];
        size_t length = span->length;
        if (i + 1 == block->span_count && length && document->text.data[span->start + length - 1] == '\n') length--;
        style s = {.font = CHAT_FONT_MONO, .role = LAYOUT_CODE, .url = -1};
        set_text(b, &s, document->text.data + span->start, length, 0);
    }
    uint32_t length = (uint32_t)b->out->plain.length - start;
    end_block(b);
    b->chips = true;
    b->y += 2 * unit;
    layout_box *box = add_box(b->out, LAYOUT_BOX_CODE, left, top, right - left, b->y - top);
    box->start = start;
    box->length = length;
    memcpy(box->language, block->language, sizeof box->language);
}

static int natural_width(builder *b, const markdown *document, const markdown_block *cell)
{
    int width = 0;
    for (uint32_t i = 0; i < cell->span_count; i++) {
        const markdown_span *span = &document->spans[cell->first_span + i];
        width += width_of(b, font_of(cell, span->style), document->text.data + span->start, span->length);
    }
    return width + 4 * b->measure->unit;
}

enum { COLUMN_LIMIT = 24 };

// Natural widths, or shares of what there is: narrow columns keep theirs and wide ones divide the rest.
static uint32_t column_widths(builder *b, const markdown *document, uint32_t first, uint32_t last, int available,
                              int *widths)
{
    uint32_t columns = 0;
    for (uint32_t i = first; i < last; i++) {
        const markdown_block *cell = &document->blocks[i];
        if (cell->column >= COLUMN_LIMIT) continue;
        while (columns <= cell->column)
            widths[columns++] = 0;
        int width = natural_width(b, document, cell);
        if (width > widths[cell->column]) widths[cell->column] = width;
    }
    int total = 0, wide = 0;
    for (uint32_t i = 0; i < columns; i++)
        total += widths[i];
    if (total <= available || columns == 0) return columns;
    int fair = available / (int)columns, left = available;
    for (uint32_t i = 0; i < columns; i++) {
        if (widths[i] <= fair) {
            left -= widths[i];
        } else {
            wide += widths[i];
        }
    }
    for (uint32_t i = 0; i < columns; i++)
        if (widths[i] > fair && wide) widths[i] = (int)((int64_t)left * widths[i] / wide);
    return columns;
}

static void set_table(builder *b, const markdown *document, uint32_t first, uint32_t last, int left, int right)
{
    int widths[COLUMN_LIMIT] = {0}, unit = b->measure->unit;
    uint32_t columns = column_widths(b, document, first, last, right - left, widths);
    int total = 0;
    for (uint32_t i = 0; i < columns; i++)
        total += widths[i];
    for (uint32_t i = first; i < last;) {
        int top = b->y, bottom = b->y, x = left;
        do {
            const markdown_block *cell = &document->blocks[i];
            if (cell->column < COLUMN_LIMIT) {
                if (cell->column) fe_text_append(&b->out->plain, "\t", 1);
                b->y = top + unit;
                b->align = cell->align;
                begin(b, x + 2 * unit, x + widths[cell->column] - 2 * unit);
                set_spans(b, document, cell);
                if (b->out->run_count > b->line_first) end_line(b);
                x += widths[cell->column];
                if (b->y + unit > bottom) bottom = b->y + unit;
            }
            i++;
        } while (i < last && document->blocks[i].column != 0);
        b->align = 0;
        b->y = bottom;
        fe_text_append(&b->out->plain, "\n", 1);
        add_box(b->out, LAYOUT_BOX_LINE, left, bottom, total, 1);
    }
}

static void set_paragraph(builder *b, const markdown *document, const markdown_block *block, int left, int right)
{
    if (block->marker[0]) {
        style s = {.font = CHAT_FONT_BODY, .role = LAYOUT_DIM, .url = -1};
        size_t length = strlen(block->marker);
        int width = width_of(b, s.font, block->marker, length);
        begin(b, left - width - 2 * b->measure->unit, right);
        put(b, &s, block->marker, length);
        fe_text_append(&b->out->plain, " ", 1);
        b->left = b->pen = left;
    } else {
        begin(b, left, right);
    }
    set_spans(b, document, block);
    end_block(b);
}

static void reset(layout *out, int width)
{
    out->run_count = out->box_count = 0;
    out->width = width;
    out->height = 0;
    fe_text_clear(&out->plain);
    fe_text_clear(&out->urls);
}

void layout_build(layout *out, const markdown *document, int width, const layout_measure *measure)
{
    reset(out, width);
    if (document->urls.length) fe_text_append(&out->urls, document->urls.data, document->urls.length);
    builder b = {.out = out, .measure = measure, .chips = true};
    int unit = measure->unit;
    b.minimum_height = measure->height(measure->user, CHAT_FONT_BODY);
    for (uint32_t i = 0; i < document->block_count; i++) {
        const markdown_block *block = &document->blocks[i];
        int left = 6 * unit * block->indent + 4 * unit * block->quotes, top;
        if (i) b.y += block->tight ? unit : block->kind == MARKDOWN_HEADING ? 4 * unit : 3 * unit;
        top = b.y;
        if (block->kind == MARKDOWN_CODE) {
            set_code(&b, document, block, left, width);
        } else if (block->kind == MARKDOWN_CELL) {
            uint32_t end = i + 1;
            while (end < document->block_count && document->blocks[end].kind == MARKDOWN_CELL &&
                   !(document->blocks[end].header && !document->blocks[end - 1].header))
                end++;
            set_table(&b, document, i, end, left, width);
            i = end - 1;
        } else if (block->kind == MARKDOWN_RULE) {
            add_box(out, LAYOUT_BOX_LINE, left, b.y + 2 * unit, width - left, 1);
            b.y += 4 * unit;
        } else {
            set_paragraph(&b, document, block, left, width);
        }
        for (unsigned q = 0; q < block->quotes; q++)
            add_box(out, LAYOUT_BOX_QUOTE, 4 * unit * (int)q, top, unit / 2 + 1, b.y - top);
    }
    if (out->plain.length && out->plain.data[out->plain.length - 1] == '\n')
        chat_text_remove(&out->plain, out->plain.length - 1, 1);
    out->height = b.y;
}

// ---- Plain text ----------------------------------------------------------------------------------------------------

// The first run that begins at `offset` or behind it.
static uint32_t run_from(const layout *l, size_t offset)
{
    uint32_t low = 0, high = l->run_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (l->runs[middle].start < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

// Top of the line that begins at `offset` in a plain text, whose lines are all equally high. Between it and `next`, the
// first run from there on, or the end of the text, are only ends of lines.
static int line_top(const layout_run *next, size_t offset, size_t length, int height, int line)
{
    return next ? next->line_y - (int)(next->start - offset) * line : height - (int)(length - offset + 1) * line;
}

typedef struct difference { // of a text from another
    size_t same;            // bytes at the beginning that both have, and
    size_t rest;            // at the end: whole characters
    size_t paragraph;       // where the first paragraph that differs begins
    bool rtl;               // something in the paragraphs that differ runs from right to left
} difference;

static difference compare(const fe_text *before, const char *text, size_t length)
{
    size_t shorter = before->length < length ? before->length : length;
    const char *old = fe_text_string(before);
    difference d = {0};
    while (d.same < shorter && old[d.same] == text[d.same])
        if (text[d.same++] == '\n') d.paragraph = d.same;
    while (d.rest < shorter - d.same && old[before->length - 1 - d.rest] == text[length - 1 - d.rest])
        d.rest++;
    d.same = chat_utf8_cut(text, length, chat_utf8_cut(old, before->length, d.same));
    while (d.rest && ((unsigned char)text[length - d.rest] & 0xC0) == 0x80)
        d.rest--;
    size_t end = length - d.rest; // of the last paragraph that differs
    while (end < length && text[end] != '\n')
        end++;
    d.rtl = unicode_has_rtl(old + d.same, before->length - d.rest - d.same) ||
            unicode_has_rtl(text + d.paragraph, end - d.paragraph);
    return d;
}

// The run that begins the first line to set anew, and in `start` its offset. A line depends on the word behind it: so
// the line before the one with the difference may change, too.
static uint32_t first_changed(const layout *l, const difference *d, size_t *start)
{
    uint32_t first = run_from(l, d->paragraph), behind = d->same < CONTEXT ? 0 : run_from(l, d->same - CONTEXT + 1);
    *start = d->paragraph;
    if (d->rtl || behind < first + 2) return first;
    *start = l->runs[behind - 2].start;
    return behind - 2;
}

void layout_change_plain(layout *l, const char *text, size_t length, chat_font font, layout_role role,
                         const layout_measure *measure)
{
    size_t before = l->plain.length, start;
    if (l->height && before == length && memcmp(fe_text_string(&l->plain), text, length) == 0) return;
    difference d = compare(&l->plain, text, length);
    uint32_t first = first_changed(l, &d, &start), count = l->run_count - first;
    int line = measure->height(measure->user, font), height = l->height ? l->height : line;
    layout_run *runs = fe_reallocate(NULL, count, sizeof *runs);
    if (count) memcpy(runs, l->runs + first, count * sizeof *runs);
    old_lines old = {.runs = runs,
                     .count = count,
                     .length = before,
                     .new_length = length,
                     .same = length - d.rest,
                     .wrapped = !d.rtl};
    builder b = {.out = l, .old = &old, .measure = measure, .minimum_height = line};
    style s = {.font = font, .role = role, .url = -1};
    b.y = line_top(count ? runs : NULL, start, before, height, line);
    l->run_count = first;
    chat_text_remove(&l->plain, start, before - start);
    begin(&b, 0, l->width);
    set_text(&b, &s, text, length, start);
    if (!old.met) end_line(&b);

    size_t set = l->plain.length;
    const layout_run *next = old.next < count ? &runs[old.next] : NULL;
    int bottom = old.met ? line_top(next, set + before - length, before, height, line) : height;
    l->height = b.y + height - bottom;
    fe_text_append(&l->plain, text + set, length - set);
    for (uint32_t i = old.met ? old.next : count; i < count; i++) {
        layout_run *run = add_run(l);
        *run = runs[i];
        run->start = (uint32_t)(run->start + length - before);
        run->y += b.y - bottom;
        run->line_y += b.y - bottom;
    }
    free(runs);
}

void layout_build_plain(layout *out, const char *text, size_t length, chat_font font, layout_role role, int width,
                        const layout_measure *measure)
{
    reset(out, width);
    layout_change_plain(out, text, length, font, role, measure);
}

void layout_free(layout *out)
{
    free(out->runs);
    free(out->boxes);
    fe_text_free(&out->plain);
    fe_text_free(&out->urls);
    *out = (layout){0};
}

// ---- Looking up ----------------------------------------------------------------------------------------------------

uint32_t layout_first_visible(const layout *l, int y)
{
    uint32_t low = 0, high = l->run_count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (l->runs[middle].line_y + l->runs[middle].line_height <= y) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const layout_run *layout_run_at(const layout *l, int x, int y)
{
    for (uint32_t i = 0; i < l->run_count; i++) {
        const layout_run *run = &l->runs[i];
        if (y >= run->line_y && y < run->line_y + run->line_height && x >= run->x && x < run->x + run->width)
            return run;
    }
    return NULL;
}

int layout_run_x(const layout *l, const layout_measure *measure, const layout_run *run, uint32_t offset)
{
    int before = measure->width(measure->user, run->font, l->plain.data + run->start, offset - run->start);
    return run->rtl ? run->x + run->width - before : run->x + before;
}

static uint32_t offset_in(const layout *l, const layout_measure *measure, const layout_run *run, int x)
{
    const char *text = l->plain.data + run->start;
    int wanted = run->rtl ? run->x + run->width - x : x - run->x, before = 0;
    for (size_t at = 0; at < run->length;) {
        size_t next = unicode_cluster(text, run->length, at);
        int after = measure->width(measure->user, run->font, text, next);
        if (wanted < (before + after) / 2) return run->start + (uint32_t)at;
        before = after;
        at = next;
    }
    return run->start + run->length;
}

uint32_t layout_hit(const layout *l, const layout_measure *measure, int x, int y)
{
    const layout_run *best = NULL;
    int64_t best_distance = INT64_MAX;
    for (uint32_t i = 0; i < l->run_count; i++) {
        const layout_run *run = &l->runs[i];
        int64_t dy = y < run->line_y                       ? run->line_y - y
                     : y >= run->line_y + run->line_height ? y - run->line_y - run->line_height + 1
                                                           : 0;
        int64_t dx = x < run->x ? run->x - x : x > run->x + run->width ? x - run->x - run->width : 0;
        int64_t distance = dy * 100000 + dx;
        if (distance >= best_distance) continue;
        best_distance = distance;
        best = run;
    }
    if (!best) return 0;
    // Empty lines have no run: a point below the last line means the end of the text.
    if (y >= l->height) return (uint32_t)l->plain.length;
    return offset_in(l, measure, best, x);
}

void layout_position(const layout *l, const layout_measure *measure, uint32_t offset, int *x, int *y, int *height)
{
    *x = *y = 0;
    *height = l->run_count ? l->runs[0].line_height : l->height;
    uint32_t at = 0;
    for (uint32_t i = 0; i < l->run_count; i++) {
        const layout_run *run = &l->runs[i];
        if (run->start > offset) break;
        // Where the direction changes, the caret stays with what was written last.
        bool turns = i && run->start == offset && run->rtl != run[-1].rtl && run->line_y == run[-1].line_y;
        if (turns && run[-1].start + run[-1].length == offset) break;
        uint32_t inside = offset - run->start < run->length ? offset - run->start : run->length;
        *x = layout_run_x(l, measure, run, run->start + inside);
        *y = run->line_y;
        *height = run->line_height;
        at = run->start + inside;
    }
    for (; at < offset && at < l->plain.length; at++) {
        if (l->plain.data[at] != '\n') continue;
        *x = 0;
        *y += *height;
    }
    if (*y + *height > l->height && l->height > *height) *y = l->height - *height;
}
