#!/bin/sh
# Compiles the op tests for WebGPU: build_ops.sh <emcc> <source root> <folder with kernels.gen.c> <output folder>.
# They block, so they are built with Asyncify and blocking.c in front of the calls that wait; the product is not.
set -eu
emcc=$1 root=$2 kernels=$3 out=$4
export NODE_PATH="/usr/share/nodejs${NODE_PATH:+:$NODE_PATH}" # where Debian keeps what its emcc wants of Node
mkdir -p "$out"
flags="-O2 -std=gnu11 -D_GNU_SOURCE -ffp-contract=off -DSX_GPU_HAVE_WEBGPU -DSX_VERSION=\"0\" -I$root/tests/gpu/web
  -I$root/runtime -I$root/shaders -I$kernels -I$root/tests/ops -I$root/tests/ops_decide -Dmain=test_main"

compile() { # source object
    # shellcheck disable=SC2086
    "$emcc" -c $flags "$1" -o "$out/$2"
}

common=""
for source in "$root"/runtime/base/*.c "$root"/runtime/model/*.c "$root"/runtime/graph/*.c "$root"/runtime/gpu/*.c \
    "$root"/runtime/gpu/null/*.c "$root"/runtime/gpu/webgpu/*.c "$root"/runtime/engine/policy.c "$kernels"/kernels.gen.c \
    "$root"/tests/gpu/web/blocking.c "$root"/tests/ops/harness.c; do
    case $source in *_windows.c) continue ;; esac
    object=$(basename "$(dirname "$source")")_$(basename "$source" .c).o
    compile "$source" "$object"
    common="$common $out/$object"
done
compile "$root"/tests/ops/reference.c ops_reference.o
compile "$root"/tests/ops_decide/reference.c decide_reference.o
compile "$root"/tests/ops_decide/support.c decide_support.o

for test in ops/linear ops/experts ops/rows ops/attention ops/weights ops_decide/accept ops_decide/rows ops_decide/sample \
    ops_decide/tree; do
    name=$(echo "$test" | tr / _)
    compile "$root/tests/${test%/*}/test_${test#*/}.c" "$name.o"
    extra=$out/ops_reference.o
    [ "${test%/*}" = ops ] || extra="$extra $out/decide_reference.o $out/decide_support.o"
    # shellcheck disable=SC2086
    "$emcc" -O2 $common $extra "$out/$name.o" -o "$out/$name.mjs" \
        --js-library "$root/runtime/gpu/webgpu/library_specexit_gpu.js" -sMODULARIZE -sEXPORT_ES6 \
        -sENVIRONMENT=web,worker -sALLOW_MEMORY_GROWTH -sASSERTIONS=0 -sASYNCIFY -sASYNCIFY_STACK_SIZE=65536 \
        -sTOTAL_STACK=4194304 -Wl,--wrap=sx_gpu_read,--wrap=sx_gpu_poll
done
