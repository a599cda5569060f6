// What the keys and the buttons share: every change that a user asks for.
#ifndef CHAT_ACTIONS_H
#define CHAT_ACTIONS_H

#include "app_data.h"

void app_say(chat_app *app, const char *notice);
void app_forget_waiting(chat_app *app); // a notice that something is still going on, once it is over

void app_send(chat_app *app);
void app_ask(chat_app *app, const char *question);
void app_ask_next(chat_app *app);  // the oldest question that waits, where the model is free
bool app_take_back(chat_app *app); // the newest one, into the composer; false: none waits here
void app_new(chat_app *app);
void app_select(chat_app *app, chat_conversation *conversation);
void app_next_conversation(chat_app *app, int direction);
void app_delete(chat_app *app);
void app_begin_rename(chat_app *app, chat_conversation *conversation);
void app_end_rename(chat_app *app, bool keep);
void app_regenerate(chat_app *app);
void app_edit(chat_app *app, uint32_t message);
void app_cancel_edit(chat_app *app);
void app_escape(chat_app *app); // the innermost thing: overlay, edit, answer now, stop
void app_answer_now(chat_app *app);
void app_think_longer(chat_app *app);
void app_stop(chat_app *app);
void app_toggle_thinking(chat_app *app);
void app_copy_message(chat_app *app, uint32_t message);
void app_copy_text(const char *text, size_t length);
void app_export(chat_app *app, bool json);
void app_open_model(chat_app *app, const char *path);
void app_read_model_settings(chat_app *app); // state.model and state.profile of settings.model, as remembered
void app_check_profile(chat_app *app);       // whether state.profile is one of the model, once that is loaded
void app_change_model(chat_app *app, const chat_model_settings *model); // remembered; takes effect with the next line
void app_reload_model(chat_app *app);
void app_estimate(chat_app *app, const char *path); // asks for a model's memory, where nothing else is asked for
// A model, a draft, a profile, an exported conversation, or a folder of models for the picker.
void app_open_file(chat_app *app, const char *path);
void app_find_models(chat_app *app);
void app_forget_folder(chat_app *app, const char *folder);
void app_path_typed(chat_app *app);    // in FIELD_MODEL: what it could become
void app_complete_path(chat_app *app); // as far as it is clear
void app_open_overlay(chat_app *app, app_overlay overlay);
void app_zoom(chat_app *app, int direction); // 0: back to 100 %
void app_cycle_theme(chat_app *app);
void app_apply_theme(chat_app *app);
bool app_moves(const chat_app *app); // false: motion is to be reduced
void app_search(chat_app *app);
void app_save(chat_app *app);       // what is shown and what is being written
void app_save_reply(chat_app *app); // what came to it; for every frame
void app_save_all(chat_app *app);
void app_clear_selection(chat_app *app);
void app_scroll_to_end(chat_app *app);

#endif
