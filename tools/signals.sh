#!/bin/sh
# Signals of the bundled model from scratch, with this program alone: trace, train, calibrate, and compare with the rows of
# the PyTorch recipe. Everything it makes lies in a folder and is gone on with when it is run again.
# Usage: sh tools/signals.sh [FOLDER] [TRAINING PROBLEMS] [HELD-OUT PROBLEMS]     (build/signals 300 500)
# On two cores and a software driver a problem takes two to six seconds; a GPU is for larger numbers.
set -eu
cd "$(dirname "$0")/.."
folder=${1:-build/signals}
program=${SPECEXIT:-build/release/bin/specexit}
problems=tools/demo_model
mkdir -p "$folder"

"$program" trace --prompts $problems/calibration.jsonl --limit "${2:-300}" -o "$folder/train.trace"
"$program" train-signals "$folder/train.trace" -o "$folder/signals.gguf"
"$program" trace --prompts $problems/smoke.jsonl -o "$folder/calibration.trace"
"$program" calibrate "$folder/calibration.trace" --signal-head "$folder/signals.gguf" --lose 0.5 --risk 2 \
    -o "$folder/profile.json"
"$program" trace --prompts $problems/heldout.jsonl --limit "${3:-500}" -o "$folder/heldout.trace"
for head in "$folder/signals.gguf" $problems/demo-draft.gguf; do
    echo
    echo "== frontier of $head on held-out problems"
    "$program" calibrate "$folder/heldout.trace" --signal-head "$head" | tail -n 12
done
echo
"$program" compare --prompts $problems/heldout.jsonl --limit 50 --modes speculative,specexit \
    --signal-head "$folder/signals.gguf" --profile "$folder/profile.json"
