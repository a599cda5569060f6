#include "font.h"
#include "unicode.h"

#include <fontconfig/fontconfig.h>
#include <math.h>
#include <SDL_ttf.h>
#include <stdlib.h>
#include <string.h>

enum {
    FALLBACK_LIMIT = 24,
    TEXTURE_SLOTS = 4096, // a power of two
    WIDTH_SLOTS = 1 << 15,
    FACE_SLOTS = 1 << 12,
    PIECE_LIMIT = 1024, // bytes drawn at once; longer lines are cut into pieces
    KEPT_FRAMES = 240,
    PIXEL_LIMIT = 12000000 // of cached textures: 48 MB
};

typedef struct font_file {
    char *path;
    bool colored, outlined; // has colours of its own; is not made of pictures of one size
} font_file;

typedef struct face {
    TTF_Font *font; // NULL: not opened yet, or cannot be
    bool tried;
    float ratio; // of pictures of one size to what is drawn; 0: drawn as they are
} face;

typedef struct texture_slot {
    uint64_t key; // 0: free
    SDL_Texture *texture;
    int width, height;
    bool colored;  // has colours of its own
    uint32_t used; // frame
} texture_slot;

typedef struct width_slot {
    uint64_t key;
    int width;
} width_slot;

typedef struct face_slot { // which face has a character
    uint64_t key;
    unsigned index;
} face_slot;

struct font_set {
    SDL_Renderer *renderer;
    float scale;
    font_file files[2][2][2]; // [mono][bold][italic]
    font_file fallbacks[FALLBACK_LIMIT];
    unsigned fallback_count;
    face faces[CHAT_FONT_COUNT][1 + FALLBACK_LIMIT]; // [0]: the face itself
    texture_slot textures[TEXTURE_SLOTS];
    width_slot widths[WIDTH_SLOTS];
    face_slot found[FACE_SLOTS];
    uint32_t frame;
    size_t pixels;
    unsigned texture_count;
};

static font_file match(const char *family, bool bold, bool italic, uint32_t point, bool colored)
{
    FcPattern *pattern = FcPatternCreate();
    FcPatternAddString(pattern, FC_FAMILY, (const FcChar8 *)family);
    FcPatternAddInteger(pattern, FC_WEIGHT, bold ? FC_WEIGHT_DEMIBOLD : FC_WEIGHT_REGULAR);
    FcPatternAddInteger(pattern, FC_SLANT, italic ? FC_SLANT_ITALIC : FC_SLANT_ROMAN);
    if (!colored) FcPatternAddBool(pattern, FC_OUTLINE, FcTrue);
    FcPatternAddBool(pattern, FC_COLOR, colored);
    if (point) {
        FcCharSet *set = FcCharSetCreate();
        FcCharSetAddChar(set, point);
        FcPatternAddCharSet(pattern, FC_CHARSET, set);
        FcCharSetDestroy(set);
    }
    FcConfigSubstitute(NULL, pattern, FcMatchPattern);
    FcDefaultSubstitute(pattern);
    FcResult result;
    FcPattern *found = FcFontMatch(NULL, pattern, &result);
    FcChar8 *path = NULL;
    FcBool color = FcFalse, outline = FcTrue;
    font_file file = {0};
    if (found && FcPatternGetString(found, FC_FILE, 0, &path) == FcResultMatch) {
        FcPatternGetBool(found, FC_COLOR, 0, &color);
        FcPatternGetBool(found, FC_OUTLINE, 0, &outline);
        file = (font_file){.path = fe_copy_string((const char *)path), .colored = color, .outlined = outline};
    }
    if (found) FcPatternDestroy(found);
    FcPatternDestroy(pattern);
    return file;
}

// Families in order of taste; fontconfig answers with its default where one is missing, so each is asked for by name.
static font_file match_first(const char *const *families, bool bold, bool italic)
{
    for (; *families; families++) {
        FcPattern *pattern = FcPatternBuild(NULL, FC_FAMILY, FcTypeString, *families, (char *)NULL);
        FcObjectSet *objects = FcObjectSetBuild(FC_FILE, (char *)NULL);
        FcFontSet *set = FcFontList(NULL, pattern, objects);
        bool there = set && set->nfont > 0;
        if (set) FcFontSetDestroy(set);
        FcObjectSetDestroy(objects);
        FcPatternDestroy(pattern);
        if (there) return match(*families, bold, italic, 0, false);
    }
    return (font_file){0};
}

static void find_files(font_set *fonts)
{
    static const char *const sans[] = {"Inter", "Segoe UI", "SF Pro Text", "Noto Sans", "DejaVu Sans", NULL};
    static const char *const mono[] = {"JetBrains Mono", "Cascadia Mono",    "SF Mono",
                                       "Noto Sans Mono", "DejaVu Sans Mono", NULL};
    for (unsigned i = 0; i < 8; i++) {
        bool bold = i & 1, italic = i & 2, fixed = i & 4;
        font_file *file = &fonts->files[fixed][bold][italic];
        *file = match_first(fixed ? mono : sans, bold, italic);
        if (!file->path) *file = match(fixed ? "monospace" : "sans-serif", bold, italic, 0, false);
    }
}

static int pixel_size(const font_set *fonts, chat_font font)
{
    int size = (int)lroundf(chat_font_styles[font].size * fonts->scale);
    return size > 4 ? size : 4;
}

static const font_file *file_of(const font_set *fonts, chat_font font, unsigned index)
{
    const chat_font_style *style = &chat_font_styles[font];
    return index ? &fonts->fallbacks[index - 1] : &fonts->files[style->mono][style->bold][style->italic];
}

static TTF_Font *open_face(font_set *fonts, chat_font font, unsigned index)
{
    face *f = &fonts->faces[font][index];
    if (f->tried) return f->font;
    f->tried = true;
    const font_file *file = file_of(fonts, font, index);
    if (file->path) f->font = TTF_OpenFont(file->path, pixel_size(fonts, font));
    if (!f->font) return NULL;
    TTF_SetFontHinting(f->font, TTF_HINTING_LIGHT_SUBPIXEL);
    if (file->colored && !file->outlined && TTF_FontHeight(f->font) > 0)
        f->ratio = 1.2f * (float)pixel_size(fonts, font) / (float)TTF_FontHeight(f->font);
    return f->font;
}

font_set *font_set_create(SDL_Renderer *renderer, float scale, fe_text *problem)
{
    font_set *fonts = fe_reallocate(NULL, 1, sizeof *fonts);
    memset(fonts, 0, sizeof *fonts);
    fonts->renderer = renderer;
    fonts->scale = scale;
    if (TTF_Init() == 0 && FcInit()) find_files(fonts);
    if (open_face(fonts, CHAT_FONT_BODY, 0)) return fonts;
    fe_text_printf(problem, "No font can be opened (%s); install one, such as Noto Sans.", TTF_GetError());
    font_set_destroy(fonts);
    return NULL;
}

static void drop_cached(font_set *fonts)
{
    for (unsigned i = 0; i < TEXTURE_SLOTS; i++)
        if (fonts->textures[i].texture) SDL_DestroyTexture(fonts->textures[i].texture);
    memset(fonts->textures, 0, sizeof fonts->textures);
    memset(fonts->widths, 0, sizeof fonts->widths);
    fonts->pixels = fonts->texture_count = 0;
    for (unsigned i = 0; i < CHAT_FONT_COUNT; i++)
        for (unsigned j = 0; j <= FALLBACK_LIMIT; j++)
            if (fonts->faces[i][j].font) TTF_CloseFont(fonts->faces[i][j].font);
    memset(fonts->faces, 0, sizeof fonts->faces);
}

void font_set_destroy(font_set *fonts)
{
    if (!fonts) return;
    drop_cached(fonts);
    for (unsigned i = 0; i < 8; i++)
        free(fonts->files[i >> 2 & 1][i & 1][i >> 1 & 1].path);
    for (unsigned i = 0; i < fonts->fallback_count; i++)
        free(fonts->fallbacks[i].path);
    free(fonts);
}

void font_set_scale(font_set *fonts, float scale)
{
    if (fabsf(scale - fonts->scale) < 0.001f) return;
    drop_cached(fonts);
    fonts->scale = scale;
}

static bool provides(font_set *fonts, chat_font font, unsigned index, uint32_t point)
{
    TTF_Font *opened = open_face(fonts, font, index);
    return opened && TTF_GlyphIsProvided32(opened, point);
}

int font_choose(const font_offer *offers, unsigned count, bool colored)
{
    for (unsigned i = 0; i < count; i++)
        if (offers[i].provides && offers[i].colored == colored) return (int)i;
    return -1;
}

// Asks fontconfig. False: what it names was known already, or there is no room.
static bool add_fallback(font_set *fonts, uint32_t point, bool colored)
{
    if (fonts->fallback_count == FALLBACK_LIMIT) return false;
    font_file file = match(colored ? "emoji" : "sans-serif", false, false, point, colored);
    if (!file.path) return false;
    for (unsigned i = 0; i < fonts->fallback_count; i++) {
        if (strcmp(fonts->fallbacks[i].path, file.path) != 0) continue;
        free(file.path);
        return false;
    }
    fonts->fallbacks[fonts->fallback_count++] = file;
    return true;
}

// The face of a character: one that is known before one that is asked for, and one with colours where it is a picture,
// without where it is not; else any that has it; else the font's own, which shows that it is missing.
static unsigned find_face(font_set *fonts, chat_font font, uint32_t point, bool colored)
{
    font_offer offers[1 + FALLBACK_LIMIT];
    unsigned count = 0;
    int chosen = -1;
    do {
        for (; count <= fonts->fallback_count; count++)
            offers[count] = (font_offer){.provides = provides(fonts, font, count, point),
                                         .colored = file_of(fonts, font, count)->colored};
        chosen = font_choose(offers, count, colored);
    } while (chosen < 0 && add_fallback(fonts, point, colored));
    if (chosen < 0) chosen = font_choose(offers, count, !colored);
    return chosen < 0 ? 0 : (unsigned)chosen;
}

// fontconfig takes milliseconds to say that nothing has a character, so what was found, or not, is kept.
static unsigned face_for(font_set *fonts, chat_font font, uint32_t point, bool colored)
{
    if (point < 0x250 && !colored) return 0;
    uint64_t key = (uint64_t)point << 8 | (uint64_t)font << 2 | (uint64_t)colored << 1 | 1;
    face_slot *slot = &fonts->found[(point * 32 + (uint32_t)font * 2 + colored) & (FACE_SLOTS - 1)];
    if (slot->key != key) *slot = (face_slot){.key = key, .index = find_face(fonts, font, point, colored)};
    return slot->index;
}

typedef struct text_piece { // of one face and one script
    char text[PIECE_LIMIT + 8];
    size_t used;   // bytes of it
    size_t length; // bytes of the line it stands for
    unsigned index;
    const char *script;
    bool rtl;
} text_piece;

// What is drawn for a character: a tab as four spaces, no control characters. False: the piece is full.
static bool add_drawn(text_piece *piece, const char *bytes, size_t length)
{
    bool tab = bytes[0] == '\t', control = (unsigned char)bytes[0] < ' ';
    const char *drawn = tab ? "    " : control ? " " : bytes;
    if (tab) length = 4;
    if (piece->used == 0) length = chat_utf8_cut(drawn, length, PIECE_LIMIT); // marks upon marks
    if (piece->used + length > PIECE_LIMIT) return false;
    memcpy(piece->text + piece->used, drawn, length);
    piece->used += length;
    return true;
}

static void next_piece(font_set *fonts, chat_font font, const char *text, size_t length, bool rtl, text_piece *piece)
{
    size_t at = 0;
    *piece = (text_piece){.script = "", .rtl = rtl};
    while (at < length) {
        size_t ignored = at, end = unicode_cluster(text, length, at);
        uint32_t point = chat_utf8_decode(text, length, &ignored);
        unsigned wanted = face_for(fonts, font, point, unicode_is_picture(text, length, at));
        bool neutral = point < 0x41 || (point >= 0x2000 && point < 0x2070);
        const char *script = neutral ? piece->script : unicode_script(point);
        if (at && (wanted != piece->index || strcmp(script, piece->script) != 0)) break;
        piece->index = wanted;
        piece->script = script;
        if (!add_drawn(piece, text + at, end - at)) break;
        at = end;
    }
    piece->text[piece->used] = 0;
    piece->length = at;
}

static TTF_Font *face_of(font_set *fonts, chat_font font, const text_piece *piece)
{
    TTF_Font *opened = open_face(fonts, font, piece->index);
    if (!opened) return NULL;
    TTF_SetFontDirection(opened, piece->rtl ? TTF_DIRECTION_RTL : TTF_DIRECTION_LTR);
    TTF_SetFontScriptName(opened, piece->script[0] ? piece->script : "Zyyy");
    return opened;
}

static int scaled(const font_set *fonts, chat_font font, unsigned index, int length)
{
    float ratio = fonts->faces[font][index].ratio;
    return ratio > 0 ? (int)lroundf((float)length * ratio) : length;
}

// Averages the pixels that fall into one: pictures of 128 pixels become some of 18.
static SDL_Surface *shrink(SDL_Surface *from, int width, int height)
{
    SDL_Surface *to = SDL_CreateRGBSurfaceWithFormat(0, width, height, 32, SDL_PIXELFORMAT_ARGB8888);
    if (!to || from->format->BytesPerPixel != 4) {
        SDL_FreeSurface(to);
        return from;
    }
    for (int y = 0; y < height; y++) {
        uint32_t *row = (uint32_t *)((char *)to->pixels + y * to->pitch);
        int top = y * from->h / height, bottom = (y + 1) * from->h / height;
        for (int x = 0; x < width; x++) {
            int left = x * from->w / width, right = (x + 1) * from->w / width;
            uint32_t sum[4] = {0}, count = 0; // alpha, and colours weighed by it
            for (int sy = top; sy < bottom; sy++) {
                const uint32_t *source = (const uint32_t *)((const char *)from->pixels + sy * from->pitch);
                for (int sx = left; sx < right; sx++, count++) {
                    uint32_t alpha = source[sx] >> 24;
                    sum[0] += alpha;
                    for (int c = 1; c < 4; c++)
                        sum[c] += (source[sx] >> (24 - 8 * c) & 255) * alpha;
                }
            }
            row[x] = count && sum[0]
                         ? (sum[0] / count) << 24 | (sum[1] / sum[0]) << 16 | (sum[2] / sum[0]) << 8 | sum[3] / sum[0]
                         : 0;
        }
    }
    SDL_FreeSurface(from);
    return to;
}

static uint64_t hash_of(chat_font font, unsigned index, const char *text, size_t length)
{
    uint64_t hash = 0xcbf29ce484222325u ^ ((uint64_t)font * 64 + index + 1) * 0x9E3779B97F4A7C15u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 0x100000001b3u;
    hash ^= hash >> 29;
    return hash ? hash : 1;
}

int font_width(font_set *fonts, chat_font font, const char *text, size_t length)
{
    if (length == 0) return 0;
    uint64_t key = hash_of(font, 0, text, length);
    width_slot *slot = &fonts->widths[key & (WIDTH_SLOTS - 1)];
    if (slot->key == key) return slot->width;
    text_piece piece;
    int total = 0;
    bool rtl = unicode_has_rtl(text, length); // measured as it will be drawn
    for (size_t at = 0; at < length; at += piece.length) {
        int width = 0, height;
        next_piece(fonts, font, text + at, length - at, rtl, &piece);
        TTF_Font *opened = face_of(fonts, font, &piece);
        if (opened) TTF_SizeUTF8(opened, piece.text, &width, &height);
        total += scaled(fonts, font, piece.index, width);
    }
    *slot = (width_slot){.key = key, .width = total};
    return total;
}

int font_line_height(font_set *fonts, chat_font font)
{
    return (int)lroundf(chat_font_styles[font].size * chat_font_styles[font].line * fonts->scale);
}

int font_ascent(font_set *fonts, chat_font font)
{
    TTF_Font *opened = open_face(fonts, font, 0);
    return opened ? TTF_FontAscent(opened) : pixel_size(fonts, font);
}

int font_glyph_height(font_set *fonts, chat_font font)
{
    TTF_Font *opened = open_face(fonts, font, 0);
    return opened ? TTF_FontHeight(opened) : pixel_size(fonts, font);
}

static void evict(font_set *fonts, uint32_t age)
{
    // Open addressing cannot lose single entries, so what stays is put in again.
    texture_slot *kept = fe_reallocate(NULL, TEXTURE_SLOTS, sizeof *kept);
    unsigned count = 0;
    for (unsigned i = 0; i < TEXTURE_SLOTS; i++) {
        texture_slot *slot = &fonts->textures[i];
        if (!slot->key) continue;
        if (fonts->frame - slot->used <= age) {
            kept[count++] = *slot;
            continue;
        }
        fonts->pixels -= (size_t)slot->width * (size_t)slot->height;
        if (slot->texture) SDL_DestroyTexture(slot->texture);
    }
    memset(fonts->textures, 0, sizeof fonts->textures);
    for (unsigned i = 0; i < count; i++) {
        uint64_t at = kept[i].key;
        while (fonts->textures[at & (TEXTURE_SLOTS - 1)].key)
            at++;
        fonts->textures[at & (TEXTURE_SLOTS - 1)] = kept[i];
    }
    fonts->texture_count = count;
    free(kept);
}

static const texture_slot *texture_of(font_set *fonts, chat_font font, const text_piece *piece)
{
    uint64_t key = hash_of(font, 2 * piece->index + piece->rtl, piece->text, piece->used), at = key;
    while (fonts->textures[at & (TEXTURE_SLOTS - 1)].key) {
        texture_slot *slot = &fonts->textures[at++ & (TEXTURE_SLOTS - 1)];
        if (slot->key != key) continue;
        slot->used = fonts->frame;
        return slot;
    }
    texture_slot *slot = &fonts->textures[at & (TEXTURE_SLOTS - 1)];
    *slot = (texture_slot){.key = key, .used = fonts->frame};
    fonts->texture_count++;
    TTF_Font *opened = face_of(fonts, font, piece);
    SDL_Surface *surface = opened ? TTF_RenderUTF8_Blended(opened, piece->text, (SDL_Color){255, 255, 255, 255}) : NULL;
    if (!surface) return slot;
    slot->colored = file_of(fonts, font, piece->index)->colored;
    int width = scaled(fonts, font, piece->index, surface->w), height = scaled(fonts, font, piece->index, surface->h);
    if (width != surface->w && width > 0 && height > 0) surface = shrink(surface, width, height);
    slot->texture = SDL_CreateTextureFromSurface(fonts->renderer, surface);
    slot->width = surface->w;
    slot->height = surface->h;
    fonts->pixels += (size_t)surface->w * (size_t)surface->h;
    SDL_FreeSurface(surface);
    return slot;
}

int font_draw(font_set *fonts, chat_font font, int x, int y, const char *text, size_t length, bool rtl,
              chat_color color)
{
    text_piece piece;
    int ascent = font_ascent(fonts, font), total = 0, right = rtl ? x + font_width(fonts, font, text, length) : 0;
    for (size_t at = 0; at < length; at += piece.length) {
        next_piece(fonts, font, text + at, length - at, rtl, &piece);
        if (fonts->texture_count > TEXTURE_SLOTS * 3 / 4) evict(fonts, 0);
        const texture_slot *slot = texture_of(fonts, font, &piece);
        if (!slot->texture) continue;
        TTF_Font *opened = open_face(fonts, font, piece.index);
        int shift = piece.index ? ascent - scaled(fonts, font, piece.index, TTF_FontAscent(opened)) : 0;
        int left = rtl ? right - total - slot->width : x + total;
        chat_color ink = slot->colored ? (chat_color){255, 255, 255, color.a} : color;
        SDL_SetTextureColorMod(slot->texture, ink.r, ink.g, ink.b);
        SDL_SetTextureAlphaMod(slot->texture, ink.a);
        SDL_RenderCopy(fonts->renderer, slot->texture, NULL, &(SDL_Rect){left, y + shift, slot->width, slot->height});
        total += slot->width;
    }
    return total;
}

void font_end_frame(font_set *fonts)
{
    fonts->frame++;
    if (fonts->pixels > PIXEL_LIMIT) {
        evict(fonts, 2);
    } else if (fonts->frame % KEPT_FRAMES == 0) {
        evict(fonts, KEPT_FRAMES);
    }
}
