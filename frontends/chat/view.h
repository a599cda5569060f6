// What is seen, drawn anew in every frame and asked in the same call; lowest first. A view may use those above it here.
#ifndef CHAT_VIEW_H
#define CHAT_VIEW_H

#include "app_data.h"

// ---- Text fields, and the notice (view_field.c)
void view_field(chat_app *app, app_field field, SDL_Rect rect, chat_font font, const char *placeholder);
int view_field_height(chat_app *app, app_field field, int width, chat_font font);
// Moves the cursor a line up (-1) or down, as lines are broken on the screen. False: it stands in the first or last
// one.
bool view_field_step(chat_app *app, app_field field, int direction, bool select);
// What was said last, and how to put it away: above the composer, and in the panel that would hide that one.
int view_notice_height(chat_app *app, int width); // 0: nothing was said
void view_notice(chat_app *app, SDL_Rect rect);

// ---- The conversation (view_message.c, view_pages.c, view_transcript.c)
// Sets the height from the length of its text where it is not known for this width and zoom.
void view_estimate(chat_app *app, uint32_t message, int width);
// Builds layouts and places where they are not there for this version, width and zoom.
void view_build(chat_app *app, uint32_t message, int width);
// Draws message `message`, which is number `place` of the path, at x, y. Its buttons may change the conversation.
void view_draw_message(chat_app *app, uint32_t message, uint32_t place, int x, int y);
void view_empty_page(chat_app *app, SDL_Rect rect); // in place of an empty conversation
void view_transcript(chat_app *app, SDL_Rect rect);
app_place view_place_at(chat_app *app, int x, int y);
void view_selection_text(chat_app *app, fe_text *out);

// ---- Panels on top (view_panel.c, view_settings.c, view_models.c, view_overlay.c)
// Opens a panel of that size in logical pixels; returns its inside. It may have been closed by that.
SDL_Rect view_panel(chat_app *app, int width, int height, const char *title);
void view_panel_scrolled(chat_app *app, SDL_Rect rect, int height); // behind content of that height in `rect`
void view_settings(chat_app *app);
void view_models(chat_app *app);
void view_overlay(chat_app *app); // the one that is open

// ---- Everything (view_chrome.c)
void view_frame(chat_app *app);

#endif
