"""When to leave the thinking: every policy answers with an index into a trace's boundaries, or None for never."""


def smooth(values, alpha):
    """Per-token EWMA, started at the first score; alpha 1 is no smoothing."""
    out, now = [], None
    for v in values:
        now = v if now is None else now + alpha * (v - now)
        out.append(now)
    return out


class Signals:
    """The smoothed signals of a trace at its boundaries."""

    def __init__(self, trace, raw, alpha):
        columns = [smooth(raw[:, k].tolist(), alpha) for k in range(3)]
        self.at = [tuple(c[b.at - trace.begin] for c in columns) for b in trace.boundaries]

    def leave(self, rule):
        for i, (confidence, progress, remain) in enumerate(self.at):
            if confidence > rule["confidence"] and progress > rule["progress"] and remain < rule["remain"]:
                return i
        return None


def first_derivation(t):
    return t.first if t.first < len(t.boundaries) else None


def budget(t, tokens):
    """The first boundary with at least so many tokens of thinking."""
    return next((i for i, b in enumerate(t.boundaries) if b.at + 1 - t.begin - 2 >= tokens), None)


def margin(t, least):
    return next((i for i, b in enumerate(t.boundaries) if b.margin > least), None)


def outcome(traces, leave, lost=0):
    """(accuracy, mean thinking tokens); `lost` problems came to no end and count as wrong."""
    right = tokens = 0
    for t in traces:
        i = leave(t)
        right += t.right if i is None else t.boundaries[i].right
        tokens += t.thinking if i is None else t.boundaries[i].at + 1 - t.begin - 2
    return right / (len(traces) + lost), tokens / max(1, len(traces))


def calibrate(traces, raw, lost=0, saving=0.75, around=6):
    """Among the rules that save at least `saving` of the tokens, the one whose accuracy is best in the worst case over
    neighbouring confidence thresholds (`around` hundredths to either side); on a tie the most cautious, which thinks
    longest.  The neighbours stand for what a few hundred problems cannot tell."""
    _, full = outcome(traces, lambda t: None, lost)
    best = None
    for alpha in (1.0, 0.7, 0.5, 0.3, 0.2):
        views = {id(t): Signals(t, r, alpha) for t, r in zip(traces, raw)}
        for progress in (0.0, 0.1, 0.2):
            for remain in (1000.0, 300.0):
                rule = {"progress": progress, "remain": remain, "alpha": alpha,
                        "smoothing": "none" if alpha == 1.0 else "ewma"}
                rows = [outcome(traces, lambda t: views[id(t)].leave(rule | {"confidence": step / 100}), lost)
                        for step in range(100)]
                for step in range(20, 100 - around):
                    worst = min(a for a, _ in rows[step - around:step + around + 1])
                    key = (rows[step][1] <= (1 - saving) * full, worst, rows[step][1])
                    if best is None or key > best[0]:
                        best = (key, rule | {"confidence": step / 100}, *rows[step])
    return best[1:]


def auc(traces, raw):
    """Share of pairs of boundaries of one problem, one right and one wrong if left there, that confidence orders so."""
    wins = pairs = 0.0
    for t, r in zip(traces, raw):
        value = [float(r[b.at - t.begin, 0]) for b in t.boundaries]
        yes = [v for v, b in zip(value, t.boundaries) if b.right]
        no = [v for v, b in zip(value, t.boundaries) if not b.right]
        wins += sum((y > n) + 0.5 * (y == n) for y in yes for n in no)
        pairs += len(yes) * len(no)
    return wins / pairs if pairs else float("nan")
