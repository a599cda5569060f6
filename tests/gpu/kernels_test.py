"""The kernel builder: expansion of the list, reflection, the contract's limits, skipping, caching."""
import contextlib
import io
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import kernels  # noqa: E402
import spirv  # noqa: E402

os.environ.pop("SX_KERNEL_CACHE", None)  # tools/test.sh sets it; caches here are the tests' own

HEAD = "#version 450\nlayout(local_size_x = SIZE) in;\n"
GOOD = HEAD + """
layout(binding = 0, std140) uniform P { uint a; float b; uint c; } p;
layout(binding = 1, std430) readonly buffer A { uint a_words[]; };
layout(binding = 2, std430) writeonly buffer B { uint b_words[]; };
layout(binding = 3, std430) readonly buffer C { uint c_words[]; }; // declared, not used
layout(binding = 4, std430) buffer D { float d_first; float d_rest[]; };
shared float tile[100];
void main() { tile[0] = p.b; barrier(); b_words[p.a] = a_words[p.c]; d_rest[0] += tile[0]; }
"""


class Folder:
    """A temporary folder with shaders, a list and an output."""

    def __init__(self, files, lines):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name
        for name, text in files.items():
            self.write(name, text)
        self.write("kernels.txt", lines)

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(os.path.join(self.path, "out", name), encoding="utf-8") as file:
            return file.read()

    def build(self):
        """(exit status, what was printed)"""
        output, status = io.StringIO(), 0
        arguments = sys.argv
        sys.argv = ["kernels.py", "--out", os.path.join(self.path, "out"), "--shaders", self.path, "--runtime", self.path]
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            try:
                kernels.main()
            except SystemExit as exit_:
                status = exit_.code
            finally:
                sys.argv = arguments
        return status, output.getvalue()

    def entry(self, name):
        """The generated table's row of a kernel, from its parameter size on."""
        for line in self.read("kernels.gen.c").splitlines():
            if line.startswith('    {"%s",' % name):
                return line.split(", ", 3)[3]
        return None


class Expansion(unittest.TestCase):
    def expand(self, text):
        return list(kernels.expand_line(text, "here:1"))

    def test_lists_combine(self):
        self.assertEqual(self.expand("k a.comp"), ["k a.comp"])
        self.assertEqual(self.expand("k_{a,b} x M={1,2}"), ["k_a x M=1", "k_a x M=2", "k_b x M=1", "k_b x M=2"])

    def test_tags_advance_together(self):
        self.assertEqual(self.expand("k_{t:a,b} x M={t:1,2} N={t}"), ["k_a x M=1 N=a", "k_b x M=2 N=b"])
        self.assertEqual(self.expand("k_{m:1,2}_{f:u,v} F={f:8,9} M={m}"),
                         ["k_1_u F=8 M=1", "k_1_v F=9 M=1", "k_2_u F=8 M=2", "k_2_v F=9 M=2"])

    def test_mistakes_are_told(self):
        for text in ("k_{t:a,b} M={t:1,2,3}", "k_{never}"):
            with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()):
                self.expand(text)


class Building(unittest.TestCase):
    def test_reflection(self):
        folder = Folder({"good.comp": GOOD}, "# comment\ngood good.comp SIZE=64\nother_{8,16} good.comp SIZE=32\n")
        status, output = folder.build()
        self.assertEqual((status, output), (0, ""))
        self.assertEqual(folder.entry("good"), "12, 4, 0xa, {64, 1, 1}, 0x0, true},")
        header = folder.read("kernels.gen.h")
        self.assertIn("SX_KERNEL_GOOD = 0,", header)
        self.assertIn("SX_KERNEL_OTHER_16 = 2,", header)
        self.assertIn("SX_KERNEL_COUNT = 3", header)
        self.assertEqual(folder.read("kernels.gen.c").count("static const uint32_t words_"), 2)  # equal code is shared

    def test_limits(self):
        block = "layout(binding = %d, std430) buffer B%d { uint w%d[]; };\n"
        cases = {
            "at most 256": HEAD.replace("SIZE", "300") + "void main() {}",
            "bytes of shared memory": HEAD + "shared float tile[5000]; void main() { tile[0] = 1.0; barrier(); }",
            "at most 7 storage": HEAD + block % (8, 8, 8) + "void main() { w8[0] = 1u; }",
            "bytes of parameters": HEAD + "layout(binding = 0, std140) uniform P { vec4 v[17]; } p;\n" + block % (1, 1, 1) +
                                   "void main() { w1[0] = uint(p.v[0].x); }",
            "push constants": HEAD + "layout(push_constant) uniform P { uint v; } p;\n" + block % (1, 1, 1) +
                              "void main() { w1[0] = p.v; }",
            "binding 0 is for": HEAD + block % (0, 0, 0) + "void main() { w0[0] = 1u; }",
            "must be a literal": "#version 450\nlayout(local_size_x_id = 3) in;\n" + block % (1, 1, 1) +
                                 "void main() { w1[gl_WorkGroupSize.x] = 1u; }",
            "must be binding 0": HEAD + "layout(binding = 2, std140) uniform P { uint v; } p;\n" + block % (1, 1, 1) +
                                 "void main() { w1[0] = p.v; }",
            "in set 0": HEAD + "layout(set = 1, binding = 1, std430) buffer B { uint w[]; };\nvoid main() { w[0] = 1u; }",
            "syntax error": HEAD + "void main() { nonsense }",
        }
        for wanted, text in cases.items():
            folder = Folder({"bad.comp": text}, "\nbad bad.comp SIZE=64\n")
            status, output = folder.build()
            self.assertEqual(status, 1, wanted)
            self.assertIn(wanted, output)
            self.assertIn("kernels.txt:2: bad:", output)
            self.assertFalse(os.path.exists(os.path.join(folder.path, "out", "kernels.gen.c")))

    def test_list_mistakes(self):
        for line, wanted in (("good good.comp SIZE=64\ngood good.comp SIZE=64", "already in"), ("good", "expected"),
                             ("Good good.comp", "expected"), ("good good.comp SIZE=64 needs:magic", "unknown feature"),
                             ("good missing.comp", "no such file")):
            status, output = Folder({"good.comp": GOOD}, line).build()
            self.assertEqual(status, 1, line)
            self.assertIn(wanted, output)

    def test_optional_kernels_are_left_out(self):
        odd = "#version 450\n#extension GL_NO_such_extension : require\nvoid main() {}\n"
        folder = Folder({"good.comp": GOOD, "odd.comp": odd}, "odd odd.comp needs:int_dot\ngood good.comp SIZE=64\n")
        status, output = folder.build()
        self.assertEqual(status, 0)
        self.assertIn("1 optional kernels", output)
        self.assertIn("odd", output)
        self.assertTrue(folder.entry("odd").endswith("0x8, false},"))
        self.assertTrue(folder.entry("good").endswith("true},"))

    def test_cache(self):
        text = GOOD.replace("void main", '#extension GL_GOOGLE_include_directive : require\n#include "part.glsl"\nvoid main')
        folder = Folder({"good.comp": text, "part.glsl": "// nothing\n"}, "good good.comp SIZE=64\n")
        runs, real = [], kernels.run
        kernels.run = lambda command: runs.append(command) or real(command)
        try:
            self.assertEqual(folder.build()[0], 0)
            self.assertGreater(len(runs), 0)
            runs.clear()
            self.assertEqual(folder.build()[0], 0)
            self.assertEqual(runs, [])
            folder.write("kernels.txt", "good good.comp SIZE=64\nsmall good.comp SIZE=32\n")
            self.assertEqual(folder.build()[0], 0)
            self.assertEqual(sum("-DSIZE=32" in command for command in runs), 1)
            self.assertEqual(sum("-DSIZE=64" in command for command in runs), 0)
            runs.clear()
            folder.write("part.glsl", "#define SOMETHING\n")
            self.assertEqual(folder.build()[0], 0)
            self.assertEqual(sum("-DSIZE=64" in command for command in runs), 1)
            # Another build, of the same shaders, finds everything in a cache that is shared.
            os.environ["SX_KERNEL_CACHE"] = os.path.join(folder.path, "shared")
            self.assertEqual(folder.build()[0], 0)
            other = Folder({"good.comp": text, "part.glsl": "#define SOMETHING\n"}, "good good.comp SIZE=64\n")
            runs.clear()
            self.assertEqual(other.build()[0], 0)
            self.assertEqual(runs, [])
            self.assertEqual(other.entry("good"), folder.entry("good"))
        finally:
            kernels.run = real
            os.environ.pop("SX_KERNEL_CACHE", None)

    def test_damaged_modules(self):
        folder = Folder({"good.comp": GOOD}, "good good.comp SIZE=64\n")
        self.assertEqual(folder.build()[0], 0)
        cache = os.path.join(folder.path, "out", "cache")
        name = next(name for name in os.listdir(cache) if name.endswith(".plain.spv"))
        with open(os.path.join(cache, name), "rb") as file:
            data = file.read()
        self.assertEqual(spirv.reflect(data)["shared_size"], 400)
        for length in range(0, len(data), 7):
            with contextlib.suppress(ValueError, KeyError, IndexError):
                spirv.reflect(data[:length])


if __name__ == "__main__":
    unittest.main(warnings="ignore")  # the folders go when the interpreter collects them
