"""Arguments, output and exit codes of the command line program, with the scripted engine."""
import json
import math
import os
import re
import signal
import subprocess
import time
import xml.dom.minidom

from support import Program, main

COMMANDS = ["run", "chat", "compare", "devices", "models", "info", "template", "tokenize", "detokenize", "logits",
            "trace", "train-signals", "calibrate", "eval"]


class Help(Program):
    def test_program(self):
        out, err = self.run_cli("--help")
        for command in COMMANDS:
            self.assertRegex(out, rf"(?m)^  {command} +\w")
        self.assertIn("Examples:", out)
        self.assertEqual(err, "")
        self.assertEqual(self.run_cli("-h")[0], out)
        self.assertEqual(self.run_cli("help")[0], out)

    def test_every_command(self):
        for command in COMMANDS:
            out, err = self.run_cli(command, "--help")
            self.assertTrue(out.startswith(f"Usage: specexit {command} [OPTION]..."), out)
            self.assertIn("Examples:", out)
            self.assertIn("-h, --help", out)
            self.assertEqual(err, "")
            self.assertLessEqual(max(map(len, out.splitlines())), 120)
            self.assertEqual(self.run_cli("help", command)[0], out)

    def test_help_names_every_option_once(self):
        out, _ = self.run_cli("run", "--help")
        names = re.findall(r"(?m)^  (?:-\w,|   ) (--[\w-]+)", out)
        self.assertGreater(len(names), 40)
        self.assertEqual(len(names), len(set(names)), names)
        for wanted in ["--model", "--draft", "--device", "--context", "--temperature", "--seed", "--policy", "--margin",
                       "--drafting", "--json", "--hard-budget", "--logit-bias", "--stop", "--think"]:
            self.assertIn(wanted, names)

    def test_version(self):
        for arguments in (["--version"], ["run", "--version"], ["-V"]):
            self.assertEqual(self.run_cli(*arguments)[0], "specexit 9.8.7\n")

    def test_help_to_a_full_device(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([self.binary, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output cannot be written", done.stderr)


class Signals(Program):
    def test_trace_needs_a_file(self):
        self.usage_error("trace", says="-o FILE is needed")
        self.usage_error("trace", "-m", "model.gguf", "-o", self.path("a.trace"), says="--prompts FILE is needed")

    def test_trace_of_bad_prompts(self):
        prompts = self.write("bad.jsonl", '{"prompt": "1"}\n{"prompt": \n')
        self.failure("trace", "--prompts", prompts, "-o", self.path("a.trace"), says="bad.jsonl: line 2: not JSON")
        self.assertFalse(os.path.exists(self.path("a.trace")))

    def test_trace_says_what_it_left_out(self):
        prompts = self.write("twice.jsonl", '{"prompt": "1"}\n{"prompt": "2"}\n{"prompt": "1"}\n')
        arguments = ["trace", "--prompts", prompts, "-o", self.path("a.trace")]
        _, err = self.run_cli(*arguments)
        self.assertIn("up to", err)  # disk use, told first
        self.assertIn("2 prompts, 1 that appear twice taken once, 2 without an end of thinking", err)
        _, err = self.run_cli(*arguments)
        self.assertIn("(2 were there)", err)
        self.failure(*arguments, "--temperature", "1", says="other settings")

    def test_trace_of_sequences(self):
        prompts = self.write("two.jsonl", '{"prompt": "1"}\n{"prompt": "2"}\n')
        arguments = ["trace", "--prompts", prompts, "-o", self.path("a.trace"), "--sequences"]
        self.usage_error(*arguments, "2", "--presence-penalty", "1", says="--sequences: the script has no penalties")
        self.assertFalse(os.path.exists(self.path("a.trace")))
        self.usage_error(*arguments, "33", says="33")
        self.failure(*arguments, "8", says="--sequences: 2 sequences do not fit, 1 fits")  # never more than prompts
        self.assertNotIn("close calls", self.run_cli(*arguments, "2", code=1)[1])
        self.failure(*arguments, "2", says="another number of sequences may write another text at close calls",
                     SCRIPTED_NOT_LOSSLESS="1")
        self.run_cli(*arguments, "1")

    def test_trace_of_an_empty_answer(self):
        prompts = self.write("empty.jsonl", '{"prompt": "1", "answer": ""}\n')
        self.failure("trace", "--prompts", prompts, "-o", self.path("a.trace"), says='line 1: the "answer" is empty')


    def test_learning_needs_traces(self):
        self.usage_error("train-signals", "-o", "x.gguf", says="a trace is needed")
        self.usage_error("train-signals", "x.trace", says="-o FILE is needed")
        self.failure("train-signals", "x.trace", "-o", self.path("x.gguf"), says="x.trace")
        self.usage_error("calibrate", says="a trace is needed")
        self.usage_error("calibrate", "x.trace", says="--signal-head FILE is needed")
        self.failure("calibrate", "x.trace", "--signal-head", self.path("none.gguf"), says="none.gguf")

    def test_profile(self):
        rule = '{"signals": ["confidence"], "confidence": 0.75, "smoothing": "raw"}'
        profile = self.write("p.json", '{"chosen": %s, "levels": [%s, %s]}' % (
            rule.replace("0.75", "0.35"), rule, rule.replace("0.75", "0.95")))
        steps = {}
        for name, options in (("chosen", []), ("little", ["--effort", "1"]), ("long", ["--effort", "5"])):
            done = self.json_lines("run", "--json", "--profile", profile, *options, "1")[-1]
            steps[name] = done["stats"]["thinking_tokens"]
        self.assertLess(steps["chosen"], steps["little"])
        self.assertLess(steps["little"], steps["long"])
        # As a mode among others; what it holds is part of how an evaluation was made.
        mode = "profile=" + profile
        lines = self.json_lines("compare", "--json", "--modes", f"specexit,{mode}", "1")
        self.assertEqual(lines[1]["thinking_tokens"], steps["chosen"])
        self.run_cli("eval", "-q", "1", "2", "--modes", mode, "--shard", "1/2", "-o", self.path("1.json"))
        self.write("p.json", '{"chosen": %s}' % rule)
        self.run_cli("eval", "-q", "1", "2", "--modes", mode, "--shard", "2/2", "-o", self.path("2.json"))
        self.failure("eval", "--merge", self.path("1.json"), self.path("2.json"), says="other settings")
        other = self.write("other.json", '{"model": "another", "model_family": "%016x", "chosen": %s}' % (8, rule))
        self.failure("run", "--profile", other, "1", says="other.json: was calibrated on another model (another)")
        self.failure("eval", "--modes", "profile=" + other, "1", says="another model")
        close = self.write("close.json", '{"model_family": "%016x", "model_fingerprint": "%016x", "chosen": %s}' % (7, 2, rule))
        _, err = self.run_cli("run", "--profile", close, "1")
        self.assertIn("another quantisation of this model", err)
        bad = self.write("bad.json", '{"chosen": {"signals": []}}')
        self.failure("run", "--profile", bad, "1", says="holds no rule that can be used")
        self.usage_error("compare", "--modes", "profile=" + bad, "1", says="holds no rule that can be used")
        self.usage_error("compare", "--modes", "profile", "1", says="profile=FILE")
        self.failure("run", "--profile", self.path("none.json"), "1", says="none.json")


    def test_profile_of_other_prompts(self):
        # The first step of this range is one of 4 tokens, as the script's are; then one of 40.
        step = '{"mean": [0, 0, 0, %f], "scale": [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]}'
        for tokens, unlike in ((4, False), (40, True)):
            profile = self.write("p.json", '{"range": {"signals": 7, "limit": 9, "share": 0.01, "steps": [%s]}, "chosen": '
                                 '{"signals": ["confidence"], "confidence": 0.75, "smoothing": "raw"}}'
                                 % (step % math.log(tokens)))
            _, err = self.run_cli("run", "--profile", profile, "1")
            self.assertEqual("unlike those the profile was calibrated on" in err, unlike)
            done = self.json_lines("run", "--json", "--profile", profile, "1")[-1]
            self.assertIs(done["unlike_profile"], unlike)
            out, _ = self.run_cli("eval", "--modes", f"plain,profile={profile}", "1", "2", "-o", self.path("e.json"))
            self.assertEqual(f"profile={profile}: 2 of 2 problems look unlike" in out, unlike)
            with open(self.path("e.json"), encoding="utf-8") as file:
                result = json.load(file)
            self.assertEqual([mode.get("unlike_profile") for mode in result["modes"]], [None, 2 * unlike])
            merged, _ = self.run_cli("eval", "--merge", self.path("e.json"))
            self.assertEqual(f"profile={profile}: 2 of 2 problems look unlike" in merged, unlike)
        self.assertNotIn("unlike_profile", self.json_lines("run", "--json", "1")[-1])


class Usage(Program):
    def test_no_command(self):
        self.usage_error(says="no command")

    def test_unknown_command(self):
        self.usage_error("rum", says='did you mean "run"?')
        self.usage_error("What is 5?", says='specexit run "What is 5?"')
        self.usage_error("--model", "x", says="options follow a command")

    def test_unknown_option(self):
        self.usage_error("run", "--temprature", "1", "x", says="did you mean --temperature?")
        self.usage_error("run", "--zzzzzz", says="unknown or ambiguous option --zzzzzz")
        self.usage_error("run", "-Z", says="unknown option -Z")
        self.usage_error("devices", "--seed", "1", says="--seed")

    def test_missing_and_superfluous_values(self):
        self.usage_error("run", "--seed", says="--seed needs a value")
        self.usage_error("run", "-m", says="--model needs a value")
        self.usage_error("run", "--raw=yes", says="--raw takes no value")

    def test_ranges(self):
        for option, value, says in [
                ("--temperature", "-1", "between 0 and 100"), ("--temperature", "warm", "number"),
                ("--temperature", "nan", "number"), ("--top-p", "1.5", "between 0 and 1"), ("--top-k", "-4", "whole"),
                ("--top-k", "4294967296", "whole"), ("--seed", "-1", "whole number"), ("--seed", "x", "whole number"),
                ("--confidence", "0", "between 0 and 1"), ("--margin", "3", "between -1000 and 0"),
                ("--branch", "11", "between 1 and 10"), ("--nodes", "32", "between 1 and 31"),
                ("--policy", "fast", "auto, none, signals, margin or entropy"), ("--kv", "f32", "f16 or q8_0"),
                ("--signals", "confidence,luck", '"luck"; it takes a list of confidence, progress and remain'), ("--logit-bias", "7", "42=-5"),
                ("--logit-bias", "x=1", "42=-5"), ("--stop", "", "some text"), ("--tokens", "1,a", '"a"'),
                ("--think", "maybe", "on, off or prefill")]:
            self.usage_error("run", option, value, "x", says=says)

    def test_operands(self):
        self.usage_error("run", "What", "is", says="quotes")
        self.usage_error("devices", "x", says='unexpected argument "x"')
        self.usage_error("run", "--tokens", "1", "x", says="not several")
        self.usage_error("run", "--system", "s", "--raw", "x", says="--system")
        self.usage_error("run", stdin="", says="prompt is empty")
        self.usage_error("logits", "--tokens", "1", says="-o FILE")
        self.usage_error("logits", "-o", "x", says="--tokens LIST")
        self.usage_error("template", says="--messages")
        self.usage_error("info", "x", "-m", "y", says="not both")

    def test_repeats_are_limited(self):
        self.usage_error("run", *["--stop", "x"] * 17, "p", says="16 times")
        self.usage_error("run", *["--logit-bias", "1=1"] * 65, "p", says="64 times")

    def test_end_of_options(self):
        self.assertEqual(self.run_cli("run", "--", "--strange 7")[0], "The answer is 7.\n")


class Run(Program):
    def test_pipe_gets_the_answer_only(self):
        out, err = self.run_cli("run", "What is 5?")
        self.assertEqual(out, "The answer is 5.\n")
        self.assertEqual(err, "")

    def test_standard_input(self):
        self.assertEqual(self.run_cli("run", stdin="number 8\n")[0], "The answer is 8.\n")
        self.assertEqual(self.run_cli("run", "-", stdin="number 9")[0], "The answer is 9.\n")
        self.failure("run", stdin=b"a\0b", says="zero byte")

    def test_thinking_shown_in_a_pipe(self):
        out, _ = self.run_cli("run", "--thinking", "show", "What is 5?")
        self.assertRegex(out, r"(?s)^<think>\nstep is done\.\n\n.*</think>\n\nThe answer is 5\.\n$")
        self.assertNotIn("\033", out)

    def test_policy_reaches_the_engine(self):
        def exit_of(*options):
            return self.json_lines("run", "--json", *options, "What is 5?")[-1]["exit"]["reason"]
        self.assertEqual(exit_of(), "signals")
        self.assertEqual(exit_of("--policy", "none"), "natural")
        self.assertEqual(exit_of("-p", "margin"), "margin")
        self.assertEqual(exit_of("--budget", "5"), "soft-budget")
        self.assertEqual(exit_of("--hard-budget=3"), "hard-budget")
        self.assertEqual(exit_of("--confidence", "1"), "natural")

    def test_json(self):
        lines = self.json_lines("run", "--json", "What is 5?")
        self.assertEqual({line["event"] for line in lines}, {"text", "signals", "exit", "done"})
        done = lines[-1]
        self.assertEqual(done["message"]["content"].strip(), "The answer is 5.")
        self.assertEqual(done["message"]["role"], "assistant")
        self.assertEqual(done["finish_reason"], "stop")
        usage = done["usage"]
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"])
        text = "".join(line["delta"].get("reasoning_content", "") for line in lines if line["event"] == "text")
        self.assertEqual(text, done["message"]["reasoning_content"])
        signals = [line for line in lines if line["event"] == "signals"]
        self.assertEqual(set(signals[0]["smoothed"]), {"confidence", "progress", "remain"})
        self.assertIsNone(signals[0]["entropy"])
        self.assertTrue(any(line["boundary"] for line in signals))

    def test_json_of_odd_text(self):
        done = self.json_lines("run", "--json", "escape 5")[-1]
        self.assertIn("\x1b[31m\x07\x9bred", done["message"]["reasoning_content"])

    def test_length(self):
        done = self.json_lines("run", "--json", "-n", "4", "What is 5?")[-1]
        self.assertEqual(done["finish_reason"], "length")
        self.assertEqual(done["usage"]["completion_tokens"], 4)
        self.assertIsNone(done["exit"])

    def test_no_thinking(self):
        done = self.json_lines("run", "--json", "--think", "off", "What is 5?")[-1]
        self.assertEqual(done["usage"]["completion_tokens_details"]["reasoning_tokens"], 0)

    def test_messages(self):
        path = self.write("m.json", '{"messages": [{"role": "user", "content": "What is \\u0036?"}]}')
        self.assertEqual(self.run_cli("run", "--messages", path)[0], "The answer is 6.\n")

    def test_bad_messages(self):
        for text, says in [("", "not JSON"), ("[", "not JSON"), ("{}", "no messages"), ("[]", "no messages"),
                           ('[{"role": "king", "content": "x"}]', 'message 1 needs a "role"'),
                           ('[{"role": "user"}]', '"content"'), ("[" * 70 + "]" * 70, "64 levels"),
                           ('[{"role": "user", "content": "a\\u0000b"}]', "NUL"),
                           ('[{"role": "user", "role": "user", "content": "x"}]', "twice"),
                           ('[{"role": "user", "content": "\\ud800"}]', "surrogate"),
                           ('[{"role": "user", "content": 5}]', '"content"'), ("[1] x", "follows"),
                           ("[01]", "not JSON")]:
            path = self.write("m.json", text)
            self.failure("run", "--messages", path, says=says)
        self.failure("run", "--messages", self.path("none.json"), says="none.json: cannot be opened")

    def test_failures(self):
        self.failure("run", "-m", "missing.gguf", "x", says="missing.gguf: no such file")
        self.failure("run", "fail 5", says="the device was lost")
        self.failure("run", "huge 5", says="--context")
        self.failure("run", "-m", "lost.gguf", "x", says="the device was lost")
        self.failure("run", "x", says="no Vulkan device", SCRIPTED_NO_DEVICE="1")

    def test_log_lines(self):
        self.assertIn("specexit: warning: pipelines.bin", self.run_cli("run", "-m", "warn.gguf", "direct")[1])
        self.assertEqual(self.run_cli("run", "-q", "-m", "warn.gguf", "direct")[1], "")
        self.assertIn("scripted", self.run_cli("run", "-v", "direct")[1])

    def test_full_disk(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([self.binary, "run", "x"], stdout=full, stderr=subprocess.PIPE, check=False,
                                  env=self.environment())
        self.assertEqual(done.returncode, 1)
        self.assertIn(b"standard output cannot be written", done.stderr)

    def test_closed_pipe(self):
        reader, writer = os.pipe()
        os.close(reader)
        done = subprocess.run([self.binary, "run", "--json", "endless"], stdout=writer, stderr=subprocess.PIPE,
                              check=False, env=self.environment(), timeout=60)
        os.close(writer)
        self.assertEqual((done.returncode, done.stderr), (141, b""))

    def test_forced_colour(self):
        out, _ = self.run_cli("run", "--color", "always", "--thinking", "show", "5")
        self.assertIn("\033[2m", out)
        out, _ = self.run_cli("run", "--color", "never", "--thinking", "show", "5")
        self.assertNotIn("\033", out)


KEYS = ["problems", "accuracy", "thinking_tokens", "tokens", "cycles", "acceptance_length", "seconds", "submits",
        "readbacks", "readback_bytes"]


class Compare(Program):
    def test_json(self):
        lines = self.json_lines("compare", "--limit", "3", "--json")
        self.assertEqual([line["mode"] for line in lines], ["plain", "speculative", "specexit"])
        for line in lines:
            for key in KEYS:
                self.assertIn(key, line)
            self.assertEqual(line["problems"], 3)
        plain, speculative, early = lines
        self.assertEqual(plain["thinking_tokens"], 3 * 40)
        self.assertEqual(speculative["thinking_tokens"], 3 * 40)
        self.assertEqual(early["thinking_tokens"], 3 * 28)
        self.assertEqual(plain["acceptance_length"], 1)
        self.assertGreater(speculative["acceptance_length"], 2.5)
        self.assertEqual(early["exits"], {"signals": 3})

    def test_accuracy(self):
        path = self.write("p.jsonl", '{"prompt": "is 5", "answer": 5}\n\n{"prompt": "is 6", "answer": "6.0"}\n'
                          '{"prompt": "is 7", "answer": "8", "more": [1, {"x": null}]}\n{"prompt": "is 9"}\n')
        line = self.json_lines("compare", "--prompts", path, "--modes", "plain", "--json")[0]
        self.assertEqual((line["problems"], line["known"], line["right"]), (4, 3, 2))
        line = self.json_lines("compare", "--prompts", path, "--limit", "2", "--modes", "plain", "--json")[0]
        self.assertEqual((line["problems"], line["accuracy"]), (2, 1))

    def test_unknown_answers(self):
        self.assertIsNone(self.json_lines("compare", "5", "--json")[0]["accuracy"])

    def test_modes(self):
        modes = "plain,speculative,tree,signals,confidence=0.3,margin=-2,budget=9,hard-budget=7,first,first=step,steps=5,steps=99,no-think"
        lines = {line["mode"]: line for line in self.json_lines("compare", "5", "--json", "--modes", modes)}
        self.assertEqual(list(lines), modes.split(","))
        tokens = {mode: line["thinking_tokens"] for mode, line in lines.items()}
        self.assertEqual(tokens, {"plain": 40, "speculative": 40, "tree": 40, "signals": 28, "confidence=0.3": 16,
                                  "margin=-2": 20, "budget=9": 12, "hard-budget=7": 7, "first": 12, "first=step": 4,
                                  "steps=5": 20, "steps=99": 40, "no-think": 0})

    def test_bad_modes(self):
        for modes, says in [("plan", 'did you mean "plain"?'), ("", "is empty"), ("plain,,x", "commas"),
                            ("budget", "budget=100"), ("margin=3", "between -1000"), ("plain=3", "takes no value"),
                            ("first", "put plain or speculative"), ("specexit,steps=2", "put plain or speculative"), ("budget=x", "needs a number")]:
            self.usage_error("compare", "--modes", modes, "5", says=says)

    def test_bad_prompts(self):
        for text, says in [("", "no prompts"), ("{}\n", 'line 1: needs a "prompt"'),
                           ('{"prompt": "x", "answer": []}', '"answer"'), ('{"prompt": "x"}\n{', "line 2: not JSON")]:
            self.failure("compare", "--prompts", self.write("p.jsonl", text), says=says)
        self.failure("compare", "--prompts", self.path("none"), says="cannot be opened")
        self.usage_error("compare", "--prompts", "x", "y", says="not both")
        self.usage_error("compare", "-m", "some.gguf", says="bundled model")

    def test_table(self):
        out, _ = self.run_cli("compare", "--limit", "2")
        self.assertRegex(out, r"(?m)^mode +accuracy +thinking +tokens +cycles +per cycle +seconds$")
        self.assertRegex(out, r"(?m)^specexit against speculative: 30\.0 % fewer thinking tokens")
        self.assertRegex(out, r"(?m)^  confidence +[▁▂▃▄▅▆▇█]{20,} 1\.00$")
        self.assertRegex(out, r"(?m)^ +▲ after 28 of 40 thinking tokens: left: signals")

    def test_records(self):
        self.run_cli("compare", "5", "6", "--records", self.path("r.jsonl"), "--json")
        with open(self.path("r.jsonl"), encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
        self.assertEqual([(r["mode"], r["problem"]) for r in records],
                         [(m, p) for p in (0, 1) for m in ("plain", "speculative", "specexit")])
        self.failure("compare", "5", "--records", "/nonexistent/r", says="/nonexistent/r: cannot be written")

    def test_failing_problem_is_named(self):
        self.failure("compare", "5", "huge", says="problem 2, mode plain:")


def without_seconds(value):
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if "second" not in key}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


class Eval(Program):
    def setUp(self):
        super().setUp()
        lines = [json.dumps({"prompt": f"<b>is</b> {i} & more {i}", "answer": i + (i == 3)}) for i in range(1, 8)]
        self.prompts = self.write("p.jsonl", "\n".join(lines) + "\n")

    def result(self, name, *arguments, prompts=True):
        given = ["--prompts", self.prompts] if prompts else []
        self.run_cli("eval", "-q", *given, *arguments, "-o", self.path(name))
        with open(self.path(name), encoding="utf-8") as file:
            return json.load(file)

    def test_result(self):
        result = self.result("r.json")
        self.assertEqual([m["mode"] for m in result["modes"]],
                         ["plain", "speculative", "specexit", "confidence", "progress", "remain", "margin", "entropy",
                          "budget=64", "silent-budget=64", "first", "no-think"])
        modes = {mode["mode"]: mode for mode in result["modes"]}
        for mode in modes.values():
            for key in KEYS + ["accuracy_low", "accuracy_high", "tokens_per_second", "natural", "exits"]:
                self.assertIn(key, mode)
        self.assertEqual((modes["plain"]["right"], modes["plain"]["known"]), (6, 7))
        self.assertLess(modes["plain"]["accuracy_low"], 6 / 7)
        self.assertGreater(modes["plain"]["accuracy_high"], 6 / 7)
        self.assertEqual({name: mode["thinking_tokens"] // 7 for name, mode in modes.items()},
                         {"plain": 40, "speculative": 40, "specexit": 28, "confidence": 28, "progress": 28,
                          "remain": 28, "margin": 20, "entropy": 40, "budget=64": 40, "silent-budget=64": 40,
                          "first": 12, "no-think": 0})
        self.assertEqual(len(result["records"]), 7 * 12)
        record = result["records"][1]
        self.assertEqual((record["mode"], record["problem"], record["right"]), ("speculative", 0, True))
        self.assertEqual([step[0] for step in record["steps"]], list(range(4, 41, 4)))
        self.assertEqual(result["prompts"], 7)
        # Left at four places of every problem, the end included; the same signals there in all of them, and every place
        # of one problem alike right or wrong: nothing can be told within one, and nothing across them.
        self.assertEqual(result["confidence"], {"places": 7 * 4, "auc_within": None, "auc_across": 0.5, "correlation": 0})

    def test_shards_make_the_whole(self):
        whole = self.result("w.json")
        for i in (3, 1, 2):
            self.assertLess(len(self.result(f"{i}.json", "--shard", f"{i}/3")["records"]), 40)
        files = [self.path(f"{i}.json") for i in (2, 3, 1)]
        merged = self.result("m.json", "--merge", *files, prompts=False)
        self.assertEqual(without_seconds(merged), without_seconds(whole))
        out, _ = self.run_cli("eval", "--merge", *files[:2])
        self.assertIn("4 of 7 problems", out)

    def test_bad_shards(self):
        first, second = self.path("1.json"), self.path("2.json")
        modes = ["--modes", "plain,specexit"]
        self.result("1.json", *modes, "--shard", "1/2")
        self.failure("eval", "--merge", first, first, says="give every shard once")
        for changes, says in [(["--seed", "7"], '"seed 7", not "seed 0"'), (["--confidence", "0.5"], "other settings"),
                              (["--limit", "6"], "other prompts"), (["--modes", "plain,margin"], "other modes")]:
            self.result("2.json", *modes, "--shard", "2/2", *changes)
            self.failure("eval", "--merge", first, second, says=says)
        for text, says in [("", "not JSON"), ("{}", '"format"'), ('{"format": "specexit evaluation 1"}', '"model"')]:
            self.write("bad.json", text)
            self.failure("eval", "--merge", self.path("bad.json"), says=says)
        self.failure("eval", "--merge", self.path("none.json"), says="cannot be opened")
        self.usage_error("eval", "--merge", says="files of the shards")
        self.usage_error("eval", "--merge", first, "--shard", "1/2", says="runs nothing")
        for shard in ("0/2", "3/2", "1", "1/", "/2", "1/2x", "-1/2", "1/0", "99999999999999999999/2"):
            self.usage_error("eval", "--shard", shard, "-o", first, says="--shard needs I/N")
        self.usage_error("eval", "--shard", "1/2", says="--shard needs -o")
        self.usage_error("eval", "5", "--modes", "plain,plain", says="plain twice")
        self.usage_error("eval", "--prompts", self.prompts, "--shard", "8/9", "-o", first, says="is empty")
        self.failure("eval", "5", "-o", "/nonexistent/r.json", says="/nonexistent/r.json")

    def test_ctrl_c_keeps_what_is_done(self):
        process = subprocess.Popen([self.binary, "eval", "5", "slow endless", "--modes", "plain,specexit", "-o",
                                    self.path("r.json")], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env=self.environment())
        time.sleep(1.5)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assertIn(b"1 of 2 problems", out)
        with open(self.path("r.json"), encoding="utf-8") as file:
            self.assertEqual([record["problem"] for record in json.load(file)["records"]], [0, 0])

    def test_report(self):
        self.result("r.json", "--report", self.path("r.html"), "--limit", "3")
        with open(self.path("r.html"), encoding="utf-8") as file:
            text = file.read()
        xml.dom.minidom.parseString(text.replace("<!DOCTYPE html>", ""))
        self.assertIn("&lt;b&gt;is&lt;/b&gt; 1 &amp; more 1", text)
        self.assertNotRegex(text, r"(?i)<script|<link|<img|http|url\(|javascript|\bon\w+=")
        for wanted in ("prefers-color-scheme: dark", "Frontier", "Signals of single problems", "confidence at the exit",
                       "area under the curve", "foretold", "share of the whole thinking", "silent-budget=64"):
            self.assertIn(wanted, text)
        # From a file alone, without a problem whose answer is known, and without signals.
        self.run_cli("eval", "5", "--modes", "plain", "-o", self.path("s.json"))
        self.run_cli("eval", "--merge", self.path("s.json"), "--report", self.path("s.html"))
        with open(self.path("s.html"), encoding="utf-8") as file:
            self.assertIn("nothing to draw", file.read())

    def test_table(self):
        out, _ = self.run_cli("eval", "--prompts", self.prompts, "--modes", "speculative,specexit")
        self.assertRegex(out, r"(?m)^mode +accuracy +95 % interval +thinking .* seconds +tokens/s$")
        self.assertRegex(out, r"(?m)^specexit +85\.7 % +48\.7 to +97\.4 ")
        lines = self.json_lines("eval", "--prompts", self.prompts, "--modes", "speculative,specexit", "--json")
        self.assertEqual([line["mode"] for line in lines], ["speculative", "specexit"])


class Inspect(Program):
    def test_devices(self):
        out, _ = self.run_cli("devices")
        self.assertIn("0  Scripted GPU", out)
        self.assertIn("8.0 GB", out)
        lines = self.json_lines("devices", "--json")
        self.assertEqual([line["kind"] for line in lines], ["discrete", "cpu"])
        self.failure("devices", says="no Vulkan device", SCRIPTED_NO_DEVICE="1")

    def test_info(self):
        self.assertEqual(self.run_cli("info", self.write("m", ""))[0], "general.name  scripted\n")
        self.failure("info", self.path("none"), says="no such file")
        self.assertIn("confidence, progress, remain", self.run_cli("info")[0])
        self.assertIn("confidence > 0.8, progress > 0.3, remain < 200 tokens", self.run_cli("info")[0])
        self.assertEqual(self.json_lines("info", "--json")[0]["vocabulary"], 256)

    def test_estimate(self):
        out, _ = self.run_cli("info", "--estimate", "-m", self.write("m.gguf", ""), "--context", "300")
        self.assertEqual(out, "3.0 GB weights, 500 MB for a conversation of 300 tokens; the device has 4.0 GB, enough for 700 "
                              "tokens\n")
        self.assertEqual(self.json_lines("info", "--estimate", "--json")[0]["session_bytes"], 500000000)
        self.failure("info", "--estimate", "-m", self.path("none.gguf"), says="no such file")
        self.usage_error("info", "--estimate", "x", says="-m")

    def test_models(self):
        self.assertIn("tools/models.sh", self.run_cli("models")[1])
        os.makedirs(self.path("cache/specexit/models"))
        self.write("cache/specexit/models/tiny.gguf", "12345")
        self.write("cache/specexit/models/other.part", "12345")
        self.assertEqual(self.run_cli("models")[0].split(), ["tiny", "5", "B"])
        line = self.json_lines("models", "--json")[0]
        self.assertEqual((line["id"], line["bytes"]), ("tiny", 5))

    def test_round_trip(self):
        text = "Häße 🙂\n\n"
        ids, _ = self.run_cli("tokenize", stdin=text)
        self.assertRegex(ids, r"^\d+( \d+)*\n$")
        self.assertEqual(self.run_cli("detokenize", stdin=ids)[0], text)
        self.assertEqual(self.run_cli("detokenize", "--tokens", "72,105")[0], "Hi")
        self.assertEqual(self.run_cli("tokenize", stdin="")[0], "\n")
        self.assertEqual(self.json_lines("tokenize", "--json", stdin="Hi")[0], {"tokens": [72, 105]})
        self.failure("detokenize", stdin="1 x", says='"x" is no token id')
        self.failure("detokenize", stdin="999", says="token 999")

    def test_logits(self):
        self.run_cli("logits", "--tokens", "1,2", "-o", self.path("l.f32"))
        with open(self.path("l.f32"), "rb") as file:
            self.assertEqual(len(file.read()), 2 * 256 * 4)
        self.failure("logits", "--tokens", "1", "-o", "/nonexistent/x", says="/nonexistent/x")

    def test_template(self):
        path = self.write("m.json", '[{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]')
        self.assertEqual(self.run_cli("template", "--messages", path)[0], "<0>S<1>U<think>")
        with open(path, "rb") as file:
            out, _ = self.run_cli("template", "--messages", "-", "--think", "off", stdin=file.read())
        self.assertEqual(out, "<0>S<1>U<answer>")


class Chat(Program):
    def chat(self, *lines, arguments=(), code=0):
        return self.run_cli("chat", *arguments, stdin="\n".join(lines) + "\n", code=code)[0]

    def test_turns(self):
        out = self.chat("is 5", "is 6", "/quit", "is 7")
        self.assertEqual(out.splitlines(), ["The answer is 5.", "The answer is 6."])

    def test_save_and_load(self):
        path = self.path("c.json")
        self.chat("is 5", f"/save {path}")
        with open(path, encoding="utf-8") as file:
            saved = json.load(file)
        self.assertEqual([m["role"] for m in saved["messages"]], ["user", "assistant"])
        self.assertEqual(saved["messages"][1]["content"], "The answer is 5.")
        self.assertIn("step is done", saved["messages"][1]["reasoning_content"])
        out = self.chat(f"/load {path}")
        self.assertIn("2 messages from", out)
        self.assertIn("with what was computed", out)
        # The conversation is taken up whatever is the matter with what was computed of it.
        with open(path + ".session", "w", encoding="utf-8") as file:
            file.write("something else")
        out = self.chat(f"/load {path}", "is 6")
        self.assertIn("read again", out)
        self.assertIn("not a session", out)
        self.assertIn("answer is 6", out)
        os.remove(path + ".session")
        self.assertNotIn("computed", self.chat(f"/load {path}"))
        self.assertIn("answer is 6", self.chat("is 6", arguments=["--messages", path]))
        self.assertIn("cannot be opened", self.chat("/load /nonexistent"))

    def test_settings(self):
        out = self.chat("/policy margin", "is 5", "/stats", "/policy none", "/confidence 7", "/polcy x", "/save")
        self.assertIn("policy is set to margin", out)
        self.assertIn("left: margin", out)
        self.assertIn("between 0 and 1", out)
        self.assertIn('did you mean "policy"?', out)
        self.assertIn("/save needs something after it", out)

    def test_more_and_again(self):
        out = self.chat("/more", "is 5", "/more", "/stats", "/again", "/stats")
        self.assertIn("no thinking to go on with", out)
        self.assertIn("left: natural", out)
        self.assertIn("left: signals", out)
        self.assertEqual(out.count("The answer is 5."), 3)

    def test_continued_lines(self):
        self.assertIn("answer is 6", self.chat("is 5 \\", "and 6"))

    def test_context(self):
        turns = ["is %d" % i for i in range(1, 6)]
        out, err = self.run_cli("chat", stdin="\n".join(turns))
        self.assertIn("/when-full shift", out)
        self.assertIn("the context holds", err)
        self.assertNotIn("answer is 5", out)
        out = self.chat(*turns, arguments=["--when-full", "shift"])
        self.assertIn("oldest 2 messages are left out", out)
        self.assertIn("answer is 5", out)

    def test_help(self):
        out = self.chat("/help")
        self.assertIn("/more", out)
        self.assertIn("--confidence", out)


if __name__ == "__main__":
    main()
