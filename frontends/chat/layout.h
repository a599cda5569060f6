// Text to positioned runs: wrapping, blocks, tables, hit testing, selection. Pure: widths come from a callback. All
// lengths are pixels of the screen, relative to the layout's own top left corner.
#ifndef CHAT_LAYOUT_H
#define CHAT_LAYOUT_H

#include "markdown.h"

typedef enum chat_font {
    CHAT_FONT_BODY = 0,
    CHAT_FONT_BOLD,
    CHAT_FONT_ITALIC,
    CHAT_FONT_BOLD_ITALIC,
    CHAT_FONT_MONO,
    CHAT_FONT_H1,
    CHAT_FONT_H2,
    CHAT_FONT_H3,
    CHAT_FONT_SMALL,
    CHAT_FONT_SMALL_BOLD,
    CHAT_FONT_TINY,
    CHAT_FONT_COUNT
} chat_font;

typedef struct layout_measure {
    void *user;
    int (*width)(void *user, chat_font font, const char *text, size_t length);
    int (*height)(void *user, chat_font font); // of a line with its spacing
    int (*ascent)(void *user, chat_font font); // from the top of the glyphs' box to the baseline
    int unit;                                  // of the spacing scale
} layout_measure;

typedef enum layout_role { LAYOUT_TEXT = 0, LAYOUT_DIM, LAYOUT_LINK, LAYOUT_CODE } layout_role;

typedef struct layout_run {
    int x, y, width;         // y: top of the glyphs
    int line_y, line_height; // of the line the run stands in
    uint8_t font, role;
    bool strike;
    bool rtl;               // runs from right to left
    uint32_t start, length; // bytes of layout.plain
    int32_t url;            // offset in layout.urls, -1: none
} layout_run;

typedef enum layout_box_kind {
    LAYOUT_BOX_CODE = 0,
    LAYOUT_BOX_CHIP,
    LAYOUT_BOX_QUOTE,
    LAYOUT_BOX_LINE
} layout_box_kind;

typedef struct layout_box {
    layout_box_kind kind;
    int x, y, width, height;
    uint32_t start, length; // of code, in layout.plain: what its copy button copies
    char language[24];
} layout_box;

typedef struct layout {
    layout_run *runs; // in the order of the text, that is top to bottom, cells of a table row side by side
    layout_box *boxes;
    uint32_t run_count, run_capacity, box_count, box_capacity;
    fe_text plain; // what is copied
    fe_text urls;
    int width, height;
} layout;

void layout_build(layout *out, const markdown *document, int width, const layout_measure *measure);
void layout_build_plain(layout *out, const char *text, size_t length, chat_font font, layout_role role, int width,
                        const layout_measure *measure);
// Makes a layout that layout_build_plain built the one of another text, in the same font, role, width and measure. Only
// the lines that differ are set anew; where text runs from right to left, their paragraphs.
void layout_change_plain(layout *l, const char *text, size_t length, chat_font font, layout_role role,
                         const layout_measure *measure);
void layout_free(layout *out);

// Where the character at `offset`, inside the run, begins: on its right where it runs from right to left.
int layout_run_x(const layout *l, const layout_measure *measure, const layout_run *run, uint32_t offset);
// The offset in `plain` nearest to the point; between 0 and plain.length.
uint32_t layout_hit(const layout *l, const layout_measure *measure, int x, int y);
// The run under the point, NULL: none.
const layout_run *layout_run_at(const layout *l, int x, int y);
// Where the character at `offset` stands.
void layout_position(const layout *l, const layout_measure *measure, uint32_t offset, int *x, int *y, int *height);
// First run that ends below `y`; runs before it are not visible.
uint32_t layout_first_visible(const layout *l, int y);

#endif
