#include "text/pretokenizer.h"

#include "text/unicode.h"

#include <string.h>

// ---- pieces that the expressions share
// --------------------------------------------------------------------------------

static size_t skip_spaces(const uint32_t *text, size_t count, size_t position)
{
    while (position < count && text_is_space(text[position]))
        position++;
    return position;
}

static size_t skip_letters(const uint32_t *text, size_t count, size_t position, bool marks)
{
    while (position < count && (text_is_letter(text[position]) || (marks && text_is_mark(text[position]))))
        position++;
    return position;
}

static size_t skip_newlines(const uint32_t *text, size_t count, size_t position)
{
    while (position < count && text_is_newline(text[position]))
        position++;
    return position;
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d), or without (?i:) when `any_case` is false. U+017F folds to s, as it does for the
// expression engines of the published tokenizers.
static size_t match_contraction(const uint32_t *text, size_t count, size_t position, bool any_case)
{
    if (text[position] != '\'' || position + 1 >= count) return position;
    uint32_t letters[2] = {text[position + 1], position + 2 < count ? text[position + 2] : 0};
    for (int i = 0; any_case && i < 2; i++) {
        if (letters[i] == 0x17F)
            letters[i] = 's';
        else if (letters[i] - 'A' < 26)
            letters[i] += 'a' - 'A';
    }
    const uint32_t first = letters[0], second = letters[1];
    if (first == 's' || first == 't' || first == 'm' || first == 'd') return position + 2;
    if ((second == 'e' && (first == 'r' || first == 'v')) || (second == 'l' && first == 'l')) return position + 3;
    return position;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ at a space, the tail of most expressions: up to the last line break of the run; else the
// run without its last space, which goes with the next word; else that one space.
static size_t match_spaces(const uint32_t *text, size_t count, size_t position, bool newlines)
{
    const size_t end = skip_spaces(text, count, position);
    for (size_t i = end; newlines && i > position; i--) {
        if (text_is_newline(text[i - 1])) return i;
    }
    if (end == count || end - position <= 1) return end;
    return end - 1;
}

// ---- whole expressions
// ------------------------------------------------------------------------------------------------

// CONTRACTIONS|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,DIGITS}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
// with CONTRACTIONS = (?i:'s|'t|'re|'ve|'m|'ll|'d). `marks`: \p{L}+ is [\p{L}\p{M}]+ and the fourth alternative's class
// excludes \p{M} too.
static size_t match_modern(const uint32_t *text, size_t count, size_t position, size_t digits, bool marks)
{
    const uint32_t first = text[position];
    size_t end = match_contraction(text, count, position, true);
    if (end > position) return end;
    end = skip_letters(text, count, position, marks);
    if (end > position) return end;
    const bool number = text_is_number(first);
    if (!number && !text_is_newline(first)) {
        end = skip_letters(text, count, position + 1, marks);
        if (end > position + 1) return end;
    }
    if (number) {
        for (end = position + 1; end < count && end - position < digits && text_is_number(text[end]);)
            end++;
        return end;
    }
    end = position + (first == ' ');
    const size_t begin = end;
    while (end < count && !text_is_space(text[end]) && !text_is_letter(text[end]) && !text_is_number(text[end]) &&
           !(marks && text_is_mark(text[end])))
        end++;
    if (end > begin) return skip_newlines(text, count, end);
    return match_spaces(text, count, position, true);
}

static size_t match_qwen2(const uint32_t *text, size_t count, size_t position)
{
    return match_modern(text, count, position, 1, false);
}

static size_t match_qwen35(const uint32_t *text, size_t count, size_t position)
{
    return match_modern(text, count, position, 1, true);
}

static size_t match_llama3(const uint32_t *text, size_t count, size_t position)
{
    return match_modern(text, count, position, 3, false);
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
static size_t match_gpt2(const uint32_t *text, size_t count, size_t position)
{
    size_t end = match_contraction(text, count, position, false);
    if (end > position) return end;
    const size_t begin = position + (text[position] == ' ');
    end = skip_letters(text, count, begin, false);
    if (end > begin) return end;
    while (end < count && text_is_number(text[end]))
        end++;
    if (end > begin) return end;
    while (end < count && !text_is_space(text[end]) && !text_is_letter(text[end]) && !text_is_number(text[end]))
        end++;
    if (end > begin) return end;
    return match_spaces(text, count, position, false);
}

// \p{N}
static size_t match_digit(const uint32_t *text, size_t count, size_t position)
{
    (void)count;
    return position + text_is_number(text[position]);
}

// \p{N}{1,3}
static size_t match_three_digits(const uint32_t *text, size_t count, size_t position)
{
    size_t end = position;
    while (end < count && end - position < 3 && text_is_number(text[end]))
        end++;
    return end;
}

// \p{N}+
static size_t match_digits(const uint32_t *text, size_t count, size_t position)
{
    while (position < count && text_is_number(text[position]))
        position++;
    return position;
}

// [\r\n]
static size_t match_newline(const uint32_t *text, size_t count, size_t position)
{
    (void)count;
    return position + text_is_newline(text[position]);
}

// [一-龥぀-ゟ゠-ヿ]+
static size_t match_kana_and_han(const uint32_t *text, size_t count, size_t position)
{
    while (position < count && (text[position] - 0x4E00 <= 0x9FA5 - 0x4E00 || text[position] - 0x3040 < 0xC0))
        position++;
    return position;
}

// [!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|
// \s*[\r\n]+|\s+(?!\S)|\s+
static size_t match_deepseek3(const uint32_t *text, size_t count, size_t position)
{
    const uint32_t first = text[position];
    size_t end = position + 1;
    if (first > ' ' && first < 0x7F && !text_is_letter(first) && !text_is_number(first)) {
        while (end < count && text[end] < 0x80 && text_is_letter(text[end]))
            end++;
        if (end > position + 1) return end;
    }
    end = skip_letters(text, count, position, true);
    if (end > position) return end;
    if (!text_is_symbol(first) && !text_is_newline(first)) {
        end = skip_letters(text, count, position + 1, true);
        if (end > position + 1) return end;
    }
    const size_t begin = position + (first == ' ');
    for (end = begin; end < count && text_is_symbol(text[end]);)
        end++;
    if (end > begin) return skip_newlines(text, count, end);
    return match_spaces(text, count, position, true);
}

typedef struct code_point_range {
    uint32_t first, last;
} code_point_range;

static bool in_ranges(const code_point_range *ranges, size_t count, uint32_t code_point)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (code_point > ranges[middle].last)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && code_point >= ranges[low].first;
}

static size_t match_optional_space_and(const code_point_range *ranges, size_t range_count, const uint32_t *text,
                                       size_t count, size_t position)
{
    size_t end = position;
    while (end < count && in_ranges(ranges, range_count, text[end]))
        end++;
    if (end > position || !text_is_space(text[position])) return end;
    const size_t begin = position + 1;
    for (end = begin; end < count && in_ranges(ranges, range_count, text[end]);)
        end++;
    return end > begin ? end : position;
}

// \s?[A-Za-zµÀ-ÖØ-öø-ƺ...𞤀-𞥃]+ : letters with case, as listed in the published expression (which stops
// short of the newer blocks, so \p{L&} would not do).
static size_t match_deepseek_letters(const uint32_t *text, size_t count, size_t position)
{
    static const code_point_range letters[] = {
        {0x41, 0x5A},       {0x61, 0x7A},       {0xB5, 0xB5},       {0xC0, 0xD6},       {0xD8, 0xF6},
        {0xF8, 0x1BA},      {0x1BC, 0x1BF},     {0x1C4, 0x293},     {0x295, 0x2AF},     {0x370, 0x373},
        {0x376, 0x377},     {0x37B, 0x37D},     {0x37F, 0x37F},     {0x386, 0x386},     {0x388, 0x38A},
        {0x38C, 0x38C},     {0x38E, 0x3A1},     {0x3A3, 0x3F5},     {0x3F7, 0x481},     {0x48A, 0x52F},
        {0x531, 0x556},     {0x10A0, 0x10C5},   {0x13A0, 0x13F5},   {0x13F8, 0x13FD},   {0x1C90, 0x1CBA},
        {0x1CBD, 0x1CBF},   {0x1D00, 0x1D2B},   {0x1D6B, 0x1D77},   {0x1D79, 0x1D9A},   {0x1E00, 0x1F15},
        {0x1F18, 0x1F1D},   {0x1F20, 0x1F45},   {0x1F48, 0x1F4D},   {0x1F50, 0x1F57},   {0x1F59, 0x1F59},
        {0x1F5B, 0x1F5B},   {0x1F5D, 0x1F5D},   {0x1F5F, 0x1F7D},   {0x1F80, 0x1FB4},   {0x1FB6, 0x1FBC},
        {0x1FBE, 0x1FBE},   {0x1FC2, 0x1FC4},   {0x1FC6, 0x1FCC},   {0x1FD0, 0x1FD3},   {0x1FD6, 0x1FDB},
        {0x1FE0, 0x1FEC},   {0x1FF2, 0x1FF4},   {0x1FF6, 0x1FFC},   {0x2102, 0x2102},   {0x2107, 0x2107},
        {0x210A, 0x2113},   {0x2115, 0x2115},   {0x2119, 0x211D},   {0x2124, 0x2124},   {0x2126, 0x2126},
        {0x2128, 0x2128},   {0x212A, 0x212D},   {0x212F, 0x2134},   {0x2139, 0x2139},   {0x213C, 0x213F},
        {0x2145, 0x2149},   {0x214E, 0x214E},   {0x2183, 0x2184},   {0x2C00, 0x2C7B},   {0x2C7E, 0x2CE4},
        {0x2CEB, 0x2CEE},   {0x2CF2, 0x2CF3},   {0xA640, 0xA66D},   {0xA680, 0xA69B},   {0xA722, 0xA76F},
        {0xA771, 0xA787},   {0xA78B, 0xA78E},   {0xAB70, 0xABBF},   {0xFB00, 0xFB06},   {0xFB13, 0xFB17},
        {0xFF21, 0xFF3A},   {0xFF41, 0xFF5A},   {0x10400, 0x1044F}, {0x104B0, 0x104D3}, {0x104D8, 0x104FB},
        {0x10C80, 0x10CB2}, {0x10CC0, 0x10CF2}, {0x118A0, 0x118DF}, {0x1E900, 0x1E943}};
    return match_optional_space_and(letters, sizeof letters / sizeof *letters, text, count, position);
}

// \s?[!-/:-~！-／：-～‘-‟　-。]+ (the second range holds the letters of ASCII: it cuts words at every other letter)
static size_t match_deepseek_punctuation(const uint32_t *text, size_t count, size_t position)
{
    static const code_point_range punctuation[] = {{'!', '/'},       {':', '~'},       {0x2018, 0x201F},
                                                   {0x3000, 0x3002}, {0xFF01, 0xFF0F}, {0xFF1A, 0xFF5E}};
    return match_optional_space_and(punctuation, sizeof punctuation / sizeof *punctuation, text, count, position);
}

// \s+$
static size_t match_final_spaces(const uint32_t *text, size_t count, size_t position)
{
    // A run that does not reach the end at its first space does not do so at the others: one look for each run.
    if (position > 0 && text_is_space(text[position - 1])) return position;
    const size_t end = skip_spaces(text, count, position);
    return end == count ? end : position;
}

// [一-龥ࠀ-一가-퟿]+
static size_t match_deepseek_scripts(const uint32_t *text, size_t count, size_t position)
{
    while (position < count && (text[position] - 0x800 <= 0x9FA5 - 0x800 || text[position] - 0xAC00 < 0x2C00))
        position++;
    return position;
}

// ---- the table
// --------------------------------------------------------------------------------------------------------

static const text_pretokenizer pretokenizers[] = {
    {"gpt-2", {match_gpt2}, false, false, false},
    {"default", {match_gpt2}, false, false, false},
    {"smollm", {match_digit, match_gpt2}, false, false, false},
    {"qwen2", {match_qwen2}, false, true, false},
    {"qwen35", {match_qwen35}, false, true, false},
    {"deepseek-r1-qwen", {match_qwen2}, false, true, true},
    {"hunyuan", {match_qwen2}, false, false, false},
    {"llama-bpe", {match_llama3}, true, false, true},
    {"llama3", {match_llama3}, true, false, true},
    {"llama-v3", {match_llama3}, true, false, true},
    {"hunyuan-dense", {match_three_digits, match_kana_and_han, match_deepseek3}, false, false, false},
    {"deepseek-v3", {match_three_digits, match_kana_and_han, match_deepseek3}, false, false, true},
    {"deepseek-llm",
     {match_newline, match_deepseek_letters, match_deepseek_punctuation, match_final_spaces, match_deepseek_scripts,
      match_digits},
     false,
     false,
     true},
};

const text_pretokenizer *text_pretokenizer_find(const char *name)
{
    for (size_t i = 0; i < sizeof pretokenizers / sizeof *pretokenizers; i++) {
        if (strcmp(pretokenizers[i].name, name ? name : "default") == 0) return &pretokenizers[i];
    }
    return NULL;
}

const char *text_pretokenizer_names(void)
{
    return "gpt-2, smollm, qwen2, qwen35, deepseek-r1-qwen, hunyuan, hunyuan-dense, llama-bpe (llama3, llama-v3), "
           "deepseek-llm, deepseek-v3";
}

typedef struct splitter {
    const text_pretokenizer *pre;
    const uint32_t *code_points;
    bool (*word)(void *user, size_t begin, size_t end);
    void *user;
} splitter;

// Cuts [begin, end) by the expressions from `stage` on. Recursion is as deep as there are stages.
static bool split(const splitter *s, size_t stage, size_t begin, size_t end)
{
    const text_matcher match = s->pre->stages[stage];
    if (!match) return s->word(s->user, begin, end);
    const uint32_t *piece = s->code_points + begin;
    const size_t count = end - begin;
    size_t gap = 0; // where what no match has covered begins
    for (size_t position = 0; position < count;) {
        const size_t match_end = match(piece, count, position);
        if (match_end == position) {
            position++;
            continue;
        }
        if (gap < position && !split(s, stage + 1, begin + gap, begin + position)) return false;
        if (!split(s, stage + 1, begin + position, begin + match_end)) return false;
        gap = position = match_end;
    }
    return gap == count || split(s, stage + 1, begin + gap, end);
}

bool text_pretokenize(const text_pretokenizer *pre, const uint32_t *code_points, size_t count,
                      bool (*word)(void *user, size_t begin, size_t end), void *user)
{
    const splitter s = {pre, code_points, word, user};
    return count == 0 || split(&s, 0, 0, count);
}
