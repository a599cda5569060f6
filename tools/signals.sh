#!/bin/sh
# Signals of the bundled model from scratch, with this program alone: trace, train, calibrate, and evaluate on problems that
# took no part in any of it, beside the rows of the PyTorch recipe. Everything it makes lies in a folder and is gone on with
# when it is run again.
# Usage: sh tools/signals.sh [FOLDER] [TRAINING [CALIBRATION [HELD-OUT PROBLEMS]]]     (build/signals 300 200 500)
# On two cores and a software driver a traced problem takes two to six seconds, an evaluated one twice that.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-build/signals}
program=${SPECEXIT:-build/release/bin/specexit}
problems=tools/demo_model
mkdir -p "$folder"

"$program" trace --prompts $problems/calibration.jsonl --limit "${2:-300}" -o "$folder/train.trace"
"$program" train-signals "$folder/train.trace" -o "$folder/signals.gguf"
"$program" trace --prompts $problems/smoke.jsonl --limit "${3:-200}" -o "$folder/calibration.trace"
modes=speculative
for signals in confidence progress remain confidence,progress,remain; do
    profile=$folder/$(echo $signals | tr , -).json
    "$program" calibrate "$folder/calibration.trace" --signal-head "$folder/signals.gguf" --signals $signals --lose 0.5 \
        --risk 2 -o "$profile" | grep -E '^(nothing|chosen|certified)'
    modes=$modes,profile=$profile
done
echo "== the rows of the recipe on the same problems"
"$program" calibrate "$folder/calibration.trace" --signal-head $problems/demo-draft.gguf --lose 0.5 | grep '^chosen'
"$program" eval --prompts $problems/heldout.jsonl --limit "${4:-500}" --signal-head "$folder/signals.gguf" --modes "$modes" \
    -o "$folder/eval.json" --report "$folder/report.html"
