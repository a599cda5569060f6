#!/usr/bin/env python3
"""Holds the table of who may include whom: `check_layers.py [ROOT]` lists every include that breaks it.

A layer is a folder of runtime/, a front end, or web/. Quoted includes are resolved as the compiler does (the including
file's folder, then runtime/, frontends/, shaders/ and the generated kernel table); angle brackets matter only for the headers of
GPU, window and browser APIs, which one folder each may see.
"""
import os
import re
import sys

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>)', re.M)
CONDITION = re.compile(r"^[ \t]*#[ \t]*(?:if|ifdef|ifndef|elif)\b[^\n]*\bSX_GPU_HAVE_\w+", re.M)

KERNELS, SHARED = "kernels.gen.h", "shaders/shared.h"
GPU_FRONT = {"runtime/gpu/gpu.h", "runtime/gpu/kernel_table.h"}

# Layer -> the layers and single files it may include, besides itself.
ALLOWED = {
    "base": set(),
    "text": {"base"},
    "model": {"base"},
    "gpu": {"base", KERNELS},
    "graph": {"base", "model", KERNELS, SHARED} | GPU_FRONT,
    "engine": {"base", "model", "text", "graph", "signals", "specexit", SHARED} | GPU_FRONT,
    "signals": {"base", "model", "policy", "specexit", SHARED},
    "policy": {"base", SHARED},
    "specexit": {"runtime/base/file.h", "runtime/base/status.h", "runtime/text/message.h"},
    "frontends/common": {"runtime/specexit.h"},
    "web": {"specexit", "frontends/common"},
}
BACKENDS = {"vulkan", "webgpu", "null"}
BACKEND_MAY = {"base", "runtime/gpu/backend.h", KERNELS} | GPU_FRONT

# Headers of a foreign API -> the only folders that may see them.
FOREIGN = [
    (re.compile(r"^(vulkan/|vk_)"), ("runtime/gpu/vulkan/",)),
    (re.compile(r"^(webgpu|dawn)"), ("runtime/gpu/webgpu/",)),
    (re.compile(r"^emscripten"), ("runtime/gpu/webgpu/", "web/")),
    (re.compile(r"^SDL"), ("frontends/chat/",)),
]
# Headers of one system: they belong into one source for each, named *_posix.c and *_windows.c.
SYSTEM = re.compile(r"^(dirent|dlfcn|fcntl|io|langinfo|poll|pthread|pwd|shellapi|signal|termios|unistd|windows)\.h$|^(sys|CoreFoundation)/")
OF_ONE_SYSTEM = ("_posix.c", "_windows.c", "/sanitizer.c")


def layer_of(path):
    """Name of the layer of a file, given by its path below the root; None when it belongs to none."""
    parts = path.split("/")
    if path in ("runtime/specexit.h", "runtime/specexit_signals.h"):
        return "specexit"
    if parts[0] == "runtime" and len(parts) == 3 and parts[1] == "engine" and parts[2].split(".")[0] == "policy":
        return "policy"
    if parts[0] == "runtime" and len(parts) > 3 and parts[1] == "gpu" and parts[2] in BACKENDS:
        return "gpu/" + parts[2]
    if parts[0] == "runtime" and len(parts) > 2:
        return parts[1]
    if parts[0] == "frontends" and len(parts) > 2:
        return "frontends/" + parts[1]
    return "web" if parts[0] == "web" else None


def resolve(root, path, name):
    """The included file below the root, `KERNELS`, or None when it cannot be found."""
    if os.path.basename(name) == KERNELS:
        return KERNELS
    for folder in (os.path.dirname(path), "runtime", "frontends", "shaders"):
        found = os.path.normpath(os.path.join(folder, name))
        if not found.startswith("..") and os.path.exists(os.path.join(root, found)):
            return found.replace(os.sep, "/")
    return None


def may_include(layer, target):
    own = layer_of(target) if target != KERNELS else None
    if target == SHARED:
        own = None
    if layer.startswith("frontends/") and layer != "frontends/common":
        return own in (layer, "frontends/common", "specexit")
    if layer.startswith("gpu/"):
        return own == layer or own in BACKEND_MAY or target in BACKEND_MAY
    allowed = ALLOWED.get(layer)
    if allowed is None:
        return False
    # The policy is part of the engine for those who use it, not for what it may use itself.
    return own == layer or own in allowed or target in allowed or (layer == "engine" and own == "policy")


def check_file(root, path):
    """Sentences about what is wrong with one file."""
    with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
        text = file.read()
    layer, problems = layer_of(path), []
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        quoted, foreign = match.group(1), match.group(2)
        name = quoted or foreign
        for pattern, folders in FOREIGN:
            if pattern.match(name) and not path.startswith(folders):
                problems.append("%s:%d: %s belongs to %s only" % (path, line, name, " and ".join(folders)))
        if SYSTEM.match(name) and not path.endswith(OF_ONE_SYSTEM):
            problems.append("%s:%d: %s belongs into *_posix.c or *_windows.c" % (path, line, name))
        if foreign:
            continue
        target = resolve(root, path, quoted)
        if target is None:
            problems.append("%s:%d: %s cannot be found" % (path, line, quoted))
        elif not may_include(layer, target):
            problems.append("%s:%d: %s may not include %s" % (path, line, layer, target))
    if not path.startswith("runtime/gpu/"):
        for match in CONDITION.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            problems.append("%s:%d: a condition on a backend, above the GPU layer" % (path, line))
    return problems


def sources(root):
    for top in ("runtime", "frontends", "web"):
        for folder, _, names in os.walk(os.path.join(root, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h", ".cpp", ".hpp")):
                    path = os.path.relpath(os.path.join(folder, name), root).replace(os.sep, "/")
                    if layer_of(path):
                        yield path


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    problems, count = [], 0
    for path in sources(root):
        count += 1
        problems += check_file(root, path)
    for problem in problems:
        print(problem)
    print("check_layers: %d files, %d problems" % (count, len(problems)))
    if count == 0:
        sys.exit("check_layers: no sources below %s" % root)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
