// Wrapping, Markdown blocks, tables, hit testing; every character is 10 pixels wide and every line 20 high.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "layout.h"
#include "unicode.h"

#include <string.h>

static unsigned asked, asked_bytes; // of widths

static int width(void *user, chat_font font, const char *text, size_t length)
{
    (void)user, (void)font;
    asked++;
    asked_bytes += (unsigned)length;
    int count = 0;
    for (size_t at = 0; at < length; at = chat_utf8_next(text, length, at))
        count++;
    return 10 * count;
}

static int height(void *user, chat_font font)
{
    (void)user, (void)font;
    return 20;
}

static const layout_measure measure = {.width = width, .height = height, .ascent = height, .unit = 4};

static void plain(layout *l, const char *text, int wide)
{
    layout_build_plain(l, text, strlen(text), CHAT_FONT_BODY, LAYOUT_TEXT, wide, &measure);
}

static void marked(layout *l, const char *text, int wide)
{
    markdown document = {0};
    markdown_parse(&document, text, strlen(text));
    layout_build(l, &document, wide, &measure);
    markdown_free(&document);
}

static void words_wrap(void **unused)
{
    (void)unused;
    layout l = {0};
    plain(&l, "aaaa bbbb cccc", 100);
    assert_int_equal(l.run_count, 2);
    assert_int_equal(l.height, 40);
    assert_string_equal(l.plain.data, "aaaa bbbb cccc"); // wrapping adds nothing to what is copied
    plain(&l, "abcdefghijklmno", 60);                    // longer than a line
    assert_int_equal(l.run_count, 3);
    for (uint32_t i = 0; i < l.run_count; i++)
        assert_true(l.runs[i].x + l.runs[i].width <= 60);
    plain(&l, "日本語日本語日本語", 60); // breaks between any two
    assert_int_equal(l.run_count, 2);
    plain(&l, "", 60);
    assert_int_equal(l.height, 20);
    layout_free(&l);
}

// A word of many lines is not measured character by character, and no mark is torn from its letter.
static void long_words_break(void **unused)
{
    (void)unused;
    fe_text word = {0};
    layout l = {0};
    for (unsigned i = 0; i < 20000; i++)
        fe_text_add(&word, i % 100 == 99 ? "e\u0301\u0302" : "x");
    asked = asked_bytes = 0;
    plain(&l, word.data, 500);
    assert_in_range(l.run_count, 400, 450);
    assert_true(asked < 20 * l.run_count);
    assert_true(asked_bytes < 40 * word.length);
    for (uint32_t i = 0; i < l.run_count; i++) {
        assert_true(l.runs[i].width <= 500 && (l.runs[i].width >= 480 || i + 1 == l.run_count));
        assert_memory_not_equal(l.plain.data + l.runs[i].start, "\u0301", 2);
        assert_memory_not_equal(l.plain.data + l.runs[i].start, "\u0302", 2);
    }
    plain(&l, "e\u0301\u0302", 10); // wider than any line, and whole
    assert_int_equal(l.run_count, 1);
    fe_text_free(&word);
    layout_free(&l);
}

// Letters overhang, and words come nearer to each other than their widths alone tell.
static int rough_width(void *user, chat_font font, const char *text, size_t length)
{
    int sum = width(user, font, text, length) + (length ? 2 : 0);
    for (size_t i = 1; i < length; i++)
        sum -= text[i - 1] == ' ' && text[i] != ' ' ? 3 : 0;
    return sum;
}

// Lines are as full as they can be, by the width of the whole line, which is not that of its words together; and few
// are measured with each of their words.
static void lines_are_full(void **unused)
{
    (void)unused;
    layout_measure rough = measure;
    fe_text text = {0};
    layout l = {0};
    rough.width = rough_width;
    for (unsigned i = 0; i < 3000; i++)
        fe_text_printf(&text, "%.*s ", 1 + (int)(i * 7919 % 9), "abcdefghi");
    for (int wide = 200; wide < 240; wide++) {
        layout_build_plain(&l, text.data, text.length, CHAT_FONT_BODY, LAYOUT_TEXT, wide, &rough);
        for (uint32_t i = 0; i + 1 < l.run_count; i++) {
            const layout_run *run = &l.runs[i], *below = run + 1;
            const char *line = l.plain.data + run->start;
            assert_int_equal(run->width, rough_width(NULL, CHAT_FONT_BODY, line, run->length));
            assert_true(rough_width(NULL, CHAT_FONT_BODY, line, run->length - 1) <= wide); // a space may hang over
            size_t word = strcspn(l.plain.data + below->start, " ");
            assert_true(rough_width(NULL, CHAT_FONT_BODY, line, run->length + word) > wide);
        }
    }
    asked_bytes = 0;
    plain(&l, text.data, 2000);
    assert_true(asked_bytes < 12 * text.length); // by all words of a line it would be 100 times
    fe_text_free(&text);
    layout_free(&l);
}

static void tabs_stay_tabs(void **unused)
{
    (void)unused;
    layout l = {0};
    plain(&l, "a\tb", 100); // an offset in the text is one in the layout
    assert_string_equal(l.plain.data, "a\tb");
    layout_free(&l);
}

static void change(layout *changed, const fe_text *text, const layout_measure *measured)
{
    layout fresh = {0};
    layout_change_plain(changed, fe_text_string(text), text->length, CHAT_FONT_BODY, LAYOUT_TEXT, measured);
    layout_build_plain(&fresh, fe_text_string(text), text->length, CHAT_FONT_BODY, LAYOUT_TEXT, changed->width,
                       measured);
    assert_string_equal(fe_text_string(&changed->plain), fe_text_string(&fresh.plain));
    assert_int_equal(changed->height, fresh.height);
    assert_int_equal(changed->run_count, fresh.run_count);
    for (uint32_t i = 0; i < fresh.run_count; i++)
        assert_memory_equal(&changed->runs[i], &fresh.runs[i], sizeof *fresh.runs);
    layout_free(&fresh);
}

// Changes a text at random places, and compares its layout, which goes through all changes, with a fresh one each time.
static void change_at_random(const char *const pieces[16], size_t limit, int wide, const layout_measure *measured)
{
    layout changed = {0};
    fe_text text = {0};
    uint32_t random = 7;
    layout_build_plain(&changed, "", 0, CHAT_FONT_BODY, LAYOUT_TEXT, wide, measured);
    for (unsigned step = 0; step < 1500; step++) {
        random = random * 1664525 + 1013904223;
        size_t at = text.length ? (random >> 8) % (text.length + 1) : 0, gone = random >> 28;
        while (at < text.length && ((unsigned char)text.data[at] & 0xC0) == 0x80)
            at++;
        size_t end = at + gone < text.length ? at + gone : text.length;
        while (end < text.length && ((unsigned char)text.data[end] & 0xC0) == 0x80)
            end++;
        const char *piece = pieces[random >> 4 & 15];
        chat_text_remove(&text, at, end - at);
        chat_text_insert(&text, at, piece, strlen(piece));
        if (text.length > limit) chat_text_remove(&text, 0, (random >> 12) % 2 ? limit : limit / 2);
        fe_text clean = {0};
        chat_text_append_utf8(&clean, fe_text_string(&text), text.length);
        change(&changed, &clean, measured);
        fe_text_free(&clean);
    }
    fe_text_free(&text);
    layout_free(&changed);
}

// Whatever is changed in a text, its layout is the one of the new text.
static void changed_layouts_are_fresh_ones(void **unused)
{
    (void)unused;
    static const char *const short_ones[] = {"a", "\n", "\n\n", " word", "abc אבג דה", "日本語", "", "verylongword",
                                             "a", "\n", "x ",   " word", "b",          "日本語", "", "\u2067x\u2069"};
    static const char *const long_ones[] = {"a",
                                            "some words of one line ",
                                            "  ",
                                            "日本語。（日本",
                                            "🇩🇪🇫🇷🇪🇸",
                                            "e\u0301\u0302",
                                            "a-b/c ",
                                            "verylongwordthatbreaks",
                                            "",
                                            "\t",
                                            "👨‍👩‍👧",
                                            "https://x.org/a?b=c&d=1,234.5-6",
                                            "1,5 % (x)",
                                            "\n",
                                            "—",
                                            "\n\u200F"};
    static const int widths[] = {60, 230, 1100};
    layout_measure rough = measure;
    rough.width = rough_width;
    for (unsigned i = 0; i < sizeof widths / sizeof *widths; i++) {
        change_at_random(short_ones, 400, widths[i], &measure);
        change_at_random(long_ones, 2000, widths[i], &measure);
        change_at_random(long_ones, 2000, widths[i], &rough);
    }
    layout l = {0};
    fe_text text = {0};
    plain(&l, "", 1100);
    fe_text_printf(&text, "%033d %080d %080d", 1, 2, 3);
    change(&l, &text, &measure);
    text.data[34 + 70] = ' '; // the word that was too long for the line above is not any more
    change(&l, &text, &measure);
    fe_text_free(&text);
    layout_free(&l);
}

// Keys typed into the middle of a text measure a few lines of it, whether it has paragraphs or is one.
static void changes_are_set_alone(void **unused)
{
    (void)unused;
    static const char *const ends[] = {"\n", " ", "", "\u200F "};
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++) {
        layout l = {0};
        fe_text text = {0};
        for (unsigned line = 0; line < 1000; line++)
            fe_text_printf(&text, "of %.*s words%s", (int)(line * 7919 % 23), "paragraphsandlongerones", ends[i]);
        plain(&l, text.data, 300);
        chat_text_insert(&text, text.length / 2, "x", 1);
        asked_bytes = 0;
        layout_change_plain(&l, text.data, text.length, CHAT_FONT_BODY, LAYOUT_TEXT, &measure);
        if (i + 1 < sizeof ends / sizeof *ends) { // text from right to left is set anew
            assert_in_range(asked_bytes, 1, 2000);
        } else {
            assert_true(asked_bytes > text.length);
        }
        asked = 0;
        layout_change_plain(&l, text.data, text.length, CHAT_FONT_BODY, LAYOUT_TEXT, &measure);
        assert_int_equal(asked, 0);
        fe_text_free(&text);
        layout_free(&l);
    }
}

static void pictures_are_told_from_signs(void **unused)
{
    (void)unused;
    static const char *const pictures[] = {"\U0001F600",    "\U0001F680",   "\u2705",           "\u26BD",
                                           "\u231A",        "\u2764\uFE0F", "\u2602\uFE0F",     "\u00A9\uFE0F",
                                           "1\uFE0F\u20E3", "\U0001F1EA",   "\U0001F468\u200D", "\U0001FAF8"};
    static const char *const signs[] = {"a",          "1",      "1\uFE0F", "\u00A9", "\u2764",
                                        "\u2602",     "\u2611", "\u2713",  "\u2192", "\U0001F600\uFE0E",
                                        "\U0001F321", "\u270E", "\u65E5",  "\uFE0F", "\U0001FAFF"};
    for (unsigned i = 0; i < sizeof pictures / sizeof *pictures; i++)
        assert_true(unicode_is_picture(pictures[i], strlen(pictures[i]), 0));
    for (unsigned i = 0; i < sizeof signs / sizeof *signs; i++)
        assert_false(unicode_is_picture(signs[i], strlen(signs[i]), 0));
    assert_true(unicode_is_picture("\u2764\uFE0F", 6, 0));
    assert_false(unicode_is_picture("\u2764\uFE0F", 3, 0)); // what lies behind the end does not count
}

// What is one character to a reader is one to the caret, and no line breaks within it.
static void clusters_stay_whole(void **unused)
{
    (void)unused;
    static const char *const clusters[] = {"\U0001F469\u200D\U0001F4BB",
                                           "\U0001F44D\U0001F3FD",
                                           "\U0001F1E9\U0001F1EA",
                                           "\U0001F1EB\U0001F1F7",
                                           "e\u0301",
                                           "a",
                                           "1\uFE0F\u20E3",
                                           "\U0001F3F4\U000E0067\U000E0062\U000E007F",
                                           "\u2764\uFE0F",
                                           "\u65E5"};
    fe_text text = {0};
    size_t starts[sizeof clusters / sizeof *clusters + 1] = {0};
    unsigned count = sizeof clusters / sizeof *clusters;
    for (unsigned i = 0; i < count; i++) {
        fe_text_add(&text, clusters[i]);
        starts[i + 1] = text.length;
    }
    bool breaks[256];
    assert_true(text.length < sizeof breaks);
    unicode_breaks(text.data, text.length, breaks);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(unicode_cluster(text.data, text.length, starts[i]), starts[i + 1]);
        for (size_t at = starts[i]; at < starts[i + 1]; at++) {
            assert_int_equal(unicode_cluster_start(text.data, text.length, at), starts[i]);
            assert_true(!breaks[at] || at + 1 == starts[i + 1]);
        }
    }
    assert_int_equal(unicode_cluster_start(text.data, text.length, text.length), text.length);
    fe_text_free(&text);
}

// Every character there is: the libraries below are of many versions, and one of them falls over flags.
static void every_character_is_set(void **unused)
{
    (void)unused;
    fe_text all = {0};
    layout l = {0};
    for (uint32_t point = 1; point <= 0x10FFFF; point++) {
        char bytes[4];
        unsigned count = point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
        if ((point & ~0x7FFu) == 0xD800 || (point > 0x20100 && point < 0xE0000) ||
            (point > 0xE0200 && point < 0x10FFF0))
            continue;
        for (unsigned i = count; i-- > 1;)
            bytes[i] = (char)(0x80 | (point >> 6 * (count - 1 - i) & 0x3F));
        bytes[0] = (char)(count == 1 ? point : (0xF00u >> count & 0xFF) | point >> 6 * (count - 1));
        fe_text_append(&all, bytes, count);
        if (point % 61 == 0) fe_text_add(&all, point % 122 ? " " : "\n");
    }
    plain(&l, all.data, 400);
    assert_int_equal(l.plain.length, all.length);
    assert_true(l.run_count > 3000);
    fe_text_free(&all);
    layout_free(&l);
}

static void hits_and_positions_agree(void **unused)
{
    (void)unused;
    layout l = {0};
    plain(&l, "aaaa bbbb\ncccc ä dd", 200);
    for (uint32_t offset = 0; offset <= l.plain.length;) {
        int x, y, h;
        layout_position(&l, &measure, offset, &x, &y, &h);
        assert_int_equal(layout_hit(&l, &measure, x + 1, y + 1), offset);
        if (offset == l.plain.length) break;
        offset = (uint32_t)chat_utf8_next(l.plain.data, l.plain.length, offset);
    }
    assert_int_equal(layout_hit(&l, &measure, 0, 1000), l.plain.length);
    layout_free(&l);
}

static void markdown_becomes_blocks(void **unused)
{
    (void)unused;
    layout l = {0};
    marked(&l, "# Title\n\nSome **bold** and `code`.\n\n1. one\n2. two\n\n```c\nint x;\n```\n\n> quoted\n", 400);
    assert_string_equal(l.plain.data, "Title\nSome bold and code.\n1. one\n2. two\nint x;\nquoted");
    assert_int_equal(l.runs[0].font, CHAT_FONT_H1);
    unsigned kinds[4] = {0};
    const layout_box *code = NULL;
    for (uint32_t i = 0; i < l.box_count; i++) {
        kinds[l.boxes[i].kind]++;
        if (l.boxes[i].kind == LAYOUT_BOX_CODE) code = &l.boxes[i];
    }
    assert_int_equal(kinds[LAYOUT_BOX_CHIP], 1);
    assert_int_equal(kinds[LAYOUT_BOX_QUOTE], 1);
    assert_non_null(code);
    assert_string_equal(code->language, "c");
    assert_memory_equal(l.plain.data + code->start, "int x;", code->length);
    layout_free(&l);
}

static void tables_fit(void **unused)
{
    (void)unused;
    layout l = {0};
    marked(&l, "| a | b |\n|---|--:|\n| one | a long cell that has to wrap somewhere in here |\n", 240);
    assert_string_equal(l.plain.data, "a\tb\none\ta long cell that has to wrap somewhere in here");
    for (uint32_t i = 0; i < l.run_count; i++)
        assert_true(l.runs[i].x + l.runs[i].width <= 250); // trailing spaces may hang over
    layout_free(&l);
}

static void half_written_markdown_is_fine(void **unused)
{
    (void)unused;
    static const char text[] =
        "# T\n\n- a **b *c* d** [x](http://y) `z`\n  1. q\n\n| a | b |\n|--|--|\n| 1 |\n\n```\nco\n```\n";
    layout l = {0};
    for (size_t length = 0; length <= strlen(text); length++) {
        markdown document = {0};
        markdown_parse(&document, text, length);
        layout_build(&l, &document, 100, &measure);
        for (uint32_t i = 0; i < l.run_count; i++)
            assert_true(l.runs[i].start + l.runs[i].length <= l.plain.length + 1);
        markdown_free(&document);
    }
    layout_free(&l);
}

static void punctuation_stays_with_its_character(void **unused)
{
    (void)unused;
    layout l = {0};
    plain(&l, "日本語、中文。", 30); // three to a line, but no line begins with a comma
    for (uint32_t i = 0; i < l.run_count; i++) {
        assert_memory_not_equal(l.plain.data + l.runs[i].start, "、", 3);
        assert_memory_not_equal(l.plain.data + l.runs[i].start, "。", 3);
    }
    assert_true(l.run_count > 2);
    layout_free(&l);
}

static void directions_are_mixed(void **unused)
{
    (void)unused;
    layout l = {0};
    plain(&l, "abc אבג 12 דה xyz", 400);
    if (l.run_count == 1) skip(); // built without FriBidi
    assert_int_equal(l.run_count, 5);
    assert_false(l.runs[0].rtl || l.runs[4].rtl);
    assert_true(l.runs[1].rtl && l.runs[3].rtl && !l.runs[2].rtl);
    assert_true(l.runs[1].x > l.runs[2].x && l.runs[2].x > l.runs[3].x); // the numbers stand between, each in its order
    int total = 0;
    for (uint32_t i = 0; i < l.run_count; i++)
        total += l.runs[i].width;
    assert_int_equal(total, 170);
    for (uint32_t offset = 4; offset < 10; offset += 2) { // inside of the first Hebrew word
        int x, y, h;
        layout_position(&l, &measure, offset, &x, &y, &h);
        assert_int_equal(layout_hit(&l, &measure, x - 1, y + 1), offset);
    }
    int x, y, h;
    layout_position(&l, &measure, 4, &x, &y,
                    &h); // behind the blank that was just typed, not at the far end of the word
    assert_int_equal(x, 40);
    plain(&l, "אבג abc", 400); // a paragraph of its own from right to left: it stands on the right
    assert_int_equal(l.runs[0].x + l.runs[0].width, 400);
    layout_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_wrap),
        cmocka_unit_test(long_words_break),
        cmocka_unit_test(lines_are_full),
        cmocka_unit_test(tabs_stay_tabs),
        cmocka_unit_test(changed_layouts_are_fresh_ones),
        cmocka_unit_test(changes_are_set_alone),
        cmocka_unit_test(pictures_are_told_from_signs),
        cmocka_unit_test(clusters_stay_whole),
        cmocka_unit_test(every_character_is_set),
        cmocka_unit_test(hits_and_positions_agree),
        cmocka_unit_test(markdown_becomes_blocks),
        cmocka_unit_test(tables_fit),
        cmocka_unit_test(half_written_markdown_is_fine),
        cmocka_unit_test(punctuation_stays_with_its_character),
        cmocka_unit_test(directions_are_mixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
