// The panel in which a model is chosen: what is in the user's folders and in those of other tools, or a path.
#include "actions.h"
#include "view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOLDER_ROW = 36, FILE_ROW = 52, CHOICE_ROW = 32 };

// A row with a name, what there is to say about it below, and a word on the right.
static bool draw_entry(chat_app *app, SDL_Rect row, const char *name, const char *below, const char *right,
                       chat_color color, bool open, const char *tip)
{
    chat_draw *draw = &app->draw;
    const chat_theme *theme = draw->theme;
    bool clicked = draw_button(draw, row, "", BUTTON_QUIET, tip), over = draw_inside(draw, row);
    if (open || over) draw_round(draw, row, px(draw, 8), over ? theme->raised : theme->accent_soft);
    int pad = px(draw, 12), width = row.w - 2 * pad;
    int beside = draw_text_width(draw, CHAT_FONT_TINY, right);
    draw_text_in(draw, open ? CHAT_FONT_SMALL_BOLD : CHAT_FONT_SMALL,
                 (SDL_Rect){row.x + pad, row.y + px(draw, 6), width, px(draw, 20)}, name, theme->text, 0);
    draw_text_in(draw, CHAT_FONT_TINY,
                 (SDL_Rect){row.x + pad, row.y + px(draw, 26), width - beside - pad, px(draw, 18)}, below, theme->dim,
                 0);
    draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){row.x + pad, row.y + px(draw, 26), width, px(draw, 18)}, right, color,
                 2);
    return clicked;
}

static void draw_file(chat_app *app, SDL_Rect row, const model_file *file)
{
    static const char *const parts[] = {"draft", "signal head", "profile"};
    char size[32], fit[64] = "";
    fe_text below = {0};
    if (!file->estimated) app_estimate(app, file->path);
    models_fit_text(&file->memory, fit, sizeof fit);
    models_bytes_text(file->bytes, size, sizeof size);
    if (file->memory.format[0])
        fe_text_printf(&below, "%.*s · ", (int)strcspn(file->memory.format, " "), file->memory.format);
    fe_text_add(&below, size);
    for (int i = 0; i < MODEL_PART_COUNT; i++)
        if (file->parts[i]) fe_text_printf(&below, " · %s", parts[i]);
    bool open = app->link.target && strcmp(app->link.target, file->path) == 0;
    const chat_theme *theme = app->draw.theme;
    const sx_memory_estimate *memory = &file->memory;
    chat_color color = memory->budget == 0                         ? theme->dim
                       : memory->fitting_context == 0              ? theme->danger
                       : memory->fitting_context < memory->context ? theme->remain
                                                                   : theme->accent;
    if (draw_entry(app, row, platform_file_name(file->path), below.data, fit, color, open, file->path)) {
        char *path = fe_copy_string(file->path);
        app_open_model(app, path);
        free(path);
    }
    fe_text_free(&below);
}

static void draw_folder(chat_app *app, SDL_Rect row, const model_folder *folder, bool empty)
{
    chat_draw *draw = &app->draw;
    fe_text name = {0};
    size_t home = app->home ? strlen(app->home) : 0;
    bool below = home && strncmp(folder->path, app->home, home) == 0 && folder->path[home] == '/';
    fe_text_printf(&name, "%s%s%s", below ? "~" : "", below ? folder->path + home : folder->path,
                   !folder->found ? " · cannot be read"
                   : empty        ? " · no models"
                                  : "");
    int size = px(draw, 24), y = row.y + row.h - size;
    SDL_Rect text = {row.x + px(draw, 12), y, row.w - size - px(draw, 24), size};
    draw_text_in(draw, CHAT_FONT_TINY, text, name.data, draw->theme->faint, 0);
    fe_text_free(&name);
    if (!folder->chosen) return;
    if (draw_button(draw, (SDL_Rect){row.x + row.w - size - px(draw, 8), y, size, size}, "×", BUTTON_QUIET,
                    "Leave this folder out from now on")) {
        char *path = fe_copy_string(folder->path);
        app_forget_folder(app, path);
        free(path);
    }
}

// Returns the height of the list.
static int draw_list(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    const model_list *list = &app->models;
    int start = rect.y - app->panel_scroll, y = start, file_row = px(draw, FILE_ROW), folder_row = px(draw, FOLDER_ROW);
    bool open = !app->link.target && app->link.phase == LINK_READY;
    if (draw_entry(app, (SDL_Rect){rect.x, y, rect.w, file_row}, "The bundled model",
                   "built in · sums and word problems · draft with signals", "fits everywhere", draw->theme->accent,
                   open, NULL))
        app_open_model(app, "");
    y += file_row;
    uint32_t at = 0;
    for (uint32_t i = 0; i < app->models.folder_count && app->overlay == OVERLAY_MODELS; i++) {
        uint32_t count = app->models.folder_count;
        bool empty = at >= list->count || list->files[at].folder != i;
        if (y + folder_row > rect.y && y < rect.y + rect.h)
            draw_folder(app, (SDL_Rect){rect.x, y, rect.w, folder_row}, &list->folders[i], empty);
        if (app->models.folder_count != count) break; // it was left out
        y += folder_row;
        for (; at < list->count && list->files[at].folder == i && app->overlay == OVERLAY_MODELS; at++) {
            if (y + file_row > rect.y && y < rect.y + rect.h)
                draw_file(app, (SDL_Rect){rect.x, y, rect.w, file_row}, &list->files[at]);
            y += file_row;
        }
    }
    if (list->folder_count == 0) {
        draw_text_in(draw, CHAT_FONT_SMALL,
                     (SDL_Rect){rect.x + px(draw, 12), y + px(draw, 12), rect.w - px(draw, 24), px(draw, 24)},
                     "No models in the usual folders yet; open one of yours above.", draw->theme->faint, 0);
        y += px(draw, 36);
    }
    return y - start;
}

// What the path that is being typed could become. Returns the height.
static int draw_choices(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    const path_choices *choices = &app->choices;
    int row = px(draw, CHOICE_ROW), y = rect.y - app->panel_scroll;
    for (uint32_t i = 0; i < choices->count; i++, y += row) {
        if (y + row <= rect.y || y >= rect.y + rect.h) continue;
        if (!draw_button(draw, (SDL_Rect){rect.x, y, rect.w, row}, choices->names[i], BUTTON_ROW, NULL)) continue;
        fe_text path = {0};
        fe_text_printf(&path, "%s%s", fe_text_string(&choices->folder), choices->names[i]);
        input_set(&app->fields[FIELD_MODEL], path.data);
        app_path_typed(app);
        if (path.data[path.length - 1] != '/') app_open_file(app, path.data);
        fe_text_free(&path);
        return 0; // they are others now
    }
    if (choices->count == 0)
        draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x + px(draw, 12), rect.y, rect.w, row},
                     "Nothing here begins like that.", draw->theme->faint, 0);
    return (int)choices->count * row;
}

static void draw_facts(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    const sx_engine_info *info = &app->link.info;
    char text[320], size[32];
    if (app->link.phase != LINK_READY) return;
    models_bytes_text(info->weight_bytes + info->kv_bytes + info->scratch_bytes, size, sizeof size);
    snprintf(text, sizeof text, "Open: %s · %s · %s on the device · %u tokens of context", info->model_name,
             info->format, size, info->context);
    draw_text_in(draw, CHAT_FONT_TINY, rect, text, draw->theme->dim, 0);
}

void view_models(chat_app *app)
{
    chat_draw *draw = &app->draw;
    SDL_Rect inner = view_panel(app, 680, 600, "Open a model");
    if (app->overlay != OVERLAY_MODELS) return;
    int row = px(draw, 36), pad = px(draw, 12), y = inner.y, open = draw_button_width(draw, "Open");
    draw_facts(app, (SDL_Rect){inner.x, y - px(draw, 12), inner.w, px(draw, 20)});
    y += px(draw, 16);
    SDL_Rect field = {inner.x, y, inner.w - open - px(draw, 8), row};
    draw_card(draw, field, px(draw, 8), draw->theme->card, draw->theme->faint);
    view_field(app, FIELD_MODEL, (SDL_Rect){field.x + pad, y + px(draw, 8), field.w - 2 * pad, px(draw, 22)},
               CHAT_FONT_SMALL, "Path of a model (GGUF), of a folder of models, or of an exported chat");
    bool typed = !input_is_empty(&app->fields[FIELD_MODEL]);
    if (draw_button(draw, (SDL_Rect){inner.x + inner.w - open, y, open, row}, "Open",
                    typed ? BUTTON_FILLED : BUTTON_OUTLINE, "Enter") &&
        typed)
        app_open_file(app, app->fields[FIELD_MODEL].text.data);
    y += row + px(draw, 4);
    draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){inner.x, y, inner.w, px(draw, 20)},
                 typed ? "Tab completes · Enter opens; a folder is searched for models from then on"
                       : "Files and folders can be dropped onto the window, too",
                 draw->theme->faint, 0);
    y += px(draw, 28);
    if (app->overlay != OVERLAY_MODELS) return;
    SDL_Rect list = {inner.x, y, inner.w, inner.y + inner.h - y};
    draw_clip(draw, &list);
    int height = input_is_empty(&app->fields[FIELD_MODEL]) ? draw_list(app, list) : draw_choices(app, list);
    draw_clip(draw, NULL);
    if (app->overlay == OVERLAY_MODELS) view_panel_scrolled(app, list, height);
}
