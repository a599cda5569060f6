#!/bin/sh
# wasm_digest.sh SOURCE_FOLDER NATIVE_DIGEST EMCC NODE: builds digest.c as WebAssembly and compares what both print.
set -eu
root=$1 native=$2 emcc=$3 node=$4
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
NODE_PATH=${NODE_PATH:-/usr/share/nodejs} "$emcc" -std=c11 -O1 -I"$root/runtime" "$root/tests/text/digest.c" \
    "$root"/runtime/text/*.c "$root/runtime/base/status.c" -o "$folder/digest.js" \
    -sSINGLE_FILE=1 -sALLOW_MEMORY_GROWTH=1
"$node" "$folder/digest.js" >"$folder/wasm.txt"
"$native" >"$folder/native.txt"
diff "$folder/native.txt" "$folder/wasm.txt"
cat "$folder/wasm.txt"
