"""Without a Vulkan device: a message with the remedy, and what needs no device works."""
import os

from support import Program, main

NOWHERE = {"VK_ICD_FILENAMES": "/nonexistent", "VK_DRIVER_FILES": "/nonexistent", "VK_LOADER_LAYERS_DISABLE": "~implicit~"}
DEMO = os.path.join(os.path.dirname(__file__), "..", "..", "tools", "demo_model", "demo.gguf")


class NoDevice(Program):
    def test_commands_say_what_to_install(self):
        for arguments in (["run", "x"], ["devices"], ["compare"], ["chat"], ["info"]):
            out = self.failure(*arguments, says="install", **NOWHERE)
            self.assertEqual(out, "")

    def test_file_is_listed(self):
        out, _ = self.run_cli("info", DEMO, **NOWHERE)
        self.assertIn("general.architecture", out)
        self.assertIn("token_embd.weight", out)

    def test_bad_files_are_named(self):
        with open(DEMO, "rb") as file:
            head = file.read(100000)
        for name, data in (("empty.gguf", b""), ("foreign.gguf", b"PK\3\4" * 100), ("cut.gguf", head),
                           ("version.gguf", b"GGUF\x63\0\0\0" + head[8:])):
            with open(self.path(name), "wb") as out:
                out.write(data)
            self.failure("info", self.path(name), says=name, **NOWHERE)
        self.failure("info", self.path("none.gguf"), says="none.gguf", **NOWHERE)
        self.failure("info", self.folder.name, says=self.folder.name, **NOWHERE)

    def test_nothing_is_left_in_the_cache(self):
        self.run_cli("run", "x", code=1, **NOWHERE)
        left = [name for _, _, names in os.walk(self.path("cache")) for name in names]
        self.assertEqual(left, [])


if __name__ == "__main__":
    main()
