// Fonts found by fontconfig, text measured and drawn by SDL_ttf (HarfBuzz shapes it). A character the face lacks comes
// from the fallback face fontconfig names for it. Rendered pieces of text are kept as textures, measured ones as
// numbers.
#ifndef CHAT_FONT_H
#define CHAT_FONT_H

#include "theme.h"

#include <SDL.h>

typedef struct font_set font_set;

// NULL with a sentence when there is not a single usable font.
font_set *font_set_create(SDL_Renderer *renderer, float scale, fe_text *problem);
void font_set_destroy(font_set *fonts);
void font_set_scale(font_set *fonts, float scale); // pixels per logical pixel; drops what is cached

// Which of some faces draws a character: the first that has it and is of the wanted kind; -1: none.
typedef struct font_offer {
    bool provides, colored;
} font_offer;
int font_choose(const font_offer *offers, unsigned count, bool colored);

int font_width(font_set *fonts, chat_font font, const char *text, size_t length);
int font_line_height(font_set *fonts, chat_font font);
int font_ascent(font_set *fonts, chat_font font);
int font_glyph_height(font_set *fonts, chat_font font); // of the box the glyphs are drawn in
// Draws one line with its top left corner at x, y, its first character on the right where it is `rtl`; returns its
// width.
int font_draw(font_set *fonts, chat_font font, int x, int y, const char *text, size_t length, bool rtl,
              chat_color color);
// Once a frame: drops textures that were not used for long.
void font_end_frame(font_set *fonts);

#endif
