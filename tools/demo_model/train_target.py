"""Trains the target by the curriculum; resumable; writes build/target.pt and curve.csv."""
import argparse
import os
import random
import re
import time
from pathlib import Path

import torch
import torch.nn.functional as F

import data
import problems as P
from model import Config, Target, generate, pad
from muon import optimizers, set_rate
from tokenizer import Chat
from workers import launch, share_gradients, total

HERE = Path(__file__).parent


def read_answer(text):
    found = re.search(r"</think>\n\nThe answer is (\d+)\.<\|im_end\|>$", text)
    return int(found.group(1)) if found else None


def read_first(text):
    found = re.search(r"\n\nSo (\d+)\.\n\n", text)
    return int(found.group(1)) if found else None


def score(model, chat, problems, limit=760):
    """Shares of problems whose first derivation, whole text and answer are as they should be."""
    order = sorted(range(len(problems)), key=lambda i: len(P.thinking(problems[i])))
    first = exact = right = 0
    for at in range(0, len(order), 100):
        some = [problems[i] for i in order[at:at + 100]]
        outs = generate(model, [chat.prompt(p.prompt) for p in some], chat, limit)
        for p, ids in zip(some, outs):
            text, pars = chat.decode(ids), P.thinking(p)
            said = next(x.value for x in pars if x.kind == "so")
            whole = "<think>\n" + "".join(x.text for x in pars) + f"</think>\n\nThe answer is {P.answer(p)}.<|im_end|>"
            first += read_first(text) == said
            exact += text == whole
            right += read_answer(text) == P.answer(p)
    n = len(problems)
    return first / n, exact / n, right / n


def save(path, **state):
    torch.save(state, str(path) + ".new")
    os.replace(str(path) + ".new", path)


def loss_of(model, forward, rows, chat):
    ids, w = pad([r[0] for r in rows], chat.pad), pad([r[1] for r in rows], 0.0)
    h = forward(ids[:, :-1])
    w, want = w[:, 1:].reshape(-1), ids[:, 1:].reshape(-1)
    keep = w > 0
    logits = model.logits(h.reshape(-1, h.shape[-1])[keep])
    return (F.cross_entropy(logits, want[keep], reduction="none") * w[keep]).sum() / w.sum()


def stage_at(tokens, ends):
    return 1 + sum(tokens >= e for e in ends)


def rate_at(tokens, total, warm, decay):
    rest = (total - tokens) / (decay * total)
    return min(1.0, tokens / warm, max(rest, 0.02))


def arguments():
    a = argparse.ArgumentParser()
    a.add_argument("--total", type=float, default=11.1e6, help="tokens")
    a.add_argument("--stages", default="2e6,5e6,8e6,10.5e6", help="tokens at which stages 1 to 4 end")
    a.add_argument("--decay", type=float, default=0.4, help="share of the run with a falling rate")
    a.add_argument("--lr", type=float, default=0.02)
    a.add_argument("--adam-lr", type=float, default=3e-3)
    a.add_argument("--updates", default="4096,8192,8192,8192,8192", help="tokens of an update, by stage")
    a.add_argument("--every", type=float, default=500e3, help="tokens between two looks at generated answers")
    a.add_argument("--workers", type=int, default=2, help="processes of one thread each; they meet once an update")
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--out", type=Path, default=HERE / "build")
    a.add_argument("--curve", type=Path, default=HERE / "curve.csv")
    return a.parse_args()


class Run:
    """One worker: the model, its optimisers and where the run stands."""

    def __init__(self, rank, a):
        self.rank, self.a, self.file = rank, a, a.out / "target.pt"
        self.chat, (_, self.taken) = Chat(), P.reserved()
        rng = random.Random(77)
        self.watch = {s: [P.problem(rng, lo, hi) for _ in range(80)] for s, lo, hi in ((1, 1, 3), (2, 2, 6), (3, 2, 8))}
        self.watch[4] = self.watch[5] = self.watch[3]
        self.taken |= {p.key for s in (2, 3) for p in self.watch[s]}
        torch.manual_seed(a.seed)
        self.model = Target(Config())
        self.opts = optimizers(self.model, a.lr, a.adam_lr)
        self.state = {"tokens": 0, "stage": 1, "seconds": 0.0, "draws": 0}
        if self.file.exists():
            old = torch.load(self.file)
            self.model.load_state_dict(old["model"])
            for opt, s in zip(self.opts, old["opts"]):
                opt.load_state_dict(s)
            self.state = old["state"]
        elif rank == 0:
            a.curve.write_text("tokens,stage,loss,first,exact,right,seconds\n")
        self.forward = torch.compile(self.model.forward, dynamic=True)

    def update(self, source):
        """One step on every worker's batch together; the loss of this worker's."""
        rows = next(source)
        self.state["draws"] += 1
        set_rate(self.opts, rate_at(self.state["tokens"], self.a.total, 2e5, self.a.decay))
        loss = loss_of(self.model, self.forward, rows, self.chat)
        loss.backward()
        made = share_gradients(list(self.model.parameters()), sum(len(r[0]) for r in rows))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for opt in self.opts:
            opt.step()
            opt.zero_grad(set_to_none=True)
        self.state["tokens"] += made
        return loss.item()

    def look(self, losses):
        """One line of the curve, and the checkpoint; the workers share the problems."""
        stage, problems = self.state["stage"], self.watch[self.state["stage"]]
        mine = problems[self.rank::self.a.workers]
        parts = [x * len(mine) for x in score(self.model, self.chat, mine, 110 if stage < 3 else 760)]
        *sums, loss = total(parts + [sum(losses) / len(losses)])
        if self.rank == 0:
            first, exact, right = (x / len(problems) for x in sums)
            line = (f"{self.state['tokens']},{stage},{loss / self.a.workers:.4f},"
                    f"{first:.3f},{exact:.3f},{right:.3f},{self.state['seconds']:.0f}")
            print(line, flush=True)
            with open(self.a.curve, "a") as f:
                f.write(line + "\n")
            save(self.file, model=self.model.state_dict(), opts=[o.state_dict() for o in self.opts], state=self.state,
                 config=self.model.c.dict())

    def train(self):
        ends, sizes = ([float(x) for x in s.split(",")] for s in (self.a.stages, self.a.updates))
        source, stage, losses, mark, t0 = None, 0, [], self.state["tokens"] + self.a.every, time.time()
        while self.state["tokens"] < self.a.total:
            if stage_at(self.state["tokens"], ends) != stage:
                stage = self.state["stage"] = stage_at(self.state["tokens"], ends)
                seed = 1000003 * self.a.seed + 1009 * self.state["draws"] + self.rank
                source = data.batches(self.chat, seed, stage, self.taken, int(sizes[stage - 1] / self.a.workers))
            losses.append(self.update(source))
            if self.state["tokens"] >= mark or self.state["tokens"] >= self.a.total:
                self.state["seconds"] += time.time() - t0
                self.look(losses)
                losses, mark, t0 = [], self.state["tokens"] + self.a.every, time.time()


def work(rank, a):
    Run(rank, a).train()


def main():
    a = arguments()
    a.out.mkdir(exist_ok=True)
    launch(work, a)


if __name__ == "__main__":
    main()
