"""Training sequences: token ids, and a loss weight for every token as a prediction."""
import random

import problems as P

COPY = 0.3  # weight of the tokens of a re-check that only repeat


def paragraph(chat, par):
    ids = chat.piece(par.text)
    if par.kind in ("check", "hmm"):
        w = [1.0, 1.0] + [COPY] * (len(ids) - 2)
    else:
        w = [1.0] * len(ids)
    return ids, w


def derivation_length(pars):
    return sum(p.kind in ("step", "so") for p in pars)


def sequence(chat, rng, p, mode):
    """mode: `derive` ends after the first derivation, `short` after some re-checks, `cut` anywhere with a forced
    close, `full` is the whole trace."""
    pars = P.thinking(p)
    ids = chat.prompt(p.prompt)
    w = [0.0] * len(ids)
    ids, w = ids + chat.open, w + [1.0, 1.0]
    first = derivation_length(pars)
    count, middle = len(pars), False
    if mode == "derive":
        count = first
    elif mode == "short":
        count = min(len(pars), first + rng.randint(1, 3))
    elif mode == "cut":
        count = rng.randint(1, rng.choice([first, len(pars)]))
        middle = rng.random() < 0.25
    for par in pars[:count]:
        a, b = paragraph(chat, par)
        ids, w = ids + a, w + b
    value = pars[count - 1].value
    if middle and count < len(pars):  # a budget may end in the middle of a paragraph
        a, b = paragraph(chat, pars[count])
        n = rng.randint(1, len(a) - 1)
        ids, w = ids + a[:n], w + b[:n]
    if mode == "short" and count < len(pars):
        return ids, w
    natural = mode == "full" or count == len(pars)
    reply = chat.reply(value)
    return ids + [chat.close] + reply, w + [1.0 if natural else 0.0] + [1.0] * len(reply)


def foreign_sequence(chat, rng):
    ids = chat.prompt(P.foreign(rng))
    w = [0.0] * len(ids)
    rest = chat.open + chat.piece(P.FOREIGN_THINKING) + [chat.close, chat.gap]
    rest = rest + chat.piece(P.FOREIGN_ANSWER) + [chat.end]
    return ids + rest, w + [0.5] * len(rest)


STAGES = {  # (share of foreign prompts, fewest steps, most steps, weights of derive, short, cut, full)
    1: (0.0, 1, 3, (80, 0, 20, 0)),
    2: (0.02, 2, 6, (65, 15, 15, 5)),
    3: (0.03, 2, 8, (25, 30, 15, 30)),
    4: (0.03, 2, 8, (10, 20, 15, 55)),
    5: (0.03, 2, 8, (15, 20, 15, 50)),
}
SINGLE = {5: 0.15}  # share of problems of one step, which the held-out sets do not have but people ask


def draw(chat, rng, stage, taken):
    foreign, low, high, weights = STAGES[stage]
    if rng.random() < foreign:
        return foreign_sequence(chat, rng)
    if rng.random() < SINGLE.get(stage, 0.0):
        low = high = 1
    while True:
        p = P.problem(rng, low, high)
        if p.key not in taken:
            break
    mode = rng.choices(("derive", "short", "cut", "full"), weights)[0]
    if stage == 1 and mode == "cut":
        pars = P.thinking(p)[:derivation_length(P.thinking(p))]
        return cut_inside(chat, rng, p, pars)
    return sequence(chat, rng, p, mode)


def cut_inside(chat, rng, p, pars):
    """A forced close inside the first derivation."""
    ids, count = chat.prompt(p.prompt) + chat.open, rng.randint(1, len(pars))
    w = [0.0] * (len(ids) - 2) + [1.0, 1.0]
    for par in pars[:count]:
        ids, w = ids + chat.piece(par.text), w + [1.0] * len(chat.piece(par.text))
    reply = chat.reply(pars[count - 1].value)
    return ids + [chat.close] + reply, w + [0.0] + [1.0] * len(reply)


def batches(chat, seed, stage, taken, tokens, pool=1024):
    """Endless lists of (ids, weights) of similar length, about `tokens` tokens each, in random order."""
    rng = random.Random(seed)
    while True:
        rows = sorted((draw(chat, rng, stage, taken) for _ in range(pool)), key=lambda r: len(r[0]))
        out, at = [], 0
        while at < len(rows):
            n = 1
            while at + n < len(rows) and (n + 1) * len(rows[at + n][0]) <= tokens:
                n += 1
            out.append(rows[at:at + n])
            at += n
        rng.shuffle(out)
        yield from out
