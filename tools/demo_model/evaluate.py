"""Measures the exported files on the held-out problems, or with `--set smoke` on a third set; `--calibrate` first
chooses the exit rule on the calibration problems and writes it into the draft file."""
import argparse
import hashlib
import json
from pathlib import Path

import torch

import export
import policies as Y
import problems as P
import traces as T
from model import Config
from tokenizer import Chat
from train_draft import accept

HERE = Path(__file__).parent


def best_at(traces, lost, make, thresholds, floor):
    """(threshold, accuracy, tokens) with the fewest tokens among those at or above the floor; the best otherwise."""
    rows = [(x, *Y.outcome(traces, lambda t: make(t, x), lost)) for x in thresholds]
    good = [r for r in rows if r[1] >= floor]
    return min(good, key=lambda r: r[2]) if good else max(rows, key=lambda r: r[1])


def nearest(traces, lost, make, thresholds, tokens):
    """(threshold, accuracy, tokens) whose tokens are nearest to the given."""
    rows = [(x, *Y.outcome(traces, lambda t: make(t, x), lost)) for x in thresholds]
    return min(rows, key=lambda r: abs(r[2] - tokens))


def ratio(traces):
    whole = [t for t in traces if Y.first_derivation(t) is not None]
    first = sum(t.boundaries[t.first].at + 1 - t.begin - 2 for t in whole)
    return (sum(t.thinking for t in traces) - first) / first


def report(traces, raw, lost, rule, lengths):
    views = {id(t): Y.Signals(t, r, rule["alpha"]) for t, r in zip(traces, raw)}
    full = Y.outcome(traces, lambda t: None, lost)
    left = Y.outcome(traces, lambda t: views[id(t)].leave(rule), lost)
    budgets, margins = range(8, 700, 4), [x / 4 for x in range(-80, 40)]
    saved = lambda r: round(1 - r[-1] / full[1], 4)
    line = lambda r: {"threshold": r[0], "accuracy": round(r[1], 4), "tokens": round(r[2], 1), "saved": saved(r)}
    slipped = [t for t in traces if P.solve(t.problem.start, t.problem.ops)[2] >= 0]
    first = Y.outcome(traces, Y.first_derivation, lost)
    return {
        "problems": len(traces) + lost, "unfinished": lost, "slipped": len(slipped),
        "full": {"accuracy": round(full[0], 4), "tokens": round(full[1], 1)},
        "first_derivation": {"accuracy": round(first[0], 4), "tokens": round(first[1], 1), "saved": saved(first)},
        "recheck_ratio": round(ratio(traces), 2),
        "signals": {"rule": rule, "accuracy": round(left[0], 4), "tokens": round(left[1], 1), "saved": saved(left)},
        "budget_same_accuracy": line(best_at(traces, lost, Y.budget, budgets, full[0] - 0.005)),
        "budget_same_tokens": line(nearest(traces, lost, Y.budget, budgets, left[1])),
        "margin_same_accuracy": line(best_at(traces, lost, Y.margin, margins, full[0] - 0.005)),
        "margin_same_tokens": line(nearest(traces, lost, Y.margin, margins, left[1])),
        "auc_within_problems": round(Y.auc(traces, raw), 4),
        "acceptance_length": lengths,
    }


def traces_of(name, problems, target, chat, a):
    """(finished greedy traces with what happens at their boundaries, number of the unfinished)."""
    def make():
        made, n = T.make(target, chat, problems[:a.limit])
        return T.fill(target, chat, made), n - len(made)
    digest = hashlib.sha256((a.folder / "demo.gguf").read_bytes()).hexdigest()
    return T.cached(a.build / f"traces-{name}.pt", (digest, a.limit), make)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--folder", type=Path, default=HERE)
    a.add_argument("--build", type=Path, default=HERE / "build")
    a.add_argument("--calibrate", action="store_true")
    a.add_argument("--set", default="heldout", choices=("heldout", "smoke"))
    a.add_argument("--traces", action="store_true", help="only make the traces, which need no draft")
    a.add_argument("--limit", type=int, default=500)
    a.add_argument("--threads", type=int, default=1)
    a = a.parse_args()
    torch.set_num_threads(a.threads)
    chat, (sets, _) = Chat(), P.reserved()
    target, draft = export.load(a.folder)
    rule_file = a.build / "rule.json"
    if a.traces:
        traces_of("calibration", sets["calibration"], target, chat, a)
    if a.calibrate:
        made, lost = traces_of("calibration", sets["calibration"], target, chat, a)
        rule, accuracy, tokens = Y.calibrate(made, [draft.signals(t.features) for t in made], lost)
        print("calibration:", rule, accuracy, tokens, flush=True)
        rule_file.write_text(json.dumps(rule))
        export.write_draft(a.folder / "demo-draft.gguf", draft.state_dict(), Config(), rule)
    rule = json.loads(rule_file.read_text()) if rule_file.exists() else export.DEFAULT_RULE
    made, lost = traces_of(a.set, sets[a.set], target, chat, a)
    if a.traces:
        return
    some = made[::5]
    texts = [t.ids[t.begin:] for t in some]
    posed = [t.problem for t in some]
    lengths = {f"chain_{k}": round(accept(target, draft, chat, posed, k, texts), 3) for k in (2, 4, 6)}
    out = report(made, [draft.signals(t.features) for t in made], lost, rule, lengths)
    text = json.dumps(out, indent=1)
    if a.set == "heldout":
        (a.folder / "results.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
