"""What a user at a terminal sees: the status line, dimming, ctrl-c, the chat; with the scripted engine on a pty."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
import unittest

from support import Program, main

REGION, RESET = b"\x1b[1;23r", b"\x1b[r"


class Terminal(Program):
    def start(self, *arguments, rows=24, columns=80, stdout=None, stdin=None, **env):
        """Runs the program with a terminal as standard error, and output and input unless they are given."""
        self.master, slave = pty.openpty()
        self.addCleanup(os.close, self.master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen([self.binary, *arguments], stdin=slave if stdin is None else stdin,
                                        stdout=slave if stdout is None else stdout, stderr=slave,
                                        env=self.environment(**env), preexec_fn=own_terminal)
        self.addCleanup(self.process.kill)
        os.close(slave)
        self.seen, self.position = b"", 0

    def read_until(self, wanted, seconds=60):
        """Waits for `wanted` behind what was waited for before."""
        end = time.monotonic() + seconds
        while wanted not in self.seen[self.position:]:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"no {wanted!r} in {self.seen!r}")
            try:
                self.seen += os.read(self.master, 65536)
            except OSError:
                self.fail(f"ended without {wanted!r}: {self.seen!r}")
        self.position = self.seen.index(wanted, self.position) + len(wanted)

    def finish(self, code=0, seconds=60):
        end = time.monotonic() + seconds
        while True:
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            self.assertTrue(ready, f"does not end: {self.seen!r}")
            try:
                data = os.read(self.master, 65536)
            except OSError:
                break
            if not data:
                break
            self.seen += data
        self.assertEqual(self.process.wait(seconds), code, self.seen)
        return self.seen

    def text(self):
        """What was seen without the status line's drawing."""
        return re.sub(rb"\x1b7\x1b\[\d+;1H.*?\x1b8", b"", self.seen)

    def press(self, keys):
        os.write(self.master, keys)


class Run(Terminal):
    def test_looks(self):
        self.start("run", "slow 5")
        seen = self.finish()
        self.assertIn(b"\x1b[2mstep", seen)  # dimmed thinking
        self.assertIn(b"The answer is 5.", self.text())
        self.assertIn("── left: signals".encode(), seen)
        self.assertIn("tokens left".encode(), seen)
        self.assertIn(b"ctrl-c: answer now", seen)
        self.assertIn(b"28 thinking and 5 answer tokens", seen)

    def test_terminal_is_left_as_it_was(self):
        self.start("run", "slow 5")
        seen = self.finish()
        self.assertIn(REGION, seen)
        self.assertGreater(seen.rindex(RESET), seen.rindex(REGION))
        self.assertNotIn(b"\x1b[2m", seen[seen.rindex(b"\x1b[0m"):])

    def test_no_colour(self):
        self.start("run", "slow 5", NO_COLOR="1")
        seen = self.finish()
        for colour in (b"\x1b[2m", b"\x1b[36m", b"\x1b[31m"):
            self.assertNotIn(colour, seen)
        self.assertIn(b"The answer is 5.", self.text())

    def test_dumb_terminal(self):
        self.start("run", "slow 5", TERM="dumb")
        self.assertNotIn(b"\x1b", self.finish())

    def test_quiet(self):
        self.start("run", "-q", "slow 5")
        seen = self.finish()
        self.assertNotIn(REGION, seen)
        self.assertNotIn(b"answer tokens", seen)

    def test_tiny_terminal(self):
        self.start("run", "slow 5", rows=3, columns=10)
        self.assertNotIn(b"\x1b[1;2r", self.finish())

    def test_control_characters_are_shown_not_obeyed(self):
        self.start("run", "slow escape 5")
        seen = self.finish()
        self.assertNotIn(b"\x1b[31m", seen)
        self.assertNotIn(b"\x07", seen)
        self.assertNotIn(b"\xc2\x9b", seen)
        self.assertIn("\ufffd[31m\ufffd\ufffdred".encode(), seen)

    def test_status_where_only_errors_go_to_the_terminal(self):
        reader, writer = os.pipe()
        self.start("run", "slow 5", stdout=writer)
        os.close(writer)
        seen = self.finish()
        with os.fdopen(reader, "rb") as out:
            self.assertEqual(out.read(), b"The answer is 5.\n")
        self.assertIn(b"\r\x1b[2Kthinking", seen)
        self.assertNotIn(REGION, seen)
        self.assertNotIn(b"answer is", seen)

    def test_resize(self):
        self.start("run", "slow endless 5")
        self.read_until(REGION)
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
        self.read_until(b"\x1b[1;39r")
        self.press(b"\x03")
        self.finish()


class Interrupts(Terminal):
    def test_once_answers_now(self):
        self.start("run", "slow endless 5")
        self.read_until(b"confident")
        self.press(b"\x03")
        seen = self.finish(0)
        self.assertIn(b"left: answer-now", seen)
        self.assertIn(b"The answer is 5.", self.text())

    def test_twice_stops(self):
        self.start("run", "slow endless stubborn 5")
        self.read_until(b"confident")
        self.press(b"\x03")
        self.read_until(b"ending the thought")
        self.press(b"\x03")
        seen = self.finish(130)
        self.assertNotIn(b"answer is", self.text())
        self.assertGreater(seen.rindex(RESET), seen.rindex(REGION))

    def test_three_times_ends_at_once(self):
        self.start("run", "slow endless stubborn stuck 5")
        self.read_until(b"confident")
        self.press(b"\x03")
        self.read_until(b"ending the thought")
        self.press(b"\x03")
        time.sleep(0.1)  # two signals at once count as one
        self.press(b"\x03")
        seen = self.finish(130)
        self.assertGreater(seen.rindex(RESET), seen.rindex(REGION))

    def test_terminated(self):
        self.start("run", "slow endless 5")
        self.read_until(b"confident")
        self.process.send_signal(signal.SIGTERM)
        seen = self.finish(143)
        self.assertGreater(seen.rindex(RESET), seen.rindex(REGION))

    def test_compare_stops_with_what_it_has(self):
        self.start("compare", "5", "slow endless 6", "--modes", "specexit", columns=120)
        self.read_until(b"problem 2 of 2")
        self.press(b"\x03")
        seen = self.finish(130)
        self.assertIn(b"1 problem ", seen)

    def test_while_typing_the_prompt(self):
        self.start("run")
        self.read_until(b"type the prompt")
        self.press(b"\x03")
        self.finish(130)

    def test_piped_input_answers_now_too(self):
        process = subprocess.Popen([self.binary, "run", "--json", "slow endless 5"], stdout=subprocess.PIPE,
                                   env=self.environment())
        for line in process.stdout:
            if b'"signals"' in line:
                process.send_signal(signal.SIGINT)
                break
        rest = process.stdout.read()
        process.stdout.close()
        self.assertEqual(process.wait(60), 0)
        self.assertIn(b'"reason":"answer-now"', rest)


class Chat(Terminal):
    def test_conversation(self):
        self.start("chat", columns=120)
        self.read_until("› ".encode())
        self.press(b"slow 5\r")
        self.read_until(b"5 answer tokens")
        self.assertIn(b"The answer is 5.", self.text())
        self.press(b"endless slow 7\r")
        self.read_until(b"confident")
        self.press(b"\x03")
        self.read_until(b"5 answer tokens")
        self.assertIn(b"The answer is 7.", self.text())
        self.read_until("› ".encode())
        self.press(b"\x04")
        self.finish(0)

    def test_interrupt_at_the_prompt(self):
        self.start("chat")
        self.read_until("› ".encode())
        self.press(b"abc\x03")
        self.read_until(b"/quit or ctrl-c again leaves")
        self.read_until("› ".encode())
        self.press(b"\x03")
        self.finish(0)

    def test_history_is_kept(self):
        self.start("chat")
        self.read_until("› ".encode())
        self.press(b"direct 5\r")
        self.read_until(b"The answer is 5.")
        self.read_until("› ".encode())
        self.press(b"/quit\r")
        self.finish(0)
        history = self.path("state/specexit/history")
        if not os.path.exists(history):
            self.skipTest("libedit is not installed")
        with open(history, "rb") as file:
            self.assertIn(b"direct", file.read())
        self.start("chat")
        self.read_until("› ".encode())
        self.press(b"\x1b[A\x1b[A\r")
        self.read_until(b"The answer is 5.")
        self.read_until("› ".encode())
        self.press(b"\x04")
        self.finish(0)


if __name__ == "__main__":
    main()
