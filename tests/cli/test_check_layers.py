"""The layer check must catch every kind of wrong include, and let the right ones pass."""
import os
import subprocess
import sys
import tempfile
import unittest

CHECK = os.path.join(sys.argv[1], "tools", "check_layers.py")

GOOD = {
    "runtime/specexit.h": '#include "base/status.h"\n',
    "runtime/base/status.h": "#include <stddef.h>\n",
    "runtime/text/tokenizer.h": '#include "base/status.h"\n',
    "runtime/model/gguf.h": '#include "base/status.h"\n',
    "runtime/gpu/gpu.h": '#include "base/status.h"\n',
    "runtime/gpu/backend.h": '#include "gpu/gpu.h"\n#ifdef SX_GPU_HAVE_VULKAN\n#endif\n',
    "runtime/gpu/vulkan/vk.c": '#include "gpu/backend.h"\n#include <vulkan/vulkan.h>\n',
    "runtime/graph/ops.h": '#include "gpu/gpu.h"\n#include "model/gguf.h"\n#include "kernels.gen.h"\n'
                           '#include "shared.h"\n',
    "runtime/engine/policy.h": '#include "shared.h"\n#include "base/status.h"\n',
    "runtime/engine/engine.c": '#include "engine/policy.h"\n#include "graph/ops.h"\n#include "text/tokenizer.h"\n'
                               '#include "specexit.h"\n',
    "shaders/shared.h": "",
    "frontends/cli/run.c": '#include "run.h"\n#include "common/text.h"\n#include "specexit.h"\n',
    "frontends/cli/run.h": "",
    "frontends/common/text.h": "",
    "frontends/common/choices.h": '#include "specexit.h"\n',
    "runtime/specexit_signals.h": "",
    "frontends/chat/main.c": '#include "specexit.h"\n#include <SDL2/SDL.h>\n',
    "frontends/chat/platform_posix.c": "#include <dirent.h>\n#include <sys/stat.h>\n",
    "web/exports.c": '#include "specexit.h"\n#include <emscripten.h>\n',
}
BAD = [
    ("frontends/cli/bad.c", '#include "base/status.h"'),
    ("frontends/cli/bad.c", '  #  include "engine/policy.h"'),
    ("frontends/chat/bad.c", '#include "../cli/run.h"'),
    ("frontends/cli/bad.c", "#include <SDL.h>"),
    ("frontends/common/bad.c", '#include "specexit_signals.h"'),
    ("frontends/chat/bad.c", "#include <unistd.h>"),
    ("runtime/base/bad.c", "#include <windows.h>"),
    ("frontends/chat/bad.c", "#include <sys/stat.h>"),
    ("web/bad.c", '#include "gpu/gpu.h"'),
    ("runtime/base/bad.c", '#include "text/tokenizer.h"'),
    ("runtime/text/bad.c", '#include "model/gguf.h"'),
    ("runtime/model/bad.c", '#include "text/tokenizer.h"'),
    ("runtime/model/bad.c", '#include "gpu/gpu.h"'),
    ("runtime/gpu/bad.c", '#include "graph/ops.h"'),
    ("runtime/gpu/bad.c", "#include <vulkan/vulkan.h>"),
    ("runtime/gpu/webgpu/bad.c", '#include "gpu/vulkan/vk.c"'),
    ("runtime/graph/bad.c", '#include "gpu/backend.h"'),
    ("runtime/graph/bad.c", '#include "text/tokenizer.h"'),
    ("runtime/graph/bad.c", '#include "engine/policy.h"'),
    ("runtime/engine/bad.c", '#include "gpu/backend.h"'),
    ("runtime/engine/bad.c", '#include "../gpu/vulkan/vk.c"'),
    ("runtime/signals/fit.c", '#include "graph/ops.h"'),
    ("runtime/engine/policy.c", '#include "specexit.h"'),
    ("runtime/engine/bad.c", "#ifdef SX_GPU_HAVE_VULKAN\n#endif"),
    ("runtime/engine/bad.c", '#include "nowhere.h"'),
    ("runtime/strange/bad.c", '#include "base/status.h"'),
]


class CheckLayers(unittest.TestCase):
    def check(self, files):
        with tempfile.TemporaryDirectory() as root:
            for path, text in files.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as out:
                    out.write(text)
            return subprocess.run([sys.executable, CHECK, root], capture_output=True, text=True, check=False)

    def test_good(self):
        done = self.check(GOOD)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_each_bad_include_is_named(self):
        for path, text in BAD:
            done = self.check({**GOOD, path: text + "\n"})
            self.assertEqual(done.returncode, 1, (path, text))
            self.assertIn(path + ":1: ", done.stdout, (path, text))
            self.assertIn(", 1 problems", done.stdout, (path, text))

    def test_an_empty_tree_is_no_success(self):
        self.assertNotEqual(self.check({}).returncode, 0)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
