"""Golden values of a published model from Hugging Face transformers, which loads the same GGUF file dequantised.

    python3 tools/golden_published.py MODEL.gguf OUT.json [TEMPLATE.jinja]

For ten prompts: the tokens of the prompt in the model's chat template, the greedy continuation of 32 tokens, how far the
second choice was behind at each step (nats), and the eight best logits after the prompt. Where the second choice is
closer than the test's tolerance either counts. For a few conversations: what the file's own Jinja template makes of
them; TEMPLATE.jinja stands in where a file carries none (Gemma 3 270M: the published template of gemma-3-27b-it).
Needs: pip install torch transformers gguf
"""
import json
import os
import sys

import torch
import transformers

PROMPTS = [
    "Hello!",
    "What is the capital of France?",
    "Name three colours.",
    "Write one sentence about the sea.",
    "What is 2 + 2?",
    "Translate 'good morning' into Spanish.",
    "Who wrote Hamlet?",
    "List two uses of iron.",
    "Why is the sky blue?",
    "Finish the line: Roses are red,",
]
CONVERSATIONS = [
    [("user", "Hi")],
    [("system", "Be brief."), ("user", "Hi")],
    [("user", "Name a colour."), ("assistant", "Blue."), ("user", "And another? \u4f60\u597d \U0001f642\n\n- one\n")],
    [("system", "Rhyme."), ("user", "A"), ("assistant", "B\n"), ("user", "C"), ("assistant", "D"), ("user", "E")],
]
STEPS = 32


def continuation(model, tokens):
    """Greedy tokens, the margins to the runner-up, and the best logits after the prompt."""
    greedy, margins, best = [], [], None
    with torch.no_grad():
        output = model(torch.tensor([tokens]), use_cache=True)
        for _ in range(STEPS):
            logits = output.logits[0, -1].float()
            top = torch.topk(logits, 8)
            if best is None:
                best = {"ids": top.indices.tolist(), "logits": [round(v, 5) for v in top.values.tolist()]}
            greedy.append(top.indices[0].item())
            margins.append(round((top.values[0] - top.values[1]).item(), 5))
            output = model(torch.tensor([[greedy[-1]]]), past_key_values=output.past_key_values, use_cache=True)
    return greedy, margins, best


def main():
    path, out = sys.argv[1], sys.argv[2]
    folder, file = os.path.split(os.path.abspath(path))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, gguf_file=file)
    if len(sys.argv) > 3:
        with open(sys.argv[3], encoding="utf-8") as stream:
            tokenizer.chat_template = stream.read()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=file, dtype=torch.float32).eval()

    def render(*turns):
        messages = [{"role": role, "content": content} for role, content in turns]
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)

    rows = []
    for prompt in PROMPTS:
        tokens = tokenizer(render(("user", prompt)), add_special_tokens=False)["input_ids"]
        greedy, margins, best = continuation(model, tokens)
        rows.append({"prompt": prompt, "tokens": tokens, "greedy": greedy, "margins": margins, "best": best})
        print(prompt, "->", tokenizer.decode(greedy))
    conversations = [{"turns": turns, "text": render(*turns)} for turns in CONVERSATIONS]
    with open(out, "w", encoding="utf-8") as stream:
        json.dump({"model": os.path.basename(path), "transformers": transformers.__version__, "rows": rows,
                   "conversations": conversations}, stream)
        stream.write("\n")


if __name__ == "__main__":
    main()
