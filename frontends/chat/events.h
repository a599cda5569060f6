// Keys, pointer, input method and drops, to actions.
#ifndef CHAT_EVENTS_H
#define CHAT_EVENTS_H

#include "app_data.h"

void app_event(chat_app *app, const SDL_Event *event);

#endif
