#!/usr/bin/env python3
"""Renders conversations with the published Jinja templates and writes tests/golden/templates.json.

    pip install jinja2 gguf
    python3 tools/template_golden.py NAME=FILE ... > tests/golden/templates.json

NAME is a name of sx_template_names(); FILE is a Jinja program, a tokenizer_config.json or a GGUF file that carries one.
The committed file was made from: qwen3 (Qwen3-0.6B), qwq (QwQ-32B), deepseek-r1 (DeepSeek-R1-Distill-Llama-8B for the
cases that think, -Qwen-32B for the others), llama3 (Meta-Llama-3-8B-Instruct), llama3.1 (Llama-3.1-8B-Instruct),
hunyuan (Hunyuan-1.8B-Instruct), gemma3 (gemma-3-27b-it), qwen2.5 (Qwen2.5-7B-Instruct), smollm2
(SmolLM2-135M-Instruct), deepseek-r1-0528 (DeepSeek-V3-0324's, with R1-0528's removal of old thoughts put in). A second file for a name is used for the cases without thinking. Two one-liners, and
qwen3-thinking, which differs from qwen3 in its last lines only, are written down here.

The environment is the one that Hugging Face's apply_chat_template sets up.
"""
import json
import sys

from jinja2.sandbox import ImmutableSandboxedEnvironment

TURN = "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
OPEN = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
BUILT_IN = {
    "chatml": "{% for message in messages %}" + TURN + "{% endfor %}" + OPEN,
    "qwen2": "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
             "{{ '<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n' }}{% endif %}" + TURN +
             "{% endfor %}" + OPEN,
}
BOS = {"deepseek-r1-0528": "<｜begin▁of▁sentence｜>", "deepseek-r1": "<｜begin▁of▁sentence｜>", "llama3": "<|begin_of_text|>", "llama3.1": "<|begin_of_text|>",
       "hunyuan": "<｜hy_begin▁of▁sentence｜>", "gemma3": "<bos>"}
EOS = {"hunyuan": "<｜hy_place▁holder▁no▁2｜>"}
SWITCHES = {"qwen3", "qwq", "deepseek-r1", "hunyuan"}


def turns(*pairs):
    names = {"s": "system", "u": "user", "a": "assistant", "t": "tool"}
    messages = []
    for role, content, *reasoning in pairs:
        message = {"role": names[role], "content": content}
        if reasoning:
            message["reasoning_content"] = reasoning[0]
        messages.append(message)
    return messages


CONVERSATIONS = [
    turns(("u", "What is 2+2?")),
    turns(("s", "Be brief."), ("u", "Hi")),
    turns(("u", "1+1?"), ("a", "<think>\nOne and one.\n\nSo two.\n</think>\n\nTwo."), ("u", "And 2+2?")),
    turns(("s", "S"), ("u", "A"), ("a", "B", "\nold thoughts\n"), ("u", "C"), ("a", "D"), ("u", "E")),
    turns(("u", "Go on"), ("a", "<think>\nhalf a thought\n</think>\n\n\nThe answer"), ),
    turns(("u", "Weather?"), ("a", "I will look.", "Need the tool."), ("t", '{"sky": "blue\t\u00e9\\n"}'),
          ("t", "line 1\nline 2\x01"), ("a", "Blue."), ("u", "Thanks")),
    turns(("u", "Weather?"), ("a", "Looking."), ("t", "rain")),
    turns(("u", "  \n spaces around \u00a0\u3000\n\n"), ("a", "\n\n kept or not \t"), ("u", "\u4f60\u597d \U0001f999 e\u0301")),
    turns(("u", "Print <|im_end|> and </think> and <｜User｜> and <eos>"), ("a", "<|im_end|>"), ("u", "<|eot_id|>")),
    turns(("u", "A"), ("s", "now a pirate"), ("u", "B")),
    turns(("s", ""), ("u", ""), ("a", ""), ("u", "?")),
    turns(("u", "Q"), ("a", "<think>\nx\n</think>\n<answer>\nnew answer\n</answer>"), ("u", "R"), ("a", "<answer>z</answer>")),
    turns(("u", "<tool_response>\nfake\n</tool_response>"), ("a", "one</think>two</think>\n\nthree"), ("u", "ok")),
    turns(("s", "one"), ("u", "A"), ("s", "two"), ("a", "B")),
]


def read_template(path):
    if path.endswith(".gguf"):
        from gguf import GGUFReader
        return GGUFReader(path).fields["tokenizer.chat_template"].contents()
    text = open(path, encoding="utf-8").read()
    return json.loads(text)["chat_template"] if path.endswith(".json") else text


def environment():
    def refuse(message):
        raise ValueError(message)
    env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    env.filters["tojson"] = lambda value, **kw: json.dumps(value, ensure_ascii=False, **kw)
    env.globals["raise_exception"] = refuse
    return env


def main():
    templates = {name: [text] for name, text in BUILT_IN.items()}
    for argument in sys.argv[1:]:
        name, path = argument.split("=", 1)
        templates.setdefault(name, []).append(read_template(path))
    if "qwen3" in templates:
        tail = "{%- if add_generation_prompt %}"
        head = templates["qwen3"][0].rsplit(tail, 1)[0]
        templates["qwen3-thinking"] = [head + tail + "{{- '<|im_start|>assistant\\n<think>\\n' }}{%- endif %}"]
    env = environment()
    cases = []
    for name, texts in sorted(templates.items()):
        for index, messages in enumerate(CONVERSATIONS):
            last = messages[-1]["role"] == "assistant"
            if last and name == "llama3":
                continue  # its first publication opens the assistant's turn whatever is asked
            for generate in ([False] if last else [True]):
                for thinking in ([True, False] if name in SWITCHES and index < 4 else [True]):
                    case = {"template": name, "conversation": index, "generate": generate, "thinking": thinking}
                    program = env.from_string(texts[0 if thinking else -1])
                    try:
                        case["text"] = program.render(messages=messages, add_generation_prompt=generate,
                                                      enable_thinking=thinking, bos_token=BOS.get(name, ""),
                                                      eos_token=EOS.get(name, ""))
                    except ValueError as reason:
                        case["refused"] = str(reason)
                    cases.append(case)
    json.dump({"conversations": CONVERSATIONS, "cases": cases}, sys.stdout, indent=0, ensure_ascii=True)
    print()


main()
