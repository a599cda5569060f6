"""Problems of the PyPI package reasoning-gym as JSON lines for `specexit trace`, `eval` and `compare`.

    pip install reasoning-gym
    python3 tools/reasoning_gym_prompts.py KIND[:SETTING=VALUE,...]... --count 50 --seed 1 > problems.jsonl
    specexit trace -m model.gguf --think prefill --prompts problems.jsonl -o problems.trace

Kinds are reasoning_gym's data sets (chain_sum, coin_flip, leg_counting, ...), with settings of their configurations, taken in
turn. Where our own checkers can tell (a number, one capital letter, a word) that is enough. For all others, each line says
which data set it is of, and reasoning_gym's own scores decide:

    specexit eval ... --check-command "python3 tools/reasoning_gym_prompts.py --score problems.jsonl"
"""
import argparse
import json
import os
import sys

APART = 1000003  # reasoning_gym seeds problem i of a set with seed + i


def parse(text):
    """chain_sum:min_terms=2,max_terms=3 as (name, settings)."""
    name, _, rest = text.partition(":")
    settings = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            sys.exit(f"{text}: settings look like min_terms=2, not {item}")
        settings[key] = json.loads(value) if value[:1] in "-0123456789tfn[{" else value
    return name, settings


def make(arguments):
    import reasoning_gym
    sets, seed = [], arguments.seed * APART
    for text in arguments.kinds:
        name, settings = parse(text)
        sets.append((name, settings, reasoning_gym.create_dataset(name, size=8 * arguments.count, seed=seed, **settings)))
    seen, made = set(), 0
    for i in range(8 * arguments.count):
        for name, settings, data in sets:
            entry = data[i]
            if made == arguments.count or entry["question"] in seen:
                continue
            seen.add(entry["question"])
            made += 1
            print(json.dumps({"prompt": entry["question"] + arguments.suffix, "answer": str(entry["answer"]), "kind": name,
                              "settings": settings, "seed": seed, "size": 8 * arguments.count, "index": i}))
    if made < arguments.count:
        sys.exit(f"only {made} different problems of these kinds; widen their settings")


def score(arguments):
    """Exit code 0 when reasoning_gym gives the answer on standard input its full score."""
    import reasoning_gym
    with open(arguments.score, encoding="utf-8") as file:
        for line in file:
            problem = json.loads(line)
            if problem["prompt"] != os.environ.get("SPECEXIT_PROMPT"):
                continue
            data = reasoning_gym.create_dataset(problem["kind"], size=problem["size"], seed=problem["seed"], **problem["settings"])
            return 0 if data.score_answer(sys.stdin.read().strip(), data[problem["index"]]) >= 1 else 1
    print(f"{arguments.score}: holds no such prompt", file=sys.stderr)
    return 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kinds", nargs="*", metavar="KIND[:SETTING=VALUE,...]")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suffix", default="", help="put behind every question, such as ' Answer with the number alone.'")
    parser.add_argument("--score", metavar="FILE", help="check one answer against the problems of FILE")
    arguments = parser.parse_args()
    if arguments.score:
        sys.exit(score(arguments))
    if not arguments.kinds:
        parser.error("a kind is needed, such as chain_sum")
    make(arguments)


if __name__ == "__main__":
    main()
