// Markdown to a flat list of blocks with styled spans (parsed by md4c: CommonMark with tables, strikethrough and bare
// links). Half-written Markdown, as it streams in, is fine.
#ifndef CHAT_MARKDOWN_H
#define CHAT_MARKDOWN_H

#include "text.h"

typedef enum markdown_kind {
    MARKDOWN_PARAGRAPH = 0,
    MARKDOWN_HEADING,
    MARKDOWN_CODE,
    MARKDOWN_RULE,
    MARKDOWN_CELL // of a table; cells of one table follow each other, row by row
} markdown_kind;

enum { MARKDOWN_BOLD = 1, MARKDOWN_ITALIC = 2, MARKDOWN_MONO = 4, MARKDOWN_LINK = 8, MARKDOWN_STRIKE = 16 };

typedef struct markdown_span {
    uint32_t start, length; // bytes of markdown.text
    uint8_t style;          // MARKDOWN_BOLD ...
    int32_t url;            // offset of a terminated string in markdown.urls, -1: none
} markdown_span;

typedef struct markdown_block {
    markdown_kind kind;
    uint8_t level;     // of a heading, 1..6
    uint8_t indent;    // depth of lists
    uint8_t quotes;    // depth of block quotes
    uint8_t align;     // of a cell: 0 left, 1 centre, 2 right
    bool header;       // of a cell
    bool tight;        // close to the block above
    uint16_t column;   // of a cell
    char marker[12];   // of a list item's first block: "•", "12."
    char language[24]; // of code
    uint32_t first_span, span_count;
} markdown_block;

typedef struct markdown {
    fe_text text, urls;
    markdown_block *blocks;
    markdown_span *spans;
    uint32_t block_count, block_capacity, span_count, span_capacity;
} markdown;

void markdown_parse(markdown *document, const char *text, size_t length); // replaces what was there
void markdown_free(markdown *document);

#endif
