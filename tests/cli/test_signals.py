"""Signals of the bundled model from scratch, small: trace, train-signals, calibrate, eval, each from what the last wrote."""
import json
import os
import signal
import subprocess
import sys
import time

from support import Program, main

TRAINED, CALIBRATED, EVALUATED = 14, 8, 4  # problems
HIDDEN = 128


class Chain(Program):
    @classmethod
    def setUpClass(cls):
        with open(os.path.join(ROOT, "tools/demo_model/calibration.jsonl"), encoding="utf-8") as file:
            lines = sorted(file, key=len)[:TRAINED + CALIBRATED + EVALUATED]  # the quickest
        cls.train, rest = lines[:TRAINED], lines[TRAINED:]
        cls.calibrate, cls.evaluate = rest[:CALIBRATED], rest[CALIBRATED:]

    def make_trace(self, name, lines, killed=False):
        arguments = [self.binary, "trace", "--prompts", self.write(name + ".jsonl", "".join(lines)), "-o", self.path(name)]
        if killed:
            process = subprocess.Popen(arguments, env=self.environment(), stderr=subprocess.DEVNULL)
            while not (os.path.exists(self.path(name)) and os.path.getsize(self.path(name)) > 200000):
                self.assertIsNone(process.poll())
                time.sleep(0.05)
            busy = self.run_cli(*arguments[1:], code=1)[1]
            self.assertIn("another program", busy)
            process.send_signal(signal.SIGKILL)
            process.wait()
        _, err = self.run_cli(*arguments[1:])
        self.assertIn(f"{len(lines)} prompts", err)
        self.assertEqual("were there" in err, killed)
        return self.path(name)

    def check_sequences(self, trace, lines):
        """Many at a time, killed in the middle: the same bytes."""
        name = self.path("many.trace")
        arguments = [self.binary, "trace", "--sequences", "3", "--prompts", self.write("many.jsonl", "".join(lines)), "-o", name]
        process = subprocess.Popen(arguments, env=self.environment(), stderr=subprocess.DEVNULL)
        while not (os.path.exists(name) and os.path.getsize(name) > 20000):
            self.assertIsNone(process.poll())
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
        _, err = self.run_cli(*arguments[1:])
        self.assertIn("sequences at a time", err)
        self.assertIn("were there", err)
        with open(name, "rb") as many, open(trace, "rb") as one:
            data = many.read()
            self.assertEqual(data, one.read()[:len(data)])

    def patched(self, path, key, name):
        """The head with another hash in its card."""
        with open(path, "rb") as file:
            data = bytearray(file.read())
        at = data.index(key.encode()) + len(key) + 4 + 8  # behind the key: type and length of the text
        self.assertRegex(data[at:at + 16].decode(), "^[0-9a-f]{16}$")
        data[at] = ord("1") if data[at] == ord("0") else ord("0")
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def test_chain(self):
        head, profile = self.path("signals.gguf"), self.path("profile.json")
        train = self.make_trace("train.trace", self.train, killed=True)
        report = self.json_lines("train-signals", train, "--host", "-o", head, "--json")[0]
        self.assertEqual(report["prompts"], len(self.train))
        self.assertGreater(report["auc_within"], 0.8)
        self.assertGreater(report["progress"]["correlation"], 0.8)
        self.assertLess(os.path.getsize(head), 3 * 3 * HIDDEN * 4 + 4096)

        trace = self.make_trace("calibrate.trace", self.calibrate)
        self.check_sequences(trace, self.calibrate[:5])
        calibration = self.json_lines("calibrate", trace, "--signal-head", head, "-o", profile, "--json")[0]
        self.assertEqual(calibration["prompts"], CALIBRATED)
        full = calibration["full_thinking_tokens"]
        self.assertLess(calibration["chosen"]["thinking_tokens"], 0.7 * full)
        # The recipe's rows were fitted on 530 traces; these come near them, which were all tried on the same prompts.
        recipe = self.json_lines("calibrate", trace, "--signal-head", DRAFT, "--json")[0]
        self.assertLess(calibration["chosen"]["thinking_tokens"], recipe["chosen"]["thinking_tokens"] + 0.3 * full)

        self.check_eval(head, profile)
        self.check_cards(head, profile, trace)
        with open("/dev/full", "wb") as disk:
            done = subprocess.run([self.binary, "calibrate", trace, "--signal-head", head], stdout=disk, stderr=subprocess.PIPE,
                                  env=self.environment(), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"cannot be written", done.stderr)
        # One trace holds one way of replying.
        self.failure("trace", "--temperature", "0.5", "--prompts", self.path("calibrate.trace.jsonl"), "-o", trace,
                     says="calibrate.trace")

    def check_eval(self, head, profile):
        prompts = self.write("eval.jsonl", "".join(self.evaluate))
        modes = f"speculative,profile={profile},first,steps=2"
        self.assertLess(len(profile), 40)
        parts = [self.path("1.json"), self.path("2.json")]
        for i, part in enumerate(parts):
            self.run_cli("eval", "-q", "--prompts", prompts, "--signal-head", head, "--modes", modes, "--shard", f"{i + 1}/2",
                         "-o", part)
        self.run_cli("eval", "--merge", *parts, "-o", self.path("all.json"), "--report", self.path("all.html"))
        with open(self.path("all.json"), encoding="utf-8") as file:
            result = json.load(file)
        whole, exits = result["modes"][:2]
        self.assertEqual([mode["known"] for mode in result["modes"]], [EVALUATED] * 4)
        for mode in result["modes"]:
            self.assertLessEqual(mode["accuracy_low"], mode["accuracy"])
            self.assertGreaterEqual(mode["accuracy_high"], mode["accuracy"])
        self.assertEqual(whole["exits"], {"natural": EVALUATED})
        self.assertGreater(exits["exits"].get("signals", 0), EVALUATED / 2)
        self.assertLess(exits["thinking_tokens"], 0.8 * whole["thinking_tokens"])
        self.assertGreaterEqual(result["confidence"]["places"], 2 * EVALUATED)
        if result["confidence"]["auc_within"] is not None:
            self.assertGreater(result["confidence"]["auc_within"], 0.5)

    def check_cards(self, head, profile, trace):
        question = ["-n", "4", "1"]
        other = self.patched(head, "specexit.card.target_family", "family.gguf")
        self.failure("run", "--signal-head", other, *question, says="family.gguf: its signals were learnt on another model")
        self.failure("calibrate", trace, "--signal-head", other, says="learnt on another model (specexit demo")
        close = self.patched(head, "specexit.card.target_fingerprint", "close.gguf")
        _, err = self.run_cli("run", "--signal-head", close, *question)
        self.assertIn("learnt on another quantisation of this model", err)
        _, err = self.run_cli("run", "--signal-head", head, "--profile", profile, *question)
        self.assertNotIn("another", err)
        with open(profile, encoding="utf-8") as file:
            data = json.load(file)
        moved = self.write("moved.json", json.dumps(dict(data, model_family=data["model_family"][::-1])))
        self.failure("run", "--signal-head", head, "--profile", moved, *question, says="calibrated on another model")


if __name__ == "__main__":
    ROOT = sys.argv.pop()
    DRAFT = os.path.join(ROOT, "tools/demo_model/demo-draft.gguf")
    main()
