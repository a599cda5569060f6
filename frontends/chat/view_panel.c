// What the panels on top stand on.
#include "actions.h"
#include "view.h"

SDL_Rect view_panel(chat_app *app, int width, int height, const char *title)
{
    chat_draw *draw = &app->draw;
    int margin = px(draw, 16);
    width = px(draw, (float)width) < app->width - 2 * margin ? px(draw, (float)width) : app->width - 2 * margin;
    int pad = px(draw, 24), size = px(draw, 32), notice = view_notice_height(app, width - 2 * pad);
    int told = notice ? notice + px(draw, 8) : 0;
    height = px(draw, (float)height) + told;
    if (height > app->height - 2 * margin) height = app->height - 2 * margin;
    SDL_Rect card = {(app->width - width) / 2, (app->height - height) / 2, width, height};
    bool outside = draw->pressed && !draw_inside(draw, card);
    draw_card(draw, card, px(draw, 16), draw->theme->background, draw->theme->border);
    SDL_Rect inner = {card.x + pad, card.y + px(draw, 20), card.w - 2 * pad, card.h - px(draw, 40)};
    draw_text_in(draw, CHAT_FONT_H2, (SDL_Rect){inner.x, inner.y, inner.w - size, size}, title, draw->theme->text, 0);
    bool close = draw_button(draw, (SDL_Rect){inner.x + inner.w - size, inner.y, size, size}, "×", BUTTON_QUIET, "Esc");
    if (close || outside) app_escape(app);
    inner.y += px(draw, 48);
    inner.h -= px(draw, 48);
    if (notice) view_notice(app, (SDL_Rect){inner.x, inner.y, inner.w, notice});
    inner.y += told;
    inner.h -= told;
    return inner;
}

void view_panel_scrolled(chat_app *app, SDL_Rect rect, int height)
{
    chat_draw *draw = &app->draw;
    int before = app->panel_scroll, most = height - rect.h;
    if (app->panel_scroll > most) app->panel_scroll = most;
    if (app->panel_scroll < 0) app->panel_scroll = 0;
    if (app->panel_scroll != before) app->redraw = true;
    if (most <= 0) return;
    int least = px(draw, 24), length = (int)((int64_t)rect.h * rect.h / height);
    if (length < least) length = least;
    int at = rect.y + (int)((int64_t)(rect.h - length) * app->panel_scroll / most), wide = px(draw, 4);
    draw_round(draw, (SDL_Rect){rect.x + rect.w + px(draw, 10), at, wide, length}, wide / 2, draw->theme->hover);
}
