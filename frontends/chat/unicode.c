#include "unicode.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

#ifdef CHAT_UNIBREAK
#include <linebreak.h>
#endif
#ifdef CHAT_FRIBIDI
#include <fribidi.h>
#endif

// ---- Line breaks ---------------------------------------------------------------------------------------------------

#ifdef CHAT_UNIBREAK
void unicode_breaks(const char *text, size_t length, bool *breaks)
{
    char *found = chat_reallocate(NULL, length + 1, 1);
    set_linebreaks_utf8((const utf8_t *)text, length, "", found);
    for (size_t i = 0; i < length; i++)
        breaks[i] = found[i] == LINEBREAK_ALLOWBREAK || found[i] == LINEBREAK_MUSTBREAK;
    free(found);
}
#else
static bool is_ideograph(uint32_t point)
{
    return (point >= 0x2E80 && point <= 0xA4CF) || (point >= 0xAC00 && point <= 0xD7A3) ||
           (point >= 0xF900 && point <= 0xFAFF) || (point >= 0xFE30 && point <= 0xFE4F) ||
           (point >= 0xFF00 && point <= 0xFFEF) || (point >= 0x20000 && point <= 0x3FFFF);
}

static bool is_one_of(uint32_t point, const char *points)
{
    for (size_t at = 0, length = strlen(points); at < length;)
        if (chat_utf8_decode(points, length, &at) == point) return true;
    return false;
}

void unicode_breaks(const char *text, size_t length, bool *breaks)
{
    memset(breaks, 0, length * sizeof *breaks);
    uint32_t before = 0;
    for (size_t at = 0; at < length;) {
        size_t start = at;
        uint32_t point = chat_utf8_decode(text, length, &at);
        bool stays = is_one_of(point, "、。，．！？：；）」』】〕》”’ー") || is_one_of(before, "（「『【〔《“‘");
        bool may = is_ideograph(point) || is_ideograph(before) || is_one_of(before, " -/");
        if (start && may && !stays && !(point == ' ')) breaks[start - 1] = true;
        before = point;
    }
}
#endif

// ---- Direction -----------------------------------------------------------------------------------------------------

static bool runs_left(uint32_t point)
{
    return (point >= 0x590 && point <= 0x8FF) || (point >= 0xFB1D && point <= 0xFDFF) ||
           (point >= 0xFE70 && point <= 0xFEFF) || (point >= 0x10800 && point <= 0x10FFF) ||
           (point >= 0x1E800 && point <= 0x1EFFF) || point == 0x200F || (point >= 0x202A && point <= 0x202E) ||
           (point >= 0x2066 && point <= 0x2069);
}

bool unicode_has_rtl(const char *text, size_t length)
{
    for (size_t at = 0; at < length;) {
        if ((unsigned char)text[at] < 0xD6) { // below U+0590, or within ASCII
            at = chat_utf8_next(text, length, at);
        } else if (runs_left(chat_utf8_decode(text, length, &at))) {
            return true;
        }
    }
    return false;
}

bool unicode_levels(const char *text, size_t length, bool *known, bool *rtl, uint8_t *levels)
{
    memset(levels, 0, length);
#ifdef CHAT_FRIBIDI
    FriBidiChar *points = chat_reallocate(NULL, length + 1, sizeof *points);
    FriBidiCharType *types = chat_reallocate(NULL, length + 1, sizeof *types);
    FriBidiBracketType *brackets = chat_reallocate(NULL, length + 1, sizeof *brackets);
    FriBidiLevel *found = chat_reallocate(NULL, length + 1, sizeof *found);
    FriBidiStrIndex count = 0;
    for (size_t at = 0; at < length;)
        points[count++] = chat_utf8_decode(text, length, &at);
    FriBidiParType direction = !*known ? FRIBIDI_PAR_ON : *rtl ? FRIBIDI_PAR_RTL : FRIBIDI_PAR_LTR;
    fribidi_get_bidi_types(points, count, types);
    fribidi_get_bracket_types(points, count, types, brackets);
    bool good = count && fribidi_get_par_embedding_levels_ex(types, brackets, count, &direction, found) > 0;
    if (good) {
        *known = true;
        *rtl = FRIBIDI_IS_RTL(direction);
        size_t at = 0;
        for (FriBidiStrIndex i = 0; i < count; i++)
            for (size_t next = chat_utf8_next(text, length, at); at < next; at++)
                levels[at] = (uint8_t)found[i];
    }
    free(points);
    free(types);
    free(brackets);
    free(found);
    return good;
#else
    (void)text, (void)known, (void)rtl;
    return false;
#endif
}

// ---- Characters ----------------------------------------------------------------------------------------------------

const char *unicode_script(uint32_t point)
{
    static const struct {
        uint32_t first, last;
        const char *tag;
    } scripts[] = {
        {0x0590, 0x05FF, "Hebr"}, {0x0600, 0x06FF, "Arab"}, {0x0700, 0x074F, "Syrc"}, {0x0750, 0x077F, "Arab"},
        {0x08A0, 0x08FF, "Arab"}, {0x0900, 0x097F, "Deva"}, {0x0980, 0x09FF, "Beng"}, {0x0A00, 0x0A7F, "Guru"},
        {0x0A80, 0x0AFF, "Gujr"}, {0x0B00, 0x0B7F, "Orya"}, {0x0B80, 0x0BFF, "Taml"}, {0x0C00, 0x0C7F, "Telu"},
        {0x0C80, 0x0CFF, "Knda"}, {0x0D00, 0x0D7F, "Mlym"}, {0x0D80, 0x0DFF, "Sinh"}, {0x0E00, 0x0E7F, "Thai"},
        {0x0E80, 0x0EFF, "Laoo"}, {0x0F00, 0x0FFF, "Tibt"}, {0x1000, 0x109F, "Mymr"}, {0x1780, 0x17FF, "Khmr"},
        {0xFB1D, 0xFB4F, "Hebr"}, {0xFB50, 0xFDFF, "Arab"}, {0xFE70, 0xFEFF, "Arab"}};
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts && point >= scripts[i].first; i++)
        if (point <= scripts[i].last) return scripts[i].tag;
    return "";
}

bool unicode_is_emoji(uint32_t point)
{
    return (point >= 0x1F300 && point <= 0x1FAFF) || (point >= 0x1F1E6 && point <= 0x1F1FF) || point == 0x2705 ||
           point == 0x274C || point == 0x2B50 || point == 0x2728 || point == 0x26A1 || point == 0x2753 ||
           point == 0x2757 || point == 0x231A || point == 0x23F0 || point == 0x23F3;
}

bool unicode_joins(uint32_t point)
{
    return point == 0x200D || (point >= 0xFE00 && point <= 0xFE0F) || (point >= 0x300 && point < 0x370) ||
           (point >= 0x1F3FB && point <= 0x1F3FF);
}
