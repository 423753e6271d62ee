"""The quality suite: edits against exact ground truth from `scenes`, with pictures and numbers. `scripts/quality.py` runs it."""
