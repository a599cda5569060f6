"""What the tests of the command line program share."""
import json
import os
import subprocess
import sys
import tempfile
import unittest


class Program(unittest.TestCase):
    """`self.run_cli(...)` runs the program named by the first argument of the test script."""

    binary = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as out:
            out.write(text)
        return self.path(name)

    def environment(self, **changes):
        env = dict(os.environ, XDG_CACHE_HOME=self.path("cache"), XDG_STATE_HOME=self.path("state"), TERM="xterm",
                   HOME=self.folder.name)
        env.pop("NO_COLOR", None)
        for name, value in changes.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = value
        return env

    def run_cli(self, *arguments, stdin=b"", code=0, timeout=300, **env):
        """Returns (stdout, stderr) as text; the exit code must be `code`."""
        if isinstance(stdin, str):
            stdin = stdin.encode()
        done = subprocess.run([self.binary, *arguments], input=stdin, capture_output=True, timeout=timeout,
                              env=self.environment(**env), check=False)
        out, err = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        self.assertEqual(done.returncode, code, f"{arguments}\n--- out\n{out}\n--- err\n{err}")
        return out, err

    def json_lines(self, *arguments, **options):
        out, _ = self.run_cli(*arguments, **options)
        return [json.loads(line) for line in out.splitlines()]

    def usage_error(self, *arguments, says, **options):
        out, err = self.run_cli(*arguments, code=2, **options)
        self.assertEqual(out, "")
        self.assertTrue(err.startswith("specexit: "), err)
        self.assertIn(says, err)
        self.assertIn("--help", err)

    def failure(self, *arguments, says, **options):
        out, err = self.run_cli(*arguments, code=1, **options)
        self.assertIn("specexit: ", err)
        self.assertIn(says, err)
        return out


def main():
    Program.binary = os.path.abspath(sys.argv[1])
    unittest.main(argv=[sys.argv[0]] + [a for a in sys.argv[2:] if a.startswith("-")], verbosity=2)
