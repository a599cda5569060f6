#include "interrupt.h"

#include <windows.h>

#include <io.h>
#include <stdlib.h>

enum { CTRL_C = 2, TERMINATED = 15, LOOK_AGAIN_MILLISECONDS = 50 };

// The system calls the handler on a thread of its own.
static volatile LONG interrupts, fatal, guarded;

static BOOL WINAPI on_control(DWORD event)
{
    static const char undo[] = "\0337\033[r\0338\033[?25h\033[0m\n"; // as interrupt_posix.c has it
    const bool ctrl_c = event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT;
    if (ctrl_c ? InterlockedIncrement(&interrupts) >= 3 : InterlockedExchange(&fatal, TERMINATED) != 0) {
        if (guarded) _write(2, undo, sizeof undo - 1);
        ExitProcess(128 + (ctrl_c ? CTRL_C : TERMINATED));
    }
    // After a return the system ends the program where its window was closed: what is being written is finished first.
    if (!ctrl_c) Sleep(INFINITE);
    return TRUE;
}

void cli_interrupt_install(void)
{
    SetConsoleCtrlHandler(on_control, TRUE);
}

unsigned cli_interrupt_count(void)
{
    return (unsigned)interrupts;
}

void cli_interrupt_reset(void)
{
    InterlockedExchange(&interrupts, 0);
}

int cli_interrupt_fatal(void)
{
    return (int)fatal;
}

// Consoles tell of a new size among the keys only; it is measured again when the next reply begins.
bool cli_interrupt_resized(void)
{
    return false;
}

void cli_interrupt_guard_terminal(bool on)
{
    static DWORD saved;
    const HANDLE input = GetStdHandle(STD_INPUT_HANDLE);
    DWORD mode;
    if (on && !guarded && GetConsoleMode(input, &mode)) {
        saved = mode;
        SetConsoleMode(input, mode & ~(DWORD)(ENABLE_ECHO_INPUT | ENABLE_LINE_INPUT));
    } else if (!on && guarded && saved) {
        SetConsoleMode(input, saved);
        saved = 0;
    }
    guarded = on;
}

bool cli_interrupt_wait(int descriptor)
{
    const HANDLE input = (HANDLE)_get_osfhandle(descriptor);
    const DWORD kind = GetFileType(input);
    DWORD there = 0;
    // A pipe cannot be waited for: it is looked at again and again, until it ends or holds something. A console can,
    // and a file never keeps anybody waiting.
    while (!interrupts && !fatal && kind == FILE_TYPE_PIPE && PeekNamedPipe(input, NULL, 0, NULL, &there, NULL) &&
           !there)
        Sleep(LOOK_AGAIN_MILLISECONDS);
    while (!interrupts && !fatal && kind == FILE_TYPE_CHAR &&
           WaitForSingleObject(input, LOOK_AGAIN_MILLISECONDS) == WAIT_TIMEOUT)
        continue;
    return !interrupts && !fatal;
}
