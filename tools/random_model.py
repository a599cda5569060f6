#!/usr/bin/env python3
"""Random-weight models in the shapes of real ones: targets as GGUF in any format, EAGLE-3 drafts in every layout.

    random_model.py target --size qwen3-4b --type q4_k_m -o 4b.gguf
    random_model.py target --size tiny --arch llama --type mix -o tiny.gguf
    random_model.py draft --size qwen3-4b --layout specexit -o draft-folder
    random_model.py draft --size tiny --layout llamacpp --type q8_0 -o draft.gguf

The weights are noise of a plausible size, so memory, loading and speed are those of a real model, and the text is not.
Needs numpy and gguf (0.19); torch only for --layout eagle (pytorch_model.bin). The same seed gives the same file.
"""
import argparse
import json
import struct
from dataclasses import dataclass, replace
from pathlib import Path

import gguf
import numpy as np

TYPES = gguf.GGMLQuantizationType
BLOCKS = gguf.GGML_QUANT_SIZES


@dataclass(frozen=True)
class Shape:
    arch: str = "qwen3"
    layers: int = 3
    hidden: int = 64
    ffn: int = 96
    heads: int = 2
    kv_heads: int = 1
    head_dim: int = 32
    vocab: int = 320
    context: int = 512
    tied: bool = True
    eps: float = 1e-6
    base: float = 1e6
    window: int = 8
    experts: int = 4
    experts_used: int = 2
    expert_ffn: int = 32


SIZES = {
    "tiny": Shape(),
    "qwen3-0.6b": Shape("qwen3", 28, 1024, 3072, 16, 8, 128, 151936, 40960),
    "qwen3-1.7b": Shape("qwen3", 28, 2048, 6144, 16, 8, 128, 151936, 40960),
    "qwen3-4b": Shape("qwen3", 36, 2560, 9728, 32, 8, 128, 151936, 40960),
    "qwen3-8b": Shape("qwen3", 36, 4096, 12288, 32, 8, 128, 151936, 40960, tied=False),
    "qwen2.5-0.5b": Shape("qwen2", 24, 896, 4864, 14, 2, 64, 151936, 32768),
    "llama-8b": Shape("llama", 32, 4096, 14336, 32, 8, 128, 128256, 131072, tied=False, eps=1e-5, base=5e5),
    "qwen3-30b-a3b": Shape("qwen3moe", 48, 2048, 6144, 32, 4, 128, 151936, 40960, tied=False, experts=128,
                           experts_used=8, expert_ffn=768),
}
DRAFT_FFN = {"qwen3-0.6b": 3072, "qwen3-1.7b": 6144, "qwen3-4b": 9728, "qwen3-8b": 12288, "llama-8b": 14336}


# ---- Random blocks ----

# Where a block's halves are: (scale, minimum or None).
SCALES = {"Q4_0": (0, None), "Q4_1": (0, 2), "Q5_0": (0, None), "Q5_1": (0, 2), "Q8_0": (0, None), "Q2_K": (80, 82),
          "Q3_K": (108, None), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208, None), "IQ4_NL": (0, None)}
# The minimum (times the scale) that makes the mean of random quants zero.
CENTRES = {"Q4_1": -7.5, "Q5_1": -15.5, "Q2_K": 1.5, "Q4_K": 7.5, "Q5_K": 15.5}


def put_scales(blocks, name, scale):
    at, minimum = SCALES[name]
    blocks[:, at:at + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    if minimum is not None:
        blocks[:, minimum:minimum + 2] = np.frombuffer(np.float16(scale * CENTRES[name]).tobytes(), np.uint8)


def random_rows(rng, rows, columns, name, deviation):
    """[rows, bytes of a row]: weights of about N(0, deviation) in the format, without encoding them."""
    kind = TYPES[name]
    block, width = BLOCKS[kind]
    if block == 1:
        values = (rng.standard_normal((rows, columns), dtype=np.float32) * np.float32(deviation))
        return gguf.quants.quantize(values, kind).view(np.uint8).reshape(rows, columns * width)
    count = rows * columns // block
    unique = min(count, 1 << 16)  # large matrices repeat their blocks; nothing downstream can tell
    blocks = rng.integers(0, 256, (unique, width), dtype=np.uint8)
    if name == "MXFP4":
        blocks[:, 0] = int(np.clip(np.round(np.log2(deviation / 4.2)) + 128, 0, 254))
    else:
        put_scales(blocks, name, 1.0)
        size = float(np.std(gguf.quants.dequantize(blocks[:256], kind)))
        put_scales(blocks, name, deviation / size)
    whole = np.resize(blocks, (count, width))
    return whole.reshape(rows, columns // block * width)


# ---- Formats of a file ----

MIX = "Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 IQ4_NL MXFP4 F16 BF16 F32".split()
K_MIX = "Q2_K Q3_K Q4_K Q5_K Q6_K".split()


def fall_back(name, columns):
    """What llama.cpp's quantiser takes where a row is no multiple of the block."""
    if columns % BLOCKS[TYPES[name]][0] == 0:
        return name
    substitute = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}.get(name, "F16")
    return substitute if columns % 32 == 0 else "F16"


def format_of(mode, tensor, index, columns):
    mode = mode.upper()
    if mode in ("Q4_K_M", "Q5_K_M"):
        better = tensor in ("output.weight",) or (("attn_v" in tensor or "ffn_down" in tensor) and index % 2 == 0)
        return fall_back("Q6_K" if better else mode[:4], columns)
    if mode == "MIX":
        names = MIX + (K_MIX if columns % 256 == 0 else [])
        return fall_back(names[sum(tensor.encode()) % len(names)], columns)
    return fall_back(mode, columns)


# ---- Targets ----

def target_tensors(c):
    """(name, shape) in the order of the file; vectors have one dimension, stacks of experts three."""
    q, kv, h = c.heads * c.head_dim, c.kv_heads * c.head_dim, c.hidden
    yield "token_embd.weight", (c.vocab, h)
    for i in range(c.layers):
        p = f"blk.{i}."
        yield p + "attn_norm.weight", (h,)
        yield p + "attn_q.weight", (q, h)
        yield p + "attn_k.weight", (kv, h)
        yield p + "attn_v.weight", (kv, h)
        yield p + "attn_output.weight", (h, q)
        if c.arch == "qwen2":
            yield p + "attn_q.bias", (q,)
            yield p + "attn_k.bias", (kv,)
            yield p + "attn_v.bias", (kv,)
        if c.arch in ("qwen3", "qwen3moe", "gemma3", "hunyuan-dense"):
            yield p + "attn_q_norm.weight", (c.head_dim,)
            yield p + "attn_k_norm.weight", (c.head_dim,)
        if c.arch == "gemma3":
            yield p + "post_attention_norm.weight", (h,)
            yield p + "post_ffw_norm.weight", (h,)
        yield p + "ffn_norm.weight", (h,)
        if c.arch == "qwen3moe":
            yield p + "ffn_gate_inp.weight", (c.experts, h)
            yield p + "ffn_gate_exps.weight", (c.experts, c.expert_ffn, h)
            yield p + "ffn_up_exps.weight", (c.experts, c.expert_ffn, h)
            yield p + "ffn_down_exps.weight", (c.experts, h, c.expert_ffn)
        else:
            yield p + "ffn_gate.weight", (c.ffn, h)
            yield p + "ffn_up.weight", (c.ffn, h)
            yield p + "ffn_down.weight", (h, c.ffn)
    yield "output_norm.weight", (h,)
    if not c.tied:
        yield "output.weight", (c.vocab, h)


def byte_characters():
    """GPT-2's printable stand-in for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(rest)}}


def add_tokenizer(w, vocab):
    """Bytes, a few merges, fillers and the usual markers at the end: enough to encode any text."""
    letters = byte_characters()
    newline, space = letters[10], letters[32]
    merges = [(newline, newline), (space, "t"), ("h", "e"), (".", newline + newline)]
    tokens = [letters[b] for b in range(256)] + [a + b for a, b in merges]
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
    fillers = vocab - len(tokens) - len(special)
    if fillers < 0:
        raise SystemExit(f"a vocabulary of at least {len(tokens) + len(special)} is needed")
    kinds = [1] * (len(tokens) + fillers) + [3, 3, 3, 4, 4]
    tokens += [f"[filler{i}]" for i in range(fillers)] + special
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges([f"{a} {b}" for a, b in merges])
    w.add_eos_token_id(vocab - 3)
    w.add_pad_token_id(vocab - 5)
    w.add_add_bos_token(False)


def add_target_keys(w, c):
    w.add_block_count(c.layers)
    w.add_context_length(c.context)
    w.add_embedding_length(c.hidden)
    w.add_feed_forward_length(c.ffn)
    w.add_head_count(c.heads)
    w.add_head_count_kv(c.kv_heads)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_layer_norm_rms_eps(c.eps)
    w.add_rope_freq_base(c.base)
    if c.arch == "gemma3":
        w.add_sliding_window(c.window)
    if c.arch == "qwen3moe":
        w.add_expert_count(c.experts)
        w.add_expert_used_count(c.experts_used)
        w.add_expert_feed_forward_length(c.expert_ffn)


def write_streamed(w, tensors):
    """tensors: (name, shape, format, function that makes the bytes as [rows, row bytes] or floats for a vector)."""
    for name, shape, kind, _ in tensors:
        block, width = BLOCKS[TYPES[kind]]
        rows = shape[:-1]
        size = int(np.prod(shape)) // block * width
        if kind in ("F32", "F16"):
            w.add_tensor_info(name, shape, np.dtype(np.float32 if kind == "F32" else np.float16), size)
        else:
            in_bytes = (*rows, shape[-1] // block * width)
            w.add_tensor_info(name, in_bytes, np.dtype(np.uint8), size, raw_dtype=TYPES[kind])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_ti_data_to_file()
    for *_, make in tensors:
        w.write_tensor_data(np.ascontiguousarray(make()))
    w.close()


def random_tensor(seed, index, name, shape, mode):
    """One entry for write_streamed."""
    rng = np.random.default_rng([seed, index])
    if len(shape) == 1:
        centre, deviation = (0.0, 0.02) if name.endswith("bias") else (1.0, 0.1)
        return name, shape, "F32", lambda: (centre + deviation * rng.standard_normal(shape)).astype(np.float32)
    kind = "F32" if "gate_inp" in name else format_of(mode, name, index // 11, shape[-1])
    deviation = 0.02 if "token_embd" in name else shape[-1] ** -0.5
    rows = int(np.prod(shape[:-1]))
    return name, shape, kind, lambda: random_rows(rng, rows, shape[-1], kind, deviation)


def write_target(path, c, mode, seed, split=0, template=None):
    w = gguf.GGUFWriter(path, c.arch, split_max_tensors=split) if split else gguf.GGUFWriter(path, c.arch)
    w.add_name(f"random {c.arch} {c.layers}x{c.hidden}")
    add_target_keys(w, c)
    add_tokenizer(w, c.vocab)
    if template:
        w.add_chat_template(Path(template).read_text())
    tensors = [random_tensor(seed, i, n, s, mode) for i, (n, s) in enumerate(target_tensors(c))]
    if not split:
        return write_streamed(w, tensors)
    for name, shape, kind, make in tensors:
        data = make()
        if kind == "F32":
            w.add_tensor(name, data.view(np.float32).reshape(shape))
        else:
            w.add_tensor(name, data.reshape(*shape[:-1], -1), raw_dtype=TYPES[kind])
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


# ---- Drafts ----

@dataclass(frozen=True)
class Draft:
    hidden: int = 64
    target_hidden: int = 64
    ffn: int = 96
    heads: int = 2
    kv_heads: int = 1
    head_dim: int = 32
    vocab: int = 320
    draft_vocab: int = 160
    layers: int = 1
    aux: tuple = (1, 2, 3)  # inputs of target layers
    target_layers: int = 3
    context: int = 512
    eps: float = 1e-6
    base: float = 10000.0
    signals: int = 0  # rows
    fc_norm: bool = False
    norm_before_fc: bool = False
    norm_before_residual: bool = False
    norm_output: bool = True
    feed_back_normed: bool = False
    qk_norm: bool = False
    bias: bool = False
    own_embedding: bool = False
    own_head: bool = True
    window: int = 0


def draft_tensors(d):
    """(neutral name, shape): EAGLE's names with `layers.N.`, however a layout calls them."""
    q, kv, h = d.heads * d.head_dim, d.kv_heads * d.head_dim, d.hidden
    wide = len(d.aux) * d.target_hidden
    yield "fc.weight", (h + d.signals, wide)
    if d.norm_before_fc:
        yield "input_norm.weight", (wide,)
    if d.fc_norm:
        for i in range(len(d.aux)):
            yield f"fc_norm.{i}.weight", (d.target_hidden,)
    if d.own_embedding:
        yield "embed_tokens.weight", (d.vocab, h)
    for i in range(d.layers):
        p, width = f"layers.{i}.", h if i else 2 * h
        yield p + "input_layernorm.weight", (h,)
        if i == 0:
            yield p + "hidden_norm.weight", (h,)
        for name, rows in (("q", q), ("k", kv), ("v", kv)):
            yield p + f"self_attn.{name}_proj.weight", (rows, width)
            if d.bias:
                yield p + f"self_attn.{name}_proj.bias", (rows,)
        if d.qk_norm:
            yield p + "self_attn.q_norm.weight", (d.head_dim,)
            yield p + "self_attn.k_norm.weight", (d.head_dim,)
        yield p + "self_attn.o_proj.weight", (h, q)
        yield p + "post_attention_layernorm.weight", (h,)
        yield p + "mlp.gate_proj.weight", (d.ffn, h)
        yield p + "mlp.up_proj.weight", (d.ffn, h)
        yield p + "mlp.down_proj.weight", (h, d.ffn)
    yield "norm.weight", (h,)
    if d.own_head:
        yield "lm_head.weight", (d.draft_vocab, h)


def random_draft(d, seed):
    """Neutral name -> float32 array rounded to bfloat16, and the map of draft ids to target ids (absolute)."""
    weights = {}
    for i, (name, shape) in enumerate(draft_tensors(d)):
        rng = np.random.default_rng([seed, i])
        x = rng.standard_normal(shape, dtype=np.float32)
        x = x * shape[-1] ** -0.5 if len(shape) > 1 else (0.05 * x if name.endswith("bias") else 1 + 0.1 * x)
        if name == "fc.weight" and d.signals == 3:
            x[d.hidden + 2] *= 0.1
        bits = x.astype(np.float32).view(np.uint32)
        weights[name] = ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32).view(np.float32)
    ids = np.sort(np.random.default_rng([seed, 999]).permutation(d.vocab)[:d.draft_vocab]) if d.own_head else None
    return weights, ids


def save_safetensors(path, tensors):
    """tensors: name -> (dtype name, array of the raw bits)."""
    header, at = {}, 0
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]}
        at += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for _, array in tensors.values():
            f.write(np.ascontiguousarray(array).tobytes())


def bfloat16(x):
    return "BF16", (x.view(np.uint32) >> 16).astype(np.uint16)


def layer_config(d):
    config = {"hidden_size": d.hidden, "intermediate_size": d.ffn, "num_attention_heads": d.heads,
              "num_key_value_heads": d.kv_heads, "head_dim": d.head_dim, "num_hidden_layers": d.layers,
              "vocab_size": d.vocab, "rms_norm_eps": d.eps, "rope_theta": d.base, "hidden_act": "silu",
              "max_position_embeddings": d.context, "attention_bias": d.bias,
              "model_type": "qwen3" if d.qk_norm else "llama"}
    if d.window:
        config |= {"sliding_window": d.window, "use_sliding_window": True}
    return config


def checkpoint_config(d, layout):
    if layout == "speculators":
        return {"architectures": ["Eagle3DraftModel"], "speculators_model_type": "eagle3",
                "draft_vocab_size": d.draft_vocab, "target_hidden_size": d.target_hidden,
                "norm_before_residual": d.norm_before_residual,
                "norm_before_fc": d.norm_before_fc, "fc_norm": d.fc_norm, "norm_output": d.feed_back_normed,
                "eagle_aux_hidden_state_layer_ids": list(d.aux), "transformer_layer_config": layer_config(d),
                "speculators_config": {"algorithm": "eagle3", "proposal_methods": []}}
    config = layer_config(d) | {"draft_vocab_size": d.draft_vocab, "torch_dtype": "bfloat16",
                                "tie_word_embeddings": False}
    if layout == "eagle":
        config["architectures"] = ["LlamaForCausalLM"]
    if layout in ("angelslim", "specexit"):
        config |= {"architectures": ["Eagle3LlamaForCausalLM"], "target_model_type": "qwen3", "num_hidden_layers": 40,
                   "head_dim": 80}  # both wrong in a published file
    if layout in ("specforge", "nvidia"):
        config |= {"architectures": ["LlamaForCausalLMEagle3"], "target_hidden_size": d.target_hidden,
                   "eagle_config": {"eagle_aux_hidden_state_layer_ids": [i - 1 for i in d.aux],
                                    "use_aux_hidden_state": True}}
    if layout == "specforge":
        config |= {"fc_norm": d.fc_norm, "norm_output": d.norm_output}
    if layout == "nvidia":
        config["eagle_config"] |= {"use_input_layernorm_in_first_layer": True, "use_last_layernorm": True,
                                   "use_mtp_layernorm": False}
    return config


def write_checkpoint(folder, d, layout, weights, ids, shards=1):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(checkpoint_config(d, layout), indent=1) + "\n")
    rename = (lambda n: n) if layout == "speculators" else (lambda n: n.replace("layers.0.", "midlayer."))
    tensors = {rename(n): bfloat16(x) for n, x in weights.items()}
    if ids is not None and (d.draft_vocab != d.vocab or layout == "specforge"):
        tensors["d2t"] = "I64", (ids - np.arange(len(ids))).astype(np.int64)
        known = np.zeros(d.vocab, np.uint8)
        known[ids] = 1
        tensors["t2d"] = "BOOL", known
    if layout == "eagle":
        return save_torch(folder / "pytorch_model.bin", tensors)
    if shards == 1:
        return save_safetensors(folder / "model.safetensors", tensors)
    names, place = list(tensors), {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {n: tensors[n] for n in names[i::shards]}
        place |= {n: file for n in part}
        save_safetensors(folder / file, part)
    index = {"metadata": {"total_size": sum(a.nbytes for _, a in tensors.values())}, "weight_map": place}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=1) + "\n")


def save_torch(path, tensors):
    import torch
    kinds = {"BF16": torch.bfloat16, "I64": torch.int64, "BOOL": torch.bool}
    torch.save({n: torch.from_numpy(np.ascontiguousarray(a).view({"BF16": np.int16}.get(t, a.dtype))).view(kinds[t])
                for n, (t, a) in tensors.items()}, path)


GGUF_NAMES = {"input_layernorm": "attn_norm", "hidden_norm": "attn_norm_2", "self_attn.q_proj": "attn_q",
              "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
              "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
              "post_attention_layernorm": "ffn_norm",
              "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}


def gguf_name(name):
    if name.startswith("layers."):
        _, layer, *middle, end = name.split(".")
        return f"blk.{layer}.{GGUF_NAMES['.'.join(middle)]}.{end}"
    stem, end = name.rsplit(".", 1)
    stem = {"embed_tokens": "token_embd", "norm": "output_norm", "lm_head": "output",
            "input_norm": "enc.output_norm"}.get(stem, stem)
    return f"{stem}.{end}"


def permute(x, heads):
    """Halves to pairs, as llama.cpp's converter does for Llama."""
    return x.reshape(heads, 2, x.shape[0] // heads // 2, *x.shape[1:]).swapaxes(1, 2).reshape(x.shape)


def write_draft_gguf(path, d, weights, ids, mode, old_keys=False, ours=False):
    w = gguf.GGUFWriter(path, "eagle3")
    for method, value in (("block_count", d.layers), ("context_length", d.context), ("embedding_length", d.hidden),
                          ("feed_forward_length", d.ffn), ("head_count", d.heads), ("head_count_kv", d.kv_heads),
                          ("key_length", d.head_dim), ("value_length", d.head_dim), ("layer_norm_rms_eps", d.eps),
                          ("rope_freq_base", d.base), ("vocab_size", d.vocab)):
        getattr(w, "add_" + method)(value)
    w.add_array("eagle3.extract_layers" if old_keys else "eagle3.target_layers", list(d.aux))
    w.add_uint32("eagle3.target_hidden_size", d.target_hidden)
    w.add_bool("eagle3.norm_before_residual", d.norm_before_residual)
    if d.norm_before_fc:
        w.add_bool("eagle3.norm_before_fc", True)
    if ours:
        w.add_string("specexit.rope.layout", "halves")
    if d.signals == 3:
        w.add_array("specexit.signals", ["confidence", "progress", "remain"])
    for i, (name, x) in enumerate(weights.items()):
        if not ours and "q_proj" in name:
            x = permute(x, d.heads)
        if not ours and "k_proj" in name:
            x = permute(x, d.kv_heads)
        if x.ndim == 1:
            w.add_tensor(gguf_name(name), x)
            continue
        kind = TYPES[format_of(mode, name, i, x.shape[-1])]
        w.add_tensor(gguf_name(name), gguf.quants.quantize(x, kind), raw_dtype=kind)
    if ids is not None and d.draft_vocab != d.vocab:
        w.add_tensor("d2t", ids.astype(np.int64), raw_dtype=TYPES.I64)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


LAYOUTS = "gguf llamacpp llamacpp-old eagle angelslim specexit specforge speculators nvidia".split()


def draft_for(size, layout):
    """A draft of the size for the target, with what the layout is known for."""
    c = SIZES[size]
    tiny = size == "tiny"
    d = Draft(c.hidden, c.hidden, DRAFT_FFN.get(size, c.ffn), c.heads, c.kv_heads, c.head_dim, c.vocab,
              160 if tiny else 32000, aux=(1, 2, 3) if tiny else (2, c.layers // 2, c.layers - 3),
              target_layers=c.layers, context=2048 if not tiny else 512)
    special = {
        "gguf": dict(signals=3), "specexit": dict(signals=3), "specforge": dict(fc_norm=True),
        "speculators": dict(layers=2, norm_before_residual=True, qk_norm=True, feed_back_normed=True, fc_norm=True,
                            own_embedding=tiny, bias=tiny),
        "eagle": dict(own_embedding=tiny), "llamacpp-old": dict(norm_before_residual=True),
        "llamacpp": dict(norm_before_fc=True),
    }
    return replace(d, **special.get(layout, {}))


def write_draft(path, d, layout, mode, seed, shards=1):
    weights, ids = random_draft(d, seed)
    if layout in ("gguf", "llamacpp", "llamacpp-old"):
        write_draft_gguf(path, d, weights, ids, mode, layout == "llamacpp-old", layout == "gguf")
    else:
        write_checkpoint(path, d, layout, weights, ids, shards)
    return weights, ids


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=("target", "draft"))
    p.add_argument("--size", choices=SIZES, default="tiny")
    p.add_argument("--arch", help="another architecture in the tiny shape")
    p.add_argument("--type", default="q8_0", help="a weight format, q4_k_m, q5_k_m or mix")
    p.add_argument("--layout", choices=LAYOUTS, default="gguf")
    p.add_argument("--layers", type=int)
    p.add_argument("--vocab", type=int)
    p.add_argument("--untied", action="store_true")
    p.add_argument("--split", type=int, default=0, help="tensors in a part of a split file")
    p.add_argument("--shards", type=int, default=1)
    p.add_argument("--template", help="a Jinja file to put into the target")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("-o", "--out", required=True)
    a = p.parse_args()
    if a.what == "draft":
        write_draft(a.out, draft_for(a.size, a.layout), a.layout, a.type, a.seed, a.shards)
        return
    c = SIZES[a.size]
    changes = {k: getattr(a, k) for k in ("arch", "layers", "vocab") if getattr(a, k)}
    c = replace(c, **changes, **({"tied": False} if a.untied else {}))
    write_target(a.out, c, a.type, a.seed, a.split, a.template)


if __name__ == "__main__":
    main()
