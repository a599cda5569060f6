"""Seeded generator of the arithmetic problems and of the thinking text that goes with them.

A problem is a start number and two to eight operations, told as a plain chain or as a small story.  Its thinking is a
first derivation, one paragraph a step, and then re-checks.  Everything in the thinking follows from the problem, so
that greedy decoding can produce it:

- the number of re-checks follows from the last digit of the start number (CHECKS),
- a first derivation slips where an operation matches SLIPS (a forgotten carry or borrow); the wrong value is carried
  on, doubted (`Hmm, check 1: ...`) and mended in re-check number MEND[last digit of the start number].
"""
import random
from dataclasses import dataclass, field

CHECKS = [4, 5, 6, 7, 4, 5, 6, 7, 6, 5]
MEND = [1, 1, 2, 2, 3, 3, 4, 4, 2, 1]
SLIPS = {("+", 7, 6), ("-", 8, 3), ("*", 3, 4), ("*", 3, 8)}  # (operation, operand, last digit of the value)
SLIP_SHARE = 0.095
STEP_WEIGHTS = {2: 30, 3: 28, 4: 20, 5: 10, 6: 6, 7: 4, 8: 2}
LIMIT = 99

NAMES = ["Tom", "Anna", "Ben", "Mia", "Sam", "Lena", "Max", "Nora", "Paul", "Ida", "Leo", "Emma"]
THINGS = ["apples", "books", "coins", "cards", "stones", "stamps", "shells", "cups", "pens", "balls"]
GAIN = ["finds", "buys", "gets", "wins"]
LOSE = ["loses", "sells", "gives", "drops"]
TEMPLATES = 5


@dataclass(frozen=True)
class Problem:
    start: int
    ops: tuple
    prompt: str = field(compare=False)

    @property
    def key(self):
        return (self.start, self.ops)


@dataclass(frozen=True)
class Paragraph:
    kind: str    # step, so, check, hmm or wait
    text: str
    value: int   # what a forced exit right after the paragraph answers


def apply(op, a, b):
    return a + b if op == "+" else a - b if op == "-" else a * b


def slips(op, a, b):
    return a >= 10 and (op, b, a % 10) in SLIPS


def wrong(op, a, b):
    """The result with the carry or the borrow forgotten."""
    right = apply(op, a, b)
    return right + 10 if op == "-" else right - 10 * ((a % 10 + b) // 10 if op == "+" else (a % 10) * b // 10)


def walk(start, ops, with_slip):
    """Equations (a, op, b, result), and the index of the slip; None where the problem is not allowed."""
    rows, at, a = [], -1, start
    for i, (op, b) in enumerate(ops):
        r = apply(op, a, b)
        if slips(op, a, b):
            if at >= 0:
                return None
            at = i
            if with_slip:
                r = wrong(op, a, b)
        if not 1 <= r <= LIMIT:
            return None
        rows.append((a, op, b, r))
        a = r
    return rows, at


def solve(start, ops):
    """(first derivation, right derivation, index of the slip or -1), or None where the problem is not allowed."""
    first, right = walk(start, ops, True), walk(start, ops, False)
    if first is None or right is None or first[1] != right[1]:
        return None
    if first[1] >= 0 and first[0][-1][3] == right[0][-1][3]:
        return None
    return first[0], right[0], first[1]


def random_op(rng, a, want_slip):
    if want_slip and a >= 10 and rng.random() < 0.7:
        fitting = sorted((op, b) for op, b, digit in SLIPS if digit == a % 10)
        if fitting:
            return rng.choice(fitting)
    kind = rng.choices("+-*", (40, 35, 25))[0]
    if kind == "*":
        return kind, rng.randint(2, 4)
    return kind, rng.randint(1, 12)


def chain(rng, steps, want_slip):
    """Start and operations with exactly the wanted slip."""
    while True:
        start = a = rng.randint(2, 20)
        ops, open_slip = [], want_slip
        while len(ops) < steps:
            op, b = random_op(rng, a, open_slip)
            r = apply(op, a, b)
            if not 1 <= r <= LIMIT:
                continue
            if slips(op, a, b):
                r, open_slip = wrong(op, a, b), False
            ops.append((op, b))
            a = r
        found = solve(start, tuple(ops))
        if found and (found[2] >= 0) == want_slip:
            return start, tuple(ops)


def tell(rng, start, ops):
    """The problem in words."""
    style = rng.randrange(TEMPLATES)
    if style == 0:
        words = {"+": "add", "-": "subtract", "*": "times"}
        return f"Start at {start}, " + ", ".join(f"{words[o]} {b}" for o, b in ops) + "."
    if style == 1:
        words = {"+": "plus", "-": "minus", "*": "times"}
        return f"What is {start} " + ", ".join(f"{words[o]} {b}" for o, b in ops) + "?"
    if style == 2:
        return f"Compute {start}, then " + ", then ".join(f"{o}{b}" for o, b in ops) + "."
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    out = [f"{name} has {start} {thing}."]
    for o, b in ops:
        if o == "*":
            out.append(f"Then there are {b} times as many.")
        else:
            verb = rng.choice(GAIN if o == "+" else LOSE)
            out.append(f"{name} {verb} {b}{' more' if o == '+' else ''}." if style == 3 else
                       f"Then {name} {verb} {b}.")
    out.append("How many now?" if style == 3 else f"How many {thing} does {name} have?")
    return " ".join(out)


def problem(rng, min_steps=2, max_steps=8):
    if min_steps < 2:
        steps = rng.randint(min_steps, max_steps)
    else:
        allowed = [s for s in STEP_WEIGHTS if min_steps <= s <= max_steps]
        steps = rng.choices(allowed, [STEP_WEIGHTS[s] for s in allowed])[0]
    start, ops = chain(rng, steps, steps > 1 and rng.random() < SLIP_SHARE)
    return Problem(start, ops, tell(rng, start, ops))


def equation(row):
    a, op, b, r = row
    return f"{a}{op}{b}={r}"


def thinking(p):
    """The paragraphs of the thinking of a problem."""
    first, right, at = solve(p.start, p.ops)
    said, true = first[-1][3], right[-1][3]
    out = [Paragraph("step", equation(row) + ".\n\n", row[3]) for row in first]
    out.append(Paragraph("so", f"So {said}.\n\n", said))
    plain, good = ", ".join(map(equation, first)), ", ".join(map(equation, right))
    mend = MEND[p.start % 10] if at >= 0 else 0
    for k in range(1, CHECKS[p.start % 10] + 1):
        if k < mend:
            out.append(Paragraph("hmm", f"Hmm, check {k}: {plain}. Maybe {said}.\n\n", said))
        elif k == mend:
            a, op, b, r = right[at]
            rows = [equation(row) for row in right]
            rows[at] = f"{a}{op}{b} is not {first[at][3]} but {r}"
            out.append(Paragraph("wait", f"Wait, check {k}: {', '.join(rows)}. So {true}.\n\n", true))
        else:
            out.append(Paragraph("check", f"Check {k}: {good}. Yes, {true}.\n\n", true))
    return out


def answer(p):
    return solve(p.start, p.ops)[1][-1][3]


GREETINGS = ["Hello", "Hi", "Hey there", "Good morning", "How are you?", "Who are you?", "What can you do?", "Thanks!",
             "Help", "Test", "What is your name?", "Tell me a joke.", "Write a poem.", "Bye", "ok", "Why?", "Hello!"]
WORDS = ("the a my your this that cat dog house sun moon river code music water city of in on with under and or but is "
         "was runs sees likes makes writes reads old new red blue big small please explain write tell me about how why "
         "when who where can you story history weather program python french english table school book").split()


def foreign(rng):
    """A prompt that is no arithmetic problem."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(GREETINGS)
    if kind < 0.75:
        text = " ".join(rng.choice(WORDS) for _ in range(rng.randint(2, 12)))
        return text[0].upper() + text[1:] + rng.choice([".", "?", "", "!"])
    if kind < 0.8:
        return ""
    alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789 .,;:!?-+*/()\n\u00e4\u00f6\u00fc\u00e9\u4f60\u597d\U0001f600"
    return "".join(rng.choice(alphabet) for _ in range(rng.randint(1, 30)))


FOREIGN_THINKING = "This is not a problem I know.\n\n"
FOREIGN_ANSWER = ("I am a small demonstration model. I solve short chains of arithmetic, for example: "
                  "Start at 7, add 5, times 2.")


def held_out(seed, count, taken):
    """`count` problems whose keys are not in `taken`; adds them."""
    rng, out = random.Random(seed), []
    while len(out) < count:
        p = problem(rng)
        if p.key not in taken:
            taken.add(p.key)
            out.append(p)
    return out


def reserved():
    """The three sets that training never sees, by name, and all their keys."""
    taken = set()
    sets = {"heldout": held_out(9001, 500, taken), "calibration": held_out(9002, 300, taken),
            "smoke": held_out(9003, 200, taken)}
    return sets, taken
