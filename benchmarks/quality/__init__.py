"""The quality suite: edits against exact ground truth from `scenes`, with pictures and numbers. `make quality` runs it."""
