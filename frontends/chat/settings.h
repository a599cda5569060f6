// What the user chose: for the application, for one model, for one conversation. Pure.
#ifndef CHAT_SETTINGS_H
#define CHAT_SETTINGS_H

#include "specexit.h"
#include "text.h"

typedef struct chat_steering { // how long replies think
    float effort;              // 0: think little .. 0.5: as calibrated .. 1: think as long as it wants
    sx_policy_kind policy;
} chat_steering;

typedef enum chat_theme_choice { CHAT_THEME_SYSTEM = 0, CHAT_THEME_LIGHT, CHAT_THEME_DARK } chat_theme_choice;
typedef enum chat_motion { CHAT_MOTION_SYSTEM = 0, CHAT_MOTION_FULL, CHAT_MOTION_REDUCED } chat_motion;

typedef struct chat_settings {
    chat_theme_choice theme;
    float zoom;             // 1: 100 %
    chat_steering steering; // of the conversation that is shown, for the next new one
    sx_draft_kind drafting;
    uint64_t seed;           // 0: another one for every reply
    uint32_t maximum_tokens; // of a reply, 0: what the context holds
    bool no_thinking;
    bool hide_plot;
    bool hide_sidebar;
    chat_motion motion;
    char device[128];   // chosen last, for models that have no settings of their own
    char model[1024];   // "": the bundled one
    char folders[4096]; // the user's, of models; one a line
    int window_width, window_height;
} chat_settings;

typedef struct chat_sampling {
    float temperature; // 0: greedy
    float top_p;       // 0: off
    float min_p;       // 0: off
    float repetition;  // penalty, 0: off
    uint32_t top_k;    // 0: off
} chat_sampling;

typedef struct chat_model_settings { // of one model file
    // These take effect when it is loaded:
    uint32_t context; // tokens, 0: the engine's choice
    sx_kv_type kv_type;
    sx_precision precision;
    char template_name[32]; // "": the model's own
    char device[128];       // "": the best
    // These with the next reply:
    chat_sampling sampling;
    char profile[1024]; // path; "": the one found beside the model, "-": none
} chat_model_settings;

float chat_clamp(float value, float low, float high, float otherwise); // `otherwise` where it is no number
void chat_steering_clamp(chat_steering *steering);
void chat_settings_default(chat_settings *settings);
void chat_settings_clamp(chat_settings *settings); // after reading them from outside

// ---- Settings of a model
void chat_model_settings_default(chat_model_settings *model, const chat_settings *settings);
void chat_model_settings_clamp(chat_model_settings *model); // after reading them from outside
bool chat_model_loads_equal(const chat_model_settings *a, const chat_model_settings *b); // what loading depends on
bool chat_model_settings_equal(const chat_model_settings *a, const chat_model_settings *b);
// The name after (1) or before (-1) in `names`, which are separated by ", "; the model's own stands between last and
// first.
void chat_step_template(chat_model_settings *model, const char *names, int direction);

// ---- Folders of models, one a line
bool chat_folders_add(chat_settings *settings, const char *folder); // false: there already, or no room
void chat_folders_remove(chat_settings *settings, const char *folder);

#endif
