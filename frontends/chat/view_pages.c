// What stands in place of a conversation: loading, a model that cannot be loaded, an empty conversation with examples.
#include "actions.h"
#include "view.h"

#include <stdio.h>
#include <string.h>

static const char *const bundled_examples[] = {
    "What is 13 plus 10, minus 9, minus 4, times 2?",
    "Anna has 20 coins. Then Anna gives 4. Then there are 3 times as many. Then Anna gives 1. How many coins does Anna "
    "have?",
    "Start at 18, add 7, subtract 2, subtract 11, add 9, subtract 5, add 1, subtract 9, add 7.",
    "Ben has 11 coins. Then there are 4 times as many. Ben wins 2 more. Ben sells 9. How many now?",
};

static const char *const examples[] = {
    // for any other model
    "How many primes are there below 50? Check your answer.",
    "A bat and a ball cost 1.10 together. The bat costs 1 more than the ball. What does the ball cost?",
    "Explain to a child why the sky is blue and the evening red.",
    "Write a C function that reverses a string in place, and say why it is right.",
};

static void loading_page(chat_app *app, SDL_Rect rect, int y)
{
    static const char *const stages[] = {"Opening the model", "Uploading weights", "Compiling kernels",
                                         "Testing the device", "Ready"};
    chat_draw *draw = &app->draw;
    char text[96];
    int width = px(draw, 320), x = rect.x + (rect.w - width) / 2;
    snprintf(text, sizeof text, "%s … %.0f %%", stages[app->link.progress.stage], 100 * app->link.progress.fraction);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){x, y, width, px(draw, 24)}, text, draw->theme->dim, 1);
    draw_bar(draw, (SDL_Rect){x, y + px(draw, 32), width, px(draw, 6)}, (float)app->link.progress.fraction,
             draw->theme->accent);
    int button = draw_button_width(draw, "Cancel");
    if (app->link.target &&
        draw_button(draw, (SDL_Rect){rect.x + (rect.w - button) / 2, y + px(draw, 56), button, px(draw, 32)}, "Cancel",
                    BUTTON_OUTLINE, NULL))
        app_open_model(app, "");
}

static void failure_page(chat_app *app, SDL_Rect rect, int y)
{
    chat_draw *draw = &app->draw;
    layout text = {0};
    layout_measure measure = draw_measure(draw);
    int width = rect.w < px(draw, 560) ? rect.w : px(draw, 560), x = rect.x + (rect.w - width) / 2, pad = px(draw, 16);
    layout_build_plain(&text, app->link.error.message, strlen(app->link.error.message), CHAT_FONT_SMALL, LAYOUT_TEXT,
                       width - 2 * pad, &measure);
    draw_round(draw, (SDL_Rect){x, y, width, text.height + 2 * pad}, px(draw, 12), draw->theme->danger_soft);
    draw_layout(draw, &text, x + pad, y + pad, 0, app->height, 0, 0, false);
    y += text.height + 2 * pad + px(draw, 16);
    layout_free(&text);
    int other = draw_button_width(draw, "Open another model"),
        bundled = draw_button_width(draw, "Use the bundled model");
    if (draw_button(draw, (SDL_Rect){x, y, other, px(draw, 32)}, "Open another model", BUTTON_FILLED, NULL))
        app_open_overlay(app, OVERLAY_MODELS);
    if (draw_button(draw, (SDL_Rect){x + other + px(draw, 8), y, bundled, px(draw, 32)}, "Use the bundled model",
                    BUTTON_OUTLINE, NULL))
        app_open_model(app, "");
    chat_model_settings usual = {.sampling = app->state.model.sampling};
    snprintf(usual.profile, sizeof usual.profile, "%s", app->state.model.profile);
    if (chat_model_loads_equal(&app->link.opened, &usual)) return; // else they may be why
    int again = draw_button_width(draw, "Load with the usual settings");
    if (draw_button(draw, (SDL_Rect){x, y + px(draw, 40), again, px(draw, 32)}, "Load with the usual settings",
                    BUTTON_OUTLINE, "Context, keys and values, template and device as for a new model")) {
        app_change_model(app, &usual);
        app_reload_model(app);
    }
}

static void example_cards(chat_app *app, SDL_Rect rect, int y, const char *const *questions)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    layout_measure measure = draw_measure(draw);
    int gap = px(draw, 12), columns = rect.w > px(draw, 560) ? 2 : 1, pad = px(draw, 16);
    int width = (rect.w - gap * (columns - 1)) / columns, height = px(draw, columns == 2 ? 92 : 80);
    for (int i = 0; i < 4; i++) {
        SDL_Rect card = {rect.x + i % columns * (width + gap), y + i / columns * (height + gap), width, height};
        if (card.y + card.h > rect.y + rect.h) break; // no room: fewer examples
        bool clicked = draw_button(draw, card, "", BUTTON_QUIET, NULL), over = draw_inside(draw, card);
        draw_card(draw, card, px(draw, 12), over ? theme->raised : theme->card, over ? theme->faint : theme->border);
        layout text = {0};
        layout_build_plain(&text, questions[i], strlen(questions[i]), CHAT_FONT_SMALL, LAYOUT_TEXT, width - 2 * pad,
                           &measure);
        int line = font_line_height(draw->fonts, CHAT_FONT_SMALL), lines = (height - 2 * px(draw, 12)) / line;
        int shown = text.height < lines * line ? text.height : lines * line;
        draw_layout(draw, &text, card.x + pad, card.y + (height - shown) / 2, 0, card.y + height - line, 0, 0, false);
        layout_free(&text);
        if (clicked) app_ask(app, questions[i]);
    }
}

void view_empty_page(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    char text[256];
    int y = rect.y + rect.h / 5;
    if (y > rect.y + px(draw, 140)) y = rect.y + px(draw, 140);
    bool failed = app->link.phase == LINK_FAILED;
    draw_text_in(draw, CHAT_FONT_H1, (SDL_Rect){rect.x, y, rect.w, px(draw, 36)},
                 failed ? "This model cannot be loaded" : "What should I think about?", theme->text, 1);
    y += px(draw, 44);
    if (failed) {
        failure_page(app, rect, y + px(draw, 12));
        return;
    }
    if (app->link.phase == LINK_LOADING) {
        loading_page(app, rect, y);
        return;
    }
    snprintf(text, sizeof text, "%s",
             app->link.info.bundled && rect.w > px(draw, 560)
                 ? "A small model for sums and word problems is built in. It stops thinking once it is sure."
                 : "It stops thinking once it is sure.");
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x, y, rect.w, px(draw, 24)}, text, theme->dim, 1);
    example_cards(app, rect, y + px(draw, 48), app->link.info.bundled ? bundled_examples : examples);
}
