// The application: the window, what it shows besides the state, and the actions the keys and buttons share.
#ifndef CHAT_APP_H
#define CHAT_APP_H

#include "column.h"
#include "draw.h"
#include "engine_link.h"
#include "input.h"
#include "models.h"
#include "platform.h"
#include "store.h"

typedef struct view_message { // what is derived of a message for drawing; rebuilt when version, width or zoom change
    layout thinking, content, failure;
    uint32_t version;
    int width;
    float scale;
    bool measured; // the height is exact for version, width and scale
    bool built;    // the layouts are there, too
    // Vertical places, relative to the message's top.
    int card_height, bar_y, plot_y, plot_height, thinking_y, thinking_height, content_y, footer_y, height;
    int content_x, content_width;
    int top; // on the screen in the last frame
} view_message;

typedef enum app_overlay {
    OVERLAY_NONE = 0,
    OVERLAY_HELP,
    OVERLAY_SETTINGS,
    OVERLAY_MODELS,
    OVERLAY_DELETE
} app_overlay;
typedef enum app_field { FIELD_COMPOSER = 0, FIELD_SEARCH, FIELD_RENAME, FIELD_MODEL, FIELD_COUNT } app_field;

typedef struct app_field_view { // a field as it was drawn last
    SDL_Rect rect;
    layout shown; // its text and what is being composed in it; kept, because only what changes is to be set anew
    chat_font font;
    float scale;
} app_field_view;

typedef struct app_place { // a character of the transcript
    uint32_t part;         // 2 * place in the path, plus 1 for the content
    uint32_t offset;       // of its layout's plain text
} app_place;

typedef struct chat_app {
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Cursor *cursors[3]; // arrow, hand, beam; NULL where the system has none
    chat_draw draw;
    chat_state state;
    chat_store *store;
    engine_link link;
    chat_input fields[FIELD_COUNT];
    app_field field;                         // has the keyboard
    fe_text composition;                     // of an input method, not part of the text yet
    app_field composed;                      // where it stands
    size_t composition_from, composition_to; // bytes of it that are marked: the clause that is being chosen; the caret
    int32_t editing;                         // the user's message that is being edited, -1: none
    chat_conversation *renaming;             // NULL: none
    app_overlay overlay;
    bool drawer;         // the side bar over a narrow window
    view_message *views; // by message
    uint32_t view_count;
    chat_conversation *viewed;
    uint32_t *path;
    uint32_t path_count, path_capacity;
    int width, height; // of the window in pixels
    int view_height;   // of the transcript
    column column;
    bool scroll_bar_held;
    int list_scroll, panel_scroll;
    bool selecting, has_selection, field_selecting;
    bool shortcut_text; // the last key was a shortcut: text that comes with it is not typed
    app_place anchor, head;
    SDL_Rect transcript; // as drawn last
    app_field_view field_views[FIELD_COUNT];
    SDL_Rect caret;  // of the field with the keyboard, where the input method shows what can be chosen; window units
    uint32_t copied; // message + 1 whose copy was confirmed
    double copied_until;
    model_list models;
    path_choices choices; // what the path in FIELD_MODEL could become
    sx_device_info devices[8];
    uint32_t device_count;
    char *data_folder;
    char *home; // NULL: none
    bool profile_checked;
    const char *device; // of this run, for any model; NULL: as remembered
    platform_desktop desktop;
    float density;      // pixels of the screen in a unit of the window system
    float forced_scale; // by an option; 0: as the desktop says
    bool quit, redraw;
    double saved_at, drawn_at, first_frame_at;
    double frame_seconds;   // of the last frame: from waking up to its being shown
    uint32_t wake_event;    // what the engine's thread pushes into the queue of events
    const char *screenshot; // file that F12 writes; NULL: none
} chat_app;

double app_clock(void); // seconds
void app_say(chat_app *app, const char *notice);

// ---- Actions (actions.c)
void app_send(chat_app *app);
void app_ask(chat_app *app, const char *question);
void app_ask_next(chat_app *app);  // the oldest question that waits, where the model is free
bool app_take_back(chat_app *app); // the newest one, into the composer; false: none waits here
void app_new(chat_app *app);
void app_select(chat_app *app, chat_conversation *conversation);
void app_next_conversation(chat_app *app, int direction);
void app_delete(chat_app *app);
void app_begin_rename(chat_app *app, chat_conversation *conversation);
void app_end_rename(chat_app *app, bool keep);
void app_regenerate(chat_app *app);
void app_edit(chat_app *app, uint32_t message);
void app_cancel_edit(chat_app *app);
void app_escape(chat_app *app); // the innermost thing: overlay, edit, answer now, stop
void app_answer_now(chat_app *app);
void app_think_longer(chat_app *app);
void app_stop(chat_app *app);
void app_toggle_thinking(chat_app *app);
void app_copy(chat_app *app);
void app_copy_message(chat_app *app, uint32_t message);
void app_copy_text(const char *text, size_t length);
void app_export(chat_app *app, bool json);
void app_open_model(chat_app *app, const char *path);
void app_read_model_settings(chat_app *app); // state.model and state.profile of settings.model, as remembered
void app_check_profile(chat_app *app);       // whether state.profile is one of the model, once that is loaded
void app_change_model(chat_app *app, const chat_model_settings *model); // remembered; takes effect with the next line
void app_reload_model(chat_app *app);
void app_estimate(chat_app *app, const char *path); // asks for a model's memory, where nothing else is asked for
// A model, a draft, a profile, an exported conversation, or a folder of models for the picker.
void app_open_file(chat_app *app, const char *path);
void app_find_models(chat_app *app);
void app_forget_folder(chat_app *app, const char *folder);
void app_path_typed(chat_app *app);    // in FIELD_MODEL: what it could become
void app_complete_path(chat_app *app); // as far as it is clear
void app_open_overlay(chat_app *app, app_overlay overlay);
void app_zoom(chat_app *app, int direction); // 0: back to 100 %
void app_cycle_theme(chat_app *app);
void app_apply_theme(chat_app *app);
bool app_moves(const chat_app *app); // false: motion is to be reduced
void app_search(chat_app *app);
void app_save(chat_app *app);       // what is shown and what is being written
void app_save_reply(chat_app *app); // what came to it; for every frame
void app_save_all(chat_app *app);
void app_clear_selection(chat_app *app);
void app_scroll_to_end(chat_app *app);

// ---- Keys and pointer (events.c)
void app_event(chat_app *app, const SDL_Event *event);

// ---- Views
void view_sidebar(chat_app *app, SDL_Rect rect);
void view_transcript(chat_app *app, SDL_Rect rect);
int view_composer_height(chat_app *app, int width);
void view_composer(chat_app *app, SDL_Rect rect);
void view_overlay(chat_app *app); // the one that is open
void view_settings(chat_app *app);
void view_models(chat_app *app);
// What was said last, and how to put it away: above the composer, and in the panel that would hide that one.
int view_notice_height(chat_app *app, int width); // 0: nothing was said
void view_notice(chat_app *app, SDL_Rect rect);
// Opens a panel of that size in logical pixels; returns its inside. It may have been closed by that.
SDL_Rect view_panel(chat_app *app, int width, int height, const char *title);
void view_panel_scrolled(chat_app *app, SDL_Rect rect, int height); // behind content of that height in `rect`
void view_field(chat_app *app, app_field field, SDL_Rect rect, chat_font font, const char *placeholder);
int view_field_height(chat_app *app, app_field field, int width, chat_font font);
// Moves the cursor a line up (-1) or down, as lines are broken on the screen. False: it stands in the first or last
// one.
bool view_field_step(chat_app *app, app_field field, int direction, bool select);
app_place view_place_at(chat_app *app, int x, int y);
void view_frame(chat_app *app);  // everything
void view_forget(chat_app *app); // drops what is derived of messages
void view_selection_text(chat_app *app, fe_text *out);

// ---- Life (app.c)
typedef struct app_options {
    const char *model, *draft, *device, *data_folder, *screenshot;
    int width, height; // 0: as remembered; logical pixels
    float scale;       // pixels per logical pixel, 0: as the desktop says
    int theme;         // -1: as remembered
    bool no_save;
} app_options;
// Opens window and store, shows the first frame and begins loading the model. False with a message on stderr; app_close
// is needed in either case.
bool app_open(chat_app *app, const app_options *options);
// One turn: events, a bounded piece of the engine's work, a frame where one is due (true: it was shown). Sleeps while
// nothing happens.
bool app_turn(chat_app *app);
void app_close(chat_app *app);
int app_run(const app_options *options); // turns until the user quits; the program's exit code

#endif
