// Linux and other systems with the XDG folders, and macOS.
#include "platform.h"
#include "text.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#ifdef __APPLE__
#include <CoreFoundation/CoreFoundation.h>
#endif

// ---- Folders -------------------------------------------------------------------------------------------------------

char *platform_home(void)
{
    const char *home = getenv("HOME");
    return home && home[0] == '/' ? fe_copy_string(home) : NULL;
}

// The XDG specification: a relative path in the variable counts as unset.
static char *base_folder(const char *variable, const char *fallback)
{
    const char *base = getenv(variable);
    char *home = platform_home();
    fe_text path = {0};
    if (base && base[0] == '/') {
        fe_text_printf(&path, "%s/specexit", base);
    } else if (home) {
        fe_text_printf(&path, "%s/%s/specexit", home, fallback);
    }
    free(home);
    return path.data;
}

#ifdef __APPLE__
char *platform_data_folder(void)
{
    return base_folder("XDG_DATA_HOME", "Library/Application Support");
}

char *platform_cache_folder(void)
{
    return base_folder("XDG_CACHE_HOME", "Library/Caches");
}
#else
char *platform_data_folder(void)
{
    return base_folder("XDG_DATA_HOME", ".local/share");
}

char *platform_cache_folder(void)
{
    return base_folder("XDG_CACHE_HOME", ".cache");
}
#endif

char *platform_full_path(const char *path)
{
    char *full = realpath(path, NULL);
    return full ? full : fe_copy_string(path);
}

const char *platform_file_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool platform_list(const char *folder, bool (*each)(void *user, const platform_entry *entry), void *user)
{
    DIR *directory = opendir(folder);
    bool go_on = true;
    for (struct dirent *entry; directory && go_on && (entry = readdir(directory));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        fe_text path = {0};
        struct stat status;
        fe_text_printf(&path, "%s/%s", folder, entry->d_name);
        bool there = stat(path.data, &status) == 0 && (S_ISDIR(status.st_mode) || S_ISREG(status.st_mode));
        fe_text_free(&path);
        if (!there) continue;
        bool is_folder = S_ISDIR(status.st_mode);
        go_on = each(user, &(platform_entry){.name = entry->d_name,
                                             .folder = is_folder,
                                             .bytes = is_folder ? 0 : (uint64_t)status.st_size});
    }
    if (directory) closedir(directory);
    return directory != NULL;
}

// ---- The desktop ---------------------------------------------------------------------------------------------------

#ifdef __APPLE__
static bool preference_is(CFStringRef key, CFStringRef application, CFStringRef wanted)
{
    CFPropertyListRef value = CFPreferencesCopyAppValue(key, application);
    bool is = false;
    if (value && CFGetTypeID(value) == CFStringGetTypeID())
        is = wanted && CFStringCompare(value, wanted, 0) == kCFCompareEqualTo;
    if (value && CFGetTypeID(value) == CFBooleanGetTypeID()) is = CFBooleanGetValue(value);
    if (value) CFRelease(value);
    return is;
}

void platform_ask_desktop(platform_desktop *desktop)
{
    *desktop = (platform_desktop){
        .dark = preference_is(CFSTR("AppleInterfaceStyle"), kCFPreferencesAnyApplication, CFSTR("Dark")),
        .reduced_motion = preference_is(CFSTR("reduceMotion"), CFSTR("com.apple.universalaccess"), NULL),
        .scale = 1};
}
#else

static void *function_of(void *library, const char *name, bool *good)
{
    void *function = library ? dlsym(library, name) : NULL;
    *good = *good && function;
    return function;
}

// ISO C has no conversion from an object's to a function's address; POSIX promises that this one works.
#define TAKE(library, function, good)                                                                                  \
    do {                                                                                                               \
        void *address = function_of(library, #function, good);                                                         \
        memcpy(&function, &address, sizeof address);                                                                   \
    } while (0)

typedef union bus_iterator { // DBusMessageIter, which is smaller
    void *alignment;
    char bytes[128];
} bus_iterator;

// One value of the desktop portal's settings: type 'u' (a number) or 'b' (0 or 1). False: there is no portal, or no
// such value. libdbus is not linked: where it is missing there is no portal either.
static bool read_portal(const char *group, const char *key, char type, uint32_t *value)
{
    int (*dbus_message_append_args)(void *, int, ...);
    int (*dbus_message_iter_init)(void *, bus_iterator *);
    int (*dbus_message_iter_get_arg_type)(bus_iterator *);
    void (*dbus_message_iter_recurse)(bus_iterator *, bus_iterator *);
    void (*dbus_message_iter_get_basic)(bus_iterator *, void *);
    void (*dbus_message_unref)(void *), (*dbus_connection_set_exit_on_disconnect)(void *, int);
    void *(*dbus_message_new_method_call)(const char *, const char *, const char *, const char *);
    void *(*dbus_connection_send_with_reply_and_block)(void *, void *, int, void *), *(*dbus_bus_get)(int, void *);
    if (!getenv("DBUS_SESSION_BUS_ADDRESS")) return false;           // without it libdbus would start a bus of its own
    void *library = dlopen("libdbus-1.so.3", RTLD_NOW | RTLD_LOCAL); // stays open: its connection is shared with SDL
    bool good = library != NULL;
    TAKE(library, dbus_bus_get, &good);
    TAKE(library, dbus_connection_set_exit_on_disconnect, &good);
    TAKE(library, dbus_message_new_method_call, &good);
    TAKE(library, dbus_message_append_args, &good);
    TAKE(library, dbus_connection_send_with_reply_and_block, &good);
    TAKE(library, dbus_message_iter_init, &good);
    TAKE(library, dbus_message_iter_get_arg_type, &good);
    TAKE(library, dbus_message_iter_recurse, &good);
    TAKE(library, dbus_message_iter_get_basic, &good);
    TAKE(library, dbus_message_unref, &good);
    void *bus = good ? dbus_bus_get(0, NULL) : NULL;
    if (!bus) return false;
    enum { WAIT_MILLISECONDS = 150 };
    dbus_connection_set_exit_on_disconnect(bus, 0);
    void *call = dbus_message_new_method_call("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop",
                                              "org.freedesktop.portal.Settings", "Read");
    dbus_message_append_args(call, 's', &group, 's', &key, 0);
    void *reply = dbus_connection_send_with_reply_and_block(bus, call, WAIT_MILLISECONDS, NULL);
    dbus_message_unref(call);
    if (!reply) return false;
    bus_iterator at, inner;
    good = dbus_message_iter_init(reply, &at);
    while (good && dbus_message_iter_get_arg_type(&at) == 'v') { // a variant in a variant
        dbus_message_iter_recurse(&at, &inner);
        at = inner;
    }
    good = good && dbus_message_iter_get_arg_type(&at) == type;
    if (good) dbus_message_iter_get_basic(&at, value);
    dbus_message_unref(reply);
    return good;
}

// Xft.dpi, by which X11's desktops say how large things are to be; 0: they do not.
static float read_x11_dpi(void)
{
    void *(*XOpenDisplay)(const char *);
    char *(*XGetDefault)(void *, const char *, const char *);
    int (*XCloseDisplay)(void *);
    void *library = getenv("DISPLAY") ? dlopen("libX11.so.6", RTLD_NOW | RTLD_LOCAL) : NULL;
    bool good = library != NULL;
    TAKE(library, XOpenDisplay, &good);
    TAKE(library, XGetDefault, &good);
    TAKE(library, XCloseDisplay, &good);
    void *display = good ? XOpenDisplay(NULL) : NULL;
    if (!display) return 0;
    const char *dpi = XGetDefault(display, "Xft", "dpi");
    float value = dpi ? strtof(dpi, NULL) : 0;
    XCloseDisplay(display);
    return value;
}

// Whether a line of the file holds both of a pair of words; the pairs end with NULL.
static bool file_says(const char *home, const char *name, const char *const *words)
{
    fe_text path = {0};
    char line[256];
    bool found = false;
    fe_text_printf(&path, "%s/%s", home, name);
    FILE *file = fopen(path.data, "r");
    while (file && !found && fgets(line, sizeof line, file)) {
        for (unsigned i = 0; words[i] && !found; i += 2)
            found = chat_contains(line, words[i]) && chat_contains(line, words[i + 1]);
    }
    if (file) fclose(file);
    fe_text_free(&path);
    return found;
}

// GTK's and KDE's files, for desktops without a portal.
static bool files_are_dark(const char *home)
{
    static const char *const gtk[] = {
        "prefer-dark-theme", "1", "prefer-dark-theme", "true", "gtk-theme-name", "dark", NULL};
    static const char *const kde[] = {"ColorScheme", "dark", NULL};
    const char *theme = getenv("GTK_THEME");
    if (theme) return chat_contains(theme, "dark");
    if (!home) return false;
    return file_says(home, ".config/gtk-4.0/settings.ini", gtk) ||
           file_says(home, ".config/gtk-3.0/settings.ini", gtk) || file_says(home, ".config/kdeglobals", kde);
}

static bool files_reduce_motion(const char *home)
{
    static const char *const gtk[] = {"enable-animations", "0", "enable-animations", "false", NULL};
    static const char *const kde[] = {"AnimationDurationFactor=0", "=0\n", NULL};
    return home && (file_says(home, ".config/gtk-4.0/settings.ini", gtk) ||
                    file_says(home, ".config/gtk-3.0/settings.ini", gtk) || file_says(home, ".config/kdeglobals", kde));
}

// GDK_SCALE and QT_SCALE_FACTOR are what people set by hand; they come before what the desktop says.
static float ask_scale(void)
{
    static const char *const variables[] = {"GDK_SCALE", "QT_SCALE_FACTOR"};
    for (unsigned i = 0; i < 2; i++) {
        const char *value = getenv(variables[i]);
        float scale = value ? strtof(value, NULL) : 0;
        if (scale >= 0.5f && scale <= 8) return scale;
    }
    float dpi = read_x11_dpi();
    return dpi >= 48 && dpi <= 768 ? dpi / 96 : 1;
}

void platform_ask_desktop(platform_desktop *desktop)
{
    char *home = platform_home();
    uint32_t value;
    *desktop = (platform_desktop){.scale = ask_scale()};
    bool said = !getenv("GTK_THEME") && read_portal("org.freedesktop.appearance", "color-scheme", 'u', &value);
    desktop->dark = said ? value == 1 : files_are_dark(home);
    said = said && read_portal("org.gnome.desktop.interface", "enable-animations", 'b', &value);
    desktop->reduced_motion = said ? value == 0 : files_reduce_motion(home);
    free(home);
}
#endif
