# Windows programs from Linux, by MinGW-w64 (Debian: gcc-mingw-w64-x86-64). What they need besides is in SX_WINDOWS_ROOT,
# which tools/windows.sh fills; tests run in Wine where that is installed.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)

set(SX_WINDOWS_ROOT ${CMAKE_CURRENT_LIST_DIR}/../../build/windows-root)
set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32 ${SX_WINDOWS_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${SX_WINDOWS_ROOT}/lib/pkgconfig)

# C99's printf; one file without libraries of the compiler beside it; Windows 7 and later.
# (GCC takes the formats of our own functions for those of the old C library; the other builds check them.)
set(CMAKE_C_FLAGS_INIT "-D__USE_MINGW_ANSI_STDIO=1 -Wno-format -D_WIN32_WINNT=0x0601")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
set(CMAKE_C_STANDARD_LIBRARIES "-lwinpthread -lkernel32 -luser32 -lshell32 -ladvapi32") # the first has clock_gettime

find_program(SX_WINE NAMES wine64 wine)
if(SX_WINE)
  set(CMAKE_CROSSCOMPILING_EMULATOR ${SX_WINE})
endif()
