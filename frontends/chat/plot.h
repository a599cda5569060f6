// The signals of a reply's thinking, one small plot each: the smoothed value, its threshold, where thinking was left.
#ifndef CHAT_PLOT_H
#define CHAT_PLOT_H

#include "draw.h"
#include "state.h"

bool plot_has_data(const chat_message *message);
void plot_draw(chat_draw *draw, SDL_Rect rect, const chat_message *message);

#endif
