#include "interrupt.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

// A signal handler has no other way to reach the program than objects of static storage.
static volatile sig_atomic_t interrupts, fatal, resized, guarded, echo_off;
static struct termios saved_input; // valid while echo_off

static void end_at_once(int number)
{
    // Reset the scroll region, show the cursor, normal colours; keep the cursor where it is.
    static const char undo[] = "\0337\033[r\0338\033[?25h\033[0m\n";
    if (echo_off) tcsetattr(STDIN_FILENO, TCSANOW, &saved_input);
    if (guarded && write(STDERR_FILENO, undo, sizeof undo - 1) < 0) _exit(128 + number);
    _exit(128 + number);
}

static void on_signal(int number)
{
    if (number == SIGWINCH) {
        resized = 1;
    } else if (number == SIGINT) {
        if (++interrupts >= 3) end_at_once(number);
    } else {
        if (fatal) end_at_once(number);
        fatal = number;
    }
}

void cli_interrupt_install(void)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal;
    sigemptyset(&action.sa_mask);
    // No SA_RESTART: a prompt that waits for a line must come back.
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct sigaction old;
        // What the parent ignores (nohup) stays ignored.
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN) continue;
        sigaction(numbers[i], &action, NULL);
    }
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
}

unsigned cli_interrupt_count(void)
{
    return (unsigned)interrupts;
}

void cli_interrupt_reset(void)
{
    interrupts = 0;
}

int cli_interrupt_fatal(void)
{
    return (int)fatal;
}

bool cli_interrupt_resized(void)
{
    bool was = resized != 0;
    resized = 0;
    return was;
}

void cli_interrupt_guard_terminal(bool on)
{
    guarded = on;
    if (!on && echo_off) {
        tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_input);
        echo_off = 0;
    } else if (on && !echo_off && tcgetpgrp(STDIN_FILENO) == getpgrp() && tcgetattr(STDIN_FILENO, &saved_input) == 0) {
        // A background job must not do this: it would be stopped.
        struct termios silent = saved_input;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        echo_off = tcsetattr(STDIN_FILENO, TCSADRAIN, &silent) == 0;
    }
}

bool cli_interrupt_wait(int descriptor)
{
    // The signals are let in only while it waits: none can slip between the look at the flags and the wait.
    sigset_t blocked, old;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGINT);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGHUP);
    sigprocmask(SIG_BLOCK, &blocked, &old);
    struct pollfd input = {.fd = descriptor, .events = POLLIN};
    while (!interrupts && !fatal && ppoll(&input, 1, NULL, &old) < 0 && errno == EINTR)
        continue;
    sigprocmask(SIG_SETMASK, &old, NULL);
    return !interrupts && !fatal;
}
