// Keys, pointer and drops to actions.
#include "events.h"
#include "actions.h"
#include "view.h"

#include <stdlib.h>
#include <string.h>

static void edit_changed(chat_app *app)
{
    if (app->field == FIELD_SEARCH) app_search(app);
    if (app->field == FIELD_MODEL) app_path_typed(app);
}

static bool field_key(chat_app *app, SDL_Keycode key, bool control, bool shift)
{
    chat_input *input = &app->fields[app->field];
    input_unit unit = control ? INPUT_WORD : INPUT_CHARACTER;
    switch (key) {
    case SDLK_LEFT:
        input_move(input, -1, unit, shift);
        return true;
    case SDLK_RIGHT:
        input_move(input, 1, unit, shift);
        return true;
    case SDLK_HOME:
        input_move(input, -1, control ? INPUT_ALL : INPUT_LINE, shift);
        return true;
    case SDLK_END:
        input_move(input, 1, control ? INPUT_ALL : INPUT_LINE, shift);
        return true;
    case SDLK_BACKSPACE:
        input_delete(input, -1, unit);
        edit_changed(app);
        return true;
    case SDLK_DELETE:
        input_delete(input, 1, unit);
        edit_changed(app);
        return true;
    default:
        return false;
    }
}

static void paste(chat_app *app)
{
    char *text = SDL_GetClipboardText();
    if (text && text[0]) input_insert(&app->fields[app->field], text, strlen(text));
    SDL_free(text);
    edit_changed(app);
}

static void copy_selected(chat_app *app)
{
    chat_input *input = &app->fields[app->field];
    size_t start, end;
    input_selection(input, &start, &end);
    if (start < end) {
        app_copy_text(input->text.data + start, end - start);
    } else if (app->has_selection) {
        fe_text text = {0};
        view_selection_text(app, &text);
        app_copy_text(fe_text_string(&text), text.length);
        fe_text_free(&text);
    }
}

static void cut(chat_app *app)
{
    size_t start, end;
    input_selection(&app->fields[app->field], &start, &end);
    if (start == end) return;
    copy_selected(app);
    input_delete(&app->fields[app->field], -1, INPUT_CHARACTER);
    edit_changed(app);
}

static void select_everything(chat_app *app)
{
    chat_input *input = &app->fields[app->field];
    if (input->text.length) {
        input_select_all(input);
    } else if (app->path_count) {
        app->anchor = (app_place){0, 0};
        app->head = (app_place){2 * app->path_count - 1, UINT32_MAX};
        app->has_selection = true;
    }
}

static void copy_last_answer(chat_app *app)
{
    int32_t last = chat_path_last(app->state.current);
    if (last >= 0) app_copy_message(app, (uint32_t)last);
}

static void edit_last(chat_app *app)
{
    int32_t last = chat_regenerate_parent(app->state.current);
    if (last >= 0) app_edit(app, (uint32_t)last);
}

static void redo(chat_app *app)
{
    if (input_redo(&app->fields[app->field])) edit_changed(app);
}

static void shortcut_shift(chat_app *app, SDL_Keycode key)
{
    if (key == SDLK_c) copy_last_answer(app);
    if (key == SDLK_s) app_export(app, true);
    if (key == SDLK_z) redo(app);
    if (key == SDLK_BACKSPACE) app_open_overlay(app, OVERLAY_DELETE);
}

static void toggle_sidebar(chat_app *app)
{
    if (app->width < px(&app->draw, 760)) {
        app->drawer = !app->drawer;
    } else {
        app->state.settings.hide_sidebar = !app->state.settings.hide_sidebar;
    }
}

static void show_sidebar(chat_app *app)
{
    app->overlay = OVERLAY_NONE;
    if (app->width < px(&app->draw, 760)) app->drawer = true;
    app->state.settings.hide_sidebar = false;
}

static void search(chat_app *app)
{
    show_sidebar(app);
    app->field = FIELD_SEARCH;
}

static void rename_current(chat_app *app)
{
    show_sidebar(app);
    if (!app->state.current->matches) {
        input_set(&app->fields[FIELD_SEARCH], "");
        app_search(app);
    }
    app_begin_rename(app, app->state.current);
}

static void shortcut_edit(chat_app *app, SDL_Keycode key)
{
    switch (key) {
    case SDLK_a:
        select_everything(app);
        break;
    case SDLK_c:
        copy_selected(app);
        break;
    case SDLK_x:
        cut(app);
        break;
    case SDLK_v:
        paste(app);
        break;
    case SDLK_z:
        if (input_undo(&app->fields[app->field])) edit_changed(app);
        break;
    case SDLK_y:
        redo(app);
        break;
    default:
        break;
    }
}

static void shortcut(chat_app *app, SDL_Keycode key)
{
    switch (key) {
    case SDLK_n:
        app_new(app);
        break;
    case SDLK_r:
        app_regenerate(app);
        break;
    case SDLK_e:
        edit_last(app);
        break;
    case SDLK_l:
        app_think_longer(app);
        break;
    case SDLK_t:
        app_toggle_thinking(app);
        break;
    case SDLK_k:
    case SDLK_f:
        search(app);
        break;
    case SDLK_s:
        app_export(app, false);
        break;
    case SDLK_o:
        app_open_overlay(app, OVERLAY_MODELS);
        break;
    case SDLK_COMMA:
        app_open_overlay(app, OVERLAY_SETTINGS);
        break;
    case SDLK_b:
        toggle_sidebar(app);
        break;
    case SDLK_d:
        app_cycle_theme(app);
        break;
    case SDLK_q:
    case SDLK_w:
        app->quit = true;
        break;
    case SDLK_EQUALS:
    case SDLK_PLUS:
    case SDLK_KP_PLUS:
        app_zoom(app, 1);
        break;
    case SDLK_MINUS:
    case SDLK_KP_MINUS:
        app_zoom(app, -1);
        break;
    case SDLK_0:
        app_zoom(app, 0);
        break;
    case SDLK_PAGEUP:
        app_next_conversation(app, -1);
        break;
    case SDLK_PAGEDOWN:
        app_next_conversation(app, 1);
        break;
    default:
        shortcut_edit(app, key);
        break;
    }
}

static void scroll_by(chat_app *app, int pixels)
{
    if (app->overlay) {
        app->panel_scroll += pixels;
        return;
    }
    app->column.follow = false; // again once it stands at the end
    app->column.offset += pixels;
}

static void enter(chat_app *app, bool shift)
{
    if (app->overlay == OVERLAY_DELETE) {
        app->overlay = OVERLAY_NONE;
        app_delete(app);
    } else if (app->draw.focus >= 0) {
        app->draw.activate = true;
    } else if (app->field == FIELD_RENAME) {
        app_end_rename(app, true);
    } else if (app->field == FIELD_MODEL) {
        if (!input_is_empty(&app->fields[FIELD_MODEL])) {
            char *path = fe_copy_string(app->fields[FIELD_MODEL].text.data);
            app_open_file(app, path);
            free(path);
        }
    } else if (app->field == FIELD_SEARCH) {
        for (uint32_t i = 0; i < app->state.count; i++) {
            if (!app->state.conversations[i]->matches) continue;
            app_select(app, app->state.conversations[i]);
            break;
        }
        app->field = FIELD_COMPOSER;
    } else if (shift) {
        input_insert(&app->fields[FIELD_COMPOSER], "\n", 1);
    } else {
        app_send(app);
    }
}

static void step_sibling(chat_app *app, int direction)
{
    if (app->state.streaming == app->state.current) return;
    int32_t last = chat_last_branch(app->state.current);
    if (last >= 0 && chat_select_sibling(app->state.current, (uint32_t)last, direction)) app_save(app);
}

// A line up or down; beyond the first and last one, what was sent before or after.
static void vertical(chat_app *app, int direction, bool select)
{
    chat_input *input = &app->fields[app->field];
    if (app->field == FIELD_COMPOSER && direction < 0 && input_is_empty(input) && app_take_back(app)) return;
    if (view_field_step(app, app->field, direction, select)) return;
    if (app->field == FIELD_COMPOSER && app->editing < 0 && !select) {
        input_recall(input, direction);
    } else {
        input_move(input, direction, INPUT_ALL, select);
    }
}

static bool plain_key(chat_app *app, SDL_Keycode key, bool shift)
{
    switch (key) {
    case SDLK_ESCAPE:
        app_escape(app);
        return true;
    case SDLK_F1:
        app_open_overlay(app, OVERLAY_HELP);
        return true;
    case SDLK_F2:
        rename_current(app);
        return true;
    case SDLK_RETURN:
    case SDLK_KP_ENTER:
        enter(app, shift);
        return true;
    case SDLK_TAB:
        if (app->field == FIELD_MODEL && !shift && app->draw.focus < 0 && !input_is_empty(&app->fields[FIELD_MODEL])) {
            app_complete_path(app);
            return true;
        }
        app->draw.show_focus = true;
        app->draw.focus += shift ? -1 : 1;
        if (app->draw.focus < -1) app->draw.focus = app->draw.focus_count - 1;
        return true;
    case SDLK_PAGEUP:
        scroll_by(app, -app->view_height * 9 / 10);
        return true;
    case SDLK_PAGEDOWN:
        scroll_by(app, app->view_height * 9 / 10);
        return true;
    case SDLK_UP:
        vertical(app, -1, shift);
        return true;
    case SDLK_DOWN:
        vertical(app, 1, shift);
        return true;
    default:
        return false;
    }
}

static void write_screenshot(chat_app *app)
{
    SDL_Surface *surface = SDL_CreateRGBSurfaceWithFormat(0, app->width, app->height, 32, SDL_PIXELFORMAT_ARGB8888);
    if (!surface || !app->screenshot) {
        SDL_FreeSurface(surface);
        return;
    }
    view_frame(app);
    if (SDL_RenderReadPixels(app->renderer, NULL, SDL_PIXELFORMAT_ARGB8888, surface->pixels, surface->pitch) == 0)
        SDL_SaveBMP(surface, app->screenshot);
    SDL_FreeSurface(surface);
}

// Keys of the widget that Tab has reached.
static bool focus_key(chat_app *app, SDL_Keycode key)
{
    if (key == SDLK_LEFT || key == SDLK_RIGHT) app->draw.nudge = key == SDLK_LEFT ? -1 : 1;
    if (key == SDLK_SPACE) {
        app->draw.activate = true;
        app->shortcut_text = true; // the space that comes with it
    }
    return key == SDLK_LEFT || key == SDLK_RIGHT || key == SDLK_SPACE;
}

static void steer(chat_app *app, int direction)
{
    chat_steering steering = app->state.current->steering;
    steering.effort = (float)((int)(steering.effort * 10 + 0.5f) + direction) / 10;
    chat_steer(&app->state, steering);
}

static void key_down(chat_app *app, const SDL_KeyboardEvent *event)
{
    SDL_Keycode key = event->keysym.sym;
    bool control = event->keysym.mod & (KMOD_CTRL | KMOD_GUI), shift = event->keysym.mod & KMOD_SHIFT;
    bool alt = event->keysym.mod & KMOD_ALT;
    app->shortcut_text = control;
    if (app->composition.length) return; // the input method has the keys
    if (app->draw.focus >= 0 && focus_key(app, key)) return;
    if (key != SDLK_TAB && key != SDLK_RETURN && key != SDLK_LSHIFT && key != SDLK_RSHIFT) app->draw.focus = -1;
    if (key == SDLK_F12) {
        write_screenshot(app);
    } else if (alt && (key == SDLK_LEFT || key == SDLK_RIGHT)) {
        step_sibling(app, key == SDLK_LEFT ? -1 : 1);
    } else if (alt && (key == SDLK_UP || key == SDLK_DOWN)) {
        steer(app, key == SDLK_UP ? 1 : -1);
    } else if (field_key(app, key, control, shift) && !(control && shift && key == SDLK_BACKSPACE)) {
        return;
    } else if (control && shift) {
        shortcut_shift(app, key);
    } else if (control) {
        shortcut(app, key);
    } else if (!alt) {
        plain_key(app, key, shift);
    }
}

// ---- Pointer -------------------------------------------------------------------------------------------------------

static void begin_selection(chat_app *app, int x, int y)
{
    SDL_Point point = {x, y};
    if (app->overlay || app->drawer || !SDL_PointInRect(&point, &app->transcript) || app->path_count == 0) return;
    app->anchor = app->head = view_place_at(app, x, y);
    app->selecting = true;
    app->has_selection = false;
}

static void pointer_button(chat_app *app, const SDL_MouseButtonEvent *event)
{
    chat_draw *draw = &app->draw;
    if (event->button != SDL_BUTTON_LEFT) return;
    draw->mouse_x = (int)((float)event->x * app->density);
    draw->mouse_y = (int)((float)event->y * app->density);
    draw->down = event->type == SDL_MOUSEBUTTONDOWN;
    draw->pressed = draw->down;
    draw->released = !draw->down;
    draw->clicks = event->clicks;
    draw->show_focus = false;
    if (draw->pressed) {
        begin_selection(app, draw->mouse_x, draw->mouse_y);
    } else {
        app->selecting = app->field_selecting = false;
    }
}

static void pointer_motion(chat_app *app, const SDL_MouseMotionEvent *event)
{
    chat_draw *draw = &app->draw;
    draw->mouse_x = (int)((float)event->x * app->density);
    draw->mouse_y = (int)((float)event->y * app->density);
    if (!app->selecting) return;
    app->head = view_place_at(app, draw->mouse_x, draw->mouse_y);
    app->has_selection = app->head.part != app->anchor.part || app->head.offset != app->anchor.offset;
    if (draw->mouse_y < app->transcript.y) scroll_by(app, -px(draw, 24));
    if (draw->mouse_y > app->transcript.y + app->transcript.h) scroll_by(app, px(draw, 24));
}

static void wheel(chat_app *app, const SDL_MouseWheelEvent *event)
{
    int pixels = (int)(-event->preciseY * (float)px(&app->draw, 72));
    bool side = app->drawer || app->draw.mouse_x < app->transcript.x - px(&app->draw, 24);
    if (SDL_GetModState() & KMOD_CTRL) {
        app_zoom(app, event->y > 0 ? 1 : -1);
    } else if (side && !app->overlay) {
        app->list_scroll += pixels;
    } else {
        scroll_by(app, pixels);
    }
}

static size_t bytes_of(const fe_text *text, int32_t characters)
{
    size_t at = 0;
    while (characters-- > 0 && at < text->length)
        at = chat_utf8_next(text->data, text->length, at);
    return at;
}

// Text that an input method is composing: shown where it will stand, but not there yet. `start` and `length` mark the
// clause that is being chosen, in characters; some send 0 and 0, then the caret stands behind all.
static void compose(chat_app *app, const char *text, int32_t start, int32_t length)
{
    fe_text *composition = &app->composition;
    chat_text_set(composition, text, strlen(text));
    app->composed = app->field;
    app->composition_from = bytes_of(composition, start);
    app->composition_to = bytes_of(composition, start + (length > 0 ? length : 0));
    if (start <= 0 && length <= 0) app->composition_from = app->composition_to = composition->length;
}

static void take_text(chat_app *app, const SDL_Event *event)
{
    fe_text_clear(&app->composition);
    if (app->shortcut_text) return;
    input_insert(&app->fields[app->field], event->text.text, strlen(event->text.text));
    edit_changed(app);
}

void app_event(chat_app *app, const SDL_Event *event)
{
    app->redraw = true;
    switch (event->type) {
    case SDL_QUIT:
        app->quit = true;
        break;
    case SDL_KEYDOWN:
        key_down(app, &event->key);
        break;
    case SDL_TEXTINPUT:
        take_text(app, event);
        break;
    case SDL_TEXTEDITING:
        compose(app, event->edit.text, event->edit.start, event->edit.length);
        break;
    case SDL_TEXTEDITING_EXT:
        compose(app, event->editExt.text, event->editExt.start, event->editExt.length);
        SDL_free(event->editExt.text);
        break;
    case SDL_WINDOWEVENT:
        if (event->window.event == SDL_WINDOWEVENT_FOCUS_GAINED) { // the desktop's settings may have changed meanwhile
            platform_ask_desktop(&app->desktop);
            app_apply_theme(app);
        }
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP:
        pointer_button(app, &event->button);
        break;
    case SDL_MOUSEMOTION:
        pointer_motion(app, &event->motion);
        break;
    case SDL_MOUSEWHEEL:
        wheel(app, &event->wheel);
        break;
    case SDL_DROPFILE:
        app_open_file(app, event->drop.file);
        SDL_free(event->drop.file);
        break;
    default:
        break;
    }
}
