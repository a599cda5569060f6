#!/usr/bin/env python3
"""Writes tests/golden/models and tests/golden/drafts: tiny random models with the results that other
people's code gives.

Targets: Hugging Face transformers' own implementation of each architecture, saved as GGUF (matrices F16, which the
reference uses rounded the same), with

    NAME.json   the tokens and the sizes
    NAME.f32    little-endian float32: the inputs of all layers and the last one's output [layers + 1, tokens, hidden],
                then the logits [tokens, vocabulary]

Drafts: a PyTorch EAGLE-3 draft written from its description, in every layout, over the auxiliary states of
models/qwen3, with NAME.json: features, signals before their activation, fed-back states, logits and the drafted tree.

Needs torch, transformers 5, numpy and gguf. Usage: golden_models.py [tests/golden]
"""
import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers

import random_model as rm

TOKENS = 20
TREE = dict(width=4, levels=4, nodes=12)  # 4 drafted levels: the first and 3 more


# ---- Targets ----

def common(c, **more):
    return dict(hidden_size=c.hidden, intermediate_size=c.ffn, num_hidden_layers=c.layers, num_attention_heads=c.heads,
                num_key_value_heads=c.kv_heads, head_dim=c.head_dim, vocab_size=c.vocab, rms_norm_eps=c.eps,
                max_position_embeddings=c.context, tie_word_embeddings=c.tied, attn_implementation="eager") | more


def rope(c, **more):
    return {"rope_theta": c.base, "rope_type": "default"} | more


def variants():
    """name -> (shape, model, keys to add to the GGUF)"""
    t, tiny = transformers, rm.SIZES["tiny"]
    c = replace(tiny, layers=4)
    yield "qwen3", c, t.Qwen3ForCausalLM(t.Qwen3Config(**common(c, rope_parameters=rope(c)))), {}
    c = replace(tiny, base=1e4, layers=2)
    scaling = dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)
    yield "qwen3-yarn", c, t.Qwen3ForCausalLM(t.Qwen3Config(**common(c, rope_parameters=rope(c, **scaling)))), {
        "rope.scaling.type": "yarn", "rope.scaling.factor": 4.0, "rope.scaling.original_context_length": 32}
    c = replace(tiny, arch="qwen2", tied=False)
    config = common(c, rope_parameters=rope(c))
    del config["head_dim"]
    yield "qwen2", c, t.Qwen2ForCausalLM(t.Qwen2Config(**config)), {}
    c = replace(tiny, arch="llama", tied=False, eps=1e-5, base=1e4)
    scaling = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=64)
    yield "llama", c, t.LlamaForCausalLM(t.LlamaConfig(**common(c, rope_parameters=rope(c, **scaling)))), {}
    c = replace(tiny, arch="gemma3", layers=7)
    both = {"full_attention": rope(c, rope_type="linear", factor=8.0),
            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"}}
    kinds = ["full_attention" if (i + 1) % 6 == 0 else "sliding_attention" for i in range(c.layers)]
    yield "gemma3", c, t.Gemma3ForCausalLM(t.Gemma3TextConfig(**common(
        c, rope_parameters=both, layer_types=kinds, sliding_window=c.window, query_pre_attn_scalar=c.head_dim))), {
        "rope.scaling.type": "linear", "rope.scaling.factor": 8.0}
    c = replace(tiny, arch="hunyuan-dense", base=1e4)
    alpha = 50.0
    scaled = c.base * alpha ** (c.head_dim / (c.head_dim - 2))
    yield "hunyuan-dense", replace(c, base=scaled), t.HunYuanDenseV1ForCausalLM(t.HunYuanDenseV1Config(**common(
        c, rope_parameters=rope(c, rope_type="dynamic", alpha=alpha, factor=1.0)))), {}
    c = replace(tiny, arch="qwen3moe", tied=False)
    yield "qwen3moe", c, t.Qwen3MoeForCausalLM(t.Qwen3MoeConfig(**common(
        c, rope_parameters=rope(c), num_experts=c.experts, num_experts_per_tok=c.experts_used,
        moe_intermediate_size=c.expert_ffn, norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[]))), {}


def randomise(model, arch):
    """Every parameter random, matrices rounded to half precision as the file stores them."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for name, p in model.named_parameters():
            x = torch.randn(p.shape, generator=generator)
            if p.dim() > 1:
                x = (x * (0.5 if "embed" in name else p.shape[-1] ** -0.5)).half().float()
                if name.endswith("mlp.gate.weight"):
                    x = x * 2
            elif name.endswith("bias"):
                x = 0.2 * x
            else:
                x = (0.0 if arch == "gemma3" else 1.0) + 0.1 * x
            p.copy_(x)


HF_NAMES = [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output"),
            ("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"), ("self_attn.q_norm", "attn_q_norm"),
            ("self_attn.k_norm", "attn_k_norm"),
            ("self_attn.query_layernorm", "attn_q_norm"), ("self_attn.key_layernorm", "attn_k_norm"),
            ("input_layernorm", "attn_norm"), ("pre_feedforward_layernorm", "ffn_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"), ("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"), ("mlp.gate", "ffn_gate_inp")]


def gguf_tensors(name, x, c):
    """One parameter as (GGUF name, array) pairs."""
    stem, end = name.rsplit(".", 1)
    layer = ""
    if stem.startswith("model.layers."):
        _, _, number, stem = stem.split(".", 3) if stem.count(".") >= 3 else (*stem.split("."), "")
        layer = f"blk.{number}."
    if stem == "mlp.experts":
        if end == "gate_up_proj":
            half = x.shape[1] // 2
            return [(layer + "ffn_gate_exps.weight", x[:, :half]), (layer + "ffn_up_exps.weight", x[:, half:])]
        return [(layer + "ffn_down_exps.weight", x)]
    if stem == "post_attention_layernorm":
        new = "post_attention_norm" if c.arch == "gemma3" else "ffn_norm"
    else:
        new = dict(HF_NAMES)[stem]
    if c.arch == "llama" and new in ("attn_q", "attn_k"):
        x = rm.permute(x, c.heads if new == "attn_q" else c.kv_heads)
    if c.arch == "gemma3" and x.ndim == 1:
        x = x + 1  # the file's convention
    return [(f"{layer}{new}.{end}", x)]


def llama3_divisors(c):
    plain = c.base ** (-np.arange(0, c.head_dim, 2) / c.head_dim)
    result = []
    for f in plain:
        wavelength = 2 * math.pi / f
        smooth = (64 / wavelength - 1) / (4 - 1)
        result.append(1.0 if wavelength < 64 / 4 else 8.0 if wavelength > 64 else 1 / ((1 - smooth) / 8 + smooth))
    return np.array(result, np.float32)


def write_target(path, c, model, keys):
    w = gguf.GGUFWriter(path, c.arch)
    rm.add_target_keys(w, c)
    for key, value in keys.items():
        {str: w.add_string, float: w.add_float32, int: w.add_uint32}[type(value)](f"{c.arch}.{key}", value)
    rm.add_tokenizer(w, c.vocab)
    for name, p in model.named_parameters():
        for new, x in gguf_tensors(name, p.detach().numpy(), c):
            # The router and the norms stay in full precision, as in real files.
            half = x.ndim > 1 and "gate_inp" not in new
            w.add_tensor(new, np.ascontiguousarray(x.astype(np.float16 if half else np.float32)))
    if c.arch == "llama":
        w.add_tensor("rope_freqs.weight", llama3_divisors(c))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def run_target(model, tokens):
    """(inputs of the layers and the last one's output [L + 1, T, H], logits [T, V])"""
    states = []
    hooks = [layer.register_forward_pre_hook(lambda m, a, k: states.append((a[0] if a else k["hidden_states"])[0]),
                                             with_kwargs=True) for layer in model.model.layers]
    hooks.append(model.model.norm.register_forward_pre_hook(lambda m, a: states.append(a[0][0])))
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0]
    for hook in hooks:
        hook.remove()
    return torch.stack(states).numpy(), logits.numpy()


def make_targets(folder):
    folder.mkdir(parents=True, exist_ok=True)
    kept = None
    for name, c, model, keys in variants():
        model.eval()
        randomise(model, c.arch)
        tokens = np.random.default_rng(3).integers(0, c.vocab, TOKENS).tolist()
        states, logits = run_target(model, tokens)
        write_target(folder / f"{name}.gguf", c, model, keys)
        sizes = {"tokens": tokens, "layers": c.layers, "hidden": c.hidden, "vocabulary": c.vocab}
        (folder / f"{name}.json").write_text(json.dumps(sizes) + "\n")
        data = np.concatenate([states.ravel(), logits.ravel()]).astype("<f4")
        data.tofile(folder / f"{name}.f32")
        print(f"{name}: {sum(p.numel() for p in model.parameters())} parameters, logits up to {abs(logits).max():.3f}")
        if name == "qwen3":
            kept = tokens, states, model.model.embed_tokens.weight.detach().numpy()
    return kept


# ---- The EAGLE-3 draft ----

def rms(x, weight, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight


def rotate(x, positions, base):
    """x [rows, heads, head_dim], halves layout."""
    half = x.shape[-1] // 2
    angle = positions[:, None].double() * base ** (-torch.arange(half).double() / half)
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class Eagle3:
    """Everything in float64. The cache holds one (keys, values) pair a layer for all rows seen so far."""

    def __init__(self, d, weights, ids, target_embedding):
        self.d, self.w = d, {n: torch.from_numpy(x).double() for n, x in weights.items()}
        self.embedding = self.w.get("embed_tokens.weight", torch.from_numpy(target_embedding).double())
        self.ids = torch.arange(d.draft_vocab) if ids is None else torch.from_numpy(np.asarray(ids))
        self.cache = [(torch.zeros(0, d.kv_heads, d.head_dim).double(),) * 2 for _ in range(d.layers)]

    def fuse(self, aux):
        """aux [rows, A, Ht] -> (features [rows, H], signals before activation [rows, signals])"""
        d, w = self.d, self.w
        if d.fc_norm:
            aux = torch.stack([rms(aux[:, i], w[f"fc_norm.{i}.weight"], d.eps) for i in range(len(d.aux))], 1)
        x = aux.flatten(1)
        if d.norm_before_fc:
            x = rms(x, w["input_norm.weight"], d.eps)
        y = x @ w["fc.weight"].T
        return y[:, :d.hidden], y[:, d.hidden:]

    def attend(self, layer, x, positions, visible):
        """visible [rows, all rows so far and these]: what each row sees."""
        d, p = self.d, f"layers.{layer}.self_attn."

        def project(name, heads):
            y = x @ self.w[p + f"{name}_proj.weight"].T
            if d.bias:
                y = y + self.w[p + f"{name}_proj.bias"]
            return y.view(len(x), heads, d.head_dim)

        q, k, v = project("q", d.heads), project("k", d.kv_heads), project("v", d.kv_heads)
        if d.qk_norm:
            q, k = rms(q, self.w[p + "q_norm.weight"], d.eps), rms(k, self.w[p + "k_norm.weight"], d.eps)
        q, k = rotate(q, positions, d.base), rotate(k, positions, d.base)
        keys, values = (torch.cat([old, new]) for old, new in zip(self.cache[layer], (k, v)))
        self.cache[layer] = keys, values
        group = d.heads // d.kv_heads
        keys, values = keys.repeat_interleave(group, 1), values.repeat_interleave(group, 1)
        score = torch.einsum("rhd,shd->hrs", q, keys) / math.sqrt(d.head_dim)
        score = score.masked_fill(~visible[None], -math.inf).softmax(-1)
        y = torch.einsum("hrs,shd->rhd", score, values).flatten(1)
        return y @ self.w[p + "o_proj.weight"].T

    def step(self, tokens, features, positions, visible):
        """-> (states fed back [rows, H], logits [rows, D])"""
        d, w = self.d, self.w
        e, g = self.embedding[tokens], features
        for i in range(d.layers):
            p = f"layers.{i}."
            if i == 0:
                normed = rms(g, w[p + "hidden_norm.weight"], d.eps)
                x = torch.cat([rms(e, w[p + "input_layernorm.weight"], d.eps), normed], -1)
                h = normed if d.norm_before_residual else g
            else:
                x = rms(h, w[p + "input_layernorm.weight"], d.eps)
            h = h + self.attend(i, x, positions, visible)
            x = rms(h, w[p + "post_attention_layernorm.weight"], d.eps)
            gate, up = x @ w[p + "mlp.gate_proj.weight"].T, x @ w[p + "mlp.up_proj.weight"].T
            h = h + (torch.nn.functional.silu(gate) * up) @ w[p + "mlp.down_proj.weight"].T
        normed = rms(h, w["norm.weight"], d.eps)
        logits = (normed if d.norm_output else h) @ w["lm_head.weight"].T
        return (normed if d.feed_back_normed else h), logits

    def extend(self, tokens, aux):
        """Pairs (feature at t, token at t + 1) at position t."""
        features, signals = self.fuse(aux[:-1])
        count = len(features)
        state, logits = self.step(torch.tensor(tokens[1:]), features, torch.arange(count),
                                  torch.ones(count, count).tril().bool())
        return features, signals, state, logits

    def tree(self, state, logits, context, width, levels, nodes):
        """EAGLE's dynamic tree behind the last extended row: (token, parent, log-probability) of the best nodes.

        All scored candidates are ranked; parent -1 is the root, others index the result."""
        scores, best = logits.log_softmax(-1).topk(width)
        candidates = [(int(self.ids[t]), -1, float(s)) for t, s in zip(best, scores)]
        chosen = list(range(width))  # the level's nodes among the candidates
        features = state.repeat(width, 1)
        row_of, parents_row = {}, {}  # candidate -> row in the cache
        for level in range(1, levels):
            rows, first = len(chosen), context + len(row_of)
            visible = torch.zeros(rows, first + rows).bool()
            visible[:, :context] = True
            for r, node in enumerate(chosen):
                row_of[node] = first + r
                while node >= 0:
                    visible[r, row_of[node]] = True
                    node = candidates[node][1]
            positions = torch.full((rows,), context + level - 1)
            state, logits = self.step(torch.tensor([candidates[n][0] for n in chosen]), features, positions, visible)
            scores, best = logits.log_softmax(-1).topk(width)
            added = []
            for r, node in enumerate(chosen):
                for s, t in zip(scores[r], best[r]):
                    added.append((len(candidates), r))
                    candidates.append((int(self.ids[t]), node, candidates[node][2] + float(s)))
            added.sort(key=lambda a: -candidates[a[0]][2])
            chosen = [a for a, _ in added[:width]]
            features = torch.stack([state[r] for _, r in added[:width]])
        ranked = sorted(sorted(range(len(candidates)), key=lambda i: -candidates[i][2])[:nodes])
        place = {old: new for new, old in enumerate(ranked)} | {-1: -1}
        return [(candidates[i][0], place[candidates[i][1]], candidates[i][2]) for i in ranked]


def rounded(x):
    return [float(f"{v:.8g}") for v in np.asarray(x).ravel()]


def make_drafts(folder, tokens, states, embedding):
    folder.mkdir(parents=True, exist_ok=True)
    layers = len(states) - 1
    for layout in rm.LAYOUTS:
        d = rm.draft_for("tiny", layout)
        # Families that name no layers read the usual ones; the others here also the last layer's output.
        silent = layout in ("eagle", "angelslim", "specexit")
        d = replace(d, target_layers=layers, aux=(2, layers // 2, layers - 3) if silent else (1, 2, layers))
        path = folder / (layout + (".gguf" if layout in ("gguf", "llamacpp", "llamacpp-old") else ""))
        weights, ids = rm.write_draft(path, d, layout, "bf16", 7, shards=3 if layout == "specforge" else 1)
        draft = Eagle3(d, weights, ids, embedding)
        aux = torch.from_numpy(states[list(d.aux)]).double().transpose(0, 1)
        features, signals, state, logits = draft.extend(tokens, aux)
        tree = draft.tree(state[-1], logits[-1], len(features), **TREE)
        result = {"tokens": tokens, "aux_layers": list(d.aux), "last_feature": rounded(features[-1]),
                  "signals": [rounded(s) for s in signals] if d.signals else [], "last_state": rounded(state[-1]),
                  "last_logits": rounded(logits[-1]), "tree": TREE | {"tokens": [t for t, _, _ in tree],
                  "parents": [p for _, p, _ in tree], "logprobs": rounded([s for _, _, s in tree])}}
        (folder / f"{layout}.json").write_text(json.dumps(result) + "\n")
        print(f"{layout}: tree {result['tree']['tokens']}")


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent / "tests/golden")
    torch.manual_seed(1)
    make_drafts(folder / "drafts", *make_targets(folder / "models"))


main()
