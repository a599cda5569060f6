#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum { IDLE_MILLISECONDS = 60000 };
static const double FRAME_SECONDS = 0.015; // between frames while the engine works; a timer adds up to one more

double app_clock(void)
{
    return (double)SDL_GetPerformanceCounter() / (double)SDL_GetPerformanceFrequency();
}

// ---- What the desktop says -----------------------------------------------------------------------------------------

static bool file_says(const char *home, const char *name, const char *const *words)
{
    chat_text path = {0};
    char line[256];
    bool found = false;
    chat_text_printf(&path, "%s/%s", home, name);
    FILE *file = fopen(path.data, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        for (unsigned i = 0; words[i] && !found; i += 2)
            found = chat_contains(line, words[i]) && chat_contains(line, words[i + 1]);
    }
    if (file) fclose(file);
    chat_text_free(&path);
    return found;
}

static bool desktop_is_dark(const char *home)
{
    static const char *const gtk[] = {
        "prefer-dark-theme", "1", "prefer-dark-theme", "true", "gtk-theme-name", "dark", NULL};
    static const char *const kde[] = {"ColorScheme", "dark", NULL};
    const char *theme = getenv("GTK_THEME");
    if (theme) return chat_contains(theme, "dark");
    if (!home) return false;
    return file_says(home, ".config/gtk-4.0/settings.ini", gtk) ||
           file_says(home, ".config/gtk-3.0/settings.ini", gtk) || file_says(home, ".config/kdeglobals", kde);
}

// The XDG specification: a relative path in the variable counts as unset.
static char *base_folder(const char *variable, const char *home, const char *fallback)
{
    const char *base = getenv(variable);
    chat_text path = {0};
    if (base && base[0] == '/') {
        chat_text_printf(&path, "%s/specexit", base);
    } else if (home) {
        chat_text_printf(&path, "%s/%s/specexit", home, fallback);
    }
    return path.data;
}

static void make_folders(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/') continue;
        *at = 0;
        mkdir(path, 0700);
        *at = '/';
    }
    mkdir(path, 0700);
}

// ---- Window and store ----------------------------------------------------------------------------------------------

static bool open_window(chat_app *app, const app_options *options)
{
    const chat_settings *settings = &app->state.settings;
    SDL_SetHint(SDL_HINT_IME_SHOW_UI, "1");
    if (SDL_Init(SDL_INIT_VIDEO) != 0) {
        fprintf(stderr, "specexit-chat: no window can be opened (%s); use specexit chat in a terminal\n",
                SDL_GetError());
        return false;
    }
    app->window = SDL_CreateWindow("specexit", SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED,
                                   options->width ? options->width : settings->window_width,
                                   options->height ? options->height : settings->window_height,
                                   SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI);
    // Software all the way to the screen: the window never waits for a GPU that is busy with the model.
    SDL_SetHint(SDL_HINT_FRAMEBUFFER_ACCELERATION, "0");
    if (app->window) app->renderer = SDL_CreateRenderer(app->window, -1, SDL_RENDERER_SOFTWARE);
    if (!app->renderer) {
        fprintf(stderr, "specexit-chat: no window can be opened: %s\n", SDL_GetError());
        return false;
    }
    SDL_SetWindowMinimumSize(app->window, 360, 360);
    chat_text problem = {0};
    bool good = draw_open(&app->draw, app->renderer, 1, &problem);
    if (!good) fprintf(stderr, "specexit-chat: %s\n", problem.data);
    chat_text_free(&problem);
    static const SDL_SystemCursor shapes[] = {SDL_SYSTEM_CURSOR_ARROW, SDL_SYSTEM_CURSOR_HAND, SDL_SYSTEM_CURSOR_IBEAM};
    for (unsigned i = 0; i < 3; i++)
        app->cursors[i] = SDL_CreateSystemCursor(shapes[i]);
    SDL_StartTextInput();
    SDL_EventState(SDL_DROPFILE, SDL_ENABLE);
    return good;
}

static void open_store(chat_app *app, const app_options *options)
{
    chat_text path = {0}, problem = {0};
    app->data_folder = options->data_folder ? chat_copy(options->data_folder)
                                            : base_folder("XDG_DATA_HOME", app->home, ".local/share");
    if (app->data_folder && !options->no_save) {
        make_folders(app->data_folder);
        chat_text_printf(&path, "%s/chats.db", app->data_folder);
    }
    app->store = chat_store_open(path.data, &problem);
    if (problem.length) app_say(app, problem.data);
    chat_store_read_settings(app->store, &app->state.settings);
    chat_steer(&app->state, app->state.settings.steering); // the empty conversation goes on as the last one
    chat_store_list(app->store, &app->state);
    chat_text_free(&path);
    chat_text_free(&problem);
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
    if (!(SDL_GetWindowFlags(app->window) & SDL_WINDOW_MAXIMIZED)) {
        app->state.settings.window_width = window_width;
        app->state.settings.window_height = window_height;
    }
    float density = window_width > 0 ? (float)app->width / (float)window_width : 1;
    app->draw.scale = density * app->state.settings.zoom;
    font_set_scale(app->draw.fonts, app->draw.scale);
}

static void draw_frame(chat_app *app)
{
    measure_window(app);
    app->redraw = false;
    view_frame(app);
    bool acted = app->draw.pressed || app->draw.activate;
    app->draw.pressed = app->draw.released = app->draw.activate = false;
    if (acted) { // what was clicked may have changed anything: drawn again before it is shown
        app->redraw = false;
        view_frame(app);
    }
    set_pointer(app);
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
    } while (!app->draw.pressed && !app->draw.activate && SDL_PollEvent(&event));
}

static void hear_engine(chat_app *app)
{
    bool streaming = app->state.streaming != NULL;
    if (link_update(&app->link, &app->state, app_clock())) {
        app->redraw = true;
        if (streaming) app_save(app, !app->state.streaming);
    }
    app_ask_next(app);
    if (app->link.estimated) {
        models_take(&app->models, app->link.estimating, &app->link.estimate);
        link_estimated(&app->link);
    }
}

// Until the next frame is due, or something has to be taken off the screen, or something happens.
static int sleep_milliseconds(const chat_app *app, bool capped)
{
    if (app->redraw) {
        double left = FRAME_SECONDS - (app_clock() - app->drawn_at);
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
    if (!app->redraw || (capped && !acted && begun - app->drawn_at < FRAME_SECONDS)) return false;
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
    *app = (chat_app){.editing = -1, .column = {.follow = true}, .redraw = true, .screenshot = options->screenshot};
    app->home = getenv("HOME");
    if (app->home && app->home[0] != '/') app->home = NULL;
    app->fields[FIELD_SEARCH].single_line = app->fields[FIELD_RENAME].single_line = true;
    app->fields[FIELD_MODEL].single_line = true;
    chat_state_init(&app->state, (uint64_t)time(NULL) << 16);
    open_store(app, options);
    if (options->theme >= 0) app->state.settings.theme = (chat_theme_choice)options->theme;
    app->device = options->device;
    if (options->model) { // remembered, so independent of the folder the program was started in
        char *full = realpath(options->model, NULL);
        snprintf(app->state.settings.model, sizeof app->state.settings.model, "%s", full ? full : options->model);
        free(full);
    }
    if (!open_window(app, options)) return false;
    app->dark_system = desktop_is_dark(app->home);
    app_apply_theme(app);
    app->link.cache = base_folder("XDG_CACHE_HOME", app->home, ".cache");
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
    for (unsigned i = 0; i < FIELD_COUNT; i++)
        input_free(&app->fields[i]);
    chat_text_free(&app->composition);
    models_free(&app->models);
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
    chat_app *app = chat_reallocate(NULL, 1, sizeof *app);
    bool good = app_open(app, options);
    while (good && !app->quit)
        app_turn(app);
    app_close(app);
    free(app);
    return good ? 0 : 1;
}
