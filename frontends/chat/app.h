// The application from its window's opening to its end.
#ifndef CHAT_APP_H
#define CHAT_APP_H

#include "app_data.h"

typedef struct app_options {
    const char *model, *draft, *device, *data_folder, *screenshot;
    int width, height; // 0: as remembered; logical pixels
    float scale;       // pixels per logical pixel, 0: as the desktop says
    int theme;         // -1: as remembered
    bool no_save;
} app_options;
// Opens window and store, shows the first frame and begins loading the model. False with a message on stderr; app_close
// is needed in either case.
bool app_open(chat_app *app, const app_options *options);
// One turn: events, a bounded piece of the engine's work, a frame where one is due (true: it was shown). Sleeps while
// nothing happens.
bool app_turn(chat_app *app);
void app_close(chat_app *app);
int app_run(const app_options *options); // turns until the user quits; the program's exit code

#endif
