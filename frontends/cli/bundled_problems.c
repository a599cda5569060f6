#include "prompts.h"

// From the held-out set of the recipe in tools/demo_model.
void cli_problems_bundled(cli_problems *problems, uint32_t limit)
{
    static const struct {
        const char *prompt, *answer;
    } items[] = {
        {"Compute 20, then +10, then *2.", "60"},
        {"What is 13 plus 10, minus 9, minus 4, times 2?", "20"},
        {"Anna has 9 shells. Anna finds 11 more. Anna buys 9 more. Anna finds 5 more. How many now?", "34"},
        {"Start at 18, add 7, subtract 2, subtract 11, add 9, subtract 5, add 1, subtract 9, add 7.", "15"},
        {"Anna has 20 coins. Then Anna gives 4. Then there are 3 times as many. Then Anna gives 1. How many coins does "
         "Anna have?",
         "47"},
        {"Ben has 11 coins. Then there are 4 times as many. Ben wins 2 more. Ben sells 9. How many now?", "37"},
        {"What is 9 plus 8, plus 11?", "28"},
        {"What is 6 minus 2, times 4?", "16"},
        {"Emma has 12 pens. Then there are 3 times as many. Then Emma buys 12. Then Emma wins 12. Then Emma drops 4. "
         "How many pens does Emma have?",
         "56"},
        {"Start at 10, add 4, subtract 2, times 4, add 5, subtract 7, subtract 8, add 3, add 7.", "48"},
        {"What is 18 minus 2, minus 3, minus 12, plus 8, times 4?", "36"},
        {"Start at 13, subtract 1, times 3, subtract 7.", "29"},
    };
    uint32_t count = sizeof items / sizeof *items;
    for (uint32_t i = 0; i < count && (limit == 0 || i < limit); i++)
        cli_problems_add(problems, items[i].prompt, items[i].answer);
}
