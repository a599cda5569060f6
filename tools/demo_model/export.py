"""Writes demo.gguf and demo-draft.gguf: matrices Q8_0, norms F32; also reads them back dequantised."""
import argparse
import json
import os
from pathlib import Path

import gguf
import numpy as np
import torch

from draft import Draft
from model import Config, Target
from tokenizer import FILE as TOKENIZER, Chat

HERE = Path(__file__).parent
TEMPLATE = HERE / "chat_template.jinja"
Q8 = gguf.GGMLQuantizationType.Q8_0

TARGET_NAMES = [("attn_norm", "attn_norm"), ("attn.q", "attn_q"), ("attn.k", "attn_k"), ("attn.v", "attn_v"),
                ("attn.o", "attn_output"), ("attn.q_norm", "attn_q_norm"), ("attn.k_norm", "attn_k_norm"),
                ("ffn_norm", "ffn_norm"), ("mlp.gate", "ffn_gate"), ("mlp.up", "ffn_up"), ("mlp.down", "ffn_down")]
DRAFT_NAMES = [("fc", "fc"), ("embed_norm", "blk.0.attn_norm"), ("feature_norm", "blk.0.attn_norm_2"),
               ("attn.q", "blk.0.attn_q"), ("attn.k", "blk.0.attn_k"), ("attn.v", "blk.0.attn_v"),
               ("attn.o", "blk.0.attn_output"), ("ffn_norm", "blk.0.ffn_norm"), ("mlp.gate", "blk.0.ffn_gate"),
               ("mlp.up", "blk.0.ffn_up"), ("mlp.down", "blk.0.ffn_down"), ("norm", "output_norm")]


def target_tensors(c):
    names = [("embed", "token_embd"), ("norm", "output_norm")]
    for i in range(c.layers):
        names += [(f"blocks.{i}.{a}", f"blk.{i}.{b}") for a, b in TARGET_NAMES]
    return names


def put_tensors(w, state, names):
    for ours, theirs in names:
        x = state[ours + ".weight"].float().numpy()
        if x.ndim == 1:
            w.add_tensor(theirs + ".weight", x)
        else:
            w.add_tensor(theirs + ".weight", gguf.quants.quantize(x, Q8), raw_dtype=Q8)


def put_tokenizer(w, chat):
    data = json.loads(TOKENIZER.read_text())
    size = chat.tok.get_vocab_size()
    tokens = [chat.tok.id_to_token(i) for i in range(size)]
    special = {t["id"]: t["content"] for t in data["added_tokens"]}
    kinds = [gguf.TokenType.NORMAL] * size
    for i, text in special.items():
        kinds[i] = gguf.TokenType.UNUSED if text.startswith("<|unused") else gguf.TokenType.CONTROL
        if text in ("<think>", "</think>"):
            kinds[i] = gguf.TokenType.USER_DEFINED
    merges = [m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]]
    w.add_tokenizer_model("gpt2")
    w.add_tokenizer_pre("qwen2")
    w.add_token_list(tokens)
    w.add_token_types(kinds)
    w.add_token_merges(merges)
    w.add_eos_token_id(chat.end)
    w.add_bos_token_id(chat.pad)
    w.add_pad_token_id(chat.pad)
    w.add_add_bos_token(False)
    w.add_chat_template(TEMPLATE.read_text())


def finish(w, path):
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.replace(str(path) + ".new", path)


def write_target(path, state, c, chat):
    w = gguf.GGUFWriter(str(path) + ".new", "qwen3")
    w.add_name("specexit demo")
    w.add_size_label("2M")
    w.add_license("MIT")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_block_count(c.layers)
    w.add_context_length(c.context)
    w.add_embedding_length(c.hidden)
    w.add_feed_forward_length(c.ffn)
    w.add_head_count(c.heads)
    w.add_head_count_kv(c.kv_heads)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_layer_norm_rms_eps(c.eps)
    w.add_rope_freq_base(c.theta)
    w.add_vocab_size(c.vocab)
    put_tokenizer(w, chat)
    # It was trained to close its thinking without a word. (add_string drops what is empty.)
    w.add_key_value("specexit.exit.message", "", gguf.GGUFValueType.STRING)
    put_tensors(w, state, target_tensors(c))
    finish(w, path)


def write_draft(path, state, c, rule):
    w = gguf.GGUFWriter(str(path) + ".new", "eagle3")
    w.add_name("specexit demo draft")
    w.add_license("MIT")
    w.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    w.add_quantization_version(gguf.GGML_QUANT_VERSION)
    w.add_block_count(1)
    w.add_context_length(c.context)
    w.add_embedding_length(c.hidden)
    w.add_feed_forward_length(c.ffn)
    w.add_head_count(c.heads)
    w.add_head_count_kv(c.kv_heads)
    w.add_key_length(c.head_dim)
    w.add_value_length(c.head_dim)
    w.add_layer_norm_rms_eps(c.eps)
    w.add_rope_freq_base(c.theta)
    w.add_vocab_size(c.vocab)
    w.add_array("eagle3.target_layers", list(c.aux))
    w.add_uint32("eagle3.target_hidden_size", c.hidden)
    w.add_bool("eagle3.norm_before_residual", False)
    w.add_string("specexit.rope.layout", "halves")
    w.add_string("specexit.signals", "confidence,progress,remain")
    w.add_float32("specexit.exit.confidence", rule["confidence"])
    w.add_float32("specexit.exit.progress", rule["progress"])
    w.add_float32("specexit.exit.remain", rule["remain"])
    w.add_string("specexit.exit.smoothing", rule["smoothing"])
    w.add_float32("specexit.exit.alpha", rule["alpha"])
    put_tensors(w, state, DRAFT_NAMES)
    finish(w, path)


def read(path, names):
    """The state of a module from a file, dequantised."""
    tensors = {t.name: t for t in gguf.GGUFReader(str(path)).tensors}
    state = {}
    for ours, theirs in names:
        t = tensors[theirs + ".weight"]
        x = gguf.quants.dequantize(t.data, t.tensor_type)
        state[ours + ".weight"] = torch.from_numpy(np.array(x, dtype=np.float32))
    return state


def load(folder=HERE, c=Config()):
    """Target and draft from the exported files."""
    target, draft = Target(c), Draft(c)
    target.load_state_dict(read(folder / "demo.gguf", target_tensors(c)))
    draft.load_state_dict(read(folder / "demo-draft.gguf", DRAFT_NAMES))
    return target.eval().requires_grad_(False), draft.eval().requires_grad_(False)


DEFAULT_RULE = {"confidence": 0.8, "progress": 0.0, "remain": 1000.0, "smoothing": "none", "alpha": 1.0}


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--build", type=Path, default=HERE / "build")
    a.add_argument("--to", type=Path, default=HERE)
    a = a.parse_args()
    torch.manual_seed(0)
    chat, c = Chat(), Config()
    write_target(a.to / "demo.gguf", torch.load(a.build / "target.pt")["model"], c, chat)
    file, rule = a.build / "draft.pt", a.build / "rule.json"
    state = torch.load(file)["model"] if file.exists() else Draft(c).state_dict()
    if (a.build / "signals.pt").exists():
        state["fc.weight"][c.hidden:] = torch.load(a.build / "signals.pt")
    write_draft(a.to / "demo-draft.gguf", state, c, json.loads(rule.read_text()) if rule.exists() else DEFAULT_RULE)
    for name in ("demo.gguf", "demo-draft.gguf"):
        print(name, (a.to / name).stat().st_size)


if __name__ == "__main__":
    main()
