"""Writes golden.json: what an engine must compute from the exported files, for three held-out prompts."""
import json
from pathlib import Path

import torch

import export
import problems as P
from draft import chain
from model import generate
from tokenizer import Chat, render

HERE = Path(__file__).parent


def entry(target, draft, chat, p):
    ids = chat.prompt(p.prompt)
    assert ids == chat.encode(render(p.prompt))
    h, aux = target.states(torch.tensor([ids]))
    logits = target.logits(h[0, -1])
    top = logits.topk(8)
    made = generate(target, [ids], chat, 48)[0]
    seq = ids + made
    _, all_aux = target.states(torch.tensor([seq]))
    drafted = chain(draft, target, all_aux[0], seq, 4)
    n, at = len(ids), len(ids) + 12
    norms = aux[0].view(n, len(target.c.aux), -1).norm(dim=-1)
    return {
        "prompt": p.prompt, "rendered": render(p.prompt), "tokens": ids, "greedy": made,
        "greedy_text": chat.decode(made),
        "top_ids": top.indices.tolist(), "top_logits": [round(x, 4) for x in top.values.tolist()],
        "aux_norms_last": [round(x, 4) for x in norms[-1].tolist()],
        "signals_last_8": [[round(x, 5) for x in row] for row in draft.signals(aux[0])[-8:].tolist()],
        "signals_greedy_48": [[round(x, 5) for x in row] for row in draft.signals(all_aux[0, n:]).tolist()],
        "draft_after_prompt": {"root": made[0], "chain": drafted[n - 1].tolist()},
        "draft_after_12": {"root": seq[at], "chain": drafted[at - 1].tolist()},
    }


def main():
    torch.set_num_threads(1)
    chat, (sets, _) = Chat(), P.reserved()
    target, draft = export.load()
    rows = [p for p in sets["heldout"] if P.solve(p.start, p.ops)[2] < 0][:2]
    rows.append(next(p for p in sets["heldout"] if P.solve(p.start, p.ops)[2] >= 0))
    out = {
        "about": "float32 sums over the dequantised weights; logits to about 1e-3, signals to about 1e-3 relative",
        "target_layers": list(target.c.aux), "prompts": [entry(target, draft, chat, p) for p in rows],
    }
    text = json.dumps(out, separators=(",", ":")).replace('{"prompt"', '\n{"prompt"').replace(',"', ',\n "')
    (HERE / "golden.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
