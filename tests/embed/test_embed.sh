#!/bin/sh
# Installs the build into a folder, moves that, and builds and runs answer.c against it alone, by pkg-config.
# Usage: test_embed.sh BUILD COMPILER
set -eu
source=$(dirname "$0")/answer.c
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cmake --install "$1" --prefix "$folder/first" >"$folder/log" || {
    cat "$folder/log"
    exit 1
}
mv "$folder/first" "$folder/moved"
pc=$(find "$folder/moved" -name specexit.pc)
PKG_CONFIG_PATH=${pc%/*}
export PKG_CONFIG_PATH
# shellcheck disable=SC2046 # a list of options
"$2" -std=c11 -Wall -Wextra -Werror "$source" $(pkg-config --cflags --libs specexit) -o "$folder/answer"
answer=$("$folder/answer" "Start at 7, add 5, times 2." 2>"$folder/thought")
echo "$answer"
[ "$answer" = "The answer is 24." ]
grep -q "thought for [1-9][0-9]* tokens" "$folder/thought"
if "$folder/answer" question no-such-file.gguf 2>"$folder/error"; then exit 1; fi
grep -q "answer: no-such-file.gguf: cannot open" "$folder/error"
