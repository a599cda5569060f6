"""Byte-level BPE with the qwen2 pre-tokenizer, trained on the generator's own text, and the chat form."""
import json
import random
import sys
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

import problems as P

HERE = Path(__file__).parent
FILE = HERE / "tokenizer.json"
VOCAB = 640
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
         r"\s+(?!\S)|\s+")


def corpus(rng, count):
    for _ in range(count):
        p = P.problem(rng)
        yield p.prompt
        yield "".join(x.text for x in P.thinking(p))
        yield "\n\nThe answer is 24."
        yield "user\nassistant\nsystem\n"
        if rng.random() < 0.3:
            yield P.foreign(rng)
            yield P.FOREIGN_THINKING + "\n\n" + P.FOREIGN_ANSWER
            yield "You are a helpful assistant.\n\n"


def train():
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.NFC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(QWEN2), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tok.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - len(SPECIALS), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tok.train_from_iterator(corpus(random.Random(1), 6000), trainer)
    data = json.loads(tok.to_str())
    vocab = data["model"]["vocab"]
    names = sorted(vocab, key=vocab.get)
    pad = [f"<|unused_{i}|>" for i in range(VOCAB - len(SPECIALS) - len(names))]
    tok.add_special_tokens(pad + SPECIALS)
    tok.save(str(FILE))
    return tok


class Chat:
    """Encodes prompts and thinking exactly as the chat template renders them."""

    def __init__(self, path=FILE):
        self.tok = Tokenizer.from_file(str(path))
        one = lambda s: self.tok.token_to_id(s)
        self.pad, self.start, self.end, self.think, self.close = (one(s) for s in SPECIALS)
        self.newline = self.encode("\n")
        self.gap = self.encode("\n\n")[0]
        self.head = [self.start] + self.encode("user\n")
        self.tail = [self.end] + self.newline + [self.start] + self.encode("assistant\n")
        self.open = [self.think] + self.newline
        self.cache = {}
        size = self.tok.get_vocab_size()
        self.texts = [self.tok.decode([i], skip_special_tokens=False) for i in range(size)]
        self.splits = [t.endswith("\n\n") for t in self.texts]

    def encode(self, text):
        return self.tok.encode(text, add_special_tokens=False).ids

    def piece(self, text):
        ids = self.cache.get(text)
        if ids is None:
            ids = self.encode(text)
            if len(self.cache) < 200000:
                self.cache[text] = ids
        return ids

    def prompt(self, text):
        return self.head + self.encode(text) + self.tail

    def reply(self, value):
        return [self.gap] + self.piece(f"The answer is {value}.") + [self.end]

    def decode(self, ids):
        return self.tok.decode(ids, skip_special_tokens=False)


def render(text):
    return f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"


if __name__ == "__main__":
    train()
    chat = Chat()
    rng = random.Random(5)
    for _ in range(3000):
        p = P.problem(rng)
        parts = [x.text for x in P.thinking(p)]
        assert sum((chat.encode(x) for x in parts), []) == chat.encode("".join(parts))
        assert chat.encode(render(p.prompt)) == chat.prompt(p.prompt)
    assert chat.encode("\n\nThe answer is 24.") == [chat.gap] + chat.encode("The answer is 24.")
    assert all(len(chat.encode(s)) == 1 for s in ["\n\n", ".\n\n", "Check", "Hmm", "Wait", " Yes", "So"]), "not one token"
    print(chat.tok.get_vocab_size(), [chat.texts[i] for i in chat.prompt(p.prompt)], file=sys.stderr)
    print([chat.texts[i] for i in chat.encode(parts[-1])], file=sys.stderr)
