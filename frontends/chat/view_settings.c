// The panel of settings: those of the application, then those of the model.
#include "actions.h"
#include "view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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

static void heading(chat_app *app, setting_rows *rows, const char *title, const char *beside)
{
    chat_draw *draw = &app->draw;
    SDL_Rect row = {rows->at.x, rows->at.y + px(draw, 12), rows->at.w, px(draw, 28)};
    draw_text_in(draw, CHAT_FONT_H3, row, title, draw->theme->text, 0);
    int used = draw_text_width(draw, CHAT_FONT_H3, title) + px(draw, 12);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){row.x + used, row.y, row.w - used, row.h}, beside, draw->theme->dim,
                 2);
    draw_rect(draw, (SDL_Rect){row.x, row.y + row.h + px(draw, 4), row.w, 1}, draw->theme->border);
    rows->at.y += px(draw, 56);
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

// A slider from `low` to `high`; below `low` + 1 % it is 0, which `off` says in words.
static void slider_row(chat_app *app, SDL_Rect rect, float *value, float low, float high, const char *off)
{
    chat_draw *draw = &app->draw;
    char text[32];
    int label = px(draw, 136);
    float at = *value > low ? (*value - low) / (high - low) : 0;
    if (draw_slider(draw, (SDL_Rect){rect.x, rect.y, rect.w - label, rect.h}, &at, false, NULL)) {
        float step = roundf(at * 100) / 100; // figures one can say
        *value = step < 0.01f ? 0 : low + step * (high - low);
    }
    snprintf(text, sizeof text, "%.2f", (double)*value);
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x + rect.w - label, rect.y, label, rect.h},
                 *value > 0 ? text : off, draw->theme->dim, 2);
}

static void top_k_row(chat_app *app, SDL_Rect rect, uint32_t *top_k)
{
    static const char *const names[] = {"Off", "10", "20", "40", "100"};
    static const uint32_t values[] = {0, 10, 20, 40, 100};
    int chosen = -1;
    for (int i = 0; i < 5; i++)
        if (*top_k == values[i]) chosen = i;
    if (choose(app, rect, names, 5, &chosen)) *top_k = values[chosen];
}

static void profile_row(chat_app *app, SDL_Rect rect, chat_model_settings *model)
{
    chat_draw *draw = &app->draw;
    const chat_state *state = &app->state;
    char text[128];
    bool used = state->profile.level_count || state->profile.has_chosen, off = strcmp(model->profile, "-") == 0;
    if (used) {
        snprintf(text, sizeof text, "%s",
                 model->profile[0] ? platform_file_name(model->profile) : "The one beside the model");
    } else {
        snprintf(text, sizeof text, "%s", off ? "Not used" : "None; drop one onto the window");
    }
    const char *label = used ? "Do without" : "Use the one beside the model";
    int width = used || model->profile[0] ? draw_button_width(draw, label) : 0;
    draw_text_in(draw, CHAT_FONT_SMALL, (SDL_Rect){rect.x, rect.y, rect.w - width - px(draw, 8), rect.h}, text,
                 used ? draw->theme->text : draw->theme->dim, 0);
    if (width && draw_button(draw, (SDL_Rect){rect.x + rect.w - width, rect.y, width, rect.h}, label, BUTTON_OUTLINE,
                             "A profile (specexit calibrate -o) gives the slider levels with known accuracy"))
        snprintf(model->profile, sizeof model->profile, "%s", used ? "-" : "");
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
    char names_of[MOST][64];
    const char *names[MOST + 1] = {"Best"};
    int count = 1, chosen = model->device[0] ? -1 : 0; // one given by number or in part is none of these
    for (uint32_t i = 0; i < app->device_count && i < MOST; i++, count++) {
        snprintf(names_of[i], sizeof names_of[i], "%.60s", app->devices[i].name);
        names[count] = names_of[i];
        if (strcmp(model->device, app->devices[i].name) == 0) chosen = count;
    }
    if (choose(app, rect, names, count, &chosen))
        snprintf(model->device, sizeof model->device, "%s", chosen ? app->devices[chosen - 1].name : "");
}

static void model_rows(chat_app *app, setting_rows *rows)
{
    static const char *const kv_types[] = {"16 bits", "8 bits, half the memory"};
    static const char *const precisions[] = {"32 bits", "8 bits, for GPUs"};
    chat_draw *draw = &app->draw;
    chat_model_settings model = app->state.model;
    const char *name = platform_file_name(app->state.settings.model);
    int kv_type = model.kv_type, precision = model.precision, button = draw_button_width(draw, "Load again");
    heading(app, rows, "This model", name[0] ? name : "The bundled model");
    slider_row(app, next_row(app, rows, "Temperature"), &model.sampling.temperature, 0, 2, "0, always the same");
    slider_row(app, next_row(app, rows, "Top p"), &model.sampling.top_p, 0, 1, "Off");
    top_k_row(app, next_row(app, rows, "Top k"), &model.sampling.top_k);
    slider_row(app, next_row(app, rows, "Min p"), &model.sampling.min_p, 0, 0.5f, "Off");
    slider_row(app, next_row(app, rows, "Repetition penalty"), &model.sampling.repetition, 1, 1.5f, "Off");
    profile_row(app, next_row(app, rows, "Thinking profile"), &model);
    context_row(app, next_row(app, rows, "Context in tokens"), &model);
    if (choose(app, next_row(app, rows, "Keys and values"), kv_types, 2, &kv_type)) model.kv_type = (sx_kv_type)kv_type;
    if (choose(app, next_row(app, rows, "Activations"), precisions, 2, &precision))
        model.precision = (sx_precision)precision;
    template_row(app, next_row(app, rows, "Chat template"), &model);
    device_row(app, next_row(app, rows, "Device"), &model);
    if (!chat_model_settings_equal(&model, &app->state.model)) app_change_model(app, &model);
    if (chat_model_loads_equal(&model, &app->link.opened)) return;
    SDL_Rect again = next_row(app, rows, "To use them");
    again.w = button;
    if (draw_button(draw, again, "Load again", BUTTON_FILLED, "Stops a reply that is being written"))
        app_reload_model(app);
}

static void thinking_rows(chat_app *app, setting_rows *rows)
{
    static const char *const policies[] = {"Auto", "None", "Signals", "Margin", "Entropy"};
    static const char *const drafts[] = {"Auto", "None", "N-gram", "Chain", "Tree"};
    chat_settings *settings = &app->state.settings;
    chat_steering steering = app->state.current->steering;
    int policy = steering.policy, drafting = settings->drafting;
    heading(app, rows, "Thinking", "");
    flag_row(app, next_row(app, rows, "Before answering"), &settings->no_thinking, "Answers at once", "Thinks first");
    if (choose(app, next_row(app, rows, "Leaves thinking by"), policies, 5, &policy))
        chat_steer(&app->state, (chat_steering){steering.effort, (sx_policy_kind)policy});
    if (choose(app, next_row(app, rows, "Drafting"), drafts, 5, &drafting))
        settings->drafting = (sx_draft_kind)drafting;
    seed_row(app, next_row(app, rows, "Seed"));
}

static void window_rows(chat_app *app, setting_rows *rows)
{
    static const char *const themes[] = {"System", "Light", "Dark"};
    static const char *const motions[] = {"System", "Full", "Reduced"};
    chat_settings *settings = &app->state.settings;
    int theme = settings->theme, motion = settings->motion;
    heading(app, rows, "Window", "");
    if (flag_row(app, next_row(app, rows, "Signals"), &settings->hide_plot, "Hidden", "Plotted")) view_forget(app);
    if (choose(app, next_row(app, rows, "Colours"), themes, 3, &theme)) {
        settings->theme = (chat_theme_choice)theme;
        app_apply_theme(app);
    }
    if (choose(app, next_row(app, rows, "Motion"), motions, 3, &motion)) settings->motion = (chat_motion)motion;
    zoom_row(app, next_row(app, rows, "Zoom"));
}

void view_settings(chat_app *app)
{
    chat_draw *draw = &app->draw;
    SDL_Rect inner = view_panel(app, 640, 720, "Settings");
    if (app->overlay != OVERLAY_SETTINGS) return;
    setting_rows rows = {{inner.x, inner.y - app->panel_scroll, inner.w, 0}, px(draw, 160)};
    int top = rows.at.y;
    draw_clip(draw, &inner);
    thinking_rows(app, &rows);
    window_rows(app, &rows);
    model_rows(app, &rows);
    draw_clip(draw, NULL);
    view_panel_scrolled(app, inner, rows.at.y - top);
}
