// Ctrl-c and the other signals that ask the program to end, as flags that the loops look at.
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

// From here on SIGINT is counted, SIGTERM and SIGHUP are remembered, SIGWINCH is flagged and SIGPIPE ignored. A third
// SIGINT, or a second SIGTERM, ends the program at once, after undoing what the status line did to the terminal.
void cli_interrupt_install(void);

unsigned cli_interrupt_count(void); // times ctrl-c was pressed since the last reset
void cli_interrupt_reset(void);     // for the next turn of a chat
int cli_interrupt_fatal(void);      // SIGTERM or SIGHUP when one has come, else 0
bool cli_interrupt_resized(void);   // the terminal's size has changed; clears the flag

// Waits until `descriptor` can be read (or has ended). False when one of the signals above has come, before or while it
// waited; none is missed in between.
bool cli_interrupt_wait(int descriptor);

// Whether the terminal holds a status line that must be undone before an abrupt end. As long as it does, what is typed
// is not echoed into the text.
void cli_interrupt_guard_terminal(bool on);

#endif
