#!/bin/sh
# Makes every file of this directory that is not source, from nothing.  Resumable: run it again after an interruption.
set -e
cd "$(dirname "$0")"
PYTHON=${PYTHON:-python3}
export TOKENIZERS_PARALLELISM=false
[ -f tokenizer.json ] || "$PYTHON" tokenizer.py
"$PYTHON" sets.py
"$PYTHON" test_draft.py
"$PYTHON" train_target.py
"$PYTHON" train_draft.py
"$PYTHON" train_signals.py
"$PYTHON" export.py
"$PYTHON" evaluate.py --calibrate
"$PYTHON" golden.py
