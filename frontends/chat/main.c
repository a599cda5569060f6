// specexit-chat: the desktop application.
#include "app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] = "Usage: specexit-chat [options] [MODEL.gguf [DRAFT]]\n"
                           "\n"
                           "Opens a chat window on the model, or on the one used last, or on the bundled one.\n"
                           "A draft in the model's folder is found by itself.\n"
                           "\n"
                           "  --device NAME      device by number or part of its name\n"
                           "  --theme NAME       system, light or dark\n"
                           "  --size WxH         size of the window\n"
                           "  --scale X          how large everything is (default: as the desktop says)\n"
                           "  --data FOLDER      folder of the conversations (default: ~/.local/share/specexit)\n"
                           "  --no-save          keep conversations in memory only\n"
                           "  --screenshot FILE  F12 writes the window to FILE as BMP (for tests)\n"
                           "  --version, --help\n";

static int usage(const char *problem, const char *value)
{
    fprintf(stderr, "specexit-chat: %s%s\nTry `specexit-chat --help`.\n", problem, value);
    return 2;
}

static int theme_number(const char *name)
{
    static const char *const names[] = {"system", "light", "dark"};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) return i;
    return -1;
}

int main(int count, char **arguments)
{
    app_options options = {.theme = -1};
    for (int i = 1; i < count; i++) {
        const char *argument = arguments[i], *value = i + 1 < count ? arguments[i + 1] : NULL;
        const char **takes = strcmp(argument, "--device") == 0       ? &options.device
                             : strcmp(argument, "--data") == 0       ? &options.data_folder
                             : strcmp(argument, "--screenshot") == 0 ? &options.screenshot
                                                                     : NULL;
        bool scale = strcmp(argument, "--scale") == 0;
        bool theme = strcmp(argument, "--theme") == 0, size = strcmp(argument, "--size") == 0;
        if ((takes || theme || size || scale) && !value) return usage("a value is missing after ", argument);
        if (takes) *takes = value;
        if (theme && (options.theme = theme_number(value)) < 0) return usage("no such theme: ", value);
        if (size && sscanf(value, "%dx%d", &options.width, &options.height) != 2) return usage("not a size: ", value);
        if (scale && !((options.scale = strtof(value, NULL)) >= 0.5f && options.scale <= 8))
            return usage("not a scale from 0.5 to 8: ", value);
        i += takes || theme || size || scale;
        if (takes || theme || size || scale) continue;
        if (strcmp(argument, "--help") == 0 || strcmp(argument, "-h") == 0) return fputs(help, stdout) < 0;
        if (strcmp(argument, "--version") == 0) return printf("specexit-chat %s\n", sx_version()) < 0;
        if (strcmp(argument, "--no-save") == 0) {
            options.no_save = true;
        } else if (argument[0] == '-') {
            return usage("no such option: ", argument);
        } else if (!options.model) {
            options.model = argument;
        } else if (!options.draft) {
            options.draft = argument;
        } else {
            return usage("too many files: ", argument);
        }
    }
    return app_run(&options);
}
