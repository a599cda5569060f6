#!/bin/sh
# What a GPU makes of specexit, in one summary: conformance, op tests, lossless tests, copy bandwidth, decode speed and
# the comparison with and without early exit. Needs only the programs of a build: no compiler, no network.
#
#   sh tools/gpu_check.sh [-b BUILD] [-o FILE] [--quick] [-m MODEL [-d DRAFT]]
#   sh tools/gpu_check.sh --pack FILE.tar.gz [-b BUILD]    everything needed, for a machine that has neither
#
# On the other machine: tar xzf FILE.tar.gz && sh specexit-gpu-check/gpu_check.sh
# BUILD is a build folder (default: build/release). The summary goes to standard output and to FILE (default:
# gpu_check.md), what the programs printed to gpu_check.logs/. The tests use the best device; VK_ICD_FILENAMES narrows it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
build="" out=gpu_check.md quick=false pack="" model="" draft=""

fail() {
    echo "gpu_check: $*" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    -h | --help)
        sed -n '2,12s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    --quick)
        quick=true
        shift
        continue
        ;;
    -b | -o | -m | -d | --pack) [ $# -ge 2 ] || fail "$1 needs a value" ;;
    *) fail "unknown option $1; --help shows what there is" ;;
    esac
    case $1 in
    -b) build=$2 ;;
    -o) out=$2 ;;
    -m) model=$2 ;;
    -d) draft=$2 ;;
    --pack) pack=$2 ;;
    esac
    shift 2
done

if [ -z "$build" ] && [ -x "$here/bin/specexit" ]; then
    build=$here # packed
fi
build=${build:-$here/../build/release}
[ -x "$build/bin/specexit" ] || fail "$build/bin/specexit is missing; build first (cmake --build --preset release) or name the build folder with -b"
bin=$(cd "$build/bin" && pwd)
problems=$here/heldout.jsonl
[ -f "$problems" ] || problems=$here/demo_model/heldout.jsonl

checks() { # the test programs, in the order of the layers
    for pattern in gpu_conformance gpu_vulkan_test 'test_ops_*' 'test_decide_*' test_session test_lossless; do
        for program in "$bin"/$pattern; do
            [ -x "$program" ] && printf '%s\n' "$program"
        done
    done
}

# ---- --pack ---------------------------------------------------------------------------------------------------------

pack_all() {
    work=$(mktemp -d) || exit 1
    trap 'rm -rf "$work"' EXIT
    top=$work/specexit-gpu-check
    mkdir -p "$top/bin" "$top/lib"
    cp "$bin/specexit" $(checks) "$top/bin/"
    for bench in gpu_bench ops_bench; do
        [ -x "$bin/$bench" ] && cp "$bin/$bench" "$top/bin/"
    done
    if command -v strip >/dev/null 2>&1; then strip "$top"/bin/*; fi
    cp "$0" "$top/gpu_check.sh"
    [ -f "$problems" ] && cp "$problems" "$top/heldout.jsonl"
    # Libraries that such a machine may lack; its own C library and drivers serve for the rest.
    for program in "$top"/bin/*; do
        ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p'
    done | grep -E 'cmocka|cjson|utf8proc' | sort -u | while IFS= read -r library; do cp "$library" "$top/lib/"; done
    loader=$(ldconfig -p 2>/dev/null | sed -n 's/.*libvulkan\.so\.1 .*=> //p' | head -n 1)
    [ -n "$loader" ] && cp "$loader" "$top/lib/libvulkan.so.1"
    tar czf "$pack" -C "$work" specexit-gpu-check || exit 1
    echo "$pack: $(wc -c <"$pack") bytes; on the other machine: tar xzf and sh specexit-gpu-check/gpu_check.sh"
}

if [ -n "$pack" ]; then
    pack_all
    exit 0
fi

# ---- The checks -----------------------------------------------------------------------------------------------------

logs=${out%.md}.logs
mkdir -p "$logs" || exit 1
: >"$out" || exit 1
if [ -d "$here/lib" ]; then
    # Last, so that the machine's own libraries win.
    LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/lib
    export LD_LIBRARY_PATH
fi
SX_DEMO_FOLDER=$(dirname "$problems")
export SX_DEMO_FOLDER VK_LOADER_LAYERS_DISABLE='~implicit~'
failed=0

tell() { printf '%s\n' "$*" | tee -a "$out"; }

limited() { # seconds, then a command; without `timeout` it just runs
    if command -v timeout >/dev/null 2>&1; then
        timeout "$@"
    else
        shift
        "$@"
    fi
}

run_check() { # one test program and its arguments
    name=$(basename "$1")
    begin=$(date +%s)
    limited 900 "$@" >"$logs/$name.log" 2>&1 </dev/null
    code=$?
    took=$(($(date +%s) - begin))
    if [ $code -eq 0 ]; then
        tell "| $name | passed | $took s |"
    else
        failed=$((failed + 1))
        tell "| $name | FAILED ($code) | $took s |"
        tail -n 5 "$logs/$name.log" | sed 's/^/    /' >&2
    fi
}

number() { # key, from a line of JSON on standard input
    sed -n 's/.*"'"$1"'":\([-0-9.e+]*\).*/\1/p'
}

measure() { # title, then arguments of `specexit compare`
    title=$1
    shift
    log=$logs/compare.json
    if ! limited 3000 "$bin/specexit" compare --json "$@" >"$log" 2>"$logs/compare.err" </dev/null; then
        failed=$((failed + 1))
        tell "$title: FAILED: $(tail -n 1 "$logs/compare.err")"
        return
    fi
    tell "$title"
    tell ""
    tell "| mode | problems | accuracy | thinking tokens | tokens | tokens per cycle | seconds | decode tokens/s |"
    tell "| --- | --- | --- | --- | --- | --- | --- | --- |"
    while IFS= read -r line; do
        field() { printf '%s\n' "$line" | number "$1"; }
        mode=$(printf '%s\n' "$line" | sed 's/.*"mode":"\([^"]*\)".*/\1/')
        speed=$(awk "BEGIN { s = $(field decode_seconds); printf \"%.0f\", s > 0 ? $(field tokens) / s : 0 }")
        accuracy=$(field accuracy)
        tell "| $mode | $(field problems) | ${accuracy:--} | $(field thinking_tokens) | $(field tokens) | $(field acceptance_length) | $(field seconds) | $speed |"
    done <"$log"
    tell ""
}

if ! "$bin/specexit" devices >"$logs/devices.txt" 2>&1; then
    cat "$logs/devices.txt" >&2
    exit 1
fi
tell "# specexit on $(sed -n '1s/^0  //p' "$logs/devices.txt")"
tell ""
tell "$("$bin/specexit" --version), $(uname -sm), $(date -u +%Y-%m-%d)"
tell ""
tell '```'
tell "$(cat "$logs/devices.txt")"
tell '```'
tell ""
tell "| check | result | time |"
tell "| --- | --- | --- |"
if $quick; then SX_PROBLEMS=20; else SX_PROBLEMS=200; fi
SX_BOTH=1
export SX_PROBLEMS SX_BOTH
for program in $(checks); do
    case $program in
    */gpu_conformance) run_check "$program" vulkan ;;
    *) run_check "$program" ;;
    esac
done
tell ""
if [ -x "$bin/gpu_bench" ]; then
    limited 120 "$bin/gpu_bench" >"$logs/gpu_bench.log" 2>&1 || failed=$((failed + 1))
    tell '```'
    tell "$(cat "$logs/gpu_bench.log")"
    tell '```'
    tell ""
fi
# Linear ops at the shape of a 4B model: the kernels of decoding against the tiled ones of prompts, and packed activations.
if [ -x "$bin/ops_bench" ] && ! $quick && ! sed -n 2p "$logs/devices.txt" | grep -q '^ *cpu,'; then
    limited 600 "$bin/ops_bench" >"$logs/ops_bench.log" 2>&1 || failed=$((failed + 1))
    tell '```'
    tell "$(grep -E '^(linear|packed) (F16|Q8_0|Q4_K) |^(attention|rms_norm|sample|top_k)' "$logs/ops_bench.log")"
    tell '```'
    tell ""
fi
if $quick; then limit=20; else limit=100; fi
if [ -f "$problems" ]; then
    measure "The bundled model on held-out problems" --prompts "$problems" --limit "$limit"
else
    measure "The bundled model"
fi
if [ -n "$model" ]; then
    for precision in full fast; do
        # shellcheck disable=SC2086 # nothing or two words
        measure "$(basename "$model"), --precision $precision" -m "$model" ${draft:+-d "$draft"} -n 256 \
            --precision $precision "How many prime numbers are there below 50?" "Explain why the sky is blue."
    done
fi
if [ "$failed" -eq 0 ]; then
    tell "All checks passed."
else
    tell "$failed failed; the logs are in $logs."
fi
echo "gpu_check: the summary is in $out" >&2
[ "$failed" -eq 0 ]
