#!/usr/bin/env python3
"""Builds the kernels of shaders/kernels.txt into one generated table.

For each line (see the comment at the top of kernels.txt) it runs glslc, reads bindings, access, parameter size and
workgroup size from the SPIR-V, checks the limits of runtime/gpu/gpu.h, and writes kernels.gen.h and kernels.gen.c into
the output folder. With --wgsl the table has no SPIR-V; kernels.gen.mjs carries the WGSL instead, and kernels_common.gen.mjs,
kernels_subgroups.gen.mjs and kernels_dot.gen.mjs the same in parts, for pages that load what their device runs.

Results are cached by content (source, includes, defines, tools), so adding a kernel compiles only that kernel: in the
output folder, or in the folder named by SX_KERNEL_CACHE in the environment, which several builds may share.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

import spirv

FEATURES = {"subgroup_shuffle": 0, "subgroup_arithmetic": 1, "fp16": 2, "int_dot": 3, "cooperative_matrix": 4}
MAX_BINDINGS, MAX_PARAMETERS, MAX_INVOCATIONS, MAX_SHARED = 7, 256, 256, 16 * 1024
SHARES = ("common", "subgroups", "dot")  # of the WGSL
CACHE_VERSION = "3"  # raise when what is cached changes its meaning
LIST = re.compile(r"\{([^{}]*)\}")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


class Kernel:
    def __init__(self, name, source, defines, needs, spirv_version, where):
        self.name, self.source, self.defines = name, source, defines
        self.needs, self.spirv_version, self.where = needs, spirv_version, where
        self.reflection, self.words, self.wgsl, self.skipped = None, b"", None, None

    def features(self):
        return sum(1 << FEATURES[need] for need in self.needs)


def fail(message):
    print("kernels.py: " + message, file=sys.stderr)
    sys.exit(1)


def expand_line(text, where):
    """All combinations of the {a,b} lists of a line; {tag:a,b} lists of one tag advance together, {tag} repeats it."""
    tags, order = {}, []

    def collect(match):
        body = match.group(1)
        tag, values = None, body
        if ":" in body:
            tag, values = body.split(":", 1)
        elif "," not in body:
            if body not in tags:
                fail("%s: {%s} repeats a list that the line has not named yet" % (where, body))
            return "\0%d\0" % order.index((body, tags[body][0]))
        values = values.split(",")
        if tag is not None:
            if tag not in tags:
                tags[tag] = []
                tags[tag].append(values)
                order.append((tag, values))
                return "\0%d\0" % (len(order) - 1)
            if len(values) != len(tags[tag][0]):
                fail("%s: lists of tag '%s' differ in length" % (where, tag))
            tags[tag].append(values)
        order.append((tag, values))
        return "\0%d\0" % (len(order) - 1)

    template = LIST.sub(collect, text)
    axes = []  # (tag or None, length)
    axis_of = []
    for tag, values in order:
        known = [index for index, axis in enumerate(axes) if tag is not None and axis[0] == tag]
        if known:
            axis_of.append(known[0])
        else:
            axes.append((tag, len(values)))
            axis_of.append(len(axes) - 1)
    total = 1
    for axis in axes:
        total *= axis[1]
    for number in range(total):
        indices, rest = [0] * len(axes), number
        for axis in reversed(range(len(axes))):
            indices[axis], rest = rest % axes[axis][1], rest // axes[axis][1]
        yield re.sub("\0(\\d+)\0", lambda m: order[int(m.group(1))][1][indices[axis_of[int(m.group(1))]]], template)


def parse_list(path):
    kernels, names = [], {}
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.split("#", 1)[0].strip()
            if not line:
                continue
            where = "%s:%d" % (os.path.basename(path), number)
            for text in expand_line(line, where):
                fields = text.split()
                if len(fields) < 2 or not re.fullmatch(r"[a-z][a-z0-9_]*", fields[0]):
                    fail("%s: expected 'name source.comp ...', got '%s'" % (where, text))
                needs, defines, spirv_version = [], [], None
                for field in fields[2:]:
                    if field.startswith("needs:"):
                        needs = field[6:].split(",")
                    elif field.startswith("spirv:"):
                        spirv_version = field[6:]
                    else:
                        defines.append(field)
                for need in needs:
                    if need not in FEATURES:
                        fail("%s: unknown feature '%s' (known: %s)" % (where, need, ", ".join(FEATURES)))
                if fields[0] in names:
                    fail("%s: kernel '%s' is already in %s" % (where, fields[0], names[fields[0]]))
                names[fields[0]] = where
                kernels.append(Kernel(fields[0], fields[1], defines, needs, spirv_version, where))
    return kernels


class Builder:
    def __init__(self, arguments):
        self.shaders, self.runtime, self.out = arguments.shaders, arguments.runtime, arguments.out
        self.cache = os.path.abspath(os.environ.get("SX_KERNEL_CACHE") or os.path.join(arguments.out, "cache"))
        os.makedirs(self.cache, exist_ok=True)
        os.makedirs(self.out, exist_ok=True)
        self.glslc, self.wgsl = arguments.glslc, arguments.wgsl
        self.optimiser, self.validator = shutil.which("spirv-opt"), shutil.which("spirv-val")
        self.naga = find_naga(arguments.node_modules) if arguments.wgsl else None
        self.versions = CACHE_VERSION + version_of(self.glslc) + version_of(self.optimiser) + str(bool(self.validator))
        self.versions += hash_of(spirv.__file__)
        self.texts = {}

    def text_with_includes(self, path, seen):
        """The text of a file and of everything it includes, for the cache key."""
        if path in seen:
            return ""
        seen.add(path)
        if path not in self.texts:
            with open(path, encoding="utf-8") as file:
                self.texts[path] = file.read()
        text = self.texts[path]
        for name in INCLUDE.findall(text):
            for folder in (os.path.dirname(path), self.shaders, self.runtime):
                candidate = os.path.normpath(os.path.join(folder, name))
                if os.path.exists(candidate):
                    text += self.text_with_includes(candidate, seen)
                    break
        return text

    def key(self, kernel, path):
        text = self.text_with_includes(path, set())
        content = json.dumps([self.versions, text, kernel.defines, kernel.spirv_version])
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def build(self, kernel):
        """Compiles one kernel or takes it from the cache. Returns an error text or None."""
        path = os.path.join(self.shaders, kernel.source)
        if not os.path.exists(path):
            return "%s: %s: no such file %s" % (kernel.where, kernel.name, path)
        base = os.path.join(self.cache, self.key(kernel, path))
        error = None if os.path.exists(base + ".json") else self.compile(kernel, path, base)
        if error:
            if not kernel.needs:
                return "%s: %s: %s" % (kernel.where, kernel.name, error)
            kernel.skipped = error
            return None
        with open(base + ".json", encoding="utf-8") as file:
            kernel.reflection = json.load(file)
        with open(base + ".spv", "rb") as file:
            kernel.words = file.read()
        kernel.base = base
        return None

    def compile(self, kernel, path, base):
        with tempfile.TemporaryDirectory(dir=self.cache) as folder:
            plain = os.path.join(folder, "plain.spv")
            command = [self.glslc, "-O0", "--target-env=vulkan1.1", "-fshader-stage=compute", "-I", self.shaders, "-I",
                       self.runtime, "-o", plain]
            if kernel.spirv_version:
                command.append("--target-spv=spv" + kernel.spirv_version)
            result = run(command + ["-D" + define for define in kernel.defines] + [path])
            if result:
                return result
            with open(plain, "rb") as file:
                data = file.read()
            try:
                reflection = spirv.reflect(data)
            except (ValueError, KeyError, IndexError) as problem:
                return "cannot be reflected: %s" % problem
            error = check_limits(kernel, reflection)
            if error:
                return error
            final = self.optimise(kernel, plain, os.path.join(folder, "small.spv"))
            with open(os.path.join(folder, "json"), "w", encoding="utf-8") as file:
                json.dump(reflection, file)
            if final == plain:
                final = shutil.copy(plain, os.path.join(folder, "same.spv"))
            os.replace(plain, base + ".plain.spv")
            os.replace(final, base + ".spv")
            os.replace(os.path.join(folder, "json"), base + ".json")  # last: its presence says that all is there
        return None

    def optimise(self, kernel, plain, small):
        """spirv-opt makes drivers' compilers faster; what it breaks, or where it is missing, goes unoptimised."""
        environment = {None: "vulkan1.1", "1.3": "vulkan1.1"}.get(kernel.spirv_version, "vulkan1.3")
        if not self.optimiser or run([self.optimiser, "--target-env=" + environment, "-O", plain, "-o", small]):
            return plain
        if self.validator and run([self.validator, "--target-env", environment, small]):
            return plain
        return small

    def translate(self, kernels):
        """WGSL for every kernel, by one naga process for all that are not cached."""
        wanted = []
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "wgsl.mjs"), "rb") as file:
            version = hashlib.sha256(file.read()).hexdigest()[:8]
        for kernel in kernels:
            if kernel.skipped is None:
                kernel.wgsl_path = "%s.%s.wgsl" % (kernel.base, version)
                if not os.path.exists(kernel.wgsl_path):
                    wanted.append(kernel)
        if wanted:
            self.run_naga(wanted)
        for kernel in kernels:
            if kernel.skipped is not None:
                continue
            if not os.path.exists(kernel.wgsl_path):
                with open(kernel.wgsl_path + ".error", encoding="utf-8") as file:
                    problem = file.read().strip()
                if not kernel.needs:
                    fail("%s: %s: no WGSL: %s" % (kernel.where, kernel.name, problem))
                kernel.skipped = "no WGSL: " + problem
                continue
            with open(kernel.wgsl_path, encoding="utf-8") as file:
                kernel.wgsl = file.read()
            kernel.parts = list(wgsl_parts(kernel.wgsl))

    def run_naga(self, kernels):
        jobs = [{"spirv": kernel.base + ".plain.spv", "wgsl": kernel.wgsl_path,
                 "readOnly": [int(binding) for binding, read_only in kernel.reflection["storage"].items() if read_only]}
                for kernel in kernels]
        with tempfile.TemporaryDirectory(dir=self.cache) as folder:
            path = os.path.join(folder, "jobs.json")
            with open(path, "w", encoding="utf-8") as file:
                json.dump(jobs, file)
            script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "wgsl.mjs")
            result = run(["node", script, self.naga, path])
            if result:
                fail("naga: " + result)


def find_naga(folders):
    for folder in folders:
        path = os.path.join(folder, "naga-wasm", "dist", "node.js")
        if os.path.exists(path):
            return os.path.abspath(path)
    fail("WGSL needs the npm package naga-wasm; not found in: %s" % ", ".join(folders))
    return None


def version_of(tool):
    return tool + str(run_output([tool, "--version"])) if tool else "none"


def hash_of(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def run_output(command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False).stdout


def run(command):
    """None when the command succeeds, else what it printed."""
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    except OSError as problem:
        return "%s cannot be run (%s); install it" % (command[0], problem.strerror)
    return None if result.returncode == 0 else result.stdout.decode("utf-8", "replace").strip() or "failed"


def check_limits(kernel, reflection):
    x, y, z = reflection["workgroup_size"]
    if reflection["push_constants"]:
        return "push constants are not part of the contract; use the uniform block at binding 0"
    if "0" in reflection["storage"]:
        return "binding 0 is for the uniform block of parameters"
    if reflection["bindings"] > MAX_BINDINGS:
        return "binding %d; at most %d storage buffers" % (reflection["bindings"], MAX_BINDINGS)
    if reflection["parameter_size"] > MAX_PARAMETERS:
        return "%d bytes of parameters; at most %d" % (reflection["parameter_size"], MAX_PARAMETERS)
    if x * y * z > MAX_INVOCATIONS and "cooperative_matrix" not in kernel.needs:
        return "%d invocations in a workgroup; at most %d" % (x * y * z, MAX_INVOCATIONS)
    if reflection["shared_size"] > MAX_SHARED and "cooperative_matrix" not in kernel.needs:
        return "%d bytes of shared memory; at most %d" % (reflection["shared_size"], MAX_SHARED)
    return None


def write_if_changed(path, text):
    try:
        with open(path, encoding="utf-8") as file:
            if file.read() == text:
                os.utime(path)
                return
    except OSError:
        pass
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(path + ".new", path)


def write_header(path, kernels):
    lines = ["// Generated by tools/kernels.py from shaders/kernels.txt.", "#ifndef SX_KERNELS_GEN_H",
             "#define SX_KERNELS_GEN_H", "", "enum {"]
    lines += ["    SX_KERNEL_%s = %d," % (kernel.name.upper(), index) for index, kernel in enumerate(kernels)]
    lines += ["    SX_KERNEL_COUNT = %d" % len(kernels), "};", "", "#endif", ""]
    write_if_changed(path, "\n".join(lines))


def write_words(kernel, index, lines):
    data = kernel.words
    words = ["0x%x" % int.from_bytes(data[at:at + 4], "little") for at in range(0, len(data), 4)]
    lines.append("static const uint32_t words_%d[] = { // %s" % (index, kernel.name))
    lines += ["    " + ",".join(words[at:at + 24]) + "," for at in range(0, len(words), 24)]
    lines.append("};")


def write_table(path, kernels, with_words):
    lines = ["// Generated by tools/kernels.py from shaders/kernels.txt.", '#include "gpu/kernel_table.h"', "",
             "#include <stddef.h>", ""]
    first_use = {}  # kernels whose code is the same share it
    for index, kernel in enumerate(kernels):
        if with_words and kernel.words and kernel.skipped is None and kernel.words not in first_use:
            first_use[kernel.words] = index
            write_words(kernel, index, lines)
    lines += ["", "const gpu_kernel_entry gpu_kernel_table[] = {"]
    nothing = {"workgroup_size": (1, 1, 1), "parameter_size": 0, "bindings": 0, "written": 0}
    for kernel in kernels:
        reflection = kernel.reflection or nothing
        words = "words_%d" % first_use[kernel.words] if kernel.words in first_use and kernel.skipped is None else "NULL"
        size = len(kernel.words) if words != "NULL" else 0
        lines.append('    {"%s", %s, %d, %d, %d, 0x%x, {%d, %d, %d}, 0x%x, %s},' % (
            kernel.name, words, size, reflection["parameter_size"], reflection["bindings"], reflection["written"],
            *reflection["workgroup_size"], kernel.features(), "false" if kernel.skipped is not None else "true"))
    lines += ["};", "const uint32_t gpu_kernel_count = %d;" % len(kernels), ""]
    write_if_changed(path, "\n".join(lines))


def wgsl_parts(text):
    """The declarations of a kernel, without indentation and with naga's numbered values counted from 0 in each, so that
    what kernels share comes out the same."""
    for part in re.split(r"\n\n+(?=\S)", text.strip()):
        numbers = {}
        part = re.sub(r"\b_e\d+\b", lambda match: numbers.setdefault(match.group(0), "_e%d" % len(numbers)), part)
        yield re.sub(r"^ +| +$", "", re.sub(r"\n\n+", "\n", part), flags=re.M)


def share_of(kernel):
    """The part of the WGSL that a kernel is in."""
    if "int_dot" in kernel.needs:
        return "dot"
    return "subgroups" if any(need.startswith("subgroup") for need in kernel.needs) else "common"


def write_module(path, kernels, shares=SHARES):
    """Variants share most of their functions, and further apart than gzip looks: each is written once, and a kernel is
    a list of their numbers. That halves what a browser downloads."""
    parts = {}
    entries = [None if kernel.wgsl is None or share_of(kernel) not in shares else
               [parts.setdefault(part, len(parts)) for part in kernel.parts] for kernel in kernels]
    text = ["// Generated by tools/kernels.py from shaders/kernels.txt: WGSL by kernel number, null where it has none.",
            "const parts = ["] + ["%s," % json.dumps(part) for part in parts] + ["];"]
    text += ["export const kernels = %s" % json.dumps(entries, separators=(",", ":")),
             "    .map((list) => list && list.map((part) => parts[part]).join(\"\\n\"));",
             "export const names = %s;" % json.dumps([kernel.name for kernel in kernels]), ""]
    write_if_changed(path, "\n".join(text))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--out", required=True, help="output folder")
    parser.add_argument("--shaders", default=os.path.join(root, "shaders"))
    parser.add_argument("--runtime", default=os.path.join(root, "runtime"))
    parser.add_argument("--glslc", default=shutil.which("glslc") or "glslc")
    parser.add_argument("--wgsl", action="store_true", help="write WGSL for WebGPU instead of SPIR-V")
    parser.add_argument("--node-modules", action="append", default=[], help="where naga-wasm is installed")
    parser.add_argument("--only", help="compile and report only the kernels whose name contains this; writes nothing")
    arguments = parser.parse_args()
    kernels = parse_list(os.path.join(arguments.shaders, "kernels.txt"))
    if arguments.wgsl:
        for kernel in kernels:
            if "int_dot" in kernel.needs:
                kernel.defines.append("WGSL=1")
    if arguments.only:
        kernels = [kernel for kernel in kernels if arguments.only in kernel.name]
    builder = Builder(arguments)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        errors = [error for error in pool.map(builder.build, kernels) if error]
    if errors:
        fail("\n".join(errors[:20]))
    if arguments.wgsl:
        builder.translate(kernels)
    skipped = [kernel for kernel in kernels if kernel.skipped is not None]
    if skipped:
        print("kernels.py: %d optional kernels that these tools cannot build are left out: %s"
              % (len(skipped), ", ".join(kernel.name for kernel in skipped)))
        for reason in sorted({kernel.skipped.splitlines()[0][:160] for kernel in skipped}):
            print("  " + reason)
    if arguments.only:
        for kernel in kernels:
            print(kernel.name, kernel.reflection)
        return
    write_header(os.path.join(arguments.out, "kernels.gen.h"), kernels)
    if arguments.wgsl:
        write_module(os.path.join(arguments.out, "kernels.gen.mjs"), kernels)
        for share in SHARES:
            write_module(os.path.join(arguments.out, "kernels_%s.gen.mjs" % share), kernels, (share,))
    write_table(os.path.join(arguments.out, "kernels.gen.c"), kernels, not arguments.wgsl)


if __name__ == "__main__":
    main()
