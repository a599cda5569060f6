"""Trains the draft on the frozen target by training-time test; resumable; writes build/draft.pt."""
import argparse
import random
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import data
import problems as P
from draft import Draft, acceptance, chain
from model import Config, Target, generate, pad
from muon import optimizers, set_rate
from tokenizer import Chat
from train_target import save
from workers import launch, share_gradients, total

HERE = Path(__file__).parent
DECAY = 0.85  # weight of a level relative to the one before


def load_target(path):
    state = torch.load(path)
    target = Target(Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in state["config"].items()}))
    target.load_state_dict(state["model"])
    return target.eval().requires_grad_(False)


def loss_of(target, draft, rows, chat, count):
    """Cross entropy against the target's distribution at every level, on the tokens of the reply."""
    ids = pad([r[0] for r in rows], chat.pad)
    reply = pad([[0.0] * r[2] + [1.0] * (len(r[0]) - r[2]) for r in rows], 0.0)
    with torch.no_grad():
        h, aux = target.states(ids[:, :-1])
        soft = target.logits(h).softmax(-1)
    t = ids.shape[1] - 2
    embedded = target.embed(ids[:, 1:-1])
    total, norm, hits = 0.0, 0.0, []
    for j, out in enumerate(draft.levels(aux[:, :t], embedded, count)):
        # pair t predicts token t + 2, whose distribution the target gives at t + 1
        keep = reply[:, 2:].bool() & (torch.arange(t) >= j)
        logits = target.logits(out[keep])
        want = soft[:, 1:][keep]
        total = total + DECAY ** j * F.cross_entropy(logits, want)
        norm += DECAY ** j
        hits.append((logits.argmax(-1) == want.argmax(-1)).float().mean().item())
    return total / norm, hits


def trace(chat, rng, taken):
    """(ids, weights, length of the prompt) of a whole trace, or of one with a forced exit."""
    if rng.random() < 0.03:
        ids, w = data.foreign_sequence(chat, rng)
    else:
        p = P.problem(rng)
        while p.key in taken:
            p = P.problem(rng)
        ids, w = data.sequence(chat, rng, p, rng.choices(("full", "cut", "short"), (20, 20, 60))[0])
    return ids, w, next(i for i, x in enumerate(w) if x > 0)


def batches(chat, seed, taken, tokens, pool=512):
    rng = random.Random(seed)
    while True:
        rows, out = sorted((trace(chat, rng, taken) for _ in range(pool)), key=lambda r: len(r[0])), []
        while rows:
            n = max(1, min(len(rows), tokens // len(rows[-1][0])))
            out.append(rows[-n:])
            del rows[-n:]
        rng.shuffle(out)
        yield from out


@torch.no_grad()
def accept(target, draft, chat, problems, length=4, texts=None):
    """Mean tokens a cycle, greedy, chains of `length`."""
    prompts = [chat.prompt(p.prompt) for p in problems]
    texts = texts or generate(target, prompts, chat)
    cycles = made = 0
    for prompt, text in zip(prompts, texts):
        ids = prompt + text
        _, aux = target.states(torch.tensor([ids]))
        c, m = acceptance(chain(draft, target, aux[0], ids, length), ids, len(prompt))
        cycles, made = cycles + c, made + m
    return made / cycles


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument("--total", type=float, default=1.3e6, help="tokens")
    a.add_argument("--levels", type=int, default=4, help="two in the first 40 % of the run")
    a.add_argument("--lr", type=float, default=0.02)
    a.add_argument("--adam-lr", type=float, default=2e-3)
    a.add_argument("--update", type=int, default=6144, help="tokens of an update")
    a.add_argument("--every", type=float, default=250e3, help="tokens between two looks at the acceptance length")
    a.add_argument("--workers", type=int, default=2)
    a.add_argument("--seed", type=int, default=2)
    a.add_argument("--out", type=Path, default=HERE / "build")
    return a.parse_args()


class Run:
    """One worker."""

    def __init__(self, rank, a):
        self.rank, self.a, self.file = rank, a, a.out / "draft.pt"
        self.chat, (_, self.taken) = Chat(), P.reserved()
        torch.manual_seed(a.seed)
        self.target = load_target(a.out / "target.pt")
        self.draft = Draft(self.target.c)
        self.opts = optimizers(self.draft, a.lr, a.adam_lr)
        self.state = {"tokens": 0, "draws": 0}
        if self.file.exists():
            old = torch.load(self.file)
            self.draft.load_state_dict(old["model"])
            for opt, s in zip(self.opts, old["opts"]):
                opt.load_state_dict(s)
            self.state = old["state"]
        rng = random.Random(78)
        self.watch = [P.problem(rng, 2, 5) for _ in range(8)]

    def update(self, rows):
        done = self.state["tokens"] / self.a.total
        set_rate(self.opts, min(1.0, self.state["tokens"] / 1e5, max(0.02, 1.6 * (1 - done))))
        levels = self.a.levels if done > 0.4 else min(2, self.a.levels)
        loss, hits = loss_of(self.target, self.draft, rows, self.chat, levels)
        loss.backward()
        self.state["tokens"] += share_gradients(list(self.draft.parameters()), sum(len(r[0]) for r in rows))
        self.state["draws"] += 1
        torch.nn.utils.clip_grad_norm_(self.draft.parameters(), 1.0)
        for opt in self.opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        return [loss.item()] + hits

    def look(self, parts, seconds):
        mean = [sum(x) / len(x) for x in zip(*parts)]  # of the levels that all of them have
        got = accept(self.target, self.draft, self.chat, self.watch)
        mean = [x / self.a.workers for x in total(mean + [got])]
        if self.rank == 0:
            levels = " ".join(f"{x:.3f}" for x in mean[1:-1])
            print(f"{self.state['tokens']},{mean[0]:.4f},{mean[-1]:.3f},{levels},{seconds:.0f}", flush=True)
            save(self.file, model=self.draft.state_dict(), opts=[o.state_dict() for o in self.opts], state=self.state)

    def train(self):
        a, state, t0 = self.a, self.state, time.time()
        seed = 1000003 * a.seed + 1009 * state["draws"] + self.rank
        source = batches(self.chat, seed, self.taken, a.update // a.workers)
        mark, parts = state["tokens"] + a.every, []
        while state["tokens"] < a.total:
            parts.append(self.update(next(source)))
            if state["tokens"] >= mark or state["tokens"] >= a.total:
                self.look(parts, time.time() - t0)
                parts, mark = [], state["tokens"] + a.every


def work(rank, a):
    Run(rank, a).train()


if __name__ == "__main__":
    launch(work, arguments())
