// Windows: paths are UTF-8 inside the application and UTF-16 here.
#include "platform.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

static wchar_t *wide(const char *text)
{
    int length = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *out = fe_reallocate(NULL, (size_t)length + 1, sizeof *out);
    MultiByteToWideChar(CP_UTF8, 0, text, -1, out, length);
    out[length] = 0;
    return out;
}

static char *narrow(const wchar_t *text)
{
    int length = WideCharToMultiByte(CP_UTF8, 0, text, -1, NULL, 0, NULL, NULL);
    char *out = fe_reallocate(NULL, (size_t)length + 1, 1);
    WideCharToMultiByte(CP_UTF8, 0, text, -1, out, length, NULL, NULL);
    out[length] = 0;
    return out;
}

// ---- Folders -------------------------------------------------------------------------------------------------------

static char *folder_in(const wchar_t *variable, const char *inside)
{
    wchar_t base[MAX_PATH];
    DWORD length = GetEnvironmentVariableW(variable, base, MAX_PATH);
    if (length == 0 || length >= MAX_PATH) return NULL;
    char *start = narrow(base);
    fe_text path = {0};
    fe_text_printf(&path, "%s%s", start, inside);
    free(start);
    for (char *at = path.data; *at; at++)
        if (*at == '\\') *at = '/'; // Windows takes both
    return path.data;
}

char *platform_home(void)
{
    return folder_in(L"USERPROFILE", "");
}

char *platform_data_folder(void)
{
    return folder_in(L"APPDATA", "/specexit");
}

char *platform_cache_folder(void)
{
    return folder_in(L"LOCALAPPDATA", "/specexit/cache");
}

char *platform_full_path(const char *path)
{
    wchar_t full[MAX_PATH], *from = wide(path);
    DWORD length = GetFullPathNameW(from, MAX_PATH, full, NULL);
    free(from);
    return length > 0 && length < MAX_PATH ? narrow(full) : fe_copy_string(path);
}

const char *platform_file_name(const char *path)
{
    const char *name = path;
    for (const char *at = path; *at; at++)
        if (*at == '/' || *at == '\\' || (*at == ':' && at == path + 1)) name = at + 1;
    return name;
}

bool platform_list(const char *folder, bool (*each)(void *user, const platform_entry *entry), void *user)
{
    fe_text pattern = {0};
    WIN32_FIND_DATAW found;
    fe_text_printf(&pattern, "%s/*", folder);
    wchar_t *from = wide(pattern.data);
    HANDLE search = FindFirstFileW(from, &found);
    free(from);
    fe_text_free(&pattern);
    if (search == INVALID_HANDLE_VALUE) return false;
    bool go_on = true;
    do {
        if (wcscmp(found.cFileName, L".") == 0 || wcscmp(found.cFileName, L"..") == 0) continue;
        char *name = narrow(found.cFileName);
        bool is_folder = (found.dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
        uint64_t bytes = is_folder ? 0 : (uint64_t)found.nFileSizeHigh << 32 | found.nFileSizeLow;
        go_on = each(user, &(platform_entry){.name = name, .folder = is_folder, .bytes = bytes});
        free(name);
    } while (go_on && FindNextFileW(search, &found));
    FindClose(search);
    return true;
}

// ---- The desktop ---------------------------------------------------------------------------------------------------

static bool apps_are_dark(void)
{
    DWORD light = 1, size = sizeof light;
    LSTATUS status =
        RegGetValueW(HKEY_CURRENT_USER, L"Software\\Microsoft\\Windows\\CurrentVersion\\Themes\\Personalize",
                     L"AppsUseLightTheme", RRF_RT_REG_DWORD, NULL, &light, &size);
    return status == ERROR_SUCCESS && light == 0;
}

void platform_ask_desktop(platform_desktop *desktop)
{
    BOOL animations = TRUE;
    SystemParametersInfoW(SPI_GETCLIENTAREAANIMATION, 0, &animations, 0);
    *desktop = (platform_desktop){.dark = apps_are_dark(), .reduced_motion = !animations, .scale = 1};
}
