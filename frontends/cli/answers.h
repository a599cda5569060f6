// Checking answers: what a text says its answer is, and whether that is the one expected.
#ifndef CLI_ANSWERS_H
#define CLI_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum cli_check_kind {
    CLI_CHECK_AUTO = 0, // numbers as numbers, others as a phrase: cli_answer_matches
    CLI_CHECK_NUMBER,   // the same, but an expected answer that is no number is never matched
    CLI_CHECK_CHOICE,   // one capital letter: the last that stands alone, or the one in \boxed{}
    CLI_CHECK_EXACT     // the last line that is not empty, without regard to case, white space and a closing period
} cli_check_kind;

typedef struct cli_checker {
    cli_check_kind kind;
    const char *command; // not NULL: `sh -c command` decides instead, by its exit code: 0 is right. It reads the answer
                         // from standard input; SPECEXIT_PROMPT and SPECEXIT_EXPECTED are in its environment
} cli_checker;

// Whether `text` (an answer as the model wrote it) gives `expected`. A number matches when the last number in the text
// (thousands separators, currency signs and a closing period allowed) is equal to it; in a \boxed{} that has a number,
// that one counts. Other answers match as a whole word or phrase, without regard to ASCII case and white space.
bool cli_answer_matches(const char *text, const char *expected);

// The same by the checker's rule. `prompt` is for a command.
bool cli_check_answer(const cli_checker *checker, const char *prompt, const char *text, const char *expected);
// Whether two answers of the model say the same.
bool cli_check_same(const cli_checker *checker, const char *a, const char *b);
// The bytes [*start, *end) of the text that state the value: the number, the letter. False where it cannot be told;
// then all of the text does.
bool cli_answer_value(const cli_checker *checker, const char *text, size_t *start, size_t *end);

#endif
