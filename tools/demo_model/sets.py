"""Writes heldout.jsonl, calibration.jsonl and smoke.jsonl: lines of prompt and answer."""
import json
from pathlib import Path

import problems as P

HERE = Path(__file__).parent

if __name__ == "__main__":
    for name, rows in P.reserved()[0].items():
        with open(HERE / f"{name}.jsonl", "w") as f:
            for p in rows:
                f.write(json.dumps({"prompt": p.prompt, "answer": str(P.answer(p))}) + "\n")
