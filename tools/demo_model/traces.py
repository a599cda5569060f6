"""Traces of the model's own, with what happens if the thinking is left at each step boundary."""
import random
from dataclasses import dataclass, field

import torch

import problems as P
from model import generate, pad
from train_target import read_answer


@dataclass
class Boundary:
    at: int          # index of the split token in the ids
    confidence: float = 0.0   # geometric mean of the probabilities of the final answer's tokens after a forced exit
    right: bool = False       # greedy decoding after a forced exit gives the true answer
    margin: float = 0.0       # log-probability of the close marker less that of the best other token
    entropy: float = 0.0      # of the first answer token after a forced exit


@dataclass
class Trace:
    problem: P.Problem
    ids: list
    begin: int       # first generated token
    close: int       # index of </think>
    answer: int      # what the trace ends with
    right: bool
    boundaries: list = field(default_factory=list)
    features: torch.Tensor = None  # auxiliary states of tokens begin .. close - 1

    @property
    def thinking(self):
        """Tokens of thinking without <think>, the newline and </think>."""
        return self.close - self.begin - 2

    @property
    def first(self):
        """Index into boundaries of the end of the first derivation."""
        return len(self.problem.ops)


def make(model, chat, problems, temperature=0.0, seed=0):
    """Traces that come to an end with an answer; and how many there were in all."""
    order = sorted(problems, key=lambda p: len(P.thinking(p)))
    out = []
    for i in range(0, len(order), 100):
        some = order[i:i + 100]
        prompts = [chat.prompt(p.prompt) for p in some]
        texts = generate(model, prompts, chat, temperature=temperature, seed=seed + i)
        for p, prompt, text in zip(some, prompts, texts):
            said = read_answer(chat.decode(text))
            if said is None or chat.close not in text:
                continue
            t = Trace(p, prompt + text, len(prompt), len(prompt) + text.index(chat.close), said, said == P.answer(p))
            t.boundaries = [Boundary(k) for k in range(t.begin + 2, t.close) if chat.splits[t.ids[k]]]
            out.append(t)
    return out, len(problems)


def probe(model, chat, t):
    """Fills the boundaries of one trace: one batch of forced exits, teacher-forced with the final and the true answer."""
    true = P.answer(t.problem)
    rows, keys = [], []
    for b in t.boundaries:
        for value in {t.answer, true}:
            rows.append(t.ids[:b.at + 1] + [chat.close] + chat.reply(value))
            keys.append((b, value))
    ids = pad(rows, chat.pad)
    h, _ = model.states(ids)
    skip = 2 + len(chat.piece("The answer is ")) - 1  # </think>, the gap, and the words before the number
    for row, tokens, (b, value) in zip(h, rows, keys):
        logp = model.logits(row[b.at:len(tokens) - 1]).log_softmax(-1)
        want = torch.tensor(tokens[b.at + 1:])
        got = logp[torch.arange(len(want)), want]
        if value == true:
            b.right = bool((logp[1:].argmax(-1) == want[1:]).all())
        if value == t.answer:
            b.confidence = float(got[1 + skip:-1].mean().exp())
            others = logp[0].clone()
            others[chat.close] = -1e9
            b.margin = float(logp[0, chat.close] - others.max())
            b.entropy = float(-(logp[1 + skip].exp() * logp[1 + skip]).sum())


@torch.no_grad()
def fill(model, chat, traces):
    for t in traces:
        probe(model, chat, t)
        _, aux = model.states(torch.tensor([t.ids[:t.close]]))
        t.features = aux[0, t.begin:].clone()
    return traces


def fresh(seed, count, taken):
    rng, out = random.Random(seed), []
    while len(out) < count:
        p = P.problem(rng)
        if p.key not in taken:
            out.append(p)
    return out
