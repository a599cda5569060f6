#include "markdown.h"

#include <md4c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_DEPTH = 16, PADDING = 64 };

typedef struct parser {
    markdown *document;
    const char *source, *end;
    markdown_block *open; // block that takes text, NULL: none
    unsigned bold, italic, mono, strike;
    int32_t url;
    unsigned lists, quotes, cells;
    bool ordered[LIST_DEPTH], tight[LIST_DEPTH];
    unsigned number[LIST_DEPTH];
    char marker[12]; // waits for the item's first block
    bool item_open;  // a list item whose text may come without a paragraph
    bool header;
    uint16_t column;
} parser;

static markdown_block *add_block(parser *p, markdown_kind kind)
{
    markdown *document = p->document;
    if (document->block_count == document->block_capacity) {
        document->block_capacity = document->block_capacity ? document->block_capacity * 2 : 32;
        document->blocks = fe_reallocate(document->blocks, document->block_capacity, sizeof *document->blocks);
    }
    markdown_block *block = &document->blocks[document->block_count++];
    *block = (markdown_block){.kind = kind,
                              .indent = (uint8_t)p->lists,
                              .quotes = (uint8_t)(p->quotes < 8 ? p->quotes : 8),
                              .first_span = document->span_count};
    block->tight = p->lists && p->tight[(p->lists - 1) % LIST_DEPTH];
    memcpy(block->marker, p->marker, sizeof block->marker);
    p->marker[0] = 0;
    return p->open = block;
}

static void add_span(parser *p, const char *text, size_t length)
{
    markdown *document = p->document;
    if (!p->open) add_block(p, MARKDOWN_PARAGRAPH);
    uint8_t style =
        (uint8_t)((p->bold ? MARKDOWN_BOLD : 0) | (p->italic ? MARKDOWN_ITALIC : 0) | (p->mono ? MARKDOWN_MONO : 0) |
                  (p->url >= 0 ? MARKDOWN_LINK : 0) | (p->strike ? MARKDOWN_STRIKE : 0));
    uint32_t start = (uint32_t)document->text.length;
    fe_text_append(&document->text, text, length);
    if (p->open->span_count) {
        markdown_span *last = &document->spans[document->span_count - 1];
        if (last->style == style && last->url == p->url) {
            last->length += (uint32_t)length;
            return;
        }
    }
    if (document->span_count == document->span_capacity) {
        document->span_capacity = document->span_capacity ? document->span_capacity * 2 : 64;
        document->spans = fe_reallocate(document->spans, document->span_capacity, sizeof *document->spans);
    }
    document->spans[document->span_count++] =
        (markdown_span){.start = start, .length = (uint32_t)length, .style = style, .url = p->url};
    p->open->span_count++;
}

static void enter_list(parser *p, bool ordered, unsigned start, bool tight)
{
    unsigned at = p->lists % LIST_DEPTH;
    p->ordered[at] = ordered;
    p->number[at] = start;
    p->tight[at] = tight;
    p->lists++;
}

static void enter_item(parser *p, const MD_BLOCK_LI_DETAIL *detail)
{
    unsigned at = (p->lists ? p->lists - 1 : 0) % LIST_DEPTH;
    p->open = NULL;
    if (detail->is_task) {
        snprintf(p->marker, sizeof p->marker, "%s", detail->task_mark == ' ' ? "☐" : "☑");
    } else if (p->ordered[at]) {
        snprintf(p->marker, sizeof p->marker, "%u.", p->number[at]++);
    } else {
        snprintf(p->marker, sizeof p->marker, "%s", p->lists % 2 ? "•" : "–");
    }
}

static void enter_cell(parser *p, const MD_BLOCK_TD_DETAIL *detail, bool header)
{
    markdown_block *block = add_block(p, MARKDOWN_CELL);
    block->header = header;
    block->column = p->column++;
    block->align = detail->align == MD_ALIGN_CENTER ? 1 : detail->align == MD_ALIGN_RIGHT ? 2 : 0;
    p->bold += header;
}

static int enter_block(MD_BLOCKTYPE type, void *detail, void *user)
{
    parser *p = user;
    switch (type) {
    case MD_BLOCK_UL:
        enter_list(p, false, 0, ((MD_BLOCK_UL_DETAIL *)detail)->is_tight);
        break;
    case MD_BLOCK_OL:
        enter_list(p, true, ((MD_BLOCK_OL_DETAIL *)detail)->start, ((MD_BLOCK_OL_DETAIL *)detail)->is_tight);
        break;
    case MD_BLOCK_LI:
        enter_item(p, detail);
        break;
    case MD_BLOCK_QUOTE:
        p->quotes++;
        break;
    case MD_BLOCK_H:
        add_block(p, MARKDOWN_HEADING)->level = (uint8_t)((MD_BLOCK_H_DETAIL *)detail)->level;
        break;
    case MD_BLOCK_P:
    case MD_BLOCK_HTML:
        add_block(p, MARKDOWN_PARAGRAPH);
        break;
    case MD_BLOCK_HR:
        add_block(p, MARKDOWN_RULE);
        p->open = NULL;
        break;
    case MD_BLOCK_CODE: {
        const MD_BLOCK_CODE_DETAIL *code = detail;
        markdown_block *block = add_block(p, MARKDOWN_CODE);
        if (code->lang.text)
            snprintf(block->language, sizeof block->language, "%.*s", (int)code->lang.size, code->lang.text);
        break;
    }
    case MD_BLOCK_TR:
        p->column = 0;
        break;
    case MD_BLOCK_TH:
        enter_cell(p, detail, true);
        break;
    case MD_BLOCK_TD:
        enter_cell(p, detail, false);
        break;
    default:
        break;
    }
    return 0;
}

static int leave_block(MD_BLOCKTYPE type, void *detail, void *user)
{
    parser *p = user;
    (void)detail;
    if (type == MD_BLOCK_UL || type == MD_BLOCK_OL) p->lists--;
    if (type == MD_BLOCK_QUOTE) p->quotes--;
    if (type == MD_BLOCK_TH) p->bold--;
    if (p->marker[0] && type == MD_BLOCK_LI) add_block(p, MARKDOWN_PARAGRAPH); // an empty item still shows its marker
    p->open = NULL;
    return 0;
}

static int enter_span(MD_SPANTYPE type, void *detail, void *user)
{
    parser *p = user;
    p->bold += type == MD_SPAN_STRONG;
    p->italic += type == MD_SPAN_EM;
    p->mono += type == MD_SPAN_CODE;
    p->strike += type == MD_SPAN_DEL;
    if (type == MD_SPAN_A) {
        const MD_SPAN_A_DETAIL *link = detail;
        p->url = (int32_t)p->document->urls.length;
        fe_text_append(&p->document->urls, link->href.text ? link->href.text : "", link->href.size);
        fe_text_append(&p->document->urls, "", 1);
    }
    return 0;
}

static int leave_span(MD_SPANTYPE type, void *detail, void *user)
{
    parser *p = user;
    (void)detail;
    p->bold -= type == MD_SPAN_STRONG;
    p->italic -= type == MD_SPAN_EM;
    p->mono -= type == MD_SPAN_CODE;
    p->strike -= type == MD_SPAN_DEL;
    if (type == MD_SPAN_A) p->url = -1;
    return 0;
}

static void add_entity(parser *p, const char *text, size_t length)
{
    static const char *const names[][2] = {{"&amp;", "&"},   {"&lt;", "<"},        {"&gt;", ">"},
                                           {"&quot;", "\""}, {"&nbsp;", "\u00a0"}, {"&#39;", "'"}};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i][0]) == length && memcmp(names[i][0], text, length) == 0) {
            add_span(p, names[i][1], strlen(names[i][1]));
            return;
        }
    }
    add_span(p, text, length);
}

static int take_text(MD_TEXTTYPE type, const MD_CHAR *text, MD_SIZE size, void *user)
{
    parser *p = user;
    // md4c 0.4.8 reports pieces that reach or lie behind the end of a text that stops inside a fence.
    uintptr_t at = (uintptr_t)text, end = (uintptr_t)p->end;
    if (at >= (uintptr_t)p->source && at < end + PADDING) {
        if (at >= end) return 0;
        if (size > end - at) size = (MD_SIZE)(end - at);
    }
    switch (type) {
    case MD_TEXT_BR:
        add_span(p, "\n", 1);
        break;
    case MD_TEXT_SOFTBR: // models write verse and lists of steps line by line and mean it
        add_span(p, "\n", 1);
        break;
    case MD_TEXT_NULLCHAR:
        add_span(p, "\xEF\xBF\xBD", 3);
        break;
    case MD_TEXT_ENTITY:
        add_entity(p, text, size);
        break;
    default:
        add_span(p, text, size);
        break;
    }
    return 0;
}

void markdown_parse(markdown *document, const char *text, size_t length)
{
    fe_text_clear(&document->text);
    fe_text_clear(&document->urls);
    document->block_count = document->span_count = 0;
    if (length > UINT32_MAX / 2) return;
    char *source = fe_reallocate(NULL, length + PADDING, 1);
    if (length) memcpy(source, text, length);
    memset(source + length, 0, PADDING);
    parser p = {.document = document, .source = source, .end = source + length, .url = -1};
    MD_PARSER callbacks = {.flags = MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_PERMISSIVEURLAUTOLINKS |
                                    MD_FLAG_TASKLISTS | MD_FLAG_NOHTML,
                           .enter_block = enter_block,
                           .leave_block = leave_block,
                           .enter_span = enter_span,
                           .leave_span = leave_span,
                           .text = take_text};
    md_parse(source, (MD_SIZE)length, &callbacks, &p);
    free(source);
}

void markdown_free(markdown *document)
{
    fe_text_free(&document->text);
    fe_text_free(&document->urls);
    free(document->blocks);
    free(document->spans);
    *document = (markdown){0};
}
