// The panels on top: help, settings, models, deleting.
#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static SDL_Rect panel_open(chat_app *app, int width, int height, const char *title)
{
    chat_draw *draw = &app->draw;
    int margin = px(draw, 16);
    width = px(draw, (float)width) < app->width - 2 * margin ? px(draw, (float)width) : app->width - 2 * margin;
    height = px(draw, (float)height) < app->height - 2 * margin ? px(draw, (float)height) : app->height - 2 * margin;
    SDL_Rect card = {(app->width - width) / 2, (app->height - height) / 2, width, height};
    bool outside = draw->pressed && !draw_inside(draw, card);
    draw_card(draw, card, px(draw, 16), draw->theme->background, draw->theme->border);
    int pad = px(draw, 24), size = px(draw, 32);
    SDL_Rect inner = {card.x + pad, card.y + px(draw, 20), card.w - 2 * pad, card.h - px(draw, 40)};
    draw_text_in(draw, CHAT_FONT_H2, (SDL_Rect){inner.x, inner.y, inner.w - size, size}, title, draw->theme->text, 0);
    bool close = draw_button(draw, (SDL_Rect){inner.x + inner.w - size, inner.y, size, size}, "×", BUTTON_QUIET, "Esc");
    if (close || outside) app_escape(app);
    inner.y += px(draw, 48);
    inner.h -= px(draw, 48);
    return inner;
}

// ---- Help ----------------------------------------------------------------------------------------------------------

static const char *const keys[][2] = {
    {"Enter", "Send"},
    {"Shift+Enter", "New line"},
    {"Esc", "Answer now, then stop"},
    {"Ctrl+L", "Think longer"},
    {"Ctrl+R", "Answer again, new seed"},
    {"Ctrl+E", "Edit the last question"},
    {"Up, Down", "Recall what was sent"},
    {"Alt+Left, Right", "Versions of the answer"},
    {"Ctrl+T", "Open or fold the thinking"},
    {"Ctrl+Shift+C", "Copy the last answer"},
    {"Ctrl+A, Ctrl+C", "Select all, copy"},
    {"Ctrl+N", "New chat"},
    {"Ctrl+PgUp, PgDn", "Chat before, after"},
    {"Ctrl+K", "Search chats"},
    {"F2", "Rename"},
    {"Ctrl+Shift+Bksp", "Delete the chat"},
    {"Ctrl+S", "Export (Shift: JSON, can be opened)"},
    {"Ctrl+O", "Open a model"},
    {"Ctrl+,", "Settings"},
    {"Ctrl+B", "Side bar"},
    {"Ctrl+D", "Dark or light"},
    {"Ctrl+Plus, −, 0", "Zoom"},
    {"PgUp, PgDn", "Scroll"},
    {"Tab", "Go through the buttons"},
    {"Ctrl+Z, Ctrl+Y", "Undo, redo"},
    {"Ctrl+Q", "Quit"},
};

static void draw_help(chat_app *app)
{
    chat_draw *draw = &app->draw;
    int count = (int)(sizeof keys / sizeof *keys), row = px(draw, 28);
    SDL_Rect inner = panel_open(app, 720, 480, "Keys");
    int columns = inner.w > px(draw, 520) ? 2 : 1, rows = (count + columns - 1) / columns;
    int width = (inner.w - px(draw, 24) * (columns - 1)) / columns, key = px(draw, 132);
    int most = rows * row - inner.h;
    if (app->panel_scroll > most) app->panel_scroll = most;
    if (app->panel_scroll < 0) app->panel_scroll = 0;
    draw_clip(draw, &inner);
    for (int i = 0; i < count; i++) {
        SDL_Rect line = {inner.x + i / rows * (width + px(draw, 24)), inner.y + i % rows * row - app->panel_scroll,
                         width, row};
        draw_text_in(draw, CHAT_FONT_SMALL_BOLD, (SDL_Rect){line.x, line.y, key, row}, keys[i][0], draw->theme->text,
                     0);
        draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){line.x + key, line.y, width - key, row}, keys[i][1],
                     draw->theme->dim, 0);
    }
    draw_clip(draw, NULL);
}

// ---- Settings ------------------------------------------------------------------------------------------------------

enum { SETTING_ROWS = 14 };

typedef struct setting_rows {
    SDL_Rect at; // of the next row
    int label;
} setting_rows;

static SDL_Rect next_row(chat_app *app, setting_rows *rows, const char *label)
{
    chat_draw *draw = &app->draw;
    SDL_Rect row = rows->at;
    bool narrow = rows->at.w < px(draw, 420);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){row.x, row.y, narrow ? row.w : rows->label, px(draw, 32)}, label,
                 draw->theme->text, 0);
    rows->at.y += px(draw, narrow ? 68 : 44);
    if (narrow) return (SDL_Rect){row.x, row.y + px(draw, 30), row.w, px(draw, 32)};
    return (SDL_Rect){row.x + rows->label, row.y, row.w - rows->label, px(draw, 32)};
}

static bool choose(chat_app *app, SDL_Rect rect, const char *const *names, int count, int *value)
{
    chat_draw *draw = &app->draw;
    int width = rect.w / count, before = *value;
    draw_round(draw, rect, px(draw, 8), draw->theme->raised);
    for (int i = 0; i < count; i++) {
        SDL_Rect cell = {rect.x + i * width, rect.y, i + 1 == count ? rect.w - i * width : width, rect.h};
        bool clicked = draw_button(draw, cell, names[i], BUTTON_QUIET, NULL);
        if (before == i) {
            int gap = px(draw, 2);
            SDL_Rect chosen = {cell.x + gap, cell.y + gap, cell.w - 2 * gap, cell.h - 2 * gap};
            draw_card(draw, chosen, px(draw, 6), draw->theme->card, draw->theme->border);
            draw_text_in(draw, CHAT_FONT_SMALL_BOLD, cell, names[i], draw->theme->text, 1);
        }
        if (clicked) *value = i;
    }
    if (*value == before) return false;
    app->redraw = true;
    return true;
}

static void temperature_row(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    chat_settings *settings = &app->state.settings;
    char text[64];
    float value = settings->temperature / 2;
    int label = px(draw, 120);
    if (draw_slider(draw, (SDL_Rect){rect.x, rect.y, rect.w - label, rect.h}, &value, NULL))
        settings->temperature = value * 2;
    if (settings->temperature < 0.02f) settings->temperature = 0;
    snprintf(text, sizeof text, settings->temperature > 0 ? "%.2f" : "0, always the same",
             (double)settings->temperature);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x + rect.w - label, rect.y, label, rect.h}, text,
                 draw->theme->dim, 2);
}

static void seed_row(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    chat_settings *settings = &app->state.settings;
    static const char *const names[] = {"New every time", "Fixed"};
    int fixed = settings->seed != 0, step = px(draw, 32);
    char text[32];
    SDL_Rect choice = {rect.x, rect.y, rect.w - px(draw, 124), rect.h};
    if (choose(app, choice, names, 2, &fixed)) settings->seed = fixed ? 1 : 0;
    if (!settings->seed) return;
    int x = rect.x + rect.w - px(draw, 116);
    if (draw_button(draw, (SDL_Rect){x, rect.y, step, rect.h}, "−", BUTTON_OUTLINE, NULL) && settings->seed > 1)
        settings->seed--;
    snprintf(text, sizeof text, "%llu", (unsigned long long)settings->seed);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){x + step, rect.y, px(draw, 52), rect.h}, text, draw->theme->text, 1);
    if (draw_button(draw, (SDL_Rect){x + px(draw, 84), rect.y, step, rect.h}, "+", BUTTON_OUTLINE, NULL))
        settings->seed++;
}

static void zoom_row(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    char text[16];
    int step = px(draw, 32), wide = px(draw, 64), direction = 0;
    snprintf(text, sizeof text, "%.0f %%", 100 * (double)app->state.settings.zoom);
    if (draw_button(draw, (SDL_Rect){rect.x, rect.y, step, rect.h}, "−", BUTTON_OUTLINE, "Ctrl+−")) direction = -1;
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x + step, rect.y, wide, rect.h}, text, draw->theme->text, 1);
    if (draw_button(draw, (SDL_Rect){rect.x + step + wide, rect.y, step, rect.h}, "+", BUTTON_OUTLINE, "Ctrl++"))
        direction = 1;
    if (direction) app_zoom(app, direction);
}

static bool flag_row(chat_app *app, SDL_Rect rect, bool *value, const char *off, const char *on)
{
    const char *names[] = {on, off};
    int chosen = *value;
    bool changed = choose(app, rect, names, 2, &chosen);
    *value = chosen;
    return changed;
}

// ---- Settings of the model

static void context_row(chat_app *app, SDL_Rect rect, chat_model_settings *model)
{
    static const char *const names[] = {"Auto", "2K", "4K", "16K", "32K"};
    static const uint32_t tokens[] = {0, 2048, 4096, 16384, 32768};
    int chosen = -1;
    for (int i = 0; i < 5; i++)
        if (model->context == tokens[i]) chosen = i;
    if (choose(app, rect, names, 5, &chosen)) model->context = tokens[chosen];
}

static void template_row(chat_app *app, SDL_Rect rect, chat_model_settings *model)
{
    chat_draw *draw = &app->draw;
    int step = px(draw, 32);
    SDL_Rect name = {rect.x + step, rect.y, px(draw, 200), rect.h};
    if (draw_button(draw, (SDL_Rect){rect.x, rect.y, step, rect.h}, "‹", BUTTON_OUTLINE, "Template before"))
        chat_step_template(model, sx_template_names(), -1);
    if (draw_button(draw, (SDL_Rect){name.x + name.w, rect.y, step, rect.h}, "›", BUTTON_OUTLINE, "Next template"))
        chat_step_template(model, sx_template_names(), 1);
    draw_text_in(draw, CHAT_FONT_SMALL, name, model->template_name[0] ? model->template_name : "The model's own",
                 draw->theme->text, 1);
}

static void device_row(chat_app *app, SDL_Rect rect, chat_model_settings *model)
{
    enum { MOST = 4 };
    char names_of[MOST][24];
    const char *names[MOST + 1] = {"Best"};
    int count = 1, chosen = model->device[0] ? -1 : 0; // one given by number or in part is none of these
    for (uint32_t i = 0; i < app->device_count && i < MOST; i++, count++) {
        snprintf(names_of[i], sizeof names_of[i], "%.20s", app->devices[i].name);
        names[count] = names_of[i];
        if (strcmp(model->device, app->devices[i].name) == 0) chosen = count;
    }
    if (choose(app, rect, names, count, &chosen))
        snprintf(model->device, sizeof model->device, "%s", chosen ? app->devices[chosen - 1].name : "");
}

static void model_rows(chat_app *app, setting_rows *rows)
{
    static const char *const kv_types[] = {"16 bits", "8 bits, half the memory"};
    chat_draw *draw = &app->draw;
    chat_model_settings model = app->state.model;
    const char *slash = strrchr(app->state.settings.model, '/');
    const char *name = slash ? slash + 1 : app->state.settings.model;
    int kv_type = model.kv_type, button = draw_button_width(draw, "Load again");
    draw_text_in(draw, CHAT_FONT_SMALL_BOLD, next_row(app, rows, "For this model"),
                 name[0] ? name : "The bundled model", draw->theme->text, 0);
    context_row(app, next_row(app, rows, "Context in tokens"), &model);
    if (choose(app, next_row(app, rows, "Keys and values"), kv_types, 2, &kv_type)) model.kv_type = (sx_kv_type)kv_type;
    template_row(app, next_row(app, rows, "Chat template"), &model);
    device_row(app, next_row(app, rows, "Device"), &model);
    if (!chat_model_settings_equal(&model, &app->state.model)) app_change_model(app, &model);
    if (chat_model_settings_equal(&model, &app->link.opened)) return;
    SDL_Rect again = next_row(app, rows, "To use them");
    again.w = button;
    if (draw_button(draw, again, "Load again", BUTTON_FILLED, "Stops a reply that is being written"))
        app_reload_model(app);
}

static void draw_settings(chat_app *app)
{
    static const char *const themes[] = {"System", "Light", "Dark"};
    static const char *const policies[] = {"Auto", "None", "Signals", "Margin", "Entropy"};
    static const char *const drafts[] = {"Auto", "None", "N-gram", "Chain", "Tree"};
    chat_settings *settings = &app->state.settings;
    chat_draw *draw = &app->draw;
    SDL_Rect inner = panel_open(app, 640, 720, "Settings");
    if (app->overlay != OVERLAY_SETTINGS) return;
    chat_steering steering = app->state.current->steering;
    int theme = settings->theme, policy = steering.policy, drafting = settings->drafting;
    int most = SETTING_ROWS * px(draw, inner.w < px(draw, 420) ? 68 : 44) - inner.h;
    if (app->panel_scroll > most) app->panel_scroll = most;
    if (app->panel_scroll < 0) app->panel_scroll = 0;
    setting_rows rows = {{inner.x, inner.y - app->panel_scroll, inner.w, 0}, px(draw, 140)};
    draw_clip(draw, &inner);
    flag_row(app, next_row(app, &rows, "Thinking"), &settings->no_thinking, "Answers at once", "Thinks first");
    if (choose(app, next_row(app, &rows, "Leaves thinking by"), policies, 5, &policy))
        chat_steer(&app->state, (chat_steering){steering.effort, (sx_policy_kind)policy});
    if (choose(app, next_row(app, &rows, "Drafting"), drafts, 5, &drafting))
        settings->drafting = (sx_draft_kind)drafting;
    temperature_row(app, next_row(app, &rows, "Temperature"));
    seed_row(app, next_row(app, &rows, "Seed"));
    if (flag_row(app, next_row(app, &rows, "Signals"), &settings->hide_plot, "Hidden", "Plotted")) view_forget(app);
    if (choose(app, next_row(app, &rows, "Colours"), themes, 3, &theme)) {
        settings->theme = (chat_theme_choice)theme;
        app_apply_theme(app);
    }
    zoom_row(app, next_row(app, &rows, "Zoom"));
    model_rows(app, &rows);
    draw_clip(draw, NULL);
}

// ---- Models --------------------------------------------------------------------------------------------------------

static void format_bytes(char *text, size_t size, uint64_t bytes)
{
    if (bytes >= 1000000000) {
        snprintf(text, size, "%.1f GB", (double)bytes * 1e-9);
    } else {
        snprintf(text, size, "%.0f MB", (double)bytes * 1e-6);
    }
}

// Its size, and how it would fit the device's memory.
static void draw_model_row(chat_app *app, SDL_Rect row, const model_file *file)
{
    chat_draw *draw = &app->draw;
    char size[32], fit[64] = "";
    const char *slash = strrchr(file->path, '/');
    if (!file->estimated) app_estimate(app, file->path);
    models_fit_text(&file->memory, fit, sizeof fit);
    bool clicked = draw_button(draw, row, "", BUTTON_QUIET, file->path), over = draw_inside(draw, row);
    if (over) draw_round(draw, row, px(draw, 8), draw->theme->raised);
    int pad = px(draw, 12), wide = px(draw, 80), fits = px(draw, row.w > px(draw, 480) ? 190 : 0);
    format_bytes(size, sizeof size, file->bytes);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){row.x + pad, row.y, row.w - 2 * pad - wide - fits, row.h},
                 slash ? slash + 1 : file->path, draw->theme->text, 0);
    if (fits)
        draw_text_in(draw, CHAT_FONT_TINY, (SDL_Rect){row.x + row.w - pad - wide - fits, row.y, fits, row.h}, fit,
                     draw->theme->dim, 2);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){row.x + row.w - pad - wide, row.y, wide, row.h}, size,
                 draw->theme->dim, 2);
    if (clicked) {
        char *path = chat_copy(file->path);
        app_open_model(app, path);
        free(path);
    }
}

static void draw_model_facts(chat_app *app, SDL_Rect rect)
{
    chat_draw *draw = &app->draw;
    const sx_engine_info *info = &app->link.info;
    char text[320], size[32];
    if (app->link.phase != LINK_READY) return;
    format_bytes(size, sizeof size, info->weight_bytes + info->kv_bytes + info->scratch_bytes);
    snprintf(text, sizeof text, "%s · %s · %s on the device · %u tokens of context", info->model_name, info->format,
             size, info->context);
    draw_text_in(draw, CHAT_FONT_TINY, rect, text, draw->theme->dim, 0);
}

static void draw_models(chat_app *app)
{
    chat_draw *draw = &app->draw;
    SDL_Rect inner = panel_open(app, 640, 520, "Open a model");
    if (app->overlay != OVERLAY_MODELS) return;
    int row = px(draw, 36), pad = px(draw, 12), y = inner.y, open = draw_button_width(draw, "Open");
    draw_model_facts(app, (SDL_Rect){inner.x, y - px(draw, 12), inner.w, px(draw, 20)});
    y += px(draw, 16);
    SDL_Rect field = {inner.x, y, inner.w - open - px(draw, 8), row};
    draw_card(draw, field, px(draw, 8), draw->theme->card, draw->theme->faint);
    view_field(app, FIELD_MODEL, (SDL_Rect){field.x + pad, y + px(draw, 8), field.w - 2 * pad, px(draw, 22)},
               CHAT_FONT_SMALL, "Path of a GGUF file or of an exported chat (.json), or drop one onto the window");
    if (draw_button(draw, (SDL_Rect){inner.x + inner.w - open, y, open, row}, "Open", BUTTON_FILLED, "Enter") &&
        !input_is_empty(&app->fields[FIELD_MODEL]))
        app_open_file(app, app->fields[FIELD_MODEL].text.data);
    y += row + px(draw, 12);
    if (draw_button(draw, (SDL_Rect){inner.x, y, inner.w, row}, "The bundled model", BUTTON_ROW, NULL))
        app_open_model(app, "");
    y += row;
    SDL_Rect list = {inner.x, y, inner.w, inner.y + inner.h - y};
    int most = (int)app->models.count * row - list.h;
    if (app->panel_scroll > most) app->panel_scroll = most;
    if (app->panel_scroll < 0) app->panel_scroll = 0;
    draw_clip(draw, &list);
    for (unsigned i = 0; i < app->models.count && app->overlay == OVERLAY_MODELS; i++) {
        SDL_Rect at = {list.x, list.y + (int)i * row - app->panel_scroll, list.w, row};
        if (at.y + row > list.y && at.y < list.y + list.h) draw_model_row(app, at, &app->models.files[i]);
    }
    if (app->models.count == 0)
        draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){list.x + pad, list.y, list.w - 2 * pad, row},
                     "No GGUF files in the usual folders (models, Downloads, caches of other tools).",
                     draw->theme->faint, 0);
    draw_clip(draw, NULL);
}

// ---- Deleting ------------------------------------------------------------------------------------------------------

static void draw_delete(chat_app *app)
{
    chat_draw *draw = &app->draw;
    SDL_Rect inner = panel_open(app, 440, 190, "Delete this chat?");
    if (app->overlay != OVERLAY_DELETE) return;
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){inner.x, inner.y, inner.w, px(draw, 24)}, app->state.current->title,
                 draw->theme->dim, 0);
    int keep = draw_button_width(draw, "Keep"), remove = draw_button_width(draw, "Delete"),
        y = inner.y + inner.h - px(draw, 36);
    int x = inner.x + inner.w - remove;
    bool yes = draw_button(draw, (SDL_Rect){x, y, remove, px(draw, 36)}, "Delete", BUTTON_DANGER, "Enter");
    bool no =
        draw_button(draw, (SDL_Rect){x - keep - px(draw, 8), y, keep, px(draw, 36)}, "Keep", BUTTON_OUTLINE, "Esc");
    if (!yes && !no) return;
    app->overlay = OVERLAY_NONE;
    app->redraw = true;
    if (yes) app_delete(app);
}

void view_overlay(chat_app *app)
{
    switch (app->overlay) {
    case OVERLAY_HELP:
        draw_help(app);
        break;
    case OVERLAY_SETTINGS:
        draw_settings(app);
        break;
    case OVERLAY_MODELS:
        draw_models(app);
        break;
    case OVERLAY_DELETE:
        draw_delete(app);
        break;
    case OVERLAY_NONE:
        break;
    }
}
