// In sanitizer builds only: libraries stay loaded. The leak check runs at exit, and can leave out what drivers never
// free (tests/lsan.txt) only while their code is still there to be named.
#include "gpu/vulkan/vk.h"

#include <dlfcn.h>

void vk_keep_libraries(void)
{
    // Referred to by instance.c, so that the linker takes this file and the dlclose below before the C library's.
}

int dlclose(void *library)
{
    (void)library;
    return 0;
}
