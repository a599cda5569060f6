#include "app.h"
#include "actions.h"
#include "events.h"
#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { IDLE_MILLISECONDS = 60000 };
static const double FRAME_SECONDS = 0.015; // between frames while the engine works; a timer adds up to one more
static const double CALM_SECONDS = 0.5;    // the same with reduced motion: text comes in pieces, not letter by letter

// ---- Window and store ----------------------------------------------------------------------------------------------

// What a window system that knows no scale itself (X11) is to be magnified by.
static float window_scale(const chat_app *app)
{
    if (app->forced_scale > 0) return app->forced_scale;
    const char *driver = SDL_GetCurrentVideoDriver();
    return driver && strcmp(driver, "x11") == 0 ? app->desktop.scale : 1;
}

// The remembered size, at most what the screen has room for, which may be another one than last time.
static void remembered_size(const chat_app *app, float scale, int *width, int *height)
{
    SDL_Rect usable;
    *width = (int)((float)app->state.settings.window_width * scale);
    *height = (int)((float)app->state.settings.window_height * scale);
    if (SDL_GetDisplayUsableBounds(0, &usable) != 0) return;
    *width = SDL_min(*width, usable.w);
    *height = SDL_min(*height, usable.h);
}

static bool open_window(chat_app *app, const app_options *options)
{
    SDL_SetHint(SDL_HINT_IME_SHOW_UI, "1");
    SDL_SetHint(SDL_HINT_IME_SUPPORT_EXTENDED_TEXT, "1");
    SDL_SetHint(SDL_HINT_WINDOWS_DPI_SCALING, "1"); // Windows: sizes in logical pixels, as on macOS and Wayland
    if (SDL_Init(SDL_INIT_VIDEO) != 0) {
        fprintf(stderr, "specexit-chat: no window can be opened (%s); use specexit chat in a terminal\n",
                SDL_GetError());
        return false;
    }
    float scale = window_scale(app);
    int width, height;
    remembered_size(app, scale, &width, &height);
    if (options->width) width = (int)((float)options->width * scale);
    if (options->height) height = (int)((float)options->height * scale);
    app->window = SDL_CreateWindow("specexit", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, width, height,
                                   SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI);
    // Software all the way to the screen: the window never waits for a GPU that is busy with the model.
    SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
    if (app->window) app->renderer = SDL_CreateRenderer(app->window, -1, SDL_RENDERER_SOFTWARE);
    if (!app->renderer) {
        fprintf(stderr, "specexit-chat: no window can be opened: %s\n", SDL_GetError());
        return false;
    }
    SDL_SetWindowMinimumSize(app->window, (int)(360 * scale), (int)(360 * scale));
    fe_text problem = {0};
    bool good = draw_open(&app->draw, app->renderer, 1, &problem);
    if (!good) fprintf(stderr, "specexit-chat: %s\n", problem.data);
    fe_text_free(&problem);
    static const SDL_SystemCursor shapes[] = {SDL_SYSTEM_CURSOR_ARROW, SDL_SYSTEM_CURSOR_HAND, SDL_SYSTEM_CURSOR_IBEAM};
    for (unsigned i = 0; i < 3; i++)
        app->cursors[i] = SDL_CreateSystemCursor(shapes[i]);
    SDL_StartTextInput();
    SDL_EventState(SDL_DROPFILE, SDL_ENABLE);
    return good;
}

static void open_store(chat_app *app, const app_options *options)
{
    fe_text path = {0}, problem = {0};
    app->data_folder = options->data_folder ? fe_copy_string(options->data_folder) : platform_data_folder();
    if (app->data_folder && !options->no_save) {
        sx_make_folders(app->data_folder, NULL); // else opening the database says why not
        fe_text_printf(&path, "%s/chats.db", app->data_folder);
    }
    app->store = chat_store_open(path.data, &problem);
    if (problem.length) app_say(app, problem.data);
    chat_store_read_settings(app->store, &app->state.settings);
    chat_steer(&app->state, app->state.settings.steering); // the empty conversation goes on as the last one
    chat_store_list(app->store, &app->state);
    fe_text_free(&path);
    fe_text_free(&problem);
}

// ---- Frames --------------------------------------------------------------------------------------------------------

static void set_pointer(chat_app *app)
{
    SDL_Cursor *wanted = app->cursors[app->draw.hand ? 1 : app->draw.beam ? 2 : 0];
    if (wanted && SDL_GetCursor() != wanted) SDL_SetCursor(wanted);
}

static void measure_window(chat_app *app)
{
    int window_width, window_height;
    SDL_GetWindowSize(app->window, &window_width, &window_height);
    SDL_GetRendererOutputSize(app->renderer, &app->width, &app->height);
    float scale = window_scale(app);
    if (!(SDL_GetWindowFlags(app->window) & SDL_WINDOW_MAXIMIZED)) {
        app->state.settings.window_width = (int)((float)window_width / scale + 0.5f);
        app->state.settings.window_height = (int)((float)window_height / scale + 0.5f);
    }
    app->density = window_width > 0 ? (float)app->width / (float)window_width : 1;
    app->draw.scale = app->density * scale * app->state.settings.zoom;
    font_set_scale(app->draw.fonts, app->draw.scale);
}

// Tells the input method where the caret is, in the window system's units.
static void place_caret(chat_app *app)
{
    SDL_Rect rect = {.x = (int)((float)app->draw.caret.x / app->density),
                     .y = (int)((float)app->draw.caret.y / app->density),
                     .w = (int)((float)app->draw.caret.w / app->density) + 1,
                     .h = (int)((float)app->draw.caret.h / app->density)};
    if (SDL_RectEquals(&rect, &app->caret)) return;
    app->caret = rect;
    SDL_SetTextInputRect(&rect);
}

static void draw_frame(chat_app *app)
{
    measure_window(app);
    if (app->composition.length && app->composed != app->field) { // it belonged to another field
        fe_text_clear(&app->composition);
        SDL_ClearComposition();
    }
    app->redraw = false;
    view_frame(app);
    bool acted = app->draw.pressed || app->draw.activate || app->draw.nudge;
    app->draw.pressed = app->draw.released = app->draw.activate = false;
    app->draw.nudge = 0;
    if (acted) { // what was clicked may have changed anything: drawn again before it is shown
        app->redraw = false;
        view_frame(app);
    }
    set_pointer(app);
    place_caret(app);
    SDL_RenderPresent(app->renderer);
    app->drawn_at = app_clock();
}

static void take_events(chat_app *app, int milliseconds)
{
    SDL_Event event;
    if (milliseconds == 0 ? !SDL_PollEvent(&event) : !SDL_WaitEventTimeout(&event, milliseconds)) return;
    do {
        app_event(app, &event);
        // A click is drawn before the next event, or a quick second one would hide it.
    } while (!app->draw.pressed && !app->draw.activate && !app->draw.nudge && SDL_PollEvent(&event));
}

static void hear_engine(chat_app *app)
{
    bool streaming = app->state.streaming != NULL;
    if (link_update(&app->link, &app->state, app_clock())) {
        app->redraw = true;
        app_forget_waiting(app);
        if (app->state.streaming) {
            app_save_reply(app);
        } else if (streaming) {
            app_save(app);
        }
    }
    app_check_profile(app);
    app_ask_next(app);
    if (app->link.estimated) {
        models_take(&app->models, app->link.estimating, &app->link.estimate);
        link_estimated(&app->link);
    }
}

static double frame_seconds(const chat_app *app)
{
    return app->state.streaming && !app_moves(app) ? CALM_SECONDS : FRAME_SECONDS;
}

// Until the next frame is due, or something has to be taken off the screen, or something happens.
static int sleep_milliseconds(const chat_app *app, bool capped)
{
    if (app->redraw) {
        double left = frame_seconds(app) - (app_clock() - app->drawn_at);
        return capped && left > 0 ? (int)(left * 1000) + 1 : 0;
    }
    return app->copied ? 200 : IDLE_MILLISECONDS;
}

bool app_turn(chat_app *app)
{
    bool capped = link_busy(&app->link); // what the pointer does is drawn at once
    take_events(app, sleep_milliseconds(app, capped));
    double begun = app_clock();
    if (app->copied && begun >= app->copied_until) {
        app->copied = 0;
        app->redraw = true;
    }
    bool acted = app->draw.pressed || app->draw.activate;
    if (!app->redraw || (capped && !acted && begun - app->drawn_at < frame_seconds(app))) return false;
    hear_engine(app); // only now: one wake-up a frame is enough
    draw_frame(app);
    app->frame_seconds = app->drawn_at - begun;
    return true;
}

static void wake_up(void *user)
{
    SDL_PushEvent(&(SDL_Event){.type = *(const uint32_t *)user});
}

// ---- Life -----------------------------------------------------------------------------------------------------------

bool app_open(chat_app *app, const app_options *options)
{
    *app = (chat_app){.editing = -1,
                      .column = {.follow = true},
                      .redraw = true,
                      .density = 1,
                      .screenshot = options->screenshot,
                      .forced_scale = options->scale};
    app->home = platform_home();
    platform_ask_desktop(&app->desktop);
    app->fields[FIELD_SEARCH].single_line = app->fields[FIELD_RENAME].single_line = true;
    app->fields[FIELD_MODEL].single_line = true;
    chat_state_init(&app->state, (uint64_t)time(NULL) << 16);
    open_store(app, options);
    if (options->theme >= 0) app->state.settings.theme = (chat_theme_choice)options->theme;
    app->device = options->device;
    if (options->model) { // remembered, so independent of the folder the program was started in
        char *full = platform_full_path(options->model);
        snprintf(app->state.settings.model, sizeof app->state.settings.model, "%s", full);
        free(full);
    }
    if (!open_window(app, options)) return false;
    app_apply_theme(app);
    app->link.cache = platform_cache_folder();
    app->wake_event = SDL_RegisterEvents(1);
    if (!link_start(&app->link, wake_up, &app->wake_event)) {
        fprintf(stderr, "specexit-chat: no thread can be started: %s\n", SDL_GetError());
        return false;
    }
    draw_frame(app); // the window is there before the model is
    app->first_frame_at = app->drawn_at;
    app_read_model_settings(app);
    link_open(&app->link, app->state.settings.model, options->draft, &app->state.model);
    app->redraw = true;
    return true;
}

void app_close(chat_app *app)
{
    if (app->state.streaming) link_stop(&app->link);
    if (app->store) {
        chat_say_waiting(&app->state, (int64_t)time(NULL));
        app_save_all(app);
        if (app->link.phase == LINK_FAILED) app->state.settings.model[0] = 0; // the next start works again
        chat_store_write_settings(app->store, &app->state.settings);
    }
    view_forget(app);
    link_free(&app->link);
    chat_store_close(app->store);
    chat_state_free(&app->state);
    for (unsigned i = 0; i < FIELD_COUNT; i++) {
        input_free(&app->fields[i]);
        layout_free(&app->field_views[i].shown);
    }
    fe_text_free(&app->composition);
    models_free(&app->models);
    models_choices_free(&app->choices);
    free(app->home);
    free(app->path);
    free(app->data_folder);
    draw_close(&app->draw);
    for (unsigned i = 0; i < 3; i++)
        if (app->cursors[i]) SDL_FreeCursor(app->cursors[i]);
    if (app->renderer) SDL_DestroyRenderer(app->renderer);
    if (app->window) SDL_DestroyWindow(app->window);
    SDL_Quit();
}

int app_run(const app_options *options)
{
    chat_app *app = fe_reallocate(NULL, 1, sizeof *app);
    bool good = app_open(app, options);
    while (good && !app->quit)
        app_turn(app);
    app_close(app);
    free(app);
    return good ? 0 : 1;
}
