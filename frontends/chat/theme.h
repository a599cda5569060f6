// Colours and sizes: one spacing scale, one type scale, quiet colours in a light and a dark variant.
#ifndef CHAT_THEME_H
#define CHAT_THEME_H

#include "layout.h"

typedef struct chat_color {
    uint8_t r, g, b, a;
} chat_color;

typedef struct chat_theme {
    bool dark;
    chat_color background, side, card, raised, hover, border;
    chat_color text, dim, faint;
    chat_color accent, on_accent, accent_soft;
    chat_color selection, code, danger, danger_soft;
    chat_color confidence, progress, remain; // the three signals
} chat_theme;

extern const chat_theme chat_theme_light, chat_theme_dark;

// The spacing scale, in units of 4 logical pixels: use multiples of it only.
enum { CHAT_UNIT = 4 };

typedef struct chat_font_style {
    float size; // logical pixels
    float line; // height of a line in sizes
    bool bold, italic, mono;
} chat_font_style;

extern const chat_font_style chat_font_styles[CHAT_FONT_COUNT];

#endif
