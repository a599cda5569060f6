// The window without a screen (SDL's dummy driver): what keys, pointer, input method and dropped files do to it. Events
// are injected; no engine is needed. With a folder as argument, every picture that is checked is left there.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "actions.h"
#include "app.h"
#include "events.h"
#include "export.h"
#include "view.h"

#include <fontconfig/fontconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *pictures; // NULL: none are kept
static char home[64];

// ---- Driving it ----------------------------------------------------------------------------------------------------

static void frame(chat_app *app)
{
    app->redraw = true;
    while (!app_turn(app) && !app->quit)
        continue;
}

static void give(chat_app *app, SDL_Event event)
{
    SDL_PushEvent(&event);
    frame(app);
}

static void key(chat_app *app, SDL_Keycode code, uint16_t modifiers)
{
    give(app, (SDL_Event){.key = {.type = SDL_KEYDOWN, .keysym = {.sym = code, .mod = modifiers}}});
}

static void type(chat_app *app, const char *text)
{
    SDL_Event event = {.text = {.type = SDL_TEXTINPUT}};
    snprintf(event.text.text, sizeof event.text.text, "%s", text);
    key(app, SDLK_a, 0); // text that follows a shortcut is not typed
    give(app, event);
}

static void compose(chat_app *app, const char *text, int start, int length)
{
    SDL_Event event = {.edit = {.type = SDL_TEXTEDITING, .start = start, .length = length}};
    snprintf(event.edit.text, sizeof event.edit.text, "%s", text);
    give(app, event);
}

static void move(chat_app *app, int x, int y)
{
    give(app, (SDL_Event){.motion = {.type = SDL_MOUSEMOTION, .x = x, .y = y}});
}

static void button(chat_app *app, bool down, int x, int y)
{
    give(app, (SDL_Event){.button = {.type = down ? SDL_MOUSEBUTTONDOWN : SDL_MOUSEBUTTONUP,
                                     .button = SDL_BUTTON_LEFT,
                                     .clicks = 1,
                                     .x = x,
                                     .y = y}});
}

static void click(chat_app *app, int x, int y)
{
    move(app, x, y);
    button(app, true, x, y);
    button(app, false, x, y);
}

static void drop(chat_app *app, const char *path)
{
    give(app, (SDL_Event){.drop = {.type = SDL_DROPFILE, .file = SDL_strdup(path)}});
}

static SDL_Surface *picture(chat_app *app, const char *name)
{
    SDL_Surface *surface = SDL_CreateRGBSurfaceWithFormat(0, app->width, app->height, 32, SDL_PIXELFORMAT_ARGB8888);
    frame(app);
    view_frame(app);
    assert_int_equal(
        SDL_RenderReadPixels(app->renderer, NULL, SDL_PIXELFORMAT_ARGB8888, surface->pixels, surface->pitch), 0);
    char path[512];
    snprintf(path, sizeof path, "%s/%s.bmp", pictures ? pictures : "", name);
    if (pictures) SDL_SaveBMP(surface, path);
    return surface;
}

// Thin letters do not quite reach their colour: `off` by that much still counts.
static unsigned count_color(const SDL_Surface *surface, SDL_Rect rect, chat_color color, int off)
{
    unsigned count = 0;
    for (int y = rect.y; y < rect.y + rect.h && y < surface->h; y++)
        for (int x = rect.x; x < rect.x + rect.w && x < surface->w; x++) {
            uint32_t pixel = ((const uint32_t *)((const char *)surface->pixels + y * surface->pitch))[x];
            int red = (int)(pixel >> 16 & 255) - color.r, green = (int)(pixel >> 8 & 255) - color.g;
            count += abs(red) <= off && abs(green) <= off && abs((int)(pixel & 255) - color.b) <= off;
        }
    return count;
}

// Colours in use; a page with words has many, because of the soft edges of letters.
static unsigned count_colors(const SDL_Surface *surface)
{
    enum { SLOTS = 1 << 12 };
    static uint32_t seen[SLOTS];
    unsigned count = 0;
    memset(seen, 0, sizeof seen);
    for (int y = 0; y < surface->h; y++)
        for (int x = 0; x < surface->w; x++) {
            uint32_t color = ((const uint32_t *)((const char *)surface->pixels + y * surface->pitch))[x];
            uint32_t at = color * 2654435761u >> 20;
            count += seen[at] != color;
            seen[at] = color;
        }
    return count;
}

static chat_app *open_app(const app_options *wanted)
{
    app_options options = wanted ? *wanted : (app_options){.width = 900, .height = 700};
    options.model = "/no/such/model.gguf"; // found out at once
    options.theme = CHAT_THEME_LIGHT;
    options.no_save = true;
    chat_app *app = fe_reallocate(NULL, 1, sizeof *app);
    assert_true(app_open(app, &options));
    while (app->link.phase == LINK_LOADING)
        app_turn(app);
    frame(app);
    return app;
}

static void close_app(chat_app *app)
{
    app_close(app);
    free(app);
}

static void converse(chat_app *app)
{
    static const char *const words[] = {"What is a cat?", "A **small** animal that `purrs`.", "And a dog?",
                                        "One that barks.\n\n```c\nint main(void);\n```\n"};
    app_new(app);
    for (int i = 0; i < 4; i++) {
        chat_message *message = chat_add_message(app->state.current, i - 1, i % 2 ? SX_ROLE_ASSISTANT : SX_ROLE_USER);
        fe_text_add(&message->content, words[i]);
        message->complete = true;
    }
    frame(app);
}

static const char *composer_text(const chat_app *app)
{
    return fe_text_string(&app->fields[FIELD_COMPOSER].text);
}

// ---- Tests ---------------------------------------------------------------------------------------------------------

static void composing_is_shown_and_not_sent(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    app->link.phase = LINK_READY; // what is sent gets into the conversation; then it is found that there is no model
    type(app, "ab");
    SDL_Rect before = app->caret;
    compose(app, "nihongo", 2, 3);
    assert_string_equal(composer_text(app), "ab");
    assert_int_equal(app->composition_from, 2);
    assert_int_equal(app->composition_to, 5);
    assert_true(app->caret.x > before.x && app->caret.y == before.y); // the candidates' window follows
    SDL_Surface *shot = picture(app, "composing");
    SDL_Rect field = app->field_views[FIELD_COMPOSER].rect;
    int thin = 0, thick = 0; // rows of the underline, which is thicker under the clause
    for (int y = field.y; y < field.y + field.h; y++) {
        unsigned count = count_color(shot, (SDL_Rect){field.x, y, 200, 1}, app->draw.theme->text, 2);
        thin += count > 40;
        thick += count > 16;
    }
    assert_int_equal(thin, 1);
    assert_int_equal(thick, 2);
    SDL_FreeSurface(shot);
    key(app, SDLK_RETURN, 0); // chooses a candidate; the input method has it
    key(app, SDLK_BACKSPACE, 0);
    app_send(app); // as by the button
    assert_int_equal(app->state.current->count, 0);
    assert_string_equal(composer_text(app), "ab");
    give(app, (SDL_Event){.text = {.type = SDL_TEXTINPUT, .text = "日本語"}});
    assert_int_equal(app->composition.length, 0);
    assert_string_equal(composer_text(app), "ab日本語");

    char *text = SDL_strdup("とてもながいぶんしょうをかいているのでふつうのイベントにははいらない");
    give(app, (SDL_Event){.editExt = {.type = SDL_TEXTEDITING_EXT, .text = text, .start = 1, .length = 0}});
    assert_true(app->composition.length > 64);
    assert_int_equal(app->composition_to, 3); // the caret behind one character
    compose(app, "", 0, 0);                   // given up
    assert_int_equal(app->composition.length, 0);
    assert_string_equal(composer_text(app), "ab日本語");

    input_select_all(&app->fields[FIELD_COMPOSER]);
    compose(app, "x", 0, 0); // stands in place of what is selected
    int narrow = app->caret.x;
    assert_true(narrow < before.x);
    key(app, SDLK_k, KMOD_CTRL); // belongs to the input method
    assert_int_equal(app->field, FIELD_COMPOSER);
    app->field = FIELD_SEARCH; // as by a click
    frame(app);
    assert_int_equal(app->composition.length, 0);
    app->field = FIELD_COMPOSER;
    key(app, SDLK_RETURN, 0);
    assert_string_equal(composer_text(app), "");
    assert_string_equal(app->state.current->messages[0].content.data, "ab日本語");
    close_app(app);
}

// The size that is remembered may be that of a larger screen.
static void windows_fit_the_screen(void **unused)
{
    (void)unused;
    chat_app *app = open_app(&(app_options){0});
    SDL_Rect usable;
    assert_int_equal(SDL_GetDisplayUsableBounds(0, &usable), 0);
    assert_true(usable.w < 1180); // else nothing is seen here: that is what a first start takes
    assert_true(app->width <= usable.w && app->height <= usable.h);
    assert_true(app->width > usable.w / 2 && app->height > usable.h / 2);
    close_app(app);
}

static void everything_is_magnified(void **unused)
{
    (void)unused;
    int lines[2], settings_x[2];
    for (int i = 0; i < 2; i++) {
        chat_app *app = open_app(&(app_options){.width = 800, .height = 500, .scale = (float)(i + 1)});
        int width, height;
        SDL_GetWindowSize(app->window, &width, &height);
        assert_int_equal(width, 800 * (i + 1));
        assert_int_equal(app->width, width); // this driver has no pixels of its own
        assert_int_equal(app->state.settings.window_width, 800);
        assert_int_equal(app->state.settings.window_height, 500);
        lines[i] = font_line_height(app->draw.fonts, CHAT_FONT_BODY);
        converse(app);
        SDL_FreeSurface(picture(app, i ? "scale-2" : "scale-1"));
        settings_x[i] = app->transcript.x;
        click(app, width - 40 * (i + 1), 26 * (i + 1)); // "Settings", at the same logical place
        assert_int_equal(app->overlay, OVERLAY_SETTINGS);
        key(app, SDLK_ESCAPE, 0);
        app->density = 2; // a display whose units are two pixels: the pointer comes in units
        app_event(app, &(SDL_Event){.motion = {.type = SDL_MOUSEMOTION, .x = 100, .y = 70}});
        assert_int_equal(app->draw.mouse_x, 200);
        assert_int_equal(app->draw.mouse_y, 140);
        close_app(app);
    }
    assert_int_equal(lines[1], 2 * lines[0]);
    assert_true(abs(settings_x[1] - 2 * settings_x[0]) <= 1);
}

static void messages_are_selected_and_copied(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    converse(app);
    SDL_Rect area = app->transcript;
    int first = app->views[1].top + app->views[1].content_y + 10,
        last = app->views[3].top + app->views[3].content_y + 10;
    button(app, true, area.x + 1, first);
    move(app, area.x + area.w - 1, last);
    button(app, false, area.x + area.w - 1, last);
    assert_true(app->has_selection);
    SDL_Surface *shot = picture(app, "selection");
    assert_true(count_color(shot, area, app->draw.theme->selection, 2) > 1000);
    SDL_FreeSurface(shot);
    key(app, SDLK_c, KMOD_CTRL);
    char *copied = SDL_GetClipboardText();
    assert_string_equal(copied, "A small animal that purrs.\n\nAnd a dog?\n\nOne that barks.");
    SDL_free(copied);
    key(app, SDLK_ESCAPE, 0);
    assert_false(app->has_selection);
    key(app, SDLK_a, KMOD_CTRL); // the composer is empty: the whole conversation
    key(app, SDLK_c, KMOD_CTRL);
    copied = SDL_GetClipboardText();
    assert_non_null(strstr(copied, "What is a cat?"));
    assert_non_null(strstr(copied, "int main(void);"));
    SDL_free(copied);
    key(app, SDLK_c, KMOD_CTRL | KMOD_SHIFT); // the answer as it was written
    copied = SDL_GetClipboardText();
    assert_non_null(strstr(copied, "```c"));
    SDL_free(copied);
    close_app(app);
}

static void write_file(const char *name, const char *text, size_t length)
{
    sx_error error = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/%s", home, name);
    assert_int_equal(sx_file_write_atomic(path, text, length, &error), SX_OK);
}

static void files_are_dropped(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    char path[128];
    converse(app);
    fe_text exported = {0};
    chat_rename_conversation(app->state.current, "Animals");
    export_json(app->state.current, "a model", &exported);
    write_file("chat.json", exported.data, exported.length);
    fe_text_free(&exported);
    app_new(app);
    snprintf(path, sizeof path, "%s/chat.json", home);
    drop(app, path);
    assert_int_equal(app->path_count, 4);
    assert_string_equal(app->state.current->title, "Animals");

    static const char profile[] =
        "{\"levels\": [{\"signals\": [\"confidence\"], \"confidence\": 0.5, \"accuracy\": 0.9, "
        "\"thinking_tokens\": 40}]}";
    write_file("p.json", profile, strlen(profile));
    snprintf(path, sizeof path, "%s/p.json", home);
    drop(app, path);
    assert_int_equal(app->state.profile.level_count, 1);
    assert_string_equal(app->state.model.profile, path);
    SDL_FreeSurface(picture(app, "profile"));
    write_file("bad.profile.json", "{}", 2);
    snprintf(path, sizeof path, "%s/bad.profile.json", home);
    drop(app, path);
    assert_non_null(strstr(app->state.notice.data, "holds no rule"));
    assert_int_equal(app->state.profile.level_count, 1); // as before

    static const char others[] =
        "{\"model\": \"Another\", \"model_family\": \"00000000000000aa\", \"levels\": [{\"signals\": "
        "[\"confidence\"], \"confidence\": 0.5, \"accuracy\": 0.9, \"thinking_tokens\": 40}]}";
    write_file("others.json", others, strlen(others));
    snprintf(path, sizeof path, "%s/others.json", home);
    link_phase phase = app->link.phase; // without a device there is no model it could be held against
    app->link.phase = LINK_READY;
    app->link.info.model_family = 7;
    drop(app, path);
    assert_non_null(strstr(app->state.notice.data, "another model (Another)"));
    assert_int_equal(app->state.profile.level_count, 0);
    app->link.phase = phase;

    snprintf(path, sizeof path, "%s/models", home);
    sx_make_folders(path, NULL);
    write_file("models/a.gguf", "GGUF", 4);
    drop(app, path);
    assert_int_equal(app->overlay, OVERLAY_MODELS);
    assert_int_equal(app->models.count, 1);
    assert_true(app->models.folders[0].chosen);

    static const char *const strange[] = {"notes.txt", "nowhere.gguf"};
    write_file("notes.txt", "milk", 4);
    for (unsigned i = 0; i < 2; i++) { // the model that is open stays
        app->link.phase = LINK_READY;
        snprintf(path, sizeof path, "%s/%s", home, strange[i]);
        drop(app, path);
        assert_int_equal(app->link.phase, LINK_READY);
        assert_non_null(strstr(app->state.notice.data, strange[i]));
    }
    snprintf(path, sizeof path, "%s/models/a.gguf", home);
    drop(app, path); // not a model either
    while (app->link.phase == LINK_LOADING)
        app_turn(app);
    assert_int_equal(app->link.phase, LINK_FAILED);
    assert_non_null(strstr(app->link.error.message, "a.gguf"));
    assert_string_equal(app->state.notice.data, app->link.error.message); // the conversation is shown, not the page
    app_new(app);
    SDL_FreeSurface(picture(app, "failed"));
    assert_string_equal(app->state.conversations[1]->title, "Animals"); // nothing is lost
    close_app(app);
}

// Events come in bunches: a conversation that goes may have the pointer over it before the next one is drawn.
static void events_do_not_wait_for_frames(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    static const SDL_Keycode leaving[] = {SDLK_n, SDLK_PAGEDOWN};
    static const char chat[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"Imported\"}]}";
    char path[128];
    write_file("chat.json", chat, strlen(chat));
    snprintf(path, sizeof path, "%s/chat.json", home);
    for (unsigned i = 0; i < 3; i++) {
        converse(app);
        SDL_MouseButtonEvent press = {.type = SDL_MOUSEBUTTONDOWN, .button = SDL_BUTTON_LEFT, .clicks = 1};
        press.x = app->transcript.x + 10;
        press.y = app->views[3].top + app->views[3].content_y + 10;
        if (i < 2) {
            app_event(app, &(SDL_Event){.key = {.type = SDL_KEYDOWN, .keysym = {.sym = leaving[i], .mod = KMOD_CTRL}}});
        } else {
            app_event(app, &(SDL_Event){.drop = {.type = SDL_DROPFILE, .file = SDL_strdup(path)}});
        }
        app_event(app, &(SDL_Event){.button = press});
        app_event(app, &(SDL_Event){.motion = {.type = SDL_MOUSEMOTION, .x = press.x + 50, .y = press.y}});
        app_event(app, &(SDL_Event){.key = {.type = SDL_KEYDOWN, .keysym = {.sym = SDLK_a, .mod = KMOD_CTRL}}});
        app_event(app, &(SDL_Event){.key = {.type = SDL_KEYDOWN, .keysym = {.sym = SDLK_c, .mod = KMOD_CTRL}}});
        char *copied = SDL_GetClipboardText();
        if (i == 2) assert_string_equal(copied, "Imported");
        SDL_free(copied);
        button(app, false, press.x, press.y);
    }
    close_app(app);
}

// What lies in the home folder is nobody's to overwrite, whatever a chat is called.
static void exports_overwrite_nothing(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    write_file("notes.md", "mine", 4);
    converse(app);
    chat_rename_conversation(app->state.current, "notes");
    for (int i = 2; i < 4; i++) {
        char path[128], text[5] = "";
        key(app, SDLK_s, KMOD_CTRL);
        snprintf(path, sizeof path, "%s/notes.%d.md", home, i);
        assert_non_null(strstr(app->state.notice.data, path));
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        fclose(file);
        snprintf(path, sizeof path, "%s/notes.md", home);
        file = fopen(path, "r");
        assert_int_equal(fread(text, 1, 4, file), 4);
        assert_string_equal(text, "mine");
        fclose(file);
    }
    key(app, SDLK_s, KMOD_CTRL | KMOD_SHIFT);
    assert_non_null(strstr(app->state.notice.data, "/notes.json"));
    close_app(app);
}

// A chat is opened by its path: what is wrong with the file is told where the eyes are, and the path does not stay.
static void chats_are_opened_by_path(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    app->link.phase = LINK_READY; // as with a model
    write_file("bad.json", "{}", 2);
    static const char chat[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"a\\u0000b\"}]}";
    write_file("good.json", chat, strlen(chat));
    key(app, SDLK_o, KMOD_CTRL);
    SDL_Surface *before = picture(app, "models-quiet");
    type(app, "~/bad.json");
    key(app, SDLK_RETURN, 0);
    assert_int_equal(app->overlay, OVERLAY_MODELS);
    assert_string_equal(fe_text_string(&app->fields[FIELD_MODEL].text), "~/bad.json"); // to be mended
    assert_non_null(strstr(app->state.notice.data, "bad.json is not a conversation"));
    SDL_Surface *told = picture(app, "models-notice");
    SDL_Rect middle = {app->width / 2 - 200, 0, 400, app->height};
    chat_color box = app->draw.theme->accent_soft;
    assert_true(count_color(told, middle, box, 0) > count_color(before, middle, box, 0) + 5000);
    SDL_FreeSurface(before);
    SDL_FreeSurface(told);
    key(app, SDLK_a, KMOD_CTRL);
    type(app, "~/good.json");
    key(app, SDLK_RETURN, 0);
    assert_int_equal(app->overlay, OVERLAY_NONE);
    assert_string_equal(app->state.current->messages[0].content.data, "a\uFFFDb");
    assert_non_null(strstr(app->state.notice.data, "1 character of good.json")); // the other one's message is gone
    SDL_FreeSurface(picture(app, "imported"));
    key(app, SDLK_o, KMOD_CTRL);
    assert_string_equal(fe_text_string(&app->fields[FIELD_MODEL].text), "");
    assert_int_equal(app->choices.count, 0);
    type(app, "~/nonsense");
    key(app, SDLK_ESCAPE, 0);
    key(app, SDLK_o, KMOD_CTRL);
    assert_string_equal(fe_text_string(&app->fields[FIELD_MODEL].text), "");
    close_app(app);
}

static void models_tell_whether_they_fit(void **unused)
{
    (void)unused;
    static const char *const names[] = {"models/small-Q8_0.gguf", "models/middle-Q4_K_M.gguf",
                                        "models/middle-Q4_K_M-draft.gguf", "models/huge-F16.gguf"};
    static const uint32_t fitting[] = {0, 4096, 40960}; // huge, middle, small
    char path[128];
    snprintf(path, sizeof path, "%s/models", home);
    sx_make_folders(path, NULL);
    for (unsigned i = 0; i < 4; i++)
        write_file(names[i], "GGUF", 4);
    chat_app *app = open_app(NULL);
    key(app, SDLK_o, KMOD_CTRL);
    assert_int_equal(app->models.count, 3);
    for (unsigned i = 0; i < 3; i++) {
        sx_memory_estimate memory = {.weight_bytes = 4000000000,
                                     .budget = 8000000000,
                                     .context = 8192,
                                     .fitting_context = fitting[i],
                                     .format = "Q4_K 169, Q6_K 29"};
        models_take(&app->models, app->models.files[i].path, &memory);
    }
    SDL_Surface *shot = picture(app, "models");
    SDL_Rect all = {0, 0, shot->w, shot->h};
    assert_true(count_color(shot, all, app->draw.theme->danger, 30) > 20); // one is too large
    assert_true(count_color(shot, all, app->draw.theme->remain, 30) > 20); // one fits with less than it could hold
    assert_true(count_color(shot, all, app->draw.theme->accent, 30) > 20);
    SDL_FreeSurface(shot);
    type(app, "~/mo");
    key(app, SDLK_TAB, 0);
    assert_string_equal(fe_text_string(&app->fields[FIELD_MODEL].text), "~/models/");
    assert_int_equal(app->choices.count, 4);
    type(app, "mid");
    key(app, SDLK_TAB, 0);
    assert_string_equal(fe_text_string(&app->fields[FIELD_MODEL].text), "~/models/middle-Q4_K_M");
    SDL_FreeSurface(picture(app, "completion"));
    key(app, SDLK_RETURN, 0); // no such file: a clear page, not a crash
    while (app->link.phase == LINK_LOADING)
        app_turn(app);
    assert_int_equal(app->link.phase, LINK_FAILED);
    close_app(app);
}

static void keys_are_enough(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    float effort = app->state.current->steering.effort;
    key(app, SDLK_UP, KMOD_ALT);
    assert_true(app->state.current->steering.effort > effort);
    key(app, SDLK_DOWN, KMOD_ALT);
    assert_true(app->state.current->steering.effort == effort);
    for (int i = 0; i < 40 && app->state.current->steering.effort == effort; i++) { // one of these is the slider
        key(app, SDLK_TAB, 0);
        key(app, SDLK_RIGHT, 0);
    }
    assert_true(app->state.current->steering.effort > effort);
    SDL_FreeSurface(picture(app, "focus"));
    key(app, SDLK_ESCAPE, 0);
    // Up and down go through the lines as they are broken, then through what was sent.
    input_remember(&app->fields[FIELD_COMPOSER], "sent before");
    for (int i = 0; i < 30; i++)
        type(app, "words and more ");
    size_t end = app->fields[FIELD_COMPOSER].cursor;
    key(app, SDLK_UP, 0);
    size_t above = app->fields[FIELD_COMPOSER].cursor;
    assert_true(above < end && end - above > 40);
    key(app, SDLK_DOWN, 0);
    assert_true(app->fields[FIELD_COMPOSER].cursor > above);
    key(app, SDLK_UP, KMOD_SHIFT);
    assert_int_not_equal(app->fields[FIELD_COMPOSER].anchor, app->fields[FIELD_COMPOSER].cursor);
    for (int i = 0; i < 12; i++)
        key(app, SDLK_UP, 0);
    assert_string_equal(composer_text(app), "sent before");
    key(app, SDLK_DOWN, 0);
    assert_int_equal(app->fields[FIELD_COMPOSER].text.length, end);
    key(app, SDLK_z, KMOD_CTRL);
    key(app, SDLK_F1, 0);
    assert_int_equal(app->overlay, OVERLAY_HELP);
    key(app, SDLK_ESCAPE, 0);
    key(app, SDLK_k, KMOD_CTRL);
    type(app, "nowhere");
    assert_false(app->state.current->matches);
    key(app, SDLK_z, KMOD_CTRL);
    assert_true(app->state.current->matches); // for what is in the field again
    key(app, SDLK_y, KMOD_CTRL);
    assert_false(app->state.current->matches);
    close_app(app);
}

// What is typed is seen: the side bar comes with its fields, and they are left when it goes.
static void fields_are_shown(void **unused)
{
    (void)unused;
    for (int narrow = 0; narrow < 2; narrow++) {
        chat_app *app = open_app(&(app_options){.width = narrow ? 480 : 900, .height = 500});
        for (int i = 0; i < 30; i++)
            converse(app);
        chat_conversation *oldest = app->state.conversations[app->state.count - 1];
        for (int i = 0; i < 40; i++)
            key(app, SDLK_PAGEDOWN, KMOD_CTRL);
        assert_ptr_equal(app->state.current, oldest);
        assert_true(narrow || app->list_scroll > 0); // it is in sight
        app->list_scroll = 0;                        // as by the wheel
        frame(app);
        assert_int_equal(app->list_scroll, 0);
        app->state.settings.hide_sidebar = true;
        key(app, SDLK_F1, 0);
        key(app, SDLK_F2, 0);
        assert_int_equal(app->overlay, OVERLAY_NONE);
        SDL_Rect field = app->field_views[FIELD_RENAME].rect;
        assert_true(field.y > 60 && field.y + field.h < app->height - 60); // the list was scrolled
        type(app, "Old");
        key(app, SDLK_b, KMOD_CTRL); // hides the side bar
        assert_int_equal(app->field, FIELD_COMPOSER);
        assert_string_equal(oldest->title, "Old");
        key(app, SDLK_k, KMOD_CTRL);
        assert_int_equal(app->field, FIELD_SEARCH);
        type(app, "nowhere");
        key(app, SDLK_F2, 0);
        assert_true(oldest->matches);
        type(app, "Very old");
        key(app, SDLK_n, KMOD_CTRL);
        assert_null(app->renaming);
        assert_string_equal(oldest->title, "Very old");
        close_app(app);
    }
}

// A question that waits is named in the notice, not told in full length; and what is over is not said to go on.
static void notices_are_short_and_true(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    fe_text question = {0};
    for (unsigned i = 0; i < 1000; i++)
        fe_text_add(&question, "日本語");
    app->link.phase = LINK_LOADING;
    app_ask(app, question.data);
    assert_in_range(app->state.notice.length, 100, 200);
    assert_string_equal(app->state.notice.data + app->state.notice.length - 7, "語 …");
    assert_true(app_take_back(app));
    assert_string_equal(composer_text(app), question.data);
    converse(app);
    app_regenerate(app);
    app_forget_waiting(app);
    assert_string_equal(app->state.notice.data, "The model is still loading.");
    app->link.phase = LINK_FAILED;
    app_forget_waiting(app);
    assert_int_equal(app->state.notice.length, 0); // it is not any more
    chat_begin_reply(&app->state, 0, 0);
    app_delete(app);
    app_forget_waiting(app);
    assert_non_null(strstr(app->state.notice.data, "A reply is being written here"));
    chat_fail_reply(&app->state, "stopped");
    app_forget_waiting(app);
    assert_int_equal(app->state.notice.length, 0);
    fe_text_free(&question);
    close_app(app);
}

// What is in the composer is set once, and of a change only its lines.
static void long_texts_are_set_once(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    const layout *shown = &app->field_views[FIELD_COMPOSER].shown;
    input_insert(&app->fields[FIELD_COMPOSER], "first\n\tsecond", 13);
    frame(app);
    assert_string_equal(shown->plain.data, "first\n\tsecond");
    shown->runs[0].strike = true; // a mark that goes with the paragraph it stands in
    move(app, 300, 300);
    type(app, "x");
    compose(app, "y", 0, 0);
    compose(app, "", 0, 0);
    assert_true(shown->runs[0].strike);
    assert_string_equal(shown->plain.data, "first\n\tsecondx");
    key(app, SDLK_HOME, KMOD_CTRL);
    type(app, "x");
    assert_false(shown->runs[0].strike);
    shown->runs[0].strike = true;
    key(app, SDLK_PLUS, KMOD_CTRL); // all is larger now
    assert_false(shown->runs[0].strike);
    close_app(app);
}

// Pictures get the face with colours, signs one without, in whatever order faces became known.
static void pictures_have_colors(void **unused)
{
    (void)unused;
    static const font_offer offers[] = {{true, false}, {false, true}, {true, true}, {true, false}};
    assert_int_equal(font_choose(offers, 4, true), 2);
    assert_int_equal(font_choose(offers, 4, false), 0);
    assert_int_equal(font_choose(offers + 1, 2, false), -1); // what there is, is of the other kind
    assert_int_equal(font_choose(offers, 2, true), -1);
    assert_int_equal(font_choose(offers, 0, false), -1);

    FcPattern *pattern = FcPatternBuild(NULL, FC_COLOR, FcTypeBool, FcTrue, (char *)NULL);
    FcObjectSet *objects = FcObjectSetBuild(FC_FILE, (char *)NULL);
    FcFontSet *colored = FcFontList(NULL, pattern, objects);
    bool there = colored->nfont > 0;
    FcFontSetDestroy(colored);
    FcObjectSetDestroy(objects);
    FcPatternDestroy(pattern);
    chat_app *app = open_app(NULL);
    type(app, "\u25B6 \u2713 \u2654"); // signs that plain text has no letters for make other faces known
    key(app, SDLK_a, KMOD_CTRL);
    SDL_Rect field = app->field_views[FIELD_COMPOSER].rect;
    static const char *const texts[] = {"\U0001F600 \U0001F680 \u2764\uFE0F", "\u2764\uFE0E \u25B6 \u2713"};
    for (int i = 0; i < 2; i++) {
        type(app, texts[i]);
        SDL_Surface *shot = picture(app, i ? "signs" : "emoji");
        unsigned bright = 0;
        for (int y = field.y; y < field.y + field.h; y++)
            for (int x = field.x; x < app->caret.x - 2; x++) {
                uint32_t pixel = ((const uint32_t *)((const char *)shot->pixels + y * shot->pitch))[x];
                bright += abs((int)(pixel >> 16 & 255) - (int)(pixel & 255)) > 60;
            }
        SDL_FreeSurface(shot);
        if (i == 0 && there) {
            assert_in_range(bright, 200, 2000);
        } else {
            assert_int_equal(bright, 0); // only shades of the text's own colour
        }
        key(app, SDLK_a, KMOD_CTRL);
    }
    close_app(app);
}

static void motion_is_reduced(void **unused)
{
    (void)unused;
    chat_app *app = open_app(NULL);
    app->desktop.reduced_motion = true;
    assert_false(app_moves(app));
    app->state.settings.motion = CHAT_MOTION_FULL;
    assert_true(app_moves(app));
    app->state.settings.motion = CHAT_MOTION_REDUCED;
    app->desktop.reduced_motion = false;
    assert_false(app_moves(app));
    close_app(app);
}

// All pages and panels, wide and narrow, light and dark, plain and large: words are there, nothing is drawn outside.
static void pages_are_drawn(void **unused)
{
    (void)unused;
    static const int widths[] = {1180, 480, 360};
    static const char *const names[] = {"chat", "help", "settings", "models", "delete"};
    for (int i = 0; i < 3; i++) {
        chat_app *app = open_app(&(app_options){.width = widths[i], .height = 640});
        app->state.settings.theme = i == 1 ? CHAT_THEME_DARK : CHAT_THEME_LIGHT;
        app_apply_theme(app);
        app->state.settings.zoom = i == 2 ? 1.5f : 1;
        converse(app);
        for (app_overlay overlay = OVERLAY_NONE; overlay <= OVERLAY_DELETE; overlay++) {
            char name[64];
            if (overlay) app_open_overlay(app, overlay);
            snprintf(name, sizeof name, "%s-%d", names[overlay], widths[i]);
            SDL_Surface *shot = picture(app, name);
            assert_true(count_colors(shot) > 30);
            SDL_FreeSurface(shot);
            assert_int_equal(app->overlay, overlay);
            key(app, SDLK_PAGEDOWN, 0);
            if (overlay) key(app, SDLK_ESCAPE, 0);
        }
        if (i) key(app, SDLK_b, KMOD_CTRL); // the side bar over all
        assert_int_equal(app->drawer, i > 0);
        SDL_FreeSurface(picture(app, i ? "drawer" : "plain"));
        close_app(app);
    }
}

static int set_up(void **unused)
{
    (void)unused;
    snprintf(home, sizeof home, "/tmp/chat-window-XXXXXX");
    return mkdtemp(home) ? setenv("HOME", home, 1) : -1;
}

static int tear_down(void **unused)
{
    (void)unused;
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", home);
    return system(command);
}

int main(int count, char **arguments)
{
    pictures = count > 1 ? arguments[1] : NULL;
    unsetenv("XDG_CACHE_HOME");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(composing_is_shown_and_not_sent, set_up, tear_down),
        cmocka_unit_test_setup_teardown(windows_fit_the_screen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(everything_is_magnified, set_up, tear_down),
        cmocka_unit_test_setup_teardown(messages_are_selected_and_copied, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_are_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(events_do_not_wait_for_frames, set_up, tear_down),
        cmocka_unit_test_setup_teardown(exports_overwrite_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(chats_are_opened_by_path, set_up, tear_down),
        cmocka_unit_test_setup_teardown(models_tell_whether_they_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(keys_are_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fields_are_shown, set_up, tear_down),
        cmocka_unit_test_setup_teardown(notices_are_short_and_true, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_texts_are_set_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pictures_have_colors, set_up, tear_down),
        cmocka_unit_test_setup_teardown(motion_is_reduced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_are_drawn, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
