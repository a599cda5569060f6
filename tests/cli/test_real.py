"""The command line program with the real engine and the bundled model, on the driver the environment names."""
import os
import struct
import sys
import tempfile

from support import Program, main

QUESTION = "Start at 7, add 5, times 2."
KEYS = ["problems", "accuracy", "thinking_tokens", "tokens", "cycles", "acceptance_length", "seconds", "submits",
        "readbacks", "readback_bytes"]
# One cache for all tests, so that pipelines are compiled once.
CACHE = tempfile.TemporaryDirectory()


class Real(Program):
    def environment(self, **changes):
        return super().environment(**{"XDG_CACHE_HOME": CACHE.name, **changes})

    def done(self, *options):
        return self.json_lines("run", "--json", *options)[-1]

    def test_greedy_is_the_same_twice(self):
        first, second = self.done(QUESTION), self.done(QUESTION)
        self.assertEqual(first["message"], second["message"])
        self.assertTrue(first["message"]["reasoning_content"])
        self.assertTrue(first["message"]["content"].strip())

    def test_speculation_changes_no_text(self):
        sampled = ["--temperature", "0.8", "--seed", "7", "-p", "none", "-n", "60", QUESTION]
        texts = [self.done("--drafting", kind, *sampled)["message"] for kind in ("none", "chain", "tree", "ngram")]
        self.assertEqual(texts, texts[:1] * 4)

    def test_budget_ends_the_thinking(self):
        done = self.done("--hard-budget", "10", QUESTION)
        self.assertEqual(done["exit"]["reason"], "hard-budget")
        self.assertLessEqual(done["stats"]["thinking_tokens"] - done["stats"]["forced_tokens"], 11)
        self.assertTrue(done["message"]["content"].strip())

    def test_pipe_gets_text_without_markers(self):
        out, _ = self.run_cli("run", "--budget", "20", QUESTION)
        self.assertTrue(out.strip())
        self.assertNotIn("<", out)
        self.assertTrue(out.endswith("\n"))

    def test_compare(self):
        lines = self.json_lines("compare", "--limit", "3", "--json", "--max-tokens", "120", timeout=900)
        self.assertEqual([line["mode"] for line in lines], ["plain", "speculative", "specexit"])
        for line in lines:
            for key in KEYS:
                self.assertIn(key, line)
            self.assertEqual(line["problems"], 3)
            self.assertIsInstance(line["accuracy"], (int, float))
            self.assertGreater(line["acceptance_length"], 0.9)  # the cycle that the limit cuts counts as well
            # A cycle costs one submit and one readback of at most 1 KiB; reading the prompt costs some more.
            self.assertLessEqual(line["readback_bytes"], 1024 * line["readbacks"])
        self.assertEqual(lines[0]["tokens"], lines[1]["tokens"])

    def test_without_signals(self):
        bare = ["--no-draft", "--margin", "-14.5", QUESTION]
        self.assertEqual(self.done(*bare)["exit"]["reason"], "margin")
        out, _ = self.run_cli("compare", "--max-tokens", "60", *bare)
        self.assertIn("specexit leaves by margin", out)
        self.assertIn("speculative drafts by n-gram lookup", out)

    def test_first_mode(self):
        lines = {line["mode"]: line for line in
                 self.json_lines("compare", QUESTION, "--json", "--modes", "speculative,first", timeout=900)}
        self.assertLess(lines["first"]["thinking_tokens"], lines["speculative"]["thinking_tokens"])

    def test_chat_saved_and_loaded(self):
        path, second = self.path("talk.json"), "Start at 5, add 3."
        out, _ = self.run_cli("chat", stdin="\n".join([QUESTION, f"/save {path}", second, "/stats"]))
        self.assertIn("what was computed of them in", out)
        self.assertGreater(os.path.getsize(path + ".session"), 10000)
        loaded, _ = self.run_cli("chat", stdin="\n".join([f"/load {path}", second, "/stats"]))
        self.assertIn("with what was computed", loaded)
        answer, stats = loaded.splitlines()[1], loaded[loaded.index("prompt:"):].split(";")[0]
        self.assertIn(answer, out.splitlines())
        # As many tokens are reused as in the conversation that was not interrupted.
        self.assertIn(stats.rsplit(",", 1)[0], out)
        self.assertNotIn(" 0 of them reused", stats)

    def test_round_trip(self):
        for text in ("Start at 7, add 5.", "  two  blanks\n\n\ttab ", "Häß, 你好, 🙂", ""):
            ids, _ = self.run_cli("tokenize", stdin=text)
            self.assertEqual(self.run_cli("detokenize", stdin=ids)[0], text)
        special, _ = self.run_cli("tokenize", "--special", stdin="<|im_end|>")
        self.assertEqual(len(special.split()), 1)
        plain, _ = self.run_cli("tokenize", stdin="<|im_end|>")
        self.assertGreater(len(plain.split()), 1)

    def test_estimate(self):
        demo = os.path.join(sys.argv[2], "tools", "demo_model", "demo.gguf")
        loaded = self.json_lines("info", "--json", "-m", demo, "-c", "500")[0]
        estimate = self.json_lines("info", "--estimate", "--json", "-m", demo, "-c", "500")[0]
        self.assertEqual(estimate["weight_bytes"], loaded["weight_bytes"])
        self.assertEqual(estimate["session_bytes"], loaded["kv_bytes"] + loaded["scratch_bytes"])
        self.assertEqual(estimate["context"], 500)

    def test_logits(self):
        vocabulary = self.json_lines("info", "--json")[0]["vocabulary"]
        self.run_cli("logits", "--tokens", "1,2,3", "-o", self.path("l"))
        with open(self.path("l"), "rb") as file:
            data = file.read()
        self.assertEqual(len(data), 3 * vocabulary * 4)
        values = struct.unpack("<%df" % (3 * vocabulary), data)
        self.assertTrue(all(abs(value) < 1e6 for value in values))
        self.assertGreater(max(values) - min(values), 0.1)
        # A prefix gives the same rows.
        self.run_cli("logits", "--tokens", "1,2", "-o", self.path("p"))
        with open(self.path("p"), "rb") as file:
            self.assertEqual(file.read(), data[:2 * vocabulary * 4])
        self.failure("logits", "--tokens", str(vocabulary), "-o", self.path("x"), says="vocabulary")
        self.assertFalse(os.path.exists(self.path("x")))

    def test_template(self):
        path = self.write("m.json", '[{"role": "user", "content": "Hi"}]')
        out, _ = self.run_cli("template", "--messages", path)
        self.assertIn("Hi<|im_end|>", out)

    def test_chat(self):
        out, _ = self.run_cli("chat", "--budget", "10", stdin=QUESTION + "\n/stats\nStart at 3, add 4.\n/stats\n")
        self.assertEqual(out.count("readbacks of"), 2)
        self.assertNotIn("<|im_", out)

    def test_devices(self):
        devices = self.json_lines("devices", "--json")
        self.assertGreaterEqual(len(devices), 1)
        self.assertEqual(self.done("--device", "0", "-n", "2", QUESTION)["finish_reason"], "length")
        self.failure("run", "--device", "no such device", "x", says="no such device")

    def test_bad_files(self):
        demo = os.path.join(sys.argv[2], "tools", "demo_model", "demo.gguf")
        with open(demo, "rb") as file:
            data = file.read()
        for name, cut in (("header.gguf", 20), ("keys.gguf", 5000), ("tensors.gguf", len(data) - 1000)):
            with open(self.path(name), "wb") as out:
                out.write(data[:cut])
            self.assertEqual(self.failure("run", "-m", self.path(name), "x", says=name), "")
        self.failure("run", "-m", self.path("none.gguf"), "x", says="none.gguf")
        self.failure("run", "-d", demo, "x", says="demo.gguf")
        self.failure("run", "-c", "16", QUESTION, says="context")

    def test_damaged_and_full_cache(self):
        self.run_cli("run", "-n", "2", QUESTION)
        folder = os.path.join(CACHE.name, "specexit")
        files = [os.path.join(path, name) for path, _, names in os.walk(folder) for name in names]
        for name in files:
            with open(name, "r+b") as file:
                file.write(b"\xa5" * 64)
        self.run_cli("run", "-n", "2", QUESTION)
        # A place where nothing can be written is a warning, not a failure.
        self.run_cli("run", "-n", "2", "--cache", "/proc/nowhere", QUESTION)


if __name__ == "__main__":
    main()
