"""What smoothing the signals is worth: frontiers of every smoothing that policies know, replayed over traces without a GPU.

Usage: python3 tools/bench/ablation.py SIGNAL_HEAD TRACE...     (SPECEXIT: the program; build/release/bin/specexit)
The traces are those of `specexit trace`, without --steps-only."""
import json
import os
import subprocess
import sys

LOSSES = (5, 2, 1, 0.5, 0)  # points of accuracy
SMOOTHINGS = [("none", ["--smoothing", "raw"])]
SMOOTHINGS += [(f"EWMA, {a} a token", ["--smoothing", "ewma", "--alpha", str(a)]) for a in (0.0345, 0.1, 0.2, 0.3, 0.5, 0.7)]
SMOOTHINGS += [("mean of 10 tokens", ["--smoothing", "mean"]),
               ("mean within the paragraph", ["--smoothing", "paragraph-mean"]),
               ("momentum", ["--smoothing", "momentum"])]


def calibrate(*options):
    program = os.environ.get("SPECEXIT", "build/release/bin/specexit")
    command = [program, "calibrate", *sys.argv[2:], "--signal-head", sys.argv[1], "--json", *options]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def fewest(frontier, accuracy):
    fitting = [rule["thinking_tokens"] for rule in frontier if rule["accuracy"] >= accuracy - 1e-9]
    return f"{min(fitting):.1f}" if fitting else "-"


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    whole = calibrate()
    full = whole["full_accuracy"]
    print(f"{whole['prompts']} prompts; without exit {100 * full:.1f} %, {whole['full_thinking_tokens']:.1f} tokens\n")
    print("| signals | smoothing | " + " | ".join(f"-{loss} points" for loss in LOSSES) + " |")
    print("| --- | --- |" + " --- |" * len(LOSSES))
    for signals in ("confidence", "progress", "remain", "confidence,progress,remain"):
        for name, options in SMOOTHINGS:
            frontier = calibrate("--signals", signals, *options)["frontier"]
            cells = [fewest(frontier, full - loss / 100) for loss in LOSSES]
            print(f"| {signals.replace(',', ', ')} | {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
