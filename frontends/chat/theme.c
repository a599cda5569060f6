#include "theme.h"

// Versions of clang-format disagree about braces in macros.
// clang-format off
#define RGB(hex) {(hex) >> 16 & 255, (hex) >> 8 & 255, (hex) & 255, 255}
// clang-format on

const chat_theme chat_theme_light = {
    .background = RGB(0xFCFBF9),
    .side = RGB(0xF4F2EE),
    .card = RGB(0xFFFFFF),
    .raised = RGB(0xF1EFEA),
    .hover = RGB(0xE9E6DF),
    .border = RGB(0xE3DFD7),
    .text = RGB(0x22231F),
    .dim = RGB(0x65645E),
    .faint = RGB(0x8F8D85),
    .accent = RGB(0x2F6F62),
    .on_accent = RGB(0xFFFFFF),
    .accent_soft = RGB(0xE1EDE8),
    .selection = RGB(0xC9DFD8),
    .code = RGB(0xF4F2ED),
    .danger = RGB(0xA63D33),
    .danger_soft = RGB(0xF7E6E2),
    .confidence = RGB(0x3566A8),
    .progress = RGB(0x3F8A58),
    .remain = RGB(0xB57A1E),
};

const chat_theme chat_theme_dark = {
    .dark = true,
    .background = RGB(0x191A1B),
    .side = RGB(0x141516),
    .card = RGB(0x222425),
    .raised = RGB(0x2A2C2E),
    .hover = RGB(0x303335),
    .border = RGB(0x35383A),
    .text = RGB(0xE7E6E1),
    .dim = RGB(0xA6A59F),
    .faint = RGB(0x7B7B76),
    .accent = RGB(0x7DBFAE),
    .on_accent = RGB(0x10211D),
    .accent_soft = RGB(0x23332F),
    .selection = RGB(0x2F4E47),
    .code = RGB(0x202223),
    .danger = RGB(0xE58B7F),
    .danger_soft = RGB(0x382422),
    .confidence = RGB(0x82AEE8),
    .progress = RGB(0x85C79A),
    .remain = RGB(0xDFB067),
};

const chat_font_style chat_font_styles[CHAT_FONT_COUNT] = {
    [CHAT_FONT_BODY] = {.size = 15, .line = 1.6f},
    [CHAT_FONT_BOLD] = {.size = 15, .line = 1.6f, .bold = true},
    [CHAT_FONT_ITALIC] = {.size = 15, .line = 1.6f, .italic = true},
    [CHAT_FONT_BOLD_ITALIC] = {.size = 15, .line = 1.6f, .bold = true, .italic = true},
    [CHAT_FONT_MONO] = {.size = 13.5f, .line = 1.6f, .mono = true},
    [CHAT_FONT_H1] = {.size = 24, .line = 1.4f, .bold = true},
    [CHAT_FONT_H2] = {.size = 19, .line = 1.4f, .bold = true},
    [CHAT_FONT_H3] = {.size = 16, .line = 1.5f, .bold = true},
    [CHAT_FONT_SMALL] = {.size = 13, .line = 1.55f},
    [CHAT_FONT_SMALL_BOLD] = {.size = 13, .line = 1.55f, .bold = true},
    [CHAT_FONT_TINY] = {.size = 11.5f, .line = 1.5f},
};
