#!/usr/bin/env python3
"""The tables of RESULTS.md, as Markdown on standard output.

    bench.py bundled [--limit N] [--modes LIST]    the bundled model on held-out problems, all modes in one run
    bench.py published NAME... [--prefill N] [--decode N] [--draft PATH]
                                                   prefill, decode, bandwidth, load times and memory of models that
                                                   tools/models.sh fetched, or of GGUF files given by path, such as those
                                                   of tools/random_model.py

Uses build/release (or --build FOLDER) and the driver that the environment names (VK_ICD_FILENAMES).
"""
import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
HELD_OUT = os.path.join(ROOT, "tools", "demo_model", "heldout.jsonl")
MODES = "plain,speculative,specexit,first,budget=40,budget=60,budget=80,budget=120,margin=-1,margin=-3,margin=-6"


def program(options, name):
    return os.path.join(options.build, "bin", name)


def json_lines(options, *arguments, env=None):
    done = subprocess.run([program(options, "specexit"), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          env=env, text=True, check=False)
    if done.returncode != 0:
        sys.exit("bench: specexit %s failed" % " ".join(arguments))
    return [json.loads(line) for line in done.stdout.splitlines()]


def processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            names = [line.split(":", 1)[1].strip() for line in info if line.startswith("model name")]
        return "%s, %d threads" % (names[0], len(names))
    except (OSError, IndexError):
        return platform.machine()


def heading(options):
    device = json_lines(options, "devices", "--json")[0]
    version = subprocess.run([program(options, "specexit"), "--version"], stdout=subprocess.PIPE, text=True, check=True)
    print("%s; %s; %s; %s, load %.1f at the start; %s\n" % (
        datetime.date.today(), device["name"], device["driver"], processor(), os.getloadavg()[0], version.stdout.strip()))


def bundled(options):
    heading(options)
    arguments = ["compare", "--json", "--prompts", HELD_OUT, "--modes", options.modes]
    if options.limit:
        arguments += ["--limit", str(options.limit)]
    rows = json_lines(options, *arguments)
    base = next((row for row in rows if row["mode"] == "speculative"), rows[0])
    print("`specexit %s`, %d problems\n" % (" ".join(a if a != HELD_OUT else "heldout.jsonl" for a in arguments),
                                             base["problems"]))
    print("| mode | accuracy | thinking tokens | fewer | tokens per cycle | seconds | faster | submits, readbacks, bytes "
          "per cycle |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        cycles = max(row["cycles"], 1)
        print("| %s | %.1f %% | %d | %.1f %% | %.2f | %.1f | %.2f x | %.2f, %.2f, %.0f |" % (
            row["mode"], 100 * row["accuracy"], row["thinking_tokens"],
            100 * (1 - row["thinking_tokens"] / max(base["thinking_tokens"], 1)), row["acceptance_length"], row["seconds"],
            base["seconds"] / row["seconds"], row["submits"] / cycles, row["readbacks"] / cycles,
            row["readback_bytes"] / cycles))


def copy_bandwidth(options):
    done = subprocess.run([program(options, "gpu_bench")], stdout=subprocess.PIPE, text=True, check=False)
    for line in done.stdout.splitlines():
        if line.startswith("copy_bandwidth "):
            return float(line.split()[1])
    return float("nan")


def peak_anonymous(options, arguments, env):
    """Runs the program and watches RssAnon; megabytes, by samples 10 ms apart."""
    process = subprocess.Popen([program(options, "specexit"), *arguments], stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, env=env)
    peak = 0

    def watch():
        nonlocal peak
        while process.poll() is None:
            try:
                with open("/proc/%d/status" % process.pid, encoding="utf-8") as status:
                    for line in status:
                        if line.startswith("RssAnon:"):
                            peak = max(peak, int(line.split()[1]))
            except (OSError, ValueError):
                return
            time.sleep(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    process.wait()
    watcher.join()
    return peak / 1000


def model_path(name):
    if os.path.exists(name):
        return name
    found = subprocess.run(["sh", os.path.join(ROOT, "tools", "models.sh"), "path", name], stdout=subprocess.PIPE,
                           text=True, check=False)
    if found.returncode != 0:
        sys.exit(1)
    return found.stdout.strip()


def published(options):
    heading(options)
    bandwidth = copy_bandwidth(options)
    print("load %.1f after measuring the copy\n" % os.getloadavg()[0], flush=True)
    print("| model | prefill %d, tokens/s | decode %d, tokens/s | weights GB/s | copy GB/s | load cold, warm, s | "
          "peak RssAnon, estimate, file MB |" % (options.prefill, options.decode))
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name in options.name:
        path = model_path(name)
        with tempfile.TemporaryDirectory() as cache:
            env = dict(os.environ, XDG_CACHE_HOME=cache)
            context = str(max(256, options.prefill + options.decode + 8))
            load = ["--json", "-m", path, "--context", context] + (["-d", options.draft] if options.draft else [])
            cold = json_lines(options, "info", *load, env=env)[0]
            warm = json_lines(options, "info", *load, env=env)[0]
            estimate = json_lines(options, "info", "--estimate", *load, env=env)[0]
            # Ids that every vocabulary has and that are no markers; what they mean does not matter here.
            ids = ",".join(str(300 + i * 7 % 256) for i in range(options.prefill))
            run = ["run", *load, "--tokens", ids, "-n", str(options.decode), "--drafting", "none", "-p", "none",
                   "--no-loop-guard"]
            stats = json_lines(options, *run, env=env)[-1]["stats"]
            peak = peak_anonymous(options, run, env)
        tokens = max(stats["tokens"], 1)
        decode = tokens / stats["decode_seconds"]
        # What a token reads: the target's matrices. The output head counts once where it is tied to the embeddings.
        size = sum(os.path.getsize(file) for file in [path] + ([options.draft] if options.draft else []))
        print("| %s | %.1f | %.1f | %.2f | %.2f | %.1f, %.1f | %.0f, %.0f, %.0f |" % (
            os.path.basename(name), options.prefill / stats["prefill_seconds"], decode,
            decode * os.path.getsize(path) / 1e9, bandwidth, cold["load_seconds"], warm["load_seconds"], peak,
            (estimate["weight_bytes"] + estimate["session_bytes"]) / 1e6, size / 1e6), flush=True)


def main():
    parser = argparse.ArgumentParser(description="The tables of RESULTS.md.")
    parser.add_argument("--build", default=os.path.join(ROOT, "build", "release"))
    commands = parser.add_subparsers(dest="command", required=True)
    command = commands.add_parser("bundled")
    command.add_argument("--limit", type=int, default=0)
    command.add_argument("--modes", default=MODES)
    command = commands.add_parser("published")
    command.add_argument("name", nargs="+")
    command.add_argument("--prefill", type=int, default=64)
    command.add_argument("--decode", type=int, default=32)
    command.add_argument("--draft")
    options = parser.parse_args()
    bundled(options) if options.command == "bundled" else published(options)


if __name__ == "__main__":
    main()
