// Between the views of the conversation: what is derived of a message for drawing, and one message's part of a frame.
#ifndef CHAT_TRANSCRIPT_H
#define CHAT_TRANSCRIPT_H

#include "app.h"

// Sets the height from the length of its text where it is not known for this width and zoom.
void view_estimate(chat_app *app, uint32_t message, int width);
// Builds layouts and places where they are not there for this version, width and zoom.
void view_build(chat_app *app, uint32_t message, int width);
void view_release(view_message *view); // the layouts; the height stays
// Draws message `message`, which is number `place` of the path, at x, y. Its buttons may change the conversation.
void view_draw_message(chat_app *app, uint32_t message, uint32_t place, int x, int y);
// The selected bytes of a part (app_place) of the path; from >= to: none.
void view_selected_range(const chat_app *app, uint32_t part, uint32_t *from, uint32_t *to);
// In place of an empty conversation.
void view_empty_page(chat_app *app, SDL_Rect rect);

#endif
