#!/bin/sh
# Builds specexit.exe on Debian or Ubuntu by MinGW-w64 and tries it in Wine: devices, a tokenised line, one answer of the
# bundled model, then the unit tests that need nothing of POSIX. Wine hands Vulkan to this machine's drivers.
# Usage: sh tools/windows.sh [--build]    only the program: build/windows/bin/specexit.exe
set -eu
cd "$(dirname "$0")/.."
. tools/install.sh
root=$PWD/build/windows-root

install_for_build gcc-mingw-w64-x86-64
mkdir -p "$root/include" "$root/lib/pkgconfig"
for headers in vulkan vk_video; do ln -sfn "/usr/include/$headers" "$root/include/$headers"; done
if [ "${1:-}" = --build ]; then
    cmake --preset windows -DSX_BUILD_TESTS=OFF
    cmake --build --preset windows --target specexit
    exit
fi

# What the tests are written with comes from the distribution's sources.
fetch_sources() { # package...: into build/windows-sources, without changing the machine's own lists
    folder=$PWD/build/windows-sources
    mkdir -p "$folder/lists/partial" "$folder/parts"
    for list in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources; do
        [ ! -f "$list" ] || sed 's/^Types:.*/Types: deb-src/' "$list" >"$folder/parts/${list##*/}"
    done
    [ ! -f /etc/apt/sources.list ] || sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$folder/parts/all.list"
    options="-q -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$folder/parts -o Dir::State::lists=$folder/lists"
    # shellcheck disable=SC2086 # a list of options
    (cd "$folder" && apt-get $options update && apt-get $options source "$@") </dev/null
}
build_library() { # package, options of its CMake
    folder=$(find build/windows-sources -maxdepth 1 -type d -name "$1-*" | head -n 1)
    shift
    cmake -S "$folder" -B "$folder/build" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$PWD/tools/windows/toolchain.cmake" \
        -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX="$root" -DBUILD_SHARED_LIBS=OFF "$@" >"$folder.log" 2>&1 &&
        cmake --build "$folder/build" --target install >>"$folder.log" 2>&1 || {
        cat "$folder.log"
        return 1
    }
}
install_packages wine64 wine xvfb dpkg-dev
if ! [ -f "$root/lib/libcmocka.a" ] || ! [ -f "$root/lib/libcjson.a" ]; then
    fetch_sources cmocka cjson
    build_library cjson -DENABLE_CJSON_TEST=OFF -DENABLE_CUSTOM_COMPILER_FLAGS=OFF
    build_library cmocka -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF
    rm -f "$root/lib/libcmocka.dll.a" # or programs would want the DLL
    mv "$root/lib/libcmocka-static.a" "$root/lib/libcmocka.a"
fi

cmake --preset windows -DSX_BUILD_TESTS=ON
tests="text_unicode text_vocab text_tokenizer text_template text_detokenizer model_file model_quant model_gguf model_draft
    policy_policy policy_pace signals_profile signals_learn cli_units"
targets=specexit
for test in $tests; do targets="$targets test_$test"; done
# shellcheck disable=SC2086 # a list of names
cmake --build --preset windows --target $targets

# Wine's Vulkan wants a screen, even where nothing is drawn.
screen=:$((90 + $$ % 900))
Xvfb "$screen" -screen 0 640x480x24 -nolisten tcp >/dev/null 2>&1 &
xvfb=$!
trap 'kill $xvfb' EXIT
export DISPLAY="$screen" LC_ALL=C.UTF-8 WINEDEBUG=-all WINEPREFIX="$PWD/build/wine" WINEDLLOVERRIDES=mscoree,mshtml=
export VK_LOADER_LAYERS_DISABLE='~implicit~' LP_NUM_THREADS=0
wine=$(command -v wine64 || command -v wine)
program="$wine build/windows/bin/specexit.exe"
mkdir -p build/wine-Größe
cp tools/demo_model/demo.gguf build/wine-Größe/モデル.gguf
say "devices"
$program devices
say "a tokenised line"
echo 'Grüße, 日本' | $program tokenize
say "a file whose name is not ASCII"
$program info build/wine-Größe/モデル.gguf | head -n 1
say "an answer"
answer=$($program run "Start at 7, add 5, times 2." | tr -d '\r')
echo "$answer"
[ "$answer" = "The answer is 24." ]
ctest --test-dir build/windows --output-on-failure --no-tests=error \
    -R "^($(echo $tests | sed 's/text_/text./g; s/model_/model./g; s/policy_/policy./g; s/signals_/signals./g; s/cli_/cli./g; s/ /|/g'))\$" </dev/null
