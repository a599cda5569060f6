"""Fits the three signal rows of `fc` on the target's own traces; writes build/signals.pt.

Labels as the paper describes them: confidence is the geometric mean of the probabilities of the final answer's tokens
when an exit is forced at the latest step boundary, progress is position over length, remain the tokens left.  The rows
are linear in the three auxiliary states, without bias.  The losses (squared error for the first two, squared error of
the logarithm for the third) are weighted so that their gradients stay of equal size."""
import argparse
from pathlib import Path

import torch

import problems as P
import traces as T
from tokenizer import Chat
from train_draft import load_target

HERE = Path(__file__).parent
BOUNDARY = 20.0  # weight of a boundary's token against one within a paragraph


def rows_of(t):
    """(labels [n, 3], weights [n]) of the tokens of one trace's thinking."""
    n, marks = t.close - t.begin, {b.at - t.begin: b.confidence for b in t.boundaries}
    labels, weights, now = [], [], 0.0
    for i in range(n):
        now = marks.get(i, now)
        labels.append((now, (i + 1) / n, float(n - i)))
        weights.append(BOUNDARY if i in marks else 1.0)
    return torch.tensor(labels), torch.tensor(weights)


def whiten(x):
    """A map that makes the features' second moments one; no mean is taken off, as the rows have no bias."""
    values, vectors = torch.linalg.eigh((x.T @ x / len(x)).double())
    scale = (values.clamp_min(0) + 1e-4 * values.mean()).rsqrt()
    return (vectors * scale).float()


def losses_of(raw, y):
    confidence, progress = raw[:, 0].sigmoid() - y[:, 0], raw[:, 1].sigmoid() - y[:, 1]
    return torch.stack([confidence ** 2, progress ** 2, (raw[:, 2] - y[:, 2].log()) ** 2], 1)


def fit(x, y, w, rounds=1500, seed=3, penalty=1e-5):
    basis = whiten(x)
    z = x @ basis
    rows = torch.zeros(3, z.shape[1], requires_grad=True)
    opt = torch.optim.Adam([rows], lr=0.02)
    gen = torch.Generator().manual_seed(seed)
    size = torch.ones(3)
    for i in range(rounds):
        for g in opt.param_groups:
            g["lr"] = 0.02 * (1 - i / rounds)
        pick = torch.randint(len(z), (8192,), generator=gen)
        per = (losses_of(z[pick] @ rows.T, y[pick]) * w[pick, None]).sum(0) / w[pick].sum()
        grads = [torch.autograd.grad(per[k], rows, retain_graph=True)[0] for k in range(3)]
        size = 0.9 * size + 0.1 * torch.stack([g.norm() for g in grads])
        balance = size.mean() / size.clamp_min(1e-6)
        rows.grad = sum(b * g for b, g in zip(balance, grads)) + penalty * rows.detach()
        opt.step()
        if i % 300 == 299:
            print(i + 1, [round(v, 4) for v in per.tolist()], [round(v, 2) for v in balance.tolist()], flush=True)
    return (rows @ basis.T).detach()


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--greedy", type=int, default=280)
    a.add_argument("--sampled", type=int, default=100)
    a.add_argument("--slips", type=int, default=150, help="more greedy traces, of problems with a slip")
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--out", type=Path, default=HERE / "build")
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    chat, (_, taken) = Chat(), P.reserved()
    target = load_target(a.out / "target.pt")
    plain = T.fresh(501, a.greedy, taken)
    slipped = [p for p in T.fresh(503, 14 * a.slips, taken) if P.solve(p.start, p.ops)[2] >= 0][:a.slips]
    made = T.make(target, chat, plain + slipped)[0] + T.make(target, chat, T.fresh(502, a.sampled, taken), 0.8, 9)[0]
    T.fill(target, chat, made)
    pairs = [rows_of(t) for t in made]
    x, y = torch.cat([t.features for t in made]), torch.cat([p[0] for p in pairs])
    print(len(made), "traces", len(x), "tokens", flush=True)
    rows = fit(x, y, torch.cat([p[1] for p in pairs]))
    torch.save(rows, a.out / "signals.pt")


if __name__ == "__main__":
    main()
