// What differs between systems: folders, what is in them, what the desktop asks for. One file implements it for each;
// everything else of the application is C11, SDL and the libraries it names. Strings that are returned are freed with
// free; all are UTF-8.
#ifndef CHAT_PLATFORM_H
#define CHAT_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

char *platform_home(void);                  // the user's folder; NULL: none
char *platform_data_folder(void);           // for conversations; NULL: none
char *platform_cache_folder(void);          // for what can be made again; NULL: none
char *platform_full_path(const char *path); // independent of the current folder; a copy where there is no such file
const char *platform_file_name(const char *path); // behind the last separator

typedef struct platform_entry {
    const char *name;
    bool folder; // else a file
    uint64_t bytes;
} platform_entry;
// Calls `each` for files and folders in `folder`, until it returns false; links are followed. False: it cannot be read.
bool platform_list(const char *folder, bool (*each)(void *user, const platform_entry *entry), void *user);

typedef struct platform_desktop {
    bool dark;
    bool reduced_motion;
    float scale; // pixels per logical pixel where the window system does not say it itself (X11); 1: as they are
} platform_desktop;
// Asks the desktop anew; a few milliseconds.
void platform_ask_desktop(platform_desktop *desktop);

#endif
