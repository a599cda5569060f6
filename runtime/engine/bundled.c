// The demo model inside the program. Builds that get their model another way (the browser) define no path.
#include "engine/load.h"

#if defined(SX_BUNDLED_TARGET) && defined(__GNUC__)

#if defined(__APPLE__)
#define SECTION ".const_data"
#define SYMBOL(name) "_" name
#else
#define SECTION ".section .rodata"
#define SYMBOL(name) name
#endif

#define EMBED(name, path)                                                                                              \
    __asm__(SECTION                                                                                                    \
            "\n.balign 16\n.globl " SYMBOL(#name) "\n" SYMBOL(#name) ":\n.incbin \"" path "\"\n.globl " SYMBOL(        \
                #name "_end") "\n" SYMBOL(#name "_end") ":\n.byte 0\n.text\n");                                        \
    extern const unsigned char name[], name##_end[]

EMBED(sx_bundled_target, SX_BUNDLED_TARGET);
EMBED(sx_bundled_draft, SX_BUNDLED_DRAFT);

bool sx_bundled_model(sx_source *target, sx_source *draft)
{
    *target =
        sx_source_memory("the bundled model", sx_bundled_target, (size_t)(sx_bundled_target_end - sx_bundled_target));
    *draft = sx_source_memory("the bundled draft", sx_bundled_draft, (size_t)(sx_bundled_draft_end - sx_bundled_draft));
    return true;
}

#else

bool sx_bundled_model(sx_source *target, sx_source *draft)
{
    (void)target;
    (void)draft;
    return false;
}

#endif
