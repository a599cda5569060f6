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


@torch.no_grad()
def probe(model, chat, t):
    """Fills features and boundaries of one trace: one pass over it, and one over all its forced exits, which are
    teacher-forced with the final and with the true answer."""
    true, n = P.answer(t.problem), t.close
    cache, aux = model.new_cache(1, n + 16), []
    h = model.step(torch.tensor([t.ids[:n]]), torch.arange(n)[None], cache, n, aux)[0]
    t.features = torch.cat(aux, -1)[0, t.begin:].clone()
    keys = [(b, value) for b in t.boundaries for value in sorted({t.answer, true})]
    replies = [chat.reply(value) for _, value in keys]
    ids = pad([[chat.close] + r[:-1] for r in replies], chat.pad)
    pos = torch.tensor([[b.at + 1] for b, _ in keys]) + torch.arange(ids.shape[1])
    cache = [(k.repeat(len(keys), 1, 1, 1), v.repeat(len(keys), 1, 1, 1)) for k, v in cache]
    logp = model.logits(model.step(ids, pos, cache, n + 16)).log_softmax(-1)
    skip = 1 + len(chat.piece("The answer is "))  # the gap, and the words before the number
    for row, want, (b, value) in zip(logp, replies, keys):
        row, want = row[:len(want)], torch.tensor(want)
        if value == true:
            b.right = bool((row.argmax(-1) == want).all())
        if value == t.answer:
            b.confidence = float(row[torch.arange(len(want)), want][skip:-1].mean().exp())
            b.entropy = float(-(row[skip].exp() * row[skip]).sum())
            now = model.logits(h[b.at]).log_softmax(-1)
            b.margin = float(now[chat.close] - now[torch.arange(len(now)) != chat.close].max())


def fill(model, chat, traces):
    for t in traces:
        probe(model, chat, t)
    return traces


def cached(path, key, make):
    """make(), kept in a file for as long as the key is the same."""
    if path.exists():
        old = torch.load(path, weights_only=False)
        if old["key"] == key:
            return old["value"]
    value = make()
    torch.save({"key": key, "value": value}, path)
    return value


def fresh(seed, count, taken):
    rng, out = random.Random(seed), []
    while len(out) < count:
        p = P.problem(rng)
        if p.key not in taken:
            out.append(p)
    return out
