#!/usr/bin/env python3
"""Writes tests/golden/text.json: random Unicode texts as other implementations normalise, split and tokenise them.

    pip install tokenizers gguf unicodedata2==16.0.0
    python3 tools/text_golden.py NAME=FILE.gguf ... > tests/golden/text.json

NAME is the vocabulary the C test loads from the file of that name. The committed file was made from the vocabulary
files ggml-vocab-qwen2.gguf (qwen2) and ggml-vocab-llama-bpe.gguf (llama-bpe), from SmolLM2-135M-Instruct (smollm2),
gemma-3-270m (gemma3) and tools/demo_model/demo.gguf (demo). Hugging Face's tokenizers library is the reference: it is given the file's vocabulary, its
merges, and the published tokenizer's normaliser and pre-tokenizers. NFC comes from Python's algorithm over Unicode
16.0, since that library's is of an older version.
"""
import json
import random
import sys

import unicodedata2 as U
from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

SEED = 20240607
CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
QWEN35 = (CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|"
          r"\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
DEEPSEEK3 = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
             r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
             r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"]
LETTERS = [0x41, 0x5A, 0x61, 0x7A, 0xB5, 0xB5, 0xC0, 0xD6, 0xD8, 0xF6, 0xF8, 0x1BA, 0x1BC, 0x1BF, 0x1C4, 0x293, 0x295,
           0x2AF, 0x370, 0x373, 0x376, 0x377, 0x37B, 0x37D, 0x37F, 0x37F, 0x386, 0x386, 0x388, 0x38A, 0x38C, 0x38C,
           0x38E, 0x3A1, 0x3A3, 0x3F5, 0x3F7, 0x481, 0x48A, 0x52F, 0x531, 0x556, 0x10A0, 0x10C5, 0x13A0, 0x13F5,
           0x13F8, 0x13FD, 0x1C90, 0x1CBA, 0x1CBD, 0x1CBF, 0x1D00, 0x1D2B, 0x1D6B, 0x1D77, 0x1D79, 0x1D9A, 0x1E00,
           0x1F15, 0x1F18, 0x1F1D, 0x1F20, 0x1F45, 0x1F48, 0x1F4D, 0x1F50, 0x1F57, 0x1F59, 0x1F59, 0x1F5B, 0x1F5B,
           0x1F5D, 0x1F5D, 0x1F5F, 0x1F7D, 0x1F80, 0x1FB4, 0x1FB6, 0x1FBC, 0x1FBE, 0x1FBE, 0x1FC2, 0x1FC4, 0x1FC6,
           0x1FCC, 0x1FD0, 0x1FD3, 0x1FD6, 0x1FDB, 0x1FE0, 0x1FEC, 0x1FF2, 0x1FF4, 0x1FF6, 0x1FFC, 0x2102, 0x2102,
           0x2107, 0x2107, 0x210A, 0x2113, 0x2115, 0x2115, 0x2119, 0x211D, 0x2124, 0x2124, 0x2126, 0x2126, 0x2128,
           0x2128, 0x212A, 0x212D, 0x212F, 0x2134, 0x2139, 0x2139, 0x213C, 0x213F, 0x2145, 0x2149, 0x214E, 0x214E,
           0x2183, 0x2184, 0x2C00, 0x2C7B, 0x2C7E, 0x2CE4, 0x2CEB, 0x2CEE, 0x2CF2, 0x2CF3, 0xA640, 0xA66D, 0xA680,
           0xA69B, 0xA722, 0xA76F, 0xA771, 0xA787, 0xA78B, 0xA78E, 0xAB70, 0xABBF, 0xFB00, 0xFB06, 0xFB13, 0xFB17,
           0xFF21, 0xFF3A, 0xFF41, 0xFF5A, 0x10400, 0x1044F, 0x104B0, 0x104D3, 0x104D8, 0x104FB, 0x10C80, 0x10CB2,
           0x10CC0, 0x10CF2, 0x118A0, 0x118DF, 0x1E900, 0x1E943]
DEEPSEEK = [r"[\r\n]", r"\s?[" + "".join(f"{chr(a)}-{chr(b)}" for a, b in zip(LETTERS[::2], LETTERS[1::2])) + "]+",
            "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002]+", r"\s+$",
            "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+", r"\p{N}+"]


def split(*patterns):
    return [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]


GPT2 = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
PLAIN = [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
SPLITS = {
    "gpt-2": GPT2, "smollm": [pre_tokenizers.Digits(individual_digits=True)] + GPT2, "qwen2": split(QWEN2),
    "qwen35": split(QWEN35), "llama-bpe": split(LLAMA3), "hunyuan-dense": split(*DEEPSEEK3),
    "deepseek-llm": split(*DEEPSEEK),
}
WORDS = ("the The don't I'LL we've 'S '\u017f 's'RE ''s they'll x'D 12345 007 3.14 \n \r\n \n\n \t  a.b.c --- == "
         "foo_bar(baz) http://x.y/z?q=1 caf\u00e9 na\u00efve \u4f60\u597d\u4e16\u754c \u3053\u3093\u306b\u3061\u306f "
         "\u30ab\u30bf \uc548\ub155 \u00bd \u2167 \u00b2 \u0967\u0968\u0969\u096a \u3000 \u2028 \u0085 e\u0301 "
         "\u0e01\u0e33 \u093f <h1> \U0001f999 \U0001f468\u200d\U0001f469 \u1100\u1161\u11a8 h\u00e9llo").split(" ")
SPACES = [" ", "  ", "   ", "\n", "\n\n", "\t", " \n ", "\r\n", "      ", "\n \n"]
RANGES = [(0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x4E00, 0x9FFF), (0x3040, 0x30FF),
          (0xAC00, 0xD7A4), (0x2000, 0x2070), (0x1F300, 0x1F650), (0x600, 0x6FF), (0x900, 0x97F), (0xFF00, 0xFFEF),
          (0x2150, 0x218F), (0x1E00, 0x2000), (0, 0x110000)]


def random_character(rng):
    first, last = rng.choice(RANGES)
    while True:
        c = rng.randrange(first, last)
        if U.category(chr(c)) not in ("Cn", "Cs", "Co"):
            return chr(c)


def random_texts(rng, count):
    texts = ["", " ", "a", "\n", "a" * 300, " " * 100 + "x", "\n" * 50 + "x" + " " * 50, "1" * 100, "ab" * 150]
    while len(texts) < count:
        text = ""
        for _ in range(rng.randint(1, 16)):
            r = rng.random()
            text += rng.choice(WORDS) if r < 0.45 else rng.choice(SPACES) if r < 0.7 else "".join(
                random_character(rng) for _ in range(rng.randint(1, 4)))
        texts.append(text)
    return texts


def byte_lengths(text, stages):
    pieces = pre_tokenizers.Sequence(stages).pre_tokenize_str(text)
    return [len(text[begin:end].encode()) for _, (begin, end) in pieces]


def tokenizer_of(path):
    fields = GGUFReader(path).fields
    strings = lambda key: [bytes(fields[key].parts[i]).decode() for i in fields[key].data]
    tokens, types = strings("tokenizer.ggml.tokens"), fields["tokenizer.ggml.token_type"].contents()
    plain = fields["tokenizer.ggml.model"].contents() == "gpt2"
    vocabulary = {t: i for i, t in enumerate(tokens) if types[i] not in ((3, 4, 5) if plain else (3, 5))}
    if plain:
        pre = fields["tokenizer.ggml.pre"].contents()
        merges = [tuple(m.split(" ", 1)) for m in strings("tokenizer.ggml.merges")]
        tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=pre == "llama-bpe"))
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(SPLITS[pre] + ([] if pre == "smollm" else PLAIN))
        if pre == "qwen2":
            tokenizer.normalizer = normalizers.NFC()
        return tokenizer
    # SentencePiece as merges: every cut of a piece into two pieces, the best piece first, as the published files do it.
    scores = fields["tokenizer.ggml.scores"].contents()
    merges = []
    for piece, i in vocabulary.items():
        cuts = [(piece[:k], piece[k:]) for k in range(1, len(piece))]
        cuts = [(a, b) for a, b in cuts if a in vocabulary and b in vocabulary]
        if types[i] == 1:
            merges += [(-scores[i], i, vocabulary[a], vocabulary[b], a, b) for a, b in cuts]
    merges.sort()
    tokenizer = Tokenizer(models.BPE(vocabulary, [m[4:] for m in merges], unk_token="<unk>", fuse_unk=True,
                                     byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.add_tokens([AddedToken(t, normalized=False) for t, k in zip(tokens, types) if k == 4])
    return tokenizer


def rows(name, values, end=","):
    print(f'"{name}": [')
    print(",\n".join(json.dumps(v, separators=(",", ":")) for v in values))
    print("]" + end)


def main():
    rng = random.Random(SEED)
    hf = normalizers.NFC()
    texts = [t for t in random_texts(rng, 150) if hf.normalize_str(t) == U.normalize("NFC", t)]
    print("{")
    rows("texts", [t.encode().hex() for t in texts])
    rows("nfc", [U.normalize("NFC", t).encode().hex() for t in texts])
    print('"splits": {')
    for i, (name, stages) in enumerate(SPLITS.items()):
        rows(name, [byte_lengths(t, stages) for t in texts], "," if i + 1 < len(SPLITS) else "")
    print('},\n"tokens": {')
    for i, argument in enumerate(sys.argv[1:]):
        name, path = argument.split("=", 1)
        tokenizer = tokenizer_of(path)
        rows(name, [tokenizer.encode(t, add_special_tokens=False).ids for t in texts[:60]],
             "," if i + 2 < len(sys.argv) else "")
    print("}}")


main()
