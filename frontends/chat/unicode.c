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

// An ASCII character with nothing behind it that could belong to it: most of most texts, told without decoding.
static bool stands_alone(const char *text, size_t length, size_t at)
{
    return (unsigned char)text[at] < 0x80 && (at + 1 >= length || (unsigned char)text[at + 1] < 0xCC); // below U+0300
}

static bool is_regional(uint32_t point) // half a flag
{
    return point >= 0x1F1E6 && point <= 0x1F1FF;
}

// ---- Line breaks ---------------------------------------------------------------------------------------------------

#ifdef CHAT_UNIBREAK
// libunibreak before 3 asserts that it meets neither halves of flags nor U+FFFF: an ideograph stands in for them.
static uint32_t breakable(uint32_t point)
{
    return is_regional(point) || point == 0xFFFF ? 0x4E00 : point;
}

static void find_breaks(const char *text, size_t length, bool *breaks)
{
    utf32_t *points = fe_reallocate(NULL, length, sizeof *points);
    char *found = fe_reallocate(NULL, length, 1);
    size_t count = 0;
    for (size_t at = 0; at < length;)
        points[count++] = breakable(chat_utf8_decode(text, length, &at));
    set_linebreaks_utf32(points, count, "", found);
    memset(breaks, 0, length * sizeof *breaks);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        at = chat_utf8_next(text, length, at);
        breaks[at - 1] = found[i] == LINEBREAK_ALLOWBREAK || found[i] == LINEBREAK_MUSTBREAK;
    }
    free(points);
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

static void find_breaks(const char *text, size_t length, bool *breaks)
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

void unicode_breaks(const char *text, size_t length, bool *breaks)
{
    find_breaks(text, length, breaks);
    for (size_t at = 0; at < length;) // libraries differ in how new they are: none breaks what is one character
        for (size_t end = unicode_cluster(text, length, at); at < end; at++)
            breaks[at] = breaks[at] && at + 1 == end;
}

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
    FriBidiChar *points = fe_reallocate(NULL, length + 1, sizeof *points);
    FriBidiCharType *types = fe_reallocate(NULL, length + 1, sizeof *types);
    FriBidiBracketType *brackets = fe_reallocate(NULL, length + 1, sizeof *brackets);
    FriBidiLevel *found = fe_reallocate(NULL, length + 1, sizeof *found);
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

static uint32_t point_at(const char *text, size_t length, size_t at)
{
    return at < length ? chat_utf8_decode(text, length, &at) : 0;
}

bool unicode_is_picture(const char *text, size_t length, size_t at)
{
    static const struct {
        uint32_t first, last;
    } pictures[] = {// Emoji_Presentation of Unicode 17
                    {0x231A, 0x231B},   {0x23E9, 0x23EC},   {0x23F0, 0x23F0},   {0x23F3, 0x23F3},   {0x25FD, 0x25FE},
                    {0x2614, 0x2615},   {0x2648, 0x2653},   {0x267F, 0x267F},   {0x2693, 0x2693},   {0x26A1, 0x26A1},
                    {0x26AA, 0x26AB},   {0x26BD, 0x26BE},   {0x26C4, 0x26C5},   {0x26CE, 0x26CE},   {0x26D4, 0x26D4},
                    {0x26EA, 0x26EA},   {0x26F2, 0x26F3},   {0x26F5, 0x26F5},   {0x26FA, 0x26FA},   {0x26FD, 0x26FD},
                    {0x2705, 0x2705},   {0x270A, 0x270B},   {0x2728, 0x2728},   {0x274C, 0x274C},   {0x274E, 0x274E},
                    {0x2753, 0x2755},   {0x2757, 0x2757},   {0x2795, 0x2797},   {0x27B0, 0x27B0},   {0x27BF, 0x27BF},
                    {0x2B1B, 0x2B1C},   {0x2B50, 0x2B50},   {0x2B55, 0x2B55},   {0x1F004, 0x1F004}, {0x1F0CF, 0x1F0CF},
                    {0x1F18E, 0x1F18E}, {0x1F191, 0x1F19A}, {0x1F1E6, 0x1F1FF}, {0x1F201, 0x1F201}, {0x1F21A, 0x1F21A},
                    {0x1F22F, 0x1F22F}, {0x1F232, 0x1F236}, {0x1F238, 0x1F23A}, {0x1F250, 0x1F251}, {0x1F300, 0x1F320},
                    {0x1F32D, 0x1F335}, {0x1F337, 0x1F37C}, {0x1F37E, 0x1F393}, {0x1F3A0, 0x1F3CA}, {0x1F3CF, 0x1F3D3},
                    {0x1F3E0, 0x1F3F0}, {0x1F3F4, 0x1F3F4}, {0x1F3F8, 0x1F43E}, {0x1F440, 0x1F440}, {0x1F442, 0x1F4FC},
                    {0x1F4FF, 0x1F53D}, {0x1F54B, 0x1F54E}, {0x1F550, 0x1F567}, {0x1F57A, 0x1F57A}, {0x1F595, 0x1F596},
                    {0x1F5A4, 0x1F5A4}, {0x1F5FB, 0x1F64F}, {0x1F680, 0x1F6C5}, {0x1F6CC, 0x1F6CC}, {0x1F6D0, 0x1F6D2},
                    {0x1F6D5, 0x1F6D8}, {0x1F6DC, 0x1F6DF}, {0x1F6EB, 0x1F6EC}, {0x1F6F4, 0x1F6FC}, {0x1F7E0, 0x1F7EB},
                    {0x1F7F0, 0x1F7F0}, {0x1F90C, 0x1F93A}, {0x1F93C, 0x1F945}, {0x1F947, 0x1F9FF}, {0x1FA70, 0x1FA7C},
                    {0x1FA80, 0x1FA8A}, {0x1FA8E, 0x1FAC6}, {0x1FAC8, 0x1FAC8}, {0x1FACD, 0x1FADC}, {0x1FADF, 0x1FAEA},
                    {0x1FAEF, 0x1FAF8}};
    if (stands_alone(text, length, at)) return false;
    uint32_t point = chat_utf8_decode(text, length, &at), selector = point_at(text, length, at);
    bool keycap = point < 0xA9; // a digit, as long as the key is not drawn around it
    if (selector == 0xFE0F) return !keycap || point_at(text, length, at + 3) == 0x20E3;
    if (selector == 0xFE0E) return false;
    size_t low = 0, high = sizeof pictures / sizeof *pictures;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (pictures[middle].last < point) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < sizeof pictures / sizeof *pictures && point >= pictures[low].first;
}

// Belongs to the character before it: marks, joiners, variation selectors, skin, keys, tags.
static bool joins(uint32_t point)
{
    return point == 0x200D || (point >= 0xFE00 && point <= 0xFE0F) || (point >= 0x300 && point < 0x370) ||
           point == 0x20E3 || (point >= 0x1F3FB && point <= 0x1F3FF) || (point >= 0xE0020 && point <= 0xE007F);
}

size_t unicode_cluster(const char *text, size_t length, size_t at)
{
    if (stands_alone(text, length, at)) return at + 1;
    uint32_t before = chat_utf8_decode(text, length, &at);
    bool half = is_regional(before);
    while (at < length) {
        size_t next = at;
        uint32_t point = chat_utf8_decode(text, length, &next);
        if (!joins(point) && before != 0x200D && !(half && is_regional(point))) break;
        half = half && !is_regional(point);
        before = point;
        at = next;
    }
    return at;
}

size_t unicode_cluster_start(const char *text, size_t length, size_t at)
{
    enum { FARTHEST = 64 }; // characters; longer ones are not worth the search
    if (at >= length) return length;
    size_t from = chat_utf8_previous(text, at + 1);
    for (unsigned i = 0; i < FARTHEST && from > 0; i++) {
        size_t previous = chat_utf8_previous(text, from);
        uint32_t point = point_at(text, length, from);
        if (!joins(point) && !is_regional(point) && point_at(text, length, previous) != 0x200D) break;
        from = previous;
    }
    for (;;) {
        size_t end = unicode_cluster(text, length, from);
        if (end > at) return from;
        from = end;
    }
}
