// What the application knows besides the state: its window, and what it shows in it. Who may know whom, from below:
// app_data, actions, the views, events, app.
#ifndef CHAT_APP_DATA_H
#define CHAT_APP_DATA_H

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
    const chat_conversation *listed; // the current one when the list was drawn last
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

// ---- What is derived of messages (app_data.c)
void view_release(view_message *view); // the layouts; the height stays
void view_forget(chat_app *app);       // all of it
// The selected bytes of a part (app_place) of the path; from >= to: none.
void view_selected_range(const chat_app *app, uint32_t part, uint32_t *from, uint32_t *to);

#endif
