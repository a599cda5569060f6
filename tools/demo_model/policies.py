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


def calibrate(traces, raw, lost=0, slack=0.0034):
    """The rule with the most tokens saved whose accuracy stays within `slack` of the full thinking's."""
    full, _ = outcome(traces, lambda t: None, lost)
    best = None
    for alpha in (1.0, 0.7, 0.5, 0.3, 0.2):
        views = {id(t): Signals(t, r, alpha) for t, r in zip(traces, raw)}
        for progress in (0.0, 0.05, 0.1, 0.15):
            for remain in (1000.0, 400.0, 300.0):
                for step in range(20, 99):
                    rule = {"confidence": step / 100, "progress": progress, "remain": remain, "alpha": alpha,
                            "smoothing": "none" if alpha == 1.0 else "ewma"}
                    accuracy, tokens = outcome(traces, lambda t: views[id(t)].leave(rule), lost)
                    key = (accuracy >= full - slack, -tokens if accuracy >= full - slack else accuracy)
                    if best is None or key > best[0]:
                        best = (key, rule, accuracy, tokens)
    return widen(traces, raw, best, lost, full - slack)


def widen(traces, raw, best, lost, floor):
    """Moves the confidence threshold to the middle of the range that does as well within one per cent of the tokens."""
    _, rule, accuracy, tokens = best
    views = {id(t): Signals(t, r, rule["alpha"]) for t, r in zip(traces, raw)}
    good = []
    for step in range(20, 99):
        trial = rule | {"confidence": step / 100}
        a, n = outcome(traces, lambda t: views[id(t)].leave(trial), lost)
        if a >= floor and n <= 1.02 * tokens:
            good.append(step)
    return (rule | {"confidence": good[(len(good) - 1) // 2] / 100} if good else rule), accuracy, tokens


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
