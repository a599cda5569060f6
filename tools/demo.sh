#!/bin/sh
# Shows what specexit does, from nothing: installs what is missing (Debian 12 and 13, Ubuntu 24.04), builds, and lets the
# bundled model answer with and without early exit.
# Usage: sh tools/demo.sh [OPTION OF specexit compare]...
set -eu
cd "$(dirname "$0")/.."
. tools/install.sh

install_for_build libedit2?

say "building"
cmake --preset release -DSX_BUILD_TESTS=OFF -DSX_BUILD_CHAT=OFF >/dev/null
cmake --build --preset release --target specexit
specexit=build/release/bin/specexit

say "the devices"
"$specexit" devices

say "problems the model has never seen: plain, with speculation, and with speculation and early exit"
"$specexit" compare --limit 6 "$@"

say "one of them, live: the thinking is dimmed, ctrl-c answers at once"
"$specexit" run --thinking show "Anna has 9 shells. Anna finds 11 more. Anna buys 9 more. How many now?"

say "your turn:  $specexit run \"Start at 7, add 5, times 2.\""
