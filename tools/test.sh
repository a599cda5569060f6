#!/bin/sh
# Runs every test of the project: installs what is missing, builds the presets, checks style, runs CTest.
# Usage: sh tools/test.sh [--fast] [--models]
#   --fast    only the release build, and only one Vulkan driver; no browser
#   --models  also the tests on published models that are large to fetch (1.9 GB): half an hour and more
# Needs neither a GPU, nor a display, nor standard input.
set -eu
cd "$(dirname "$0")/.."
. tools/install.sh

fast=false models=false
for argument in "$@"; do
    case $argument in
    --fast) fast=true ;;
    --models) models=true ;;
    *)
        echo "test.sh: unknown option $argument; --fast and --models are known" >&2
        exit 2
        ;;
    esac
done

passed=0 failed=0 skipped=0
jobs=${SX_TEST_JOBS:-$(nproc 2>/dev/null || echo 2)}
export SX_KERNEL_CACHE="${SX_KERNEL_CACHE:-$PWD/build/kernels}" # five builds below compile the same shaders

# verdict NAME COMMAND...: a check that counts as one test.
verdict() {
    name=$1
    shift
    say "$name"
    if "$@"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        say "$name FAILED"
    fi
}

build() { # preset: configure and compile
    launcher=""
    if have ccache; then launcher="-DCMAKE_C_COMPILER_LAUNCHER=ccache"; fi
    # shellcheck disable=SC2086 # nothing or one word
    cmake --preset "$1" -DSX_BUILD_TESTS=ON -DSX_BUILD_CHAT=ON -DSX_NODE_MODULES="$PWD/build/npm/node_modules" $launcher >"build/configure-$1.log" 2>&1 || {
        cat "build/configure-$1.log"
        return 1
    }
    grep -iE 'left out|not found|warning' "build/configure-$1.log" || true
    cmake --build --preset "$1" -j "$jobs"
}

# The window and the engine have a thread each; what they hand each other is watched while a scripted engine answers. The
# real engine, for when this part changes: SDL_VIDEODRIVER=dummy build/threads/bin/chat_bench --messages 10 (minutes).
threads() {
    cmake --preset threads -DSX_BUILD_TESTS=ON >build/configure-threads.log 2>&1 &&
        cmake --build --preset threads -j "$jobs" --target test_chat_link &&
        setarch -R build/threads/bin/test_chat_link
}

run_tests() { # preset, then options of ctest
    preset=$1
    shift
    say "tests of the $preset build"
    report="$PWD/build/tests-$preset.xml"
    rm -f "$report"
    # What is started in there must not wait for a terminal.
    ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error --output-junit "$report" "$@" \
        </dev/null || true
    # The sums of the report; a run that wrote none is a failure.
    counts=$(python3 - "$report" <<'PYTHON' || echo "0 1 0"
import os
import sys
import xml.etree.ElementTree as tree
if not os.path.exists(sys.argv[1]):
    sys.exit("test.sh: ctest ended without a report")
suite = tree.parse(sys.argv[1]).getroot()
total, failed = int(suite.get("tests")), int(suite.get("failures"))
skipped = int(suite.get("skipped", 0)) + int(suite.get("disabled", 0))
print(total - failed - skipped, failed, skipped)
PYTHON
    )
    # shellcheck disable=SC2086 # three numbers
    set -- $counts
    passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

install_for_build ccache git clang-format universal-ctags libcmocka-dev libcjson-dev libutf8proc-dev libedit2? libsdl2-dev \
    libsdl2-ttf-dev libfontconfig-dev libmd4c-dev libsqlite3-dev libfribidi-dev? libunibreak-dev? xvfb xdotool fonts-noto-core fonts-inter? \
    fonts-noto-color-emoji? vulkan-validationlayers chromium? emcc:emscripten? node:nodejs npm:npm node-acorn?
python3 -m pip --version >/dev/null 2>&1 || install_packages python3-pip
mkdir -p build
if have node && have npm; then
    verdict "packages for the browser tests" sh tools/npm.sh
fi

# A model that somebody published belongs to every run; tests that need it skip where it cannot be had.
if [ -f tools/models.sh ] && ! $fast; then
    sh tools/models.sh get smollm2-135m || say "smollm2-135m cannot be had; its tests are skipped"
fi
if $models; then
    for model in gemma3-270m qwen2.5-coder-0.5b qwen2.5-coder-1.5b; do
        verdict "fetching $model" sh tools/models.sh get "$model"
    done
fi

$fast || verdict "debug build, warnings are errors" build debug
verdict "style" sh tools/check_style.sh
verdict "release build" build release
large='^models$'
if $models; then large='^$'; fi
if $fast; then
    run_tests release -LE "swiftshader|web|slow|$large"
else
    run_tests release -LE "$large"
    verdict "threads of the desktop application" threads
    verdict "sanitize build" build sanitize
    # Both sanitizers on everything that is ours; the second driver and the browser add nothing to that but time.
    run_tests sanitize -LE 'swiftshader|web|slow' -E '^cli[.]real|webgpu|wasm'
fi

if [ "$skipped" -gt 0 ]; then
    printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
else
    printf '%d passed, %d failed\n' "$passed" "$failed"
fi
[ "$failed" -eq 0 ]
