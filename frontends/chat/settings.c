#include "settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void chat_settings_default(chat_settings *settings)
{
    *settings = (chat_settings){.zoom = 1, .steering = {.effort = 0.5f}, .window_width = 1180, .window_height = 780};
}

float chat_clamp(float value, float low, float high, float otherwise)
{
    if (!isfinite(value)) return otherwise;
    return value < low ? low : value > high ? high : value;
}

void chat_steering_clamp(chat_steering *steering)
{
    steering->effort = chat_clamp(steering->effort, 0, 1, 0.5f);
    if (steering->policy > SX_POLICY_ENTROPY) steering->policy = SX_POLICY_AUTO;
}

void chat_settings_clamp(chat_settings *settings)
{
    settings->zoom = chat_clamp(settings->zoom, 0.6f, 2.5f, 1);
    chat_steering_clamp(&settings->steering);
    if (settings->motion > CHAT_MOTION_REDUCED) settings->motion = CHAT_MOTION_SYSTEM;
    if (settings->theme > CHAT_THEME_DARK) settings->theme = CHAT_THEME_SYSTEM;
    if (settings->drafting > SX_DRAFT_TREE) settings->drafting = SX_DRAFT_AUTO;
    if (settings->window_width < 320 || settings->window_width > 16384) settings->window_width = 1180;
    if (settings->window_height < 320 || settings->window_height > 16384) settings->window_height = 780;
}

// ---- Settings of a model -------------------------------------------------------------------------------------------

void chat_model_settings_default(chat_model_settings *model, const chat_settings *settings)
{
    *model = (chat_model_settings){0};
    snprintf(model->device, sizeof model->device, "%s", settings->device);
}

void chat_model_settings_clamp(chat_model_settings *model)
{
    if (model->context > 1u << 20) model->context = 0;
    if (model->kv_type > SX_KV_Q8_0) model->kv_type = SX_KV_F16;
    if (model->precision > SX_PRECISION_FAST) model->precision = SX_PRECISION_FULL;
    chat_sampling *sampling = &model->sampling;
    sampling->temperature = chat_clamp(sampling->temperature, 0, 2, 0);
    sampling->top_p = chat_clamp(sampling->top_p, 0, 1, 0);
    sampling->min_p = chat_clamp(sampling->min_p, 0, 1, 0);
    sampling->repetition = chat_clamp(sampling->repetition, 0, 2, 0);
    if (sampling->top_k > 1000) sampling->top_k = 0;
}

bool chat_model_settings_equal(const chat_model_settings *a, const chat_model_settings *b)
{
    const chat_sampling *x = &a->sampling, *y = &b->sampling;
    return chat_model_loads_equal(a, b) && x->temperature == y->temperature && x->top_p == y->top_p &&
           x->min_p == y->min_p && x->repetition == y->repetition && x->top_k == y->top_k &&
           strcmp(a->profile, b->profile) == 0;
}

bool chat_model_loads_equal(const chat_model_settings *a, const chat_model_settings *b)
{
    return a->context == b->context && a->kv_type == b->kv_type && a->precision == b->precision &&
           strcmp(a->template_name, b->template_name) == 0 && strcmp(a->device, b->device) == 0;
}

void chat_step_template(chat_model_settings *model, const char *names, int direction)
{
    enum { LIMIT = 64 };
    const char *starts[LIMIT] = {""};
    size_t lengths[LIMIT] = {0};
    int count = 1, at = 0;
    while (*names && count < LIMIT) {
        starts[count] = names;
        lengths[count] = strcspn(names, ",");
        names += lengths[count];
        names += strspn(names, ", ");
        count++;
    }
    for (int i = 1; i < count; i++)
        if (strlen(model->template_name) == lengths[i] && strncmp(model->template_name, starts[i], lengths[i]) == 0)
            at = i;
    at = (at + direction + count) % count;
    snprintf(model->template_name, sizeof model->template_name, "%.*s", (int)lengths[at], starts[at]);
}

// ---- Folders -------------------------------------------------------------------------------------------------------

static char *find_line(char *lines, const char *line)
{
    size_t length = strlen(line);
    for (char *at = lines; *at; at += strcspn(at, "\n"), at += *at == '\n')
        if (strcspn(at, "\n") == length && strncmp(at, line, length) == 0) return at;
    return NULL;
}

bool chat_folders_add(chat_settings *settings, const char *folder)
{
    size_t used = strlen(settings->folders), length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/')
        length--;
    char *line = fe_copy_string(folder);
    line[length] = 0;
    bool good = length && !strchr(line, '\n') && used + length + 2 <= sizeof settings->folders &&
                !find_line(settings->folders, line);
    if (good) snprintf(settings->folders + used, sizeof settings->folders - used, "%s\n", line);
    free(line);
    return good;
}

void chat_folders_remove(chat_settings *settings, const char *folder)
{
    char *at = find_line(settings->folders, folder);
    if (!at) return;
    const char *next = at + strcspn(at, "\n");
    if (*next) next++;
    memmove(at, next, strlen(next) + 1);
}
